// SPDX-License-Identifier: GPL-2.0

//! The table: what is answered to which segment, and why.
//!
//! All rules follow from one sentence: *answer as an RFC 9293 receiver whose application reads but
//! an octet now and then.* The window of the SYN-ACK is closed by the first data. A peer in that state
//! probes for ever (RFC 9293, 3.8.6.1), as long as its probes are answered with the right numbers; one
//! that was closed wants to get rid of an octet from time to time.

use super::ip::{Addresses, Packet};
use super::isn::{Flow, Key, Ports};
use super::reply::{Limit, Reply};
use super::seq::Seq;
use super::stamp::{self, Offer, Told};
use super::tcp::{Flags, Options, Segment, Timestamps, HEADER_LEN};
use super::Env;

/// How a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Hold: complete the handshake, then keep the window closed.
    Tarpit {
        /// What the host looks like.
        profile: Profile,
        /// Whether an octet of a banner is sent now and then.
        drip: bool,
    },
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
    /// Reads a rule's `variant`, `profile` and `flags` (xt_TARPIT.h); `None` for what this version
    /// does not have.
    #[inline]
    pub const fn from_rule(variant: u8, profile: u8, flags: u8) -> Option<Self> {
        let profile = match profile {
            0 => Profile::Hold,
            1 => Profile::Linux,
            _ => return None,
        };
        match (variant, profile, flags) {
            (0, profile, 0) => Some(Self::Tarpit {
                profile,
                drip: false,
            }),
            // With a wide window in flight, an acknowledgment of our octets could pass for a probe.
            (0, Profile::Hold, 1) => Some(Self::Tarpit {
                profile: Profile::Hold,
                drip: true,
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
    /// An acknowledgment that expects no answer.
    BareAck,
    /// Data that are left in flight a while longer.
    Patience,
    /// The checksum is wrong, says the caller.
    BadChecksum,
    /// The reply's budget is spent, says the caller.
    Limited,
    /// The answer would be longer than the packet; only a packet that lies about itself can be so.
    TooShort,
}

/// The window of the SYN-ACK, in octets, for a peer with timestamps.
///
/// Small, since what the peer gets rid of no longer holds it; above 20, since tools that look for
/// tarpits take less for a sign of one (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// How far into its stream a peer's segment may lie, in octets, to pass as one of ours.
///
/// A peer that respects the window stays within 64 K, twice that when the lower half of its ISN is not
/// known. Each doubling doubles the odds, now 2^-15, that a blind guess passes.
const REACH: i32 = 1 << 17;

/// Decides what to answer to a segment.
///
/// # Errors
///
/// The reason to be silent.
#[inline]
pub fn decide(
    packet: &Packet<'_>,
    segment: &Segment,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, Silence> {
    let Policy::Tarpit { profile, drip } = *policy;
    // Only where it is needed: what gets no answer costs no hash.
    let flow = || Flow::new(env.key, &packet.addresses, segment.ports);
    let has = |flag| segment.flags.has(flag);
    // Without timestamps nothing would tell which octet the peer waits for.
    let drip = drip && segment.options.timestamps.is_some();
    let reply = match (
        has(Flags::RST),
        has(Flags::SYN),
        has(Flags::ACK),
        has(Flags::FIN),
    ) {
        // RFC 9293, 3.10.7.1: a reset is discarded, whatever else it claims to be.
        (true, _, _, _) => return Err(Silence::Reset),
        // 3.10.7.2: a connection is wanted.
        (false, true, false, false) => syn_ack(packet, segment, flow(), profile, drip, env),
        // 3.10.7.1: somebody uses our address; the one who answers him is told so.
        (false, true, true, false) => reset(packet, segment, env.key),
        // 3.10.7.4: a segment of a connection that we hold, if its numbers say so. FIN lies behind
        // the data and the closed window: it is not acceptable, and not acknowledged.
        (false, false, true, fin) => hold(packet, segment, flow(), fin, profile, drip, env)?,
        // 3.10.7.4 would drop the rest in any state.
        (false, true, _, true) | (false, false, false, _) => return Err(Silence::BadFlags),
    };
    // What is not verified must not be amplified. The octet that we send goes to verified peers only.
    if reply.packet_len() > packet.len.saturating_add(reply.payload_len()) {
        return Err(Silence::TooShort);
    }
    Ok(reply)
}

/// The SYN-ACK: our ISN, the options that were offered, and the only window that is ever wide.
fn syn_ack(
    packet: &Packet<'_>,
    syn: &Segment,
    flow: Flow,
    profile: Profile,
    drip: bool,
    env: &Env<'_>,
) -> Reply {
    let offered = syn.options;
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
    let mut options = Options {
        mss: None,
        window_scale: offered.window_scale.map(|_| profile.window_scale()),
        sack_permitted: offered.sack_permitted,
        timestamps: offered.timestamps.map(|theirs| Timestamps {
            value: told
                .stamp(env.now_ms, None)
                .wrapping_add(flow.stamp_offset()),
            // Linux resets a SYN-ACK whose echo is none of what it has sent.
            echo: theirs.value,
        }),
    };
    // The reply must not have more bytes than the SYN. What was offered fits, since padding takes no
    // more here than it took there. MSS, which answers no offer, comes with others if it fits too.
    let room = packet
        .transport_len
        .saturating_sub(HEADER_LEN + Options::MSS_LEN);
    if offered.mss.is_some() || (options != Options::default() && options.len() <= room) {
        options.mss = Some(env.mss);
    }
    // Linux takes part in ECN when it is asked to (RFC 3168, 6.1.1; tcp_ecn_create_request).
    let ecn = profile == Profile::Linux
        && syn.flags.0 & Flags::ECN_SETUP.0 == Flags::ECN_SETUP.0
        && packet.ecn == Packet::NOT_ECT;
    Reply {
        seq: isn,
        ack: syn.seq.after(1),
        flags: if ecn {
            Flags::ECN_SYN_ACK
        } else {
            Flags::SYN_ACK
        },
        window: profile.first_window(offered.timestamps.is_some(), env.mss),
        options,
        label: label(packet, flow, 0),
        ..back(packet, syn)
    }
}

impl Profile {
    /// The window scale, as a shift count.
    const fn window_scale(self) -> u8 {
        match self {
            // With a shift, the smallest window would be more than one octet.
            Self::Hold => 0,
            Self::Linux => 7,
        }
    }

    /// The window of the SYN-ACK.
    ///
    /// What is beyond the window holds a peer longest, but only where timestamps tell when to open it.
    /// Without them, data in flight hold longer.
    const fn first_window(self, timestamps: bool, mss: u16) -> u16 {
        match (self, timestamps) {
            (Self::Hold, true) => FIRST_WINDOW,
            (Self::Hold, false) | (Self::Linux, _) => {
                // Whole segments, as tcp_select_initial_window has it.
                let segment = if timestamps {
                    mss.saturating_sub(12)
                } else {
                    mss
                };
                match u16::MAX.checked_rem(segment) {
                    Some(rest) => u16::MAX - rest,
                    None => u16::MAX,
                }
            }
        }
    }

    /// The window field for an offer to a peer that has sent something.
    const fn window(self, offer: Offer, mss: u16) -> u16 {
        match (offer, self) {
            (Offer::Closed | Offer::Probed, _) => 0,
            (Offer::Steady | Offer::Short | Offer::Long | Offer::Drip, _) => 1,
            (Offer::Open | Offer::Last, Self::Hold) => LAST_CHANCE,
            // A segment, in units of the scale.
            (Offer::Open | Offer::Last, Self::Linux) => (mss >> self.window_scale()) + 1,
        }
    }
}

/// The window for a probe that may be the last, in octets.
///
/// Linux bounds its segments by the largest window that it has seen, but not below 68 octets with
/// their header (tcp_bound_to_half_wnd): with timestamps, 36 of payload.
const LAST_CHANCE: u16 = 36;

/// The RST for a SYN-ACK that answers a SYN which we did not send.
fn reset(packet: &Packet<'_>, segment: &Segment, key: &Key) -> Reply {
    Reply {
        seq: segment.ack,
        ack: Seq(0),
        flags: Flags::RST,
        limit: Limit::Source(Flow::source_bucket(key, &packet.addresses)),
        label: label(packet, Flow::new(key, &packet.addresses, segment.ports), 0),
        ..back(packet, segment)
    }
}

/// The label of a reply: for IPv6 the flow's, for IPv4 `identification`.
const fn label(packet: &Packet<'_>, flow: Flow, identification: u32) -> u32 {
    match packet.addresses {
        Addresses::V4 { .. } => identification,
        Addresses::V6 { .. } => flow.label(),
    }
}

/// The ACK for a segment of a held connection: of what is taken, with the window that is offered.
fn hold(
    packet: &Packet<'_>,
    segment: &Segment,
    flow: Flow,
    fin: bool,
    profile: Profile,
    drip: bool,
    env: &Env<'_>,
) -> Result<Reply, Silence> {
    // If we send no data, SEG.ACK is always our ISN + 1.
    let (first_octet, sent) = if drip {
        flow.talked(segment.ack)
    } else {
        (flow.client_isn(segment.ack.before()).after(1), 0)
    };
    let start = segment.seq.since(first_octet);
    if !(-1..=REACH).contains(&start) {
        return Err(Silence::NotOurs);
    }
    let place = Place {
        start,
        // CAST: a payload is at most what the network layer can carry, far below 2^31.
        end: start.saturating_add_unsigned(segment.payload_len as u32),
        fin,
    };
    let echo = segment
        .options
        .timestamps
        .map(|theirs| theirs.echo.wrapping_sub(flow.stamp_offset()));
    let (answer, trapped_ms) = match echo.and_then(|echo| Some((place.told(echo)?, echo))) {
        Some((told, echo)) => {
            let age_ms = stamp::age_ms(env.now_ms, echo);
            (
                timed(place, told, age_ms, profile, drip)?,
                place.trapped_ms(told, age_ms),
            )
        }
        None => (untimed(place)?, 0),
    };

    let tells = answer.tells;
    // The echo may be made up: a rule without drip never talks.
    let talks = drip && answer.talks && sent < u16::MAX;
    Ok(Reply {
        seq: segment.ack,
        // RCV.NXT: what was acknowledged is never taken back.
        ack: first_octet.after(tells.received),
        flags: if talks {
            Flags::PSH_ACK
        } else if profile == Profile::Linux && !place.is_empty() && packet.ecn == Packet::CE {
            Flags::ECE_ACK
        } else {
            Flags::ACK
        },
        window: profile.window(tells.offer, env.mss),
        options: Options {
            timestamps: segment.options.timestamps.map(|theirs| Timestamps {
                value: tells
                    .stamp(env.now_ms, echo)
                    .wrapping_add(flow.stamp_offset()),
                echo: theirs.value.wrapping_sub(answer.back_dated_ms),
            }),
            ..Options::default()
        },
        payload: if talks { banner(sent) } else { None },
        // Linux counts the packets of a connection; ours go out about once a minute.
        label: label(packet, flow, flow.label().wrapping_add(env.now_ms >> 16)),
        trapped_ms,
        ..back(packet, segment)
    })
}

/// Where a segment lies in its stream, in octets after the SYN.
#[derive(Clone, Copy)]
struct Place {
    start: i32,
    /// The octet behind its payload, which is where a FIN lies.
    end: i32,
    fin: bool,
}

impl Place {
    const fn has_payload(self) -> bool {
        self.start < self.end
    }

    const fn is_empty(self) -> bool {
        !self.has_payload() && !self.fin
    }

    /// What the last answer told the sender of this segment, by its echo.
    const fn told(self, echo: u32) -> Option<Told> {
        // It ended no later than one octet behind the start; and no FIN is sent behind an octet that was
        // not taken.
        let behind = self.fin && !self.has_payload();
        Told::from_echo(echo, self.start.wrapping_sub(behind as i32))
    }

    /// How long the sender has been held since then. What does not start where that answer ended is not
    /// the first to come after it, and was counted.
    fn trapped_ms(self, told: Told, age_ms: u32) -> u32 {
        // CAST: positions in the stream are below 2^31.
        if self.start <= told.received as i32 {
            age_ms.min(LONGEST_MS)
        } else {
            0
        }
    }
}

/// The longest time without a segment that is believed, in milliseconds: a day.
const LONGEST_MS: u32 = 86_400_000;

/// The answer to a segment that says what its sender was told, and how long ago.
fn timed(
    place: Place,
    told: Told,
    age_ms: u32,
    profile: Profile,
    drip: bool,
) -> Result<Answer, Silence> {
    let Place { start, end, fin } = place;
    // CAST: positions in the stream are below 2^31.
    let next = told.received as i32;
    if !place.has_payload() && told.offer == Offer::Open && start >= i32::from(fin) && !drip {
        // Nothing was taken yet: this is an acknowledgment, or a FIN, behind data that have not
        // come, more of them maybe than the stamp can count. A client that we talk to has no
        // more in flight than the small window, and starts at no known number.
        return Err(Silence::BareAck);
    }
    if place.is_empty() {
        // A probe or a keep-alive starts one octet before RCV.NXT (tcp_xmit_probe_skb;
        // RFC 9293, 3.8.4), an acknowledgment at SND.NXT, which is never before RCV.NXT.
        if start >= next {
            return Err(Silence::BareAck);
        }
        return Ok(Answer::window(
            told.received,
            offered_at(told.offer, age_ms, drip),
        ));
    }
    if end <= next {
        // It brings nothing new (RFC 9293, 3.10.7.4: not acceptable, so acknowledged).
        return Ok(Answer::window(told.received, Offer::Closed));
    }
    if start > next {
        // What is missing before it comes again, and is not missed.
        return Err(Silence::Patience);
    }
    // CAST: `end` is above `next`.
    taken(
        told,
        end.wrapping_sub(next) as u32,
        fin,
        age_ms,
        profile,
        drip,
    )
}

/// The answer to a segment that says nothing of what its sender was told.
const fn untimed(place: Place) -> Result<Answer, Silence> {
    let Place { start, end, .. } = place;
    // An empty segment before the stream can only be a keep-alive; others are acknowledgments, as Linux
    // does not probe as long as it has data in flight, and the last octet of them is never taken. A FIN
    // of its own is behind them, but for one that is all that was sent.
    if !place.has_payload() && start >= place.fin as i32 {
        return Err(Silence::BareAck);
    }
    if start < 0 {
        return Ok(Answer::window(0, Offer::Closed));
    }
    // What comes again starts at RCV.NXT. A single octet may be a probe (BSD, Windows).
    let octet = end.wrapping_sub(start) > 1;
    // CAST: `start` is not negative; a truth value is 0 or 1.
    let received = (start as u32).wrapping_add(octet as u32);
    Ok(Answer::window(received, Offer::Closed))
}

/// What is answered to a segment of a held connection.
struct Answer {
    tells: Told,
    /// By how much the echo of its timestamp is dated back, in milliseconds.
    back_dated_ms: u32,
    /// Whether an octet of the banner comes with it. Only with other news: Linux takes a segment for
    /// no sign of life that differs from what it expects in nothing but data (tcp_rcv_established).
    talks: bool,
}

impl Answer {
    /// What was received before, and an offer.
    const fn window(received: u32, offer: Offer) -> Self {
        Self {
            tells: Told { received, offer },
            back_dated_ms: 0,
            talks: matches!(offer, Offer::Drip),
        }
    }

    /// So many octets more, and no window.
    const fn taking(told: Told, octets: u32) -> Self {
        Self::window(told.received.wrapping_add(octets), Offer::Closed)
    }
}

/// The octet of the banner that comes after `sent` others: a line that says in SMTP and FTP that more
/// lines follow (RFC 5321, 4.2.1; RFC 959, 4.2), and in SSH what may come before the version (RFC 4253,
/// 4.2).
fn banner(sent: u16) -> Option<u8> {
    const LINE: [u8; 18] = *b"220-Please wait.\r\n";
    LINE.get(usize::from(sent) % LINE.len()).copied()
}

/// What is offered to a probe, by what was told before and for how long that was the last word.
///
/// A sender that is still open probes for ever. One that was closed is given up by Linux as soon as
/// the interval to the next probe would reach its ceiling of 120 s (tcp_probe_timer), and starts over
/// when it could send something. A window that is too small for a segment of its size is used by it
/// when the next probe is due (tcp_write_wakeup), so one octet at the right time gains the most.
const fn offered_at(before: Offer, age_ms: u32, drip: bool) -> Offer {
    match (age_ms, before) {
        (DRIP_FROM_MS.., _) if drip => Offer::Drip,
        (STEADY_FROM_MS..TRICKLE_UNTIL_MS, Offer::Closed) => Offer::Steady,
        (TRICKLE_FROM_MS..LONG_FROM_MS, _) => Offer::Short,
        (LONG_FROM_MS..TRICKLE_UNTIL_MS, _) => Offer::Long,
        // An answer was lost, and there may be no next probe: a window of the segment size
        // that the first window left the peer with is used at once.
        (TRICKLE_UNTIL_MS.., _) => Offer::Last,
        _ => Offer::Probed,
    }
}

/// The interval before the last probe in time is in [30, 60) s. Its age here is larger by the time of flight
/// and by what timers are late (up to an eighth, kernel/time/timer.c), or smaller by a step of our
/// clock: below 60 s it surely is in time, and from 27.5 s on none is missed.
const TRICKLE_FROM_MS: u32 = 27_500;
const STEADY_FROM_MS: u32 = 36_000;
const LONG_FROM_MS: u32 = 38_000;
const TRICKLE_UNTIL_MS: u32 = 60_000 - 2 * stamp::STEP_MS;

/// A probe that is older gets an octet of the banner: with what follows, no more than half a minute
/// passes between two of them.
const DRIP_FROM_MS: u32 = 6_500;

/// What is taken of the `there` octets that have come.
///
/// In flight, octets hold the peer as well: one that was closed gives up at the first retransmission
/// timeout later than 102.2 s after the first retransmission (retransmits_timed_out), or at the second
/// one when the timeout has grown to 120 s; each octet that is taken gives it another timeout.
fn taken(
    told: Told,
    there: u32,
    fin: bool,
    age_ms: u32,
    profile: Profile,
    drip: bool,
) -> Result<Answer, Silence> {
    // The first data fill the window: there may be more behind it, which holds longer than these.
    let more = there >= u32::from(FIRST_WINDOW) && !fin;
    Ok(match told.offer {
        Offer::Short | Offer::Long | Offer::Steady => Answer {
            back_dated_ms: back_dated(told.offer, age_ms).ok_or(Silence::Patience)?,
            ..Answer::taking(told, 1)
        },
        Offer::Drip => Answer {
            talks: true,
            ..Answer::taking(told, there)
        },
        Offer::Open | Offer::Last if more && matches!(profile, Profile::Hold) => {
            Answer::taking(told, there.min(u32::from(FIRST_WINDOW)))
        }
        Offer::Open | Offer::Last => Answer::taking(told, 1),
        Offer::Closed | Offer::Probed if drip && age_ms >= DRIP_FROM_MS => Answer {
            talks: true,
            ..Answer::taking(told, 1)
        },
        // A single octet may be a probe (BSD, which waits 60 s at most): it gets its answer.
        Offer::Closed | Offer::Probed if there == 1 && age_ms < PROBE_MS => {
            Answer::window(told.received, Offer::Closed)
        }
        Offer::Closed | Offer::Probed if age_ms >= IN_FLIGHT_MS => Answer::taking(told, 1),
        Offer::Closed | Offer::Probed => return Err(Silence::Patience),
    })
}

/// From what age of the last answer on an octet of those in flight is taken. While the timeout is
/// still short, the next retransmission comes before the age is twice this, and so in time.
const IN_FLIGHT_MS: u32 = 45_000;

/// From what age on a single octet is no probe, but the last one in flight.
const PROBE_MS: u32 = 90_000;

/// Whether the octet that was offered is taken at this age, and by how much the echo of its timestamp is
/// dated back then, in milliseconds.
///
/// With the age A of the offer's probe, the octet comes at the age of 2 A, and again when the peer's
/// timeout has passed once, three times, seven times. Each patience ends between what comes too
/// early and what may come too late.
///
/// The acknowledgment of an octet that was sent again gives the peer a round trip to measure, by its
/// echo (tcp_rtt_tsopt_us): now minus the time that the echo names. The octet has been here for
/// longer than what is named, so this is what a receiver would say that delays its acknowledgments. It
/// raises the peer's timeout to just under the 51.1 s at which one probe and two retransmissions are
/// all that it sends for an octet; there it is kept. docs/hold.md has the reasons for the figures.
const fn back_dated(offer: Offer, age_ms: u32) -> Option<u32> {
    match offer {
        Offer::Short if age_ms >= 85_000 => Some(24_000),
        Offer::Long if age_ms >= 122_000 => Some(24_000),
        Offer::Steady if age_ms >= 147_000 => {
            // The first retransmission comes at 3 A, the second at 5 A, and A is the timeout.
            let timeout_ms = age_ms / if age_ms < 180_000 { 3 } else { 5 };
            Some(match timeout_ms {
                47_000.. => 0,
                39_500.. => 14_000 + 4 * 46_000u32.saturating_sub(timeout_ms),
                _ => 40_000,
            })
        }
        _ => None,
    }
}

/// An empty segment on the way back.
fn back(packet: &Packet<'_>, segment: &Segment) -> Reply {
    Reply {
        addresses: packet.addresses.reversed(),
        ports: Ports {
            source: segment.ports.destination,
            destination: segment.ports.source,
        },
        seq: Seq(0),
        ack: Seq(0),
        flags: Flags(0),
        window: 0,
        options: Options {
            mss: None,
            window_scale: None,
            sack_permitted: false,
            timestamps: None,
        },
        payload: None,
        label: 0,
        limit: Limit::None,
        trapped_ms: 0,
    }
}
