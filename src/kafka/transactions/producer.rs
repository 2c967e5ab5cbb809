//! One producer, and one transaction of it from the beginning to the end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as E;
use zeroize::Zeroizing;

use super::{Properties, Transaction};
use crate::core::{Abort, CommitError, OutputsId, ProducerError};
use crate::kafka::error::{
    commit_error, is_fenced, is_of_a_batch, is_permanent_for_a_write, is_unauthorized,
};
use crate::kafka::ffi::{Code, EventKind, Failure, Handle, Queue, TransactionFailure};
use crate::kafka::poll::log;
use crate::kafka::reader::Bell;

/// How long a wait goes without a look, should a bell be missed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long librdkafka may take to tell what it has thrown away.
const PURGED_WITHIN: Duration = Duration::from_secs(2);

/// How a transaction ended.
pub(super) enum End {
    Committed,
    Aborted(Abort),
    /// Nobody knows. The producer is good for nothing any more.
    Unknown(String),
    /// The same, because another producer has its name.
    Fenced(String),
    /// Aborted, because a batch of outputs was refused. Which one of them is at fault is not known (X6).
    InDoubt(String),
}

/// What a broker takes or refuses as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batches {
    /// As many outputs as there are.
    Full,
    /// One output.
    OfOne,
}

/// See the module.
pub(super) struct Producer {
    /// Before the handle, which its drop needs.
    queue: Queue,
    bell: Bell,
    handle: Arc<Handle>,
    secrets: Vec<Zeroizing<String>>,
    batches: Batches,
    last_number: usize,
}

/// What is known of the outputs of a transaction.
#[derive(Default)]
struct Outputs {
    /// On their way, by number.
    open: BTreeMap<usize, OutputsId>,
    refused: BTreeMap<OutputsId, String>,
    /// A batch was refused, and they may be in the same one.
    in_doubt: Option<String>,
    /// One that did not arrive in time, or could not even be sent.
    failed: Option<String>,
}

impl Outputs {
    /// `alone`: what was refused is this output, and not others that were sent with it.
    fn failed(&mut self, id: OutputsId, failure: &Failure, alone: bool) {
        let text = || failure.text.clone();
        if !is_permanent_for_a_write(failure.code) {
            self.failed.get_or_insert_with(text);
        } else if alone || !is_of_a_batch(failure.code) {
            self.refused.entry(id).or_insert_with(text);
        } else {
            self.in_doubt.get_or_insert_with(text);
        }
    }

    /// Why the transaction is to be aborted, if it is.
    fn end(&self) -> Option<End> {
        if !self.refused.is_empty() {
            let refused = self.refused.iter();
            let refused = refused.map(|(id, words)| (*id, words.clone()));
            return Some(End::Aborted(Abort::Refused(refused.collect())));
        }
        if let Some(words) = &self.in_doubt {
            return Some(End::InDoubt(words.clone()));
        }
        let failed = self.failed.clone()?;
        Some(End::Aborted(Abort::Transient(failed)))
    }
}

impl Producer {
    /// Makes a producer and settles what an earlier one left open. Waits for that.
    pub(super) fn make(
        properties: &Properties,
        batches: Batches,
        within: Duration,
    ) -> Result<Self, ProducerError> {
        let mut of_batches = properties.as_ref().clone();
        if batches == Batches::OfOne {
            let one = Zeroizing::new("1".to_owned());
            of_batches.push(("batch.num.messages".to_owned(), one));
        }
        let handle = Handle::producer(&of_batches)
            .map_err(|failure| ProducerError::Transient(failure.text))?;
        let handle = Arc::new(handle);
        let bell = Bell::default();
        let mut queue = Queue::main(&handle);
        queue.on_filled(&bell.wake());
        let secrets = properties.iter();
        let secrets = secrets.filter(|(key, _)| key == "sasl.password");
        let producer = Self {
            queue,
            bell,
            handle,
            secrets: secrets.map(|(_, value)| value.clone()).collect(),
            batches,
            last_number: 0,
        };
        match producer.handle.init_transactions(within) {
            Ok(()) => Ok(producer),
            Err(TransactionFailure { failure, .. }) => {
                let trouble = producer.serve(&mut Outputs::default());
                let because = trouble.filter(|trouble| *trouble != failure.text);
                let because: String = because.map_or(String::new(), |text| format!(" ({text})"));
                let words = format!("{}{because}", failure.text);
                Err(if is_fenced(failure.code) {
                    ProducerError::Fenced(words)
                } else if is_unauthorized(failure.code) {
                    ProducerError::Unauthorized(words)
                } else {
                    ProducerError::Transient(words)
                })
            }
        }
    }

    /// Makes one transaction.
    pub(super) fn transact(&mut self, transaction: &Transaction, within: Duration) -> End {
        let until = Instant::now() + within;
        let end = self.try_transact(transaction, until, within);
        match end {
            // Brokers have ended it because it took too long, and taken a new producer's number for that.
            End::Fenced(words) if Instant::now() >= until => End::Unknown(words),
            End::Fenced(_)
            | End::Committed
            | End::Aborted(_)
            | End::Unknown(_)
            | End::InDoubt(_) => end,
        }
    }

    fn try_transact(&mut self, transaction: &Transaction, until: Instant, within: Duration) -> End {
        if let Err(failed) = self.handle.begin_transaction() {
            return unknown(failed);
        }
        let mut outputs = Outputs::default();
        for (id, set) in &transaction.outputs {
            for output in set {
                self.write(*id, output, &mut outputs, until);
            }
        }
        self.wait_for_outputs(&mut outputs, until);
        if let Some(end) = outputs.end() {
            return self.abort(end, outputs, within);
        }
        let left = || {
            until
                .saturating_duration_since(Instant::now())
                .max(LOOK_EVERY)
        };
        let (offsets, group) = (&transaction.offsets, &transaction.group);
        if let Err(failed) = self.handle.send_offsets(offsets, group, left()) {
            return self.failed(failed, within);
        }
        match self.handle.commit_transaction(left()) {
            Ok(()) => End::Committed,
            Err(failed) => self.failed(failed, within),
        }
    }

    fn write(
        &mut self,
        id: OutputsId,
        output: &crate::record::Output,
        outputs: &mut Outputs,
        until: Instant,
    ) {
        let Ok(topic) = CString::new(output.topic.as_str()) else {
            let words = "the topic's name contains a NUL byte".to_owned();
            outputs.refused.entry(id).or_insert(words);
            return;
        };
        loop {
            self.last_number += 1;
            let written = self
                .handle
                .write(&topic, &output.outgoing(), self.last_number);
            let Err(failure) = written else {
                outputs.open.insert(self.last_number, id);
                return;
            };
            let full = failure.code == Code::of(E::RD_KAFKA_RESP_ERR__QUEUE_FULL);
            if !full || Instant::now() >= until {
                return outputs.failed(id, &failure, true);
            }
            self.bell.wait(LOOK_EVERY);
            self.serve(outputs);
        }
    }

    /// Waits until it is known of every output what became of it. librdkafka tells within the time that they have.
    fn wait_for_outputs(&self, outputs: &mut Outputs, until: Instant) {
        if !self.serve_until(until + LOOK_EVERY * 10, outputs) {
            outputs.failed.get_or_insert_with(|| "timed out".to_owned());
        }
    }

    /// Takes what librdkafka has to say until nothing is on its way any more, or until then. Returns whether nothing is.
    fn serve_until(&self, until: Instant, outputs: &mut Outputs) -> bool {
        loop {
            self.serve(outputs);
            if outputs.open.is_empty() || Instant::now() >= until {
                return outputs.open.is_empty();
            }
            self.bell.wait(LOOK_EVERY);
        }
    }

    /// Takes what librdkafka has to say. Returns what is wrong with its connections, if anything.
    fn serve(&self, outputs: &mut Outputs) -> Option<String> {
        let mut trouble = None;
        while let Some(event) = self.queue.poll() {
            match event.kind() {
                EventKind::Written => {
                    for (number, result) in event.written() {
                        if let Some(id) = outputs.open.remove(&number)
                            && let Err(failure) = result
                        {
                            outputs.failed(id, &failure, self.batches == Batches::OfOne);
                        }
                    }
                }
                EventKind::Log => log(&event, &self.secrets),
                EventKind::Error => trouble = event.failure().map(|failure| failure.text),
                EventKind::Rebalance
                | EventKind::Committed
                | EventKind::CommittedRead
                | EventKind::OffsetsListed
                | EventKind::TopicsDescribed
                | EventKind::GroupDescribed
                | EventKind::Record
                | EventKind::Other => {}
            }
        }
        trouble
    }

    /// A step failed: the transaction is aborted if that is still possible, and its end not known if not.
    fn failed(&self, failed: TransactionFailure, within: Duration) -> End {
        if !failed.must_abort {
            return unknown(failed);
        }
        let abort = match commit_error(failed.failure) {
            CommitError::NotMember(words) | CommitError::Claimed(words) => Abort::NotMember(words),
            CommitError::MetadataTooLarge => Abort::MetadataTooLarge,
            CommitError::Unauthorized(words) => Abort::Unauthorized(words),
            CommitError::Transient(words) => Abort::Transient(words),
        };
        self.abort(End::Aborted(abort), Outputs::default(), within)
    }

    /// Returns `end` if it comes to that.
    fn abort(&self, end: End, mut outputs: Outputs, within: Duration) -> End {
        // librdkafka waits for what was told of outputs to be taken: all of it, before the end.
        self.handle.purge();
        self.serve_until(Instant::now() + PURGED_WITHIN, &mut outputs);
        match self.handle.abort_transaction(within) {
            Ok(()) => end,
            Err(failed) => unknown(failed),
        }
    }
}

fn unknown(failed: TransactionFailure) -> End {
    if is_fenced(failed.failure.code) {
        return End::Fenced(failed.failure.text);
    }
    debug_assert!(failed.fatal || !failed.failure.text.is_empty());
    End::Unknown(failed.failure.text)
}

impl Drop for Producer {
    /// Nobody will ask any more, so nothing is waited for.
    fn drop(&mut self) {
        self.handle.purge();
    }
}
