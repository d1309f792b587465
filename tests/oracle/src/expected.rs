// SPDX-License-Identifier: GPL-2.0

//! The exact reply to a segment, for the holder of the key.

use crate::{
    Mode, Reply, Rule, Segment, ACK, BANNER, CWR, ECE, FIN, FIRST_WINDOW, MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_HONEYPOT, PSH, RST, SYN,
};

/// The step of the timestamp clock in milliseconds.
const STEP_MS: u32 = 256;

/// How far into its stream a segment of a held connection may start, in bytes.
const MAX_OFFSET: i64 = 1 << 17;

/// The same for a honeypot, and if TSecr is a recent stamp.
const MAX_OFFSET_HONEYPOT: i64 = 1 << 24;
const MAX_OFFSET_RECENT: i64 = 1 << 30;

/// The ages of a recent stamp in milliseconds: two hours. The clock of another CPU may be a step
/// ahead.
const RECENT_MS: std::ops::Range<i32> = -256..(1 << 23) - 256;

/// The window that a reply offered, and why: the three bits of a timestamp cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The window of the SYN-ACK.
    Initial,
    /// None, to data.
    Zero,
    /// None, to a probe.
    ZeroOnProbe,
    /// One byte, to the first probe.
    OneByteAtRto,
    /// One byte, to a later probe after a short interval.
    OneByteEarly,
    /// One byte, to a later probe after a long interval.
    OneByteLate,
    /// One byte and one of the banner.
    OneByteDrip,
    /// A window that the client uses at once.
    LastChance,
}

impl Offer {
    /// All of them, by their bits.
    pub const ALL: [Self; 8] = [
        Self::Initial,
        Self::Zero,
        Self::ZeroOnProbe,
        Self::OneByteAtRto,
        Self::OneByteEarly,
        Self::OneByteLate,
        Self::OneByteDrip,
        Self::LastChance,
    ];
}

/// What TSecr says: the reply that it echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The bytes that the reply acknowledged: modulo 32, or modulo 256 for a honeypot.
    pub received: u32,
    /// The window that it offered. A honeypot has no such bits.
    pub offer: Offer,
    /// How long ago it was sent in milliseconds.
    pub age_ms: u32,
}

impl Echo {
    /// Returns the stamp of the reply, sent when the clock had this multiple of 256 ms.
    pub fn stamp(&self, mode: Mode, sent_at: u32) -> u32 {
        match mode {
            Mode::Honeypot => sent_at.wrapping_add(self.received),
            _ => sent_at | self.received % 32 << 3 | self.offer as u32,
        }
    }

    /// Reads a stamp, which is TSecr less the offset of the flow.
    pub fn read(mode: Mode, stamp: u32, now_ms: u32) -> Self {
        let low = stamp % STEP_MS;
        let age_ms = now_ms.wrapping_sub(stamp - low);
        // CAST: bits of a byte.
        let offer = Offer::ALL[(low & 7) as usize];
        if mode == Mode::Honeypot {
            return Self {
                received: low,
                offer: Offer::Initial,
                age_ms,
            };
        }
        Self {
            received: low >> 3,
            offer,
            // The stamp may be a step ahead of the clock, or of 24 days ago.
            age_ms: if age_ms > 1 << 31 { 0 } else { age_ms },
        }
    }
}

/// What the numbers of a segment say to the holder of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The sequence number of the first byte of the stream, by SEG.ACK.
    pub first: u32,
    /// How many bytes of a banner SEG.ACK acknowledges.
    pub sent: u16,
    /// What TSecr says, if the segment has timestamps.
    pub echo: Option<Echo>,
}

impl Known {
    /// Returns where in its stream a segment starts, in bytes.
    fn start(&self, sent: &Segment) -> i64 {
        // CAST: two's complement is right for a distance modulo 2^32.
        i64::from(sent.seq.wrapping_sub(self.first) as i32)
    }

    /// Returns true if the numbers of a segment pass for those of a connection of the rule. Those of
    /// a midstream segment do not, except by chance.
    pub fn fits(&self, mode: Mode, sent: &Segment) -> bool {
        let start = self.start(sent);
        // The stamp of a honeypot counts the bytes that it received, so those in flight make it
        // older.
        let is_recent = self.echo.is_some_and(|echo| {
            // CAST: modulo 2^32.
            let age_ms = (i64::from(echo.age_ms) + start - i64::from(echo.received)) as i32;
            RECENT_MS.contains(&age_ms)
        });
        let max_offset = match mode {
            Mode::Honeypot if is_recent => MAX_OFFSET_RECENT,
            Mode::Honeypot => MAX_OFFSET_HONEYPOT,
            _ => MAX_OFFSET,
        };
        (-1..=max_offset).contains(&start)
    }
}

/// The rate limit of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// None.
    None,
    /// The one that all sources share.
    Shared,
    /// That of the source.
    Source,
    /// That of the source, for a connection that is frozen.
    Freeze,
}

/// The reply that the page promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The control bits.
    pub flags: u8,
    /// SEG.SEQ. `None` is the ISN of a SYN-ACK, which only the module knows.
    pub seq: Option<u32>,
    /// SEG.ACK.
    pub ack: u32,
    /// The window field.
    pub window: u16,
    /// The byte that it carries.
    pub payload: Option<u8>,
    /// The rate limit.
    pub limit: Limit,
}

impl Expected {
    /// Returns what this reply is, which is subject to this rate limit.
    pub fn of_reply(reply: &Reply, limit: Limit) -> Self {
        Self {
            flags: reply.flags,
            seq: (!reply.tcp.syn).then_some(reply.tcp.sequence_number),
            ack: reply.tcp.acknowledgment_number,
            window: reply.tcp.window_size,
            payload: reply.payload,
            limit,
        }
    }

    /// Returns the reply of a rule to a segment, or `None` if there is none.
    pub fn reply(rule: &Rule, mss: u16, sent: &Segment, known: &Known) -> Option<Self> {
        match Self::regardless(rule, mss, sent) {
            Some(reply) => reply,
            None if rule.mode == Mode::Honeypot => Connection {
                rule,
                mss,
                sent,
                known,
            }
            .honeypot(),
            None => Connection {
                rule,
                mss,
                sent,
                known,
            }
            .held(),
        }
    }

    /// Returns the reply, or that there is none, if it is the same for all connections.
    pub fn regardless(rule: &Rule, mss: u16, sent: &Segment) -> Option<Option<Self>> {
        if sent.has(RST) {
            return Some(None);
        }
        if rule.mode == Mode::Reset {
            return Some(Some(Self::reset(sent)));
        }
        match [SYN, ACK, FIN].map(|flag| sent.has(flag)) {
            [true, false, false] => Some(Some(Self::syn_ack(rule, mss, sent))),
            [true, true, false] => Some(Some(Self {
                limit: Limit::Source,
                ..Self::reset(sent)
            })),
            [false, true, _] => None,
            _ => Some(None),
        }
    }

    /// Returns the SYN-ACK for a SYN.
    pub(crate) fn syn_ack(rule: &Rule, mss: u16, syn: &Segment) -> Self {
        let ecn = rule.mode == Mode::Linux && syn.has(ECE | CWR) && syn.ecn == 0;
        Self {
            flags: SYN | ACK | if ecn { ECE } else { 0 },
            seq: None,
            ack: syn.seq.wrapping_add(1),
            window: rule.first_window(mss, syn.options.timestamps.is_some()),
            payload: None,
            limit: Limit::Shared,
        }
    }

    /// Returns the reset of `--reset` for a segment.
    pub(crate) fn reset(sent: &Segment) -> Self {
        let (flags, seq, ack) = if sent.has(ACK) {
            (RST, sent.ack, 0)
        } else {
            (RST | ACK, 0, sent.seq.wrapping_add(sent.sequence_len()))
        };
        Self {
            flags,
            seq: Some(seq),
            ack,
            window: 0,
            payload: None,
            limit: Limit::Shared,
        }
    }
}

/// A segment with ACK, and what is known of its connection.
struct Connection<'a> {
    rule: &'a Rule,
    mss: u16,
    sent: &'a Segment,
    known: &'a Known,
}

impl Connection<'_> {
    /// Returns where in its stream the segment starts.
    fn start(&self) -> i64 {
        self.known.start(self.sent)
    }

    /// Returns the length of the payload.
    fn len(&self) -> i64 {
        // CAST: a payload is below 2^31 bytes.
        self.sent.payload as i64
    }

    /// Returns the ACK of the bytes before this position of the stream.
    fn ack(&self, position: i64, window: u16) -> Expected {
        Expected {
            flags: ACK,
            seq: Some(self.sent.ack),
            // CAST: modulo 2^32.
            ack: self.known.first.wrapping_add(position as u32),
            window,
            payload: None,
            limit: Limit::None,
        }
    }

    /// Returns the reply of `--honeypot`.
    fn honeypot(&self) -> Option<Expected> {
        let (start, len, fin) = (self.start(), self.len(), self.sent.has(FIN));
        if !self.known.fits(Mode::Honeypot, self.sent) {
            return None;
        }
        let window = self.rule.first_window(self.mss, self.known.echo.is_some());
        if self.sent.is_empty() {
            let is_keep_alive = match &self.known.echo {
                Some(echo) => (start - i64::from(echo.received)).rem_euclid(256) == 255,
                None => start == -1,
            };
            // It may be an ACK behind 255 bytes in flight, if that many precede it.
            let limit = if start > i64::from(MAX_IN_FLIGHT_HONEYPOT) {
                Limit::Source
            } else {
                Limit::None
            };
            return is_keep_alive.then(|| Expected {
                limit,
                ..self.ack(start + 1, window)
            });
        }
        let ack = self.ack(start + len + i64::from(fin), window);
        Some(Expected {
            flags: ACK | if fin { FIN } else { 0 },
            ..ack
        })
    }

    /// Returns the reply of a rule that holds.
    fn held(&self) -> Option<Expected> {
        let start = self.start();
        if !self.known.fits(self.rule.mode, self.sent) {
            // A midstream segment freezes its connection.
            return (self.len() > 1).then(|| Expected {
                ack: self.sent.seq,
                limit: Limit::Freeze,
                ..self.ack(0, 0)
            });
        }
        // The position is known modulo 32. A FIN of its own lies behind a byte that was not
        // accepted.
        let lone_fin = self.len() == 0 && self.sent.has(FIN);
        let last = start - i64::from(lone_fin) + 1;
        match &self.known.echo {
            Some(echo) => {
                let next = last - (last - i64::from(echo.received)).rem_euclid(32);
                if next < 0 {
                    self.held_without_timestamps()
                } else if self.sent.is_empty() {
                    self.held_probe(next, echo)
                } else {
                    self.held_data(next, echo)
                }
            }
            None => self.held_without_timestamps(),
        }
    }

    /// Returns an ACK, with ECE if the segment was marked.
    fn held_ack(&self, position: i64, window: u16) -> Expected {
        let ece = self.rule.mode == Mode::Linux && self.sent.is_marked() && !self.sent.is_empty();
        Expected {
            flags: ACK | if ece { ECE } else { 0 },
            ..self.ack(position, window)
        }
    }

    /// Returns an ACK with the next byte of the banner. There is none after the last byte for which
    /// the sequence numbers have room.
    fn drip(&self, position: i64, window: u16) -> Expected {
        let sent = self.known.sent;
        let ack = self.held_ack(position, window);
        match sent {
            u16::MAX => ack,
            _ => Expected {
                flags: ACK | PSH,
                payload: Some(BANNER[usize::from(sent) % BANNER.len()]),
                ..ack
            },
        }
    }

    fn held_without_timestamps(&self) -> Option<Expected> {
        let start = self.start();
        let position = match (start, self.len()) {
            (-1, _) => 0,
            (0, 0) if self.sent.has(FIN) => 0,
            (_, 0) => return None,
            (_, 1) => start,
            _ => start + 1,
        };
        Some(self.held_ack(position, 0))
    }

    /// Returns the reply to an empty segment. `next` is RCV.NXT by its echo.
    fn held_probe(&self, next: i64, echo: &Echo) -> Option<Expected> {
        let start = self.start();
        let drip = self.rule.mode == Mode::Drip;
        if echo.offer == Offer::Initial && !drip && start >= 0 || start >= next {
            return None;
        }
        let last_chance = self.rule.last_chance(self.mss);
        let expected = match echo.age_ms {
            6_500.. if drip => self.drip(next, 1),
            _ if echo.offer == Offer::LastChance => self.held_ack(next, last_chance),
            59_488.. => self.held_ack(next, last_chance),
            27_500.. => self.held_ack(next, 1),
            _ => self.held_ack(next, 0),
        };
        // It may be an ACK behind 31 bytes in flight, where the window has room for them.
        let has_room = self.rule.mode == Mode::Linux
            || self.rule.first_window(self.mss, true) >= MAX_IN_FLIGHT
            || echo.offer == Offer::LastChance;
        let limit = if has_room && start > i64::from(MAX_IN_FLIGHT) {
            Limit::Source
        } else {
            Limit::None
        };
        Some(Expected { limit, ..expected })
    }

    /// Returns the reply to data or a FIN. `next` is RCV.NXT by its echo.
    fn held_data(&self, next: i64, echo: &Echo) -> Option<Expected> {
        use Offer::{Initial, LastChance, OneByteAtRto, OneByteDrip, OneByteEarly, OneByteLate};

        let (start, fin) = (self.start(), self.sent.has(FIN));
        let (mode, end) = (self.rule.mode, start + self.len());
        let (drip, linux) = (mode == Mode::Drip, mode == Mode::Linux);
        if self.len() == 0 && echo.offer == Initial && !drip && start >= 1 {
            return None;
        }
        if end <= next {
            return Some(self.held_ack(next, 0));
        }
        if start > next {
            return None;
        }
        let new = end - next;
        let full = match echo.offer {
            Initial => i64::from(self.rule.first_window(self.mss, true)),
            _ => i64::from(FIRST_WINDOW),
        };
        let fills = !linux && new >= full && !fin;
        let accepted = match (echo.offer, echo.age_ms) {
            (Initial | LastChance, _) if fills => full,
            // 29 bytes and the FIN stay in flight, of the 36 that the window had room for.
            (LastChance, _) if !linux => (new - 29).clamp(1, 7),
            (Initial | LastChance, _) => 1,
            (OneByteEarly, 85_000..) | (OneByteLate, 122_000..) | (OneByteAtRto, 147_000..) => 1,
            (OneByteEarly | OneByteLate | OneByteAtRto, _) => return None,
            (OneByteDrip, _) if drip => return Some(self.drip(end, 0)),
            (OneByteDrip, _) => new,
            (_, 6_500..) if drip => return Some(self.drip(next + 1, 0)),
            // A single byte may be a probe.
            (_, ..90_000) if new == 1 => 0,
            (_, 45_000..) => 1,
            _ => return None,
        };
        Some(self.held_ack(next + accepted, 0))
    }
}
