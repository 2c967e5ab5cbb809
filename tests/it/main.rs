//! Integration tests, all in one binary.
//!
//! - [`source`]: checks of the repository itself. Nothing needs to run.
//! - [`fake`]: `ackline fake`, which stands in for Kafka. Nothing else needs to run.
//! - [`real`]: the binary of the sidecar, an application made from the `.proto`, and real Apache Kafka. Each scenario
//!   cites the rows of `docs/failures.md` that it covers.
//! - [`kube`]: real Kubernetes.
//! - [`harness`]: what the scenarios are told with.
//!
//! One scenario alone: `cargo test --test it NAME`. Brokers are started as needed and end with the test process.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "the harness offers more than every scenario needs; a test may panic, and reads the clock and spawns tasks outside of the sidecar"
)]

mod fake;
mod harness;
mod kube;
mod real;
mod source;
