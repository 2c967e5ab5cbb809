//! Flags that give settings, made from the same list as the settings themselves.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{self, FlagValue, Sources};

/// Id of a settings file that a command takes as a word of its own besides `--config`.
pub(super) const FILE: &str = "file";
const CONFIG: &str = "config";
const SET: &str = "set";

/// The settings files and the settings of a command line.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingFlags {
    files: Vec<PathBuf>,
    values: Vec<FlagValue>,
}

impl SettingFlags {
    /// The settings files, in the order in which they were named.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Everything to read settings from.
    pub(super) fn into_sources(self, variables: Vec<(OsString, OsString)>) -> Sources {
        Sources {
            files: self.files,
            variables,
            flags: self.values,
            ..Sources::default()
        }
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let command = command.next_help_heading("Settings").arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("FILE")
                .env("ACKLINE_CONFIG")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help(
                    "Settings file in YAML; `ackline config example` prints a complete one. May be \
                     repeated: a later file wins, setting by setting.",
                ),
        );
        let command = config::flags().fold(command, |command, flag| {
            let action = if flag.repeats {
                ArgAction::Append
            } else {
                ArgAction::Set
            };
            let repeat = if flag.repeats {
                " May be repeated."
            } else {
                ""
            };
            command.arg(
                Arg::new(flag.flag)
                    .long(flag.flag)
                    .value_name(flag.value_name)
                    .action(action)
                    .help(format!("{}{repeat} [setting: {}]", flag.doc, flag.key)),
            )
        });
        command.arg(
            Arg::new(SET)
                .long(SET)
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .value_parser(key_and_value)
                .help(
                    "Any setting by its key, such as --set drain.revoke=2s; `ackline config \
                     reference` lists them. May be repeated.",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.files = settings_files(matches)?;
        self.values.clear();
        for info in config::flags() {
            let Some(values) = matches.get_many::<String>(info.flag) else {
                continue;
            };
            let values: Vec<&str> = values.map(String::as_str).collect();
            self.values.push(FlagValue {
                key: info.key.to_owned(),
                value: values.join(","),
                flag: format!("--{}", info.flag),
            });
        }
        let set = matches
            .get_many::<(String, String)>(SET)
            .into_iter()
            .flatten();
        self.values
            .extend(set.map(|(key, value)| FlagValue::set(key, value)));
        Ok(())
    }
}

/// The word of its own wins over `ACKLINE_CONFIG`, like `--config`; both on one line are a mistake.
fn settings_files(matches: &ArgMatches) -> Result<Vec<PathBuf>, Error> {
    let word = matches.try_get_one::<PathBuf>(FILE).ok().flatten();
    let flags = matches.get_many::<PathBuf>(CONFIG);
    if word.is_some() && matches.value_source(CONFIG) == Some(ValueSource::CommandLine) {
        return Err(Error::raw(
            ErrorKind::ArgumentConflict,
            "the settings file is named twice; keep FILE or --config\n",
        ));
    }
    Ok(match word {
        Some(word) => vec![word.clone()],
        None => flags.into_iter().flatten().cloned().collect(),
    })
}

pub(super) fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write KEY=VALUE, such as drain.revoke=2s")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
