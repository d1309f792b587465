// SPDX-License-Identifier: GPL-2.0

//! Budgets for replies that could otherwise be provoked without end ([`crate::tarpit::Limit`]).
//!
//! A table of fixed size, no allocation, no lock: each entry is one word that holds when its budget
//! will be whole again (a token bucket in the form of the generic cell rate algorithm). Who
//! shares an entry shares its budget. Only the replies that carry a limit come here.

use crate::tarpit::Limit;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// One reply every two seconds ...
const INTERVAL_MS: u32 = 2_000;
/// ... and eight of them at once.
const BURST_MS: u32 = 8 * INTERVAL_MS;

/// With 10,000 sources at a time, two or three share a budget.
const BUCKETS: usize = 4096;

/// When each budget will be whole again.
static SOURCES: [Atomic<u32>; BUCKETS] = [const { Atomic::new(0) }; BUCKETS];

/// Takes one reply out of its budget; whether there was one left.
pub(super) fn admit(limit: Limit, now_ms: u32) -> bool {
    match limit {
        Limit::None => true,
        Limit::Source(bucket) => take(bucket, now_ms),
    }
}

fn take(bucket: u32, now_ms: u32) -> bool {
    // CAST: widening; the remainder is an index of the table.
    let Some(whole_at) = SOURCES.get(bucket as usize % BUCKETS) else {
        return false;
    };
    let seen = whole_at.load(Relaxed);
    // What was due long ago is whole. It may look due again for a moment each time that the clock
    // wraps, and an unused one just before it does: that costs some replies then, no more.
    let owed = match seen.wrapping_sub(now_ms) {
        owed @ 0..=BURST_MS => owed,
        _ => 0,
    };
    if owed > BURST_MS - INTERVAL_MS {
        return false;
    }
    let after = now_ms.wrapping_add(owed).wrapping_add(INTERVAL_MS);
    // Another CPU was faster with this very budget: that was the reply.
    whole_at.cmpxchg(seen, after, Relaxed).is_ok()
}
