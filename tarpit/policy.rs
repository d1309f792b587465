// SPDX-License-Identifier: GPL-2.0

//! How a rule answers, and the windows that follow from it.

use super::ts_cookie::WindowOffer;
use super::window::Window;

/// The window of the SYN-ACK, in octets, for a peer with timestamps.
///
/// Small, since what the peer gets rid of no longer holds it; above 20, since tools that look for
/// tarpits take less for a sign of one (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// The window for a probe that may be the last, in octets.
///
/// Linux bounds its segments by the largest window that it has seen, but not below 68 octets with
/// their header (tcp_bound_to_half_wnd): with timestamps, 36 of payload.
pub(super) const LAST_CHANCE: u16 = 36;

/// The data of a rule as user space writes them: `struct xt_tarpit_tginfo_v1` of xt_TARPIT.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// `enum xt_tarpit_variant`.
    pub variant: u8,
    /// `enum xt_tarpit_profile`.
    pub profile: u8,
    /// `XT_TARPIT_DRIP`, `XT_TARPIT_HAIRPIN`.
    pub flags: u8,
    /// The hop limit of the answers, or 0.
    pub ttl: u8,
    /// The window of the SYN-ACK in octets, or 0.
    pub window: u16,
    /// Zero.
    pub reserved: [u8; 2],
}

/// How a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// To what end.
    pub mode: Mode,
    /// The hop limit of the replies; 0 leaves it to the route.
    pub hop_limit: u8,
    /// The first window in octets; 0 for that of the mode.
    pub window: u16,
}

/// To what end a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hold: complete the handshake, then keep the window closed.
    Tarpit {
        /// What the host looks like.
        profile: Profile,
        /// Whether an octet of a banner is sent now and then.
        drip: bool,
    },
    /// Take all data, send none.
    Honeypot,
    /// Answer with RST, as a host where nobody listens.
    Reset,
}

/// What a host that holds looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// One with a small window: the peer is left with most of its data.
    Hold,
    /// Linux.
    Linux,
}

impl Policy {
    /// Reads a rule; `None` for what this version does not have.
    #[inline]
    pub const fn from_rule(rule: &Rule) -> Option<Self> {
        const DRIP: u8 = 1;
        // Which way an answer goes is not the core's.
        const HAIRPIN: u8 = 2;

        let mode = match (rule.variant, rule.profile, rule.flags & !HAIRPIN) {
            (0, 0, 0) => Mode::Tarpit {
                profile: Profile::Hold,
                drip: false,
            },
            (0, 1, 0) => Mode::Tarpit {
                profile: Profile::Linux,
                drip: false,
            },
            // With more in flight, an acknowledgment of our octets could pass for a probe.
            (0, 0, DRIP) if rule.window == 0 => Mode::Tarpit {
                profile: Profile::Hold,
                drip: true,
            },
            (1, 0, 0) => Mode::Honeypot,
            (2, 0, 0) if rule.window == 0 => Mode::Reset,
            _ => return None,
        };
        match rule.reserved {
            [0, 0] => Some(Self {
                mode,
                hop_limit: rule.ttl,
                window: rule.window,
            }),
            _ => None,
        }
    }
}

impl Policy {
    /// The window of the SYN-ACK, of which each segment of the connection tells the same.
    ///
    /// What is beyond the window holds a peer longest, but only where timestamps tell when to open it.
    /// Without them, data in flight hold longer.
    pub(super) const fn first_window(&self, with_timestamps: bool) -> Window {
        match self.mode {
            _ if self.window != 0 => Window::Field(self.window),
            Mode::Tarpit {
                profile: Profile::Hold,
                ..
            } if with_timestamps => Window::Field(FIRST_WINDOW),
            _ if with_timestamps => Window::WholeSegments(12),
            _ => Window::WholeSegments(0),
        }
    }
}

impl Profile {
    /// The window scale, as a shift count.
    pub(super) const fn window_scale(self) -> u8 {
        match self {
            // With a shift, the smallest window would be more than one octet, and what the window of a
            // later segment means would have to be remembered.
            Self::Hold => 0,
            Self::Linux => 7,
        }
    }

    /// The window field for an offer to a peer that has sent something.
    pub(super) const fn window(self, offer: WindowOffer) -> Window {
        match (offer, self) {
            (WindowOffer::Zero | WindowOffer::ZeroOnProbe, _) => Window::Field(0),
            (
                WindowOffer::OneByteAtRto
                | WindowOffer::OneByteEarly
                | WindowOffer::OneByteLate
                | WindowOffer::OneByteDrip,
                _,
            ) => Window::Field(1),
            (WindowOffer::Initial | WindowOffer::LastChance, Self::Hold) => {
                Window::Field(LAST_CHANCE)
            }
            (WindowOffer::Initial | WindowOffer::LastChance, Self::Linux) => {
                Window::OneSegment(self.window_scale())
            }
        }
    }
}
