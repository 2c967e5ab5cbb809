//! The demonstration on a terminal: one live screen of 80 columns and 24 lines, or larger.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as TableRow, Table, Wrap};
use ratatui::{DefaultTerminal, layout};

use super::Stage;
use super::cluster::{PARTITIONS, TOPIC};
use super::lines::seconds;
use super::news::{Item, Kind};
use super::picture::{Picture, Row};

/// More lines than news can take on any screen.
pub(super) const NEWS_MAX: usize = 100;

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// The terminal, which is as it was when this is dropped, and also after a panic.
pub(super) struct Screen(DefaultTerminal);

/// What does not change while the screen lives.
pub(super) struct Frames {
    /// Address of the broker.
    pub(super) broker: String,
    /// What to do to see records, if that is up to the user.
    pub(super) instructions: Option<String>,
    /// When it ends by itself.
    pub(super) seconds: Option<u64>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn take() -> std::io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Draws everything.
    pub(super) fn draw(
        &mut self,
        frames: &Frames,
        picture: &Picture,
        news: &[Item],
    ) -> std::io::Result<()> {
        self.0.draw(|frame| draw(frame, frames, picture, news))?;
        Ok(())
    }

    /// How many keys were pressed that ask for the end, since the last time.
    pub(super) fn asked_to_end(&self) -> std::io::Result<usize> {
        let mut asked = 0;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                asked += usize::from(ends(key));
            }
        }
        Ok(asked)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = ratatui::try_restore();
    }
}

/// In raw mode Ctrl-C is a key, not a signal.
fn ends(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
            || control && key.code == KeyCode::Char('c'))
}

fn draw(frame: &mut Frame<'_>, frames: &Frames, picture: &Picture, news: &[Item]) {
    let partitions = u16::try_from(PARTITIONS).unwrap_or(u16::MAX);
    let heights = [
        Constraint::Length(1),
        Constraint::Length(partitions + 3),
        Constraint::Length(4),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [head, table, totals, below, foot] =
        Layout::new(layout::Direction::Vertical, heights).areas(frame.area());
    frame.render_widget(headline(frames, picture), head);
    frame.render_widget(partition_table(picture), table);
    frame.render_widget(totals_block(picture), totals);
    match &frames.instructions {
        Some(words) if picture.streams == 0 => frame.render_widget(instructions(words), below),
        _ => frame.render_widget(news_block(news, below), below),
    }
    frame.render_widget(footline(picture), foot);
}

fn headline(frames: &Frames, picture: &Picture) -> Line<'static> {
    let time = match frames.seconds {
        Some(limit) => format!("{:.0} s of {limit} s", picture.elapsed.as_secs_f64()),
        None => format!("{:.0} s", picture.elapsed.as_secs_f64()),
    };
    Line::from(vec![
        Span::styled(" ackline demo", BOLD),
        Span::raw(format!("   embedded broker at {}   {time}", frames.broker)),
    ])
}

fn partition_table(picture: &Picture) -> Table<'static> {
    let names = [
        "part",
        "owner",
        "watermark",
        "frontier",
        "end",
        "in flight",
        "waiting",
        "committed",
    ];
    let header = names
        .map(|name| Cell::from(Line::from(name).right_aligned()))
        .into_iter()
        .chain([Cell::from("state")]);
    let rows = picture.rows.iter().enumerate();
    let widths = [4, 5, 9, 8, 7, 9, 7, 9, 12].map(Constraint::Length);
    Table::new(rows.map(|(id, row)| partition_row(id, row)), widths)
        .header(TableRow::new(header).style(DIM))
        .block(Block::bordered().title(format!(
            " topic {TOPIC}: offsets and records per partition "
        )))
}

fn partition_row(id: usize, row: &Row) -> TableRow<'static> {
    let number = |value: Option<i64>| value.map_or("–".to_owned(), |value| value.to_string());
    let owner = row.member.map_or("–".to_owned(), String::from);
    let cells = [
        id.to_string(),
        owner,
        number(row.watermark),
        number(row.frontier),
        number(row.end),
        row.in_flight.to_string(),
        row.waiting.to_string(),
        number(row.committed),
    ];
    let state = match row.state {
        "" => Span::styled("not joined", Style::new().fg(Color::Yellow)),
        "flows" => Span::styled("flows", Style::new().fg(Color::Green)),
        other => Span::styled(other.replace('_', " "), Style::new().fg(Color::Yellow)),
    };
    let cells = cells.map(|text| Cell::from(Line::from(text).right_aligned()));
    TableRow::new(cells.into_iter().chain([Cell::from(state)]))
}

fn totals_block(picture: &Picture) -> Paragraph<'static> {
    let item = |name: &str, value: u64| {
        [
            Span::styled(format!("{name:>13} "), DIM),
            Span::styled(format!("{value:<9}"), BOLD),
        ]
    };
    let first = [
        item("produced", picture.totals.produced),
        item("delivered", picture.delivered),
        item("acknowledged", picture.acknowledged),
    ];
    let second = [
        item("failed", picture.retried),
        item("redelivered", picture.redelivered),
        item("committed", picture.committed),
    ];
    let lines = [first, second].map(|items| Line::from_iter(items.into_iter().flatten()));
    let streams = picture.streams;
    let plural = if streams == 1 { "" } else { "s" };
    Paragraph::new(lines.to_vec()).block(Block::bordered().title(format!(
        " records: {} in flight, {} waiting, {streams} stream{plural} ",
        picture.in_flight, picture.waiting
    )))
}

fn instructions(words: &str) -> Paragraph<'_> {
    Paragraph::new(words)
        .wrap(Wrap { trim: true })
        .block(Block::bordered().title(" waiting for your client "))
}

fn news_block(news: &[Item], area: Rect) -> Paragraph<'static> {
    let fits = usize::from(area.height.saturating_sub(2));
    let skipped = news.len().saturating_sub(fits);
    let lines = news.iter().skip(skipped).map(|item| {
        let style = match item.kind {
            Kind::Good => Style::new().fg(Color::Green),
            Kind::Fault => Style::new().fg(Color::Red),
            Kind::Warning => Style::new().fg(Color::Yellow),
        };
        Line::from(vec![
            Span::styled(format!("{}  ", seconds(item.at)), DIM),
            Span::styled(item.text.clone(), style),
        ])
    });
    Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" what happens "))
}

fn footline(picture: &Picture) -> Line<'static> {
    Line::styled(
        match picture.stage {
            Stage::Running => " q or Ctrl-C: end with a summary",
            Stage::Finishing => " ending: the application finishes what was produced; q: at once",
            Stage::Closing => " ending: the last commit, leaving the group",
        },
        DIM,
    )
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::demo::ledger::Totals;

    #[test]
    fn everything_fits_80_columns_and_24_lines() {
        let row = Row {
            member: Some('A'),
            watermark: Some(123_456),
            frontier: Some(123_500),
            end: Some(123_999),
            in_flight: 64,
            waiting: 1_234,
            committed: Some(123_400),
            state: "fetch_failing",
        };
        let picture = Picture {
            elapsed: Duration::from_secs(12),
            stage: Stage::Running,
            rows: vec![row; 6],
            totals: Totals::default(),
            in_flight: 64,
            waiting: 1_234,
            committed: 740_400,
            streams: 1,
            delivered: 741_000,
            acknowledged: 740_900,
            redelivered: 100,
            retried: 12,
        };
        let frames = Frames {
            broker: "127.0.0.1:34567".to_owned(),
            instructions: None,
            seconds: Some(60),
        };
        let news = vec![
            Item {
                at: Duration::from_millis(9_900),
                kind: Kind::Good,
                text: "the last of many".to_owned(),
            };
            20
        ];
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal
            .draw(|frame| draw(frame, &frames, &picture, &news))
            .unwrap();
        let text = terminal.backend().to_string();
        for words in [
            "5     A    123456   123500  123999        64    1234    123400 fetch failin",
            "64 in flight, 1234 waiting, 1 stream",
            "9.9 s  the last of many",
            "q or Ctrl-C",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }
}
