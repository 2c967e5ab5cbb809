//! What only events tell, and nobody else adds up.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::core::{Event, TopicIndex};
use crate::observe::core_events::{COMMIT_FAILURE_CLASSES, commit_failure_class};

/// Totals since the start. Their keys come from closed sets and configured topics.
#[derive(Debug)]
pub(in crate::observe) struct Counts {
    /// By name of the event.
    pub(super) events: BTreeMap<&'static str, u64>,
    /// By class of the failure.
    pub(super) commit_failures: BTreeMap<&'static str, u64>,
    /// Offsets by topic and reason.
    pub(super) offsets_skipped: BTreeMap<(TopicIndex, &'static str), u64>,
    /// By reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// When the process started. Kept, because wall and process clock drift apart: computed anew it would look like
    /// a restart.
    pub(super) started: OnceLock<f64>,
}

impl Default for Counts {
    /// Nothing was counted. Classes of failures are there from the beginning: a total that appears with its first event
    /// shows Prometheus no increase.
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            commit_failures: COMMIT_FAILURE_CLASSES.map(|class| (class, 0)).into(),
            offsets_skipped: BTreeMap::new(),
            refused: BTreeMap::new(),
            started: OnceLock::new(),
        }
    }
}

impl Counts {
    /// Counts what the core reports; `name` is the event's.
    pub(in crate::observe) fn core_event(&mut self, event: &Event, name: &'static str) {
        self.event(name);
        if let Event::CommitFailed { error, .. } = event {
            *self
                .commit_failures
                .entry(commit_failure_class(error))
                .or_default() += 1;
        }
        if let Event::Skipped {
            partition,
            from,
            to,
        } = event
        {
            let skipped = self
                .offsets_skipped
                .entry((partition.topic, "out_of_range"));
            *skipped.or_default() += to.abs_diff(*from);
        }
    }

    /// Counts an event by its name.
    pub(in crate::observe) fn event(&mut self, name: &'static str) {
        *self.events.entry(name).or_default() += 1;
    }

    /// Counts an application that was turned away.
    pub(in crate::observe) fn refused(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }
}
