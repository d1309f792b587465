// SPDX-License-Identifier: GPL-2.0

//! A connection that was running before the rule: what its client still has to send, it keeps.

use proptest::prelude::*;
use tarpit::frozen::track_rcv_nxt;
use tarpit::seq::Seq;
use tarpit::Freeze;

use super::{numbers, tries};

/// As long as a retransmission of Linux may take: 120 s, and an eighth for the timer wheel.
const LONGEST_MS: u32 = 135_000;

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn nothing_is_acknowledged_of_a_frozen_connection(
        flow in any::<u64>(),
        // An entry of another connection.
        (before, tag) in (any::<u64>(), 1u64..1 << 16),
        first in numbers(),
        now_ms in numbers(),
        segments in prop::collection::vec((0u32..1 << 30, 0u32..40_000), 0..100),
    ) {
        let mut entry = before & (u64::MAX >> 16) | (flow ^ tag << 48) & !(u64::MAX >> 16);
        let (mut now_ms, mut quiet) = (now_ms, 0);
        let mut send = |distance, now_ms| {
            let (new, ack) = track_rcv_nxt(entry, flow, Seq(first.wrapping_add(distance)), Freeze { record_only: false }, now_ms);
            entry = new;
            ack
        };
        prop_assert_eq!(send(0, now_ms), Seq(first));
        for (distance, wait) in segments {
            // In time the first one comes again.
            if quiet + wait > LONGEST_MS {
                prop_assert_eq!(send(0, now_ms), Seq(first));
                quiet = 0;
            }
            (now_ms, quiet) = (now_ms.wrapping_add(wait), quiet + wait);
            prop_assert_eq!(send(distance, now_ms), Seq(first));
        }
    }
}
