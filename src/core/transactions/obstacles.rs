//! Why do transactions let nothing be delivered?

use super::Transactions;
use crate::core::Core;
use crate::core::obstacle::Obstacle;
use crate::core::status::Blocked;

impl Core {
    /// Why they let nothing be delivered, if they do not.
    pub(in crate::core) fn blocked_by_transactions(&self) -> Option<Blocked> {
        if self.transactions.are_failing() {
            Some(Blocked::TransactionsFailing)
        } else if !self.holds_too_many_outputs() {
            None
        } else if self.transactions.producer.is_ready() {
            Some(Blocked::OutputsFull)
        } else {
            Some(Blocked::ProducerAwaited)
        }
    }

    /// What keeps them from having an effect.
    pub(in crate::core) fn explain_transactions(&self, causes: &mut Vec<Obstacle>) {
        let Transactions {
            producer, outputs, ..
        } = &self.transactions;
        if !producer.is_ready() && producer.error.is_some() {
            causes.push(self.producer_awaited());
        }
        if self.transactions.are_failing() {
            let last = self.transactions.last_failure.clone();
            causes.extend(last.map(|(at, error)| Obstacle::TransactionsFailing { at, error }));
        }
        if let Some(limits) = &self.settings.transactions
            && self.holds_too_many_outputs()
        {
            causes.push(Obstacle::OutputsFull {
                bytes: outputs.held_bytes(),
                max: limits.held_bytes_max(),
            });
        }
    }

    pub(in crate::core) fn producer_awaited(&self) -> Obstacle {
        let producer = &self.transactions.producer;
        Obstacle::ProducerAwaited {
            fenced: producer.is_fenced(),
            error: producer.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
