//! Records on their way to a dead-letter topic.
//!
//! The core says which record goes there; its bytes are in the store, as of any record that waits. The producer copies
//! them at once, and says later what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::wall_ms;
use super::engine::Engine;
use super::telling;
use crate::core::{Assignment, DeadLetter, DeadLetterError, Input, RecordNumber};
use crate::dead_letter::{Facts, Letter};
use crate::grpc::wire::StoredRecord;
use crate::kafka::{ClientSettings, DeadLetterProducer, SendError, Wake};
use crate::record::Output;

/// Names the dead-letter topic of a topic, if it has one.
pub(super) type DeadLetterTopicOf = Box<dyn Fn(&str) -> Option<String> + Send>;

/// See the module.
pub(super) struct DeadLetters {
    /// None if nothing is written: what should be is taken as it is.
    producer: Option<DeadLetterProducer>,
    group: String,
    topic_of: DeadLetterTopicOf,
    last_token: u64,
    sending: BTreeMap<u64, (Assignment, RecordNumber)>,
    reports: Vec<(u64, Result<(), SendError>)>,
}

impl DeadLetters {
    pub(super) fn new(settings: &ClientSettings, topic_of: DeadLetterTopicOf, wake: Wake) -> Self {
        Self {
            producer: Some(DeadLetterProducer::new(settings, wake)),
            group: settings.group.clone(),
            topic_of,
            last_token: 0,
            sending: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    /// A dead-letter topic that takes everything, and that nobody can read.
    pub(super) fn taken() -> Self {
        Self {
            producer: None,
            group: String::new(),
            topic_of: Box::new(|_| None),
            last_token: 0,
            sending: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    /// New credentials or certificates.
    pub(super) fn change_settings(&mut self, settings: &ClientSettings) {
        if let Some(producer) = &mut self.producer {
            producer.change_settings(settings);
        }
    }
}

impl Engine {
    /// Writes a record to its dead-letter topic; the answer comes as an input.
    pub(super) fn send_dead_letter(&mut self, letter: &DeadLetter) {
        let sent = self.try_to_send(letter);
        if self.dead_letters.producer.is_some() && sent.is_ok() {
            return;
        }
        self.inputs.push_back(Input::DeadLetterDone {
            assignment: letter.assignment,
            number: letter.number,
            result: sent,
        });
    }

    fn try_to_send(&mut self, letter: &DeadLetter) -> Result<(), DeadLetterError> {
        let DeadLetter {
            assignment, number, ..
        } = *letter;
        if self.dead_letters.producer.is_none() {
            return Ok(());
        }
        let topic = usize::from(letter.partition.topic.0);
        let topics = Arc::clone(&self.topics);
        let source = topics.get(topic).map_or("", String::as_str);
        let Some(target) = (self.dead_letters.topic_of)(source) else {
            let text = "`dead_letter.topic` is not set";
            return Err(DeadLetterError::Permanent(text.to_owned()));
        };
        // What was popped a moment ago has no copy of its own yet.
        if self.store.body(assignment, number).is_none() {
            self.release_held();
        }
        let body = self.store.body(assignment, number);
        let Some(record) = body.and_then(StoredRecord::read) else {
            debug_assert!(false, "a record that waits has bytes");
            let text = "its bytes are gone; a restart reads it again";
            return Err(DeadLetterError::Permanent(text.to_owned()));
        };
        let facts = Facts {
            cluster: self.core.cluster(),
            group: &self.dead_letters.group,
            topic: source,
            partition: letter.partition.partition,
            cause: letter.cause,
            reason: &letter.reason,
            failures: letter.failures,
            at_ms: wall_ms(),
        };
        let outgoing = Letter::new(record, &facts);
        if self.outputs.take_letters() {
            let output = Output::copy_of(&target, &outgoing.outgoing());
            self.hold_letter(letter, output);
            return Ok(());
        }
        let dead_letters = &mut self.dead_letters;
        dead_letters.last_token += 1;
        let token = dead_letters.last_token;
        if let Some(producer) = &mut dead_letters.producer {
            let sent = producer.send(token, &target, &outgoing.outgoing());
            sent.map_err(error_of)?;
            dead_letters.sending.insert(token, (assignment, number));
        }
        Ok(())
    }

    /// Takes what the producer has to say.
    pub(super) fn poll_dead_letters(&mut self) {
        let dead_letters = &mut self.dead_letters;
        let Some(producer) = &mut dead_letters.producer else {
            return;
        };
        let troubles = producer.poll(&mut dead_letters.reports);
        for (token, result) in dead_letters.reports.drain(..) {
            if let Some((assignment, number)) = dead_letters.sending.remove(&token) {
                self.inputs.push_back(Input::DeadLetterDone {
                    assignment,
                    number,
                    result: result.map_err(error_of),
                });
            }
        }
        for trouble in troubles {
            self.tell_person(&telling::trouble(&trouble));
        }
        self.run();
    }
}

fn error_of(error: SendError) -> DeadLetterError {
    match error {
        SendError::Transient(text) => DeadLetterError::Transient(text),
        SendError::Permanent(text) => DeadLetterError::Permanent(text),
    }
}
