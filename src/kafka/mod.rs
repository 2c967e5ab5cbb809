//! The Kafka edge: one member of a consumer group, on librdkafka.
//!
//! It translates and decides nothing. What librdkafka has to say becomes an
//! [`Input`](crate::core::Input) of the core; what the core wants done is one method of [`Client`].
//!
//! ```text
//!                         librdkafka's threads
//!       wake ◄──────────────┬──────┴───────┬────────────────┐
//!                    consumer queue   queue of records   queue of replies
//!              rebalances, errors,    records and errors    commits, offsets,
//!                      logs │         of all partitions     │   topics
//!                           ▼              ▼                ▼
//!                     Client::poll    Client::pop      Client::poll
//! ```
//!
//! # Invariants
//!
//! - K1: one thread at a time calls [`Client`], which `&mut self` sees to. Records are popped,
//!   partitions assigned and taken there, so each popped record belongs to the fetch that is alive.
//! - K2: no call waits for a broker, but for those of [`LogReader`], which no sidecar uses, and for what the thread of a
//!   [`Transactor`] does. Rebalances
//!   are noted and answered later by [`Client::assign`] or [`Client::unassign`]; until then nothing
//!   else may touch the assignment.
//! - K3: everything fetched comes by the one queue of records, whose size is the limit on what is
//!   fetched ahead. It carries nothing else.
//! - K4: librdkafka never chooses a position. After an error of a partition its position is not
//!   believed, and its records are dropped, until the core starts a new fetch.
//! - K5: a commit names only partitions that the group gave us and has not taken back (the fence).
//! - K6: properties that K4 and K5 stand on are set last, and refused by name when a user sets them.
//! - K7: dropping a [`Client`] or a [`DeadLetterProducer`] never waits for a broker.
//! - K8: a dead letter is reported as written only after every replica in sync has it.
//!
//! # Where things are
//!
//! [`settings`] and [`refused_property`] are what `config` needs. `client` creates, joins and leaves,
//! `assign` moves partitions, `pop` takes records, `requests` asks brokers, `poll` serves the rest.
//! `producer` writes dead letters, `transactions` outputs with positions, `reader` reads topics for commands.
//! `error` says what librdkafka's codes mean, `ffi` holds all `unsafe` code.

mod assign;
mod client;
mod ends;
mod error;
mod fetching;
mod ffi;
mod finder;
mod log_record;
mod poll;
mod pop;
mod producer;
mod properties;
mod reader;
mod requests;
pub mod settings;
#[cfg(test)]
mod tests;
mod topics;
mod transactions;

pub use client::Client;
pub use error::{Disposition, Error, Fatal, Trouble, TroubleKind};
pub use ffi::{EmbeddedBroker, Message, Wake};
pub use log_record::LogRecord;
pub use poll::Polled;
pub use pop::{Batch, Run};
pub use producer::{DeadLetterProducer, SendError};
pub use properties::refused_property;
pub use reader::{Bell, CommittedPosition, LogItem, LogReader, ReadFailure};
pub use settings::{ClientSettings, GroupProtocol, Sasl, SaslMechanism, Secret, Tls};
pub use transactions::{TransactionSettings, Transactor};
