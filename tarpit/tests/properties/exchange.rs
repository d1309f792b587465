// SPDX-License-Identifier: GPL-2.0

//! Exchanges are a [`Client`] and a network that loses, repeats and reorders, driven by a random
//! script.

use oracle::Reply;
use std::collections::VecDeque;

use proptest::prelude::*;
use tarpit::{DropReason, Key, Policy, RateLimit};

use super::common::client::{Client, Setup, Taken};
use super::common::{read_reply, rule, Family, ReplyPacket, DRIP, LINUX, MSS, PLAIN, POLICIES};
use super::{address_pairs, ask, keys, numbers, tries};

/// What happens next to a client and its network. Places in a queue are taken modulo its length.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Milliseconds pass.
    Wait(u32),
    /// The client sends its SYN, first or again.
    Syn,
    /// It writes new octets, as far as there is a window.
    Write(u32),
    /// It sends some of what is not acknowledged again.
    Retransmit(u32),
    /// It probes or keeps alive: empty, at SND.UNA - 1.
    Probe,
    /// It keeps alive with an octet of garbage.
    KeepAliveWithOctet,
    /// It probes with the next octet.
    ProbeWithOctet,
    /// It closes.
    Close,
    /// A packet reaches the tarpit.
    Reach(usize),
    /// A packet reaches the client.
    Return(usize),
    /// A packet to the tarpit is lost.
    LoseThere(usize),
    /// A packet to the client is lost.
    LoseBack(usize),
    /// A packet to the tarpit is doubled.
    Double(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let place = 0usize..4;
    prop_oneof![
        // From a burst to as long as anything is waited for.
        4 => prop_oneof![0u32..100, 0u32..10_000, 0u32..200_000].prop_map(Step::Wait),
        1 => Just(Step::Syn),
        4 => (1u32..40).prop_map(Step::Write),
        2 => (1u32..40).prop_map(Step::Retransmit),
        2 => Just(Step::Probe),
        1 => Just(Step::KeepAliveWithOctet),
        1 => Just(Step::ProbeWithOctet),
        1 => Just(Step::Close),
        8 => place.clone().prop_map(Step::Reach),
        8 => place.clone().prop_map(Step::Return),
        1 => place.clone().prop_map(Step::LoseThere),
        1 => place.clone().prop_map(Step::LoseBack),
        1 => place.prop_map(Step::Double),
    ]
}

/// How long a client that only waits is left alone: as long as a timer of Linux, or until the clock
/// wraps.
fn pauses() -> impl Strategy<Value = u32> {
    // Up to 23 days: after 24, what a peer makes of an old timestamp is its own affair (RFC 7323, 5.5).
    prop_oneof![4 => 0u32..200_000, 1 => 0u32..2_000_000_000]
}

/// A client, a tarpit, and what is between them.
#[derive(Clone, Debug)]
struct World {
    client: Client,
    policy: Policy,
    key: Key,
    now_ms: u32,
    /// Whether the network keeps the order of packets.
    ordered: bool,
    /// Packets on their way to the tarpit.
    there: VecDeque<Vec<u8>>,
    /// Packets on their way to the client.
    back: VecDeque<ReplyPacket>,
    /// How many packets the tarpit was reached by, and how many of them it answered.
    reached: u32,
    answered: u32,
}

impl World {
    fn new(setup: Setup, key: Key, now_ms: u32, ordered: bool) -> Self {
        Self {
            client: Client::new(setup),
            policy: setup.policy,
            key,
            now_ms,
            ordered,
            there: VecDeque::new(),
            back: VecDeque::new(),
            reached: 0,
            answered: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let (now, ordered) = (self.now_ms, self.ordered);
        let at = |place: usize, len: usize| if ordered || len == 0 { 0 } else { place % len };
        let sent = match step {
            Step::Wait(ms) => {
                self.now_ms = now.wrapping_add(ms);
                None
            }
            Step::Syn => (!self.client.connected()).then(|| self.client.syn(now)),
            Step::Write(count) => self.client.write(count, now),
            Step::Retransmit(count) => self.client.retransmit(count, now),
            Step::Probe => self.client.probe(now),
            Step::KeepAliveWithOctet => self.client.keep_alive_with_octet(now),
            Step::ProbeWithOctet => self.client.probe_with_octet(now),
            Step::Close => self.client.close(now),
            Step::Reach(place) => {
                self.reach(at(place, self.there.len()));
                None
            }
            Step::Return(place) => {
                self.bring_back(at(place, self.back.len()));
                None
            }
            Step::LoseThere(place) => {
                self.there.remove(at(place, self.there.len()));
                None
            }
            Step::LoseBack(place) => {
                self.back.remove(at(place, self.back.len()));
                None
            }
            Step::Double(place) => self.there.get(at(place, self.there.len())).cloned(),
        };
        self.there.extend(sent);
    }

    /// What the tarpit says to a packet at this moment.
    fn ask(&self, bytes: &[u8]) -> Result<ReplyPacket, DropReason> {
        let family = if bytes[0] >> 4 == 4 {
            Family::V4
        } else {
            Family::V6
        };
        ask(
            self.policy,
            family,
            bytes,
            bytes.len(),
            &self.key,
            self.now_ms,
        )
    }

    /// One packet reaches the tarpit.
    fn reach(&mut self, place: usize) {
        let Some(bytes) = self.there.remove(place) else {
            return;
        };
        self.reached += 1;
        let Ok(answer) = self.ask(&bytes) else {
            return;
        };
        // Anybody may send a SYN; the rest is proof of one that was answered, but what may also be an
        // acknowledgment (`unsent`).
        let tcp = read_reply(&answer.packet).tcp;
        match answer.limit {
            RateLimit::Shared => assert!(tcp.syn),
            RateLimit::Source => assert!(self.client.offset_of(tcp.acknowledgment_number) > 31),
            limit => assert_eq!((limit, tcp.syn), (RateLimit::None, false)),
        }
        self.answered += 1;
        self.back.push_back(answer);
    }

    /// One answer reaches the client, which may have to say something to that.
    fn bring_back(&mut self, place: usize) -> Option<Taken> {
        let answer = self.back.remove(place)?;
        let heard = read_reply(&answer.packet);
        let una = self.client.una();
        let taken = self.client.receive(&answer.packet, self.now_ms);
        match &taken {
            Taken::Acknowledged | Taken::Old => {}
            Taken::Connected(ack) | Taken::Read(ack) => self.acknowledge(ack.clone()),
            Taken::Rejected(ack) => {
                // Whatever acknowledges no less than all before it must pass, if it comes in order and
                // not within a step of the clock or two: a probe and data that were sent in one
                // round trip may be answered so that the second answer has the smaller TSval. The
                // same may be when an octet of ours was on its way.
                let news = heard.tcp.acknowledgment_number.wrapping_sub(una) <= u32::MAX / 2;
                let stamps = self.client.recent().zip(heard.options.timestamps);
                let step =
                    stamps.is_some_and(|(recent, (value, _))| recent.wrapping_sub(value) < 512);
                assert!(
                    !self.ordered || !news || heard.tcp.syn || step || self.policy == DRIP,
                    "an answer in order is rejected: {heard:?}"
                );
                self.acknowledge(ack.clone());
            }
        }
        Some(taken)
    }

    /// The client has an acknowledgment to send. With 31 octets in flight, modulo 32, it would pass for
    /// a probe, which is a limit of what a stamp can tell (`unsent`): then it does not.
    fn acknowledge(&mut self, ack: Vec<u8>) {
        let in_flight = self.client.sent() - self.client.acknowledged();
        if in_flight % 32 != 31 || !self.client.stamps() {
            self.there.push_back(ack);
        }
    }

    /// Lets everything arrive, and what comes of it.
    fn settle(&mut self) {
        let mut packets = 0;
        while !(self.there.is_empty() && self.back.is_empty()) {
            let waiting = self.there.len() + self.back.len();
            self.reach(0);
            self.bring_back(0);
            packets += 1;
            assert!(
                packets < 1000,
                "{waiting} packets still wait: they feed themselves"
            );
        }
    }

    /// What a patient client does until no more is taken from it: without timestamps that is all but the
    /// last octet, with them all but the FIN.
    fn calm_down(&mut self) {
        let kept = u32::from(!self.client.stamps());
        for _ in 0..10_000 {
            self.settle();
            if !self.client.connected() {
                self.step(Step::Syn);
            } else if self.client.in_flight() > kept {
                // Longer than any patience of the tarpit.
                self.step(Step::Wait(240_000));
                self.step(Step::Retransmit(u32::MAX));
            } else {
                return;
            }
        }
        panic!("the client never has peace: {:?}", self.client);
    }

    /// Sends one segment through a quiet network; gives the one answer to it, as the client took
    /// it.
    fn exchange(&mut self, step: Step) -> Option<(Reply, Taken)> {
        assert!(self.there.is_empty() && self.back.is_empty());
        self.step(step);
        assert_eq!(self.there.len(), 1, "{step:?}");
        self.reach(0);
        let heard = read_reply(&self.back.front()?.packet);
        let taken = self.bring_back(0)?;
        // What the client has to say to that is not answered any more.
        while !self.there.is_empty() {
            self.reach(0);
        }
        assert!(
            self.back.is_empty(),
            "{step:?} is answered, and that again: {heard:?}"
        );
        Some((heard, taken))
    }
}

fn worlds(policies: Vec<Policy>) -> impl Strategy<Value = World> {
    (
        address_pairs(),
        any::<(u16, u16)>(),
        (numbers(), numbers(), numbers()),
        (keys(), prop::sample::select(policies)),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(addresses, ports, numbers, (key, policy), (timestamps, ordered))| {
                let setup = Setup {
                    local: (addresses.0, ports.0),
                    remote: (addresses.1, ports.1),
                    iss: numbers.0,
                    timestamps,
                    clock_offset: numbers.1,
                    policy,
                };
                World::new(setup, key, numbers.2, ordered)
            },
        )
}

/// A client and a network that does what the script says, and then nothing but wait.
fn hold_one(mut world: World, script: Vec<Step>, pauses: Vec<u32>) -> Result<(), TestCaseError> {
    // The client checks every answer (`Client::receive`), the world every exchange.
    world.step(Step::Syn);
    for step in script {
        world.step(step);
    }
    world.calm_down();
    prop_assert!(world.answered <= world.reached);

    // From now on the client only waits.
    let stamps = world.client.stamps();
    let received = world.client.acknowledged();
    world.exchange(Step::KeepAliveWithOctet).unwrap();
    for pause in pauses {
        world.step(Step::Wait(pause));
        let una = world.client.una();
        let read = world.client.read();

        // Without timestamps only a keep-alive before the stream can be told from an
        // acknowledgment.
        let probed = world.exchange(Step::Probe);
        if stamps || received == 0 {
            let (heard, taken) = probed.unwrap();
            prop_assert_eq!(heard.tcp.acknowledgment_number, una);
            prop_assert_eq!(taken == Taken::Acknowledged, heard.payload.is_none());
            // The answer before it was given at the end of the last pause, give or take a
            // step of the clock.
            let window = heard.tcp.window_size;
            let talks = stamps && world.policy == DRIP;
            match pause {
                0..6_200 => prop_assert_eq!(window, 0),
                6_800.. if talks => {
                    prop_assert_eq!(window, 1);
                    prop_assert_eq!(world.client.read(), read + 1);
                }
                6_800..27_200 => prop_assert_eq!(window, 0),
                27_800..59_200 if stamps => prop_assert_eq!(window, 1),
                59_800.. if stamps => {
                    prop_assert_eq!(window, rule(&world.policy).last_chance(MSS));
                }
                _ => prop_assert!(stamps || window == 0),
            }
        } else {
            prop_assert_eq!(probed, None);
        }

        let (heard, taken) = world.exchange(Step::KeepAliveWithOctet).unwrap();
        prop_assert_eq!(heard.payload, None);
        prop_assert_eq!(heard.tcp.window_size, 0);
        if stamps || received == 0 {
            prop_assert_eq!(heard.tcp.acknowledgment_number, una);
            prop_assert_eq!(taken, Taken::Acknowledged);
        } else {
            // The octet is taken for what the client waits to be rid of.
            prop_assert_eq!(heard.tcp.acknowledgment_number, una.wrapping_sub(1));
            prop_assert_eq!(taken, Taken::Old);
        }
        prop_assert_eq!(world.client.acknowledged(), received);

        let ack = world.client.acknowledge(world.now_ms).unwrap();
        let said = world.ask(&ack);
        // Without timestamps, the one that ends the handshake looks the same.
        prop_assert!([Err(DropReason::BareAck), Err(DropReason::HandshakeAck)].contains(&said));
    }
    Ok(())
}

proptest! {
    #![proptest_config(tries(1000))]

    #[test]
    fn a_client_is_held_whatever_the_network_does(
        world in worlds(vec![PLAIN, DRIP]),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        hold_one(world, script, pauses)?;
    }

    #[test]
    fn a_client_with_a_wide_window_is_held_whatever_the_network_does(
        world in worlds(vec![LINUX]),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        hold_one(world, script, pauses)?;
    }

    #[test]
    fn a_client_with_the_window_of_the_rule_is_held_whatever_the_network_does(
        world in worlds([1, 25, 1000].map(|window| Policy { window, ..PLAIN }).to_vec()),
        script in prop::collection::vec(steps(), 0..60),
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        hold_one(world, script, pauses)?;
    }

    #[test]
    fn a_client_that_only_keeps_alive_is_always_answered(
        mut world in worlds(POLICIES.to_vec()),
        wrote in 0u32..40,
        pauses in prop::collection::vec(pauses(), 6),
    ) {
        world.step(Step::Syn);
        world.settle();
        if wrote > 0 {
            world.step(Step::Write(wrote));
        }
        world.calm_down();
        // Without timestamps only before any data: after them it would pass for an acknowledgment.
        if world.client.stamps() || wrote == 0 {
            for pause in pauses {
                world.step(Step::Wait(pause));
                let una = world.client.una();
                let probed = world.exchange(Step::Probe);
                prop_assert!(probed.is_some(), "a keep-alive after {} ms", pause);
                prop_assert_eq!(probed.unwrap().0.tcp.acknowledgment_number, una);
            }
        }
    }

    #[test]
    fn a_client_that_probes_with_octets_gets_rid_of_one_in_a_while(
        mut world in worlds(POLICIES.to_vec()),
        pauses in prop::collection::vec(pauses(), 40),
    ) {
        world.step(Step::Syn);
        world.settle();
        let stamps = world.client.stamps();
        let patience = if world.policy == DRIP { 6_500 } else { 90_000 };
        // The first is taken at once, and those without timestamps never.
        let (heard, _) = world.exchange(Step::ProbeWithOctet).unwrap();
        prop_assert_eq!(heard.tcp.window_size, 0);
        prop_assert_eq!(world.client.acknowledged(), u32::from(stamps));
        for pause in pauses {
            world.step(Step::Wait(pause));
            let before = world.client.acknowledged();
            // Each is answered.
            let (heard, _) = world.exchange(Step::ProbeWithOctet).unwrap();
            prop_assert_eq!(heard.tcp.window_size, 0);
            let taken = world.client.acknowledged() - before;
            if !stamps {
                prop_assert_eq!(taken, 0);
            } else if pause.abs_diff(patience) > 600 {
                // Nearer to the end of the patience than a step of the clock or two, anything may be.
                prop_assert_eq!(taken, u32::from(pause > patience));
            }
        }
    }
}
