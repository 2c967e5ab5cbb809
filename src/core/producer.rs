//! The producer that makes transactions: is there one, and when is the next one made?
//!
//! A producer has a name that outlives it. Making the next one of that name settles whatever the last one left open, and
//! from then on the last one can do nothing more. So it is made anew whenever it is not known how a transaction ended.
//! Another process of the same name does the same to ours: each would take it from the other for ever, so who lost it
//! waits longer each time.
//!
//! # Invariants
//!
//! - T4 (I-E3): after a transaction whose end is not known nothing is sent before another producer is made.
//! - T5: the time until the next try grows, up to a limit, and longer for a producer that somebody else took over.

use std::time::Duration;

use super::Core;
use super::effect::Effect;
use super::event::Event;
use super::ids::{Assignment, Moment, ProducerAsk};
use super::timers::Timer;

/// Back-off after it could not be made, doubling.
const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The same after another process took over.
const FENCED_BACKOFF: Duration = Duration::from_secs(1);
const FENCED_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A name that nobody has taken from us for so long is ours alone.
const ALONE_AFTER: Duration = Duration::from_secs(600);

/// Why a producer could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProducerError {
    /// Worth trying again soon.
    Transient(String),
    /// Another process made one of the same name.
    Fenced(String),
    /// Refused for lack of permission.
    Unauthorized(String),
}

impl ProducerError {
    fn words(&self) -> &str {
        match self {
            Self::Transient(words) | Self::Fenced(words) | Self::Unauthorized(words) => words,
        }
    }
}

/// Where it is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Life {
    /// Nobody has wanted one yet.
    #[default]
    Absent,
    /// It is being made.
    Asked,
    /// It is to be made then.
    Due(Moment),
    /// It may make transactions.
    Ready,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Producer {
    asks: u64,
    life: Life,
    tries: u32,
    fenced_tries: u32,
    fenced_at: Option<Moment>,
    /// Why there is none, if there should be.
    pub(super) error: Option<String>,
}

impl Producer {
    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Ready
    }

    /// Whether another process of the same name took over lately, and we wait because of that.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced_at.is_some() && self.life != Life::Ready
    }
}

impl Core {
    /// Sees to it that there is one.
    pub(super) fn want_producer(&mut self) {
        if self.settings.transactions.is_some() && self.transactions.producer.life == Life::Absent {
            self.make_producer();
        }
    }

    fn make_producer(&mut self) {
        let producer = &mut self.transactions.producer;
        producer.asks += 1;
        producer.life = Life::Asked;
        let ask = ProducerAsk(producer.asks);
        self.effects.push(Effect::MakeProducer(ask));
    }

    /// The last one is good for nothing any more.
    pub(super) fn renew_producer(&mut self) {
        self.make_producer();
    }

    /// Another process took the last one's name over.
    pub(super) fn producer_was_fenced(&mut self, error: String) {
        self.report(Event::ProducerFailed {
            fenced: true,
            error: error.clone(),
        });
        let now = self.now;
        let producer = &mut self.transactions.producer;
        let alone = |at: Moment| now.since(at) > ALONE_AFTER;
        if producer.fenced_at.is_some_and(alone) {
            producer.fenced_tries = 0;
        }
        let wait = FENCED_BACKOFF * 2u32.pow(producer.fenced_tries.min(8));
        producer.fenced_tries += 1;
        producer.fenced_at = Some(now);
        producer.error = Some(error);
        self.make_producer_after(wait.min(FENCED_BACKOFF_MAX));
    }

    fn make_producer_after(&mut self, wait: Duration) {
        let wait = wait.mul_f64(0.5 + self.random.fraction() / 2.0);
        let at = self.now.plus(wait);
        self.transactions.producer.life = Life::Due(at);
        self.timers.at(at, Timer::Producer);
    }

    /// The time for another try may have come.
    pub(super) fn producer_may_be_due(&mut self) {
        if matches!(self.transactions.producer.life, Life::Due(at) if at <= self.now) {
            self.make_producer();
        }
    }

    pub(super) fn producer_made(&mut self, ask: ProducerAsk, result: Result<(), ProducerError>) {
        let producer = &mut self.transactions.producer;
        if producer.life != Life::Asked || ask.0 != producer.asks {
            return;
        }
        match result {
            Ok(()) => {
                producer.life = Life::Ready;
                producer.tries = 0;
                if producer.error.take().is_some() {
                    self.report(Event::ProducerRecovered);
                }
                self.read_settled();
            }
            Err(error) => {
                // Nobody knows how long it takes: whoever waits for a commit is not kept.
                self.commits.awaited.give_up();
                self.commits.hurry |= self.commits.awaited.is_anyone_waiting();
                self.producer_not_made(&error);
            }
        }
    }

    fn producer_not_made(&mut self, error: &ProducerError) {
        let words = error.words().to_owned();
        if matches!(error, ProducerError::Fenced(_)) {
            return self.producer_was_fenced(words);
        }
        self.report(Event::ProducerFailed {
            fenced: false,
            error: words.clone(),
        });
        let producer = &mut self.transactions.producer;
        let wait = (BACKOFF * 2u32.pow(producer.tries.min(8))).min(BACKOFF_MAX);
        producer.tries += 1;
        producer.error = Some(words);
        self.make_producer_after(wait);
    }

    /// Everything that was open is settled: what is committed can be read.
    pub(super) fn read_settled(&mut self) {
        let mut ids: Vec<Assignment> = Vec::new();
        for state in self.assignments.values_mut() {
            if std::mem::take(&mut state.unsettled) {
                ids.push(state.id);
            }
        }
        self.read_positions(&ids);
    }
}
