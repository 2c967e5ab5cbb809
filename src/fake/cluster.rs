//! All of it, shared by whoever reads lines, the member, and whoever waits for the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::group::Group;
use super::line::{Line, Lines};
use super::log::Log;
use super::mistake::{Fault, Mistakes, Place};
use super::placing::Shape;
use super::script::Script;
use crate::core::{Moment, PartitionId, TopicIndex};
use crate::kafka::Wake;

/// Logs, the committed offsets of one group, and a script.
#[derive(Debug)]
pub struct Cluster {
    state: Mutex<State>,
    changed: Notify,
}

/// What is in it.
pub(super) struct State {
    pub(super) shape: Shape,
    pub(super) logs: BTreeMap<PartitionId, Log>,
    /// In all logs.
    pub(super) records: usize,
    /// Whose turn it is among the partitions, for records without a key.
    pub(super) turn: u64,
    pub(super) script: Script,
    pub(super) group: Group,
    /// The time, as last told.
    pub(super) now: Moment,
    input_ended: bool,
    mistakes: Mistakes,
    wake: Option<Wake>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("shape", &self.shape)
            .field("records", &self.records)
            .field("script", &self.script)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster of empty logs.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let topics = 0..u16::try_from(shape.topics.len()).unwrap_or(u16::MAX);
        let ids = topics.flat_map(|topic| {
            (0..shape.partitions).map(move |partition| PartitionId {
                topic: TopicIndex(topic),
                partition,
            })
        });
        let logs = ids.map(|id| (id, Log::default())).collect();
        Self {
            state: Mutex::new(State {
                shape,
                logs,
                records: 0,
                turn: 0,
                script: Script::default(),
                group: Group::default(),
                now: Moment::default(),
                input_ended: false,
                mistakes: Mistakes::default(),
                wake: None,
            }),
            changed: Notify::new(),
        }
    }

    /// Fills the logs. What does not fit joins the mistakes of the lines themselves.
    pub fn fill(&self, lines: Lines) -> Mistakes {
        let Lines {
            lines,
            mut mistakes,
        } = lines;
        let mut state = self.lock();
        for (place, line) in lines {
            if let Err(fault) = state.place(place.clone(), line) {
                mistakes.add(&place, fault);
            }
        }
        mistakes
    }

    /// Adds one line.
    pub(super) fn place(&self, place: Place, line: Line) -> Result<(), Fault> {
        let mut state = self.lock();
        state.place(place, line)?;
        state.wake();
        Ok(())
    }

    /// No more lines will come.
    pub fn end_input(&self) {
        self.lock().input_ended = true;
        self.changed.notify_one();
    }

    /// A line was wrong: no more are read.
    pub(super) fn fail_input(&self, place: &Place, faults: Vec<Fault>) {
        self.lock().mistakes.add_all(place, faults);
        self.changed.notify_one();
    }

    /// What was wrong with lines that came while it ran.
    #[must_use]
    pub fn mistakes(&self) -> Mistakes {
        self.lock().mistakes.clone()
    }

    /// Whether a commit covers every record, no more can come, and nothing of the script is due (X1).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// Resolves when [`Cluster::is_settled`] or [`Cluster::mistakes`] may have changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Uses `wake` to tell that the member has something to do.
    pub(super) fn wake_with(&self, wake: Wake) {
        self.lock().wake = Some(wake);
    }

    pub(super) fn tell_change(&self) {
        self.changed.notify_one();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics while it is locked ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn log(&self, partition: PartitionId) -> Option<&Log> {
        self.logs.get(&partition)
    }

    pub(super) fn log_mut(&mut self, partition: PartitionId) -> &mut Log {
        self.logs.entry(partition).or_default()
    }

    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// Wakes the member if a step of the script became due.
    pub(super) fn wake_if_due(&self) {
        if self.is_anything_due() {
            self.wake();
        }
    }

    pub(super) fn topic_name(&self, partition: PartitionId) -> &str {
        let name = self.shape.topics.get(usize::from(partition.topic.0));
        name.map_or("", String::as_str)
    }

    pub(super) fn has_input_ended(&self) -> bool {
        self.input_ended
    }

    pub(super) fn is_settled(&self) -> bool {
        let committed = self.logs.values().all(Log::is_committed_to_the_end);
        self.input_ended && committed && !self.is_anything_due() && !self.group.is_moving()
    }
}
