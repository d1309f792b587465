// SPDX-License-Identifier: GPL-2.0

//! The TCP header (RFC 9293, 3.1).
//!
//! [`Segment::parse`] turns bytes into a value that later code can trust. It does not read what no
//! decision needs: the window, the urgent pointer and the reserved bits.

use super::drop_reason::DropReason;
use super::ip::{Datagram, Ecn};
use super::seq::Seq;
use super::tcp_options::Options;

/// The length of a header without options in bytes.
pub(super) const HEADER_LEN: usize = 20;

/// A received TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The ports.
    pub ports: Ports,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK. It has no meaning unless the flag ACK is set.
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// The options.
    pub options: Options,
    /// The length of the payload in bytes.
    pub payload_len: usize,
    /// The length of header and payload in bytes.
    pub len: usize,
    /// The ECN field of its IP header.
    pub ecn: Ecn,
}

/// The two ports of a segment, in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// The role of a segment in a connection, by its control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It opens a connection.
    Syn,
    /// It accepts a connection.
    SynAck,
    /// It belongs to a connection.
    Ack {
        /// True if FIN is set.
        fin: bool,
    },
    /// No connection sends it: NULL, Xmas, SYN with FIN.
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
    /// ECE and ACK: the receiver has seen congestion (RFC 3168, 6.1.3).
    pub const ECE_ACK: Self = Self(0x50);
    /// ECE and CWR: what a SYN that asks for ECN has besides SYN (RFC 3168, 6.1.1).
    pub const ECN_SETUP: Self = Self(0xc0);
    /// ECE, SYN and ACK: the SYN-ACK that agrees to ECN.
    pub const ECN_SYN_ACK: Self = Self(0x52);

    /// Returns true if any of the bits of `other` is set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the role of a segment with these bits.
    ///
    /// # Errors
    ///
    /// [`DropReason::Reset`]: a reset is discarded, whatever other bits are set (RFC 9293,
    /// 3.10.7.1).
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

impl Segment {
    /// Reads the segment of a packet.
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`] if the header is not within what can be read,
    /// [`DropReason::Malformed`] if it contradicts itself or the length of the packet.
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

    /// Returns the length of the payload, for sequence numbers.
    pub(super) const fn payload_bytes(&self) -> u32 {
        // CAST: a payload is at most what the network layer can carry, far below 2^31.
        self.payload_len as u32
    }

    /// Returns the timestamp cookie that the segment echoes, in a flow with this offset.
    pub(super) fn echoed_cookie(&self, ts_offset: u32) -> Option<u32> {
        let theirs = self.options.timestamps()?;
        Some(theirs.echo.wrapping_sub(ts_offset))
    }
}
