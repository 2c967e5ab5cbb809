//! librdkafka's properties: which ones we set, and which ones a user may not.

/// Better defaults than librdkafka's. A user may set these.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "ackline"),
    // A queue that was full is looked at again soon; the default of a second leaves holes in the flow.
    ("fetch.queue.backoff.ms", "10"),
    // One response is what a full queue is exceeded by, however many partitions there are: compressed, with small records,
    // it takes many times its size.
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.max.bytes", "1048576"),
    // A queue is full with so many records, too: each takes some 300 bytes besides its own.
    ("queued.min.messages", "50000"),
    // A connection that died without a word is noticed.
    ("socket.keepalive.enable", "true"),
    ("socket.timeout.ms", "15000"),
    // Brokers that moved are found again through the bootstrap servers.
    ("metadata.recovery.strategy", "rebootstrap"),
    ("broker.address.ttl", "1000"),
    // New partitions are found this soon.
    ("topic.metadata.refresh.interval.ms", "30000"),
    // Connections that a broker closes for being idle are no news.
    ("log.connection.close", "false"),
    // Nobody asked for the client's metrics to be sent to the broker.
    ("enable.metrics.push", "false"),
];

/// What the delivery guarantee stands on. Set last, and refused by name when a user sets it.
pub(super) const GUARANTEES: &[(&str, &str)] = &[
    // Commits are built from what was acknowledged, never from what was fetched.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // The client never moves a position by itself: not without a committed offset, not out of range,
    // not after a truncation.
    ("auto.offset.reset", "error"),
    // End-of-partition events would move the client's position past a record.
    ("enable.partition.eof", "false"),
    // A damaged batch is an error, not a record.
    ("check.crcs", "true"),
    ("allow.auto.create.topics", "false"),
];

/// Properties that a user may not set, by why.
const REFUSED: &[(&str, &[&str])] = &[
    (
        OWNED,
        &[
            "auto.commit.enable",
            "group.protocol.type",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
    ),
    (
        "it has a setting of its own under `group`",
        &[
            "group.id",
            "group.instance.id",
            "group.protocol",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "partition.assignment.strategy",
            "session.timeout.ms",
        ],
    ),
    (
        "it has a setting of its own under `kafka`",
        &["bootstrap.servers", "client.rack", "metadata.broker.list"],
    ),
    (
        "it has a setting of its own under `kafka.tls`",
        &[
            "security.protocol",
            "ssl.ca.location",
            "ssl.ca.pem",
            "ssl.certificate.location",
            "ssl.certificate.pem",
            "ssl.key.location",
            "ssl.key.pem",
            "ssl_ca",
            "ssl_certificate",
            "ssl_key",
        ],
    ),
    (
        "it has a setting of its own under `kafka.sasl`",
        &[
            "sasl.jaas.config",
            "sasl.mechanism",
            "sasl.mechanisms",
            "sasl.password",
            "sasl.username",
        ],
    ),
    (
        "it is part of the memory formula and has a setting of its own",
        &["queued.max.messages.kbytes"],
    ),
    (
        "it would run or load foreign code",
        &[
            "interceptors",
            "plugin.library.paths",
            "sasl.kerberos.kinit.cmd",
            "ssl.engine.id",
            "ssl.engine.location",
            "ssl.providers",
        ],
    ),
    (
        INTERNAL,
        &[
            "api.version.fallback.ms",
            "api.version.request",
            "broker.version.fallback",
            "consume.callback.max.messages",
            "default_topic_conf",
            "enabled_events",
            "internal.termination.signal",
            "log.queue",
            "opaque",
            "ssl_engine_callback_data",
        ],
    ),
    (
        "it has no effect here",
        &["auto.commit.interval.ms", "statistics.interval.ms"],
    ),
];

const OWNED: &str = "it carries the delivery guarantee";
const INTERNAL: &str = "it belongs to the code around the client";

/// Why a user may not set the librdkafka property `key`; `None` for one that may be set.
///
/// Names that librdkafka does not know, and values that it does not accept, are found when the client
/// is created.
#[must_use]
pub fn refused_property(key: &str) -> Option<&'static str> {
    let key = key.trim();
    if GUARANTEES.iter().any(|(owned, _)| *owned == key) {
        return Some(OWNED);
    }
    if key.ends_with("_cb") || key.starts_with("test.mock.") {
        return Some(INTERNAL);
    }
    REFUSED
        .iter()
        .find(|(_, keys)| keys.contains(&key))
        .map(|(reason, _)| *reason)
}
