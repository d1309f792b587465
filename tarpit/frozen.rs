// SPDX-License-Identifier: GPL-2.0

//! A connection that was running before the rule: its data are answered with the window closed and nothing
//! taken, so that it goes on when the rule is gone.
//!
//! RCV.NXT of such a connection is known to its receiver alone. The first data that the rule keeps from that one
//! start there, so their SEG.SEQ is remembered, for a while and in a table of fixed size, which is the
//! caller's ([`super::Limit::Frozen`], [`remember`]). All other answers need no memory.

use super::drop_reason::DropReason;
use super::env::Env;
use super::reply::{Answer, Budget};
use super::segment_class::SegmentClass;
use super::seq::Seq;
use super::tcp::{Flags, Segment};
use super::tcp_options::{Options, Timestamps};

/// The ACK for a segment of a running connection, as if it were the first one.
///
/// Only data are answered, so two tarpits never have an answer for each other.
pub(super) fn freeze(segment: &Segment, env: &Env<'_>) -> Result<Answer, DropReason> {
    if segment.payload_len == 0 {
        return Err(DropReason::NotOurs);
    }
    Ok(Answer {
        class: SegmentClass::Midstream,
        seq: segment.ack,
        ack: segment.seq,
        flags: Flags::ACK,
        options: Options::only(segment.options.timestamps().map(|theirs| Timestamps {
            value: theirs.echo,
            echo: theirs.value,
        })),
        ordinal: Some(env.ordinal()),
        budget: Budget::Frozen {
            // Who wants to see whether strangers are answered sends a single octet (Nessus, plugin 10796).
            silent: segment.payload_len == 1,
        },
        ..Answer::EMPTY
    })
}

/// What a table says of the connection `flow`, of which a segment has come that starts at `seq`: the new entry in the place
/// of `entry`, and RCV.NXT. `silent` is that of [`super::Limit::Frozen`].
///
/// An entry is a sequence number, the second of its last segment and a tag of the connection; zero is an empty one.
#[inline]
pub const fn remember(entry: u64, flow: u64, seq: Seq, silent: bool, now_ms: u32) -> (u64, Seq) {
    // CAST: 16 bits of the hash that do not choose the place in the table; the parts of an entry, exactly;
    // the lowest bits of a clock.
    let (tag, now) = ((flow >> 48) as u16, (now_ms >> 10) as u16);
    let (their_tag, last, known) = ((entry >> 48) as u16, (entry >> 32) as u16, entry as u32);
    let ahead = seq.since(Seq(known));
    // Another CPU may have read the clock a tick later, and have been here first.
    let age = now.wrapping_add(1).wrapping_sub(last);
    // What comes again is the first segment; the others are behind it. An entry of which none came is one of an
    // earlier rule.
    if entry != 0 && tag == their_tag && ahead > 0 && age <= FORGET_AFTER {
        return (entry, Seq(known));
    }
    let seen = if silent {
        now.wrapping_sub(FORGET_AFTER - FORGET_OCTET_AFTER)
    } else {
        now
    };
    // CAST: widening.
    let entry = (tag as u64) << 48 | (seen as u64) << 32 | seq.0 as u64;
    (entry, seq)
}

/// After how many times 1.024 s without its first segment an entry is no longer believed: retransmissions
/// come every 120 s at least, and timers are late by up to an eighth.
const FORGET_AFTER: u16 = 150;

/// The same for a single octet: what was typed comes again soon, and a keep-alive with an octet of no meaning
/// (Windows) starts before RCV.NXT.
const FORGET_OCTET_AFTER: u16 = 3;
