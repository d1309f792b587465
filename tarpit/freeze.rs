// SPDX-License-Identifier: GPL-2.0

//! Freezing: a connection that existed before the rule gets a zero window for its data, and nothing
//! is acknowledged, so that the connection goes on when the rule is gone.
//!
//! Only its receiver knows RCV.NXT of such a connection. The first data that the rule keeps from
//! the receiver starts there. So its SEG.SEQ is recorded for a while in a table of fixed size,
//! which is the caller's ([`super::RateLimit::Freeze`], [`track_rcv_nxt`]). No other reply needs
//! memory.

use super::drop_reason::DropReason;
use super::env::Env;
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::seq::Seq;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};

/// The age in units of 1.024 s up to which an entry without its first segment is valid:
/// retransmissions come every 120 s at least, and timers are late by up to an eighth.
const MAX_AGE: u16 = 150;

/// The same for a single byte: a client soon sends a typed byte again, and a keep-alive with a byte
/// of no meaning (Windows) starts before RCV.NXT.
const MAX_AGE_OF_SINGLE_BYTE: u16 = 3;

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
        rate_limit: RateLimit::Freeze {
            // Scanners send a single byte to find out whether unverified data gets a reply (Nessus,
            // plugin 10796).
            record_only: segment.payload_len == 1,
        },
        ..Reply::EMPTY
    })
}

/// Records a segment that starts at `seq`, of the connection with the number `flow`, in the `entry`
/// of a table. Returns the new entry and RCV.NXT of the connection. `record_only` is that of
/// [`super::RateLimit::Freeze`].
///
/// An entry is a sequence number, the time of the last segment that started there, and a tag of the
/// connection. Zero is an empty entry.
#[inline]
pub const fn track_rcv_nxt(
    entry: u64,
    flow: u64,
    seq: Seq,
    record_only: bool,
    now_ms: u32,
) -> (u64, Seq) {
    // CAST: 16 bits of the hash that do not choose the place in the table; the parts of an entry,
    // exactly; the lowest bits of a clock.
    let (tag, now) = ((flow >> 48) as u16, (now_ms >> 10) as u16);
    let (their_tag, last, known) = ((entry >> 48) as u16, (entry >> 32) as u16, entry as u32);
    let ahead = seq.since(Seq(known));
    // Another CPU that was here first may have read the clock a tick later.
    let age = now.wrapping_add(1).wrapping_sub(last);
    // The first segment comes again; the others start behind it. An entry whose first segment no
    // longer comes is that of an earlier rule.
    if entry != 0 && tag == their_tag && ahead > 0 && age <= MAX_AGE {
        return (entry, Seq(known));
    }
    let recorded = if record_only {
        now.wrapping_sub(MAX_AGE - MAX_AGE_OF_SINGLE_BYTE)
    } else {
        now
    };
    // CAST: widening.
    let entry = (tag as u64) << 48 | (recorded as u64) << 32 | seq.0 as u64;
    (entry, seq)
}
