//! Which records go into the next message of a stream?
//!
//! Dispatch is pulled: HTTP/2 can take a message, the edge asks, and what is planned here is in flight from
//! then. A message holds records of one partition; partitions take turns. Lanes that stick to the asking
//! stream come first, then lanes that no stream holds, then records without order.
//!
//! # Invariants
//!
//! - L1 to L3 of `lane`.
//! - I-B1: live records stay within the limits of the stream and of the process. An idle stream takes one
//!   record above its byte limit, if it fits its message limit.
//! - When streams are unequally loaded, one lane at a time moves: it gives nothing until its live records
//!   are settled, then goes to the other stream. Nothing is withdrawn for it.

use super::delivery::{Stream, StreamPhase};
use super::effect::{Effect, StreamEnd};
use super::fill::{Filling, Found};
use super::frame::Frame;
use super::ids::{Assignment, DeliveryId, Moment, PartitionId, RecordNumber, StreamId};
use super::lane::LaneKey;
use super::room::Room;
use super::settings::CommitMode;
use super::suspects::SuspectPlan;
use super::timers::Timer;
use super::{Core, TopicIndex};

/// What goes into one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlan {
    /// The partition of all its records.
    pub partition: PartitionId,
    /// The assignment they belong to.
    pub assignment: Assignment,
    /// Id of the first record; the others follow one by one.
    pub first_id: DeliveryId,
    /// The records, in the order in which they are to be written.
    pub records: Vec<Planned>,
    /// Whether the message must be kept until an [`Effect::FreeFrame`] names it. Not with `on_delivery`.
    pub keep: bool,
}

impl Default for FramePlan {
    fn default() -> Self {
        Self {
            partition: PartitionId {
                topic: TopicIndex(0),
                partition: 0,
            },
            assignment: Assignment(0),
            first_id: DeliveryId(0),
            records: Vec::new(),
            keep: false,
        }
    }
}

/// One record of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Its number in the assignment.
    pub number: RecordNumber,
    /// 1 the first time it is delivered.
    pub attempt: u32,
}

/// Why a stream got nothing, and so what would make it worth asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hunger {
    /// Nothing is ready.
    Work,
    /// A limit of its own, or of the process, is reached.
    Room,
    /// Nothing is ready, and the budget forbids to pop.
    Budget,
    /// It is to hold nothing before it is given something that must be alone.
    Emptied,
}

impl Core {
    /// Plans the next message of a stream. Returns whether there is one; `plan` is overwritten then.
    ///
    /// On `false` the stream counts as hungry: an [`Effect::Wake`] follows when it is worth asking again,
    /// unless new records arrive in the client, which only the edge can know.
    pub fn pull(
        &mut self,
        now: Moment,
        stream: StreamId,
        plan: &mut FramePlan,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // Time passes in `handle` and `settle` only: what is due may move bytes, and the edge must have moved
        // them before a message that holds them is planned. A jump must be seen before anything goes out.
        if self.jumped(now) {
            self.doubt_membership();
        }
        self.now = self.now.max(now);
        let planned = self.plan_message(stream, plan);
        effects.append(&mut self.effects);
        planned
    }

    fn plan_message(&mut self, id: StreamId, plan: &mut FramePlan) -> bool {
        plan.records.clear();
        let may = self.may_deliver();
        let Some(stream) = self.streams.map.get(&id) else {
            return false;
        };
        if stream.phase != StreamPhase::Open || stream.paused {
            return false;
        }
        if !may {
            // Worth asking again, for what waits here or in the client, once delivering is allowed.
            self.hungry.insert(id, Hunger::Room);
            return false;
        }
        let ids_left = self.streams.ids_end(stream.first_id) - stream.next_id;
        if ids_left <= u64::from(stream.open.batch_records_max) {
            self.end_stream(id, StreamEnd::IdsExhausted);
            return false;
        }
        let Some(mut room) = self.room_worth_filling(id) else {
            self.hungry.insert(id, Hunger::Room);
            self.fill_soon(id);
            return false;
        };
        self.requeue_oversize(room.record_max);
        match self.plan_suspect(id, &mut room, plan) {
            SuspectPlan::Planned(assignment) => {
                self.send(id, assignment, room.total, plan);
                if let Some(stream) = self.streams.map.get_mut(&id) {
                    stream.alone = true;
                }
                return true;
            }
            SuspectPlan::Later => {
                self.hungry.insert(id, Hunger::Emptied);
                return false;
            }
            SuspectPlan::Nothing => {}
        }
        if self.lingers(id) {
            self.hungry.insert(id, Hunger::Work);
            return false;
        }
        let served = self
            .streams
            .map
            .get(&id)
            .map_or(0, |stream| stream.served.0);
        for (mut from, to) in [(served + 1, u64::MAX), (0, served)] {
            while let Some(assignment) = self.ready_between(id, from, to) {
                if self.fill(id, assignment, &mut room, plan) {
                    self.send(id, assignment, room.total, plan);
                    return true;
                }
                from = assignment.0 + 1;
            }
        }
        self.take_a_lane_over(id);
        self.hungry.insert(id, Hunger::Work);
        false
    }

    /// The lowest assignment in `from..=to` that may have something for the stream.
    fn ready_between(&self, id: StreamId, from: u64, to: u64) -> Option<Assignment> {
        if from > to {
            return None;
        }
        let span = Assignment(from)..=Assignment(to);
        let unbound = self.ready.range(span).next().copied();
        let bound_span = (id, Assignment(from))..=(id, Assignment(to));
        let bound = self
            .ready_bound
            .range(bound_span)
            .next()
            .map(|(_, found)| *found);
        unbound.into_iter().chain(bound).min()
    }

    /// Whether a message that would not be full should wait for more.
    fn lingers(&mut self, id: StreamId) -> bool {
        let now = self.now;
        // Few streams linger, and only they pay for the looks at all partitions below.
        let lingers = |stream: &Stream| !stream.open.batch_linger.is_zero();
        if !self.streams.map.get(&id).is_some_and(lingers) {
            return false;
        }
        let waiting: u64 = self
            .assignments
            .values()
            .map(|assignment| assignment.waiting_records)
            .sum();
        let anything = self.ready_between(id, 0, u64::MAX).is_some();
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return false;
        };
        if !anything {
            stream.linger_until = None;
            return false;
        }
        let until = *stream
            .linger_until
            .get_or_insert(now.plus(stream.open.batch_linger));
        let waits = until > now && waiting < u64::from(stream.open.batch_records_max);
        if waits {
            self.timers.at(until, Timer::Linger(id));
        } else {
            stream.linger_until = None;
        }
        waits
    }

    /// Takes what fits from one assignment. Returns whether it took anything.
    fn fill(
        &mut self,
        id: StreamId,
        assignment_id: Assignment,
        room: &mut Room,
        plan: &mut FramePlan,
    ) -> bool {
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            self.ready.remove(&assignment_id);
            self.ready_bound.remove(&(id, assignment_id));
            return false;
        };
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return false;
        };
        if !assignment.is_for(id, stream) || !assignment.may_dispatch() {
            return false;
        }
        let sticky = assignment.policy.lane_depth > 1;
        let mut filling = Filling {
            now: self.now,
            id,
            sticky,
            stream,
            assignment,
            room,
            plan,
            found: Found::default(),
        };
        filling.run();
        let found = filling.found;
        self.after_filling(id, assignment_id, found);
        !plan.records.is_empty()
    }

    fn after_filling(&mut self, id: StreamId, assignment_id: Assignment, found: Found) {
        let Some(assignment) = self.assignments.get(&assignment_id) else {
            return;
        };
        if assignment.pool.is_empty() && assignment.ready.is_empty() {
            self.ready.remove(&assignment_id);
        }
        if assignment.ready_bound.contains_key(&id) {
            self.ready_bound.insert((id, assignment_id));
        } else {
            self.ready_bound.remove(&(id, assignment_id));
        }
        for (when, key) in found.later {
            self.timers.at(when, Timer::Lane(assignment_id, key));
        }
        for (size, key, offset) in found.oversize {
            self.too_large(size, assignment_id, key, offset);
        }
    }

    /// Makes what was planned live.
    fn send(&mut self, id: StreamId, assignment_id: Assignment, bytes: u64, plan: &mut FramePlan) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return;
        };
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        let count = u32::try_from(plan.records.len()).unwrap_or(u32::MAX);
        plan.partition = assignment.partition;
        plan.assignment = assignment_id;
        plan.first_id = DeliveryId(stream.next_id);
        plan.keep = self.settings.commit_mode == CommitMode::OnAck;
        stream.next_id += u64::from(count);
        stream.served = assignment_id;
        stream.linger_until = None;
        stream.fill_at = None;
        self.hungry.remove(&id);
        assignment.waiting_records -= u64::from(count);
        assignment.waiting_bytes -= bytes;
        self.waiting_bytes -= bytes;
        self.counters.delivered += u64::from(count);
        self.counters.redelivered += plan
            .records
            .iter()
            .filter(|planned| planned.attempt > 1)
            .count() as u64;
        if !plan.keep {
            self.finish_on_delivery(assignment_id, plan);
            return;
        }
        assignment.live += count;
        stream.live += count;
        stream.live_bytes += bytes;
        self.live += count;
        self.frame_bytes += bytes;
        let numbers = plan
            .records
            .iter()
            .map(|planned| planned.number.0)
            .collect();
        let mut frame = Frame::new(assignment_id, numbers, bytes, now);
        let deadline = assignment.policy.deadline;
        frame.deadline = (!deadline.is_zero()).then(|| now.plus(deadline));
        let look_at = frame.deadline;
        stream.frames.insert(plan.first_id.0, frame);
        if let Some(when) = look_at
            && stream.look_at_deadline(when, plan.first_id.0)
        {
            // Each look asks for the next one.
            self.timers.at(when, Timer::Deadline(id));
        }
        if !self.settings.warn_unsettled_after.is_zero() {
            let when = now.plus(self.settings.warn_unsettled_after);
            self.warn_unsettled_later(id, when);
        }
        self.look_at_fullness(assignment_id);
    }

    /// `on_delivery`: handing the message over finishes its records. There are no lanes then, but for
    /// records that were too large for some stream.
    fn finish_on_delivery(&mut self, assignment_id: Assignment, plan: &FramePlan) {
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return;
        };
        for planned in &plan.records {
            assignment.window.finish(planned.number.0);
            assignment.lanes.remove(&LaneKey::Single(planned.number.0));
        }
        let count = plan.records.len() as u64;
        self.finished_some(assignment_id, count);
        // Outside of `handle`, so the turn is not finished by it.
        self.look_at_fullness(assignment_id);
    }
}

#[cfg(test)]
mod tests;
