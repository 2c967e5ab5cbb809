//! Reading a [`Value`] as what a setting may hold.
//!
//! A fault continues a sentence that begins with the setting, and its remedy says what to write.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::Choice;
use super::problem::{Fault, shown};
use super::properties::refused_property;
use super::rules::Rule;
use super::secret::PropertyMap;
use super::units::{duration_text, parse_duration, parse_size, size_text};
use super::value::Value;

/// Most user ids in the list.
const UIDS_MAX: usize = 64;
/// Most librdkafka properties.
const PROPERTIES_MAX: usize = 200;
/// Longest path of a Unix socket: `sun_path` holds 108 bytes with its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(super) fn switch(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Switch(on) => Ok(*on),
        Value::Word(text) if text == "true" => Ok(true),
        Value::Word(text) if text == "false" => Ok(false),
        Value::Nothing
        | Value::Number(_)
        | Value::Text(_)
        | Value::Word(_)
        | Value::List(_)
        | Value::Map(_) => {
            let remedy = "write true or false, without quotes";
            Err(wrong_type(value, "true or false", remedy))
        }
    }
}

pub(super) fn count(value: &Value, least: u32, most: u32) -> Result<u32, Fault> {
    let remedy = format!("write a whole number from {least} to {most}");
    let (Value::Number(text) | Value::Word(text)) = value else {
        return Err(wrong_type(value, "a whole number", remedy));
    };
    match text.parse::<u64>() {
        Ok(count) if count < u64::from(least) => {
            Err(Fault::new(too_small(count == 0, &least), remedy))
        }
        Ok(count) => match u32::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            Ok(_) | Err(_) => Err(Fault::new(format!("must be at most {most}"), remedy)),
        },
        Err(_) => Err(Fault::new("must be a whole number", remedy)),
    }
}

pub(super) fn size(value: &Value, least: u64, most: u64) -> Result<u64, Fault> {
    let (least_text, most_text) = (size_text(least), size_text(most));
    let remedy = format!("write a size from {least_text} to {most_text}, such as 16MiB");
    let (Value::Number(text) | Value::Text(text) | Value::Word(text)) = value else {
        return Err(wrong_type(value, "a size", remedy));
    };
    match parse_size(text) {
        None => Err(Fault::new("is not a size", remedy)),
        Some(bytes) if bytes < least => Err(Fault::new(too_small(bytes == 0, &least_text), remedy)),
        Some(bytes) if bytes > most => {
            Err(Fault::new(format!("must be at most {most_text}"), remedy))
        }
        Some(bytes) => Ok(bytes),
    }
}

pub(super) fn time(value: &Value, least: Duration, most: Duration) -> Result<Duration, Fault> {
    let (least_text, most_text) = (duration_text(least), duration_text(most));
    let remedy = format!("write a time from {least_text} to {most_text}, such as 500ms, 5s or 2m");
    let text = match value {
        Value::Text(text) | Value::Word(text) => text,
        Value::Number(number) => {
            return Err(Fault::new(
                "has no unit",
                format!("{remedy}; for seconds write {number}s"),
            ));
        }
        Value::Switch(false) if least.is_zero() => {
            return Err(Fault::new(
                "is `off` or `false`, which is not a time",
                "write 0s to turn it off",
            ));
        }
        Value::Nothing | Value::Switch(_) | Value::List(_) | Value::Map(_) => {
            return Err(wrong_type(value, "a time", remedy));
        }
    };
    match parse_duration(text) {
        None => Err(Fault::new("is not a time with a unit", remedy)),
        Some(time) if time < least => {
            Err(Fault::new(too_small(time.is_zero(), &least_text), remedy))
        }
        Some(time) if time > most => {
            Err(Fault::new(format!("must be at most {most_text}"), remedy))
        }
        Some(time) => Ok(time),
    }
}

pub(super) fn factor(value: &Value, least: f64, most: f64) -> Result<f64, Fault> {
    let remedy = format!("write a number from {least} to {most}");
    let (Value::Number(text) | Value::Word(text)) = value else {
        return Err(wrong_type(value, "a number", remedy));
    };
    match text.parse::<f64>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        Ok(_) => Err(Fault::new(
            format!("must lie between {least} and {most}"),
            remedy,
        )),
        Err(_) => Err(Fault::new("is not a number", remedy)),
    }
}

pub(super) fn choice(value: &Value, choices: &'static [Choice]) -> Result<&'static Choice, Fault> {
    let names: Vec<&str> = choices
        .iter()
        .map(|choice| or_empty_quotes(choice.name))
        .collect();
    let remedy = format!("write one of: {}", names.join(", "));
    let text = match value {
        Value::Text(text) | Value::Word(text) => text,
        Value::Nothing | Value::Switch(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            return Err(wrong_type(value, "one of some words", remedy));
        }
    };
    let known = choices.iter().find(|choice| choice.name == text);
    known.ok_or_else(|| Fault::new("is not known", remedy))
}

/// Text that keeps a rule.
pub(super) fn ruled(value: &Value, rule: Rule) -> Result<String, Fault> {
    let text = text(value)?;
    (rule.check)(text)?;
    Ok(text.to_owned())
}

fn text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::Text(text) | Value::Word(text) => Ok(text),
        Value::Nothing | Value::Switch(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            Err(wrong_type(value, "text", "put the text into quotes"))
        }
    }
}

pub(super) fn file(value: &Value) -> Result<Option<PathBuf>, Fault> {
    let text = text(value)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

pub(super) fn socket(value: &Value) -> Result<Option<PathBuf>, Fault> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let example = "write unix:/run/ackline/ackline.sock, or \"\" for no socket";
    let Some(path) = text.strip_prefix("unix:") else {
        return Err(Fault::new("does not begin with `unix:`", example));
    };
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(Fault::new("is not the absolute path of a socket", example));
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(Fault::new(
            format!(
                "is longer than the {SOCKET_PATH_BYTES_MAX} bytes that a socket's path may have"
            ),
            "choose a shorter directory",
        ));
    }
    Ok(Some(PathBuf::from(path)))
}

pub(super) fn address(value: &Value) -> Result<Option<SocketAddr>, Fault> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Fault::new(
            "is not an IP address with a port",
            "write for example 127.0.0.1:7420, 0.0.0.0:7420 or [::]:7420, or \"\" for none",
        )
    })
}

pub(super) fn names(value: &Value, rule: Rule, most: usize) -> Result<Vec<String>, Vec<Fault>> {
    let items = list_items(value, most)?;
    let mut names: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    for item in &items {
        match ruled(item, rule) {
            Ok(name) if names.contains(&name) => faults.push(Fault::new(
                format!("names `{}` twice", shown(&name)),
                "remove one of them",
            )),
            Ok(name) => names.push(name),
            Err(fault) => faults.push(Fault::new(
                format!("`{}` {}", shown(&item.shown()), fault.what),
                fault.remedy,
            )),
        }
    }
    if items.is_empty() {
        faults.push(Fault::new("is empty", "name at least one"));
    }
    if faults.is_empty() {
        Ok(names)
    } else {
        Err(faults)
    }
}

pub(super) fn uids(value: &Value) -> Result<Vec<u32>, Vec<Fault>> {
    let items = list_items(value, UIDS_MAX)?;
    let uids = items
        .iter()
        .map(|item| count(item, 0, u32::MAX))
        .collect::<Result<_, _>>();
    uids.map_err(|fault| vec![fault])
}

pub(super) fn list_items(value: &Value, most: usize) -> Result<Vec<Value>, Vec<Fault>> {
    let items = value.items().ok_or_else(|| {
        vec![wrong_type(
            value,
            "a list",
            "write it in brackets: [first, second]",
        )]
    })?;
    if items.len() > most {
        return Err(vec![Fault::new(
            format!("has {} entries", items.len()),
            format!("name at most {most}"),
        )]);
    }
    Ok(items)
}

/// Entries of several sources come together; later ones win.
pub(super) fn add_properties(
    properties: &mut PropertyMap,
    value: &Value,
) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    for (name, value) in property_pairs(value)? {
        let name = name.trim().to_owned();
        if let Some(reason) = refused_property(&name) {
            let name = shown(&name);
            faults.push(Fault::new(
                format!("`{name}` is refused: {reason}"),
                "remove it",
            ));
            continue;
        }
        match value {
            Value::Text(text) | Value::Word(text) | Value::Number(text) => {
                properties.insert(name, text);
            }
            Value::Switch(on) => {
                properties.insert(name, on.to_string());
            }
            Value::Nothing | Value::List(_) | Value::Map(_) => faults.push(Fault::new(
                format!("`{}` is {}", shown(&name), value.described()),
                "give it a text, a number, true or false",
            )),
        }
    }
    if properties.len() > PROPERTIES_MAX {
        faults.push(Fault::new(
            format!("has {} properties", properties.len()),
            format!("give at most {PROPERTIES_MAX}"),
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn property_pairs(value: &Value) -> Result<Vec<(String, Value)>, Vec<Fault>> {
    match value {
        Value::Map(pairs) => Ok(pairs.clone()),
        Value::Word(text) => text
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    vec![Fault::new(
                        "has an entry without `=`",
                        "write name=value,name=value",
                    )]
                })?;
                Ok((name.trim().to_owned(), Value::Word(value.trim().to_owned())))
            })
            .collect(),
        Value::Nothing | Value::Switch(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
            let remedy = "write the properties below it, one `name: value` a line";
            Err(vec![wrong_type(value, "a section", remedy)])
        }
    }
}

fn or_empty_quotes(name: &'static str) -> &'static str {
    if name.is_empty() { "\"\"" } else { name }
}

pub(super) fn wrong_type(value: &Value, wanted: &str, remedy: impl Into<String>) -> Fault {
    Fault::new(
        format!("is {}, but must be {wanted}", value.described()),
        remedy,
    )
}

fn too_small(zero: bool, least: &dyn std::fmt::Display) -> String {
    if zero {
        format!("must not be zero, at least {least}")
    } else {
        format!("must be at least {least}")
    }
}
