// SPDX-License-Identifier: GPL-2.0

//! The core: what the tarpit answers to a packet, and nothing else.
//!
//! Bytes go in, a decision comes out. A [`Packet`] is read from the headers of what has come; it either
//! gives an [`Answer`], which it then puts into a packet that goes back, or the [`DropReason`] that is kept and
//! why. Everything that the decision needs is an argument: the bytes, the [`Policy`] of the rule,
//! and the [`Env`]: the clock, the key, the link's MSS. There is no connection table: what has
//! to be remembered of a connection travels in the numbers that the peer sends back ([`isn`],
//! [`ts_cookie`]).
//!
//! The promises: no input makes the core panic, allocate, loop without bound or read outside of
//! what it was given; a reply is never longer than the packet that caused it, but for the one octet of
//! a banner that a rule may ask for; no reply is written from bytes of the peer, each field is set
//! from nothing.
//!
//! The same files are `mod tarpit` of the kernel module and a crate for the host's tests
//! (`lib.rs`), so they know neither the kernel's types nor the host's.

mod checksum;
mod decide;
mod drop_reason;
mod env;
pub mod freeze;
mod hold;
mod honeypot;
pub mod ip;
pub mod isn;
pub mod policy;
pub mod rate_limit;
pub mod reply;
mod segment_class;
pub mod seq;
mod siphash;
pub mod tcp;
pub mod tcp_options;
pub mod ts_cookie;
pub mod window;

pub use drop_reason::DropReason;
pub use env::Env;
pub use ip::{Addresses, Wire, V4, V6};
pub use policy::{Policy, Rule};
pub use rate_limit::RateLimit;
pub use reply::Answer;
pub use segment_class::SegmentClass;
pub use siphash::Key;
pub use tcp::Ports;

use decide::decide;
use isn::Flow;
use policy::Mode;
use tcp::{Flags, Segment};

/// A packet that may get an answer.
#[derive(Clone, Copy, Debug)]
pub struct Packet<A> {
    addresses: A,
    segment: Segment,
    transport_offset: usize,
}

impl<A: Addresses> Packet<A> {
    /// Reads the headers of a packet.
    ///
    /// `headers` starts at the IP header and holds as much of the packet as can be read in one
    /// piece; `len` is the length of the whole packet in bytes, and may well be more.
    ///
    /// # Errors
    ///
    /// The [`DropReason`] that is to be kept whatever the rule says. It is [`DropReason::Truncated`] when more of the packet had to
    /// be read.
    #[inline(always)]
    pub fn parse(headers: &[u8], len: usize) -> Result<Self, DropReason> {
        let datagram = A::parse(headers, len)?;
        Ok(Self {
            addresses: datagram.addresses,
            segment: Segment::parse(&datagram)?,
            transport_offset: datagram.transport_offset,
        })
    }

    /// The ports of the segment.
    #[inline]
    pub const fn ports(&self) -> Ports {
        self.segment.ports
    }

    /// How many bytes into the packet the TCP header starts.
    #[inline]
    pub const fn transport_offset(&self) -> usize {
        self.transport_offset
    }

    /// Decides what to answer.
    ///
    /// The TCP checksum is the caller's to verify, as only it knows what the network card has already
    /// done. It need not look before there is an answer to send.
    ///
    /// # Errors
    ///
    /// The [`DropReason`] that is to be kept: the packet is to be dropped without an answer.
    #[inline(always)]
    pub fn respond(&self, policy: &Policy, env: &Env<'_>) -> Result<Answer, DropReason> {
        let control = self.segment.flags.control()?;
        // What gets no answer costs no hash, nor does a reset with no place for a label.
        let flow = if !A::HAS_LABEL && policy.mode == Mode::Reset {
            Flow::NONE
        } else if let Some(wire) = env.wire {
            Flow::on_wire::<A>(env.key, wire)
        } else {
            Flow::new(env.key, &self.addresses, self.segment.ports)
        };
        decide(control, &self.segment, flow, policy, env)
    }

    /// Returns the class of the packet, for which [`Packet::respond`] gave `decision`.
    #[inline]
    pub const fn class(&self, decision: &Result<Answer, DropReason>) -> SegmentClass {
        match decision {
            Ok(answer) => answer.class,
            Err(reason) if self.segment.flags.has(Flags::FIN) => reason.class().with_fin(),
            Err(reason) => reason.class(),
        }
    }

    /// Returns a number that spreads sources evenly over the table of their rate limits. Without the
    /// key, an attacker cannot choose an entry of that table.
    #[inline]
    pub fn source_bucket(&self, key: &Key) -> u32 {
        Flow::source_bucket(key, &self.addresses)
    }

    /// The length of the packet that answers, in bytes.
    #[inline]
    pub fn reply_len(&self, answer: &Answer) -> usize {
        A::HEADER_LEN + answer.tcp_len()
    }

    /// Writes the packet that answers, every byte of it, with its checksums.
    ///
    /// `mss` is what the way back carries in a segment, in bytes; it matters only where
    /// [`Answer::needs_mss`]. `None`, and an unusable buffer, when `buffer` does not have just
    /// [`Packet::reply_len`] bytes.
    #[inline(always)]
    pub fn reply(&self, answer: &Answer, mss: u16, buffer: &mut [u8]) -> Option<()> {
        let (header, tcp) = buffer.split_at_mut_checked(A::HEADER_LEN)?;
        // A segment of ours has at most 40 bytes; a buffer of another length is refused.
        let tcp_len = u16::try_from(tcp.len()).ok()?;
        let fields = answer.ip_fields();
        let pseudo = self.addresses.put_reversed(header, fields, tcp_len)?;
        answer.put(self.segment.ports, pseudo, mss, tcp)
    }
}
