//! The metrics of the process, and those that each partition has.

use prometheus_client::registry::Unit;

use super::Kind::Gauge;
use super::{Labels, Metric, PARTITIONS_MAX, Read, Sample, Samples, Value, View};
use crate::core::{Blocked, Moment, PartitionStatus};

const PARTITION: &[&str] = &["topic", "partition"];

/// How the process stands.
pub(super) static PROCESS: &[Metric] = &[
    Metric {
        name: "build_info",
        kind: Gauge,
        unit: None,
        labels: &["version"],
        help: "Always 1; the version is a label",
        read: Read::All(|_, out| {
            level(
                out,
                vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
                1.0,
            )
        }),
    },
    gauge(
        "start_timestamp",
        Some(Unit::Seconds),
        "When the process started",
        |view| {
            Some(
                *view
                    .counts
                    .started
                    .get_or_init(|| view.unix_seconds(Moment(0))),
            )
        },
    ),
    gauge(
        "group_joined",
        None,
        "1 while a member of the group or about to be, else 0",
        |view| Some(switch(view.snapshot.status.joined)),
    ),
    gauge(
        "rebalancing",
        None,
        "1 while a rebalance waits for our answer, else 0",
        |view| Some(switch(view.snapshot.status.rebalancing)),
    ),
    gauge(
        "shutting_down",
        None,
        "1 while the process is ending, else 0",
        |view| Some(switch(view.snapshot.status.shutting_down)),
    ),
    gauge(
        "commits_stale",
        None,
        "Partitions of which nothing new is delivered, since their commits have failed for longer than `commit.staleness_max`",
        |view| Some(float(view.snapshot.status.stale_partitions)),
    ),
    gauge(
        "membership_doubtful",
        None,
        "1 while nothing is delivered because the process stood still for long, else 0",
        |view| Some(switch(view.snapshot.status.membership_doubtful)),
    ),
    gauge(
        "producer_fenced",
        None,
        "1 while another process holds the transactional id; absent without transactions",
        |view| {
            let transactions = view.snapshot.status.transactions.as_ref()?;
            Some(switch(transactions.fenced))
        },
    ),
    gauge(
        "transactions_failing",
        None,
        "1 while nothing is delivered because several transactions in a row had no effect; absent without transactions",
        |view| {
            let transactions = view.snapshot.status.transactions.as_ref()?;
            Some(switch(transactions.failing))
        },
    ),
    gauge(
        "outputs_waiting_bytes",
        None,
        "Bytes of outputs that wait for the next transaction; absent without transactions",
        |view| {
            let transactions = view.snapshot.status.transactions.as_ref()?;
            Some(float(transactions.waiting_bytes))
        },
    ),
    gauge(
        "last_commit_timestamp",
        Some(Unit::Seconds),
        "When a commit last succeeded; absent before the first",
        |view| {
            view.snapshot
                .status
                .last_commit
                .map(|at| view.unix_seconds(at))
        },
    ),
    gauge("streams", None, "Record streams open", |view| {
        Some(float(
            view.snapshot
                .status
                .streams
                .iter()
                .filter(|stream| stream.open)
                .count(),
        ))
    }),
    gauge(
        "in_flight_records",
        None,
        "Records delivered and not settled",
        |view| Some(f64::from(view.snapshot.status.live)),
    ),
    gauge(
        "oldest_delivery_timestamp",
        Some(Unit::Seconds),
        "When the oldest record in flight was delivered; absent if none is",
        |view| {
            let streams = view.snapshot.status.streams.iter();
            streams
                .filter_map(|stream| stream.oldest_for)
                .max()
                .map(|ago| view.unix_seconds_ago(ago))
        },
    ),
    gauge(
        "held",
        Some(Unit::Bytes),
        "Bytes of records held, waiting and in flight",
        |view| Some(float(view.snapshot.status.held_bytes)),
    ),
    gauge(
        "budget",
        Some(Unit::Bytes),
        "Bytes of records that may be held: `in_flight.bytes`",
        |view| Some(float(view.snapshot.status.budget_bytes)),
    ),
    gauge("partitions", None, "Partitions owned", |view| {
        Some(float(view.snapshot.status.partitions.len()))
    }),
];

/// What each partition has of its own.
pub(super) static PARTITIONS: &[Metric] = &[
    partition(
        "backlog_records",
        None,
        "Offsets from the watermark to the end of the log as last heard",
        |_, at| {
            let (end, watermark) = (at.end?, at.watermark?);
            Some(float(end.saturating_sub(watermark).max(0)))
        },
    ),
    partition(
        "partition_in_flight_records",
        None,
        "Records delivered and not settled",
        |_, at| Some(f64::from(at.live)),
    ),
    partition(
        "partition_unfinished_records",
        None,
        "Records taken in and not finished",
        |_, at| Some(float(at.unfinished)),
    ),
    partition(
        "partition_waiting_records",
        None,
        "Records that wait for their turn, their back-off or a stream",
        |_, at| Some(float(at.waiting)),
    ),
    partition(
        "partition_waiting",
        Some(Unit::Bytes),
        "Bytes of records that wait",
        |_, at| Some(float(at.waiting_bytes)),
    ),
    partition(
        "partition_aside_records",
        None,
        "Records set aside: parked, or on their way to the dead-letter topic",
        |_, at| Some(float(at.aside)),
    ),
    partition(
        "watermark_offset",
        None,
        "Lowest offset that is not finished",
        |_, at| at.watermark.map(float),
    ),
    partition(
        "frontier_offset",
        None,
        "Next offset to take in",
        |_, at| at.frontier.map(float),
    ),
    partition(
        "committed_offset",
        None,
        "Offset of the last commit",
        |_, at| at.committed.map(float),
    ),
    partition(
        "watermark_held_since_timestamp",
        Some(Unit::Seconds),
        "Since when the watermark stands; absent if nothing is unfinished",
        |view, at| (at.unfinished > 0).then(|| view.unix_seconds(at.watermark_since)),
    ),
    Metric {
        name: "blocked",
        kind: Gauge,
        unit: None,
        labels: &["topic", "partition", "reason"],
        help: "1 for a partition that does not advance for a reason other than its application",
        read: Read::All(|view, out| {
            for at in shown(view) {
                let Some(reason) = at.blocked.map(Blocked::label) else {
                    continue;
                };
                let mut labels = place(view, at);
                labels.push(("reason", reason.to_owned()));
                level(out, labels, 1.0);
            }
        }),
    },
];

/// A gauge of the process.
const fn gauge(
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    read: fn(&View<'_>) -> Option<f64>,
) -> Metric {
    Metric {
        name,
        kind: Gauge,
        unit,
        labels: &[],
        help,
        read: Read::Process(read),
    }
}

/// A gauge of each partition.
const fn partition(
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    read: fn(&View<'_>, &PartitionStatus) -> Option<f64>,
) -> Metric {
    Metric {
        name,
        kind: Gauge,
        unit,
        labels: PARTITION,
        help,
        read: Read::Partition(read),
    }
}

impl Read {
    /// The samples of a metric.
    pub(super) fn samples(self, view: &View<'_>) -> Samples {
        let mut out = Samples::new();
        match self {
            Self::Process(read) => {
                if let Some(value) = read(view) {
                    level(&mut out, vec![], value);
                }
            }
            Self::Totals(read) => read(&view.snapshot.status.counters, &mut out),
            Self::Partition(read) => {
                for at in shown(view) {
                    if let Some(value) = read(view, at) {
                        level(&mut out, place(view, at), value);
                    }
                }
            }
            Self::All(read) => read(view, &mut out),
        }
        out
    }
}

fn shown<'a>(view: &View<'a>) -> impl Iterator<Item = &'a PartitionStatus> {
    view.snapshot.status.partitions.iter().take(PARTITIONS_MAX)
}

fn place(view: &View<'_>, at: &PartitionStatus) -> Labels {
    let topic = view
        .topics
        .get(usize::from(at.partition.topic.0))
        .cloned()
        .unwrap_or_default();
    vec![
        ("topic", topic),
        ("partition", at.partition.partition.to_string()),
    ]
}

fn level(out: &mut Samples, labels: Labels, value: f64) {
    out.push(Sample {
        labels,
        value: Value::Level(value),
    });
}

pub(super) fn count(out: &mut Samples, labels: Labels, value: u64) {
    out.push(Sample {
        labels,
        value: Value::Count(value),
    });
}

fn switch(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

/// Metrics are floating point, exact to 2^53, which offsets and sizes do not reach.
fn float(number: impl TryInto<i64>) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact to 2^53, see above
    number.try_into().map_or(f64::MAX, |number| number as f64)
}
