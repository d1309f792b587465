// SPDX-License-Identifier: GPL-2.0

//! The state at one time, which all outputs show. `tarpit-top --json` prints it with these names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

/// A report. Times are in seconds since 1970, durations in seconds, both with three decimals.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the program.
    pub version: &'static str,
    /// The time of the report.
    pub time: f64,
    /// The time when the program started to collect events.
    pub listening_since: f64,
    /// The module's counters.
    pub counters: BTreeMap<String, u64>,
    /// True if segments are traced. Otherwise all fields below are zero or empty.
    #[serde(skip)]
    pub traced: bool,
    /// The number of connections so far.
    pub clients_seen: u64,
    /// The number of connections that a full table evicted.
    pub clients_evicted: u64,
    /// The number of trace events that the kernel dropped.
    pub trace_events_lost: u64,
    /// The held connections.
    pub clients: Vec<Client>,
    /// The sources of these and of earlier connections.
    pub sources: Vec<Source>,
}

/// A held connection.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // the man page defines the fields
pub struct Client {
    pub netns: u32,
    pub source: IpAddr,
    pub source_port: u16,
    pub country: Option<String>,
    pub destination: IpAddr,
    pub port: u16,
    pub since: f64,
    pub held: f64,
    pub seen: f64,
    pub segments: u64,
    pub last: &'static str,
}

/// A source address.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Source {
    pub source: IpAddr,
    pub country: Option<String>,
    pub clients_open: u64,
    pub clients: u64,
    pub wasted: f64,
    pub seen: f64,
}

/// The order of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By time held or wasted, the longest first.
    #[default]
    Time,
    /// By last segment, the latest first.
    Seen,
    /// By source address.
    Source,
}

impl Report {
    /// Sorts both lists.
    pub fn sort(&mut self, order: Order) {
        let by_source = |a: IpAddr, b: IpAddr| a.cmp(&b);
        self.clients.sort_by(|a, b| {
            let source = by_source(a.source, b.source).then(a.source_port.cmp(&b.source_port));
            match order {
                Order::Time => b.held.total_cmp(&a.held).then(source),
                Order::Seen => b.seen.total_cmp(&a.seen).then(source),
                Order::Source => source,
            }
        });
        self.sources.sort_by(|a, b| {
            let source = by_source(a.source, b.source);
            match order {
                Order::Time => b.wasted.total_cmp(&a.wasted).then(source),
                Order::Seen => b.seen.total_cmp(&a.seen).then(source),
                Order::Source => source,
            }
        });
    }

    /// Returns a counter of the module, or 0 if the module does not have it.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// Returns the wasted time of all clients, as the module counts it, in seconds.
    pub fn wasted(&self) -> f64 {
        self.counter("trapped_ms") as f64 / 1000.0
    }
}

/// Formats a duration in its two largest units.
pub fn human_duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// Formats a number of bytes with a decimal unit.
pub fn human_bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" {
                format!("{n} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A report for tests that has each kind of entry.
#[cfg(test)]
pub fn sample() -> Report {
    let counters = [
        ("syn", 3),
        ("data", 2),
        ("replies", 4),
        ("trapped_ms", 61_500),
    ];
    Report {
        version: "1.2.3",
        time: 1000.0,
        listening_since: 900.0,
        counters: counters.map(|(name, n)| (name.to_string(), n)).into(),
        traced: true,
        clients_seen: 9,
        clients_evicted: 0,
        trace_events_lost: 0,
        clients: vec![Client {
            netns: 1,
            source: "2001:db8::1".parse().unwrap(),
            source_port: 40_000,
            country: None,
            destination: "2001:db8::2".parse().unwrap(),
            port: 23,
            since: 930.0,
            held: 60.25,
            seen: 990.25,
            segments: 7,
            last: "probe",
        }],
        sources: vec![Source {
            source: "2001:db8::1".parse().unwrap(),
            country: Some("UT".to_string()),
            clients_open: 1,
            clients: 2,
            wasted: 60.25,
            seen: 990.25,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_page_lists_every_json_field() {
        let page = include_str!("../tarpit-top.8.in");
        let (_, page) = page.split_once(".SH JSON\n").unwrap();
        let json = serde_json::to_value(sample()).unwrap();
        for object in [&json, &json["clients"][0], &json["sources"][0]] {
            for name in object.as_object().unwrap().keys() {
                let fits = |word: &str| word == name || word == format!(r"\fB{name}\fP");
                assert!(page.split([' ', ',', '"', '\n']).any(fits), "{name}");
            }
        }
    }

    #[test]
    fn human_duration_has_two_units() {
        let texts = [0.9, 59.0, 61.0, 3600.0, 86399.0, 90000.0].map(human_duration);
        assert_eq!(
            texts,
            [
                "0 s",
                "59 s",
                "1 min 01 s",
                "1 h 00 min",
                "23 h 59 min",
                "1 d 01 h"
            ]
        );
    }

    #[test]
    fn human_bytes_has_decimal_units() {
        let texts = [999, 1000, 1_500_000, 2_000_000_000_000_000].map(human_bytes);
        assert_eq!(texts, ["999 B", "1.0 KB", "1.5 MB", "2000.0 TB"]);
    }
}
