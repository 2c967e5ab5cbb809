//! How what comes from the client is held back.
//!
//! Back-pressure is not taking: records that nobody asked for stay in the client's queue, whose limits stop
//! the fetching by themselves. Records wait here only because of their lanes, or for the next messages. A
//! partition whose waiting records fill its share of the budget, whose unfinished records fill its window, or whose
//! marks might come to fill three quarters of the commit metadata, is *full*. While an unpaused partition is full
//! nothing is popped, since whatever is popped might be its; after 100 ms it is paused, if others have room, and
//! popping goes on. (Pausing purges what the client
//! prefetched, so short fullness is waited out.) The 100 ms count from when it first was full until it has fallen
//! below half: a partition behind a frequent key, full again with each record that it may take in, would otherwise
//! hold up all others at the pace of that key.
//!
//! # Invariants
//!
//! - I-B1: popping stops when the budget is reached. Above it one record at a time is let in, for partitions
//!   that hold nothing, once every other one is paused.
//! - I-B5, "window counted as a span": limits count unfinished records, never offsets.

use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, Phase};
use super::delivery::{Stream, StreamPhase};
use super::dispatch::Hunger;
use super::effect::Effect;
use super::event::Event;
use super::ids::{Assignment, Moment, StreamId};
use super::limits::Limits;
use super::metadata;
use super::settings::{CommitMode, Order, Policy};
use super::timers::Timer;

/// How long a partition must be full before it is paused.
const FULL_FOR: Duration = Duration::from_millis(100);
/// Most records asked for in one pop.
const POP_MAX: u64 = 2048;

impl Core {
    /// How many records the edge may pop before it asks for a stream's next message, so that the message is full:
    /// less than that waits. Zero for none. Whatever it says, asking without popping is right, too.
    pub fn top_up(&mut self, now: Moment, stream: StreamId) -> usize {
        debug_assert!(self.now <= now, "time went back");
        if self.is_clearing(stream) {
            return 0;
        }
        let Some(room) = self.room_worth_filling(stream) else {
            return 0;
        };
        let holds = room.holds(self.mean_record_bytes);
        let missing = holds.saturating_sub(self.ready_records());
        let is_open = |stream: &Stream| stream.phase == StreamPhase::Open && !stream.paused;
        if missing == 0 || !self.streams.map.get(&stream).is_some_and(is_open) {
            return 0;
        }
        usize::try_from(self.pop_allowance_now().min(missing)).unwrap_or(0)
    }

    /// About how many records could go out now, were there room.
    fn ready_records(&self) -> u64 {
        let one_by_one = |policy: &Policy| policy.order == Order::Key && policy.lane_depth == 1;
        if !self.settings.policies.iter().any(one_by_one) {
            return self.waiting_bytes / self.mean_record_bytes.max(1);
        }
        // Behind a key that is busy there may wait thousands, and none of them can go.
        let ready = self.ready.iter().filter_map(|id| self.assignments.get(id));
        ready
            .map(|assignment| match one_by_one(&assignment.policy) {
                true => assignment.pool.len() + assignment.ready.len() as u64,
                false => assignment.waiting_records,
            })
            .sum()
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
            Some(Hunger::Room | Hunger::Emptied) | None => None,
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

    /// Whether anything that is finished above the watermark can be told with a commit.
    pub(super) fn has_room_for_marks(&self) -> bool {
        self.marks_room() > 0
    }

    fn marks_room(&self) -> u64 {
        metadata::room_bits(self.cluster.as_deref(), self.settings.commit_metadata_max)
    }

    pub(super) fn limits(&self) -> Limits {
        let settings = &self.settings;
        let marks_bits = if settings.commit_metadata && settings.commit_mode == CommitMode::OnAck {
            let room = self.marks_room();
            // Where there is room for none, none is kept, whatever is taken in.
            if room > 0 { room } else { u64::MAX }
        } else {
            u64::MAX
        };
        Limits {
            window: settings.window_records_max.into(),
            share: settings.in_flight_bytes_max / (self.owned.len() as u64).max(1),
            marks_bits,
        }
    }

    /// Notes that a partition became full, or is full no more.
    pub(super) fn look_at_fullness(&mut self, id: Assignment) {
        let limits = self.limits();
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            self.full.remove(&id);
            return;
        };
        let fetched = fetches(assignment);
        if fetched && assignment.is_full(&limits) {
            let since = *assignment.full_since.get_or_insert(now);
            if self.full.insert(id) {
                self.look_at_full_ones(now.max(since.plus(FULL_FOR)));
            }
            return;
        }
        if !fetched || assignment.is_half_empty(&limits) {
            assignment.full_since = None;
        }
        self.full.remove(&id);
    }

    /// Sees to it that [`Core::pause_full`] is called, by then or a little earlier.
    fn look_at_full_ones(&mut self, when: Moment) {
        if !std::mem::replace(&mut self.full_look, true) {
            self.timers.at(when, Timer::Full);
        }
    }

    /// Pauses what has been full for long, if that lets others go on.
    pub(super) fn pause_full(&mut self) {
        let now = self.now;
        self.full_look = false;
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
            let is_full = self.full.contains(&assignment.id);
            let long = is_full
                && assignment
                    .full_since
                    .is_some_and(|since| since.plus(FULL_FOR) <= now);
            let starving = assignment.window.unfinished() == 0;
            if long || (over_budget && !starving && !self.full.is_empty()) {
                pause.push(assignment.id);
            } else if !is_full && (!over_budget || starving) {
                others_have_room = true;
            }
        }
        if others_have_room {
            for id in pause {
                self.pause(id);
            }
        }
        // Some became full later, or nobody else has room yet.
        let since = |id| self.assignments.get(id)?.full_since;
        let due = self.full.iter().filter_map(since);
        let due = due.map(|since: Moment| since.plus(FULL_FOR));
        if let Some(next) = due
            .map(|due| if due > now { due } else { now.plus(FULL_FOR) })
            .min()
        {
            self.look_at_full_ones(next);
        }
    }

    pub(super) fn pause(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.paused = true;
        assignment.full_since = None;
        let partition = assignment.partition;
        let assignment_on_hold = assignment.on_hold;
        self.full.remove(&id);
        self.paused.insert(id);
        self.effects.push(Effect::Pause(vec![partition]));
        if !assignment_on_hold {
            self.report(Event::Paused { partition });
        }
    }

    /// Fetches paused partitions again that have fallen below half of their limits and are not on hold.
    pub(super) fn resume_paused(&mut self) {
        if self.paused.is_empty() || self.held_bytes() >= self.settings.in_flight_bytes_max {
            return;
        }
        let limits = self.limits();
        let mut resumed = Vec::new();
        let assignments = &mut self.assignments;
        self.paused.retain(|id| {
            let Some(assignment) = assignments.get_mut(id) else {
                return false;
            };
            let resume = assignment.phase == Phase::Flowing
                && !assignment.on_hold
                && assignment.is_half_empty(&limits);
            if resume {
                assignment.paused = false;
                resumed.push(assignment.partition);
            }
            !resume
        });
        for partition in &resumed {
            self.report(Event::Resumed {
                partition: *partition,
            });
        }
        if !resumed.is_empty() {
            self.effects.push(Effect::Resume(resumed));
        }
    }
}

/// Whether records of the assignment may come out of the client.
fn fetches(assignment: &AssignmentState) -> bool {
    assignment.phase == Phase::Flowing && assignment.fetch.is_some() && !assignment.paused
}

#[cfg(test)]
mod tests;
