// SPDX-License-Identifier: GPL-2.0

//! The table: what is answered to which segment, and why.
//!
//! All rules follow from one sentence: *answer as an RFC 9293 receiver whose application never
//! reads.* The window of the SYN-ACK is the only one that is ever open; what the peer sends into it
//! is acknowledged, and from then on the window is closed. A peer in that state probes for ever
//! (RFC 9293, 3.8.6.1), as long as its probes are answered with the right numbers.

use super::ip::Packet;
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
    Tarpit,
}

impl Policy {
    /// Reads the variant of a rule (`enum xt_tarpit_variant`, xt_TARPIT.h); `None` for one that
    /// this version does not have.
    pub const fn from_variant(variant: u8) -> Option<Self> {
        match variant {
            0 => Some(Self::Tarpit),
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
    /// An octet that is left in flight a while longer.
    Patience,
    /// The checksum is wrong, says the caller.
    BadChecksum,
    /// The reply's budget is spent, says the caller.
    Limited,
    /// The answer would be longer than the packet; only a packet that lies about itself can be so.
    TooShort,
}

/// The window of the SYN-ACK, in octets.
///
/// Small, since what the peer gets rid of no longer holds it; above 20, since tools that look for
/// tarpits take less for a sign of one (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// How far into its stream a peer's segment may lie, in octets, to pass as one of ours.
///
/// A peer that respects the window stays within [`FIRST_WINDOW`]. The rest is room for those that do
/// not; each doubling doubles the odds, now 2^-15, that a blind guess passes.
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
    let Policy::Tarpit = policy;
    // Only where it is needed: what gets no answer costs no hash.
    let flow = || Flow::new(env.key, &packet.addresses, segment.ports);
    let has = |flag| segment.flags.has(flag);
    let reply = match (
        has(Flags::RST),
        has(Flags::SYN),
        has(Flags::ACK),
        has(Flags::FIN),
    ) {
        // RFC 9293, 3.10.7.1: a reset is discarded, whatever else it claims to be.
        (true, _, _, _) => return Err(Silence::Reset),
        // 3.10.7.2: a connection is wanted.
        (false, true, false, false) => syn_ack(packet, segment, flow(), env),
        // 3.10.7.1: somebody uses our address; the one who answers him is told so.
        (false, true, true, false) => reset(packet, segment, env.key),
        // 3.10.7.4: a segment of a connection that we hold, if its numbers say so. FIN lies behind
        // the data and the closed window: it is not acceptable, and not acknowledged.
        (false, false, true, fin) => hold(packet, segment, flow(), fin, env)?,
        // 3.10.7.4 would drop the rest in any state.
        (false, true, _, true) | (false, false, false, _) => return Err(Silence::BadFlags),
    };
    // What is not verified must not be amplified, and the reply must fit where the packet was.
    if reply.packet_len() > packet.len {
        return Err(Silence::TooShort);
    }
    Ok(reply)
}

/// The SYN-ACK: our ISN, the options that were offered, a small window without scale.
fn syn_ack(packet: &Packet<'_>, syn: &Segment, flow: Flow, env: &Env<'_>) -> Reply {
    let offered = syn.options;
    let clock_ms = flow.clock_ms(env.now_ms);
    let mut options = Options {
        mss: None,
        // With a shift, the smallest window would be more than one octet.
        window_scale: offered.window_scale.map(|_| 0),
        sack_permitted: offered.sack_permitted,
        timestamps: offered.timestamps.map(|theirs| Timestamps {
            value: NOTHING_YET.tsval(clock_ms, None),
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
    Reply {
        seq: flow.isn(syn.seq),
        ack: syn.seq.after(1),
        flags: Flags::SYN_ACK,
        window: window(NOTHING_YET),
        options,
        ..back(packet, syn)
    }
}

/// What the SYN-ACK tells.
const NOTHING_YET: Told = Told {
    received: 0,
    offer: Offer::Open,
};

/// The RST for a SYN-ACK that answers a SYN which we did not send.
fn reset(packet: &Packet<'_>, segment: &Segment, key: &Key) -> Reply {
    Reply {
        seq: segment.ack,
        ack: Seq(0),
        flags: Flags::RST,
        limit: Limit::Source(Flow::source_bucket(key, &packet.addresses)),
        ..back(packet, segment)
    }
}

/// The ACK for a segment of a held connection: of what was taken, with the window that [`window`] gives.
fn hold(
    packet: &Packet<'_>,
    segment: &Segment,
    flow: Flow,
    fin: bool,
    env: &Env<'_>,
) -> Result<Reply, Silence> {
    // We never send data, so SEG.ACK is always our ISN + 1.
    let first_octet = flow.client_isn(segment.ack.before()).after(1);
    let start = segment.seq.since(first_octet);
    if !(-1..=REACH).contains(&start) {
        return Err(Silence::NotOurs);
    }
    let clock_ms = flow.clock_ms(env.now_ms);
    let echo = segment.options.timestamps.map(|theirs| theirs.echo);
    let told = echo.and_then(|tsecr| Told::from_tsecr(tsecr, start));
    let empty = segment.payload_len == 0 && !fin;
    // CAST: a payload is at most what the network layer can carry, far below 2^31; the octet before
    // the stream, which a keep-alive may carry, is none of it.
    let end = start
        .saturating_add_unsigned(segment.payload_len as u32)
        .max(0) as u32;

    let mut limit = Limit::None;
    let mut back_dated_ms = 0;
    let (known, edge, offer) = match told.zip(echo) {
        // A probe or a keep-alive starts one octet before RCV.NXT (tcp_xmit_probe_skb;
        // RFC 9293, 3.8.4), an acknowledgment at SND.NXT, which is never before RCV.NXT.
        Some((told, _)) if empty && start >= told.received as i32 => return Err(Silence::BareAck),
        Some((told, echo)) => {
            let age_ms = stamp::age_ms(clock_ms, echo);
            if empty {
                (
                    told.received,
                    right_edge(told),
                    offered_at(told.offer, age_ms),
                )
            } else {
                if end > told.received {
                    back_dated_ms = taken_after(told, age_ms)?;
                }
                (told.received, right_edge(told), Offer::Closed)
            }
        }
        // Without timestamps the two look alike, but for where they cannot be: nothing
        // comes before the stream but a probe, nothing past the first window but an
        // acknowledgment, and at its start the end of the handshake is to be expected.
        // Between, a probe is more likely; if it is an acknowledgment after all, ours
        // provokes the next one, so there must be an end to it.
        None if empty && (start == 0 || start >= i32::from(FIRST_WINDOW)) => {
            return Err(Silence::BareAck);
        }
        None if empty => {
            if start > 0 {
                limit = Limit::Flow(flow.bucket());
            }
            // CAST: -1 becomes 0, and what is not negative stays what it is.
            (start.wrapping_add(1) as u32, FIRST_EDGE, Offer::Closed)
        }
        None => (0, FIRST_EDGE, Offer::Closed),
    };

    // RCV.NXT: what was acknowledged is never taken back, and what was sent into a window is taken,
    // even after it was closed (RFC 9293, 3.8.6: it should not have been shrunk). A segment that is
    // missing before this one is not missed, as nothing is delivered.
    let tells = Told {
        received: known.max(end.min(edge)),
        offer,
    };

    Ok(Reply {
        seq: segment.ack,
        ack: first_octet.after(tells.received),
        flags: Flags::ACK,
        window: window(tells),
        options: Options {
            timestamps: segment.options.timestamps.map(|theirs| Timestamps {
                value: tells.tsval(clock_ms, Some(theirs.echo)),
                echo: theirs.value.wrapping_sub(back_dated_ms),
            }),
            ..Options::default()
        },
        limit,
        ..back(packet, segment)
    })
}

/// How far the window reached that the peer was told of last, in octets of its stream.
const fn right_edge(told: Told) -> u32 {
    let edge = told.received.wrapping_add(window(told) as u32);
    if edge > FIRST_EDGE {
        edge
    } else {
        FIRST_EDGE
    }
}

/// The right edge of the window of the SYN-ACK, which stays open to what was sent into it.
const FIRST_EDGE: u32 = FIRST_WINDOW as u32;

/// What is offered to a probe, by what was told before and for how long that was the last word.
///
/// A sender that is still open probes for ever. One that was closed is given up by Linux as soon as
/// the interval to the next probe would reach its ceiling of 120 s (tcp_probe_timer), and starts over
/// when it could send something. A window that is too small for a segment of its size is used by it
/// when the next probe is due (tcp_write_wakeup), so one octet at the right time gains the most.
const fn offered_at(before: Offer, age_ms: u32) -> Offer {
    match (age_ms, before) {
        (STEADY_FROM_MS..TRICKLE_UNTIL_MS, Offer::Closed) => Offer::Steady,
        (TRICKLE_FROM_MS..LONG_FROM_MS, _) => Offer::Short,
        (LONG_FROM_MS..TRICKLE_UNTIL_MS, _) => Offer::Long,
        // An answer was lost, and there may be no next probe: a window of the segment size
        // that the first window left the peer with is used at once.
        (TRICKLE_UNTIL_MS.., _) => Offer::Open,
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

/// The window of an offer, in octets.
const fn window(told: Told) -> u16 {
    match told.offer {
        Offer::Closed | Offer::Probed => 0,
        Offer::Steady | Offer::Short | Offer::Long => 1,
        // As long as nothing has come, the first window is meant.
        Offer::Open if told.received == 0 => FIRST_WINDOW,
        Offer::Open => LAST_CHANCE,
    }
}

/// The window for a probe that may be the last, in octets.
///
/// Linux bounds its segments by the largest window that it has seen, but not below 68 octets with
/// their header (tcp_bound_to_half_wnd): with timestamps, 36 of payload.
const LAST_CHANCE: u16 = 36;

/// Whether the octet that was offered is taken now, and by how much the echo of its timestamp is
/// dated back then, in milliseconds.
///
/// In flight, the octet holds the peer as well: one that was closed gives up at the first retransmission
/// timeout later than 102.2 s after the first retransmission (retransmits_timed_out). With the age A
/// of the offer's probe, the octet comes at the age of 2 A, and again when the peer's timeout has
/// passed once, three times, seven times. Each patience ends between what comes too
/// early and what may come too late.
///
/// The acknowledgment of an octet that was sent again gives the peer a round trip to measure, by its
/// echo (tcp_rtt_tsopt_us): now minus the time that the echo names. The octet has been here for
/// longer than what is named, so this is what a receiver would say that delays its acknowledgments. It
/// raises the peer's timeout to just under the 51.1 s at which one probe and two retransmissions are
/// all that it sends for an octet; there it is kept. docs/hold.md has the reasons for the figures.
const fn taken_after(told: Told, age_ms: u32) -> Result<u32, Silence> {
    match told.offer {
        Offer::Open | Offer::Closed | Offer::Probed => Ok(0),
        Offer::Short if age_ms >= 85_000 => Ok(24_000),
        Offer::Long if age_ms >= 122_000 => Ok(24_000),
        Offer::Steady if age_ms >= 147_000 => {
            // The first retransmission comes at 3 A, the second at 5 A, and A is the timeout.
            let timeout_ms = age_ms / if age_ms < 180_000 { 3 } else { 5 };
            Ok(match timeout_ms {
                47_000.. => 0,
                39_500.. => 14_000 + 4 * 46_000u32.saturating_sub(timeout_ms),
                _ => 40_000,
            })
        }
        Offer::Short | Offer::Long | Offer::Steady => Err(Silence::Patience),
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
        limit: Limit::None,
    }
}
