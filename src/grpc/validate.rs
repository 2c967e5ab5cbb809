//! Requests as the core takes them, or a refusal that says what to change.
//!
//! Absent fields take their defaults. Zero is refused where it would stop a stream, and so is
//! everything whose meaning the sidecar does not know: guessing could lose records.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Terms, checkpoint, proto, wire};
use crate::core::{
    CommittedOffset, Extend, FlowChange, IdRange, Outcome, Positions, Settlement, StreamOpen,
    TopicIndex,
};
use crate::record::Output;

/// Smallest `max_message_bytes`: every message besides records fits into it.
pub const MESSAGE_BYTES_MIN: u32 = 16_384;

/// `max_message_bytes` of a client that says nothing: the default of the gRPC libraries.
pub const MESSAGE_BYTES_DEFAULT: u32 = 4 << 20;

/// Longest client name kept, in bytes.
pub const CLIENT_BYTES_MAX: usize = 128;

/// Longest reason of a settlement kept, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// Most topics in one `open`.
pub const TOPICS_MAX: usize = 1000;

/// Longest `batch_linger`.
pub const LINGER_MAX: Duration = Duration::from_secs(10);

/// Longest `keep_after_close`.
pub const KEEP_AFTER_CLOSE_MAX: Duration = Duration::from_secs(600);

/// Longest `by` of an extension.
pub const EXTEND_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest `retry_delay`.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// A field that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Name of the field, as in the `.proto`.
    pub field: &'static str,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl Invalid {
    pub(super) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

/// What a stream asks for, with defaults filled in and limits lowered to those of the process.
pub fn open(open: &proto::Open, topics: &[String], terms: &Terms) -> Result<StreamOpen, Invalid> {
    let message_bytes = limit(
        "max_message_bytes",
        open.max_message_bytes,
        MESSAGE_BYTES_DEFAULT,
    )?;
    if message_bytes < MESSAGE_BYTES_MIN {
        return Err(Invalid::new(
            "max_message_bytes",
            format!(
                "{message_bytes} is below {MESSAGE_BYTES_MIN}; raise it, or leave it out for {MESSAGE_BYTES_DEFAULT}"
            ),
        ));
    }
    let in_flight_records = limit(
        "max_in_flight_records",
        open.max_in_flight_records,
        terms.in_flight_records,
    )?;
    let in_flight_bytes = limit(
        "max_in_flight_bytes",
        open.max_in_flight_bytes,
        terms.in_flight_bytes,
    )?;
    let batch_bytes = limit("max_batch_bytes", open.max_batch_bytes, terms.batch_bytes)?;
    let wants = notices(&open.notices)?;
    let keep_after_close = duration(
        "keep_after_close",
        open.keep_after_close.as_ref(),
        KEEP_AFTER_CLOSE_MAX,
    )?
    .unwrap_or_default();
    if terms.positions == Positions::Application {
        fit_to_keep_positions(&wants, keep_after_close)?;
    }
    Ok(StreamOpen {
        client: printable(&open.client, CLIENT_BYTES_MAX),
        topics: wanted_topics(&open.topics, topics)?,
        in_flight_records_max: in_flight_records.min(terms.in_flight_records_max),
        in_flight_bytes_max: in_flight_bytes.min(terms.in_flight_bytes_max),
        // The core adds up records; what a frame takes besides them is set aside here.
        message_bytes_max: u64::from(message_bytes - wire::HEAD_MAX),
        batch_records_max: limit(
            "max_batch_records",
            open.max_batch_records,
            terms.batch_records,
        )?,
        batch_bytes_max: u64::from(batch_bytes),
        batch_linger: duration("batch_linger", open.batch_linger.as_ref(), LINGER_MAX)?
            .unwrap_or(terms.batch_linger),
        keep_after_close,
        notice_partitions: wants.contains(&proto::Notice::Partitions),
        notice_committed: wants.contains(&proto::Notice::Committed),
        notice_caught_up: wants.contains(&proto::Notice::CaughtUp),
    })
}

/// Whether a stream can do its part if its application keeps the positions.
fn fit_to_keep_positions(
    wants: &[proto::Notice],
    keep_after_close: Duration,
) -> Result<(), Invalid> {
    if !wants.contains(&proto::Notice::Partitions) {
        return Err(Invalid::new(
            "notices",
            "must contain NOTICE_PARTITIONS: this sidecar (`offset_store.kind: application`) asks the stream where its partitions start",
        ));
    }
    if !keep_after_close.is_zero() {
        return Err(Invalid::new(
            "keep_after_close",
            "must be left out: this sidecar (`offset_store.kind: application`) asks anew where partitions start as soon as their stream ends",
        ));
    }
    Ok(())
}

/// The position at which a partition starts, as an application says; `None` if it has none.
pub fn position(start: &proto::StartAt) -> Result<Option<CommittedOffset>, Invalid> {
    Ok(match (start.offset, &start.checkpoint[..]) {
        (Some(_), [_, ..]) => {
            return Err(Invalid::new(
                "checkpoint",
                "goes without `offset`; leave one of them out",
            ));
        }
        (Some(offset), []) if offset < 0 => {
            return Err(Invalid::new(
                "offset",
                format!("{offset} is below 0; leave it out if there is no position"),
            ));
        }
        (Some(offset), []) => Some(CommittedOffset {
            offset,
            leader_epoch: None,
            metadata: Vec::new(),
        }),
        (None, []) => None,
        (None, checkpoint) => {
            let read = checkpoint::decode(checkpoint);
            Some(read.map_err(|problem| Invalid::new("checkpoint", problem))?)
        }
    })
}

/// New limits of an open stream.
pub fn flow(flow: &proto::SetFlow, terms: &Terms) -> Result<FlowChange, Invalid> {
    let records = limit(
        "max_in_flight_records",
        flow.max_in_flight_records,
        u32::MAX,
    )?;
    let bytes = limit("max_in_flight_bytes", flow.max_in_flight_bytes, u64::MAX)?;
    Ok(FlowChange {
        paused: flow.paused,
        in_flight_records_max: flow
            .max_in_flight_records
            .map(|_| records.min(terms.in_flight_records_max)),
        in_flight_bytes_max: flow
            .max_in_flight_bytes
            .map(|_| bytes.min(terms.in_flight_bytes_max)),
    })
}

/// A settlement. How many ids a request names was checked before it was decoded.
pub fn settlement(settlement: &proto::Settlement, terms: &Terms) -> Result<Settlement, Invalid> {
    let retry_delay = settlement.retry_delay.as_ref();
    let delay = duration("retry_delay", retry_delay, RETRY_DELAY_MAX)?;
    let outcome = match proto::Outcome::try_from(settlement.outcome) {
        Ok(proto::Outcome::Ack) => Outcome::Ack,
        Ok(proto::Outcome::Retry) => Outcome::Retry { delay },
        Ok(proto::Outcome::Release) => Outcome::Release,
        Ok(proto::Outcome::Discard) => Outcome::Discard,
        Ok(proto::Outcome::DeadLetter) if terms.dead_letters => Outcome::DeadLetter,
        Ok(proto::Outcome::DeadLetter) => {
            return Err(Invalid::new(
                "outcome",
                "OUTCOME_DEAD_LETTER needs a dead-letter topic; set `dead_letter.topic` of the sidecar",
            ));
        }
        Ok(proto::Outcome::Unspecified) => {
            return Err(Invalid::new(
                "outcome",
                format!("is required; say {OUTCOMES}"),
            ));
        }
        Err(_) => {
            return Err(Invalid::new(
                "outcome",
                format!(
                    "{} is not known to this sidecar; say {OUTCOMES}, or use a newer sidecar",
                    settlement.outcome
                ),
            ));
        }
    };
    if delay.is_some() && !matches!(outcome, Outcome::Retry { .. }) {
        return Err(Invalid::new(
            "retry_delay",
            "goes with OUTCOME_RETRY only; leave it out",
        ));
    }
    Ok(Settlement {
        ids: ids(settlement.deliveries.as_ref())?,
        outcome,
        reason: printable(&settlement.reason, REASON_BYTES_MAX),
        outputs: None,
    })
}

/// What a settlement brings along.
pub fn outputs(settlement: &proto::Settlement) -> Result<Vec<Output>, Invalid> {
    if settlement.outputs.is_empty() {
        return Ok(Vec::new());
    }
    if settlement.outcome() != proto::Outcome::Ack {
        let problem = "go with OUTCOME_ACK only; leave them out";
        return Err(Invalid::new("outputs", problem));
    }
    let ids = settlement.deliveries.as_ref();
    if ids.is_none_or(|ids| ids.ids.is_empty() && ids.ranges.is_empty()) {
        let problem =
            "need the deliveries that they were made of; name them in the same settlement";
        return Err(Invalid::new("outputs", problem));
    }
    settlement.outputs.iter().map(output).collect()
}

fn output(output: &proto::Output) -> Result<Output, Invalid> {
    let proto::Output {
        topic,
        key,
        value,
        headers,
        partition,
        timestamp_ms,
    } = output;
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.contains('\0') {
        let problem = "is not the name of a topic; say where the record goes";
        return Err(Invalid::new("topic", problem));
    }
    if partition.is_some_and(|partition| partition < 0) {
        let problem = "is below 0; leave it out for the one that the key leads to";
        return Err(Invalid::new("partition", problem));
    }
    if timestamp_ms.is_some_and(|millis| millis <= 0) {
        let problem = "is not above 0; leave it out for the time of writing";
        return Err(Invalid::new("timestamp_ms", problem));
    }
    let header = |header: &proto::Header| {
        let name = if header.raw_name.is_empty() {
            header.name.clone().into_bytes()
        } else {
            header.raw_name.to_vec()
        };
        (name, header.value.as_ref().map(|value| value.to_vec()))
    };
    Ok(Output {
        topic: topic.clone(),
        partition: *partition,
        timestamp_ms: *timestamp_ms,
        key: key.as_ref().map(|key| key.to_vec()),
        value: value.as_ref().map(|value| value.to_vec()),
        headers: headers.iter().map(header).collect(),
    })
}

/// Longest name of a topic.
const TOPIC_BYTES_MAX: usize = 249;

/// The outcomes that there are, for messages.
const OUTCOMES: &str =
    "OUTCOME_ACK, OUTCOME_RETRY, OUTCOME_RELEASE, OUTCOME_DEAD_LETTER or OUTCOME_DISCARD";

/// An extension.
pub fn extend(extend: &proto::Extend) -> Result<Extend, Invalid> {
    let by = duration("by", extend.by.as_ref(), EXTEND_MAX)?;
    let Some(by) = by.filter(|by| !by.is_zero()) else {
        return Err(Invalid::new(
            "by",
            "is required; say for how long from now the deliveries may stay unsettled",
        ));
    };
    Ok(Extend {
        ids: ids(extend.deliveries.as_ref())?,
        by,
    })
}

/// Whether the caller waits for the commit.
pub fn waits_for_commit(wait_for: i32) -> Result<bool, Invalid> {
    match proto::WaitFor::try_from(wait_for) {
        Ok(proto::WaitFor::Unspecified | proto::WaitFor::Accepted) => Ok(false),
        Ok(proto::WaitFor::Committed) => Ok(true),
        Err(_) => Err(Invalid::new(
            "wait_for",
            format!(
                "{wait_for} is not known to this sidecar; say WAIT_FOR_ACCEPTED or WAIT_FOR_COMMITTED"
            ),
        )),
    }
}

/// Text of others, fit for logs and status: at most `bytes_max` bytes, nothing unprintable.
pub(super) fn printable(text: &str, bytes_max: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let before = kept.len();
        match character {
            '"' | '\'' => kept.push(character),
            _ => kept.extend(character.escape_debug()),
        }
        if kept.len() > bytes_max {
            kept.truncate(before);
            break;
        }
    }
    kept
}

fn limit<N: Copy + PartialEq + From<u8>>(
    field: &'static str,
    asked: Option<N>,
    default: N,
) -> Result<N, Invalid> {
    match asked {
        None => Ok(default),
        Some(zero) if zero == N::from(0) => Err(Invalid::new(
            field,
            "is zero, which would stop the stream; leave it out for the default",
        )),
        Some(asked) => Ok(asked),
    }
}

fn notices(asked: &[i32]) -> Result<Vec<proto::Notice>, Invalid> {
    asked
        .iter()
        .map(|&number| match proto::Notice::try_from(number) {
            Ok(proto::Notice::Unspecified) => {
                Err(Invalid::new("notices", "contain NOTICE_UNSPECIFIED; leave it out"))
            }
            Ok(
                notice @ (proto::Notice::Partitions
                | proto::Notice::Committed
                | proto::Notice::CaughtUp),
            ) => Ok(notice),
            Err(_) => Err(Invalid::new(
                "notices",
                format!("contain {number}, which this sidecar does not know; leave it out, or use a newer sidecar"),
            )),
        })
        .collect()
}

fn wanted_topics(
    asked: &[String],
    configured: &[String],
) -> Result<Option<BTreeSet<TopicIndex>>, Invalid> {
    if asked.is_empty() {
        return Ok(None);
    }
    if asked.len() > TOPICS_MAX {
        let problem = format!("are more than {TOPICS_MAX}; leave them out for all");
        return Err(Invalid::new("topics", problem));
    }
    let index_of = |topic: &String| {
        let place = configured.iter().position(|name| name == topic)?;
        u16::try_from(place).ok().map(TopicIndex)
    };
    let indices: Result<BTreeSet<_>, _> = asked
        .iter()
        .map(|topic| {
            index_of(topic).ok_or_else(|| {
                Invalid::new(
                    "topics",
                    format!(
                        "`{}` is not a topic of this sidecar, which has {}",
                        printable(topic, 64),
                        some_of(configured)
                    ),
                )
            })
        })
        .collect();
    indices.map(Some)
}

/// A few names, for a message that must stay short.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for (index, name) in names.iter().take(SHOWN).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push('`');
        text.push_str(&printable(name, 64));
        text.push('`');
    }
    if names.len() > SHOWN {
        text.push_str(" and others");
    }
    text
}

fn duration(
    field: &'static str,
    asked: Option<&prost_types::Duration>,
    max: Duration,
) -> Result<Option<Duration>, Invalid> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let valid = match (u64::try_from(asked.seconds), u32::try_from(asked.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Duration::new(seconds, nanos),
        _ => return Err(Invalid::new(field, "is negative or not a valid duration")),
    };
    if valid > max {
        return Err(Invalid::new(
            field,
            format!("is above {} s; lower it", max.as_secs()),
        ));
    }
    Ok(Some(valid))
}

/// Single ids are joined with their neighbours, so that a batch in order is one range.
fn ids(ids: Option<&proto::Ids>) -> Result<Vec<IdRange>, Invalid> {
    let Some(ids) = ids else {
        return Ok(Vec::new());
    };
    let mut ranges: Vec<IdRange> = Vec::with_capacity(ids.ranges.len());
    for &id in &ids.ids {
        match ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(id) => range.last = id,
            Some(_) | None => ranges.push(IdRange::one(id)),
        }
    }
    for &proto::IdRange { first, last } in &ids.ranges {
        if first > last {
            return Err(Invalid::new(
                "ranges",
                format!("{first} to {last} is empty; `last` is included and not below `first`"),
            ));
        }
        ranges.push(IdRange { first, last });
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests;
