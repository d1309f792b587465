// SPDX-License-Identifier: GPL-2.0

//! Budgets for replies that could otherwise be provoked without end ([`crate::tarpit::Limit`]), and
//! where frozen connections go on.
//!
//! A counter for each CPU, and two tables of fixed size; no allocation, no lock: an entry is one word. Who
//! shares an entry of a budget shares that. Only the replies that carry a limit come here.

use super::abi;
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
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A module parameter's value, of which Linux 7.2 lends a reference, and 7.3 a copy.
#[inline]
fn value(lent: impl Borrow<u32>) -> u32 {
    *lent.borrow()
}

/// Judges the parameters of the module: an interval of at most an hour, and a budget that is whole
/// again after at most a day.
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

/// With 10,000 sources at a time, two or three share a budget.
const BUCKETS: usize = 4096;

/// The budgets of the sources ([`spend`]).
static SOURCES: [Atomic<u32>; BUCKETS] = [const { Atomic::new(0) }; BUCKETS];

/// The connections that were running before their rule ([`remember`]). Who shares an entry takes it over.
static FROZEN: [Atomic<u64>; BUCKETS] = [const { Atomic::new(0) }; BUCKETS];

/// Whether an answer may go out.
pub(super) enum Admission {
    /// It may.
    Granted,
    /// Its budget has no room.
    Refused,
    /// It is none: its segment was to be remembered only.
    Silent,
}

/// Takes an answer out of its budget.
#[inline]
pub(super) fn admit(limit: Limit, answer: &mut Answer, now_ms: u32) -> Admission {
    let admitted = match limit {
        Limit::None => true,
        Limit::Everyone => everyone(now_ms),
        Limit::Source(bucket) => take(bucket, now_ms),
        Limit::Frozen {
            source,
            flow,
            silent,
        } => {
            let known = thaw_at(flow, silent, answer, now_ms);
            if silent {
                return Admission::Silent;
            }
            known && take(source, now_ms)
        }
    };
    match admitted {
        true => Admission::Granted,
        false => Admission::Refused,
    }
}

/// Counts an answer to somebody who may be anybody, on this CPU; whether that is one too many in this second.
#[inline]
fn everyone(now_ms: u32) -> bool {
    let limit = value(syn_limit.value());
    // SAFETY: the target is called with bottom halves disabled: by the table's traversal, or in softirq.
    limit == 0 || unsafe { abi::xt_tarpit_unverified(now_ms >> 10) } <= limit
}

/// Lets an answer acknowledge nothing of the connection that it freezes; whether it is known what that is.
fn thaw_at(flow: u64, silent: bool, answer: &mut Answer, now_ms: u32) -> bool {
    // CAST: the remainder is an index of the table.
    let Some(entry) = FROZEN.get(flow as usize % BUCKETS) else {
        return false;
    };
    let seen = entry.load(Relaxed);
    let (new, ack) = remember(seen, flow, answer.ack, silent, now_ms);
    answer.ack = ack;
    // Another CPU was faster: that may have been the first segment.
    new == seen || entry.cmpxchg(seen, new, Relaxed).is_ok()
}

fn take(bucket: u32, now_ms: u32) -> bool {
    // CAST: widening; the remainder is an index of the table.
    let Some(whole_at) = SOURCES.get(bucket as usize % BUCKETS) else {
        return false;
    };
    let seen = whole_at.load(Relaxed);
    let interval_ms = value(source_interval_ms.value());
    match spend(seen, now_ms, interval_ms, value(source_burst.value())) {
        // Another CPU was faster with this very budget: that was the reply.
        Some(after) => whole_at.cmpxchg(seen, after, Relaxed).is_ok(),
        None => false,
    }
}
