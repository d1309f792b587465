// SPDX-License-Identifier: GPL-2.0

//! What a rule asks for, and the windows that follow from it.

use super::ts_cookie::WindowOffer;
use super::window::Window;

/// The window of the SYN-ACK in bytes, for a peer with timestamps and [`Profile::Hold`].
///
/// It is small, since data that the peer gets rid of no longer holds it. It is above 20, since
/// tools that look for tarpits take a smaller one for a sign (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// The window for a probe that may be the peer's last, in bytes.
///
/// Linux limits the size of its segments to the largest window that it has seen, but not below 68
/// bytes with the header (tcp_bound_to_half_wnd). With timestamps, that is 36 bytes of payload: a
/// segment that Linux sends at once.
pub(super) const LAST_CHANCE: u16 = 36;

/// The length of the timestamps option with its padding in bytes.
const TIMESTAMPS_LEN: u16 = 12;

/// The values of a rule, as xt_TARPIT.h defines them.
mod value {
    use super::super::c_header::rule_value;

    pub(super) const VARIANT_TARPIT: u8 = rule_value("XT_TARPIT_TARPIT");
    pub(super) const VARIANT_HONEYPOT: u8 = rule_value("XT_TARPIT_HONEYPOT");
    pub(super) const VARIANT_RESET: u8 = rule_value("XT_TARPIT_RESET");
    pub(super) const PROFILE_HOLD: u8 = rule_value("XT_TARPIT_PROFILE_HOLD");
    pub(super) const PROFILE_LINUX: u8 = rule_value("XT_TARPIT_PROFILE_LINUX");
    pub(super) const FLAG_DRIP: u8 = rule_value("XT_TARPIT_DRIP");
    pub(super) const FLAG_HAIRPIN: u8 = rule_value("XT_TARPIT_HAIRPIN");
}

/// The data of a rule as user space writes it: `struct xt_tarpit_tginfo_v1` of xt_TARPIT.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// `enum xt_tarpit_variant`.
    pub variant: u8,
    /// `enum xt_tarpit_profile`.
    pub profile: u8,
    /// `XT_TARPIT_DRIP`, `XT_TARPIT_HAIRPIN`.
    pub flags: u8,
    /// The TTL or hop limit of the replies; 0 leaves it to the route.
    pub ttl: u8,
    /// The window of the SYN-ACK in bytes; 0 for the one of the mode.
    pub window: u16,
    /// Zero.
    pub reserved: [u8; 2],
}

/// A valid rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What the rule does with connections.
    pub mode: Mode,
    /// The TTL or hop limit of the replies; 0 leaves it to the route.
    pub hop_limit: u8,
    /// The window of the SYN-ACK in bytes; 0 for the one of the mode.
    pub window: u16,
}

/// What a rule does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hold them: complete the handshake, then keep the peer in the persist state.
    Tarpit {
        /// The host that the replies imitate.
        profile: Profile,
        /// True if the rule sends a banner, byte by byte.
        drip: bool,
    },
    /// Accept all data, send none.
    Honeypot,
    /// Reply with RST, as a host on which no application listens.
    Reset,
}

/// The host that the replies of a rule that holds imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// One with a small window, which leaves the peer with most of its data.
    Hold,
    /// Linux.
    Linux,
}

impl Policy {
    /// Returns the policy of a rule, or `None` if this version does not know the rule.
    #[inline]
    pub const fn from_rule(rule: &Rule) -> Option<Self> {
        use value::{
            FLAG_DRIP, FLAG_HAIRPIN, PROFILE_HOLD, PROFILE_LINUX, VARIANT_HONEYPOT, VARIANT_RESET,
            VARIANT_TARPIT,
        };

        // Which way a reply goes is decided by the caller.
        let flags = rule.flags & !FLAG_HAIRPIN;
        let mode = match (rule.variant, rule.profile, flags) {
            (VARIANT_TARPIT, PROFILE_HOLD, 0) => Mode::Tarpit {
                profile: Profile::Hold,
                drip: false,
            },
            (VARIANT_TARPIT, PROFILE_LINUX, 0) => Mode::Tarpit {
                profile: Profile::Linux,
                drip: false,
            },
            // With a larger window more data is in flight, and an acknowledgment of our bytes could
            // look like a probe.
            (VARIANT_TARPIT, PROFILE_HOLD, FLAG_DRIP) if rule.window == 0 => Mode::Tarpit {
                profile: Profile::Hold,
                drip: true,
            },
            (VARIANT_HONEYPOT, PROFILE_HOLD, 0) => Mode::Honeypot,
            (VARIANT_RESET, PROFILE_HOLD, 0) if rule.window == 0 => Mode::Reset,
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

    /// Returns the window of the SYN-ACK. `with_timestamps` is the same for each segment of a
    /// connection.
    ///
    /// Data beyond the window holds a peer longest, but only if timestamps say when to open it.
    /// Without them, data in flight holds it longer.
    pub(super) const fn first_window(&self, with_timestamps: bool) -> Window {
        match self.mode {
            _ if self.window != 0 => Window::Field(self.window),
            Mode::Tarpit {
                profile: Profile::Hold,
                ..
            } if with_timestamps => Window::Field(FIRST_WINDOW),
            _ if with_timestamps => Window::WholeSegments(TIMESTAMPS_LEN),
            _ => Window::WholeSegments(0),
        }
    }
}

impl Profile {
    /// Returns the window scale, as a shift count.
    pub(super) const fn window_scale(self) -> u8 {
        match self {
            // With a shift, the smallest window would be more than one byte. Nor could the window
            // of a later segment be read without a memory of the shift.
            Self::Hold => 0,
            Self::Linux => 7,
        }
    }

    /// Returns the window for an offer to a peer that has completed the handshake.
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
