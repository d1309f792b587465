// SPDX-License-Identifier: GPL-2.0

//! Rate limits for replies that could otherwise be provoked without end ([`crate::tarpit::Limit`]), and
//! the RCV.NXT of frozen connections.
//!
//! A counter for each CPU, and two tables of fixed size for each network namespace; no allocation, no
//! lock: an entry is one word. Two sources with one entry share its rate limit. Only replies that carry a
//! limit come here.

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
        frozen::remember,
        reply::spend,
        Answer,
        Limit, //
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

/// Checks the parameters of the module: an interval of at most an hour, and a rate limit whose burst is
/// whole again after at most a day.
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

/// What the rate limits say of an answer.
pub(super) enum Admission {
    /// It may go out.
    Granted,
    /// Its rate limit is exceeded.
    Refused,
    /// It is none: its segment was to be remembered only.
    Silent,
}

/// Takes an answer to `incoming` out of its rate limit, if it has one.
#[inline(always)]
pub(super) fn admit(
    limit: Limit,
    answer: &mut Answer,
    state: &State,
    incoming: &Incoming<'_>,
    now_ms: u32,
) -> Admission {
    match limit {
        Limit::None => Admission::Granted,
        _ => admit_limited(limit, answer, state, incoming, now_ms),
    }
}

#[inline(never)]
fn admit_limited(
    limit: Limit,
    answer: &mut Answer,
    state: &State,
    incoming: &Incoming<'_>,
    now_ms: u32,
) -> Admission {
    let admitted = match limit {
        Limit::None => true,
        Limit::Everyone => everyone(incoming, now_ms),
        Limit::Source(bucket) => take(state, bucket, now_ms),
        Limit::Frozen {
            source,
            flow,
            silent,
        } => {
            let known = recall(state, flow, silent, answer, now_ms);
            if silent {
                return Admission::Silent;
            }
            known && take(state, source, now_ms)
        }
    };
    match admitted {
        true => Admission::Granted,
        false => Admission::Refused,
    }
}

/// Counts an answer to an unverified segment, on this CPU. Returns true if it is within `syn_limit`.
#[inline]
fn everyone(incoming: &Incoming<'_>, now_ms: u32) -> bool {
    let limit = value(syn_limit.value());
    limit == 0 || incoming.unverified_in(now_ms >> 10) <= limit
}

/// Sets the acknowledgment of an answer to RCV.NXT of the connection that it freezes. Returns false if
/// that is not known.
fn recall(state: &State, flow: u64, silent: bool, answer: &mut Answer, now_ms: u32) -> bool {
    // CAST: the remainder is an index of the table.
    let Some(entry) = state.frozen.get(flow as usize % TABLE_SIZE) else {
        return false;
    };
    let seen = entry.load(Relaxed);
    let (new, ack) = remember(seen, flow, answer.ack, silent, now_ms);
    answer.ack = ack;
    // Another CPU was faster: that may have been the first segment.
    new == seen || entry.cmpxchg(seen, new, Relaxed).is_ok()
}

/// Takes an answer out of the rate limit of a source. Returns false if that is exceeded.
fn take(state: &State, bucket: u32, now_ms: u32) -> bool {
    // CAST: widening; the remainder is an index of the table.
    let Some(whole_at) = state.sources.get(bucket as usize % TABLE_SIZE) else {
        return false;
    };
    let seen = whole_at.load(Relaxed);
    let interval_ms = value(source_interval_ms.value());
    match spend(seen, now_ms, interval_ms, value(source_burst.value())) {
        // Another CPU was faster with this very entry: that was the reply.
        Some(after) => whole_at.cmpxchg(seen, after, Relaxed).is_ok(),
        None => false,
    }
}
