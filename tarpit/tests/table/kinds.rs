// SPDX-License-Identifier: GPL-2.0

//! What each segment is, answered or not.

use super::common::{Host, BOTH, DRIP, HONEYPOT, LINUX, PLAIN, POLICIES, RESET};
use super::{aged, octets, LINUX_SYN};
use tarpit::{Kind, Policy, Silence};

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
fn is(host: &Host, age: u32, (seq, ack, bits, echo, count): Segment, kind: Kind) {
    let asked = format!(
        "9c400017 {seq} {ack} 80{bits}01f6 SUM 0000 0101080a 11223446 @500000{echo} {}",
        octets(count)
    );
    assert_eq!(
        host.kind_at(aged(age), &asked),
        kind,
        "{:?}: {asked}",
        host.policy
    );
}

/// The same without timestamps.
#[track_caller]
fn is_untimed(host: &Host, (seq, bits, count): (&str, &str, usize), kind: Kind) {
    let asked = format!(
        "9c400017 {seq} ISN+1 50{bits}01f6 SUM 0000 {}",
        octets(count)
    );
    assert_eq!(
        host.kind_at(aged(69), &asked),
        kind,
        "{:?}: {asked}",
        host.policy
    );
}

#[test]
fn segments_of_a_held_connection_are_told_by_the_last_answer() {
    for host in hosts([PLAIN, LINUX]) {
        for (age, seq, bits, echo, count, kind) in [
            (69, "10000001", "10", "00", 0, Kind::Established),
            (90_000, "10000001", "10", "00", 0, Kind::Established),
            (69, "10000006", "10", "00", 0, Kind::Ack),
            (69, "10000006", "10", "29", 0, Kind::Ack),
            // Nothing was taken yet, however often that was asked.
            (69, "10000000", "10", "00", 0, Kind::KeepAlive),
            (69, "10000000", "10", "02", 0, Kind::KeepAlive),
            (69, "10000000", "10", "02", 1, Kind::KeepAlive),
            // The last octet that was taken.
            (69, "10000005", "10", "29", 1, Kind::KeepAlive),
            (69, "10000005", "10", "29", 0, Kind::Probe),
            (50_000, "10000005", "10", "2a", 0, Kind::Probe),
            // An octet more, which for a while may be a probe.
            (69, "10000006", "10", "29", 1, Kind::Probe),
            (69, "10000006", "10", "2a", 1, Kind::Probe),
            (90_000, "10000006", "10", "29", 1, Kind::Data),
            (69, "10000005", "10", "29", 2, Kind::Data),
            // One that was offered.
            (69, "10000006", "10", "2c", 1, Kind::Data),
            (200_000, "10000006", "10", "2c", 1, Kind::Data),
            (69, "10000001", "18", "00", 1, Kind::Data),
            (69, "10000001", "18", "00", 24, Kind::Data),
            // In flight, taken or not; old; behind a gap.
            (69, "10000006", "18", "29", 5, Kind::Data),
            (50_000, "10000006", "18", "29", 5, Kind::Data),
            (69, "10000001", "18", "29", 5, Kind::Data),
            (69, "10000010", "18", "29", 5, Kind::Data),
            // With FIN, whatever else it is.
            (69, "10000001", "11", "00", 0, Kind::Fin),
            (69, "10000000", "11", "00", 0, Kind::Fin),
            (69, "10000006", "11", "29", 0, Kind::Fin),
            (69, "10000010", "11", "00", 0, Kind::Fin),
            (69, "10000001", "19", "00", 24, Kind::Fin),
            (69, "10000006", "19", "29", 5, Kind::Fin),
            (69, "10000010", "19", "29", 5, Kind::Fin),
            (69, "10000005", "19", "29", 1, Kind::Fin),
        ] {
            is(&host, age, (seq, "ISN+1", bits, echo, count), kind);
        }
    }
}

#[test]
fn segments_without_timestamps_are_told_by_their_place() {
    for host in hosts(POLICIES) {
        for (seq, bits, count, kind) in [
            ("10000001", "10", 0, Kind::Established),
            ("10000002", "10", 0, Kind::Ack),
            ("10000000", "10", 0, Kind::KeepAlive),
            ("10000000", "10", 1, Kind::KeepAlive),
            ("10000000", "10", 2, Kind::Data),
            ("10000001", "18", 1, Kind::Data),
            ("10000002", "18", 1, Kind::Probe),
            ("10000002", "18", 2, Kind::Data),
            ("10000000", "11", 0, Kind::Fin),
            ("10000001", "11", 0, Kind::Fin),
            ("10000002", "11", 0, Kind::Fin),
            ("10000002", "19", 1, Kind::Fin),
        ] {
            is_untimed(&host, (seq, bits, count), kind);
        }
    }
}

#[test]
fn segments_of_a_client_that_is_talked_to_are_told_by_the_first_answer() {
    for host in hosts([DRIP]) {
        for (seq, ack, echo, count, kind) in [
            ("10000001", "TALK+1", "08", 0, Kind::Established),
            ("10000000", "TALK+1", "08", 0, Kind::KeepAlive),
            ("10000006", "TALK+1", "08", 0, Kind::Ack),
            ("10000001", "TALK+2", "0e", 0, Kind::Ack),
            ("10000000", "TALK+2", "0e", 0, Kind::Probe),
            ("10000001", "TALK+1", "08", 5, Kind::Data),
            ("10000001", "TALK+2", "0e", 1, Kind::Data),
        ] {
            is(&host, 69, (seq, ack, "10", echo, count), kind);
        }
    }
}

#[test]
fn segments_of_a_honeypots_client_are_told_by_what_the_last_answer_acknowledged() {
    for host in hosts([HONEYPOT]) {
        for (seq, bits, echo, count, kind) in [
            ("10000001", "10", "00", 0, Kind::Established),
            ("10000002", "10", "00", 0, Kind::Ack),
            ("10000000", "10", "00", 0, Kind::KeepAlive),
            ("10000002", "10", "02", 0, Kind::KeepAlive),
            ("10000003", "10", "02", 0, Kind::Ack),
            ("10000004", "10", "02", 0, Kind::Ack),
            ("10000000", "10", "00", 1, Kind::KeepAlive),
            ("10000001", "10", "00", 1, Kind::Data),
            ("10000800", "10", "00", 99, Kind::Data),
            ("10000001", "11", "00", 0, Kind::Fin),
            ("10000000", "19", "00", 1, Kind::Fin),
            ("90000000", "18", "00", 9, Kind::NotOurs),
        ] {
            for age in [69, 2_000, 3_600_000] {
                is(&host, age, (seq, "ISN+1", bits, echo, count), kind);
            }
        }
        is_untimed(&host, ("10000000", "10", 0), Kind::KeepAlive);
        is_untimed(&host, ("10000001", "10", 0), Kind::Established);
    }
}

#[test]
fn strangers_are_told_by_their_bits_and_their_payload() {
    // To a honeypot, one in 228 numbers is a segment of its; these are none.
    for host in hosts([PLAIN, LINUX, DRIP, HONEYPOT, RESET]) {
        let (reset, honeypot) = (host.policy == RESET, host.policy == HONEYPOT);
        let among = |ours, theirs| if reset { ours } else { theirs };
        let midstream = if honeypot {
            Kind::NotOurs
        } else {
            Kind::Midstream
        };
        assert_eq!(host.kind_at(aged(69), LINUX_SYN), Kind::Syn);
        for (bits, count, kind) in [
            ("02", 5, Kind::Syn),
            ("c2", 0, Kind::Syn),
            ("12", 0, Kind::SynAck),
            ("04", 0, Kind::Rst),
            ("15", 9, Kind::Rst),
            ("ff", 0, Kind::Rst),
            ("00", 0, Kind::BadFlags),
            // FIN without ACK.
            ("29", 9, Kind::BadFlags),
            ("03", 0, Kind::BadFlags),
            ("13", 0, Kind::BadFlags),
            ("10", 0, among(Kind::Ack, Kind::NotOurs)),
            ("11", 0, among(Kind::Fin, Kind::NotOurs)),
            ("18", 1, among(Kind::Data, midstream)),
            ("18", 9, among(Kind::Data, midstream)),
            ("19", 9, among(Kind::Fin, midstream)),
        ] {
            is(&host, 69, ("e0000000", "00000000", bits, "00", count), kind);
        }
    }
}

#[test]
fn what_is_no_segment_has_the_name_of_the_reason() {
    for (why, kind) in [
        (Silence::Truncated, Kind::Truncated),
        (Silence::Malformed, Kind::Malformed),
        (Silence::Fragment, Kind::Fragment),
        (Silence::NotTcp, Kind::NotTcp),
        (Silence::NotUnicast, Kind::NotUnicast),
        (Silence::TooShort(Kind::Probe), Kind::Probe),
    ] {
        assert_eq!(why.kind(), kind);
    }
}

#[test]
fn a_kind_is_the_number_of_its_column() {
    // As XT_TARPIT_KINDS in xt_TARPIT_helpers.h has them.
    for (column, kind) in [
        Kind::Syn,
        Kind::Established,
        Kind::Data,
        Kind::Probe,
        Kind::KeepAlive,
        Kind::Ack,
        Kind::Fin,
        Kind::Rst,
        Kind::SynAck,
        Kind::Midstream,
        Kind::Truncated,
        Kind::Malformed,
        Kind::Fragment,
        Kind::NotTcp,
        Kind::NotUnicast,
        Kind::BadFlags,
        Kind::NotOurs,
        Kind::Checksum,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(kind as usize, column);
    }
}
