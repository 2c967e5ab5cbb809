//! `ackline fake`: from the command line to a cluster of lines, and from the verdict to an exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

use super::EXIT_USAGE;
use super::settings::SettingFlags;
use crate::config::{Config, parse_duration};
use crate::fake::{Cluster, Lines, Shape, read_file};
use crate::runtime::fake::{Outcome, Run};

/// More than any application's test needs.
const PARTITIONS_MAX: i64 = 1_000;
/// The topic, if neither settings nor lines name one.
const TOPIC: &str = "records";
/// What other commands leave to the user, or choose for a cluster that is shared and far away.
const PRESETS: [(&str, &str); 12] = [
    ("kafka.brokers", "fake:9092"),
    ("group.id", "fake"),
    ("start", "earliest"),
    ("commit.interval", "100ms"),
    ("drain.shutdown", "5s"),
    ("listen.app", "unix:/tmp/ackline.sock"),
    ("dead_letter.topic", "{topic}.dlq"),
    ("listen.http", ""),
    ("listen.admin", ""),
    ("listen.status_page", ""),
    ("log.level", "warn"),
    ("log.format", "text"),
];

/// Flags of `ackline fake`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// File of records and steps, one JSON object a line; `-` reads standard input as it comes.
    #[arg(long, value_name = "FILE")]
    records: PathBuf,
    /// File of steps that happen to the group: the partition is revoked, lost, given back, and so on.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Partitions of each topic; records without one go by their key, or take turns.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(i32).range(1..=PARTITIONS_MAX))]
    partitions: i32,
    /// End by itself when the input has ended and every record is settled.
    #[arg(long)]
    until_settled: bool,
    /// End after this time at the latest, such as 60s, and say what is missing.
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// How the summary looks: `text` on standard error, `json` on standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: SettingFlags,
}

/// How the summary looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What is to be run, and how its end is told.
#[derive(Debug)]
pub struct Job {
    run: Run,
    output: Output,
}

impl Options {
    /// Reads settings and files.
    ///
    /// # Errors
    ///
    /// All mistakes in both, as one text.
    pub(super) fn into_job(self, variables: Vec<(OsString, OsString)>) -> Result<Job, String> {
        let streams = self.records == Path::new("-");
        let mut lines = Lines::default();
        if !streams {
            read_file(&self.records, &mut lines);
        }
        if let Some(script) = &self.script {
            read_file(script, &mut lines);
        }
        let mut topics = lines.topics().join(",");
        if topics.is_empty() {
            TOPIC.clone_into(&mut topics);
        }
        let mut sources = self.settings.into_sources(variables);
        sources.skip_files = true;
        sources.presets = PRESETS
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .chain([("topics", topics)])
            .collect();
        let mut config = match Config::load(&sources) {
            Ok(config) => config,
            Err(problems) if lines.mistakes.is_empty() => return Err(problems.to_string()),
            Err(problems) => return Err(format!("{}\n{problems}", lines.mistakes)),
        };
        config.topics = topics_of(&config, &lines)?;
        let cluster = Cluster::new(Shape {
            group: config.group.id.clone(),
            topics: config.topics.clone(),
            partitions: self.partitions,
        });
        let mistakes = cluster.fill(lines);
        if !mistakes.is_empty() {
            return Err(mistakes.to_string());
        }
        if !streams {
            cluster.end_input();
        }
        Ok(Job {
            run: Run {
                config,
                cluster: Arc::new(cluster),
                reads_standard_input: streams,
                until_settled: self.until_settled,
                timeout: self.timeout,
            },
            output: self.output,
        })
    }
}

/// The topics of the settings. A pattern stands for those that the lines name.
fn topics_of(config: &Config, lines: &Lines) -> Result<Vec<String>, String> {
    let mut topics = config.topic_names();
    if config.has_topic_patterns() {
        let named = lines.topics().into_iter();
        let found: Vec<String> = named
            .filter(|name| config.reads(name) && !topics.contains(name))
            .collect();
        topics.extend(found);
    }
    if topics.is_empty() {
        let patterns = config.topics.join(", ");
        return Err(format!(
            "no line names a topic that {patterns} matches\n  -> add a topic to the lines, or name one with --topic"
        ));
    }
    Ok(topics)
}

impl Job {
    /// How its end is to be told, and what is to be run.
    #[must_use]
    pub fn into_parts(self) -> (Output, Run) {
        (self.output, self.run)
    }
}

/// Tells how a run ended, and with which code to exit.
#[must_use]
pub fn tell(output: Output, outcome: &Outcome) -> ExitCode {
    let Outcome { verdict, mistakes } = outcome;
    // If nobody is left to read it, the code is all that is left to say.
    let _ = match output {
        Output::Text => write!(io::stderr(), "{verdict}"),
        Output::Json => writeln!(io::stdout(), "{}", verdict.json()),
    };
    if !mistakes.is_empty() {
        let _ = writeln!(io::stderr(), "error: {mistakes}");
        ExitCode::from(EXIT_USAGE)
    } else if verdict.is_settled() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| !time.is_zero());
    time.ok_or_else(|| "write a number with a unit, such as 60s or 5m".to_owned())
}
