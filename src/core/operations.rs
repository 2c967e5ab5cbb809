//! What an operator may ask for.

use super::Core;
use super::input::Operation;

impl Core {
    pub(super) fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Pause { scope, reason } => self.pause_scope(scope, reason),
            Operation::Resume { scope } => self.resume_scope(scope),
            Operation::Seek {
                ask,
                partition,
                target,
            } => self.seek(ask, partition, target),
            Operation::Drain { within } => self.begin_drain(within),
        }
    }
}
