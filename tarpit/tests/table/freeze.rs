// SPDX-License-Identifier: GPL-2.0

//! Data of connections that are not ours: one that was running before the rule, or a made-up one. The
//! answers are those to its first segment; what a table makes of later ones is at the end.

use super::common::{ask, dump, Host, BOTH, CLOCK, HONEYPOT, KEY, POLICIES};
use super::octets;
use tarpit::frozen::track_rcv_nxt;
use tarpit::seq::Seq;
use tarpit::{DropReason, Env, Freeze, Key, Policy, RateLimit};

fn hosts() -> impl Iterator<Item = Host> {
    POLICIES
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
}

/// Numbers that are nobody's, wrap, or are ours but for a step too far.
const NUMBERS: [(&str, &str); 9] = [
    ("deadbeef", "cafebabe"),
    ("00000000", "00000000"),
    ("ffffffff", "80000000"),
    ("0fffffff", "ISN+1"),  // before the SYN
    ("10020002", "ISN+1"),  // beyond the reach
    ("90000001", "TALK+1"), // as far as can be
    ("10000001", "ISN"),
    ("10000001", "00000000"),
    ("ISN+1", "10000001"), // turned around
];

#[test]
fn closes_the_window_and_takes_nothing() {
    for host in hosts() {
        for (seq, ack) in NUMBERS {
            for count in [2, 3, 24, 1448] {
                for bits in ["10", "18", "30", "d8", "11", "19"] {
                    host.answers(
                        &format!(
                            "9c400017 {seq} {ack} 50{bits}faf0 SUM beef {}",
                            octets(count)
                        ),
                        &format!("00179c40 {ack} {seq} 50100000 SUM 0000"),
                    );
                    // The peer's word on the clock of whoever it talked to, and its own.
                    host.answers(
                        &format!(
                            "9c400017 {seq} {ack} 80{bits}faf0 SUM beef
                             0101080a 11223346 99aabbcc {}",
                            octets(count)
                        ),
                        &format!(
                            "00179c40 {ack} {seq} 80100000 SUM 0000 0101080a 99aabbcc 11223346"
                        ),
                    );
                }
            }
        }
    }
}

#[test]
fn turns_timestamps_around_whatever_they_say() {
    for host in hosts() {
        for (value, echo) in [
            ("00000000", "00000000"),
            ("ffffffff", "00000000"),
            ("00000000", "ffffffff"),
            ("@50000000", "@50000045"),
            ("11223346", "@4fffffff"),
            ("11223346", "@d0000045"),
        ] {
            for clock in [CLOCK, 0, u32::MAX] {
                host.answers_at(
                    clock,
                    &format!(
                        "9c400017 deadbeef cafebabe 801801f6 SUM 0000 0101080a {value} {echo} 7878"
                    ),
                    &format!(
                        "00179c40 cafebabe deadbeef 80100000 SUM 0000 0101080a {echo} {value}"
                    ),
                );
            }
        }
    }
}

#[test]
fn returns_nothing_but_the_timestamps() {
    for host in hosts() {
        // SACK blocks, an option that nobody here knows; a mark of congestion.
        for ecn in 0..=3 {
            let data = host.marked(
                ecn,
                "9c400017 deadbeef cafebabe dff801f6 SUM beef
                 0101080a 11223346 99aabbcc 0101050a 01020304 05060708 fd080102 03040506 7878",
            );
            let answer = "00179c40 cafebabe deadbeef 80100000 SUM 0000 0101080a 99aabbcc 11223346";
            let given = host.ask(&data).unwrap();
            assert_eq!(dump(&given.packet), dump(&host.answer(answer)), "{ecn}");
            assert_eq!(given.trapped_ms, 0);
        }
    }
}

#[test]
fn freezes_segments_of_any_length() {
    for host in hosts() {
        let data = host.asked("9c400017 deadbeef cafebabe 501001f6 SUM 0000");
        // GRO's, BIG TCP's, and what no network layer carries.
        for payload in [65_000, 65_536, 200_000, 524_288, 1 << 30, (1 << 32) + 2] {
            let given = host.ask_at(CLOCK, &data, data.len() + payload).unwrap();
            let answer = host.answer("00179c40 cafebabe deadbeef 50100000 SUM 0000");
            assert_eq!(dump(&given.packet), dump(&answer), "{payload}");
        }
    }
}

#[test]
fn is_silent_on_less_than_two_octets() {
    // Such are sent to see who answers to strangers, or by another tarpit.
    for host in hosts() {
        for (seq, ack) in NUMBERS {
            for (bits, payload) in [
                ("10", ""),
                ("18", ""),
                ("11", ""),
                ("10", "78"),
                ("18", "78"),
                ("19", "78"),
            ] {
                for options in ["50 fac0", "80 faf0 0101080a 11223346 99aabbcc"] {
                    let (offset, rest) = options.split_at(2);
                    let (window, options) = rest.trim().split_at(4);
                    host.ignores(
                        &format!(
                            "9c400017 {seq} {ack} {offset}{bits} {window} SUM 0000 {options} {payload}"
                        ),
                        DropReason::NotOurs,
                    );
                }
            }
        }
    }
}

#[test]
fn draws_on_the_budget_of_its_source() {
    for host in hosts() {
        let data = "9c400017 deadbeef cafebabe 5018faf0 SUM 0000 7878";
        let other =
            "9c410018 01234567 89abcdef 8018faf0 SUM 0000 0101080a 11223346 99aabbcc 787878";
        let reset = "9c400017 10000000 deadbeef 5012faf0 SUM 0000";
        let env = Env {
            key: &KEY,
            now_ms: CLOCK,
            wire: None,
        };
        let frozen = |asked| match host.said(&host.asked(asked), &env) {
            (said, RateLimit::Source) if said.freeze.is_some() => {
                let (_, source) = host.limit_and_bucket(asked);
                (source, said.flow.hash())
            }
            other => panic!("{other:?}"),
        };
        let ((source, flow), (same, another)) = (frozen(data), frozen(other));
        // One budget for all that proves nothing.
        assert_eq!(source, same);
        assert_eq!(host.limit_and_bucket(reset), (RateLimit::Source, source));
        assert_ne!(flow, another);
    }
}

#[test]
fn freezes_what_another_key_or_way_to_hold_has_answered() {
    let data = "9c400017 10000001 ISN+1 8018faf0 SUM 0000 0101080a 11223346 @50000000 7878";
    let talked = data.replace("ISN", "TALK");
    let frozen = |text: &str| {
        let ack = text.split_whitespace().nth(2).unwrap();
        format!("00179c40 {ack} 10000001 80100000 SUM 0000 0101080a @50000000 11223346")
    };
    for [plain, linux, drip] in BOTH.map(|host| POLICIES.map(|policy| host.under(policy))) {
        plain.answers(&talked, &frozen(&talked));
        linux.answers(&talked, &frozen(&talked));
        drip.answers(data, &frozen(data));
        // Without timestamps a rule that drips holds as any other.
        let untimed = "9c400017 10000001 TALK+1 5018faf0 SUM 0000 7878";
        drip.answers(untimed, "00179c40 TALK+1 10000001 50100000 SUM 0000");

        // The module was loaded again. The new key gives the flow another label.
        let asked = plain.asked(data);
        let key = Key([KEY.0[0] ^ 1, KEY.0[1]]);
        let given = ask(plain.policy, plain.family, &asked, asked.len(), &key, CLOCK).unwrap();
        let answer = plain.answer(&frozen(data));
        let tcp = given.packet.len() - 32;
        assert_eq!(dump(&given.packet[tcp..]), dump(&answer[tcp..]));
        assert_eq!(given.limit, RateLimit::Source);
    }
}

#[test]
fn is_for_rules_that_hold() {
    for host in BOTH.map(|host| host.under(HONEYPOT)) {
        for payload in ["78", "7878"] {
            host.ignores(
                &format!("9c400017 10000001 deadbeef 5018faf0 SUM 0000 {payload}"),
                DropReason::NotOurs,
            );
        }
    }
}

#[test]
fn says_no_more_than_it_was_asked_with_any_window() {
    // A rule's window is for the SYN-ACK.
    for host in BOTH.map(|host| {
        host.under(Policy {
            window: 1000,
            ..host.policy
        })
    }) {
        host.answers(
            "9c400017 deadbeef cafebabe 5018faf0 SUM 0000 7878",
            "00179c40 cafebabe deadbeef 50100000 SUM 0000",
        );
    }
}

#[test]
fn remembers_a_single_octet_and_does_not_answer_it() {
    for host in hosts() {
        for (payload, is_silent) in [("78", true), ("7878", false)] {
            let asked = host.asked(&format!(
                "9c400017 deadbeef cafebabe 5018faf0 SUM 0000 {payload}"
            ));
            let env = Env {
                key: &KEY,
                now_ms: CLOCK,
                wire: None,
            };
            let (said, limit) = host.said(&asked, &env);
            assert_eq!((said.ack, limit), (Seq(0xdead_beef), RateLimit::Source));
            let record_only = is_silent;
            assert_eq!(said.freeze, Some(Freeze { record_only }));
        }
    }
}

/// A connection's number, of which the upper 16 bits are in its entries.
const FLOW: u64 = 0xabcd_0000_0000_1234;

const REPLY: Freeze = Freeze { record_only: false };
const RECORD: Freeze = Freeze { record_only: true };

/// A table of one entry.
struct Table(u64);

impl Table {
    /// What a segment that starts at `seq` is answered with.
    fn acknowledges(&mut self, flow: u64, seq: u32, now_ms: u32) -> u32 {
        let (entry, ack) = track_rcv_nxt(self.0, flow, Seq(seq), REPLY, now_ms);
        self.0 = entry;
        ack.0
    }

    /// A single octet at `seq`, which gets no answer.
    fn sees_an_octet(&mut self, seq: u32, now_ms: u32) {
        self.0 = track_rcv_nxt(self.0, FLOW, Seq(seq), RECORD, now_ms).0;
    }
}

#[test]
fn acknowledges_the_first_segment_that_the_rule_kept() {
    for first in [0x1000_0000u32, 0xffff_fff0, 0x7fff_fff0, 0] {
        for start in [0u32, CLOCK, u32::MAX - 60_000] {
            let mut table = Table(0);
            assert_eq!(table.acknowledges(FLOW, first, start), first);
            // The rest of its flight, as far as a window reaches, and the first one again.
            for (distance, after) in [
                (1, 0),
                (1448, 1),
                (1 << 30, 2),
                (i32::MAX.unsigned_abs(), 3),
                (0, 1_000),
                (1448, 1_001),
                (0, 121_000),
                (1448, 250_000),
                (0, 256_000),
            ] {
                let seq = first.wrapping_add(distance);
                let now_ms = start.wrapping_add(after);
                assert_eq!(table.acknowledges(FLOW, seq, now_ms), first, "{distance}");
            }
        }
    }
}

#[test]
fn does_not_take_a_keep_alive_with_an_octet_for_the_first_segment_for_long() {
    for first in [0x1000_0000u32, 0] {
        let mut table = Table(0);
        table.sees_an_octet(first.wrapping_sub(1), CLOCK);
        // What follows at once may well belong to a line that is being typed.
        assert_eq!(
            table.acknowledges(FLOW, first, CLOCK + 2_000),
            first.wrapping_sub(1)
        );
        assert_eq!(table.acknowledges(FLOW, first, CLOCK + 4_200), first);
        // Neither do an octet and a keep-alive shorten what is known.
        table.sees_an_octet(first.wrapping_add(100), CLOCK + 5_000);
        assert_eq!(
            table.acknowledges(FLOW, first.wrapping_add(101), CLOCK + 60_000),
            first
        );
    }
}

#[test]
fn finds_nothing_in_an_empty_entry() {
    // Not even for a connection whose tag is zero, just after the clock was.
    assert_eq!(Table(0).acknowledges(0x1234, 5000, 0), 5000);
    assert_eq!(Table(0).acknowledges(0x1234, 5000, 100_000), 5000);
}

#[test]
fn lets_an_earlier_segment_take_the_place_of_a_later_one() {
    // They came in the wrong order.
    for first in [0x1000_0000u32, 100, 0x8000_0064] {
        let mut table = Table(0);
        for distance in [3 * 1448, 2 * 1448, 0] {
            let seq = first.wrapping_add(distance);
            assert_eq!(table.acknowledges(FLOW, seq, CLOCK), seq);
        }
        assert_eq!(
            table.acknowledges(FLOW, first.wrapping_add(1448), CLOCK),
            first
        );
    }
}

#[test]
fn forgets_what_comes_no_more() {
    // Between 149 and 150 times 1.024 s.
    for start in [CLOCK, 0, u32::MAX - 100_000] {
        for (after, remembers) in [(152_000, true), (154_000, false), (3_600_000, false)] {
            let mut table = Table(0);
            table.acknowledges(FLOW, 1000, start);
            let ack = table.acknowledges(FLOW, 5000, start.wrapping_add(after));
            assert_eq!(ack, if remembers { 1000 } else { 5000 }, "{after} ms");
        }
    }
}

#[test]
fn keeps_an_entry_of_a_cpu_whose_clock_is_a_tick_ahead() {
    // Around every tick, and the wrap of the 16 bits that an entry has of the clock.
    for start in [1 << 10, 2 << 10, 0x5000_0000, 0xffff << 10, 0u32] {
        let mut table = Table(0);
        assert_eq!(table.acknowledges(FLOW, 1000, start), 1000);
        // It was read before, and is used after.
        let before = start.wrapping_sub(1);
        assert_eq!(table.acknowledges(FLOW, 2448, before), 1000, "{start:#x}");
        assert_eq!(table.acknowledges(FLOW, 3896, start), 1000, "{start:#x}");
    }
}

#[test]
fn tells_connections_apart_that_share_an_entry() {
    let other = FLOW ^ 1 << 48;
    let mut table = Table(0);
    assert_eq!(table.acknowledges(FLOW, 1000, CLOCK), 1000);
    assert_eq!(table.acknowledges(other, 5000, CLOCK), 5000);
    // The first one is forgotten, and then the other.
    assert_eq!(table.acknowledges(FLOW, 3000, CLOCK), 3000);
    assert_eq!(table.acknowledges(other, 6000, CLOCK), 6000);
    assert_eq!(table.acknowledges(other, 7000, CLOCK), 6000);
}
