// SPDX-License-Identifier: GPL-2.0

//! What Prometheus reads: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{Display, Write};

use crate::counters::OTHERS;
use crate::report::{Report, Source};

/// A report in Prometheus' text format.
pub fn metrics(report: &Report) -> String {
    let mut page = Page(String::new());
    let (gauge, counter) = ("gauge", "counter");

    let version = [("version", report.version)];
    page.head("build_info", gauge, "The version of the exporter.");
    page.sample("build_info", &version, 1);

    let name = "segments_total";
    page.head(
        name,
        counter,
        "Segments that came to a rule, by what they are.",
    );
    let kinds = report
        .counters
        .iter()
        .filter(|(kind, _)| !OTHERS.contains(&kind.as_str()));
    for (kind, count) in kinds {
        page.sample(name, &[("kind", kind)], count);
    }
    for (name, help, column) in [
        ("replies_total", "Answers that were sent.", "replies"),
        (
            "limited_total",
            "Answers that a limit held back.",
            "limited",
        ),
        ("failed_total", "Answers without memory.", "failed"),
        (
            "refused_total",
            "Answers that OUTPUT, the route or the link refused.",
            "refused",
        ),
        (
            "received_bytes_total",
            "Octets that came to a rule.",
            "bytes_in",
        ),
        ("sent_bytes_total", "Octets of answers.", "bytes_out"),
    ] {
        page.one(name, counter, help, report.counter(column));
    }
    page.one(
        "trapped_seconds_total",
        counter,
        "Time that clients have lost, by the echoes of their timestamps.",
        report.trapped(),
    );
    if !report.traced {
        return page.0;
    }
    page.one(
        "clients_open",
        gauge,
        "Connections that are held.",
        report.clients.len(),
    );
    page.one(
        "clients_total",
        counter,
        "Connections that were held since the exporter listens.",
        report.clients_seen,
    );
    page.one(
        "clients_forgotten_total",
        counter,
        "Connections that the exporter had no room for any more.",
        report.clients_forgotten,
    );
    page.one(
        "events_lost_total",
        counter,
        "Segments that the kernel had no room to show.",
        report.events_lost,
    );

    type Of = fn(&Source) -> f64;
    let of_sources: [(_, _, _, Of); 3] = [
        (
            "source_trapped_seconds_total",
            counter,
            "Time that a source has lost.",
            |source| source.trapped,
        ),
        (
            "source_clients_open",
            gauge,
            "Connections of a source that are held.",
            |source| source.clients_open as f64,
        ),
        (
            "source_clients_total",
            counter,
            "Connections that a source had.",
            |source| source.clients as f64,
        ),
    ];
    for (name, kind, help, value) in of_sources {
        page.head(name, kind, help);
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

/// Writing into a `String` cannot fail.
impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP xt_tarpit_{name} {help}\n# TYPE xt_tarpit_{name} {kind}"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        // Addresses, countries and kinds have nothing that must be escaped.
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

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_man_page_names_every_metric() {
        let page = include_str!("../tarpit-exporter.8.in");
        let text = metrics(&sample());
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE xt_tarpit_"))
        {
            let name = line.split(' ').next().unwrap();
            let fits = |word: &str| word == name || word == format!(r"\fB{name}\fP");
            assert!(page.split([' ', ',', '"', '{', '\n']).any(fits), "{name}");
        }
    }

    #[test]
    fn a_report_is_written_as_prometheus_reads_it() {
        let text = metrics(&sample());
        for line in [
            "# TYPE xt_tarpit_segments_total counter",
            "xt_tarpit_build_info{version=\"1.2.3\"} 1",
            "xt_tarpit_segments_total{kind=\"syn\"} 3",
            "xt_tarpit_segments_total{kind=\"data\"} 2",
            "xt_tarpit_replies_total 4",
            "xt_tarpit_trapped_seconds_total 61.5",
            "xt_tarpit_clients_open 1",
            "xt_tarpit_clients_total 9",
            "xt_tarpit_source_trapped_seconds_total{source=\"2001:db8::1\",country=\"UT\"} 60.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("kind=\"replies\""), "{text}");
    }

    #[test]
    fn without_tracing_there_are_counters_and_no_clients() {
        let mut report = sample();
        report.traced = false;
        let text = metrics(&report);
        assert!(
            text.contains("xt_tarpit_segments_total{kind=\"syn\"} 3\n"),
            "{text}"
        );
        assert!(
            text.contains("xt_tarpit_trapped_seconds_total 61.5\n"),
            "{text}"
        );
        for name in ["clients", "source", "events_lost"] {
            assert!(
                !text.contains(&format!("xt_tarpit_{name}")),
                "{name}\n{text}"
            );
        }
    }
}
