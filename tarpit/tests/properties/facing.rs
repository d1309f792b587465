// SPDX-License-Identifier: GPL-2.0

//! Two hosts with rules, and one packet that somebody sends to the first in the name of the second.

use std::net::IpAddr;

use oracle::{Reply, Segment};
use proptest::prelude::*;
use tarpit::{Key, Policy};

use super::any_packet::{packets, Asked};
use super::common::{
    client_packet, known, read_reply, rule, Family, DRIP, KEY, LINUX, MODES, PLAIN, RESET,
};
use super::{ask, keys, tries};

/// One of the two.
#[derive(Clone, Copy, Debug)]
struct Host {
    policy: Policy,
    key: Key,
}

impl Host {
    /// Returns true if the numbers of a packet, which are none of this host's, pass for its own by
    /// chance.
    fn is_fooled_by(&self, packet: &[u8], now_ms: u32) -> bool {
        let sent = Segment::read(packet, packet.len()).unwrap();
        known(&self.key, now_ms, &self.policy, &sent).fits(rule(&self.policy).mode, &sent)
    }
}

/// Sends a packet to the first host. Asserts that each answers once at most, and how often that was.
fn face(hosts: [Host; 2], mut packet: Vec<u8>, now_ms: u32) -> [u32; 2] {
    let family = if packet[0] >> 4 == 4 {
        Family::V4
    } else {
        Family::V6
    };
    let mut answers = [0; 2];
    let mut last = None::<Reply>;
    for turn in [0, 1].into_iter().cycle() {
        let Host { policy, key } = hosts[turn];
        let Ok(answer) = ask(policy, family, &packet, packet.len(), &key, now_ms) else {
            break;
        };
        let heard = read_reply(&answer.packet);
        if last.is_some() && !heard.tcp.rst && hosts[turn].is_fooled_by(&packet, now_ms) {
            // With odds of 2^-8 at most each time, and so not for long.
            break;
        }
        // To an answer there is none but a reset.
        assert!(last.is_none() || heard.tcp.rst, "{last:?}: {heard:?}");
        answers[turn] += 1;
        assert!(answers[turn] <= 1, "{last:?}: {heard:?}");
        packet = answer.packet;
        last = Some(heard);
    }
    answers
}

/// Every rule at each of the two.
fn pairs() -> impl Iterator<Item = [Policy; 2]> {
    MODES
        .into_iter()
        .flat_map(|first| MODES.map(|second| [first, second]))
}

proptest! {
    #![proptest_config(tries(300))]

    #[test]
    fn one_packet_makes_each_of_two_hosts_answer_once_at_most(
        asked in packets(),
        other in prop::option::of(keys()),
    ) {
        let Asked { key, now_ms, .. } = asked;
        for [first, second] in pairs() {
            let hosts = [
                Host { policy: first, key },
                // The same key makes no difference, as the flow is another.
                Host { policy: second, key: other.unwrap_or(key) },
            ];
            face(hosts, asked.bytes.clone(), now_ms);
        }
    }
}

#[test]
fn a_packet_with_any_control_bits_makes_each_of_two_hosts_answer_once_at_most() {
    let ends: [[IpAddr; 2]; 2] = [
        ["192.0.2.1", "198.51.100.2"],
        ["2001:db8:0:1::1", "2001:db8:0:2::2"],
    ]
    .map(|pair| pair.map(|address| address.parse().unwrap()));
    let timestamps = [
        [1, 1, 8, 10],
        [0x11, 0x22, 0x33, 0x44],
        [0x55, 0x66, 0x77, 0x88],
    ]
    .concat();
    for [first, second] in pairs() {
        let hosts = [
            Host {
                policy: first,
                key: KEY,
            },
            Host {
                policy: second,
                key: Key([1, 2]),
            },
        ];
        let (mut answered, mut answered_again) = (0, 0);
        for [source, destination] in ends {
            for options in [vec![], timestamps.clone()] {
                for flags in 0..=0xff {
                    for payload in [0, 1, 2, 3, 24, 1400] {
                        let packet = client_packet(
                            (source, 40_000),
                            (destination, 23),
                            (0xdead_beef, 0xcafe_babe),
                            flags,
                            options.clone(),
                            payload,
                        );
                        let [one, other] = face(hosts, packet, 0x5000_0045);
                        answered += one;
                        answered_again += other;
                    }
                }
            }
        }
        // PSH, URG, ECE and CWR make no difference: 16 segments of each kind, of six lengths (four of
        // which freeze), with timestamps and without, in two families.
        let kinds = |kinds: u32| kinds * 16 * 6 * 4;
        let frozen = 2 * 16 * 4 * 4;
        let (syn, syn_ack) = (kinds(1), kinds(1));
        if first == RESET {
            assert_eq!((answered, answered_again), (kinds(8), 0));
        } else {
            let holds = [PLAIN, LINUX, DRIP].contains(&first);
            let frozen = if holds { frozen } else { 0 };
            assert_eq!(answered, syn + syn_ack + frozen);
            // The SYN-ACK is reset, what freezes only by those who reset.
            let reset = if second == RESET { frozen } else { 0 };
            assert_eq!(answered_again, syn + reset);
        }
    }
}
