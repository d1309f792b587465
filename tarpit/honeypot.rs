// SPDX-License-Identifier: GPL-2.0

//! A connection of which all is taken: RFC 9293 with an application that reads at once, never writes, and
//! closes when the peer does.
//!
//! Nothing is kept of what has come, so each segment is acknowledged as if none before it were missing.
//! What was lost on the way stays lost; the peer goes on.

use super::drop_reason::DropReason;
use super::env::Env;
use super::isn::Flow;
use super::policy::Policy;
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};
use super::ts_cookie;

/// How far into its stream a segment may lie, in octets, to pass as one of ours. Without an echo of ours,
/// a blind guess passes with odds of 2^-8 ...
const REACH: i32 = 1 << 24;

/// ... and with one, with odds of 2^-2 times those of a recent echo ([`ts_cookie::is_recent`]). A stamp counts
/// these octets, so it stays less than half a circle ahead of the clock.
const ECHOED_REACH: i32 = 1 << 30;

/// The ACK for a segment of such a connection: of all that is in it, with the window of the SYN-ACK.
pub(super) fn take(
    segment: &Segment,
    flow: Flow,
    fin: bool,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    // We send no data, so up to our FIN SEG.ACK is our ISN + 1.
    let first_octet = flow.client_isn(segment.ack.before()).after(1);
    let start = segment.seq.since(first_octet);
    let offset = flow.ts_offset();
    let echo = segment.echoed_cookie(offset);
    let reach = match echo {
        Some(echo)
            if ts_cookie::is_recent(env.now_ms, ts_cookie::byte_count_clock(echo, start)) =>
        {
            ECHOED_REACH
        }
        _ => REACH,
    };
    if !(-1..=reach).contains(&start) {
        return Err(DropReason::NotOurs);
    }
    let (class, len, rate_limit) = match segment.payload_bytes() {
        0 if !fin && !is_keep_alive(start, echo) => {
            return Err(match start {
                0 => DropReason::HandshakeAck,
                _ => DropReason::BareAck,
            })
        }
        // With 255 octets in flight, or a multiple of 256 more, an acknowledgment looks the same. Linux
        // replies to an acknowledgment of what it has not sent with another one (RFC 5961, 5.2; tcp_ack):
        // the rate limit of the source ends that.
        0 if !fin && start > ts_cookie::MAX_IN_FLIGHT_BYTE_COUNT => {
            (SegmentClass::KeepAlive, 1, RateLimit::Source)
        }
        0 if !fin => (SegmentClass::KeepAlive, 1, RateLimit::None),
        octets if fin => (SegmentClass::Fin, octets.wrapping_add(1), RateLimit::None),
        1 if start < 0 => (SegmentClass::KeepAlive, 1, RateLimit::None),
        octets => (SegmentClass::Data, octets, RateLimit::None),
    };
    Ok(Reply {
        class,
        seq: segment.ack,
        ack: segment.seq.after(len),
        flags: if fin { Flags::FIN_ACK } else { Flags::ACK },
        window: policy.first_window(segment.options.has_timestamps()),
        options: Options::only_timestamps(segment.options.timestamps().map(|theirs| {
            Timestamps {
                // CAST: modulo 2^32, as sequence numbers are.
                value: ts_cookie::encode_byte_count(
                    (start as u32).wrapping_add(len),
                    env.now_ms,
                    echo,
                )
                .wrapping_add(offset),
                echo: theirs.value,
            }
        })),
        ip_id_offset: Some(env.ip_id_offset()),
        rate_limit,
        ..Reply::EMPTY
    })
}

/// Returns true if an empty segment is a keep-alive: it starts one octet before RCV.NXT (RFC 9293,
/// 3.8.4). An acknowledgment starts at SND.NXT, which is never before RCV.NXT.
const fn is_keep_alive(start: i32, echo: Option<u32>) -> bool {
    match echo {
        Some(echo) => ts_cookie::starts_before_byte_count(echo, start),
        // Only one before all data surely is.
        None => start < 0,
    }
}
