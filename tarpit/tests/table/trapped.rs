// SPDX-License-Identifier: GPL-2.0

//! How long the peer was held since the answer before, as each answer tells its caller.

use super::common::{Host, BOTH, DRIP, LINUX, PLAIN, POLICIES};
use super::{aged, octets, waits, LINUX_SYN};

const DAY_MS: u32 = 86_400_000;

/// What the answer at this age says.
#[track_caller]
fn trapped(host: &Host, age: u32, asked: &str) -> u32 {
    host.given_at(aged(age), asked).trapped_ms
}

#[test]
fn counts_from_the_answer_that_the_peer_echoes() {
    for host in [PLAIN, LINUX]
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
    {
        for (seq, bits, echo, count, ages) in [
            // A keep-alive, a probe, one with a garbage octet, a FIN.
            ("10000000", "10", "00", 0, [69, 7_200_000]),
            ("10000005", "10", "29", 0, [69, 50_000]),
            ("10000005", "10", "29", 1, [69, 50_000]),
            ("10000006", "11", "29", 0, [69, 50_000]),
            // The first data, octets in flight, one that was offered.
            ("10000001", "18", "00", 5, [69, 50_000]),
            ("10000001", "10", "00", 24, [69, 50_000]),
            ("10000006", "18", "29", 5, [45_000, 90_000]),
            ("10000006", "18", "2c", 1, [85_000, 200_000]),
        ] {
            let asked = format!(
                "9c400017 {seq} ISN+1 80{bits}01f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
                octets(count)
            );
            for age in ages {
                assert_eq!(trapped(&host, age, &asked), age, "{asked}");
            }
        }
    }
    for host in BOTH.map(|host| host.under(DRIP)) {
        for (seq, echo, payload) in [("10000005", "31", ""), ("10000006", "36", "78")] {
            let asked = format!(
                "9c400017 {seq} TALK+1 801801f6 SUM 0000 0101080a 11223446 @500000{echo} {payload}"
            );
            assert_eq!(trapped(&host, 7_000, &asked), 7_000);
        }
    }
}

#[test]
fn counts_a_burst_once() {
    // Three segments of a client that has heard the SYN-ACK only: one is answered.
    for host in BOTH {
        let segment = |seq, count| {
            format!(
                "9c400017 {seq} ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000000 {}",
                octets(count)
            )
        };
        assert_eq!(trapped(&host, 300, &segment("10000001", 8)), 300);
        waits(&host, 300, &segment("10000009", 8));
        waits(&host, 300, &segment("10000011", 8));
    }
}

#[test]
fn believes_in_a_day_at_most() {
    let probe = "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029";
    for host in BOTH {
        for (age, expected) in [
            (DAY_MS - 1, DAY_MS - 1),
            (DAY_MS, DAY_MS),
            (DAY_MS + 1, DAY_MS),
            (0x7fff_ffff, DAY_MS),
            // Later than half of the numbers is earlier.
            (0x8000_0001, 0),
            (u32::MAX, 0),
        ] {
            assert_eq!(trapped(&host, age, probe), expected, "{age}");
        }
    }
}

#[test]
fn counts_across_the_wrap_of_the_clock() {
    let probe = "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @ffffff29";
    for host in BOTH {
        for (clock, expected) in [(0xffff_ff00, 0), (0xffff_ffff, 255), (0, 256), (744, 1000)] {
            assert_eq!(host.given_at(clock, probe).trapped_ms, expected);
        }
    }
}

#[test]
fn counts_nothing_where_the_stamp_is_ahead_of_the_clock() {
    for host in BOTH {
        for echo in ["50000129", "50000229", "50001029"] {
            let probe =
                format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @{echo}");
            assert_eq!(trapped(&host, 0x45, &probe), 0, "{echo}");
        }
    }
}

#[test]
fn counts_nothing_where_nothing_tells() {
    for host in POLICIES
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
    {
        for asked in [
            LINUX_SYN,
            // With an echo, as of a connection before.
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0101080a 11223344 @50000000",
            "9c400017 10000000 deadbeef 8012faf0 SUM 0000 0101080a 11223344 @50000000",
            // Without timestamps.
            "9c400017 10000000 ISN+1 5010faf0 SUM 0000",
            "9c400017 10000001 ISN+1 5018faf0 SUM 0000 7878",
        ] {
            assert_eq!(trapped(&host, 50_000, asked), 0, "{asked}");
        }
    }
    // An echo of what no answer can have said.
    for host in BOTH {
        let data = "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000029 7878";
        assert_eq!(trapped(&host, 50_000, data), 0);
    }
}
