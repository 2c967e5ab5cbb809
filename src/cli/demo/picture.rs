//! One moment of the demonstration, as data, for the screen and for lines.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Stage;
use super::cluster::PARTITIONS;
use super::ledger::Totals;
use super::view::Scene;
use crate::core::{PartitionStatus, Status};

/// Everything there is to see.
pub(super) struct Picture {
    /// Time since the start.
    pub(super) elapsed: Duration,
    /// What the demonstration is about.
    pub(super) stage: Stage,
    /// Every partition, in order.
    pub(super) rows: Vec<Row>,
    /// Notes of producer and application.
    pub(super) totals: Totals,
    /// Records the sidecars have delivered and not settled.
    pub(super) in_flight: u64,
    /// Records that wait in the sidecars.
    pub(super) waiting: u64,
    /// Records below the committed offsets.
    pub(super) committed: u64,
    /// Open streams.
    pub(super) streams: usize,
    /// Deliveries, as the sidecars count them.
    pub(super) delivered: u64,
    /// Acknowledgements, as the sidecars count them.
    pub(super) acknowledged: u64,
    /// Deliveries that were not the first, as the sidecars count them.
    pub(super) redelivered: u64,
    /// Records answered with RETRY.
    pub(super) retried: u64,
}

/// One partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Who owns it.
    pub(super) member: Option<char>,
    /// Lowest offset not finished.
    pub(super) watermark: Option<i64>,
    /// Next offset to take in.
    pub(super) frontier: Option<i64>,
    /// End of the log.
    pub(super) end: Option<i64>,
    /// Deliveries that are out.
    pub(super) in_flight: u64,
    /// Records that wait.
    pub(super) waiting: u64,
    /// Committed offset.
    pub(super) committed: Option<i64>,
    /// How it goes.
    pub(super) state: &'static str,
}

/// What is remembered between pictures, so that a partition between two owners keeps its numbers and
/// totals outlive members.
#[derive(Default)]
pub(super) struct Album {
    rows: BTreeMap<i32, Row>,
    counts: BTreeMap<char, Counts>,
    ended: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    delivered: u64,
    acknowledged: u64,
    redelivered: u64,
    retried: u64,
}

impl Album {
    /// Looks at everything.
    pub(super) fn take(&mut self, scene: &Scene) -> Picture {
        let statuses = scene.members.statuses();
        for row in self.rows.values_mut() {
            row.leave();
        }
        for (name, status) in &statuses {
            for partition in &status.partitions {
                let row = self.rows.entry(partition.partition.partition).or_default();
                row.update(*name, partition);
            }
        }
        let counts = self.count(&statuses);
        let rows = (0..PARTITIONS).map(|id| self.rows.get(&id).cloned().unwrap_or_default());
        let rows: Vec<Row> = rows.collect();
        let committed = rows.iter().filter_map(|row| row.committed).sum::<i64>();
        let streams = statuses.iter().flat_map(|(_, status)| &status.streams);
        Picture {
            elapsed: scene.news.elapsed(),
            stage: *scene.stage.borrow(),
            totals: scene.ledger.totals(),
            in_flight: rows.iter().map(|row| row.in_flight).sum(),
            waiting: rows.iter().map(|row| row.waiting).sum(),
            committed: u64::try_from(committed).unwrap_or(0),
            streams: streams.filter(|stream| stream.open).count(),
            delivered: counts.delivered,
            acknowledged: counts.acknowledged,
            redelivered: counts.redelivered,
            retried: counts.retried,
            rows,
        }
    }

    fn count(&mut self, statuses: &[(char, Status)]) -> Counts {
        let is_gone = |name: &char| statuses.iter().all(|(other, _)| other != name);
        let gone = self.counts.iter().filter(|(name, _)| is_gone(name));
        self.ended = gone.fold(self.ended, |sum, (_, counts)| sum.plus(*counts));
        self.counts.clear();
        for (name, status) in statuses {
            let counters = status.counters;
            let counts = Counts {
                delivered: counters.delivered,
                acknowledged: counters.acknowledged,
                redelivered: counters.redelivered,
                retried: counters.retried,
            };
            self.counts.insert(*name, counts);
        }
        let counts = self.counts.values().copied();
        counts.fold(self.ended, Counts::plus)
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            acknowledged: self.acknowledged + other.acknowledged,
            redelivered: self.redelivered + other.redelivered,
            retried: self.retried + other.retried,
        }
    }
}

impl Row {
    fn leave(&mut self) {
        self.member = None;
        self.in_flight = 0;
        self.waiting = 0;
        self.state = "moving";
    }

    fn update(&mut self, member: char, status: &PartitionStatus) {
        self.member = Some(member);
        self.watermark = status.watermark.or(self.watermark);
        self.frontier = status.frontier.or(self.frontier);
        // The end was heard some time ago, and is never below what was read since.
        self.end = status.end.max(status.frontier).or(self.end);
        self.in_flight = u64::from(status.live);
        self.waiting = status.waiting;
        self.committed = status.committed.or(self.committed);
        self.state = match status.blocked {
            Some(blocked) => blocked.label(),
            None => "flows",
        };
    }
}
