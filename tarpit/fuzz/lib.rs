// SPDX-License-Identifier: GPL-2.0

//! The parts that the fuzz targets share: hosts whose replies are compared with the oracle, and a
//! client that opens a connection and then sends whatever the fuzzer makes.

#[path = "../tests/common/mod.rs"]
pub mod common;

use std::fmt::Debug;
use std::net::IpAddr;

use common::{
    ask_oracle, hear, packet, read_reply, Family, Fields, Look, ReplyPacket, HONEYPOT, KEY, MSS,
    THEIRS,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use oracle::Reply;
use tarpit::frozen::track_rcv_nxt;
use tarpit::{Addresses, DropReason, Env, Key, Policy, Rule, V4, V6};

/// A rule and the world of the host that has it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Host {
    /// One of [`RULES`], or none, when the octets of the window say what it is.
    rule: u8,
    ttl: u8,
    window: u16,
    key: [u64; 2],
    mss: u16,
}

/// Variant, profile and flags of the rules that there are.
const RULES: [[u8; 3]; 5] = [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [2, 0, 0]];

impl Host {
    /// Hosts with the fixtures' key.
    pub fn of_every_mode() -> impl Iterator<Item = Self> {
        (0..RULES.len()).map(|rule| Self {
            // CAST: five.
            rule: rule as u8,
            ttl: 0,
            window: 0,
            key: KEY.0,
            mss: MSS,
        })
    }

    /// How the rule answers, if there is such a rule.
    fn policy(&self) -> Option<Policy> {
        let [bits, window] = self.window.to_be_bytes();
        let rule = match RULES.get(usize::from(self.rule) % (RULES.len() + 1)) {
            Some(&[variant, profile, flags]) => Rule {
                variant,
                profile,
                flags,
                ttl: self.ttl,
                window: if (variant, flags) == (2, 0) || flags == 1 {
                    0
                } else {
                    self.window
                },
                reserved: [0; 2],
            },
            None => Rule {
                variant: bits & 3,
                profile: bits >> 2 & 3,
                flags: bits >> 4 & 7,
                ttl: self.ttl,
                window: window.into(),
                reserved: [0, bits >> 7],
            },
        };
        Policy::from_rule(&rule)
    }

    /// Whether its rule takes all data.
    pub fn is_honeypot(&self) -> bool {
        self.policy()
            .is_some_and(|policy| policy.mode == HONEYPOT.mode)
    }

    /// Returns the reply of the host to a packet of `len` bytes of which `headers` can be read.
    /// Asserts that the oracle expects it, and that the same packet gets the same reply again.
    pub fn ask(
        &self,
        now_ms: u32,
        family: Family,
        headers: &[u8],
        len: usize,
    ) -> Result<(ReplyPacket, Reply), DropReason> {
        let env = Env {
            key: &Key(self.key),
            now_ms,
            wire: None,
        };
        let policy = self.policy().ok_or(DropReason::NotOurs)?;
        let ask = || ask_oracle(&env, self.mss, policy, family, headers, len);
        let given = ask()?;
        assert_eq!(ask().as_ref(), Ok(&given));
        let reply = read_reply(&given.packet);
        Ok((given, reply))
    }

    /// Lets `entry` remember a segment of a running connection, and asserts that no more is acknowledged than came
    /// before it, the same each time.
    fn remember(&self, entry: &mut u64, now_ms: u32, family: Family, headers: &[u8], len: usize) {
        let env = Env {
            key: &Key(self.key),
            now_ms,
            wire: None,
        };
        let Some(policy) = self.policy() else {
            return;
        };
        let Ok((said, ..)) = hear(&env, self.mss, policy, family, headers, len) else {
            return;
        };
        if let Some(freeze) = said.freeze {
            let flow = said.flow.hash();
            let (new, ack) = track_rcv_nxt(*entry, flow, said.ack, freeze, now_ms);
            assert!(ack.since(said.ack) <= 0);
            let again = track_rcv_nxt(new, flow, said.ack, freeze, now_ms);
            assert_eq!(again.1, ack);
            *entry = new;
        }
    }
}

/// A version of IP.
pub trait Version: Addresses + Debug + PartialEq {
    /// These addresses.
    fn of(source: IpAddr, destination: IpAddr) -> Self;
}

impl Version for V4 {
    fn of(source: IpAddr, destination: IpAddr) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::new(source.octets(), destination.octets())
            }
            ends => panic!("{ends:?}"),
        }
    }
}

impl Version for V6 {
    fn of(source: IpAddr, destination: IpAddr) -> Self {
        match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Self::new(source.octets(), destination.octets())
            }
            ends => panic!("{ends:?}"),
        }
    }
}

/// The family of a packet, by its first octet.
pub fn family(packet: &[u8]) -> Family {
    match packet.first() {
        Some(first) if first >> 4 == 6 => Family::V6,
        _ => Family::V4,
    }
}

/// A client's side of a connection, which it may well forget to stick to.
#[derive(Arbitrary, Clone, Debug)]
pub struct Talk {
    v6: bool,
    ports: (u16, u16),
    isn: u32,
    now_ms: u32,
    syn: Options,
    steps: Vec<Step>,
}

/// One segment after the SYN.
#[derive(Arbitrary, Clone, Debug)]
struct Step {
    after: After,
    /// How far SEG.SEQ lies from the last SEG.ACK, SEG.ACK from what it ought to be.
    seq: Distance,
    ack: i8,
    /// Beside ACK; ACK is left out where this has it.
    flags: u8,
    reserved: u8,
    payload: Size,
    options: Options,
    oddity: Oddity,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum After {
    Seconds(u8),
    Milliseconds(u32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Distance {
    Small(i8),
    Any(i32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Size {
    Small(u8),
    Any(u16),
}

#[derive(Arbitrary, Clone, Debug)]
enum Options {
    /// Timestamps, with an echo so far from the last TSval.
    Stamped(i8),
    /// Those of Linux' SYN.
    All(i8),
    None,
    Any(Vec<u8>),
}

/// What is odd about the packet.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Oddity {
    None,
    Ecn(u8),
    /// An octet is another.
    Bent(u8, u8),
    /// Fewer bytes can be read.
    Cut(u8),
    /// The packet is of another length.
    Long(u32),
}

impl Talk {
    /// Plays it, and gives the last packet and when it was sent.
    pub fn play(&self, host: &Host) -> (Vec<u8>, u32) {
        let ends: [IpAddr; 2] = if self.v6 {
            ["2001:db8:0:1::1", "2001:db8:0:2::2"].map(|end| end.parse().unwrap())
        } else {
            ["192.0.2.1", "198.51.100.2"].map(|end| end.parse().unwrap())
        };
        let mut now_ms = self.now_ms;
        // RCV.NXT, SND.UNA and TS.Recent: a stranger's until the SYN-ACK comes.
        let (mut next, mut una, mut recent) = (0xcafe_babe_u32, self.isn.wrapping_add(1), 0);
        let syn = Step {
            after: After::Seconds(0),
            seq: Distance::Small(-1),
            ack: 0,
            flags: 0x12,
            reserved: 0,
            payload: Size::Small(0),
            options: self.syn.clone(),
            oddity: Oddity::None,
        };
        let mut last = vec![];
        let mut entry = 0;
        for step in [&syn].into_iter().chain(self.steps.iter().take(16)) {
            now_ms = now_ms.wrapping_add(match step.after {
                After::Seconds(seconds) => u32::from(seconds) * 1000,
                After::Milliseconds(ms) => ms,
            });
            let fields = Fields {
                source: self.ports.0,
                destination: self.ports.1,
                seq: match step.seq {
                    Distance::Small(distance) => una.wrapping_add_signed(distance.into()),
                    Distance::Any(distance) => una.wrapping_add_signed(distance),
                },
                ack: next.wrapping_add_signed(step.ack.into()),
                reserved: step.reserved & 0x0f,
                flags: step.flags ^ 0x10,
                window: 502,
                urgent: 0,
                options: step.options.bytes(now_ms, recent),
                payload: match step.payload {
                    Size::Small(len) => len.into(),
                    Size::Any(len) => (len % 60_000).into(),
                },
            };
            let mut look = THEIRS;
            if let Oddity::Ecn(ecn) = step.oddity {
                look = Look {
                    class: look.class | ecn & 3,
                    ..look
                };
            }
            last = packet(ends[0], ends[1], look, &fields.bytes());
            let (mut readable, mut len) = (last.len(), last.len());
            match step.oddity {
                Oddity::Bent(at, bits) => last[usize::from(at) % len] ^= bits,
                Oddity::Cut(at) => readable = usize::from(at).min(len),
                Oddity::Long(other) => len = usize::try_from(other).unwrap(),
                Oddity::None | Oddity::Ecn(_) => {}
            }
            let family = common::family(ends[0]);
            host.remember(&mut entry, now_ms, family, &last[..readable], len);
            if let Ok((_, reply)) = host.ask(now_ms, family, &last[..readable], len) {
                if !reply.tcp.rst {
                    // A FIN of the module's is left out, so what follows is of the same connection.
                    let len = reply.sequence_len() - u32::from(reply.tcp.fin);
                    next = reply.tcp.sequence_number.wrapping_add(len);
                    una = reply.tcp.acknowledgment_number;
                    recent = reply.options.timestamps.map_or(0, |(value, _)| value);
                }
            }
        }
        (last, now_ms)
    }
}

impl Options {
    fn bytes(&self, now_ms: u32, recent: u32) -> Vec<u8> {
        let stamps = |distance: i8| {
            let echo = recent.wrapping_add_signed(distance.into());
            [now_ms.wrapping_mul(7).to_be_bytes(), echo.to_be_bytes()].concat()
        };
        match self {
            Self::Stamped(distance) => [vec![1, 1, 8, 10], stamps(*distance)].concat(),
            Self::All(distance) => [
                vec![2, 4, 5, 0xb4, 4, 2, 8, 10],
                stamps(*distance),
                vec![1, 3, 3, 7],
            ]
            .concat(),
            Self::None => vec![],
            Self::Any(bytes) => bytes[..bytes.len().min(40)].to_vec(),
        }
    }
}
