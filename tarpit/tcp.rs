// SPDX-License-Identifier: GPL-2.0

//! The TCP header and its options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018).
//!
//! [`Segment::parse`] turns bytes into a value that later code can trust; what it does not need
//! (the window, the urgent pointer, the reserved bits) it does not read.

use super::decide::Silence;
use super::ip::Writer;
use super::isn::Ports;
use super::seq::Seq;

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

    /// Whether any of the bits of `other` is set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The options that the tarpit knows. Others are neither understood nor offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size in bytes.
    pub mss: Option<u16>,
    /// Window scale, as a shift count.
    pub window_scale: Option<u8>,
    /// SACK-permitted.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
}

/// The timestamps option (RFC 7323, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the receiver's clock, echoed.
    pub echo: u32,
}

/// The length of a header without options in bytes.
pub(super) const HEADER_LEN: usize = 20;

pub(super) mod kind {
    //! Option kinds (IANA, TCP parameters).
    pub(in super::super) const END: u8 = 0;
    pub(in super::super) const NOP: u8 = 1;
    pub(in super::super) const MSS: u8 = 2;
    pub(in super::super) const WINDOW_SCALE: u8 = 3;
    pub(in super::super) const SACK_PERMITTED: u8 = 4;
    pub(in super::super) const TIMESTAMPS: u8 = 8;
}

impl Segment {
    /// Reads the segment at the start of `bytes`, `len` bytes long with its payload.
    ///
    /// # Errors
    ///
    /// [`Silence::Truncated`] when the header is not within `bytes`, [`Silence::Malformed`] when it
    /// contradicts itself or `len`.
    #[inline]
    pub fn parse(bytes: &[u8], len: usize) -> Result<Self, Silence> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(Silence::Truncated)?;
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..] = *header;

        let header_len = usize::from(offset >> 4) * 4;
        let options_len = header_len
            .checked_sub(HEADER_LEN)
            .ok_or(Silence::Malformed)?;
        let payload_len = len.checked_sub(header_len).ok_or(Silence::Malformed)?;
        let options = rest.get(..options_len).ok_or(Silence::Truncated)?;
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
        })
    }

    /// The length of the payload in octets, for sequence numbers.
    pub(super) const fn octets(&self) -> u32 {
        // CAST: a payload is at most what the network layer can carry, far below 2^31.
        self.payload_len as u32
    }
}

impl Options {
    /// The length of the MSS option in bytes.
    pub(super) const MSS_LEN: usize = 4;

    /// Reads options up to the end of the list or to the first one that is broken, as Linux does.
    #[inline]
    fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        // Most segments have timestamps and nothing else (RFC 7323, appendix A).
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h] = *bytes {
            options.timestamps = Some(Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            });
            return options;
        }
        loop {
            bytes = match *bytes {
                [kind::NOP, ref rest @ ..] => rest,
                [kind::MSS, 4, a, b, ref rest @ ..] => {
                    options.mss = Some(u16::from_be_bytes([a, b]));
                    rest
                }
                [kind::WINDOW_SCALE, 3, shift, ref rest @ ..] => {
                    options.window_scale = Some(shift);
                    rest
                }
                [kind::SACK_PERMITTED, 2, ref rest @ ..] => {
                    options.sack_permitted = true;
                    rest
                }
                [kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h, ref rest @ ..] => {
                    options.timestamps = Some(Timestamps {
                        value: u32::from_be_bytes([a, b, c, d]),
                        echo: u32::from_be_bytes([e, f, g, h]),
                    });
                    rest
                }
                [kind::END, ..] | [] => return options,
                // A length below two would not get us further (RFC 9293, 3.1).
                [_, len, ..] if len >= 2 => match bytes.get(usize::from(len)..) {
                    Some(rest) => rest,
                    None => return options,
                },
                _ => return options,
            };
        }
    }

    /// The length of these options in bytes, padded as [`Options::put`] writes them.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let mss = if self.mss.is_some() { Self::MSS_LEN } else { 0 };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        // SACK-permitted takes the place of the padding before timestamps.
        let rest = match (self.timestamps, self.sack_permitted) {
            (Some(_), _) => 12,
            (None, true) => 4,
            (None, false) => 0,
        };
        mss + rest + window_scale
    }

    /// Writes the options in Linux' order.
    #[inline]
    pub(super) fn put(&self, words: &mut Writer<'_>) -> Option<()> {
        use kind::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

        let mut put = |octets| words.put(u32::from_be_bytes(octets));
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put([MSS, 4, a, b])?;
        }
        match (self.timestamps, self.sack_permitted) {
            (Some(_), true) => put([SACK_PERMITTED, 2, TIMESTAMPS, 10])?,
            (Some(_), false) => put([NOP, NOP, TIMESTAMPS, 10])?,
            (None, true) => put([NOP, NOP, SACK_PERMITTED, 2])?,
            (None, false) => {}
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            put(value.to_be_bytes())?;
            put(echo.to_be_bytes())?;
        }
        if let Some(shift) = self.window_scale {
            put([NOP, WINDOW_SCALE, 3, shift])?;
        }
        Some(())
    }
}
