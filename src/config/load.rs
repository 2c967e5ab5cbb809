//! From what was given to a [`Config`], or to the list of all mistakes.
//!
//! Flags win over variables, variables over files, a later file over an earlier one, files over defaults.

use std::ffi::OsString;
use std::path::PathBuf;

use super::contradictions;
use super::environment;
use super::file;
use super::kind::Kind;
use super::model::Config;
use super::origin::{Given, Origin};
use super::problem::{Fault, Problem, Problems};
use super::rules::ANY_TEXT;
use super::secret::{check_file, may_be_secret};
use super::table::{self, Preset, Setting};
use super::unknown::unknown_key;
use super::value::Value;

/// Everything that settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Settings that another program holds. Files win over them.
    pub layers: Vec<Layer>,
    /// Settings files; a later one wins.
    pub files: Vec<PathBuf>,
    /// The environment, ours and everybody's.
    pub variables: Vec<(OsString, OsString)>,
    /// Settings from the command line, each with the flag as it was written.
    pub flags: Vec<FlagValue>,
    /// Whether to leave files that settings name unread, because they exist only elsewhere.
    pub skip_files: bool,
    /// Whether more is added elsewhere: then nothing is required yet, and values are not compared with
    /// each other.
    pub partial: bool,
    /// Whether `${NAME}` stands for a variable of another place, and stays.
    pub keep_variables: bool,
    /// Defaults of a command that needs others than those of `run`, by the keys of their settings.
    pub presets: Vec<(&'static str, String)>,
}

/// Settings that another program holds. Of several, a later one wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What a person calls it, for messages and printed settings.
    pub name: String,
    /// The settings.
    pub content: LayerContent,
}

/// What a [`Layer`] holds.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerContent {
    /// A tree like that of a settings file.
    Tree(serde_json::Value),
    /// One setting as a variable would hold it: parts of lists are separated by commas.
    Setting {
        /// The key of the setting.
        key: String,
        /// Its value.
        value: String,
    },
}

/// A setting from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The key of the setting.
    pub key: String,
    /// Its value; parts of lists are separated by commas.
    pub value: String,
    /// The flag, for messages.
    pub flag: String,
}

impl FlagValue {
    /// A setting as `--set key=value` gives it.
    #[must_use]
    pub fn set(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
            flag: "--set".to_owned(),
        }
    }
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    ///
    /// Every mistake in them.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut given = presets(&sources.presets);
        let mut problems = Vec::new();
        for layer in &sources.layers {
            layer.read(&mut given, &mut problems);
        }
        for path in &sources.files {
            file::read(path, &mut given, &mut problems);
        }
        environment::read(&sources.variables, &mut given, &mut problems);
        flags(&sources.flags, &mut given, &mut problems);
        let mut loading = Loading {
            config: Self::blank(),
            rule: None,
            partial: sources.partial,
            failed: Vec::new(),
            problems,
        };
        for setting in table::settings() {
            loading.fill(setting, &given);
        }
        if !sources.keep_variables {
            loading.expand_instance_id(&sources.variables);
        }
        if !sources.skip_files {
            loading.check_files();
        }
        if !sources.partial {
            contradictions::check(&mut loading);
        }
        loading.finish()
    }
}

impl Layer {
    fn read(&self, given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
        let origin = Origin::Layer(self.name.clone());
        match &self.content {
            LayerContent::Tree(tree) => {
                let (known, found) = (given.len(), problems.len());
                // JSON is YAML. Its lines mean nothing to whoever holds the tree.
                file::parse(&self.name, &tree.to_string(), given, problems);
                for value in &mut given[known..] {
                    value.origin = origin.clone();
                }
                for problem in &mut problems[found..] {
                    problem.place = Some(origin.to_string());
                }
            }
            LayerContent::Setting { key, value } => match table::find(key) {
                Some(setting) => given.push(Given {
                    key: setting.key,
                    value: Value::Word(value.clone()),
                    origin,
                }),
                None => problems.push(Problem {
                    place: Some(origin.to_string()),
                    ..unknown_key(key)
                }),
            },
        }
    }
}

/// A configuration in the making.
pub(super) struct Loading {
    /// Filled as far as possible; defaults stand where values are wrong.
    pub(super) config: Config,
    /// The rule of `per_topic` whose values stand among them, while what follows from it is looked at.
    pub(super) rule: Option<usize>,
    partial: bool,
    failed: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Loading {
    /// Notes that a setting is wrong, with its value. Settings known to be wrong already are left
    /// alone: what follows from a mistake is not another one.
    pub(super) fn report(&mut self, key: &'static str, involved: &[&'static str], fault: Fault) {
        let known = |key: &&'static str| self.failed.contains(key);
        if known(&key) || involved.iter().any(known) {
            return;
        }
        let value = table::find(key).map(|setting| setting.kind.shown(&self.config));
        let (key, origin) = match self.rule {
            None => (key.to_owned(), key),
            // What does not touch the rule was said when the settings of all topics were looked at.
            Some(rule) => {
                let own = |key: &&str| self.config.per_topic[rule].keys().any(|own| own == *key);
                if !own(&key) && !involved.iter().any(own) {
                    return;
                }
                (format!("per_topic[{rule}].{key}"), "per_topic")
            }
        };
        let place = self.config.origins.get(origin).map(Origin::to_string);
        self.problems.push(Problem {
            key,
            value,
            place,
            fault,
        });
    }

    /// Reports a mistake in a rule of `per_topic`.
    pub(super) fn report_rule(&mut self, rule: usize, fault: Fault) {
        if self.failed.contains(&"per_topic") || self.failed.contains(&"topics") {
            return;
        }
        let place = self.config.origins.get("per_topic");
        self.problems.push(Problem {
            key: format!("per_topic[{rule}].topics"),
            value: None,
            place: place.map(Origin::to_string),
            fault,
        });
    }

    /// Looks at each rule of `per_topic` as if its values were those of all topics.
    pub(super) fn with_each_rule(&mut self, look: fn(&mut Self)) {
        let general = self.config.clone();
        for rule in 0..general.per_topic.len() {
            self.config = general.of_rule(rule);
            self.rule = Some(rule);
            look(self);
        }
        self.config = general;
        self.rule = None;
    }

    /// Whether the setting holds something else than its default.
    pub(super) fn is_changed(&self, key: &str) -> bool {
        table::find(key).is_some_and(|setting| {
            let mut default = self.config.clone();
            setting.apply_preset(&mut default);
            setting.kind.shown(&self.config) != setting.kind.shown(&default)
        })
    }

    fn fill(&mut self, setting: &'static Setting, given: &[Given]) {
        let mut ours: Vec<&Given> = given
            .iter()
            .filter(|given| given.key == setting.key)
            .collect();
        ours.sort_by_key(|given| rank(&given.origin));
        let merged = matches!(setting.kind, Kind::Properties(_));
        let counted = if merged {
            ours.as_slice()
        } else {
            &ours[ours.len().saturating_sub(1)..]
        };
        self.preset(setting, counted.is_empty());
        for given in counted {
            self.config
                .origins
                .insert(setting.key, given.origin.clone());
            self.apply(setting, given);
        }
    }

    fn preset(&mut self, setting: &'static Setting, needed: bool) {
        self.config.origins.insert(setting.key, Origin::Default);
        setting.apply_preset(&mut self.config);
        if needed && !self.partial && matches!(setting.preset, Preset::Required) {
            self.problems.push(missing(setting));
            self.failed.push(setting.key);
        }
    }

    fn apply(&mut self, setting: &'static Setting, given: &Given) {
        let applied = if given.value == Value::Nothing {
            let remedy = format!(
                "write one, or remove the line (default: {})",
                setting.preset_shown()
            );
            Err(vec![Fault::new("has no value", remedy)])
        } else {
            setting.kind.apply(&mut self.config, &given.value)
        };
        let Err(faults) = applied else { return };
        self.failed.push(setting.key);
        let hidden = matches!(setting.kind, Kind::Properties(_));
        for fault in faults {
            let whole = || (!hidden && given.value != Value::Nothing).then(|| given.value.shown());
            self.problems.push(Problem {
                key: format!("{}{}", setting.key, fault.part),
                value: if fault.part.is_empty() {
                    whole()
                } else {
                    fault.part_value.clone()
                },
                place: Some(given.origin.to_string()),
                fault,
            });
        }
    }

    fn expand_instance_id(&mut self, variables: &[(OsString, OsString)]) {
        let expanded = environment::expand(&self.config.group.instance_id, variables);
        // What a variable holds was not looked at when the text that names it was.
        let checked = expanded.and_then(|expanded| {
            let filled_in = |fault: Fault| {
                Fault::new(
                    format!("{}, once its variables are filled in", fault.what),
                    format!("{}, or name another variable", fault.remedy),
                )
            };
            (ANY_TEXT.check)(&expanded).map_err(filled_in)?;
            Ok(expanded)
        });
        match checked {
            Ok(expanded) => self.config.group.instance_id = expanded,
            Err(fault) => self.report("group.instance_id", &[], fault),
        }
    }

    fn check_files(&mut self) {
        for setting in table::settings() {
            let Kind::File(holds, slot) = setting.kind else {
                continue;
            };
            if let Some(Err(fault)) = slot(&mut self.config)
                .as_ref()
                .map(|path| check_file(path, holds))
            {
                self.report(setting.key, &[], fault);
            }
        }
    }

    fn finish(mut self) -> Result<Config, Problems> {
        if self.problems.is_empty() {
            return Ok(self.config);
        }
        let place = |problem: &Problem| {
            table::settings()
                .position(|setting| {
                    let part = problem.key.strip_prefix(setting.key);
                    part.is_some_and(|part| part.is_empty() || part.starts_with('['))
                })
                .unwrap_or(0)
        };
        self.problems.sort_by_key(place);
        Err(Problems(self.problems))
    }
}

fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::Layer(_) | Origin::File(..) => 1,
        Origin::Variable(_) => 2,
        Origin::Flag(_) => 3,
    }
}

fn missing(setting: &Setting) -> Problem {
    let mut remedy = format!(
        "write `{}` into the file, or set {}",
        setting.key,
        setting.variable()
    );
    if let Some(flag) = setting.flag {
        remedy.push_str(&format!(" or --{flag}"));
    }
    remedy.push_str(&format!(", for example to {}", setting.example));
    Problem {
        key: setting.key.to_owned(),
        value: None,
        place: None,
        fault: Fault::new("is required and has no default", remedy),
    }
}

fn presets(presets: &[(&'static str, String)]) -> Vec<Given> {
    let given = |(key, value): &(&'static str, String)| Given {
        key,
        value: Value::Word(value.clone()),
        origin: Origin::Default,
    };
    presets.iter().map(given).collect()
}

fn flags(flags: &[FlagValue], given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
    for flag in flags {
        let origin = Origin::Flag(flag.flag.clone());
        let inside = flag.key.strip_prefix("kafka.properties.").map(|name| {
            let value = Value::Map(vec![(name.to_owned(), Value::Word(flag.value.clone()))]);
            ("kafka.properties", value)
        });
        let plain = || {
            let setting = table::find(&flag.key)?;
            Some((setting.key, Value::Word(flag.value.clone())))
        };
        let Some((key, value)) = inside.or_else(plain) else {
            problems.push(Problem {
                place: Some(origin.to_string()),
                ..unknown_key(&flag.key)
            });
            continue;
        };
        let merged = key == "kafka.properties";
        let twice = given
            .iter()
            .find(|given| !merged && given.key == key && matches!(given.origin, Origin::Flag(_)));
        if let Some(first) = twice {
            problems.push(Problem {
                key: key.to_owned(),
                value: (!may_be_secret(key)).then(|| flag.value.clone()),
                place: Some(format!("{} and {origin}", first.origin)),
                fault: Fault::new("is given twice on the command line", "keep one of them"),
            });
        }
        given.push(Given { key, value, origin });
    }
}
