//! Settings about reaching Kafka, the group, the topics, and where reading starts.

use std::time::Duration;

use super::Preset::{Fixed, Required};
use super::{Section, Setting, choice};
use crate::config::kind::Kind;
use crate::config::model::{Assignor, GroupProtocol, SaslMechanism};
use crate::config::rules;
use crate::config::secret::FileUse;
use crate::config::topic_pattern::TOPIC_OR_PATTERN;
use crate::core::{JoinWhen, StartPolicy};

const BROKERS_MAX: usize = 100;
const TOPICS_MAX: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) static SECTIONS: &[Section] = &[
    Section {
        key: "kafka",
        doc: "How to reach Kafka.",
    },
    Section {
        key: "kafka.tls",
        doc: "Encryption of connections to brokers.",
    },
    Section {
        key: "kafka.sasl",
        doc: "Authentication to brokers.",
    },
    Section {
        key: "group",
        doc: "Membership in the consumer group.",
    },
];

pub(super) static SETTINGS: &[Setting] = &[
    Setting::new(
        "kafka.brokers",
        Kind::Names(rules::BROKER, BROKERS_MAX, |c| &mut c.kafka.brokers),
        Required,
        "Brokers to ask first, as `host:port`. One that answers is enough to find the others.",
    )
    .flag("brokers")
    .example("kafka-0:9092,kafka-1:9092"),
    Setting::new(
        "kafka.tls.enabled",
        Kind::Switch(|c| &mut c.kafka.tls.enabled),
        Fixed("false"),
        "Encrypt connections to brokers.",
    )
    .example("true"),
    Setting::new(
        "kafka.tls.ca_file",
        Kind::File(FileUse::Pem, |c| &mut c.kafka.tls.ca_file),
        Fixed(""),
        "PEM file of the certificate authorities to trust; without it, those of the system. Watched \
         for changes.",
    )
    .example("/etc/ackline/tls/ca.crt"),
    Setting::new(
        "kafka.tls.cert_file",
        Kind::File(FileUse::Pem, |c| &mut c.kafka.tls.cert_file),
        Fixed(""),
        "PEM file of the certificate that identifies us to brokers. Watched for changes.",
    )
    .example("/etc/ackline/tls/tls.crt"),
    Setting::new(
        "kafka.tls.key_file",
        Kind::File(FileUse::Pem, |c| &mut c.kafka.tls.key_file),
        Fixed(""),
        "PEM file of the private key of `kafka.tls.cert_file`. Watched for changes.",
    )
    .example("/etc/ackline/tls/tls.key"),
    Setting::new(
        "kafka.sasl.mechanism",
        Kind::Choice(&[
            choice!("", kafka.sasl.mechanism, None),
            choice!("PLAIN", kafka.sasl.mechanism, Some(SaslMechanism::Plain)),
            choice!("SCRAM-SHA-256", kafka.sasl.mechanism, Some(SaslMechanism::ScramSha256)),
            choice!("SCRAM-SHA-512", kafka.sasl.mechanism, Some(SaslMechanism::ScramSha512)),
        ]),
        Fixed(""),
        "How to authenticate to brokers with a user name and a password; none without it.",
    )
    .example("SCRAM-SHA-512"),
    Setting::new(
        "kafka.sasl.username_file",
        Kind::File(FileUse::Word, |c| &mut c.kafka.sasl.username_file),
        Fixed(""),
        "File that holds the user name. A line break at its end does not count. Watched for changes.",
    )
    .example("/etc/ackline/sasl/username"),
    Setting::new(
        "kafka.sasl.password_file",
        Kind::File(FileUse::Word, |c| &mut c.kafka.sasl.password_file),
        Fixed(""),
        "File that holds the password. A line break at its end does not count. Watched for changes.",
    )
    .example("/etc/ackline/sasl/password"),
    Setting::new(
        "kafka.client_rack",
        Kind::Text(rules::ANY_TEXT, |c| &mut c.kafka.client_rack),
        Fixed(""),
        "Rack or zone of this process, so that brokers offer the nearest replica to read from.",
    )
    .example("eu-central-1a"),
    Setting::new(
        "kafka.fetch_max_bytes",
        Kind::Size(1 << 14, 1 << 26, |c| &mut c.kafka.fetch_max_bytes),
        Fixed("128KiB"),
        "Most bytes that one response of a broker has, compressed as they are. More is faster where brokers are far away, \
         or send hundreds of megabytes a second; what it unpacks to has to fit into memory: see `config memory`.",
    )
    .example("1MiB"),
    Setting::new(
        "kafka.properties",
        Kind::Properties(|c| &mut c.kafka.properties),
        Fixed(""),
        "More properties of librdkafka. Those that carry a guarantee are refused by name. Entries of \
         file, variable and flags come together.",
    )
    .example("socket.timeout.ms=20000"),
    Setting::new(
        "group.id",
        Kind::Text(rules::SOME_TEXT, |c| &mut c.group.id),
        Required,
        "The consumer group to be a member of.",
    )
    .flag("group")
    .example("orders-service"),
    Setting::new(
        "group.protocol",
        Kind::Choice(&[
            choice!("classic", group.protocol, GroupProtocol::Classic),
            choice!("consumer", group.protocol, GroupProtocol::Consumer),
        ]),
        Fixed("classic"),
        "Rebalance protocol: `classic`, or `consumer` (KIP-848, brokers from 4.0), in which the \
         broker decides about assignments and timeouts.",
    )
    .example("consumer"),
    Setting::new(
        "group.assignor",
        Kind::Choice(&[
            choice!("cooperative", group.assignor, Assignor::Cooperative),
            choice!("eager", group.assignor, Assignor::Eager),
        ]),
        Fixed("cooperative"),
        "How partitions move in a `classic` group. `cooperative` takes away only what moves; `eager` \
         everything, for groups whose other members know nothing else.",
    )
    .example("eager"),
    Setting::new(
        "group.instance_id",
        Kind::Text(rules::ANY_TEXT, |c| &mut c.group.instance_id),
        Fixed(""),
        "Makes the member static: a restart within `group.session_timeout` moves no partition. Must \
         differ between members. `${NAME}` is replaced by the variable NAME; `${POD_NAME}` is stable \
         only in a StatefulSet.",
    )
    .flag("instance-id")
    .example("orders-0"),
    Setting::new(
        "group.session_timeout",
        Kind::Time(SECOND, HOUR, |c| &mut c.group.session_timeout),
        Fixed("45s"),
        "How long the group waits for a member that is not heard of before it gives its partitions \
         to others.",
    )
    .example("30s"),
    Setting::new(
        "group.max_poll_interval",
        Kind::Time(SECOND, DAY, |c| &mut c.group.max_poll_interval),
        Fixed("5m"),
        "How long the group waits in a rebalance for a member to give up its partitions. A slow \
         application never comes near it: polling does not wait for the application.",
    )
    .example("10m"),
    Setting::new(
        "group.join",
        Kind::Choice(&[
            choice!("on_stream", group.join, JoinWhen::OnStream),
            choice!("at_start", group.join, JoinWhen::AtStart),
        ]),
        Fixed("on_stream"),
        "When to join the group: when the first stream opens, or at the start of the process.",
    )
    .example("at_start"),
    Setting::new(
        "group.leave_after",
        Kind::Time(SECOND, DAY, |c| &mut c.group.leave_after),
        Fixed("6m"),
        "How long after the last stream closed the group is left. The default outlasts the longest \
         pause that Kubernetes makes before it starts a crashing container again (5 minutes).",
    )
    .example("30s"),
    Setting::new(
        "topics",
        Kind::Names(TOPIC_OR_PATTERN, TOPICS_MAX, |c| &mut c.topics),
        Required,
        "Topics to read. What begins with `^` is a regular expression, which stands for all topics whose whole \
         name it matches and that we may describe, now and later; not for topics of the brokers, nor for our own \
         dead-letter topics.",
    )
    .flag("topic")
    .example("orders,payments"),
    Setting::new(
        "topics_max",
        Kind::Count(1, 1000, |c| &mut c.topics_max),
        Fixed("100"),
        "How many topics are read at most, where `topics` holds patterns. Others are left out, and an error \
         says so.",
    )
    .example("10"),
    Setting::new(
        "topics_refresh",
        Kind::Time(Duration::from_secs(1), Duration::from_secs(86_400), |c| {
            &mut c.topics_refresh
        }),
        Fixed("1m"),
        "How often topics that match a pattern are looked for. A topic that came into being meanwhile is read \
         from its beginning, whatever `start` says.",
    )
    .example("10s"),
    Setting::new(
        "start",
        Kind::Choice(&[
            choice!("earliest", start, StartPolicy::Earliest),
            choice!("latest", start, StartPolicy::Latest),
            choice!("stop", start, StartPolicy::Stop),
        ]),
        Required,
        "Where to start in a partition without a committed offset: at its oldest record, after its \
         newest one, or not at all until somebody commits one. Has no default: `earliest` may repeat \
         years, `latest` may skip them.",
    )
    .flag("start")
    .example("earliest"),
    Setting::new(
        "on_out_of_range",
        Kind::Choice(&[
            choice!("stop", on_out_of_range, StartPolicy::Stop),
            choice!("earliest", on_out_of_range, StartPolicy::Earliest),
            choice!("latest", on_out_of_range, StartPolicy::Latest),
        ]),
        Fixed("stop"),
        "What to do when the log no longer holds the committed offset, because retention overtook us: \
         stop the partition, go on at its oldest record, or after its newest one. Skipped offsets are \
         counted and logged.",
    )
    .example("earliest"),
];
