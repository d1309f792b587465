// SPDX-License-Identifier: GPL-2.0

//! The output of tarpit-top on a terminal, and the same as plain text.

use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};
use ratatui::Frame;

use crate::report::{human_bytes, human_duration, Order, Report};

/// A list on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// The held connections.
    #[default]
    Clients,
    /// The sources, with the client time wasted per source.
    Sources,
}

/// The choices of the user.
#[derive(Debug, Default)]
pub struct Screen {
    /// The list on the screen.
    pub list: List,
    /// The order of the list.
    pub order: Order,
    /// The selected row and the scroll position.
    pub table_state: TableState,
}

/// The name of a column, and true if it is aligned to the right.
type Column = (&'static str, bool);

const CLIENT_COLUMNS: [Column; 8] = [
    ("SOURCE", false),
    ("PORT", true),
    ("CC", false),
    ("DESTINATION", false),
    ("HELD", true),
    ("SEGMENTS", true),
    ("LAST", false),
    ("AGO", true),
];
const SOURCE_COLUMNS: [Column; 6] = [
    ("SOURCE", false),
    ("CC", false),
    ("WASTED", true),
    ("HELD NOW", true),
    ("CLIENTS", true),
    ("AGO", true),
];

impl Screen {
    fn columns(&self) -> &'static [Column] {
        match self.list {
            List::Clients => &CLIENT_COLUMNS,
            List::Sources => &SOURCE_COLUMNS,
        }
    }

    /// Returns the rows of the list, with the header first, and the width of each column.
    fn rows(&self, report: &Report) -> (Vec<Vec<String>>, Vec<usize>) {
        let columns = self.columns();
        let mut rows = vec![columns.iter().map(|column| column.0.to_string()).collect()];
        rows.extend(self.entries(report));
        let width = |n: usize| rows.iter().map(|row: &Vec<String>| row[n].len()).max();
        let widths = (0..columns.len()).map(|n| width(n).unwrap_or(0)).collect();
        (rows, widths)
    }

    fn entries(&self, report: &Report) -> Vec<Vec<String>> {
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
                        human_duration(client.held),
                        client.segments.to_string(),
                        client.last.to_string(),
                        human_duration(report.time - client.seen),
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
                        human_duration(source.wasted),
                        source.clients_open.to_string(),
                        source.clients.to_string(),
                        human_duration(report.time - source.seen),
                    ]
                })
                .collect(),
        }
    }

    /// Draws a report, which the caller has sorted by `self.order`.
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

        let (rows, widths) = self.rows(report);
        let mut rows = rows.into_iter().map(|texts| {
            Row::new(texts.into_iter().zip(self.columns()).map(|(text, column)| {
                let line = Line::from(text);
                Cell::from(if column.1 { line.right_aligned() } else { line })
            }))
        });
        let head = rows.next().unwrap_or_default();
        let widths = widths.iter().map(|&n| Constraint::Length(n as u16));
        let table = Table::default()
            .header(head.style(Style::new().reversed()))
            .rows(rows)
            .widths(widths)
            .row_highlight_style(Style::new().bold())
            .column_spacing(2);
        frame.render_stateful_widget(table, middle, &mut self.table_state);

        let keys = "q quit  tab clients/sources  t by time  s by source  l by last segment  arrows, page up/down move";
        frame.render_widget(Line::from(keys).dim(), bottom);
    }
}

/// Returns the lines above the lists.
fn summary(report: &Report) -> [String; 3] {
    let missing = match (report.trace_events_lost, report.clients_evicted) {
        (0, 0) => String::new(),
        (events, clients) => format!(" ({events} trace events lost, {clients} clients evicted)"),
    };
    [
        format!(
            "{} held, {} seen in {}{missing}",
            report.clients.len(),
            report.clients_seen,
            human_duration(report.time - report.listening_since)
        ),
        format!(
            "client time wasted {}, {} SYNs, {} replies ({} limited, {} refused, {} failed)",
            human_duration(report.wasted()),
            report.counter("syn"),
            report.counter("replies"),
            report.counter("limited"),
            report.counter("refused"),
            report.counter("failed")
        ),
        format!(
            "{} in, {} out",
            human_bytes(report.counter("bytes_in")),
            human_bytes(report.counter("bytes_out"))
        ),
    ]
}

/// Formats both lists of a report as plain text.
pub fn plain_text(report: &Report) -> String {
    let mut text = summary(report).join("\n") + "\n";
    for list in [List::Clients, List::Sources] {
        let screen = Screen {
            list,
            ..Screen::default()
        };
        let (rows, widths) = screen.rows(report);
        text.push('\n');
        for row in rows {
            let cells = row.iter().zip(&widths).zip(screen.columns());
            let cells = cells.map(|((cell, &width), column)| {
                if column.1 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::of_module;
    use crate::report::sample;
    use ratatui::{backend::TestBackend, Terminal};

    #[test]
    fn each_figure_of_the_summary_is_a_counter_of_the_module() {
        let (classes, others) = of_module();
        let names = classes.into_iter().chain(others);
        let mut report = sample();
        report.counters = names.map(|name| (name.to_string(), 70_000)).collect();
        let [_, replies, bytes] = summary(&report);
        assert_eq!(
            replies,
            "client time wasted 1 min 10 s, 70000 SYNs, \
             70000 replies (70000 limited, 70000 refused, 70000 failed)"
        );
        assert_eq!(bytes, "70.0 KB in, 70.0 KB out");
    }

    /// Draws the sample on a screen of this size, and returns the lines of the screen.
    fn draw_sample(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let done = terminal
            .draw(|frame| screen.draw(frame, &sample()))
            .unwrap();
        let cells: Vec<_> = done
            .buffer
            .content
            .iter()
            .map(|cell| cell.symbol())
            .collect();
        let lines = cells.chunks(width.into());
        lines
            .map(|line| line.concat().trim_end().to_string())
            .collect()
    }

    #[test]
    fn screen_and_plain_text_have_the_same_lines() {
        let text = plain_text(&sample());
        let mut screen = Screen::default();
        for list in [List::Clients, List::Sources] {
            screen.list = list;
            let lines = draw_sample(&mut screen, 100, 20);
            for line in lines.iter().take(6).filter(|line| !line.is_empty()) {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
        }
        assert!(text.contains("1 held, 9 seen in 1 min 40 s\n"), "{text}");
        assert!(
            text.contains(
                "\n2001:db8::1  40000      [2001:db8::2]:23  1 min 00 s         7  probe  9 s\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn draws_at_any_terminal_size() {
        for (width, height) in [(1, 1), (10, 3), (40, 5), (300, 100)] {
            draw_sample(&mut Screen::default(), width, height);
        }
    }
}
