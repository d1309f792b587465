// SPDX-License-Identifier: GPL-2.0

//! What the kernel writes into trace_pipe, line by line.

use std::net::SocketAddr;
use std::time::Duration;

/// What a segment of a held connection is; docs/monitoring.md defines each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The acknowledgment that ends the handshake.
    Established,
    /// It brings data.
    Data,
    /// It asks for a closed window.
    Probe,
    /// It asks whether we are alive.
    KeepAlive,
    /// Another acknowledgment.
    Ack,
    /// The peer has closed its socket.
    Fin,
    /// The peer is gone.
    Rst,
    /// Data of a connection that is not ours: it was there before the rule, or is made up.
    Midstream,
}

impl Kind {
    /// All that say something of who is held; of others the kernel need not tell us.
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

    /// The kernel's name of it, a column of its counters as well.
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
}

/// A segment that came to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The network namespace, by its inode number.
    pub netns: u32,
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub client: SocketAddr,
    /// To whom.
    pub server: SocketAddr,
    /// How long its sender has been held since our answer before, where it shows that.
    pub age: Duration,
}

/// A line of trace_pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A segment came.
    Segment(Segment),
    /// The kernel had no room for so many events, one at least.
    Lost(u64),
    /// Nothing that is wanted here.
    Other,
}

impl Line {
    /// Reads a line without its end.
    pub fn parse(line: &str) -> Self {
        // Before it stands the name of the process that was interrupted, which may be anything.
        // The second name is that of version 0.1.0.
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
    let mut value = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
    Some(Segment {
        netns: value("netns")?.parse().ok()?,
        kind: value("kind").and_then(|name| Kind::ALL.into_iter().find(|k| k.name() == name))?,
        client: value("src")?.parse().ok()?,
        server: value("dst")?.parse().ok()?,
        age: Duration::from_millis(value("age_ms")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROBE: &str =
        "netns=4026531840 kind=probe src=192.0.2.1:40000 dst=192.0.2.2:23 age_ms=1234";

    fn shown(segment: &Segment) -> String {
        format!(
            "netns={} kind={} src={} dst={} age_ms={}",
            segment.netns,
            segment.kind.name(),
            segment.client,
            segment.server,
            segment.age.as_millis()
        )
    }

    #[test]
    fn a_segment_is_read_whatever_process_it_interrupted() {
        let wanted = Line::Segment(Segment {
            netns: 4026531840,
            kind: Kind::Probe,
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
            assert_eq!(Line::parse(&line), wanted, "{line}");
        }
    }

    #[test]
    fn lost_events_are_counted() {
        assert_eq!(Line::parse("CPU:1 [LOST 4711 EVENTS]"), Line::Lost(4711));
        assert_eq!(Line::parse("CPU:0 [LOST EVENTS]"), Line::Lost(1));
    }

    #[test]
    fn what_says_nothing_of_who_is_held_is_left_out() {
        let line =
            |text: &str| format!(" <idle>-0 [000] ..s2. 101.250000: xt_tarpit_segment: {text}");
        assert_ne!(Line::parse(&line(PROBE)), Line::Other);
        for other in [
            PROBE.replace("probe", "syn"),
            PROBE.replace("probe", "what"),
            PROBE.replace(":23", ""),
            PROBE.replace("netns=4026531840 ", ""),
            PROBE.replace("1234", "-1"),
            PROBE.replace("kind=", "kind"),
            String::new(),
        ] {
            assert_eq!(Line::parse(&line(&other)), Line::Other, "{other}");
        }
    }

    fn segments() -> impl Strategy<Value = Segment> {
        let address = || {
            any::<SocketAddr>().prop_map(|mut address| {
                if let SocketAddr::V6(v6) = &mut address {
                    v6.set_scope_id(0); // the kernel shows neither
                    v6.set_flowinfo(0);
                }
                address
            })
        };
        let kinds = prop::sample::select(Kind::ALL.to_vec());
        (any::<u32>(), kinds, address(), address(), any::<u32>()).prop_map(
            |(netns, kind, client, server, age_ms)| Segment {
                netns,
                kind,
                client,
                server,
                age: Duration::from_millis(age_ms.into()),
            },
        )
    }

    proptest! {
        #[test]
        fn every_segment_is_read_as_it_was_written(segment in segments(), process in ".{0,16}") {
            for event in ["xt_tarpit_segment", "segment"] {
                let line = format!("{process}-1 [001] ..s1. 5.0: {event}: {}", shown(&segment));
                prop_assert_eq!(Line::parse(&line), Line::Segment(segment));
            }
        }

        #[test]
        fn any_line_can_be_read(line in ".*") {
            Line::parse(&line);
        }

        #[test]
        fn a_damaged_line_can_be_read(segment in segments(), at in 0..120_usize, put in ".{0,3}") {
            let mut line: Vec<char> = format!("p-1 [001] 5.0: xt_tarpit_segment: {}", shown(&segment)).chars().collect();
            let at = at.min(line.len());
            line.splice(at..(at + 1).min(line.len()), put.chars());
            Line::parse(&line.into_iter().collect::<String>());
        }
    }
}
