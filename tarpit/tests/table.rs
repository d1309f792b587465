// SPDX-License-Identifier: GPL-2.0

//! The table of what a plain `-j TARPIT` answers, row by row, byte for byte, for IPv4 and IPv6.
//!
//! The first test spells whole packets out. The others write segments as [`Host::segment`] reads
//! them and leave the IP header to [`common::packet`]: the peer's has a traffic class, a flow
//! label, an identification and a hop limit of its own, so each row also shows that none of it
//! comes back. Client ISNs are 10000000 and, where the stream crosses zero, fffffffa. The clock
//! says 50000045 unless a row says otherwise, so a fresh TSval is 50000000 plus twice the octets
//! received, plus one when the window is closed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use common::{ask, dump, hex, packet, summed, Fields, Host, BOTH, CLOCK, KEY, MSS, THEIRS};
use tarpit::tarpit::{respond, Env, Family, Key, Limit, Packet, Policy, Silence};

/// `count` octets of payload, as text.
fn octets(count: usize) -> String {
    "78".repeat(count)
}

// Whole packets.

#[test]
fn writes_whole_packets_as_they_cross_the_wire() {
    let [v4, v6] = BOTH;
    for (host, asked, answer) in [
        // A SYN of Linux, and the SYN-ACK.
        (
            v4,
            "45bb003c beef0000 3306dbda c0000201 c6336402
             9c400017 10000000 00000000 a002faf0 701a0000
             020405b4 0402080a 11223344 00000000 01030307",
            "4500003c 00004000 40064e85 c6336402 c0000201
             00179c40 3a8c5d75 10000001 a0120018 834b0000
             02040550 0402080a 50000000 11223344 01030300",
        ),
        (
            v6,
            "6bbabcde 00280633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000000 00000000 a002faf0 00da0000
             020405b4 0402080a 11223344 00000000 01030307",
            "60000000 00280640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 1988f978 10000001 a0120018 990b0000
             02040550 0402080a 50000000 11223344 01030300",
        ),
        // Five octets, and the ACK that closes the window.
        (
            v4,
            "45bb0039 beef0000 3306dbdd c0000201 c6336402
             9c400017 10000001 3a8c5d76 801801f6 6bee0000
             0101080a 11223345 50000000 68656c6c 6f",
            "45000034 00004000 40064e8d c6336402 c0000201
             00179c40 3a8c5d76 10000006 80100000 b1b30000
             0101080a 5000000b 11223345",
        ),
        (
            v6,
            "6bbabcde 00250633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000001 1988f979 801801f6 81ae0000
             0101080a 11223345 50000000 68656c6c 6f",
            "60000000 00200640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 1988f979 10000006 80100000 c7730000
             0101080a 5000000b 11223345",
        ),
        // A SYN-ACK that we never asked for, and the RST.
        (
            v4,
            "45bb002c beef0000 3306dbea c0000201 c6336402
             9c400017 10000000 deadbeef 6012faf0 66f90000 020405b4",
            "45000028 00004000 40064e99 c6336402 c0000201
             00179c40 deadbeef 00000000 50040000 89b40000",
        ),
        (
            v6,
            "6bbabcde 00180633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000000 deadbeef 6012faf0 f7b80000 020405b4",
            "60000000 00140640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 deadbeef 00000000 50040000 1a740000",
        ),
    ] {
        let given = host.ask(&hex(asked)).unwrap();
        assert_eq!(dump(&given.packet), dump(&hex(answer)));
    }
}

// SYN.

/// The SYN of a Linux client, 60 bytes over IPv4.
const LINUX_SYN: &str = "9c400017 10000000 00000000 a002faf0 SUM 0000
                         020405b4 0402080a 11223344 00000000 01030307";

/// The SYN-ACK for it.
const LINUX_SYN_ACK: &str = "00179c40 ISN 10000001 a0120018 SUM 0000
                             02040550 0402080a 50000000 11223344 01030300";

#[test]
fn answers_a_syn_with_the_options_it_offered() {
    for host in BOTH {
        host.answers(LINUX_SYN, LINUX_SYN_ACK);
        // macOS, where SACK-permitted comes last and EOL ends the list.
        host.answers(
            "9c400017 10000000 00000000 b002ffff SUM 0000
             020405b4 01030306 0101080a 11223344 00000000 04020000",
            LINUX_SYN_ACK,
        );
        // Windows, without timestamps.
        host.answers(
            "9c400017 10000000 00000000 8002faf0 SUM 0000 020405b4 01030308 01010402",
            "00179c40 ISN 10000001 80120018 SUM 0000 02040550 01010402 01030300",
        );
        // Timestamps without SACK.
        host.answers(
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0101080a ffffffff 00000000",
            "00179c40 ISN 10000001 90120018 SUM 0000 02040550 0101080a 50000000 ffffffff",
        );
        // SACK and window scale, each alone.
        host.answers(
            "9c400017 10000000 00000000 7002faf0 SUM 0000 020405b4 04020101",
            "00179c40 ISN 10000001 70120018 SUM 0000 02040550 01010402",
        );
        host.answers(
            "9c400017 10000000 00000000 7002faf0 SUM 0000 020405b4 01030300",
            "00179c40 ISN 10000001 70120018 SUM 0000 02040550 01030300",
        );
    }
}

#[test]
fn answers_a_syn_that_offers_only_an_mss_with_an_mss() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 020405b4",
            "00179c40 ISN 10000001 60120018 SUM 0000 02040550",
        );
        // Whatever it says: ours is our link's.
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 02040000",
            "00179c40 ISN 10000001 60120018 SUM 0000 02040550",
        );
    }
}

#[test]
fn answers_a_syn_without_options_without_options() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 00000000 5002faf0 SUM 0000",
            "00179c40 ISN 10000001 50120018 SUM 0000",
        );
        // Padding is no option, nor is one that nobody here knows (MD5, an experiment).
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 01010100",
            "00179c40 ISN 10000001 50120018 SUM 0000",
        );
        host.answers(
            "9c400017 10000000 00000000 a002faf0 SUM 0000
             13120011 22334455 66778899 aabbccdd eeff0101",
            "00179c40 ISN 10000001 50120018 SUM 0000",
        );
    }
}

#[test]
fn leaves_out_the_mss_when_it_was_not_offered_and_does_not_fit() {
    for host in BOTH {
        for (offset, offered, answered) in [
            // nmap's fourth probe: SACK-permitted, timestamps, window scale.
            (
                '9',
                "0402080a 11223344 00000000 03030a00",
                "0402080a 50000000 11223344 01030300",
            ),
            (
                '8',
                "0101080a 11223344 00000000",
                "0101080a 50000000 11223344",
            ),
            ('7', "03030704 02000000", "01010402 01030300"),
            ('6', "03030700", "01030300"),
            ('6', "04020000", "01010402"),
        ] {
            host.answers(
                &format!("9c400017 10000000 00000000 {offset}002faf0 SUM 0000 {offered}"),
                &format!("00179c40 ISN 10000001 {offset}0120018 SUM 0000 {answered}"),
            );
        }
        // With room, it comes: sixteen bytes for SACK-permitted alone, and data.
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 04020000 78787878",
            "00179c40 ISN 10000001 70120018 SUM 0000 02040550 01010402",
        );
    }
}

#[test]
fn acknowledges_only_the_syn_of_a_syn_with_data() {
    for host in BOTH {
        // TCP Fast Open: a cookie request, then a cookie with data.
        host.answers(
            "9c400017 10000000 00000000 b002faf0 SUM 0000
             020405b4 0402080a 11223344 00000000 01030307 22020101",
            LINUX_SYN_ACK,
        );
        host.answers(
            &format!(
                "9c400017 10000000 00000000 d002faf0 SUM 0000
                 020405b4 0402080a 11223344 00000000 01030307 220a0123 456789ab cdef0101 {}",
                octets(1000)
            ),
            LINUX_SYN_ACK,
        );
        // Data is no option, but it is room.
        host.answers(
            &format!("9c400017 10000000 00000000 5002faf0 SUM 0000 {}", octets(9)),
            "00179c40 ISN 10000001 50120018 SUM 0000",
        );
        host.answers(
            &format!(
                "9c400017 10000000 00000000 6002faf0 SUM 0000 03030700 {}",
                octets(4)
            ),
            "00179c40 ISN 10000001 70120018 SUM 0000 02040550 01030300",
        );
    }
}

#[test]
fn answers_a_syn_with_bits_that_do_not_matter_as_one_without() {
    for host in BOTH {
        for bits in [
            "a0c2", // ECE and CWR: a request for ECN
            "a10a", // AE and PSH
            "a022", // URG
            "afea", // all of these and the reserved ones
        ] {
            // An acknowledgment number, a window and an urgent pointer that mean nothing.
            let syn = format!(
                "9c400017 10000000 deadbeef {bits} 0000 SUM beef
                 020405b4 0402080a 11223344 55667788 01030307"
            );
            host.answers(&syn, LINUX_SYN_ACK);
        }
    }
}

#[test]
fn answers_a_syn_sent_again_with_the_same_isn_and_a_later_clock() {
    for host in BOTH {
        host.answers(LINUX_SYN, LINUX_SYN_ACK);
        host.answers_at(
            CLOCK + 1000,
            "9c400017 10000000 00000000 a002faf0 SUM 0000
             020405b4 0402080a 1122372c 00000000 01030307",
            "00179c40 ISN 10000001 a0120018 SUM 0000
             02040550 0402080a 50000400 1122372c 01030300",
        );
    }
}

#[test]
fn reads_options_up_to_the_first_broken_one() {
    for host in BOTH {
        for (options, answer) in [
            ("020405b4 04000402", "6012 0018 SUM 0000 02040550"), // a length of zero
            ("020405b4 04010402", "6012 0018 SUM 0000 02040550"), // of one
            ("020405b4 fd050402", "6012 0018 SUM 0000 02040550"), // beyond the header
            ("020405b4 01010104", "6012 0018 SUM 0000 02040550"), // cut off after the kind
            ("020405b4 080a1122", "6012 0018 SUM 0000 02040550"), // cut off in the middle
            ("020405b4 00020402", "6012 0018 SUM 0000 02040550"), // after the end of the list
            // One that nobody knows, or that has another length than it should, is skipped.
            ("fd020402 020405b4", "7012 0018 SUM 0000 02040550 01010402"),
            ("fd040402 04020101", "7012 0018 SUM 0000 02040550 01010402"),
            ("02030504 02000000", "7012 0018 SUM 0000 02040550 01010402"),
        ] {
            host.answers(
                &format!("9c400017 10000000 00000000 7002faf0 SUM 0000 {options}"),
                &format!("00179c40 ISN 10000001 {answer}"),
            );
        }
    }
}

// The end of the handshake.

#[test]
fn is_silent_when_the_handshake_ends() {
    for host in BOTH {
        host.ignores(
            "9c400017 10000001 ISN+1 801001f6 SUM 0000 0101080a 11223345 50000000",
            Silence::BareAck,
        );
        host.ignores(
            "9c400017 10000001 ISN+1 5010faf0 SUM 0000",
            Silence::BareAck,
        );
        // With every bit that does not matter.
        host.ignores(
            "9c400017 10000001 ISN+1 8ff80000 SUM beef 0101080a 11223345 50000000",
            Silence::BareAck,
        );
    }
}

#[test]
fn is_silent_on_an_acknowledgment_of_what_it_said() {
    for host in BOTH {
        // At SND.NXT, after five octets were acknowledged, before they are, and with more in
        // flight.
        for echo in ["5000000b", "50000000", "50000003"] {
            let ack = format!("9c400017 10000006 ISN+1 801001f6 SUM 0000 0101080a 11223400 {echo}");
            host.ignores(&ack, Silence::BareAck);
        }
        // Behind a full first window nothing empty is a probe, timestamps or not.
        host.ignores(
            "9c400017 10000019 ISN+1 801001f6 SUM 0000 0101080a 11223400 50000031",
            Silence::BareAck,
        );
        host.ignores(
            "9c400017 10000019 ISN+1 5010faf0 SUM 0000",
            Silence::BareAck,
        );
        host.ignores(
            "9c400017 10020001 ISN+1 5010faf0 SUM 0000",
            Silence::BareAck,
        );
    }
}

// Data.

#[test]
fn acknowledges_data_within_the_window_and_closes_it() {
    for host in BOTH {
        for (count, ack, value) in [
            (1, "10000002", "50000003"),
            (5, "10000006", "5000000b"),
            (23, "10000018", "5000002f"),
            (24, "10000019", "50000031"),
        ] {
            let payload = octets(count);
            host.answers(
                &format!(
                    "9c400017 10000001 ISN+1 801801f6 SUM 0000
                     0101080a 11223346 50000000 {payload}"
                ),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a {value} 11223346"),
            );
            host.answers(
                &format!("9c400017 10000001 ISN+1 5018faf0 SUM 0000 {payload}"),
                &format!("00179c40 ISN+1 {ack} 50100000 SUM 0000"),
            );
        }
    }
}

#[test]
fn acknowledges_no_more_than_the_window() {
    for host in BOTH {
        for count in [25, 536, 1448] {
            let payload = octets(count);
            host.answers(
                &format!(
                    "9c400017 10000001 ISN+1 801001f6 SUM 0000
                     0101080a 11223346 50000000 {payload}"
                ),
                "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a 50000031 11223346",
            );
            host.answers(
                &format!("9c400017 10000001 ISN+1 5010faf0 SUM 0000 {payload}"),
                "00179c40 ISN+1 10000019 50100000 SUM 0000",
            );
        }
        // Across the edge.
        host.answers(
            &format!("9c400017 1000000b ISN+1 5018faf0 SUM 0000 {}", octets(100)),
            "00179c40 ISN+1 10000019 50100000 SUM 0000",
        );
    }
}

#[test]
fn answers_data_behind_the_window_with_its_edge() {
    for host in BOTH {
        // The first octet behind it, a few segments on, and as far as it reaches.
        for seq in ["10000019", "10000b51", "10020001"] {
            // With timestamps, what the peer was told is known modulo 32 octets; one that sends so
            // far ahead has parts of it taken.
            let ack = match seq {
                "10000b51" => "10000b39",
                "10020001" => "1001fff9",
                _ => "10000019",
            };
            host.answers(
                &format!(
                    "9c400017 {seq} ISN+1 801801f6 SUM 0000
                     0101080a 11223346 50000031 {}",
                    octets(1448)
                ),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 50000031 11223346"),
            );
            host.answers(
                &format!("9c400017 {seq} ISN+1 5018faf0 SUM 0000 {}", octets(1)),
                "00179c40 ISN+1 10000019 50100000 SUM 0000",
            );
        }
    }
}

#[test]
fn acknowledges_small_writes_one_by_one() {
    for host in BOTH {
        // Both are on their way before the first answer: both echo the SYN-ACK.
        for echo in ["50000000", "50000003"] {
            host.answers(
                "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223346 50000000 61",
                "00179c40 ISN+1 10000002 80100000 SUM 0000 0101080a 50000003 11223346",
            );
            host.answers(
                &format!("9c400017 10000002 ISN+1 801801f6 SUM 0000 0101080a 11223347 {echo} 62"),
                "00179c40 ISN+1 10000003 80100000 SUM 0000 0101080a 50000005 11223347",
            );
        }
    }
}

#[test]
fn acknowledges_what_arrives_when_small_writes_overtake() {
    for host in BOTH {
        host.answers(
            "9c400017 10000002 ISN+1 801801f6 SUM 0000 0101080a 11223347 50000000 62",
            "00179c40 ISN+1 10000003 80100000 SUM 0000 0101080a 50000005 11223347",
        );
        host.answers(
            "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223346 50000000 61",
            "00179c40 ISN+1 10000002 80100000 SUM 0000 0101080a 50000003 11223346",
        );
    }
}

#[test]
fn answers_a_retransmission_as_the_first_time() {
    for host in BOTH {
        host.answers(
            "9c400017 10000001 ISN+1 801801f6 SUM 0000
             0101080a 11223346 50000000 68656c6c 6f",
            "00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a 5000000b 11223346",
        );
        // 300 ms later, as the answer got lost.
        host.answers_at(
            CLOCK + 300,
            "9c400017 10000001 ISN+1 801801f6 SUM 0000
             0101080a 11223472 50000000 68656c6c 6f",
            "00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a 5000010b 11223472",
        );
    }
}

// Probes and keep-alives.

#[test]
fn answers_a_probe_of_linux_with_a_closed_window() {
    for host in BOTH {
        // SEG.SEQ = SND.UNA - 1, empty: after five octets, after one, after a full window. The answer
        // tells that it is one to a probe.
        for (seq, ack, low, probed) in [
            ("10000005", "10000006", "0b", "8b"),
            ("10000001", "10000002", "03", "83"),
            ("10000018", "10000019", "31", "b1"),
        ] {
            host.answers(
                &format!("9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223446 500000{low}"),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 500000{probed} 11223446"),
            );
            // 25 s later; the peer still echoes the answer that it took last.
            host.answers_at(
                CLOCK + 0x61a8,
                &format!("9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 113e0000 500000{probed}"),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 500061{probed} 113e0000"),
            );
        }
    }
}

#[test]
fn answers_a_probe_without_timestamps_out_of_a_budget() {
    for host in BOTH {
        for (seq, ack) in [("10000005", "10000006"), ("10000018", "10000019")] {
            let probe = format!("9c400017 {seq} ISN+1 5010faf0 SUM 0000");
            host.answers(&probe, &format!("00179c40 ISN+1 {ack} 50100000 SUM 0000"));
            assert!(matches!(host.limit(&probe), Limit::Flow(_)), "{probe}");
        }
    }
}

#[test]
fn answers_a_keep_alive_before_any_data() {
    for host in BOTH {
        let keep_alive = "9c400017 10000000 ISN+1 801001f6 SUM 0000 0101080a 11223446 50000000";
        host.answers(
            keep_alive,
            "00179c40 ISN+1 10000001 80100000 SUM 0000 0101080a 50000081 11223446",
        );
        assert_eq!(host.limit(keep_alive), Limit::None);
        let keep_alive = "9c400017 10000000 ISN+1 5010faf0 SUM 0000";
        host.answers(keep_alive, "00179c40 ISN+1 10000001 50100000 SUM 0000");
        assert_eq!(host.limit(keep_alive), Limit::None);
    }
}

#[test]
fn answers_a_keep_alive_after_data() {
    for host in BOTH {
        host.answers(
            "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 5000000b",
            "00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a 5000008b 11223446",
        );
    }
}

#[test]
fn acknowledges_nothing_for_the_garbage_octet_of_a_keep_alive_before_any_data() {
    // RFC 1122, 4.2.3.6: the octet lies at SND.NXT - 1, where the SYN was; it is not the first of
    // the data.
    for host in BOTH {
        host.answers(
            "9c400017 10000000 ISN+1 801001f6 SUM 0000 0101080a 11223446 50000000 00",
            "00179c40 ISN+1 10000001 80100000 SUM 0000 0101080a 50000001 11223446",
        );
        host.answers(
            "9c400017 10000000 ISN+1 5010faf0 SUM 0000 00",
            "00179c40 ISN+1 10000001 50100000 SUM 0000",
        );
    }
}

#[test]
fn acknowledges_nothing_new_for_the_garbage_octet_of_a_keep_alive_after_data() {
    for host in BOTH {
        for (seq, ack, low) in [
            ("10000005", "10000006", "0b"),
            ("10000018", "10000019", "31"),
        ] {
            host.answers(
                &format!("9c400017 {seq} ISN+1 801001f6 SUM 0000 0101080a 11223446 500000{low} 00"),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 500000{low} 11223446"),
            );
            host.answers(
                &format!("9c400017 {seq} ISN+1 5010faf0 SUM 0000 00"),
                &format!("00179c40 ISN+1 {ack} 50100000 SUM 0000"),
            );
        }
    }
}

#[test]
fn answers_a_probe_that_carries_the_next_octet() {
    for host in BOTH {
        // BSD and Windows send the octet at SND.UNA. Within the first window it is taken, as the
        // window should not have been shrunk; behind it never.
        for (seq, echo, ack, value) in [
            ("10000006", "0b", "10000007", "0d"),
            ("10000018", "2f", "10000019", "31"),
            ("10000019", "31", "10000019", "31"),
        ] {
            host.answers(
                &format!(
                    "9c400017 {seq} ISN+1 801801f6 SUM 0000 0101080a 11223446 500000{echo} 78"
                ),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 500000{value} 11223446"),
            );
            host.answers(
                &format!("9c400017 {seq} ISN+1 5018faf0 SUM 0000 78"),
                &format!("00179c40 ISN+1 {ack} 50100000 SUM 0000"),
            );
        }
    }
}

// Trickle: what an octet now and then does to those that closed.

/// What is answered `age` milliseconds after the answer that the peer echoes.
fn aged(host: &Host, age: u32, asked: &str) -> Result<String, Silence> {
    let asked = host.asked(asked);
    // The clock is 69 ms into its step.
    let given = host.ask_at(CLOCK + age - 69, &asked, asked.len());
    given.map(|answer| dump(&answer.packet))
}

#[test]
fn offers_an_octet_to_a_probe_whose_interval_was_half_a_minute() {
    for host in BOTH {
        // After data (31) or a probe (b1): the age, the window, and what the TSval says of it.
        for (echo, age, window, value) in [
            ("31", 27_499, "0000", "50006bb1"),
            ("31", 27_500, "0001", "50006b70"),
            ("31", 35_999, "0001", "50008c70"),
            ("31", 36_000, "0001", "50008cf0"),
            ("31", 59_487, "0001", "5000e8f0"),
            ("31", 59_488, "0024", "5000e830"),
            ("b1", 27_499, "0000", "50006bb1"),
            ("b1", 27_500, "0001", "50006b70"),
            ("b1", 37_999, "0001", "50009470"),
            ("b1", 38_000, "0001", "500094b0"),
            ("b1", 59_487, "0001", "5000e8b0"),
            ("b1", 59_488, "0024", "5000e830"),
            ("b1", 600_000, "0024", "50092730"),
        ] {
            let probe =
                format!("9c400017 10000018 ISN+1 801001f6 SUM 0000 0101080a 11223446 500000{echo}");
            let answer =
                format!("00179c40 ISN+1 10000019 8010{window} SUM 0000 0101080a {value} 11223446");
            let given = aged(&host, age, &probe);
            assert_eq!(given, Ok(dump(&host.answer(&answer))), "{echo} {age}");
        }
    }
}

#[test]
fn leaves_an_offered_octet_in_flight_and_dates_its_echo_back() {
    for host in BOTH {
        // Short, long, steady; how much earlier than 11223446 the echo is.
        for (echo, age, earlier) in [
            ("70", 85_000, 24_000),
            ("b0", 122_000, 24_000),
            ("f0", 147_000, 0), // a third: 49 s
            ("f0", 179_999, 0),
            ("f0", 180_000, 40_000), // a fifth: 36 s
            ("f0", 200_000, 38_000),
            ("f0", 225_000, 18_000),
            ("f0", 234_999, 14_000),
            ("f0", 235_000, 0),
        ] {
            // The octet, alone or with the FIN.
            for flags in ["18", "19"] {
                let octet = format!(
                    "9c400017 10000019 ISN+1 80{flags}01f6 SUM 0000 0101080a 11223446 500000{echo} 78"
                );
                if [85_000, 122_000, 147_000].contains(&age) {
                    assert_eq!(aged(&host, age - 1, &octet), Err(Silence::Patience));
                }
                let value = ((0x5000_0000 + age) & !0xff) | 0x33;
                let named = 0x1122_3446 - earlier;
                let answer = format!(
                    "00179c40 ISN+1 1000001a 80100000 SUM 0000 0101080a {value:08x} {named:08x}"
                );
                let given = aged(&host, age, &octet);
                assert_eq!(given, Ok(dump(&host.answer(&answer))), "{echo} {age}");
            }
        }
    }
}

#[test]
fn answers_whatever_brings_nothing_new_to_an_offered_octet() {
    // A keep-alive with a garbage octet, and a FIN that follows at once.
    for host in BOTH {
        for (seq, flags, payload) in [("10000018", "10", "00"), ("10000019", "11", "")] {
            host.answers(
                &format!(
                    "9c400017 {seq} ISN+1 80{flags}01f6 SUM 0000
                     0101080a 11223446 50000070 {payload}"
                ),
                "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a 50000131 11223446",
            );
        }
    }
}

#[test]
fn takes_at_once_what_the_last_chance_had_room_for() {
    for host in BOTH {
        // 36 octets; one more is not taken.
        for count in [36, 37] {
            let payload = octets(count);
            host.answers(
                &format!(
                    "9c400017 10000019 ISN+1 801801f6 SUM 0000 0101080a 11223446 50000030 {payload}"
                ),
                "00179c40 ISN+1 1000003d 80100000 SUM 0000 0101080a 50000039 11223446",
            );
        }
    }
}

// FIN and RST.

#[test]
fn never_acknowledges_a_fin() {
    for host in BOTH {
        // Right after the handshake, behind five octets, together with them, behind a full window,
        // with one, with more than one.
        for (seq, echo, count, ack, value) in [
            ("10000001", "00", 0, "10000001", "01"),
            ("10000006", "0b", 0, "10000006", "0b"),
            ("10000006", "00", 0, "10000006", "0b"),
            ("10000001", "00", 5, "10000006", "0b"),
            ("10000019", "31", 0, "10000019", "31"),
            ("10000001", "00", 24, "10000019", "31"),
            ("10000001", "00", 1000, "10000019", "31"),
        ] {
            let payload = octets(count);
            host.answers(
                &format!(
                    "9c400017 {seq} ISN+1 801101f6 SUM 0000
                     0101080a 11223446 500000{echo} {payload}"
                ),
                &format!("00179c40 ISN+1 {ack} 80100000 SUM 0000 0101080a 500000{value} 11223446"),
            );
            // With PSH, URG and an urgent pointer, without timestamps.
            host.answers(
                &format!("9c400017 {seq} ISN+1 5039faf0 SUM 0001 {payload}"),
                &format!("00179c40 ISN+1 {ack} 50100000 SUM 0000"),
            );
        }
    }
}

#[test]
fn is_silent_on_every_reset() {
    for host in BOTH {
        for flags in 0..=0xffu8 {
            if flags & 0x04 != 0 {
                for numbers in ["10000001 ISN+1", "10000000 00000000", "deadbeef cafebabe"] {
                    host.ignores(
                        &format!("9c400017 {numbers} 50{flags:02x} faf0 SUM 0000 78"),
                        Silence::Reset,
                    );
                }
            }
        }
    }
}

#[test]
fn resets_what_answers_a_syn_that_was_never_sent() {
    for host in BOTH {
        for syn_ack in [
            "9c400017 10000000 deadbeef 5012faf0 SUM 0000",
            "9c400017 10000000 deadbeef a012faf0 SUM 0000
             020405b4 0402080a 11223344 50000000 01030307",
            "9c400017 10000001 deadbeef 5ffaffff SUM beef 78787878 78",
        ] {
            host.answers(syn_ack, "00179c40 deadbeef 00000000 50040000 SUM 0000");
            assert!(matches!(host.limit(syn_ack), Limit::Source(_)), "{syn_ack}");
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
                        Silence::BadFlags,
                    );
                }
            }
        }
        // SYN with RST, all bits at once: still a reset.
        for flags in ["06", "16", "ff", "3f"] {
            host.ignores(
                &format!("9c400017 10000000 00000000 50{flags} faf0 SUM 0000"),
                Silence::Reset,
            );
        }
    }
}

// Segments that are not ours.

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
                    Silence::NotOurs,
                );
                host.ignores(
                    &format!(
                        "9c400017 {seq} {ack} 80{flags} faf0 SUM 0000
                         0101080a 11223346 50000000 {payload}"
                    ),
                    Silence::NotOurs,
                );
            }
        }
        // The numbers of a held connection fit no other ports.
        for ports in ["9c410017", "9c400018", "00179c40"] {
            host.ignores(
                &format!("{ports} 10000001 ISN+1 5018faf0 SUM 0000 78"),
                Silence::NotOurs,
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
            assert_eq!(host.ask(&other), Err(Silence::NotOurs), "octet {at}");
        }
        for key in [Key([KEY.0[0] ^ 1, KEY.0[1]]), Key([KEY.0[0], KEY.0[1] ^ 1])] {
            let given = ask(host.family, &ours, ours.len(), &key, 0);
            assert_eq!(given, Err(Silence::NotOurs));
        }
    }
}

// Packets that are not whole, or no TCP.

/// The length of a family's IP header.
fn ip_len(host: &Host) -> usize {
    match host.family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

#[test]
fn is_silent_on_a_packet_cut_off_anywhere() {
    for host in BOTH {
        let ip = ip_len(&host);
        let syn = host.asked(LINUX_SYN);
        assert!(host.ask(&syn).is_ok());
        for cut in 0..syn.len() {
            let cut_off = &syn[..cut];
            // What is there is all there is: the data offset says more.
            let why = if cut < ip + 20 {
                Silence::Truncated
            } else {
                Silence::Malformed
            };
            assert_eq!(host.ask(cut_off), Err(why), "{cut} bytes");
            // More is there, but cannot be read in one piece.
            let given = host.ask_at(CLOCK, cut_off, syn.len());
            assert_eq!(
                given,
                Err(Silence::Truncated),
                "{cut} bytes of {}",
                syn.len()
            );
        }
        // A length that is shorter than the headers is a lie.
        for len in 0..syn.len() {
            let given = host.ask_at(CLOCK, &syn, len);
            assert_eq!(given, Err(Silence::Malformed), "length {len}");
        }
    }
}

#[test]
fn is_silent_on_a_data_offset_that_cannot_be() {
    for host in BOTH {
        let offset_at = ip_len(&host) + 12;
        let mut syn = host.asked("9c400017 10000000 00000000 6002faf0 SUM 0000 020405b4");
        for words in 0..16 {
            syn[offset_at] = words << 4;
            let given = host.ask(&syn);
            match words {
                5 | 6 => assert!(given.is_ok(), "{words} words"),
                _ => assert_eq!(given, Err(Silence::Malformed), "{words} words"),
            }
        }
    }
}

#[test]
fn is_silent_on_an_ipv4_header_length_that_cannot_be() {
    let [host, _] = BOTH;
    let mut syn = host.asked("9c400017 10000000 00000000 5002faf0 SUM 0000");
    for words in 0..5 {
        syn[0] = 0x40 | words;
        assert_eq!(host.ask(&syn), Err(Silence::Malformed), "{words} words");
    }
    // Read from four bytes before, this is a SYN.
    let mut two_ways = host.asked("9c400017 10000000 50020000 5002faf0 SUM 0000");
    two_ways[0] = 0x44;
    assert_eq!(host.ask(&two_ways), Err(Silence::Malformed));
    // From here on the TCP header does not fit any more.
    for words in 6..16 {
        syn[0] = 0x40 | words;
        assert_eq!(host.ask(&syn), Err(Silence::Truncated), "{words} words");
    }
}

#[test]
fn looks_behind_ipv4_options_and_returns_none() {
    let [host, _] = BOTH;
    let whole = host.asked(LINUX_SYN);
    let (header, tcp) = whole.split_at(20);
    let route = hex("07270400000000000000");
    for words in 1..=10usize {
        // A record route that is as long as there is room, no-operation and end of list.
        let mut options = route.clone();
        options.resize(words * 4, 1);
        *options.last_mut().unwrap() = 0;
        let mut syn = [header, &options, tcp].concat();
        syn[0] = 0x45 + u8::try_from(words).unwrap();
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
        // Nor do they lend their room to a SYN that has none.
        syn.truncate(20 + options.len() + 20);
        syn[20 + options.len() + 12] = 0x50;
        let given = host.ask(&syn).unwrap();
        let plain = host.answer("00179c40 ISN 10000001 50120018 SUM 0000");
        assert_eq!(dump(&given.packet), dump(&plain));
    }
}

#[test]
fn is_silent_on_ipv4_fragments() {
    let [host, _] = BOTH;
    let mut syn = host.asked(LINUX_SYN);
    // More fragments; the second; the last; the farthest; with DF beside.
    for bits in [0x2000u16, 0x2001, 0x0001, 0x1fff, 0x6000, 0x4001, 0xbfff] {
        syn[6..8].copy_from_slice(&bits.to_be_bytes());
        assert_eq!(host.ask(&syn), Err(Silence::Fragment), "{bits:04x}");
    }
    // None of these is one.
    for bits in [0x0000u16, 0x4000, 0x8000, 0xc000] {
        syn[6..8].copy_from_slice(&bits.to_be_bytes());
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

/// The SYN of Linux behind extension headers; `first` is the number of the first of them.
fn extended(first: u8, extensions: &str) -> Vec<u8> {
    let whole = BOTH[1].asked(LINUX_SYN);
    let (header, tcp) = whole.split_at(40);
    let mut syn = [header, &hex(extensions), tcp].concat();
    syn[6] = first;
    syn
}

#[test]
fn is_silent_on_ipv6_fragments() {
    let [_, host] = BOTH;
    // More to come, the second, the last, the farthest.
    for bits in ["0001", "0009", "0008", "fff8", "fff9"] {
        let syn = extended(44, &format!("0600 {bits} 12345678"));
        assert_eq!(host.ask(&syn), Err(Silence::Fragment), "{bits}");
    }
    // Behind another extension header.
    let syn = extended(0, "2c00 010400000000 0600 0001 12345678");
    assert_eq!(host.ask(&syn), Err(Silence::Fragment));
}

#[test]
fn answers_an_atomic_fragment_as_the_packet_it_is() {
    let [_, host] = BOTH;
    // With the reserved bits clear and set.
    for reserved in ["00 0000", "ff 0006"] {
        let syn = extended(44, &format!("06 {reserved} 12345678"));
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

#[test]
fn looks_behind_ipv6_extension_headers_and_returns_none() {
    let [_, host] = BOTH;
    let long = format!("06ff {}", "00".repeat(2046));
    for (first, extensions) in [
        (0, "0600 010400000000"),
        (60, "0600 010400000000"),
        (43, "0600 040000000000"),
        (0, "3c00 010400000000 0601 010c 00000000 0000000000000000"),
        (60, long.as_str()),
        // Eight are looked behind.
        (
            60,
            &format!("{} 0600 010400000000", "3c00 010400000000".repeat(7)),
        ),
    ] {
        let given = host.ask(&extended(first, extensions)).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

#[test]
fn is_silent_behind_more_ipv6_extension_headers_than_are_honest() {
    let [_, host] = BOTH;
    for count in [8, 9, 100] {
        let syn = extended(
            60,
            &format!("{} 0600 010400000000", "3c00 010400000000".repeat(count)),
        );
        assert_eq!(
            host.ask(&syn),
            Err(Silence::NotTcp),
            "{} headers",
            count + 1
        );
    }
}

#[test]
fn is_silent_on_ipv6_extension_headers_cut_off_anywhere() {
    let [_, host] = BOTH;
    let syn = extended(
        0,
        "2b00 010400000000 2c01 0400 00000000 0000000000000000 0600 0000 12345678",
    );
    let tcp = 40 + 8 + 16 + 8;
    assert!(host.ask(&syn).is_ok());
    for cut in 0..syn.len() {
        let why = if cut < tcp + 20 {
            Silence::Truncated
        } else {
            Silence::Malformed
        };
        assert_eq!(host.ask(&syn[..cut]), Err(why), "{cut} bytes");
        let given = host.ask_at(CLOCK, &syn[..cut], syn.len());
        assert_eq!(
            given,
            Err(Silence::Truncated),
            "{cut} bytes of {}",
            syn.len()
        );
    }
    // An extension header longer than the packet.
    let syn = extended(60, "06ff 010400000000");
    assert_eq!(host.ask(&syn), Err(Silence::Truncated));
}

#[test]
fn is_silent_on_what_is_not_tcp() {
    let [v4, v6] = BOTH;
    for protocol in 0..=255u8 {
        if protocol == 6 {
            continue;
        }
        let mut syn = v4.asked(LINUX_SYN);
        syn[9] = protocol;
        assert_eq!(v4.ask(&syn), Err(Silence::NotTcp), "protocol {protocol}");
        // These four are headers of IPv6 itself.
        if ![0, 43, 44, 60].contains(&protocol) {
            let mut syn = v6.asked(LINUX_SYN);
            syn[6] = protocol;
            assert_eq!(v6.ask(&syn), Err(Silence::NotTcp), "next header {protocol}");
            let syn = extended(60, &format!("{protocol:02x}00 010400000000"));
            assert_eq!(v6.ask(&syn), Err(Silence::NotTcp), "next header {protocol}");
        }
    }
}

#[test]
fn is_silent_where_an_address_is_not_one_hosts() {
    for (family, good, bad) in [
        (
            Family::V4,
            "192.0.2.1",
            [
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "239.255.255.250",
                "240.0.0.1",
                "255.255.255.255",
            ]
            .as_slice(),
        ),
        (
            Family::V6,
            "2001:db8::1",
            ["::", "ff02::1", "ff0e::1", "ffff::1"].as_slice(),
        ),
    ] {
        for bad in bad {
            for (source, destination) in [(good, *bad), (*bad, good), (*bad, *bad)] {
                let source = source.parse().unwrap();
                let destination = destination.parse().unwrap();
                for (flags, ack) in [(0x02, 0), (0x12, 0xdead_beef), (0x18, 1)] {
                    let tcp = Fields {
                        source: 40000,
                        destination: 23,
                        seq: 0x1000_0000,
                        ack,
                        reserved: 0,
                        flags,
                        window: 1000,
                        urgent: 0,
                        options: vec![],
                        payload: 0,
                    };
                    let tcp = summed(source, destination, tcp.bytes());
                    let packet = packet(source, destination, THEIRS, &tcp);
                    let given = ask(family, &packet, packet.len(), &KEY, 0);
                    assert_eq!(given, Err(Silence::NotUnicast), "{source} to {destination}");
                }
            }
        }
    }
}

#[test]
fn answers_addresses_at_the_ends_of_what_is_unicast() {
    for (family, source, destination) in [
        (Family::V4, "1.0.0.0", "223.255.255.255"),
        (Family::V4, "127.0.0.1", "127.0.0.1"),
        (Family::V4, "10.0.0.255", "169.254.0.1"),
        (Family::V6, "::1", "::1"),
        (Family::V6, "fe80::1", "fec0::ffff"),
        (Family::V6, "64:ff9b::1", "fd00::1"),
    ] {
        let source = source.parse().unwrap();
        let destination = destination.parse().unwrap();
        let tcp = hex("9c400017 10000000 00000000 5002faf0 0000 0000");
        let tcp = summed(source, destination, tcp);
        let packet = packet(source, destination, THEIRS, &tcp);
        let given = ask(family, &packet, packet.len(), &KEY, 0).unwrap();
        let heard = common::Heard::read(&given.packet);
        assert_eq!((heard.source, heard.destination), (destination, source));
    }
}

#[test]
fn answers_a_payload_of_which_only_the_headers_can_be_read() {
    for host in BOTH {
        let data =
            host.asked("9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223346 50000000");
        let answer = "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a 50000031 11223346";
        // A full packet, GRO's 64 KB and BIG TCP's 512 KB, and what no network layer carries.
        for payload in [
            1448,
            65_496,
            65_536,
            65_537,
            524_288,
            1 << 30,
            (1 << 32) + 24,
        ] {
            let given = host.ask_at(CLOCK, &data, data.len() + payload).unwrap();
            assert_eq!(dump(&given.packet), dump(&host.answer(answer)), "{payload}");
        }
    }
}

// Numbers that wrap.

#[test]
fn holds_a_stream_that_crosses_zero() {
    for host in BOTH {
        host.answers(
            "9c400017 fffffffa 00000000 9002faf0 SUM 0000 020405b4 0402080a ffffff00 00000000",
            "00179c40 WRAP fffffffb 90120018 SUM 0000 02040550 0402080a 50000000 ffffff00",
        );
        host.ignores(
            "9c400017 fffffffb WRAP+1 801001f6 SUM 0000 0101080a ffffff00 50000000",
            Silence::BareAck,
        );
        // A keep-alive before any data, five octets, five more, the edge.
        for (seq, echo, count, ack, value) in [
            ("fffffffa", "00", 0, "fffffffb", "81"),
            ("fffffffb", "00", 5, "00000000", "0b"),
            ("00000000", "0b", 5, "00000005", "15"),
            ("fffffffb", "00", 24, "00000013", "31"),
            ("00000013", "31", 1000, "00000013", "31"),
        ] {
            let payload = octets(count);
            host.answers(
                &format!(
                    "9c400017 {seq} WRAP+1 801801f6 SUM 0000
                     0101080a 00000001 500000{echo} {payload}"
                ),
                &format!("00179c40 WRAP+1 {ack} 80100000 SUM 0000 0101080a 500000{value} 00000001"),
            );
        }
        // Probes on both sides of zero, and an acknowledgment.
        for (seq, echo, ack, value) in [
            ("ffffffff", "0b", "00000000", "8b"),
            ("00000004", "15", "00000005", "95"),
            ("00000012", "31", "00000013", "b1"),
        ] {
            host.answers(
                &format!("9c400017 {seq} WRAP+1 801001f6 SUM 0000 0101080a 00000002 500000{echo}"),
                &format!("00179c40 WRAP+1 {ack} 80100000 SUM 0000 0101080a 500000{value} 00000002"),
            );
        }
        host.ignores(
            "9c400017 00000000 WRAP+1 801001f6 SUM 0000 0101080a 00000002 5000000b",
            Silence::BareAck,
        );
        host.ignores(
            "9c400017 fffffff9 WRAP+1 5018faf0 SUM 0000 78",
            Silence::NotOurs,
        );
    }
}

#[test]
fn never_lets_a_timestamp_go_back_when_the_clock_wraps() {
    for host in BOTH {
        let asked = |echo: &str| {
            format!("9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 {echo}")
        };
        let answer = |value: &str| {
            format!("00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a {value} 11223446")
        };
        // Just before, just after, and across half of the numbers.
        host.answers_at(0xffff_fffe, &asked("fffffe0b"), &answer("ffffff8b"));
        host.answers_at(0x0000_0001, &asked("ffffff8b"), &answer("0000008b"));
        host.answers_at(0x8000_0001, &asked("7fffff8b"), &answer("8000008b"));
        // The SYN-ACK's is the step in which the clock is, with nothing received.
        host.answers_at(
            0xffff_ffff,
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0402080a 11223344 00000000",
            "00179c40 ISN 10000001 90120018 SUM 0000 02040550 0402080a ffffff00 11223344",
        );
    }
}

#[test]
fn never_sends_a_timestamp_below_the_one_it_was_told() {
    for host in BOTH {
        // The peer echoes a value ahead of the clock: the answer stays with it, or goes one step
        // on.
        for (echo, value) in [
            ("5000010b", "5000010b"),
            ("5000020b", "5000020b"),
            ("50000100", "5000010b"),
            ("5000008b", "5000010b"),
        ] {
            host.answers(
                &format!("9c400017 10000005 ISN+1 801901f6 SUM 0000 0101080a 11223446 {echo} 78"),
                &format!("00179c40 ISN+1 10000006 80100000 SUM 0000 0101080a {value} 11223446"),
            );
        }
        host.answers(
            "9c400017 10000001 ISN+1 801801f6 SUM 0000 0101080a 11223446 50000007 78",
            "00179c40 ISN+1 10000002 80100000 SUM 0000 0101080a 50000103 11223446",
        );
    }
}

// What belongs to the contract of the calls.

#[test]
fn writes_only_into_a_buffer_of_just_the_right_length() {
    for host in BOTH {
        for segment in [LINUX_SYN, "9c400017 10000000 deadbeef 5012faf0 SUM 0000"] {
            let asked = host.asked(segment);
            let packet = Packet::parse(host.family, &asked, asked.len()).unwrap();
            let env = Env {
                key: &KEY,
                now_ms: 0,
                mss: MSS,
            };
            let reply = respond(&packet, &Policy::Tarpit, &env).unwrap();
            for len in 0..128 {
                let written = reply.emit(&mut vec![0xa5; len]);
                assert_eq!(written.is_some(), len == reply.packet_len(), "{len} bytes");
            }
        }
    }
}

#[test]
fn says_where_the_segment_starts() {
    let [v4, v6] = BOTH;
    let offset = |family, packet: &[u8]| {
        Packet::parse(family, packet, packet.len())
            .unwrap()
            .transport_offset()
    };
    assert_eq!(offset(v4.family, &v4.asked(LINUX_SYN)), 20);
    assert_eq!(offset(v6.family, &v6.asked(LINUX_SYN)), 40);
    assert_eq!(offset(v6.family, &extended(60, "0600 010400000000")), 48);
}

#[test]
fn draws_on_no_budget_where_the_peer_has_proved_itself() {
    for host in BOTH {
        for segment in [
            LINUX_SYN,
            "9c400017 10000001 ISN+1 5018faf0 SUM 0000 78",
            "9c400017 10000001 ISN+1 5011faf0 SUM 0000",
            "9c400017 10000005 ISN+1 801001f6 SUM 0000 0101080a 11223446 5000000b",
        ] {
            assert_eq!(host.limit(segment), Limit::None, "{segment}");
        }
    }
}

#[test]
fn draws_resets_on_a_budget_of_their_source() {
    for host in BOTH {
        let one = host.limit("9c400017 10000000 deadbeef 5012faf0 SUM 0000");
        let other = host.limit("9c410018 20000000 cafebabe 5012faf0 SUM 0000");
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
            host.limit("9c400017 10000000 deadbeef 5012faf0 SUM 0000")
        };
        assert_eq!(one, limit(host.source, elsewhere));
        assert_eq!(one, limit(neighbour, host.destination));
        assert_ne!(one, limit(stranger, host.destination));
    }
}

#[test]
fn knows_the_variants_of_a_rule() {
    for variant in 0..=255 {
        let policy = (variant == 0).then_some(Policy::Tarpit);
        assert_eq!(Policy::from_variant(variant), policy, "variant {variant}");
    }
}
