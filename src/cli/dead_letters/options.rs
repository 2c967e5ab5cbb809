//! The flags of `ackline dead-letters`, and what is wrong with them.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Subcommand, ValueEnum};

use super::filter::Filter;
use crate::cli::place::RecordPlace;
use crate::cli::settings::key_and_value;
use crate::config::{Config, FlagValue, Problems, Sources};

/// Stands for topics that the settings do not name. No record comes from it.
const NO_TOPIC: &str = "ackline-no-topic";

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeadLettersCommand {
    /// List dead letters, the newest last
    #[command(after_help = LIST_EXAMPLES)]
    List(ListFlags),
    /// Show one dead letter: where it came from, why it was given up, its headers
    ///
    /// The payload is shown only with --payload.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowFlags),
    /// Send dead letters back to the topics that they came from
    ///
    /// Key, value, headers and timestamp are kept, the headers of the dead letter are taken off, and
    /// `ackline.redriven-from` says where it lay. Records that come to the dead-letter topic meanwhile are left alone.
    ///
    /// How far it came is kept in a consumer group, as soon as the brokers have confirmed what was sent: run it again to go
    /// on. If it is stopped in between, the last second may be sent twice. Run one at a time.
    ///
    /// Exit code 0 means that everything chosen was sent, 1 that something was not.
    #[command(after_help = REDRIVE_EXAMPLES)]
    Redrive(RedriveFlags),
}

const LIST_EXAMPLES: &str = "\
Examples:
  ackline dead-letters list orders.dlq --brokers kafka:9092
  ackline dead-letters list orders.dlq --config ackline.yaml --cause crashes --since 2h
  ackline dead-letters list orders.dlq --brokers kafka:9092 -o json | jq '.[].reason'";

const SHOW_EXAMPLES: &str = "\
Examples:
  ackline dead-letters show orders.dlq/0/17 --brokers kafka:9092
  ackline dead-letters show orders.dlq/0/17 --config ackline.yaml --payload";

const REDRIVE_EXAMPLES: &str = "\
Examples:
  ackline dead-letters redrive orders.dlq --config ackline.yaml --dry-run
  ackline dead-letters redrive orders.dlq --config ackline.yaml --only-group orders-service --rate 50/s
  ackline dead-letters redrive orders.dlq --brokers kafka:9092 --source-topic orders --since 2h";

/// How to reach Kafka.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct Connection {
    /// Settings file in YAML, such as that of the sidecar; its `kafka` section and its `topics` count
    #[arg(long, value_name = "FILE", env = "ACKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Brokers to ask first; may be repeated [setting: kafka.brokers]
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Vec<String>,
    /// Any setting by its key, such as --set kafka.tls.enabled=true; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListFlags {
    /// The dead-letter topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The newest so many
    #[arg(long, value_name = "N", default_value = "100")]
    limit: NonZeroU32,
    /// How to write them
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowFlags {
    /// Which one: TOPIC/PARTITION/OFFSET
    #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = record)]
    place: RecordPlace,
    /// Show the value, too
    #[arg(long)]
    payload: bool,
    /// How to write it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RedriveFlags {
    /// The dead-letter topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// For this consumer group only: the sidecars of all other groups pass the records over
    #[arg(long, value_name = "GROUP")]
    only_group: Option<String>,
    /// At most so many records each second, such as 50/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// Stop after so many records; the next run goes on there
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU32>,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Begin at the oldest dead letter, whatever was sent before
    #[arg(long)]
    restart: bool,
    /// Keep the position in this consumer group, instead of one that is named after the topic and what is chosen
    #[arg(long, value_name = "GROUP")]
    position_group: Option<String>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

/// How to write something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What to do, and with which settings.
#[derive(Debug)]
pub struct Request {
    pub(super) config: Config,
    pub(super) action: Action,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// List dead letters.
    List(List),
    /// Show one.
    Show(Show),
    /// Send them back.
    Redrive(Redrive),
}

/// What to list.
#[derive(Debug)]
pub struct List {
    pub(super) topic: String,
    pub(super) filter: Filter,
    pub(super) limit: NonZeroU32,
    pub(super) format: Format,
}

/// What to show.
#[derive(Debug)]
pub struct Show {
    pub(super) place: RecordPlace,
    pub(super) payload: bool,
    pub(super) format: Format,
}

/// What to send back.
#[derive(Debug)]
pub struct Redrive {
    pub(super) topic: String,
    pub(super) filter: Filter,
    pub(super) only_group: Option<String>,
    pub(super) rate: Option<NonZeroU32>,
    pub(super) limit: Option<NonZeroU32>,
    pub(super) dry_run: bool,
    pub(super) restart: bool,
    pub(super) position_group: String,
    /// Topics that may be written to.
    pub(super) targets: Vec<String>,
}

/// Why there is no request.
pub(in crate::cli) enum Refusal {
    /// The settings are wrong.
    Settings(Problems),
    /// The command line is.
    Usage(clap::Error),
}

impl DeadLettersCommand {
    /// What is asked for, with all that it needs.
    pub(in crate::cli) fn into_request(
        self,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<Request, Refusal> {
        let load = |connection: Connection| connection.load(variables).map_err(Refusal::Settings);
        match self {
            Self::List(flags) => Ok(Request {
                config: load(flags.connection)?,
                action: Action::List(List {
                    topic: flags.topic,
                    filter: flags.filter,
                    limit: flags.limit,
                    format: flags.output,
                }),
            }),
            Self::Show(flags) => Ok(Request {
                config: load(flags.connection)?,
                action: Action::Show(Show {
                    place: flags.place,
                    payload: flags.payload,
                    format: flags.output,
                }),
            }),
            Self::Redrive(mut flags) => {
                let position_group = flags.position_group();
                let config = load(flags.connection)?;
                let targets = targets(&config, &mut flags.filter, &flags.topic)?;
                Ok(Request {
                    action: Action::Redrive(Redrive {
                        topic: flags.topic,
                        filter: flags.filter,
                        only_group: flags.only_group,
                        rate: flags.rate,
                        limit: flags.limit,
                        dry_run: flags.dry_run,
                        restart: flags.restart,
                        position_group,
                        targets,
                    }),
                    config,
                })
            }
        }
    }
}

impl Connection {
    fn load(self, variables: Vec<(OsString, OsString)>) -> Result<Config, Problems> {
        let brokers = (!self.brokers.is_empty()).then(|| FlagValue {
            key: "kafka.brokers".to_owned(),
            value: self.brokers.join(","),
            flag: "--brokers".to_owned(),
        });
        let set = self.set.iter();
        let set = set.map(|(key, value)| FlagValue::set(key, value));
        let sources = Sources {
            files: self.config.into_iter().collect(),
            variables,
            flags: brokers.into_iter().chain(set).collect(),
            skip_files: true,
            presets: vec![
                ("group.id", super::GROUP.to_owned()),
                ("topics", NO_TOPIC.to_owned()),
                ("start", "earliest".to_owned()),
            ],
            ..Sources::default()
        };
        Config::load(&sources)
    }
}

impl RedriveFlags {
    /// The group that keeps the position. Records that were not chosen are passed over for good within it, so each choice has
    /// one of its own.
    fn position_group(&self) -> String {
        if let Some(group) = &self.position_group {
            return group.clone();
        }
        let mut name = format!("ackline-redrive-{}", self.topic);
        if !self.filter.is_open() || self.only_group.is_some() {
            let choice = format!("{:?} {:?}", self.filter, self.only_group);
            name.push_str(&format!("-{:08x}", crc32fast::hash(choice.as_bytes())));
        }
        name
    }
}

/// The topics that records may go back to: those that were named, by flag or by the settings.
fn targets(config: &Config, filter: &mut Filter, topic: &str) -> Result<Vec<String>, Refusal> {
    let named = &filter.source_topic;
    // What a pattern means is not for a command to guess that writes.
    let names = config.topic_names();
    let of_settings = names.iter().filter(|topic| *topic != NO_TOPIC);
    let targets: Vec<String> = if named.is_empty() {
        of_settings.cloned().collect()
    } else {
        named.clone()
    };
    let usage = |message: String| {
        let kind = ErrorKind::MissingRequiredArgument;
        Refusal::Usage(clap::Error::raw(kind, format!("{message}\n")))
    };
    if targets.is_empty() {
        return Err(usage(
            "nothing says which topics may be written to\n  -> name them with --source-topic, or the settings file of the sidecar with --config".to_owned(),
        ));
    }
    if targets.iter().any(|target| target == topic) {
        return Err(usage(format!(
            "records of {topic} would go back to {topic}\n  -> name the dead-letter topic first, and the topics that its records came from with --source-topic"
        )));
    }
    Ok(targets)
}

fn record(text: &str) -> Result<RecordPlace, String> {
    RecordPlace::read(text).ok_or_else(|| {
        "write TOPIC/PARTITION/OFFSET, such as orders.dlq/0/17; `ackline dead-letters list` prints them"
            .to_owned()
    })
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "write records per second, such as 50/s".to_owned())
}
