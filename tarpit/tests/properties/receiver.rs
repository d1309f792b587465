// SPDX-License-Identifier: GPL-2.0

//! A sender that wants to get rid of something, a network that loses, doubles and reorders, and a rule
//! that takes everything.

use oracle::{ACK, FIN, SYN};
use std::collections::VecDeque;

use proptest::prelude::*;
use tarpit::{Key, Policy, RateLimit};

use super::common::client::End;
use super::common::{client_packet, family, read_reply, rule, ReplyPacket, HONEYPOT, MSS};
use super::{address_pairs, ask, keys, numbers, tries};

/// A packet on its way: its headers, how many octets follow them, and how many lie between what its echo
/// acknowledged and its start.
type Sent = (Vec<u8>, u32, i64);

/// Behind this many bytes in flight, and multiples of 256 more, an ACK looks like a keep-alive to a
/// honeypot.
const AMBIGUOUS: i64 = oracle::MAX_IN_FLIGHT_HONEYPOT as i64 + 1;

/// A TCP sender of RFC 9293 that writes so much, closes, and sends again what is not acknowledged.
#[derive(Clone, Debug)]
struct Sender {
    local: End,
    remote: End,
    timestamps: bool,
    policy: Policy,
    iss: u32,
    /// How much it has to write, and in segments of how many octets.
    total: u32,
    segment: u32,
    /// SND.UNA, SND.NXT and the right edge of the window, in numbers of the stream where the SYN is 0.
    una: u32,
    next: u32,
    edge: u32,
    /// RCV.NXT, once the SYN-ACK is here.
    peer: Option<u32>,
    /// TS.Recent, and what was acknowledged with it.
    recent: Option<u32>,
    told: u32,
    /// Whether the other side has closed.
    peer_closed: bool,
}

impl Sender {
    /// What lies behind the FIN.
    fn end(&self) -> u32 {
        self.total + 2
    }

    fn window(&self) -> u32 {
        rule(&self.policy).first_window(MSS, self.timestamps).into()
    }

    /// A segment that starts at this place.
    fn segment(&self, place: u32, flags: u8, payload: u32, now_ms: u32) -> Sent {
        let mut options = vec![];
        if self.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(now_ms.wrapping_mul(3).to_be_bytes());
            options.extend(self.recent.unwrap_or(0).to_be_bytes());
        }
        let ack = self.peer.unwrap_or(0);
        let numbers = (self.iss.wrapping_add(place), ack);
        let packet = client_packet(self.local, self.remote, numbers, flags, options, 0);
        (packet, payload, i64::from(place) - i64::from(self.told))
    }

    /// The segment at SND.UNA, or a new one if the window takes it.
    fn data(&self, place: u32, now_ms: u32) -> Option<(Sent, u32)> {
        if self.peer.is_none() {
            return (place == 0).then(|| (self.segment(0, SYN, 0, now_ms), 1));
        }
        // The FIN takes no room.
        let room = self.edge.saturating_sub(place);
        let left = (self.total + 1).saturating_sub(place);
        let payload = left.min(self.segment).min(room);
        let fin = payload == left && place + payload < self.end();
        if payload == 0 && !fin {
            return None;
        }
        let flags = if fin { ACK | FIN } else { ACK };
        let next = place + payload + u32::from(fin);
        Some((self.segment(place, flags, payload, now_ms), next))
    }

    fn done(&self) -> bool {
        self.una == self.end()
    }
}

/// The sender, the rule, and what is between them.
#[derive(Clone, Debug)]
struct World {
    sender: Sender,
    key: Key,
    now_ms: u32,
    there: VecDeque<Sent>,
    back: VecDeque<ReplyPacket>,
    /// Whether the network keeps the order of packets.
    ordered: bool,
}

impl World {
    /// New segments, as the window takes them.
    fn send(&mut self) {
        for _ in 0..16 {
            match self.sender.data(self.sender.next, self.now_ms) {
                Some((segment, next)) => {
                    self.there.push_back(segment);
                    self.sender.next = next;
                }
                None => return,
            }
        }
    }

    /// The first that was not acknowledged, with what is new behind it.
    fn send_again(&mut self) {
        let sender = &mut self.sender;
        if sender.una < sender.next {
            if let Some((segment, next)) = sender.data(sender.una, self.now_ms) {
                self.there.push_back(segment);
                sender.next = sender.next.max(next);
            }
        }
    }

    fn keep_alive(&mut self) {
        if self.sender.peer.is_some() && !self.sender.peer_closed {
            let place = self.sender.una - 1;
            let empty = self.sender.segment(place, ACK, 0, self.now_ms);
            self.there.push_back(empty);
        }
    }

    /// A packet reaches the rule.
    fn reach(&mut self, place: usize) {
        let Some((packet, payload, in_flight)) = self.there.remove(place) else {
            return;
        };
        let payload = usize::try_from(payload).unwrap();
        let given = ask(
            self.sender.policy,
            family(self.sender.local.0),
            &packet,
            packet.len() + payload,
            &self.key,
            self.now_ms,
        );
        if let Ok(answer) = given {
            // Never more than was sent.
            let heard = read_reply(&answer.packet);
            let acked = heard
                .tcp
                .acknowledgment_number
                .wrapping_sub(self.sender.iss);
            let sent = self.sender.next;
            if acked > sent {
                // An ACK that looks like a keep-alive.
                let unlike = in_flight < AMBIGUOUS || in_flight % 256 != AMBIGUOUS;
                assert!(
                    !unlike,
                    "{acked} of {sent}, {in_flight} in flight: {heard:?}"
                );
                assert!(matches!(answer.limit, RateLimit::Source), "{heard:?}");
                return;
            }
            self.back.push_back(answer);
        }
    }

    /// An answer reaches the sender.
    fn bring_back(&mut self, place: usize) {
        let Some(answer) = self.back.remove(place) else {
            return;
        };
        let now_ms = self.now_ms;
        let heard = read_reply(&answer.packet);
        let sender = &mut self.sender;
        let tcp = &heard.tcp;
        assert!(tcp.ack && !tcp.rst && heard.payload.is_none());
        assert_eq!(heard.options.timestamps.is_some(), sender.timestamps);
        assert_eq!(u32::from(tcp.window_size), sender.window());
        let acked = tcp.acknowledgment_number.wrapping_sub(sender.iss);
        let stamp = heard.options.timestamps.map(|(value, _)| value);
        let Some(peer) = sender.peer else {
            // Nothing else is sent before it.
            assert!(tcp.syn && !tcp.fin && acked == 1, "{heard:?}");
            sender.peer = Some(tcp.sequence_number.wrapping_add(1));
            sender.recent = stamp;
            (sender.una, sender.next, sender.told) = (1, 1, 1);
            sender.edge = 1 + sender.window();
            let ack = sender.segment(1, ACK, 0, now_ms);
            self.there.push_back(ack);
            return;
        };
        if tcp.syn {
            assert_eq!(tcp.sequence_number, peer_isn(peer, sender.peer_closed));
        }
        // RFC 7323, 5.3: R1; RFC 9293, 3.10.7.4.
        let old = stamp
            .zip(sender.recent)
            .is_some_and(|(stamp, recent)| stamp.wrapping_sub(recent) > u32::MAX / 2);
        if tcp.syn || old || tcp.sequence_number != peer {
            // An acknowledgment of less than is known, of what was sent again without need, is of no use.
            let news = acked >= sender.una;
            assert!(
                !old || !self.ordered || !news,
                "in order, and rejected: {heard:?}"
            );
            let ack = sender.segment(sender.next, ACK, 0, now_ms);
            self.there.push_back(ack);
            return;
        }
        (sender.recent, sender.told) = (stamp, acked);
        if acked >= sender.una {
            sender.una = acked;
            // The window never shrinks.
            let edge = acked + u32::from(tcp.window_size);
            assert!(edge >= sender.edge, "{edge} after {}", sender.edge);
            sender.edge = edge;
        }
        if tcp.fin {
            // All of ours was before it.
            assert_eq!(acked, sender.end());
            sender.peer = Some(peer.wrapping_add(1));
            sender.peer_closed = true;
            let ack = sender.segment(sender.next, ACK, 0, now_ms);
            self.there.push_back(ack);
        }
    }
}

/// The ISN of a peer that expects `next`.
fn peer_isn(next: u32, closed: bool) -> u32 {
    next.wrapping_sub(1 + u32::from(closed))
}

/// What happens next. Places in a queue are taken modulo its length.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u32),
    Send,
    SendAgain,
    KeepAlive,
    Reach(usize),
    Return(usize),
    LoseThere(usize),
    LoseBack(usize),
    DoubleThere(usize),
    DoubleBack(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let place = || prop_oneof![2 => Just(0), 1 => 0usize..8];
    prop_oneof![
        3 => prop_oneof![0u32..10, 0u32..1000, 0u32..200_000].prop_map(Step::Wait),
        4 => Just(Step::Send),
        2 => Just(Step::SendAgain),
        1 => Just(Step::KeepAlive),
        8 => place().prop_map(Step::Reach),
        8 => place().prop_map(Step::Return),
        1 => place().prop_map(Step::LoseThere),
        1 => place().prop_map(Step::LoseBack),
        1 => place().prop_map(Step::DoubleThere),
        1 => place().prop_map(Step::DoubleBack),
    ]
}

impl World {
    fn step(&mut self, step: Step) {
        let ordered = self.ordered;
        let at = |place: usize, len: usize| if ordered || len == 0 { 0 } else { place % len };
        let (there, back) = (self.there.len(), self.back.len());
        match step {
            Step::Wait(ms) => {
                self.now_ms = self.now_ms.wrapping_add(ms);
            }
            Step::Send => self.send(),
            Step::SendAgain => self.send_again(),
            Step::KeepAlive => self.keep_alive(),
            Step::Reach(place) => self.reach(at(place, there)),
            Step::Return(place) => self.bring_back(at(place, back)),
            Step::LoseThere(place) => drop(self.there.remove(at(place, there))),
            Step::LoseBack(place) => drop(self.back.remove(at(place, back))),
            Step::DoubleThere(place) => {
                let twin = self.there.get(at(place, there)).cloned();
                self.there.extend(twin.filter(|_| !ordered));
            }
            Step::DoubleBack(place) => {
                let twin = self.back.get(at(place, back)).cloned();
                self.back.extend(twin.filter(|_| !ordered));
            }
        }
    }

    /// Lets everything arrive that is on its way, and what comes of it.
    fn settle(&mut self) {
        let mut packets = 0;
        while !(self.there.is_empty() && self.back.is_empty()) {
            self.reach(0);
            self.bring_back(0);
            packets += 1;
            assert!(packets < 1000, "they feed themselves: {self:?}");
        }
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let sizes = prop_oneof![
        2 => (0u32..100, 1u32..50),
        2 => (0u32..200_000, 500u32..1500),
        // GRO and BIG TCP; less than sixteen megabytes, and more.
        1 => (0u32..16_000_000, 60_000u32..200_000),
        1 => (0u32..40_000_000, 60_000u32..200_000),
    ];
    let windows = prop_oneof![2 => Just(0), 1 => any::<u16>()];
    (
        address_pairs(),
        any::<(u16, u16)>(),
        (numbers(), numbers(), windows),
        (keys(), any::<(bool, bool)>()),
        sizes,
    )
        .prop_map(
            |(
                addresses,
                ports,
                (iss, now_ms, window),
                (key, (timestamps, ordered)),
                (total, segment),
            )| {
                let mut sender = Sender {
                    local: (addresses.0, ports.0),
                    remote: (addresses.1, ports.1),
                    timestamps,
                    policy: Policy { window, ..HONEYPOT },
                    iss,
                    total,
                    segment,
                    una: 0,
                    next: 1,
                    edge: 1,
                    peer: None,
                    recent: None,
                    told: 0,
                    peer_closed: false,
                };
                // In a thousand round trips, and without timestamps no more than they reach.
                let reach = if timestamps { u32::MAX } else { 1 << 24 };
                let most = segment.min(sender.window()).saturating_mul(1000);
                sender.total = total.min(most).min(reach);
                World {
                    sender,
                    key,
                    now_ms,
                    there: VecDeque::new(),
                    back: VecDeque::new(),
                    ordered,
                }
            },
        )
}

proptest! {
    #![proptest_config(tries(300))]

    #[test]
    fn a_sender_gets_rid_of_everything_whatever_the_network_does(
        mut world in worlds(),
        script in prop::collection::vec(steps(), 0..200),
    ) {
        world.step(Step::SendAgain);
        for step in script {
            world.step(step);
        }
        // From now on nothing is lost.
        let mut rounds = 0;
        while !world.sender.done() {
            world.settle();
            world.send();
            world.settle();
            world.step(Step::Wait(1000));
            world.send_again();
            rounds += 1;
            prop_assert!(rounds < 5000, "{} of {:?}", world.sender.una, world.sender);
        }
        world.settle();
        // The other side has closed too.
        prop_assert!(world.sender.peer_closed);
    }

    #[test]
    fn a_sender_that_waits_is_kept_alive(
        mut world in worlds(),
        pauses in prop::collection::vec(2_000u32..2_000_000_000, 1..6),
    ) {
        // It does not close, and wrote no more than what a keep-alive reaches.
        let wrote = world.sender.total.min(1 << 24);
        world.sender.total = u32::MAX / 2;
        world.step(Step::SendAgain);
        world.settle();
        while world.sender.next <= wrote {
            let left = wrote + 1 - world.sender.next;
            world.sender.segment = world.sender.segment.min(left);
            let (segment, next) = world.sender.data(world.sender.next, world.now_ms).unwrap();
            world.there.push_back(segment);
            world.sender.next = next;
            world.settle();
            prop_assert_eq!(world.sender.una, world.sender.next);
        }
        for pause in pauses {
            world.step(Step::Wait(pause));
            world.keep_alive();
            world.reach(0);
            if !world.sender.timestamps && wrote > 0 {
                // It might be an acknowledgment.
                prop_assert!(world.back.is_empty());
                continue;
            }
            let heard = read_reply(&world.back.front().expect("an answer").packet);
            let next = world.sender.iss.wrapping_add(world.sender.next);
            prop_assert_eq!(heard.tcp.acknowledgment_number, next);
            world.bring_back(0);
            prop_assert!(world.there.is_empty() && world.back.is_empty());
        }
    }
}
