// SPDX-License-Identifier: GPL-2.0

//! What the profile linux does otherwise; that the octets in flight and those that were offered are
//! taken by the same rules is in `held`.

use super::common::{read_reply, Host, BOTH, KEY, LINUX, MSS, PLAIN};
use super::{aged, answers_aged, octets};
use tarpit::{DropReason, Env, Policy, RateLimit};

fn hosts() -> [Host; 2] {
    BOTH.map(|host| host.under(LINUX))
}

#[test]
fn answers_a_syn_as_linux() {
    for host in hosts() {
        // Linux, Windows, and those that offer little.
        host.answers(
            "9c400017 10000000 00000000 a002faf0 SUM 0000
             020405b4 0402080a 11223344 00000000 01030307",
            "00179c40 ISN 10000001 a012fcc0 SUM 0000
             02040550 0402080a @50000000 11223344 01030307",
        );
        host.answers(
            "9c400017 10000000 00000000 8002faf0 SUM 0000 020405b4 01030308 01010402",
            "00179c40 ISN 10000001 8012ff00 SUM 0000 02040550 01010402 01030307",
        );
        host.answers(
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0101080a 11223344 00000000",
            "00179c40 ISN 10000001 9012fcc0 SUM 0000 02040550 0101080a @50000000 11223344",
        );
        host.answers(
            "9c400017 10000000 00000000 5002faf0 SUM 0000",
            "00179c40 ISN 10000001 5012ff00 SUM 0000",
        );
    }
}

#[test]
fn agrees_to_ecn_when_it_is_asked_to() {
    // ECE with CWR asks (RFC 3168, 6.1.1), whatever else is set; one of them alone does not.
    for (asked, answered) in [
        ("c2", "52"),
        ("ca", "52"),
        ("e2", "52"),
        ("02", "12"),
        ("42", "12"),
        ("82", "12"),
        ("22", "12"),
    ] {
        let syn = format!("9c400017 10000000 00000000 50{asked}faf0 SUM 0000");
        for host in hosts() {
            host.answers(
                &syn,
                &format!("00179c40 ISN 10000001 50{answered}ff00 SUM 0000"),
            );
        }
        for host in BOTH {
            host.answers(&syn, "00179c40 ISN 10000001 5012ff00 SUM 0000");
        }
        // A SYN that says that it is ECT is none of an honest host (tcp_ecn_create_request).
        for host in hosts() {
            for ecn in 1..=3 {
                let given = host.ask(&host.marked(ecn, &syn)).unwrap();
                assert!(!read_reply(&given.packet).tcp.ece, "ECN field {ecn}");
            }
        }
    }
}

#[test]
fn passes_on_that_a_packet_met_congestion() {
    // With whatever else is to be said.
    for segment in [
        "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223446 @50000000 7878",
        "9c400017 10000006 ISN+1 801101f6 SUM 0000 0101080a 11223446 @50000029",
        "9c400017 10000001 ISN+1 5018faf0 SUM 0000 7878",
    ] {
        for ecn in 0..=3 {
            for host in hosts().into_iter().chain(BOTH) {
                let given = host.ask(&host.marked(ecn, segment)).unwrap();
                let told = read_reply(&given.packet).tcp.ece;
                assert_eq!(told, host.policy == LINUX && ecn == 3, "ECN field {ecn}");
            }
        }
    }
    // An honest probe is not ECT, and a reset tells of nothing but itself.
    for host in hosts() {
        for segment in [
            "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 @50000029",
            "9c400017 10000000 deadbeef 5012faf0 SUM 0000",
        ] {
            let given = host.ask(&host.marked(3, segment)).unwrap();
            assert!(!read_reply(&given.packet).tcp.ece, "{segment}");
        }
    }
}

/// The window of the answer to a SYN on a link with this MSS.
fn first_window(host: &Host, syn: &str, mss: u16) -> u16 {
    let asked = host.asked(syn);
    let env = Env {
        key: &KEY,
        now_ms: 0,
        wire: None,
    };
    host.said(&asked, &env).0.window.field(mss)
}

#[test]
fn opens_with_whole_segments_below_64_k() {
    let timed = "9c400017 10000000 00000000 9002faf0 SUM 0000
                 020405b4 0101080a 11223344 00000000";
    let untimed = "9c400017 10000000 00000000 6002faf0 SUM 0000 020405b4";
    for (mss, with, without) in [
        // What Linux shows: Ethernet over IPv4 and IPv6, and its loopback.
        (1460, 65_160, 64_240),
        (1440, 64_260, 64_800),
        (65_495, 65_483, 65_495),
        (MSS, 64_704, 65_280),
        (536, 65_500, 65_392),
        (u16::MAX, 65_523, 65_535),
        // What no link has divides nothing by zero.
        (12, 65_535, 65_532),
        (1, 65_535, 65_535),
        (0, 65_535, 65_535),
    ] {
        for host in hosts() {
            assert_eq!(first_window(&host, timed, mss), with, "MSS {mss}");
            assert_eq!(first_window(&host, untimed, mss), without, "MSS {mss}");
        }
        // A plain rule has the wide window only for those without timestamps.
        for host in BOTH {
            assert_eq!(first_window(&host, timed, mss), 24, "MSS {mss}");
            assert_eq!(first_window(&host, untimed, mss), without, "MSS {mss}");
        }
    }
}

#[test]
fn takes_one_octet_of_the_first_data() {
    for host in hosts() {
        for count in [1, 5, 24, 200, 1448] {
            for bits in ["10", "18", "11", "19"] {
                let data = format!(
                    "9c400017 10000001 ISN+1 80{bits}01f6 SUM 0000
                     0101080a 11223446 @50000000 {}",
                    octets(count)
                );
                for age in [69, 300, 45_000] {
                    answers_aged(&host, age, &data, (0x1000_0002, 0, 0x09));
                }
            }
        }
    }
}

#[test]
fn offers_a_unit_of_the_scale_where_a_plain_rule_offers_an_octet() {
    for host in hosts() {
        for (echo, age, low) in [
            ("c1", 27_500, 0xc4),
            ("c1", 36_000, 0xc3),
            ("c2", 38_000, 0xc5),
            ("c2", 59_487, 0xc5),
        ] {
            let probe = format!(
                "9c400017 10000018 ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}"
            );
            answers_aged(&host, age, &probe, (0x1000_0019, 1, low));
        }
    }
}

#[test]
fn gives_a_last_chance_of_a_segment() {
    let probe = "9c400017 10000018 ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000c2";
    for host in hosts() {
        // In units of 128 octets, of which 1,360 octets take eleven.
        answers_aged(&host, 59_488, probe, (0x1000_0019, 11, 0xc7));
        // What comes then is taken by the octet, as all that comes first.
        let data = format!(
            "9c400017 10000019 ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000c7 {}",
            octets(1348)
        );
        answers_aged(&host, 256, &data, (0x1000_001a, 0, 0xc9));
    }
    for (policy, mss, window) in [
        (LINUX, 1460, 12),
        (LINUX, 1280, 11),
        (LINUX, 1279, 10),
        (LINUX, 127, 1),
        (LINUX, u16::MAX, 512),
        (PLAIN, 1460, 36),
    ] {
        for host in BOTH {
            let asked = host.asked(probe);
            let env = Env {
                key: &KEY,
                now_ms: 0x5001_0000,
                wire: None,
            };
            let (said, _) = host.under(policy).said(&asked, &env);
            assert_eq!(said.window.field(mss), window, "{policy:?}, MSS {mss}");
        }
    }
}

#[test]
fn never_acknowledges_a_fin_that_follows_data_in_flight() {
    // The wide window lets the FIN out behind data of any length: both echo the SYN-ACK, or what was
    // said to the first of the data.
    for host in hosts() {
        for echo in ["00", "09"] {
            for count in 1..=200 {
                let seq = 0x1000_0001 + count;
                let fin = host.asked(&format!(
                    "9c400017 {seq:08x} ISN+1 801101f6 SUM 0000 0101080a 11223446 @500000{echo}"
                ));
                match host.ask(&fin) {
                    Ok(answer) => {
                        let ack = read_reply(&answer.packet).tcp.acknowledgment_number;
                        assert!(echo != "00", "the FIN behind {count} octets is answered");
                        assert!(ack <= seq, "the FIN behind {count} octets is acknowledged");
                    }
                    Err(why) => assert!([DropReason::BareAck, DropReason::Deferred].contains(&why)),
                }
            }
        }
    }
}

#[test]
fn is_silent_on_an_acknowledgment_with_data_in_flight() {
    let acknowledgment = |first: u32, count, echo| {
        let seq = first + count;
        format!("9c400017 {seq:08x} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}")
    };
    for host in hosts() {
        // Nothing was taken: any number may be in flight.
        for count in 1..=200 {
            host.ignores(
                &acknowledgment(0x1000_0001, count, "00"),
                DropReason::BareAck,
            );
        }
        host.ignores(
            &acknowledgment(0x1000_0001, 0, "00"),
            DropReason::HandshakeAck,
        );
        // One octet was, or twenty: as far as the stamp tells positions apart.
        for count in 0..=30 {
            host.ignores(
                &acknowledgment(0x1000_0002, count, "09"),
                DropReason::BareAck,
            );
            host.ignores(
                &acknowledgment(0x1000_0015, count, "a1"),
                DropReason::BareAck,
            );
        }
    }
}

#[test]
fn limits_answers_where_an_acknowledgment_looks_like_a_probe() {
    // One octet was taken, or two: 31 in flight look like none but one, as do 63 and so on.
    let empty = |seq: u32, echo| {
        format!("9c400017 {seq:08x} ISN+1 801001f6 SUM 0000 0101080a 11223446 @500000{echo}")
    };
    let wide = |window| BOTH.map(|host| host.under(Policy { window, ..PLAIN }));
    let hosts = hosts().into_iter().chain(wide(30)).chain(wide(1000));
    for host in hosts {
        for (echo, taken) in [("09", 1), ("11", 2), ("12", 2)] {
            for age in [0, 69, 30_000, 100_000] {
                let given = |start: u32| {
                    host.given_at(aged(age), &empty(0x1000_0001 + start, echo))
                        .limit
                };
                for in_flight in [31, 63, 32 * 200 - 1] {
                    let limit = given(taken + in_flight);
                    assert!(
                        matches!(limit, RateLimit::Source),
                        "{in_flight} of {host:?}"
                    );
                }
                // There is no room for 31 before it, so nothing is in flight.
                assert_eq!(given(taken - 1), RateLimit::None);
            }
        }
        assert_eq!(host.limit(&empty(0x1000_0000, "00")), RateLimit::None);
    }
    // A plain rule has room for so many only after a last chance, which its echo tells.
    for host in BOTH.into_iter().chain(wide(29)) {
        assert_eq!(host.limit(&empty(0x1000_0021, "09")), RateLimit::None);
        assert_eq!(host.limit(&empty(0x1000_001f, "ff")), RateLimit::None);
        let limit = host.limit(&empty(0x1000_0020, "07"));
        assert!(matches!(limit, RateLimit::Source), "{host:?}");
    }
}
