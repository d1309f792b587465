// SPDX-License-Identifier: GPL-2.0

//! The options. The man pages say more; a test sees to it that they name each of these.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Shows who is held by the TARPIT target, since when, and what it has cost them.
#[derive(Parser, Debug)]
#[command(name = "tarpit-top", version)]
pub struct Top {
    /// Listens for SECONDS (120 without a number), prints what it saw, ends
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120")]
    pub once: Option<u32>,

    /// The same as one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// Gives Prometheus the figures of the TARPIT target.
#[derive(Parser, Debug)]
#[command(name = "tarpit-exporter", version)]
pub struct Exporter {
    /// Where to answer GET /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:12323")]
    pub listen: SocketAddr,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// What both take.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// How many sources are remembered
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sources: u32,

    /// How many hours a source is remembered that is not seen any more
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = clap::value_parser!(u32).range(1..))]
    pub forget: u32,

    /// A database of countries or cities (MaxMind's format), for the country of each source
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_man_pages_name_every_option() {
        let pages = [
            (Top::command(), include_str!("../tarpit-top.8.in")),
            (Exporter::command(), include_str!("../tarpit-exporter.8.in")),
        ];
        for (command, page) in pages {
            command.clone().debug_assert();
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let written = format!(r"\fB\-\-{option}\fP");
                assert!(page.contains(&written), "{}: {written}", command.get_name());
            }
        }
    }
}
