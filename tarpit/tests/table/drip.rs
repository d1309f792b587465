// SPDX-License-Identifier: GPL-2.0

//! A rule that drips. Positions count from the client's ISN with its lower half zero, so the stamp of
//! a SYN-ACK for 10000000 says that one octet, the SYN, was received.

use super::common::{dump, hex, read_reply, Host, BOTH, CLOCK, DRIP};
use super::{aged, octets, stamp, LINUX_SYN};
use oracle::BANNER;
use tarpit::{DropReason, Policy, RateLimit};

fn hosts() -> [Host; 2] {
    BOTH.map(|host| host.under(DRIP))
}

/// Asserts that a segment which acknowledges `sent` octets of ours is answered at this age with the
/// octet of the banner that comes next.
#[track_caller]
fn talks(host: &Host, age: u32, asked: &str, sent: u32, (ack, window, low): (u32, u16, u32)) {
    let stamp = stamp(age, low);
    let octet = BANNER[usize::try_from(sent).unwrap() % 18];
    host.answers_at(
        aged(age),
        asked,
        &format!(
            "00179c40 TALK+{} {ack:08x} 8018{window:04x} SUM 0000 0101080a {stamp} 11223446 {octet:02x}",
            sent + 1
        ),
    );
}

/// Asserts that it is answered without an octet.
#[track_caller]
fn says_nothing(
    host: &Host,
    age: u32,
    asked: &str,
    sent: u32,
    (ack, window, low): (u32, u16, u32),
) {
    let stamp = stamp(age, low);
    host.answers_at(
        aged(age),
        asked,
        &format!(
            "00179c40 TALK+{} {ack:08x} 8010{window:04x} SUM 0000 0101080a {stamp} 11223446",
            sent + 1
        ),
    );
}

#[test]
fn writes_whole_packets_as_they_cross_the_wire() {
    // A probe 6.5 s after the handshake, and the first octet of the banner.
    let [v4, v6] = hosts().map(|host| {
        host.under(Policy {
            hop_limit: 64,
            ..DRIP
        })
    });
    for (host, asked, answer) in [
        (
            v4,
            "45bb0034 beef0000 3306dbe2 c0000201 c6336402
             9c400017 10000000 ec977f06 801001f6 6de90000
             0101080a 1122fbff 1d0ed880",
            "45000035 79a94000 4006d4e2 c6336402 c0000201
             00179c40 ec977f06 10000001 80180001 24ce0000
             0101080a 1d0ef186 1122fbff 32",
        ),
        (
            v6,
            "6bbabcde 00200633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000000 5c35c188 801001f6 ce540000
             0101080a 1122fbff 84c7eefb",
            "60023df3 00210640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 5c35c188 10000001 80180001 85390000
             0101080a 84c80801 1122fbff 32",
        ),
    ] {
        let asked = hex(asked);
        let given = host.ask_at(aged(6_500), &asked, asked.len()).unwrap();
        assert_eq!(dump(&given.packet), dump(&hex(answer)));
        // The peer has proved itself.
        assert_eq!(given.limit, RateLimit::None);
    }
}

// The handshake.

#[test]
fn answers_a_syn_with_an_isn_that_leaves_room_to_count() {
    for host in hosts() {
        // The lower half of the client's ISN is only in the stamp, modulo 32.
        for (isn, ack, low) in [
            ("10000000", "10000001", "08"),
            ("10000007", "10000008", "40"),
            ("1000001e", "1000001f", "f8"),
            ("1000001f", "10000020", "00"),
            ("1000fffe", "1000ffff", "f8"),
            ("1000ffff", "10010000", "00"),
        ] {
            host.answers(
                &LINUX_SYN.replace("10000000", isn),
                &format!(
                    "00179c40 TALK {ack} a0120018 SUM 0000
                     02040550 0402080a @500000{low} 11223344 01030300"
                ),
            );
        }
    }
}

#[test]
fn takes_a_syn_without_timestamps_as_any_rule_does() {
    for host in hosts() {
        host.answers(
            "9c400017 10000000 00000000 8002faf0 SUM 0000 020405b4 01030308 01010402",
            "00179c40 ISN 10000001 8012ff00 SUM 0000 02040550 01010402 01030300",
        );
    }
}

#[test]
fn knows_no_segment_without_timestamps_in_a_flow_that_has_them() {
    for host in hosts() {
        for (bits, payload) in [("10", ""), ("18", "78"), ("11", "")] {
            for seq in ["10000000", "10000001", "10000006"] {
                host.ignores(
                    &format!("9c400017 {seq} TALK+1 50{bits}faf0 SUM 0000 {payload}"),
                    DropReason::NotOurs,
                );
                // Nor the other way around.
                host.ignores(
                    &format!(
                        "9c400017 {seq} ISN+1 80{bits}faf0 SUM 0000
                         0101080a 11223446 @50000008 {payload}"
                    ),
                    DropReason::NotOurs,
                );
            }
        }
    }
}

#[test]
fn is_silent_when_the_handshake_ends_and_on_acknowledgments_of_what_it_said() {
    for host in hosts() {
        for sent in [0, 1, 18, 65_535] {
            for (seq, echo) in [("10000001", "08"), ("10000001", "0e"), ("10000006", "08")] {
                let ack = format!(
                    "9c400017 {seq} TALK+{} 801001f6 SUM 0000 0101080a 11223446 @500000{echo}",
                    sent + 1
                );
                let why = match (seq, echo) {
                    ("10000001", "08") => DropReason::HandshakeAck,
                    _ => DropReason::BareAck,
                };
                for age in [69, 6_500, 100_000] {
                    host.ignores_at(aged(age), &ack, why);
                }
            }
        }
    }
}

// Probes.

#[test]
fn gives_an_octet_to_a_probe_that_comes_late_enough() {
    for host in hosts() {
        // Before any data, after five octets, and after 40, told at whatever answer.
        for (seq, ack, echo, closed, open) in [
            ("10000000", 0x1000_0001, "08", 0x0a, 0x0e),
            ("10000005", 0x1000_0006, "31", 0x32, 0x36),
            ("10000005", 0x1000_0006, "32", 0x32, 0x36),
            ("10000005", 0x1000_0006, "36", 0x32, 0x36),
            ("10000028", 0x1000_0029, "49", 0x4a, 0x4e),
        ] {
            let probe =
                format!("9c400017 {seq} TALK+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}");
            for age in [256, 6_499] {
                says_nothing(&host, age, &probe, 0, (ack, 0, closed));
            }
            for age in [6_500, 30_000, 59_488, 600_000] {
                talks(&host, age, &probe, 0, (ack, 1, open));
            }
        }
    }
}

#[test]
fn gives_the_octet_that_follows_what_was_acknowledged() {
    let probe = |sent: u32| {
        let next = sent + 1;
        format!("9c400017 10000005 TALK+{next} 801001f6 SUM 0000 0101080a 11223446 @50000032")
    };
    for host in hosts() {
        for sent in (0..55).chain(65_520..65_535) {
            talks(&host, 7_000, &probe(sent), sent, (0x1000_0006, 1, 0x36));
            // It was lost, or its acknowledgment was: the same once more.
            talks(&host, 14_000, &probe(sent), sent, (0x1000_0006, 1, 0x36));
        }
        // There is no more to count with, but the window is offered as before.
        says_nothing(&host, 7_000, &probe(65_535), 65_535, (0x1000_0006, 1, 0x36));
        // Nobody has sent one more than that.
        host.ignores_at(aged(7_000), &probe(65_536), DropReason::NotOurs);
    }
}

#[test]
fn sends_no_octet_with_what_is_no_news() {
    for host in hosts() {
        // A keep-alive with a garbage octet, and a FIN.
        for (seq, bits, payload) in [("10000005", "10", "00"), ("10000006", "11", "")] {
            let asked = format!(
                "9c400017 {seq} TALK+4 80{bits}01f6 SUM 0000 0101080a 11223446 @50000031 {payload}"
            );
            for age in [69, 45_000] {
                says_nothing(&host, age, &asked, 3, (0x1000_0006, 0, 0x31));
            }
        }
    }
}

// Data.

#[test]
fn takes_the_octet_that_was_offered_at_once() {
    for host in hosts() {
        // Or more of them, from who does not keep to the window.
        for (count, ack, low) in [(1, 0x1000_0007, 0x39), (128, 0x1000_0086, 0x31)] {
            for bits in ["10", "18", "19"] {
                let data = format!(
                    "9c400017 10000006 TALK+2 80{bits}01f6 SUM 0000 0101080a 11223446 @50000036 {}",
                    octets(count)
                );
                for age in [256, 6_500, 100_000] {
                    talks(&host, age, &data, 1, (ack, 0, low));
                }
            }
        }
    }
}

#[test]
fn takes_first_data_as_a_plain_rule_does() {
    for host in hosts() {
        for (count, bits, ack, low) in [
            (24, "10", 0x1000_0019, 0xc9),
            (24, "18", 0x1000_0019, 0xc9),
            (1448, "10", 0x1000_0019, 0xc9),
            (1, "18", 0x1000_0002, 0x11),
            (23, "10", 0x1000_0002, 0x11),
            (24, "11", 0x1000_0002, 0x11),
            (1448, "19", 0x1000_0002, 0x11),
        ] {
            let data = format!(
                "9c400017 10000001 TALK+1 80{bits}01f6 SUM 0000 0101080a 11223446 @50000008 {}",
                octets(count)
            );
            // No octet of ours comes with the answer, however late.
            for age in [69, 6_500, 60_000] {
                says_nothing(&host, age, &data, 0, (ack, 0, low));
            }
        }
    }
}

#[test]
fn takes_octets_in_flight_one_at_a_time_each_after_a_short_while() {
    for host in hosts() {
        for echo in ["31", "32"] {
            for (bits, count) in [("10", 1), ("10", 2), ("18", 19), ("10", 24), ("19", 5)] {
                let data = format!(
                    "9c400017 10000006 TALK+8 80{bits}01f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
                    octets(count)
                );
                for age in [300, 6_499] {
                    match count {
                        // It may be a probe.
                        1 => says_nothing(&host, age, &data, 7, (0x1000_0006, 0, 0x31)),
                        _ => host.ignores_at(aged(age), &data, DropReason::Deferred),
                    }
                }
                for age in [6_500, 45_000, 600_000] {
                    talks(&host, age, &data, 7, (0x1000_0007, 0, 0x39));
                }
            }
        }
    }
}

#[test]
fn is_silent_on_data_behind_a_gap() {
    for host in hosts() {
        for (echo, seq) in [("08", "10000002"), ("08", "10000019"), ("36", "10000007")] {
            let data = format!(
                "9c400017 {seq} TALK+1 801801f6 SUM 0000 0101080a 11223446 @500000{echo} 7878"
            );
            for age in [69, 6_500, 100_000] {
                host.ignores_at(aged(age), &data, DropReason::Deferred);
            }
        }
    }
}

#[test]
fn holds_a_stream_that_crosses_a_half_of_the_numbers() {
    // The client's ISN is 1000ffff: its stream starts 65,536 octets after what is known of it.
    for host in hosts() {
        host.ignores(
            "9c400017 10010000 TALK+1 801001f6 SUM 0000 0101080a 11223446 @50000000",
            DropReason::HandshakeAck,
        );
        let probe = "9c400017 1000ffff TALK+1 801001f6 SUM 0000 0101080a 11223446 @50000000";
        talks(&host, 6_500, probe, 0, (0x1001_0000, 1, 0x06));
        let data = "9c400017 10010000 TALK+2 801801f6 SUM 0000 0101080a 11223446 @50000006 78";
        talks(&host, 256, data, 1, (0x1001_0001, 0, 0x09));
    }
}

#[test]
fn is_at_most_an_octet_longer_than_what_it_answers() {
    for host in hosts() {
        let probe = "9c400017 10000005 TALK+1 801001f6 SUM 0000 0101080a 11223446 @50000032";
        let asked = host.asked(probe);
        let given = host.given_at(aged(6_500), probe);
        assert_eq!(given.packet.len(), asked.len() + 1);
        assert_eq!(read_reply(&given.packet).payload, Some(b'2'));
        // A packet that says that it is shorter than its headers is none, and gets nothing.
        let given = host.ask_at(CLOCK + 7_000, &asked, asked.len() - 1);
        assert_eq!(given, Err(DropReason::Malformed));
    }
}
