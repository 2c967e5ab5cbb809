//! Settings about what is delivered, how much of it at once, and how it is committed.

use std::time::Duration;

use super::Preset::{Fixed, Follows};
use super::{Section, Setting, choice};
use crate::config::kind::Kind;
use crate::config::rules;
use crate::core::{CommitMode, Order, WhenOversize, WhenSpent};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const RECORDS_MAX: u32 = 10_000_000;
const ZERO: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) static SECTIONS: &[Section] = &[
    Section {
        key: "in_flight",
        doc: "Limits on what is held in the whole process.",
    },
    Section {
        key: "window",
        doc: "Limits per partition.",
    },
    Section {
        key: "batch",
        doc: "Messages of streams that do not say how they want them.",
    },
    Section {
        key: "delivery",
        doc: "How long deliveries may be unsettled.",
    },
    Section {
        key: "retry",
        doc: "Redelivery of failed records, and its end.",
    },
    Section {
        key: "retry.backoff",
        doc: "Delays before a failed record is delivered again.",
    },
    Section {
        key: "retry.tokens",
        doc: "How fast records of a topic may be given up without a person.",
    },
    Section {
        key: "dead_letter",
        doc: "Records that are given up.",
    },
    Section {
        key: "commit",
        doc: "When and how offsets are committed.",
    },
];

pub(super) static SETTINGS: &[Setting] = &[
    Setting::new(
        "order",
        Kind::Choice(&[
            choice!("partition", order, Order::Partition),
            choice!("key", order, Order::Key),
            choice!("none", order, Order::None),
        ]),
        Fixed("partition"),
        "Which records keep their order: those of a partition, those of a key (records without a key \
         keep none), or none.",
    )
    .flag("order")
    .per_topic()
    .example("key"),
    Setting::new(
        "lane_depth",
        Kind::Count(1, RECORDS_MAX, |c| &mut c.lane_depth),
        Follows {
            shown: "100 for `order: partition`, else 1",
            value: |config| match config.order {
                Order::Partition => "100",
                Order::Key | Order::None => "1",
            },
        },
        "How many records of one partition or one key may be in flight at once. With 1 a record is \
         delivered only after the one before it is finished.",
    )
    .per_topic()
    .example("10"),
    Setting::new(
        "in_flight.records",
        Kind::Count(1, RECORDS_MAX, |c| &mut c.in_flight.records),
        Fixed("1000"),
        "Records delivered and not yet settled, in the whole process.",
    )
    .example("5000"),
    Setting::new(
        "in_flight.bytes",
        Kind::Size(KIB, 64 * GIB, |c| &mut c.in_flight.bytes),
        Fixed("16MiB"),
        "Bytes of records held, waiting or in flight, in the whole process: the budget. `config \
         memory` shows what it means for the container.",
    )
    .example("64MiB"),
    Setting::new(
        "in_flight.per_stream_records",
        Kind::Count(1, RECORDS_MAX, |c| &mut c.in_flight.per_stream_records),
        Fixed("100"),
        "Records in flight on a stream that does not name a limit when it opens.",
    )
    .example("500"),
    Setting::new(
        "in_flight.per_stream_bytes",
        Kind::Size(KIB, 64 * GIB, |c| &mut c.in_flight.per_stream_bytes),
        Fixed("8MiB"),
        "Bytes in flight on a stream that does not name a limit when it opens.",
    )
    .example("4MiB"),
    Setting::new(
        "window.records",
        Kind::Count(1, RECORDS_MAX, |c| &mut c.window.records),
        Fixed("10000"),
        "Unfinished records of one partition. Bounds how far acknowledgements may run ahead of the \
         oldest unfinished record.",
    )
    .example("2000"),
    Setting::new(
        "batch.records",
        Kind::Count(1, 1_000_000, |c| &mut c.batch.records),
        Fixed("64"),
        "Records in one message of a stream that does not name a limit when it opens.",
    )
    .example("256"),
    Setting::new(
        "batch.bytes",
        Kind::Size(KIB, GIB, |c| &mut c.batch.bytes),
        Fixed("256KiB"),
        "Bytes in one message of a stream that does not name a limit when it opens. A larger record \
         travels alone.",
    )
    .example("1MiB"),
    Setting::new(
        "batch.linger",
        Kind::Time(ZERO, Duration::from_secs(60), |c| &mut c.batch.linger),
        Fixed("0s"),
        "How long a message that is not full waits for more records.",
    )
    .example("5ms"),
    Setting::new(
        "oversize",
        Kind::Choice(&[
            choice!("park", oversize, WhenOversize::Park),
            choice!("dead_letter", oversize, WhenOversize::DeadLetter),
        ]),
        Fixed("park"),
        "What becomes of a record that is larger than any open stream receives: its lane waits until a \
         stream opens that can, or it goes to the dead-letter topic.",
    )
    .per_topic()
    .example("dead_letter"),
    Setting::new(
        "delivery.deadline",
        Kind::Time(ZERO, DAY, |c| &mut c.delivery.deadline),
        Fixed("0s"),
        "A record unsettled for this long is taken back and delivered again; `0s` for never. Applications \
         can ask for more time. Counts as a failure for the oldest record of its stream.",
    )
    .per_topic()
    .example("5m"),
    Setting::new(
        "delivery.warn_unsettled_after",
        Kind::Time(ZERO, DAY, |c| &mut c.delivery.warn_unsettled_after),
        Fixed("1m"),
        "A record unsettled for this long is named once in the log; `0s` for never.",
    )
    .example("5m"),
    Setting::new(
        "retry.backoff.initial",
        Kind::Time(MILLISECOND, HOUR, |c| &mut c.retry.backoff.initial),
        Fixed("500ms"),
        "Delay after the first failure of a record. A released record stays away from the stream that \
         released it for as long.",
    )
    .per_topic()
    .example("100ms"),
    Setting::new(
        "retry.backoff.max",
        Kind::Time(MILLISECOND, DAY, |c| &mut c.retry.backoff.max),
        Fixed("1m"),
        "Longest delay, also of delays that the application asks for.",
    )
    .per_topic()
    .example("10m"),
    Setting::new(
        "retry.backoff.multiplier",
        Kind::Factor(1.0, 100.0, |c| &mut c.retry.backoff.multiplier),
        Fixed("2"),
        "How much longer each delay is than the one before.",
    )
    .per_topic()
    .example("1.5"),
    Setting::new(
        "retry.backoff.jitter",
        Kind::Factor(0.0, 1.0, |c| &mut c.retry.backoff.jitter),
        Fixed("0.2"),
        "Share of each delay that is random, so that records which failed together do not return \
         together.",
    )
    .per_topic()
    .example("0.5"),
    Setting::new(
        "retry.max_attempts",
        Kind::Count(0, 1_000_000, |c| &mut c.retry.max_attempts),
        Fixed("10"),
        "How often an application may fail at a record before `retry.then` follows; 0 for no limit. Deaths \
         of the application are counted apart.",
    )
    .per_topic()
    .example("5"),
    Setting::new(
        "retry.then",
        Kind::Choice(&[
            choice!("park", retry.then, WhenSpent::Park),
            choice!("dead_letter", retry.then, WhenSpent::DeadLetter),
            choice!("discard", retry.then, WhenSpent::Discard),
        ]),
        Fixed("park"),
        "What follows: the record stays, and its lane waits, until a person acts; it goes to the dead-letter \
         topic; or it is dropped. A parked record is delivered once more after a restart.",
    )
    .per_topic()
    .example("discard"),
    Setting::new(
        "retry.crash_suspect_after",
        Kind::Count(0, 1000, |c| &mut c.retry.crash_suspect_after),
        Fixed("3"),
        "How often an application may die while it holds nothing but one record before `retry.then` follows \
         for that record; 0 for no limit, and no suspicion.",
    )
    .per_topic()
    .example("5"),
    Setting::new(
        "retry.tokens.burst",
        Kind::Count(1, 1_000_000, |c| &mut c.retry.tokens.burst),
        Fixed("100"),
        "Records of a topic that may be given up at once. An application that is down fails everything, and \
         would empty its topic into the dead-letter topic: so giving a record up costs a token, and without \
         one it is tried on, at the longest delay.",
    )
    .per_topic()
    .example("10"),
    Setting::new(
        "retry.tokens.per_success",
        Kind::Factor(0.0, 1000.0, |c| &mut c.retry.tokens.per_success),
        Fixed("0.1"),
        "Tokens earned by each acknowledgement.",
    )
    .per_topic()
    .example("0.01"),
    Setting::new(
        "retry.tokens.per_minute",
        Kind::Factor(0.0, 1_000_000.0, |c| &mut c.retry.tokens.per_minute),
        Fixed("1"),
        "Tokens earned by each minute.",
    )
    .per_topic()
    .example("5"),
    Setting::new(
        "dead_letter.topic",
        Kind::Text(rules::DEAD_LETTER_TOPIC, |c| &mut c.dead_letter.topic),
        Fixed(""),
        "Topic for records that are given up; none without it. `{topic}` stands for the topic that a \
         record comes from: `{topic}.dlq` is one for each, a plain name one for all. It must exist, and \
         WRITE and DESCRIBE on it be given.",
    )
    .per_topic()
    .example("{topic}.dlq"),
    Setting::new(
        "per_topic",
        Kind::PerTopic(|c| &mut c.per_topic),
        Fixed(""),
        "Rules for some topics: `topics` (names, or regular expressions that begin with `^` and match whole \
         names) and what differs there of `order`, `lane_depth`, `oversize`, `delivery.deadline`, all of \
         `retry`, and `dead_letter.topic`. The first rule that matches a topic holds for it; what it does not \
         say is as for all topics.",
    )
    .example("[{topics: [orders], retry: {max_attempts: 3}}]"),
    Setting::new(
        "commit.mode",
        Kind::Choice(&[
            choice!("on_ack", commit.mode, CommitMode::OnAck),
            choice!("on_delivery", commit.mode, CommitMode::OnDelivery),
        ]),
        Fixed("on_ack"),
        "What finishes a record: its acknowledgement, or having been handed to the connection. With \
         `on_delivery`, which is Kafka's auto commit, a crash loses what was handed over and not \
         worked on.",
    )
    .example("on_delivery"),
    Setting::new(
        "commit.interval",
        Kind::Time(Duration::from_millis(10), HOUR, |c| &mut c.commit.interval),
        Fixed("1s"),
        "Shortest time between two commits that nothing hurries. A crash repeats what was \
         acknowledged since the last one.",
    )
    .example("500ms"),
    Setting::new(
        "commit.metadata",
        Kind::Switch(|c| &mut c.commit.metadata),
        Fixed("true"),
        "Store beside each offset which records above it are finished, so that a restart does not \
         repeat them. A partition in which that might run out of room takes nothing more in.",
    )
    .example("false"),
    Setting::new(
        "commit.staleness_max",
        Kind::Time(Duration::from_secs(1), DAY, |c| &mut c.commit.staleness_max),
        Fixed("1m"),
        "How long commits of a partition may fail before nothing new of it is delivered. \
         Acknowledgements are still taken.",
    )
    .example("2m"),
    Setting::new(
        "commit.delivery_interval",
        Kind::Time(Duration::from_millis(10), HOUR, |c| &mut c.commit.delivery_interval),
        Fixed("5s"),
        "Time between two commits with `commit.mode: on_delivery`.",
    )
    .example("10s"),
];
