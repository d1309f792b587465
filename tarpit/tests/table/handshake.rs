// SPDX-License-Identifier: GPL-2.0

//! SYN, SYN-ACK and the end of the handshake.

use super::common::{BOTH, CLOCK};
use super::{octets, LINUX_SYN, LINUX_SYN_ACK};
use tarpit::DropReason;

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
            "00179c40 ISN 10000001 8012ff00 SUM 0000 02040550 01010402 01030300",
        );
        // Timestamps without SACK.
        host.answers(
            "9c400017 10000000 00000000 9002faf0 SUM 0000 020405b4 0101080a ffffffff 00000000",
            "00179c40 ISN 10000001 90120018 SUM 0000 02040550 0101080a @50000000 ffffffff",
        );
        // SACK and window scale, each alone.
        host.answers(
            "9c400017 10000000 00000000 7002faf0 SUM 0000 020405b4 04020101",
            "00179c40 ISN 10000001 7012ff00 SUM 0000 02040550 01010402",
        );
        host.answers(
            "9c400017 10000000 00000000 7002faf0 SUM 0000 020405b4 01030300",
            "00179c40 ISN 10000001 7012ff00 SUM 0000 02040550 01030300",
        );
    }
}

#[test]
fn answers_a_syn_that_offers_only_an_mss_with_an_mss() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 020405b4",
            "00179c40 ISN 10000001 6012ff00 SUM 0000 02040550",
        );
        // Whatever it says: ours is our link's.
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 02040000",
            "00179c40 ISN 10000001 6012ff00 SUM 0000 02040550",
        );
    }
}

#[test]
fn answers_a_syn_without_options_without_options() {
    for host in BOTH {
        host.answers(
            "9c400017 10000000 00000000 5002faf0 SUM 0000",
            "00179c40 ISN 10000001 5012ff00 SUM 0000",
        );
        // Padding is no option, nor is one that nobody here knows (MD5, an experiment).
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 01010100",
            "00179c40 ISN 10000001 5012ff00 SUM 0000",
        );
        host.answers(
            "9c400017 10000000 00000000 a002faf0 SUM 0000
             13120011 22334455 66778899 aabbccdd eeff0101",
            "00179c40 ISN 10000001 5012ff00 SUM 0000",
        );
    }
}

#[test]
fn leaves_out_the_mss_when_it_was_not_offered_and_does_not_fit() {
    for host in BOTH {
        for (offset, window, offered, answered) in [
            // nmap's fourth probe: SACK-permitted, timestamps, window scale.
            (
                '9',
                "0018",
                "0402080a 11223344 00000000 03030a00",
                "0402080a @50000000 11223344 01030300",
            ),
            (
                '8',
                "0018",
                "0101080a 11223344 00000000",
                "0101080a @50000000 11223344",
            ),
            ('7', "ff00", "03030704 02000000", "01010402 01030300"),
            ('6', "ff00", "03030700", "01030300"),
            ('6', "ff00", "04020000", "01010402"),
        ] {
            host.answers(
                &format!("9c400017 10000000 00000000 {offset}002faf0 SUM 0000 {offered}"),
                &format!("00179c40 ISN 10000001 {offset}012{window} SUM 0000 {answered}"),
            );
        }
        // With room, it comes: sixteen bytes for SACK-permitted alone, and data.
        host.answers(
            "9c400017 10000000 00000000 6002faf0 SUM 0000 04020000 78787878",
            "00179c40 ISN 10000001 7012ff00 SUM 0000 02040550 01010402",
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
            "00179c40 ISN 10000001 5012ff00 SUM 0000",
        );
        host.answers(
            &format!(
                "9c400017 10000000 00000000 6002faf0 SUM 0000 03030700 {}",
                octets(4)
            ),
            "00179c40 ISN 10000001 7012ff00 SUM 0000 02040550 01030300",
        );
    }
}

#[test]
fn answers_a_syn_with_bits_that_do_not_matter_as_one_without() {
    for host in BOTH {
        for bits in [
            "a0c2", // ECE and CWR: a request for ECN, which is for the profile linux
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
             02040550 0402080a @50000400 1122372c 01030300",
        );
    }
}

#[test]
fn reads_options_up_to_the_first_broken_one() {
    for host in BOTH {
        for (options, answer) in [
            ("020405b4 04000402", "6012 ff00 SUM 0000 02040550"), // a length of zero
            ("020405b4 04010402", "6012 ff00 SUM 0000 02040550"), // of one
            ("020405b4 fd050402", "6012 ff00 SUM 0000 02040550"), // beyond the header
            ("020405b4 01010104", "6012 ff00 SUM 0000 02040550"), // cut off after the kind
            ("020405b4 080a1122", "6012 ff00 SUM 0000 02040550"), // cut off in the middle
            ("020405b4 00020402", "6012 ff00 SUM 0000 02040550"), // after the end of the list
            // One that nobody knows, or that has another length than it should, is skipped.
            ("fd020402 020405b4", "7012 ff00 SUM 0000 02040550 01010402"),
            ("fd040402 04020101", "7012 ff00 SUM 0000 02040550 01010402"),
            ("02030504 02000000", "7012 ff00 SUM 0000 02040550 01010402"),
        ] {
            host.answers(
                &format!("9c400017 10000000 00000000 7002faf0 SUM 0000 {options}"),
                &format!("00179c40 ISN 10000001 {answer}"),
            );
        }
    }
}

#[test]
fn is_silent_when_the_handshake_ends() {
    for host in BOTH {
        host.ignores(
            "9c400017 10000001 ISN+1 801001f6 SUM 0000 0101080a 11223345 @50000000",
            DropReason::HandshakeAck,
        );
        host.ignores(
            "9c400017 10000001 ISN+1 5010faf0 SUM 0000",
            DropReason::HandshakeAck,
        );
        // With every bit that does not matter.
        host.ignores(
            "9c400017 10000001 ISN+1 8ff80000 SUM beef 0101080a 11223345 @50000000",
            DropReason::HandshakeAck,
        );
    }
}
