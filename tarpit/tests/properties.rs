// SPDX-License-Identifier: GPL-2.0

//! Laws that hold for every packet and every exchange, tried with random ones.
//!
//! Packets are random bytes, and headers that are valid but for random fields, so that the deep
//! arms of the table are reached; half of those carry numbers that fit a connection of ours.
//! Exchanges are a [`Client`] and a network that loses, repeats and reorders, driven by a random
//! script.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use std::collections::VecDeque;
use std::net::IpAddr;

use common::client::{Client, Setup, Taken};
use common::{
    ask, family, packet, summed, Answer, Fields, Heard, Look, BANNER, DRIP, LINUX, PLAIN, POLICIES,
    THEIRS,
};
use proptest::prelude::*;
use tarpit::tarpit::ip::Addresses;
use tarpit::tarpit::isn::{Flow, Ports};
use tarpit::tarpit::seq::Seq;
use tarpit::tarpit::{Family, Key, Limit, Policy, Silence};

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

fn policies() -> impl Strategy<Value = Policy> {
    prop::sample::select(POLICIES.to_vec())
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

/// A packet of a peer that has a whole TCP header, and the world that it meets.
#[derive(Clone, Debug)]
struct Asked {
    policy: Policy,
    bytes: Vec<u8>,
    family: Family,
    key: Key,
    now_ms: u32,
    /// How far into its stream it starts, if its numbers fit a connection of ours.
    start: Option<i32>,
}

impl Asked {
    fn answer(&self) -> Result<Answer, Silence> {
        ask(
            self.policy,
            self.family,
            &self.bytes,
            self.bytes.len(),
            &self.key,
            self.now_ms,
        )
    }
}

/// A SYN of a connection, the SYN-ACK to which is heard.
fn heard_syn_ack(
    policy: Policy,
    (source, destination): (IpAddr, IpAddr),
    ports: (u16, u16),
    isn: u32,
    key: &Key,
    now_ms: u32,
) -> Heard {
    let syn = Fields {
        source: ports.0,
        destination: ports.1,
        seq: isn,
        ack: 0,
        reserved: 0,
        flags: 0x02,
        window: 64240,
        urgent: 0,
        options: vec![2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
        payload: 0,
    };
    let syn = packet(source, destination, THEIRS, &syn.bytes());
    let answer = ask(policy, family(source), &syn, syn.len(), key, now_ms).unwrap();
    Heard::read(&answer.packet)
}

/// Packets with any fields; of half of them the numbers fit a connection of ours, more or less.
fn packets() -> impl Strategy<Value = Asked> {
    let distance = prop_oneof![
        4 => -3i32..40,
        1 => -200i32..200,
        1 => (1i32 << 17) - 3..(1 << 17) + 3,
    ];
    let looks =
        any::<(u8, u32, u16, bool, u8)>().prop_map(|(class, label, id, whole, hop_limit)| {
            let fragment = if whole { 0x4000 } else { 0 };
            let label = label & 0xf_ffff;
            Look {
                class,
                label,
                id,
                fragment,
                hop_limit,
            }
        });
    (
        address_pairs(),
        fields(),
        looks,
        prop::option::of((distance, 0u32..256, 0u32..100_000, 0u32..70_000)),
        (keys(), policies()),
        numbers(),
    )
        .prop_map(
            |(addresses, mut fields, look, ours, (key, policy), now_ms)| {
                if let Some((distance, low, age, sent)) = ours {
                    let ports = (fields.source, fields.destination);
                    // Of any age; what drips may have been told that it has sent something.
                    let at = now_ms.wrapping_sub(age);
                    let heard = heard_syn_ack(policy, addresses, ports, fields.seq, &key, at);
                    fields.seq = heard
                        .tcp
                        .acknowledgment_number
                        .wrapping_add_signed(distance);
                    let sent = if policy == DRIP { sent } else { 0 };
                    fields.ack = heard.tcp.sequence_number.wrapping_add(1 + sent);
                    // An echo of some answer, if there are timestamps in the usual place.
                    if let [8, 10, _, _, _, _, echoed @ ..] = fields.options.as_mut_slice() {
                        let value = heard.timestamps.unwrap().0.wrapping_add(low);
                        if echoed.len() >= 4 {
                            echoed[..4].copy_from_slice(&value.to_be_bytes());
                        }
                    }
                }
                let (source, destination) = addresses;
                let tcp = summed(source, destination, fields.bytes());
                Asked {
                    policy,
                    bytes: packet(source, destination, look, &tcp),
                    family: family(source),
                    key,
                    now_ms,
                    start: ours.map(|(distance, ..)| distance),
                }
            },
        )
}

// Any packet.

/// Whether an answer is a whole packet (checksums, lengths, options, nothing of the peer's look) and
/// no longer than what it answers but for an octet of the banner, which only a rule that drips sends.
fn no_longer(answer: &Answer, len: usize, policy: Policy) -> bool {
    let heard = Heard::read(&answer.packet);
    let octet = match heard.payload {
        Some(octet) => {
            assert!(policy == DRIP && heard.timestamps.is_some());
            assert!(BANNER.contains(&octet));
            1
        }
        None => 0,
    };
    answer.packet.len() <= len.saturating_add(octet)
}

/// The TCP header of a packet of [`packets`], its timestamps, and the length of its payload.
fn sent(asked: &Asked) -> (etherparse::TcpHeader, Option<(u32, u32)>, u32) {
    let at = if asked.family == Family::V4 { 20 } else { 40 };
    let (tcp, payload) = etherparse::TcpHeader::from_slice(&asked.bytes[at..]).unwrap();
    let mut timestamps = None;
    for option in tcp.options_iterator() {
        match option {
            Ok(etherparse::TcpOptionElement::Timestamp(value, echo)) => {
                timestamps = Some((value, echo))
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    (tcp, timestamps, u32::try_from(payload.len()).unwrap())
}

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn no_bytes_of_any_length_make_it_panic(
        (policy, family) in (policies(), families()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        len in prop_oneof![any::<usize>(), 0usize..300],
        key in keys(),
        now_ms in any::<u32>(),
    ) {
        for len in [len, bytes.len()] {
            if let Ok(answer) = ask(policy, family, &bytes, len, &key, now_ms) {
                prop_assert!(no_longer(&answer, len, policy));
            }
        }
    }

    #[test]
    fn no_bytes_behind_a_good_ip_header_make_it_panic(
        asked in packets(),
        tcp in prop::collection::vec(any::<u8>(), 0..100),
        overwritten in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        len in prop_oneof![any::<usize>(), 0usize..2000],
        read in any::<prop::sample::Index>(),
    ) {
        let ip_len = if asked.family == Family::V4 { 20 } else { 40 };
        let mut other = asked.bytes[..ip_len].to_vec();
        other.extend(tcp);
        let mut bent = asked.bytes.clone();
        for (place, octet) in overwritten {
            *place.get_mut(&mut bent) = octet;
        }
        for bytes in [&other, &bent, &asked.bytes] {
            let readable = &bytes[..read.index(bytes.len() + 1)];
            for (headers, len) in [(bytes.as_slice(), len), (bytes, bytes.len()), (readable, len)] {
                let given =
                    ask(asked.policy, asked.family, headers, len, &asked.key, asked.now_ms);
                if let Ok(answer) = given {
                    prop_assert!(no_longer(&answer, len, asked.policy));
                }
            }
        }
    }

    #[test]
    fn extension_headers_in_any_order_are_looked_behind_or_refused(
        asked in packets().prop_filter("IPv6", |asked| asked.family == Family::V6),
        extensions in prop::collection::vec(
            (prop::sample::select(vec![0u8, 43, 44, 60, 51, 6, 17]), 0u8..3, any::<u8>()), 0..10),
    ) {
        let (header, tcp) = asked.bytes.split_at(40);
        let mut bytes = header.to_vec();
        let mut next_at = 6;
        for &(kind, words, filler) in &extensions {
            bytes[next_at] = kind;
            next_at = bytes.len();
            // A fragment header has one length, and is whole.
            let words = if kind == 44 { 0 } else { words };
            let filler = if kind == 44 { 0 } else { filler };
            bytes.extend([6, words]);
            bytes.resize(bytes.len() + 6 + usize::from(words) * 8, filler);
        }
        // A routing header whose filler says that segments are left is on its way to another host.
        let honest = extensions
            .iter()
            .all(|&(kind, _, filler)| ![6, 17, 51].contains(&kind) && (kind != 43 || filler == 0));
        bytes.extend(tcp);
        let extended = Asked { bytes, ..asked.clone() };
        let given = extended.answer();
        if honest && extensions.len() <= 8 {
            prop_assert_eq!(given, asked.answer());
        } else if honest {
            prop_assert_eq!(given, Err(Silence::NotTcp));
        } else if let Ok(answer) = given {
            prop_assert!(no_longer(&answer, extended.bytes.len(), asked.policy));
        }
    }

    #[test]
    fn an_answer_is_a_whole_packet_no_longer_than_what_it_answers(asked in packets()) {
        if let Ok(answer) = asked.answer() {
            prop_assert!(no_longer(&answer, asked.bytes.len(), asked.policy));
            // The way back: addresses and ports are those of the packet, turned around.
            let (addresses, ip_len) = match asked.family {
                Family::V4 => (12, 20),
                Family::V6 => (8, 40),
            };
            let middle = (addresses + ip_len) / 2;
            let turned = |packet: &[u8]| {
                let (there, back) = (&packet[middle..ip_len], &packet[addresses..middle]);
                [there, back, &packet[ip_len + 2..ip_len + 4], &packet[ip_len..ip_len + 2]].concat()
            };
            prop_assert_eq!(&turned(&asked.bytes), &answer.packet[addresses..ip_len + 4]);
        }
    }

    #[test]
    fn no_answer_acknowledges_data_that_were_not_sent_or_goes_back_in_time(asked in packets()) {
        let (tcp, timestamps, len) = sent(&asked);
        if let Ok(answer) = asked.answer() {
            let heard = Heard::read(&answer.packet);
            let beyond = heard.tcp.acknowledgment_number.wrapping_sub(tcp.sequence_number);
            prop_assert!(answer.trapped_ms <= 86_400_000);
            if heard.tcp.rst {
                prop_assert_eq!((beyond, heard.timestamps), (tcp.sequence_number.wrapping_neg(), None));
            } else if heard.tcp.syn {
                prop_assert_eq!(beyond, 1);
            } else {
                // An empty segment is answered where SND.UNA - 1 is said to be, and whoever sends a
                // garbage octet there means as much. At most as far back as the stamp's bits reach.
                let most = len.max(1);
                prop_assert!(beyond <= most, "{} octets of {}", beyond, len);
                prop_assert_eq!(heard.tcp.sequence_number, tcp.acknowledgment_number);
                prop_assert_eq!(heard.timestamps.is_some(), timestamps.is_some());
                if let (Some((value, _)), Some((_, echo))) = (heard.timestamps, timestamps) {
                    prop_assert!(value.wrapping_sub(echo) <= u32::MAX / 2, "{:x} {:x}", value, echo);
                }
            }
        }
    }

    #[test]
    fn no_answer_acknowledges_a_fin(asked in packets()) {
        let (tcp, _, len) = sent(&asked);
        // No stream ends where the SYN was.
        let ends = tcp.fin && !tcp.syn && asked.start.is_some_and(|start| start >= 0);
        if let (true, Ok(answer)) = (ends, asked.answer()) {
            let heard = Heard::read(&answer.packet);
            let beyond = heard.tcp.acknowledgment_number.wrapping_sub(tcp.sequence_number);
            prop_assert!(beyond <= len);
        }
    }

    #[test]
    fn checksums_are_right_at_every_carry(
        (source, destination) in address_pairs(),
        short in 0u32..40,
        ports in any::<(u16, u16)>(),
        key in keys(),
    ) {
        let mut fields = Fields {
            source: ports.0,
            destination: ports.1,
            seq: 0,
            ack: 0,
            reserved: 0,
            flags: 0x12,
            window: 0,
            urgent: 0,
            options: vec![],
            payload: 0,
        };
        // The RST repeats SEG.ACK: with this one its 32-bit words add up to just short of a carry.
        let reset = Fields { source: ports.1, destination: ports.0, flags: 0x04, ..fields.clone() };
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let pseudo = [octets(source), octets(destination), vec![0, 6, 0, 20]].concat();
        let words = [pseudo, reset.bytes()].concat();
        let total = words.chunks(4).fold(0u32, |total, word| {
            total.wrapping_add(u32::from_be_bytes(word.try_into().unwrap()))
        });
        fields.ack = total.wrapping_add(short).wrapping_neg();
        let asked = packet(source, destination, THEIRS, &fields.bytes());
        let answer = ask(PLAIN, family(source), &asked, asked.len(), &key, 0).unwrap();
        let heard = Heard::read(&answer.packet);
        prop_assert_eq!(heard.tcp.sequence_number, fields.ack);
    }

    #[test]
    fn what_is_beside_the_point_changes_no_answer(
        asked in packets(),
        (class, hop_limit, reserved) in any::<(u8, u8, u8)>(),
        (window, urgent) in any::<(u16, u16)>(),
        bits in any::<u8>(),
    ) {
        let mut other = asked.clone();
        // Linux looks at the ECN field.
        let ecn_field = if asked.policy == LINUX { 3 } else { 0 };
        let tcp = match asked.family {
            Family::V4 => {
                other.bytes[1] ^= class & !ecn_field;
                other.bytes[8] = hop_limit;
                20
            }
            Family::V6 => {
                other.bytes[1] ^= class & !(ecn_field << 4);
                other.bytes[7] = hop_limit;
                40
            }
        };
        other.bytes[tcp + 12] ^= reserved & 0x0f;
        // PSH and URG always; ECE and CWR but in a SYN that Linux may agree with.
        let syn = other.bytes[tcp + 13] & 0x02 != 0;
        let ecn = if syn && asked.policy == LINUX { 0 } else { 0xc0 };
        other.bytes[tcp + 13] ^= bits & (0x28 | ecn);
        other.bytes[tcp + 14..tcp + 16].copy_from_slice(&window.to_be_bytes());
        other.bytes[tcp + 18..tcp + 20].copy_from_slice(&urgent.to_be_bytes());
        prop_assert_eq!(other.answer(), asked.answer());
    }

    #[test]
    fn no_exchange_of_two_tarpits_feeds_itself(
        asked in packets(),
        other_key in prop::option::of(keys()),
        other_policy in policies(),
    ) {
        // A SYN makes a SYN-ACK, that an RST, and that nothing. A segment that passes for ours
        // makes an ACK, to which the other tarpit is silent unless its numbers pass there by
        // chance, with odds of 2^-15, and look like a probe besides, 2^-12 more: then there may be
        // one answer more.
        let keys = [asked.key, other_key.unwrap_or(asked.key)];
        let policies = [asked.policy, other_policy];
        let mut bytes = asked.bytes.clone();
        let mut answers = 0;
        let mut lucky = 0;
        let (family, now_ms) = (asked.family, asked.now_ms);
        let turn = |bytes: &[u8], turn| {
            ask(policies[turn], family, bytes, bytes.len(), &keys[turn], now_ms)
        };
        while let Ok(answer) = turn(&bytes, answers % 2) {
            let heard = Heard::read(&answer.packet);
            if answers > 0 && !heard.tcp.rst {
                lucky += 1;
            }
            answers += 1;
            prop_assert!(answers <= 2 + lucky && lucky <= 1, "{answers} answers");
            bytes = answer.packet;
        }
    }

    #[test]
    fn a_syn_sent_again_is_given_the_same_isn(
        addresses in address_pairs(),
        ports in any::<(u16, u16)>(),
        isn in numbers(),
        (key, policy) in (keys(), policies()),
        (now_ms, later_ms) in any::<(u32, u32)>(),
    ) {
        let first = heard_syn_ack(policy, addresses, ports, isn, &key, now_ms).tcp;
        let again = heard_syn_ack(policy, addresses, ports, isn, &key, later_ms).tcp;
        prop_assert_eq!(first.sequence_number, again.sequence_number);
        prop_assert_eq!(first.acknowledgment_number, isn.wrapping_add(1));
        prop_assert_eq!(again.acknowledgment_number, isn.wrapping_add(1));
    }

    #[test]
    fn the_isn_is_a_permutation_of_the_clients(
        (source, destination) in any::<([u8; 16], [u8; 16])>(),
        ports in any::<(u16, u16)>(),
        key in keys(),
        isn in numbers(),
    ) {
        let ports = Ports { source: ports.0, destination: ports.1 };
        let flow = Flow::new(&key, &Addresses::V6 { source, destination }, ports);
        prop_assert_eq!(flow.client_isn(flow.isn(Seq(isn))), Seq(isn));
        prop_assert_eq!(flow.isn(flow.client_isn(Seq(isn))), Seq(isn));
    }

    #[test]
    fn what_was_sent_comes_back_with_the_upper_half_of_the_clients_isn(
        (source, destination) in any::<([u8; 16], [u8; 16])>(),
        ports in any::<(u16, u16)>(),
        key in keys(),
        isn in numbers(),
        sent in any::<u16>(),
    ) {
        let ports = Ports { source: ports.0, destination: ports.1 };
        let flow = Flow::new(&key, &Addresses::V6 { source, destination }, ports);
        let next = flow.talking_isn(Seq(isn)).after(1 + u32::from(sent));
        prop_assert_eq!(flow.talked(next), (Seq(isn & 0xffff_0000), sent));
    }
}

#[test]
fn a_blind_guess_passes_as_seldom_as_it_should() {
    // The stream reaches over 2^17 of the 2^32 numbers, so 2^20 guesses make 32 hits; the limit is
    // 2^-14, five standard deviations more. With a keep-alive in each place, nothing else decides.
    let (source, destination) = (
        "192.0.2.1".parse().unwrap(),
        "198.51.100.2".parse().unwrap(),
    );
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_be_bytes()
    };
    for policy in POLICIES {
        for timestamps in [false, true] {
            let mut hits = 0;
            for _ in 0..1 << 18 {
                let [a, b, c, d, e, f, g, h] = draw();
                let [i, j, k, l, m, n, o, p] = draw();
                let mut fields = Fields {
                    source: u16::from_be_bytes([m, n]),
                    destination: u16::from_be_bytes([o, p]),
                    seq: u32::from_be_bytes([a, b, c, d]),
                    ack: u32::from_be_bytes([e, f, g, h]),
                    reserved: 0,
                    flags: 0x10,
                    window: 1000,
                    urgent: 0,
                    options: vec![],
                    payload: 1,
                };
                if timestamps {
                    fields.options = vec![1, 1, 8, 10, 0, 0, 0, 1, i, j, k, l];
                }
                let bytes = packet(source, destination, THEIRS, &fields.bytes());
                let given = ask(policy, Family::V4, &bytes, bytes.len(), &common::KEY, 0);
                hits += u32::from(given != Err(Silence::NotOurs));
            }
            assert!(
                hits <= 16,
                "{hits} of 2^18, {policy:?}, timestamps: {timestamps}"
            );
        }
    }
}

// Any exchange.

/// What happens next to a client and its network. Places in a queue are taken modulo its length.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Milliseconds pass.
    Wait(u32),
    /// The client sends its SYN, first or again.
    Syn,
    /// It writes new octets, as far as there is a window.
    Write(u32),
    /// It sends some of what is not acknowledged again.
    Retransmit(u32),
    /// It probes or keeps alive: empty, at SND.UNA - 1.
    Probe,
    /// It keeps alive with an octet of garbage.
    KeepAliveWithOctet,
    /// It probes with the next octet.
    ProbeWithOctet,
    /// It closes.
    Close,
    /// A packet reaches the tarpit.
    Reach(usize),
    /// A packet reaches the client.
    Return(usize),
    /// A packet to the tarpit is lost.
    LoseThere(usize),
    /// A packet to the client is lost.
    LoseBack(usize),
    /// A packet to the tarpit is doubled.
    Double(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let place = 0usize..4;
    prop_oneof![
        // From a burst to as long as anything is waited for.
        4 => prop_oneof![0u32..100, 0u32..10_000, 0u32..200_000].prop_map(Step::Wait),
        1 => Just(Step::Syn),
        4 => (1u32..40).prop_map(Step::Write),
        2 => (1u32..40).prop_map(Step::Retransmit),
        2 => Just(Step::Probe),
        1 => Just(Step::KeepAliveWithOctet),
        1 => Just(Step::ProbeWithOctet),
        1 => Just(Step::Close),
        8 => place.clone().prop_map(Step::Reach),
        8 => place.clone().prop_map(Step::Return),
        1 => place.clone().prop_map(Step::LoseThere),
        1 => place.clone().prop_map(Step::LoseBack),
        1 => place.prop_map(Step::Double),
    ]
}

/// How long a client that only waits is left alone: as long as a timer of Linux, or until the clock
/// wraps.
fn pauses() -> impl Strategy<Value = u32> {
    // Up to 23 days: after 24, what a peer makes of an old timestamp is its own affair (RFC 7323, 5.5).
    prop_oneof![4 => 0u32..200_000, 1 => 0u32..2_000_000_000]
}

/// A client, a tarpit, and what is between them.
#[derive(Clone, Debug)]
struct World {
    client: Client,
    policy: Policy,
    key: Key,
    now_ms: u32,
    /// Whether the network keeps the order of packets.
    ordered: bool,
    /// Packets on their way to the tarpit.
    there: VecDeque<Vec<u8>>,
    /// Packets on their way to the client.
    back: VecDeque<Answer>,
    /// How many packets the tarpit was reached by, and how many of them it answered.
    reached: u32,
    answered: u32,
}

impl World {
    fn new(setup: Setup, key: Key, now_ms: u32, ordered: bool) -> Self {
        Self {
            client: Client::new(setup),
            policy: setup.policy,
            key,
            now_ms,
            ordered,
            there: VecDeque::new(),
            back: VecDeque::new(),
            reached: 0,
            answered: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let (now, ordered) = (self.now_ms, self.ordered);
        let at = |place: usize, len: usize| if ordered || len == 0 { 0 } else { place % len };
        let sent = match step {
            Step::Wait(ms) => {
                self.now_ms = now.wrapping_add(ms);
                None
            }
            Step::Syn => (!self.client.connected()).then(|| self.client.syn(now)),
            Step::Write(count) => self.client.write(count, now),
            Step::Retransmit(count) => self.client.retransmit(count, now),
            Step::Probe => self.client.probe(now),
            Step::KeepAliveWithOctet => self.client.keep_alive_with_octet(now),
            Step::ProbeWithOctet => self.client.probe_with_octet(now),
            Step::Close => self.client.close(now),
            Step::Reach(place) => {
                self.reach(at(place, self.there.len()));
                None
            }
            Step::Return(place) => {
                self.bring_back(at(place, self.back.len()));
                None
            }
            Step::LoseThere(place) => {
                self.there.remove(at(place, self.there.len()));
                None
            }
            Step::LoseBack(place) => {
                self.back.remove(at(place, self.back.len()));
                None
            }
            Step::Double(place) => self.there.get(at(place, self.there.len())).cloned(),
        };
        self.there.extend(sent);
    }

    /// What the tarpit says to a packet at this moment.
    fn ask(&self, bytes: &[u8]) -> Result<Answer, Silence> {
        let family = if bytes[0] >> 4 == 4 {
            Family::V4
        } else {
            Family::V6
        };
        ask(
            self.policy,
            family,
            bytes,
            bytes.len(),
            &self.key,
            self.now_ms,
        )
    }

    /// One packet reaches the tarpit.
    fn reach(&mut self, place: usize) {
        let Some(bytes) = self.there.remove(place) else {
            return;
        };
        self.reached += 1;
        let Ok(answer) = self.ask(&bytes) else {
            return;
        };
        assert_eq!(answer.limit, Limit::None);
        self.answered += 1;
        self.back.push_back(answer);
    }

    /// One answer reaches the client, which may have to say something to that.
    fn bring_back(&mut self, place: usize) -> Option<Taken> {
        let answer = self.back.remove(place)?;
        let heard = Heard::read(&answer.packet);
        let una = self.client.una();
        let taken = self.client.receive(&answer.packet, self.now_ms);
        match &taken {
            Taken::Acknowledged | Taken::Old => {}
            Taken::Connected(ack) | Taken::Read(ack) => self.acknowledge(ack.clone()),
            Taken::Rejected(ack) => {
                // Whatever acknowledges no less than all before it must pass, if it comes in order and
                // not within a step of the clock or two: a probe and data that were sent in one
                // round trip may be answered so that the second answer has the smaller TSval. The
                // same may be when an octet of ours was on its way.
                let news = heard.tcp.acknowledgment_number.wrapping_sub(una) <= u32::MAX / 2;
                let stamps = self.client.recent().zip(heard.timestamps);
                let step =
                    stamps.is_some_and(|(recent, (value, _))| recent.wrapping_sub(value) < 512);
                assert!(
                    !self.ordered || !news || heard.tcp.syn || step || self.policy == DRIP,
                    "an answer in order is rejected: {heard:?}"
                );
                self.acknowledge(ack.clone());
            }
        }
        Some(taken)
    }

    /// The client has an acknowledgment to send. With 31 octets in flight, modulo 32, it would pass for
    /// a probe, which is a limit of what a stamp can tell (docs/wire-behaviour.md): then it does not.
    fn acknowledge(&mut self, ack: Vec<u8>) {
        let in_flight = self.client.sent() - self.client.acknowledged();
        if in_flight % 32 != 31 || !self.client.stamps() {
            self.there.push_back(ack);
        }
    }

    /// Lets everything arrive, and what comes of it.
    fn settle(&mut self) {
        let mut packets = 0;
        while !(self.there.is_empty() && self.back.is_empty()) {
            let waiting = self.there.len() + self.back.len();
            self.reach(0);
            self.bring_back(0);
            packets += 1;
            assert!(
                packets < 1000,
                "{waiting} packets still wait: they feed themselves"
            );
        }
    }

    /// What a patient client does until no more is taken from it: without timestamps that is all but the
    /// last octet, with them all but the FIN.
    fn calm_down(&mut self) {
        let kept = u32::from(!self.client.stamps());
        for _ in 0..10_000 {
            self.settle();
            if !self.client.connected() {
                self.step(Step::Syn);
            } else if self.client.in_flight() > kept {
                // Longer than any patience of the tarpit.
                self.step(Step::Wait(240_000));
                self.step(Step::Retransmit(u32::MAX));
            } else {
                return;
            }
        }
        panic!("the client never has peace: {:?}", self.client);
    }

    /// Sends one segment through a quiet network; gives the one answer to it, as the client took
    /// it.
    fn exchange(&mut self, step: Step) -> Option<(Heard, Taken)> {
        assert!(self.there.is_empty() && self.back.is_empty());
        self.step(step);
        assert_eq!(self.there.len(), 1, "{step:?}");
        self.reach(0);
        let heard = Heard::read(&self.back.front()?.packet);
        let taken = self.bring_back(0)?;
        // What the client has to say to that is not answered any more.
        while !self.there.is_empty() {
            self.reach(0);
        }
        assert!(
            self.back.is_empty(),
            "{step:?} is answered, and that again: {heard:?}"
        );
        Some((heard, taken))
    }
}

fn worlds(policies: Vec<Policy>) -> impl Strategy<Value = World> {
    (
        address_pairs(),
        any::<(u16, u16)>(),
        (numbers(), numbers(), numbers()),
        (keys(), prop::sample::select(policies)),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(addresses, ports, numbers, (key, policy), (timestamps, ordered))| {
                let setup = Setup {
                    local: (addresses.0, ports.0),
                    remote: (addresses.1, ports.1),
                    iss: numbers.0,
                    timestamps,
                    clock_offset: numbers.1,
                    policy,
                };
                World::new(setup, key, numbers.2, ordered)
            },
        )
}

/// A client and a network that does what the script says, and then nothing but wait.
fn hold_one(mut world: World, script: Vec<Step>, pauses: Vec<u32>) -> Result<(), TestCaseError> {
    // The client checks every answer (`Client::receive`), the world every exchange.
    world.step(Step::Syn);
    for step in script {
        world.step(step);
    }
    world.calm_down();
    prop_assert!(world.answered <= world.reached);

    // From now on the client only waits.
    let stamps = world.client.stamps();
    let received = world.client.acknowledged();
    world.exchange(Step::KeepAliveWithOctet).unwrap();
    for pause in pauses {
        world.step(Step::Wait(pause));
        let una = world.client.una();
        let read = world.client.read();

        // Without timestamps only a keep-alive before the stream can be told from an
        // acknowledgment.
        let probed = world.exchange(Step::Probe);
        if stamps || received == 0 {
            let (heard, taken) = probed.unwrap();
            prop_assert_eq!(heard.tcp.acknowledgment_number, una);
            prop_assert_eq!(taken == Taken::Acknowledged, heard.payload.is_none());
            // The answer before it was given at the end of the last pause, give or take a
            // step of the clock.
            let window = heard.tcp.window_size;
            let talks = stamps && world.policy == DRIP;
            let linux = world.policy == LINUX;
            match pause {
                0..6_200 => prop_assert_eq!(window, 0),
                6_800.. if talks => {
                    prop_assert_eq!(window, 1);
                    prop_assert_eq!(world.client.read(), read + 1);
                }
                6_800..27_200 => prop_assert_eq!(window, 0),
                27_800..59_200 if stamps => prop_assert_eq!(window, 1),
                59_800.. if stamps => prop_assert_eq!(window, if linux { 11 } else { 36 }),
                _ => prop_assert!(stamps || window == 0),
            }
        } else {
            prop_assert_eq!(probed, None);
        }

        let (heard, taken) = world.exchange(Step::KeepAliveWithOctet).unwrap();
        prop_assert_eq!(heard.payload, None);
        prop_assert_eq!(heard.tcp.window_size, 0);
        if stamps || received == 0 {
            prop_assert_eq!(heard.tcp.acknowledgment_number, una);
            prop_assert_eq!(taken, Taken::Acknowledged);
        } else {
            // The octet is taken for what the client waits to be rid of.
            prop_assert_eq!(heard.tcp.acknowledgment_number, una.wrapping_sub(1));
            prop_assert_eq!(taken, Taken::Old);
        }
        prop_assert_eq!(world.client.acknowledged(), received);

        let ack = world.client.acknowledge(world.now_ms).unwrap();
        prop_assert_eq!(world.ask(&ack), Err(Silence::BareAck));
    }
    Ok(())
}

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn a_client_is_held_whatever_the_network_does(
        world in worlds(vec![PLAIN, DRIP]),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        hold_one(world, script, pauses)?;
    }

    #[test]
    fn a_client_with_a_wide_window_is_held_whatever_the_network_does(
        world in worlds(vec![LINUX]),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        hold_one(world, script, pauses)?;
    }

    #[test]
    fn a_client_that_only_keeps_alive_is_always_answered(
        mut world in worlds(POLICIES.to_vec()),
        wrote in 0u32..40,
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        world.step(Step::Syn);
        world.settle();
        if wrote > 0 {
            world.step(Step::Write(wrote));
        }
        world.calm_down();
        // Without timestamps only before any data: after them it would pass for an acknowledgment.
        if world.client.stamps() || wrote == 0 {
            for pause in pauses {
                world.step(Step::Wait(pause));
                let una = world.client.una();
                let probed = world.exchange(Step::Probe);
                prop_assert!(probed.is_some(), "a keep-alive after {} ms", pause);
                prop_assert_eq!(probed.unwrap().0.tcp.acknowledgment_number, una);
            }
        }
    }

    #[test]
    fn a_client_that_probes_with_octets_gets_rid_of_one_in_a_while(
        mut world in worlds(POLICIES.to_vec()),
        pauses in prop::collection::vec(pauses(), 40),
    ) {
        world.step(Step::Syn);
        world.settle();
        let stamps = world.client.stamps();
        let patience = if world.policy == DRIP { 6_500 } else { 90_000 };
        // The first is taken at once, and those without timestamps never.
        let (heard, _) = world.exchange(Step::ProbeWithOctet).unwrap();
        prop_assert_eq!(heard.tcp.window_size, 0);
        prop_assert_eq!(world.client.acknowledged(), u32::from(stamps));
        for pause in pauses {
            world.step(Step::Wait(pause));
            let before = world.client.acknowledged();
            // Each is answered.
            let (heard, _) = world.exchange(Step::ProbeWithOctet).unwrap();
            prop_assert_eq!(heard.tcp.window_size, 0);
            let taken = world.client.acknowledged() - before;
            if !stamps {
                prop_assert_eq!(taken, 0);
            } else if pause.abs_diff(patience) > 600 {
                // Nearer to the end of the patience than a step of the clock or two, anything may be.
                prop_assert_eq!(taken, u32::from(pause > patience));
            }
        }
    }
}
