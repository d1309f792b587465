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

use common::client::{Client, Setup, Taken, FIRST_WINDOW};
use common::{ask, family, packet, summed, Answer, Fields, Heard, Look, THEIRS};
use proptest::prelude::*;
use tarpit::tarpit::ip::Addresses;
use tarpit::tarpit::isn::{Flow, Ports};
use tarpit::tarpit::seq::Seq;
use tarpit::tarpit::{Family, Key, Limit, Silence};

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
    bytes: Vec<u8>,
    family: Family,
    key: Key,
    now_ms: u32,
}

impl Asked {
    fn answer(&self) -> Result<Answer, Silence> {
        ask(
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
    let answer = ask(family(source), &syn, syn.len(), key, now_ms).unwrap();
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
        prop::option::of((distance, 0u32..64)),
        keys(),
        numbers(),
    )
        .prop_map(|(addresses, mut fields, look, ours, key, now_ms)| {
            if let Some((distance, echo)) = ours {
                let ports = (fields.source, fields.destination);
                let heard = heard_syn_ack(addresses, ports, fields.seq, &key, now_ms);
                fields.seq = heard
                    .tcp
                    .acknowledgment_number
                    .wrapping_add_signed(distance);
                fields.ack = heard.tcp.sequence_number.wrapping_add(1);
                // An echo of some answer, if there are timestamps in the usual place.
                if let [8, 10, _, _, _, _, echoed @ ..] = fields.options.as_mut_slice() {
                    let value = heard.timestamps.unwrap().0 | echo;
                    if echoed.len() >= 4 {
                        echoed[..4].copy_from_slice(&value.to_be_bytes());
                    }
                }
            }
            let (source, destination) = addresses;
            let tcp = summed(source, destination, fields.bytes());
            Asked {
                bytes: packet(source, destination, look, &tcp),
                family: family(source),
                key,
                now_ms,
            }
        })
}

// Any packet.

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn no_bytes_of_any_length_make_it_panic(
        family in families(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        len in prop_oneof![any::<usize>(), 0usize..300],
        key in keys(),
        now_ms in any::<u32>(),
    ) {
        for len in [len, bytes.len()] {
            if let Ok(answer) = ask(family, &bytes, len, &key, now_ms) {
                prop_assert!(answer.packet.len() <= len);
                Heard::read(&answer.packet);
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
                if let Ok(answer) = ask(asked.family, headers, len, &asked.key, asked.now_ms) {
                    prop_assert!(answer.packet.len() <= len);
                    Heard::read(&answer.packet);
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
        let given = ask(asked.family, &bytes, bytes.len(), &asked.key, asked.now_ms);
        if honest && extensions.len() <= 8 {
            prop_assert_eq!(given, asked.answer());
        } else if honest {
            prop_assert_eq!(given, Err(Silence::NotTcp));
        } else if let Ok(answer) = given {
            prop_assert!(answer.packet.len() <= bytes.len());
        }
    }

    #[test]
    fn an_answer_is_a_whole_packet_no_longer_than_what_it_answers(asked in packets()) {
        if let Ok(answer) = asked.answer() {
            prop_assert!(answer.packet.len() <= asked.bytes.len());
            // Checksums, lengths, options, no payload, nothing of the peer's look.
            Heard::read(&answer.packet);
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
        let answer = ask(family(source), &asked, asked.len(), &key, 0).unwrap();
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
        let tcp = match asked.family {
            Family::V4 => {
                other.bytes[1] = class;
                other.bytes[8] = hop_limit;
                20
            }
            Family::V6 => {
                other.bytes[1] = class;
                other.bytes[7] = hop_limit;
                40
            }
        };
        other.bytes[tcp + 12] ^= reserved & 0x0f;
        // PSH, URG, ECE, CWR.
        other.bytes[tcp + 13] ^= bits & 0xe8;
        other.bytes[tcp + 14..tcp + 16].copy_from_slice(&window.to_be_bytes());
        other.bytes[tcp + 18..tcp + 20].copy_from_slice(&urgent.to_be_bytes());
        prop_assert_eq!(other.answer(), asked.answer());
    }

    #[test]
    fn no_exchange_of_two_tarpits_feeds_itself(
        asked in packets(),
        other_key in prop::option::of(keys()),
    ) {
        // A SYN makes a SYN-ACK, that an RST, and that nothing. A segment that passes for ours
        // makes an empty ACK, to which the other tarpit is silent unless its numbers pass there by
        // chance, with odds of 2^-15, and look like a probe besides, 2^-12 more: then there may be
        // one answer more.
        let keys = [asked.key, other_key.unwrap_or(asked.key)];
        let mut bytes = asked.bytes.clone();
        let mut answers = 0;
        let mut lucky = 0;
        let (family, now_ms) = (asked.family, asked.now_ms);
        while let Ok(answer) = ask(family, &bytes, bytes.len(), &keys[answers % 2], now_ms) {
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
        key in keys(),
        (now_ms, later_ms) in any::<(u32, u32)>(),
    ) {
        let first = heard_syn_ack(addresses, ports, isn, &key, now_ms).tcp;
        let again = heard_syn_ack(addresses, ports, isn, &key, later_ms).tcp;
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
        // All of a script's together are less than the half minute after which a window is offered: how
        // that ends is for the model of Linux (outlast.rs).
        4 => prop_oneof![0u32..100, 0u32..480].prop_map(Step::Wait),
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

/// How many answers in a row a spent budget lets through; the real one fills up again with time.
const BUDGET: u32 = 4;

/// A client, a tarpit, and what is between them.
#[derive(Clone, Debug)]
struct World {
    client: Client,
    key: Key,
    now_ms: u32,
    /// Whether the network keeps the order of packets.
    ordered: bool,
    /// Packets on their way to the tarpit.
    there: VecDeque<Vec<u8>>,
    /// Packets on their way to the client.
    back: VecDeque<Answer>,
    /// What is left of the budget of answers that draw on one.
    budget: u32,
    /// How many packets the tarpit was reached by, and how many of them it answered.
    reached: u32,
    answered: u32,
    /// Whether a wrong guess has acknowledged the client's FIN.
    freed: bool,
}

impl World {
    fn new(setup: Setup, key: Key, now_ms: u32, ordered: bool) -> Self {
        Self {
            client: Client::new(setup),
            key,
            now_ms,
            ordered,
            there: VecDeque::new(),
            back: VecDeque::new(),
            budget: BUDGET,
            reached: 0,
            answered: 0,
            freed: false,
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

    /// One packet reaches the tarpit.
    fn reach(&mut self, place: usize) {
        let Some(bytes) = self.there.remove(place) else {
            return;
        };
        self.reached += 1;
        let family = if bytes[0] >> 4 == 4 {
            Family::V4
        } else {
            Family::V6
        };
        let Ok(answer) = ask(family, &bytes, bytes.len(), &self.key, self.now_ms) else {
            return;
        };
        if answer.limit != Limit::None {
            let Some(left) = self.budget.checked_sub(1) else {
                return;
            };
            self.budget = left;
        }
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
            Taken::Connected(ack) => self.there.push_back(ack.clone()),
            Taken::Rejected(ack) => {
                // Whatever acknowledges no less than all before it must pass, if it comes in order and
                // not within a step of the clock or two: a probe and data that were sent in one
                // round trip may be answered so that the second answer has the smaller TSval.
                let news = heard.tcp.acknowledgment_number.wrapping_sub(una) <= u32::MAX / 2;
                let stamps = self.client.recent().zip(heard.timestamps);
                let step =
                    stamps.is_some_and(|(recent, (value, _))| recent.wrapping_sub(value) < 512);
                assert!(
                    !self.ordered || !news || heard.tcp.syn || step,
                    "an answer in order is rejected: {heard:?}"
                );
                self.there.push_back(ack.clone());
            }
            Taken::Unsent(ack) => {
                assert!(self.may_guess(&answer), "nobody sent this: {heard:?}");
                self.there.push_back(ack.clone());
            }
            Taken::Freed => {
                assert!(self.may_guess(&answer), "this takes the FIN: {heard:?}");
                self.freed = true;
            }
        }
        Some(taken)
    }

    /// Whether an answer may acknowledge one octet too many: without timestamps an empty segment
    /// within the first window may be a probe or an acknowledgment, and which it is is guessed, on
    /// a budget.
    fn may_guess(&self, answer: &Answer) -> bool {
        answer.limit != Limit::None && !self.client.stamps()
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

    /// What a patient client does until it has nothing left to send.
    fn calm_down(&mut self) {
        for _ in 0..8 {
            self.settle();
            self.now_ms = self.now_ms.wrapping_add(1000);
            self.budget = BUDGET;
            if !self.client.connected() {
                self.step(Step::Syn);
            } else if self.client.in_flight() > 0 {
                self.step(Step::Retransmit(FIRST_WINDOW));
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
        self.budget = BUDGET;
        self.step(step);
        assert_eq!(self.there.len(), 1, "{step:?}");
        self.reach(0);
        let heard = Heard::read(&self.back.front()?.packet);
        let taken = self.bring_back(0)?;
        assert!(
            self.there.is_empty(),
            "{step:?} is answered, and that again: {heard:?}"
        );
        Some((heard, taken))
    }
}

fn worlds() -> impl Strategy<Value = World> {
    (
        address_pairs(),
        any::<(u16, u16)>(),
        (numbers(), numbers(), numbers()),
        keys(),
        any::<(bool, bool)>(),
    )
        .prop_map(|(addresses, ports, numbers, key, (timestamps, ordered))| {
            let setup = Setup {
                local: (addresses.0, ports.0),
                remote: (addresses.1, ports.1),
                iss: numbers.0,
                timestamps,
                clock_offset: numbers.1,
            };
            World::new(setup, key, numbers.2, ordered)
        })
}

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn a_client_is_held_whatever_the_network_does(
        mut world in worlds(),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        // The client checks every answer (`Client::receive`), the world every exchange.
        world.step(Step::Syn);
        for step in script {
            world.step(step);
        }
        world.settle();
        if world.freed {
            return Ok(());
        }
        world.calm_down();
        prop_assert!(world.answered <= world.reached);

        // From now on the client only waits.
        let stamps = world.client.stamps();
        world.exchange(Step::KeepAliveWithOctet).unwrap();
        for pause in pauses {
            world.step(Step::Wait(pause));
            let una = world.client.una();
            let received = world.client.acknowledged();

            // Without timestamps a probe after one octet looks just like the end of the handshake.
            let probed = world.exchange(Step::Probe);
            if stamps || received != 1 {
                let (heard, taken) = probed.unwrap();
                prop_assert_eq!(heard.tcp.acknowledgment_number, una);
                prop_assert_eq!(taken, Taken::Acknowledged);
                // The answer before it was given at the end of the last pause, give or take a
                // step of the clock.
                let window = heard.tcp.window_size;
                match pause {
                    0..27_200 => prop_assert_eq!(window, 0),
                    27_800..59_200 if stamps => prop_assert_eq!(window, 1),
                    59_800.. if stamps => prop_assert_eq!(window, if received == 0 { 24 } else { 36 }),
                    _ => prop_assert!(stamps || window == 0),
                }
            }

            let (heard, taken) = world.exchange(Step::KeepAliveWithOctet).unwrap();
            prop_assert_eq!(heard.tcp.acknowledgment_number, una);
            prop_assert_eq!(taken, Taken::Acknowledged);

            // And behind the first octet like a probe.
            let sent = world.client.sent();
            if stamps || sent == 0 || sent >= FIRST_WINDOW {
                let ack = world.client.acknowledge(world.now_ms).unwrap();
                let family = if ack[0] >> 4 == 4 { Family::V4 } else { Family::V6 };
                let given = ask(family, &ack, ack.len(), &world.key, world.now_ms);
                prop_assert_eq!(given, Err(Silence::BareAck));
            }
        }
    }

    #[test]
    fn a_client_that_probes_with_octets_gets_no_further_than_the_first_window(
        mut world in worlds(),
        pauses in prop::collection::vec(pauses(), 40),
    ) {
        world.step(Step::Syn);
        world.calm_down();
        for (octets, pause) in (1..).zip(pauses) {
            world.step(Step::Wait(pause));
            let (heard, taken) = world.exchange(Step::ProbeWithOctet).unwrap();
            prop_assert_eq!(heard.tcp.window_size, 0);
            prop_assert_eq!(taken, Taken::Acknowledged);
            prop_assert_eq!(world.client.acknowledged(), FIRST_WINDOW.min(octets));
        }
    }
}
