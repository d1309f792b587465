// SPDX-License-Identifier: GPL-2.0

//! Segments of a held connection with timestamps, under a plain rule.

use super::common::{read_reply, BOTH, CLOCK, LINUX, PLAIN};
use super::{aged, answers_aged, octets, stamp, waits};
use tarpit::DropReason;

// Acknowledgments.

#[test]
fn is_silent_on_an_acknowledgment_of_what_it_said() {
    for host in BOTH {
        // At SND.NXT: after five octets were acknowledged, before any is, and with more in flight than
        // was acknowledged; however long nothing was said.
        for (seq, echo) in [
            ("10000006", "29"),
            ("10000006", "00"),
            ("10000006", "09"),
            ("10000019", "00"),
            ("10000019", "c1"),
            ("10000019", "c4"),
            ("10000019", "c7"),
            ("1000003d", "c7"),
            ("10000001", "00"),
        ] {
            let ack =
                format!("9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223400 @500000{echo}");
            let why = match (seq, echo) {
                ("10000001", "00") => DropReason::HandshakeAck,
                _ => DropReason::BareAck,
            };
            for age in [69, 45_000, 86_400_000] {
                host.ignores_at(aged(age), &ack, why);
            }
        }
    }
}

// Data in the first window.

#[test]
fn takes_the_whole_first_window_of_those_who_fill_it() {
    for host in BOTH {
        // Whatever they say but FIN.
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
fn takes_one_octet_of_first_data_that_are_all() {
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
fn answers_first_data_sent_again_as_the_first_time() {
    // The answer got lost, so the peer still echoes the SYN-ACK: at once, however late.
    for host in BOTH {
        for age in [69, 300, 44_999, 120_000] {
            for (bits, count, ack, low) in
                [("18", 5, 0x1000_0002, 0x09), ("18", 24, 0x1000_0019, 0xc1)]
            {
                let data = format!(
                    "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223446 @50000000 {}",
                    octets(count)
                );
                answers_aged(&host, age, &data, (ack, 0, low));
            }
        }
    }
}

// Octets in flight.

#[test]
fn takes_octets_in_flight_one_at_a_time_each_after_a_while() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // After data, after a probe; a few, as much as a first window, with FIN.
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
fn answers_a_single_octet_that_may_be_a_probe() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // With PSH, with FIN; and of two octets one that was taken.
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
                // BSD would not have waited for so long: it is in flight, and the last.
                for age in [90_000, 600_000] {
                    answers_aged(&host, age, &octet, (0x1000_0007, 0, 0x31));
                }
            }
        }
    }
}

#[test]
fn takes_the_first_octet_that_is_new_of_a_segment_that_overlaps() {
    for host in BOTH {
        // It starts at the last octet that was taken.
        let data = "9c400017 10000005 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000029 787878";
        waits(&host, 44_999, data);
        answers_aged(&host, 45_000, data, (0x1000_0007, 0, 0x31));
    }
}

#[test]
fn is_silent_on_data_behind_a_gap() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // What was received before: nothing, five octets, five and a probe, 24 and an offer. As the
        // stamp counts modulo 32, a gap is known by up to 30 octets.
        for (echo, next) in [("00", 1), ("29", 6), ("2a", 6), ("c1", 25), ("c4", 25)] {
            for gap in [1, 2, 19, 30] {
                for (bits, count) in [("18", 1), ("10", 24), ("10", 1448), ("19", 5)] {
                    let seq = 0x1000_0000 + next + gap;
                    let data = format!(
                        "9c400017 {seq:08x} ISN+1 80{bits}01f6 SUM 0000
                         0101080a 11223446 @500000{echo} {}",
                        octets(count)
                    );
                    for age in [69, 50_000, 200_000] {
                        waits(&host, age, &data);
                    }
                }
            }
        }
    }
}

#[test]
fn is_silent_on_a_fin_behind_a_gap() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        for (echo, next) in [
            ("00", 1),
            ("29", 6),
            ("2a", 6),
            ("c7", 25),
            ("c1", 25),
            ("c4", 25),
        ] {
            for gap in [1, 2, 19, 31] {
                let seq = 0x1000_0000 + next + gap;
                let fin = host.asked(&format!(
                    "9c400017 {seq:08x} ISN+1 801101f6 SUM 0000 0101080a 11223446 @500000{echo}"
                ));
                for age in [69, 50_000, 200_000] {
                    let given = host.ask_at(aged(age), &fin, fin.len());
                    let silent =
                        [Err(DropReason::BareAck), Err(DropReason::Deferred)].contains(&given);
                    assert!(silent, "{echo}, {gap} octets: {given:?}");
                }
            }
        }
    }
}

#[test]
fn answers_a_retransmission_after_a_lost_answer_with_the_same_octet() {
    for host in BOTH {
        // The octet at +5 was taken at the age of 45 s, and again when it comes again.
        let data = "9c400017 10000006 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000029 787878";
        for age in [45_000, 90_000, 180_000] {
            answers_aged(&host, age, data, (0x1000_0007, 0, 0x31));
        }
        // What was taken is never taken back: who has seen the answer and sends the octet before it
        // again, with no new one, is told so at once.
        let data = "9c400017 10000006 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000031 78";
        for age in [69, 45_000] {
            answers_aged(&host, age, data, (0x1000_0007, 0, 0x31));
        }
    }
}

// Probes and keep-alives.

#[test]
fn answers_a_probe_of_linux_with_a_closed_window() {
    for host in BOTH {
        // SEG.SEQ = SND.UNA - 1, empty: after five octets, after one, after a full window. The answer
        // tells that it is one to a probe.
        for (seq, ack, low, probed) in [
            ("10000005", 0x1000_0006, 0x29, 0x2a),
            ("10000001", 0x1000_0002, 0x09, 0x0a),
            ("10000018", 0x1000_0019, 0xc1, 0xc2),
        ] {
            // The peer still echoes the answer that it took last.
            for (echo, age) in [(low, 69), (low, 25_000), (probed, 25_000)] {
                let probe = format!(
                    "9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo:02x}"
                );
                answers_aged(&host, age, &probe, (ack, 0, probed));
            }
        }
    }
}

#[test]
fn answers_a_keep_alive_before_any_data() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000000",
            "00179c40 ISN+1 10000001 80100000 SUM 0000 0101080a @50000002 11223446",
        );
    }
}

#[test]
fn acknowledges_nothing_for_the_garbage_octet_of_a_keep_alive() {
    // RFC 1122, 4.2.3.6: the octet lies at SND.NXT - 1; before any data that is where the SYN was, and
    // it is not the first of the data. It is answered at once.
    for host in BOTH {
        for (seq, echo, ack, low) in [
            ("10000000", "00", 0x1000_0001, 0x01),
            ("10000005", "29", 0x1000_0006, 0x29),
            ("10000018", "c1", 0x1000_0019, 0xc1),
        ] {
            for age in [69, 45_000, 600_000] {
                let keep_alive = format!(
                    "9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo} 00"
                );
                answers_aged(&host, age, &keep_alive, (ack, 0, low));
            }
        }
    }
}

#[test]
fn answers_each_keep_alive_of_one_that_has_nothing_to_send() {
    // Two hours after its data it is answered with a last chance, which it has nothing for; two hours
    // later it asks again.
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        let window = if host.policy == LINUX { 11 } else { 36 };
        for (seq, echo, ack, low) in [
            ("10000001", "09", 0x1000_0002, 0x0f),
            ("10000001", "0f", 0x1000_0002, 0x0f),
            ("10000018", "c1", 0x1000_0019, 0xc7),
            ("10000018", "c7", 0x1000_0019, 0xc7),
        ] {
            let keep_alive =
                format!("9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}");
            answers_aged(&host, 7_200_000, &keep_alive, (ack, window, low));
        }
    }
}

// Trickle: what an octet now and then does to those that closed.

#[test]
fn offers_an_octet_to_a_probe_whose_interval_was_half_a_minute() {
    for host in BOTH {
        // After data (c1) or a probe (c2): the age, the window, and what the stamp says of it.
        for (echo, age, window, low) in [
            ("c1", 27_499, 0, 0xc2),
            ("c1", 27_500, 1, 0xc4),
            ("c1", 35_999, 1, 0xc4),
            ("c1", 36_000, 1, 0xc3),
            ("c1", 59_487, 1, 0xc3),
            ("c1", 59_488, 36, 0xc7),
            ("c2", 27_499, 0, 0xc2),
            ("c2", 27_500, 1, 0xc4),
            ("c2", 37_999, 1, 0xc4),
            ("c2", 38_000, 1, 0xc5),
            ("c2", 59_487, 1, 0xc5),
            ("c2", 59_488, 36, 0xc7),
            ("c2", 600_000, 36, 0xc7),
            // An offer that was not used.
            ("c4", 27_499, 0, 0xc2),
            ("c4", 36_000, 1, 0xc4),
            ("c3", 59_487, 1, 0xc5),
            // A last chance stays.
            ("c7", 0, 36, 0xc7),
            ("c7", 27_500, 36, 0xc7),
            ("c7", 45_000, 36, 0xc7),
            ("c7", 600_000, 36, 0xc7),
        ] {
            let probe = format!(
                "9c400017 10000018 ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}"
            );
            answers_aged(&host, age, &probe, (0x1000_0019, window, low));
        }
    }
}

#[test]
fn leaves_an_offered_octet_in_flight_and_dates_its_echo_back() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // Early, late, at the RTO; how much earlier than 11223446 the echo is.
        for (echo, age, earlier) in [
            ("c4", 85_000, 24_000),
            ("c4", 600_000, 24_000),
            ("c5", 122_000, 24_000),
            ("c3", 147_000, 0), // a third: 49 s
            ("c3", 179_999, 0),
            ("c3", 180_000, 40_000), // a fifth: 36 s
            ("c3", 197_499, 40_000),
            ("c3", 197_500, 40_000),
            ("c3", 200_000, 38_000),
            ("c3", 225_000, 18_000),
            ("c3", 234_999, 14_000),
            ("c3", 235_000, 0),
        ] {
            // The octet, alone, with more or with the FIN.
            for (bits, count) in [("18", 1), ("10", 128), ("19", 1)] {
                let octet = format!(
                    "9c400017 10000019 ISN+1 80{bits}01f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
                    octets(count)
                );
                waits(&host, 45_000, &octet);
                if [85_000, 122_000, 147_000].contains(&age) {
                    waits(&host, age - 1, &octet);
                }
                let stamp = stamp(age, 0xc9);
                let named = 0x1122_3446 - earlier;
                host.answers_at(
                    aged(age),
                    &octet,
                    &format!(
                        "00179c40 ISN+1 1000001a 80100000 SUM 0000 0101080a {stamp} {named:08x}"
                    ),
                );
            }
        }
    }
}

#[test]
fn answers_whatever_brings_nothing_new_to_an_offered_octet() {
    // A keep-alive with a garbage octet, and a FIN that follows at once.
    for host in BOTH {
        for (seq, bits, payload) in [("10000018", "10", "00"), ("10000019", "11", "")] {
            host.answers(
                &format!(
                    "9c400017 {seq} ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223446 @500000c4 {payload}"
                ),
                "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a @500001c1 11223446",
            );
        }
    }
}

#[test]
fn takes_at_once_what_the_last_chance_brings() {
    for host in BOTH {
        // As much as of a first window, or one octet; with FIN, so much that with it 30 are left.
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

// FIN.

#[test]
fn does_not_talk_to_an_echo_that_speaks_of_drip() {
    // No answer of this rule offers an octet for an octet; who makes that up gets no banner.
    for host in BOTH {
        host.answers(
            &format!(
                "9c400017 10000019 ISN+1 801801f6 SUM 0000 0101080a 11223446 @500000c6 {}",
                octets(2)
            ),
            "00179c40 ISN+1 1000001b 80100000 SUM 0000 0101080a @500000d1 11223446",
        );
    }
}

#[test]
fn never_acknowledges_a_fin() {
    for host in BOTH {
        // Right after the handshake, behind five octets that were taken, behind a full window, behind an
        // octet that was offered: at once, and each time that it comes again.
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

// Timestamps.

#[test]
fn holds_a_stream_that_crosses_zero() {
    for host in BOTH {
        host.answers(
            "9c400017 fffffffa 00000000 9002faf0 SUM 0000 020405b4 0402080a ffffff00 00000000",
            "00179c40 WRAP fffffffb 90120018 SUM 0000 02040550 0402080a @50000000 ffffff00",
        );
        host.ignores(
            "9c400017 fffffffb WRAP+1 801001f6 SUM 0000 0101080a ffffff00 @50000000",
            DropReason::HandshakeAck,
        );
        // A keep-alive before any data, one octet, a first window, a FIN behind it, and octets in flight
        // on both sides of zero.
        for (age, seq, bits, echo, count, ack, low) in [
            (69, "fffffffa", "10", "00", 0, "fffffffb", 0x02),
            (69, "fffffffb", "18", "00", 5, "fffffffc", 0x09),
            (69, "fffffffb", "10", "00", 24, "00000013", 0xc1),
            (69, "00000013", "11", "c1", 0, "00000013", 0xc1),
            (45_000, "ffffffff", "18", "21", 3, "00000000", 0x29),
            (45_000, "00000000", "18", "29", 3, "00000001", 0x31),
            // Probes.
            (69, "ffffffff", "10", "29", 0, "00000000", 0x2a),
            (69, "00000004", "10", "51", 0, "00000005", 0x52),
            (69, "00000012", "10", "c1", 0, "00000013", 0xc2),
        ] {
            let payload = octets(count);
            let stamp = stamp(age, low);
            host.answers_at(
                aged(age),
                &format!(
                    "9c400017 {seq} WRAP+1 80{bits}01f6 SUM 0000
                     0101080a 00000001 @500000{echo} {payload}"
                ),
                &format!("00179c40 WRAP+1 {ack} 80100000 SUM 0000 0101080a {stamp} 00000001"),
            );
        }
        host.ignores(
            "9c400017 00000000 WRAP+1 801001f6 SUM 0000 0101080a 00000002 @50000029",
            DropReason::BareAck,
        );
        host.ignores(
            "9c400017 00000000 WRAP+1 801801f6 SUM 0000 0101080a 00000002 @50000021 78",
            DropReason::Deferred,
        );
    }
}

#[test]
fn never_lets_a_timestamp_go_back_when_the_clock_wraps() {
    for host in BOTH {
        let asked = |echo: &str| {
            format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @{echo}")
        };
        let answer = |value: &str| {
            format!("00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a @{value} 11223446")
        };
        // Just before, just after, and across half of the numbers.
        host.answers_at(0xffff_fffe, &asked("fffffe29"), &answer("ffffff2a"));
        host.answers_at(0x0000_0001, &asked("ffffff2a"), &answer("0000002a"));
        host.answers_at(0x8000_0001, &asked("7fffff2a"), &answer("8000002a"));
        // The SYN-ACK's is the step in which the clock is, with nothing received.
        host.answers_at(
            0xffff_ffff,
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0402080a 11223344 00000000",
            "00179c40 ISN 10000001 90120018 SUM 0000 02040550 0402080a @ffffff00 11223344",
        );
    }
}

#[test]
fn never_sends_a_timestamp_below_the_one_it_was_told() {
    for host in BOTH {
        // The peer echoes a value ahead of the clock: the answer stays with it, or goes one step
        // on.
        for (echo, value) in [
            ("50000129", "50000129"),
            ("50000229", "50000229"),
            ("50000128", "50000129"),
            ("5000002a", "50000129"),
        ] {
            host.answers(
                &format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @{echo} 00"),
                &format!("00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a @{value} 11223446"),
            );
        }
    }
}

#[test]
fn takes_an_echo_from_before_the_stream_for_none() {
    // It tells of more than the peer has sent up to here: nothing is known of what it was told.
    for host in [PLAIN, LINUX]
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
    {
        host.answers_at(
            CLOCK + 3_600_000,
            "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000029 7878",
            "00179c40 ISN+1 10000002 80100000 SUM 0000 0101080a @5036ee09 11223446",
        );
    }
}

// The IP header.

#[test]
fn keeps_one_flow_label_for_a_connection() {
    let [_, v6] = BOTH;
    let probe = "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029";
    for clock in [0x5000_0045, 0x5001_0000, 0xffff_ffff, 0] {
        let heard = read_reply(&v6.given_at(clock, probe).packet);
        assert_eq!(heard.label, 0x23df3, "{clock:08x}");
    }
}

#[test]
fn counts_the_identification_of_its_packets_up_about_once_a_minute() {
    let [v4, _] = BOTH;
    let probe = "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029";
    let id = |clock| read_reply(&v4.given_at(clock, probe).packet).label;
    for (clock, expected) in [
        (0x5000_0045, 0x79a9),
        (0x5000_ffff, 0x79a9),
        (0x5001_0000, 0x79aa),
        (0x5002_0000, 0x79ab),
        (0xd655_ffff, 0xfffe),
        (0xd656_0000, 0xffff),
        (0xd657_0000, 0x0000),
        (0xffff_ffff, 0x29a8),
        (0x0000_0000, 0x29a9),
    ] {
        assert_eq!(id(clock), expected, "{clock:08x}");
    }
}
