// SPDX-License-Identifier: GPL-2.0

//! A honeypot's connection: RFC 9293 with an application that reads at once, never writes, and
//! closes when the peer does.
//!
//! There is no record of earlier data, so each segment is acknowledged as if none before it were
//! missing. The peer does not send lost data again.

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

/// How far into its stream a segment may start, in bytes, to pass as one of ours. A blind guess
/// passes with odds of 2^-8.
const MAX_STREAM_OFFSET: i32 = 1 << 24;

/// The same for a segment that echoes a recent cookie of ours. A blind guess passes with odds of
/// 2^-2 times those of a recent echo ([`ts_cookie::is_recent`]). The cookie counts these bytes, so
/// it stays less than 2^31 ahead of the clock.
const MAX_STREAM_OFFSET_RECENT_TS: i32 = 1 << 30;

/// Returns the ACK for a segment of a honeypot's connection: it acknowledges all of the segment,
/// with the window of the SYN-ACK.
pub(super) fn reply_honeypot(
    segment: &Segment,
    flow: Flow,
    fin: bool,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    // We send no data, so up to our FIN SEG.ACK is our ISN + 1.
    let first_byte = flow.client_isn(segment.ack.before()).after(1);
    let start = segment.seq.since(first_byte);
    let offset = flow.ts_offset();
    let echo = segment.echoed_cookie(offset);
    let max_offset = match echo {
        Some(echo)
            if ts_cookie::is_recent(env.now_ms, ts_cookie::byte_count_clock(echo, start)) =>
        {
            MAX_STREAM_OFFSET_RECENT_TS
        }
        _ => MAX_STREAM_OFFSET,
    };
    if !(-1..=max_offset).contains(&start) {
        return Err(DropReason::NotOurs);
    }
    let (class, len, rate_limit) = match segment.payload_bytes() {
        0 if !fin && !is_keep_alive(start, echo) => {
            return Err(match start {
                0 => DropReason::HandshakeAck,
                _ => DropReason::BareAck,
            })
        }
        // With 255 bytes in flight, or a multiple of 256 more, an acknowledgment looks the same.
        // Linux replies to an acknowledgment of a byte that it has not sent with another one (RFC
        // 5961, 5.2; tcp_ack). The rate limit of the source ends that exchange.
        0 if !fin && start > ts_cookie::MAX_IN_FLIGHT_BYTE_COUNT => {
            (SegmentClass::KeepAlive, 1, RateLimit::Source)
        }
        0 if !fin => (SegmentClass::KeepAlive, 1, RateLimit::None),
        bytes if fin => (SegmentClass::Fin, bytes.wrapping_add(1), RateLimit::None),
        1 if start < 0 => (SegmentClass::KeepAlive, 1, RateLimit::None),
        bytes => (SegmentClass::Data, bytes, RateLimit::None),
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

/// Returns true if an empty segment is a keep-alive: it starts one byte before RCV.NXT (RFC 9293,
/// 3.8.4). An acknowledgment starts at SND.NXT, which is never before RCV.NXT.
const fn is_keep_alive(start: i32, echo: Option<u32>) -> bool {
    match echo {
        Some(echo) => ts_cookie::starts_before_byte_count(echo, start),
        // Without an echo, only one before all data is certain.
        None => start < 0,
    }
}
