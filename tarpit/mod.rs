// SPDX-License-Identifier: GPL-2.0

//! The core: what the tarpit answers to a packet, and nothing else.
//!
//! Bytes go in, a decision comes out. [`Packet::parse`] and [`respond`] look at one packet and either
//! give a [`Reply`], which then writes itself into a buffer, or the [`Silence`] that is kept and
//! why. Everything that the decision needs is an argument: the bytes, the [`Policy`] of the rule,
//! and the [`Env`]: the clock, the key, the link's MSS. There is no connection table: what has
//! to be remembered of a connection travels in the numbers that the peer sends back ([`isn`],
//! [`stamp`]).
//!
//! The promises: no input makes the core panic, allocate, loop without bound or read outside of
//! what it was given; a reply is never longer than the packet that caused it, but for the one octet of
//! a banner that a rule may ask for; no reply is written from bytes of the peer, each field is set
//! from nothing.
//!
//! The same files are `mod tarpit` of the kernel module and a crate for the host's tests
//! (`lib.rs`), so they know neither the kernel's types nor the host's.

pub mod decide;
pub mod frozen;
mod hold;
mod honeypot;
pub mod ip;
pub mod isn;
pub mod reply;
pub mod seq;
pub mod stamp;
pub mod tcp;

pub use decide::{Policy, Rule, Silence};
pub use ip::{Family, Packet};
pub use isn::Key;
pub use reply::{Limit, Reply};

/// What the world is like at the moment of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The secret that was drawn when the module was loaded.
    pub key: &'a Key,
    /// A clock in milliseconds that does not go backwards; it may start and wrap anywhere.
    pub now_ms: u32,
    /// The MSS to announce in bytes: what fits the link that the packet came from.
    pub mss: u16,
}

/// Decides what to answer to one packet.
///
/// The TCP checksum is the caller's to verify, as only it knows what the network card has already
/// done. It need not look before there is a reply to send.
///
/// # Errors
///
/// The [`Silence`] that is to be kept: the packet is to be dropped without an answer.
#[inline]
pub fn respond(packet: &Packet<'_>, policy: &Policy, env: &Env<'_>) -> Result<Reply, Silence> {
    let segment = tcp::Segment::parse(packet.transport, packet.transport_len)?;
    decide::decide(packet, &segment, policy, env)
}
