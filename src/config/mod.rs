//! Settings: one YAML file, `ACKLINE_…` variables and flags become one checked [`Config`].
//!
//! ```text
//! file ──► file.rs ─┐
//! environment.rs ───┼─► load.rs ─► kind.rs, read.rs ─► contradictions.rs ─► Config (model.rs)
//! flags ────────────┘      │                                            └─► Problems (problem.rs)
//!                          └── table/: the list of all settings
//! ```
//!
//! # Invariants
//!
//! - A `Config` that exists is valid. Nobody else can build one.
//! - All mistakes are reported together, each with its setting, its value and a remedy.
//! - Flags win over variables, variables over files, a later file over an earlier one, files over defaults.
//! - What the file, the schema, the printed settings and the reference say comes from one
//!   table, so that they cannot disagree.
//! - Secrets are read from files, never from settings, and no output shows one.
//!
//! # Deliberately absent
//!
//! Settings are read once. What changes while the process runs are files they name, and whoever
//! uses such a file watches it.

mod contradictions;
mod environment;
mod file;
mod kind;
mod load;
mod memory;
mod model;
mod origin;
mod per_topic;
mod print;
mod problem;
mod properties;
mod read;
mod reference;
mod rules;
mod schema;
mod secret;
mod table;
mod topic_pattern;
mod topics;
mod units;
mod unknown;
mod value;

pub use load::{FlagValue, Layer, LayerContent, Sources};
pub use memory::{FETCH_QUEUE_BYTES, FETCH_QUEUE_RECORDS, memory_bytes_max, memory_report};
pub use model::{
    AppTcp, Assignor, Batch, Commit, Config, DeadLetter, Delivery, Drain, Group, GroupProtocol,
    InFlight, Kafka, Listen, Log, LogFormat, LogLevel, OffsetStore, PostgresServer, Processing,
    Retry, Sasl, SaslMechanism, StoreKind, Tls, Transactions, Window, ZooKeeperServers,
};
pub use per_topic::TopicRule;
pub use print::{example_file, print, print_given};
pub use problem::{Problem, Problems};
pub(crate) use problem::{nearest, shown};
pub use reference::reference;
pub(crate) use rules::table_name;
pub use schema::schema;
pub use secret::{PropertyMap, Secret};
pub use table::DEFAULT_ADMIN_SOCKET;
pub(crate) use units::parse_duration;

/// A setting that has a flag of its own.
#[derive(Debug, Clone, Copy)]
pub struct FlagInfo {
    /// The flag, without its hyphens.
    pub flag: &'static str,
    /// The setting.
    pub key: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Whether it may be given several times.
    pub repeats: bool,
    /// A word for the value.
    pub value_name: &'static str,
}

/// All settings that have a flag of their own.
pub fn flags() -> impl Iterator<Item = FlagInfo> {
    table::settings().filter_map(|setting| {
        Some(FlagInfo {
            flag: setting.flag?,
            key: setting.key,
            doc: setting.doc,
            repeats: matches!(setting.kind, kind::Kind::Names(..)),
            value_name: reference::value_name(setting.kind),
        })
    })
}

#[cfg(test)]
mod tests;
