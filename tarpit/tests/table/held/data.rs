// SPDX-License-Identifier: GPL-2.0

//! Data that a held client sends: its first window, and what it has in flight.

use super::super::common::{BOTH, LINUX};
use super::super::{answers_aged, octets, waits};

#[test]
fn accepts_a_first_window_that_is_filled() {
    for host in BOTH {
        // With any control bits except FIN.
        for count in [24, 25, 536, 1448] {
            for bits in ["10", "18", "30", "d8"] {
                host.answers(
                    &format!(
                        "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000
                         0101080a 11223346 @50000000 {}",
                        octets(count)
                    ),
                    "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a @500000c1 11223346",
                );
            }
        }
    }
}

#[test]
fn accepts_one_byte_of_first_data_that_does_not_fill_the_window() {
    for host in BOTH {
        for (count, bits) in [
            // Less than the window.
            (1, "10"),
            (1, "18"),
            (5, "18"),
            (23, "10"),
            (23, "18"),
            // With FIN, which is not acknowledged.
            (1, "11"),
            (24, "11"),
            (24, "19"),
            (1000, "11"),
        ] {
            host.answers(
                &format!(
                    "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223346 @50000000 {}",
                    octets(count)
                ),
                "00179c40 ISN+1 10000002 80100000 SUM 0000 0101080a @50000009 11223346",
            );
        }
    }
}

#[test]
fn accepts_bytes_in_flight_one_at_a_time_each_after_45_s() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // The echo is of a reply to data or to a probe. A few bytes, a first window, data with FIN.
        for echo in ["29", "2a"] {
            for (bits, count) in [("10", 2), ("18", 2), ("18", 19), ("10", 24), ("19", 5)] {
                let data = format!(
                    "9c400017 10000006 ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223446 @500000{echo} {}",
                    octets(count)
                );
                for age in [69, 1000, 44_999] {
                    waits(&host, age, &data);
                }
                for age in [45_000, 60_000, 86_400_000] {
                    answers_aged(&host, age, &data, (0x1000_0007, 0, 0x31));
                }
            }
        }
    }
}

#[test]
fn accepts_a_single_byte_only_after_90_s() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // With PSH, with FIN, and behind a byte that was accepted before.
        for (seq, count, bits) in [
            ("10000006", 1, "10"),
            ("10000006", 1, "18"),
            ("10000006", 1, "19"),
            ("10000005", 2, "18"),
        ] {
            for echo in ["29", "2a"] {
                let octet = format!(
                    "9c400017 {seq} ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223446 @500000{echo} {}",
                    octets(count)
                );
                for age in [300, 45_000, 89_999] {
                    answers_aged(&host, age, &octet, (0x1000_0006, 0, 0x29));
                }
                // BSD probes earlier, so this is the last byte in flight.
                for age in [90_000, 600_000] {
                    answers_aged(&host, age, &octet, (0x1000_0007, 0, 0x31));
                }
            }
        }
    }
}

#[test]
fn accepts_data_for_a_last_chance_at_once() {
    for host in BOTH {
        // A first window or one byte. With FIN, 30 stay in flight, the FIN counted.
        for (count, bits, ack, low) in [
            (24, "18", 0x1000_0031, 0x81),
            (36, "10", 0x1000_0031, 0x81),
            (36, "18", 0x1000_0031, 0x81),
            (37, "10", 0x1000_0031, 0x81),
            (30, "11", 0x1000_001a, 0xc9),
            (31, "11", 0x1000_001b, 0xd1),
            (36, "11", 0x1000_0020, 0xf9),
            (37, "11", 0x1000_0020, 0xf9),
            (1448, "11", 0x1000_0020, 0xf9),
            (23, "10", 0x1000_001a, 0xc9),
            (1, "18", 0x1000_001a, 0xc9),
        ] {
            let data = format!(
                "9c400017 10000019 ISN+1 80{bits}01f6 SUM 0000 0101080a 11223446 @500000c7 {}",
                octets(count)
            );
            for age in [256, 100_000] {
                answers_aged(&host, age, &data, (ack, 0, low));
            }
        }
    }
}

#[test]
fn never_acknowledges_a_fin() {
    for host in BOTH {
        // After the handshake, five accepted bytes, a full window, and an offered byte. The reply to a
        // retransmission is the same.
        for (seq, echo, ack, low) in [
            ("10000001", "00", 0x1000_0001, 0x01),
            ("10000006", "29", 0x1000_0006, 0x29),
            ("10000006", "2a", 0x1000_0006, 0x29),
            ("10000019", "c1", 0x1000_0019, 0xc1),
            ("1000001a", "cc", 0x1000_001a, 0xc9),
        ] {
            // Alone, with PSH, URG, ECE and CWR.
            for bits in ["11", "19", "31", "d1"] {
                let fin = format!(
                    "9c400017 {seq} ISN+1 80{bits}01f6 SUM 0001 0101080a 11223446 @500000{echo}"
                );
                for age in [256, 45_000, 200_000] {
                    answers_aged(&host, age, &fin, (ack, 0, low));
                }
            }
        }
    }
}
