//! The edge of `ackline fake`: what the application sees is the real thing, what stands behind it is a file.
//!
//! ```text
//! lines of JSON ──► reading.rs ──► log ◄── member.rs ◄──► runtime, core, gRPC ◄──► application
//!                      │            ▲          │
//!                      └─► script ──┴─ state ◄─┘ committed offsets ──► verdict
//! ```
//!
//! A [`Cluster`] is what brokers would be: logs, the committed offsets of one group, and a script of what
//! happens to the group. A [`Member`] answers the core as the Kafka edge does. Orders, lanes, limits, retries,
//! withdrawals and refusals are those of the core, which does not know the difference.
//!
//! | file | question |
//! |---|---|
//! | `line`, `fields`, `mistake` | what does a line say, and what is wrong with it? |
//! | `placing` | which log, which offset? |
//! | `reading` | from files and standard input into the cluster |
//! | `log` | the records of a partition, and what became of each |
//! | `script` | what happens when? |
//! | `cluster` | all of it, shared by whoever reads lines, the member, and whoever waits for the end |
//! | `group` | partitions come and go |
//! | `member`, `batch` | what the runtime asks |
//! | `verdict` | is everything settled, and what is not? |
//!
//! # Invariants
//!
//! - X1: a record is settled if a commit covers it, below the committed offset or among its marks: what a
//!   restart would not deliver again. Nobody's counts decide.
//! - X2: what the script does after a number of deliveries happens after exactly as many: records beyond them
//!   are held back until it was done.
//! - X3: one rebalance at a time. The next begins when the core has answered.
//! - X4: a partition that was taken away commits nothing.
//!
//! # Deliberately absent
//!
//! Brokers, connections, other members of the group: what others would do to this member, the script does.
//! Memory for records has no budget here; the number of records has a limit.

mod batch;
mod cluster;
mod fields;
mod group;
mod line;
mod log;
mod member;
mod mistake;
mod placing;
mod reading;
mod script;
#[cfg(test)]
mod tests;
mod verdict;

pub use batch::Batch;
pub use cluster::Cluster;
pub use line::Lines;
pub use log::StoredRecord;
pub use member::Member;
pub use mistake::Mistakes;
pub use placing::Shape;
pub use reading::{read_file, read_rest};
pub use verdict::{Ended, Verdict};
