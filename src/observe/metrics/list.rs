//! The list of all metrics.

use prometheus_client::registry::Unit;

use super::Kind::{Counter, Gauge};
use super::{Labels, Metric, PARTITIONS_MAX, Read, Sample, Samples, Value, View};
use crate::core::status::Counters;
use crate::core::{Blocked, Moment, PartitionStatus};

const PARTITION: &[&str] = &["topic", "partition"];

/// Every metric: first the process, then its totals, then its partitions.
pub(super) static METRICS: &[Metric] = &[
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
        |view| Some(view.unix_seconds(Moment(0))),
    ),
    gauge(
        "group_joined",
        None,
        "1 while a member of the group, else 0",
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
        "Partitions of which nothing new is delivered, since their commits have failed for longer than          `commit.staleness_max`",
        |view| Some(float(view.snapshot.status.stale_partitions)),
    ),
    gauge(
        "membership_doubtful",
        None,
        "1 while nothing is delivered because the process stood still for long, else 0",
        |view| Some(switch(view.snapshot.status.membership_doubtful)),
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
    counter(
        "records_taken_in",
        &[],
        "Records taken in from brokers",
        |counters, out| {
            count(out, vec![], counters.taken_in);
        },
    ),
    counter(
        "records_restored",
        &[],
        "Records not delivered because commit metadata says that they were finished before",
        |counters, out| count(out, vec![], counters.restored),
    ),
    counter(
        "records_foreign",
        &[],
        "Records passed over because they were sent back for another group only",
        |counters, out| count(out, vec![], counters.foreign),
    ),
    counter(
        "records_delivered",
        &[],
        "Deliveries to streams",
        |counters, out| {
            count(out, vec![], counters.delivered);
        },
    ),
    counter(
        "records_redelivered",
        &[],
        "Deliveries that were not the first of their record in its assignment",
        |counters, out| count(out, vec![], counters.redelivered),
    ),
    counter(
        "records_finished",
        &[],
        "Records finished",
        |counters, out| {
            count(out, vec![], counters.finished);
        },
    ),
    counter(
        "settlements",
        &["outcome"],
        "Deliveries settled by applications",
        |counters, out| {
            by(
                out,
                "outcome",
                &[
                    ("ack", counters.acknowledged),
                    ("retry", counters.retried),
                    ("release", counters.released),
                    ("dead_letter", counters.dead_letters_asked),
                ],
            );
        },
    ),
    counter(
        "records_discarded",
        &[],
        "Records dropped, by rule or because an application or an operator said so",
        |counters, out| count(out, vec![], counters.discarded),
    ),
    counter(
        "dead_letters",
        &["result"],
        "Records that their dead-letter topic has (`written`), and tries that failed (`failed`)",
        |counters, out| {
            by(
                out,
                "result",
                &[
                    ("written", counters.dead_lettered),
                    ("failed", counters.dead_letters_failed),
                ],
            );
        },
    ),
    counter(
        "records_parked",
        &[],
        "Records parked, each time they are",
        |counters, out| count(out, vec![], counters.parked),
    ),
    counter(
        "records_suspected",
        &[],
        "Records that applications held when they died, each time they did",
        |counters, out| count(out, vec![], counters.suspected),
    ),
    counter(
        "deaths_attributed",
        &[],
        "Deaths of applications that held one record alone",
        |counters, out| count(out, vec![], counters.died_of),
    ),
    counter(
        "settlements_refused",
        &["reason"],
        "Stretches of ids refused: `stale` were taken back before, `conflict` are finished with \
         another outcome, `unknown` were never issued",
        |counters, out| {
            by(
                out,
                "reason",
                &[
                    ("stale", counters.stale_settlements),
                    ("conflict", counters.conflicting_settlements),
                    ("unknown", counters.unknown_settlements),
                ],
            );
        },
    ),
    counter(
        "redeliveries",
        &["reason"],
        "Deliveries that ended unfinished, so that their records come again, here or at the next \
         owner of the partition",
        |counters, out| {
            by(
                out,
                "reason",
                &[
                    ("retry", counters.retried),
                    ("release", counters.released),
                    ("deadline", counters.withdrawn_deadline),
                    ("earlier_retry", counters.withdrawn_earlier_retry),
                    ("stream_ended", counters.withdrawn_stream_ended),
                    ("revoked", counters.withdrawn_revoked),
                    ("lost", counters.withdrawn_lost),
                    ("repositioned", counters.withdrawn_repositioned),
                ],
            );
        },
    ),
    counter(
        "commits",
        &[],
        "Commit requests that succeeded",
        |counters, out| {
            count(out, vec![], counters.commits);
        },
    ),
    counter(
        "marks_dropped",
        &[],
        "Commits whose finished records above the offset did not fit into the metadata",
        |counters, out| count(out, vec![], counters.marks_dropped),
    ),
    counter(
        "rebalances",
        &["kind"],
        "Rebalance events",
        |counters, out| {
            by(
                out,
                "kind",
                &[
                    ("assigned", counters.rebalances_assigned),
                    ("revoked", counters.rebalances_revoked),
                    ("lost", counters.rebalances_lost),
                ],
            );
        },
    ),
    Metric {
        name: "commit_failures",
        kind: Counter,
        unit: None,
        labels: &["class"],
        help: "Partitions of commit requests that failed",
        read: Read::All(|view, out| {
            for (class, value) in &view.counts.commit_failures {
                count(out, vec![("class", (*class).to_owned())], *value);
            }
        }),
    },
    Metric {
        name: "offsets_skipped",
        kind: Counter,
        unit: None,
        labels: &["topic", "reason"],
        help: "Offsets passed over without delivery",
        read: Read::All(|view, out| {
            for ((topic, reason), value) in &view.counts.offsets_skipped {
                let topic = view
                    .topics
                    .get(usize::from(topic.0))
                    .cloned()
                    .unwrap_or_default();
                count(
                    out,
                    vec![("topic", topic), ("reason", (*reason).to_owned())],
                    *value,
                );
            }
        }),
    },
    Metric {
        name: "refused",
        kind: Counter,
        unit: None,
        labels: &["reason"],
        help: "Applications turned away",
        read: Read::All(|view, out| {
            for (reason, value) in &view.counts.refused {
                count(out, vec![("reason", (*reason).to_owned())], *value);
            }
        }),
    },
    Metric {
        name: "events",
        kind: Counter,
        unit: None,
        labels: &["event"],
        help: "Events, by the name that their log lines carry",
        read: Read::All(|view, out| {
            for (event, value) in &view.counts.events {
                count(out, vec![("event", (*event).to_owned())], *value);
            }
        }),
    },
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

/// A total that the core keeps.
const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Counters, &mut Samples),
) -> Metric {
    Metric {
        name,
        kind: Counter,
        unit: None,
        labels,
        help,
        read: Read::Totals(read),
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

fn count(out: &mut Samples, labels: Labels, value: u64) {
    out.push(Sample {
        labels,
        value: Value::Count(value),
    });
}

fn by(out: &mut Samples, label: &'static str, values: &[(&str, u64)]) {
    for (word, value) in values {
        count(out, vec![(label, (*word).to_owned())], *value);
    }
}

fn switch(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

/// Metrics are floating point, exact to 2^53, which offsets and sizes do not reach.
fn float(number: impl TryInto<i64>) -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact to 2^53, see above
    number.try_into().map_or(f64::MAX, |number| number as f64)
}
