// SPDX-License-Identifier: GPL-2.0

//! The window field of a reply.

/// The window of a reply. Two of them depend on the MSS, which is known when the reply has a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The field itself, unscaled.
    Field(u16),
    /// As many whole segments as 65,535 bytes hold, each with this many bytes of options
    /// (tcp_select_initial_window).
    WholeSegments(u16),
    /// One segment, rounded up to the next unit of this window scale, a shift count.
    OneSegment(u8),
}

impl Window {
    /// Returns the field of the header if a segment carries `mss` bytes.
    #[inline(always)]
    pub const fn field(self, mss: u16) -> u16 {
        match self {
            Self::Field(field) => field,
            _ => self.of_mss(mss),
        }
    }

    #[inline(never)]
    const fn of_mss(self, mss: u16) -> u16 {
        match self {
            Self::Field(field) => field,
            Self::WholeSegments(options_len) => {
                match u16::MAX.checked_rem(mss.saturating_sub(options_len)) {
                    Some(rest) => u16::MAX - rest,
                    None => u16::MAX,
                }
            }
            Self::OneSegment(scale) => match mss.checked_shr(scale as u32) {
                Some(units) => units.saturating_add(1),
                None => 1,
            },
        }
    }
}
