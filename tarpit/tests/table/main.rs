// SPDX-License-Identifier: GPL-2.0

//! The table of what is answered, row by row, byte for byte, for IPv4 and IPv6.
//!
//! The first test spells whole packets out. The others write segments as [`Host::segment`] reads
//! them and leave the IP header to [`common::packet`]: the peer's has a traffic class, a flow
//! label, an identification and a hop limit of its own, so each row also shows that none of it
//! comes back. Client ISNs are 10000000 and, where the stream crosses zero, fffffffa. The clock
//! says 50000045 unless a row says otherwise, so a fresh stamp is 50000000 plus eight times the octets
//! received, modulo 32, plus the code of what was offered: 0 for the first window, 1 for none, 2 for none
//! to a probe, 3, 4 and 5 for one byte (at the RTO, early, late), 6 for one with a byte of ours, 7 for
//! a last chance.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod documented;
mod drip;
mod freeze;
mod handshake;
mod held;
mod honeypot;
mod kinds;
mod linux;
mod nat;
mod options;
mod packets;
mod reset;
mod strangers;
mod trapped;
mod untimed;

use common::{dump, hex, Host, BOTH, CLOCK};
use tarpit::{DropReason, Policy};

/// `count` octets of payload, as text.
fn octets(count: usize) -> String {
    "78".repeat(count)
}

/// The SYN of a Linux client, 60 bytes over IPv4.
const LINUX_SYN: &str = "9c400017 10000000 00000000 a002faf0 SUM 0000
                         020405b4 0402080a 11223344 00000000 01030307";

/// The SYN-ACK for it.
const LINUX_SYN_ACK: &str = "00179c40 ISN 10000001 a0120018 SUM 0000
                             02040550 0402080a @50000000 11223344 01030300";

/// What the clock says `age` milliseconds after the answer that the peer echoes was given: the echoes
/// of these rows begin their step.
const fn aged(age: u32) -> u32 {
    (CLOCK & !0xff).wrapping_add(age)
}

/// The stamp of an answer at that time, as text: `low` are its low eight bits.
fn stamp(age: u32, low: u32) -> String {
    format!("@{:08x}", aged(age) & !0xff | low)
}

/// Asserts what is answered to a segment and at what ages: the answer ends with this window, this
/// acknowledgment, the stamp with these low bits, and the echo of 11223446.
#[track_caller]
fn answers_aged(host: &Host, age: u32, asked: &str, (ack, window, low): (u32, u16, u32)) {
    let stamp = stamp(age, low);
    host.answers_at(
        aged(age),
        asked,
        &format!("00179c40 ISN+1 {ack:08x} 8010{window:04x} SUM 0000 0101080a {stamp} 11223446"),
    );
}

/// Asserts that a segment is left without an answer at this age.
#[track_caller]
fn waits(host: &Host, age: u32, asked: &str) {
    host.ignores_at(aged(age), asked, DropReason::Deferred);
}

#[test]
fn writes_whole_packets_as_they_cross_the_wire() {
    let [v4, v6] = BOTH.map(|host| {
        host.under(Policy {
            hop_limit: 64,
            ..host.policy
        })
    });
    for (host, asked, answer) in [
        // A SYN of Linux, and the SYN-ACK.
        (
            v4,
            "45bb003c beef0000 3306dbda c0000201 c6336402
             9c400017 10000000 00000000 a002faf0 701a0000
             020405b4 0402080a 11223344 00000000 01030307",
            "4500003c 00004000 40064e85 c6336402 c0000201
             00179c40 3a8c5d75 10000001 a0120018 ddc40000
             02040550 0402080a 1d0ed878 11223344 01030300",
        ),
        (
            v6,
            "6bbabcde 00280633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000000 00000000 a002faf0 00da0000
             020405b4 0402080a 11223344 00000000 01030307",
            "60023df3 00280640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 1988f978 10000001 a0120018 75500000
             02040550 0402080a 84c7eef3 11223344 01030300",
        ),
        // Five octets, and the ACK of one of them that closes the window.
        (
            v4,
            "45bb0039 beef0000 3306dbdd c0000201 c6336402
             9c400017 10000001 3a8c5d76 801801f6 c6670000
             0101080a 11223345 1d0ed878 68656c6c 6f",
            "45000034 79a94000 4006d4e3 c6336402 c0000201
             00179c40 3a8c5d76 10000002 80100000 0c330000
             0101080a 1d0ed881 11223345",
        ),
        (
            v6,
            "6bbabcde 00250633 20010db8 00000001 00000000 00000001
             20010db8 00000002 00000000 00000002
             9c400017 10000001 1988f979 801801f6 5df30000
             0101080a 11223345 84c7eef3 68656c6c 6f",
            "60023df3 00200640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 1988f979 10000002 80100000 a3be0000
             0101080a 84c7eefc 11223345",
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
            "60023df3 00140640 20010db8 00000002 00000000 00000002
             20010db8 00000001 00000000 00000001
             00179c40 deadbeef 00000000 50040000 1a740000",
        ),
    ] {
        let given = host.ask(&hex(asked)).unwrap();
        assert_eq!(dump(&given.packet), dump(&hex(answer)));
    }
}
