// SPDX-License-Identifier: GPL-2.0

//! tarpit-exporter, see its man page.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Parser;
use eyes::cli::Exporter;
use eyes::metrics::metrics;
use eyes::watch::{Watch, EVERY};
use eyes::{end_of_process, Result};
use tiny_http::{Header, Method, Request, Response, Server};

fn main() -> ExitCode {
    match run(&Exporter::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tarpit-exporter: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Exporter) -> Result<()> {
    let end = end_of_process()?;
    let server =
        Server::http(options.listen).map_err(|error| format!("{}: {error}", options.listen))?;
    let mut watch = Watch::start(&options.common)?;
    while !end.load(Ordering::Relaxed) {
        let request = server
            .recv_timeout(EVERY)
            .map_err(|error| error.to_string())?;
        watch.look()?;
        if let Some(request) = request {
            answer(request, &watch)?;
        }
    }
    Ok(())
}

fn answer(request: Request, watch: &Watch) -> Result<()> {
    let (status, text) = match (request.method(), request.url().split('?').next()) {
        (Method::Get | Method::Head, Some("/metrics")) => (200, metrics(&watch.report()?)),
        (Method::Get | Method::Head, _) => (404, "see /metrics\n".to_string()),
        _ => (405, "only GET\n".to_string()),
    };
    let response = Response::from_string(text).with_status_code(status);
    let response = match "Content-Type: text/plain; version=0.0.4; charset=utf-8".parse::<Header>()
    {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    };
    // Whoever has asked may be gone.
    let _ = request.respond(response);
    Ok(())
}
