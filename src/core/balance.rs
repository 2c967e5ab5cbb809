//! Which stream a lane is for, and which streams are worth waking.

use super::Core;
use super::dispatch::Hunger;
use super::ids::{Assignment, StreamId};
use super::lane::LaneKey;
use super::settings::{Order, Policy};
use super::timers::Timer;

impl Core {
    /// Looks whether a lane can give something, and tells whom it may concern.
    pub(super) fn lane_changed(&mut self, assignment_id: Assignment, key: LaneKey) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return;
        };
        let Some(lane) = assignment.lane(key) else {
            return;
        };
        let bound = lane.bound_to();
        let handed_back = !assignment.history.is_empty();
        if assignment.queue_if_ready(key, now) {
            match bound {
                Some(stream) => self.ready_bound.insert((stream, assignment_id)),
                None => self.ready.insert(assignment_id),
            };
        } else if let Some(due) = assignment
            .lane(key)
            .and_then(|lane| lane.waiting.front())
            .and_then(|first| assignment.due(first))
            && due > now
        {
            self.timers.at(due, Timer::Lane(assignment_id, key));
        }
        // Asked for every record; hardly ever was one handed back.
        if handed_back || !self.suspects.is_empty() {
            self.look_for_suspect(assignment_id, key);
        }
    }

    /// A stream with nothing to do takes one lane from the stream that has the most, if that has at least
    /// two more.
    pub(super) fn take_a_lane_over(&mut self, taker: StreamId) {
        let sticks = |policy: &Policy| policy.lane_depth > 1 && policy.order != Order::None;
        if self.streams.map.len() < 2 || !self.settings.policies.iter().any(sticks) {
            return;
        }
        let Some(stream) = self.streams.map.get(&taker) else {
            return;
        };
        if let Some((assignment, key)) = stream.taking {
            let still = self
                .assignments
                .get(&assignment)
                .and_then(|assignment| assignment.lane(key));
            if still.is_some_and(|lane| lane.reserved == Some(taker)) {
                return;
            }
        }
        let own = stream.bound.len();
        let giver = self
            .streams
            .map
            .iter()
            .filter(|(id, other)| **id != taker && other.bound.len() >= own + 2)
            .max_by_key(|(_, other)| other.bound.len());
        let Some((_, giver)) = giver else { return };
        let movable = |(assignment_id, key): &(Assignment, LaneKey)| {
            let Some(assignment) = self.assignments.get(assignment_id) else {
                return false;
            };
            let lane = assignment.lane(*key);
            assignment.is_for(taker, stream)
                && assignment.may_dispatch()
                && lane.is_some_and(|lane| !lane.waiting.is_empty() && lane.reserved.is_none())
        };
        // The lowest: the set has no order that would replay.
        let lowest = giver.bound.iter().copied().filter(movable).min();
        let Some((assignment_id, key)) = lowest else {
            return;
        };
        if let Some(lane) = self
            .assignments
            .get_mut(&assignment_id)
            .and_then(|assignment| assignment.lane_mut(key))
        {
            lane.reserved = Some(taker);
        }
        if let Some(stream) = self.streams.map.get_mut(&taker) {
            stream.taking = Some((assignment_id, key));
        }
    }

    /// Lanes that were on their way to a stream, or stand ready for it with nothing live, go to whoever asks.
    pub(super) fn give_reserved_lanes_back(&mut self, id: StreamId) {
        let here: Vec<Assignment> = self
            .ready_bound
            .range((id, Assignment(0))..=(id, Assignment(u64::MAX)))
            .map(|(_, assignment)| *assignment)
            .collect();
        let taking = self
            .streams
            .map
            .get_mut(&id)
            .and_then(|stream| stream.taking.take());
        if let Some((assignment_id, key)) = taking
            && let Some(lane) = self
                .assignments
                .get_mut(&assignment_id)
                .and_then(|assignment| assignment.lane_mut(key))
            && lane.reserved == Some(id)
        {
            lane.reserved = None;
            self.lane_changed(assignment_id, key);
        }
        for assignment_id in here {
            self.ready_bound.remove(&(id, assignment_id));
            let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
                continue;
            };
            let Some(keys) = assignment.ready_bound.remove(&id) else {
                continue;
            };
            for key in &keys {
                if let Some(lane) = assignment.lane_mut(*key) {
                    lane.queued = false;
                }
            }
            for key in keys {
                self.lane_changed(assignment_id, key);
            }
        }
    }

    /// Wakes hungry streams for which something may have changed.
    pub(super) fn feed_hungry(&mut self) {
        if self.hungry.is_empty() || !self.may_deliver() {
            return;
        }
        let fed: Vec<StreamId> = self
            .hungry
            .iter()
            .filter(|(id, hunger)| match hunger {
                Hunger::Room => self.room_worth_filling(**id).is_some(),
                Hunger::Work => self.has_work_for(**id),
                Hunger::Emptied => self.is_emptied(**id),
                Hunger::Budget => self.has_work_for(**id) || self.pop_allowance_now() > 0,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in fed {
            self.hungry.remove(&id);
            self.wake(id);
        }
        let has_little = |(id, hunger): (&StreamId, &Hunger)| {
            (*hunger == Hunger::Room && self.room(*id).is_some()).then_some(*id)
        };
        let little: Vec<StreamId> = self.hungry.iter().filter_map(has_little).collect();
        for id in little {
            self.fill_soon(id);
        }
    }

    /// Whether a stream waits for nothing but records.
    pub(super) fn is_anyone_hungry_for_work(&self) -> bool {
        self.hungry.values().any(|hunger| *hunger == Hunger::Work)
    }

    fn has_work_for(&self, id: StreamId) -> bool {
        let Some(stream) = self.streams.map.get(&id) else {
            return false;
        };
        if stream.linger_until.is_some_and(|until| until > self.now) {
            return false;
        }
        let serves = |served: &Assignment| {
            self.assignments.get(served).is_some_and(|assignment| {
                assignment.may_dispatch() && assignment.is_for(id, stream)
            })
        };
        let bound = (id, Assignment(0))..=(id, Assignment(u64::MAX));
        self.has_suspect_for(id)
            || self
                .ready_bound
                .range(bound)
                .any(|(_, assignment)| serves(assignment))
            || self.ready.iter().any(serves)
    }
}

#[cfg(test)]
mod tests;
