// SPDX-License-Identifier: GPL-2.0

//! A rule that takes everything. The clock says 50000045, so the stamp of an answer is 50000000 and the
//! octets that were received.

use super::common::{ask, dump, read_reply, Family, Host, BOTH, CLOCK, HONEYPOT, KEY};
use super::{aged, octets, LINUX_SYN};
use tarpit::{DropReason, Key, Policy, RateLimit};

fn hosts() -> [Host; 2] {
    BOTH.map(|host| host.under(HONEYPOT))
}

/// The stamp of an answer in the step that begins with `clock`, which acknowledges all before `ack`.
fn stamp(clock: u32, ack: u32) -> String {
    format!("@{:08x}", clock.wrapping_add(ack.wrapping_sub(0x1000_0001)))
}

/// Asserts what a segment with the timestamps 11223346 and of the answer before it is answered with.
#[track_caller]
fn answers(host: &Host, (seq, bits, count): (u32, &str, usize), (bits_back, ack): (&str, u32)) {
    let (echo, value) = (stamp(0x5000_0000, seq), stamp(0x5000_0000, ack));
    host.answers(
        &format!(
            "9c400017 {seq:08x} ISN+1 80{bits}01f6 SUM 0000 0101080a 11223346 {echo} {}",
            octets(count)
        ),
        &format!("00179c40 ISN+1 {ack:08x} 80{bits_back}fcc0 SUM 0000 0101080a {value} 11223346"),
    );
}

/// Asserts what one without timestamps is answered with.
#[track_caller]
fn answers_untimed(
    host: &Host,
    (seq, bits, count): (u32, &str, usize),
    (bits_back, ack): (&str, u32),
) {
    host.answers(
        &format!(
            "9c400017 {seq:08x} ISN+1 50{bits}faf0 SUM 0000 {}",
            octets(count)
        ),
        &format!("00179c40 ISN+1 {ack:08x} 50{bits_back}ff00 SUM 0000"),
    );
}

/// How far into the stream: its start, where others would end, and as far as it reaches without
/// timestamps.
const PLACES: [u32; 8] = [0, 1, 5, 24, 65_280, 1 << 17, (1 << 24) - 1, 1 << 24];

// The handshake.

#[test]
fn answers_a_syn_with_a_wide_window_and_no_shift() {
    for host in hosts() {
        // Linux, Windows, and those that offer little.
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
        // ECE and CWR are not agreed to, data are no part of it.
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
fn is_silent_when_the_handshake_ends() {
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

// Data and FIN.

#[test]
fn takes_all_data_at_once() {
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
fn takes_a_fin_with_all_before_it() {
    for host in hosts() {
        for place in PLACES {
            let seq = 0x1000_0001 + place;
            for count in [0u32, 1, 24, 1448] {
                let len = usize::try_from(count).unwrap();
                // Sent again it is answered again, with the same numbers: nothing is kept.
                for bits in ["11", "19", "39", "11"] {
                    answers(&host, (seq, bits, len), ("11", seq + count + 1));
                    answers_untimed(&host, (seq, bits, len), ("11", seq + count + 1));
                }
            }
        }
    }
}

#[test]
fn takes_a_stream_that_crosses_zero() {
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
fn takes_segments_of_any_length() {
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

// Empty segments.

#[test]
fn answers_an_empty_segment_one_octet_before_what_its_echo_acknowledged() {
    for host in hosts() {
        // Before any data and later, up to where an empty segment passes; however often, however old.
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
            // An acknowledgment starts at what was acknowledged, or behind data in flight.
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
fn answers_an_acknowledgment_that_looks_like_a_keep_alive_within_the_limit_of_the_source() {
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
fn is_silent_on_an_empty_segment_whose_echo_is_none_of_ours() {
    for host in hosts() {
        for echo in [
            "00000000",
            "@4fffff00",
            "@50000002",
            "@50000007",
            "@d0000045",
        ] {
            host.ignores(
                &format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 {echo}"),
                DropReason::BareAck,
            );
        }
    }
}

#[test]
fn answers_a_keep_alive_without_timestamps_only_before_any_data() {
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
fn answers_a_keep_alive_with_an_octet_at_any_time() {
    // RFC 1122, 4.2.3.6; it cannot be told from data.
    for host in hosts() {
        for place in PLACES {
            let next = 0x1000_0001 + place;
            answers(&host, (next - 1, "10", 1), ("10", next));
            answers_untimed(&host, (next - 1, "10", 1), ("10", next));
        }
    }
}

// Far into the stream.

#[test]
fn takes_more_than_sixteen_megabytes_only_with_timestamps() {
    for host in hosts() {
        let reach = 0x1000_0001 + (1 << 24);
        for (bits, bits_back, count, len) in [
            ("10", "10", 1448, 1448),
            ("19", "11", 1448, 1449),
            ("11", "11", 0, 1),
        ] {
            answers_untimed(&host, (reach, bits, count), (bits_back, reach + len));
            answers(&host, (reach, bits, count), (bits_back, reach + len));
            answers(
                &host,
                (reach + 1, bits, count),
                (bits_back, reach + 1 + len),
            );
            let payload = octets(count);
            // An echo that is none of ours is no better than none.
            for (offset, options) in [("50", ""), ("80", "0101080a 11223346 00000000")] {
                host.ignores(
                    &format!(
                        "9c400017 {:08x} ISN+1 {offset}{bits}faf0 SUM 0000 {options} {payload}",
                        reach + 1
                    ),
                    DropReason::NotOurs,
                );
            }
        }
    }
}

#[test]
fn takes_a_gigabyte_with_timestamps() {
    for host in hosts() {
        for place in [1 << 28, (1 << 30) - 1448, (1 << 30) - 1, 1 << 30] {
            let seq = 0x1000_0001 + place;
            answers(&host, (seq, "10", 1448), ("10", seq + 1448));
            answers(&host, (seq, "11", 0), ("11", seq + 1));
        }
        for place in [
            (1u32 << 30) + 1,
            (1 << 31) - 1,
            1 << 31,
            (1 << 31) + 1,
            3 << 30,
            u32::MAX - 1,
        ] {
            let seq = 0x1000_0001_u32.wrapping_add(place);
            for (bits, payload) in [("10", ""), ("18", "7878"), ("11", "")] {
                host.ignores(
                    &format!(
                        "9c400017 {seq:08x} ISN+1 80{bits}01f6 SUM 0000
                         0101080a 11223346 {} {payload}",
                        stamp(0x5000_0000, seq)
                    ),
                    DropReason::NotOurs,
                );
            }
        }
    }
}

#[test]
fn leaves_the_acknowledgment_of_its_fin_alone() {
    // SEG.ACK is then one more, and gives another ISN of the client's, but it comes at once.
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

// The clock.

#[test]
fn counts_time_and_octets_and_never_goes_below_the_echo() {
    for host in hosts() {
        for (bits, count, received) in [("10", 24, 24), ("11", 0, 1), ("10", 1448, 1448)] {
            let ack = 0x1000_0001 + received;
            // Around the wrap of the clock as well.
            for clock in [CLOCK, 0, 5, u32::MAX] {
                let ours = (clock & !0xff).wrapping_add(received);
                // Distances of the echo from our stamp. From the future, the next number that ends as ours.
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
fn answers_to_a_burst_have_growing_stamps() {
    // All of its segments have one echo, and come within one step or several; sizes are odd.
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

/// The age of an echo up to which it proves something, two hours and twenty minutes, and how far it may
/// be ahead, which is what the clocks of two CPUs may differ by.
const OLDEST: i32 = (1 << 23) - 257;
const AHEAD: i32 = 256;

#[test]
fn takes_a_long_stream_by_a_stamp_of_the_last_hours() {
    // How far into it the segment starts: what its echo counts, if nothing is in flight.
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
                // One that has 65,535 octets in flight looks older by as many milliseconds.
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

// Strangers.

#[test]
fn is_silent_on_numbers_that_do_not_fit() {
    for host in hosts() {
        for (ports, seq, ack) in [
            ("9c400017", "0fffffff", "ISN+1"),    // before the SYN
            ("9c400017", "90000001", "ISN+1"),    // as far as can be
            ("9c400017", "10000001", "00000000"), // an acknowledgment of nothing of ours
            ("9c400017", "10000001", "10000001"),
            ("9c400017", "ISN+1", "10000001"), // turned around
            ("9c410017", "10000001", "ISN+1"), // other ports
            ("9c400018", "10000001", "ISN+1"),
            ("00179c40", "10000001", "ISN+1"),
        ] {
            // Nor is the connection frozen.
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
fn is_silent_on_numbers_of_another_host_or_another_key() {
    for host in hosts() {
        // One of 256 passes by chance, so there are two of them.
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
            assert!(ignored(&KEY, &|packet| packet[at] ^= 1), "octet {at}");
        }
        for key in [Key([KEY.0[0] ^ 1, KEY.0[1]]), Key([KEY.0[0], KEY.0[1] ^ 1])] {
            assert!(ignored(&key, &|_| ()));
        }
    }
}

#[test]
fn answers_what_belongs_to_no_connection_as_any_rule_does() {
    for host in hosts() {
        for flags in 0..=0xffu8 {
            let asked = format!("9c400017 10000001 ISN+1 50{flags:02x} faf0 SUM 0000 7878");
            match (flags & 0x04 != 0, flags & 0x02 != 0, flags & 0x10 != 0) {
                (true, ..) => host.ignores(&asked, DropReason::Reset),
                (_, true, _) if flags & 1 != 0 => host.ignores(&asked, DropReason::BadFlags),
                (_, true, true) => {
                    host.answers(&asked, "00179c40 ISN+1 00000000 50040000 SUM 0000");
                }
                (_, false, false) => host.ignores(&asked, DropReason::BadFlags),
                _ => assert!(host.ask(&host.asked(&asked)).is_ok(), "{flags:02x}"),
            }
        }
    }
}

#[test]
fn tells_nothing_of_congestion() {
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

// Budgets.

#[test]
fn draws_on_a_budget_where_a_keep_alive_may_be_an_acknowledgment() {
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
                // Nobody is held.
                assert_eq!(given.trapped_ms, 0);
                given.limit
            };
            let budget = limit("10000001", "12", "");
            assert!(matches!(budget, RateLimit::Source), "of a SYN-ACK");
            if offset == "80" {
                // As soon as 255 octets can be in flight before it.
                assert_eq!(limit("10000100", "10", ""), budget);
                assert_eq!(limit("10010001", "18", ""), budget);
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

// A window of the rule's own.

#[test]
fn offers_the_window_of_the_rule_in_every_answer() {
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
