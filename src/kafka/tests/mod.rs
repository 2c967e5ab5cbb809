//! The edge against librdkafka's mock cluster: in this process, over real sockets.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tests look for one input among many"
)]

mod bed;
mod commits;
mod errors;
mod groups;
mod producer;
mod records;
mod settings;
mod transactions;
