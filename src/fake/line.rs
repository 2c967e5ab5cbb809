//! What a line says: a record, or a step of the script.

use std::time::Duration;

use super::fields::{Bytes, Fields};
use super::mistake::{Fault, Mistakes, Place};

const RECORD_KEYS: &str = "topic, partition, key, value, headers, timestamp_ms, offset; a line with `do` is a step of the script";

/// Lines that were read and are not in any log yet.
#[derive(Debug, Default)]
pub struct Lines {
    pub(super) lines: Vec<(Place, Line)>,
    /// What is wrong with those that are missing.
    pub mistakes: Mistakes,
}

impl Lines {
    /// The topics that they name, in the order of the lines.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = Vec::new();
        for (_, line) in &self.lines {
            let (Line::Record(RecordLine { at, .. }) | Line::Step(StepLine { at, .. })) = line;
            if let Some(topic) = &at.topic
                && !topics.contains(topic)
            {
                topics.push(topic.clone());
            }
        }
        topics
    }
}

/// One line that is right in itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    Record(RecordLine),
    Step(StepLine),
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordLine {
    pub(super) at: Where,
    pub(super) offset: Option<i64>,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) headers: Vec<(Box<[u8]>, Bytes)>,
    pub(super) timestamp_ms: Option<i64>,
}

/// A partition as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Where {
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
}

/// A step as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepLine {
    pub(super) what: What,
    pub(super) at: Where,
    pub(super) when: When,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The partition goes to another member, in good order.
    Revoke,
    /// The partition is gone without warning.
    Lose,
    /// The partition comes back.
    Assign,
    /// The partition is lost, and what was committed from this offset on with it.
    Redeliver { offset: i64 },
    /// Every stream ends, to be opened again.
    CloseStreams,
    /// Commits fail, so many or for so long.
    FailCommits(Failing),
}

/// How long commits fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Times(u32),
    For(Duration),
}

/// When a step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// As soon as it can be done.
    AtOnce,
    /// So many records were delivered, each counted once.
    Delivered(usize),
    /// So many records are finished.
    Acknowledged(usize),
    /// So long after the group was joined; for [`What::Assign`], after the partition was taken away.
    After(Duration),
    /// A commit covers this offset.
    Committed(i64),
}

/// Reads one line.
pub(super) fn read(text: &[u8]) -> Result<Line, Vec<Fault>> {
    let mut fields = Fields::read(text).map_err(|fault| vec![fault])?;
    if fields.has("do") {
        return step(fields).map(Line::Step);
    }
    let record = RecordLine {
        at: place(&mut fields),
        offset: fields.number("offset", 0),
        key: fields.bytes("key"),
        value: fields.bytes("value"),
        headers: fields.headers(),
        timestamp_ms: fields.number("timestamp_ms", 0),
    };
    let faults = fields.finish(RECORD_KEYS);
    if faults.is_empty() {
        Ok(Line::Record(record))
    } else {
        Err(faults)
    }
}

fn place(fields: &mut Fields) -> Where {
    let topic = fields.text("topic");
    let partition = fields.number("partition", 0);
    let partition = partition.and_then(|number| {
        let known = i32::try_from(number).ok();
        if known.is_none() {
            let fault = Fault::new("partition", "is no partition", "write a smaller number");
            fields.fault(fault.with_value(&number));
        }
        known
    });
    Where { topic, partition }
}

fn step(mut fields: Fields) -> Result<StepLine, Vec<Fault>> {
    let name = fields.text("do").unwrap_or_default();
    let at = place(&mut fields);
    let (needs_partition, keys) = match name.as_str() {
        "revoke" | "lose" => (
            true,
            "do, topic, partition, and after_delivered, after_acknowledged or after_ms",
        ),
        "assign" => (true, "do, topic, partition, after_ms"),
        "redeliver" => (
            true,
            "do, topic, partition, offset, and after_delivered, after_acknowledged or after_ms",
        ),
        "close_streams" => (
            false,
            "do, topic, partition, and after_delivered, after_acknowledged or after_ms",
        ),
        "commit_fails" => (
            false,
            "do, topic, partition, for_ms or times, and after_delivered, after_acknowledged or after_ms",
        ),
        _ => {
            let remedy = "use revoke, assign, lose, redeliver, close_streams or commit_fails";
            return Err(vec![
                Fault::new("do", "is no step", remedy).with_value(&name),
            ]);
        }
    };
    if needs_partition && at.partition.is_none() && !fields.has("partition") {
        let remedy = "write \"partition\": 0, for example";
        fields.fault(Fault::new("partition", "is missing", remedy));
    }
    let what = what(&name, &mut fields);
    let when = when(&name, what, &mut fields);
    let faults = fields.finish(keys);
    if faults.is_empty() {
        Ok(StepLine { what, at, when })
    } else {
        Err(faults)
    }
}

fn what(name: &str, fields: &mut Fields) -> What {
    match name {
        "revoke" => What::Revoke,
        "lose" => What::Lose,
        "assign" => What::Assign,
        "redeliver" => {
            if !fields.has("offset") {
                let remedy = "write the first offset to come again, such as \"offset\": 5";
                fields.fault(Fault::new("offset", "is missing", remedy));
            }
            let offset = fields.number("offset", 0).unwrap_or(0);
            What::Redeliver { offset }
        }
        "close_streams" => What::CloseStreams,
        _ => What::FailCommits(failing(fields)),
    }
}

fn failing(fields: &mut Fields) -> Failing {
    if fields.has("times") == fields.has("for_ms") {
        let remedy = "write \"times\": 3 for so many commits, or \"for_ms\": 500 for so long";
        fields.fault(Fault::new(
            "times",
            "and for_ms: one of them is needed",
            remedy,
        ));
    }
    let times = fields.number("times", 1);
    let millis = fields.number("for_ms", 1);
    match times {
        Some(times) => Failing::Times(u32::try_from(times).unwrap_or(u32::MAX)),
        None => Failing::For(duration(millis.unwrap_or(1))),
    }
}

fn when(name: &str, what: What, fields: &mut Fields) -> When {
    let counted = name != "assign";
    let delivered = counted
        .then(|| fields.number("after_delivered", 1))
        .flatten();
    let acknowledged = counted
        .then(|| fields.number("after_acknowledged", 1))
        .flatten();
    let millis = fields.number("after_ms", 0);
    let mut given = [
        delivered.map(|count| When::Delivered(count_of(count))),
        acknowledged.map(|count| When::Acknowledged(count_of(count))),
        millis.map(|millis| When::After(duration(millis))),
    ]
    .into_iter()
    .flatten();
    let first = given.next();
    if given.next().is_some() {
        let remedy = "keep one of them";
        let what = "and another `after_…`: a step is due once";
        fields.fault(Fault::new("after_delivered", what, remedy));
    }
    match (first, what) {
        (Some(when), _) => when,
        (None, What::Redeliver { offset }) => When::Committed(offset),
        (None, What::Assign | What::FailCommits(_)) => When::AtOnce,
        (None, What::Revoke | What::Lose | What::CloseStreams) => {
            let remedy =
                "write \"after_delivered\": 10, \"after_acknowledged\": 10 or \"after_ms\": 500";
            fields.fault(Fault::new("", "does not say when", remedy).with_value(&name));
            When::AtOnce
        }
    }
}

fn count_of(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
