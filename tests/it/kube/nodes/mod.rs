//! Life in a pod, on real nodes with real Kafka. Linux and root.
//!
//! ```text
//!  test ──writes──▶ Kafka ◀──── sidecar ◀──Unix socket── application     pods, as the injector makes them,
//!    ▲                │                                       │           on one of two nodes
//!    └──── ledger ◀───┴── committed     Reports ◀────TCP──────┘
//! ```
//!
//! - [`bench`]: what all tests share: nodes, Kafka, images, and the chart, installed as the documentation says.
//! - [`scenario`]: a namespace, a topic and a group of a test, its pods, and what must hold in the end.
//! - [`reports`]: what the applications in the pods say that they saw and did.
//! - [`containers`]: processes of containers, as their node sees them.

mod bench;
mod containers;
mod reports;
mod scenario;

mod crash_loop;
mod ending;
mod jobs;
mod partition;
mod policies;
mod restarts;
mod rollouts;
mod scale;
mod security;
mod start;
mod stores;

use scenario::{Manner, Scenario};
