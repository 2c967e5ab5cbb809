//! Taking deliveries back.
//!
//! A delivery that is taken back is dead: its id changes nothing any more (I-S4). Its record returns to its
//! lane, or goes with its assignment. Bytes that lie in a frame are copied out before the frame goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Core;
use super::aside::Ending;
use super::delivery::OutcomeKind;
use super::effect::{Cause, Effect, WithdrawReason};
use super::history::Hold;
use super::ids::{Assignment, DeliveryId, IdRange, Moment, RecordNumber, StreamId, push_id};
use super::lane::LaneKey;
use crate::mutant;

/// A live delivery, by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    /// First id of its frame.
    pub(super) frame: u64,
    /// Its index there.
    pub(super) index: usize,
}

/// What a record that comes back brings along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    /// The application failed at it.
    pub(super) failed: bool,
    /// What keeps it from being delivered again.
    pub(super) hold: Hold,
    /// Not to the same stream before this.
    pub(super) avoid_until: Option<Moment>,
    /// Whether what is live behind it in its lane is taken back.
    pub(super) withdraws: bool,
}

impl Return {
    /// It was taken back, through no doing of its own.
    pub(super) const WITHDRAWN: Self = Self {
        failed: false,
        hold: Hold::None,
        avoid_until: None,
        withdraws: true,
    };

    /// It goes to the dead-letter topic because the application said so: those behind it had their turn.
    pub(super) const SET_ASIDE: Self = Self {
        hold: Hold::Aside,
        withdraws: false,
        ..Self::WITHDRAWN
    };

    /// It is given up. Dropped, it holds nothing up that is live behind it.
    pub(super) fn given_up(ending: Ending) -> Self {
        Self {
            withdraws: ending != Ending::Discard,
            ..Self::failed(Hold::Aside)
        }
    }

    /// The application failed at it.
    pub(super) fn failed(hold: Hold) -> Self {
        Self {
            failed: true,
            hold,
            ..Self::WITHDRAWN
        }
    }
}

/// Records that leave frames in one step, so that each frame is copied from once.
#[derive(Debug, Default)]
pub(super) struct Returned {
    copies: BTreeMap<u64, (StreamId, Vec<(DeliveryId, RecordNumber)>)>,
    /// Lanes that something came back to, with the lowest number that must go before what is live, if any.
    lanes: BTreeMap<(Assignment, LaneKey), Option<u64>>,
    /// What came back to be set aside.
    aside: Vec<SetAside>,
    /// Assignments that a record failed in: the commit metadata says how often.
    failed: BTreeSet<Assignment>,
}

/// A record that was taken back to be set aside.
#[derive(Debug)]
struct SetAside {
    record: (Assignment, u64),
    cause: Cause,
    ending: Ending,
    reason: Arc<str>,
}

impl Returned {
    /// A record waits again that goes before what is live behind it in its lane.
    pub(super) fn comes_back(&mut self, id: Assignment, key: LaneKey, number: u64) {
        let lowest = self.lanes.entry((id, key)).or_default();
        *lowest = Some(lowest.map_or(number, |lowest| lowest.min(number)));
    }

    /// A record that is taken back is to be set aside.
    pub(super) fn set_aside(
        &mut self,
        record: (Assignment, u64),
        cause: Cause,
        ending: Ending,
        reason: &Arc<str>,
    ) {
        self.aside.push(SetAside {
            record,
            cause,
            ending,
            reason: Arc::clone(reason),
        });
    }
}

impl Core {
    /// The record of a live delivery: its assignment and number.
    pub(super) fn record_at(&self, place: Place) -> Option<(Assignment, u64)> {
        let stream = self.streams.map.get(&place.stream)?;
        let frame = stream.frames.get(&place.frame)?;
        let live = frame.is_live(place.index);
        live.then(|| (frame.assignment, frame.numbers[place.index]))
    }

    /// The records of what a stream holds.
    pub(super) fn live_records(&self, id: StreamId) -> Vec<(Assignment, u64)> {
        let places = self.places(id, |_, _| true);
        let record = |place: &Place| self.record_at(*place);
        places.iter().filter_map(record).collect()
    }

    /// Ends one live delivery and returns its record to its lane.
    pub(super) fn take_back(&mut self, place: Place, how: Return, returned: &mut Returned) {
        let Some(stream) = self.streams.map.get_mut(&place.stream) else {
            return;
        };
        let Some(frame) = stream.frames.get_mut(&place.frame) else {
            return;
        };
        let Some(assignment) = self.assignments.get_mut(&frame.assignment) else {
            return;
        };
        let number = frame.numbers[place.index];
        let size = assignment.window.size(number);
        if !frame.kill(place.index, size) {
            return;
        }
        if frame.evacuated {
            self.frame_bytes -= size;
        } else {
            let id = DeliveryId(place.frame + place.index as u64);
            let copies = returned
                .copies
                .entry(place.frame)
                .or_insert_with(|| (place.stream, Vec::new()));
            copies.1.push((id, RecordNumber(number)));
        }
        stream.live -= 1;
        stream.live_bytes = stream.live_bytes.saturating_sub(size);
        stream.alone &= stream.live > 0;
        self.live -= 1;
        assignment.live -= 1;
        assignment.waiting_records += 1;
        assignment.waiting_bytes += size;
        if !mutant::planted("M19") {
            self.waiting_bytes += size;
        }
        assignment.history.handed_back(number, how.failed, how.hold);
        let assignment_id = assignment.id;
        if how.failed && self.settings.commit_metadata {
            returned.failed.insert(assignment_id);
        }
        let lane = assignment.lane_of(number);
        let known = assignment.history.of(number);
        let calm = how.hold == Hold::None
            && how.avoid_until.is_none()
            && !known.suspect
            && known.resets == 0;
        let Some(key) = lane.or_else(|| (!calm).then_some(LaneKey::Single(number))) else {
            assignment.pool.insert(number);
            self.ready.insert(assignment_id);
            return;
        };
        let held = lane.is_some();
        if mutant::planted("M17") && how.failed && held {
            assignment.pool.insert(number);
            self.ready.insert(assignment_id);
            return self.lane_lost_one(assignment_id, key, place.stream);
        }
        let lane = assignment.lane_or_new(key);
        lane.waiting.insert(number);
        lane.avoid = how
            .avoid_until
            .map(|until| (place.stream, until))
            .or(lane.avoid);
        if held {
            self.lane_lost_one(assignment_id, key, place.stream);
        }
        if how.withdraws {
            returned.comes_back(assignment_id, key, number);
        } else {
            returned.lanes.entry((assignment_id, key)).or_default();
        }
    }

    /// One of a lane's live records is live no more, and waits there again.
    fn lane_lost_one(&mut self, assignment_id: Assignment, key: LaneKey, holder: StreamId) {
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return;
        };
        let left = assignment.lane_lost_live(key, 1);
        if left.is_unqueued() {
            self.ready_bound.remove(&(holder, assignment_id));
        }
        if left.is_free()
            && let Some(stream) = self.streams.map.get_mut(&holder)
        {
            stream.bound.remove(&(assignment_id, key));
        }
    }

    /// Brings a step to its end: later records of the lanes are withdrawn, frames are copied from and
    /// freed, lanes are looked at.
    pub(super) fn settle_returned(&mut self, mut returned: Returned) {
        let lanes: Vec<_> = returned
            .lanes
            .iter()
            .filter_map(|(lane, lowest)| Some((*lane, (*lowest)?)))
            .collect();
        for ((assignment_id, key), lowest) in lanes {
            self.withdraw_later(assignment_id, key, lowest, &mut returned);
        }
        self.copy_out(std::mem::take(&mut returned.copies));
        for assignment_id in returned.failed {
            self.mark_dirty(assignment_id);
        }
        // Their bytes are where they wait now.
        for set in returned.aside {
            self.set_aside(set.record, set.cause, set.ending, set.reason);
        }
        for (assignment_id, key) in returned.lanes.into_keys() {
            self.lane_changed(assignment_id, key);
            self.look_at_fullness(assignment_id);
        }
    }

    /// Order within a lane: nothing later may stay in flight while an earlier record must come again.
    fn withdraw_later(
        &mut self,
        assignment_id: Assignment,
        key: LaneKey,
        lowest: u64,
        returned: &mut Returned,
    ) {
        let Some(lane) = self
            .assignments
            .get(&assignment_id)
            .and_then(|assignment| assignment.lane(key))
        else {
            return;
        };
        let Some(holder) = lane.stream.filter(|_| lane.live > 0) else {
            return;
        };
        let places = self.places(holder, |assignment, number| {
            assignment.id == assignment_id
                && number > lowest
                && assignment.lane_of(number) == Some(key)
        });
        let ids = self.take_back_all(&places, returned);
        self.counters.withdrawn_earlier_retry += places.len() as u64;
        self.tell_withdrawn(holder, ids, WithdrawReason::EarlierRetry);
    }

    /// Live deliveries of a stream that `wanted` picks.
    fn places(
        &self,
        stream_id: StreamId,
        wanted: impl Fn(&super::AssignmentState, u64) -> bool,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        let Some(stream) = self.streams.map.get(&stream_id) else {
            return places;
        };
        for (first, frame) in &stream.frames {
            let Some(assignment) = self.assignments.get(&frame.assignment) else {
                continue;
            };
            let mut from = 0;
            while let Some(index) = frame.next_live(from, frame.numbers.len()) {
                from = index + 1;
                if wanted(assignment, frame.numbers[index]) {
                    places.push(Place {
                        stream: stream_id,
                        frame: *first,
                        index,
                    });
                }
            }
        }
        places
    }

    fn take_back_all(&mut self, places: &[Place], returned: &mut Returned) -> Vec<IdRange> {
        let mut ids = Vec::new();
        for place in places {
            push_id(&mut ids, place.frame + place.index as u64);
            self.take_back(*place, Return::WITHDRAWN, returned);
        }
        ids
    }

    pub(super) fn tell_withdrawn(
        &mut self,
        stream: StreamId,
        ids: Vec<IdRange>,
        reason: WithdrawReason,
    ) {
        if !ids.is_empty() {
            self.effects.push(Effect::Withdrawn {
                stream,
                ids,
                reason,
            });
        }
    }

    /// Takes back everything a stream holds; the records go on to other streams.
    pub(super) fn withdraw_stream(&mut self, id: StreamId, reason: WithdrawReason) {
        let places = self.places(id, |_, _| true);
        let mut returned = Returned::default();
        let ids = self.take_back_all(&places, &mut returned);
        self.counters.withdrawn_stream_ended += places.len() as u64;
        if reason != WithdrawReason::StreamEnded {
            self.tell_withdrawn(id, ids, reason);
        }
        self.settle_returned(returned);
    }

    /// Half-close: what the stream still holds was not worked on. An outcome, unlike a withdrawal: the
    /// application said so.
    pub(super) fn release_all(&mut self, id: StreamId) {
        let places = self.places(id, |_, _| true);
        let mut returned = Returned::default();
        for place in &places {
            let offset = self.remember_released(place);
            debug_assert!(offset.is_some(), "a live delivery has an offset");
            self.take_back(*place, Return::WITHDRAWN, &mut returned);
        }
        self.counters.released += places.len() as u64;
        self.settle_returned(returned);
    }

    fn remember_released(&mut self, place: &Place) -> Option<i64> {
        let stream = self.streams.map.get_mut(&place.stream)?;
        let frame = stream.frames.get(&place.frame)?;
        let assignment_id = frame.assignment;
        let offset = self
            .assignments
            .get(&assignment_id)?
            .window
            .offset(frame.numbers[place.index])?;
        let id = place.frame + place.index as u64;
        stream.remember(
            IdRange::one(id),
            OutcomeKind::Release,
            assignment_id,
            offset,
        );
        Some(offset)
    }

    /// Kills every live delivery of an assignment. Its records go nowhere: the assignment ends, or its
    /// draining is over. Returns how many there were.
    pub(super) fn withdraw_assignment(
        &mut self,
        assignment_id: Assignment,
        reason: WithdrawReason,
    ) -> u32 {
        let mut killed = 0;
        if mutant::planted("M3") {
            return 0;
        }
        let streams: Vec<StreamId> = self.streams.map.keys().copied().collect();
        for id in streams {
            let mut ids = Vec::new();
            let Some(stream) = self.streams.map.get_mut(&id) else {
                continue;
            };
            let mut live = 0;
            let mut live_bytes = 0;
            let mut own_copies = Vec::new();
            let effects = &mut self.effects;
            let frame_bytes = &mut self.frame_bytes;
            let evacuated = &mut stream.evacuated;
            stream.frames.retain(|first, frame| {
                if frame.assignment != assignment_id {
                    return true;
                }
                let mut from = 0;
                while let Some(index) = frame.next_live(from, frame.numbers.len()) {
                    push_id(&mut ids, first + index as u64);
                    if frame.evacuated {
                        own_copies.push(RecordNumber(frame.numbers[index]));
                    }
                    from = index + 1;
                }
                live += frame.live_count;
                live_bytes += frame.live_bytes;
                if frame.evacuated {
                    *evacuated -= 1;
                    *frame_bytes -= frame.live_bytes;
                } else {
                    *frame_bytes -= frame.bytes;
                    effects.push(Effect::FreeFrame(DeliveryId(*first)));
                }
                false
            });
            stream.live -= live;
            stream.live_bytes = stream.live_bytes.saturating_sub(live_bytes);
            stream.alone &= stream.live > 0;
            stream
                .bound
                .retain(|(assignment, _)| *assignment != assignment_id);
            if !own_copies.is_empty() {
                // The assignment may still wait for its last commit; its copies need not.
                self.effects.push(Effect::FreeRecords {
                    assignment: assignment_id,
                    numbers: own_copies,
                });
            }
            self.live -= live;
            killed += live;
            self.tell_withdrawn(id, ids, reason);
        }
        if let Some(assignment) = self.assignments.get_mut(&assignment_id) {
            assignment.live -= killed;
        }
        killed
    }
}

#[cfg(test)]
mod tests;
