// SPDX-License-Identifier: GPL-2.0

//! A rule that resets, as a host where nobody listens (RFC 9293, 3.10.7.1).

use super::common::{dump, Host, BOTH, CLOCK, RESET};
use super::{octets, LINUX_SYN};
use tarpit::{DropReason, RateLimit};

fn hosts() -> [Host; 2] {
    BOTH.map(|host| host.under(RESET))
}

#[test]
fn refuses_a_connection() {
    for host in hosts() {
        // Of the options none is answered.
        host.answers(LINUX_SYN, "00179c40 00000000 10000001 50140000 SUM 0000");
        for (seq, count, ack) in [
            ("10000000", 0, "10000001"),
            ("10000000", 1000, "100003e9"),
            ("ffffffff", 0, "00000000"),
            ("fffffffe", 1, "00000000"),
            ("fffffffa", 10, "00000005"),
            ("7fffffff", 0, "80000000"),
        ] {
            // ECE, CWR, PSH and URG make no difference, nor what SEG.ACK says without its bit.
            for bits in ["02", "c2", "0a", "22"] {
                host.answers(
                    &format!(
                        "9c400017 {seq} deadbeef 50{bits}faf0 SUM beef {}",
                        octets(count)
                    ),
                    &format!("00179c40 00000000 {ack} 50140000 SUM 0000"),
                );
            }
        }
    }
}

#[test]
fn resets_with_every_control_bit() {
    for host in hosts() {
        for bits in 0..=0xffu8 {
            for count in [0, 1, 2, 24] {
                let asked = format!(
                    "9c400017 fffffffe deadbeef 50{bits:02x}faf0 SUM 0000 {}",
                    octets(count)
                );
                let (fin, syn, rst, ack) = (bits & 1, bits >> 1 & 1, bits & 4, bits & 0x10);
                if rst != 0 {
                    host.ignores(&asked, DropReason::Reset);
                } else if ack != 0 {
                    host.answers(&asked, "00179c40 deadbeef 00000000 50040000 SUM 0000");
                } else {
                    let len = u32::try_from(count).unwrap() + u32::from(syn) + u32::from(fin);
                    let ack = 0xffff_fffe_u32.wrapping_add(len);
                    host.answers(
                        &asked,
                        &format!("00179c40 00000000 {ack:08x} 50140000 SUM 0000"),
                    );
                }
            }
        }
    }
}

#[test]
fn resets_whatever_the_numbers_are() {
    for host in hosts() {
        for (seq, ack) in [
            ("10000001", "ISN+1"),
            ("10000000", "ISN+1"),
            ("deadbeef", "00000000"),
            ("00000000", "ffffffff"),
        ] {
            for options in ["50", "80"] {
                let timestamps = if options == "80" {
                    "0101080a 11223346 @50000000"
                } else {
                    ""
                };
                for payload in ["", "78", "7878"] {
                    let asked = format!(
                        "9c400017 {seq} {ack} {options}18faf0 SUM 0000 {timestamps} {payload}"
                    );
                    // At whatever time: there is no clock in it.
                    for clock in [CLOCK, 0, u32::MAX] {
                        host.answers_at(
                            clock,
                            &asked,
                            &format!("00179c40 {ack} 00000000 50040000 SUM 0000"),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn counts_segments_of_any_length() {
    for host in hosts() {
        let syn = host.asked("9c400017 fffffffe 00000000 5002faf0 SUM 0000");
        let data = host.asked("9c400017 fffffffe deadbeef 5010faf0 SUM 0000");
        for (payload, ack) in [
            (65_000, "0000fde7"),
            (65_536, "0000ffff"),
            (200_000, "00030d3f"),
        ] {
            let given = host.ask_at(CLOCK, &syn, syn.len() + payload).unwrap();
            let answer = format!("00179c40 00000000 {ack} 50140000 SUM 0000");
            assert_eq!(dump(&given.packet), dump(&host.answer(&answer)));
            let given = host.ask_at(CLOCK, &data, data.len() + payload).unwrap();
            let answer = host.answer("00179c40 deadbeef 00000000 50040000 SUM 0000");
            assert_eq!(dump(&given.packet), dump(&answer));
        }
    }
}

#[test]
fn draws_on_the_budget_of_all_and_holds_nobody() {
    for host in hosts() {
        for asked in [
            LINUX_SYN,
            "9c400017 10000001 deadbeef 5010faf0 SUM 0000",
            "9c400017 10000001 ISN+1 8018faf0 SUM 0000 0101080a 11223346 @4fff0000 78",
            "9c400017 10000001 deadbeef 5012faf0 SUM 0000",
            "9c400017 10000001 deadbeef 5000faf0 SUM 0000",
        ] {
            let given = host.given_at(CLOCK, asked);
            assert_eq!(
                (given.limit, given.trapped_ms),
                (RateLimit::Shared, 0),
                "{asked}"
            );
        }
    }
}

#[test]
fn tells_nothing_of_congestion() {
    for host in hosts() {
        for asked in [
            LINUX_SYN,
            "9c400017 10000001 deadbeef 50d8faf0 SUM 0000 7878",
        ] {
            let plain = host.ask(&host.asked(asked)).unwrap();
            for ecn in 1..=3 {
                assert_eq!(host.ask(&host.marked(ecn, asked)), Ok(plain.clone()));
            }
        }
    }
}
