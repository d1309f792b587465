// SPDX-License-Identifier: GPL-2.0

//! The two flows of the fixtures, and what is asserted of their segments.

use tarpit::{Addresses, DropReason, Env, Packet, Policy, RateLimit, Reply, SegmentClass, V4, V6};

use super::packet::{dump, hex, packet, summed, Look, OURS, THEIRS};
use super::{ask, hear, Family, ReplyPacket, KEY, MSS, PLAIN};

/// One family's flow of the fixtures: port 40000 of a documentation address to port 23 of another.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The family.
    pub family: Family,
    /// The peer.
    pub source: &'static str,
    /// The tarpit.
    pub destination: &'static str,
    /// Our ISN when the client's is 10000000, under [`KEY`].
    pub isn: u32,
    /// Our ISN when the client's is fffffffa: its stream crosses zero after five octets.
    pub wrapping_isn: u32,
    /// Our ISN when the client's is 1000 and anything, and we drip.
    pub talking_isn: u32,
    /// What the flow adds to its stamps.
    pub stamp_offset: u32,
    /// The flow's own number: IPv6 flow labels, and where IPv4 identifications start.
    pub label: u32,
    /// The rule.
    pub policy: Policy,
}

/// The fixtures of both families. The numbers come from a second implementation of `isn.rs`'
/// definition, in another language: SipHash-2-4, four Feistel rounds.
pub const BOTH: [Host; 2] = [
    Host {
        family: Family::V4,
        source: "192.0.2.1",
        destination: "198.51.100.2",
        isn: 0x3a8c_5d75,
        wrapping_isn: 0x3bdb_e962,
        talking_isn: 0xec97_7f05,
        stamp_offset: 0xcd0e_d878,
        label: 0xb17c_29a9,
        policy: PLAIN,
    },
    Host {
        family: Family::V6,
        source: "2001:db8:0:1::1",
        destination: "2001:db8:0:2::2",
        isn: 0x1988_f978,
        wrapping_isn: 0xbf6a_2314,
        talking_isn: 0x5c35_c187,
        stamp_offset: 0x34c7_eef3,
        label: 0x1b62_3df3,
        policy: PLAIN,
    },
];

/// What the clock says unless a row says otherwise: 45 of the step that starts at 50000000, all in
/// hexadecimal.
pub const CLOCK: u32 = 0x5000_0045;

impl Host {
    /// The same flow under another rule.
    pub fn under(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The bytes of a segment written as hexadecimal text, where white space is nothing. `ISN`, `WRAP`
    /// and `TALK`, also with a distance (`ISN+1`), stand for our numbers, `@50000000` for that stamp on
    /// the wire, and `SUM` for the checksum, which is right when the text is a packet from `source` to
    /// `destination`.
    pub fn segment(&self, source: &str, destination: &str, text: &str) -> Vec<u8> {
        let mut tcp = Vec::new();
        let mut sum_at = None;
        for word in text.split_whitespace() {
            let (name, distance) = word.split_once('+').unwrap_or((word, "0"));
            let distance = || distance.parse::<u32>().unwrap();
            let isn = match name {
                "ISN" => Some(self.isn),
                "WRAP" => Some(self.wrapping_isn),
                "TALK" => Some(self.talking_isn),
                _ => None,
            };
            if let Some(isn) = isn {
                tcp.extend(isn.wrapping_add(distance()).to_be_bytes());
            } else if let Some(stamp) = word.strip_prefix('@') {
                let stamp = u32::from_str_radix(stamp, 16).unwrap();
                tcp.extend(stamp.wrapping_add(self.stamp_offset).to_be_bytes());
            } else if word == "SUM" {
                assert_eq!(sum_at.replace(tcp.len()), None, "two checksums: {text}");
                tcp.extend([0, 0]);
            } else {
                tcp.extend(hex(word));
            }
        }
        match sum_at {
            Some(16) => summed(source.parse().unwrap(), destination.parse().unwrap(), tcp),
            _ => panic!("the checksum is not in its place: {text}"),
        }
    }

    /// A packet of the peer.
    pub fn asked(&self, text: &str) -> Vec<u8> {
        self.marked(0, text)
    }

    /// A packet of the peer with this ECN field.
    pub fn marked(&self, ecn: u8, text: &str) -> Vec<u8> {
        let tcp = self.segment(self.source, self.destination, text);
        let (source, destination) = (self.source, self.destination);
        let class = THEIRS.class | ecn;
        packet(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            Look { class, ..THEIRS },
            &tcp,
        )
    }

    /// A packet of the tarpit when the clock says `clock`.
    pub fn answer_at(&self, clock: u32, text: &str) -> Vec<u8> {
        let tcp = self.segment(self.destination, self.source, text);
        let (source, destination) = (self.destination, self.source);
        // Packets of a connection are counted, SYN-ACK and RST are not.
        let [_, _, a, b] = self.label.wrapping_add(clock >> 16).to_be_bytes();
        let id = match tcp[13] & 0x06 {
            0 => u16::from_be_bytes([a, b]),
            _ => 0,
        };
        let look = Look {
            id,
            label: self.label & 0xf_ffff,
            hop_limit: self.policy.hop_limit,
            ..OURS
        };
        packet(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            look,
            &tcp,
        )
    }

    /// A packet of the tarpit at [`CLOCK`].
    pub fn answer(&self, text: &str) -> Vec<u8> {
        self.answer_at(CLOCK, text)
    }

    /// What is said to a packet in this world, before it is written.
    pub fn said(&self, packet: &[u8], env: &Env<'_>) -> (Reply, RateLimit) {
        let (said, limit, _) =
            hear(env, MSS, self.policy, self.family, packet, packet.len()).unwrap();
        (said, limit)
    }

    /// What the core says that a segment is, when the clock says `clock`.
    pub fn kind_at(&self, clock: u32, asked: &str) -> SegmentClass {
        fn class<A: Addresses>(host: &Host, packet: &[u8], env: &Env<'_>) -> SegmentClass {
            match Packet::<A>::parse(packet, packet.len()) {
                Ok(parsed) => parsed.class(&parsed.respond(&host.policy, env)),
                Err(why) => why.class(),
            }
        }
        let env = Env {
            key: &KEY,
            now_ms: clock,
            wire: None,
        };
        let packet = self.asked(asked);
        match self.family {
            Family::V4 => class::<V4>(self, &packet, &env),
            Family::V6 => class::<V6>(self, &packet, &env),
        }
    }

    /// The rate limit of the reply to a segment, and the bucket of its source.
    #[track_caller]
    pub fn limit_and_bucket(&self, asked: &str) -> (RateLimit, u32) {
        fn bucket<A: Addresses>(packet: &[u8]) -> u32 {
            let parsed = Packet::<A>::parse(packet, packet.len()).unwrap();
            parsed.source_bucket(&KEY)
        }
        let packet = self.asked(asked);
        let bucket = match self.family {
            Family::V4 => bucket::<V4>(&packet),
            Family::V6 => bucket::<V6>(&packet),
        };
        (self.limit(asked), bucket)
    }

    /// What the core says to a packet when the clock says `clock`.
    pub fn ask_at(
        &self,
        clock: u32,
        headers: &[u8],
        len: usize,
    ) -> Result<ReplyPacket, DropReason> {
        ask(self.policy, self.family, headers, len, &KEY, clock)
    }

    /// What the core says to a packet at [`CLOCK`].
    pub fn ask(&self, packet: &[u8]) -> Result<ReplyPacket, DropReason> {
        self.ask_at(CLOCK, packet, packet.len())
    }

    /// Asserts that one segment is answered with another, byte for byte, when the clock says
    /// `clock`.
    #[track_caller]
    pub fn answers_at(&self, clock: u32, asked: &str, answer: &str) {
        let packet = self.asked(asked);
        let given = self.ask_at(clock, &packet, packet.len());
        let given = given.map(|answer| dump(&answer.packet));
        let answer = dump(&self.answer_at(clock, answer));
        assert_eq!(given, Ok(answer), "{:?}: {asked}", self.policy);
    }

    /// Asserts that one segment is answered with another, byte for byte, at [`CLOCK`].
    #[track_caller]
    pub fn answers(&self, asked: &str, answer: &str) {
        self.answers_at(CLOCK, asked, answer);
    }

    /// Asserts that a segment is not answered, and why, when the clock says `clock`.
    #[track_caller]
    pub fn ignores_at(&self, clock: u32, asked: &str, why: DropReason) {
        let packet = self.asked(asked);
        let given = self.ask_at(clock, &packet, packet.len());
        assert_eq!(given, Err(why), "{:?}: {asked}", self.policy);
    }

    /// Asserts that a segment is not answered, and why, at [`CLOCK`].
    #[track_caller]
    pub fn ignores(&self, asked: &str, why: DropReason) {
        self.ignores_at(CLOCK, asked, why);
    }

    /// The answer to a segment when the clock says `clock`.
    #[track_caller]
    pub fn given_at(&self, clock: u32, asked: &str) -> ReplyPacket {
        let packet = self.asked(asked);
        self.ask_at(clock, &packet, packet.len()).unwrap()
    }

    /// The budget that the answer to a segment draws from.
    #[track_caller]
    pub fn limit(&self, asked: &str) -> RateLimit {
        self.given_at(CLOCK, asked).limit
    }
}
