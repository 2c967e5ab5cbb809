//! What comes from the client: records, positions, failures; and how it is held back.
//!
//! Back-pressure is not taking: records that nobody asked for stay in the client's queue, whose limits stop
//! the fetching by themselves. Records wait here only because of their lanes. A partition whose waiting
//! records fill its share of the budget, or whose unfinished records fill its window, is *full*. While an
//! unpaused partition is full nothing is popped, since whatever is popped might be its; after 100 ms it is
//! paused, if others have room, and popping goes on. (Pausing purges what the client prefetched, so short
//! fullness is waited out.)
//!
//! # Invariants
//!
//! - I-B1: popping stops when the budget is reached. Above it one record at a time is let in, for partitions
//!   that hold nothing, once every other one is paused.
//! - I-B5, "window counted as a span": limits count unfinished records, never offsets.
//! - A record popped under another fetch than the living one is dropped: its partition was moved.

use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, ListPurpose, Phase};
use super::dispatch::Hunger;
use super::effect::{Effect, Event, Notice, StopReason};
use super::ids::{Assignment, Fetch, Moment, PartitionId, RecordNumber, StreamId};
use super::input::{FetchError, PoppedRecord, PoppedRun};
use super::lane::LaneKey;
use super::settings::StartPolicy;
use super::timers::Timer;
use super::window::Taken;
use crate::mutant;

/// How long a partition must be full before it is paused.
const FULL_FOR: Duration = Duration::from_millis(100);
/// Most records asked for in one pop.
const POP_MAX: u64 = 2048;
/// Times a corrupt batch is fetched again before its partition stops.
const CORRUPT_TRIES: u32 = 3;
/// Back-off of fetches that failed.
const FETCH_BACKOFF: Duration = Duration::from_millis(500);
/// Longest back-off of fetches that failed.
const FETCH_BACKOFF_MAX: Duration = Duration::from_secs(10);

impl Core {
    /// The living assignment of a partition, if `fetch` is the living fetch of it.
    fn by_fetch(&mut self, partition: PartitionId, fetch: Fetch) -> Option<&mut AssignmentState> {
        let id = self.owned.get(&partition)?;
        self.assignments.get_mut(id).filter(|assignment| {
            assignment.fetch == Some(fetch) || mutant::planted("position-sampled-late")
        })
    }

    pub(super) fn popped(&mut self, runs: &[PoppedRun<'_>]) {
        self.numbering.clear();
        for run in runs {
            let first = self.take_run_in(run);
            self.numbering.push(first);
        }
    }

    fn take_run_in(&mut self, run: &PoppedRun<'_>) -> Option<(Assignment, RecordNumber)> {
        let now = self.now;
        let id = *self.owned.get(&run.partition)?;
        let over_budget = self.held_bytes() >= self.settings.in_flight_bytes_max;
        let Some(assignment) = self.assignments.get_mut(&id).filter(|assignment| {
            assignment.fetch == Some(run.fetch) || mutant::planted("newer-assignment-tag")
        }) else {
            self.counters.dropped_old_fetch += run.records.len() as u64;
            return None;
        };
        let first = assignment.window.next_number();
        let watermark = assignment.window.watermark();
        let mut bytes = 0;
        let mut finished = 0;
        for record in run.records {
            let number = assignment.window.next_number();
            match assignment.window.take_in(record) {
                Taken::New
                    if mutant::planted("M2")
                        && number == 0
                        && self.counters.rebalances_revoked > 0 =>
                {
                    assignment.window.finish(number);
                    finished += 1;
                }
                Taken::New => {
                    bytes += u64::from(record.size);
                    assignment.waiting_records += 1;
                    line_up(assignment, number, record, now);
                }
                Taken::FinishedBefore => finished += 1,
                Taken::WentBack => {
                    self.count_taken_in(id, run.records.len(), bytes, finished);
                    self.stop(id, StopReason::OffsetsWentBack);
                    return Some((id, RecordNumber(first)));
                }
            }
        }
        if let Some(position) = run.position {
            assignment.window.raise_frontier(position);
        }
        assignment.fetch_failed_at = None;
        assignment.caught_up = false;
        assignment.behind_since = None;
        if assignment.window.watermark() != watermark {
            assignment.watermark_moved(now);
            self.mark_dirty(id);
        }
        if over_budget && bytes > 0 {
            self.above_budget = Some((id, first));
        }
        self.count_taken_in(id, run.records.len(), bytes, finished);
        self.look_at_fullness(id);
        Some((id, RecordNumber(first)))
    }

    fn count_taken_in(&mut self, id: Assignment, records: usize, bytes: u64, finished: u64) {
        self.waiting_bytes += bytes;
        self.counters.taken_in += records as u64;
        self.counters.restored += finished;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.waiting_bytes += bytes;
        let fresh = records as u64 - finished.min(records as u64);
        if let Some(mean) = bytes.checked_div(fresh) {
            // Follows the sizes seen within a few batches.
            self.mean_record_bytes = (self.mean_record_bytes * 3 + mean.max(1)) / 4;
        }
        if !assignment.pool.is_empty() || !assignment.ready.is_empty() {
            self.ready.insert(id);
        }
        let bound: Vec<StreamId> = assignment.ready_bound.keys().copied().collect();
        self.ready_bound
            .extend(bound.into_iter().map(|stream| (stream, id)));
    }

    /// How many records the edge may pop now for a stream that asked and got nothing; zero for none.
    pub fn pop_allowance(&mut self, now: Moment, stream: StreamId) -> usize {
        debug_assert!(self.now <= now, "time went back");
        let allowance = self.pop_allowance_now();
        if allowance == 0 {
            if let Some(hunger) = self.hungry.get_mut(&stream)
                && *hunger == Hunger::Work
            {
                *hunger = Hunger::Budget;
            }
            return 0;
        }
        // More than the next message can take would have to wait here, in a copy, instead of in the client.
        let room = match self.hungry.get(&stream) {
            Some(Hunger::Work | Hunger::Budget) => self.room(stream),
            Some(Hunger::Room) | None => None,
        };
        let wanted = room.map_or(0, |room| room.holds(self.mean_record_bytes));
        usize::try_from(allowance.min(wanted)).unwrap_or(0)
    }

    pub(super) fn pop_allowance_now(&self) -> u64 {
        if !self.may_deliver() || !self.full.is_empty() {
            return 0;
        }
        let held = self.held_bytes();
        let budget = self.settings.in_flight_bytes_max;
        if held < budget {
            return ((budget - held) / self.mean_record_bytes.max(1)).clamp(1, POP_MAX);
        }
        let mut flowing = self
            .assignments
            .values()
            .filter(|assignment| fetches(assignment))
            .peekable();
        let nobody_else = flowing.peek().is_some()
            && flowing.all(|assignment| assignment.window.unfinished() == 0);
        u64::from(nobody_else && self.above_budget.is_none())
    }

    fn share(&self) -> u64 {
        self.settings.in_flight_bytes_max / (self.owned.len() as u64).max(1)
    }

    /// Notes that a partition became full, or is full no more.
    pub(super) fn look_at_fullness(&mut self, id: Assignment) {
        let share = self.share();
        let now = self.now;
        let window_max = u64::from(self.settings.window_records_max);
        let Some(assignment) = self.assignments.get_mut(&id) else {
            self.full.remove(&id);
            return;
        };
        let full = fetches(assignment) && assignment.is_full(window_max, share);
        if full && assignment.full_since.is_none() {
            assignment.full_since = Some(now);
            self.full.insert(id);
            self.timers.at(now.plus(FULL_FOR), Timer::Full);
        } else if !full && assignment.full_since.is_some() {
            assignment.full_since = None;
            self.full.remove(&id);
        }
    }

    /// Pauses what has been full for long, if that lets others go on.
    pub(super) fn pause_full(&mut self) {
        let now = self.now;
        // Shares grow when partitions leave, and what was full may not be any more.
        for id in self.full.clone() {
            self.look_at_fullness(id);
        }
        let over_budget = self.held_bytes() >= self.settings.in_flight_bytes_max;
        let mut others_have_room = false;
        let mut pause = Vec::new();
        for assignment in self
            .assignments
            .values()
            .filter(|assignment| fetches(assignment))
        {
            let long = assignment
                .full_since
                .is_some_and(|since| since.plus(FULL_FOR) <= now);
            let starving = assignment.window.unfinished() == 0;
            if long || (over_budget && !starving && !self.full.is_empty()) {
                pause.push(assignment.id);
            } else if assignment.full_since.is_none() && (!over_budget || starving) {
                others_have_room = true;
            }
        }
        if others_have_room {
            for id in pause {
                self.pause(id);
            }
        } else if !self.full.is_empty() {
            self.timers.at(now.plus(FULL_FOR), Timer::Full);
        }
    }

    fn pause(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.paused = true;
        assignment.full_since = None;
        let partition = assignment.partition;
        self.full.remove(&id);
        self.effects.push(Effect::Pause(vec![partition]));
        self.report(Event::Paused { partition });
    }

    /// Fetches paused partitions again that have fallen below half of their limits.
    pub(super) fn resume_paused(&mut self) {
        if self.held_bytes() >= self.settings.in_flight_bytes_max {
            return;
        }
        let share = self.share();
        let window_max = u64::from(self.settings.window_records_max);
        let mut resumed = Vec::new();
        for assignment in self
            .assignments
            .values_mut()
            .filter(|assignment| assignment.paused)
        {
            if assignment.phase == Phase::Flowing && assignment.is_half_empty(window_max, share) {
                assignment.paused = false;
                resumed.push(assignment.partition);
            }
        }
        for partition in &resumed {
            self.report(Event::Resumed {
                partition: *partition,
            });
        }
        if !resumed.is_empty() {
            self.effects.push(Effect::Resume(resumed));
        }
    }

    pub(super) fn position_sampled(&mut self, partition: PartitionId, fetch: Fetch, offset: i64) {
        let now = self.now;
        let Some(assignment) = self.by_fetch(partition, fetch) else {
            return;
        };
        let id = assignment.id;
        let (watermark, frontier) = (assignment.window.watermark(), assignment.window.frontier());
        assignment.window.raise_frontier(offset);
        if assignment.window.frontier() != frontier {
            assignment.behind_since = None;
        }
        if assignment.window.watermark() != watermark {
            assignment.watermark_moved(now);
            self.mark_dirty(id);
        }
        self.look_at_end(id);
    }

    pub(super) fn end_sampled(&mut self, partition: PartitionId, fetch: Fetch, end: i64) {
        let now = self.now;
        let Some(assignment) = self.by_fetch(partition, fetch) else {
            return;
        };
        assignment.end = Some(end);
        let behind = assignment.window.unfinished() == 0 && assignment.window.frontier().0 < end;
        assignment.behind_since = behind.then(|| assignment.behind_since.unwrap_or(now));
        let id = assignment.id;
        self.look_at_end(id);
    }

    /// Tells streams once that everything up to the end was finished.
    fn look_at_end(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let Some(end) = assignment.end else { return };
        let at_end = assignment.window.unfinished() == 0 && assignment.window.frontier().0 >= end;
        if at_end && !assignment.caught_up {
            assignment.caught_up = true;
            let notice = Notice::CaughtUp {
                partition: assignment.partition,
                assignment: id,
                end_offset: assignment.window.frontier().0,
            };
            self.notify(&notice);
        }
    }

    /// The client could not fetch. Its own position may have moved, so the partition starts again at the
    /// frontier, under a new fetch.
    pub(super) fn fetch_failed(&mut self, partition: PartitionId, fetch: Fetch, error: FetchError) {
        let Some(assignment) = self.by_fetch(partition, fetch) else {
            return;
        };
        let id = assignment.id;
        let offset = assignment.window.frontier().0;
        assignment.fetch = None;
        if assignment.phase == Phase::Draining {
            // It leaves: whoever gets it next will meet the same failure.
            return;
        }
        match error {
            FetchError::OutOfRange => {
                assignment.phase = Phase::Listing(ListPurpose::OutOfRange);
                assignment.read_tries = 0;
                self.list(id);
            }
            // The client cannot say which fetch an error belongs to; one that speaks of a cut above the
            // frontier belongs to an older one.
            FetchError::Truncated { end } if end >= offset => {
                self.fetch_again(id, "log truncated, yet not below the position".to_owned());
            }
            FetchError::Truncated { end } => self.truncated(id, end),
            FetchError::Corrupt(text) => {
                let tries = match assignment.corrupt_at {
                    Some((at, tries)) if at == offset => tries + 1,
                    Some(_) | None => 1,
                };
                assignment.corrupt_at = Some((offset, tries));
                if tries > CORRUPT_TRIES {
                    self.stop(id, StopReason::Corrupt);
                } else {
                    self.fetch_again(id, text);
                }
            }
            FetchError::Unauthorized(text) | FetchError::Transient(text) => {
                self.fetch_again(id, text)
            }
        }
        self.look_at_fullness(id);
    }

    fn fetch_again(&mut self, id: Assignment, error: String) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        if !assignment.fetch_fails(now) {
            assignment.fetch_tries = 0;
        }
        assignment.fetch_failed_at = Some(now);
        let wait = (FETCH_BACKOFF * 2u32.pow(assignment.fetch_tries.min(8))).min(FETCH_BACKOFF_MAX);
        assignment.fetch_tries += 1;
        // The first failure is often the last: no wait.
        let due = if assignment.fetch_tries == 1 {
            now
        } else {
            now.plus(wait)
        };
        assignment.fetch_due = Some(due);
        let (partition, offset) = (assignment.partition, assignment.window.frontier().0);
        self.timers.at(due, Timer::Fetch(id));
        self.report(Event::FetchRestarted {
            partition,
            offset,
            error,
        });
    }

    /// The log was cut below our position: what we took in above the cut is not what is there now.
    fn truncated(&mut self, id: Assignment, end: i64) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let from = assignment.window.frontier().0;
        let to = end.min(assignment.window.watermark().0).max(0);
        let partition = assignment.partition;
        self.report(Event::Truncated {
            partition,
            from,
            to,
        });
        self.reposition(id, to);
    }

    /// The log's range is known, and the position was outside of it.
    pub(super) fn out_of_range(&mut self, id: Assignment, earliest: i64, latest: i64) {
        let policy = self.settings.on_out_of_range;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let from = assignment.window.frontier().0;
        let partition = assignment.partition;
        if from > latest {
            // Above the end: the log is shorter than it was. Going on at its end loses nothing (B5).
            let to = latest.min(assignment.window.watermark().0).max(earliest);
            self.report(Event::Truncated {
                partition,
                from,
                to,
            });
            return self.reposition(id, to);
        }
        let to = match policy {
            _ if from >= earliest => from,
            StartPolicy::Stop => return self.stop(id, StopReason::OutOfRange),
            StartPolicy::Earliest => earliest,
            StartPolicy::Latest => latest,
        };
        if to > from {
            self.counters.skipped += to.abs_diff(from);
            self.report(Event::Skipped {
                partition,
                from,
                to,
            });
        }
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.phase = Phase::Flowing;
        assignment.window.skip_to(to);
        assignment.watermark_moved(now);
        if to == from {
            // In range after all; do not spin if the broker keeps disagreeing.
            return self.fetch_again(id, "offset out of range, yet within the log".to_owned());
        }
        assignment.fetch_due = Some(now);
        self.mark_dirty(id);
        self.commits.hurry = true;
    }

    /// A partition stands until a person acts. What is in flight goes on and is committed.
    pub(super) fn stop(&mut self, id: Assignment, reason: StopReason) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.fetch = None;
        assignment.fetch_due = None;
        if assignment.phase == Phase::Draining {
            return;
        }
        assignment.phase = Phase::Stopped(reason);
        let (partition, offset) = (assignment.partition, assignment.window.frontier().0);
        self.take_from_client(partition);
        self.look_at_fullness(id);
        self.report(Event::Stopped {
            partition,
            offset,
            reason,
        });
    }
}

/// Whether records of the assignment may come out of the client.
fn fetches(assignment: &AssignmentState) -> bool {
    assignment.phase == Phase::Flowing && assignment.fetch.is_some() && !assignment.paused
}

/// Puts a new record where it waits for its turn.
fn line_up(assignment: &mut AssignmentState, number: u64, record: &PoppedRecord, now: Moment) {
    match assignment.lane_for_new(record) {
        None => assignment.pool.insert(number),
        Some(key) => {
            assignment.lane_or_new(key).waiting.insert(number);
            // Only the first one can make a lane ready.
            if key == LaneKey::Partition && assignment.partition_lane.queued {
                return;
            }
            assignment.queue_if_ready(key, now);
        }
    }
}

#[cfg(test)]
mod tests;
