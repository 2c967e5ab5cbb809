//! Transactions: outputs and positions, written together or not at all.
//!
//! librdkafka's transactional calls wait for brokers, so they have a thread of their own. The engine hands over what is to be
//! done and hears by an input what came of it.
//!
//! ```text
//! engine ── Make, Transact ──► bounded channel ──► thread ──► producer ──► brokers
//!        ◄── ProducerMade, TransactionDone ───────────┘
//! ```
//!
//! # Invariants
//!
//! - X1: what is asked is answered once, whatever happens to the producer, and within a few times `transactions.timeout`.
//! - X2 (I-E3): a producer that does not know how its transaction ended is given up before that is told.
//! - X3 (KIP-447): the positions carry who we were in the group when the fence was passed, not who we are when they arrive.
//! - X4: the engine never waits for the thread, and the end of the process does not either.
//! - X5: a thread that does not come back is left to itself. What it may still do is refused by brokers once there is another
//!   producer of the name.
//! - X6: an output is refused only if it is known to be at fault: brokers refuse whole batches.

#![allow(
    clippy::disallowed_methods,
    reason = "waits for brokers need an end, on a thread that may wait"
)]

mod producer;
mod thread;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::client::Client;
use super::ffi::{GroupMetadata, Partitions, Wake};
use super::settings::ClientSettings;
use crate::core::{
    Abort, CommitEntry, CommitId, Input, OutputsId, ProducerAsk, ProducerError, TransactionEnd,
};
use crate::record::Output;

/// How long a connection is kept that nothing is asked of.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// What the thread does takes two and a half times the time-out of a transaction at most, if librdkafka keeps to the times that it
/// is given. It was seen not to.
const LATE_AFTER: u32 = 3;

/// The core has one transaction out, and one producer asked for, at a time.
const ASKS_MAX: usize = 8;

/// What a transactional producer needs besides what every client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// Its name.
    pub id: String,
    /// How long a transaction may be open before brokers abort it.
    pub timeout: Duration,
}

type Properties = Arc<Vec<(String, Zeroizing<String>)>>;

/// A transaction to be made.
struct Transaction {
    request: CommitId,
    offsets: Partitions,
    group: GroupMetadata,
    outputs: Vec<(OutputsId, Vec<Output>)>,
    properties: Properties,
}

/// What the thread is to answer. The core asks one thing at a time.
#[derive(Clone, Copy)]
enum Asked {
    Producer(ProducerAsk),
    Transaction(CommitId),
}

enum Ask {
    Make(ProducerAsk, Properties),
    Transact(Box<Transaction>),
}

/// The engine's end. See the module.
pub struct Transactor {
    settings: TransactionSettings,
    properties: Properties,
    asks: SyncSender<Ask>,
    answers: Receiver<Input<'static>>,
    /// What has no answer yet, and since when.
    asked: Option<(Asked, Instant)>,
    /// Answers that needed no thread.
    ready: VecDeque<Input<'static>>,
    wake: Wake,
}

impl Transactor {
    /// Starts the thread. No producer is made yet. `wake` is called when there is an answer.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(
        client: &ClientSettings,
        settings: TransactionSettings,
        wake: Wake,
    ) -> std::io::Result<Self> {
        let (asks, answers) = start_thread(&settings, &wake)?;
        Ok(Self {
            properties: properties(client, &settings),
            settings,
            asks,
            answers,
            asked: None,
            ready: VecDeque::new(),
            wake,
        })
    }

    /// Other settings, such as a new certificate: the next transaction is made by a producer that has them.
    pub fn change_settings(&mut self, client: &ClientSettings) {
        self.properties = properties(client, &self.settings);
    }

    /// Makes a producer in place of the last one; answered by [`Input::ProducerMade`].
    pub fn make(&mut self, ask: ProducerAsk) {
        if self.asked.is_some() {
            // Nobody asks for one before the last answer came, or was waited for long enough.
            self.leave_thread();
        }
        let sent = self.send(
            Asked::Producer(ask),
            Ask::Make(ask, Arc::clone(&self.properties)),
        );
        if !sent {
            let result = Err(ProducerError::Transient(BUSY.to_owned()));
            self.answer(Input::ProducerMade { ask, result });
        }
    }

    fn send(&mut self, asked: Asked, ask: Ask) -> bool {
        let sent = self.asks.try_send(ask).is_ok();
        if sent {
            self.asked = Some((asked, Instant::now()));
        }
        sent
    }

    /// Another thread makes the next producer (X5). If there can be none, the old one has another chance.
    fn leave_thread(&mut self) {
        self.asked = None;
        if let Ok((asks, answers)) = start_thread(&self.settings, &self.wake) {
            (self.asks, self.answers) = (asks, answers);
        }
    }

    /// Makes a transaction; answered by [`Input::TransactionDone`]. `client` passes the fence.
    pub fn transact(
        &mut self,
        client: Option<&Client>,
        request: CommitId,
        entries: &[CommitEntry],
        outputs: Vec<(OutputsId, Vec<Output>)>,
    ) {
        let fenced = client.and_then(|client| client.pass_fence(entries));
        let Some((offsets, group)) = fenced else {
            let abort = Abort::NotMember("a partition moved".to_owned());
            let end = TransactionEnd::Aborted(abort);
            return self.answer(Input::TransactionDone { request, end });
        };
        let transaction = Transaction {
            request,
            offsets,
            group,
            outputs,
            properties: Arc::clone(&self.properties),
        };
        let asked = Asked::Transaction(request);
        if !self.send(asked, Ask::Transact(Box::new(transaction))) {
            let end = TransactionEnd::Aborted(Abort::Transient(BUSY.to_owned()));
            self.answer(Input::TransactionDone { request, end });
        }
    }

    /// Appends what was answered to `inputs`.
    pub fn take(&mut self, inputs: &mut Vec<Input<'static>>) {
        inputs.extend(self.ready.drain(..));
        for answer in self.answers.try_iter() {
            self.asked = None;
            inputs.push(answer);
        }
        let late_after = self.settings.timeout * LATE_AFTER;
        let late = |(_, since): &mut (Asked, Instant)| since.elapsed() > late_after;
        if let Some((asked, _)) = self.asked.take_if(late) {
            self.leave_thread();
            let words = format!("no answer for {} s", late_after.as_secs());
            inputs.push(match asked {
                Asked::Producer(ask) => Input::ProducerMade {
                    ask,
                    result: Err(ProducerError::Transient(words)),
                },
                Asked::Transaction(request) => Input::TransactionDone {
                    request,
                    end: TransactionEnd::Unknown(words),
                },
            });
        }
    }

    fn answer(&mut self, input: Input<'static>) {
        self.ready.push_back(input);
        (self.wake)();
    }
}

type Ends = (SyncSender<Ask>, Receiver<Input<'static>>);

fn start_thread(settings: &TransactionSettings, wake: &Wake) -> std::io::Result<Ends> {
    let (asks, asked) = sync_channel(ASKS_MAX);
    let (told, answers) = sync_channel(ASKS_MAX);
    thread::start(settings.timeout, asked, told, Arc::clone(wake))?;
    Ok((asks, answers))
}

const BUSY: &str = "the thread that makes transactions does not answer";

fn properties(client: &ClientSettings, settings: &TransactionSettings) -> Properties {
    let mut list = client.to_producer_properties();
    let timeout = settings.timeout.as_millis().to_string();
    // A record has no more time than its transaction; an unknown topic is told from a new one before that.
    let metadata = (settings.timeout / 2).as_millis().to_string();
    let idle = IDLE_MAX.min(settings.timeout / 2).as_millis().to_string();
    for (key, value) in [
        ("transactional.id", settings.id.clone()),
        ("transaction.timeout.ms", timeout.clone()),
        ("message.timeout.ms", timeout.clone()),
        // librdkafka refuses one that is longer than a transaction may be.
        ("socket.timeout.ms", timeout),
        // While it looks for the coordinator of the group, librdkafka looks again only when a connection comes or goes:
        // without this, it was seen to wait for ever after a broker had gone and come back.
        ("connections.max.idle.ms", idle),
        ("topic.metadata.propagation.max.ms", metadata),
    ] {
        list.push((key.to_owned(), Zeroizing::new(value)));
    }
    Arc::new(list)
}

impl Client {
    /// What is to be committed in a transaction, and who we are in the group, if all of it is still ours. The fence of
    /// transactions: brokers check who we are, and never what we own.
    fn pass_fence(&self, entries: &[CommitEntry]) -> Option<(Partitions, GroupMetadata)> {
        let mut list = Partitions::with_capacity(entries.len());
        for entry in entries {
            if !self.may_commit(entry.partition, entry.assignment) {
                return None;
            }
            let id = entry.partition;
            list.add(self.topics.name(id.topic), id.partition)
                .offset(entry.offset)
                .leader_epoch(entry.leader_epoch)
                .metadata(&entry.metadata);
        }
        Some((list, self.handle.group_metadata()?))
    }
}
