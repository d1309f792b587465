// SPDX-License-Identifier: GPL-2.0

//! The TCP header and its options (RFC 9293, 3.1 and 3.2; RFC 7323; RFC 2018).
//!
//! [`Segment::parse`] turns bytes into a value that later code can trust; what it does not need
//! (the window, the urgent pointer, the reserved bits) it does not read.

use super::checksum::Writer;
use super::decide::Silence;
use super::ip::{Datagram, Ecn};
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
    /// [`Silence::Reset`]: a reset is discarded, whatever else it claims to be (RFC 9293, 3.10.7.1).
    #[inline]
    pub(super) const fn control(self) -> Result<Control, Silence> {
        const MASK: u8 = Flags::FIN.0 | Flags::SYN.0 | Flags::RST.0 | Flags::ACK.0;

        Ok(match Self(self.0 & MASK) {
            Self::SYN => Control::Syn,
            Self::SYN_ACK => Control::SynAck,
            Self::ACK => Control::Ack { fin: false },
            Self::FIN_ACK => Control::Ack { fin: true },
            flags if flags.has(Self::RST) => return Err(Silence::Reset),
            _ => Control::Other,
        })
    }
}

/// The options that the tarpit knows. Others are neither understood nor offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which of them there are; what is said of the others means nothing.
    pub present: Present,
    /// Window scale, as a shift count.
    pub window_scale: u8,
    /// Maximum segment size in bytes, as received; that of a reply is the route's.
    pub mss: u16,
    /// Timestamps.
    pub timestamps: Timestamps,
}

/// A set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present(u8);

impl Present {
    /// None.
    pub const NONE: Self = Self(0);
    /// Maximum segment size.
    pub const MSS: Self = Self(1);
    /// Window scale.
    pub const WINDOW_SCALE: Self = Self(2);
    /// SACK-permitted.
    pub const SACK_PERMITTED: Self = Self(4);
    /// Timestamps.
    pub const TIMESTAMPS: Self = Self(8);
    /// All of these.
    pub const ALL: Self = Self(15);

    pub(super) const fn has(self, Self(other): Self) -> bool {
        self.0 & other != 0
    }

    /// These and those of `other`.
    pub const fn with(self, Self(other): Self) -> Self {
        Self(self.0 | other)
    }

    const fn without(self, Self(other): Self) -> Self {
        Self(self.0 & !other)
    }
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
    /// Reads the segment of a packet.
    ///
    /// # Errors
    ///
    /// [`Silence::Truncated`] when the header is not within what can be read, [`Silence::Malformed`] when it
    /// contradicts itself or the length of the packet.
    #[inline(always)]
    pub fn parse<A>(datagram: &Datagram<'_, A>) -> Result<Self, Silence> {
        let len = datagram.transport_len;
        let (header, rest) = datagram
            .transport
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
            len,
            ecn: datagram.ecn,
        })
    }

    /// The length of the payload in octets, for sequence numbers.
    pub(super) const fn octets(&self) -> u32 {
        // CAST: a payload is at most what the network layer can carry, far below 2^31.
        self.payload_len as u32
    }
}

impl Options {
    /// None of them.
    pub const NONE: Self = Self {
        present: Present::NONE,
        window_scale: 0,
        mss: 0,
        timestamps: Timestamps { value: 0, echo: 0 },
    };

    /// Timestamps and nothing else, if there are any.
    pub(super) const fn only(timestamps: Option<Timestamps>) -> Self {
        match timestamps {
            Some(timestamps) => Self {
                present: Present::TIMESTAMPS,
                timestamps,
                ..Self::NONE
            },
            None => Self::NONE,
        }
    }

    /// What is answered to these of a SYN, of which there is `room` bytes: each that was offered, with a value of ours.
    pub(super) fn accept(&self, window_scale: u8, timestamps: Timestamps, room: usize) -> Self {
        let accepted = Self {
            present: self.present.with(Present::MSS),
            window_scale,
            timestamps,
            ..Self::NONE
        };
        // The reply must not have more bytes than the SYN. What was offered fits, since padding takes no
        // more here than it took there. MSS, which answers no offer, comes with others if it fits too.
        let keeps_mss = self.present.has(Present::MSS)
            || self.present != Present::NONE && accepted.len() <= room;
        if keeps_mss {
            accepted
        } else {
            Self {
                present: self.present.without(Present::MSS),
                ..accepted
            }
        }
    }

    /// The timestamps, if there are any.
    #[inline]
    pub const fn timestamps(&self) -> Option<Timestamps> {
        match self.has_timestamps() {
            true => Some(self.timestamps),
            false => None,
        }
    }

    /// Returns true if there are timestamps.
    #[inline]
    pub const fn has_timestamps(&self) -> bool {
        self.present.has(Present::TIMESTAMPS)
    }

    /// Reads options up to the end of the list or to the first one that is broken, as Linux does.
    #[inline(always)]
    fn parse(bytes: &[u8]) -> Self {
        use kind::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

        match *bytes {
            // Most segments have timestamps and nothing else (RFC 7323, appendix A) ...
            [NOP, NOP, TIMESTAMPS, 10, a, b, c, d, e, f, g, h] => Self {
                present: Present::TIMESTAMPS,
                timestamps: Timestamps::read([a, b, c, d], [e, f, g, h]),
                ..Self::NONE
            },
            // ... and most SYNs are Linux'.
            [MSS, 4, m, n, SACK_PERMITTED, 2, TIMESTAMPS, 10, a, b, c, d, e, f, g, h, NOP, WINDOW_SCALE, 3, shift] => {
                Self {
                    present: Present::ALL,
                    window_scale: shift,
                    mss: u16::from_be_bytes([m, n]),
                    timestamps: Timestamps::read([a, b, c, d], [e, f, g, h]),
                }
            }
            [] => Self::NONE,
            _ => Self::parse_any(bytes),
        }
    }

    /// The same, one by one.
    #[inline(never)]
    fn parse_any(mut bytes: &[u8]) -> Self {
        let mut options = Self::NONE;
        loop {
            let (present, rest) = match *bytes {
                [kind::NOP, ref rest @ ..] => (Present::NONE, rest),
                [kind::MSS, 4, a, b, ref rest @ ..] => {
                    options.mss = u16::from_be_bytes([a, b]);
                    (Present::MSS, rest)
                }
                [kind::WINDOW_SCALE, 3, shift, ref rest @ ..] => {
                    options.window_scale = shift;
                    (Present::WINDOW_SCALE, rest)
                }
                [kind::SACK_PERMITTED, 2, ref rest @ ..] => (Present::SACK_PERMITTED, rest),
                [kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h, ref rest @ ..] => {
                    options.timestamps = Timestamps::read([a, b, c, d], [e, f, g, h]);
                    (Present::TIMESTAMPS, rest)
                }
                [kind::END, ..] | [] => return options,
                // A length below two would not get us further (RFC 9293, 3.1).
                [_, len, ..] if len >= 2 => match bytes.get(usize::from(len)..) {
                    Some(rest) => (Present::NONE, rest),
                    None => return options,
                },
                _ => return options,
            };
            options.present = options.present.with(present);
            bytes = rest;
        }
    }

    /// The length of these options in bytes, padded as [`Options::put`] writes them.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        // In words, four bits for each set: SACK-permitted takes the place of the padding before
        // timestamps.
        const WORDS: u64 = 0x5443_5443_3221_2110;
        // CAST: widening; four bits.
        4 * (WORDS >> (4 * (self.present.0 & 15)) & 15) as usize
    }

    /// Writes the options in Linux' order; the MSS is `mss`.
    #[inline(always)]
    pub(super) fn put(&self, mss: u16, words: &mut Writer<'_>) -> Option<()> {
        use kind::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

        const MSS_WORD: u32 = u32::from_be_bytes([MSS, 4, 0, 0]);
        const SACK_WORD: u32 = u32::from_be_bytes([NOP, NOP, SACK_PERMITTED, 2]);
        const STAMP_WORD: u32 = u32::from_be_bytes([NOP, NOP, TIMESTAMPS, 10]);
        const BOTH_WORD: u32 = u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10]);
        const SCALE_WORD: u32 = u32::from_be_bytes([NOP, WINDOW_SCALE, 3, 0]);

        let Timestamps { value, echo } = self.timestamps;
        let mss = MSS_WORD | u32::from(mss);
        let scale = SCALE_WORD | u32::from(self.window_scale);
        match self.present {
            Present::NONE => return Some(()),
            Present::TIMESTAMPS => return words.put_all([STAMP_WORD, value, echo]),
            Present::ALL => return words.put_all([mss, BOTH_WORD, value, echo, scale]),
            _ => {}
        }
        let has = |option| self.present.has(option);
        if has(Present::MSS) {
            words.put_all([mss])?;
        }
        match (has(Present::TIMESTAMPS), has(Present::SACK_PERMITTED)) {
            (true, true) => words.put_all([BOTH_WORD, value, echo])?,
            (true, false) => words.put_all([STAMP_WORD, value, echo])?,
            (false, true) => words.put_all([SACK_WORD])?,
            (false, false) => {}
        }
        if has(Present::WINDOW_SCALE) {
            words.put_all([scale])?;
        }
        Some(())
    }
}

impl Timestamps {
    const fn read(value: [u8; 4], echo: [u8; 4]) -> Self {
        Self {
            value: u32::from_be_bytes(value),
            echo: u32::from_be_bytes(echo),
        }
    }
}
