// SPDX-License-Identifier: GPL-2.0

//! Plays batches: a step of each visit, then a plain SYN whose answer says that all that came before it has been
//! answered, if it is at all (the links and the server's queue keep the order).

use crate::case::{self, Batch, Stamp, Visit};
use crate::judge::{self, Facts, Past, Verdict};
use crate::link::{inherited, Link};
use crate::render::{render, Peer};
use crate::world::{Target, Way};
use oracle::Kind;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::IpAddr;
use std::time::Duration;

/// What was sent and what came.
#[derive(Default, Serialize)]
pub struct Tally {
    pub segments: u64,
    /// What the kernel did not want to send.
    refused: u64,
    /// What had to stay unanswered, was free to be answered, had to be.
    silent: u64,
    may: u64,
    must: u64,
    answers: BTreeMap<&'static str, u64>,
    /// ICMP and what else the kernel says.
    others: u64,
    /// Answers that the module counted and nobody saw: to sources that are no peer's.
    unseen: u64,
    why: BTreeMap<&'static str, u64>,
}

pub struct Zoo {
    links: Vec<Link>,
    seen: Option<File>,
    replies: File,
    defrag: bool,
    number: u32,
    /// A plain SYN was not answered.
    pub is_dead: bool,
    pub tally: Tally,
}

/// More than any answer has.
const BUFFER: usize = 2048;

type Key = (IpAddr, u16, IpAddr, u16);

/// A visit that is under way.
struct Guest<'a> {
    visit: &'a Visit,
    peer: Peer,
    past: Past,
    verdict: Verdict,
}

impl Zoo {
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let env =
            |name| std::env::var(name).map_err(|_| format!("{name} is not set: zoo.py does that"));
        let links: Option<Vec<_>> = env("ZOO_LINKS")?
            .split_whitespace()
            .map(Link::parse)
            .collect();
        Ok(Self {
            links: links.ok_or("ZOO_LINKS cannot be read")?,
            seen: env("ZOO_SEEN")?.parse().ok().map(inherited),
            replies: inherited(env("ZOO_REPLIES")?.parse()?),
            defrag: env("ZOO_DEFRAG")? == "1",
            number: 0,
            is_dead: false,
            tally: Tally::default(),
        })
    }

    /// Plays a batch; why the judge is not content.
    pub fn play(&mut self, batch: &Batch) -> Result<(), String> {
        let way = batch.way;
        let mut guests = vec![];
        for visit in &batch.visits {
            for &to in &visit.to {
                self.number += 1;
                guests.push(Guest {
                    visit,
                    peer: Peer::new(way, visit, to, self.number),
                    past: Past::Nothing,
                    verdict: Verdict::May,
                });
            }
        }
        // An address that was twisted may be a peer's of this link; its answer was missed, and counted, by then.
        let read = |link: &mut Link| {
            link.receive(&mut [0; BUFFER], Duration::ZERO)
                .map(|found| found.is_some())
        };
        while read(self.link(way)?).map_err(|error| error.to_string())? {}
        let rounds = guests
            .iter()
            .map(|guest| guest.visit.steps.len())
            .max()
            .unwrap_or(0);
        (0..rounds).try_for_each(|round| self.round(way, round, &mut guests))
    }

    fn round(&mut self, way: Way, round: usize, guests: &mut [Guest]) -> Result<(), String> {
        let counted = self.counted()?;
        let mut waiting: HashMap<Key, (usize, Verdict, Facts)> = HashMap::new();
        let mut strange = 0;
        for (index, guest) in guests.iter_mut().enumerate() {
            let Some(step) = guest.visit.steps.get(round) else {
                continue;
            };
            guest.peer.clock += 10;
            let parcel = render(step, &guest.peer, way);
            let (verdict, facts) = judge::expect(&parcel, way, step, guest.past, self.defrag);
            self.tally.segments += 1;
            if let Err(error) = self.link(way)?.send(&parcel) {
                self.tally.refused += 1;
                if verdict == Verdict::Must {
                    return Err(format!("cannot be sent ({error}): {step:?}"));
                }
            }
            guest.verdict = verdict;
            match verdict {
                Verdict::Silent(why) => {
                    self.tally.silent += 1;
                    *self.tally.why.entry(why).or_default() += 1;
                }
                Verdict::May => self.tally.may += 1,
                Verdict::Must => self.tally.must += 1,
            }
            let is_plain_syn =
                step.flags == case::SYN && verdict == Verdict::Must && step.odd.is_empty();
            guest.past = match guest.past {
                Past::Nothing if is_plain_syn && step.payload == 0 => {
                    Past::Connected(step.stamp != Stamp::None)
                }
                _ => Past::Anything,
            };
            match facts {
                Some(facts) if !matches!(verdict, Verdict::Silent(_)) => {
                    if facts.sent.source != guest.peer.address {
                        strange += 1;
                    }
                    let sent = &facts.sent;
                    let key = (
                        sent.destination,
                        sent.destination_port,
                        sent.source,
                        sent.source_port,
                    );
                    waiting.insert(key, (index, verdict, facts));
                }
                _ if step
                    .twists
                    .iter()
                    .any(|twist| matches!(twist, case::Twist::From(_) | case::Twist::Flip(..))) =>
                {
                    strange += 1
                }
                _ => {}
            }
        }

        let marker = self.mark(way)?;
        let (mut seen, mut outcome, mut buffer) = (0, Ok(()), [0; BUFFER]);
        loop {
            let packet = self.link(way)?.receive(&mut buffer, Duration::from_secs(5));
            let Some(packet) = packet.map_err(|error| error.to_string())? else {
                self.is_dead = true;
                return Err(format!(
                    "{way:?}: a plain SYN is not answered: nobody is there"
                ));
            };
            match judge::address(packet) {
                // What a clone of ours shows, and what the kernel says.
                None => self.tally.others += 1,
                Some((from, ..)) if !is_target(from) => {}
                Some(key) => {
                    seen += 1;
                    if key == marker {
                        break;
                    }
                    // What is left is read in any case.
                    outcome = outcome.and(self.answer(packet, key, round, &mut waiting, guests));
                }
            }
        }
        outcome?;
        for (index, verdict, facts) in waiting.values() {
            if *verdict == Verdict::Must {
                let step = &guests[*index].visit.steps[round];
                return Err(format!("no answer to {facts:?} {step:?}"));
            }
        }
        let unseen = (self.counted()? - counted).saturating_sub(seen);
        self.tally.unseen += unseen;
        if unseen > strange {
            return Err(format!(
                "{unseen} answers went elsewhere, of at most {strange}, in round {round}"
            ));
        }
        self.drain();
        Ok(())
    }

    fn answer(
        &mut self,
        packet: &[u8],
        key: Key,
        round: usize,
        waiting: &mut HashMap<Key, (usize, Verdict, Facts)>,
        guests: &mut [Guest],
    ) -> Result<(), String> {
        let Some((index, _, facts)) = waiting.remove(&key) else {
            let guest = guests.iter().find(|guest| guest.peer.port == key.3);
            let step = guest.and_then(|guest| guest.visit.steps.get(round));
            let verdict = guest.map(|guest| guest.verdict);
            return Err(format!(
                "nobody asked, or once more ({verdict:?}): {packet:02x?} to {step:?}"
            ));
        };
        let guest = &mut guests[index];
        let (kind, reply) = judge::check(packet, &facts).map_err(|why| {
            format!(
                "{why}: {packet:02x?} to {facts:?} {:?}",
                guest.visit.steps[round]
            )
        })?;
        *self.tally.answers.entry(kind.name()).or_default() += 1;
        let peer = &mut guest.peer;
        let seq = reply.tcp.sequence_number;
        peer.theirs = seq.wrapping_add(reply.sequence_len());
        if kind != Kind::Reset {
            peer.next = reply.tcp.acknowledgment_number;
        }
        peer.echo = reply
            .options
            .timestamps
            .map_or(peer.echo, |(value, _)| value);
        Ok(())
    }

    /// Sends a plain SYN; what its answer looks like.
    fn mark(&mut self, way: Way) -> Result<Key, String> {
        self.number += 1;
        let visit = Visit {
            to: vec![],
            v6: self.number & 1 != 0,
            isn: 0,
            steps: vec![],
        };
        let peer = Peer::new(way, &visit, Target::MARKER, self.number);
        let parcel = render(&case::syn(), &peer, way);
        let sent = self.link(way)?.send(&parcel);
        sent.map_err(|error| format!("a plain SYN cannot be sent: {error}"))?;
        Ok((peer.target, 23, peer.address, peer.port))
    }

    fn link(&mut self, way: Way) -> Result<&mut Link, String> {
        self.links
            .iter_mut()
            .find(|link| link.way == way)
            .ok_or(format!("no link {way:?}"))
    }

    /// How many answers the module has sent.
    fn counted(&mut self) -> Result<u64, String> {
        let mut text = String::new();
        self.replies
            .rewind()
            .and_then(|()| self.replies.read_to_string(&mut text))
            .map_err(|error| error.to_string())?;
        let mut lines = text.lines().map(|line| line.split_whitespace());
        let column = lines
            .next()
            .and_then(|mut names| names.position(|name| name == "replies"))
            .ok_or("no column of replies")?;
        Ok(lines
            .filter_map(|mut cpu| u64::from_str_radix(cpu.nth(column)?, 16).ok())
            .sum())
    }

    fn drain(&mut self) {
        if let Some(seen) = &mut self.seen {
            while seen.read(&mut [0; BUFFER]).is_ok() {}
        }
    }
}

/// Whether an address is one that rules are for.
fn is_target(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [203, 0, 113],
        IpAddr::V6(address) => address.segments()[..3] == [0x2001, 0xdb8, 3],
    }
}
