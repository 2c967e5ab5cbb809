//! The settings as the rest of the program sees them.
//!
//! A [`Config`] that exists is valid: it is made in one place, [`Config::load`], which refuses
//! anything else, and there is no second check to forget. Each field is filled by the row of the
//! [table](super::table) that names it.

mod offset_store;
mod transactions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::origin::{Origin, Origins};
use super::per_topic::TopicRule;
use super::secret::PropertyMap;
use crate::core::{
    AssignMode, Backoff, CommitMode, JoinWhen, Order, StartPolicy, TokenRate, WhenOversize,
    WhenSpent,
};

pub use offset_store::{OffsetStore, PostgresServer, StoreKind, ZooKeeperServers};
pub use transactions::{Processing, Transactions};

/// All settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Membership in the consumer group.
    pub group: Group,
    /// Topics to read, by name or by pattern; at least one, no duplicates.
    pub topics: Vec<String>,
    /// How many topics are read at most, where there are patterns.
    pub topics_max: u32,
    /// How often topics that match a pattern are looked for.
    pub topics_refresh: Duration,
    /// Start without a committed offset.
    pub start: StartPolicy,
    /// What to do when the committed offset lies outside of the log.
    pub on_out_of_range: StartPolicy,
    /// Order of deliveries.
    pub order: Order,
    /// Records of one lane in flight.
    pub lane_depth: u32,
    /// Limits on what is held.
    pub in_flight: InFlight,
    /// Limits per partition.
    pub window: Window,
    /// Defaults for the messages of a stream.
    pub batch: Batch,
    /// Watching deliveries.
    pub delivery: Delivery,
    /// Redelivery of failed records, and its end.
    pub retry: Retry,
    /// What becomes of a record that no stream can receive.
    pub oversize: WhenOversize,
    /// Records that are given up.
    pub dead_letter: DeadLetter,
    /// What some topics have of their own.
    pub per_topic: Vec<TopicRule>,
    /// When and how offsets are committed.
    pub commit: Commit,
    /// Whether outputs go with commits.
    pub processing: Processing,
    /// How, if they do.
    pub transactions: Transactions,
    /// Where positions are kept.
    pub offset_store: OffsetStore,
    /// Time limits of endings.
    pub drain: Drain,
    /// Sockets.
    pub listen: Listen,
    /// Log output.
    pub log: Log,
    /// Where each value came from. Private, so that nobody else can build a `Config`.
    pub(super) origins: Origins,
}

/// How to reach Kafka.
#[derive(Debug, Clone, Default)]
pub struct Kafka {
    /// `host:port` of brokers to ask first.
    pub brokers: Vec<String>,
    /// Encryption.
    pub tls: Tls,
    /// Authentication.
    pub sasl: Sasl,
    /// Rack for reads from the nearest replica; empty for none.
    pub client_rack: String,
    /// Most bytes that one response of a broker has, compressed as they are.
    pub fetch_max_bytes: u64,
    /// More librdkafka properties, none of which carries a guarantee.
    pub properties: PropertyMap,
}

/// Encryption of connections to brokers.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whether connections are encrypted.
    pub enabled: bool,
    /// Certificates to trust; the system's if absent.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, always together with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
}

/// Authentication to brokers. With a mechanism both files are present, without it neither is.
#[derive(Debug, Clone, Default)]
pub struct Sasl {
    /// How; `None` for no authentication.
    pub mechanism: Option<SaslMechanism>,
    /// File that holds the user name.
    pub username_file: Option<PathBuf>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
}

/// How to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself is sent.
    Plain,
    /// Challenge and response with SHA-256.
    ScramSha256,
    /// Challenge and response with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// The name that Kafka knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Membership in the consumer group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The group.
    pub id: String,
    /// Which rebalance protocol.
    pub protocol: GroupProtocol,
    /// How partitions move; only for the classic protocol.
    pub assignor: Assignor,
    /// Static membership, already expanded; empty for none.
    pub instance_id: String,
    /// How long the group waits for a silent member.
    pub session_timeout: Duration,
    /// Longest time between two polls, and for a rebalance.
    pub max_poll_interval: Duration,
    /// When to join.
    pub join: JoinWhen,
    /// How long after the last stream closed to leave.
    pub leave_after: Duration,
}

/// Which rebalance protocol the group speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members compute assignments.
    Classic,
    /// The broker computes assignments (KIP-848).
    Consumer,
}

/// How partitions move between members of a classic group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Only what moves is taken away.
    Cooperative,
    /// Everything is taken away and dealt out again.
    Eager,
}

/// Limits on what is held in the whole process.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    /// Live deliveries.
    pub records: u32,
    /// Payload bytes, waiting and in flight.
    pub bytes: u64,
    /// Live deliveries of a stream that does not say how many it wants.
    pub per_stream_records: u32,
    /// Bytes in flight of a stream that does not say how many it wants.
    pub per_stream_bytes: u64,
}

/// Limits per partition.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Unfinished records.
    pub records: u32,
}

/// Messages of a stream that does not say how it wants them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Records in one message.
    pub records: u32,
    /// Bytes in one message.
    pub bytes: u64,
    /// How long a message that is not full waits for more.
    pub linger: Duration,
}

/// Watching deliveries.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// A delivery unsettled for this long is taken back; zero for never.
    pub deadline: Duration,
    /// A delivery unsettled for this long is reported; zero for never.
    pub warn_unsettled_after: Duration,
}

/// Redelivery of failed records, and its end.
#[derive(Debug, Clone)]
pub struct Retry {
    /// How the delays grow.
    pub backoff: Backoff,
    /// How often a record may be tried; zero for ever.
    pub max_attempts: u32,
    /// What follows.
    pub then: WhenSpent,
    /// How often applications may die of a record that they have alone; zero for ever.
    pub crash_suspect_after: u32,
    /// How fast records may be given up without a person.
    pub tokens: TokenRate,
}

/// Records that are given up.
#[derive(Debug, Clone, Default)]
pub struct DeadLetter {
    /// The topic they are written to, or the template of its name; empty for none.
    pub topic: String,
}

/// When and how offsets are committed.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What finishes a record.
    pub mode: CommitMode,
    /// Shortest time between two commits that nothing hurries, `on_ack`.
    pub interval: Duration,
    /// Whether finished offsets above the committed one are stored beside it.
    pub metadata: bool,
    /// How long commits of a partition may fail before nothing new of it is delivered.
    pub staleness_max: Duration,
    /// Time between two commits, `on_delivery`.
    pub delivery_interval: Duration,
}

/// Time limits of endings.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// How long a revocation waits for live deliveries.
    pub revoke: Duration,
    /// How long the process may take to end.
    pub shutdown: Duration,
}

/// Sockets to listen on.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// Record streams open at once.
    pub streams_max: u32,
    /// User ids that may connect to the Unix socket; empty for everybody who can reach it.
    pub uids: Vec<u32>,
    /// The Unix socket of the application.
    pub app: Option<PathBuf>,
    /// The Unix socket of operators' commands.
    pub admin: Option<PathBuf>,
    /// The TCP address of the application.
    pub app_tcp: AppTcp,
    /// Probes and metrics.
    pub http: Option<SocketAddr>,
    /// The status page.
    pub status_page: Option<SocketAddr>,
}

/// The application's TCP listener. With an address, either a token file or `insecure` is set.
#[derive(Debug, Clone, Default)]
pub struct AppTcp {
    /// Where; `None` for no TCP.
    pub address: Option<SocketAddr>,
    /// File that holds the token every call must carry.
    pub token_file: Option<PathBuf>,
    /// Serve everybody who can connect.
    pub insecure: bool,
}

/// Log output.
#[derive(Debug, Clone)]
pub struct Log {
    /// Least severe lines that are written.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// And what recovers by itself.
    Warn,
    /// And changes of state.
    Info,
    /// And how decisions were made.
    Debug,
    /// And single records.
    Trace,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

impl Config {
    /// Whether nobody set this setting.
    #[must_use]
    pub fn is_default(&self, key: &str) -> bool {
        self.origins
            .get(key)
            .is_none_or(|origin| *origin == Origin::Default)
    }

    /// A place for the table to write into. Every field is overwritten before anybody sees it.
    pub(super) fn blank() -> Self {
        Self {
            kafka: Kafka::default(),
            group: Group {
                id: String::new(),
                protocol: GroupProtocol::Classic,
                assignor: Assignor::Cooperative,
                instance_id: String::new(),
                session_timeout: Duration::ZERO,
                max_poll_interval: Duration::ZERO,
                join: JoinWhen::OnStream,
                leave_after: Duration::ZERO,
            },
            topics: Vec::new(),
            topics_max: 0,
            topics_refresh: Duration::ZERO,
            start: StartPolicy::Stop,
            on_out_of_range: StartPolicy::Stop,
            order: Order::Partition,
            lane_depth: 0,
            in_flight: InFlight::default(),
            window: Window::default(),
            batch: Batch::default(),
            delivery: Delivery::default(),
            retry: Retry {
                backoff: Backoff {
                    initial: Duration::ZERO,
                    max: Duration::ZERO,
                    multiplier: 0.0,
                    jitter: 0.0,
                },
                max_attempts: 0,
                then: WhenSpent::Park,
                crash_suspect_after: 0,
                tokens: TokenRate {
                    burst: 0,
                    per_success: 0.0,
                    per_minute: 0.0,
                },
            },
            oversize: WhenOversize::Park,
            dead_letter: DeadLetter::default(),
            offset_store: OffsetStore::default(),
            per_topic: Vec::new(),
            commit: Commit {
                mode: CommitMode::OnAck,
                interval: Duration::ZERO,
                metadata: false,
                staleness_max: Duration::ZERO,
                delivery_interval: Duration::ZERO,
            },
            processing: Processing::default(),
            transactions: Transactions::default(),
            drain: Drain::default(),
            listen: Listen::default(),
            log: Log {
                level: LogLevel::Info,
                format: LogFormat::Json,
            },
            origins: BTreeMap::new(),
        }
    }
}

/// Such a broker does not tell its session timeout, and it may be as short as its administrator likes.
const DOUBT_AFTER_UNTOLD: Duration = Duration::from_secs(1);

impl Kafka {
    /// Whether the password can be read on the way to the brokers.
    #[must_use]
    pub fn sends_password_in_clear(&self) -> bool {
        self.sasl.mechanism == Some(SaslMechanism::Plain) && !self.tls.enabled
    }
}

impl Group {
    /// For how long this process may stand still before it must ask whether it is still a member. The last
    /// heartbeat may be a third of the session timeout old by then.
    pub(super) fn doubt_after(&self) -> Duration {
        match self.protocol {
            GroupProtocol::Classic => self.session_timeout / 2,
            GroupProtocol::Consumer => DOUBT_AFTER_UNTOLD,
        }
    }

    /// How the Kafka client of such a group takes assignments.
    #[must_use]
    pub fn assign_mode(&self) -> AssignMode {
        match (self.protocol, self.assignor) {
            (GroupProtocol::Classic, Assignor::Eager) => AssignMode::Whole,
            (GroupProtocol::Classic, Assignor::Cooperative) | (GroupProtocol::Consumer, _) => {
                AssignMode::Incremental
            }
        }
    }
}
