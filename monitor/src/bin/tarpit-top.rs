// SPDX-License-Identifier: GPL-2.0

//! tarpit-top, see its man page.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tarpit_monitor::cli::Top;
use tarpit_monitor::monitor::{Monitor, POLL_INTERVAL};
use tarpit_monitor::report::Order;
use tarpit_monitor::screen::{plain_text, List, Screen};
use tarpit_monitor::{exit_code, shutdown_flag, Result};

fn main() -> ExitCode {
    exit_code("tarpit-top", run(&Top::parse()))
}

fn run(options: &Top) -> Result<()> {
    if options.once.is_none() && !io::stdout().is_terminal() {
        return Err("stdout is not a terminal; use --once for plain output".to_string());
    }
    let shutdown = shutdown_flag()?;
    let mut monitor = Monitor::start(&options.common)?;
    monitor.check_tracing()?;
    let Some(seconds) = options.once else {
        let mut terminal = ratatui::try_init().map_err(|error| error.to_string())?;
        let result = live(&mut terminal, &mut monitor, &shutdown);
        ratatui::restore();
        return result;
    };
    let period = Duration::from_secs(seconds.into());
    while let Some(left) = period
        .checked_sub(monitor.elapsed())
        .filter(|left| !left.is_zero())
    {
        if shutdown.load(Ordering::Relaxed) {
            return Err("interrupted by a signal".to_string());
        }
        monitor.poll()?;
        sleep(left.min(POLL_INTERVAL));
    }
    monitor.poll()?;
    let mut report = monitor.report()?;
    report.sort(Order::default());
    let text = if options.json {
        serde_json::to_string(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        plain_text(&report)
    };
    io::Write::write_all(&mut io::stdout(), text.as_bytes()).map_err(|error| error.to_string())
}

/// Updates the screen until the user quits or a signal arrives.
fn live(
    terminal: &mut ratatui::DefaultTerminal,
    monitor: &mut Monitor,
    shutdown: &AtomicBool,
) -> Result<()> {
    let mut screen = Screen::default();
    while !shutdown.load(Ordering::Relaxed) {
        monitor.poll()?;
        let mut report = monitor.report()?;
        report.sort(screen.order);
        terminal
            .draw(|frame| screen.draw(frame, &report))
            .map_err(|error| error.to_string())?;
        if event::poll(POLL_INTERVAL).map_err(|error| error.to_string())? {
            if let Event::Key(key) = event::read().map_err(|error| error.to_string())? {
                if !handle_key(&mut screen, key) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Handles a key. Returns false if it quits the program.
fn handle_key(screen: &mut Screen, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return true;
    }
    let page = 20;
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Tab => {
            screen.list = match screen.list {
                List::Clients => List::Sources,
                List::Sources => List::Clients,
            };
            screen.table_state.select(None);
        }
        KeyCode::Char('t') => screen.order = Order::Time,
        KeyCode::Char('l') => screen.order = Order::Seen,
        KeyCode::Char('s') => screen.order = Order::Source,
        KeyCode::Down => screen.table_state.scroll_down_by(1),
        KeyCode::Up => screen.table_state.scroll_up_by(1),
        KeyCode::PageDown => screen.table_state.scroll_down_by(page),
        KeyCode::PageUp => screen.table_state.scroll_up_by(page),
        KeyCode::Home => screen.table_state.select_first(),
        KeyCode::End => screen.table_state.select_last(),
        _ => (),
    }
    true
}
