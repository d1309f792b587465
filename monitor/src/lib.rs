// SPDX-License-Identifier: GPL-2.0

//! The parts that tarpit-top and tarpit-exporter share.
//!
//! [`monitor`] combines the events of [`trace`] and the module's [`counters`] into a [`report`].
//! [`metrics`], [`screen`] and JSON are the output formats of a report.

pub mod cli;
pub mod connections;
pub mod counters;
pub mod country;
pub mod metrics;
pub mod monitor;
pub mod report;
pub mod screen;
pub mod segment;
pub mod server;
pub mod trace;

/// An error is a message for the user.
pub type Result<T> = std::result::Result<T, String>;

/// Prints the error, if any, and returns the exit code of the program.
pub fn exit_code(program: &str, result: Result<()>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Returns a flag that SIGHUP, SIGINT and SIGTERM set.
///
/// # Errors
///
/// A signal handler cannot be installed.
pub fn shutdown_flag() -> Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = std::sync::Arc::default();
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&flag))
            .map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    Ok(flag)
}
