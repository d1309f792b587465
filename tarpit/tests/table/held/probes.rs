// SPDX-License-Identifier: GPL-2.0

//! Probes, keep-alives and acknowledgments of a held client, and the windows that it is offered.

use super::super::common::{BOTH, LINUX};
use super::super::{aged, answers_aged, octets, stamp, waits};
use tarpit::DropReason;

#[test]
fn drops_an_acknowledgment() {
    for host in BOTH {
        // It starts at SND.NXT: after five acknowledged bytes, before any, and behind bytes in
        // flight; at any age.
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

#[test]
fn replies_to_a_probe_with_a_zero_window() {
    for host in BOTH {
        // SEG.SEQ = SND.UNA - 1, empty: after five bytes, after one, after a full window. The cookie of
        // the reply says that it is one to a probe.
        for (seq, ack, low, probed) in [
            ("10000005", 0x1000_0006, 0x29, 0x2a),
            ("10000001", 0x1000_0002, 0x09, 0x0a),
            ("10000018", 0x1000_0019, 0xc1, 0xc2),
        ] {
            // The client echoes the last reply that it took in.
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
fn replies_to_a_keep_alive_before_any_data() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000000",
            "00179c40 ISN+1 10000001 80100000 SUM 0000 0101080a @50000002 11223446",
        );
    }
}

#[test]
fn offers_a_window_by_the_age_of_a_probe() {
    for host in BOTH {
        // The echo is of a reply to data (c1) or to a probe (c2). The age, the window, the cookie.
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
fn defers_an_offered_byte_and_dates_its_echo_back() {
    for host in BOTH.into_iter().chain(BOTH.map(|host| host.under(LINUX))) {
        // An early offer, a late one, one at the RTO. How far the echo lies before 11223446.
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
            // The byte alone, with more, and with FIN.
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
fn replies_at_once_to_a_segment_without_the_offered_byte() {
    // A keep-alive with a byte of no meaning, and a FIN.
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
