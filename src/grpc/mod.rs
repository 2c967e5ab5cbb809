//! The gRPC edge: frames to settlements, effects to frames.
//!
//! ```text
//!             ┌ server ── binds and serves; `listener` accepts, `connection` keeps the limits,
//!             │           `authority` takes the path of the Unix socket for a host
//!  HTTP/2 ────┤ service ─ the three methods
//!             │   ├ request ── reads and bounds request messages; `validate` makes them core types,
//!             │   │            `said` puts together what belongs to one
//!             │   ├ consume ── drives the request side of `Consume`
//!             │   └ body ───── the response side: polls the sidecar, yields ready frames
//!             └ wire ──── the hand-written encoder of record frames
//!  engine ──── outbox ── what a stream is to be told besides records
//!                └ checkpoint ── positions as applications keep them; `validate` reads them back
//!
//!  fuzzing ─── direct ── what reads a client's bytes, without a socket
//!  operators ─ admin ─── a socket and a service of its own
//! ```
//!
//! The edge decides nothing about records. What it needs of the rest of the process is the trait
//! [`Sidecar`], which the engine implements and tests fake.
//!
//! # Invariants
//!
//! - E1: the response side is pulled. A record leaves the engine only when HTTP/2 asks for a frame.
//!   (It asks for one frame ahead of the client's window.)
//! - E2: whatever happens to a call, [`Sidecar::closed`] follows each successful
//!   [`Sidecar::open`] exactly once.
//! - E3: requests make progress although the client reads nothing, until its unread answers reach
//!   a limit; then its requests wait.
//! - E4: memory per connection is bounded: request bytes by `request::BUFFER_MAX`, what one request
//!   lists by `request::ENTRIES_MAX`, unread answers and notices by [`Outbox`].
//!
//! # Deliberately absent
//!
//! No task is spawned, no clock is read ([`Sidecar::now`]), nothing is logged ([`Sidecar::report`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::core::{
    Assignment, CommitEntry, CommitMode, FlowChange, IdRange, Moment, NewOutputs, Order, Positions,
    SettleRequest, StartAnswer, StartRefused, StreamEnd, StreamId, StreamOpen,
};
use crate::record::Output;

pub mod admin;
mod authority;
mod body;
mod call_error;
mod checkpoint;
mod connection;
mod consume;
pub mod direct;
mod listener;
pub mod outbox;
mod request;
mod said;
pub mod server;
mod service;
mod token;
pub mod validate;
pub mod wire;

pub use call_error::CallError;
pub use outbox::{CommitWaits, Outbox};
pub use server::{Error, Listen, Server};

/// The messages of `ackline.v1` and a client for them, generated from `proto/`.
#[allow(
    clippy::all,
    clippy::wildcard_enum_match_arm,
    reason = "generated; tests/proto.rs holds it equal to what the generator makes"
)]
pub mod proto {
    include!("generated/ackline.v1.rs");
}

/// The messages of the admin service, a client and a server for it.
#[allow(
    clippy::all,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; tests/proto.rs holds it equal to what the generator makes"
)]
pub mod admin_proto {
    include!("generated/ackline.v1.admin.rs");
}

/// What the edge needs of the process behind it.
///
/// Every method returns at once. Streams that are not open (any more) are ignored by methods that
/// take a [`StreamId`].
pub trait Sidecar: Send + Sync + 'static {
    /// Time since the process started.
    fn now(&self) -> Moment;

    /// Names of the topics that are known by now, in the order of [`crate::core::TopicIndex`].
    fn topics(&self) -> Arc<[String]>;

    /// Defaults and upper limits for streams.
    fn terms(&self) -> &Terms;

    /// Opens a record stream.
    fn open(&self, open: StreamOpen, peer: &Peer) -> Result<OpenedStream, OpenRefused>;

    /// The next thing to send on the stream. Until something is ready the task of `cx` is kept, and
    /// woken then. Notices go before records, so that a withdrawal is told before its record comes
    /// again.
    fn poll(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<Outgoing>;

    /// Ready while settlements may be answered. It is not while the sidecar doubts that it is still a
    /// member of its group, for an answer would be a promise; settlements wait then. Those that bring outputs wait
    /// also while more of them are held than there should be.
    fn poll_confirms(&self, _outputs: bool, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Keeps what an acknowledgement brings along. It is settled before anything is waited for.
    fn keep_outputs(&self, outputs: Vec<Output>) -> NewOutputs;

    /// Applies settlements and extensions, all of them as one. `from` is the stream inside which they
    /// came. Nobody waits for a commit.
    fn settle(&self, from: Option<StreamId>, request: SettleRequest) -> Vec<Refused>;

    /// As [`Sidecar::settle`] without a stream; the receiver learns whether a commit built
    /// afterwards covers every accepted ack. It may be dropped at any time; a sender that is
    /// dropped means that none does.
    fn settle_and_commit(
        &self,
        request: SettleRequest,
    ) -> (Vec<Refused>, oneshot::Receiver<CommitAnswer>);

    /// Takes what an application says of where a partition starts. Called only if applications keep positions.
    fn start_at(&self, answer: StartAnswer) -> Result<(), StartRefused>;

    /// Queues the answer to a request of the stream in its outbox ([`Outbox::answer`]).
    fn answer(&self, stream: StreamId, answer: Answer);

    /// Ready while the stream has room for another answer ([`Outbox::poll_room`]). Ready for a
    /// stream that is not open.
    fn poll_room(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()>;

    /// Changes the limits of a stream.
    fn flow(&self, stream: StreamId, flow: FlowChange);

    /// The open stream of that name.
    fn stream_named(&self, name: &str) -> Option<StreamId>;

    /// The application is done with the stream: half-close, or `close_stream`.
    fn closing(&self, stream: StreamId);

    /// The stream's response body is gone.
    fn closed(&self, stream: StreamId);

    /// A connection is gone, and with it every call of it, before or after this.
    fn disconnected(&self, connection: u64);

    /// Something that a person may want to read or count.
    fn report(&self, event: Event);
}

/// Defaults and upper limits for what a stream may ask for, from the settings.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Default of `max_in_flight_records`.
    pub in_flight_records: u32,
    /// Its upper limit: the limit of the whole process.
    pub in_flight_records_max: u32,
    /// Default of `max_in_flight_bytes`.
    pub in_flight_bytes: u64,
    /// Its upper limit: the limit of the whole process.
    pub in_flight_bytes_max: u64,
    /// Default of `max_batch_records`.
    pub batch_records: u32,
    /// Default of `max_batch_bytes`.
    pub batch_bytes: u32,
    /// Default of `batch_linger`.
    pub batch_linger: Duration,
    /// Told to every stream.
    pub order: Order,
    /// Told to every stream.
    pub lane_depth: u32,
    /// Told to every stream: whether settling is required.
    pub commit_mode: CommitMode,
    /// Told to every stream: whether its application keeps the positions.
    pub positions: Positions,
    /// Told to every stream: how long a delivery may be unsettled. Zero: for ever.
    pub deadline: Duration,
    /// Whether any topic has a dead-letter topic.
    pub dead_letters: bool,
    /// Told to every stream: whether acknowledgements may bring outputs.
    pub transactional: bool,
}

/// A stream that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedStream {
    /// Its number.
    pub id: StreamId,
    /// Its name for the application: unique beyond this process, at most 64 characters.
    pub name: String,
}

/// Why a stream was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefused {
    /// `listen.streams_max` streams are open.
    TooManyStreams {
        /// That limit.
        streams_max: u32,
    },
    /// The process is about to end.
    ShuttingDown,
}

/// Something to send on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A finished record frame.
    Frame(Bytes),
    /// Any other message.
    Message(proto::stream_response::Response),
    /// Nothing more; the stream ends.
    End(End),
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As the core says.
    Decided(StreamEnd),
    /// The client left too many notices unread.
    TooManyUnread,
}

/// Settlements that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
    /// Their ids.
    pub ids: Vec<IdRange>,
}

/// Why a settlement changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusedReason {
    /// The delivery is dead.
    Stale,
    /// Settled before with another outcome.
    Conflict,
    /// Never issued, or forgotten.
    Unknown,
}

/// The answer to one request of a `Consume` stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The request's number; 0 for one without.
    pub request_id: u64,
    /// What was refused in it.
    pub refused: Vec<Refused>,
    /// What was refused of its answers to where partitions start.
    pub refused_starts: Vec<RefusedStart>,
}

/// An answer to where a partition starts that changed nothing.
pub type RefusedStart = (Assignment, StartRefused);

/// What became of the commit that a caller waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitAnswer {
    /// Whether it covers every accepted acknowledgement.
    pub committed: bool,
    /// If applications keep positions: what the caller is to keep.
    pub offered: Vec<CommitEntry>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Number of the connection, unique within the process.
    pub connection: u64,
    /// How it came in.
    pub origin: Origin,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Unix socket.
    Unix {
        /// User of the connecting process.
        uid: u32,
        /// Its process id; 0 if it lives in another PID namespace.
        pid: i32,
    },
    /// The TCP listener.
    Tcp(SocketAddr),
}

/// What the edge saw that a person may want to read or count.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection was closed at once: `connections_max` are open.
    TooManyConnections(Origin),
    /// A call was refused: wrong user, or no or a wrong token.
    Unauthenticated(Peer),
    /// A connection named too many ids that were never issued; its calls are refused for a while.
    UnknownIds(Peer),
    /// A listener could not accept; it tries again.
    AcceptFailed(String),
    /// The token file changed and was read.
    TokenReloaded,
    /// The token file changed and is not usable; the token before stays in force.
    TokenUnusable(String),
}

#[cfg(test)]
mod tests;
