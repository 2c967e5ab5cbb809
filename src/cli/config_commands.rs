//! `ackline config …`: everything about settings that needs no broker.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::settings::{self, SettingFlags};
use crate::config::{self, Config, Problems, Sources};

/// What can be asked about settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check settings; exit code 64 if anything is wrong
    ///
    /// Takes what `ackline run` takes, and says what that would say: the settings file as FILE or by
    /// --config, ACKLINE_… variables and flags.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckFlags),
    /// Print all settings in force, and where each of them comes from
    ///
    /// The output is a settings file. Files that settings name are not looked at.
    Print(SettingFlags),
    /// Print how much memory these settings can take, line by line
    Memory(SettingFlags),
    /// Print a complete settings file with every default and its explanation
    Example,
    /// Print all settings as a Markdown table
    Reference,
    /// Print the JSON schema of the settings file, for editors and checks
    Schema,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  ackline config check ackline.yaml
  ackline config check --config ackline.yaml --set order=key
  ackline config check --skip-files ackline.yaml";

#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    settings: SettingFlags,
    /// The settings file, the same as --config FILE.
    #[arg(id = settings::FILE, value_name = "FILE", help_heading = None)]
    _file: Option<PathBuf>,
    /// Do not look for certificates, passwords and tokens: they exist only where ackline will run.
    #[arg(long)]
    skip_files: bool,
}

impl ConfigCommand {
    /// What to print.
    pub(super) fn output(self, variables: Vec<(OsString, OsString)>) -> Result<String, Problems> {
        Ok(match self {
            Self::Check(flags) => {
                let names = flags.settings.files().iter();
                let names: Vec<String> = names.map(|file| file.display().to_string()).collect();
                let of = if names.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", names.join(", "))
                };
                Config::load(&Sources {
                    skip_files: flags.skip_files,
                    ..flags.settings.into_sources(variables)
                })?;
                format!("{of}all settings are valid\n")
            }
            Self::Print(flags) => config::print(&without_files(flags, variables)?),
            Self::Memory(flags) => config::memory_report(&without_files(flags, variables)?),
            Self::Example => config::example_file(),
            Self::Reference => config::reference(),
            Self::Schema => format!("{:#}\n", config::schema()),
        })
    }
}

fn without_files(
    flags: SettingFlags,
    variables: Vec<(OsString, OsString)>,
) -> Result<Config, Problems> {
    Config::load(&Sources {
        skip_files: true,
        ..flags.into_sources(variables)
    })
}
