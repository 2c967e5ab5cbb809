//! `ackline tail`: records as they pass.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::arguments::Output;
use super::connect::Client;
use super::{answered, refused};
use crate::cli::terminal::{json_bytes, json_line, quoted, safe};
use crate::dead_letter::date_text;
use crate::grpc::admin_proto as proto;

/// Shows what passes until the limit is reached, nobody reads any more, or the sidecar ends.
pub(super) async fn tail(
    client: &mut Client,
    request: proto::TailRequest,
    output: Output,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let limit = request.limit;
    let mut shown = 0;
    let mut passing = answered(client.tail(request).await)?;
    while let Some(message) = passing.message().await.map_err(refused)? {
        shown += message.records.len() as u64;
        let text = match output {
            Output::Text => text(&message),
            Output::Json => lines(&message),
        };
        if !crate::cli::write_on(out, &text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    anyhow::ensure!(
        limit.is_some_and(|limit| shown >= limit),
        "the sidecar has ended"
    );
    Ok(ExitCode::SUCCESS)
}

/// A line for each record, for people.
fn text(message: &proto::TailResponse) -> String {
    let mut text = String::new();
    for at in &message.records {
        let place = format!("{}/{}/{}", safe(&at.topic), at.partition, at.offset);
        let time = at
            .timestamp_ms
            .map_or_else(|| "no time".to_owned(), date_text);
        let more = |shown: Option<&[u8]>, all: u64| {
            let all = usize::try_from(all).unwrap_or(usize::MAX);
            if shown.is_some_and(|shown| shown.len() < all) {
                "…"
            } else {
                ""
            }
        };
        let key = at.key.as_deref();
        let _ = write!(
            text,
            "{place}  {time}  attempt {}  stream {}  key {}{}  {} headers  value ",
            at.attempt,
            at.stream,
            quoted(key),
            more(key, at.key_bytes),
            at.headers,
        );
        let value = at.value.as_deref();
        let _ = match (at.value_bytes, value) {
            (None, _) => writeln!(text, "null"),
            (Some(bytes), None) => writeln!(text, "of {bytes} bytes"),
            (Some(bytes), Some(_)) => {
                writeln!(
                    text,
                    "of {bytes} bytes: {}{}",
                    quoted(value),
                    more(value, bytes)
                )
            }
        };
    }
    if message.left_out > 0 {
        let _ = writeln!(
            text,
            "… {} left out: they passed faster than they were read",
            message.left_out
        );
    }
    text
}

/// An object a line, for programs. Names are those of `admin.proto`.
fn lines(message: &proto::TailResponse) -> String {
    let record = |at: &proto::TailedRecord| {
        let mut record = json!({
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "id": at.id,
            "attempt": at.attempt,
            "stream": at.stream,
            "key": json_bytes(at.key.as_deref()),
            "key_bytes": at.key_bytes,
            "value_bytes": at.value_bytes,
            "headers": at.headers,
            "timestamp_ms": at.timestamp_ms,
        });
        if let Some(value) = &at.value {
            record["value"] = json_bytes(Some(value));
        }
        record
    };
    let left_out = (message.left_out > 0).then(|| json!({"left_out": message.left_out}));
    let objects = message.records.iter().map(record).chain(left_out);
    objects
        .map(|object| format!("{}\n", json_line(&object)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed() -> proto::TailResponse {
        let plain = proto::TailedRecord {
            topic: "orders".to_owned(),
            partition: 3,
            offset: 17,
            id: 9,
            attempt: 1,
            stream: 4,
            key: Some(b"a\x1b[2J".as_slice().into()),
            key_bytes: 5,
            value_bytes: Some(12),
            value: None,
            headers: 2,
            timestamp_ms: Some(0),
        };
        let whole = proto::TailedRecord {
            offset: 18,
            key_bytes: 500,
            value: Some(b"line\nline".as_slice().into()),
            timestamp_ms: None,
            ..plain.clone()
        };
        let null = proto::TailedRecord {
            offset: 19,
            key: None,
            key_bytes: 0,
            value_bytes: None,
            ..plain.clone()
        };
        proto::TailResponse {
            records: vec![plain, whole, null],
            left_out: 5,
        }
    }

    #[test]
    fn a_record_is_one_line_that_steers_no_terminal() {
        let expected = r#"
orders/3/17  1970-01-01T00:00:00.000Z  attempt 1  stream 4  key "a\u{1b}[2J"  2 headers  value of 12 bytes
orders/3/18  no time  attempt 1  stream 4  key "a\u{1b}[2J"…  2 headers  value of 12 bytes: "line\u{a}line"…
orders/3/19  1970-01-01T00:00:00.000Z  attempt 1  stream 4  key null  2 headers  value null
… 5 left out: they passed faster than they were read
"#;
        assert_eq!(text(&passed()), expected.trim_start());
    }

    #[test]
    fn programs_get_an_object_a_line_and_what_was_left_out() {
        let text = lines(&passed());
        let read = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let objects: Vec<_> = text.lines().map(read).collect();
        assert_eq!(objects.len(), 4);
        assert_eq!(
            (&objects[0]["offset"], &objects[0]["key"]),
            (&json!(17), &json!("a\u{1b}[2J"))
        );
        assert!(objects[0].get("value").is_none(), "not asked for");
        assert_eq!(objects[1]["value"], "line\nline");
        assert_eq!(objects[3], json!({"left_out": 5}));
    }
}
