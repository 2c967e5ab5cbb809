//! The end: what the broker says was committed, against what the ledger says was acknowledged.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::cluster::{GROUP, PARTITIONS, TOPIC};
use super::ledger::{Ledger, Totals};

/// How long the broker may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Offsets of one partition, as the broker has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offsets {
    partition: i32,
    committed: i64,
    end: i64,
}

/// Everything that the end is judged by.
#[derive(Debug)]
pub(super) struct Summary {
    elapsed: Duration,
    totals: Totals,
    offsets: Vec<Offsets>,
    /// Records below a committed offset that nobody acknowledged. Unknown with a client of the user's.
    lost: Option<u64>,
    /// Whether the application was given the time to acknowledge everything.
    complete: bool,
}

impl Summary {
    /// Asks the broker. Waits for its answers.
    pub(super) fn make(
        brokers: &str,
        ledger: &Ledger,
        elapsed: Duration,
        own_application: bool,
        complete: bool,
    ) -> anyhow::Result<Self> {
        let offsets = read_offsets(brokers).context("could not read offsets from the broker")?;
        let lost = |of: &Offsets| ledger.unacknowledged_below(of.partition, of.committed);
        Ok(Self {
            elapsed,
            totals: ledger.totals(),
            lost: own_application.then(|| offsets.iter().map(lost).sum()),
            offsets,
            complete,
        })
    }

    fn committed(&self) -> i64 {
        self.offsets.iter().map(|of| of.committed).sum()
    }

    /// What is not as promised.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let totals = &self.totals;
        let mut mistakes = Vec::new();
        let mut must = |holds: bool, mistake: String| {
            if !holds {
                mistakes.push(mistake);
            }
        };
        let Some(lost) = self.lost else {
            return mistakes;
        };
        must(
            lost == 0,
            format!("{lost} records were committed and never acknowledged"),
        );
        must(
            totals.out_of_order == 0,
            format!("{} records were out of order", totals.out_of_order),
        );
        must(
            totals.not_produced == 0,
            format!("{} records were not produced", totals.not_produced),
        );
        if self.complete {
            must(
                totals.acknowledged == totals.produced,
                format!(
                    "{} of {} records were acknowledged",
                    totals.acknowledged, totals.produced
                ),
            );
            for of in self.offsets.iter().filter(|of| of.committed != of.end) {
                mistakes.push(format!(
                    "partition {} is committed at {}, and its log ends at {}",
                    of.partition, of.committed, of.end
                ));
            }
        }
        mistakes
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "\nackline demo, {seconds:.1} s, {PARTITIONS} partitions\n"
        )?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, count: u64, words: &str| {
            writeln!(
                f,
                "{}",
                format!("  {name:<14}{count:>8}   {words}").trim_end()
            )
        };
        let committed = u64::try_from(self.committed()).unwrap_or(0);
        line(f, "produced", totals.produced, "records in the log")?;
        let Some(lost) = self.lost else {
            line(
                f,
                "committed",
                committed,
                "acknowledged by your client, in order without gaps",
            )?;
            let left = totals.produced.saturating_sub(committed);
            return line(f, "left", left, "would be delivered again after a restart");
        };
        line(f, "delivered", totals.delivered, "to the application")?;
        line(f, "redelivered", totals.redelivered, "of these came again")?;
        line(
            f,
            "acknowledged",
            totals.acknowledged,
            "records, each accepted by the sidecar",
        )?;
        line(
            f,
            "committed",
            committed,
            "records lie below the offsets that the broker holds",
        )?;
        line(
            f,
            "lost",
            lost,
            "committed without having been acknowledged",
        )?;
        line(
            f,
            "out of order",
            totals.out_of_order,
            "acknowledged before an earlier one of its key",
        )?;
        let verdict = if !self.mistakes().is_empty() {
            return Ok(());
        } else if self.complete {
            "Every record was acknowledged; the committed offsets are the ends of the logs."
        } else {
            "Cut short: what was not acknowledged was not committed, and would come again."
        };
        writeln!(f, "\n{verdict}")
    }
}

/// A client of its own, so that nothing the sidecar believes is taken for granted.
fn read_offsets(brokers: &str) -> anyhow::Result<Vec<Offsets>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", GROUP)
        .set("log_level", "0")
        .create()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(TOPIC, 0, PARTITIONS - 1);
    let committed = consumer.committed_offsets(asked, ANSWER_WITHIN)?;
    (0..PARTITIONS)
        .map(|partition| {
            let (_, end) = consumer.fetch_watermarks(TOPIC, partition, ANSWER_WITHIN)?;
            let found = committed.find_partition(TOPIC, partition);
            let committed = match found.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => offset,
                // Nothing was committed for it.
                _ => 0,
            };
            Ok(Offsets {
                partition,
                committed,
                end,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(committed: i64, complete: bool) -> Summary {
        Summary {
            elapsed: Duration::from_secs(4),
            totals: Totals {
                produced: 10,
                delivered: 12,
                redelivered: 2,
                acknowledged: 10,
                ..Totals::default()
            },
            offsets: vec![Offsets {
                partition: 3,
                committed,
                end: 10,
            }],
            lost: Some(0),
            complete,
        }
    }

    #[test]
    fn all_is_well_when_everything_is_committed() {
        let summary = summary(10, true);
        assert_eq!(summary.mistakes(), Vec::<String>::new());
        assert!(summary.to_string().contains("  lost                 0"));
    }

    #[test]
    fn a_commit_below_the_end_is_a_mistake_unless_cut_short() {
        assert_eq!(
            summary(9, true).mistakes(),
            ["partition 3 is committed at 9, and its log ends at 10"]
        );
        assert!(summary(9, false).mistakes().is_empty());
    }

    #[test]
    fn a_lost_record_is_a_mistake_in_any_case() {
        let lossy = Summary {
            lost: Some(1),
            ..summary(9, false)
        };
        assert_eq!(lossy.mistakes().len(), 1);
        assert!(!lossy.to_string().contains("Cut short"));
    }
}
