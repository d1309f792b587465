// SPDX-License-Identifier: GPL-2.0

//! Laws that hold for every packet and every exchange, tried with random ones. Each reply is also
//! compared with the oracle.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../common/mod.rs"]
mod common;

mod any_packet;
mod budget;
mod exchange;
mod facing;
mod frozen;
mod receiver;
mod unsent;

use std::net::IpAddr;

use common::{ask_oracle, Family, Fields, ReplyPacket, DRIP, MODES, MSS, RESET};
use proptest::prelude::*;
use tarpit::{DropReason, Env, Key, Policy};

/// Shows the core a packet of `len` bytes of which `headers` can be read. Asserts that the oracle
/// expects what comes of it.
fn ask(
    policy: Policy,
    family: Family,
    headers: &[u8],
    len: usize,
    key: &Key,
    now_ms: u32,
) -> Result<ReplyPacket, DropReason> {
    let env = Env {
        key,
        now_ms,
        wire: None,
    };
    ask_oracle(&env, MSS, policy, family, headers, len)
}

/// What to try `cases` times, or as often as PROPTEST_CASES says. A failure prints its smallest
/// example; one that was a bug becomes a test of its own, so nothing is written into the tree.
fn tries(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.map_or(cases, |asked| asked.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

// Strategies.

fn keys() -> impl Strategy<Value = Key> {
    any::<[u64; 2]>().prop_map(Key)
}

/// Rules in any mode, with options or without.
fn policies() -> impl Strategy<Value = Policy> {
    let hop_limits = prop_oneof![Just(0), any::<u8>()];
    let windows = prop_oneof![3 => Just(0), 1 => any::<u16>()];
    (prop::sample::select(MODES.to_vec()), hop_limits, windows).prop_map(
        |(policy, hop_limit, window)| {
            let windowless = [DRIP, RESET].contains(&policy);
            Policy {
                hop_limit,
                window: if windowless { 0 } else { window },
                ..policy
            }
        },
    )
}

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

/// Two addresses of one family that may be answered.
fn address_pairs() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(mut source, mut destination)| {
            source[0] = source[0] % 223 + 1;
            destination[0] = destination[0] % 223 + 1;
            (IpAddr::from(source), IpAddr::from(destination))
        }),
        any::<([u8; 16], [u8; 16])>().prop_map(|(mut source, mut destination)| {
            source[0] = 0x20;
            destination[0] = 0xfd;
            (IpAddr::from(source), IpAddr::from(destination))
        }),
    ]
}

/// Numbers, and among them often those where something wraps.
fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        (0u32..64).prop_map(|distance| distance.wrapping_sub(32)),
    ]
}

/// Control bits: any, and mostly those of honest segments.
fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0x02u8, 0x10, 0x18, 0x11, 0x12, 0xc2]),
    ]
}

/// TCP options as a sender might pack them, or as none would.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        4 => any::<[u8; 8]>().prop_map(|stamps| [&[8, 10], &stamps[..]].concat()),
        2 => any::<[u8; 2]>().prop_map(|mss| [&[2, 4], &mss[..]].concat()),
        2 => any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        2 => Just(vec![4, 2]),
        2 => Just(vec![1]),
        1 => Just(vec![0]),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(one, 0..6).prop_map(|options| {
        let mut options = options.concat();
        options.truncate(40);
        options
    })
}

fn fields() -> impl Strategy<Value = Fields> {
    let payload = prop_oneof![Just(0usize), 1usize..40, 0usize..1500];
    (
        any::<(u16, u16)>(),
        (numbers(), numbers()),
        (0u8..16, flags()),
        any::<(u16, u16)>(),
        options(),
        payload,
    )
        .prop_map(
            |(ports, numbers, (reserved, flags), (window, urgent), options, payload)| Fields {
                source: ports.0,
                destination: ports.1,
                seq: numbers.0,
                ack: numbers.1,
                reserved,
                flags,
                window,
                urgent,
                options,
                payload,
            },
        )
}
