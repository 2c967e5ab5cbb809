//! What a setting may hold: how it is read, checked, written and described.
//!
//! Each kind carries the place in [`Config`] that it fills, so that the type of a row in the
//! [table](super::table) and the type of the field cannot disagree.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::model::Config;
use super::per_topic::{self, TopicRule};
use super::problem::Fault;
use super::read;
use super::rules::Rule;
use super::secret::{FileUse, PropertyMap};
use super::units::{duration_text, size_text};
use super::value::Value;

/// The field that a setting fills.
pub(super) type Slot<T> = fn(&mut Config) -> &mut T;

/// One permitted word and what it means for the configuration.
pub(super) struct Choice {
    /// As written.
    pub(super) name: &'static str,
    /// Chooses it.
    pub(super) set: fn(&mut Config),
    /// Whether it is chosen.
    pub(super) holds: fn(&Config) -> bool,
}

/// What a setting may hold.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch(Slot<bool>),
    /// A whole number from … to ….
    Count(u32, u32, Slot<u32>),
    /// Bytes from … to ….
    Size(u64, u64, Slot<u64>),
    /// A time from … to ….
    Time(Duration, Duration, Slot<Duration>),
    /// A number from … to ….
    Factor(f64, f64, Slot<f64>),
    /// One of some words.
    Choice(&'static [Choice]),
    /// Text that keeps a rule.
    Text(Rule, Slot<String>),
    /// A file that must be there; empty for none.
    File(FileUse, Slot<Option<PathBuf>>),
    /// `unix:` and an absolute path; empty for none.
    Socket(Slot<Option<PathBuf>>),
    /// An IP address and a port; empty for none.
    Address(Slot<Option<SocketAddr>>),
    /// A list of names that keep a rule, without duplicates, at most this many.
    Names(Rule, usize, Slot<Vec<String>>),
    /// A list of user ids.
    Uids(Slot<Vec<u32>>),
    /// librdkafka properties.
    Properties(Slot<PropertyMap>),
    /// Settings that some topics have of their own.
    PerTopic(Slot<Vec<TopicRule>>),
}

impl Kind {
    /// Reads `value` into its place.
    pub(super) fn apply(self, config: &mut Config, value: &Value) -> Result<(), Vec<Fault>> {
        match self {
            Self::Switch(slot) => assign(slot(config), read::switch(value)),
            Self::Count(least, most, slot) => assign(slot(config), read::count(value, least, most)),
            Self::Size(least, most, slot) => assign(slot(config), read::size(value, least, most)),
            Self::Time(least, most, slot) => assign(slot(config), read::time(value, least, most)),
            Self::Factor(least, most, slot) => {
                assign(slot(config), read::factor(value, least, most))
            }
            Self::Choice(choices) => {
                let choice = read::choice(value, choices).map_err(|fault| vec![fault])?;
                (choice.set)(config);
                Ok(())
            }
            Self::Text(rule, slot) => assign(slot(config), read::ruled(value, rule)),
            Self::File(_, slot) => assign(slot(config), read::file(value)),
            Self::Socket(slot) => assign(slot(config), read::socket(value)),
            Self::Address(slot) => assign(slot(config), read::address(value)),
            Self::Names(rule, most, slot) => {
                *slot(config) = read::names(value, rule, most)?;
                Ok(())
            }
            Self::Uids(slot) => {
                *slot(config) = read::uids(value)?;
                Ok(())
            }
            Self::Properties(slot) => read::add_properties(slot(config), value),
            Self::PerTopic(slot) => {
                *slot(config) = per_topic::read(value)?;
                Ok(())
            }
        }
    }

    /// The value in its place, as a YAML file would hold it, secrets hidden.
    pub(super) fn shown(self, config: &Config) -> String {
        // Slots hand out places to write to, and this is the only reader that goes through them.
        let mut config = config.clone();
        let config = &mut config;
        match self {
            Self::Switch(slot) => slot(config).to_string(),
            Self::Count(_, _, slot) => slot(config).to_string(),
            Self::Size(_, _, slot) => size_text(*slot(config)),
            Self::Time(_, _, slot) => duration_text(*slot(config)),
            Self::Factor(_, _, slot) => slot(config).to_string(),
            Self::Choice(choices) => chosen(config, choices),
            Self::Text(_, slot) => quoted(slot(config)),
            Self::File(_, slot) => quoted(
                &slot(config)
                    .as_ref()
                    .map_or(String::new(), |path| path.display().to_string()),
            ),
            Self::Socket(slot) => {
                let path = slot(config).as_ref();
                quoted(&path.map_or(String::new(), |path| format!("unix:{}", path.display())))
            }
            Self::Address(slot) => {
                quoted(&slot(config).map_or(String::new(), |address| address.to_string()))
            }
            Self::Names(_, _, slot) => {
                let names: Vec<String> = slot(config).iter().map(|name| quoted(name)).collect();
                format!("[{}]", names.join(", "))
            }
            Self::Uids(slot) => {
                let uids: Vec<String> = slot(config).iter().map(u32::to_string).collect();
                format!("[{}]", uids.join(", "))
            }
            Self::Properties(slot) => {
                let pairs: Vec<String> = slot(config)
                    .shown()
                    .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Self::PerTopic(slot) => per_topic::shown(slot(config)),
        }
    }
}

fn assign<T>(place: &mut T, value: Result<T, Fault>) -> Result<(), Vec<Fault>> {
    *place = value.map_err(|fault| vec![fault])?;
    Ok(())
}

/// The word that is chosen now.
fn chosen(config: &Config, choices: &'static [Choice]) -> String {
    let choice = choices.iter().find(|choice| (choice.holds)(config));
    choice.map_or_else(String::new, |choice| quoted(choice.name))
}

/// Text that YAML reads back as the same text. JSON's quotes are YAML's too.
pub(super) fn quoted(text: &str) -> String {
    let plain = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c))
        && !text.ends_with(':')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
        );
    if plain {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
