// SPDX-License-Identifier: GPL-2.0

//! Parses the lines that the kernel writes to trace_pipe.

use std::net::SocketAddr;
use std::time::Duration;

/// The class of a segment that belongs to a connection. docs/monitoring.md defines the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentClass {
    /// The ACK that completes the handshake.
    Established,
    /// A segment with data.
    Data,
    /// A zero-window probe.
    Probe,
    /// A keep-alive probe.
    KeepAlive,
    /// Another ACK without data.
    Ack,
    /// A FIN: the client has closed its socket.
    Fin,
    /// An RST: the client has dropped the connection.
    Rst,
    /// Data of a connection that existed before the rule, or that is forged.
    Midstream,
}

impl SegmentClass {
    /// The classes of segments that the kernel is asked to trace.
    pub const ALL: [Self; 8] = [
        Self::Established,
        Self::Data,
        Self::Probe,
        Self::KeepAlive,
        Self::Ack,
        Self::Fin,
        Self::Rst,
        Self::Midstream,
    ];

    /// Returns the kernel's name of the class, which is also the name of its counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Data => "data",
            Self::Probe => "probe",
            Self::KeepAlive => "keepalive",
            Self::Ack => "ack",
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Midstream => "midstream",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A TCP segment that matched a TARPIT rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The inode number of the network namespace.
    pub netns: u32,
    /// Its class.
    pub class: SegmentClass,
    /// Its source.
    pub client: SocketAddr,
    /// Its destination.
    pub server: SocketAddr,
    /// The time since the module's previous reply, by the segment's timestamp; 0 if unknown.
    pub age: Duration,
}

/// A line of trace_pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A traced segment.
    Segment(Segment),
    /// The kernel dropped this number of events, or at least one: the buffer was full.
    Lost(u64),
    /// Any other line.
    Other,
}

impl Line {
    /// Parses a line without its newline.
    pub fn parse(line: &str) -> Self {
        // The line begins with the name of the interrupted process, which may contain any text.
        // Version 0.1.0 has the second name of the event.
        for event in [": xt_tarpit_segment: ", ": segment: "] {
            if let Some(at) = line.rfind(event) {
                return segment(&line[at + event.len()..]).map_or(Self::Other, Self::Segment);
            }
        }
        if line.starts_with("CPU:") && line.ends_with(" EVENTS]") {
            let count = line
                .split_ascii_whitespace()
                .rev()
                .nth(1)
                .and_then(|n| n.parse().ok());
            return Self::Lost(count.unwrap_or(1));
        }
        Self::Other
    }
}

fn segment(fields: &str) -> Option<Segment> {
    let mut fields = fields.split_ascii_whitespace();
    let mut next = |name: &str| {
        let (found, value) = fields.next()?.split_once('=')?;
        // Version 0.1.0 calls it kind.
        (found == name || (found, name) == ("kind", "class")).then_some(value)
    };
    Some(Segment {
        netns: next("netns")?.parse().ok()?,
        class: next("class").and_then(SegmentClass::from_name)?,
        client: next("src")?.parse().ok()?,
        server: next("dst")?.parse().ok()?,
        age: Duration::from_millis(next("age_ms")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROBE: &str =
        "netns=4026531840 class=probe src=192.0.2.1:40000 dst=192.0.2.2:23 age_ms=1234";

    fn format_fields(segment: &Segment) -> String {
        format!(
            "netns={} class={} src={} dst={} age_ms={}",
            segment.netns,
            segment.class.name(),
            segment.client,
            segment.server,
            segment.age.as_millis()
        )
    }

    #[test]
    fn parses_segment_after_any_process_name() {
        let expected = Line::Segment(Segment {
            netns: 4026531840,
            class: SegmentClass::Probe,
            client: "192.0.2.1:40000".parse().unwrap(),
            server: "192.0.2.2:23".parse().unwrap(),
            age: Duration::from_millis(1234),
        });
        for process in [
            "<idle>-0",
            "x: xt_tarpit_segment: -7",
            ": xt_tarpit_segment: net-7",
            "CPU: EVENTS]-9",
        ] {
            let line =
                format!("{process:>24}     [000] ..s2.   101.250000: xt_tarpit_segment: {PROBE}");
            assert_eq!(Line::parse(&line), expected, "{line}");
        }
    }

    #[test]
    fn a_segment_has_the_fields_that_the_module_writes() {
        let module = include_str!("../../xt_TARPIT_trace.h");
        let format = module.split('"').find(|text| text.starts_with("netns="));
        let names = |text: &str| -> Vec<_> {
            let fields = text.split(' ');
            fields
                .map(|field| field.split('=').next().unwrap().to_string())
                .collect()
        };
        assert_eq!(names(format.unwrap()), names(PROBE));
    }

    #[test]
    fn parses_event_of_version_0_1_0() {
        let old = PROBE.replace("class=", "kind=");
        assert_eq!(segment(&old), segment(PROBE));
        assert!(segment(PROBE).is_some());
    }

    #[test]
    fn parses_number_of_lost_events() {
        assert_eq!(Line::parse("CPU:1 [LOST 4711 EVENTS]"), Line::Lost(4711));
        assert_eq!(Line::parse("CPU:0 [LOST EVENTS]"), Line::Lost(1));
    }

    #[test]
    fn ignores_other_classes_and_malformed_fields() {
        let line =
            |text: &str| format!(" <idle>-0 [000] ..s2. 101.250000: xt_tarpit_segment: {text}");
        assert_ne!(Line::parse(&line(PROBE)), Line::Other);
        for other in [
            PROBE.replace("probe", "syn"),
            PROBE.replace("probe", "unknown"),
            PROBE.replace(":23", ""),
            PROBE.replace("netns=4026531840 ", ""),
            PROBE.replace("1234", "-1"),
            PROBE.replace("class=", "class"),
            String::new(),
        ] {
            assert_eq!(Line::parse(&line(&other)), Line::Other, "{other}");
        }
    }

    fn segments() -> impl Strategy<Value = Segment> {
        let address = || {
            any::<SocketAddr>().prop_map(|mut address| {
                if let SocketAddr::V6(v6) = &mut address {
                    v6.set_scope_id(0); // the kernel prints neither
                    v6.set_flowinfo(0);
                }
                address
            })
        };
        let classes = prop::sample::select(SegmentClass::ALL.to_vec());
        (any::<u32>(), classes, address(), address(), any::<u32>()).prop_map(
            |(netns, class, client, server, age_ms)| Segment {
                netns,
                class,
                client,
                server,
                age: Duration::from_millis(age_ms.into()),
            },
        )
    }

    proptest! {
        #[test]
        fn parses_every_formatted_segment(segment in segments(), process in ".{0,16}") {
            for event in ["xt_tarpit_segment", "segment"] {
                let fields = format_fields(&segment);
                let line = format!("{process}-1 [001] ..s1. 5.0: {event}: {fields}");
                prop_assert_eq!(Line::parse(&line), Line::Segment(segment));
            }
        }

        #[test]
        fn parses_any_line_without_panic(line in ".*") {
            Line::parse(&line);
        }

        #[test]
        fn parses_damaged_line_without_panic(
            segment in segments(), at in 0..120_usize, put in ".{0,3}"
        ) {
            let fields = format_fields(&segment);
            let line = format!("p-1 [001] 5.0: xt_tarpit_segment: {fields}");
            let mut line: Vec<char> = line.chars().collect();
            let at = at.min(line.len());
            line.splice(at..(at + 1).min(line.len()), put.chars());
            Line::parse(&line.into_iter().collect::<String>());
        }
    }
}
