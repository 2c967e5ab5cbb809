//! How it goes, for people: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

const DRAW_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_CHARS: u64 = 30;

/// Writes to standard error, so that the result can be redirected.
pub(super) struct Progress {
    total: u64,
    start: Instant,
    last: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Of so many records to look at.
    pub(super) fn new(total: u64) -> Self {
        let is_terminal = io::stderr().is_terminal()
            && std::env::var_os("TERM").is_some_and(|name| name != "dumb");
        Self {
            total,
            start: Instant::now(),
            last: None,
            is_terminal,
        }
    }

    /// Shows how far it is, if that is due.
    pub(super) fn show(&mut self, looked_at: u64, sent: u64) {
        let every = if self.is_terminal {
            DRAW_EVERY
        } else {
            LINE_EVERY
        };
        let last = *self.last.get_or_insert(self.start);
        if last.elapsed() >= every {
            self.last = Some(Instant::now());
            self.write(looked_at, sent);
        }
    }

    /// Shows how far it came, if it was ever shown how far it is.
    pub(super) fn end(&self, looked_at: u64, sent: u64) {
        if self.last.is_some_and(|last| last > self.start) {
            self.write(looked_at, sent);
            if self.is_terminal {
                eprintln!();
            }
        }
    }

    fn write(&self, looked_at: u64, sent: u64) {
        let words = words(looked_at, self.total, sent, self.start.elapsed());
        if self.is_terminal {
            eprint!("\r\u{1b}[2K{} {words}", bar(looked_at, self.total));
            // Whoever closed standard error does not want to see it.
            let _ = io::stderr().flush();
        } else {
            eprintln!("{words}");
        }
    }
}

fn bar(looked_at: u64, total: u64) -> String {
    let full = (looked_at * BAR_CHARS).checked_div(total);
    let full = full.unwrap_or(BAR_CHARS).min(BAR_CHARS);
    let part = |count: u64, sign: char| (0..count).map(|_| sign).collect::<String>();
    format!("[{}{}]", part(full, '#'), part(BAR_CHARS - full, '-'))
}

fn words(looked_at: u64, total: u64, sent: u64, elapsed: Duration) -> String {
    let per_second = u128::from(sent) * 1_000 / elapsed.as_millis().max(1);
    format!("{looked_at} of {total} looked at, {sent} sent, {per_second}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_never_longer() {
        assert_eq!(bar(0, 10), format!("[{}]", "-".repeat(30)));
        assert_eq!(
            bar(5, 10),
            format!("[{}{}]", "#".repeat(15), "-".repeat(15))
        );
        for (looked_at, total) in [(10, 10), (11, 10), (0, 0)] {
            assert_eq!(bar(looked_at, total), format!("[{}]", "#".repeat(30)));
        }
    }

    #[test]
    fn words_name_the_rate() {
        let words = words(500, 1_000, 400, Duration::from_secs(2));
        assert_eq!(words, "500 of 1000 looked at, 400 sent, 200/s");
    }
}
