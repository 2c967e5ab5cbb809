//! The dead-letter topic, and the operator who looks after what is parked.

use std::sync::Arc;
use std::time::Duration;

use ackline::core::{
    Assignment, DeadLetter, DeadLetterError, Input, ParkedAction, RecordNumber, Scope, WhichParked,
};

use super::world::{What, World};

/// How often the operator looks.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

impl World {
    /// A record is handed to the producer, which copies its bytes at once.
    pub(crate) fn send_dead_letter(&mut self, member: usize, letter: DeadLetter) {
        let key = (letter.assignment, letter.number);
        let held = self
            .process(member)
            .is_some_and(|process| process.store.holds(key.0, key.1));
        self.oracle.check(held, || {
            format!("I-S7: {letter:?} is sent, but its bytes are gone")
        });
        self.oracle.sent(member, &letter);
        if self.plan.transactions.is_some() {
            let wait = Duration::from_micros(10);
            return self.later(member, wait, What::LetterHeld(key.0, key.1));
        }
        let wait = self.random.millis(2..300);
        self.later(member, wait, What::Written(key.0, key.1));
    }

    /// The dead-letter topic answers, or the answer gets lost with the broker that gave it.
    pub(crate) fn dead_letter_arrives(
        &mut self,
        member: usize,
        assignment: Assignment,
        number: RecordNumber,
    ) {
        let refused = self.random.chance(self.plan.faults.dead_letter_refused);
        let result = match (refused, self.random.below(4)) {
            (false, _) => {
                self.oracle.written(member, assignment, number);
                Ok(())
            }
            (true, 0) => Err(DeadLetterError::Permanent("too large".to_owned())),
            (true, 1) => {
                // Written all the same.
                self.oracle.written(member, assignment, number);
                Err(DeadLetterError::Transient("timed out".to_owned()))
            }
            (true, _) => Err(DeadLetterError::Transient("broker away".to_owned())),
        };
        self.tell(
            member,
            Input::DeadLetterDone {
                assignment,
                number,
                result,
            },
        );
    }

    /// Once everything is healed, whatever is parked is let go on.
    pub(crate) fn look_at_parked(&mut self, member: usize) {
        self.later(member, LOOKS_EVERY, What::LookAtParked);
        let healed = self.is_healed();
        if !healed && !self.random.chance(self.plan.faults.parked_acts) {
            return;
        }
        let action = if healed {
            ParkedAction::Retry
        } else {
            self.random.pick(&[
                ParkedAction::Retry,
                ParkedAction::Skip,
                ParkedAction::DeadLetter,
            ])
        };
        self.let_time_pass(member);
        self.oracle.pass_time(self.now, member);
        let now = self.now;
        let mut effects = std::mem::take(&mut self.effects);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let reason = Arc::from("the operator says so");
        let count = process.core.act_on_parked(
            now,
            WhichParked::Of(Scope::Everything),
            action,
            &reason,
            &mut effects,
        );
        self.note(|| format!("member {member} <- {action:?} {count} parked records"));
        self.carry_out(member, effects);
        self.end_turn(member);
    }
}
