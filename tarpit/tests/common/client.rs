// SPDX-License-Identifier: GPL-2.0

//! A model client: the TCP sender that a tarpit holds, as far as the two can tell each other
//! anything.
//!
//! It keeps the variables of RFC 9293, 3.3.1, and checks what it is told against what it did: that
//! is the oracle of the properties. It has no timers and no socket buffer; who drives it says what
//! it sends and when. Where Linux 7.3 is stricter than the RFCs it is Linux: an acknowledgment
//! older than SND.UNA leaves TS.Recent alone (tcp_ack).

use oracle::{ACK, BANNER, FIN, PSH, SYN};
use std::net::IpAddr;

use tarpit::Policy;

use super::{client_packet, read_reply, rule, DRIP, MSS};

/// One end of a connection.
pub type End = (IpAddr, u16);

/// What a client is like.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Where it is.
    pub local: End,
    /// Where the tarpit is.
    pub remote: End,
    /// Its initial sequence number.
    pub iss: u32,
    /// Whether it offers timestamps.
    pub timestamps: bool,
    /// Where its timestamp clock starts.
    pub clock_offset: u32,
    /// The tarpit's rule: what windows it may offer, and whether it may send octets.
    pub policy: Policy,
}

impl Setup {
    /// The window of the SYN-ACK in bytes.
    fn first_window(&self) -> u32 {
        rule(&self.policy).first_window(MSS, self.timestamps).into()
    }

    /// The windows that may be offered later: none, a unit, a last chance.
    fn later_windows(&self) -> [u16; 3] {
        [0, 1, rule(&self.policy).last_chance(MSS)]
    }

    /// The shift count of windows after the SYN-ACK's.
    fn window_scale(&self) -> u8 {
        rule(&self.policy).window_scale()
    }
}

/// A client and its connection.
#[derive(Clone, Debug)]
pub struct Client {
    setup: Setup,
    /// SND.UNA.
    una: u32,
    /// SND.NXT.
    next: u32,
    /// The right edge of the window, SND.UNA + SND.WND.
    edge: u32,
    /// The rightmost edge that there ever was, in octets of the stream.
    offered: u32,
    /// IRS + 1, once the SYN-ACK is here.
    peer: Option<u32>,
    /// How many octets it has read.
    read: u32,
    /// TS.Recent, when both sides do timestamps.
    recent: Option<u32>,
    /// The sequence number of the FIN, once it was sent.
    fin: Option<u32>,
}

/// What a client makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The SYN-ACK: the handshake's last ACK is owed.
    Connected(Vec<u8>),
    /// A valid acknowledgment.
    Acknowledged,
    /// The same with the next octet of the banner. An ACK is owed.
    Read(Vec<u8>),
    /// An acknowledgment of less than is known already: ignored.
    Old,
    /// Not acceptable: a timestamp below TS.Recent, a sequence number from before an octet that was
    /// read, or another SYN-ACK. An ACK is owed.
    Rejected(Vec<u8>),
}

impl Client {
    /// A client that has sent nothing yet.
    pub fn new(setup: Setup) -> Self {
        let next = setup.iss.wrapping_add(1);
        Self {
            setup,
            una: setup.iss,
            next,
            edge: next,
            offered: 0,
            peer: None,
            read: 0,
            recent: None,
            fin: None,
        }
    }

    /// Whether the handshake is done.
    pub fn connected(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether the connection does timestamps.
    pub fn stamps(&self) -> bool {
        self.recent.is_some()
    }

    /// How many octets of the stream are acknowledged.
    pub fn acknowledged(&self) -> u32 {
        since(self.una, self.setup.iss.wrapping_add(1))
    }

    /// How many octets were sent, with the FIN.
    pub fn sent(&self) -> u32 {
        since(self.next, self.setup.iss.wrapping_add(1))
    }

    /// How far this number lies behind the SYN, in octets of the stream.
    pub fn offset_of(&self, seq: u32) -> u32 {
        since(seq, self.setup.iss.wrapping_add(1))
    }

    /// SND.UNA.
    pub fn una(&self) -> u32 {
        self.una
    }

    /// How many octets are on their way, without the FIN.
    pub fn in_flight(&self) -> u32 {
        since(self.fin.unwrap_or(self.next), self.una)
    }

    /// How many octets of ours it has read.
    pub fn read(&self) -> u32 {
        self.read
    }

    /// The SYN, first or again.
    pub fn syn(&self, now_ms: u32) -> Vec<u8> {
        let clock = self.clock(now_ms).to_be_bytes();
        let mut options = vec![2, 4, 5, 0xb4];
        if self.setup.timestamps {
            options.extend([4, 2, 8, 10]);
            options.extend(clock);
            options.extend([0; 4]);
        } else {
            options.extend([1, 1, 4, 2]);
        }
        options.extend([1, 3, 3, 7]);
        self.segment(self.setup.iss, 0, SYN, options, 0)
    }

    /// As much of `count` new octets as the window takes, unless that is none; with PSH if it takes them
    /// all.
    pub fn write(&mut self, count: u32, now_ms: u32) -> Option<Vec<u8>> {
        let room = self.edge.wrapping_sub(self.next);
        let room = if room > u32::MAX / 2 { 0 } else { room };
        let push = if count <= room { PSH } else { 0 };
        let count = count.min(room);
        if count == 0 || self.fin.is_some() || !self.connected() {
            return None;
        }
        let seq = self.next;
        self.next = seq.wrapping_add(count);
        Some(self.data(seq, count, push, now_ms))
    }

    /// The first `count` octets that are not acknowledged, again, with the FIN when it comes next.
    pub fn retransmit(&mut self, count: u32, now_ms: u32) -> Option<Vec<u8>> {
        if !self.connected() || self.una == self.next {
            return None;
        }
        let end = self.fin.unwrap_or(self.next);
        let count = count.min(since(end, self.una));
        let fin = match self.fin {
            Some(fin) if self.una.wrapping_add(count) == fin => FIN,
            _ => 0,
        };
        (count > 0 || fin != 0).then(|| self.data(self.una, count, fin, now_ms))
    }

    /// The FIN.
    pub fn close(&mut self, now_ms: u32) -> Option<Vec<u8>> {
        if !self.connected() || self.fin.is_some() {
            return None;
        }
        let seq = self.next;
        self.fin = Some(seq);
        self.next = seq.wrapping_add(1);
        Some(self.data(seq, 0, FIN, now_ms))
    }

    /// TS.Recent (RFC 7323, 4.3).
    pub fn recent(&self) -> Option<u32> {
        self.recent
    }

    /// A window probe or a keep-alive of Linux: empty, at SND.UNA - 1.
    pub fn probe(&self, now_ms: u32) -> Option<Vec<u8>> {
        self.connected()
            .then(|| self.data(self.una.wrapping_sub(1), 0, 0, now_ms))
    }

    /// A keep-alive of Windows: one octet of garbage at SND.UNA - 1 (RFC 1122, 4.2.3.6).
    pub fn keep_alive_with_octet(&self, now_ms: u32) -> Option<Vec<u8>> {
        self.connected()
            .then(|| self.data(self.una.wrapping_sub(1), 1, 0, now_ms))
    }

    /// A window probe of BSD: the octet at SND.UNA, whether or not it was sent before.
    pub fn probe_with_octet(&mut self, now_ms: u32) -> Option<Vec<u8>> {
        if !self.connected() || self.fin.is_some() {
            return None;
        }
        if self.next == self.una {
            self.next = self.una.wrapping_add(1);
            // Beyond any window, as probes are.
            self.offered = self.offered.max(self.sent());
        }
        Some(self.data(self.una, 1, 0, now_ms))
    }

    /// An acknowledgment that nothing asked for.
    pub fn acknowledge(&self, now_ms: u32) -> Option<Vec<u8>> {
        self.connected().then(|| self.data(self.next, 0, 0, now_ms))
    }

    /// Takes an answer in.
    ///
    /// # Panics
    ///
    /// When no correct receiver would have sent it: it acknowledges the FIN or what was never sent, or
    /// its octet is not the one that belongs there.
    pub fn receive(&mut self, packet: &[u8], now_ms: u32) -> Taken {
        let heard = read_reply(packet);
        let tcp = &heard.tcp;
        let (local, remote) = (self.setup.local, self.setup.remote);
        assert_eq!((heard.source, tcp.source_port), remote);
        assert_eq!((heard.destination, tcp.destination_port), local);
        assert!(!tcp.rst && !tcp.fin && tcp.ack, "{tcp:?}");
        let seq = tcp.sequence_number;
        let ack = tcp.acknowledgment_number;
        let first = self.setup.iss.wrapping_add(1);
        let stamp = heard.options.timestamps.map(|(value, _)| value);

        let Some(peer) = self.peer else {
            // RFC 9293, 3.10.7.3. The window of a SYN-ACK is never scaled (RFC 7323, 2.2).
            assert!(tcp.syn, "{tcp:?}");
            let window = u32::from(tcp.window_size);
            assert_eq!((ack, window), (first, self.setup.first_window()));
            self.una = ack;
            self.edge = ack.wrapping_add(window);
            self.offered = window;
            self.peer = Some(seq.wrapping_add(1));
            self.recent = stamp;
            assert_eq!(stamp.is_some(), self.setup.timestamps);
            return Taken::Connected(self.data(self.next, 0, 0, now_ms));
        };
        if tcp.syn {
            // The answer to a SYN that was sent twice.
            let window = u32::from(tcp.window_size);
            assert_eq!((ack, window), (first, self.setup.first_window()));
            assert_eq!(seq, peer.wrapping_sub(1));
            return Taken::Rejected(self.data(self.next, 0, 0, now_ms));
        }

        // RFC 7323, 5.3: R1.
        assert_eq!(stamp.is_some(), self.recent.is_some());
        // Whatever becomes of it, its octet is the one that belongs there, and none is left out.
        let place = since(seq, peer);
        assert!(place <= self.read, "octet {place} after {}", self.read);
        if let Some(octet) = heard.payload {
            assert!(self.setup.policy == DRIP && self.recent.is_some());
            assert_eq!(
                octet,
                BANNER[usize::try_from(place).unwrap() % BANNER.len()]
            );
        }
        let windows = self.setup.later_windows();
        assert!(windows.contains(&tcp.window_size), "{tcp:?}");
        let window = u32::from(tcp.window_size) << self.setup.window_scale();
        if let (Some(stamp), Some(recent)) = (stamp, self.recent) {
            if stamp.wrapping_sub(recent) > u32::MAX / 2 {
                return Taken::Rejected(self.data(self.next, 0, 0, now_ms));
            }
        }
        // No more than was sent and than there was a window for, nor the FIN, nor what was before the
        // stream.
        let received = since(ack, first);
        let sent = since(self.fin.unwrap_or(self.next), first);
        assert!(received <= sent, "{received} octets of {sent}: {tcp:?}");
        assert!(received <= self.offered, "{received} octets: {tcp:?}");
        if place + u32::from(heard.payload.is_some()) < self.read {
            return Taken::Rejected(self.data(self.next, 0, 0, now_ms));
        }
        if received < self.acknowledged() {
            return Taken::Old;
        }
        self.una = ack;
        self.edge = ack.wrapping_add(window);
        self.offered = self.offered.max(received + window);
        self.recent = stamp;
        if heard.payload.is_some() {
            self.read = place + 1;
            return Taken::Read(self.data(self.next, 0, 0, now_ms));
        }
        Taken::Acknowledged
    }

    fn clock(&self, now_ms: u32) -> u32 {
        now_ms.wrapping_add(self.setup.clock_offset)
    }

    /// A segment of the connection.
    fn data(&self, seq: u32, count: u32, flags: u8, now_ms: u32) -> Vec<u8> {
        let mut options = vec![];
        if let Some(recent) = self.recent {
            options.extend([1, 1, 8, 10]);
            options.extend(self.clock(now_ms).to_be_bytes());
            options.extend(recent.to_be_bytes());
        }
        let ack = self.peer.unwrap_or_default().wrapping_add(self.read);
        let count = usize::try_from(count).unwrap();
        self.segment(seq, ack, flags | ACK, options, count)
    }

    fn segment(&self, seq: u32, ack: u32, flags: u8, options: Vec<u8>, payload: usize) -> Vec<u8> {
        let Setup { local, remote, .. } = self.setup;
        client_packet(local, remote, (seq, ack), flags, options, payload)
    }
}

/// How far `seq` lies after `earlier`.
fn since(seq: u32, earlier: u32) -> u32 {
    seq.wrapping_sub(earlier)
}
