// SPDX-License-Identifier: GPL-2.0

//! Packets are random bytes, and headers that are valid but for random fields, so that the deep
//! arms of the table are reached; half of those carry numbers that fit a connection of ours.

use std::net::IpAddr;

use oracle::Reply;
use proptest::prelude::*;
use tarpit::isn::Flow;
use tarpit::seq::Seq;
use tarpit::{DropReason, Key, Policy, Ports, V6};

use super::common::{
    self, family, packet, read_reply, summed, Family, Fields, Look, ReplyPacket, DRIP, HONEYPOT,
    LINUX, MODES, PLAIN, RESET, THEIRS,
};
use super::{address_pairs, ask, families, fields, keys, numbers, policies, tries};

/// A packet of a peer that has a whole TCP header, and the world that it meets.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The rule.
    pub policy: Policy,
    /// The packet.
    pub bytes: Vec<u8>,
    /// Its family.
    pub family: Family,
    /// The tarpit's key.
    pub key: Key,
    /// What the clock says.
    pub now_ms: u32,
}

impl Asked {
    fn reply(&self) -> Result<ReplyPacket, DropReason> {
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
) -> Reply {
    // The numbers of a connection that a rule which resets refuses are those that another would give.
    let policy = if policy.mode == RESET.mode {
        PLAIN
    } else {
        policy
    };
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
    read_reply(&answer.packet)
}

/// Packets with any fields; of half of them the numbers fit a connection of ours, more or less.
pub fn packets() -> impl Strategy<Value = Asked> {
    let distance = prop_oneof![
        4 => -3i32..40,
        1 => -200i32..200,
        1 => (1i32 << 17) - 3..(1 << 17) + 3,
        1 => (1i32 << 24) - 3..(1 << 24) + 3,
        1 => any::<i32>(),
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
                    let sent = if policy.mode == DRIP.mode { sent } else { 0 };
                    fields.ack = heard.tcp.sequence_number.wrapping_add(1 + sent);
                    // An echo of some answer, if there are timestamps in the usual place.
                    if let [8, 10, _, _, _, _, echoed @ ..] = fields.options.as_mut_slice() {
                        let value = heard.options.timestamps.unwrap().0.wrapping_add(low);
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
                }
            },
        )
}

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn does_not_panic_on_any_bytes(
        (policy, family) in (policies(), families()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        len in prop_oneof![any::<usize>(), 0usize..300],
        key in keys(),
        now_ms in any::<u32>(),
    ) {
        for len in [len, bytes.len()] {
            let _ = ask(policy, family, &bytes, len, &key, now_ms);
        }
    }

    #[test]
    fn does_not_panic_on_any_bytes_behind_an_ip_header(
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
                let Asked { policy, family, key, now_ms, .. } = asked;
                let _ = ask(policy, family, headers, len, &key, now_ms);
            }
        }
    }

    #[test]
    fn reads_extension_headers_in_any_order_or_drops_the_packet(
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
        let given = extended.reply();
        if honest && extensions.len() <= 8 {
            prop_assert_eq!(given, asked.reply());
        } else if honest {
            prop_assert_eq!(given, Err(DropReason::NotTcp));
        }
    }

    #[test]
    fn replies_as_the_oracle_expects(asked in packets()) {
        // `ask` compares.
        let _ = asked.reply();
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
        // The RST repeats SEG.ACK. With this one, its 32-bit words add up to just short of a carry out of
        // 32 bits, in the byte order of the host, as the core adds them up.
        let reset = Fields { source: ports.1, destination: ports.0, flags: 0x04, ..fields.clone() };
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let pseudo = [octets(source), octets(destination), vec![0, 6, 0, 20]].concat();
        let words = [pseudo, reset.bytes()].concat();
        let total = words.chunks(4).fold(0u32, |total, word| {
            total.wrapping_add(u32::from_ne_bytes(word.try_into().unwrap()))
        });
        let last = total.wrapping_add(short).wrapping_neg();
        fields.ack = u32::from_be_bytes(last.to_ne_bytes());
        let asked = packet(source, destination, THEIRS, &fields.bytes());
        let answer = ask(PLAIN, family(source), &asked, asked.len(), &key, 0).unwrap();
        let heard = read_reply(&answer.packet);
        prop_assert_eq!(heard.tcp.sequence_number, fields.ack);
    }

    #[test]
    fn reply_ignores_irrelevant_fields(
        asked in packets(),
        (class, hop_limit, reserved) in any::<(u8, u8, u8)>(),
        (window, urgent, id) in any::<(u16, u16, u16)>(),
        (bits, payload) in any::<(u8, u8)>(),
    ) {
        let mut other = asked.clone();
        // Linux looks at the ECN field.
        let linux = asked.policy.mode == LINUX.mode;
        let ecn_field = if linux { 3 } else { 0 };
        let tcp = match asked.family {
            Family::V4 => {
                other.bytes[1] ^= class & !ecn_field;
                other.bytes[4..6].copy_from_slice(&id.to_be_bytes());
                other.bytes[8] = hop_limit;
                20
            }
            Family::V6 => {
                other.bytes[1] ^= class & !(ecn_field << 4);
                other.bytes[2..4].copy_from_slice(&id.to_be_bytes());
                other.bytes[7] = hop_limit;
                40
            }
        };
        other.bytes[tcp + 12] ^= reserved & 0x0f;
        // PSH and URG always; ECE and CWR but in a SYN that Linux may agree with.
        let syn = other.bytes[tcp + 13] & 0x02 != 0;
        let ecn = if syn && linux { 0 } else { 0xc0 };
        other.bytes[tcp + 13] ^= bits & (0x28 | ecn);
        other.bytes[tcp + 14..tcp + 16].copy_from_slice(&window.to_be_bytes());
        other.bytes[tcp + 18..tcp + 20].copy_from_slice(&urgent.to_be_bytes());
        let payload_at = tcp + usize::from(other.bytes[tcp + 12] >> 4) * 4;
        other.bytes[payload_at..].fill(payload);
        prop_assert_eq!(other.reply(), asked.reply());
    }

    #[test]
    fn a_syn_sent_again_is_given_the_same_isn(
        addresses in address_pairs(),
        ports in any::<(u16, u16)>(),
        isn in numbers(),
        (key, policy) in (keys(), prop::sample::select(MODES.to_vec())),
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
        let flow = Flow::new(&key, &V6::new(source, destination), ports);
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
        let flow = Flow::new(&key, &V6::new(source, destination), ports);
        let next = flow.isn_with_counter(Seq(isn)).after(1 + u32::from(sent));
        prop_assert_eq!(flow.decode_ack(next), (Seq(isn & 0xffff_0000), sent));
    }
}

#[test]
fn a_blind_guess_passes_as_seldom_as_it_should() {
    // The stream reaches over 2^17 of the 2^32 numbers, and over 2^24 where all is taken, so 2^18
    // guesses make 8 hits, and 1,024; a quarter of the others is within 2^30, and one echo of 512 is a
    // stamp of the last 2^23 ms, another 128. The limits are five standard deviations more or less, or
    // 2^-14. With a keep-alive in each place, nothing else decides.
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
    for policy in [PLAIN, LINUX, DRIP, HONEYPOT] {
        for timestamps in [false, true] {
            let (mut hits, mut empty_hits) = (0, 0);
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
                hits += u32::from(given != Err(DropReason::NotOurs));
                // An empty one also has to start where a keep-alive does, by an echo that is made up.
                fields.payload = 0;
                let bytes = packet(source, destination, THEIRS, &fields.bytes());
                let given = ask(policy, Family::V4, &bytes, bytes.len(), &common::KEY, 0);
                empty_hits += u32::from(given.is_ok());
            }
            // To a honeypot one in 256 of the others, so 4 or 5.
            assert!(
                empty_hits <= 16,
                "{empty_hits} of 2^18, {policy:?}, timestamps: {timestamps}"
            );
            let (least, most) = match (policy, timestamps) {
                (HONEYPOT, false) => (864, 1_184),
                (HONEYPOT, true) => (982, 1_322),
                _ => (0, 16),
            };
            assert!(
                (least..=most).contains(&hits),
                "{hits} of 2^18, {policy:?}, timestamps: {timestamps}"
            );
        }
    }
}
