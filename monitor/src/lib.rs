// SPDX-License-Identifier: GPL-2.0

//! What tarpit-top and tarpit-exporter have in common: [`watch`] puts together what comes in from [`trace`] and
//! [`counters`], [`report`] is what it looks like at one time, and [`metrics`], [`screen`] and JSON are ways to say that.

pub mod cli;
pub mod counters;
pub mod country;
pub mod held;
pub mod metrics;
pub mod report;
pub mod screen;
pub mod segment;
pub mod server;
pub mod trace;
pub mod watch;

/// What went wrong, in a sentence for people.
pub type Result<T> = std::result::Result<T, String>;

/// How a program ends, and says why if it failed.
pub fn exit_code(program: &str, done: Result<()>) -> std::process::ExitCode {
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{program}: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Sets the flag that it returns when the process is to end.
///
/// # Errors
///
/// The handlers cannot be set.
pub fn end_of_process() -> Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = std::sync::Arc::default();
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&flag))
            .map_err(|error| format!("signal {signal}: {error}"))?;
    }
    Ok(flag)
}
