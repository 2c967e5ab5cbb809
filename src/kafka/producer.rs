//! Writing dead letters.
//!
//! One producer for all dead-letter topics, with the brokers and the credentials of the consumer. Most processes never need
//! it, so it is created with the first record.
//!
//! ```text
//! send(token, …) ──copy──► librdkafka's queue ──► broker, all replicas in sync
//!                                                        │
//! poll ◄── main queue ◄── (token, written or why not) ◄──┘
//! ```
//!
//! # Invariants
//!
//! - P1: each token that [`DeadLetterProducer::send`] took is reported exactly once by [`DeadLetterProducer::poll`], whatever
//!   happens to the producer meanwhile. One that was refused is not.
//! - P2: reported as written means that every replica in sync has it (K8).
//! - P3: no call waits (K2); neither does the drop (K7).
//! - P4: what is under way is at most `BYTES_MAX` and `RECORDS_MAX`, or one record.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::{Trouble, TroubleKind, is_permanent_for_a_write};
use super::ffi::{Event, EventKind, Failure, Handle, Queue, Wake};
use super::poll::log;
use super::settings::ClientSettings;
use crate::record::OutgoingRecord;

/// Most bytes under way, copied into librdkafka's memory.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// Most records under way.
pub(super) const RECORDS_MAX: usize = 1_000;

/// How many events one poll serves at most.
const EVENTS_MAX: usize = 1_000;

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Worth trying again: a broker is away, a queue is full.
    #[error("{0}")]
    Transient(String),
    /// Trying again will not help: too large, unknown topic, not allowed.
    #[error("{0}")]
    Permanent(String),
}

/// See the module.
pub struct DeadLetterProducer {
    properties: Properties,
    wake: Wake,
    running: Option<Running>,
    /// New settings are in force with the next producer.
    outdated: bool,
    last_number: usize,
    /// What is under way, by number.
    outstanding: BTreeMap<usize, Outstanding>,
    bytes: usize,
    /// Tokens whose producer died.
    lost: Vec<(u64, SendError)>,
    /// What was wrong last, for those that time out without a reason of their own.
    trouble: Option<String>,
}

struct Properties {
    list: Vec<(String, Zeroizing<String>)>,
    secrets: Vec<Zeroizing<String>>,
}

struct Running {
    /// Before the handle, which its drop needs.
    queue: Queue,
    handle: Arc<Handle>,
}

struct Outstanding {
    token: u64,
    bytes: usize,
}

impl DeadLetterProducer {
    /// A producer that is yet to be created. `wake` is called from librdkafka's threads when
    /// [`DeadLetterProducer::poll`] has something to do.
    #[must_use]
    pub fn new(settings: &ClientSettings, wake: Wake) -> Self {
        Self {
            properties: Properties::of(settings),
            wake,
            running: None,
            outdated: false,
            last_number: 0,
            outstanding: BTreeMap::new(),
            bytes: 0,
            lost: Vec::new(),
            trouble: None,
        }
    }

    /// Other settings, such as a new password or a new certificate. What is under way stays with the settings that it
    /// began with.
    pub fn change_settings(&mut self, settings: &ClientSettings) {
        self.properties = Properties::of(settings);
        self.outdated = self.running.is_some();
        self.renew();
    }

    /// How many records are under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len() + self.lost.len()
    }

    /// Starts to write a record. If it is taken, `token` will be reported by [`DeadLetterProducer::poll`].
    ///
    /// # Errors
    ///
    /// If it was not taken.
    pub fn send(
        &mut self,
        token: u64,
        topic: &str,
        record: &OutgoingRecord<'_>,
    ) -> Result<(), SendError> {
        let bytes = size(record);
        let full = self.outstanding.len() >= RECORDS_MAX || self.bytes + bytes > BYTES_MAX;
        if full && !self.outstanding.is_empty() {
            let text = "enough other records are being written to dead-letter topics";
            return Err(SendError::Transient(text.to_owned()));
        }
        let topic = CString::new(topic)
            .map_err(|_| SendError::Permanent("the topic's name contains a NUL byte".to_owned()))?;
        self.last_number += 1;
        let number = self.last_number;
        let written = self.running()?.handle.write(&topic, record, number);
        written.map_err(|failure| self.send_error(&failure))?;
        self.outstanding
            .insert(number, Outstanding { token, bytes });
        self.bytes += bytes;
        Ok(())
    }

    /// Serves what librdkafka has to say, without waiting: appends what became of records to `reports`, and returns what is
    /// wrong and may pass by itself.
    ///
    /// Must be called when `wake` says so.
    pub fn poll(&mut self, reports: &mut Vec<(u64, Result<(), SendError>)>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.running.as_ref().and_then(|it| it.queue.poll()) else {
                break;
            };
            self.on_event(&event, reports, &mut troubles);
        }
        let lost = self.lost.drain(..);
        reports.extend(lost.map(|(token, error)| (token, Err(error))));
        self.renew();
        troubles
    }

    fn on_event(
        &mut self,
        event: &Event,
        reports: &mut Vec<(u64, Result<(), SendError>)>,
        troubles: &mut Vec<Trouble>,
    ) {
        match event.kind() {
            EventKind::Written => {
                for (number, result) in event.written() {
                    let Some(done) = self.outstanding.remove(&number) else {
                        continue;
                    };
                    self.bytes -= done.bytes;
                    if result.is_ok() {
                        self.trouble = None;
                    }
                    let result = result.map_err(|failure| self.send_error(&failure));
                    reports.push((done.token, result));
                }
            }
            EventKind::Error => {
                let Some(failure) = event.failure() else {
                    return;
                };
                if event.is_fatal() {
                    self.give_up(&failure);
                }
                let kind = TroubleKind::of(failure.code);
                self.trouble = Some(failure.text.clone());
                troubles.push(Trouble {
                    kind,
                    text: failure.text,
                });
            }
            EventKind::Log => log(event, &self.properties.secrets),
            EventKind::Rebalance
            | EventKind::Committed
            | EventKind::CommittedRead
            | EventKind::OffsetsListed
            | EventKind::TopicsDescribed
            | EventKind::GroupDescribed
            | EventKind::Record
            | EventKind::Other => {
                tracing::debug!(kind = ?event.kind(), "an event of kafka that nobody asked for");
            }
        }
    }

    /// The producer died. Whether what is under way was written is not known, so it is to be written again.
    fn give_up(&mut self, failure: &Failure) {
        self.running = None;
        self.outdated = false;
        self.bytes = 0;
        let outstanding = std::mem::take(&mut self.outstanding);
        for Outstanding { token, .. } in outstanding.into_values() {
            let error = self.send_error(failure);
            self.lost.push((token, error));
        }
    }

    /// Lets a producer with old settings go as soon as nothing is under way.
    fn renew(&mut self) {
        if self.outdated && self.outstanding.is_empty() {
            self.running = None;
            self.outdated = false;
        }
    }

    fn running(&mut self) -> Result<&Running, SendError> {
        let running = match self.running.take() {
            Some(running) => running,
            // What is wrong with the settings may pass: a certificate that is being replaced just now.
            None => Running::new(&self.properties, &self.wake)
                .map_err(|failure| SendError::Transient(failure.text))?,
        };
        Ok(self.running.insert(running))
    }

    fn send_error(&self, failure: &Failure) -> SendError {
        let Failure { code, text } = failure;
        if is_permanent_for_a_write(*code) {
            return SendError::Permanent(text.clone());
        }
        let because = self.trouble.iter().filter(|trouble| *trouble != text);
        let because: String = because.map(|trouble| format!(" ({trouble})")).collect();
        SendError::Transient(format!("{text}{because}"))
    }

    /// Gives records less time than the guarantee does, so that a test does not wait for it.
    #[cfg(test)]
    pub(super) fn expire_after(&mut self, millis: &str) {
        let value = Zeroizing::new(millis.to_owned());
        let key = "message.timeout.ms".to_owned();
        self.properties.list.push((key, value));
    }

    /// Makes librdkafka believe that it hit a fatal error.
    #[cfg(test)]
    pub(super) fn die_of(&self, code: rdkafka::bindings::rd_kafka_resp_err_t) {
        if let Some(running) = &self.running {
            running.handle.die_of(code);
        }
    }
}

impl Properties {
    fn of(settings: &ClientSettings) -> Self {
        let secrets = settings
            .sasl
            .iter()
            .map(|sasl| Zeroizing::new(sasl.password.expose().to_owned()));
        Self {
            list: properties(settings),
            secrets: secrets.collect(),
        }
    }
}

impl Running {
    fn new(properties: &Properties, wake: &Wake) -> Result<Self, Failure> {
        let handle = Arc::new(Handle::producer(&properties.list)?);
        let mut queue = Queue::main(&handle);
        queue.on_filled(wake);
        Ok(Self { queue, handle })
    }
}

impl Drop for Running {
    /// Nobody will ask any more, so nothing is waited for.
    fn drop(&mut self) {
        self.handle.purge();
    }
}

/// About what a record takes.
fn size(record: &OutgoingRecord<'_>) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|header| header.name.len() + length(header.value))
        .sum();
    length(record.key) + length(record.value) + headers
}

/// Brokers refuse whole batches. So that one dead letter that its topic does not take takes no others along, each is a batch.
fn properties(settings: &ClientSettings) -> Vec<(String, Zeroizing<String>)> {
    let mut list = settings.to_producer_properties();
    let one = Zeroizing::new("1".to_owned());
    list.push(("batch.num.messages".to_owned(), one));
    list
}
