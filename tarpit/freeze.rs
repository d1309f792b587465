// SPDX-License-Identifier: GPL-2.0

//! Freezing: a connection that existed before the rule gets a zero window for its data, and nothing
//! is acknowledged, so that the connection goes on when the rule is gone.
//!
//! Only its receiver knows RCV.NXT of such a connection. The first data that the rule keeps from
//! the receiver starts there. So its SEG.SEQ is recorded for a while in a table of fixed size. The
//! caller owns the table, and looks RCV.NXT up before it sends the reply ([`super::frozen`]). No
//! other reply needs memory.

use super::drop_reason::DropReason;
use super::env::Env;
use super::frozen::Freeze;
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};

/// Returns the ACK for a midstream segment, as if it were the first one that the rule keeps from
/// the receiver.
///
/// Only data gets a reply, so two hosts with rules never reply to each other.
pub(super) fn reply_midstream(segment: &Segment, env: &Env<'_>) -> Result<Reply, DropReason> {
    if segment.payload_len == 0 {
        return Err(DropReason::NotOurs);
    }
    Ok(Reply {
        class: SegmentClass::Midstream,
        seq: segment.ack,
        ack: segment.seq,
        flags: Flags::ACK,
        options: Options::only_timestamps(segment.options.timestamps().map(|theirs| Timestamps {
            value: theirs.echo,
            echo: theirs.value,
        })),
        ip_id_offset: Some(env.ip_id_offset()),
        rate_limit: RateLimit::Source,
        freeze: Some(Freeze {
            // Scanners send a single byte to find out whether unverified data gets a reply (Nessus,
            // plugin 10796).
            record_only: segment.payload_len == 1,
        }),
        ..Reply::EMPTY
    })
}
