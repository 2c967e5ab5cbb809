//! Which record kills applications?
//!
//! When an application dies, whatever it held may be why. A record that was held at two deaths, or at one by an
//! application that held nothing else, is a *suspect*: it is delivered again alone, to a stream that holds nothing else, so
//! that the next death has one name. What an application settles is cleared. One death makes no suspects of many records,
//! because most deaths are no record's fault: processes are killed, replaced, run out of memory. What those held is worked
//! on again at full speed.
//!
//! Several streams may belong to one process, and die together of one of the records that they hold alone. Such deaths
//! count for none of them; from then on one suspect at a time is delivered in the whole process.
//!
//! An application that dies of itself again and again, whatever it is given, must not drag records with it that others
//! could work on. So a stream that is opened after a death is on trial until it settles something.
//!
//! # Invariants
//!
//! - S1: a suspect is live only on a stream that holds nothing else, and gets nothing else meanwhile.
//! - S2: a death counts for a record only if its stream held that alone and no other suspect died within
//!   [`TOGETHER_WITHIN`].
//! - S3: streams that close in an orderly way, or while the process or the partition goes, make nothing suspect.
//! - S4: one stream at a time is emptied for a suspect; the others go on.
//! - S5: a record among others becomes suspect by the second death that it was held at, not by the first.
//! - S6: a stream on trial holds one record, and is given no suspect while one that is not on trial is open. A trial ends
//!   after [`TRIAL`], whatever happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::assignment::Phase;
use super::delivery::StreamPhase;
use super::dispatch::{FramePlan, Planned};
use super::effect::Cause;
use super::event::Event;
use super::history::Hold;
use super::ids::{Assignment, Moment, RecordNumber, StreamId};
use super::lane::LaneKey;
use super::room::Room;
use super::timers::Timer;
use crate::mutant;

/// Deaths that are no further apart may have one reason, and a connection that ends so soon after its stream died with
/// it.
pub(super) const TOGETHER_WITHIN: Duration = Duration::from_secs(1);

/// Deaths at which a record was held among others before it is suspect.
const SUSPECT_AFTER: u32 = 2;

/// Streams opened so soon after a death are on trial: twice as long as Kubernetes waits at most before it starts a
/// container again.
const TRIAL_AFTER_DEATH: Duration = Duration::from_secs(600);
/// How long a stream is on trial that settles nothing.
const TRIAL: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// When a stream died last.
    last_death: Option<Moment>,
    /// Lanes whose first record is one that may go.
    lanes: BTreeSet<(Assignment, LaneKey)>,
    /// The stream that is given nothing until it holds nothing, to be given one.
    clearing: Option<StreamId>,
    deaths: Vec<Death>,
    /// One at a time in the whole process.
    one_by_one: bool,
}

impl Suspects {
    /// Whether no lane has one to give.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Deaths that were not judged yet are not to count for a record.
    pub(super) fn forget_deaths(&mut self, record: (Assignment, u64)) {
        self.deaths.retain(|death| death.record != record);
    }
}

/// A stream died that held one record alone.
#[derive(Clone, Copy, Debug)]
struct Death {
    at: Moment,
    record: (Assignment, u64),
    judged: bool,
}

/// What a stream held when it closed.
#[derive(Debug)]
pub(crate) struct HeldAtClose {
    at: Moment,
    /// It was a suspect, and alone.
    alone: bool,
    records: Vec<(Assignment, u64)>,
}

/// What a stream that asks can have of suspects.
pub(super) enum SuspectPlan {
    /// One of them.
    Planned(Assignment),
    /// One, as soon as it holds nothing.
    Later,
    /// None.
    Nothing,
}

/// No other death can be close to one at `death` any more.
fn judged_at(death: Moment) -> Moment {
    death.plus(TOGETHER_WITHIN + Duration::from_millis(1))
}

impl Core {
    /// A lane has a suspect to give, or may have one no more.
    pub(super) fn look_for_suspect(&mut self, id: Assignment, key: LaneKey) {
        if self.suspect_of(id, key).is_some() {
            self.suspects.lanes.insert((id, key));
        } else {
            self.suspects.lanes.remove(&(id, key));
        }
    }

    fn suspect_of(&self, id: Assignment, key: LaneKey) -> Option<u64> {
        let assignment = self.assignments.get(&id)?;
        assignment.lane(key)?.suspect(&assignment.history, self.now)
    }

    /// The first suspect that a stream may be given.
    fn suspect_for(&self, id: StreamId) -> Option<(Assignment, LaneKey, u64)> {
        if self.suspects.lanes.is_empty() {
            return None;
        }
        let stream = self.streams.map.get(&id)?;
        let is_trusted = |other: &super::delivery::Stream| {
            other.phase == StreamPhase::Open && !other.paused && !other.is_on_trial(self.now)
        };
        if stream.is_on_trial(self.now) && self.streams.map.values().any(is_trusted) {
            return None;
        }
        let is_busy = |other: &super::delivery::Stream| other.alone;
        if self.suspects.one_by_one && self.streams.map.values().any(is_busy) {
            return None;
        }
        self.suspects.lanes.iter().find_map(|(assignment_id, key)| {
            let assignment = self.assignments.get(assignment_id)?;
            let wanted = assignment.is_for(id, stream);
            let lane = assignment.lane(*key)?;
            let number = lane.suspect(&assignment.history, self.now)?;
            let avoids = lane
                .avoid
                .is_some_and(|(avoided, until)| avoided == id && until > self.now);
            let may_go = wanted && assignment.may_dispatch() && !avoids;
            may_go.then_some((*assignment_id, *key, number))
        })
    }

    /// Whether a stream that holds nothing would be given a suspect.
    pub(super) fn has_suspect_for(&self, id: StreamId) -> bool {
        let empty = self
            .streams
            .map
            .get(&id)
            .is_some_and(|stream| stream.live == 0);
        empty && self.suspect_for(id).is_some()
    }

    /// Whether a stream that is being emptied for a suspect is worth asking again.
    pub(super) fn is_emptied(&self, id: StreamId) -> bool {
        let empty = self
            .streams
            .map
            .get(&id)
            .is_none_or(|stream| stream.live == 0);
        empty || self.suspects.clearing != Some(id)
    }

    /// Whether a stream takes nothing new before it holds nothing.
    pub(super) fn is_clearing(&self, id: StreamId) -> bool {
        self.suspects.clearing == Some(id)
    }

    /// A stream is no longer to be emptied.
    pub(super) fn stop_clearing(&mut self, id: StreamId) {
        if self.suspects.clearing == Some(id) {
            self.suspects.clearing = None;
        }
    }

    /// Plans a suspect for a stream (S1, S4).
    pub(super) fn plan_suspect(
        &mut self,
        id: StreamId,
        room: &mut Room,
        plan: &mut FramePlan,
    ) -> SuspectPlan {
        let Some((assignment_id, key, number)) = self.suspect_for(id) else {
            self.stop_clearing(id);
            return SuspectPlan::Nothing;
        };
        if self
            .streams
            .map
            .get(&id)
            .is_some_and(|stream| stream.live > 0)
        {
            let clearing = *self.suspects.clearing.get_or_insert(id);
            return if clearing == id {
                SuspectPlan::Later
            } else {
                SuspectPlan::Nothing
            };
        }
        self.stop_clearing(id);
        let Some(assignment) = self.assignments.get_mut(&assignment_id) else {
            return SuspectPlan::Nothing;
        };
        let size = assignment.window.size(number);
        if !room.fits(size) {
            // Its lane is asked as any other, which notes that it is too large for this stream.
            return SuspectPlan::Nothing;
        }
        let attempt = assignment.history.of(number).attempts.saturating_add(1);
        // It may stand there since before its first record was one.
        assignment.unqueue(key);
        if let Some(lane) = assignment.lane_mut(key) {
            lane.waiting.take_front(1);
            lane.avoid = None;
            lane.live += 1;
            lane.stream = Some(id);
            lane.reserved = None;
        }
        room.take(size);
        plan.records.push(Planned {
            number: RecordNumber(number),
            attempt,
        });
        self.suspects.lanes.remove(&(assignment_id, key));
        SuspectPlan::Planned(assignment_id)
    }

    /// Puts a stream on trial that opens soon after a death.
    pub(super) fn put_on_trial(&mut self, id: StreamId) {
        let now = self.now;
        let recent = |death: Moment| now.since(death) <= TRIAL_AFTER_DEATH;
        let is_recent = self.suspects.last_death.is_some_and(recent);
        if !is_recent || mutant::planted("newcomer-is-trusted") {
            return;
        }
        if let Some(stream) = self.streams.map.get_mut(&id) {
            stream.trial_until = Some(now.plus(TRIAL));
            self.timers.at(now.plus(TRIAL), Timer::Linger(id));
        }
    }

    /// Notes what a stream holds that closes without a word.
    pub(super) fn note_held_at_close(&mut self, id: StreamId) {
        let counts = |policy: &super::Policy| policy.deaths_max > 0;
        if self.shutdown.is_some() || !self.settings.policies.iter().any(counts) {
            return;
        }
        let records = self.live_records(id);
        if let Some(stream) = self.streams.map.get_mut(&id) {
            stream.held_at_close = Some(HeldAtClose {
                at: self.now,
                alone: stream.alone,
                records,
            });
        }
    }

    /// The application behind a stream died with it.
    pub(super) fn stream_died(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        let has_closed = !matches!(stream.phase, StreamPhase::Open | StreamPhase::Closing(_));
        let soon = |held: &HeldAtClose| now.since(held.at) <= TOGETHER_WITHIN;
        let Some(held) = stream.held_at_close.take().filter(soon) else {
            return;
        };
        if !has_closed || self.shutdown.is_some() {
            return;
        }
        self.suspects.last_death = Some(now);
        let records = u32::try_from(held.records.len()).unwrap_or(u32::MAX);
        let mut suspects = 0;
        for (assignment, number) in held.records {
            if self.held_at_death(assignment, number, records) {
                suspects += 1;
                if held.alone {
                    self.note_death(assignment, number);
                }
                self.lane_of_suspect_changed(assignment, number);
            }
        }
        self.counters.suspected += u64::from(suspects);
        // One that held nothing is nobody's concern.
        if records > 0 {
            self.report(Event::ApplicationDied {
                stream: id,
                records,
                suspects,
            });
        }
    }

    /// A record was one of so many that an application held when it died. Returns whether it is suspect now; not if it
    /// was finished or set aside meanwhile.
    fn held_at_death(&mut self, id: Assignment, number: u64, among: u32) -> bool {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return false;
        };
        let stays = assignment.phase != Phase::Draining && assignment.policy.deaths_max > 0;
        let unfinished = assignment.window.offset(number).is_some();
        if !stays || !unfinished || assignment.aside.contains_key(&number) {
            return false;
        }
        let history = assignment.history.entry(number);
        history.deaths_among = history.deaths_among.saturating_add(1);
        let enough =
            history.deaths_among >= SUSPECT_AFTER && !mutant::planted("suspect-among-others");
        if among > 1 && !enough {
            return history.suspect;
        }
        // A record without order needs a lane of its own to be held back.
        if assignment.pool.remove(number) {
            let lane = assignment.lane_or_new(LaneKey::Single(number));
            lane.waiting.insert(number);
        }
        let history = assignment.history.entry(number);
        history.suspect = true;
        history.resets = 0;
        true
    }

    fn lane_of_suspect_changed(&mut self, id: Assignment, number: u64) {
        let lane = |assignment: &super::AssignmentState| assignment.lane_of(number);
        if let Some(key) = self.assignments.get(&id).and_then(lane) {
            self.lane_changed(id, key);
        }
    }

    /// A death is judged when no other can be close to it any more; until then its record waits (S2).
    fn note_death(&mut self, id: Assignment, number: u64) {
        let judged_at = judged_at(self.now);
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.history.entry(number).hold = Hold::Until(judged_at);
        }
        self.suspects.deaths.push(Death {
            at: self.now,
            record: (id, number),
            judged: false,
        });
        self.timers.at(judged_at, Timer::Deaths);
    }

    pub(super) fn judge_deaths(&mut self) {
        let now = self.now;
        let deaths = std::mem::take(&mut self.suspects.deaths);
        let mut counted = Vec::new();
        let mut kept = Vec::new();
        for death in &deaths {
            let over = now.since(death.at) > TOGETHER_WITHIN;
            if over && !death.judged {
                let near = |other: &Death| {
                    let apart = other.at.max(death.at).since(other.at.min(death.at));
                    other.record != death.record && apart <= TOGETHER_WITHIN
                };
                if deaths.iter().any(near) {
                    self.suspects.one_by_one = true;
                } else {
                    counted.push(death.record);
                }
            }
            if now.since(death.at) <= TOGETHER_WITHIN * 2 {
                kept.push(Death {
                    judged: over,
                    ..*death
                });
            }
        }
        self.suspects.deaths = kept;
        for (assignment, number) in counted {
            self.count_death(assignment, number);
        }
    }

    fn count_death(&mut self, id: Assignment, number: u64) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let (partition, policy) = (assignment.partition, assignment.policy);
        let Some(offset) = assignment.window.offset(number) else {
            return;
        };
        let awaits_turn = assignment.awaits_turn(number);
        let history = assignment.history.entry(number);
        history.deaths = history.deaths.saturating_add(1);
        let deaths = history.deaths;
        self.counters.died_of += 1;
        self.report(Event::DiedOf {
            partition,
            offset,
            deaths,
        });
        // Delivered again meanwhile, it is judged when that ends in another death.
        if deaths < policy.deaths_max || !awaits_turn {
            return;
        }
        let reason: Arc<str> = Arc::from(format!(
            "the application died {deaths} times while it held nothing but this record"
        ));
        if let Some(ending) = self.give_up(id) {
            if let Some(assignment) = self.assignments.get_mut(&id) {
                assignment.remember_given_up(number, Cause::Crashes, &reason);
            }
            self.set_aside((id, number), Cause::Crashes, ending, reason);
        } else if let Some(assignment) = self.assignments.get_mut(&id) {
            let until = now.plus(policy.retry.max);
            assignment.history.entry(number).hold = Hold::Until(until);
        }
        self.lane_of_suspect_changed(id, number);
    }

    /// When the last death of a record of this assignment is judged that is not yet.
    pub(super) fn death_judged_at(&self, id: Assignment) -> Option<Moment> {
        let deaths = self.suspects.deaths.iter();
        let open = deaths.filter(|death| death.record.0 == id && !death.judged);
        open.map(|death| judged_at(death.at)).max()
    }

    /// What becomes of an assignment that ends: nothing of it is suspect any more.
    pub(super) fn forget_suspects(&mut self, id: Assignment) {
        self.suspects.lanes.retain(|(of, _)| *of != id);
        self.suspects.deaths.retain(|death| death.record.0 != id);
    }

    /// With no suspect left, the next deaths are looked at stream by stream again.
    pub(super) fn forget_that_many_died(&mut self) {
        let suspects = &mut self.suspects;
        let alone = |stream: &super::delivery::Stream| stream.alone;
        if suspects.one_by_one
            && suspects.lanes.is_empty()
            && suspects.deaths.is_empty()
            && !self.streams.map.values().any(alone)
        {
            suspects.one_by_one = false;
        }
    }
}

#[cfg(test)]
mod tests;
