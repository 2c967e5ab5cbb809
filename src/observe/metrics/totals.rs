//! What is counted since the start.

use super::Kind::Counter;
use super::list::count;
use super::{Metric, Read, Samples};
use crate::core::status::Counters;

/// Totals of the process.
pub(super) static TOTALS: &[Metric] = &[
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
        "Records to be delivered alone because applications died that held them, each time one does",
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
                    ("aborted", counters.withdrawn_aborted),
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
        "transactions",
        &["result"],
        "Transactions, with `processing: transactional`: `unknown` are those of which it was not known how they ended, \
         before another producer settled them",
        |counters, out| {
            by(
                out,
                "result",
                &[
                    ("committed", counters.transactions_committed),
                    ("aborted", counters.transactions_aborted),
                    ("unknown", counters.transactions_unknown),
                ],
            );
        },
    ),
    counter(
        "outputs",
        &[],
        "Records that applications returned and that are committed",
        |counters, out| count(out, vec![], counters.outputs_written),
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
];

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

fn by(out: &mut Samples, label: &'static str, values: &[(&str, u64)]) {
    for (word, value) in values {
        count(out, vec![(label, (*word).to_owned())], *value);
    }
}
