// SPDX-License-Identifier: GPL-2.0

//! The table: what is answered to which segment, and why.
//!
//! All rules that hold follow from one sentence: *answer as an RFC 9293 receiver whose application reads but
//! an octet now and then.* The window of the SYN-ACK is closed by the first data. A peer in that state
//! probes for ever (RFC 9293, 3.8.6.1), as long as its probes are answered with the right numbers; one
//! that was closed wants to get rid of an octet from time to time.

use super::hold::{hold, Manner};
use super::honeypot::take;
use super::ip::Ecn;
use super::isn::Flow;
use super::kind::Kind;
use super::reply::{Answer, Budget, Window};
use super::seq::Seq;
use super::stamp::{Offer, Told};
use super::tcp::{Control, Flags, Segment, Timestamps, HEADER_LEN};
use super::Env;

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

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The headers are not all there, or not all readable.
    Truncated,
    /// A header contradicts itself or the packet's length.
    Malformed,
    /// A fragment; what the stack has reassembled is none.
    Fragment,
    /// Another protocol, or one hidden behind headers that are not looked behind.
    NotTcp,
    /// An address that is not one host's.
    NotUnicast,
    /// A reset is never answered.
    Reset,
    /// Control bits that no connection ever sends: NULL, Xmas, SYN with FIN.
    BadFlags,
    /// A segment whose numbers do not fit any answer of ours.
    NotOurs,
    /// The acknowledgment that ends the handshake.
    Handshake,
    /// Another one that expects no answer.
    BareAck,
    /// Data that are left in flight a while longer.
    Patience,
    /// The answer would be longer than the packet. None is: whoever changes the answers is kept from it.
    TooShort(Kind),
}

impl Silence {
    /// What it is that is not answered, unless it is a FIN.
    #[inline]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Truncated => Kind::Truncated,
            Self::Malformed => Kind::Malformed,
            Self::Fragment => Kind::Fragment,
            Self::NotTcp => Kind::NotTcp,
            Self::NotUnicast => Kind::NotUnicast,
            Self::Reset => Kind::Rst,
            Self::BadFlags => Kind::BadFlags,
            Self::NotOurs => Kind::NotOurs,
            Self::Handshake => Kind::Established,
            Self::BareAck => Kind::Ack,
            Self::Patience => Kind::Data,
            Self::TooShort(kind) => kind,
        }
    }
}

/// The window of the SYN-ACK, in octets, for a peer with timestamps.
///
/// Small, since what the peer gets rid of no longer holds it; above 20, since tools that look for
/// tarpits take less for a sign of one (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// Decides what to answer to a segment.
///
/// # Errors
///
/// The reason to be silent.
#[inline(never)]
pub(super) fn decide(
    control: Control,
    segment: &Segment,
    flow: Flow,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Answer, Silence> {
    let mut answer = match (policy.mode, control) {
        // RFC 9293, 3.10.7.1: nobody is here.
        (Mode::Reset, _) => reset(
            segment,
            Kind::by_control(control, segment),
            Budget::Everyone,
        ),
        // 3.10.7.2: a connection is wanted.
        (_, Control::Syn) => syn_ack(segment, flow, policy, env),
        // 3.10.7.1: somebody uses our address; the one who answers him is told so.
        (_, Control::SynAck) => reset(segment, Kind::SynAck, Budget::Source),
        // 3.10.7.4: a segment of a connection of ours, if its numbers say so.
        (Mode::Tarpit { profile, drip }, Control::Ack { fin }) => {
            let manner = Manner {
                profile,
                drip: drip && segment.options.has_timestamps(),
                first_window: match policy.window {
                    0 => FIRST_WINDOW,
                    window => window,
                },
            };
            hold(segment, flow, fin, &manner, env)?
        }
        (Mode::Honeypot, Control::Ack { fin }) => take(segment, flow, fin, policy, env)?,
        // 3.10.7.4 would drop it in any state.
        (_, Control::Other) => return Err(Silence::BadFlags),
    };
    // What is not verified must not be amplified. The octet that we send goes to verified peers only.
    if answer.tcp_len() > segment.len.saturating_add(answer.payload_len()) {
        return Err(Silence::TooShort(answer.kind));
    }
    answer.flow = flow;
    answer.hop_limit = policy.hop_limit;
    Ok(answer)
}

/// The SYN-ACK: our ISN, the options that were offered, and the first window.
fn syn_ack(syn: &Segment, flow: Flow, policy: &Policy, env: &Env<'_>) -> Answer {
    let offered = syn.options;
    let (profile, drip) = match policy.mode {
        // Without timestamps nothing would tell which octet the peer waits for.
        Mode::Tarpit { profile, drip } => (profile, drip && offered.has_timestamps()),
        _ => (Profile::Hold, false),
    };
    let (isn, received) = if drip {
        // Counted from where the peer's ISN, as far as it is known later, would begin.
        (flow.talking_isn(syn.seq), (syn.seq.0 & 0xffff) + 1)
    } else {
        (flow.isn(syn.seq), 0)
    };
    let told = Told {
        received,
        offer: Offer::Open,
    };
    let timestamps = Timestamps {
        value: told
            .stamp(env.now_ms, None)
            .wrapping_add(flow.stamp_offset()),
        // Linux resets a SYN-ACK whose echo is none of what it has sent.
        echo: offered.timestamps().map_or(0, |theirs| theirs.value),
    };
    // Linux takes part in ECN when it is asked to (RFC 3168, 6.1.1; tcp_ecn_create_request).
    let ecn = profile == Profile::Linux
        && syn.flags.0 & Flags::ECN_SETUP.0 == Flags::ECN_SETUP.0
        && syn.ecn == Ecn::NOT_ECT;
    Answer {
        kind: Kind::Syn,
        seq: isn,
        ack: syn.seq.after(1),
        flags: if ecn {
            Flags::ECN_SYN_ACK
        } else {
            Flags::SYN_ACK
        },
        window: policy.first_window(syn),
        options: offered.accept(
            profile.window_scale(),
            timestamps,
            syn.len.saturating_sub(HEADER_LEN),
        ),
        budget: Budget::Everyone,
        ..Answer::EMPTY
    }
}

impl Policy {
    /// The window of the SYN-ACK, of which each segment of the connection tells the same.
    ///
    /// What is beyond the window holds a peer longest, but only where timestamps tell when to open it.
    /// Without them, data in flight hold longer.
    pub(super) const fn first_window(&self, segment: &Segment) -> Window {
        let timestamps = segment.options.has_timestamps();
        match self.mode {
            _ if self.window != 0 => Window::Field(self.window),
            Mode::Tarpit {
                profile: Profile::Hold,
                ..
            } if timestamps => Window::Field(FIRST_WINDOW),
            _ if timestamps => Window::WholeSegments(12),
            _ => Window::WholeSegments(0),
        }
    }
}

impl Profile {
    /// The window scale, as a shift count.
    const fn window_scale(self) -> u8 {
        match self {
            // With a shift, the smallest window would be more than one octet, and what the window of a
            // later segment means would have to be remembered.
            Self::Hold => 0,
            Self::Linux => 7,
        }
    }

    /// The window field for an offer to a peer that has sent something.
    pub(super) const fn window(self, offer: Offer) -> Window {
        match (offer, self) {
            (Offer::Closed | Offer::Probed, _) => Window::Field(0),
            (Offer::Steady | Offer::Short | Offer::Long | Offer::Drip, _) => Window::Field(1),
            (Offer::Open | Offer::Last, Self::Hold) => Window::Field(LAST_CHANCE),
            (Offer::Open | Offer::Last, Self::Linux) => Window::OneSegment(self.window_scale()),
        }
    }
}

/// The window for a probe that may be the last, in octets.
///
/// Linux bounds its segments by the largest window that it has seen, but not below 68 octets with
/// their header (tcp_bound_to_half_wnd): with timestamps, 36 of payload.
pub(super) const LAST_CHANCE: u16 = 36;

/// The RST of a host that knows of no connection (RFC 9293, 3.10.7.1).
fn reset(segment: &Segment, kind: Kind, budget: Budget) -> Answer {
    let (seq, ack, flags) = if segment.flags.has(Flags::ACK) {
        (segment.ack, Seq(0), Flags::RST)
    } else {
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let fin = u32::from(segment.flags.has(Flags::FIN));
        let next = segment.seq.after(segment.octets()).after(syn).after(fin);
        (Seq(0), next, Flags::RST_ACK)
    };
    Answer {
        kind,
        seq,
        ack,
        flags,
        budget,
        ..Answer::EMPTY
    }
}
