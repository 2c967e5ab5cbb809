//! librdkafka's properties: which ones we set, and which ones a user may not.

/// Better defaults than librdkafka's. A user may set these.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "ackline"),
    // A queue that was full is looked at again soon; the default of a second leaves holes in the flow.
    ("fetch.queue.backoff.ms", "10"),
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

/// Better defaults of the producer of dead letters. A user may set these.
pub(super) const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    // As Java's producers choose, so that a key's dead letters lie together.
    ("partitioner", "murmur2_random"),
    // A record may have fitted into its topic only because it was compressed.
    ("compression.type", "zstd"),
    // How large a record may be is the dead-letter topic's to say.
    ("message.max.bytes", "1000000000"),
    // The limit on what is under way is our own: this one would refuse a large record for ever.
    ("queue.buffering.max.kbytes", "2000000"),
    // A topic that was made just now may be unknown for so long. Less than the time a record has, or it would
    // look as if no broker had answered.
    ("topic.metadata.propagation.max.ms", "10000"),
];

/// What the confirmation of a dead letter stands on. Set last, and refused by name when a user sets it.
pub(super) const PRODUCER_GUARANTEES: &[(&str, &str)] = &[
    // Every replica in sync has it.
    ("acks", "all"),
    // A request that is sent again writes nothing twice. The next three must fit it.
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("retries", "2147483647"),
    ("queuing.strategy", "fifo"),
    // One record that cannot be written does not end the producer.
    ("enable.gapless.guarantee", "false"),
    // After that the core is told, and decides anew.
    ("message.timeout.ms", "30000"),
    ("delivery.report.only.error", "false"),
    ("allow.auto.create.topics", "false"),
];

/// Properties of consumers, by how their names begin. librdkafka would warn of each.
const OF_CONSUMERS: &[&str] = &[
    "auto.commit.",
    "auto.offset.reset",
    "check.crcs",
    "consume.",
    "coordinator.query.interval.ms",
    "enable.auto.",
    "enable.partition.eof",
    "fetch.",
    "group.",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "offset.store.",
    "partition.assignment.strategy",
    "queued.",
    "session.timeout.ms",
];

/// Whether a producer knows the property.
pub(super) fn applies_to_producers(key: &str) -> bool {
    !OF_CONSUMERS.iter().any(|start| key.starts_with(start))
}

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
            // Other names of properties of the producer.
            "delivery.timeout.ms",
            "max.in.flight",
            "message.send.max.retries",
            "request.required.acks",
            // Would make its writes wait for a transaction to end.
            "transactional.id",
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
        "it is part of the memory formula, and `kafka.fetch_max_bytes` is what is to be set of it",
        &[
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
            "queued.max.messages.kbytes",
            "queued.min.messages",
        ],
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
    let mut owned = GUARANTEES.iter().chain(PRODUCER_GUARANTEES);
    if owned.any(|(owned, _)| *owned == key) {
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
