// SPDX-License-Identifier: GPL-2.0

//! The held connections and their sources, in tables of bounded size.
//!
//! The tables are made from the segments that clients send. So a client that sends nothing after
//! its handshake leaves the table after [`IDLE_TIMEOUT`], though the kernel may still hold it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::segment::{Segment, SegmentClass};

/// A connection without a segment for this long is taken to be closed. Linux and other stacks wait
/// at most 120 s between two probes, and one probe may be lost.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(250);

/// The size of the table of verified connections.
const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// The size of the table of frozen connections. It is smaller, since their segments may be forged.
const MAX_FROZEN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The inode number of the network namespace.
    pub netns: u32,
    /// The source of its segments.
    pub client: SocketAddr,
    /// The destination of its segments.
    pub server: SocketAddr,
}

/// A connection. Times are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The time of its first segment, less the age that this segment showed.
    pub since: Duration,
    /// The time of its last segment.
    pub seen: Duration,
    /// The class of its last segment.
    pub last: SegmentClass,
    /// The number of its segments.
    pub segments: u64,
}

impl Connection {
    /// Returns the time that it is known to have been held.
    pub fn held(&self) -> Duration {
        self.seen.saturating_sub(self.since)
    }
}

/// A source address. Times are since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The number of its connections.
    pub clients: u64,
    /// The sum of the times that its connections were held.
    pub wasted: Duration,
    /// The time of its last segment.
    pub seen: Duration,
}

/// Connections and their sources. A full table evicts its least recently seen entry.
#[derive(Debug)]
pub struct ConnectionTable {
    connections: LruCache<ConnectionKey, Connection>,
    /// Connections that existed before the rule. They count from their second segment on.
    frozen: LruCache<ConnectionKey, Connection>,
    sources: LruCache<IpAddr, Source>,
    source_timeout: Duration,
    /// The number of connections so far.
    pub clients_seen: u64,
    /// The number of verified connections that a full table evicted.
    pub clients_evicted: u64,
}

impl ConnectionTable {
    /// Makes empty tables, with up to `max_sources` sources. A source without a segment for
    /// `source_timeout` is removed.
    pub fn new(max_sources: NonZeroUsize, source_timeout: Duration) -> Self {
        Self {
            connections: LruCache::new(MAX_CONNECTIONS),
            frozen: LruCache::new(MAX_FROZEN),
            sources: LruCache::new(max_sources),
            source_timeout,
            clients_seen: 0,
            clients_evicted: 0,
        }
    }

    /// Updates the tables for a segment that arrived at `now`, which must not decrease from call to
    /// call.
    pub fn observe(&mut self, segment: &Segment, now: Duration) {
        self.expire(now);
        let key = ConnectionKey {
            netns: segment.netns,
            client: segment.client,
            server: segment.server,
        };
        if segment.class == SegmentClass::Rst {
            self.connections.pop(&key);
            self.frozen.pop(&key);
            return;
        }
        let verified = segment.class != SegmentClass::Midstream;
        let table = if verified {
            &mut self.connections
        } else {
            &mut self.frozen
        };
        let (new, wasted) = if let Some(connection) = table.get_mut(&key) {
            let wasted = now.saturating_sub(connection.seen);
            connection.seen = now;
            connection.last = segment.class;
            connection.segments += 1;
            (!verified && connection.segments == 2, wasted)
        } else {
            let connection = Connection {
                since: now.saturating_sub(segment.age),
                seen: now,
                last: segment.class,
                segments: 1,
            };
            if table.push(key, connection).is_some() && verified {
                self.clients_evicted += 1;
            }
            if !verified {
                return;
            }
            (true, segment.age)
        };
        self.clients_seen += u64::from(new);
        let source = self
            .sources
            .get_or_insert_mut(segment.client.ip().to_canonical(), Source::default);
        source.clients += u64::from(new);
        source.wasted += wasted;
        source.seen = now;
    }

    /// Removes the connections and sources whose timeout has passed.
    pub fn expire(&mut self, now: Duration) {
        for table in [&mut self.connections, &mut self.frozen] {
            while table
                .peek_lru()
                .is_some_and(|(_, connection)| connection.seen + IDLE_TIMEOUT < now)
            {
                table.pop_lru();
            }
        }
        while self
            .sources
            .peek_lru()
            .is_some_and(|(_, source)| source.seen + self.source_timeout < now)
        {
            self.sources.pop_lru();
        }
    }

    /// Returns the held connections: first the verified, then the frozen ones, each list with the
    /// most recently seen first.
    pub fn connections(&self) -> impl Iterator<Item = (&ConnectionKey, &Connection)> {
        let frozen = self
            .frozen
            .iter()
            .filter(|(_, connection)| connection.segments > 1);
        self.connections.iter().chain(frozen)
    }

    /// Returns the sources, the most recently seen first.
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

    fn segment(class: SegmentClass, host: u8, port: u16, age: u64) -> Segment {
        Segment {
            netns: 1,
            class,
            client: SocketAddr::from(([192, 0, 2, host], port)),
            server: SocketAddr::from(([198, 51, 100, 1], 23)),
            age: secs(age),
        }
    }

    fn table(sources: usize) -> ConnectionTable {
        ConnectionTable::new(NonZeroUsize::new(sources).unwrap(), secs(3600))
    }

    /// Returns address, connections and wasted seconds of each source.
    fn wasted(table: &ConnectionTable) -> Vec<(String, u64, u64)> {
        table
            .sources()
            .map(|(ip, source)| (ip.to_string(), source.clients, source.wasted.as_secs()))
            .collect()
    }

    #[test]
    fn adds_up_wasted_time_per_source() {
        let mut table = table(10);
        table.observe(&segment(SegmentClass::Established, 1, 1, 0), secs(100));
        table.observe(&segment(SegmentClass::Established, 1, 2, 0), secs(110));
        table.observe(&segment(SegmentClass::Probe, 1, 1, 30), secs(130));
        table.observe(&segment(SegmentClass::Probe, 1, 2, 60), secs(170));
        assert_eq!(wasted(&table), [("192.0.2.1".into(), 2, 90)]);
        assert_eq!(table.clients_seen, 2);
    }

    #[test]
    fn includes_age_of_first_segment() {
        let mut table = table(10);
        table.observe(&segment(SegmentClass::Probe, 1, 1, 60), secs(100));
        let (_, connection) = table.connections().next().unwrap();
        assert_eq!((connection.since, connection.held()), (secs(40), secs(60)));
        assert_eq!(wasted(&table), [("192.0.2.1".into(), 1, 60)]);
    }

    #[test]
    fn removes_connections_on_rst_and_idle_timeout_and_keeps_sources() {
        let mut table = table(10);
        table.observe(&segment(SegmentClass::Data, 1, 1, 0), secs(100));
        table.observe(&segment(SegmentClass::Data, 2, 1, 0), secs(100));
        table.observe(&segment(SegmentClass::Rst, 1, 1, 0), secs(101));
        assert_eq!(table.connections().count(), 1);
        table.expire(secs(350));
        assert_eq!(table.connections().count(), 1);
        table.expire(secs(351));
        assert_eq!(table.connections().count(), 0);
        assert_eq!(table.sources().count(), 2);
        table.expire(secs(100 + 3601));
        assert_eq!(table.sources().count(), 0);
    }

    #[test]
    fn midstream_segments_evict_no_verified_connection() {
        let mut table = table(2);
        table.observe(&segment(SegmentClass::Data, 1, 1, 0), secs(100));
        for n in 0..10_000 {
            table.observe(
                &segment(SegmentClass::Midstream, (n % 250) as u8 + 2, n, 0),
                secs(100),
            );
        }
        assert_eq!(table.connections().count(), 1);
        assert_eq!(wasted(&table), [("192.0.2.1".into(), 1, 0)]);
    }

    #[test]
    fn frozen_connection_counts_from_second_segment() {
        let mut table = table(2);
        table.observe(&segment(SegmentClass::Midstream, 1, 1, 0), secs(100));
        table.observe(&segment(SegmentClass::Midstream, 1, 1, 0), secs(103));
        assert_eq!(table.connections().count(), 1);
        assert_eq!(wasted(&table), [("192.0.2.1".into(), 1, 3)]);
    }

    #[test]
    fn full_tables_evict_least_recently_seen() {
        let mut table = table(3);
        for n in 0..70_000_u32 {
            let mut segment = segment(SegmentClass::Data, 1, 1, 0);
            segment.client.set_ip(IpAddr::from(n.to_be_bytes()));
            table.observe(&segment, secs(100));
        }
        assert_eq!(table.connections().count(), 65_536);
        assert_eq!(table.clients_evicted, 70_000 - 65_536);
        assert_eq!(table.sources().count(), 3);
        assert_eq!(wasted(&table)[0].0, "0.1.17.111");
    }

    proptest! {
        /// A source has up to four connections here. Each wastes at most the time since the start,
        /// plus the age that its first segment shows.
        #[test]
        fn wasted_time_is_bounded(
            steps in prop::collection::vec((0..8_usize, 1..4_u8, 1..3_u16, 0..200_u64, 0..200_u64), 0..60)
        ) {
            let mut table = table(2);
            let (mut now, mut shown) = (secs(1000), secs(0));
            for (class, host, port, age, later) in steps {
                now += secs(later);
                shown += secs(age);
                table.observe(&segment(SegmentClass::ALL[class], host, port, age), now);
            }
            table.expire(now);
            let open = table.connections().count();
            prop_assert!(open <= 6 * 2 && open as u64 <= table.clients_seen);
            for (_, connection) in table.connections() {
                prop_assert!(connection.since <= connection.seen && connection.seen <= now);
                prop_assert!(connection.seen + IDLE_TIMEOUT >= now);
            }
            for (_, source) in table.sources() {
                prop_assert!(source.wasted <= 4 * (now - secs(1000)) + shown);
            }
        }
    }
}
