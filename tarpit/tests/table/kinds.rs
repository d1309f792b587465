// SPDX-License-Identifier: GPL-2.0

//! What each segment is, answered or not.

use super::common::{Host, BOTH, DRIP, HONEYPOT, LINUX, PLAIN, POLICIES, RESET};
use super::{aged, octets, LINUX_SYN};
use tarpit::{DropReason, Policy, SegmentClass};

/// A segment by SEG.SEQ, SEG.ACK, its bits, the low half of its echo, and how many octets it has.
type Segment = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    usize,
);

fn hosts<const N: usize>(policies: [Policy; N]) -> impl Iterator<Item = Host> {
    policies
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
}

/// Asserts what a segment is, at this age of the answer that it echoes.
#[track_caller]
fn is(host: &Host, age: u32, (seq, ack, bits, echo, count): Segment, class: SegmentClass) {
    let asked = format!(
        "9c400017 {seq} {ack} 80{bits}01f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
        octets(count)
    );
    assert_eq!(
        host.kind_at(aged(age), &asked),
        class,
        "{:?}: {asked}",
        host.policy
    );
}

/// The same without timestamps.
#[track_caller]
fn is_untimed(host: &Host, (seq, bits, count): (&str, &str, usize), class: SegmentClass) {
    let asked = format!(
        "9c400017 {seq} ISN+1 50{bits}01f6 SUM 0000 {}",
        octets(count)
    );
    assert_eq!(
        host.kind_at(aged(69), &asked),
        class,
        "{:?}: {asked}",
        host.policy
    );
}

#[test]
fn segments_of_a_held_connection_are_told_by_the_last_answer() {
    for host in hosts([PLAIN, LINUX]) {
        for (age, seq, bits, echo, count, class) in [
            (69, "10000001", "10", "00", 0, SegmentClass::Established),
            (90_000, "10000001", "10", "00", 0, SegmentClass::Established),
            (69, "10000006", "10", "00", 0, SegmentClass::Ack),
            (69, "10000006", "10", "29", 0, SegmentClass::Ack),
            // Nothing was taken yet, however often that was asked.
            (69, "10000000", "10", "00", 0, SegmentClass::KeepAlive),
            (69, "10000000", "10", "02", 0, SegmentClass::KeepAlive),
            (69, "10000000", "10", "02", 1, SegmentClass::KeepAlive),
            // The last octet that was taken.
            (69, "10000005", "10", "29", 1, SegmentClass::KeepAlive),
            (69, "10000005", "10", "29", 0, SegmentClass::Probe),
            (50_000, "10000005", "10", "2a", 0, SegmentClass::Probe),
            // An octet more, which for a while may be a probe.
            (69, "10000006", "10", "29", 1, SegmentClass::Probe),
            (69, "10000006", "10", "2a", 1, SegmentClass::Probe),
            (90_000, "10000006", "10", "29", 1, SegmentClass::Data),
            (69, "10000005", "10", "29", 2, SegmentClass::Data),
            // One that was offered.
            (69, "10000006", "10", "2c", 1, SegmentClass::Data),
            (200_000, "10000006", "10", "2c", 1, SegmentClass::Data),
            (69, "10000001", "18", "00", 1, SegmentClass::Data),
            (69, "10000001", "18", "00", 24, SegmentClass::Data),
            // In flight, taken or not; old; behind a gap.
            (69, "10000006", "18", "29", 5, SegmentClass::Data),
            (50_000, "10000006", "18", "29", 5, SegmentClass::Data),
            (69, "10000001", "18", "29", 5, SegmentClass::Data),
            (69, "10000010", "18", "29", 5, SegmentClass::Data),
            // With FIN, whatever else it is.
            (69, "10000001", "11", "00", 0, SegmentClass::Fin),
            (69, "10000000", "11", "00", 0, SegmentClass::Fin),
            (69, "10000006", "11", "29", 0, SegmentClass::Fin),
            (69, "10000010", "11", "00", 0, SegmentClass::Fin),
            (69, "10000001", "19", "00", 24, SegmentClass::Fin),
            (69, "10000006", "19", "29", 5, SegmentClass::Fin),
            (69, "10000010", "19", "29", 5, SegmentClass::Fin),
            (69, "10000005", "19", "29", 1, SegmentClass::Fin),
        ] {
            is(&host, age, (seq, "ISN+1", bits, echo, count), class);
        }
    }
}

#[test]
fn segments_without_timestamps_are_told_by_their_place() {
    for host in hosts(POLICIES) {
        for (seq, bits, count, class) in [
            ("10000001", "10", 0, SegmentClass::Established),
            ("10000002", "10", 0, SegmentClass::Ack),
            ("10000000", "10", 0, SegmentClass::KeepAlive),
            ("10000000", "10", 1, SegmentClass::KeepAlive),
            ("10000000", "10", 2, SegmentClass::Data),
            ("10000001", "18", 1, SegmentClass::Data),
            ("10000002", "18", 1, SegmentClass::Probe),
            ("10000002", "18", 2, SegmentClass::Data),
            ("10000000", "11", 0, SegmentClass::Fin),
            ("10000001", "11", 0, SegmentClass::Fin),
            ("10000002", "11", 0, SegmentClass::Fin),
            ("10000002", "19", 1, SegmentClass::Fin),
        ] {
            is_untimed(&host, (seq, bits, count), class);
        }
    }
}

#[test]
fn segments_of_a_client_that_is_talked_to_are_told_by_the_first_answer() {
    for host in hosts([DRIP]) {
        for (seq, ack, echo, count, class) in [
            ("10000001", "TALK+1", "08", 0, SegmentClass::Established),
            ("10000000", "TALK+1", "08", 0, SegmentClass::KeepAlive),
            ("10000006", "TALK+1", "08", 0, SegmentClass::Ack),
            ("10000001", "TALK+2", "0e", 0, SegmentClass::Ack),
            ("10000000", "TALK+2", "0e", 0, SegmentClass::Probe),
            ("10000001", "TALK+1", "08", 5, SegmentClass::Data),
            ("10000001", "TALK+2", "0e", 1, SegmentClass::Data),
        ] {
            is(&host, 69, (seq, ack, "10", echo, count), class);
        }
    }
}

#[test]
fn segments_of_a_honeypots_client_are_told_by_what_the_last_answer_acknowledged() {
    for host in hosts([HONEYPOT]) {
        for (seq, bits, echo, count, class) in [
            ("10000001", "10", "00", 0, SegmentClass::Established),
            ("10000002", "10", "00", 0, SegmentClass::Ack),
            ("10000000", "10", "00", 0, SegmentClass::KeepAlive),
            ("10000002", "10", "02", 0, SegmentClass::KeepAlive),
            ("10000003", "10", "02", 0, SegmentClass::Ack),
            ("10000004", "10", "02", 0, SegmentClass::Ack),
            ("10000000", "10", "00", 1, SegmentClass::KeepAlive),
            ("10000001", "10", "00", 1, SegmentClass::Data),
            ("10000800", "10", "00", 99, SegmentClass::Data),
            ("10000001", "11", "00", 0, SegmentClass::Fin),
            ("10000000", "19", "00", 1, SegmentClass::Fin),
            ("90000000", "18", "00", 9, SegmentClass::NotOurs),
        ] {
            for age in [69, 2_000, 3_600_000] {
                is(&host, age, (seq, "ISN+1", bits, echo, count), class);
            }
        }
        is_untimed(&host, ("10000000", "10", 0), SegmentClass::KeepAlive);
        is_untimed(&host, ("10000001", "10", 0), SegmentClass::Established);
    }
}

#[test]
fn strangers_are_told_by_their_bits_and_their_payload() {
    // To a honeypot, one in 228 numbers is a segment of its; these are none.
    for host in hosts([PLAIN, LINUX, DRIP, HONEYPOT, RESET]) {
        let (reset, honeypot) = (host.policy == RESET, host.policy == HONEYPOT);
        let among = |ours, theirs| if reset { ours } else { theirs };
        let midstream = if honeypot {
            SegmentClass::NotOurs
        } else {
            SegmentClass::Midstream
        };
        assert_eq!(host.kind_at(aged(69), LINUX_SYN), SegmentClass::Syn);
        for (bits, count, class) in [
            ("02", 5, SegmentClass::Syn),
            ("c2", 0, SegmentClass::Syn),
            ("12", 0, SegmentClass::SynAck),
            ("04", 0, SegmentClass::Rst),
            ("15", 9, SegmentClass::Rst),
            ("ff", 0, SegmentClass::Rst),
            ("00", 0, SegmentClass::BadFlags),
            // FIN without ACK.
            ("29", 9, SegmentClass::BadFlags),
            ("03", 0, SegmentClass::BadFlags),
            ("13", 0, SegmentClass::BadFlags),
            ("10", 0, among(SegmentClass::Ack, SegmentClass::NotOurs)),
            ("11", 0, among(SegmentClass::Fin, SegmentClass::NotOurs)),
            ("18", 1, among(SegmentClass::Data, midstream)),
            ("18", 9, among(SegmentClass::Data, midstream)),
            ("19", 9, among(SegmentClass::Fin, midstream)),
        ] {
            is(
                &host,
                69,
                ("e0000000", "00000000", bits, "00", count),
                class,
            );
        }
    }
}

#[test]
fn what_is_no_segment_has_the_name_of_the_reason() {
    for (why, class) in [
        (DropReason::Truncated, SegmentClass::Truncated),
        (DropReason::Malformed, SegmentClass::Malformed),
        (DropReason::Fragment, SegmentClass::Fragment),
        (DropReason::NotTcp, SegmentClass::NotTcp),
        (DropReason::NotUnicast, SegmentClass::NotUnicast),
        (
            DropReason::WouldAmplify(SegmentClass::Probe),
            SegmentClass::Probe,
        ),
    ] {
        assert_eq!(why.class(), class);
    }
}

#[test]
fn a_class_has_the_number_and_the_name_of_its_counter() {
    let header = include_str!("../../../xt_TARPIT_helpers.h");
    let counters = header.split_whitespace().filter_map(|word| {
        ["class(", "last("]
            .into_iter()
            .find_map(|list| word.strip_prefix(list))?
            .strip_suffix(')')
    });
    let classes = [
        SegmentClass::Syn,
        SegmentClass::Established,
        SegmentClass::Data,
        SegmentClass::Probe,
        SegmentClass::KeepAlive,
        SegmentClass::Ack,
        SegmentClass::Fin,
        SegmentClass::Rst,
        SegmentClass::SynAck,
        SegmentClass::Midstream,
        SegmentClass::Truncated,
        SegmentClass::Malformed,
        SegmentClass::Fragment,
        SegmentClass::NotTcp,
        SegmentClass::NotUnicast,
        SegmentClass::BadFlags,
        SegmentClass::NotOurs,
    ]
    .map(|class| (class as usize, format!("{class:?}").to_lowercase()));
    let counters: Vec<_> = counters.map(String::from).enumerate().collect();
    // The kernel verifies checksums, and counts them behind the classes of the core.
    assert_eq!(counters.last().map(|(_, name)| &**name), Some("checksum"));
    assert_eq!(classes.as_slice(), &counters[..classes.len()]);
    assert_eq!(counters.len(), classes.len() + 1);
}
