// SPDX-License-Identifier: GPL-2.0

//! tarpit-exporter, see its man page.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use tarpit_monitor::cli::Exporter;
use tarpit_monitor::metrics::metrics;
use tarpit_monitor::server::Server;
use tarpit_monitor::watch::{Watch, EVERY};
use tarpit_monitor::{end_of_process, exit_code, Result};

fn main() -> ExitCode {
    exit_code("tarpit-exporter", run(&Exporter::parse()))
}

fn run(options: &Exporter) -> Result<()> {
    let end = end_of_process()?;
    let server = Server::start(options.listen)?;
    let mut watch = Watch::start(&options.common)?;
    if let Err(why) = watch.traced() {
        eprintln!(
            "tarpit-exporter: only the counters are served, without clients and sources: {why}"
        );
    }
    while !end.load(Ordering::Relaxed) {
        let wish = server.wish(EVERY);
        watch.look()?;
        if let Some(wish) = wish {
            // Whoever has asked may be gone.
            let _ = wish.send(metrics(&watch.report()?));
        }
    }
    Ok(())
}
