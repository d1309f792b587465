// SPDX-License-Identifier: GPL-2.0

//! What people see: the live view, and the same as plain text.

use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};
use ratatui::Frame;

use crate::report::{octets, span, Order, Report};

/// Which list is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// Who is held.
    #[default]
    Clients,
    /// What each source has lost.
    Sources,
}

/// What the user has chosen.
#[derive(Debug, Default)]
pub struct Screen {
    /// The list.
    pub list: List,
    /// And how it is sorted.
    pub order: Order,
    /// Where in it he is.
    pub place: TableState,
}

/// A column: its name, its width, and whether it is written at the right.
type Column = (&'static str, u16, bool);

const CLIENTS: [Column; 8] = [
    ("SOURCE", 39, false),
    ("PORT", 5, true),
    ("CC", 2, false),
    ("DESTINATION", 0, false),
    ("HELD", 11, true),
    ("SEGMENTS", 8, true),
    ("LAST", 11, false),
    ("AGO", 5, true),
];
const SOURCES: [Column; 6] = [
    ("SOURCE", 39, false),
    ("CC", 2, false),
    ("LOST", 11, true),
    ("HELD NOW", 8, true),
    ("CLIENTS", 8, true),
    ("AGO", 11, true),
];

impl Screen {
    fn columns(&self) -> &'static [Column] {
        match self.list {
            List::Clients => &CLIENTS,
            List::Sources => &SOURCES,
        }
    }

    /// The list's lines.
    fn rows(&self, report: &Report) -> Vec<Vec<String>> {
        let country = |country: &Option<String>| country.clone().unwrap_or_default();
        match self.list {
            List::Clients => report
                .clients
                .iter()
                .map(|client| {
                    vec![
                        client.source.to_string(),
                        client.source_port.to_string(),
                        country(&client.country),
                        std::net::SocketAddr::new(client.destination, client.port).to_string(),
                        span(client.held),
                        client.segments.to_string(),
                        client.last.to_string(),
                        span(report.time - client.seen),
                    ]
                })
                .collect(),
            List::Sources => report
                .sources
                .iter()
                .map(|source| {
                    vec![
                        source.source.to_string(),
                        country(&source.country),
                        span(source.trapped),
                        source.clients_open.to_string(),
                        source.clients.to_string(),
                        span(report.time - source.seen),
                    ]
                })
                .collect(),
        }
    }

    /// Draws a report that is sorted as the user wants it.
    pub fn draw(&mut self, frame: &mut Frame<'_>, report: &Report) {
        let [top, middle, bottom] = Layout::vertical([
            Constraint::Length(4),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let mut lines: Vec<Line<'_>> = summary(report).into_iter().map(Line::from).collect();
        lines[0] = lines[0].clone().bold();
        frame.render_widget(ratatui::widgets::Paragraph::new(lines), top);

        let columns = self.columns();
        let cell = |text: String, right: bool| {
            let line = Line::from(text);
            Cell::from(if right { line.right_aligned() } else { line })
        };
        let row = |texts: Vec<String>| {
            Row::new(
                texts
                    .into_iter()
                    .zip(columns)
                    .map(|(text, column)| cell(text, column.2)),
            )
        };
        let head = row(columns.iter().map(|column| column.0.to_string()).collect());
        let widths = columns.iter().map(|&(_, width, _)| match width {
            0 => Constraint::Min(16),
            39 => Constraint::Max(39),
            n => Constraint::Length(n),
        });
        let table = Table::new(self.rows(report).into_iter().map(row), widths)
            .header(head.style(Style::new().reversed()))
            .row_highlight_style(Style::new().bold())
            .column_spacing(2);
        frame.render_stateful_widget(table, middle, &mut self.place);

        let keys = "q quit  tab clients/sources  t by time  s by source  l by last segment  arrows, page up/down move";
        frame.render_widget(Line::from(keys).dim(), bottom);
    }
}

/// The lines above the lists.
fn summary(report: &Report) -> [String; 3] {
    let lost = match (report.events_lost, report.clients_forgotten) {
        (0, 0) => String::new(),
        (events, clients) => {
            format!(" (not seen: {events} segments; no room for {clients} clients)")
        }
    };
    [
        format!(
            "{} held, {} seen in {}{lost}",
            report.clients.len(),
            report.clients_seen,
            span(report.time - report.listening_since)
        ),
        format!(
            "{} lost by clients, {} SYNs, {} answers ({} held back, {} failed)",
            span(report.trapped()),
            report.counter("syn"),
            report.counter("replies"),
            report.counter("limited"),
            report.counter("failed")
        ),
        format!(
            "{} in, {} out",
            octets(report.counter("bytes_in")),
            octets(report.counter("bytes_out"))
        ),
    ]
}

/// All of a report, as text.
pub fn text(report: &Report) -> String {
    let mut text = summary(report).join("\n") + "\n";
    for list in [List::Clients, List::Sources] {
        let screen = Screen {
            list,
            ..Screen::default()
        };
        let columns = screen.columns();
        let head = columns.iter().map(|column| column.0.to_string()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(screen.rows(report)).collect();
        let widths: Vec<_> = (0..columns.len())
            .map(|n| rows.iter().map(|row| row[n].len()).max().unwrap_or(0))
            .collect();
        text.push('\n');
        for row in rows {
            let cells = row
                .iter()
                .zip(&widths)
                .zip(columns)
                .map(|((cell, &width), column)| {
                    if column.2 {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
    }
    text
}
