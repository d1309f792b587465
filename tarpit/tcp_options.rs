// SPDX-License-Identifier: GPL-2.0

//! The options of a TCP header (RFC 9293, 3.2; RFC 7323; RFC 2018).

use super::checksum::Writer;

/// Option kinds (IANA, TCP parameters).
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const TIMESTAMPS: u8 = 8;
}

/// The options that the core knows. It skips others and never sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The options that are present. The fields of the others have no meaning.
    pub present: OptionSet,
    /// Window scale, as a shift count.
    pub window_scale: u8,
    /// Maximum segment size in bytes, as received. That of a reply is the route's.
    pub mss: u16,
    /// Timestamps.
    pub timestamps: Timestamps,
}

/// A set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSet(u8);

impl OptionSet {
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

    /// Returns true if any option of `other` is in the set.
    pub(super) const fn has(self, Self(other): Self) -> bool {
        self.0 & other != 0
    }

    /// Returns the union with `other`.
    pub const fn with(self, Self(other): Self) -> Self {
        Self(self.0 | other)
    }

    /// Returns the set without the options of `other`.
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

impl Options {
    /// None of them.
    pub const NONE: Self = Self {
        present: OptionSet::NONE,
        window_scale: 0,
        mss: 0,
        timestamps: Timestamps { value: 0, echo: 0 },
    };

    /// Returns these timestamps as the only option, or no options.
    pub(super) const fn only_timestamps(timestamps: Option<Timestamps>) -> Self {
        match timestamps {
            Some(timestamps) => Self {
                present: OptionSet::TIMESTAMPS,
                timestamps,
                ..Self::NONE
            },
            None => Self::NONE,
        }
    }

    /// Returns the options of the SYN-ACK for these of a SYN: each one that was offered, with a
    /// value of ours. `room` is the length of the options of the SYN in bytes.
    pub(super) fn accept(&self, window_scale: u8, timestamps: Timestamps, room: usize) -> Self {
        let accepted = Self {
            present: self.present.with(OptionSet::MSS),
            window_scale,
            timestamps,
            ..Self::NONE
        };
        // The reply must not have more bytes than the SYN. The options that were offered fit, since
        // padding takes no more here than it took there. MSS is no answer to an offer: without one
        // it is added to other options if it fits.
        let keeps_mss = self.present.has(OptionSet::MSS)
            || self.present != OptionSet::NONE && accepted.len() <= room;
        if keeps_mss {
            accepted
        } else {
            Self {
                present: self.present.without(OptionSet::MSS),
                ..accepted
            }
        }
    }

    /// Returns the timestamps, if they are present.
    #[inline]
    pub const fn timestamps(&self) -> Option<Timestamps> {
        match self.has_timestamps() {
            true => Some(self.timestamps),
            false => None,
        }
    }

    /// Returns true if timestamps are present.
    #[inline]
    pub const fn has_timestamps(&self) -> bool {
        self.present.has(OptionSet::TIMESTAMPS)
    }

    /// Reads options up to the end of the list or the first malformed one, as Linux does.
    #[inline(always)]
    pub(super) fn parse(bytes: &[u8]) -> Self {
        use kind::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

        match *bytes {
            // Most segments have timestamps and nothing else (RFC 7323, appendix A) ...
            [NOP, NOP, TIMESTAMPS, 10, a, b, c, d, e, f, g, h] => Self {
                present: OptionSet::TIMESTAMPS,
                timestamps: Timestamps::read([a, b, c, d], [e, f, g, h]),
                ..Self::NONE
            },
            // ... and most SYNs are Linux'.
            [MSS, 4, m, n, SACK_PERMITTED, 2, TIMESTAMPS, 10, a, b, c, d, e, f, g, h, NOP, WINDOW_SCALE, 3, shift] => {
                Self {
                    present: OptionSet::ALL,
                    window_scale: shift,
                    mss: u16::from_be_bytes([m, n]),
                    timestamps: Timestamps::read([a, b, c, d], [e, f, g, h]),
                }
            }
            [] => Self::NONE,
            _ => Self::parse_any(bytes),
        }
    }

    /// Reads options of any layout, one by one.
    #[inline(never)]
    fn parse_any(mut bytes: &[u8]) -> Self {
        let mut options = Self::NONE;
        loop {
            let (present, rest) = match *bytes {
                [kind::NOP, ref rest @ ..] => (OptionSet::NONE, rest),
                [kind::MSS, 4, a, b, ref rest @ ..] => {
                    options.mss = u16::from_be_bytes([a, b]);
                    (OptionSet::MSS, rest)
                }
                [kind::WINDOW_SCALE, 3, shift, ref rest @ ..] => {
                    options.window_scale = shift;
                    (OptionSet::WINDOW_SCALE, rest)
                }
                [kind::SACK_PERMITTED, 2, ref rest @ ..] => (OptionSet::SACK_PERMITTED, rest),
                [kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h, ref rest @ ..] => {
                    options.timestamps = Timestamps::read([a, b, c, d], [e, f, g, h]);
                    (OptionSet::TIMESTAMPS, rest)
                }
                [kind::END, ..] | [] => return options,
                // A length below two is malformed (RFC 9293, 3.1), and would not end the loop.
                [_, len, ..] if len >= 2 => match bytes.get(usize::from(len)..) {
                    Some(rest) => (OptionSet::NONE, rest),
                    None => return options,
                },
                _ => return options,
            };
            options.present = options.present.with(present);
            bytes = rest;
        }
    }

    /// Returns the length in bytes, with the padding of [`Options::put`].
    #[inline]
    pub(super) const fn len(&self) -> usize {
        // Lengths in words, four bits for each set. SACK-permitted takes the place of the padding
        // before timestamps.
        const WORDS: u64 = 0x5443_5443_3221_2110;
        // CAST: widening; four bits.
        4 * (WORDS >> (4 * (self.present.0 & 15)) & 15) as usize
    }

    /// Writes the options in Linux' order. The MSS is `mss`, in bytes.
    #[inline(always)]
    pub(super) fn put(&self, mss: u16, words: &mut Writer<'_>) -> Option<()> {
        use kind::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE};

        const MSS_WORD: u32 = u32::from_be_bytes([MSS, 4, 0, 0]);
        const SACK_WORD: u32 = u32::from_be_bytes([NOP, NOP, SACK_PERMITTED, 2]);
        const TIMESTAMPS_WORD: u32 = u32::from_be_bytes([NOP, NOP, TIMESTAMPS, 10]);
        const BOTH_WORD: u32 = u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10]);
        const SCALE_WORD: u32 = u32::from_be_bytes([NOP, WINDOW_SCALE, 3, 0]);

        let Timestamps { value, echo } = self.timestamps;
        let mss = MSS_WORD | u32::from(mss);
        let scale = SCALE_WORD | u32::from(self.window_scale);
        match self.present {
            OptionSet::NONE => return Some(()),
            OptionSet::TIMESTAMPS => return words.put_all([TIMESTAMPS_WORD, value, echo]),
            OptionSet::ALL => return words.put_all([mss, BOTH_WORD, value, echo, scale]),
            _ => {}
        }
        let has = |option| self.present.has(option);
        if has(OptionSet::MSS) {
            words.put_all([mss])?;
        }
        match (has(OptionSet::TIMESTAMPS), has(OptionSet::SACK_PERMITTED)) {
            (true, true) => words.put_all([BOTH_WORD, value, echo])?,
            (true, false) => words.put_all([TIMESTAMPS_WORD, value, echo])?,
            (false, true) => words.put_all([SACK_WORD])?,
            (false, false) => {}
        }
        if has(OptionSet::WINDOW_SCALE) {
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
