//! Reading a topic from end to end: for commands, not for the sidecar.
//!
//! A reader is no member of a group. It reads the partitions it is told to, from where it is told to, and may keep positions
//! under the name of a group that nobody is a member of.
//!
//! # Invariants
//!
//! - R1: unlike all else in this edge it waits, because whoever runs a command does. Each wait ends: brokers have ten seconds
//!   to answer.
//! - R2: records are copied out, so that none pins what it was fetched with.

use std::ffi::CString;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as E;
use zeroize::Zeroizing;

use super::error::{Error, TroubleKind};
use super::ffi::{
    Code, Event, EventKind, Events, Failure, Handle, Isolation, LogEnd, Messages, Partitions,
    Queue, Wake,
};
use super::log_record::LogRecord;
use super::poll::log;
use super::settings::{ClientSettings, GroupProtocol};

mod group;

pub use group::CommittedPosition;

/// Records popped at once.
const POP_MAX: usize = 1_000;

/// How long a wait goes without a look, should a bell be missed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often a question is put to brokers that are not ready, and how long after the last time.
const TRIES_MAX: u32 = 40;
const TRY_AFTER: Duration = Duration::from_millis(250);

/// Why a topic could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// There is no such topic, or nobody says so.
    #[error("the topic {topic} does not exist, or may not be seen")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A permission is missing.
    #[error("not allowed to {what}")]
    Unauthorized {
        /// What was asked.
        what: &'static str,
        /// The broker's words.
        #[source]
        source: Failure,
    },
    /// Anything else.
    #[error("could not {what}{}", because(trouble))]
    Failed {
        /// What was asked.
        what: &'static str,
        /// What was wrong with the connections, if anything.
        trouble: Option<String>,
        /// librdkafka's words.
        #[source]
        source: Failure,
    },
}

impl ReadFailure {
    /// Whether the broker asked was the wrong one, or not ready, and the next answer may be another one: a group's
    /// coordinator is chosen when somebody first asks for it.
    fn passes(&self) -> bool {
        const PASSING: [E; 7] = [
            E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            E::RD_KAFKA_RESP_ERR__WAIT_COORD,
            E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            E::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
        ];
        match self {
            Self::UnknownTopic { .. } | Self::Unauthorized { .. } => false,
            Self::Failed { source, .. } => PASSING.map(Code::of).contains(&source.code),
        }
    }
}

fn because(trouble: &Option<String>) -> String {
    trouble.iter().map(|text| format!(" ({text})")).collect()
}

/// Wakes a thread that waits.
#[derive(Clone, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// Rings it.
    #[must_use]
    pub fn wake(&self) -> Wake {
        let bell = Arc::clone(&self.0);
        Arc::new(move || {
            *bell.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            bell.1.notify_all();
        })
    }

    /// Waits until it rings, but not longer than this.
    pub fn wait(&self, at_most: Duration) {
        let rung = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// What comes out of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// A record.
    Record(LogRecord),
    /// There is nothing more in this partition for now.
    End(i32),
}

/// See the module.
pub struct LogReader {
    group: CString,
    isolation: Isolation,
    bell: Bell,
    messages: Messages,
    requests: usize,
    trouble: Option<String>,
    secrets: Vec<Zeroizing<String>>,
    consumer: Queue,
    records: Queue,
    replies: Queue,
    handle: Arc<Handle>,
}

impl LogReader {
    /// A reader with positions under `group`. `bell` rings when [`LogReader::next`] may have something.
    ///
    /// # Errors
    ///
    /// If the settings make no client.
    pub fn new(settings: &ClientSettings, group: &str, bell: &Bell) -> Result<Self, Error> {
        let name = CString::new(group).map_err(|_| Error::Name { what: "group id" })?;
        let settings = ClientSettings {
            group: group.to_owned(),
            protocol: GroupProtocol::ClassicCooperative,
            instance_id: None,
            ..settings.clone()
        };
        let mut properties = settings.to_properties();
        let end = ("enable.partition.eof", "true");
        properties.push((end.0.to_owned(), Zeroizing::new(end.1.to_owned())));
        let handle = Handle::new(&properties, Events::CONSUMER)
            .map_err(|source| Error::Settings { source })?;
        let handle = Arc::new(handle);
        let mut consumer = Queue::consumer(&handle);
        let mut records = Queue::new(&handle);
        let mut replies = Queue::new(&handle);
        for queue in [&mut consumer, &mut records, &mut replies] {
            queue.on_filled(&bell.wake());
        }
        let secrets = settings.sasl.iter();
        let secrets = secrets.map(|sasl| Zeroizing::new(sasl.password.expose().to_owned()));
        Ok(Self {
            group: name,
            isolation: settings.isolation(),
            bell: bell.clone(),
            messages: Messages::default(),
            requests: 0,
            trouble: None,
            secrets: secrets.collect(),
            consumer,
            records,
            replies,
            handle,
        })
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    ///
    /// If no broker says, or says that there is no such topic.
    pub fn partition_count(&mut self, topic: &str) -> Result<i32, ReadFailure> {
        const WHAT: &str = "look the topic up";
        let name = self.name(topic)?;
        let request = self.request();
        let names = [name.as_c_str()].into_iter();
        let asked = self.handle.describe_topics(names, &self.replies, request);
        asked.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let event = self.reply(request);
        let described = event.described();
        let described = described.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let answer = described.into_iter().next().map(|topic| topic.answer);
        match answer {
            Some(Ok((_, count))) => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
            Some(Err(failure)) => Err(self.failed(WHAT, topic, failure)),
            None => Err(ReadFailure::UnknownTopic {
                topic: topic.to_owned(),
            }),
        }
    }

    /// What the logs of the first `count` partitions hold: the first offset, and the one behind the last.
    ///
    /// # Errors
    ///
    /// If no broker says.
    pub fn log_ranges(&mut self, topic: &str, count: i32) -> Result<Vec<(i64, i64)>, ReadFailure> {
        let starts = self.patiently(|it| it.log_ends(topic, count, LogEnd::Earliest))?;
        let ends = self.patiently(|it| it.log_ends(topic, count, LogEnd::Latest))?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    fn log_ends(&mut self, topic: &str, count: i32, end: LogEnd) -> Result<Vec<i64>, ReadFailure> {
        const WHAT: &str = "ask where the log of the topic begins and ends";
        let name = self.name(topic)?;
        let request = self.request();
        let mut list = Partitions::with_capacity(usize::try_from(count).unwrap_or(0));
        for partition in 0..count {
            list.add(&name, partition).offset(end.as_offset());
        }
        let asked = self
            .handle
            .list_offsets(&list, self.isolation, &self.replies, request);
        asked.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let event = self.reply(request);
        let listed = event.listed();
        let listed = listed.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let mut offsets = vec![0; usize::try_from(count).unwrap_or(0)];
        for view in listed {
            let checked = view.code().check();
            checked.map_err(|failure| self.failed(WHAT, topic, failure))?;
            if let Ok(index) = usize::try_from(view.partition())
                && let Some(offset) = offsets.get_mut(index)
            {
                *offset = view.offset();
            }
        }
        Ok(offsets)
    }

    /// The positions kept for the first `count` partitions.
    ///
    /// # Errors
    ///
    /// If no broker says.
    pub fn positions(&mut self, topic: &str, count: i32) -> Result<Vec<Option<i64>>, ReadFailure> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.patiently(|it| it.read_positions(topic, count))
    }

    fn read_positions(&mut self, topic: &str, count: i32) -> Result<Vec<Option<i64>>, ReadFailure> {
        const WHAT: &str = "read the kept position";
        let name = self.name(topic)?;
        let request = self.request();
        let mut list = Partitions::with_capacity(usize::try_from(count).unwrap_or(0));
        for partition in 0..count {
            list.add(&name, partition);
        }
        let asked = self
            .handle
            .read_committed(&self.group, Some(&list), &self.replies, request);
        asked.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let event = self.reply(request);
        let committed = event.committed();
        let committed = committed.map_err(|failure| self.failed(WHAT, topic, failure))?;
        let mut positions = vec![None; usize::try_from(count).unwrap_or(0)];
        for view in committed {
            let checked = view.code().check();
            checked.map_err(|failure| self.failed(WHAT, topic, failure))?;
            if let Ok(index) = usize::try_from(view.partition())
                && let Some(position) = positions.get_mut(index)
            {
                *position = Some(view.offset()).filter(|offset| *offset >= 0);
            }
        }
        Ok(positions)
    }

    /// Keeps positions: partition, and the next offset to read.
    ///
    /// # Errors
    ///
    /// If the broker does not take them.
    pub fn keep_positions(
        &mut self,
        topic: &str,
        positions: &[(i32, i64)],
    ) -> Result<(), ReadFailure> {
        if positions.is_empty() {
            return Ok(());
        }
        self.patiently(|it| it.commit(topic, positions))
    }

    fn commit(&mut self, topic: &str, positions: &[(i32, i64)]) -> Result<(), ReadFailure> {
        const WHAT: &str = "keep the position";
        let name = self.name(topic)?;
        let mut list = Partitions::with_capacity(positions.len());
        for &(partition, offset) in positions {
            list.add(&name, partition).offset(offset);
        }
        self.commit_list(&list, WHAT, topic)
    }

    fn commit_list(
        &mut self,
        list: &Partitions,
        what: &'static str,
        topic: &str,
    ) -> Result<(), ReadFailure> {
        let request = self.request();
        let asked = self.handle.commit(list, &self.replies, request);
        asked.map_err(|failure| self.failed(what, topic, failure))?;
        let event = self.reply(request);
        if let Some(failure) = event.failure() {
            return Err(self.failed(what, topic, failure));
        }
        for view in event.partitions() {
            let checked = view.code().check();
            checked.map_err(|failure| self.failed(what, topic, failure))?;
        }
        Ok(())
    }

    /// Starts to read partitions, each from its offset on.
    ///
    /// # Errors
    ///
    /// If the client is dead.
    pub fn start(&mut self, topic: &str, starts: &[(i32, i64)]) -> Result<(), ReadFailure> {
        const WHAT: &str = "read the topic";
        let name = self.name(topic)?;
        let mut list = Partitions::with_capacity(starts.len());
        for &(partition, offset) in starts {
            list.add(&name, partition).offset(offset);
            self.records.collect(&name, partition);
        }
        let assigned = self.handle.assign(Some(&list));
        assigned.map_err(|failure| self.failed(WHAT, topic, failure))
    }

    /// What there is, waiting for it for a while.
    ///
    /// # Errors
    ///
    /// If a partition cannot be read.
    pub fn next(&mut self, topic: &str, wait: Duration) -> Result<Vec<LogItem>, ReadFailure> {
        self.serve();
        self.records.pop(&mut self.messages, POP_MAX);
        if self.messages.len() == 0 {
            self.messages.clear();
            self.bell.wait(wait);
            self.records.pop(&mut self.messages, POP_MAX);
        }
        let mut items = Vec::with_capacity(self.messages.len());
        let mut failed = None;
        for index in 0..self.messages.len() {
            let Some(message) = self.messages.get(index) else {
                break;
            };
            let (code, partition) = (message.code(), message.place().map_or(-1, |place| place.1));
            if code == Code::of(E::RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                items.push(LogItem::End(partition));
            } else if code.is_error() {
                let text = message.error_text();
                failed = Some(Failure { code, text });
                break;
            } else {
                items.push(LogItem::Record(LogRecord::copy_of(&message, partition)));
            }
        }
        self.messages.clear();
        match failed {
            Some(failure) => Err(self.failed("read the topic", topic, failure)),
            None => Ok(items),
        }
    }

    /// What is wrong with the connections, if anything is.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn name(&self, topic: &str) -> Result<CString, ReadFailure> {
        CString::new(topic).map_err(|_| ReadFailure::UnknownTopic {
            topic: topic.to_owned(),
        })
    }

    fn patiently<T>(
        &mut self,
        ask: impl Fn(&mut Self) -> Result<T, ReadFailure>,
    ) -> Result<T, ReadFailure> {
        for _ in 1..TRIES_MAX {
            match ask(self) {
                Err(failure) if failure.passes() => {
                    self.serve();
                    thread::sleep(TRY_AFTER);
                }
                answered => return answered,
            }
        }
        ask(self)
    }

    fn request(&mut self) -> usize {
        self.requests += 1;
        self.requests
    }

    /// Waits for the answer to a request; librdkafka gives one in any case.
    fn reply(&mut self, request: usize) -> Event {
        loop {
            while let Some(event) = self.replies.poll() {
                if event.request() == request {
                    return event;
                }
            }
            self.serve();
            self.bell.wait(LOOK_EVERY);
        }
    }

    fn serve(&mut self) {
        while let Some(event) = self.consumer.poll() {
            match event.kind() {
                EventKind::Log => log(&event, &self.secrets),
                EventKind::Error => self.trouble = event.failure().map(|failure| failure.text),
                EventKind::Rebalance
                | EventKind::Committed
                | EventKind::CommittedRead
                | EventKind::OffsetsListed
                | EventKind::TopicsDescribed
                | EventKind::GroupDescribed
                | EventKind::Record
                | EventKind::Written
                | EventKind::Other => {}
            }
        }
    }

    fn failed(&self, what: &'static str, topic: &str, source: Failure) -> ReadFailure {
        if source.code == Code::of(E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            return ReadFailure::UnknownTopic {
                topic: topic.to_owned(),
            };
        }
        if TroubleKind::of(source.code) == TroubleKind::Authorization {
            return ReadFailure::Unauthorized { what, source };
        }
        let trouble = self.trouble.clone().filter(|text| *text != source.text);
        ReadFailure::Failed {
            what,
            trouble,
            source,
        }
    }
}
