//! What the core must be told once. Everything here was validated by `config`; the core assumes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ids::TopicIndex;

/// The order that records keep among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One lane per partition.
    Partition,
    /// One lane per key; records without a key are unordered.
    Key,
    /// No order: every record on its own.
    None,
}

/// When a record counts as finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMode {
    /// When the application acknowledges it.
    OnAck,
    /// When its frame was handed to HTTP/2: Kafka's auto commit. A crash loses what was handed off.
    OnDelivery,
}

/// Who keeps positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Kafka, or another store that the edge writes to.
    Store,
    /// The applications: they say where a partition starts, and are offered what a store would be given (`home`).
    Application,
}

/// Where to start when the group has no committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPolicy {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// Nowhere: the partition stops and says so.
    Stop,
}

/// How assignments are handed to the Kafka client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignMode {
    /// Cooperative and KIP-848 groups: partitions come and go one by one.
    Incremental,
    /// Eager groups: only the whole assignment can be set.
    Whole,
}

/// When the group is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinWhen {
    /// When the first stream opens.
    OnStream,
    /// When the process starts.
    AtStart,
}

/// Back-off of a failed record: `initial · multiplier^(failures − 1)`, at most `max`, each ± `jitter`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first failure.
    pub initial: Duration,
    /// The cap, also of delays that the application asks for.
    pub max: Duration,
    /// Growth per failure, at least 1.
    pub multiplier: f64,
    /// Share of the delay that is random, 0 to 1.
    pub jitter: f64,
}

/// What follows when a record has failed as often as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenSpent {
    /// It stays in its lane, which stands until a person acts.
    Park,
    /// It goes to the dead-letter topic.
    DeadLetter,
    /// It is dropped, counted and logged.
    Discard,
}

/// What follows when no stream can receive a record for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOversize {
    /// It stays in its lane until a stream opens that can, or a person acts.
    Park,
    /// It goes to the dead-letter topic.
    DeadLetter,
}

/// How many records of a topic may be given up without a person, so that an outage of the application is not taken for
/// poison in the records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenRate {
    /// Tokens at the start, and at most.
    pub burst: u32,
    /// Earned by each acknowledgement.
    pub per_success: f64,
    /// Earned by each minute.
    pub per_minute: f64,
}

/// How the records of a topic are delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Order of deliveries.
    pub order: Order,
    /// How many records of one lane may be in flight. At least 1.
    pub lane_depth: u32,
    /// Back-off of RETRY; its `initial` also holds a released record back from the same stream.
    pub retry: Backoff,
    /// After how many failures `then` follows. Zero: never.
    pub failures_max: u32,
    /// What follows.
    pub then: WhenSpent,
    /// How many deaths of a stream that held nothing but this record make `then` follow. Zero: never.
    pub deaths_max: u32,
    /// How long a delivery may be unsettled before it is taken back. Zero: for ever.
    pub deadline: Duration,
    /// What follows when no stream can receive a record for its size.
    pub oversize: WhenOversize,
    /// How fast records may be given up.
    pub tokens: TokenRate,
    /// Whether there is a dead-letter topic.
    pub has_dead_letters: bool,
}

/// Says how the records of a topic are delivered, if the topic is to be read.
pub type PolicyOf = Arc<dyn Fn(&str) -> Option<Policy> + Send + Sync>;

/// Looking for topics whose names are not known beforehand.
#[derive(Clone)]
pub struct FindTopics {
    /// How often.
    pub every: Duration,
    /// How many topics are read at most, those with known names included.
    pub topics_max: usize,
    /// How the records of a topic are delivered, if it is to be read.
    pub policy_of: PolicyOf,
}

impl FindTopics {
    pub(super) fn policy_of(&self, topic: &str) -> Option<Policy> {
        (self.policy_of)(topic)
    }
}

impl fmt::Debug for FindTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FindTopics")
            .field("every", &self.every)
            .field("topics_max", &self.topics_max)
            .finish_non_exhaustive()
    }
}

/// Outputs and positions in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// So many outputs end the wait for the commit interval.
    pub records_max: u64,
    /// So many bytes of them do; twice as many stop deliveries.
    pub bytes_max: u64,
}

impl TransactionLimits {
    /// So many bytes may be held: waiting, and in the transaction that is out.
    #[must_use]
    pub fn held_bytes_max(&self) -> u64 {
        self.bytes_max.saturating_mul(2)
    }
}

/// The settings of the core.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Consumer group; part of the hash in the commit metadata.
    pub group: String,
    /// Names of the topics that are known; [`super::TopicIndex`] points into it. What is found is added.
    pub topics: Vec<String>,
    /// How the records of each topic are delivered, in the order of `topics`.
    pub policies: Vec<Policy>,
    /// Where other topics come from; `None` for nowhere.
    pub find_topics: Option<FindTopics>,
    /// What finishes a record.
    pub commit_mode: CommitMode,
    /// Who keeps positions.
    pub positions: Positions,
    /// Shortest time between two commits that nothing hurries.
    pub commit_interval: Duration,
    /// Whether finished offsets above the watermark are stored with each commit.
    pub commit_metadata: bool,
    /// Commits are transactions, with outputs; `None` for plain ones. Goes with [`CommitMode::OnAck`] and with metadata.
    pub transactions: Option<TransactionLimits>,
    /// Longest text the broker accepts as commit metadata, in characters.
    pub commit_metadata_max: usize,
    /// How long commits of a partition may fail before nothing new of it is delivered.
    pub commit_staleness_max: Duration,
    /// Start without a committed offset.
    pub start: StartPolicy,
    /// What to do when the committed offset lies below the log.
    pub on_out_of_range: StartPolicy,
    /// Live deliveries in the whole process.
    pub in_flight_records_max: u32,
    /// Payload bytes held in the whole process, waiting and in flight: the budget.
    pub in_flight_bytes_max: u64,
    /// Unfinished records of one assignment.
    pub window_records_max: u32,
    /// How long a revocation waits for live deliveries.
    pub drain_revoke: Duration,
    /// When the group is joined.
    pub join: JoinWhen,
    /// How long after the last stream closed the group is left.
    pub leave_after: Duration,
    /// The group knows the member by a name and keeps its partitions for it while it is started again.
    pub static_member: bool,
    /// Brokers share the group's partitions out, and know what each member reads. If not, one of the members does, when
    /// it is asked.
    pub brokers_share_out: bool,
    /// A delivery unsettled for this long is reported once. Zero: never.
    pub warn_unsettled_after: Duration,
    /// How the Kafka client takes assignments.
    pub assign_mode: AssignMode,
    /// The group's session timeout, as far as it is known: bounds how long an answer can be under way.
    pub session_timeout: Duration,
    /// A clock jump above this makes the core doubt its membership.
    pub doubt_after: Duration,
    /// Seed of back-off jitter. Two processes should not share one.
    pub seed: u64,
}

impl Settings {
    /// How the records of a topic are delivered.
    ///
    /// # Panics
    ///
    /// If there is no such topic: indices are given out with the topics.
    #[must_use]
    pub fn policy(&self, topic: TopicIndex) -> &Policy {
        &self.policies[usize::from(topic.0)]
    }
}
