// SPDX-License-Identifier: GPL-2.0

//! The options. A test checks that the man pages have each of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Shows the clients that the TARPIT target holds, and the time wasted per source.
#[derive(Parser, Debug)]
#[command(name = "tarpit-top", version)]
pub struct Top {
    /// Collect for SECONDS (120 if not given), print the result and exit
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120")]
    pub once: Option<u32>,

    /// With --once, print one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Serves metrics of the TARPIT target to Prometheus.
#[derive(Parser, Debug)]
#[command(name = "tarpit-exporter", version)]
pub struct Exporter {
    /// The address that serves /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:12323")]
    pub listen: SocketAddr,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Options of both programs.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// Maximum number of sources to remember
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sources: u32,

    /// Forget a source HOURS after its last segment
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = clap::value_parser!(u32).range(1..))]
    pub forget: u32,

    /// Look up the country of each source in this database (MaxMind's format)
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn man_pages_list_every_option() {
        let pages = [
            (Top::command(), include_str!("../tarpit-top.8.in")),
            (Exporter::command(), include_str!("../tarpit-exporter.8.in")),
        ];
        for (command, page) in pages {
            command.clone().debug_assert();
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let entry = format!(r"\fB\-\-{option}\fP");
                assert!(page.contains(&entry), "{}: {entry}", command.get_name());
            }
        }
    }
}
