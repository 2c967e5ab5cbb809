//! Everything a person can see from outside: log lines and metrics.
//!
//! ```text
//! core::Event ──► core_events.rs ───┐           ┌─► line.rs ─► limit.rs ─► lines.rs ─► standard error
//! ProcessEvent ─► process_events.rs ┴► Observer ┤
//! core::Status ─────────────────────────────────┴─► metrics/ ─► /metrics
//! ```
//!
//! The injector has an observer of its own, `injector.rs`.
//!
//! An event is one line and one count, made in one place, so that the two tell the same story. What
//! stands (partitions, streams, totals of the core) is not counted here again: it is read from the
//! core's status when somebody asks.
//!
//! # Invariants
//!
//! - No key, value or header of a record is ever written.
//! - Metric labels are topics, partitions and words from closed sets. No client is a label.
//! - A kind of line that repeats is limited, and what was left out is counted in the next one.
//! - Metrics give points in time, not ages: an age is wrong as soon as it is stored.

mod core_events;
mod injector;
mod limit;
mod line;
mod lines;
mod metrics;
mod process_events;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use injector::{InjectorEvent, InjectorObserver, injector_metrics};
pub(crate) use lines::is_harmful;
pub use lines::start_logging;
pub use metrics::{Snapshot, metrics_reference};
pub use process_events::{Operated, ProcessEvent};

use limit::Limit;
use line::Line;
use metrics::Counts;

use crate::core::{Event, Moment, StreamId};

/// Turns events into lines and counts, and the core's status into metrics.
#[derive(Debug)]
pub struct Observer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    topics: Arc<[String]>,
    limit: Limit,
    counts: Counts,
    /// Names of clients by their streams, for lines about them.
    clients: BTreeMap<StreamId, String>,
}

impl Observer {
    /// An observer that knows topics by their index.
    #[must_use]
    pub fn new(topics: Arc<[String]>) -> Self {
        Self {
            state: Mutex::new(State {
                topics,
                ..State::default()
            }),
        }
    }

    /// More topics are known; those known before keep their index.
    pub fn know_topics(&self, topics: Arc<[String]>) {
        self.state().topics = topics;
    }

    /// Reports what the core reports.
    pub fn report(&self, now: Moment, event: &Event) {
        let mut line = core_events::line(event);
        let mut state = self.state();
        if let Some(client) = line
            .fields
            .stream
            .and_then(|id| state.clients.get(&StreamId(id)))
        {
            line.fields.client = Some(client.clone());
        }
        state.counts.core_event(event, line.event);
        self.write(now, &mut state, &line);
    }

    /// Reports what happened outside of the core.
    pub fn report_process(&self, now: Moment, event: &ProcessEvent) {
        let mut line = process_events::line(event);
        let mut state = self.state();
        match event {
            ProcessEvent::StreamOpened { stream, .. } => {
                let client = line.fields.client.clone().unwrap_or_default();
                state.clients.insert(*stream, client);
            }
            ProcessEvent::StreamEnded { stream, .. } => {
                line.fields.client = state.clients.remove(stream);
            }
            ProcessEvent::Refused { reason, .. } => state.counts.refused(reason),
            ProcessEvent::Starting { .. }
            | ProcessEvent::Listening { .. }
            | ProcessEvent::Joining
            | ProcessEvent::Left
            | ProcessEvent::ClientRebuilt { .. }
            | ProcessEvent::KafkaTrouble { .. }
            | ProcessEvent::MirrorFailed { .. }
            | ProcessEvent::AcceptFailed { .. }
            | ProcessEvent::FileReloaded { .. }
            | ProcessEvent::FileUnusable { .. }
            | ProcessEvent::Operated(_)
            | ProcessEvent::DoneWithout { .. }
            | ProcessEvent::Draining { .. }
            | ProcessEvent::PasswordInClear
            | ProcessEvent::DrainCutShort
            | ProcessEvent::Ended { .. } => {}
        }
        state.counts.event(line.event);
        self.write(now, &mut state, &line);
    }

    /// All metrics in the text format of OpenMetrics.
    #[must_use]
    pub fn metrics(&self, snapshot: &Snapshot<'_>) -> String {
        let state = self.state();
        metrics::render(snapshot, &state.topics, &state.counts)
    }

    fn write(&self, now: Moment, state: &mut State, line: &Line) {
        if let Some(left_out) = state.limit.admit(now, line) {
            line.write(&state.topics, left_out);
        }
    }

    /// Counts and limits are right even if a thread died while it held them.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
