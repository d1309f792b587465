// SPDX-License-Identifier: GPL-2.0

//! What a rule may say, and `--ttl` and `--window`.

use std::mem::{offset_of, size_of};

use super::common::{
    dump, read_reply, Family, BOTH, CLOCK, DRIP, HONEYPOT, LINUX, MODES, PLAIN, POLICIES, RESET,
};
use super::{answers_aged, octets, waits, LINUX_SYN};
use tarpit::{DropReason, Policy, Rule};

/// The rule that these data are, if they are one.
fn known(rule: &Rule) -> Option<Policy> {
    let windowless = rule.window == 0;
    let policy = match (rule.variant, rule.profile, rule.flags) {
        // `--hairpin`, the second bit, goes with everything and is not the core's.
        (0, 0, 0 | 2) => PLAIN,
        (0, 1, 0 | 2) => LINUX,
        (0, 0, 1 | 3) if windowless => DRIP,
        (1, 0, 0 | 2) => HONEYPOT,
        (2, 0, 0 | 2) if windowless => RESET,
        _ => return None,
    };
    (rule.reserved == [0, 0]).then_some(Policy {
        hop_limit: rule.ttl,
        window: rule.window,
        ..policy
    })
}

#[test]
fn knows_the_rules_that_there_are() {
    const EDGES: [u8; 5] = [0, 1, 2, 0x80, 0xff];
    for variant in 0..=255 {
        for profile in 0..=255 {
            for flags in 0..=255 {
                let plain = Rule {
                    variant,
                    profile,
                    flags,
                    ..Rule::default()
                };
                let asks = Rule {
                    ttl: 64,
                    window: 1000,
                    ..plain
                };
                for rule in [plain, asks] {
                    assert_eq!(Policy::from_rule(&rule), known(&rule), "{rule:?}");
                }
            }
        }
    }
    for (variant, profile) in
        (0..4).flat_map(|variant| (0..3).map(move |profile| (variant, profile)))
    {
        for flags in 0..=255 {
            for (ttl, window) in EDGES
                .iter()
                .flat_map(|&ttl| [0, 1, 255, 256, 0xff00, 0xffff].map(|window| (ttl, window)))
            {
                for reserved in EDGES.iter().flat_map(|&a| EDGES.map(|b| [a, b])) {
                    let rule = Rule {
                        variant,
                        profile,
                        flags,
                        ttl,
                        window,
                        reserved,
                    };
                    assert_eq!(Policy::from_rule(&rule), known(&rule), "{rule:?}");
                }
            }
        }
    }
}

#[test]
fn reads_a_rule_where_the_header_has_its_members() {
    // struct xt_tarpit_tginfo_v1 of xt_TARPIT.h.
    assert_eq!(size_of::<Rule>(), 8);
    for (member, offset) in [
        (offset_of!(Rule, variant), 0),
        (offset_of!(Rule, profile), 1),
        (offset_of!(Rule, flags), 2),
        (offset_of!(Rule, ttl), 3),
        (offset_of!(Rule, window), 4),
        (offset_of!(Rule, reserved), 6),
    ] {
        assert_eq!(member, offset);
    }
}

/// One segment of each kind of answer.
const ANSWERED: [&str; 4] = [
    LINUX_SYN,
    "9c400017 10000000 deadbeef 5012faf0 SUM 0000",
    "9c400017 10000000 ISN+1 5010faf0 SUM 0000",
    "9c400017 deadbeef cafebabe 5018faf0 SUM 0000 7878",
];

#[test]
fn gives_every_answer_the_hop_limit_of_the_rule() {
    for policy in MODES {
        for host in BOTH.map(|host| host.under(policy)) {
            let (family, at) = match host.family {
                Family::V4 => ("IPv4", 8),
                Family::V6 => ("IPv6", 7),
            };
            let mut answered = 0;
            for asked in ANSWERED {
                let asked = host.asked(asked);
                let Ok(routed) = host.ask(&asked) else {
                    continue;
                };
                answered += 1;
                assert_eq!(routed.packet[at], 0, "{family}");
                for hop_limit in [1, 64, 255] {
                    let given = host
                        .under(Policy {
                            hop_limit,
                            ..policy
                        })
                        .ask(&asked)
                        .unwrap();
                    read_reply(&given.packet);
                    assert_eq!(given.packet[at], hop_limit, "{family}");
                    // Nothing else is changed but IPv4's checksum.
                    let mut same = given.packet.clone();
                    same[at] = 0;
                    if host.family == Family::V4 {
                        same[10..12].copy_from_slice(&routed.packet[10..12]);
                    }
                    assert_eq!(dump(&same), dump(&routed.packet));
                }
            }
            assert!(answered >= 3, "{policy:?}");
        }
    }
}

#[test]
fn opens_with_the_window_of_the_rule() {
    for window in [1u16, 24, 1000, u16::MAX] {
        for (policy, scale) in [(PLAIN, 0), (LINUX, 7)] {
            for host in BOTH.map(|host| host.under(Policy { window, ..policy })) {
                host.answers(
                    LINUX_SYN,
                    &format!(
                        "00179c40 ISN 10000001 a012{window:04x} SUM 0000
                         02040550 0402080a @50000000 11223344 010303{scale:02x}"
                    ),
                );
                host.answers(
                    "9c400017 10000000 00000000 5002faf0 SUM 0000",
                    &format!("00179c40 ISN 10000001 5012{window:04x} SUM 0000"),
                );
            }
        }
    }
}

/// The first `count` octets of a stream of Linux, as one segment of GRO.
fn first_data(bits: &str, count: usize) -> String {
    format!(
        "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000 0101080a 11223446 @50000000 {}",
        octets(count)
    )
}

#[test]
fn takes_first_data_that_fill_the_window_of_the_rule() {
    for (window, count, taken) in [
        (1u16, 1usize, 1u32),
        (1, 24, 1),
        (25, 24, 1),
        (25, 25, 25),
        (1000, 999, 1),
        (1000, 1000, 1000),
        (1000, 1448, 1000),
        (u16::MAX, 1448, 1),
        (u16::MAX, 65_450, 1),
    ] {
        let ack = |taken: u32| (0x1000_0001 + taken, 0, taken % 32 << 3 | 1);
        for host in BOTH {
            let [plain, linux] =
                [PLAIN, LINUX].map(|policy| host.under(Policy { window, ..policy }));
            for bits in ["10", "18"] {
                answers_aged(&plain, 69, &first_data(bits, count), ack(taken));
                answers_aged(&linux, 69, &first_data(bits, count), ack(1));
            }
            // With FIN they are all, and stay in flight but for one octet.
            for host in [plain, linux] {
                answers_aged(&host, 69, &first_data("19", count), ack(1));
            }
        }
    }
    // BIG TCP fills any.
    for host in BOTH.map(|host| {
        host.under(Policy {
            window: u16::MAX,
            ..PLAIN
        })
    }) {
        let asked = host.asked(&first_data("10", 0));
        for payload in [65_535, 200_000] {
            let given = host.ask_at(CLOCK, &asked, asked.len() + payload).unwrap();
            let answer = "00179c40 ISN+1 10010000 80100000 SUM 0000 0101080a @500000f9 11223446";
            assert_eq!(dump(&given.packet), dump(&host.answer(answer)));
        }
    }
}

#[test]
fn keeps_to_octets_after_the_window_of_the_rule() {
    for host in BOTH.map(|host| {
        host.under(Policy {
            window: 1000,
            ..PLAIN
        })
    }) {
        // Offers, patience and the last chance are as ever: 1,000 octets were taken.
        let segment = |place: u32, echo: &str, count| {
            format!(
                "9c400017 {:08x} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
                0x1000_0001 + place,
                octets(count)
            )
        };
        let next = 0x1000_0001 + 1000;
        answers_aged(&host, 69, &segment(999, "41", 0), (next, 0, 0x42));
        answers_aged(&host, 36_000, &segment(999, "41", 0), (next, 1, 0x43));
        answers_aged(&host, 59_488, &segment(999, "42", 0), (next, 36, 0x47));
        waits(&host, 44_999, &segment(1000, "41", 200));
        answers_aged(
            &host,
            45_000,
            &segment(1000, "41", 200),
            (next + 1, 0, 0x49),
        );
        answers_aged(&host, 256, &segment(1000, "47", 36), (next + 24, 0, 0x01));
    }
}

#[test]
fn takes_octets_without_timestamps_whatever_the_window_of_the_rule() {
    for policy in POLICIES.into_iter().filter(|&policy| policy != DRIP) {
        for host in BOTH.map(|host| {
            host.under(Policy {
                window: 5,
                ..policy
            })
        }) {
            host.answers(
                "9c400017 10000001 ISN+1 5018faf0 SUM 0000 7878787878",
                "00179c40 ISN+1 10000002 50100000 SUM 0000",
            );
            host.ignores(
                "9c400017 10000006 ISN+1 5010faf0 SUM 0000",
                DropReason::BareAck,
            );
        }
    }
}
