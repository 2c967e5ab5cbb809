//! Settings as a YAML file: those in force with their origins, or an example with explanations.

use std::fmt::Write as _;

use super::kind::Kind;
use super::model::Config;
use super::origin::Origin;
use super::table::{self, Preset, Setting};
use super::value::Value;

/// Column of the comments.
const COMMENT_COLUMN: usize = 44;
/// Width of explanations.
const DOC_COLUMNS: usize = 96;

/// All settings in force, each with where it came from. The output is a settings file again, except
/// that possible secrets among `kafka.properties` are hidden.
#[must_use]
pub fn print(config: &Config) -> String {
    let mut writer = Writer::default();
    for setting in table::settings() {
        let origin = config.origins.get(setting.key).unwrap_or(&Origin::Default);
        let line = writer.line(setting.key, &setting.kind.shown(config));
        let _ = writeln!(writer.text, "{line:<COMMENT_COLUMN$} # {origin}");
    }
    writer.text
}

/// The settings that somebody gave, each with where it came from: a settings file, or nothing.
///
/// # Errors
///
/// Names of `kafka.properties` whose values may be secrets: what is printed is read by others.
pub fn print_given(config: &Config) -> Result<String, Vec<String>> {
    let secrets = config.kafka.properties.secret_names();
    if !secrets.is_empty() {
        return Err(secrets);
    }
    let mut writer = Writer::default();
    for setting in table::settings() {
        let origin = config.origins.get(setting.key).unwrap_or(&Origin::Default);
        if *origin != Origin::Default {
            let line = writer.line(setting.key, &setting.kind.shown(config));
            let _ = writeln!(writer.text, "{line:<COMMENT_COLUMN$} # {origin}");
        }
    }
    Ok(writer.text)
}

/// A complete settings file with every default and what it means.
#[must_use]
pub fn example_file() -> String {
    let mut writer = Writer {
        text: EXAMPLE_HEAD.to_owned(),
        ..Writer::default()
    };
    let mut config = Config::blank();
    for setting in table::settings() {
        let value = match setting.preset {
            Preset::Required => setting.example,
            Preset::Fixed(text) => text,
            Preset::Follows { value, .. } => value(&config),
        };
        let applied = setting
            .kind
            .apply(&mut config, &Value::Word(value.to_owned()));
        debug_assert_eq!(applied, Ok(()), "example of {}", setting.key);
        let line = writer.line(setting.key, &setting.kind.shown(&config));
        writer.explain(setting);
        let _ = writeln!(writer.text, "{line}");
    }
    writer.text
}

const EXAMPLE_HEAD: &str = "\
# Every setting of ackline. Only those marked as required have to be given.
# A variable wins over this file, a flag over a variable: `group.id` is ACKLINE_GROUP_ID or --group,
# and any setting is --set key=value.
";

/// Writes keys with dots as nested sections.
#[derive(Default)]
struct Writer {
    text: String,
    open: Vec<&'static str>,
}

impl Writer {
    /// Opens the sections of `key`, and gives the setting's own line without its line break.
    fn line(&mut self, key: &'static str, value: &str) -> String {
        let mut parts: Vec<&'static str> = key.split('.').collect();
        let name = parts.pop().unwrap_or(key);
        let shared = parts
            .iter()
            .zip(&self.open)
            .take_while(|(new, open)| new == open)
            .count();
        self.open.truncate(shared);
        for part in &parts[shared..] {
            self.open.push(part);
            let path = self.open.join(".");
            let indent = "  ".repeat(self.open.len() - 1);
            if self.text.starts_with('#') {
                let about = table::sections().find(|section| section.key == path);
                let doc = about.map_or("", |section| section.doc);
                self.text.push('\n');
                for line in wrapped(doc, DOC_COLUMNS - indent.len()) {
                    let _ = writeln!(self.text, "{indent}# {line}");
                }
            }
            let _ = writeln!(self.text, "{indent}{part}:");
        }
        format!("{}{name}: {value}", "  ".repeat(parts.len()))
    }

    fn explain(&mut self, setting: &Setting) {
        let indent = "  ".repeat(setting.key.matches('.').count());
        if indent.is_empty() {
            self.text.push('\n');
        }
        let mut doc = setting.doc.to_owned();
        if matches!(setting.preset, Preset::Required) {
            doc.push_str(" Required.");
        }
        if let Preset::Follows { shown, .. } = setting.preset {
            let _ = write!(doc, " Default: {shown}.");
        }
        if let Kind::Choice(choices) = setting.kind {
            let names: Vec<&str> = choices
                .iter()
                .map(|c| c.name)
                .filter(|name| !name.is_empty())
                .collect();
            let _ = write!(doc, " One of: {}.", names.join(", "));
        }
        for line in wrapped(&doc, DOC_COLUMNS - indent.len()) {
            let _ = writeln!(self.text, "{indent}# {line}");
        }
    }
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > columns {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}
