// SPDX-License-Identifier: GPL-2.0

//! Who is held: a table of connections and one of sources, both of bounded size.
//!
//! All that is known comes from the segments that peers send. So a peer that is silent since its
//! handshake is not known to be held for longer than [`SILENCE`].

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::segment::{Kind, Segment};

/// A connection of which nothing has come for so long is over: Linux and others never wait for more than 120 s
/// between two probes, one of which may be lost.
pub const SILENCE: Duration = Duration::from_secs(250);

/// So many connections are remembered at most; of frozen ones, which may be made up, fewer.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
const FROZEN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The network namespace, by its inode number.
    pub netns: u32,
    /// Who connected.
    pub client: SocketAddr,
    /// To what.
    pub server: SocketAddr,
}

/// What is known of a connection. Times are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When its first segment came, less what that showed of the time before.
    pub since: Duration,
    /// When the last one came.
    pub seen: Duration,
    /// What that was.
    pub last: Kind,
    /// How many came.
    pub segments: u64,
}

impl Hold {
    /// How long it is known to have been held.
    pub fn held(&self) -> Duration {
        self.seen.saturating_sub(self.since)
    }
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// How many connections it had.
    pub clients: u64,
    /// How long these were held, all together.
    pub trapped: Duration,
    /// When its last segment came.
    pub seen: Duration,
}

/// Connections and sources, of each the ones that were seen last.
#[derive(Debug)]
pub struct Held {
    connections: LruCache<Connection, Hold>,
    /// Those that no handshake of ours has proved; they count when they have come again.
    frozen: LruCache<Connection, Hold>,
    sources: LruCache<IpAddr, Source>,
    forget: Duration,
    /// How many connections there were.
    pub clients: u64,
    /// How many of them had to go since others came, though they may be held still.
    pub evicted: u64,
}

impl Held {
    /// Nobody yet; for so many sources, which are forgotten when nothing has come from them for so long.
    pub fn new(sources: NonZeroUsize, forget: Duration) -> Self {
        Self {
            connections: LruCache::new(CONNECTIONS),
            frozen: LruCache::new(FROZEN),
            sources: LruCache::new(sources),
            forget,
            clients: 0,
            evicted: 0,
        }
    }

    /// A segment came. `now` never goes back.
    pub fn see(&mut self, segment: &Segment, now: Duration) {
        self.expire(now);
        let connection = Connection {
            netns: segment.netns,
            client: segment.client,
            server: segment.server,
        };
        if segment.kind == Kind::Rst {
            self.connections.pop(&connection);
            self.frozen.pop(&connection);
            return;
        }
        let proven = segment.kind != Kind::Midstream;
        let table = if proven {
            &mut self.connections
        } else {
            &mut self.frozen
        };
        let (new, gained) = if let Some(hold) = table.get_mut(&connection) {
            let gained = now.saturating_sub(hold.seen);
            hold.seen = now;
            hold.last = segment.kind;
            hold.segments += 1;
            (!proven && hold.segments == 2, gained)
        } else {
            let hold = Hold {
                since: now.saturating_sub(segment.age),
                seen: now,
                last: segment.kind,
                segments: 1,
            };
            if table.push(connection, hold).is_some() && proven {
                self.evicted += 1;
            }
            if !proven {
                return;
            }
            (true, segment.age)
        };
        self.clients += u64::from(new);
        let source = self
            .sources
            .get_or_insert_mut(segment.client.ip().to_canonical(), Source::default);
        source.clients += u64::from(new);
        source.trapped += gained;
        source.seen = now;
    }

    /// Forgets who has been silent for too long.
    pub fn expire(&mut self, now: Duration) {
        for table in [&mut self.connections, &mut self.frozen] {
            while table
                .peek_lru()
                .is_some_and(|(_, hold)| hold.seen + SILENCE < now)
            {
                table.pop_lru();
            }
        }
        while self
            .sources
            .peek_lru()
            .is_some_and(|(_, source)| source.seen + self.forget < now)
        {
            self.sources.pop_lru();
        }
    }

    /// The connections that are held, those first that were seen last.
    pub fn connections(&self) -> impl Iterator<Item = (&Connection, &Hold)> {
        let frozen = self.frozen.iter().filter(|(_, hold)| hold.segments > 1);
        self.connections.iter().chain(frozen)
    }

    /// The sources, those first that were seen last.
    pub fn sources(&self) -> impl Iterator<Item = (&IpAddr, &Source)> {
        self.sources.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn segment(kind: Kind, host: u8, port: u16, age: u64) -> Segment {
        Segment {
            netns: 1,
            kind,
            client: SocketAddr::from(([192, 0, 2, host], port)),
            server: SocketAddr::from(([198, 51, 100, 1], 23)),
            age: secs(age),
        }
    }

    fn held(sources: usize) -> Held {
        Held::new(NonZeroUsize::new(sources).unwrap(), secs(3600))
    }

    fn trapped(held: &Held) -> Vec<(String, u64, u64)> {
        held.sources()
            .map(|(ip, source)| (ip.to_string(), source.clients, source.trapped.as_secs()))
            .collect()
    }

    #[test]
    fn a_source_loses_what_its_connections_span() {
        let mut held = held(10);
        held.see(&segment(Kind::Established, 1, 1, 0), secs(100));
        held.see(&segment(Kind::Established, 1, 2, 0), secs(110));
        held.see(&segment(Kind::Probe, 1, 1, 30), secs(130));
        held.see(&segment(Kind::Probe, 1, 2, 60), secs(170));
        assert_eq!(trapped(&held), [("192.0.2.1".into(), 2, 90)]);
        assert_eq!(held.clients, 2);
    }

    #[test]
    fn one_that_was_held_before_we_looked_shows_since_when() {
        let mut held = held(10);
        held.see(&segment(Kind::Probe, 1, 1, 60), secs(100));
        let (_, hold) = held.connections().next().unwrap();
        assert_eq!((hold.since, hold.held()), (secs(40), secs(60)));
        assert_eq!(trapped(&held), [("192.0.2.1".into(), 1, 60)]);
    }

    #[test]
    fn who_resets_or_is_silent_for_long_is_gone_but_not_forgotten() {
        let mut held = held(10);
        held.see(&segment(Kind::Data, 1, 1, 0), secs(100));
        held.see(&segment(Kind::Data, 2, 1, 0), secs(100));
        held.see(&segment(Kind::Rst, 1, 1, 0), secs(101));
        assert_eq!(held.connections().count(), 1);
        held.expire(secs(350));
        assert_eq!(held.connections().count(), 1);
        held.expire(secs(351));
        assert_eq!(held.connections().count(), 0);
        assert_eq!(held.sources().count(), 2);
        held.expire(secs(100 + 3601));
        assert_eq!(held.sources().count(), 0);
    }

    #[test]
    fn made_up_segments_push_nobody_out() {
        let mut held = held(2);
        held.see(&segment(Kind::Data, 1, 1, 0), secs(100));
        for n in 0..10_000 {
            held.see(
                &segment(Kind::Midstream, (n % 250) as u8 + 2, n, 0),
                secs(100),
            );
        }
        assert_eq!(held.connections().count(), 1);
        assert_eq!(trapped(&held), [("192.0.2.1".into(), 1, 0)]);
    }

    #[test]
    fn a_frozen_connection_counts_when_it_comes_again() {
        let mut held = held(2);
        held.see(&segment(Kind::Midstream, 1, 1, 0), secs(100));
        held.see(&segment(Kind::Midstream, 1, 1, 0), secs(103));
        assert_eq!(held.connections().count(), 1);
        assert_eq!(trapped(&held), [("192.0.2.1".into(), 1, 3)]);
    }

    #[test]
    fn the_tables_are_bounded_and_the_latest_stay() {
        let mut held = held(3);
        for n in 0..70_000_u32 {
            let mut segment = segment(Kind::Data, 1, 1, 0);
            segment.client.set_ip(IpAddr::from(n.to_be_bytes()));
            held.see(&segment, secs(100));
        }
        assert_eq!(held.connections().count(), 65_536);
        assert_eq!(held.evicted, 70_000 - 65_536);
        assert_eq!(held.sources().count(), 3);
        assert_eq!(trapped(&held)[0].0, "0.1.17.111");
    }

    proptest! {
        /// Whatever comes: nobody has lost more than the time since we look, but for what the first segment showed.
        #[test]
        fn time_is_never_made_up(steps in prop::collection::vec((0..8_usize, 1..4_u8, 1..3_u16, 0..200_u64, 0..200_u64), 0..60)) {
            let mut held = held(2);
            let (mut now, mut shown) = (secs(1000), secs(0));
            for (kind, host, port, age, later) in steps {
                now += secs(later);
                shown += secs(age);
                held.see(&segment(Kind::ALL[kind], host, port, age), now);
            }
            held.expire(now);
            let open = held.connections().count();
            prop_assert!(open <= 6 * 2 && open as u64 <= held.clients);
            for (_, hold) in held.connections() {
                prop_assert!(hold.since <= hold.seen && hold.seen <= now && hold.seen + SILENCE >= now);
            }
            for (_, source) in held.sources() {
                prop_assert!(source.trapped <= 4 * (now - secs(1000)) + shown);
            }
        }
    }
}
