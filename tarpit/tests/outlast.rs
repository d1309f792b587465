// SPDX-License-Identifier: GPL-2.0

//! How long the rules of the table hold Linux: virtual days against the model in `common::linux`.
//! What the real one does is measured in tests/vm/icount.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use common::linux::{play, Case, Outcome};

const DAY_S: u64 = 86_400;

/// A client that wrote 200 octets and closed at once.
fn orphan(rtt_ms: u64, lost: u64, hz: u64, seed: u64) -> Outcome {
    let case = Case {
        wrote: 200,
        closes: true,
        rtt_ms,
        lost,
        hz,
        seed,
    };
    play(case, 7 * DAY_S)
}

/// The middle of what many clients of a kind make of losses.
fn median_held_s(rtt_ms: u64, lost: u64) -> u64 {
    let mut held: Vec<_> = (1..100)
        .map(|seed| orphan(rtt_ms, lost, 250, seed).held_s)
        .collect();
    held.sort_unstable();
    held[held.len() / 2]
}

#[test]
fn holds_a_client_that_wrote_and_closed_for_half_a_day() {
    // However coarse its timers are, near or far.
    for hz in [100, 250, 300, 1000] {
        for rtt_ms in [0, 10, 50, 100, 200, 300, 600, 1000] {
            for seed in 1..4 {
                let outcome = orphan(rtt_ms, 0, hz, seed);
                println!("HZ {hz}, RTT {rtt_ms} ms: {outcome:?}");
                assert!(outcome.held_s >= 43_200, "{hz} {rtt_ms}: {outcome:?}");
                assert!(
                    outcome.packets_per_hour() < 60,
                    "{hz} {rtt_ms}: {outcome:?}"
                );
            }
        }
    }
}

#[test]
fn holds_it_for_a_while_where_packets_are_lost() {
    for rtt_ms in [0, 100, 300] {
        for (lost, least_s) in [(1, 30_000), (10, 5_000), (50, 1_000)] {
            let held_s = median_held_s(rtt_ms, lost);
            println!("RTT {rtt_ms} ms, {lost} in 1000 lost: {held_s} s");
            assert!(held_s >= least_s, "RTT {rtt_ms} ms, {lost}: {held_s} s");
        }
    }
}

#[test]
fn never_lets_a_client_go_that_waits() {
    for rtt_ms in [0, 100, 300] {
        let case = Case {
            wrote: 1000,
            closes: false,
            rtt_ms,
            lost: 0,
            hz: 250,
            seed: rtt_ms + 1,
        };
        let outcome = play(case, 7 * DAY_S);
        println!("RTT {rtt_ms} ms: {outcome:?}");
        assert!(outcome.held, "{outcome:?}");
        assert!(outcome.packets_per_hour() <= 32, "{outcome:?}");
    }
}
