// SPDX-License-Identifier: GPL-2.0

//! Prometheus' text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{Display, Write};

use crate::counters::TOTALS;
use crate::report::{Report, Source};

/// Formats a report for Prometheus. Without tracing, the metrics of clients and sources are absent.
pub fn metrics(report: &Report) -> String {
    let mut page = Page(String::new());
    let (gauge, counter) = ("gauge", "counter");

    let version = [("version", report.version)];
    page.header("build_info", gauge, "Version of the exporter.");
    page.sample("build_info", &version, 1);

    let name = "segments_total";
    page.header(
        name,
        counter,
        "Packets that matched a TARPIT rule, by segment class.",
    );
    let classes = report
        .counters
        .iter()
        .filter(|(class, _)| !TOTALS.contains(&class.as_str()));
    for (class, count) in classes {
        page.sample(name, &[("class", class)], count);
    }
    for (name, help, column) in [
        ("replies_total", "Replies sent.", "replies"),
        (
            "replies_limited_total",
            "Replies not sent because of a rate limit.",
            "limited",
        ),
        (
            "replies_failed_total",
            "Replies not sent for lack of memory.",
            "failed",
        ),
        (
            "replies_refused_total",
            "Replies refused by OUTPUT, the route or the link.",
            "refused",
        ),
        (
            "received_bytes_total",
            "Bytes of the packets that matched a TARPIT rule, with IP headers.",
            "bytes_in",
        ),
        (
            "sent_bytes_total",
            "Bytes of the replies sent, with IP headers.",
            "bytes_out",
        ),
    ] {
        page.metric(name, counter, help, report.counter(column));
    }
    page.metric(
        "wasted_seconds_total",
        counter,
        "Client time wasted, by the timestamps that clients echo.",
        report.wasted(),
    );
    if !report.traced {
        return page.0;
    }
    page.metric(
        "clients_open",
        gauge,
        "Connections held now.",
        report.clients.len(),
    );
    page.metric(
        "clients_total",
        counter,
        "Connections held since the exporter started.",
        report.clients_seen,
    );
    page.metric(
        "clients_evicted_total",
        counter,
        "Connections that the exporter evicted from its full table.",
        report.clients_evicted,
    );
    page.metric(
        "trace_events_lost_total",
        counter,
        "Trace events that the kernel dropped because its buffer was full.",
        report.trace_events_lost,
    );

    type Value = fn(&Source) -> f64;
    let per_source: [(_, _, _, Value); 3] = [
        (
            "source_wasted_seconds_total",
            counter,
            "Client time wasted, by source.",
            |source| source.wasted,
        ),
        (
            "source_clients_open",
            gauge,
            "Connections held now, by source.",
            |source| source.clients_open as f64,
        ),
        (
            "source_clients_total",
            counter,
            "Connections held since the exporter remembers the source, by source.",
            |source| source.clients as f64,
        ),
    ];
    for (name, metric_type, help, value) in per_source {
        page.header(name, metric_type, help);
        for source in &report.sources {
            let address = source.source.to_string();
            let country = source.country.as_deref().unwrap_or("");
            page.sample(
                name,
                &[("source", &address), ("country", country)],
                value(source),
            );
        }
    }
    page.0
}

struct Page(String);

/// Writing to a `String` cannot fail.
impl Page {
    fn header(&mut self, name: &str, metric_type: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP xt_tarpit_{name} {help}\n# TYPE xt_tarpit_{name} {metric_type}"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        // Addresses, countries and class names need no escapes.
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.0, "xt_tarpit_{name}{labels} {value}");
    }

    fn metric(&mut self, name: &str, metric_type: &str, help: &str, value: impl Display) {
        self.header(name, metric_type, help);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::of_module;
    use crate::report::sample;

    #[test]
    fn man_page_and_docs_list_every_metric() {
        let man = include_str!("../tarpit-exporter.8.in");
        let docs = include_str!("../../docs/monitoring.md");
        let text = metrics(&sample());
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE xt_tarpit_"))
        {
            let name = line.split(' ').next().unwrap();
            let fits = |word: &str| word == name || word == format!(r"\fB{name}\fP");
            assert!(man.split([' ', ',', '"', '{', '\n']).any(fits), "{name}");
            assert!(docs.split(['`', '{']).any(fits), "{name}");
        }
    }

    #[test]
    fn every_counter_of_the_module_is_a_metric() {
        let (classes, others) = of_module();
        let names = || classes.iter().chain(&others);
        let mut report = sample();
        report.counters = names().map(|name| name.to_string()).zip(1001..).collect();
        let text = metrics(&report);
        let values: Vec<_> = text
            .lines()
            .filter_map(|line| Some(line.rsplit_once(' ')?.1))
            .collect();
        for (name, value) in names().zip(1001_u64..) {
            let value = match *name {
                "trapped_ms" => (value as f64 / 1000.0).to_string(),
                _ => value.to_string(),
            };
            let count = values.iter().filter(|found| **found == value).count();
            assert_eq!(count, 1, "{name}\n{text}");
        }
    }

    #[test]
    fn formats_each_kind_of_metric() {
        let text = metrics(&sample());
        for line in [
            "# TYPE xt_tarpit_segments_total counter",
            "xt_tarpit_build_info{version=\"1.2.3\"} 1",
            "xt_tarpit_segments_total{class=\"syn\"} 3",
            "xt_tarpit_segments_total{class=\"data\"} 2",
            "xt_tarpit_replies_total 4",
            "xt_tarpit_wasted_seconds_total 61.5",
            "xt_tarpit_clients_open 1",
            "xt_tarpit_clients_total 9",
            "xt_tarpit_source_wasted_seconds_total{source=\"2001:db8::1\",country=\"UT\"} 60.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("class=\"replies\""), "{text}");
    }

    #[test]
    fn has_no_client_metrics_without_tracing() {
        let mut report = sample();
        report.traced = false;
        let text = metrics(&report);
        assert!(
            text.contains("xt_tarpit_segments_total{class=\"syn\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("xt_tarpit_wasted_seconds_total 61.5\n"),
            "{text}"
        );
        for name in ["clients", "source", "trace_events"] {
            assert!(
                !text.contains(&format!("xt_tarpit_{name}")),
                "{name}\n{text}"
            );
        }
    }
}
