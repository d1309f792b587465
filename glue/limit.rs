// SPDX-License-Identifier: GPL-2.0

//! The rate limits of replies ([`crate::tarpit::RateLimit`]).
//!
//! Each network namespace has a counter for each CPU and a table of fixed size. There is no
//! allocation and no lock: an entry is one word. Two sources with one entry share its token bucket.

use super::{
    abi::{
        State,
        TABLE_SIZE, //
    },
    skb::Incoming, //
};
use crate::{
    module_parameters::{
        source_burst,
        source_interval_ms,
        syn_limit, //
    },
    tarpit::{
        rate_limit::token_bucket_take,
        RateLimit, //
    },
};
use core::borrow::Borrow;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// A module parameter's value, of which Linux 7.2 lends a reference, and 7.3 a copy.
#[inline]
fn value(lent: impl Borrow<u32>) -> u32 {
    *lent.borrow()
}

/// Checks the parameters of the module: an interval of at most an hour, and a rate limit whose
/// burst is whole again after at most a day.
pub(super) fn check_parameters() -> Result {
    let whole_ms = value(source_burst.value()).checked_mul(value(source_interval_ms.value()));
    match (value(source_interval_ms.value()), whole_ms) {
        (1..=3_600_000, Some(1..=86_400_000)) => Ok(()),
        (interval, _) => {
            pr_err!(
                "source_interval_ms={} with source_burst={} is out of range: 1 to 3600000, times burst at most 86400000\n",
                interval,
                value(source_burst.value())
            );
            Err(EINVAL)
        }
    }
}

/// Takes a reply to `incoming` from its rate limit, if it has one. Returns true if it may be sent.
/// `source_bucket` returns the number of the source.
#[inline(always)]
pub(super) fn is_within_limit(
    limit: RateLimit,
    source_bucket: impl FnOnce() -> u32,
    state: &State,
    incoming: &Incoming<'_>,
    now_ms: u32,
) -> bool {
    match limit {
        RateLimit::None => true,
        RateLimit::Shared => shared_limit_ok(incoming, now_ms),
        RateLimit::Source => source_limit_ok(state, source_bucket(), now_ms),
    }
}

/// Counts a reply to an unverified segment, on this CPU. Returns true if it is within `syn_limit`.
#[inline(never)]
fn shared_limit_ok(incoming: &Incoming<'_>, now_ms: u32) -> bool {
    let limit = value(syn_limit.value());
    limit == 0 || incoming.unverified_in(now_ms >> 10) <= limit
}

/// Takes a reply from the token bucket of a source. Returns false if the bucket is empty.
#[inline(never)]
fn source_limit_ok(state: &State, bucket: u32, now_ms: u32) -> bool {
    // CAST: widening; the remainder is an index of the table.
    let Some(full_at) = state.sources.get(bucket as usize % TABLE_SIZE) else {
        return false;
    };
    let seen = full_at.load(Relaxed);
    let interval_ms = value(source_interval_ms.value());
    match token_bucket_take(seen, now_ms, interval_ms, value(source_burst.value())) {
        // Another CPU was faster with this very entry: it has sent the reply.
        Some(after) => full_at.cmpxchg(seen, after, Relaxed).is_ok(),
        None => false,
    }
}
