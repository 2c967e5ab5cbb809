//! From what was given to a [`Config`], or to the list of all mistakes.
//!
//! Flags win over variables, variables over the file, the file over the default.

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
    /// The settings file.
    pub file: Option<PathBuf>,
    /// The environment, ours and everybody's.
    pub variables: Vec<(OsString, OsString)>,
    /// Settings from the command line, each with the flag as it was written.
    pub flags: Vec<FlagValue>,
    /// Whether to leave files that settings name unread, because they exist only elsewhere.
    pub skip_files: bool,
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
        Self::load_with(sources, &[])
    }

    /// The same for a command that can do without some of the required settings: where nobody gives them, these values
    /// stand, by key.
    ///
    /// # Errors
    ///
    /// Every mistake in them.
    pub fn load_with(
        sources: &Sources,
        substitutes: &[(&'static str, &str)],
    ) -> Result<Self, Problems> {
        let mut given = Vec::new();
        let mut problems = Vec::new();
        if let Some(path) = &sources.file {
            file::read(path, &mut given, &mut problems);
        }
        environment::read(&sources.variables, &mut given, &mut problems);
        flags(&sources.flags, &mut given, &mut problems);
        for (key, value) in substitutes {
            if !given.iter().any(|given| given.key == *key) {
                given.push(Given {
                    key,
                    value: Value::Word((*value).to_owned()),
                    origin: Origin::Default,
                });
            }
        }
        let mut loading = Loading {
            config: Self::blank(),
            failed: Vec::new(),
            problems,
        };
        for setting in table::settings() {
            loading.fill(setting, &given);
        }
        loading.expand_instance_id(&sources.variables);
        if !sources.skip_files {
            loading.check_files();
        }
        contradictions::check(&mut loading);
        loading.finish()
    }
}

/// A configuration in the making.
pub(super) struct Loading {
    /// Filled as far as possible; defaults stand where values are wrong.
    pub(super) config: Config,
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
        let place = self.config.origins.get(key).map(Origin::to_string);
        self.problems.push(Problem {
            key: key.to_owned(),
            value,
            place,
            fault,
        });
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
        if needed && matches!(setting.preset, Preset::Required) {
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
            self.problems.push(Problem {
                key: setting.key.to_owned(),
                value: (!hidden && given.value != Value::Nothing).then(|| given.value.shown()),
                place: Some(given.origin.to_string()),
                fault,
            });
        }
    }

    fn expand_instance_id(&mut self, variables: &[(OsString, OsString)]) {
        let expanded = environment::expand(&self.config.group.instance_id, variables);
        // What a variable holds was not looked at when the text that names it was.
        let checked = expanded.and_then(|expanded| {
            let filled_in = |fault: Fault| Fault {
                what: format!("{}, once its variables are filled in", fault.what),
                remedy: format!("{}, or name another variable", fault.remedy),
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
                .position(|setting| setting.key == problem.key)
                .unwrap_or(0)
        };
        self.problems.sort_by_key(place);
        Err(Problems(self.problems))
    }
}

fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File(..) => 1,
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
