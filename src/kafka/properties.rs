//! librdkafka's properties: which ones we set, and which ones a user may not.

/// Better defaults than librdkafka's. A user may set these.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "ackline"),
    // A queue that was full is looked at again soon; the default of a second leaves holes in the flow.
    ("fetch.queue.backoff.ms", "10"),
    // One fetch of a partition is what a full queue is exceeded by.
    ("fetch.message.max.bytes", "1048576"),
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

const OWNED: &str = "it carries the delivery guarantee";
const GROUP: &str = "it has a setting of its own under `group`";
const KAFKA: &str = "it has a setting of its own under `kafka`";
const TLS: &str = "it has a setting of its own under `kafka.tls`";
const SASL: &str = "it has a setting of its own under `kafka.sasl`";
const QUEUE: &str = "it is part of the memory formula and has a setting of its own";
const CODE: &str = "it would run or load foreign code";
const INTERNAL: &str = "it belongs to the code around the client";
const PRODUCER: &str = "it is for producers";
const NO_EFFECT: &str = "it has no effect here";

/// Why a user may not set the librdkafka property `key`; `None` for one that may be set.
///
/// Names that librdkafka does not know are not this function's business: creating the client says
/// so.
#[must_use]
pub fn refused_property(key: &str) -> Option<&'static str> {
    let key = key.trim();
    if GUARANTEES.iter().any(|(owned, _)| *owned == key) {
        return Some(OWNED);
    }
    match key {
        "auto.commit.enable"
        | "offset.store.method"
        | "offset.store.path"
        | "offset.store.sync.interval.ms"
        | "group.protocol.type" => Some(OWNED),
        "group.id"
        | "group.protocol"
        | "group.instance.id"
        | "partition.assignment.strategy"
        | "session.timeout.ms"
        | "heartbeat.interval.ms"
        | "max.poll.interval.ms" => Some(GROUP),
        "bootstrap.servers" | "metadata.broker.list" | "client.rack" => Some(KAFKA),
        "security.protocol"
        | "ssl.ca.location"
        | "ssl.ca.pem"
        | "ssl.ca"
        | "ssl.certificate.location"
        | "ssl.certificate.pem"
        | "ssl_certificate"
        | "ssl.key.location"
        | "ssl.key.pem"
        | "ssl_key"
        | "ssl_ca"
        | "ssl.certificate"
        | "ssl.key" => Some(TLS),
        "sasl.mechanism" | "sasl.mechanisms" | "sasl.username" | "sasl.password"
        | "sasl.jaas.config" => Some(SASL),
        "queued.max.messages.kbytes" => Some(QUEUE),
        "plugin.library.paths"
        | "ssl.engine.location"
        | "ssl.engine.id"
        | "ssl.providers"
        | "sasl.kerberos.kinit.cmd"
        | "interceptors" => Some(CODE),
        "log.queue"
        | "enabled_events"
        | "opaque"
        | "default_topic_conf"
        | "ssl_engine_callback_data"
        | "ssl.engine.callback.data"
        | "consume.callback.max.messages"
        | "internal.termination.signal"
        | "api.version.request"
        | "broker.version.fallback"
        | "api.version.fallback.ms" => Some(INTERNAL),
        "auto.commit.interval.ms" | "statistics.interval.ms" => Some(NO_EFFECT),
        "enable.idempotence"
        | "transactional.id"
        | "transaction.timeout.ms"
        | "enable.gapless.guarantee"
        | "acks"
        | "request.required.acks"
        | "linger.ms"
        | "queue.buffering.max.ms"
        | "queue.buffering.max.messages"
        | "queue.buffering.max.kbytes"
        | "batch.size"
        | "batch.num.messages"
        | "compression.codec"
        | "compression.type"
        | "compression.level"
        | "message.timeout.ms"
        | "delivery.timeout.ms"
        | "partitioner"
        | "retries"
        | "message.send.max.retries"
        | "delivery.report.only.error"
        | "queuing.strategy"
        | "sticky.partitioning.linger.ms"
        | "queue.buffering.backpressure.threshold" => Some(PRODUCER),
        _ if key.ends_with("_cb") || key.starts_with("test.mock.") => Some(INTERNAL),
        _ => None,
    }
}
