//! `ackline dead-letters show`.

use serde_json::json;

use super::list::{json_entry, source};
use super::options::{Format, Show};
use super::scan::{Scan, Span, spans};
use crate::cli::place::RecordPlace;
use crate::cli::terminal::{json_bytes, json_line, quoted, safe};
use crate::dead_letter::{DeadLetterHeaders, date_text};
use crate::kafka::{LogReader, LogRecord};
use crate::record::{Record, TimestampKind};

/// Reads one dead letter and writes all of it.
pub(super) fn show(reader: &mut LogReader, what: &Show) -> anyhow::Result<String> {
    let record = find(reader, &what.place)?;
    Ok(match what.format {
        Format::Table => lines(&record, &what.place.topic, what.payload),
        Format::Json => json_record(&record, &what.place.topic, what.payload),
    })
}

fn find(reader: &mut LogReader, place: &RecordPlace) -> anyhow::Result<LogRecord> {
    let RecordPlace {
        topic,
        partition,
        offset,
    } = place;
    let spans = spans(reader, topic)?;
    let Some(span) = spans.iter().find(|span| span.partition == *partition) else {
        anyhow::bail!(
            "{topic} has nothing in partition {partition}; `ackline dead-letters list {topic}` shows what there is"
        );
    };
    if !(span.start..span.end).contains(offset) {
        anyhow::bail!(
            "{topic}/{partition} holds the offsets from {} to {}, not {offset}; `ackline dead-letters list {topic}` shows what there is",
            span.start,
            span.end - 1
        );
    }
    let one = Span {
        partition: *partition,
        start: *offset,
        end: offset + 1,
    };
    let mut scan = Scan::start(reader, topic, &[one])?;
    while let Some(step) = scan.next(reader)? {
        if let Some(record) = step.records.into_iter().next() {
            return Ok(record);
        }
    }
    anyhow::bail!(
        "there is no record at offset {offset} of {topic}/{partition}: it was compacted away, or is a marker of a transaction"
    )
}

/// For people.
pub(super) fn lines(record: &LogRecord, topic: &str, payload: bool) -> String {
    let headers = DeadLetterHeaders::read(record);
    let mut text = format!("{}/{}/{}\n", safe(topic), record.partition, record.offset());
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<13} {value}\n"));
    if headers.is_empty() {
        line(
            "",
            "not written by ackline: it has none of its headers".to_owned(),
        );
    } else {
        let unknown = || "-".to_owned();
        let told = |told: &Option<String>| told.as_deref().map_or_else(unknown, safe);
        line("given up at", headers.at_ms.map_or_else(unknown, date_text));
        line("cause", told(&headers.cause));
        line("reason", told(&headers.reason));
        let failures = headers.failures.map(|failures| failures.to_string());
        line("failures", told(&failures));
        line("by group", told(&headers.group));
        line("came from", source(&headers));
        line("of cluster", told(&headers.cluster));
        let epoch = headers.leader_epoch.map(|epoch| epoch.to_string());
        line("leader epoch", told(&epoch));
        let first = headers.timestamp_ms.zip(headers.timestamp_kind);
        line("first written", first.map_or_else(unknown, timestamp));
    }
    line("timestamp", timestamp(record.timestamp()));
    line("key", quoted(record.key()));
    let value = record.value();
    line(
        "value",
        match value {
            Some(bytes) if !payload => format!("{} bytes; --payload shows them", bytes.len()),
            Some(_) | None => quoted(value),
        },
    );
    for header in (0..).map_while(|index| record.header(index)) {
        let (name, value) = (quoted(Some(header.name)), quoted(header.value));
        line("header", format!("{name}: {value}"));
    }
    text
}

fn timestamp((ms, kind): (i64, TimestampKind)) -> String {
    match kind {
        TimestampKind::Unknown => "none".to_owned(),
        TimestampKind::CreateTime => format!("{} (set by the producer)", date_text(ms)),
        TimestampKind::LogAppendTime => format!("{} (set by the broker)", date_text(ms)),
    }
}

fn json_record(record: &LogRecord, topic: &str, payload: bool) -> String {
    let headers = DeadLetterHeaders::read(record);
    let mut value = json_entry(topic, record.partition, record.offset(), &headers);
    value["timestamp_ms"] = json!(record.timestamp().0);
    value["key"] = json_bytes(record.key());
    value["value_bytes"] = json!(record.value().map(<[u8]>::len));
    if payload {
        value["value"] = json_bytes(record.value());
    }
    let all = (0..).map_while(|index| record.header(index));
    let all: Vec<_> = all
        .map(|header| {
            json!({"name": json_bytes(Some(header.name)), "value": json_bytes(header.value)})
        })
        .collect();
    value["headers"] = json!(all);
    format!("{}\n", json_line(&value))
}
