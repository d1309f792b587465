// SPDX-License-Identifier: GPL-2.0

//! A held connection: which of its segments are answered, what is taken, and which window is offered.
//!
//! What the peer was told last, and when, comes back in its timestamps ([`super::ts_cookie`]). The rest is
//! patience: docs/hold.md has the reasons.

use super::drop_reason::DropReason;
use super::env::Env;
use super::freeze::reply_midstream;
use super::ip::Ecn;
use super::isn::Flow;
use super::policy::{Profile, FIRST_WINDOW, LAST_CHANCE};
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};
use super::ts_cookie::{self, TsCookie, WindowOffer};

/// How far into its stream a peer's segment may lie, in octets, to pass as one of ours.
///
/// A peer that respects the window stays within 64 K, twice that when the lower half of its ISN is not
/// known. Each doubling doubles the odds, now 2^-15, that a blind guess passes.
const REACH: i32 = 1 << 17;

/// How a connection is held.
pub(super) struct Manner {
    /// What the host looks like.
    pub(super) profile: Profile,
    /// Whether an octet of a banner is sent now and then.
    pub(super) drip: bool,
    /// The window of the SYN-ACK for a client with timestamps, in bytes, with [`Profile::Hold`].
    pub(super) first_window: u16,
}

/// The ACK for a segment of a held connection: of what is taken, with the window that is offered. FIN
/// lies behind the data and the closed window: it is not acceptable, and not acknowledged.
pub(super) fn hold(
    segment: &Segment,
    flow: Flow,
    fin: bool,
    manner: &Manner,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    let &Manner { profile, drip, .. } = manner;
    // If we send no data, SEG.ACK is always our ISN + 1.
    let (first_octet, sent) = if drip {
        flow.decode_ack(segment.ack)
    } else {
        (flow.client_isn(segment.ack.before()).after(1), 0)
    };
    let start = segment.seq.since(first_octet);
    if !(-1..=REACH).contains(&start) {
        return reply_midstream(segment, env);
    }
    let place = Place {
        start,
        end: start.saturating_add_unsigned(segment.payload_bytes()),
        fin,
    };
    let offset = flow.ts_offset();
    let echo = segment.echoed_cookie(offset);
    let (choice, trapped_ms) = match echo.and_then(|echo| Some((place.told(echo)?, echo))) {
        Some((told, echo)) => {
            let age_ms = ts_cookie::age_ms(env.now_ms, echo);
            (
                timed(place, told, age_ms, manner)?,
                // Counted once: of what was sent on that answer, what starts behind its end gets none.
                age_ms.min(LONGEST_MS),
            )
        }
        None => (untimed(place)?, 0),
    };

    let tells = choice.tells;
    // The echo may be made up: a rule without drip never talks.
    let talks = drip && choice.talks && sent < u16::MAX;
    Ok(Reply {
        class: if fin { SegmentClass::Fin } else { choice.class },
        seq: segment.ack,
        // RCV.NXT: what was acknowledged is never taken back.
        ack: first_octet.after(tells.received),
        flags: if talks {
            Flags::PSH_ACK
        } else if profile == Profile::Linux && !place.is_empty() && segment.ecn == Ecn::CE {
            Flags::ECE_ACK
        } else {
            Flags::ACK
        },
        window: profile.window(tells.offer),
        options: Options::only_timestamps(segment.options.timestamps().map(|theirs| Timestamps {
            value: tells.encode(env.now_ms, echo).wrapping_add(offset),
            echo: theirs.value.wrapping_sub(choice.back_dated_ms),
        })),
        payload: if talks { banner(sent) } else { None },
        ip_id_offset: Some(env.ip_id_offset()),
        rate_limit: choice.rate_limit,
        trapped_ms,
        ..Reply::EMPTY
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

    /// Why this, empty and not before RCV.NXT, gets no answer, if the stream starts at `first`.
    const fn acknowledges(self, first: i32) -> DropReason {
        if self.start == first {
            DropReason::HandshakeAck
        } else {
            DropReason::BareAck
        }
    }

    /// What the last answer told the sender of this segment, by its echo.
    const fn told(self, echo: u32) -> Option<TsCookie> {
        // It ended no later than one octet behind the start; and no FIN is sent behind an octet that was
        // not taken.
        let behind = self.fin && !self.has_payload();
        TsCookie::decode(echo, self.start.wrapping_sub(behind as i32))
    }
}

/// The longest time without a segment that is believed, in milliseconds: a day.
const LONGEST_MS: u32 = 86_400_000;

/// The answer to a segment that says what its sender was told, and how long ago.
fn timed(place: Place, told: TsCookie, age_ms: u32, manner: &Manner) -> Result<Choice, DropReason> {
    let Place { start, end, fin } = place;
    let drip = manner.drip;
    // CAST: positions in the stream are below 2^31.
    let next = told.received as i32;
    if !place.has_payload()
        && told.offer == WindowOffer::Initial
        && start >= i32::from(fin)
        && !drip
    {
        // Nothing was taken yet: this is an acknowledgment, or a FIN, behind data that have not
        // come, more of them maybe than the stamp can count. A client that we talk to has no
        // more in flight than the small window, and starts at no known number.
        return Err(place.acknowledges(0));
    }
    if place.is_empty() {
        // A probe or a keep-alive starts one octet before RCV.NXT (tcp_xmit_probe_skb;
        // RFC 9293, 3.8.4), an acknowledgment at SND.NXT, which is never before RCV.NXT.
        if start >= next {
            return Err(match told.offer {
                WindowOffer::Initial => place.acknowledges(next),
                _ => DropReason::BareAck,
            });
        }
        // Where a stream begins that we talk to, only its first segments tell.
        let class = if next == 0 || told.offer == WindowOffer::Initial {
            SegmentClass::KeepAlive
        } else {
            SegmentClass::Probe
        };
        let offer = offered_at(told.offer, age_ms, drip);
        return Ok(Choice {
            rate_limit: rate_limit_of_empty(start, told.offer, manner),
            ..Choice::window(class, told.received, offer)
        });
    }
    if end <= next {
        // It brings nothing new (RFC 9293, 3.10.7.4: not acceptable, so acknowledged).
        let class = if start == next.wrapping_sub(1) {
            SegmentClass::KeepAlive
        } else {
            SegmentClass::Data
        };
        return Ok(Choice::window(class, told.received, WindowOffer::Zero));
    }
    if start > next {
        // What is missing before it comes again, and is not missed.
        return Err(DropReason::Deferred);
    }
    // CAST: `end` is above `next`.
    taken(told, end.wrapping_sub(next) as u32, place, age_ms, manner)
}

/// The answer to a segment that says nothing of what its sender was told.
const fn untimed(place: Place) -> Result<Choice, DropReason> {
    let Place { start, end, .. } = place;
    // An empty segment before the stream can only be a keep-alive; others are acknowledgments, as Linux
    // does not probe as long as it has data in flight, and the last octet of them is never taken. A FIN
    // of its own is behind them, but for one that is all that was sent.
    if !place.has_payload() && start >= place.fin as i32 {
        return Err(place.acknowledges(0));
    }
    if start < 0 {
        let class = if end > 0 {
            SegmentClass::Data
        } else {
            SegmentClass::KeepAlive
        };
        return Ok(Choice::window(class, 0, WindowOffer::Zero));
    }
    // What comes again starts at RCV.NXT. A single octet may be a probe (BSD, Windows).
    let octet = end.wrapping_sub(start) > 1;
    // The first one is none: no window has been closed yet.
    let class = if octet || start == 0 {
        SegmentClass::Data
    } else {
        SegmentClass::Probe
    };
    // CAST: `start` is not negative; a truth value is 0 or 1.
    let received = (start as u32).wrapping_add(octet as u32);
    Ok(Choice::window(class, received, WindowOffer::Zero))
}

/// The budget of the answer to an empty segment that seems to start one octet before RCV.NXT.
///
/// It may also be an acknowledgment behind 31 octets in flight, or 63 and so on, if so many precede it and
/// there was a window for them. Linux replies to an acknowledgment of what it has not sent with another
/// one, which looks the same (RFC 5961, 5.2; tcp_ack): the rate limit of the source ends that.
const fn rate_limit_of_empty(start: i32, offer: WindowOffer, manner: &Manner) -> RateLimit {
    let wide = matches!(manner.profile, Profile::Linux)
        || manner.first_window >= ts_cookie::MAX_IN_FLIGHT
        || matches!(offer, WindowOffer::LastChance);
    // CAST: widening.
    if wide && start > ts_cookie::MAX_IN_FLIGHT as i32 {
        RateLimit::Source
    } else {
        RateLimit::None
    }
}

/// What is chosen as the answer to a segment of a held connection.
struct Choice {
    /// What is answered, unless it is a FIN.
    class: SegmentClass,
    tells: TsCookie,
    /// By how much the echo of its timestamp is dated back, in milliseconds.
    back_dated_ms: u32,
    rate_limit: RateLimit,
    /// Whether an octet of the banner comes with it. Only with other news: Linux takes a segment for
    /// no sign of life that differs from what it expects in nothing but data (tcp_rcv_established).
    talks: bool,
}

impl Choice {
    /// What was received before, and an offer.
    const fn window(class: SegmentClass, received: u32, offer: WindowOffer) -> Self {
        Self {
            class,
            tells: TsCookie { received, offer },
            back_dated_ms: 0,
            rate_limit: RateLimit::None,
            talks: matches!(offer, WindowOffer::OneByteDrip),
        }
    }

    /// So many octets more, and no window.
    const fn taking(told: TsCookie, octets: u32) -> Self {
        let received = told.received.wrapping_add(octets);
        Self::window(SegmentClass::Data, received, WindowOffer::Zero)
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
const fn offered_at(before: WindowOffer, age_ms: u32, drip: bool) -> WindowOffer {
    match (age_ms, before) {
        (DRIP_FROM_MS.., _) if drip => WindowOffer::OneByteDrip,
        // The client has nothing to send. As long as it may fill this window, the stamp has to say so: there
        // may be more in flight than a stamp tells from a probe.
        (_, WindowOffer::LastChance) => WindowOffer::LastChance,
        (STEADY_FROM_MS..TRICKLE_UNTIL_MS, WindowOffer::Zero) => WindowOffer::OneByteAtRto,
        (TRICKLE_FROM_MS..LONG_FROM_MS, _) => WindowOffer::OneByteEarly,
        (LONG_FROM_MS..TRICKLE_UNTIL_MS, _) => WindowOffer::OneByteLate,
        // An answer was lost, and there may be no next probe: a window of the segment size
        // that the first window left the peer with is used at once.
        (TRICKLE_UNTIL_MS.., _) => WindowOffer::LastChance,
        _ => WindowOffer::ZeroOnProbe,
    }
}

/// The interval before the last probe in time is in [30, 60) s. Its age here is larger by the time of flight
/// and by what timers are late (up to an eighth, kernel/time/timer.c), or smaller by a step of our
/// clock: below 60 s it surely is in time, and from 27.5 s on none is missed.
const TRICKLE_FROM_MS: u32 = 27_500;
const STEADY_FROM_MS: u32 = 36_000;
const LONG_FROM_MS: u32 = 38_000;
const TRICKLE_UNTIL_MS: u32 = 60_000 - 2 * ts_cookie::STEP_MS;

/// A probe that is older gets an octet of the banner: with what follows, no more than half a minute
/// passes between two of them.
const DRIP_FROM_MS: u32 = 6_500;

/// What is taken of the `there` octets that have come.
///
/// In flight, octets hold the peer as well: one that was closed gives up at the first retransmission
/// timeout later than 102.2 s after the first retransmission (retransmits_timed_out), or at the second
/// one when the timeout has grown to 120 s; each octet that is taken gives it another timeout.
fn taken(
    told: TsCookie,
    there: u32,
    place: Place,
    age_ms: u32,
    manner: &Manner,
) -> Result<Choice, DropReason> {
    let &Manner { profile, drip, .. } = manner;
    let full = u32::from(match told.offer {
        WindowOffer::Initial => manner.first_window,
        _ => FIRST_WINDOW,
    });
    // The first data fill the window: there may be more behind it, which holds longer than these.
    let more = there >= full && !place.fin;
    Ok(match told.offer {
        WindowOffer::OneByteEarly | WindowOffer::OneByteLate | WindowOffer::OneByteAtRto => {
            Choice {
                back_dated_ms: back_dated(told.offer, age_ms).ok_or(DropReason::Deferred)?,
                ..Choice::taking(told, 1)
            }
        }
        WindowOffer::OneByteDrip => Choice {
            talks: true,
            ..Choice::taking(told, there)
        },
        WindowOffer::Initial | WindowOffer::LastChance
            if more && matches!(profile, Profile::Hold) =>
        {
            Choice::taking(told, full)
        }
        // The rest and a FIN are no more in flight than a stamp tells from a probe.
        WindowOffer::LastChance if matches!(profile, Profile::Hold) => {
            let beyond = there.saturating_sub(u32::from(ts_cookie::MAX_IN_FLIGHT) - 1);
            Choice::taking(told, beyond.clamp(1, MOST_OF_LAST))
        }
        WindowOffer::Initial | WindowOffer::LastChance => Choice::taking(told, 1),
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if drip && age_ms >= DRIP_FROM_MS => Choice {
            talks: true,
            ..Choice::taking(told, 1)
        },
        // A single octet may be a probe (BSD, which waits 60 s at most): it gets its answer.
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if there == 1 && age_ms < PROBE_MS => {
            // CAST: positions in the stream are below 2^31.
            let class = if place.start == told.received as i32 {
                SegmentClass::Probe
            } else {
                SegmentClass::Data
            };
            Choice::window(class, told.received, WindowOffer::Zero)
        }
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if age_ms >= IN_FLIGHT_MS => {
            Choice::taking(told, 1)
        }
        WindowOffer::Zero | WindowOffer::ZeroOnProbe => return Err(DropReason::Deferred),
    })
}

/// How many octets are taken at most of the last ones that the window of a last chance had room for.
const MOST_OF_LAST: u32 = LAST_CHANCE as u32 + 1 - ts_cookie::MAX_IN_FLIGHT as u32;

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
const fn back_dated(offer: WindowOffer, age_ms: u32) -> Option<u32> {
    match offer {
        WindowOffer::OneByteEarly if age_ms >= 85_000 => Some(24_000),
        WindowOffer::OneByteLate if age_ms >= 122_000 => Some(24_000),
        WindowOffer::OneByteAtRto if age_ms >= 147_000 => {
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
