//! Settings that some topics have of their own.
//!
//! # Invariants
//!
//! - The first rule that matches a topic holds for it, alone; what it does not say is as for all topics.
//! - A rule is read, checked and printed by the same rows of the [`table`] as the settings of all topics.
//! - `lane_depth` follows `order`: a rule that changes the order and says nothing of the depth has that order's default.

use super::kind::quoted;
use super::model::Config;
use super::problem::{Fault, nearest};
use super::read::{list_items, names, wrong_type};
use super::table::{self, Setting};
use super::topic_pattern::{TOPIC_OR_PATTERN, TopicPattern};
use super::value::Value;

/// Most rules.
pub(super) const RULES_MAX: usize = 100;

/// Most topics of one rule.
pub(super) const RULE_TOPICS_MAX: usize = 100;

/// The key of a rule that says which topics it is for.
pub(super) const TOPICS: &str = "topics";

/// Settings of some topics.
#[derive(Debug, Clone)]
pub struct TopicRule {
    topics: Vec<TopicPattern>,
    /// Rising by their places in the table, each once, each checked.
    values: Vec<(&'static Setting, Value)>,
}

impl TopicRule {
    /// Whether it is for the topic, if no earlier one is.
    pub(super) fn matches(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| pattern.matches(topic))
    }

    /// The topics as written.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(TopicPattern::text)
    }

    /// The keys that it sets.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().map(|(setting, _)| setting.key)
    }

    /// Writes its values over those of all topics.
    pub(super) fn apply(&self, config: &mut Config) {
        let depth = self.keys().any(|key| key == "lane_depth");
        let order = config.order;
        for (setting, value) in &self.values {
            let applied = setting.kind.apply(config, value);
            debug_assert_eq!(applied, Ok(()), "{} was checked", setting.key);
        }
        if config.order != order && !depth {
            for setting in table::settings().filter(|setting| setting.key == "lane_depth") {
                setting.apply_preset(config);
            }
        }
    }

    /// As a YAML file would hold it, in one line.
    fn shown(&self) -> String {
        let mut config = Config::blank();
        let topics: Vec<String> = self.topics().map(quoted).collect();
        let mut pairs = vec![(TOPICS, format!("[{}]", topics.join(", ")))];
        for (setting, value) in &self.values {
            let applied = setting.kind.apply(&mut config, value);
            debug_assert_eq!(applied, Ok(()), "{} was checked", setting.key);
            pairs.push((setting.key, setting.kind.shown(&config)));
        }
        nested(&pairs)
    }
}

/// Which rule holds for a topic.
pub(super) fn rule_of(rules: &[TopicRule], topic: &str) -> Option<usize> {
    rules.iter().position(|rule| rule.matches(topic))
}

/// All rules, as a YAML file would hold them.
pub(super) fn shown(rules: &[TopicRule]) -> String {
    let rules: Vec<String> = rules.iter().map(TopicRule::shown).collect();
    format!("[{}]", rules.join(", "))
}

/// The settings that a rule may hold.
pub(super) fn permitted() -> impl Iterator<Item = &'static Setting> {
    table::settings().filter(|setting| setting.per_topic)
}

/// Reads all rules.
pub(super) fn read(value: &Value) -> Result<Vec<TopicRule>, Vec<Fault>> {
    let parsed;
    let mut value = value;
    if let Value::Word(text) = value
        && !text.is_empty()
    {
        parsed = super::file::value_of(text).map_err(|what| {
            let remedy = "write them as in a file: [{topics: [orders], order: key}]";
            vec![Fault::new(what, remedy)]
        })?;
        value = &parsed;
    }
    let mut rules = Vec::new();
    let mut faults = Vec::new();
    for (index, item) in list_items(value, RULES_MAX)?.into_iter().enumerate() {
        match rule(&item) {
            Ok(rule) => rules.push(rule),
            Err(of_rule) => faults.extend(
                of_rule
                    .into_iter()
                    .map(|fault| fault.inside(&format!("[{index}]"))),
            ),
        }
    }
    if faults.is_empty() {
        Ok(rules)
    } else {
        Err(faults)
    }
}

fn rule(value: &Value) -> Result<TopicRule, Vec<Fault>> {
    let Value::Map(pairs) = value else {
        let remedy = "write `topics:` and the settings that differ, one a line";
        return Err(vec![wrong_type(value, "a section", remedy)]);
    };
    let mut reading = Reading::default();
    let mut topics = None;
    for (key, value) in pairs {
        if key == TOPICS {
            topics = Some(value);
        } else {
            reading.entry(key.clone(), value);
        }
    }
    let topics = match topics {
        Some(topics) => names(topics, TOPIC_OR_PATTERN, RULE_TOPICS_MAX),
        None => Err(vec![Fault::new(
            "is missing",
            "name the topics that the rule is for",
        )]),
    };
    let topics = topics.unwrap_or_else(|faults| {
        let inside = faults.into_iter().map(|fault| fault.inside(".topics"));
        reading.faults.extend(inside);
        Vec::new()
    });
    if reading.values.is_empty() && reading.faults.is_empty() {
        let what = "says nothing but which topics it is for";
        reading
            .faults
            .push(Fault::new(what, "add a setting that differs, or remove it"));
    }
    if !reading.faults.is_empty() {
        return Err(reading.faults);
    }
    let read = |text: &String| TopicPattern::read(text).map_err(|fault| vec![fault]);
    let place = |key| table::settings().position(|setting| setting.key == key);
    reading
        .values
        .sort_by_key(|(setting, _)| place(setting.key));
    Ok(TopicRule {
        topics: topics.iter().map(read).collect::<Result<_, _>>()?,
        values: reading.values,
    })
}

/// A rule that is taken apart.
#[derive(Default)]
struct Reading {
    values: Vec<(&'static Setting, Value)>,
    faults: Vec<Fault>,
}

impl Reading {
    fn entry(&mut self, key: String, value: &Value) {
        let is_section = table::sections().any(|section| section.key == key);
        match (table::find(&key), value) {
            (Some(setting), value) if setting.per_topic => self.setting(setting, value),
            (Some(_), _) => self.fault(
                &key,
                Fault::new(
                    "is the same for all topics",
                    format!("write it outside of per_topic; a rule may hold {}", list()),
                ),
            ),
            (None, Value::Map(pairs)) if is_section => {
                for (name, value) in pairs {
                    self.entry(format!("{key}.{name}"), value);
                }
            }
            (None, Value::Nothing) if is_section => {}
            (None, value) if is_section => {
                let fault = wrong_type(value, "a section", "write its settings below it");
                self.fault(&key, fault);
            }
            (None, _) => {
                let remedy = match meant(&key) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("remove it; a rule may hold {}", list()),
                };
                self.fault(&key, Fault::new("there is no such setting", remedy));
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting, value: &Value) {
        let applied = if *value == Value::Nothing {
            let remedy = "write one, or remove the line";
            Err(vec![Fault::new("has no value", remedy)])
        } else {
            setting.kind.apply(&mut Config::blank(), value)
        };
        match applied {
            Ok(()) => self.values.push((setting, value.clone())),
            Err(faults) => {
                for fault in faults {
                    self.fault(setting.key, fault.of_value(value));
                }
            }
        }
    }

    fn fault(&mut self, key: &str, fault: Fault) {
        self.faults.push(fault.inside(&format!(".{key}")));
    }
}

/// The key that was probably meant: one that is written alike, or one whose section was forgotten.
fn meant(key: &str) -> Option<&'static str> {
    let known = || permitted().map(|setting| setting.key).chain([TOPICS]);
    let without_section = |known: &&str| known.rsplit('.').next() == Some(key);
    nearest(key, known()).or_else(|| known().find(without_section))
}

/// What a rule may hold, for messages.
fn list() -> String {
    let mut names: Vec<String> = Vec::new();
    for setting in permitted() {
        let section = setting.key.split('.').next().unwrap_or_default();
        let inside = format!("{section}.");
        let whole = permitted()
            .filter(|other| other.key.starts_with(&inside))
            .count()
            > 1;
        let name = if whole {
            format!("{section}.*")
        } else {
            setting.key.to_owned()
        };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// Pairs whose keys have dots, as nested sections in one line. Keys of a section stand together.
fn nested(pairs: &[(&str, String)]) -> String {
    let mut parts = Vec::new();
    let mut rest = pairs;
    while let Some(((key, value), after)) = rest.split_first() {
        match key.split_once('.') {
            None => {
                parts.push(format!("{key}: {value}"));
                rest = after;
            }
            Some((section, _)) => {
                let inside: Vec<(&str, String)> = rest
                    .iter()
                    .map_while(|(key, value)| {
                        let (of, key) = key.split_once('.')?;
                        (of == section).then(|| (key, value.clone()))
                    })
                    .collect();
                parts.push(format!("{section}: {}", nested(&inside)));
                rest = &rest[inside.len()..];
            }
        }
    }
    format!("{{{}}}", parts.join(", "))
}
