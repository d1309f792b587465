// SPDX-License-Identifier: GPL-2.0

//! Data and FIN to a honeypot, from the handshake on.

use super::super::common::{dump, read_reply, BOTH, CLOCK, HONEYPOT};
use super::super::{aged, octets, LINUX_SYN};
use super::{answers, answers_untimed, hosts, stamp, PLACES};
use tarpit::{DropReason, Policy};

#[test]
fn replies_to_a_syn_with_a_wide_window_and_no_shift() {
    for host in hosts() {
        // Linux, Windows, and two SYNs with fewer options.
        host.answers(
            LINUX_SYN,
            "00179c40 ISN 10000001 a012fcc0 SUM 0000
             02040550 0402080a @50000000 11223344 01030300",
        );
        host.answers(
            "9c400017 10000000 00000000 8002faf0 SUM 0000 020405b4 01030308 01010402",
            "00179c40 ISN 10000001 8012ff00 SUM 0000 02040550 01010402 01030300",
        );
        host.answers(
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0101080a 11223344 00000000",
            "00179c40 ISN 10000001 9012fcc0 SUM 0000 02040550 0101080a @50000000 11223344",
        );
        // ECN is refused, and data in a SYN is not accepted.
        for bits in ["02", "c2", "0a", "22"] {
            for count in [0, 1, 1000] {
                host.answers(
                    &format!(
                        "9c400017 10000000 deadbeef 50{bits}faf0 SUM beef {}",
                        octets(count)
                    ),
                    "00179c40 ISN 10000001 5012ff00 SUM 0000",
                );
            }
        }
        host.answers(
            "9c400017 fffffffa 00000000 5002faf0 SUM 0000",
            "00179c40 WRAP fffffffb 5012ff00 SUM 0000",
        );
    }
}

#[test]
fn drops_the_ack_that_ends_the_handshake() {
    for host in hosts() {
        host.ignores(
            "9c400017 10000001 ISN+1 801001f6 SUM 0000 0101080a 11223345 @50000000",
            DropReason::HandshakeAck,
        );
        host.ignores(
            "9c400017 10000001 ISN+1 8ff80000 SUM beef 0101080a 11223345 @50000000",
            DropReason::HandshakeAck,
        );
        host.ignores(
            "9c400017 10000001 ISN+1 5010faf0 SUM 0000",
            DropReason::HandshakeAck,
        );
    }
}

#[test]
fn accepts_all_data_at_once() {
    for host in hosts() {
        for place in PLACES {
            let seq = 0x1000_0001 + place;
            for count in [1u32, 2, 24, 25, 1448] {
                let len = usize::try_from(count).unwrap();
                for bits in ["10", "18", "30", "d8"] {
                    answers(&host, (seq, bits, len), ("10", seq + count));
                    answers_untimed(&host, (seq, bits, len), ("10", seq + count));
                }
            }
        }
    }
}

#[test]
fn accepts_a_fin_with_all_data_before_it() {
    for host in hosts() {
        for place in PLACES {
            let seq = 0x1000_0001 + place;
            for count in [0u32, 1, 24, 1448] {
                let len = usize::try_from(count).unwrap();
                // A retransmission gets the same reply.
                for bits in ["11", "19", "39", "11"] {
                    answers(&host, (seq, bits, len), ("11", seq + count + 1));
                    answers_untimed(&host, (seq, bits, len), ("11", seq + count + 1));
                }
            }
        }
    }
}

#[test]
fn accepts_a_stream_that_crosses_zero() {
    for host in hosts() {
        for (seq, bits, count, bits_back, ack) in [
            ("fffffffa", "10", 1, "10", "fffffffb"),
            ("fffffffb", "18", 4, "10", "ffffffff"),
            ("fffffffb", "18", 5, "10", "00000000"),
            ("fffffffb", "18", 1448, "10", "000005a3"),
            ("ffffffff", "11", 0, "11", "00000000"),
            ("fffffffe", "19", 1, "11", "00000000"),
            ("ffffffff", "19", 1, "11", "00000001"),
            ("00000000", "18", 5, "10", "00000005"),
        ] {
            let payload = octets(count);
            host.answers(
                &format!("9c400017 {seq} WRAP+1 50{bits}faf0 SUM 0000 {payload}"),
                &format!("00179c40 WRAP+1 {ack} 50{bits_back}ff00 SUM 0000"),
            );
            host.answers(
                &format!(
                    "9c400017 {seq} WRAP+1 80{bits}01f6 SUM 0000
                     0101080a 11223346 @50000000 {payload}"
                ),
                &format!(
                    "00179c40 WRAP+1 {ack} 80{bits_back}fcc0 SUM 0000 0101080a @{:08x} 11223346",
                    u32::from_str_radix(ack, 16)
                        .unwrap()
                        .wrapping_sub(0xffff_fffb)
                        .wrapping_add(0x5000_0000)
                ),
            );
        }
    }
}

#[test]
fn accepts_segments_of_any_length() {
    for host in hosts() {
        for bits in ["10", "11"] {
            let fin = u32::from(bits == "11");
            let data = host.asked(&format!(
                "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000 0101080a 11223346 @50000000"
            ));
            let untimed = host.asked(&format!("9c400017 10000001 ISN+1 50{bits}01f6 SUM 0000"));
            // A full packet, GRO's 64 KB and BIG TCP's 512 KB.
            for payload in [1448, 65_000, 65_496, 65_536, 200_000, 524_288] {
                let len = usize::try_from(payload).unwrap();
                let ack = 0x1000_0001 + payload + fin;
                let given = host.ask_at(CLOCK, &data, data.len() + len).unwrap();
                let value = stamp(0x5000_0000, ack);
                let answer = host.answer(&format!(
                    "00179c40 ISN+1 {ack:08x} 80{bits}fcc0 SUM 0000 0101080a {value} 11223346"
                ));
                assert_eq!(dump(&given.packet), dump(&answer), "{payload}");
                let given = host.ask_at(CLOCK, &untimed, untimed.len() + len).unwrap();
                let answer =
                    host.answer(&format!("00179c40 ISN+1 {ack:08x} 50{bits}ff00 SUM 0000"));
                assert_eq!(dump(&given.packet), dump(&answer), "{payload}");
            }
        }
    }
}

#[test]
fn ignores_the_ecn_field() {
    for host in hosts() {
        for asked in [
            LINUX_SYN,
            "9c400017 10000001 ISN+1 50d8faf0 SUM 0000 7878",
            "9c400017 10000001 ISN+1 801101f6 SUM 0000 0101080a 11223346 @50000000",
        ] {
            let plain = host.ask(&host.asked(asked)).unwrap();
            assert!(!read_reply(&plain.packet).tcp.ece);
            for ecn in 1..=3 {
                assert_eq!(host.ask(&host.marked(ecn, asked)), Ok(plain.clone()));
            }
        }
    }
}

#[test]
fn offers_the_window_of_the_rule_in_each_reply() {
    for window in [1u16, 24, 1000, u16::MAX] {
        for host in BOTH.map(|host| host.under(Policy { window, ..HONEYPOT })) {
            host.answers(
                LINUX_SYN,
                &format!(
                    "00179c40 ISN 10000001 a012{window:04x} SUM 0000
                     02040550 0402080a @50000000 11223344 01030300"
                ),
            );
            for (seq, bits, payload, ack) in [
                ("10000001", "10", octets(1448), "100005a9"),
                ("10000001", "11", octets(0), "10000002"),
                ("10000000", "10", octets(0), "10000001"),
            ] {
                host.answers(
                    &format!("9c400017 {seq} ISN+1 50{bits}faf0 SUM 0000 {payload}"),
                    &format!("00179c40 ISN+1 {ack} 50{bits}{window:04x} SUM 0000"),
                );
                let value = stamp(0x5000_0700, u32::from_str_radix(ack, 16).unwrap());
                host.answers_at(
                    aged(2_000),
                    &format!(
                        "9c400017 {seq} ISN+1 80{bits}faf0 SUM 0000
                         0101080a 11223346 @50000000 {payload}"
                    ),
                    &format!(
                        "00179c40 ISN+1 {ack} 80{bits}{window:04x} SUM 0000
                         0101080a {value} 11223346"
                    ),
                );
            }
        }
    }
}
