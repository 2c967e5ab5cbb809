//! Foreign bytes, made safe for a terminal.

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
