//! What the Kafka client must be told, and how that becomes librdkafka's properties.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::ffi::Isolation;
use super::properties::{
    DEFAULTS, GUARANTEES, PRODUCER_DEFAULTS, PRODUCER_GUARANTEES, applies_to_producers,
};
use crate::core::AssignMode;

/// Members hear of a rebalance with their next heartbeat, which is most of the time that a hand-over takes
/// (`docs/kubernetes.md`). Most clients wait for 3 s.
const HEARTBEAT_MAX: Duration = Duration::from_secs(1);

/// Settings of one client. `config` has checked them; librdkafka checks what only it can.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// How the group hands out partitions.
    pub protocol: GroupProtocol,
    /// `group.instance.id`: the name of a static member.
    pub instance_id: Option<String>,
    /// After how long without heartbeats the group gives the member up. The broker's own setting
    /// counts with [`GroupProtocol::Consumer`].
    pub session_timeout: Duration,
    /// After how long without polls the member gives itself up; also the limit on rebalances.
    pub poll_interval_max: Duration,
    /// Encryption; `None` for plain text.
    pub tls: Option<Tls>,
    /// Authentication; `None` for none.
    pub sasl: Option<Sasl>,
    /// Where we are, for reading from a replica nearby.
    pub client_rack: Option<String>,
    /// How much is fetched ahead, over all partitions.
    pub fetch_queue_kilobytes: u32,
    /// The same in records: each takes some 300 bytes besides its own.
    pub fetch_queue_records: u32,
    /// Most bytes of one response of a broker, compressed as they are. One response of each broker is what a full queue
    /// is exceeded by: with small records, compressed, it takes a hundred times its size.
    pub fetch_max_bytes: u32,
    /// Further librdkafka properties. None of them is refused by [`super::refused_property`].
    pub properties: BTreeMap<String, String>,
}

/// How the group hands out partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The classic protocol with `cooperative-sticky`: partitions come and go one by one.
    ClassicCooperative,
    /// The classic protocol with `range` and `roundrobin`: each rebalance takes everything away.
    ClassicEager,
    /// KIP-848: the broker assigns. Needs Kafka 4.0 or newer.
    Consumer,
}

impl GroupProtocol {
    /// How assignments are handed to the client under this protocol.
    #[must_use]
    pub fn assign_mode(self) -> AssignMode {
        match self {
            Self::ClassicCooperative | Self::Consumer => AssignMode::Incremental,
            Self::ClassicEager => AssignMode::Whole,
        }
    }
}

/// TLS, with PEM files. librdkafka reads them when the client is created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who may have signed the brokers' certificates; `None` for the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, for mutual TLS.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// SASL with a user name and a password.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// The mechanism.
    pub mechanism: SaslMechanism,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// The SASL mechanisms we support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself; only sensible with TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

/// A text that is never shown, and wiped from memory when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Whoever asks keeps it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl ClientSettings {
    /// The settings as librdkafka's properties. Later ones override earlier ones: what carries a
    /// guarantee comes last, so that nothing can take it back.
    pub(super) fn to_properties(&self) -> Vec<(String, Zeroizing<String>)> {
        let mut list = PropertyList::default();
        for (key, value) in DEFAULTS {
            list.push(key, *value);
        }
        for (key, value) in &self.properties {
            list.push(key, value.as_str());
        }
        self.push_fetch(&mut list);
        self.push_brokers(&mut list);
        self.push_group(&mut list);
        self.push_security(&mut list);
        for (key, value) in GUARANTEES {
            list.push(key, *value);
        }
        list.0
    }

    /// The same for a producer: it reaches the same brokers in the same way.
    pub(super) fn to_producer_properties(&self) -> Vec<(String, Zeroizing<String>)> {
        let mut list = PropertyList::default();
        for (key, value) in DEFAULTS.iter().chain(PRODUCER_DEFAULTS) {
            if applies_to_producers(key) {
                list.push(key, *value);
            }
        }
        for (key, value) in &self.properties {
            if applies_to_producers(key) {
                list.push(key, value.as_str());
            }
        }
        self.push_brokers(&mut list);
        self.push_security(&mut list);
        for (key, value) in PRODUCER_GUARANTEES {
            list.push(key, *value);
        }
        list.0
    }

    fn push_brokers(&self, list: &mut PropertyList) {
        list.push("bootstrap.servers", self.brokers.join(","));
        if let Some(rack) = &self.client_rack {
            list.push("client.rack", rack.as_str());
        }
    }

    /// Which records count as part of the log, by the one such property a user may set.
    pub(super) fn isolation(&self) -> Isolation {
        match self.properties.get("isolation.level").map(String::as_str) {
            Some("read_uncommitted") => Isolation::ReadUncommitted,
            Some(_) | None => Isolation::ReadCommitted,
        }
    }

    fn push_fetch(&self, list: &mut PropertyList) {
        list.push(
            "queued.max.messages.kbytes",
            self.fetch_queue_kilobytes.to_string(),
        );
        list.push("queued.min.messages", self.fetch_queue_records.to_string());
        let bytes = self.fetch_max_bytes.to_string();
        list.push("fetch.max.bytes", bytes.clone());
        // Of one partition: as much.
        list.push("fetch.message.max.bytes", bytes.clone());
        // Of consumers it bounds nothing, but librdkafka wants no smaller responses than this.
        list.push("message.max.bytes", bytes);
    }

    fn push_group(&self, list: &mut PropertyList) {
        list.push("group.id", self.group.as_str());
        if let Some(instance) = &self.instance_id {
            list.push("group.instance.id", instance.as_str());
        }
        list.push(
            "max.poll.interval.ms",
            self.poll_interval_max.as_millis().to_string(),
        );
        let strategy = match self.protocol {
            // Session and heartbeats are the broker's business there; librdkafka refuses to start
            // with them.
            GroupProtocol::Consumer => {
                list.push("group.protocol", "consumer");
                return;
            }
            GroupProtocol::ClassicCooperative => "cooperative-sticky",
            GroupProtocol::ClassicEager => "range,roundrobin",
        };
        list.push("group.protocol", "classic");
        list.push("partition.assignment.strategy", strategy);
        let heartbeat = (self.session_timeout / 3).min(HEARTBEAT_MAX);
        list.push(
            "session.timeout.ms",
            self.session_timeout.as_millis().to_string(),
        );
        list.push("heartbeat.interval.ms", heartbeat.as_millis().to_string());
    }

    fn push_security(&self, list: &mut PropertyList) {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        };
        list.push("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            let files = [
                ("ssl.ca.location", &tls.ca_file),
                ("ssl.certificate.location", &tls.cert_file),
                ("ssl.key.location", &tls.key_file),
            ];
            for (key, file) in files {
                if let Some(file) = file {
                    list.push(key, file.to_string_lossy());
                }
            }
            if tls.ca_file.is_none() {
                // OpenSSL is built in, and would look for the system's authorities where it was built.
                list.push("ssl.ca.location", "probe");
            }
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            list.push("sasl.mechanism", mechanism);
            list.push("sasl.username", sasl.username.as_str());
            list.push("sasl.password", sasl.password.expose());
        }
    }
}

#[derive(Default)]
struct PropertyList(Vec<(String, Zeroizing<String>)>);

impl PropertyList {
    fn push(&mut self, key: &str, value: impl Into<String>) {
        self.0.push((key.to_owned(), Zeroizing::new(value.into())));
    }
}
