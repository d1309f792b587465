// SPDX-License-Identifier: GPL-2.0

//! A held connection: which of its segments get a reply, and which bytes that reply accepts.
//!
//! The peer's timestamps return what our previous reply said, and when ([`super::ts_cookie`]).
//! [`super::hold_timing`] has the ages at which a window is offered or a byte accepted.

use super::drop_reason::DropReason;
use super::env::Env;
use super::freeze::reply_midstream;
use super::hold_timing::{
    choose_offer, echo_backdate_ms, ACCEPT_IN_FLIGHT_FROM_MS, DRIP_FROM_MS, NO_PROBE_FROM_MS,
};
use super::ip::Ecn;
use super::isn::Flow;
use super::policy::{Profile, FIRST_WINDOW, LAST_CHANCE};
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};
use super::ts_cookie::{self, TsCookie, WindowOffer, MAX_IN_FLIGHT};

/// How far into its stream a peer's segment may start, in bytes, to pass as one of a held
/// connection.
///
/// A peer that respects the window stays within 64 KiB, or twice that if the lower half of its ISN
/// is not known. Each doubling doubles the odds, now 2^-15, that a blind guess passes.
const MAX_STREAM_OFFSET: i32 = 1 << 17;

/// The longest time between a reply and the next segment that counts as held, in milliseconds: a
/// day.
const MAX_CREDITED_AGE_MS: u32 = 86_400_000;

/// The most bytes that are accepted of the last ones that the window of a last chance had room for:
/// with a FIN behind them, [`MAX_IN_FLIGHT`] stay in flight.
const MAX_OF_LAST_CHANCE: u32 = LAST_CHANCE as u32 + 1 - MAX_IN_FLIGHT as u32;

/// The banner: a line that says in SMTP and FTP that more lines follow (RFC 5321, 4.2.1; RFC 959,
/// 4.2), and that may precede the version in SSH (RFC 4253, 4.2).
const BANNER: [u8; 18] = *b"220-Please wait.\r\n";

/// How a connection is held.
pub(super) struct HoldParams {
    /// The host that the replies imitate.
    pub(super) profile: Profile,
    /// True if a banner is sent, byte by byte.
    pub(super) drip: bool,
    /// The window of the SYN-ACK for a client with timestamps and [`Profile::Hold`], in bytes.
    pub(super) first_window: u16,
}

/// Returns the ACK for a segment of a held connection: it acknowledges the bytes that are accepted,
/// and offers a window. A FIN lies behind the data and beyond the window. So it is not acceptable,
/// and not acknowledged.
pub(super) fn reply_held(
    segment: &Segment,
    flow: Flow,
    fin: bool,
    params: &HoldParams,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    let &HoldParams { profile, drip, .. } = params;
    // If we send no data, SEG.ACK is always our ISN + 1.
    let (first_byte, sent) = if drip {
        flow.decode_ack(segment.ack)
    } else {
        (flow.client_isn(segment.ack.before()).after(1), 0)
    };
    let start = segment.seq.since(first_byte);
    if !(-1..=MAX_STREAM_OFFSET).contains(&start) {
        return reply_midstream(segment, env);
    }
    let range = StreamRange {
        start,
        end: start.saturating_add_unsigned(segment.payload_bytes()),
        fin,
    };
    let offset = flow.ts_offset();
    let echo = segment.echoed_cookie(offset);
    let (choice, trapped_ms) = match echo.and_then(|echo| Some((range.decode(echo)?, echo))) {
        Some((cookie, echo)) => {
            let age_ms = ts_cookie::age_ms(env.now_ms, echo);
            (
                classify_with_ts(range, cookie, age_ms, params)?,
                // An age counts once: of the segments that echo one reply, those that start behind
                // what it acknowledged get no reply.
                age_ms.min(MAX_CREDITED_AGE_MS),
            )
        }
        None => (classify_without_ts(range)?, 0),
    };

    let cookie = choice.cookie;
    // The echo may be forged: a rule without drip never sends a byte.
    let sends_banner = drip && choice.sends_banner && sent < u16::MAX;
    Ok(Reply {
        class: if fin { SegmentClass::Fin } else { choice.class },
        seq: segment.ack,
        // RCV.NXT: an acknowledgment is never taken back.
        ack: first_byte.after(cookie.received),
        flags: if sends_banner {
            Flags::PSH_ACK
        } else if profile == Profile::Linux && !range.is_empty() && segment.ecn == Ecn::CE {
            Flags::ECE_ACK
        } else {
            Flags::ACK
        },
        window: profile.window(cookie.offer),
        options: Options::only_timestamps(segment.options.timestamps().map(|theirs| Timestamps {
            value: cookie.encode(env.now_ms, echo).wrapping_add(offset),
            echo: theirs.value.wrapping_sub(choice.echo_backdate_ms),
        })),
        payload: if sends_banner {
            banner_byte(sent)
        } else {
            None
        },
        ip_id_offset: Some(env.ip_id_offset()),
        rate_limit: choice.rate_limit,
        trapped_ms,
        ..Reply::EMPTY
    })
}

/// The range of a segment in its stream, in bytes after the SYN.
#[derive(Clone, Copy)]
struct StreamRange {
    start: i32,
    /// The position behind the payload, which is that of a FIN.
    end: i32,
    fin: bool,
}

impl StreamRange {
    /// Returns true if the segment has a payload.
    const fn has_payload(self) -> bool {
        self.start < self.end
    }

    /// Returns true if the segment has neither payload nor FIN.
    const fn is_empty(self) -> bool {
        !self.has_payload() && !self.fin
    }

    /// Returns why this segment, without payload and not before RCV.NXT, gets no reply. `first` is
    /// the position of the first byte of the stream.
    const fn acknowledges(self, first: i32) -> DropReason {
        if self.start == first {
            DropReason::HandshakeAck
        } else {
            DropReason::BareAck
        }
    }

    /// Returns the cookie that the segment echoes.
    const fn decode(self, echo: u32) -> Option<TsCookie> {
        // What our reply acknowledged ends at most one byte behind the start, as for a probe. A FIN
        // without payload starts at that end or behind it.
        let behind = self.fin && !self.has_payload();
        TsCookie::decode(echo, self.start.wrapping_sub(behind as i32))
    }
}

/// The parts of a reply to a held connection that depend on where the segment starts and how old
/// its echo is.
struct HoldReply {
    /// The class of the segment, unless it has a FIN.
    class: SegmentClass,
    /// What the reply says: the bytes received, and the window.
    cookie: TsCookie,
    /// How far the echo of the segment's timestamp is dated back, in milliseconds.
    echo_backdate_ms: u32,
    /// The rate limit that the reply is subject to.
    rate_limit: RateLimit,
    /// True if the reply of a drip rule carries a banner byte. It does so only with other news: to
    /// Linux a segment that differs from the expected one by its data alone is no sign of life
    /// (tcp_rcv_established).
    sends_banner: bool,
}

impl HoldReply {
    /// Returns a reply that acknowledges `received` bytes and makes an offer.
    const fn window(class: SegmentClass, received: u32, offer: WindowOffer) -> Self {
        Self {
            class,
            cookie: TsCookie { received, offer },
            echo_backdate_ms: 0,
            rate_limit: RateLimit::None,
            sends_banner: matches!(offer, WindowOffer::OneByteDrip),
        }
    }

    /// Returns a reply that acknowledges `bytes` more than the previous one, with a zero window.
    const fn accepting(previous: TsCookie, bytes: u32) -> Self {
        let received = previous.received.wrapping_add(bytes);
        Self::window(SegmentClass::Data, received, WindowOffer::Zero)
    }
}

/// Returns the byte of the banner that follows `sent` others.
fn banner_byte(sent: u16) -> Option<u8> {
    BANNER.get(usize::from(sent) % BANNER.len()).copied()
}

/// Classifies a segment that echoes `previous`, the cookie of our previous reply, which is `age_ms`
/// old.
fn classify_with_ts(
    range: StreamRange,
    previous: TsCookie,
    age_ms: u32,
    params: &HoldParams,
) -> Result<HoldReply, DropReason> {
    let StreamRange { start, end, fin } = range;
    let TsCookie { received, offer } = previous;
    let drip = params.drip;
    // CAST: positions in the stream are below 2^31.
    let next = received as i32;
    if !range.has_payload() && offer == WindowOffer::Initial && start >= i32::from(fin) && !drip {
        // Nothing was accepted yet. So this is an acknowledgment, or a FIN, behind data that has
        // not come, and that may be more than the cookie can count. A client of a drip rule has no
        // more in flight than the small window, and its stream starts at no known number.
        return Err(range.acknowledges(0));
    }
    if range.is_empty() {
        // A probe or a keep-alive starts one byte before RCV.NXT (tcp_xmit_probe_skb; RFC 9293,
        // 3.8.4). An acknowledgment starts at SND.NXT, which is never before RCV.NXT.
        if start >= next {
            return Err(match offer {
                WindowOffer::Initial => range.acknowledges(next),
                _ => DropReason::BareAck,
            });
        }
        // With drip, only the first segments of a stream give the position at which it starts.
        let class = if next == 0 || offer == WindowOffer::Initial {
            SegmentClass::KeepAlive
        } else {
            SegmentClass::Probe
        };
        let next_offer = choose_offer(offer, age_ms, drip);
        return Ok(HoldReply {
            rate_limit: rate_limit_of_empty(start, offer, params),
            ..HoldReply::window(class, received, next_offer)
        });
    }
    if end <= next {
        // It has no new data (RFC 9293, 3.10.7.4: not acceptable, so acknowledged).
        let class = if start == next.wrapping_sub(1) {
            SegmentClass::KeepAlive
        } else {
            SegmentClass::Data
        };
        return Ok(HoldReply::window(class, received, WindowOffer::Zero));
    }
    if start > next {
        // The peer sends what is missing before it again.
        return Err(DropReason::Deferred);
    }
    // CAST: `end` is above `next`.
    accept_bytes(
        previous,
        end.wrapping_sub(next) as u32,
        range,
        age_ms,
        params,
    )
}

/// Classifies a segment without the echo of a cookie.
const fn classify_without_ts(range: StreamRange) -> Result<HoldReply, DropReason> {
    let StreamRange { start, end, .. } = range;
    // An empty segment before the stream can only be a keep-alive. Others are acknowledgments:
    // Linux does not probe while it has data in flight, and the last byte in flight is never
    // accepted. A FIN of its own lies behind that data, unless it is all that was sent.
    if !range.has_payload() && start >= range.fin as i32 {
        return Err(range.acknowledges(0));
    }
    if start < 0 {
        let class = if end > 0 {
            SegmentClass::Data
        } else {
            SegmentClass::KeepAlive
        };
        return Ok(HoldReply::window(class, 0, WindowOffer::Zero));
    }
    // A retransmission starts at RCV.NXT. A single byte may be a probe (BSD, Windows), and is not
    // accepted.
    let accepts = end.wrapping_sub(start) > 1;
    // The first byte of the stream is no probe: the window was not zero yet.
    let class = if accepts || start == 0 {
        SegmentClass::Data
    } else {
        SegmentClass::Probe
    };
    // CAST: `start` is not negative; a boolean is 0 or 1.
    let received = (start as u32).wrapping_add(accepts as u32);
    Ok(HoldReply::window(class, received, WindowOffer::Zero))
}

/// Returns the rate limit of the reply to an empty segment that seems to start one byte before
/// RCV.NXT.
///
/// The segment may also be an acknowledgment behind 31 bytes in flight, or 63 and so on, if that
/// many bytes precede it and the window had room for them. Linux replies to an acknowledgment of a
/// byte that it has not sent with another one, which looks the same (RFC 5961, 5.2; tcp_ack). The
/// rate limit of the source ends that exchange.
const fn rate_limit_of_empty(start: i32, offer: WindowOffer, params: &HoldParams) -> RateLimit {
    let wide = matches!(params.profile, Profile::Linux)
        || params.first_window >= MAX_IN_FLIGHT
        || matches!(offer, WindowOffer::LastChance);
    // CAST: widening.
    if wide && start > MAX_IN_FLIGHT as i32 {
        RateLimit::Source
    } else {
        RateLimit::None
    }
}

/// Decides how many of `there` new bytes are accepted.
///
/// Bytes in flight hold the peer as well. An orphan gives up at the first retransmission timeout
/// later than 102.2 s after the first retransmission (retransmits_timed_out), or at the second one
/// when the timeout has grown to 120 s. Each byte that is accepted gives it another timeout.
fn accept_bytes(
    previous: TsCookie,
    there: u32,
    range: StreamRange,
    age_ms: u32,
    params: &HoldParams,
) -> Result<HoldReply, DropReason> {
    let &HoldParams { profile, drip, .. } = params;
    let full = u32::from(match previous.offer {
        WindowOffer::Initial => params.first_window,
        _ => FIRST_WINDOW,
    });
    // Data that fills the window may have more behind it, which holds the peer longer than these
    // bytes do.
    let more = there >= full && !range.fin;
    Ok(match previous.offer {
        WindowOffer::OneByteEarly | WindowOffer::OneByteLate | WindowOffer::OneByteAtRto => {
            HoldReply {
                echo_backdate_ms: echo_backdate_ms(previous.offer, age_ms)
                    .ok_or(DropReason::Deferred)?,
                ..HoldReply::accepting(previous, 1)
            }
        }
        WindowOffer::OneByteDrip => HoldReply {
            sends_banner: true,
            ..HoldReply::accepting(previous, there)
        },
        WindowOffer::Initial | WindowOffer::LastChance
            if more && matches!(profile, Profile::Hold) =>
        {
            HoldReply::accepting(previous, full)
        }
        // The rest and a FIN are not more in flight than a cookie tells from a probe.
        WindowOffer::LastChance if matches!(profile, Profile::Hold) => {
            let beyond = there.saturating_sub(u32::from(MAX_IN_FLIGHT) - 1);
            HoldReply::accepting(previous, beyond.clamp(1, MAX_OF_LAST_CHANCE))
        }
        WindowOffer::Initial | WindowOffer::LastChance => HoldReply::accepting(previous, 1),
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if drip && age_ms >= DRIP_FROM_MS => {
            HoldReply {
                sends_banner: true,
                ..HoldReply::accepting(previous, 1)
            }
        }
        // A single byte may be a probe, which gets its reply.
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if there == 1 && age_ms < NO_PROBE_FROM_MS => {
            // CAST: positions in the stream are below 2^31.
            let class = if range.start == previous.received as i32 {
                SegmentClass::Probe
            } else {
                SegmentClass::Data
            };
            HoldReply::window(class, previous.received, WindowOffer::Zero)
        }
        WindowOffer::Zero | WindowOffer::ZeroOnProbe if age_ms >= ACCEPT_IN_FLIGHT_FROM_MS => {
            HoldReply::accepting(previous, 1)
        }
        WindowOffer::Zero | WindowOffer::ZeroOnProbe => return Err(DropReason::Deferred),
    })
}
