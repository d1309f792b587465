// SPDX-License-Identifier: GPL-2.0

//! All control and reserved bits in all places of a stream, and all that a segment can say of what its sender was
//! told, against a model: docs/wire-behaviour.md once more, written from the page and not from the code.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use std::net::IpAddr;

use common::{
    client_packet, family, hear, DRIP, HONEYPOT, KEY, LINUX, MODES, MSS, PLAIN, POLICIES, RESET,
};
use tarpit::isn::Flow;
use tarpit::seq::Seq;
use tarpit::tcp::Flags;
use tarpit::ts_cookie::{TsCookie, WindowOffer};
use tarpit::{DropReason, Env, Freeze, Policy, Ports, RateLimit, SegmentClass, V4, V6};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

/// When the last answer was given; stamps have steps of 256 ms.
const THEN: u32 = 0x5000_0000;
/// The peer's clock.
const THEIRS: u32 = 0x1234_5678;

/// Whole segments below 64 K.
const fn wide(timestamps: bool) -> u16 {
    let segment = MSS - if timestamps { 12 } else { 0 };
    u16::MAX / segment * segment
}

/// A segment, and what its sender was told.
#[derive(Clone, Copy, Debug)]
struct Case {
    policy: Policy,
    timestamps: bool,
    /// Where the stream's first octet is, as far as SEG.ACK tells it.
    first: u32,
    /// How many octets of a banner it acknowledges.
    sent: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    len: u32,
    /// It is marked CE.
    marked: bool,
    /// What the echo says, if there are timestamps.
    told: TsCookie,
    /// How old that is.
    age_ms: u32,
}

/// The budget of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budget {
    None,
    Everyone,
    Source,
    Frozen,
}

/// An answer, as far as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    octet: bool,
    budget: Budget,
}

impl Case {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How far into its stream the segment starts.
    fn start(&self) -> i64 {
        // CAST: the two's complement is meant.
        i64::from(self.seq.wrapping_sub(self.first) as i32)
    }

    /// The model. `None` is silence.
    fn said(&self) -> Option<Said> {
        let [rst, syn, ack, fin] = [RST, SYN, ACK, FIN].map(|flag| self.has(flag));
        let reset = Said {
            flags: RST,
            seq: self.ack,
            ack: 0,
            window: 0,
            octet: false,
            budget: Budget::Everyone,
        };
        if rst {
            return None;
        }
        if self.policy == RESET {
            let next = self
                .seq
                .wrapping_add(self.len + u32::from(syn) + u32::from(fin));
            return Some(if ack {
                reset
            } else {
                Said {
                    flags: RST | ACK,
                    seq: 0,
                    ack: next,
                    ..reset
                }
            });
        }
        match (syn, ack, fin) {
            (true, false, false) => {
                let linux = self.policy == LINUX;
                let ecn = linux && self.has(ECE) && self.has(CWR) && !self.marked;
                let small = [PLAIN, DRIP].contains(&self.policy) && self.timestamps;
                Some(Said {
                    flags: SYN | ACK | if ecn { ECE } else { 0 },
                    // The numbers are isn.rs', which has tests of its own.
                    seq: 0,
                    ack: self.seq.wrapping_add(1),
                    window: if small { 24 } else { wide(self.timestamps) },
                    ..reset
                })
            }
            (true, true, false) => Some(Said {
                budget: Budget::Source,
                ..reset
            }),
            (false, true, _) if self.policy == HONEYPOT => self.taken(fin),
            (false, true, _) => self.held(fin),
            _ => None,
        }
    }

    fn ack(&self, at: i64, window: u16) -> Said {
        Said {
            flags: ACK,
            seq: self.ack,
            // CAST: modulo 2^32.
            ack: self.first.wrapping_add(at as u32),
            window,
            octet: false,
            budget: Budget::None,
        }
    }

    fn taken(&self, fin: bool) -> Option<Said> {
        // A recent stamp of ours: two hours, the step of another CPU's clock more. It counts the octets that
        // were received, and those in flight are taken for time.
        let in_flight = self.start() - i64::from(self.told.received);
        let age_ms = i64::from(self.age_ms) + in_flight;
        let reach = if self.timestamps && (-256..(1 << 23) - 256).contains(&age_ms) {
            1 << 30
        } else {
            1 << 24
        };
        if !(-1..=reach).contains(&self.start()) {
            return None;
        }
        let end = self.start() + i64::from(self.len);
        let window = wide(self.timestamps);
        if self.len == 0 && !fin {
            let keep_alive = if self.timestamps {
                in_flight.rem_euclid(256) == 255
            } else {
                self.start() == -1
            };
            // It may be an ACK behind 255 octets in flight, if as many come before it.
            let sure = self.start() < 255;
            return keep_alive.then(|| Said {
                budget: if sure { Budget::None } else { Budget::Source },
                ..self.ack(end + 1, window)
            });
        }
        let ack = self.ack(end + i64::from(fin), window);
        Some(Said {
            flags: ACK | if fin { FIN } else { 0 },
            ..ack
        })
    }

    fn held(&self, fin: bool) -> Option<Said> {
        let start = self.start();
        if !(-1..=1 << 17).contains(&start) {
            return (self.len > 1).then(|| Said {
                ack: self.seq,
                budget: Budget::Frozen,
                ..self.ack(0, 0)
            });
        }
        let end = start + i64::from(self.len);
        let empty = self.len == 0 && !fin;
        let lone_fin = self.len == 0 && fin;
        let answer = |at, window| {
            let ece = self.policy == LINUX && self.marked && !empty;
            Some(Said {
                flags: ACK | if ece { ECE } else { 0 },
                ..self.ack(at, window)
            })
        };
        // The position is known modulo 32; a FIN of its own lies behind an octet that was not taken.
        let last = start - i64::from(lone_fin) + 1;
        let next = last - (last - i64::from(self.told.received)).rem_euclid(32);
        if !self.timestamps || next < 0 {
            return match (start, self.len) {
                (-1, _) => answer(0, 0),
                (0, 0) if fin => answer(0, 0),
                (_, 0) => None,
                (_, 1) => answer(start, 0),
                _ => answer(start + 1, 0),
            };
        }

        let drip = self.policy == DRIP;
        // After the last octet for which the numbers have room there is none.
        let talk = |said: Option<Said>| match (said, self.sent) {
            (said, u16::MAX) => said,
            (said, _) => said.map(|said| Said {
                flags: ACK | PSH,
                octet: true,
                ..said
            }),
        };
        let age_s = f64::from(self.age_ms) / 1000.0;
        if self.told.offer == WindowOffer::Initial
            && !drip
            && self.len == 0
            && start >= i64::from(fin)
        {
            return None;
        }
        if empty {
            let said = match age_s {
                _ if start >= next => None,
                6.5.. if drip => talk(answer(next, 1)),
                _ if self.told.offer == WindowOffer::LastChance && self.policy == LINUX => {
                    answer(next, MSS / 128 + 1)
                }
                _ if self.told.offer == WindowOffer::LastChance => answer(next, 36),
                59.488.. if self.policy == LINUX => answer(next, MSS / 128 + 1),
                59.488.. => answer(next, 36),
                27.5.. => answer(next, 1),
                _ => answer(next, 0),
            };
            // It may be an ACK behind 31 octets in flight where the window has room for them.
            let roomy = self.policy == LINUX || self.told.offer == WindowOffer::LastChance;
            return if roomy && start >= 31 {
                said.map(|said| Said {
                    budget: Budget::Source,
                    ..said
                })
            } else {
                said
            };
        }
        if end <= next {
            return answer(next, 0);
        }
        if start > next {
            return None;
        }
        let there = end - next;
        let fills = self.policy != LINUX && there >= 24 && !fin;
        let (octets, window) = match (self.told.offer, age_s) {
            (WindowOffer::Initial | WindowOffer::LastChance, _) if fills => (24, 0),
            // No more than 29 and the FIN stay in flight of the 36 that there was room for.
            (WindowOffer::LastChance, _) if self.policy != LINUX => ((there - 29).clamp(1, 7), 0),
            (WindowOffer::Initial | WindowOffer::LastChance, _) => (1, 0),
            (WindowOffer::OneByteEarly, 85.0..)
            | (WindowOffer::OneByteLate, 122.0..)
            | (WindowOffer::OneByteAtRto, 147.0..) => (1, 0),
            (
                WindowOffer::OneByteEarly | WindowOffer::OneByteLate | WindowOffer::OneByteAtRto,
                _,
            ) => return None,
            (WindowOffer::OneByteDrip, _) if drip => return talk(answer(end, 0)),
            (WindowOffer::OneByteDrip, _) => (there, 0),
            (_, 6.5..) if drip => return talk(answer(next + 1, 0)),
            (_, ..90.0) if there == 1 => (0, 0),
            (_, 45.0..) => (1, 0),
            _ => return None,
        };
        answer(next + octets, window)
    }
}

/// One flow of each family.
struct Peer {
    ends: [IpAddr; 2],
    flow: Flow,
}

fn peers() -> [Peer; 2] {
    let ends = [
        ["192.0.2.1", "198.51.100.2"],
        ["2001:db8:0:1::1", "2001:db8:0:2::2"],
    ];
    ends.map(|ends| {
        let ends: [IpAddr; 2] = ends.map(|end| end.parse().unwrap());
        let ports = Ports {
            source: 40_000,
            destination: 23,
        };
        let flow = match ends {
            [IpAddr::V4(source), IpAddr::V4(destination)] => {
                let addresses = V4::new(source.octets(), destination.octets());
                Flow::new(&KEY, &addresses, ports)
            }
            [IpAddr::V6(source), IpAddr::V6(destination)] => {
                let addresses = V6::new(source.octets(), destination.octets());
                Flow::new(&KEY, &addresses, ports)
            }
            _ => unreachable!(),
        };
        Peer { ends, flow }
    })
}

impl Peer {
    /// SEG.ACK in a connection of the client with this ISN.
    fn ack(&self, policy: Policy, timestamps: bool, isn: u32) -> u32 {
        let isn = if policy == DRIP && timestamps {
            self.flow.isn_with_counter(Seq(isn))
        } else {
            self.flow.isn(Seq(isn))
        };
        isn.after(1).0
    }

    /// Where SEG.ACK says that the stream begins, and how many octets it acknowledges.
    fn told_by(&self, policy: Policy, timestamps: bool, ack: u32) -> (u32, u16) {
        if policy == DRIP && timestamps {
            let (first, sent) = self.flow.decode_ack(Seq(ack));
            (first.0, sent)
        } else {
            (self.flow.client_isn(Seq(ack).before()).after(1).0, 0)
        }
    }

    /// The headers of a packet whose numbers, bits and stamp are still to be filled in, and where TCP starts.
    fn blank(&self, timestamps: bool) -> (Vec<u8>, usize) {
        let options = if timestamps {
            [&[1, 1, 8, 10], &THEIRS.to_be_bytes()[..], &[0; 4]].concat()
        } else {
            vec![]
        };
        let [source, destination] = self.ends;
        let tcp_len = 20 + options.len();
        let packet = client_packet((source, 40_000), (destination, 23), (0, 0), 0, options, 0);
        let at = packet.len() - tcp_len;
        (packet, at)
    }

    /// Asserts that the core answers as the model says, with any of `reserved` bits.
    fn check(&self, case: &Case, reserved: u8, packet: &mut [u8], at: usize) {
        packet[at + 4..at + 8].copy_from_slice(&case.seq.to_be_bytes());
        packet[at + 8..at + 12].copy_from_slice(&case.ack.to_be_bytes());
        packet[at + 12] = packet[at + 12] & 0xf0 | reserved;
        packet[at + 13] = case.flags;
        // The ECN field.
        let (class, ce) = if at == 20 { (1, 3) } else { (1, 3 << 4) };
        packet[class] = packet[class] & !ce | if case.marked { ce } else { 0 };
        let mut stamp = 0;
        if case.timestamps {
            stamp = if case.policy == HONEYPOT {
                THEN.wrapping_add(case.told.received)
            } else {
                case.told.encode(THEN, None)
            };
            let echo = stamp.wrapping_add(self.flow.ts_offset());
            packet[at + 28..at + 32].copy_from_slice(&echo.to_be_bytes());
        }
        let env = Env {
            key: &KEY,
            now_ms: THEN.wrapping_add(case.age_ms),
            wire: None,
        };
        // The payload is not looked at.
        let len = packet.len() + usize::try_from(case.len).unwrap();
        let given = hear(&env, MSS, case.policy, family(self.ends[0]), packet, len);
        let said = given.as_ref().ok().and_then(|(said, limit, reply)| {
            assert!(reply.len() <= len + said.payload_len(), "{case:?}");
            assert_eq!(
                said.options.has_timestamps(),
                case.timestamps && !said.flags.has(Flags::RST),
                "{case:?}"
            );
            if let Some(ours) = said.options.timestamps() {
                // The clock goes on, and the echo is of the past, if it is not the segment's.
                let value = ours.value.wrapping_sub(self.flow.ts_offset());
                let old = if said.freeze.is_some() {
                    0
                } else {
                    THEIRS.wrapping_sub(ours.echo)
                };
                let mut most = case.age_ms.saturating_add(255);
                if case.policy == HONEYPOT {
                    let received = said.ack.0.wrapping_sub(case.first);
                    most = most.saturating_add(received.saturating_sub(case.told.received));
                }
                assert!(
                    value.wrapping_sub(stamp) <= most || case.has(SYN),
                    "{case:?}"
                );
                assert!(old <= case.age_ms, "{case:?}");
            }
            let syn = said.flags.has(Flags::SYN);
            Some(Said {
                flags: said.flags.0,
                seq: if syn { 0 } else { said.seq.0 },
                ack: said.ack.0,
                window: said.window.field(MSS),
                octet: said.payload.is_some(),
                budget: match (limit, said.freeze) {
                    (RateLimit::None, None) => Budget::None,
                    (RateLimit::Shared, None) => Budget::Everyone,
                    (RateLimit::Source, None) => Budget::Source,
                    (RateLimit::Source, Some(Freeze { record_only: true })) => return None,
                    (RateLimit::Source, Some(_)) => Budget::Frozen,
                    other => panic!("{other:?}"),
                },
            })
        });
        assert_eq!(said, case.said(), "{given:?} to {case:?}");
        // Whatever else: a reset is never answered.
        let why = given.as_ref().err();
        assert!(!case.has(RST) || why == Some(&DropReason::Reset));
        // What an answered segment is goes with its bits and its length.
        if let Ok((said, ..)) = &given {
            let fits = match said.class {
                SegmentClass::Syn => case.has(SYN) && !case.has(ACK),
                SegmentClass::SynAck => case.has(SYN) && case.has(ACK),
                SegmentClass::Fin => case.has(FIN) && !case.has(SYN),
                SegmentClass::Data => case.len > 0 && !case.has(FIN),
                SegmentClass::Midstream => case.len > 0,
                SegmentClass::Probe | SegmentClass::KeepAlive => case.len <= 1 && !case.has(FIN),
                SegmentClass::Ack => case.len == 0 && !case.has(FIN),
                SegmentClass::BadFlags => !case.has(ACK) || case.has(SYN),
                _ => false,
            };
            assert!(fits, "{:?} for {case:?}", said.class);
        }
    }
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
const LENGTHS: [u32; 6] = [0, 1, 2, 24, 25, 65_535 - 40];

/// ISNs whose streams meet no edge, the sign, the end of the lower half, and zero.
const ISNS: [u32; 4] = [0x1000_0000, 0x7fff_fffe, 0x1234_fff8, 0xffff_fffe];

#[test]
fn all_bits_in_all_places_are_answered_as_the_model_says() {
    let mut cases = 0u64;
    for peer in peers() {
        for timestamps in [false, true] {
            let (mut packet, at) = peer.blank(timestamps);
            for policy in MODES {
                let ack = peer.ack(policy, timestamps, ISNS[0]);
                let (first, sent) = peer.told_by(policy, timestamps, ack);
                for (place, len) in PLACES
                    .iter()
                    .flat_map(|&place| LENGTHS.map(|len| (place, len)))
                {
                    for bits in 0..4096u16 {
                        let [reserved, flags] = bits.to_be_bytes();
                        for marked in [false, true] {
                            let case = Case {
                                policy,
                                timestamps,
                                first,
                                sent,
                                // CAST: modulo 2^32.
                                seq: first.wrapping_add(place as u32),
                                ack,
                                flags,
                                len,
                                marked,
                                told: TsCookie {
                                    // CAST: the places of a honeypot's stream are positive.
                                    received: if policy == HONEYPOT {
                                        place.max(0) as u32
                                    } else {
                                        0
                                    },
                                    offer: WindowOffer::Initial,
                                },
                                age_ms: 5000,
                            };
                            peer.check(&case, reserved, &mut packet, at);
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{cases} cases");
}

#[test]
fn whatever_was_told_and_whenever_the_answer_is_that_of_the_model() {
    const OFFERS: [WindowOffer; 8] = [
        WindowOffer::Initial,
        WindowOffer::Zero,
        WindowOffer::ZeroOnProbe,
        WindowOffer::OneByteAtRto,
        WindowOffer::OneByteEarly,
        WindowOffer::OneByteLate,
        WindowOffer::OneByteDrip,
        WindowOffer::LastChance,
    ];
    // Each limit of the page, and one millisecond less.
    const LIMITS: [u32; 13] = [
        1, 2_000, 6_500, 27_500, 36_000, 38_000, 45_000, 59_488, 85_000, 90_000, 122_000, 147_000,
        180_000,
    ];
    let ages: Vec<u32> = LIMITS
        .iter()
        .flat_map(|&limit| [limit - 1, limit])
        .chain([(1 << 23) - 257, (1 << 23) - 256, (1 << 31) - 1])
        .collect();
    let mut cases = 0u64;
    for peer in peers() {
        let (mut packet, at) = peer.blank(true);
        for (policy, isn) in POLICIES
            .into_iter()
            .chain([HONEYPOT])
            .flat_map(|policy| ISNS.map(|isn| (policy, isn)))
        {
            let right = peer.ack(policy, true, isn);
            // What was acknowledged, too little, too much, and what nobody sent.
            for ack in [
                right,
                right.wrapping_sub(1),
                right.wrapping_add(1),
                right ^ 1 << 31,
            ] {
                let (first, sent) = peer.told_by(policy, true, ack);
                for (received, offer) in [0, 2, 31, 33, 70_000]
                    .into_iter()
                    .flat_map(|received| OFFERS.map(|offer| (received, offer)))
                {
                    for (&age_ms, distance) in ages.iter().flat_map(|age| {
                        [-33, -32, -2, -1, 0, 1, 30, 31, 32, 1 << 25]
                            .map(|distance| (age, distance))
                    }) {
                        for (len, flags) in LENGTHS
                            .into_iter()
                            .flat_map(|len| [ACK, ACK | FIN].map(|flags| (len, flags)))
                        {
                            let case = Case {
                                policy,
                                timestamps: true,
                                first,
                                sent,
                                seq: first.wrapping_add(received).wrapping_add_signed(distance),
                                ack,
                                flags,
                                len,
                                marked: false,
                                told: TsCookie { received, offer },
                                age_ms,
                            };
                            peer.check(&case, 0, &mut packet, at);
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{cases} cases");
}
