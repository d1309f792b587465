// SPDX-License-Identifier: GPL-2.0

//! The TCP header and its options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018).
//!
//! [`Segment::parse`] turns bytes into a value that later code can trust; what it does not need
//! (the window, the urgent pointer, the reserved bits) it does not read.

use super::drop_reason::DropReason;
use super::ip::{Datagram, Ecn};
use super::seq::Seq;
use super::tcp_options::Options;

/// A TCP segment, as far as it matters to a receiver that delivers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The ports.
    pub ports: Ports,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; without meaning when the flag is not set.
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// The options.
    pub options: Options,
    /// The length of the payload in octets.
    pub payload_len: usize,
    /// The length of all of it in bytes.
    pub len: usize,
    /// The ECN field of its IP header.
    pub ecn: Ecn,
}

/// The two ports of a segment, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// What a segment is, by its control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It wants a connection.
    Syn,
    /// It accepts one.
    SynAck,
    /// It belongs to one, and maybe ends it.
    Ack {
        /// Whether FIN is set.
        fin: bool,
    },
    /// What no connection ever sends: NULL, Xmas, SYN with FIN.
    Other,
}

/// The control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// SYN and ACK.
    pub const SYN_ACK: Self = Self(0x12);
    /// FIN and ACK.
    pub const FIN_ACK: Self = Self(0x11);
    /// RST and ACK.
    pub const RST_ACK: Self = Self(0x14);
    /// PSH and ACK.
    pub const PSH_ACK: Self = Self(0x18);
    /// ACK, with word of congestion.
    pub const ECE_ACK: Self = Self(0x50);
    /// What a SYN says that asks for ECN, besides SYN: ECE and CWR (RFC 3168, 6.1.1).
    pub const ECN_SETUP: Self = Self(0xc0);
    /// The SYN-ACK that agrees to it.
    pub const ECN_SYN_ACK: Self = Self(0x52);

    /// Returns true if any of the bits of `other` is set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What a segment with these bits is.
    ///
    /// # Errors
    ///
    /// [`DropReason::Reset`]: a reset is discarded, whatever else it claims to be (RFC 9293, 3.10.7.1).
    #[inline]
    pub(super) const fn control(self) -> Result<Control, DropReason> {
        const MASK: u8 = Flags::FIN.0 | Flags::SYN.0 | Flags::RST.0 | Flags::ACK.0;

        Ok(match Self(self.0 & MASK) {
            Self::SYN => Control::Syn,
            Self::SYN_ACK => Control::SynAck,
            Self::ACK => Control::Ack { fin: false },
            Self::FIN_ACK => Control::Ack { fin: true },
            flags if flags.has(Self::RST) => return Err(DropReason::Reset),
            _ => Control::Other,
        })
    }
}

/// The length of a header without options in bytes.
pub(super) const HEADER_LEN: usize = 20;

impl Segment {
    /// Reads the segment of a packet.
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`] when the header is not within what can be read, [`DropReason::Malformed`] when it
    /// contradicts itself or the length of the packet.
    #[inline(always)]
    pub fn parse<A>(datagram: &Datagram<'_, A>) -> Result<Self, DropReason> {
        let len = datagram.transport_len;
        let (header, rest) = datagram
            .transport
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(DropReason::Truncated)?;
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..] = *header;

        let header_len = usize::from(offset >> 4) * 4;
        let options_len = header_len
            .checked_sub(HEADER_LEN)
            .ok_or(DropReason::Malformed)?;
        let payload_len = len.checked_sub(header_len).ok_or(DropReason::Malformed)?;
        let options = rest.get(..options_len).ok_or(DropReason::Truncated)?;
        Ok(Self {
            ports: Ports {
                source: u16::from_be_bytes([s0, s1]),
                destination: u16::from_be_bytes([d0, d1]),
            },
            seq: Seq(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: Seq(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: Flags(flags),
            options: Options::parse(options),
            payload_len,
            len,
            ecn: datagram.ecn,
        })
    }

    /// The length of the payload in octets, for sequence numbers.
    pub(super) const fn octets(&self) -> u32 {
        // CAST: a payload is at most what the network layer can carry, far below 2^31.
        self.payload_len as u32
    }

    /// Returns the timestamp cookie that the segment echoes, in a flow with this offset.
    pub(super) fn echoed_cookie(&self, ts_offset: u32) -> Option<u32> {
        let theirs = self.options.timestamps()?;
        Some(theirs.echo.wrapping_sub(ts_offset))
    }
}
