// SPDX-License-Identifier: GPL-2.0

//! The core: which reply a packet gets, and nothing else.
//!
//! Bytes go in, a decision comes out. A [`Packet`] is read from the headers of a received packet.
//! The decision is a [`Reply`], which the packet then writes, or a [`DropReason`]. Everything that
//! it depends on is an argument: the bytes, the [`Policy`] of the rule, and the [`Env`] with the
//! clock and the key. There is no connection table. What a receiver must know of a connection is in
//! the numbers that the peer sends back: our ISN ([`isn`]) and our TSval ([`ts_cookie`]).
//!
//! For every input the core keeps these promises:
//!
//! - It does not panic, allocate, loop without bound or read outside of its arguments.
//! - A reply is not longer than the packet that caused it, except for the one banner byte of a drip
//!   rule.
//! - No reply is a changed copy of the peer's packet: each field is written anew.
//!
//! The same files are `mod tarpit` of the kernel module and a crate for the host's tests
//! (`lib.rs`). So they use neither the kernel's types nor the host's.
//!
//! Imports run one way, from the decision down to values: `decide`; `hold`, `honeypot`; `freeze`;
//! `reply`; `policy`, `isn`, `env`; `tcp`; `ip`; and values, such as `seq` and `drop_reason`.

#[path = "../compat/c_header.rs"]
pub mod c_header;
mod checksum;
mod decide;
mod drop_reason;
mod env;
mod freeze;
pub mod frozen;
mod hold;
mod hold_timing;
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
pub use frozen::Freeze;
pub use ip::{Addresses, Wire, V4, V6};
pub use policy::{Policy, Rule};
pub use rate_limit::RateLimit;
pub use reply::Reply;
pub use segment_class::SegmentClass;
pub use siphash::Key;
pub use tcp::Ports;

use decide::decide;
use isn::Flow;
use policy::Mode;
use tcp::{Flags, Segment};

/// The length of the longest reply in bytes: a SYN-ACK over IPv6 with all options.
pub const MAX_REPLY_LEN: usize = c_header::helpers_value("XT_TARPIT_MAX_REPLY_LEN");

/// `struct xt_tarpit_path`: what the way out of a reply carries, in bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Path {
    /// Of a route, what it carries in a segment; 0 if the reply goes back by a link.
    pub advmss: u32,
    /// Of a link, what it carries in a packet.
    pub mtu: u32,
}

/// A packet that may get a reply.
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
    /// piece. `len` is the length of the whole packet in bytes, and may be more.
    ///
    /// # Errors
    ///
    /// The [`DropReason`], which no rule changes. It is [`DropReason::Truncated`] if more of the
    /// packet has to be read.
    #[inline(always)]
    pub fn parse(headers: &[u8], len: usize) -> Result<Self, DropReason> {
        let datagram = A::parse(headers, len)?;
        Ok(Self {
            addresses: datagram.addresses,
            segment: Segment::parse(&datagram)?,
            transport_offset: datagram.transport_offset,
        })
    }

    /// Returns the ports of the segment.
    #[inline]
    pub const fn ports(&self) -> Ports {
        self.segment.ports
    }

    /// Returns the offset of the TCP header in the packet, in bytes.
    #[inline]
    pub const fn transport_offset(&self) -> usize {
        self.transport_offset
    }

    /// Decides which reply the packet gets.
    ///
    /// The caller verifies the TCP checksum, as only the kernel knows what the network card has
    /// verified. That can wait until there is a reply to send.
    ///
    /// # Errors
    ///
    /// The [`DropReason`]: the packet is to be dropped without a reply.
    #[inline(always)]
    pub fn respond(&self, policy: &Policy, env: &Env<'_>) -> Result<Reply, DropReason> {
        let control = self.segment.flags.control()?;
        // A packet that gets no reply costs no hash. Nor does a reset that has no flow label.
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
    pub const fn class(&self, decision: &Result<Reply, DropReason>) -> SegmentClass {
        match decision {
            Ok(reply) => reply.class,
            Err(reason) if self.segment.flags.has(Flags::FIN) => reason.class().with_fin(),
            Err(reason) => reason.class(),
        }
    }

    /// Returns a number that spreads sources evenly over the table of their token buckets. An
    /// attacker who does not know the key cannot choose an entry of that table.
    #[inline]
    pub fn source_bucket(&self, key: &Key) -> u32 {
        Flow::source_bucket(key, &self.addresses)
    }

    /// Returns the length of the packet that carries `reply`, in bytes.
    #[inline]
    pub fn reply_len(&self, reply: &Reply) -> usize {
        A::HEADER_LEN + reply.tcp_len()
    }

    /// Returns what a segment can carry on the path of a reply, in bytes.
    #[inline]
    pub fn mss(&self, path: Path) -> u16 {
        // CAST: `min` makes them fit; two lengths of headers.
        let fits = |bytes: u32| bytes.min(0xffff) as u16;
        match path.advmss {
            // The MTU of a link can be above the longest IP packet.
            0 => fits(path.mtu).saturating_sub((A::HEADER_LEN + tcp::HEADER_LEN) as u16),
            advmss => fits(advmss),
        }
    }

    /// Writes the packet that carries `reply`, each byte of it, with the checksum of TCP. The one
    /// of an IPv4 header is 0, since the caller fills in a hop limit of 0.
    ///
    /// `mss` is [`Packet::mss`]. It matters only if [`Reply::needs_mss`]. Returns `None`, with
    /// `buffer` partly written, unless `buffer` has [`Packet::reply_len`] bytes.
    #[inline(always)]
    pub fn write_reply(&self, reply: &Reply, mss: u16, buffer: &mut [u8]) -> Option<()> {
        let (header, tcp) = buffer.split_at_mut_checked(A::HEADER_LEN)?;
        // A segment of ours has at most 40 bytes; a buffer of another length is refused.
        let tcp_len = u16::try_from(tcp.len()).ok()?;
        let fields = reply.ip_fields();
        let pseudo = self.addresses.put_reversed(header, fields, tcp_len)?;
        reply.put(self.segment.ports, pseudo, mss, tcp)
    }
}
