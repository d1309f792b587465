// SPDX-License-Identifier: GPL-2.0

//! The budget of a source: a burst, and then one in an interval, whatever the clock says.

use proptest::prelude::*;
use tarpit::rate_limit::token_bucket_take;

use super::{numbers, tries};

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn a_source_gets_its_burst_and_one_in_an_interval_and_no_more(
        interval_ms in 2u32..100_000,
        burst in 1u32..100,
        begin in numbers(),
        waits in prop::collection::vec(0u32..200_000, 0..300),
    ) {
        let (mut entry, mut elapsed, mut granted) = (0, 0, 0);
        for wait in [0; 100].into_iter().chain(waits) {
            elapsed += wait;
            let spent = token_bucket_take(entry, begin.wrapping_add(elapsed), interval_ms, burst);
            // Where the entry would be zero, it is a millisecond too early.
            let due = burst + (elapsed + 1) / interval_ms;
            match spent {
                Some(after) => {
                    entry = after;
                    granted += 1;
                    prop_assert!(granted <= due, "{granted} after {elapsed} ms");
                }
                None => prop_assert!(granted >= burst, "{granted} after {elapsed} ms"),
            }
        }
        // Who waits for an interval gets one.
        let later = begin.wrapping_add(elapsed).wrapping_add(interval_ms);
        prop_assert!(token_bucket_take(entry, later, interval_ms, burst).is_some());
    }
}
