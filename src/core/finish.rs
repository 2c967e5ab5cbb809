//! Records are finished.
//!
//! # Invariants
//!
//! - I-S1: only what was acknowledged under a live id, discarded by somebody's word or by rule, or confirmed by the
//!   dead-letter topic gets here.

use std::sync::Arc;

use super::Core;
use super::assignment::AssignmentState;
use super::effect::{Cause, Effect};
use super::event::Event;
use super::ids::{Assignment, RecordNumber};
use super::input::Outcome;
use super::lane::LaneKey;
use super::lineup::{LaneLeft, LaneOfAll};
use super::settle::Said;
use super::withdraw::Place;

impl Core {
    /// Finishes live deliveries of one frame, as the application said. Returns the highest of their offsets.
    pub(super) fn finish_live(&mut self, place: Place, stop: usize, said: &Said) -> Option<i64> {
        if said.outcome == Outcome::Discard {
            for index in place.index..stop {
                let record = self.record_at(Place { index, ..place });
                if let Some((assignment, number)) = record {
                    self.tell_discarded(assignment, number, Cause::Application, &said.reason);
                }
            }
            return self.finish_deliveries(place, stop);
        }
        let count = stop - place.index;
        let record = self.record_at(place);
        let topic = record
            .and_then(|(id, _)| self.assignments.get(&id))
            .map(|assignment| assignment.partition.topic);
        let highest = self.finish_deliveries(place, stop);
        if let Some(topic) = topic {
            self.counters.acknowledged += count as u64;
            let rate = self.settings.policy(topic).tokens;
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.buckets[usize::from(topic.0)].earn(&rate, count);
        }
        highest
    }

    /// Says and counts that a record is dropped.
    pub(super) fn tell_discarded(
        &mut self,
        id: Assignment,
        number: u64,
        cause: Cause,
        reason: &Arc<str>,
    ) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let partition = assignment.partition;
        let Some(offset) = assignment.window.offset(number) else {
            return;
        };
        self.counters.discarded += 1;
        self.report(Event::Discarded {
            partition,
            offset,
            cause,
            reason: Arc::clone(reason),
        });
    }

    fn finish_deliveries(&mut self, place: Place, stop: usize) -> Option<i64> {
        let stream = self.streams.map.get_mut(&place.stream)?;
        let frame = stream.frames.get_mut(&place.frame)?;
        let assignment_id = frame.assignment;
        let assignment = self.assignments.get_mut(&assignment_id)?;
        let numbers = &frame.numbers[place.index..stop];
        // While the window knows their keys.
        let lanes = lanes_of(assignment, numbers);
        assignment.note_unproven(numbers, 1);
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
        stream.alone &= stream.live > 0;
        stream.live_bytes = stream.live_bytes.saturating_sub(bytes);
        self.live -= count;
        assignment.live -= count;
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

    /// Finishes a record that waits.
    pub(super) fn finish_waiting(&mut self, id: Assignment, number: u64) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let Some(key) = assignment.lane_of(number) else {
            debug_assert!(false, "what was set aside has a lane");
            return;
        };
        let size = assignment.window.size(number);
        assignment.take_from_lane(key, number);
        assignment.note_unproven(&[number], 0);
        assignment.window.finish(number);
        assignment.history.forget(&[number]);
        assignment.waiting_records -= 1;
        assignment.waiting_bytes -= size;
        self.waiting_bytes -= size;
        self.effects.push(Effect::FreeRecords {
            assignment: id,
            numbers: vec![RecordNumber(number)],
        });
        self.finished_some(id, 1);
        self.lane_changed(id, key);
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
