//! What comes from the client: records, positions, failures. How much of it comes, `backpressure` decides.
//!
//! # Invariants
//!
//! - A record popped under another fetch than the living one is dropped: its partition was moved.

use std::ops::Range;
use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, ListPurpose, Phase};
use super::effect::{Notice, StopReason};
use super::event::Event;
use super::ids::{Assignment, Fetch, PartitionId, RecordNumber, StreamId};
use super::input::{FetchError, PoppedRecord, PoppedRun};
use super::lane::LaneKey;
use super::settings::StartPolicy;
use super::timers::Timer;
use super::window::Taken;
use crate::mutant;

/// Times a corrupt batch is fetched again before its partition stops.
const CORRUPT_TRIES: u32 = 3;
/// Back-off of fetches that failed.
const FETCH_BACKOFF: Duration = Duration::from_millis(500);
/// Longest back-off of fetches that failed.
const FETCH_BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Records taken in that are not delivered.
#[derive(Clone, Copy, Default)]
struct Passed {
    finished_before: u64,
    foreign: u64,
}

impl Passed {
    /// A record was finished before it came.
    fn finished(&mut self, assignment: &mut AssignmentState, record: &PoppedRecord) {
        assignment.history.pass(record.offset);
        self.finished_before += 1;
    }
}

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
        let mut passed = Passed::default();
        let mut lining = Lining::default();
        let mut known_before = Vec::new();
        let mut held = Vec::new();
        for record in run.records {
            let number = assignment.window.next_number();
            match assignment.window.take_in(record) {
                Taken::New
                    if mutant::planted("M2")
                        && number == 0
                        && self.counters.rebalances_revoked > 0 =>
                {
                    assignment.window.finish(number);
                    passed.finished_before += 1;
                }
                Taken::New => {
                    bytes += u64::from(record.size);
                    assignment.history.take_in(number, record);
                    if assignment.take_in_carried(number, record) {
                        known_before.push(number);
                    }
                    match assignment.history.take_carried(number, record) {
                        Some(hold) => {
                            lining.end(assignment);
                            held.extend(assignment.line_up_held(number, record, hold));
                        }
                        None => lining.add(assignment, number, record),
                    }
                }
                Taken::FinishedBefore => passed.finished(assignment, record),
                Taken::Foreign => passed.foreign += 1,
                Taken::WentBack => {
                    lining.end(assignment);
                    self.count_taken_in(id, run.records.len(), bytes, passed);
                    self.stop(id, StopReason::OffsetsWentBack);
                    return Some((id, RecordNumber(first)));
                }
            }
        }
        lining.end(assignment);
        if let Some(position) = run.position {
            assignment.window.raise_frontier(position);
        }
        assignment.fetch_failed_at = None;
        assignment.caught_up = false;
        assignment.behind = None;
        if assignment.window.watermark() != watermark {
            assignment.watermark_moved(now);
            self.mark_dirty(id);
        }
        if over_budget && bytes > 0 {
            self.above_budget = Some((id, first));
        }
        self.count_taken_in(id, run.records.len(), bytes, passed);
        self.known_before(id, &known_before);
        self.held_before(id, held);
        self.look_at_fullness(id);
        Some((id, RecordNumber(first)))
    }

    /// Records were taken in that were held back before, and stay so.
    fn held_before(&mut self, id: Assignment, held: Vec<(LaneKey, u64)>) {
        for (key, number) in held {
            self.timers.at(self.now, Timer::Carried(id, number));
            self.lane_changed(id, key);
        }
    }

    fn count_taken_in(&mut self, id: Assignment, records: usize, bytes: u64, passed: Passed) {
        let finished = passed.finished_before + passed.foreign;
        self.waiting_bytes += bytes;
        self.counters.taken_in += records as u64;
        self.counters.restored += passed.finished_before;
        self.counters.foreign += passed.foreign;
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

    pub(super) fn position_sampled(&mut self, partition: PartitionId, fetch: Fetch, offset: i64) {
        let now = self.now;
        let Some(assignment) = self.by_fetch(partition, fetch) else {
            return;
        };
        let id = assignment.id;
        let (watermark, frontier) = (assignment.window.watermark(), assignment.window.frontier());
        assignment.window.raise_frontier(offset);
        if assignment.window.frontier() != frontier {
            assignment.behind = None;
        }
        if assignment.window.watermark() != watermark {
            assignment.watermark_moved(now);
            self.mark_dirty(id);
        }
        self.look_at_end(id);
    }

    pub(super) fn end_sampled(&mut self, partition: PartitionId, fetch: Fetch, end: i64) {
        let Some(assignment) = self.by_fetch(partition, fetch) else {
            return;
        };
        assignment.end = Some(end);
        let id = assignment.id;
        self.look_whether_behind(id, end);
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
        assignment.fetch_error = Some(error.clone());
        let wait = (FETCH_BACKOFF * 2u32.pow(assignment.fetch_tries.min(8))).min(FETCH_BACKOFF_MAX);
        assignment.fetch_tries += 1;
        // The first failure is often the last: no wait.
        let due = if assignment.fetch_tries == 1 {
            now
        } else {
            now.plus(wait)
        };
        assignment.fetch_due = Some(due);
        self.starting = true;
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
        self.starting = true;
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

/// Puts new records where they wait for their turn, those that follow each other in a lane together.
#[derive(Default)]
struct Lining {
    /// The lane, or the pool.
    lane: Option<LaneKey>,
    run: Range<u64>,
}

impl Lining {
    fn add(&mut self, assignment: &mut AssignmentState, number: u64, record: &PoppedRecord) {
        let lane = assignment.lane_for_new(record);
        if self.run.end == number && self.lane == lane && !self.run.is_empty() {
            self.run.end += 1;
            return;
        }
        self.end(assignment);
        self.lane = lane;
        self.run = number..number + 1;
    }

    fn end(&mut self, assignment: &mut AssignmentState) {
        let run = std::mem::take(&mut self.run);
        assignment.waiting_records += run.end - run.start;
        match self.lane {
            _ if run.is_empty() => {}
            None => assignment.pool.insert_run(run),
            Some(key) => assignment.line_up(key, run),
        }
    }
}

#[cfg(test)]
mod tests;
