//! `ackline dead-letters list`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::options::{Format, List};
use super::scan::{Scan, spans};
use crate::cli::terminal::{self, json_line, safe, short};
use crate::dead_letter::{DeadLetterHeaders, date_text};
use crate::kafka::LogReader;
use crate::record::{Record as _, TimestampKind};

/// Longest reason in a table; `show` has all of it.
const REASON_CHARS_MAX: usize = 60;

/// Where a dead letter lies, and what it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) headers: DeadLetterHeaders,
}

/// What to print.
pub(super) struct Listed {
    /// On standard output.
    pub(super) text: String,
    /// On standard error.
    pub(super) note: Option<String>,
}

/// Reads the topic, and writes the newest of those chosen.
pub(super) fn list(reader: &mut LogReader, what: &List, now_ms: i64) -> anyhow::Result<Listed> {
    let spans = spans(reader, &what.topic)?;
    let limit = usize::try_from(what.limit.get())?;
    // By age, so that the oldest goes first when there are more than asked for.
    let mut newest = BTreeMap::new();
    let mut count: u64 = 0;
    let mut scan = Scan::start(reader, &what.topic, &spans)?;
    while let Some(step) = scan.next(reader)? {
        for record in step.records {
            let headers = DeadLetterHeaders::read(&record);
            if !what.filter.takes(&headers, now_ms) {
                continue;
            }
            count += 1;
            let entry = Entry {
                partition: record.partition,
                offset: record.offset(),
                headers,
            };
            let age = (entry.headers.at_ms, entry.partition, entry.offset);
            newest.insert(age, entry);
            if newest.len() > limit {
                newest.pop_first();
            }
        }
    }
    let entries: Vec<Entry> = newest.into_values().collect();
    let left = count - u64::try_from(entries.len())?;
    let note = match (count, left) {
        (0, _) if what.filter.is_open() => Some(format!("{} is empty", what.topic)),
        (0, _) => Some(format!("no dead letter of {} is of that kind", what.topic)),
        (_, 0) => None,
        (_, left) => Some(format!(
            "{left} older ones are not shown; --limit shows more"
        )),
    };
    let text = match what.format {
        Format::Table => table(&entries),
        Format::Json => json_list(&what.topic, &entries),
    };
    Ok(Listed { text, note })
}

/// A table with as wide columns as they need; nothing for nothing.
pub(super) fn table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let head = [
        "PARTITION",
        "OFFSET",
        "AT",
        "SOURCE",
        "CAUSE",
        "FAILURES",
        "REASON",
    ];
    let rows: Vec<_> = entries.iter().map(row).collect();
    terminal::table(&head, &rows)
}

fn row(entry: &Entry) -> Vec<String> {
    const UNKNOWN: &str = "-";
    let headers = &entry.headers;
    let text = |text: &Option<String>| text.as_deref().map_or(UNKNOWN.to_owned(), safe);
    let number = |number: Option<String>| number.unwrap_or(UNKNOWN.to_owned());
    vec![
        entry.partition.to_string(),
        entry.offset.to_string(),
        number(headers.at_ms.map(date_text)),
        source(headers),
        text(&headers.cause),
        number(headers.failures.map(|failures| failures.to_string())),
        short(
            headers.reason.as_deref().unwrap_or(UNKNOWN),
            REASON_CHARS_MAX,
        ),
    ]
}

/// Topic, partition and offset that a dead letter came from, as far as it says.
pub(super) fn source(headers: &DeadLetterHeaders) -> String {
    let Some(topic) = &headers.topic else {
        return "-".to_owned();
    };
    let number = |number: Option<i64>| number.map_or("?".to_owned(), |number| number.to_string());
    format!(
        "{}/{}/{}",
        safe(topic),
        number(headers.partition.map(i64::from)),
        number(headers.offset)
    )
}

fn json_list(topic: &str, entries: &[Entry]) -> String {
    let lines = entries.iter().map(|entry| {
        json_line(&json_entry(
            topic,
            entry.partition,
            entry.offset,
            &entry.headers,
        ))
    });
    let lines: Vec<String> = lines.collect();
    format!("[{}]\n", lines.join(",\n "))
}

/// What a dead letter says of itself, for programs.
pub(super) fn json_entry(
    topic: &str,
    partition: i32,
    offset: i64,
    headers: &DeadLetterHeaders,
) -> Value {
    let kind = headers.timestamp_kind.map(|kind| match kind {
        TimestampKind::Unknown => "none",
        TimestampKind::CreateTime => "create_time",
        TimestampKind::LogAppendTime => "log_append_time",
    });
    json!({
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "at": headers.at_ms.map(date_text),
        "cause": headers.cause,
        "reason": headers.reason,
        "failures": headers.failures,
        "group": headers.group,
        "source": {
            "cluster": headers.cluster,
            "topic": headers.topic,
            "partition": headers.partition,
            "offset": headers.offset,
            "leader_epoch": headers.leader_epoch,
            "timestamp_ms": headers.timestamp_ms,
            "timestamp_type": kind,
        },
    })
}
