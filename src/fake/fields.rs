//! The fields of one line, taken one by one; what is left over is a mistake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::mistake::Fault;

/// Bytes of a key, a value or a header; `None` is null.
pub(super) type Bytes = Option<Box<[u8]>>;

const BYTES_REMEDY: &str = "write a string, null, or {\"base64\": \"…\"}";

/// A line that is taken apart.
pub(super) struct Fields {
    map: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    /// Reads the text of a line.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let remedy =
            "write one JSON object in one line, such as {\"key\": \"k\", \"value\": \"v\"}";
        match serde_json::from_slice(text) {
            Ok(Value::Object(map)) => Ok(Self {
                map,
                faults: Vec::new(),
            }),
            Ok(other) => {
                let fault = Fault::new("", format!("is {}, not an object", kind(&other)), remedy);
                Err(fault.with_value(&other))
            }
            Err(error) => {
                // The library speaks of the first line, which is whichever this is.
                let words = error.to_string();
                let words = words.split(" at line ").next().unwrap_or_default();
                let what = format!("is not JSON: {words} at column {}", error.column());
                Err(Fault::new("", what, remedy))
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// A whole number of at least `min`.
    pub(super) fn number(&mut self, key: &'static str, min: i64) -> Option<i64> {
        let value = self.map.remove(key)?;
        let number = value.as_i64().filter(|number| *number >= min);
        if number.is_none() {
            let what = "is not a whole number that is large enough";
            let fault = Fault::new(key, what, format!("write {min} or more, without quotes"));
            self.faults.push(fault.with_value(&value));
        }
        number
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.map.remove(key)?;
        if let Value::String(text) = value {
            return Some(text);
        }
        let what = format!("is {}, not a string", kind(&value));
        let fault = Fault::new(key, what, "write it in quotes, or leave it out");
        self.faults.push(fault.with_value(&value));
        None
    }

    /// Null, if it is absent.
    pub(super) fn bytes(&mut self, key: &'static str) -> Bytes {
        let value = self.map.remove(key)?;
        bytes_of(key, value).unwrap_or_else(|fault| {
            self.faults.push(fault);
            None
        })
    }

    pub(super) fn headers(&mut self) -> Vec<(Box<[u8]>, Bytes)> {
        const KEY: &str = "headers";
        let remedy = "write a list of pairs, such as [[\"name\", \"value\"]]";
        let list = match self.map.remove(KEY) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                let what = format!("is {}, not a list", kind(&other));
                self.fault(Fault::new(KEY, what, remedy).with_value(&other));
                return Vec::new();
            }
        };
        let mut headers = Vec::with_capacity(list.len());
        for entry in list {
            match header_of(KEY, entry, remedy) {
                Ok(header) => headers.push(header),
                Err(fault) => self.fault(fault),
            }
        }
        headers
    }

    /// Everything that is wrong, with what is left over; `known` are the keys that exist.
    pub(super) fn finish(mut self, known: &str) -> Vec<Fault> {
        for key in self.map.keys() {
            let fault = Fault::new("", "is not a key of such a line", format!("use {known}"));
            self.faults.push(fault.with_value(&format!("\"{key}\"")));
        }
        self.faults
    }
}

fn header_of(key: &'static str, entry: Value, remedy: &str) -> Result<(Box<[u8]>, Bytes), Fault> {
    let wrong = |entry: &Value| {
        Fault::new(
            key,
            "holds something that is no pair of a name and a value",
            remedy,
        )
        .with_value(entry)
    };
    let Value::Array(pair) = &entry else {
        return Err(wrong(&entry));
    };
    let [Value::String(name), value] = pair.as_slice() else {
        return Err(wrong(&entry));
    };
    let name: Box<[u8]> = name.as_bytes().into();
    Ok((name, bytes_of(key, value.clone())?))
}

fn bytes_of(key: &'static str, value: Value) -> Result<Bytes, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes().into())),
        Value::Object(map) => match map.get("base64") {
            Some(Value::String(text)) if map.len() == 1 => {
                let decoded = STANDARD.decode(text).map_err(|error| {
                    let what = format!("is not base64: {error}");
                    Fault::new(key, what, "write base64 with padding").with_value(text)
                })?;
                Ok(Some(decoded.into()))
            }
            Some(_) | None => {
                let what = "is an object without exactly one text `base64`";
                Err(Fault::new(key, what, BYTES_REMEDY).with_value(&Value::Object(map)))
            }
        },
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            let what = format!("is {}, not bytes", kind(&other));
            Err(Fault::new(key, what, BYTES_REMEDY).with_value(&other))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
