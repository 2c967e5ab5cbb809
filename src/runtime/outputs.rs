//! Outputs that wait for their transaction, and the transactions.
//!
//! The core says which outputs are written, and with what; their bytes lie here.
//!
//! # Invariants
//!
//! - Outputs are here from the moment in which the core hears of them until it names them, once.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::source::{Origin, Source};
use crate::core::{
    CommitEntry, CommitId, DeadLetter, Input, NewOutputs, OutputsId, ProducerAsk, TransactionEnd,
};
use crate::kafka::{self, ClientSettings, TransactionSettings, Transactor};
use crate::record::Output;

/// See the module.
pub(super) struct Outputs {
    /// None if commits are no transactions.
    transactor: Option<Transactor>,
    waiting: BTreeMap<OutputsId, Vec<Output>>,
    last: u64,
}

impl Outputs {
    /// Starts what makes transactions, if there are to be any.
    pub(super) fn start(
        origin: &Origin,
        settings: Option<TransactionSettings>,
        wake: &kafka::Wake,
    ) -> Result<Self, kafka::Error> {
        let transactor = match (origin, settings) {
            (Origin::Kafka(client), Some(settings)) => {
                let started = Transactor::start(client, settings, wake.clone());
                Some(started.map_err(|source| kafka::Error::NoThread { source })?)
            }
            (Origin::Kafka(_) | Origin::Fake(_), _) => None,
        };
        Ok(Self {
            transactor,
            waiting: BTreeMap::new(),
            last: 0,
        })
    }

    /// Whether dead letters go out with transactions.
    pub(super) fn take_letters(&self) -> bool {
        self.transactor.is_some()
    }

    /// Keeps outputs, and names them.
    pub(super) fn keep(&mut self, outputs: Vec<Output>) -> NewOutputs {
        self.last += 1;
        let id = OutputsId(self.last);
        let new = NewOutputs {
            id,
            records: u32::try_from(outputs.len()).unwrap_or(u32::MAX),
            bytes: outputs.iter().map(Output::bytes).sum(),
        };
        self.waiting.insert(id, outputs);
        new
    }

    /// New credentials or certificates.
    pub(super) fn change_settings(&mut self, settings: &ClientSettings) {
        if let Some(transactor) = &mut self.transactor {
            transactor.change_settings(settings);
        }
    }

    /// These are not written.
    pub(super) fn forget(&mut self, ids: &[OutputsId]) {
        for id in ids {
            self.take(*id);
        }
    }

    fn take(&mut self, id: OutputsId) -> Vec<Output> {
        let outputs = self.waiting.remove(&id);
        debug_assert!(outputs.is_some(), "outputs are named once");
        outputs.unwrap_or_default()
    }
}

impl Engine {
    pub(super) fn make_producer(&mut self, ask: ProducerAsk) {
        match &mut self.outputs.transactor {
            Some(transactor) => transactor.make(ask),
            // The cluster of `ackline fake` takes everything.
            None => {
                let result = Ok(());
                self.inputs.push_back(Input::ProducerMade { ask, result });
            }
        }
    }

    /// Writes and commits, both or neither.
    pub(super) fn transact(
        &mut self,
        request: CommitId,
        entries: &[CommitEntry],
        outputs: &[OutputsId],
    ) {
        let outputs = outputs.iter();
        let outputs: Vec<_> = outputs.map(|id| (*id, self.outputs.take(*id))).collect();
        let client = match &mut self.client {
            Some(Source::Fake(member)) => {
                let end = TransactionEnd::Committed;
                self.inputs
                    .push_back(Input::TransactionDone { request, end });
                return member.commit(request, entries);
            }
            Some(Source::Kafka(client)) => Some(&**client),
            None => None,
        };
        if let Some(transactor) = &mut self.outputs.transactor {
            transactor.transact(client, request, entries, outputs);
        }
    }

    /// Takes what became of transactions.
    pub(super) fn poll_transactions(&mut self) {
        if let Some(transactor) = &mut self.outputs.transactor {
            transactor.take(&mut self.polled);
            self.inputs.extend(self.polled.drain(..));
            self.run();
        }
    }

    /// A dead letter goes out with the transaction that commits its record.
    pub(super) fn hold_letter(&mut self, letter: &DeadLetter, output: Output) {
        let outputs = self.outputs.keep(vec![output]);
        self.inputs.push_back(Input::DeadLetterHeld {
            assignment: letter.assignment,
            number: letter.number,
            outputs,
        });
    }
}
