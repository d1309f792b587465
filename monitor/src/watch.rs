// SPDX-License-Identifier: GPL-2.0

//! Reads the kernel's events and counters and puts them together.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use crate::cli::Common;
use crate::counters::Counters;
use crate::country::Countries;
use crate::held::Held;
use crate::report::{Client, Report, Source};
use crate::segment::Line;
use crate::trace::Trace;
use crate::Result;

/// How often the kernel's events should be fetched: what it keeps for us is bounded.
pub const EVERY: Duration = Duration::from_millis(500);

/// Looks since it was made.
#[derive(Debug)]
pub struct Watch {
    /// Or why there is none.
    trace: Result<Trace>,
    held: Held,
    countries: Countries,
    lost: u64,
    started: Instant,
    /// The same, since 1970.
    epoch: Duration,
}

impl Watch {
    /// Begins to look. Without tracing it has the counters only; see [`Watch::traced`].
    ///
    /// # Errors
    ///
    /// See [`Counters::read`], [`Countries::open`].
    pub fn start(options: &Common) -> Result<Self> {
        let countries = options.geoip.as_deref().map(Countries::open);
        let counters = Counters::read()?;
        let sources = NonZeroUsize::new(options.sources as usize).unwrap_or(NonZeroUsize::MIN);
        let forget = Duration::from_secs(u64::from(options.forget) * 3600);
        Ok(Self {
            countries: countries.transpose()?.unwrap_or_default(),
            trace: Trace::start(&counters),
            held: Held::new(sources, forget),
            lost: 0,
            started: Instant::now(),
            epoch: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        })
    }

    /// Succeeds if clients and sources are seen.
    ///
    /// # Errors
    ///
    /// See [`Trace::start`].
    pub fn traced(&self) -> Result<()> {
        self.trace.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// For how long it has looked.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Now, by a clock that never goes back.
    fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    /// Fetches what came.
    ///
    /// # Errors
    ///
    /// See [`Trace::read`], and without tracing [`Counters::read`].
    pub fn look(&mut self) -> Result<()> {
        let now = self.now();
        let (held, lost) = (&mut self.held, &mut self.lost);
        match &mut self.trace {
            Ok(trace) => trace.read(|line| match line {
                Line::Segment(segment) => held.see(&segment, now),
                Line::Lost(n) => *lost += n,
                Line::Other => (),
            })?,
            Err(_) => drop(Counters::read()?), // fails after the module was unloaded
        }
        self.held.expire(now);
        Ok(())
    }

    /// What there is to see, after a [look](Self::look), in no order.
    ///
    /// # Errors
    ///
    /// See [`Counters::read`].
    pub fn report(&self) -> Result<Report> {
        let mut open: HashMap<_, u64> = HashMap::new();
        let clients = self.held.connections().map(|(connection, hold)| {
            let source = connection.client.ip().to_canonical();
            *open.entry(source).or_default() += 1;
            Client {
                netns: connection.netns,
                source,
                source_port: connection.client.port(),
                country: self.countries.of(source),
                destination: connection.server.ip().to_canonical(),
                port: connection.server.port(),
                since: seconds(hold.since),
                held: seconds(hold.held()),
                seen: seconds(hold.seen),
                segments: hold.segments,
                last: hold.last.name(),
            }
        });
        let clients: Vec<_> = clients.collect();
        let sources = self.held.sources().map(|(&address, source)| Source {
            source: address,
            country: self.countries.of(address),
            clients_open: open.get(&address).copied().unwrap_or(0),
            clients: source.clients,
            trapped: seconds(source.trapped),
            seen: seconds(source.seen),
        });
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            time: seconds(self.now()),
            listening_since: seconds(self.epoch),
            counters: Counters::read()?.sums,
            traced: self.trace.is_ok(),
            clients_seen: self.held.clients,
            clients_forgotten: self.held.evicted,
            events_lost: self.lost,
            sources: sources.collect(),
            clients,
        })
    }
}

/// With milliseconds.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}
