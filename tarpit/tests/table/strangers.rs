// SPDX-License-Identifier: GPL-2.0

//! Resets, SYN-ACKs, control bits that no connection sends, numbers that are not ours, and the budgets of such.

use super::common::{ask, Family, Host, BOTH, KEY};
use tarpit::rate_limit::token_bucket_take;
use tarpit::{DropReason, Key, RateLimit};

#[test]
fn resets_what_answers_a_syn_that_was_never_sent() {
    for host in BOTH {
        for syn_ack in [
            "9c400017 10000000 deadbeef 5012faf0 SUM 0000",
            "9c400017 10000000 deadbeef a012faf0 SUM 0000
             020405b4 0402080a 11223344 @50000000 01030307",
            "9c400017 10000001 deadbeef 5ffaffff SUM beef 78787878 78",
        ] {
            host.answers(syn_ack, "00179c40 deadbeef 00000000 50040000 SUM 0000");
            assert!(
                matches!(host.limit(syn_ack), RateLimit::Source),
                "{syn_ack}"
            );
        }
        // Numbers that fit a connection of ours make no difference.
        host.answers(
            "9c400017 10000001 ISN+1 5012faf0 SUM 0000",
            "00179c40 ISN+1 00000000 50040000 SUM 0000",
        );
    }
}

#[test]
fn is_silent_on_control_bits_that_no_connection_sends() {
    for host in BOTH {
        for flags in [
            0x00u8, // NULL
            0x29,   // Xmas
            0x01, 0x08, 0x20, 0x40, 0x80, 0xc0, // one bit or two
            0x03, 0x13, 0x0b, 0x2b, 0x3b, 0xc3, 0xfb, // SYN and FIN, and what comes with it
        ] {
            for numbers in ["10000001 ISN+1", "10000000 00000000"] {
                for payload in ["", "78"] {
                    host.ignores(
                        &format!("9c400017 {numbers} 50{flags:02x} faf0 SUM 0000 {payload}"),
                        DropReason::BadFlags,
                    );
                }
            }
        }
        // SYN with RST, all bits at once: still a reset.
        for flags in ["06", "16", "ff", "3f"] {
            host.ignores(
                &format!("9c400017 10000000 00000000 50{flags} faf0 SUM 0000"),
                DropReason::Reset,
            );
        }
    }
}

#[test]
fn is_silent_on_numbers_that_do_not_fit() {
    for host in BOTH {
        for (seq, ack) in [
            ("0fffffff", "ISN+1"),    // before the SYN
            ("10020002", "ISN+1"),    // beyond the reach
            ("90000001", "ISN+1"),    // as far as can be
            ("10000001", "ISN"),      // an acknowledgment of less than the SYN-ACK
            ("10000001", "00000000"), // or of nothing of ours
            ("10000001", "10000001"),
            ("ISN+1", "10000001"), // turned around
        ] {
            for (flags, payload) in [("10", ""), ("18", "78"), ("11", ""), ("19", "78")] {
                host.ignores(
                    &format!("9c400017 {seq} {ack} 50{flags} faf0 SUM 0000 {payload}"),
                    DropReason::NotOurs,
                );
                host.ignores(
                    &format!(
                        "9c400017 {seq} {ack} 80{flags} faf0 SUM 0000
                         0101080a 11223346 @50000000 {payload}"
                    ),
                    DropReason::NotOurs,
                );
            }
        }
        // The numbers of a held connection fit no other ports.
        for ports in ["9c410017", "9c400018", "00179c40"] {
            host.ignores(
                &format!("{ports} 10000001 ISN+1 5018faf0 SUM 0000 78"),
                DropReason::NotOurs,
            );
        }
    }
}

#[test]
fn is_silent_on_numbers_of_another_host_or_another_key() {
    for host in BOTH {
        let ours = host.asked("9c400017 10000001 ISN+1 5018faf0 SUM 0000 78");
        assert!(host.ask(&ours).is_ok());
        // Every octet of both addresses counts.
        let addresses = match host.family {
            Family::V4 => 12..20,
            Family::V6 => 8..40,
        };
        for at in addresses {
            let mut other = ours.clone();
            other[at] ^= 1;
            assert_eq!(host.ask(&other), Err(DropReason::NotOurs), "octet {at}");
        }
        for key in [Key([KEY.0[0] ^ 1, KEY.0[1]]), Key([KEY.0[0], KEY.0[1] ^ 1])] {
            let given = ask(host.policy, host.family, &ours, ours.len(), &key, 0);
            assert_eq!(given, Err(DropReason::NotOurs));
        }
    }
}

#[test]
fn draws_resets_on_a_budget_of_their_source() {
    for host in BOTH {
        let one = host.limit_and_bucket("9c400017 10000000 deadbeef 5012faf0 SUM 0000");
        let other = host.limit_and_bucket("9c410018 20000000 cafebabe 5012faf0 SUM 0000");
        assert_eq!(one.0, RateLimit::Source);
        assert_eq!(one, other);
        // The budget is the source's whatever it is sent to; in IPv6, its network's.
        let (elsewhere, neighbour, stranger) = match host.family {
            Family::V4 => ("203.0.113.9", host.source, "192.0.2.2"),
            Family::V6 => ("2001:db8:9::9", "2001:db8:0:1::ffff", "2001:db8:0:2::1"),
        };
        let limit = |source, destination| {
            let host = Host {
                source,
                destination,
                ..host
            };
            host.limit_and_bucket("9c400017 10000000 deadbeef 5012faf0 SUM 0000")
        };
        assert_eq!(one, limit(host.source, elsewhere));
        assert_eq!(one, limit(neighbour, host.destination));
        assert_ne!(one, limit(stranger, host.destination));
    }
}

/// How many replies a budget of eight and one in 2 s has left at this time.
fn left(mut entry: u32, now_ms: u32) -> usize {
    std::iter::from_fn(|| {
        entry = token_bucket_take(entry, now_ms, 2000, 8)?;
        Some(())
    })
    .take(100)
    .count()
}

#[test]
fn a_budget_is_whole_at_first_and_at_any_time() {
    // Linux' clock wraps five minutes after the boot.
    for before_wrap in [300_000, 16_001, 16_000, 15_999, 8_000, 1, 0] {
        assert_eq!(
            left(0, 0u32.wrapping_sub(before_wrap)),
            8,
            "{before_wrap} ms"
        );
    }
}

#[test]
fn a_budget_comes_back_one_by_one() {
    for begin in [5u32, 1 << 31, 0u32.wrapping_sub(9_000)] {
        let spent = (0..8).fold(0, |entry, _| {
            token_bucket_take(entry, begin, 2000, 8).unwrap()
        });
        for (after_ms, replies) in [
            (0, 0),
            (1_999, 0),
            (2_000, 1),
            (5_000, 2),
            (15_999, 7),
            (16_000, 8),
            (3_600_000, 8),
        ] {
            let now_ms = begin.wrapping_add(after_ms);
            assert_eq!(left(spent, now_ms), replies, "{after_ms} ms after {begin}");
        }
    }
}
