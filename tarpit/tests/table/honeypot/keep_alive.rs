// SPDX-License-Identifier: GPL-2.0

//! Empty segments to a honeypot: keep-alives, and the acknowledgments that look like them.

use super::super::common::{read_reply, CLOCK};
use super::super::{aged, LINUX_SYN};
use super::{answers, answers_untimed, hosts, stamp, PLACES};
use tarpit::{DropReason, RateLimit};

#[test]
fn replies_to_a_keep_alive_and_drops_an_acknowledgment() {
    for host in hosts() {
        // Before any data and up to the largest position, at any age.
        for place in [0u32, 1, 2, 5, 24, 255, 256, 257, 1 << 17, 1 << 24, 1 << 30] {
            let next = 0x1000_0001 + place;
            let asked = |seq: u32, acknowledged: u32| {
                let echo = stamp(0x5000_0000, acknowledged);
                format!("9c400017 {seq:08x} ISN+1 801001f6 SUM 0000 0101080a 11223446 {echo}")
            };
            let keep_alive = asked(next - 1, next);
            for age in [0, 69, 256, 1_999, 2_000, 60_000, 7_200_000] {
                let value = stamp(aged(age) & !0xff, next);
                host.answers_at(
                    aged(age),
                    &keep_alive,
                    &format!(
                        "00179c40 ISN+1 {next:08x} 8010fcc0 SUM 0000 0101080a {value} 11223446"
                    ),
                );
            }
            // An acknowledgment starts at RCV.NXT, or behind bytes in flight.
            for in_flight in (0..=254u32).chain([256, 510, 512, 1448, 65_000]) {
                let seq = next + in_flight;
                let why = match (seq, place + in_flight > 1 << 30) {
                    (0x1000_0001, _) => DropReason::HandshakeAck,
                    (_, true) => DropReason::NotOurs,
                    _ => DropReason::BareAck,
                };
                for age in [0, 2_000, 4_200, 3_600_000] {
                    host.ignores_at(aged(age), &asked(seq, next), why);
                }
            }
        }
        host.answers_at(
            aged(2_000),
            "9c400017 ffffffff WRAP+1 801001f6 SUM 0000 0101080a 11223446 @50000005",
            "00179c40 WRAP+1 00000000 8010fcc0 SUM 0000 0101080a @50000705 11223446",
        );
    }
}

#[test]
fn limits_replies_to_an_acknowledgment_that_looks_like_a_keep_alive() {
    // The position is known modulo 256.
    for host in hosts() {
        for in_flight in [255u32, 511, 256 * 200 - 1] {
            let given = host.given_at(
                aged(69),
                &format!(
                    "9c400017 {:08x} ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000005",
                    0x1000_0006 + in_flight
                ),
            );
            assert!(matches!(given.limit, RateLimit::Source), "{in_flight}");
        }
    }
}

#[test]
fn replies_to_a_keep_alive_without_timestamps_only_before_any_data() {
    for host in hosts() {
        answers_untimed(&host, (0x1000_0000, "10", 0), ("10", 0x1000_0001));
        for place in PLACES {
            host.ignores(
                &format!(
                    "9c400017 {:08x} ISN+1 5010faf0 SUM 0000",
                    0x1000_0001 + place
                ),
                match place {
                    0 => DropReason::HandshakeAck,
                    _ => DropReason::BareAck,
                },
            );
        }
    }
}

#[test]
fn replies_to_a_keep_alive_with_a_byte_at_any_time() {
    // RFC 1122, 4.2.3.6. It looks like data.
    for host in hosts() {
        for place in PLACES {
            let next = 0x1000_0001 + place;
            answers(&host, (next - 1, "10", 1), ("10", next));
            answers_untimed(&host, (next - 1, "10", 1), ("10", next));
        }
    }
}

#[test]
fn drops_the_acknowledgment_of_its_fin() {
    // Its SEG.ACK is one more, and gives another ISN of the client.
    let [host, _] = hosts();
    for port in 1..=4096 {
        let syn = LINUX_SYN.replace("9c40", &format!("{port:04x}"));
        let heard = read_reply(&host.given_at(CLOCK, &syn).packet);
        let next = heard.tcp.sequence_number.wrapping_add(2);
        let (value, _) = heard.options.timestamps.unwrap();
        for (offset, timestamps) in [
            ("50", String::new()),
            ("80", format!("0101080a 11223400 {value:08x}")),
        ] {
            let ack = host.asked(&format!(
                "{port:04x}0017 10000008 {next:08x} {offset}10faf0 SUM 0000 {timestamps}"
            ));
            let given = host.ask(&ack);
            assert!(
                given == Err(DropReason::NotOurs) || given == Err(DropReason::BareAck),
                "{given:?}"
            );
        }
    }
}

#[test]
fn limits_replies_to_a_keep_alive_that_may_be_an_acknowledgment() {
    for host in hosts() {
        for offset in ["50", "80"] {
            let limit = |seq: &str, bits: &str, payload: &str| {
                let next = u32::from_str_radix(seq, 16).unwrap() + 1;
                let timestamps = match offset {
                    "80" => format!("0101080a 11223346 {}", stamp(0x5000_0000, next)),
                    _ => String::new(),
                };
                let given = host.given_at(
                    aged(2_000),
                    &format!(
                        "9c400017 {seq} ISN+1 {offset}{bits}faf0 SUM 0000 {timestamps} {payload}"
                    ),
                );
                // A honeypot holds no client.
                assert_eq!(given.trapped_ms, 0);
                given.limit
            };
            let limited = limit("10000001", "12", "");
            assert!(matches!(limited, RateLimit::Source), "of a SYN-ACK");
            if offset == "80" {
                // From the position on at which 255 bytes can be in flight.
                assert_eq!(limit("10000100", "10", ""), limited);
                assert_eq!(limit("10010001", "18", ""), limited);
                assert_eq!(limit("10000002", "10", ""), RateLimit::None);
                assert_eq!(limit("100000ff", "10", ""), RateLimit::None);
            }
            for (seq, bits, payload) in [
                ("10000000", "10", ""),
                ("10000001", "18", "78"),
                ("10000000", "10", "00"),
                ("10000001", "11", ""),
                ("10000002", "11", ""),
                ("10000002", "19", "7878"),
            ] {
                assert_eq!(limit(seq, bits, payload), RateLimit::None, "{seq} {bits}");
            }
        }
        assert_eq!(host.limit(LINUX_SYN), RateLimit::Shared);
    }
}
