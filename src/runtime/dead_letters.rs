//! Records on their way to a dead-letter topic.

use super::engine::Engine;
use crate::core::{DeadLetter, DeadLetterError, Input};

impl Engine {
    pub(super) fn send_dead_letter(&mut self, letter: DeadLetter) {
        self.inputs.push_back(Input::DeadLetterDone {
            assignment: letter.assignment,
            number: letter.number,
            result: Err(DeadLetterError::Permanent("there is none".to_owned())),
        });
    }
}
