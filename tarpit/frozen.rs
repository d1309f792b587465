// SPDX-License-Identifier: GPL-2.0

//! RCV.NXT of a frozen connection, as an entry of a table records it.

use super::seq::Seq;

/// The age in units of 1.024 s up to which an entry without its first segment is valid:
/// retransmissions come every 120 s at least, and timers are late by up to an eighth.
const MAX_AGE: u16 = 150;

/// The same for a single byte: a client soon sends a typed byte again, and a keep-alive with a byte
/// of no meaning (Windows) starts before RCV.NXT.
const MAX_AGE_OF_SINGLE_BYTE: u16 = 3;

/// What is to be done before the reply to a midstream segment is sent: its segment is recorded, and
/// its acknowledgment replaced by RCV.NXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// True if the segment is to be recorded only, and gets no reply.
    pub record_only: bool,
}

/// Records a segment that starts at `seq`, of the connection with the number `flow`, in the `entry`
/// of a table. Returns the new entry and RCV.NXT of the connection.
///
/// An entry is a sequence number, the time of the last segment that started there, and a tag of the
/// connection. Zero is an empty entry.
#[inline]
pub const fn track_rcv_nxt(
    entry: u64,
    flow: u64,
    seq: Seq,
    freeze: Freeze,
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
    let recorded = if freeze.record_only {
        now.wrapping_sub(MAX_AGE - MAX_AGE_OF_SINGLE_BYTE)
    } else {
        now
    };
    // CAST: widening.
    let entry = (tag as u64) << 48 | (recorded as u64) << 32 | seq.0 as u64;
    (entry, seq)
}
