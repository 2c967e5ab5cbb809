//! The settings file as a JSON schema, for editors and for checks before a deployment.

use serde_json::{Value, json};

use super::kind::Kind;
use super::per_topic;
use super::rules::Rule;
use super::table::{self, Preset, Setting};
use super::topic_pattern::TOPIC_OR_PATTERN;
use super::units::{DURATION_PATTERN, SIZE_PATTERN};

/// The schema of the settings file. Variables and flags may give what the file leaves out, so it
/// requires nothing.
#[must_use]
pub fn schema() -> Value {
    let mut root = object("Settings of ackline.");
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("ackline");
    for section in table::sections() {
        *place(&mut root, section.key) = object(section.doc);
    }
    for setting in table::settings() {
        *place(&mut root, setting.key) = leaf(setting);
    }
    root
}

/// Where a key stands in the schema. Sections come before what they hold.
fn place<'a>(root: &'a mut Value, key: &str) -> &'a mut Value {
    key.split('.')
        .fold(root, |object, part| &mut object["properties"][part])
}

/// A section, or nothing where all of its settings are commented out.
fn object(doc: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "description": doc,
        "additionalProperties": false,
        "properties": {},
    })
}

fn leaf(setting: &Setting) -> Value {
    let mut schema = shape(setting.kind);
    schema["description"] = json!(setting.doc);
    if let Some(default) = default_value(setting) {
        schema["default"] = default;
    }
    schema
}

fn shape(kind: Kind) -> Value {
    match kind {
        Kind::Switch(_) => json!({"type": "boolean"}),
        Kind::Count(least, most, _) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Size(least, most, _) => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": SIZE_PATTERN},
        ]}),
        Kind::Time(..) => json!({"type": "string", "pattern": DURATION_PATTERN}),
        Kind::Factor(least, most, _) => {
            json!({"type": "number", "minimum": least, "maximum": most})
        }
        Kind::Choice(choices) => {
            let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
            json!({"type": "string", "enum": names})
        }
        Kind::Text(rule, _) => json!({"type": "string", "pattern": rule.pattern}),
        Kind::File(..) => json!({"type": "string"}),
        Kind::Socket(_) => json!({"type": "string", "pattern": "^(unix:/.+)?$"}),
        Kind::Address(_) => json!({"type": "string", "pattern": "^(.+:[0-9]{1,5})?$"}),
        Kind::Names(rule, most, _) => names(rule, most),
        Kind::Uids(_) => json!({
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
        }),
        Kind::Properties(_) => json!({
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        Kind::PerTopic(_) => json!({
            "type": "array",
            "maxItems": per_topic::RULES_MAX,
            "items": rule(),
        }),
    }
}

/// What some topics may have of their own.
fn rule() -> Value {
    let mut root = json!({
        "type": "object",
        "description": "Settings of some topics.",
        "additionalProperties": false,
        "required": [per_topic::TOPICS],
        "properties": {},
    });
    for section in table::sections() {
        let inside = format!("{}.", section.key);
        if per_topic::permitted().any(|setting| setting.key.starts_with(&inside)) {
            *place(&mut root, section.key) = object(section.doc);
        }
    }
    for setting in per_topic::permitted() {
        let mut leaf = shape(setting.kind);
        leaf["description"] = json!(setting.doc);
        *place(&mut root, setting.key) = leaf;
    }
    let topics = &mut root["properties"][per_topic::TOPICS];
    *topics = names(TOPIC_OR_PATTERN, per_topic::RULE_TOPICS_MAX);
    topics["description"] =
        json!("Topics that the rule is for: names, or patterns of names that begin with ^.");
    root
}

fn names(rule: Rule, most: usize) -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "maxItems": most,
        "uniqueItems": true,
        "items": {"type": "string", "pattern": rule.pattern},
    })
}

fn default_value(setting: &Setting) -> Option<Value> {
    let Preset::Fixed(text) = setting.preset else {
        return None;
    };
    Some(match setting.kind {
        Kind::Switch(_) | Kind::Count(..) | Kind::Factor(..) => serde_json::from_str(text).ok()?,
        Kind::Names(..) | Kind::Uids(_) | Kind::PerTopic(_) => json!([]),
        Kind::Properties(_) => json!({}),
        Kind::Size(..)
        | Kind::Time(..)
        | Kind::Choice(_)
        | Kind::Text(..)
        | Kind::File(..)
        | Kind::Socket(_)
        | Kind::Address(_) => json!(text),
    })
}
