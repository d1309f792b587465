// SPDX-License-Identifier: GPL-2.0

//! The timestamps of a honeypot, and the numbers that pass for those of its connections.

use super::super::common::{ask, read_reply, Family, CLOCK, KEY};
use super::super::{aged, octets};
use super::hosts;
use tarpit::{DropReason, Key};

/// The age up to which an echo is recent in milliseconds, and how far it may be ahead of the clock,
/// since the clocks of two CPUs may differ.
const OLDEST: i32 = (1 << 23) - 257;
const AHEAD: i32 = 256;

#[test]
fn timestamps_count_time_and_bytes_and_are_not_below_the_echo() {
    for host in hosts() {
        for (bits, count, received) in [("10", 24, 24), ("11", 0, 1), ("10", 1448, 1448)] {
            let ack = 0x1000_0001 + received;
            // Around the wrap of the clock as well.
            for clock in [CLOCK, 0, 5, u32::MAX] {
                let ours = (clock & !0xff).wrapping_add(received);
                // The distance of the echo from our stamp. After one ahead of it comes the next number with
                // the same low bits.
                for (ahead, later) in [
                    (0, 0),
                    (-1, 0),
                    (-69, 0),
                    (-OLDEST, 0),
                    (-i32::MAX, 0),
                    (1, 256),
                    (255, 256),
                    (256, 256),
                    (1000, 1024),
                ] {
                    let echo = ours.wrapping_add_signed(ahead);
                    let value = ours.wrapping_add(later);
                    host.answers_at(
                        clock,
                        &format!(
                            "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000
                             0101080a 11223346 @{echo:08x} {}",
                            octets(count)
                        ),
                        &format!(
                            "00179c40 ISN+1 {ack:08x} 80{bits}fcc0 SUM 0000
                             0101080a @{value:08x} 11223346"
                        ),
                    );
                }
            }
        }
    }
}

#[test]
fn timestamps_of_the_replies_to_a_burst_increase() {
    // All segments have the same echo, and come within one step or several.
    for host in hosts() {
        let (mut seq, mut last) = (0x1000_0001u32, 0x5000_0000u32);
        for (at, count) in [
            (0, 1448),
            (0, 1),
            (0, 1347),
            (69, 2),
            (255, 255),
            (256, 1),
            (300, 64_000),
        ] {
            let data = host.asked(&format!(
                "9c400017 {seq:08x} ISN+1 801001f6 SUM 0000 0101080a 11223346 @50000000"
            ));
            let given = host.ask_at(aged(at), &data, data.len() + count).unwrap();
            let (value, _) = read_reply(&given.packet).options.timestamps.unwrap();
            let value = value.wrapping_sub(host.stamp_offset);
            assert!(value > last, "{value:08x} after {last:08x}");
            last = value;
            seq += u32::try_from(count).unwrap();
        }
    }
}

#[test]
fn accepts_a_long_stream_only_with_a_recent_echo() {
    // The position of the segment, which is what its echo counts if no byte is in flight.
    const PLACE: u32 = 0x0fff_ffff;
    for host in hosts() {
        for (bits, bits_back, payload) in [("18", "10", "78"), ("11", "11", "")] {
            for clock in [CLOCK, 0, 5, u32::MAX] {
                let echo = |age: i32| clock.wrapping_sub(age as u32).wrapping_add(PLACE);
                let asked = |age: i32| {
                    format!(
                        "9c400017 20000000 ISN+1 80{bits}01f6 SUM 0000
                         0101080a 11223346 @{:08x} {payload}",
                        echo(age)
                    )
                };
                // 65,535 bytes in flight make it older by as many milliseconds.
                for age in [-AHEAD, -1, 0, 1, 65_535, OLDEST - 1, OLDEST] {
                    let mut value = (clock & !0xff).wrapping_add(PLACE + 1);
                    while (value.wrapping_sub(echo(age)) as i32) < 0 {
                        value = value.wrapping_add(256);
                    }
                    host.answers_at(
                        clock,
                        &asked(age),
                        &format!(
                            "00179c40 ISN+1 20000001 80{bits_back}fcc0 SUM 0000
                             0101080a @{value:08x} 11223346"
                        ),
                    );
                }
                for age in [OLDEST + 1, i32::MAX, -AHEAD - 1, i32::MIN] {
                    host.ignores_at(clock, &asked(age), DropReason::NotOurs);
                }
            }
        }
    }
}

#[test]
fn drops_numbers_that_do_not_fit() {
    for host in hosts() {
        for (ports, seq, ack) in [
            ("9c400017", "0fffffff", "ISN+1"),    // before the SYN
            ("9c400017", "90000001", "ISN+1"),    // half the numbers away
            ("9c400017", "10000001", "00000000"), // another ISN
            ("9c400017", "10000001", "10000001"),
            ("9c400017", "ISN+1", "10000001"), // reversed
            ("9c410017", "10000001", "ISN+1"), // other ports
            ("9c400018", "10000001", "ISN+1"),
            ("00179c40", "10000001", "ISN+1"),
        ] {
            // The connection is not frozen.
            for (bits, payload) in [("10", ""), ("18", "78"), ("18", "7878"), ("11", "")] {
                host.ignores(
                    &format!("{ports} {seq} {ack} 50{bits}faf0 SUM 0000 {payload}"),
                    DropReason::NotOurs,
                );
                // An echo that is none of ours.
                host.ignores(
                    &format!(
                        "{ports} {seq} {ack} 80{bits}01f6 SUM 0000 0101080a 11223346 00000000 {payload}"
                    ),
                    DropReason::NotOurs,
                );
            }
        }
    }
}

#[test]
fn drops_numbers_of_another_host_or_key() {
    for host in hosts() {
        // One in 256 passes by chance, so there are two.
        let ours = [
            "9c400017 10000001 ISN+1 5018faf0 SUM 0000 7878",
            "9c400017 fffffffb WRAP+1 5018faf0 SUM 0000 7878",
        ]
        .map(|asked| host.asked(asked));
        let ignored = |key: &Key, bend: &dyn Fn(&mut Vec<u8>)| {
            let ignored = ours.clone().map(|mut packet| {
                bend(&mut packet);
                let given = ask(host.policy, host.family, &packet, packet.len(), key, CLOCK);
                given == Err(DropReason::NotOurs)
            });
            ignored.contains(&true)
        };
        assert!(!ignored(&KEY, &|_| ()));
        let addresses = match host.family {
            Family::V4 => 12..20,
            Family::V6 => 8..40,
        };
        for at in addresses {
            assert!(ignored(&KEY, &|packet| packet[at] ^= 1), "byte {at}");
        }
        for key in [Key([KEY.0[0] ^ 1, KEY.0[1]]), Key([KEY.0[0], KEY.0[1] ^ 1])] {
            assert!(ignored(&key, &|_| ()));
        }
    }
}
