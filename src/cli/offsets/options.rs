//! The flags of `ackline offsets`, and what is wrong with them.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::dead_letters::{Format, Refusal};
use crate::cli::settings::SettingFlags;
use crate::config::{self, Config, StoreKind};
use crate::store::SCHEMA;

/// What can be done with positions.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OffsetsCommand {
    /// Copy the positions of a group between Kafka and another offset store
    ///
    /// Takes the settings of the sidecar, with `offset_store.kind` at the store that is not Kafka, for both directions.
    /// Refuses while the group has members: stop them, copy, and start them with the new setting. Positions that only the
    /// target has are left alone.
    ///
    /// Exit code 0 means that everything was copied, 1 that something was not.
    #[command(after_help = COPY_EXAMPLES)]
    Copy(CopyFlags),
    /// Print the statement that makes the table of an offset store
    ///
    /// The sidecar makes it itself, if its user may.
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(SchemaFlags),
}

const COPY_EXAMPLES: &str = "\
Examples:
  ackline offsets copy --from kafka --to postgres --config ackline.yaml --dry-run
  ackline offsets copy --from kafka --to postgres --config ackline.yaml
  ackline offsets copy --from postgres --to kafka --config ackline.yaml";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  ackline offsets schema postgres
  ackline offsets schema postgres --table ackline.offsets | psql orders";

#[derive(Debug, Args)]
pub(in crate::cli) struct CopyFlags {
    /// Where the positions are
    #[arg(long, value_name = "STORE")]
    from: Side,
    /// Where they are to be
    #[arg(long, value_name = "STORE")]
    to: Side,
    /// Say what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,
    /// How to write it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SchemaFlags {
    /// The store
    #[arg(value_name = "STORE")]
    store: SchemaOf,
    /// Name of the table, with its schema if it has one [setting: offset_store.postgres.table]
    #[arg(long, value_name = "NAME", default_value = "ackline_offsets", value_parser = config::table_name)]
    table: String,
}

/// A store that has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// A table in PostgreSQL.
    Postgres,
}

/// What keeps positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Side {
    /// The consumer group.
    Kafka,
    /// A table in PostgreSQL.
    Postgres,
    /// Nodes in ZooKeeper.
    Zookeeper,
}

impl Side {
    fn kind(self) -> StoreKind {
        match self {
            Self::Kafka => StoreKind::Kafka,
            Self::Postgres => StoreKind::Postgres,
            Self::Zookeeper => StoreKind::ZooKeeper,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Zookeeper => "zookeeper",
        }
    }
}

/// What to copy, and with which settings.
#[derive(Debug)]
pub struct Request {
    pub(super) config: Config,
    /// From Kafka to the store of the settings, and not the other way.
    pub(super) from_kafka: bool,
    /// The store that is not Kafka.
    pub(super) store: Side,
    pub(super) dry_run: bool,
    pub(super) format: Format,
}

/// What follows from a command line.
pub(in crate::cli) enum Wanted {
    Print(String),
    Copy(Box<Request>),
}

impl OffsetsCommand {
    /// What is to be done.
    pub(in crate::cli) fn prepare(
        self,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<Wanted, Refusal> {
        match self {
            Self::Schema(flags) => {
                let SchemaOf::Postgres = flags.store;
                Ok(Wanted::Print(SCHEMA.replace("{table}", &flags.table)))
            }
            Self::Copy(flags) => flags
                .into_request(variables)
                .map(|request| Wanted::Copy(Box::new(request))),
        }
    }
}

impl CopyFlags {
    fn into_request(self, variables: Vec<(OsString, OsString)>) -> Result<Request, Refusal> {
        let from_kafka = self.from == Side::Kafka;
        let store = if from_kafka { self.to } else { self.from };
        if from_kafka == (self.to == Side::Kafka) {
            return Err(usage(
                "one of --from and --to has to be kafka, and the other not: between two other stores, copy to kafka first",
            ));
        }
        let config =
            Config::load(&self.settings.into_sources(variables)).map_err(Refusal::Settings)?;
        if config.offset_store.kind != store.kind() {
            return Err(usage(&format!(
                "offset_store.kind is not {0} in these settings, so that nobody knows where {0} is: write `kind: {0}` \
                 and what it needs below offset_store, whichever the direction",
                store.name()
            )));
        }
        Ok(Request {
            config,
            from_kafka,
            store,
            dry_run: self.dry_run,
            format: self.output,
        })
    }
}

fn usage(text: &str) -> Refusal {
    Refusal::Usage(clap::Error::raw(
        ErrorKind::ValueValidation,
        format!("{text}\n"),
    ))
}
