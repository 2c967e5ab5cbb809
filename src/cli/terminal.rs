//! What others wrote, made safe for a terminal, and set in columns.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::observe::is_harmful;

/// Text in which nothing moves the cursor, forges a line or turns the direction of writing.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(escaped).collect()
}

/// The same, cut to so many characters.
pub(super) fn short(text: &str, chars_max: usize) -> String {
    let mut short: String = text.chars().take(chars_max).map(escaped).collect();
    if text.chars().nth(chars_max).is_some() {
        short.push('…');
    }
    short
}

fn escaped(c: char) -> String {
    if is_harmful(c) {
        c.escape_unicode().to_string()
    } else {
        c.to_string()
    }
}

/// Bytes in quotes, `null` for none. Every text of bytes reads as one thing: `\xff` is a byte that is not UTF-8, and a
/// backslash of the bytes themselves is doubled.
pub(super) fn quoted(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "null".to_owned();
    };
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                c => text.push_str(&escaped(c)),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

/// Bytes for JSON: text where they are text, else base64.
pub(super) fn json_bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => json!(text),
        Some((bytes, Err(_))) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

/// One line of JSON. The writer escapes less than a terminal needs.
pub(super) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        if is_harmful(c) {
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line
}

/// Columns as wide as their widest cell, under a header.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(header[column].len())
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut line = |cells: &[&str]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(header);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-9.
    #[test]
    fn foreign_bytes_never_reach_a_terminal_raw() {
        assert_eq!(safe("a\u{9b}31m\u{2028}\tä"), "a\\u{9b}31m\\u{2028}\\u{9}ä");
        assert_eq!(quoted(None), "null");
        assert_eq!(quoted(Some(b"")), "\"\"");
        assert_eq!(
            quoted(Some(b"a\"\\\xff\x00\xc3\xa4")),
            "\"a\\\"\\\\\\xff\\u{0}ä\""
        );
        assert_eq!(
            json_bytes(Some(b"\xff")).to_string(),
            "{\"base64\":\"/w==\"}"
        );
        let line = json_line(&serde_json::json!({"a": "\u{9b}\u{1b}\u{202e}\n"}));
        assert!(
            !line.chars().any(char::is_control) && !line.contains('\u{202e}'),
            "{line}"
        );
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["a"], "\u{9b}\u{1b}\u{202e}\n");
    }
}
