//! Is everything settled, and what is not?

use std::fmt;

use serde_json::{Value, json};

use super::cluster::{Cluster, State};
use super::log::Log;
use super::member::{CLUSTER_ID, topic_id};
use crate::core::metadata::{self, Decoded, Expectation, FinishedRuns};
use crate::core::status::Counters;
use crate::core::{CommittedOffset, PartitionId};

/// Unsettled records that are named; the others are counted.
const NAMED_MAX: usize = 20;
/// Committed offsets that are shown to people.
const COMMITTED_SHOWN_MAX: usize = 12;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything was settled.
    Settled,
    /// Its time was up.
    TimedOut,
    /// It was told to, for this reason.
    Told(&'static str),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    ended: Ended,
    input_ended: bool,
    records: u64,
    delivered: u64,
    redelivered: u64,
    acknowledged: u64,
    retried: u64,
    released: u64,
    dead_lettered: u64,
    discarded: u64,
    stale: u64,
    unsettled: u64,
    named: Vec<Unsettled>,
    committed: Vec<(String, i32, i64)>,
    not_reached: Vec<String>,
}

/// A record that a restart would deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unsettled {
    topic: String,
    partition: i32,
    offset: i64,
    deliveries: u32,
}

impl Verdict {
    /// Looks at what is committed.
    #[must_use]
    pub fn of(cluster: &Cluster, counters: &Counters, ended: Ended) -> Self {
        let state = cluster.lock();
        let mut verdict = Self {
            ended,
            input_ended: state.has_input_ended(),
            records: state.records as u64,
            delivered: 0,
            redelivered: 0,
            acknowledged: counters.acknowledged,
            retried: counters.retried,
            released: counters.released,
            dead_lettered: counters.dead_lettered,
            discarded: counters.discarded,
            stale: counters.stale_settlements,
            unsettled: 0,
            named: Vec::new(),
            committed: Vec::new(),
            not_reached: Vec::new(),
        };
        for (partition, log) in &state.logs {
            verdict.add(&state, *partition, log);
        }
        let places = state.script.steps.iter().map(|step| step.place.to_string());
        verdict.not_reached = places.collect();
        verdict
    }

    /// Whether every record is settled, and no more could come.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0 && self.input_ended
    }

    fn add(&mut self, state: &State, partition: PartitionId, log: &Log) {
        let deliveries = log.deliveries_in_all();
        self.delivered += deliveries;
        self.redelivered += deliveries - log.delivered as u64;
        let topic = state.topic_name(partition);
        let (committed, finished) = match &log.committed {
            Some(committed) => {
                let place = (topic.to_owned(), partition.partition, committed.offset);
                self.committed.push(place);
                (
                    log.place_of(committed.offset),
                    marks(state, partition, committed),
                )
            }
            None => (0, FinishedRuns::default()),
        };
        for (place, record) in log.records.iter().enumerate().skip(committed) {
            if finished.contains(record.offset) {
                continue;
            }
            self.unsettled += 1;
            if self.named.len() < NAMED_MAX {
                self.named.push(Unsettled {
                    topic: topic.to_owned(),
                    partition: partition.partition,
                    offset: record.offset,
                    deliveries: log.deliveries(place),
                });
            }
        }
    }

    /// The verdict for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let unsettled = self.named.iter().map(|record| {
            json!({
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "deliveries": record.deliveries,
            })
        });
        let committed = self.committed.iter().map(|(topic, partition, offset)| {
            json!({"topic": topic, "partition": partition, "offset": offset})
        });
        json!({
            "settled": self.is_settled(),
            "ended": match self.ended {
                Ended::Settled => "settled",
                Ended::TimedOut => "timeout",
                Ended::Told(reason) => reason,
            },
            "input_ended": self.input_ended,
            "records": self.records,
            "delivered": self.delivered,
            "redelivered": self.redelivered,
            "acknowledged": self.acknowledged,
            "retried": self.retried,
            "released": self.released,
            "dead_lettered": self.dead_lettered,
            "discarded": self.discarded,
            "stale": self.stale,
            "unsettled": self.unsettled,
            "unsettled_records": unsettled.collect::<Vec<_>>(),
            "committed": committed.collect::<Vec<_>>(),
            "script_not_reached": self.not_reached,
        })
    }
}

/// What was finished above a committed offset, as the commit says.
fn marks(state: &State, partition: PartitionId, committed: &CommittedOffset) -> FinishedRuns {
    let topic = state.topic_name(partition);
    let expect = Expectation {
        cluster: Some(CLUSTER_ID),
        topic: Some(topic_id(partition.topic)),
        identity_hash: metadata::identity_hash(&state.shape.group, topic, partition.partition),
    };
    match metadata::decode(&committed.metadata, &expect, committed.offset) {
        Decoded::Ours { marks, .. } => marks.map(|marks| marks.finished).unwrap_or_default(),
        Decoded::Absent | Decoded::Ignored(_) | Decoded::MadeAgain => FinishedRuns::default(),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.ended {
            Ended::Settled => String::new(),
            Ended::TimedOut => ", the time was up".to_owned(),
            Ended::Told(reason) => format!(", ended by {reason}"),
        };
        match (self.unsettled, self.input_ended) {
            (0, true) => writeln!(f, "ackline fake: everything is settled{why}")?,
            (0, false) => writeln!(f, "ackline fake: the input has not ended{why}")?,
            (1, _) => writeln!(f, "ackline fake: 1 record is not settled{why}")?,
            (count, _) => writeln!(f, "ackline fake: {count} records are not settled{why}")?,
        }
        for record in &self.named {
            let Unsettled {
                topic,
                partition,
                offset,
                deliveries,
            } = record;
            let delivered = match deliveries {
                0 => "never delivered".to_owned(),
                1 => "delivered once".to_owned(),
                count => format!("delivered {count} times"),
            };
            writeln!(f, "  {topic}/{partition} offset {offset}, {delivered}")?;
        }
        let more = self.unsettled - self.named.len() as u64;
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        writeln!(
            f,
            "  records {}, delivered {}, of these again {}",
            self.records, self.delivered, self.redelivered
        )?;
        writeln!(
            f,
            "  acknowledged {}, retried {}, released {}, dead-lettered {}, discarded {}, refused as stale {}",
            self.acknowledged,
            self.retried,
            self.released,
            self.dead_lettered,
            self.discarded,
            self.stale
        )?;
        self.fmt_committed(f)?;
        for place in &self.not_reached {
            writeln!(f, "  the script's step at {place} was not reached")?;
        }
        Ok(())
    }
}

impl Verdict {
    fn fmt_committed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.committed.is_empty() {
            return writeln!(f, "  nothing was committed");
        }
        let shown = self.committed.iter().take(COMMITTED_SHOWN_MAX);
        let shown = shown.map(|(topic, partition, offset)| format!("{topic}/{partition} {offset}"));
        let shown: Vec<String> = shown.collect();
        let more = match self.committed.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more partitions"),
        };
        writeln!(f, "  committed {}{more}", shown.join(", "))
    }
}
