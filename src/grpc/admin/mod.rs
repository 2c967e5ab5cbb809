//! The operator's edge: `ackline.v1.AdminService` on a Unix socket of its own.
//!
//! | file | question |
//! |---|---|
//! | `service` | the methods |
//! | `requests` | what does an operator ask for, in terms of the core? |
//! | `answers` | how do things stand, as messages? |
//! | `tail` | which records pass by? |
//! | `words` | why does a partition not advance, in words, and what helps? |
//!
//! What the edge needs of the rest of the process is the trait [`Operated`], which the engine implements.
//!
//! # Invariants
//!
//! - A1 (C-13): the service is bound to the admin socket only. Where applications connect it does not exist.
//! - A2: the socket's file is open to its owner alone from the moment it exists.
//! - A3: a call that changes something has a reason, and [`Operated::operate`] is told who called.
//! - A4: answers are bounded: what is in flight by a limit, the rest by partitions, streams and pauses.
//!   Who looks on as records pass never holds them up (`tail`).

mod answers;
mod requests;
mod service;
mod tail;
mod words;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::admin_proto::admin_service_server::AdminServiceServer;
use super::listener::{Places, UnixDoor, connections};
use super::server::limited;
use super::{Error, Event};
use crate::core::{
    Explanation, InFlight, Moment, Operation, ParkedAction, ParkedStatus, PartitionId, Pause,
    Scope, SeekRefused, SeekTarget, Sought, Status, WhichParked,
};

pub use answers::{explained, process_status};
pub use tail::{Passing, TAILS_MAX, Tail, Taps, TooManyTails, Wanted};
pub use words::age;

/// What the edge needs of the process behind it. Every method returns at once.
pub trait Operated: Send + Sync + 'static {
    /// Names of the topics that are known by now, in the order of [`crate::core::TopicIndex`].
    fn topics(&self) -> Arc<[String]>;

    /// How the process stands.
    fn view(&self) -> View;

    /// Why partitions of a scope do not advance.
    fn explain(&self, scope: Scope) -> Vec<Explanation>;

    /// Deliveries in flight, at most `max`.
    fn in_flight(&self, scope: Scope, max: usize) -> Vec<InFlight>;

    /// Records that are set aside, at most `max`.
    fn parked(&self, scope: Scope, max: usize) -> Vec<ParkedStatus>;

    /// Whether any of these could go to a dead-letter topic.
    fn has_dead_letters(&self, which: WhichParked) -> bool;

    /// Does something with parked records, and writes down who asked and why, and to how many it was done.
    fn act_on_parked(&self, which: WhichParked, action: ParkedAction, by: &Operator) -> Acted;

    /// Lets somebody look on as records are delivered, and writes down who and why.
    ///
    /// # Errors
    ///
    /// If too many do.
    fn tail(&self, wanted: Wanted, by: &Operator) -> Result<Tail, TooManyTails>;

    /// Whether another scope can be paused.
    fn may_pause(&self, scope: Scope) -> bool;

    /// Does what an operator asks for, and writes down who asked and why.
    fn operate(&self, operation: Operation, by: &Operator);

    /// Moves a partition; answered when the brokers have said what its log holds.
    fn seek(
        &self,
        partition: PartitionId,
        target: SeekTarget,
        by: &Operator,
    ) -> oneshot::Receiver<Result<Sought, SeekRefused>>;

    /// Something that a person may want to read or count.
    fn report(&self, event: Event);
}

/// Who asks for something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// User of the calling process.
    pub uid: Option<u32>,
    /// Its process id; 0 if it lives in another PID namespace.
    pub pid: Option<i32>,
    /// The operator's words.
    pub reason: String,
}

/// What became of parked records that an operator wanted to do something with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// To how many it was done.
    pub records: usize,
    /// Left alone: on their way to the dead-letter topic.
    pub on_their_way: usize,
    /// Left alone: their topic has no dead-letter topic.
    pub without_topic: usize,
}

/// How a process stands.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Name of the host.
    pub host: String,
    /// The consumer group.
    pub group: String,
    /// Now, which is also how long the process has been running.
    pub now: Moment,
    /// What the core says.
    pub status: Status,
    /// What operators have paused.
    pub pauses: Vec<(Scope, Pause)>,
    /// Why the process is not ready.
    pub not_ready: Option<String>,
}

/// A bound admin socket that nobody serves yet.
#[derive(Debug)]
pub struct AdminServer(UnixDoor);

impl AdminServer {
    /// Binds the socket, open to its owner alone (A2).
    ///
    /// # Errors
    ///
    /// If the path cannot be bound, or somebody else listens there.
    pub fn bind(path: &Path) -> Result<Self, Error> {
        UnixDoor::bind_private(path).map(Self)
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    ///
    /// If the server fails.
    pub async fn serve<O: Operated>(
        self,
        operated: Arc<O>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let service = service::Admin::new(Arc::clone(&operated), shutdown.clone());
        let service = AdminServiceServer::with_interceptor(service, service::owner_only);
        let router = limited().add_service(service);
        let places = Places::new(Arc::new(AtomicU64::new(0)));
        let incoming = connections(self.0, places, move |event| operated.report(event), |_| {});
        router
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await
            .map_err(Error::Serve)
    }
}

#[cfg(test)]
mod tests;
