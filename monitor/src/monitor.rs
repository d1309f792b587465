// SPDX-License-Identifier: GPL-2.0

//! Combines the kernel's events and counters into reports.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use crate::cli::Common;
use crate::connections::ConnectionTable;
use crate::counters::Counters;
use crate::country::Countries;
use crate::report::{Client, Report, Source};
use crate::segment::Line;
use crate::trace::Trace;
use crate::Result;

/// The interval of polls. The kernel drops events when its buffer is full.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Collects events from its start on.
#[derive(Debug)]
pub struct Monitor {
    /// The trace, or the reason why there is none.
    trace: Result<Trace>,
    table: ConnectionTable,
    countries: Countries,
    trace_events_lost: u64,
    started: Instant,
    /// `started` as the time since 1970.
    started_epoch: Duration,
}

impl Monitor {
    /// Starts to collect events. Without tracing, reports have the counters only: see
    /// [`Monitor::check_tracing`].
    ///
    /// # Errors
    ///
    /// See [`Counters::read`], [`Countries::open`].
    pub fn start(options: &Common) -> Result<Self> {
        let countries = options.geoip.as_deref().map(Countries::open);
        let counters = Counters::read()?;
        let max_sources = NonZeroUsize::new(options.sources as usize).unwrap_or(NonZeroUsize::MIN);
        let source_timeout = Duration::from_secs(u64::from(options.forget) * 3600);
        Ok(Self {
            countries: countries.transpose()?.unwrap_or_default(),
            trace: Trace::start(&counters),
            table: ConnectionTable::new(max_sources, source_timeout),
            trace_events_lost: 0,
            started: Instant::now(),
            started_epoch: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        })
    }

    /// Returns an error if reports have no clients and sources.
    ///
    /// # Errors
    ///
    /// See [`Trace::start`].
    pub fn check_tracing(&self) -> Result<()> {
        self.trace.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time since 1970, by a clock that never goes back.
    fn now(&self) -> Duration {
        self.started_epoch + self.started.elapsed()
    }

    /// Reads the events since the last poll, and removes expired connections.
    ///
    /// # Errors
    ///
    /// See [`Trace::read`]; without tracing, see [`Counters::read`].
    pub fn poll(&mut self) -> Result<()> {
        let now = self.now();
        let (table, lost) = (&mut self.table, &mut self.trace_events_lost);
        match &mut self.trace {
            Ok(trace) => trace.read(|line| match line {
                Line::Segment(segment) => table.observe(&segment, now),
                Line::Lost(n) => *lost += n,
                Line::Other => (),
            })?,
            Err(_) => drop(Counters::read()?), // fails if the module was unloaded
        }
        self.table.expire(now);
        Ok(())
    }

    /// Returns a report of the last [poll](Self::poll), with unsorted lists.
    ///
    /// # Errors
    ///
    /// See [`Counters::read`].
    pub fn report(&self) -> Result<Report> {
        let mut open: HashMap<_, u64> = HashMap::new();
        let clients = self.table.connections().map(|(key, connection)| {
            let source = key.client.ip().to_canonical();
            *open.entry(source).or_default() += 1;
            Client {
                netns: key.netns,
                source,
                source_port: key.client.port(),
                country: self.countries.country_of(source),
                destination: key.server.ip().to_canonical(),
                port: key.server.port(),
                since: seconds(connection.since),
                held: seconds(connection.held()),
                seen: seconds(connection.seen),
                segments: connection.segments,
                last: connection.last.name(),
            }
        });
        let clients: Vec<_> = clients.collect();
        let sources = self.table.sources().map(|(&address, source)| Source {
            source: address,
            country: self.countries.country_of(address),
            clients_open: open.get(&address).copied().unwrap_or(0),
            clients: source.clients,
            wasted: seconds(source.wasted),
            seen: seconds(source.seen),
        });
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            time: seconds(self.now()),
            listening_since: seconds(self.started_epoch),
            counters: Counters::read()?.sums,
            traced: self.trace.is_ok(),
            clients_seen: self.table.clients_seen,
            clients_evicted: self.table.clients_evicted,
            trace_events_lost: self.trace_events_lost,
            sources: sources.collect(),
            clients,
        })
    }
}

/// Returns seconds, rounded down to milliseconds.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}
