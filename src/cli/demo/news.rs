//! What happens, for people: told by the parts of the demonstration, and by the sidecar's log.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// More than any screen shows.
const KEPT_MAX: usize = 200;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// When, since the start.
    pub(super) at: Duration,
    /// What kind of thing.
    pub(super) kind: Kind,
    /// In words.
    pub(super) text: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something goes its way.
    Good,
    /// Something fails, as it is meant to here.
    Fault,
    /// The sidecar warns.
    Warning,
}

/// The newest things that happened, shared by everybody who tells or shows them.
#[derive(Clone)]
pub(super) struct News {
    start: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    told: usize,
}

impl News {
    /// None, from now on.
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Arc::default(),
        }
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Tells something.
    pub(super) fn tell(&self, kind: Kind, text: impl Into<String>) {
        let at = self.elapsed();
        let mut state = self.state();
        if state.items.len() == KEPT_MAX {
            state.items.pop_front();
        }
        state.items.push_back(Item {
            at,
            kind,
            text: text.into(),
        });
        state.told += 1;
    }

    /// The newest `count`, oldest first.
    pub(super) fn newest(&self, count: usize) -> Vec<Item> {
        let state = self.state();
        let skipped = state.items.len().saturating_sub(count);
        state.items.iter().skip(skipped).cloned().collect()
    }

    /// What was told after the first `seen`, which is then moved on.
    pub(super) fn since(&self, seen: &mut usize) -> Vec<Item> {
        let told = self.state().told;
        let new = self.newest(told - *seen);
        *seen = told;
        new
    }

    /// Makes warnings of the sidecar news, since a log would tear the screen. Everything below is
    /// dropped, and so is what libraries write.
    pub(super) fn take_log(&self) -> anyhow::Result<()> {
        let warnings = Warnings(self.clone());
        Ok(tracing_subscriber::registry().with(warnings).try_init()?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Warnings(News);

impl<S: Subscriber> Layer<S> for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target() == "ackline"
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let text = format!("sidecar: {}{}", words.message, words.details);
        self.0.tell(Kind::Warning, text);
    }
}

#[derive(Default)]
struct Words {
    message: String,
    details: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "partition" => write!(self.details, ", partition {value:?}"),
            "error" => write!(self.details, ": {value:?}"),
            _ => Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_each_is_seen_once() {
        let news = News::new();
        let mut seen = 0;
        news.tell(Kind::Good, "first");
        assert_eq!(news.since(&mut seen).len(), 1);
        assert_eq!(news.since(&mut seen).len(), 0);
        for _ in 0..2 * KEPT_MAX {
            news.tell(Kind::Fault, "more");
        }
        assert_eq!(news.since(&mut seen).len(), KEPT_MAX);
        assert_eq!(news.newest(2).len(), 2);
    }
}
