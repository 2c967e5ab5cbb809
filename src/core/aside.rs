//! What becomes of a record that does not go the usual way?
//!
//! A record that failed as often as it may, that applications die of, that no stream can receive, or that somebody wants
//! to be rid of, is *set aside*. It stays where it is in its lane, and nothing behind it is delivered:
//!
//! ```text
//!                 give up                      confirmed
//!  in its lane ───────────────────► Sending ─────────────► finished
//!       ▲    │                      ▲     │
//!       │    │ give up      operator│     │ cannot be written there
//!       │    └───────────► Parked ──┘     │
//!       │ operator            ▲ │         │
//!       └─────────────────────│─┘         │
//!                             └───────────┘
//! ```
//!
//! # Invariants
//!
//! - A1 (I-S1, M18): a record is finished by its dead letter only after the dead-letter topic confirmed it.
//! - A2: nothing behind a record that is set aside is delivered from its lane.
//! - A3: what is given up without a person costs a token of its topic; there are at most as many as its rate allows.
//! - A4: a revocation and a shutdown wait for dead letters that are on their way, and for nothing else here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::assignment::Phase;
use super::carried::CarriedHold;
use super::effect::{Cause, DeadLetter, Effect};
use super::event::Event;
use super::history::Hold;
use super::ids::{Assignment, Moment, RecordNumber};
use super::input::DeadLetterError;
use super::outputs::NewOutputs;
use super::settings::{Backoff, WhenSpent};
use super::timers::Timer;
use super::withdraw::{Return, Returned};
use crate::mutant;

/// A record that is set aside.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) cause: Cause,
    pub(crate) reason: Arc<str>,
    pub(crate) since: Moment,
    pub(crate) step: AsideStep,
    /// How often it could not be written to the dead-letter topic.
    tries: u32,
}

/// How far a record is that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsideStep {
    /// Stays until a person acts. What the broker said, if it could not go to the dead-letter topic.
    Parked(Option<String>),
    /// On its way to the dead-letter topic.
    Sending,
    /// Not taken by the dead-letter topic, for now: goes again then.
    SendAgain(Moment),
}

/// How a record that is given up ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It does not, before a person acts.
    Park,
    /// In the dead-letter topic.
    DeadLetter,
    /// At once.
    Discard,
}

impl Core {
    /// What a record comes back with when the application failed at it once more: with the application's `delay` or the
    /// back-off, capped, with jitter on the back-off only; or to be set aside, if that was once too often.
    pub(super) fn failed(
        &mut self,
        (id, number): (Assignment, u64),
        delay: Option<Duration>,
        reason: &Arc<str>,
        returned: &mut Returned,
    ) -> Return {
        let now = self.now;
        let Some(assignment) = self.assignments.get(&id) else {
            return Return::failed(Hold::Until(now));
        };
        let policy = assignment.policy;
        let failures = assignment.history.of(number).failures;
        let spent = policy.failures_max > 0 && failures.saturating_add(1) >= policy.failures_max;
        if spent {
            let Some(ending) = self.give_up(id) else {
                return Return::failed(Hold::Until(now.plus(policy.retry.max)));
            };
            returned.set_aside((id, number), Cause::Failures, ending, reason);
            return Return::given_up(ending);
        }
        let retry = policy.retry;
        let wait = match delay {
            Some(delay) => delay.min(retry.max),
            None => self.retry_wait(&retry, failures),
        };
        Return::failed(Hold::Until(now.plus(wait)))
    }

    /// The back-off after one failure more than these.
    pub(super) fn retry_wait(&mut self, retry: &Backoff, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.min(64)).unwrap_or(64);
        let base = retry.initial.as_secs_f64() * retry.multiplier.powi(exponent);
        let jitter = 1.0 + retry.jitter * (2.0 * self.random.fraction() - 1.0);
        Duration::from_secs_f64((base * jitter).clamp(0.0, retry.max.as_secs_f64()))
    }

    /// When the first try after a failure would be.
    pub(super) fn after_initial_retry(&self, id: Assignment) -> Moment {
        let assignment = self.assignments.get(&id);
        let wait = assignment.map_or(Duration::ZERO, |assignment| assignment.policy.retry.initial);
        self.now.plus(wait)
    }

    /// How a record of this assignment ends that is given up by rule; `None` if there is no token (A3).
    pub(super) fn give_up(&mut self, id: Assignment) -> Option<Ending> {
        let then = self.assignments.get(&id)?.policy.then;
        self.takes_token(id).then(|| match then {
            WhenSpent::Park => Ending::Park,
            WhenSpent::DeadLetter => self.dead_letter_or_park(id),
            WhenSpent::Discard => Ending::Discard,
        })
    }

    /// Takes a token of the topic of an assignment, and says so if there is none left (A3).
    pub(super) fn takes_token(&mut self, id: Assignment) -> bool {
        let now = self.now;
        let Some(assignment) = self.assignments.get(&id) else {
            return false;
        };
        let (topic, rate) = (assignment.partition.topic, assignment.policy.tokens);
        let partition = assignment.partition;
        let bucket = &mut self.buckets[usize::from(topic.0)];
        let taken = bucket.take(&rate, now);
        if bucket.is_first_refusal(!taken) {
            self.report(Event::GivingUpStopped { partition });
        }
        taken
    }

    /// Without a dead-letter topic a record that should go there waits for a person.
    pub(super) fn dead_letter_or_park(&self, id: Assignment) -> Ending {
        let has = |assignment: &super::AssignmentState| assignment.policy.has_dead_letters;
        if self.assignments.get(&id).is_some_and(has) {
            Ending::DeadLetter
        } else {
            Ending::Park
        }
    }

    /// Gives a record up that waits in its lane.
    pub(super) fn set_aside(
        &mut self,
        (id, number): (Assignment, u64),
        cause: Cause,
        ending: Ending,
        reason: Arc<str>,
    ) {
        let now = self.now;
        if ending == Ending::Discard {
            self.tell_discarded(id, number, cause, &reason);
            return self.finish_waiting(id, number);
        }
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let history = assignment.history.entry(number);
        history.hold = Hold::Aside;
        history.clear_suspicion();
        let aside = Aside {
            cause,
            reason,
            since: now,
            step: AsideStep::Parked(None),
            tries: 0,
        };
        assignment.aside.insert(number, aside);
        if ending == Ending::DeadLetter {
            self.send_dead_letter(id, number);
        } else {
            self.park(id, number, None);
        }
    }

    fn park(&mut self, id: Assignment, number: u64, error: Option<String>) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        let offset = assignment.window.offset(number).unwrap_or(0);
        let Some(aside) = assignment.aside.get_mut(&number) else {
            return;
        };
        let cause = aside.cause;
        let reason = match &error {
            Some(error) => Arc::from(error.as_str()),
            None => Arc::clone(&aside.reason),
        };
        aside.step = AsideStep::Parked(error);
        self.counters.parked += 1;
        self.report(Event::Parked {
            partition,
            offset,
            cause,
            reason,
        });
    }

    /// Writes a record that is set aside to the dead-letter topic. The answer is [`Self::dead_letter_done`].
    pub(super) fn send_dead_letter(&mut self, id: Assignment, number: u64) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let failures = assignment.history.of(number).failures;
        let partition = assignment.partition;
        let offset = assignment.window.offset(number).unwrap_or(0);
        let leader_epoch = assignment.window.epoch_of(number);
        let Some(aside) = assignment.aside.get_mut(&number) else {
            return;
        };
        if aside.step == AsideStep::Sending {
            return;
        }
        aside.step = AsideStep::Sending;
        let letter = DeadLetter {
            partition,
            assignment: id,
            number: RecordNumber(number),
            offset,
            leader_epoch,
            cause: aside.cause,
            reason: Arc::clone(&aside.reason),
            failures,
        };
        self.effects.push(Effect::DeadLetter(Box::new(letter)));
        if mutant::planted("M18") {
            self.dead_letter_done(id, RecordNumber(number), Ok(()));
        }
    }

    /// The dead-letter topic has a record, or does not take it.
    pub(super) fn dead_letter_done(
        &mut self,
        id: Assignment,
        RecordNumber(number): RecordNumber,
        result: Result<(), DeadLetterError>,
    ) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        let offset = assignment.window.offset(number).unwrap_or(0);
        let retry = assignment.policy.retry;
        let Some(aside) = assignment.aside.get_mut(&number) else {
            return;
        };
        if aside.step != AsideStep::Sending {
            return;
        }
        match result {
            Ok(()) => {
                let cause = aside.cause;
                self.counters.dead_lettered += 1;
                self.report(Event::DeadLettered {
                    partition,
                    offset,
                    cause,
                });
                self.finish_aside(id, number);
            }
            Err(DeadLetterError::Transient(error)) => {
                let wait = retry.initial * 2u32.pow(aside.tries.min(16));
                let at = now.plus(wait.min(retry.max));
                aside.tries += 1;
                aside.step = AsideStep::SendAgain(at);
                self.counters.dead_letters_failed += 1;
                self.timers.at(at, Timer::DeadLetter(id, number));
                self.report(Event::DeadLetterFailed {
                    partition,
                    offset,
                    error,
                });
            }
            Err(DeadLetterError::Permanent(error)) => {
                self.counters.dead_letters_failed += 1;
                self.park(id, number, Some(error));
            }
        }
    }

    /// The letter of a record goes out with the next transaction, which commits the record as finished.
    pub(super) fn dead_letter_held(
        &mut self,
        id: Assignment,
        RecordNumber(number): RecordNumber,
        outputs: NewOutputs,
    ) {
        let sending = |aside: &&Aside| aside.step == AsideStep::Sending;
        let state = self.assignments.get(&id);
        let aside = state.and_then(|state| state.aside.get(&number).filter(sending));
        let offset = state.and_then(|state| state.window.offset(number));
        let (Some(aside), Some(offset)) = (aside, offset) else {
            return self.drop_outputs(vec![outputs.id]);
        };
        let (cause, hold) = (
            aside.cause,
            CarriedHold::of_letter(aside.cause, &aside.reason),
        );
        let of = BTreeMap::from([(id, vec![offset])]);
        self.take_outputs(outputs, of, Some(cause));
        self.finish_aside(id, number);
        if let Some(state) = self.assignments.get_mut(&id) {
            state.unproven.hold(offset, hold);
        }
    }

    /// A dead letter that was not taken may go again.
    pub(super) fn send_again(&mut self, id: Assignment, number: u64) {
        let now = self.now;
        let stays = |assignment: &&super::AssignmentState| assignment.phase != Phase::Draining;
        let aside = self
            .assignments
            .get(&id)
            .filter(stays)
            .and_then(|assignment| assignment.aside.get(&number));
        if aside.is_some_and(|aside| matches!(aside.step, AsideStep::SendAgain(at) if at <= now)) {
            self.send_dead_letter(id, number);
        }
    }

    /// Finishes a record that is set aside.
    pub(super) fn finish_aside(&mut self, id: Assignment, number: u64) {
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.aside.remove(&number);
            self.finish_waiting(id, number);
        }
    }

    /// Whether dead letters are on their way. Nobody waits for those of an assignment that ended: what the broker takes of
    /// them all the same is written again by the next owner.
    pub(super) fn is_sending(&self) -> bool {
        self.assignments
            .values()
            .any(super::AssignmentState::is_sending)
    }
}

#[cfg(test)]
mod tests;
