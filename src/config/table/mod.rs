//! The list of all settings.
//!
//! Everything that knows settings by name works from this list: the file, the variables, the flags,
//! the schema, `config print`, `config example` and the reference in the README. What is not in it
//! does not exist, and what is in it has a key, a kind, a default and an explanation.

mod delivery;
mod kafka;
mod offset_store;
mod process;
mod transactions;

use std::fmt;

pub use process::DEFAULT_ADMIN_SOCKET;

use super::kind::Kind;
use super::model::Config;
use super::value::Value;

/// Beginning of every variable's name.
pub(super) const VARIABLE_PREFIX: &str = "ACKLINE_";

/// One setting.
pub(super) struct Setting {
    /// Its place in the file, with dots: `drain.revoke`.
    pub(super) key: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
    /// What it holds if nobody says anything.
    pub(super) preset: Preset,
    /// A value that differs from the default, as a variable would hold it.
    pub(super) example: &'static str,
    /// Its own flag, without the hyphens.
    pub(super) flag: Option<&'static str>,
    /// Whether some topics may have a value of their own.
    pub(super) per_topic: bool,
    /// What it means, as sentences.
    pub(super) doc: &'static str,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

/// The value of a setting that nobody gives.
#[derive(Clone, Copy)]
pub(super) enum Preset {
    /// There is none: somebody must decide.
    Required,
    /// Always the same, as a variable would hold it.
    Fixed(&'static str),
    /// Follows from settings that stand before it in the table.
    Follows {
        /// For people.
        shown: &'static str,
        /// As a variable would hold it.
        value: fn(&Config) -> &'static str,
    },
}

/// A section of the file and what it is about.
pub(super) struct Section {
    /// Its place in the file, with dots.
    pub(super) key: &'static str,
    /// What it is about.
    pub(super) doc: &'static str,
}

/// All settings, in the order in which people read them. A setting whose default follows from
/// another stands after it.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    let parts = [
        kafka::SETTINGS,
        delivery::SETTINGS,
        transactions::SETTINGS,
        offset_store::SETTINGS,
        process::SETTINGS,
    ];
    parts.into_iter().flatten()
}

/// All sections.
pub(super) fn sections() -> impl Iterator<Item = &'static Section> {
    let parts = [
        kafka::SECTIONS,
        delivery::SECTIONS,
        transactions::SECTIONS,
        offset_store::SECTIONS,
        process::SECTIONS,
    ];
    parts.into_iter().flatten()
}

/// The setting of a key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.key == key)
}

impl Setting {
    const fn new(key: &'static str, kind: Kind, preset: Preset, doc: &'static str) -> Self {
        Self {
            key,
            kind,
            preset,
            example: "",
            flag: None,
            per_topic: false,
            doc,
        }
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Lets topics have a value of their own.
    const fn per_topic(mut self) -> Self {
        self.per_topic = true;
        self
    }

    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        let name = self.key.replace('.', "_").to_ascii_uppercase();
        format!("{VARIABLE_PREFIX}{name}")
    }

    /// Writes the default into its place, if there is one.
    pub(super) fn apply_preset(&self, config: &mut Config) {
        let text = match self.preset {
            Preset::Required => return,
            Preset::Fixed(text) => text,
            Preset::Follows { value, .. } => value(config),
        };
        let applied = self.kind.apply(config, &Value::Word(text.to_owned()));
        debug_assert_eq!(applied, Ok(()), "default of {}", self.key);
    }

    /// The default, for people.
    pub(super) fn preset_shown(&self) -> &'static str {
        match self.preset {
            Preset::Required => "required",
            Preset::Fixed("") => "none",
            Preset::Fixed(text) => text,
            Preset::Follows { shown, .. } => shown,
        }
    }
}

/// A permitted word, chosen by writing a value into a field and recognised by the same value.
macro_rules! choice {
    ($name:literal, $($field:ident).+, $value:expr) => {
        crate::config::kind::Choice {
            name: $name,
            set: |config| config.$($field).+ = $value,
            holds: |config| config.$($field).+ == $value,
        }
    };
}
use choice;

#[cfg(test)]
mod tests;
