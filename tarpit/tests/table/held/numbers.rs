// SPDX-License-Identifier: GPL-2.0

//! The numbers of replies to a held client, and the fields of their IP headers.

use super::super::common::{read_reply, BOTH, CLOCK, LINUX, PLAIN};
use super::super::{aged, octets, stamp};
use tarpit::DropReason;

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
        // A keep-alive before any data, first data, a first window, a FIN behind it, and bytes in
        // flight on both sides of zero.
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
fn timestamps_do_not_decrease_when_the_clock_wraps() {
    for host in BOTH {
        let asked = |echo: &str| {
            format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @{echo}")
        };
        let answer = |value: &str| {
            format!("00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a @{value} 11223446")
        };
        // Before and after the wrap, and across half of the numbers.
        host.answers_at(0xffff_fffe, &asked("fffffe29"), &answer("ffffff2a"));
        host.answers_at(0x0000_0001, &asked("ffffff2a"), &answer("0000002a"));
        host.answers_at(0x8000_0001, &asked("7fffff2a"), &answer("8000002a"));
        // That of the SYN-ACK is the step of the clock, with no byte received.
        host.answers_at(
            0xffff_ffff,
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0402080a 11223344 00000000",
            "00179c40 ISN 10000001 90120018 SUM 0000 02040550 0402080a @ffffff00 11223344",
        );
    }
}

#[test]
fn timestamps_are_not_below_the_echo() {
    for host in BOTH {
        // The client echoes a value ahead of the clock. The reply has the same value or one of the next
        // step.
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
fn ignores_an_echo_from_before_the_stream() {
    // It acknowledges more than the client has sent, so it is none of ours.
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

#[test]
fn keeps_the_flow_label_of_a_connection() {
    let [_, v6] = BOTH;
    let probe = "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029";
    for clock in [0x5000_0045, 0x5001_0000, 0xffff_ffff, 0] {
        let heard = read_reply(&v6.given_at(clock, probe).packet);
        assert_eq!(heard.label, 0x23df3, "{clock:08x}");
    }
}

#[test]
fn increments_the_ipv4_identification_once_in_65_s() {
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
