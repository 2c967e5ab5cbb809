//! The consumer client: creation, joining and leaving, the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::Error;
use super::fetching::Fetching;
use super::ffi::{Events, Failure, Handle, Isolation, Partitions, Queue, Wake};
use super::finder::Finder;
use super::requests::Requests;
use super::settings::{ClientSettings, GroupProtocol};
use super::topics::Topics;
use crate::core::{AssignMode, Assignment, Input, Moment, PartitionId, TopicIndex};

/// One member of the group. See the [module](super) for what holds at all times.
pub struct Client {
    pub(super) topics: Topics,
    pub(super) group: CString,
    pub(super) mode: AssignMode,
    pub(super) isolation: Isolation,
    /// What librdkafka fetches for us.
    pub(super) assigned: BTreeMap<PartitionId, Fetching>,
    /// What the group gave us and has not taken back, whether it is fetched yet or not.
    pub(super) owned: BTreeSet<PartitionId>,
    /// The rebalance that waits for its answer.
    pub(super) rebalance: Option<Rebalance>,
    /// What is paused, and in which assignment.
    pub(super) paused: BTreeMap<PartitionId, Assignment>,
    pub(super) requests: Requests,
    pub(super) finder: Finder,
    /// Answers that needed no broker, for the next [`Client::poll`].
    pub(super) ready: Vec<Input<'static>>,
    /// Wakes whoever calls [`Client::poll`].
    pub(super) wake: Wake,
    /// The group was told that we leave.
    pub(super) leaving: bool,
    /// Since when it leaves and nothing of the group is ours.
    pub(super) given_back_at: Option<Moment>,
    /// When to look whether it has left.
    pub(super) look_at: Option<Moment>,
    /// The broker shares partitions out (KIP-848).
    pub(super) broker_shares_out: bool,
    pub(super) closing: Closing,
    pub(super) cluster_told: bool,
    /// Secrets that must not show up in librdkafka's log lines.
    pub(super) secrets: Vec<Zeroizing<String>>,
    /// Rebalances, errors, logs.
    pub(super) consumer: Queue,
    /// Records and the errors of their partitions, of all partitions.
    pub(super) records: Queue,
    /// Results of requests.
    pub(super) replies: Queue,
    pub(super) handle: Arc<Handle>,
}

/// A rebalance event without its answer.
pub(super) enum Rebalance {
    /// Partitions were given.
    Assign,
    /// These are taken away.
    Revoke(Vec<PartitionId>),
}

/// How far the client is on its way out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It is not.
    No,
    /// The group is being left.
    Leaving,
    /// The client is dead and cannot leave any more.
    GivenUp,
}

impl Client {
    /// Creates the client. Nothing is joined yet, but brokers are contacted.
    ///
    /// `wake` is called from librdkafka's threads when [`Client::poll`] or [`Client::pop`] have
    /// something to do. It must only wake somebody up: librdkafka holds a lock meanwhile.
    pub fn new(settings: &ClientSettings, topics: &[String], wake: Wake) -> Result<Self, Error> {
        let topics = Topics::new(topics)?;
        let group = CString::new(settings.group.as_str());
        let group = group.map_err(|_| Error::Name { what: "group id" })?;
        let properties = settings.to_properties();
        let handle = Handle::new(&properties, Events::CONSUMER)
            .map_err(|source| Error::Settings { source })?;
        let handle = Arc::new(handle);
        let mut consumer = Queue::consumer(&handle);
        let mut records = Queue::new(&handle);
        let mut replies = Queue::new(&handle);
        for queue in [&mut consumer, &mut records, &mut replies] {
            queue.on_filled(&wake);
        }
        let secrets = settings
            .sasl
            .iter()
            .map(|sasl| sasl.password.expose().to_owned());
        Ok(Self {
            topics,
            group,
            mode: settings.protocol.assign_mode(),
            isolation: settings.isolation(),
            assigned: BTreeMap::new(),
            owned: BTreeSet::new(),
            rebalance: None,
            paused: BTreeMap::new(),
            requests: Requests::default(),
            finder: Finder::default(),
            ready: Vec::new(),
            wake,
            leaving: false,
            given_back_at: None,
            look_at: None,
            broker_shares_out: settings.protocol == GroupProtocol::Consumer,
            closing: Closing::No,
            cluster_told: false,
            secrets: secrets.map(Zeroizing::new).collect(),
            consumer,
            records,
            replies,
            handle,
        })
    }

    /// Joins the group for these topics, or tells it that they are others now. None at all would be leaving.
    pub fn subscribe(&mut self, topics: &[TopicIndex]) -> Result<(), Error> {
        debug_assert!(!topics.is_empty(), "there is nothing to join for");
        let mut list = Partitions::with_capacity(topics.len());
        for topic in topics {
            list.add(self.topics.name(*topic), -1);
        }
        self.leaving = false;
        self.handle
            .subscribe(&list)
            .map_err(refused("join the group"))
    }

    /// A topic that the core has added to those it knows.
    pub fn add_topic(&mut self, name: &str) -> Result<(), Error> {
        self.topics.add(name)
    }

    /// Leaves the group. Partitions are first taken away by a rebalance, which must be answered like
    /// any other; then [`Client::poll`] tells [`Input::GroupLeft`].
    pub fn leave(&mut self) -> Result<(), Error> {
        self.handle
            .unsubscribe()
            .map_err(refused("leave the group"))?;
        self.leaving = true;
        (self.wake)();
        Ok(())
    }

    /// Whether the group gave our partitions away without asking.
    #[must_use]
    pub fn assignment_lost(&self) -> bool {
        self.handle.assignment_lost()
    }

    /// Uses another user name and password for connections made from now on.
    pub fn set_sasl_credentials(&mut self, username: &str, password: &str) -> Result<(), Error> {
        let name = CString::new(username).map_err(|_| Error::Name { what: "user name" })?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        bytes.extend_from_slice(password.as_bytes());
        bytes.push(0);
        let secret =
            CStr::from_bytes_with_nul(&bytes).map_err(|_| Error::Name { what: "password" })?;
        self.handle
            .set_credentials(&name, secret)
            .map_err(refused("change its credentials"))?;
        self.secrets.push(Zeroizing::new(password.to_owned()));
        Ok(())
    }

    /// Starts to leave for good: from now on no commit is sent and no record popped, nothing is
    /// assigned, and rebalances are answered here. Go on calling [`Client::poll`] until [`Client::is_closed`].
    pub fn begin_close(&mut self) {
        if self.closing != Closing::No {
            return;
        }
        self.assigned.clear();
        self.owned.clear();
        self.closing = match self.handle.close(&self.consumer) {
            Ok(()) => Closing::Leaving,
            // Only a client that died of a fatal error refuses. It has left, or cannot.
            Err(_) => Closing::GivenUp,
        };
        if self.rebalance.take().is_some() {
            self.let_everything_go();
        }
    }

    /// Whether the group was left for good after [`Client::begin_close`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self.closing {
            Closing::No => false,
            Closing::Leaving => self.handle.is_closed(),
            Closing::GivenUp => true,
        }
    }

    /// Makes the client believe that it hit a fatal error.
    #[cfg(test)]
    pub(super) fn die_of(&self, code: rdkafka::bindings::rd_kafka_resp_err_t) {
        self.handle.die_of(code);
    }

    /// Answers a rebalance of a client that closes; librdkafka takes any answer for "all gone" then.
    pub(super) fn let_everything_go(&self) {
        if let Err(failure) = self.handle.assign(None) {
            tracing::debug!(%failure, "closing kafka client did not take back its assignment");
        }
    }
}

/// For `map_err`: the client refused to do `what`.
pub(super) fn refused(what: &'static str) -> impl FnOnce(Failure) -> Error {
    move |source| Error::Refused { what, source }
}
