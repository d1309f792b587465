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
use common::{LINUX, PLAIN};

const DAY_S: u64 = 86_400;

/// A client that wrote 200 octets and closed at once, over a path without losses.
const ORPHAN: Case = Case {
    policy: PLAIN,
    timestamps: true,
    wrote: 200,
    closes: true,
    rtt_ms: 100,
    lost: 0,
    hz: 250,
    seed: 1,
};

fn held(case: Case) -> Outcome {
    let outcome = play(case, 7 * DAY_S);
    println!("{case:?}: {outcome:?}");
    outcome
}

/// What many clients of a kind make of losses.
fn many(case: Case) -> Vec<Outcome> {
    (1..100)
        .map(|seed| play(Case { seed, ..case }, 7 * DAY_S))
        .collect()
}

fn median_held_s(case: Case) -> u64 {
    let mut held: Vec<_> = many(case).iter().map(|outcome| outcome.held_s).collect();
    held.sort_unstable();
    held[held.len() / 2]
}

#[test]
fn holds_a_client_that_wrote_and_closed_for_half_a_day() {
    // However coarse its timers are, near or far.
    for hz in [100, 250, 300, 1000] {
        for rtt_ms in [0, 10, 50, 100, 200, 300, 600, 1000] {
            for seed in 1..4 {
                let outcome = held(Case {
                    hz,
                    rtt_ms,
                    seed,
                    ..ORPHAN
                });
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
fn holds_one_that_wrote_little_by_each_octet() {
    for rtt_ms in [0, 100, 300] {
        for (wrote, least_s) in [(2, 100), (10, 900), (24, 170), (25, 370), (40, 4_400)] {
            let outcome = held(Case {
                wrote,
                rtt_ms,
                ..ORPHAN
            });
            assert!(outcome.held_s >= least_s, "RTT {rtt_ms} ms: {outcome:?}");
        }
    }
}

/// What real Linux made of it at RTT 0 was 110, 1,785, 1,905, 3,721 and 23,201 s.
const UNTIMED: [(u32, u64); 5] = [
    (10, 100),
    (24, 1_700),
    (25, 1_800),
    (40, 3_600),
    (200, 22_800),
];

#[test]
fn holds_one_without_timestamps_by_each_octet() {
    for (wrote, least_s) in UNTIMED {
        let outcome = held(Case {
            timestamps: false,
            wrote,
            rtt_ms: 0,
            ..ORPHAN
        });
        assert!(outcome.held_s >= least_s, "{outcome:?}");
        assert!(outcome.held_s <= least_s + least_s / 10, "{outcome:?}");
    }
}

#[test]
fn holds_one_without_timestamps_that_is_far_away() {
    // Its FIN is on its way before the first answer has come.
    for rtt_ms in [100, 300] {
        for (wrote, least_s) in UNTIMED {
            let outcome = held(Case {
                timestamps: false,
                wrote,
                rtt_ms,
                ..ORPHAN
            });
            assert!(outcome.held_s >= least_s, "RTT {rtt_ms} ms: {outcome:?}");
        }
    }
}

#[test]
fn holds_one_with_all_of_its_octets_in_flight() {
    for rtt_ms in [0, 100, 300] {
        for (wrote, least_s) in [(10, 900), (24, 2_500), (40, 4_400), (200, 23_000)] {
            let outcome = held(Case {
                policy: LINUX,
                wrote,
                rtt_ms,
                ..ORPHAN
            });
            assert!(outcome.held_s >= least_s, "RTT {rtt_ms} ms: {outcome:?}");
            assert!(
                wrote < 200 || outcome.packets_per_hour() < 40,
                "{outcome:?}"
            );
        }
    }
}

#[test]
fn takes_no_fin_whatever_was_written() {
    // The model panics when its FIN is acknowledged.
    for policy in [PLAIN, LINUX] {
        for timestamps in [true, false] {
            for wrote in (0..=66).chain([95, 127, 1347, 1348, 1349, 3000]) {
                let outcome = held(Case {
                    policy,
                    timestamps,
                    wrote,
                    ..ORPHAN
                });
                assert!(outcome.taken <= wrote);
            }
        }
    }
}

#[test]
fn holds_it_for_a_while_where_packets_are_lost() {
    for (lost, least_s) in [(1, 30_000), (10, 5_000), (50, 1_000)] {
        for rtt_ms in [0, 100, 300] {
            let held_s = median_held_s(Case {
                rtt_ms,
                lost,
                ..ORPHAN
            });
            println!("RTT {rtt_ms} ms, {lost} in 1000 lost: {held_s} s");
            assert!(held_s >= least_s, "RTT {rtt_ms} ms, {lost}: {held_s} s");
        }
    }
}

#[test]
fn tells_how_long_it_was_held() {
    // The time after the last answer, until the client gives up, is told to nobody: one timeout or
    // two, which is much of the little that it is held where much is lost.
    for rtt_ms in [0, 100, 300] {
        for (lost, least_percent) in [(0, 99), (10, 95), (50, 80)] {
            let outcomes = many(Case {
                rtt_ms,
                lost,
                ..ORPHAN
            });
            let held_s: u64 = outcomes.iter().map(|outcome| outcome.held_s).sum();
            let trapped_s: u64 = outcomes.iter().map(|outcome| outcome.trapped_s).sum();
            println!("RTT {rtt_ms} ms, {lost} in 1000 lost: {trapped_s} of {held_s} s");
            assert!(trapped_s * 100 >= held_s * least_percent);
            assert!(trapped_s <= held_s);
        }
    }
}

#[test]
fn never_lets_a_client_go_that_waits() {
    for rtt_ms in [0, 100, 300] {
        for (policy, timestamps) in [(PLAIN, true), (PLAIN, false), (LINUX, true)] {
            for wrote in [1, 10, 24, 1000] {
                let outcome = held(Case {
                    policy,
                    timestamps,
                    wrote,
                    closes: false,
                    rtt_ms,
                    seed: rtt_ms + 1,
                    ..ORPHAN
                });
                assert!(outcome.held, "{outcome:?}");
                assert!(outcome.packets_per_hour() <= 32, "{outcome:?}");
            }
        }
    }
}
