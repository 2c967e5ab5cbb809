//! Records that no stream can receive.
//!
//! A stream says how large its messages may be. A record that is larger is not sent to it; if no open stream can take
//! it, its lane waits until one opens that can, or it goes to the dead-letter topic, as its topic's policy says.
//!
//! A client may also say more than it takes: its library ends the call when the message comes, the application opens the
//! next stream, and is sent the same message. So a stream that is reset after it was sent one large record, and nothing
//! of it was settled, counts against that record.
//!
//! # Invariants
//!
//! - A record above the message limit of a stream is never planned for it.
//! - What several streams in a row could not take holds up its lane, and no other.

use std::sync::Arc;

use super::Core;
use super::aside::Ending;
use super::delivery::StreamPhase;
use super::effect::Cause;
use super::event::Event;
use super::ids::{Assignment, StreamId};
use super::lane::LaneKey;
use super::room::MESSAGE_OVERHEAD;
use super::settings::WhenOversize;
use super::timers::Timer;

/// Smaller records share their messages, and what a client cannot take of those is no record's fault.
const RESET_BYTES_MIN: u64 = 64 << 10;
/// So many resets in a row are no accident.
const RESETS_MAX: u32 = 3;

impl Core {
    /// A lane's first record was too large for a stream that asked.
    pub(super) fn too_large(&mut self, size: u64, id: Assignment, key: LaneKey, offset: i64) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let (partition, policy) = (assignment.partition, assignment.policy.oversize);
        self.oversize.insert((size, id, key));
        match (self.able_stream(id, size), policy) {
            (Some(able), _) => self.wake(able),
            (None, WhenOversize::Park) => self.report(Event::Oversize {
                partition,
                offset,
                size,
            }),
            // Not within a pull: its bytes may be on their way into the store.
            (None, WhenOversize::DeadLetter) => self.timers.at(self.now, Timer::Oversize(id, key)),
        }
    }

    /// An open stream whose messages hold a record of this size of an assignment.
    fn able_stream(&self, assignment: Assignment, size: u64) -> Option<StreamId> {
        let assignment = self.assignments.get(&assignment)?;
        let able = self.streams.map.iter().find(|(id, stream)| {
            let record_max = stream
                .open
                .message_bytes_max
                .saturating_sub(MESSAGE_OVERHEAD);
            stream.phase == StreamPhase::Open && record_max >= size && assignment.home.admits(**id)
        });
        able.map(|(id, _)| *id)
    }

    /// Gives a record up that still no stream can take.
    pub(super) fn give_oversize_up(&mut self, id: Assignment, key: LaneKey) {
        let lane = |assignment: &super::AssignmentState| {
            let lane = assignment.lane(key)?;
            Some((lane.oversize?, lane.waiting.front()?))
        };
        let Some((size, number)) = self.assignments.get(&id).and_then(lane) else {
            return;
        };
        if self.able_stream(id, size).is_some() || !self.takes_token(id) {
            return;
        }
        self.oversize.remove(&(size, id, key));
        if let Some(lane) = self
            .assignments
            .get_mut(&id)
            .and_then(|assignment| assignment.lane_mut(key))
        {
            lane.oversize = None;
        }
        let reason = Arc::from(format!(
            "it takes {size} bytes of a message, more than any open stream receives"
        ));
        let ending = self.dead_letter_or_park(id);
        self.set_aside((id, number), Cause::Oversize, ending, reason);
    }

    /// Puts lanes whose first record fits a stream with this limit back where streams look.
    pub(super) fn requeue_oversize(&mut self, record_max: u64) {
        while let Some(&(size, assignment_id, key)) = self.oversize.first() {
            if size > record_max {
                return;
            }
            self.oversize.pop_first();
            if let Some(lane) = self
                .assignments
                .get_mut(&assignment_id)
                .and_then(|assignment| assignment.lane_mut(key))
            {
                lane.oversize = None;
            }
            self.lane_changed(assignment_id, key);
        }
    }

    /// A stream was reset. If it held one large record and nothing else, that may be why. Returns the record, if it has
    /// happened too often.
    pub(super) fn count_reset(&mut self, id: StreamId) -> Option<(Assignment, u64)> {
        self.streams
            .map
            .get(&id)
            .filter(|stream| stream.live == 1)?;
        let (assignment_id, number) = self.live_records(id).pop()?;
        let assignment = self.assignments.get_mut(&assignment_id)?;
        if assignment.window.size(number) < RESET_BYTES_MIN {
            return None;
        }
        let history = assignment.history.entry(number);
        history.resets += 1;
        (history.resets >= RESETS_MAX).then_some((assignment_id, number))
    }

    /// How a record ends that clients cannot take.
    pub(super) fn ending_of_oversize(&mut self, id: Assignment) -> Ending {
        let policy = self.assignments.get(&id).map(|state| state.policy.oversize);
        match policy {
            Some(WhenOversize::DeadLetter) if self.takes_token(id) => self.dead_letter_or_park(id),
            Some(WhenOversize::DeadLetter | WhenOversize::Park) | None => Ending::Park,
        }
    }

    /// A record waits again that clients cannot take, whatever they say.
    pub(super) fn set_unreceivable_aside(&mut self, (id, number): (Assignment, u64)) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        if !assignment.awaits_turn(number) {
            return;
        }
        let ending = self.ending_of_oversize(id);
        let reason = Arc::from(format!(
            "{RESETS_MAX} streams in a row were reset when they were sent it: the client takes smaller messages than it says"
        ));
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.remember_given_up(number, Cause::Oversize, &reason);
        }
        self.set_aside((id, number), Cause::Oversize, ending, reason);
    }
}

#[cfg(test)]
mod tests;
