// SPDX-License-Identifier: GPL-2.0

//! Segments of a held connection without timestamps. No rule makes a difference: with nothing that
//! tells when the last answer was, there is nothing to drip at.

use super::common::{Host, BOTH, POLICIES};
use super::octets;
use tarpit::{DropReason, RateLimit};

fn hosts() -> impl Iterator<Item = Host> {
    POLICIES
        .into_iter()
        .flat_map(|policy| BOTH.map(|host| host.under(policy)))
}

/// How far into the stream: its start, five octets in, where the timed first window would end, and as
/// far as it reaches.
const PLACES: [u32; 6] = [0, 1, 5, 24, 65_280, 1 << 17];

#[test]
fn answers_a_keep_alive_before_any_data() {
    for host in hosts() {
        // Empty, or with the octet of RFC 1122, 4.2.3.6, which is not the first of the data.
        for payload in ["", "00"] {
            host.answers(
                &format!("9c400017 10000000 ISN+1 5010faf0 SUM 0000 {payload}"),
                "00179c40 ISN+1 10000001 50100000 SUM 0000",
            );
        }
    }
}

#[test]
fn takes_every_other_empty_segment_for_an_acknowledgment() {
    for host in hosts() {
        for place in PLACES {
            let seq = 0x1000_0001 + place;
            host.ignores(
                &format!("9c400017 {seq:08x} ISN+1 5010faf0 SUM 0000"),
                match place {
                    0 => DropReason::HandshakeAck,
                    _ => DropReason::BareAck,
                },
            );
        }
    }
}

#[test]
fn holds_a_stream_that_crosses_zero() {
    for host in hosts() {
        for (seq, count, ack) in [
            ("fffffffa", 0, "fffffffb"),
            ("fffffffa", 1, "fffffffb"),
            ("fffffffb", 5, "fffffffc"),
            ("ffffffff", 5, "00000000"),
            ("00000000", 5, "00000001"),
            ("00000000", 1, "00000000"),
        ] {
            host.answers(
                &format!("9c400017 {seq} WRAP+1 5018faf0 SUM 0000 {}", octets(count)),
                &format!("00179c40 WRAP+1 {ack} 50100000 SUM 0000"),
            );
        }
        host.ignores(
            "9c400017 fffffff9 WRAP+1 5018faf0 SUM 0000 78",
            DropReason::NotOurs,
        );
    }
}

#[test]
fn draws_on_no_budget_after_the_syn() {
    for host in hosts() {
        let syn = "9c400017 10000000 00000000 5002faf0 SUM 0000";
        assert_eq!(host.limit(syn), RateLimit::Shared);
        for segment in [
            "9c400017 10000000 ISN+1 5010faf0 SUM 0000",
            "9c400017 10000001 ISN+1 5018faf0 SUM 0000 7878",
        ] {
            assert_eq!(host.limit(segment), RateLimit::None, "{segment}");
        }
    }
}
