//! A deterministic simulation of everything around the core.
//!
//! The core decides what the sidecar does. Here it runs against a simulated broker, group coordinator,
//! client library and applications, in virtual time, with faults drawn from a seed. After every event an
//! oracle checks the invariants of the failure catalogue; at the end everything is healed, and all records
//! must finish, all of it must be committed, and every process must stop cleanly.
//!
//! The same seed makes the same history, event by event.
//!
//! | file | what |
//! |---|---|
//! | [`plan`] | what kind of history a seed makes |
//! | [`world`], `turns`, `rebalances`, `edge`, `ending`, `cluster`, `topics`, `client`, `trouble` | what happens |
//! | [`log`], [`broker`], [`group`] | Kafka |
//! | [`claims`] | a store of positions outside of it |
//! | [`homes`] | applications that keep positions themselves |
//! | `transactions` | transactions at the brokers, and what is returned for records |
//! | [`library`] | the client library, with its traps |
//! | [`member`], [`store`], [`application`] | one sidecar and the applications at its socket |
//! | [`oracle`] | what must hold |
//! | [`runner`] | many histories |

#![allow(
    clippy::too_many_lines,
    clippy::manual_range_contains,
    reason = "a rule of the oracle is one list of cases, told in one place"
)]

mod application;
mod broker;
mod claims;
mod client;
mod cluster;
mod edge;
mod ending;
mod group;
mod homes;
mod letters;
mod library;
mod log;
mod member;
mod operator;
mod oracle;
mod plan;
mod random;
mod rebalances;
mod runner;
mod store;
mod topics;
mod transactions;
mod trouble;
mod turns;
mod world;

pub(crate) use runner::{Range, run, run_one};
pub(crate) use world::Logging;
