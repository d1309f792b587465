// SPDX-License-Identifier: GPL-2.0

//! An acknowledgment of what was not sent: no mode gives one to a client with fewer octets in flight than a
//! timestamp distinguishes, and to others only within the rate limit of the source.
//!
//! Linux replies to it with a challenge ACK (RFC 5961, 5.2; tcp_ack), which is empty and starts at
//! SND.NXT like any other ACK. So what matters is the reply to such a segment, in any state of the client
//! and at any time.

use std::collections::VecDeque;

use oracle::{ACK, FIN, FIRST_WINDOW, LAST_CHANCE, MAX_IN_FLIGHT, MAX_IN_FLIGHT_HONEYPOT, SYN};
use proptest::prelude::*;
use tarpit::{Key, Policy, RateLimit};

use super::common::client::End;
use super::common::{
    client_packet, family, read_reply, ReplyPacket, DRIP, HONEYPOT, LINUX, PLAIN, POLICIES,
};
use super::{address_pairs, ask, keys, numbers, tries};

/// A packet on its way: its headers, and how many octets follow them.
type Sent = (Vec<u8>, u32);

/// A client like Linux, the rule, and a network that loses packets and keeps their order.
///
/// Places are octets of the stream. An acknowledgment that it takes in is one of SND.UNA or more, so TS.Recent
/// is always the stamp of an answer that acknowledged SND.UNA (tcp_ack).
#[derive(Clone, Debug)]
struct World {
    local: End,
    remote: End,
    timestamps: bool,
    policy: Policy,
    key: Key,
    now_ms: u32,
    iss: u32,
    /// SND.UNA, SND.NXT, which counts the FIN, and the right edge of the window.
    una: u32,
    next: u32,
    edge: u32,
    closed: bool,
    /// RCV.NXT, once the SYN-ACK is here.
    peer: Option<u32>,
    /// TS.Recent.
    recent: Option<u32>,
    there: VecDeque<Sent>,
    back: VecDeque<ReplyPacket>,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u32),
    Write { most: u32, closes: bool },
    SendAgain(u32),
    KeepAlive,
    Reach,
    Return,
    LoseThere,
    LoseBack,
}

fn steps() -> impl Strategy<Value = Step> {
    let sizes = prop_oneof![1u32..40, 28u32..36, 250u32..260, 1u32..300, 1u32..70_000];
    prop_oneof![
        4 => prop_oneof![0u32..10, 0u32..3_000, 20_000u32..200_000].prop_map(Step::Wait),
        4 => (sizes, prop::bool::weighted(0.1))
            .prop_map(|(most, closes)| Step::Write { most, closes }),
        2 => prop_oneof![1u32..40, Just(1448)].prop_map(Step::SendAgain),
        3 => Just(Step::KeepAlive),
        8 => Just(Step::Reach),
        8 => Just(Step::Return),
        1 => Just(Step::LoseThere),
        1 => Just(Step::LoseBack),
    ]
}

impl World {
    fn in_flight(&self) -> u32 {
        self.next - self.una
    }

    fn is_honeypot(&self) -> bool {
        self.policy.mode == HONEYPOT.mode
    }

    /// Returns true if the window is that of a last chance. Linux fills it with one segment.
    fn has_last_chance(&self) -> bool {
        self.policy.mode == PLAIN.mode && self.edge.wrapping_sub(self.una) == LAST_CHANCE.into()
    }

    /// With how many octets in flight a timestamp still tells an ACK from a keep-alive.
    fn distinguished(&self) -> u32 {
        if self.is_honeypot() {
            MAX_IN_FLIGHT_HONEYPOT.into()
        } else {
            MAX_IN_FLIGHT.into()
        }
    }

    /// A segment that starts at this place, which may be one before the stream.
    fn segment(&self, place: i64, flags: u8, payload: u32, now_ms: u32) -> Sent {
        let mut options = vec![];
        if self.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(now_ms.wrapping_mul(3).to_be_bytes());
            options.extend(self.recent.unwrap_or(0).to_be_bytes());
        }
        // CAST: modulo 2^32.
        let seq = self.iss.wrapping_add(1).wrapping_add(place as u32);
        let numbers = (seq, self.peer.unwrap_or(0));
        let packet = client_packet(self.local, self.remote, numbers, flags, options, 0);
        (packet, payload)
    }

    /// What the rule replies at this time, and how many octets that acknowledges.
    fn ask(&self, (packet, payload): &Sent, now_ms: u32) -> Option<(ReplyPacket, i64)> {
        let len = packet.len() + usize::try_from(*payload).unwrap();
        let family = family(self.local.0);
        let answer = ask(self.policy, family, packet, len, &self.key, now_ms).ok()?;
        let ack = read_reply(&answer.packet).tcp.acknowledgment_number;
        // CAST: the two's complement is meant.
        let acked = ack.wrapping_sub(self.iss.wrapping_add(1)) as i32;
        Some((answer, acked.into()))
    }

    fn step(&mut self, step: Step) {
        let now = self.now_ms;
        let connected = self.peer.is_some();
        match step {
            Step::Wait(ms) => self.now_ms = now.wrapping_add(ms),
            Step::Write { most, closes } if connected && !self.closed => {
                let room = self.edge.saturating_sub(self.next);
                let waits = self.has_last_chance() && self.in_flight() > 0;
                let payload = if waits { 0 } else { most.min(room) };
                self.closed = closes && !waits;
                let fin = if self.closed { FIN } else { 0 };
                if payload > 0 || self.closed {
                    let sent = self.segment(self.next.into(), ACK | fin, payload, now);
                    self.next += payload + u32::from(self.closed);
                    self.there.push_back(sent);
                }
            }
            Step::SendAgain(most) if self.in_flight() > 0 => {
                let data = self.in_flight() - u32::from(self.closed);
                let payload = if self.has_last_chance() {
                    data
                } else {
                    data.min(most)
                };
                let fin = if self.closed && payload == data {
                    FIN
                } else {
                    0
                };
                let sent = self.segment(self.una.into(), ACK | fin, payload, now);
                self.there.push_back(sent);
            }
            // One at a time.
            Step::KeepAlive if connected && self.there.is_empty() && self.back.is_empty() => {
                let sent = self.segment(i64::from(self.una) - 1, ACK, 0, now);
                self.there.push_back(sent);
            }
            Step::Reach => self.reach(),
            Step::Return => self.bring_back(),
            Step::LoseThere => drop(self.there.pop_front()),
            Step::LoseBack => drop(self.back.pop_front()),
            _ => {}
        }
    }

    /// A packet reaches the rule.
    fn reach(&mut self) {
        let Some(sent) = self.there.pop_front() else {
            return;
        };
        if let Some((answer, acked)) = self.ask(&sent, self.now_ms) {
            assert!(
                acked <= i64::from(self.next),
                "{acked} of {}: {self:?}",
                self.next
            );
            self.back.push_back(answer);
        }
    }

    /// An answer reaches the client.
    fn bring_back(&mut self) {
        let Some(answer) = self.back.pop_front() else {
            return;
        };
        let heard = read_reply(&answer.packet);
        let tcp = &heard.tcp;
        let stamp = heard.options.timestamps.map(|(value, _)| value);
        let Some(peer) = self.peer else {
            self.peer = Some(tcp.sequence_number.wrapping_add(1));
            self.recent = stamp;
            self.edge = tcp.window_size.into();
            return;
        };
        let acked = tcp
            .acknowledgment_number
            .wrapping_sub(self.iss.wrapping_add(1));
        let old = stamp
            .zip(self.recent)
            .is_some_and(|(stamp, recent)| stamp.wrapping_sub(recent) > u32::MAX / 2);
        // One before the stream is far ahead here.
        if tcp.syn || old || acked < self.una || acked > self.next || tcp.sequence_number != peer {
            return;
        }
        self.recent = stamp;
        self.una = acked;
        let scale = if self.policy.mode == LINUX.mode { 7 } else { 0 };
        self.edge = acked + (u32::from(tcp.window_size) << scale);
        let octets = u32::from(heard.payload.is_some()) + u32::from(tcp.fin);
        self.peer = Some(peer.wrapping_add(octets));
        if tcp.fin {
            // It is over. An ACK with another SEG.ACK belongs to no connection of ours.
            self.peer = None;
        }
    }

    /// What the rule replies to an ACK of the client, and to a keep-alive, at some time from now on.
    fn check(&self) -> Result<(), TestCaseError> {
        if self.peer.is_none() {
            return Ok(());
        }
        for age_ms in [0, 1, 300, 2_000, 4_200, 30_000, 70_000, 1_000_000] {
            let now_ms = self.now_ms.wrapping_add(age_ms);
            let ack = self.segment(self.next.into(), ACK, 0, now_ms);
            if let Some((answer, acked)) = self.ask(&ack, now_ms) {
                let in_flight = self.in_flight();
                prop_assert!(
                    self.timestamps && in_flight > self.distinguished(),
                    "{} octets of {} after {} ms, {} in flight: {:?}",
                    acked,
                    self.next,
                    age_ms,
                    in_flight,
                    self
                );
                prop_assert!(
                    matches!(answer.limit, RateLimit::Source),
                    "{} in flight: {:?}",
                    in_flight,
                    self
                );
            }
            if self.in_flight() == 0 && !self.closed && (self.timestamps || self.next == 0) {
                let keep_alive = self.segment(i64::from(self.next) - 1, ACK, 0, now_ms);
                let acked = self.ask(&keep_alive, now_ms).map(|(_, acked)| acked);
                prop_assert_eq!(acked, Some(self.next.into()), "{} ms: {:?}", age_ms, self);
            }
        }
        Ok(())
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let windows = |policy| {
        prop::sample::select(vec![1u16, 25, 29, 30, 31, 100, 1000, 65_535])
            .prop_map(move |window| Policy { window, ..policy })
    };
    let policies = prop_oneof![
        6 => prop::sample::select(POLICIES.to_vec()),
        2 => windows(PLAIN),
        1 => windows(LINUX),
        4 => Just(HONEYPOT),
        1 => windows(HONEYPOT),
    ];
    (
        address_pairs(),
        any::<(u16, u16)>(),
        (numbers(), numbers()),
        (keys(), policies),
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |(addresses, ports, (iss, now_ms), (key, policy), timestamps)| World {
                local: (addresses.0, ports.0),
                remote: (addresses.1, ports.1),
                timestamps,
                policy,
                key,
                now_ms,
                iss,
                una: 0,
                next: 0,
                edge: 0,
                closed: false,
                peer: None,
                recent: None,
                there: VecDeque::new(),
                back: VecDeque::new(),
            },
        )
}

proptest! {
    #![proptest_config(tries(2000))]

    #[test]
    fn an_octet_that_was_not_sent_is_acknowledged_within_a_limit_only_and_where_many_are_in_flight(
        mut world in worlds(),
        script in prop::collection::vec(steps(), 0..80),
    ) {
        let syn = world.segment(-1, SYN, 0, world.now_ms);
        let (answer, _) = world.ask(&syn, world.now_ms).unwrap();
        world.back.push_back(answer);
        world.bring_back();
        world.check()?;
        for step in script {
            world.step(step);
            world.check()?;
        }
    }
}

/// How many octets are in flight when a client acknowledges something, for each of which the rule may
/// reply.
fn replies(policy: Policy, wrote: u32) -> Option<RateLimit> {
    let end = |address: &str, port| (address.parse().unwrap(), port);
    let mut world = World {
        local: end("192.0.2.1", 40_000),
        remote: end("198.51.100.2", 23),
        timestamps: true,
        policy,
        key: Key([1, 2]),
        now_ms: 0,
        iss: 0xffff_ff00,
        una: 0,
        next: 0,
        edge: 0,
        closed: false,
        peer: None,
        recent: None,
        there: VecDeque::new(),
        back: VecDeque::new(),
    };
    let syn = world.segment(-1, SYN, 0, 0);
    let (answer, _) = world.ask(&syn, 0).unwrap();
    world.back.push_back(answer);
    // One octet is acknowledged, the others are in flight.
    for step in [
        Step::Return,
        Step::Write {
            most: 1,
            closes: false,
        },
        Step::Reach,
        Step::Write {
            most: wrote - 1,
            closes: false,
        },
        Step::Return,
    ] {
        world.step(step);
    }
    assert_eq!((world.una, world.next), (1, wrote));
    let ack = world.segment(wrote.into(), ACK, 0, 5_000);
    world.ask(&ack, 5_000).map(|(answer, _)| answer.limit)
}

#[test]
fn a_timestamp_distinguishes_as_many_octets_in_flight_as_it_is_said_to() {
    for wrote in 2..2_000 {
        for (policy, period) in [(LINUX, 32), (HONEYPOT, 256)] {
            let said = replies(policy, wrote);
            assert_eq!(said.is_some(), wrote % period == 0, "{policy:?}: {wrote}");
            assert!(said.is_none_or(|limit| matches!(limit, RateLimit::Source)));
        }
        if wrote <= FIRST_WINDOW.into() {
            assert_eq!(replies(PLAIN, wrote), None);
            assert_eq!(replies(DRIP, wrote), None);
        }
    }
}
