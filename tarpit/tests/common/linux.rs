// SPDX-License-Identifier: GPL-2.0

//! A Linux client that has written and closed, or waits: its persist and retransmission timers, what
//! makes it give up, and a path with a delay and losses, played against the core in virtual time.
//!
//! After net/ipv4/tcp_timer.c, tcp_output.c and tcp_input.c of Linux 7.3: only what decides how long
//! such a client stays and how often it sends. Times are in microseconds.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use tarpit::Policy;

use super::{ask, client_packet, family, read_reply, KEY, LINUX, MSS};

const MS: u64 = 1000;
const SECOND: u64 = 1000 * MS;
/// TCP_RTO_MIN, TCP_RTO_MAX.
const RTO_MIN: u64 = 200 * MS;
const RTO_MAX: u64 = 120 * SECOND;
/// How many segments are sent into the first window at most (TCP_INIT_CWND).
const FIRST_FLIGHT: usize = 10;

/// What the client does, and over what path.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The tarpit's rule; the client does not read, so it is none that drips.
    pub policy: Policy,
    /// Whether it has timestamps.
    pub timestamps: bool,
    /// How many octets it has written at once.
    pub wrote: u32,
    /// Whether it then closes its socket.
    pub closes: bool,
    /// The round trip in milliseconds.
    pub rtt_ms: u64,
    /// How many packets in a thousand are lost, either way.
    pub lost: u64,
    /// CONFIG_HZ: how coarse the timers are.
    pub hz: u64,
    /// What the losses and the phases of the clocks are drawn from.
    pub seed: u64,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How long the client was held, in seconds.
    pub held_s: u64,
    /// How many packets it sent in that time.
    pub packets: u64,
    /// How many octets were taken from it.
    pub taken: u32,
    /// What the answers say of how long it was held, all together, in seconds.
    pub trapped_s: u64,
    /// Whether it was still there at the end.
    pub held: bool,
}

impl Outcome {
    /// Packets an hour from the client.
    pub fn packets_per_hour(&self) -> u64 {
        self.packets * 3600 / self.held_s.max(1)
    }
}

#[derive(Clone, Debug)]
enum Event {
    ToTarpit(Vec<u8>),
    ToClient(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Timer {
    Off,
    Retransmit(u64),
    Tail(u64),
    Probe(u64),
}

/// A segment in flight.
#[derive(Clone, Copy)]
struct Sent {
    from: u32,
    to: u32,
    push: bool,
    at: u64,
    again: bool,
}

struct Client {
    case: Case,
    random: u64,
    now: u64,
    path: BTreeMap<(u64, u64), Event>,
    sent: u64,
    // RFC 9293's variables, as octets of the stream; the FIN is one more.
    una: u32,
    next: u32,
    edge: u32,
    peer: u32,
    recent: Option<u32>,
    // What a segment carries at most.
    segment: u32,
    // Whether the FIN has a segment of its own: the data were out before it came.
    fin_alone: bool,
    in_flight: VecDeque<Sent>,
    // tp->retrans_stamp, tp->rcv_tstamp.
    again_since: Option<u64>,
    heard_at: u64,
    retransmits: u32,
    backoff: u32,
    probes_out: u32,
    rto: u64,
    srtt: i64,
    mdev: i64,
    mdev_max: i64,
    rttvar: i64,
    timer: Timer,
    // When the timer should have gone off.
    expires: u64,
    gone: bool,
    trapped_ms: u64,
}

const ISS: u32 = 0xffff_fff0;
const LOCAL: (&str, u16) = ("192.0.2.1", 40000);
const REMOTE: (&str, u16) = ("198.51.100.2", 23);

/// Plays the case for at most `limit_s` seconds.
pub fn play(case: Case, limit_s: u64) -> Outcome {
    let mut client = Client {
        case,
        random: case.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        now: 0,
        path: BTreeMap::new(),
        sent: 0,
        una: 0,
        next: 0,
        edge: 0,
        peer: 0,
        recent: None,
        segment: 0,
        fin_alone: false,
        in_flight: VecDeque::new(),
        again_since: None,
        heard_at: 0,
        retransmits: 0,
        backoff: 0,
        probes_out: 0,
        rto: SECOND,
        srtt: 0,
        mdev: 0,
        mdev_max: 0,
        rttvar: 0,
        timer: Timer::Off,
        expires: 0,
        gone: false,
        trapped_ms: 0,
    };
    // The phases of the two clocks.
    client.now = client.draw() % (1000 * SECOND);
    client.connect();
    let begin = client.now;
    while !client.gone && client.now - begin < limit_s * SECOND {
        client.step();
    }
    Outcome {
        held_s: (client.now - begin) / SECOND,
        packets: client.sent,
        taken: client.una,
        trapped_s: client.trapped_ms / 1000,
        held: !client.gone,
    }
}

impl Client {
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 8
    }

    fn now_ms(&self) -> u32 {
        (self.now / MS) as u32
    }

    /// All that it has to send, the FIN with it.
    fn end(&self) -> u32 {
        self.case.wrote + u32::from(self.case.closes)
    }

    fn segment(&mut self, seq: u32, ack: u32, flags: u8, payload: u32) -> Vec<u8> {
        let (local, remote): (IpAddr, IpAddr) =
            (LOCAL.0.parse().unwrap(), REMOTE.0.parse().unwrap());
        let mut options = if flags & 2 != 0 {
            vec![2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1]
        } else {
            vec![]
        };
        if self.case.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(self.now_ms().wrapping_add(0x1234_5678).to_be_bytes());
            options.extend(self.recent.unwrap_or(0).to_be_bytes());
        }
        let (local, remote) = ((local, LOCAL.1), (remote, REMOTE.1));
        let payload = usize::try_from(payload).unwrap();
        client_packet(local, remote, (seq, ack), flags, options, payload)
    }

    fn put(&mut self, event: Event) {
        if self.draw() % 1000 >= self.case.lost {
            let order = self.path.len() as u64;
            let at = self.now + self.case.rtt_ms * MS / 2 + 10;
            self.path.insert((at, order), event);
        }
    }

    fn transmit(&mut self, sent: Sent) {
        // What was taken of it is left out (tcp_trim_head).
        let from = sent.from.max(self.una);
        let fin = u8::from(sent.to > self.case.wrote);
        let seq = ISS.wrapping_add(1).wrapping_add(from);
        let peer = self.peer;
        let octets = sent.to.min(self.case.wrote).saturating_sub(from);
        let push = u8::from(sent.push) << 3;
        let segment = self.segment(seq, peer, 0x10 | push | fin, octets);
        self.sent += 1;
        self.put(Event::ToTarpit(segment));
    }

    /// The handshake, without losses.
    fn connect(&mut self) {
        let syn = self.segment(ISS, 0, 0x02, 0);
        let heard = read_reply(&self.ask(&syn).expect("a SYN is answered"));
        self.now += self.case.rtt_ms * MS + 20;
        self.heard_at = self.now;
        self.peer = heard.tcp.sequence_number.wrapping_add(1);
        self.recent = heard.options.timestamps.map(|(value, _)| value);
        self.edge = u32::from(heard.tcp.window_size);
        // tcp_bound_to_half_wnd
        let header = if self.case.timestamps { 32 } else { 20 };
        let most = u32::from(MSS) + 20 - header;
        self.segment = match self.edge {
            window @ 0..=536 => most.min(window.max(68 - header)),
            window => most.min(window / 2),
        };
        self.measure((self.case.rtt_ms * MS + 20) as i64);
        // It writes; what closing adds to data that are out is a segment of its own.
        let (closes, case) = (self.case.closes, self.case);
        self.case.closes = false;
        self.push();
        // Without a way between the two, the answer is there before it closes.
        while case.rtt_ms == 0 && !self.path.is_empty() {
            self.step();
        }
        self.case = case;
        self.fin_alone = closes && self.next == self.case.wrote;
        self.push();
    }

    /// What the tarpit answers to it at this moment.
    fn ask(&mut self, segment: &[u8]) -> Option<Vec<u8>> {
        let family = family(LOCAL.0.parse().unwrap());
        let policy = self.case.policy;
        let answer = ask(policy, family, segment, segment.len(), &KEY, self.now_ms()).ok()?;
        self.trapped_ms += u64::from(answer.trapped_ms);
        Some(answer.packet)
    }

    fn step(&mut self) {
        let arrival = self.path.keys().next().copied();
        let due = match self.timer {
            Timer::Off => u64::MAX,
            Timer::Retransmit(at) | Timer::Tail(at) | Timer::Probe(at) => at,
        };
        match arrival {
            Some(key) if key.0 <= due => {
                self.now = self.now.max(key.0);
                match self.path.remove(&key).unwrap() {
                    Event::ToTarpit(segment) => {
                        if let Some(answer) = self.ask(&segment) {
                            self.put(Event::ToClient(answer));
                        }
                    }
                    Event::ToClient(packet) => self.receive(&packet),
                }
            }
            _ if due == u64::MAX => {
                // Nothing will ever happen again: an idle client waits, and time goes on.
                self.now += 3600 * SECOND;
            }
            _ => {
                self.now = self.now.max(due);
                match std::mem::replace(&mut self.timer, Timer::Off) {
                    Timer::Retransmit(_) => self.retransmit_timer(),
                    Timer::Tail(_) => self.tail_timer(),
                    Timer::Probe(_) => self.probe_timer(),
                    Timer::Off => {}
                }
            }
        }
    }

    /// When a timer with this delay goes off: never early, and the later the longer it is
    /// (calc_wheel_index, kernel/time/timer.c).
    fn due(&mut self, delay: u64) -> u64 {
        self.expires = self.now + delay;
        let tick = SECOND / self.case.hz;
        let delta = delay.div_ceil(tick);
        let level = (1..8).take_while(|n| delta >= 63 << (3 * (n - 1))).count();
        let shift = 3 * level;
        (((self.now / tick + delta) >> shift) + 1 << shift) * tick
    }

    /// tcp_rtt_estimator, tcp_set_rto.
    fn measure(&mut self, rtt: i64) {
        let min = RTO_MIN as i64;
        if self.srtt == 0 {
            self.srtt = rtt << 3;
            self.mdev = rtt << 1;
            self.rttvar = self.mdev.max(min);
            self.mdev_max = self.rttvar;
        } else {
            let mut m = rtt - (self.srtt >> 3);
            self.srtt += m;
            if m < 0 {
                m = -m - (self.mdev >> 2);
                if m > 0 {
                    m >>= 3;
                }
            } else {
                m -= self.mdev >> 2;
            }
            self.mdev += m;
            if self.mdev > self.mdev_max {
                self.mdev_max = self.mdev;
                self.rttvar = self.rttvar.max(self.mdev_max);
            }
            // One segment is in flight at a time, so each sample ends a round.
            if self.mdev_max < self.rttvar {
                self.rttvar -= (self.rttvar - self.mdev_max) >> 2;
            }
            self.mdev_max = min;
        }
        self.rto = (((self.srtt >> 3) + self.rttvar) as u64).min(RTO_MAX);
        self.backoff = 0;
    }

    /// tcp_probe0_when.
    fn probe_when(&self) -> u64 {
        (self.rto.max(RTO_MIN) << self.backoff.min(10)).min(RTO_MAX)
    }

    /// tcp_probe_timer, tcp_send_probe0, tcp_write_wakeup.
    fn probe_timer(&mut self) {
        if self.case.closes {
            let alive = (self.rto << self.backoff) < RTO_MAX;
            let most = if alive { 8 } else { 0 };
            if (!alive && self.backoff >= most) || self.probes_out >= most {
                self.gone = true;
                return;
            }
        } else if self.probes_out >= 15 {
            self.gone = true;
            return;
        }
        if self.next < self.edge {
            // What the window has room for, with PSH (tcp_write_wakeup).
            let to = self.edge.min(self.end()).min(self.next + self.segment);
            self.send_new(to, true);
            self.probes_out = 0;
            self.backoff = 0;
            return;
        }
        let seq = ISS.wrapping_add(self.una);
        let peer = self.peer;
        let probe = self.segment(seq, peer, 0x10, 0);
        self.sent += 1;
        self.put(Event::ToTarpit(probe));
        self.probes_out += 1;
        self.backoff = (self.backoff + 1).min(15);
        self.timer = Timer::Probe(self.due(self.probe_when()));
    }

    fn send_new(&mut self, to: u32, push: bool) {
        let sent = Sent {
            from: self.next,
            to,
            push: push || self.next < self.case.wrote && to >= self.case.wrote,
            at: self.now,
            again: false,
        };
        self.transmit(sent);
        self.in_flight.push_back(sent);
        self.next = to;
        if self.in_flight.len() == 1 {
            self.retransmits = 0;
            self.again_since = None;
            self.timer = Timer::Retransmit(self.due(self.rto));
        }
    }

    /// tcp_send_loss_probe: the last segment once more, before any timeout is counted.
    fn tail_timer(&mut self) {
        if let Some(last) = self.in_flight.back_mut() {
            last.again = true;
            let last = *last;
            self.transmit(last);
            self.timer = Timer::Retransmit(self.due(self.rto));
        }
    }

    /// tcp_retransmit_timer, tcp_write_timeout, retransmits_timed_out.
    fn retransmit_timer(&mut self) {
        let since = self.again_since.unwrap_or(self.in_flight[0].at);
        let expired =
            |after: u64, client: &Self| client.retransmits > 0 && client.now - since >= after;
        if self.case.closes {
            let alive = self.rto < RTO_MAX;
            // (2 << 8) - 1 times TCP_RTO_MIN, or (2 << 0) - 1.
            let most = if alive { 511 } else { 1 };
            if expired(most * RTO_MIN, self) {
                self.gone = true;
                return;
            }
            self.retransmits += 1;
        } else if self.edge <= self.una {
            // tcp_rtx_probe0_timed_out
            let silent = self.expires.saturating_sub(self.heard_at);
            if silent > 2 * RTO_MAX && self.now - since > 2 * RTO_MAX {
                self.gone = true;
                return;
            }
        } else if expired(924_600 * MS, self) {
            self.gone = true;
            return;
        } else {
            self.retransmits += 1;
        }
        self.in_flight[0].again = true;
        self.transmit(self.in_flight[0]);
        self.again_since.get_or_insert(self.now);
        self.rto = (self.rto * 2).min(RTO_MAX);
        self.timer = Timer::Retransmit(self.due(self.rto));
    }

    /// tcp_ack, tcp_ack_probe, tcp_data_snd_check, tcp_check_probe_timer.
    fn receive(&mut self, packet: &[u8]) {
        let heard = read_reply(packet);
        assert_eq!(heard.options.timestamps.is_some(), self.case.timestamps);
        let value = heard.options.timestamps.map(|(value, _)| value);
        if let (Some(value), Some(recent)) = (value, self.recent) {
            if value.wrapping_sub(recent) > u32::MAX / 2 {
                return;
            }
        }
        let first = ISS.wrapping_add(1);
        let ack = heard.tcp.acknowledgment_number.wrapping_sub(first);
        if ack < self.una {
            return;
        }
        assert!(ack <= self.next, "{ack} was never sent");
        assert!(ack <= self.case.wrote, "the FIN was acknowledged");
        self.recent = value;
        self.probes_out = 0;
        self.heard_at = self.now;
        let scale = match self.case.policy {
            LINUX => 7,
            _ => 0,
        };
        self.edge = ack + (u32::from(heard.tcp.window_size) << scale);
        let waiting = !self.in_flight.is_empty();
        if ack > self.una {
            self.una = ack;
            self.retransmits = 0;
            // Of a segment that is acknowledged in part, nothing else changes (tcp_clean_rtx_queue).
            let mut last = None;
            while self.in_flight.front().is_some_and(|sent| sent.to <= ack) {
                last = self.in_flight.pop_front();
            }
            let Some(last) = last else { return };
            if !last.again {
                self.measure(((self.now - last.at) as i64).max(1));
            } else if let Some((_, echo)) = heard.options.timestamps {
                let clock = self.now_ms().wrapping_add(0x1234_5678);
                self.measure((i64::from(clock.wrapping_sub(echo)) * MS as i64).max(1));
            }
            if !self.in_flight.is_empty() {
                self.timer = Timer::Retransmit(self.due(self.rto));
                return;
            }
            self.again_since = None;
            self.timer = Timer::Off;
        } else if waiting {
            return;
        } else if self.end() > self.next {
            // tcp_ack_probe: only a window for the whole of what is next in line counts.
            if self.end() <= self.edge {
                self.backoff = 0;
                self.timer = Timer::Off;
            } else {
                self.timer = Timer::Probe(self.due(self.probe_when()));
            }
        }
        self.push();
    }

    /// Sends what the window has room for by the segment, or sees to it that the window is probed.
    fn push(&mut self) {
        while self.next < self.end() && self.in_flight.len() < FIRST_FLIGHT {
            let end = match self.fin_alone && self.next < self.case.wrote {
                true => self.case.wrote,
                false => self.end(),
            };
            let wants = (end - self.next).min(self.segment);
            if self.edge.saturating_sub(self.next) < wants {
                break;
            }
            self.send_new(self.next + wants, false);
            // tcp_schedule_loss_probe
            let few = match self.in_flight.len() {
                1 => RTO_MIN,
                _ => 2 * SECOND / self.case.hz,
            };
            let after = ((self.srtt >> 2) as u64 + few).min(self.rto);
            self.timer = Timer::Tail(self.due(after));
        }
        if self.next < self.end() && self.in_flight.is_empty() && self.timer == Timer::Off {
            self.timer = Timer::Probe(self.due(self.rto.max(RTO_MIN)));
        }
    }
}
