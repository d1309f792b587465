// SPDX-License-Identifier: GPL-2.0

//! All control and reserved bits at all ends of a stream, and all that a segment can echo, against
//! the oracle (tests/oracle).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use std::net::IpAddr;

use common::{
    client_packet, family, flow_of, hear, limit, rule, stream_of, HONEYPOT, KEY, MODES, MSS,
    POLICIES,
};
use oracle::{Echo, Expected, Known, Limit, Offer, Segment, ACK, FIN, RST, SYN};
use tarpit::isn::Flow;
use tarpit::seq::Seq;
use tarpit::{DropReason, Env, Policy, SegmentClass};

/// The clock of the previous reply in milliseconds, a multiple of the step of 256.
const THEN: u32 = 0x5000_0000;
/// The clock of the client.
const THEIRS: u32 = 0x1234_5678;

/// A segment, and what its numbers say.
#[derive(Clone, Copy, Debug)]
struct Case {
    policy: Policy,
    segment: Segment,
    /// `echo` is what it echoes if it has timestamps.
    known: Known,
    /// The age of the previous reply in milliseconds.
    age_ms: u32,
}

impl Case {
    fn has_timestamps(&self) -> bool {
        self.known.echo.is_some()
    }
}

/// One flow of each family, with timestamps or without, and a packet of it.
struct Peer {
    source: IpAddr,
    flow: Flow,
    /// A packet whose numbers, flags and echo are still to be filled in.
    packet: Vec<u8>,
    segment: Segment,
    tcp_at: usize,
}

fn peers() -> impl Iterator<Item = Peer> {
    let ends = [
        ["192.0.2.1", "198.51.100.2"],
        ["2001:db8:0:1::1", "2001:db8:0:2::2"],
    ];
    ends.into_iter()
        .flat_map(|ends| [false, true].map(|timestamps| Peer::new(ends, timestamps)))
}

impl Peer {
    fn new(ends: [&str; 2], timestamps: bool) -> Self {
        let [source, destination] = ends.map(|end| end.parse().unwrap());
        let options = if timestamps {
            [&[1, 1, 8, 10], &THEIRS.to_be_bytes()[..], &[0; 4]].concat()
        } else {
            vec![]
        };
        let packet = client_packet((source, 40_000), (destination, 23), (0, 0), 0, options, 0);
        let segment = Segment::read(&packet, packet.len()).unwrap();
        Self {
            source,
            flow: flow_of(&KEY, &segment),
            tcp_at: packet.len() - segment.tcp_len,
            segment,
            packet,
        }
    }

    fn has_timestamps(&self) -> bool {
        self.segment.options.timestamps.is_some()
    }

    /// Returns SEG.ACK in a connection of the client with this ISN.
    fn ack(&self, policy: Policy, isn: u32) -> u32 {
        let isn = if rule(&policy).mode == oracle::Mode::Drip && self.has_timestamps() {
            self.flow.isn_with_counter(Seq(isn))
        } else {
            self.flow.isn(Seq(isn))
        };
        isn.after(1).0
    }

    /// Returns what a segment with this SEG.ACK says.
    fn known(&self, policy: Policy, ack: u32) -> Known {
        let (first, sent) = stream_of(self.flow, &policy, self.has_timestamps(), ack);
        Known {
            first,
            sent,
            echo: None,
        }
    }

    /// Returns a segment with this SEG.ACK, these flags and this many bytes of payload, which starts
    /// at sequence number `seq`.
    fn segment(&self, seq: u32, ack: u32, flags: u8, payload: usize) -> Segment {
        Segment {
            seq,
            ack,
            flags,
            payload,
            tcp_len: self.segment.tcp_len + payload,
            packet_len: self.packet.len() + payload,
            ecn: 0,
            ..self.segment
        }
    }

    /// Asserts that the core replies as the oracle expects, with any of the `reserved` bits.
    fn check(&mut self, case: &Case, reserved: u8) {
        let Case {
            policy, segment, ..
        } = case;
        let at = self.tcp_at;
        let packet = &mut self.packet;
        packet[at + 4..at + 8].copy_from_slice(&segment.seq.to_be_bytes());
        packet[at + 8..at + 12].copy_from_slice(&segment.ack.to_be_bytes());
        packet[at + 12] = packet[at + 12] & 0xf0 | reserved;
        packet[at + 13] = segment.flags;
        let (class, shift) = if at == 20 { (1, 0) } else { (1, 4) };
        packet[class] = packet[class] & !(3 << shift) | segment.ecn << shift;
        let mut stamp = 0;
        if let Some(echo) = case.known.echo {
            stamp = echo.stamp(rule(policy).mode, THEN);
            let echo = stamp.wrapping_add(self.flow.ts_offset());
            packet[at + 28..at + 32].copy_from_slice(&echo.to_be_bytes());
        }
        let env = Env {
            key: &KEY,
            now_ms: THEN.wrapping_add(case.age_ms),
            wire: None,
        };
        // The payload is not read.
        let (family, len) = (family(self.source), segment.packet_len);
        let given = hear(&env, MSS, *policy, family, packet, len);
        let given_reply = given.as_ref().ok().and_then(|(reply, _, bytes)| {
            assert!(bytes.len() <= len + reply.payload_len(), "{case:?}");
            let is_reset = reply.flags.0 & RST != 0;
            assert_eq!(
                reply.options.has_timestamps(),
                case.has_timestamps() && !is_reset,
                "{case:?}"
            );
            self.check_timestamps(case, stamp, reply);
            Some(Expected {
                flags: reply.flags.0,
                seq: (reply.flags.0 & SYN == 0).then_some(reply.seq.0),
                ack: reply.ack.0,
                window: reply.window.field(MSS),
                payload: reply.payload,
                limit: limit(reply)?,
            })
        });
        let expected = Expected::reply(&rule(policy), MSS, segment, &case.known);
        assert_eq!(given_reply, expected, "{given:?} to {case:?}");
        // Whatever else: a reset gets no reply.
        let reason = given.as_ref().err();
        assert!(!segment.has(RST) || reason == Some(&DropReason::Reset));
        if let Ok((reply, ..)) = &given {
            check_class(reply.class, segment);
        }
    }

    /// Asserts that the clock goes on, and that the echo is of the past unless it is the segment's
    /// own. `stamp` is what the segment echoes.
    fn check_timestamps(&self, case: &Case, stamp: u32, reply: &tarpit::Reply) {
        let (Some(ours), Some(echo)) = (reply.options.timestamps(), case.known.echo) else {
            return;
        };
        let value = ours.value.wrapping_sub(self.flow.ts_offset());
        let backdated_ms = match limit(reply) {
            Some(Limit::Freeze) | None => 0,
            Some(_) => THEIRS.wrapping_sub(ours.echo),
        };
        let mut most = case.age_ms.saturating_add(255);
        if case.policy == HONEYPOT {
            let received = reply.ack.0.wrapping_sub(case.known.first);
            most = most.saturating_add(received.saturating_sub(echo.received));
        }
        let is_syn = case.segment.has(SYN);
        assert!(is_syn || value.wrapping_sub(stamp) <= most, "{case:?}");
        assert!(backdated_ms <= case.age_ms, "{case:?}");
    }
}

/// Asserts that the class of a segment with a reply fits its flags and its length.
fn check_class(class: SegmentClass, segment: &Segment) {
    let [syn, ack, fin] = [SYN, ACK, FIN].map(|flag| segment.has(flag));
    let fits = match class {
        SegmentClass::Syn => syn && !ack,
        SegmentClass::SynAck => syn && ack,
        SegmentClass::Fin => fin && !syn,
        SegmentClass::Data => segment.payload > 0 && !fin,
        SegmentClass::Midstream => segment.payload > 0,
        SegmentClass::Probe | SegmentClass::KeepAlive => segment.payload <= 1 && !fin,
        SegmentClass::Ack => segment.payload == 0 && !fin,
        SegmentClass::BadFlags => !ack || syn,
        _ => false,
    };
    assert!(fits, "{class:?} for {segment:?}");
}

/// Around the ends of what a peer can have sent, of what passes for it, and of the number circle.
const PLACES: [i64; 19] = [
    -(1 << 31),
    -2,
    -1,
    0,
    1,
    2,
    23,
    24,
    25,
    (1 << 17) - 1,
    1 << 17,
    (1 << 17) + 1,
    (1 << 24) - 1,
    1 << 24,
    (1 << 24) + 1,
    (1 << 30) - 1,
    1 << 30,
    (1 << 30) + 1,
    (1 << 31) - 1,
];

/// The longest payload is that of an IPv4 packet with no options at all.
const LENGTHS: [usize; 6] = [0, 1, 2, 24, 25, 65_535 - 40];

/// ISNs whose streams meet no edge, the sign, the end of the lower half, and zero.
const ISNS: [u32; 4] = [0x1000_0000, 0x7fff_fffe, 0x1234_fff8, 0xffff_fffe];

#[test]
fn replies_to_all_flags_at_all_positions_as_the_oracle_expects() {
    const AGE_MS: u32 = 5000;
    let mut cases = 0u64;
    for mut peer in peers() {
        for policy in MODES {
            let ack = peer.ack(policy, ISNS[0]);
            let known = peer.known(policy, ack);
            for (place, len) in PLACES
                .iter()
                .flat_map(|&place| LENGTHS.map(|len| (place, len)))
            {
                let echo = peer.has_timestamps().then_some(Echo {
                    // CAST: the positions of a honeypot's stream are positive.
                    received: if policy == HONEYPOT {
                        place.max(0) as u32
                    } else {
                        0
                    },
                    offer: Offer::Initial,
                    age_ms: AGE_MS,
                });
                for bits in 0..4096u16 {
                    let [reserved, flags] = bits.to_be_bytes();
                    // CAST: modulo 2^32.
                    let seq = known.first.wrapping_add(place as u32);
                    let mut case = Case {
                        policy,
                        segment: peer.segment(seq, ack, flags, len),
                        known: Known { echo, ..known },
                        age_ms: AGE_MS,
                    };
                    for ecn in [0, 3] {
                        case.segment.ecn = ecn;
                        peer.check(&case, reserved);
                        cases += 1;
                    }
                }
            }
        }
    }
    println!("{cases} cases");
}

#[test]
fn replies_to_all_echoes_at_all_ages_as_the_oracle_expects() {
    // Each limit of the page, and one millisecond less.
    const LIMITS: [u32; 13] = [
        1, 2_000, 6_500, 27_500, 36_000, 38_000, 45_000, 59_488, 85_000, 90_000, 122_000, 147_000,
        180_000,
    ];
    const DISTANCES: [i64; 10] = [-33, -32, -2, -1, 0, 1, 30, 31, 32, 1 << 25];
    let ages: Vec<u32> = LIMITS
        .iter()
        .flat_map(|&limit| [limit - 1, limit])
        .chain([(1 << 23) - 257, (1 << 23) - 256, (1 << 31) - 1])
        .collect();
    let mut cases = 0u64;
    for mut peer in peers().filter(Peer::has_timestamps) {
        for (policy, isn) in POLICIES
            .into_iter()
            .chain([HONEYPOT])
            .flat_map(|policy| ISNS.map(|isn| (policy, isn)))
        {
            let right = peer.ack(policy, isn);
            // What was acknowledged, too little, too much, and what was never sent.
            for ack in [
                right,
                right.wrapping_sub(1),
                right.wrapping_add(1),
                right ^ 1 << 31,
            ] {
                let known = peer.known(policy, ack);
                for (received, offer) in [0, 2, 31, 33, 70_000]
                    .into_iter()
                    .flat_map(|received| Offer::ALL.map(|offer| (received, offer)))
                {
                    for (&age_ms, distance) in ages
                        .iter()
                        .flat_map(|age| DISTANCES.map(|distance| (age, distance)))
                    {
                        let echo = Echo {
                            received,
                            offer,
                            age_ms,
                        };
                        let position = i64::from(received) + distance;
                        // CAST: modulo 2^32.
                        let seq = known.first.wrapping_add(position as u32);
                        for (len, flags) in LENGTHS
                            .into_iter()
                            .flat_map(|len| [ACK, ACK | FIN].map(|flags| (len, flags)))
                        {
                            let case = Case {
                                policy,
                                segment: peer.segment(seq, ack, flags, len),
                                known: Known {
                                    echo: Some(echo),
                                    ..known
                                },
                                age_ms,
                            };
                            peer.check(&case, 0);
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{cases} cases");
}
