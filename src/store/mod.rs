//! Offset stores: where positions are kept, if not in Kafka.
//!
//! Brokers fence commits by the generation of a group, which is no fence elsewhere: it starts again at a low number when a
//! group was empty. A store outside Kafka numbers the claims of each partition itself. Taking a partition is a claim: it
//! raises the number, the *fence*, and returns what is stored, in one step. What is written carries the fence of the claim,
//! and is refused under any other. So whoever was believed dead, and is not, can write nothing any more from the moment in
//! which somebody else has read where to begin.
//!
//! The core knows nothing of this: a claim answers [`Effect::ReadCommitted`](crate::core::Effect), a write
//! [`Effect::Commit`](crate::core::Effect), and a refusal is [`CommitError::Claimed`](crate::core::CommitError).
//!
//! # Invariants
//!
//! - S1: a claim and the position that it returns are one step; no write of an earlier claim can come between or after.
//! - S2: a write is applied whole, offset, epoch and metadata, or not at all; each partition has its own result.
//! - S3: only an answered "nothing is stored" is that. Everything else is an error, and asked again by the core.
//! - S4: one question is out at a time, in the order in which they were asked.

mod keeper;
mod postgres;
mod zookeeper;

use futures_util::future::BoxFuture;

pub use keeper::{Keeper, KeeperTask};
pub use postgres::{Postgres, PostgresSettings, SCHEMA, Trust};
pub use zookeeper::{ZooKeeper, ZooKeeperSettings, ZooKeeperTls};

/// A partition, by names that last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

/// Where reading of a partition goes on, as the core committed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Lowest offset not finished.
    pub offset: i64,
    /// Leader epoch of the last record below it.
    pub leader_epoch: Option<i32>,
    /// What is finished above it, and whose it is. Opaque here.
    pub metadata: String,
}

/// A partition that is ours now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which one.
    pub place: Place,
    /// Number of the claim: what is written carries it.
    pub fence: i64,
    /// What is stored; `None` if nothing ever was.
    pub position: Option<Position>,
}

/// A position to be stored under a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which partition.
    pub place: Place,
    /// Number of our claim.
    pub fence: i64,
    /// What to store.
    pub position: Position,
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Worth trying again: it is away, or the connection broke. Whether a write was applied is unknown.
    #[error("{0}")]
    Away(String),
    /// A person has to do something: permission, schema, password.
    #[error("{0}")]
    Refused(String),
}

/// What a store does. Each call is answered before the next is made (S4).
pub trait OffsetStore: Send {
    /// Claims partitions, all or none.
    fn claim<'a>(
        &'a mut self,
        places: &'a [Place],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>>;

    /// The metadata of everything that is stored of these topics.
    fn metadata<'a>(
        &'a mut self,
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<(Place, String)>, StoreError>>;

    /// Everything that is stored of the group, for commands.
    fn positions<'a>(&'a mut self) -> BoxFuture<'a, Result<Vec<(Place, Position)>, StoreError>>;

    /// Stores positions. Returns the places of those that were applied; the others have been claimed by somebody else.
    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Vec<Place>, StoreError>>;
}
