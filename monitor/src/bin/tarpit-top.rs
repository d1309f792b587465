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
use tarpit_monitor::report::Order;
use tarpit_monitor::screen::{text, List, Screen};
use tarpit_monitor::watch::{Watch, EVERY};
use tarpit_monitor::{end_of_process, exit_code, Result};

fn main() -> ExitCode {
    exit_code("tarpit-top", run(&Top::parse()))
}

fn run(options: &Top) -> Result<()> {
    if options.once.is_none() && !io::stdout().is_terminal() {
        return Err("this is no terminal: --once prints what is seen".to_string());
    }
    let end = end_of_process()?;
    let mut watch = Watch::start(&options.common)?;
    watch.traced()?;
    let Some(seconds) = options.once else {
        let mut terminal = ratatui::try_init().map_err(|error| error.to_string())?;
        let done = live(&mut terminal, &mut watch, &end);
        ratatui::restore();
        return done;
    };
    let listen = Duration::from_secs(seconds.into());
    while let Some(left) = listen
        .checked_sub(watch.elapsed())
        .filter(|left| !left.is_zero())
    {
        if end.load(Ordering::Relaxed) {
            return Err("ended by a signal".to_string());
        }
        watch.look()?;
        sleep(left.min(EVERY));
    }
    watch.look()?;
    let mut report = watch.report()?;
    report.sort(Order::default());
    let text = if options.json {
        serde_json::to_string(&report).map_err(|error| error.to_string())? + "\n"
    } else {
        text(&report)
    };
    io::Write::write_all(&mut io::stdout(), text.as_bytes()).map_err(|error| error.to_string())
}

/// The live view, until the user has seen enough.
fn live(
    terminal: &mut ratatui::DefaultTerminal,
    watch: &mut Watch,
    end: &AtomicBool,
) -> Result<()> {
    let mut screen = Screen::default();
    while !end.load(Ordering::Relaxed) {
        watch.look()?;
        let mut report = watch.report()?;
        report.sort(screen.order);
        terminal
            .draw(|frame| screen.draw(frame, &report))
            .map_err(|error| error.to_string())?;
        if event::poll(EVERY).map_err(|error| error.to_string())? {
            if let Event::Key(key) = event::read().map_err(|error| error.to_string())? {
                if !obey(&mut screen, key) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Does what a key says; whether to go on.
fn obey(screen: &mut Screen, key: KeyEvent) -> bool {
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
            screen.place.select(None);
        }
        KeyCode::Char('t') => screen.order = Order::Time,
        KeyCode::Char('l') => screen.order = Order::Seen,
        KeyCode::Char('s') => screen.order = Order::Source,
        KeyCode::Down => screen.place.scroll_down_by(1),
        KeyCode::Up => screen.place.scroll_up_by(1),
        KeyCode::PageDown => screen.place.scroll_down_by(page),
        KeyCode::PageUp => screen.place.scroll_up_by(page),
        KeyCode::Home => screen.place.select_first(),
        KeyCode::End => screen.place.select_last(),
        _ => (),
    }
    true
}
