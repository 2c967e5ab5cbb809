//! The thread that makes transactions, one after the other.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::producer::{Batches, End, Producer};
use super::{Ask, Properties, Transaction};
use crate::core::{Abort, Input, ProducerError, TransactionEnd};
use crate::kafka::ffi::Wake;

/// How long outputs go one by one after one was refused. Longer than the longest default back-off: the same record comes
/// again.
const ONE_BY_ONE_FOR: Duration = Duration::from_secs(120);

/// Starts it. It ends when nobody asks any more.
pub(super) fn start(
    timeout: Duration,
    asked: Receiver<Ask>,
    told: SyncSender<Input<'static>>,
    wake: Wake,
) -> std::io::Result<()> {
    let mut transactions = Transactions {
        timeout,
        producer: None,
        one_by_one_until: None,
    };
    std::thread::Builder::new()
        .name("transactions".to_owned())
        .spawn(move || {
            for ask in asked {
                let answer = match ask {
                    Ask::Make(ask, properties) => {
                        let result = transactions.make(&properties);
                        Input::ProducerMade { ask, result }
                    }
                    Ask::Transact(transaction) => Input::TransactionDone {
                        request: transaction.request,
                        end: transactions.transact(&transaction),
                    },
                };
                if told.send(answer).is_err() {
                    return;
                }
                wake();
            }
        })?;
    Ok(())
}

struct Transactions {
    timeout: Duration,
    producer: Option<Made>,
    /// Until then each output is a batch of its own.
    one_by_one_until: Option<Instant>,
}

struct Made {
    properties: Properties,
    batches: Batches,
    producer: Producer,
}

impl Transactions {
    fn batches(&self) -> Batches {
        match self.one_by_one_until {
            Some(until) if Instant::now() < until => Batches::OfOne,
            _ => Batches::Full,
        }
    }

    fn make(&mut self, properties: &Properties) -> Result<(), ProducerError> {
        // The last one goes first: what it left open is settled by the next one.
        self.producer = None;
        let batches = self.batches();
        self.producer = Some(Made {
            properties: Arc::clone(properties),
            batches,
            producer: Producer::make(properties, batches, self.timeout)?,
        });
        Ok(())
    }

    fn transact(&mut self, transaction: &Transaction) -> TransactionEnd {
        let (properties, batches) = (&transaction.properties, self.batches());
        let fits =
            |made: &Made| Arc::ptr_eq(&made.properties, properties) && made.batches == batches;
        if !self.producer.as_ref().is_some_and(fits)
            && let Err(error) = self.make(properties)
        {
            return match error {
                ProducerError::Fenced(words) => TransactionEnd::Fenced(words),
                ProducerError::Unauthorized(words) => {
                    TransactionEnd::Aborted(Abort::Unauthorized(words))
                }
                ProducerError::Transient(words) => TransactionEnd::Aborted(Abort::Transient(words)),
            };
        }
        let Some(made) = &mut self.producer else {
            let words = "there is no producer".to_owned();
            return TransactionEnd::Aborted(Abort::Transient(words));
        };
        let end = made.producer.transact(transaction, self.timeout);
        let refused = matches!(end, End::InDoubt(_) | End::Aborted(Abort::Refused(_)));
        if refused {
            self.one_by_one_until = Some(Instant::now() + ONE_BY_ONE_FOR);
        }
        let (end, usable) = match end {
            End::Committed => (TransactionEnd::Committed, true),
            End::Aborted(abort) => (TransactionEnd::Aborted(abort), true),
            End::InDoubt(words) => {
                let words = format!(
                    "one output or more of a batch was refused, and they are sent one by one now: {words}"
                );
                (TransactionEnd::Aborted(Abort::Transient(words)), true)
            }
            End::Unknown(words) => (TransactionEnd::Unknown(words), false),
            End::Fenced(words) => (TransactionEnd::Fenced(words), false),
        };
        if !usable {
            self.producer = None;
        }
        end
    }
}
