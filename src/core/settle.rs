//! What follows from what the application says of its deliveries.
//!
//! # Invariants
//!
//! - I-S4: an id that is not live changes nothing.
//! - I-S8: the answer is given after everything in the request was applied.
//! - D3 of `delivery`: which ids are refused, and why.
//! - The work is bounded by live ids, remembered outcomes and the length of the request, never by the span
//!   of a range. A refusal allocates nothing that outlives the answer.
//! - Within one request acks come first. Then all ids that are handed back end, and only after that are
//!   later deliveries of their lanes withdrawn: a request may name a record and those behind it.

use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, LaneLeft, LaneOfAll};
use super::delivery::{Dead, OutcomeKind, Owner};
use super::effect::Effect;
use super::ids::{Assignment, DeliveryId, IdRange, Moment, RecordNumber, StreamId};
use super::input::{Outcome, SettleRequest};
use super::lane::LaneKey;
use super::settings::CommitMode;
use super::withdraw::{Place, Return, Returned};
use crate::mutant;

/// Why ids were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// Issued once, dead now: normal after a rebalance or a withdrawal.
    Stale,
    /// Settled before with another outcome, which stands.
    Conflict,
    /// Never issued by this process.
    Unknown,
}

/// Ids that a settlement named in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// Which, in the order of the request.
    pub ids: Vec<IdRange>,
}

/// What one request has led to so far.
#[derive(Debug, Default)]
struct Progress {
    stale: Vec<IdRange>,
    conflict: Vec<IdRange>,
    unknown: Vec<IdRange>,
    returned: Returned,
    /// How many live deliveries were acknowledged, and of which stream: of the last one, if of several.
    together: Option<(StreamId, usize)>,
    /// Highest offset acknowledged per assignment: what a waiting caller needs committed.
    needs: std::collections::BTreeMap<Assignment, i64>,
}

impl Progress {
    fn refuse(&mut self, reason: RefusalReason, range: IdRange) {
        let ids = match reason {
            RefusalReason::Stale => &mut self.stale,
            RefusalReason::Conflict => &mut self.conflict,
            RefusalReason::Unknown => &mut self.unknown,
        };
        match ids.last_mut() {
            // A range that runs backwards joins nothing, or it would hide what came before it.
            Some(last)
                if last.last.checked_add(1) == Some(range.first)
                    && last.first <= last.last
                    && range.first <= range.last =>
            {
                last.last = range.last;
            }
            Some(_) | None => ids.push(range),
        }
    }

    fn together(&mut self, stream: StreamId, count: usize) {
        let before = match self.together {
            Some((of, before)) if of == stream => before,
            Some(_) | None => 0,
        };
        self.together = Some((stream, before + count));
    }

    fn need(&mut self, assignment: Assignment, offset: i64) {
        let need = self.needs.entry(assignment).or_insert(offset);
        *need = (*need).max(offset);
    }
}

impl Core {
    /// Applies settlements of any stream's deliveries and returns what was refused.
    ///
    /// A caller that waits for the commit is answered by [`Effect::CommitAwaited`], which may stand among
    /// the effects of this very call.
    pub fn settle(
        &mut self,
        now: Moment,
        request: &SettleRequest,
        effects: &mut Vec<Effect>,
    ) -> Vec<Refusal> {
        self.advance(now);
        let mut progress = Progress::default();
        let acks_first = [true, false];
        for acks in acks_first {
            for settlement in &request.settlements {
                if (settlement.outcome == Outcome::Ack) == acks {
                    for range in &settlement.ids {
                        self.settle_range(*range, settlement.outcome, &mut progress);
                    }
                }
            }
        }
        if let Some((id, count)) = progress.together
            && let Some(stream) = self.streams.map.get_mut(&id)
        {
            stream.acknowledged_together(count);
        }
        self.settle_returned(std::mem::take(&mut progress.returned));
        let refused = !(progress.stale.is_empty()
            && progress.conflict.is_empty()
            && progress.unknown.is_empty());
        if let Some(id) = request.wait {
            // Handing over finished the records, and nobody remembers where they were.
            let in_vain = refused || self.settings.commit_mode == CommitMode::OnDelivery;
            self.await_commit(id, progress.needs, in_vain);
        }
        self.finish_turn(effects);
        [
            (RefusalReason::Stale, progress.stale),
            (RefusalReason::Conflict, progress.conflict),
            (RefusalReason::Unknown, progress.unknown),
        ]
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(reason, ids)| Refusal { reason, ids })
        .collect()
    }

    fn settle_range(&mut self, range: IdRange, outcome: Outcome, progress: &mut Progress) {
        if range.first > range.last {
            return progress.refuse(RefusalReason::Unknown, range);
        }
        // Ids are below 2^53, so no stretch of one stream can be missed by cutting first.
        let mut stretches = Vec::new();
        self.streams
            .cut(range, |stretch, owner| stretches.push((stretch, owner)));
        for (stretch, owner) in stretches {
            match owner {
                Owner::Nobody => {
                    self.counters.unknown_settlements += 1;
                    progress.refuse(RefusalReason::Unknown, stretch);
                }
                Owner::Ended => {
                    self.counters.stale_settlements += 1;
                    progress.refuse(RefusalReason::Stale, stretch);
                }
                // Handing a record over finished it: whatever is said of it now is fine and changes nothing.
                Owner::Stream(_) if self.settings.commit_mode == CommitMode::OnDelivery => {}
                Owner::Stream(stream) => self.settle_of_stream(stream, stretch, outcome, progress),
            }
        }
    }

    /// Settles ids that one stream issued: live ones by frame, the dead ones between them by what is remembered.
    fn settle_of_stream(
        &mut self,
        id: StreamId,
        range: IdRange,
        outcome: Outcome,
        progress: &mut Progress,
    ) {
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let from = stream
            .frames
            .range(..=range.first)
            .next_back()
            .map_or(range.first, |(first, _)| *first);
        let frames: Vec<u64> = stream
            .frames
            .range(from..=range.last)
            .map(|(first, _)| *first)
            .collect();
        let mut next = range.first;
        for first in frames {
            next = self.settle_in_frame(
                id,
                first,
                IdRange {
                    first: next,
                    ..range
                },
                outcome,
                progress,
            );
        }
        if next <= range.last {
            let rest = IdRange {
                first: next,
                last: range.last,
            };
            self.settle_dead(id, rest, outcome, progress);
        }
    }

    /// Settles the live ids that a frame has in `range`, and the dead ones up to the last of them. Returns the
    /// first id that is not settled yet.
    fn settle_in_frame(
        &mut self,
        id: StreamId,
        first: u64,
        range: IdRange,
        outcome: Outcome,
        progress: &mut Progress,
    ) -> u64 {
        let mut next = range.first;
        while let Some(frame) = self
            .streams
            .map
            .get(&id)
            .and_then(|stream| stream.frames.get(&first))
        {
            let count = frame.numbers.len();
            let index = |id: u64| usize::try_from(id.saturating_sub(first)).unwrap_or(count);
            let end = count.min(index(range.last).saturating_add(1));
            let Some(live) = frame.next_live(index(next), end) else {
                break;
            };
            let stop = (live..end).find(|at| !frame.is_live(*at)).unwrap_or(end);
            let live_id = first + live as u64;
            if live_id > next {
                let dead = IdRange {
                    first: next,
                    last: live_id - 1,
                };
                self.settle_dead(id, dead, outcome, progress);
            }
            let place = Place {
                stream: id,
                frame: first,
                index: live,
            };
            self.settle_live(place, stop, outcome, progress);
            next = first + stop as u64;
        }
        next
    }

    fn settle_dead(
        &mut self,
        id: StreamId,
        range: IdRange,
        outcome: Outcome,
        progress: &mut Progress,
    ) {
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let counters = &mut self.counters;
        stream.classify_dead(range, outcome.into(), |stretch, dead| match dead {
            Dead::Same {
                assignment,
                offset_max,
            } => progress.need(assignment, offset_max),
            Dead::Other => {
                counters.conflicting_settlements += 1;
                progress.refuse(RefusalReason::Conflict, stretch);
            }
            Dead::Forgotten if mutant::planted("M15") => {}
            Dead::Forgotten => {
                counters.stale_settlements += 1;
                progress.refuse(RefusalReason::Stale, stretch);
            }
        });
    }

    /// Settles the live deliveries from `place` up to index `stop` of the same frame.
    fn settle_live(
        &mut self,
        place: Place,
        stop: usize,
        outcome: Outcome,
        progress: &mut Progress,
    ) {
        let ids = IdRange {
            first: place.frame + place.index as u64,
            last: place.frame + stop as u64 - 1,
        };
        let Some(stream) = self.streams.map.get(&place.stream) else {
            return;
        };
        let Some(frame) = stream.frames.get(&place.frame) else {
            return;
        };
        let assignment_id = frame.assignment;
        let offset_max = match outcome {
            Outcome::Ack => {
                progress.together(place.stream, stop - place.index);
                self.finish_live(place, stop)
            }
            Outcome::Retry { .. } | Outcome::Release => {
                // A message holds a partition's records in lane order, so any of them may be the highest.
                let numbers = frame.numbers[place.index..stop].iter();
                let offset_max = self.assignments.get(&assignment_id).and_then(|assignment| {
                    numbers
                        .filter_map(|number| assignment.window.offset(*number))
                        .max()
                });
                self.return_live(place, stop, outcome, progress);
                offset_max
            }
        };
        let offset_max = offset_max.unwrap_or(0);
        progress.need(assignment_id, offset_max);
        if let Some(stream) = self.streams.map.get_mut(&place.stream) {
            stream.remember(ids, OutcomeKind::from(outcome), assignment_id, offset_max);
        }
    }

    /// Finishes live deliveries of one frame. Returns the highest of their offsets.
    fn finish_live(&mut self, place: Place, stop: usize) -> Option<i64> {
        let stream = self.streams.map.get_mut(&place.stream)?;
        let frame = stream.frames.get_mut(&place.frame)?;
        let assignment_id = frame.assignment;
        let assignment = self.assignments.get_mut(&assignment_id)?;
        let numbers = &frame.numbers[place.index..stop];
        // While the window knows their keys.
        let lanes = lanes_of(assignment, numbers);
        let finished = assignment.window.finish_all(numbers);
        let bytes = finished.bytes;
        assignment.history.forget(numbers);
        if frame.evacuated {
            self.frame_bytes -= bytes;
            self.effects.push(Effect::FreeRecords {
                assignment: assignment_id,
                numbers: numbers.iter().copied().map(RecordNumber).collect(),
            });
        }
        frame.kill_run(place.index..stop, bytes);
        let count = u32::try_from(stop - place.index).unwrap_or(u32::MAX);
        stream.live -= count;
        stream.live_bytes = stream.live_bytes.saturating_sub(bytes);
        self.live -= count;
        assignment.live -= count;
        self.counters.acknowledged += u64::from(count);
        let mut changed = Vec::new();
        for (key, count) in lanes {
            let left = assignment.lane_lost_live(key, count);
            if left.is_free() {
                stream.bound.remove(&(assignment_id, key));
            }
            if left.is_unqueued() {
                self.ready_bound.remove(&(place.stream, assignment_id));
            }
            if left != LaneLeft::Gone {
                changed.push(key);
            }
        }
        for key in changed {
            self.lane_changed(assignment_id, key);
        }
        self.free_if_dead(place.stream, place.frame);
        self.finished_some(assignment_id, u64::from(count));
        finished.last.map(|(_, offset)| offset)
    }

    fn return_live(
        &mut self,
        place: Place,
        stop: usize,
        outcome: Outcome,
        progress: &mut Progress,
    ) {
        for index in place.index..stop {
            let how = match outcome {
                Outcome::Retry { delay } => self.after_failure(place, index, delay),
                Outcome::Release | Outcome::Ack => Return {
                    failed: false,
                    due: None,
                    avoid_until: Some(self.now.plus(self.settings.retry.initial)),
                },
            };
            self.take_back(Place { index, ..place }, how, &mut progress.returned);
            match outcome {
                Outcome::Retry { .. } => self.counters.retried += 1,
                Outcome::Release | Outcome::Ack => self.counters.released += 1,
            }
        }
    }

    /// When a failed record comes again: the application's delay or the back-off, capped, with jitter on
    /// the back-off only.
    fn after_failure(&mut self, place: Place, index: usize, delay: Option<Duration>) -> Return {
        let retry = self.settings.retry;
        let failures = self
            .streams
            .map
            .get(&place.stream)
            .and_then(|stream| stream.frames.get(&place.frame))
            .and_then(|frame| {
                let number = *frame.numbers.get(index)?;
                let assignment = self.assignments.get(&frame.assignment)?;
                Some(assignment.history.of(number).failures)
            })
            .unwrap_or(0);
        let wait = delay.map_or_else(
            || {
                let exponent = i32::try_from(failures.min(64)).unwrap_or(64);
                let base = retry.initial.as_secs_f64() * retry.multiplier.powi(exponent);
                let jitter = 1.0 + retry.jitter * (2.0 * self.random.fraction() - 1.0);
                Duration::from_secs_f64((base * jitter).clamp(0.0, retry.max.as_secs_f64()))
            },
            |delay| delay.min(retry.max),
        );
        Return {
            failed: true,
            due: Some(self.now.plus(wait)),
            avoid_until: None,
        }
    }

    /// Records of an assignment were finished: there is more to commit, and more room.
    pub(super) fn finished_some(&mut self, assignment_id: Assignment, count: u64) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return;
        };
        self.counters.finished += count;
        assignment.watermark_moved(now);
        self.mark_dirty(assignment_id);
        if let Some((above, number)) = self.above_budget
            && above == assignment_id
            && self
                .assignments
                .get(&above)
                .is_none_or(|state| state.window.offset(number).is_none())
        {
            self.above_budget = None;
        }
        self.look_at_fullness(assignment_id);
    }

    /// The ids of a live delivery, for status.
    pub(super) fn first_live(&self, id: StreamId) -> Option<DeliveryId> {
        let (first, frame) = self.streams.map.get(&id)?.frames.first_key_value()?;
        let index = frame.next_live(0, frame.numbers.len())?;
        Some(DeliveryId(first + index as u64))
    }
}

/// The lanes of records, each with how many of them follow each other.
fn lanes_of(assignment: &AssignmentState, numbers: &[u64]) -> Vec<(LaneKey, u32)> {
    let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    match assignment.lane_of_all() {
        LaneOfAll::One(key) => return vec![(key, count)],
        LaneOfAll::None => return Vec::new(),
        LaneOfAll::Differs => {}
    }
    let mut lanes: Vec<(LaneKey, u32)> = Vec::new();
    for key in numbers
        .iter()
        .filter_map(|number| assignment.lane_of(*number))
    {
        match lanes.last_mut() {
            Some((last, count)) if *last == key => *count += 1,
            Some(_) | None => lanes.push((key, 1)),
        }
    }
    lanes
}

#[cfg(test)]
mod tests;
