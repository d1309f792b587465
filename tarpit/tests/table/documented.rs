// SPDX-License-Identifier: GPL-2.0

//! The table of docs/wire-behaviour.md, row by row: each segment is sent to each mode, after those that
//! come before it, and the answer is said in the words of that page.

use oracle::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
use std::fmt::Write;

use super::common::{
    ask, family, packet, read_reply, summed, Family, Fields, Host, Look, ReplyPacket, BOTH, CLOCK,
    KEY, MODES, MSS, THEIRS,
};
use tarpit::{DropReason, Policy, RateLimit};

const PAGE: &str = include_str!("../../../docs/wire-behaviour.md");

/// The head of the table: a column for each of [`MODES`].
const HEAD: &str =
    "| segment | timestamps | `--tarpit` | `--profile linux` | `--drip` | `--honeypot` | `--reset` |";

/// A segment of a client.
#[derive(Clone, Copy)]
struct Segment {
    /// How many seconds after the one before.
    after: u32,
    /// Where it starts, in octets after the SYN.
    at: i32,
    flags: u8,
    payload: usize,
    /// What is odd about it.
    oddity: Oddity,
}

#[derive(Clone, Copy, PartialEq)]
enum Oddity {
    None,
    /// It is marked CE.
    Marked,
    /// Its numbers are not ours.
    Stranger,
    Fragment,
    /// It is UDP.
    Udp,
    Multicast,
}

const fn segment(at: i32, flags: u8, payload: usize) -> Segment {
    Segment {
        after: 0,
        at,
        flags,
        payload,
        oddity: Oddity::None,
    }
}

const fn later(after: u32, segment: Segment) -> Segment {
    Segment { after, ..segment }
}

const fn odd(oddity: Oddity, segment: Segment) -> Segment {
    Segment { oddity, ..segment }
}

const OPEN: Segment = segment(-1, SYN, 0);
const OPENED: &[Segment] = &[OPEN, segment(0, ACK, 0)];
/// Two octets, which are acknowledged in the end.
const TWO: &[Segment] = &[
    OPEN,
    segment(0, ACK, 0),
    segment(0, ACK | PSH, 2),
    later(100, segment(1, ACK | PSH, 1)),
];
const FIVE: &[Segment] = &[OPEN, segment(0, ACK, 0), segment(0, ACK | PSH, 5)];
const OFFERED: &[Segment] = &[
    OPEN,
    segment(0, ACK, 0),
    segment(0, ACK | PSH, 2),
    later(100, segment(1, ACK | PSH, 1)),
    later(40, segment(1, ACK, 0)),
];
const TAKEN: &[Segment] = &[
    OPEN,
    segment(0, ACK, 0),
    segment(0, ACK | PSH, 2),
    later(100, segment(1, ACK | PSH, 1)),
    later(40, segment(1, ACK, 0)),
    later(40, segment(2, ACK | PSH, 1)),
];

/// What the page calls it, what comes before it, and the segment.
type Kind = (&'static str, &'static [Segment], Segment);

/// What is answered in connections with timestamps and without.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    ("SYN", &[], OPEN),
    ("SYN with 5 octets", &[], segment(-1, SYN, 5)),
    ("SYN that asks for ECN", &[], segment(-1, SYN | ECE | CWR, 0)),
    ("the ACK that ends the handshake", &[OPEN], segment(0, ACK, 0)),
    ("keep-alive before any data, empty", OPENED, later(5, segment(-1, ACK, 0))),
    ("keep-alive before any data, 1 octet", OPENED, later(5, segment(-1, ACK, 1))),
    ("first data: 1 octet", OPENED, segment(0, ACK | PSH, 1)),
    ("first data: 5 octets", OPENED, segment(0, ACK | PSH, 5)),
    ("first data: 5 octets, marked CE", OPENED, odd(Oddity::Marked, segment(0, ACK | PSH, 5))),
    ("first data: 24 octets", OPENED, segment(0, ACK | PSH, 24)),
    ("first data: 24 octets with FIN", OPENED, segment(0, ACK | PSH | FIN, 24)),
    ("FIN before any data", OPENED, segment(0, ACK | FIN, 0)),
    ("10 octets behind a gap of 5", OPENED, segment(5, ACK | PSH, 10)),
    ("4 in flight again, after 10 s", FIVE, later(10, segment(1, ACK | PSH, 4))),
    ("bare ACK", TWO, segment(2, ACK, 0)),
    ("keep-alive, empty, after 5 s", TWO, later(5, segment(1, ACK, 0))),
    ("keep-alive, 1 octet, after 5 s", TWO, later(5, segment(1, ACK, 1))),
    ("probe with 1 octet, after 5 s", TWO, later(5, segment(2, ACK, 1))),
    ("FIN", TWO, segment(2, ACK | FIN, 0)),
];

/// What only the timestamps of a connection decide.
#[rustfmt::skip]
const TIMED: &[Kind] = &[
    ("4 in flight again, after 50 s", FIVE, later(50, segment(1, ACK | PSH, 4))),
    ("empty probe, after 40 s", TWO, later(40, segment(1, ACK, 0))),
    ("empty probe, after 70 s", TWO, later(70, segment(1, ACK, 0))),
    ("the octet for a window of 1", OFFERED, later(40, segment(2, ACK | PSH, 1))),
    ("the same again, 160 s after the window", TAKEN, later(120, segment(2, ACK | PSH, 1))),
];

/// What belongs to no connection.
#[rustfmt::skip]
const STRANGERS: &[Kind] = &[
    ("RST", TWO, segment(2, RST, 0)),
    ("SYN-ACK", &[], odd(Oddity::Stranger, segment(-1, SYN | ACK, 0))),
    ("NULL", &[], odd(Oddity::Stranger, segment(0, 0, 0))),
    ("Xmas", &[], odd(Oddity::Stranger, segment(0, FIN | PSH | URG, 0))),
    ("SYN with FIN", &[], odd(Oddity::Stranger, segment(-1, SYN | FIN, 0))),
    ("stranger: ACK", &[], odd(Oddity::Stranger, segment(0, ACK, 0))),
    ("stranger: FIN", &[], odd(Oddity::Stranger, segment(0, ACK | FIN, 0))),
    ("stranger: 1 octet", &[], odd(Oddity::Stranger, segment(0, ACK | PSH, 1))),
    ("stranger: 2 octets", &[], odd(Oddity::Stranger, segment(0, ACK | PSH, 2))),
    ("stranger: 1,448 octets with FIN", &[],
        odd(Oddity::Stranger, segment(0, ACK | PSH | FIN, 1448))),
    ("fragment", &[], odd(Oddity::Fragment, OPEN)),
    ("to a multicast address", &[], odd(Oddity::Multicast, OPEN)),
    ("another protocol", &[], odd(Oddity::Udp, OPEN)),
];

const ISN: u32 = 0x1000_0000;

/// A client with timestamps or without, and a rule.
struct Client {
    host: Host,
    timestamps: bool,
    clock: u32,
    /// RCV.NXT; a number of nobody's before there is an answer.
    next: u32,
    /// TS.Recent.
    recent: u32,
}

impl Client {
    /// Sends a segment and takes the answer in.
    fn send(&mut self, segment: &Segment) -> Result<ReplyPacket, DropReason> {
        self.clock += segment.after * 1000;
        let syn = segment.flags & SYN != 0;
        let mut options = vec![];
        if syn {
            options.extend([2, 4, 5, 0xb4]);
        }
        if self.timestamps {
            let echo = if segment.flags & ACK == 0 {
                0
            } else {
                self.recent
            };
            options.extend([1, 1, 8, 10]);
            options.extend(self.clock.wrapping_mul(7).to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        let host = self.host;
        let mut destination = host.destination;
        let mut look = THEIRS;
        match (segment.oddity, host.family) {
            (Oddity::Marked, _) => look.class |= 3,
            (Oddity::Multicast, Family::V4) => destination = "224.0.0.1",
            (Oddity::Multicast, Family::V6) => destination = "ff02::1",
            (Oddity::Fragment, _) => {
                look = Look {
                    fragment: 0x2000,
                    ..look
                }
            }
            _ => {}
        }
        let (source, destination) = (host.source.parse().unwrap(), destination.parse().unwrap());
        let tcp = Fields {
            source: 40_000,
            destination: 23,
            seq: ISN.wrapping_add(1).wrapping_add_signed(segment.at),
            ack: self.next,
            reserved: 0,
            flags: segment.flags,
            window: 502,
            urgent: 0,
            options,
            payload: segment.payload,
        };
        let mut packet = packet(
            source,
            destination,
            look,
            &summed(source, destination, tcp.bytes()),
        );
        match (segment.oddity, host.family) {
            (Oddity::Udp, Family::V4) => packet[9] = 17,
            (Oddity::Udp, Family::V6) => packet[6] = 17,
            (Oddity::Fragment, Family::V6) => {
                packet.splice(40..40, [6, 0, 0, 1, 0, 0, 0, 7]);
                packet[6] = 44;
            }
            _ => {}
        }
        let answer = ask(
            host.policy,
            family(source),
            &packet,
            packet.len(),
            &KEY,
            self.clock,
        )?;
        let heard = read_reply(&answer.packet);
        if !heard.tcp.rst {
            let octets = u32::from(heard.tcp.syn) + u32::from(heard.payload.is_some());
            self.next = heard.tcp.sequence_number.wrapping_add(octets);
            self.recent = heard.options.timestamps.map_or(0, |(value, _)| value);
        }
        Ok(answer)
    }
}

/// What is answered to a segment, in the words of the page.
fn said(mut client: Client, before: &[Segment], segment: &Segment) -> String {
    for segment in before {
        // Whatever comes of it.
        let _ = client.send(segment);
    }
    let acked = client.next;
    let Ok(answer) = client.send(segment) else {
        return "-".to_string();
    };
    let heard = read_reply(&answer.packet);
    let tcp = &heard.tcp;
    assert_eq!(
        heard.options.timestamps.is_some(),
        client.timestamps && !tcp.rst
    );
    if !tcp.syn && segment.flags & ACK != 0 {
        assert_eq!(tcp.sequence_number, acked);
    }
    // "+0" is the octet after the SYN.
    let place = tcp.acknowledgment_number.wrapping_sub(ISN + 1);
    let stranger = segment.oddity == Oddity::Stranger;
    let mut words = match (tcp.syn, tcp.rst, tcp.fin) {
        (true, false, false) => {
            assert_eq!(place, 0);
            "SYN-ACK".to_string()
        }
        (false, true, false) if tcp.ack => {
            assert_eq!(tcp.sequence_number, 0);
            format!("RST-ACK +{place}")
        }
        (false, true, false) => {
            assert_eq!(tcp.acknowledgment_number, 0);
            "RST".to_string()
        }
        (false, false, true) => format!("FIN-ACK +{place}"),
        (false, false, false) if stranger => {
            assert_eq!(place, segment.at.try_into().unwrap());
            "ACK SEG.SEQ".to_string()
        }
        (false, false, false) => format!("ACK +{place}"),
        _ => panic!("{tcp:?}"),
    };
    let wide = oracle::whole_segments(MSS, client.timestamps);
    match tcp.window_size {
        0 if tcp.rst => {}
        window if window == wide => words += ", wide window",
        window => write!(words, ", window {window}").unwrap(),
    }
    if tcp.ece {
        words += ", ECE";
    }
    if heard.payload.is_some() {
        words += ", an octet";
    }
    match answer.limit {
        RateLimit::None | RateLimit::Shared => {}
        RateLimit::Source => words += ", limited",
    }
    words
}

/// What each mode answers, which is the same in both families.
fn row(timestamps: bool, before: &[Segment], segment: &Segment) -> [String; 5] {
    MODES.map(|policy: Policy| {
        let [v4, v6] = BOTH.map(|host| {
            let client = Client {
                host: host.under(policy),
                timestamps,
                clock: CLOCK,
                next: 0xcafe_babe,
                recent: 0x1234_5678,
            };
            said(client, before, segment)
        });
        assert_eq!(v4, v6, "{policy:?}");
        v4
    })
}

/// The rows of the table as they ought to be.
fn rows() -> Vec<String> {
    let mut rows = vec![];
    for (kinds, timed) in [(KINDS, false), (TIMED, true), (STRANGERS, false)] {
        for (name, before, segment) in kinds {
            let mut push = |timestamps: &str, row: &[String]| {
                rows.push(format!("| {name} | {timestamps} | {} |", row.join(" | ")));
            };
            let with = row(true, before, segment);
            let without = row(false, before, segment);
            match (timed, with == without) {
                (true, _) => push("with", &with),
                (false, true) => push("both", &with),
                (false, false) => {
                    push("with", &with);
                    push("without", &without);
                }
            }
        }
    }
    rows
}

#[test]
fn answers_as_the_page_says() {
    let mut lines = PAGE.lines().skip_while(|&line| line != HEAD);
    assert_eq!(lines.next(), Some(HEAD), "the page has no such table");
    assert_eq!(lines.next(), Some("|---|---|---|---|---|---|---|"));
    let page: Vec<_> = lines.take_while(|line| line.starts_with('|')).collect();
    let rows = rows();
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let of = |these: &[&str], others: &[&str]| -> String {
        let missing = these.iter().copied().filter(|row| !others.contains(row));
        missing.collect::<Vec<_>>().join("\n")
    };
    assert!(
        page == rows,
        "said by the page and not so:\n{}\nso and not said, or not in its place:\n{}",
        of(&page, &rows),
        of(&rows, &page)
    );
}
