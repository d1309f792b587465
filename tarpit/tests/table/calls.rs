// SPDX-License-Identifier: GPL-2.0

//! What belongs to the contract of the calls, and what hides in the numbers.

use oracle::Reply;
use std::collections::HashSet;

use super::common::{
    hear, read_reply, Family, Host, BOTH, CLOCK, DRIP, HONEYPOT, KEY, LINUX, MSS, PLAIN, POLICIES,
};
use super::packets::extended;
use super::{aged, LINUX_SYN};
use tarpit::{Addresses, Env, Packet, Path, Policy, RateLimit, MAX_REPLY_LEN, V4, V6};

#[test]
fn writes_only_into_a_buffer_of_just_the_right_length() {
    let [v4, v6] = BOTH.map(|host| host.under(DRIP));
    for (segment, payload) in [
        (LINUX_SYN, 0),
        ("9c400017 10000000 deadbeef 5012faf0 SUM 0000", 0),
        (
            "9c400017 10000005 TALK+1 801001f6 SUM 0000 0101080a 11223446 @4fff0032",
            1,
        ),
    ] {
        writes_into::<V4>(&v4, segment, payload);
        writes_into::<V6>(&v6, segment, payload);
    }
}

fn writes_into<A: Addresses>(host: &Host, segment: &str, payload: usize) {
    let asked = host.asked(segment);
    let packet = Packet::<A>::parse(&asked, asked.len()).unwrap();
    let env = Env {
        key: &KEY,
        now_ms: CLOCK,
        wire: None,
    };
    let answer = packet.respond(&host.policy, &env).unwrap();
    assert_eq!(answer.payload_len(), payload);
    let right = packet.reply_len(&answer);
    assert_eq!(right, A::HEADER_LEN + answer.tcp_len());
    assert!(right <= MAX_REPLY_LEN);
    for len in 0..128 {
        let written = packet.write_reply(&answer, MSS, &mut vec![0xa5; len]);
        assert_eq!(written.is_some(), len == right, "{len} bytes");
    }
}

#[test]
fn mss_is_that_of_the_route_or_what_the_link_leaves() {
    fn mss<A: Addresses>(host: &Host, advmss: u32, mtu: u32) -> u16 {
        let syn = host.asked(LINUX_SYN);
        let packet = Packet::<A>::parse(&syn, syn.len()).unwrap();
        packet.mss(Path { advmss, mtu })
    }
    let [v4, v6] = BOTH;
    for (advmss, mtu, of_v4, of_v6) in [
        (1200, 0, 1200, 1200),
        (65_535, 0, 65_535, 65_535),
        (70_000, 0, 65_535, 65_535),
        (0, 1500, 1460, 1440),
        (0, 9000, 8960, 8940),
        (0, 61, 21, 1),
        (0, 60, 20, 0),
        (0, 1, 0, 0),
        (0, 65_535, 65_495, 65_475),
        (0, 65_536, 65_495, 65_475),
        (0, u32::MAX, 65_495, 65_475),
    ] {
        assert_eq!(mss::<V4>(&v4, advmss, mtu), of_v4, "{advmss}, {mtu}");
        assert_eq!(mss::<V6>(&v6, advmss, mtu), of_v6, "{advmss}, {mtu}");
    }
}

#[test]
fn needs_the_mss_exactly_if_the_packet_depends_on_it() {
    const SYN: &str = "9c400017 10000000 00000000 5002faf0 SUM 0000";
    const DATA: &str = "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223346 @50000000 7878";
    const PROBE: &str = "9c400017 10000018 ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000c1";
    let windowed = Policy {
        window: 1000,
        ..PLAIN
    };
    for (policy, age_ms, asked, needs_mss) in [
        // An MSS option, a window of whole segments, both, and neither.
        (PLAIN, 69, LINUX_SYN, true),
        (PLAIN, 69, SYN, true),
        (LINUX, 69, LINUX_SYN, true),
        (windowed, 69, SYN, false),
        (PLAIN, 69, DATA, false),
        (HONEYPOT, 69, DATA, true),
        // A last chance: a fixed window, or one segment.
        (PLAIN, 70_000, PROBE, false),
        (LINUX, 70_000, PROBE, true),
    ] {
        for host in BOTH.map(|host| host.under(policy)) {
            let env = Env {
                key: &KEY,
                now_ms: aged(age_ms),
                wire: None,
            };
            let packet = host.asked(asked);
            let written = |mss| {
                let (family, len) = (host.family, packet.len());
                hear(&env, mss, policy, family, &packet, len).unwrap()
            };
            let ((reply, _, one), (_, _, other)) = (written(MSS), written(536));
            assert_eq!(reply.needs_mss(), needs_mss, "{policy:?}: {asked}");
            assert_eq!(one != other, needs_mss, "{policy:?}: {asked}");
        }
    }
}

#[test]
fn says_where_the_segment_starts() {
    fn offset<A: Addresses>(packet: &[u8]) -> usize {
        let packet = Packet::<A>::parse(packet, packet.len()).unwrap();
        packet.transport_offset()
    }
    let [v4, v6] = BOTH;
    assert_eq!(offset::<V4>(&v4.asked(LINUX_SYN)), 20);
    assert_eq!(offset::<V6>(&v6.asked(LINUX_SYN)), 40);
    assert_eq!(offset::<V6>(&extended(60, "0600 010400000000")), 48);
}

#[test]
fn draws_on_no_budget_where_the_peer_has_proved_itself() {
    for host in BOTH {
        assert_eq!(host.limit(LINUX_SYN), RateLimit::Shared);
        for segment in [
            "9c400017 10000000 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000000",
            "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000000 78",
            "9c400017 10000006 ISN+1 801101f6 SUM 0000 0101080a 11223446 @50000029",
            "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029",
        ] {
            assert_eq!(host.limit(segment), RateLimit::None, "{segment}");
        }
    }
}

/// The SYN-ACK for a client's port at a time.
fn syn_ack(host: &Host, port: u16, clock: u32) -> Reply {
    let syn = LINUX_SYN.replace("9c40", &format!("{port:04x}"));
    read_reply(&host.given_at(clock, &syn).packet)
}

#[test]
fn hides_the_clock_and_the_stamp_behind_an_offset_of_the_flow() {
    for host in POLICIES.map(|policy| BOTH[0].under(policy)) {
        let value = |port, clock| syn_ack(&host, port, clock).options.timestamps.unwrap().0;
        let values: Vec<_> = (1..=1000).map(|port| value(port, CLOCK)).collect();
        // In all 32 bits, and in the eight that are the same in each stamp at the same instant.
        let low: HashSet<_> = values.iter().map(|value| value & 0xff).collect();
        let high: HashSet<_> = values.iter().map(|value| value >> 16).collect();
        assert!(low.len() > 200, "{} low octets", low.len());
        assert!(high.len() > 900, "{} high halves", high.len());
        // In one flow it is a clock in milliseconds.
        let (before, after) = (value(40_000, CLOCK), value(40_000, CLOCK + 10_240));
        assert_eq!(after.wrapping_sub(before), 10_240);
    }
}

#[test]
fn labels_each_flow_as_itself() {
    let labels = |host: &Host| -> HashSet<_> {
        (1..=1000)
            .map(|port| {
                let heard = syn_ack(host, port, CLOCK);
                // The flow's numbers are not in the fixtures: the SYN-ACK tells them.
                let next = heard.tcp.sequence_number.wrapping_add(1);
                let (value, _) = heard.options.timestamps.unwrap();
                let fin = format!(
                    "{port:04x}0017 10000001 {next:08x} 801101f6 SUM 0000
                     0101080a 11223446 {value:08x}"
                );
                let label = read_reply(&host.given_at(CLOCK, &fin).packet).label;
                let first = match host.family {
                    Family::V4 => 0,
                    Family::V6 => label,
                };
                assert_eq!(heard.label, first, "of a SYN-ACK");
                label
            })
            .collect()
    };
    for host in BOTH {
        let labels = labels(&host);
        assert!(labels.len() > 950, "{} labels", labels.len());
    }
}
