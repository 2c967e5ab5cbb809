//! What does a record carry to its dead-letter topic, and back?
//!
//! A dead letter is the record as it was (key, value, headers, timestamp), with headers of ours behind its own. They are
//! text, so that any tool can read them.
//!
//! | header | what it says |
//! |---|---|
//! | `ackline.cluster` | id of the cluster that it came from; absent if no broker has told it |
//! | `ackline.group` | the group that gave it up |
//! | `ackline.topic`, `ackline.partition`, `ackline.offset` | its place in the log |
//! | `ackline.leader-epoch` | leader epoch of its batch; absent if the broker did not say |
//! | `ackline.timestamp` | its timestamp, in milliseconds since 1970 |
//! | `ackline.timestamp-type` | who set that: `create_time`, `log_append_time` or `none` |
//! | `ackline.cause` | `failures`, `crashes`, `oversize`, `application` or `operator` |
//! | `ackline.reason` | in the words of whoever gave it up, at most 1 KiB |
//! | `ackline.failures` | how often the application failed at it |
//! | `ackline.at` | when it was given up, RFC 3339, UTC |
//!
//! A record that is sent back carries none of them, but `ackline.redriven-from`, and `ackline.redrive-group` if it is for one
//! group only: the sidecars of all others pass it over.
//!
//! # Map
//!
//! | file | question |
//! |---|---|
//! | `headers` | how is that written and read? |
//! | `letter` | what is written to the dead-letter topic? |
//! | `redrive` | what is written when it goes back? |
//! | `topic` | which topic is that of a topic? |
//! | `date` | how is a moment written? |
//!
//! # Invariants
//!
//! - DL1: nothing of the record is lost: null differs from empty, headers keep order and duplicates, names need not be UTF-8.
//! - DL2: a record has each header of ours at most once. Those of an earlier dead letter are replaced.
//! - DL3: whatever stands in headers is read without panic, in bounded memory: who can write to the topic can write anything.
//!
//! # Deliberately absent
//!
//! I/O and clocks. `kafka` writes, `cli` reads, and the time is an argument.

mod date;
mod headers;
mod letter;
mod redrive;
#[cfg(test)]
mod tests;
mod topic;

pub use crate::core::Cause;
pub use date::{date_text, parse_date};
pub use headers::{DeadLetterHeaders, REASON_BYTES_MAX};
pub use letter::{Facts, Letter};
pub use redrive::{REDRIVE_GROUP, REDRIVEN_FROM, Redrive, is_for_another_group};
pub use topic::{PLACEHOLDER, Source, source_of, topic_of};
