// SPDX-License-Identifier: GPL-2.0

//! tarpit-exporter, see its man page.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use tarpit_monitor::cli::Exporter;
use tarpit_monitor::metrics::metrics;
use tarpit_monitor::monitor::{Monitor, POLL_INTERVAL};
use tarpit_monitor::server::Server;
use tarpit_monitor::{exit_code, shutdown_flag, Result};

fn main() -> ExitCode {
    exit_code("tarpit-exporter", run(&Exporter::parse()))
}

fn run(options: &Exporter) -> Result<()> {
    let shutdown = shutdown_flag()?;
    let server = Server::start(options.listen)?;
    let mut monitor = Monitor::start(&options.common)?;
    if let Err(reason) = monitor.check_tracing() {
        eprintln!(
            "tarpit-exporter: only the counters are served, without clients and sources: {reason}"
        );
    }
    while !shutdown.load(Ordering::Relaxed) {
        let request = server.next_request(POLL_INTERVAL);
        monitor.poll()?;
        if let Some(request) = request {
            // An error means that the client is gone.
            let _ = request.send(metrics(&monitor.report()?));
        }
    }
    Ok(())
}
