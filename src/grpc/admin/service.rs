//! The methods of `ackline.v1.AdminService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::{Operated, Operator, TAILS_MAX, TooManyTails, Wanted, answers, requests};
use crate::core::{Operation, ParkedAction, ReadError, SeekRefused};
use crate::grpc::Origin;
use crate::grpc::admin_proto::{self as proto, admin_service_server::AdminService};
use crate::grpc::connection::Connection;

/// What streams are told of the time they have, if the operator does not say.
const DRAIN_WITHIN: Duration = Duration::from_secs(25);
/// How often a drain that somebody waits for is looked at.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Admin<O> {
    operated: Arc<O>,
    shutdown: CancellationToken,
}

impl<O: Operated> Admin<O> {
    pub(super) fn new(operated: Arc<O>, shutdown: CancellationToken) -> Self {
        Self { operated, shutdown }
    }

    fn status_message(operated: &O) -> proto::ProcessStatus {
        answers::process_status(&operated.view(), &operated.topics())
    }

    fn pauses(&self) -> Vec<proto::PauseStatus> {
        let view = self.operated.view();
        answers::pauses(&view.pauses, view.now, &self.operated.topics())
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<O: Operated> AdminService for Admin<O> {
    async fn status(&self, _: Request<proto::StatusRequest>) -> Answer<proto::StatusResponse> {
        Ok(Response::new(proto::StatusResponse {
            status: Some(Self::status_message(&self.operated)),
        }))
    }

    type WatchStatusStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchStatusResponse, Status>> + Send>>;

    async fn watch_status(
        &self,
        request: Request<proto::WatchStatusRequest>,
    ) -> Answer<Self::WatchStatusStream> {
        let every = requests::interval(request.get_ref().interval.as_ref())?;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = (ticks, Arc::clone(&self.operated), self.shutdown.clone());
        let statuses = unfold(state, |(mut ticks, operated, shutdown)| async move {
            tokio::select! {
                _now = ticks.tick() => {}
                () = shutdown.cancelled() => return None,
            }
            let status = Some(Self::status_message(&operated));
            let message = Ok(proto::WatchStatusResponse { status });
            Some((message, (ticks, operated, shutdown)))
        });
        Ok(Response::new(Box::pin(statuses)))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Answer<proto::ExplainResponse> {
        let topics = &*self.operated.topics();
        let scope = requests::scope(request.get_ref().scope.as_ref(), topics)?;
        let explanations = self.operated.explain(scope);
        let view = self.operated.view();
        Ok(Response::new(answers::explained(
            &view,
            &explanations,
            topics,
        )))
    }

    async fn list_in_flight(
        &self,
        request: Request<proto::ListInFlightRequest>,
    ) -> Answer<proto::ListInFlightResponse> {
        let topics = &*self.operated.topics();
        let request = request.into_inner();
        let scope = requests::scope(request.scope.as_ref(), topics)?;
        let found = self
            .operated
            .in_flight(scope, requests::limit(request.limit)?);
        let view = self.operated.view();
        let deliveries = found
            .iter()
            .map(|delivery| answers::in_flight(delivery, view.now, topics));
        Ok(Response::new(proto::ListInFlightResponse {
            deliveries: deliveries.collect(),
            in_flight: view.status.live,
        }))
    }

    async fn list_parked(
        &self,
        request: Request<proto::ListParkedRequest>,
    ) -> Answer<proto::ListParkedResponse> {
        let topics = &*self.operated.topics();
        let request = request.into_inner();
        let scope = requests::scope(request.scope.as_ref(), topics)?;
        let found = self.operated.parked(scope, requests::limit(request.limit)?);
        let view = self.operated.view();
        let records = found
            .iter()
            .map(|record| answers::parked(record, view.now, topics));
        let partitions = view.status.partitions.iter();
        let asked_for = partitions.filter(|at| scope.holds(at.partition));
        Ok(Response::new(proto::ListParkedResponse {
            records: records.collect(),
            aside: asked_for.map(|at| at.aside).sum(),
        }))
    }

    async fn act_on_parked(
        &self,
        request: Request<proto::ActOnParkedRequest>,
    ) -> Answer<proto::ActOnParkedResponse> {
        let by = operator(&request, &request.get_ref().reason)?;
        let request = request.into_inner();
        let which = requests::which_parked(&request, &self.operated.topics())?;
        let action = requests::parked_action(request.action)?;
        if action == ParkedAction::DeadLetter && !self.operated.has_dead_letters(which) {
            return Err(Status::failed_precondition(
                "there is no dead-letter topic; set `dead_letter.topic` of the sidecar, or skip the record",
            ));
        }
        let acted = self.operated.act_on_parked(which, action, &by);
        Ok(Response::new(proto::ActOnParkedResponse {
            records: acted.records as u64,
            on_their_way: acted.on_their_way as u64,
            without_dead_letter_topic: acted.without_topic as u64,
        }))
    }

    type TailStream = Pin<Box<dyn Stream<Item = Result<proto::TailResponse, Status>> + Send>>;

    async fn tail(&self, request: Request<proto::TailRequest>) -> Answer<Self::TailStream> {
        let by = operator(&request, &request.get_ref().reason)?;
        let request = request.into_inner();
        let left = requests::records(request.limit)?;
        let wanted = Wanted {
            scope: requests::scope(request.scope.as_ref(), &self.operated.topics())?,
            key: request.key,
            payload: request.payload,
        };
        let tail = self.operated.tail(wanted, &by).map_err(|TooManyTails| {
            Status::resource_exhausted(format!(
                "{TAILS_MAX} look on already, and no more may at once; end one of them first"
            ))
        })?;
        let state = (tail, left, self.shutdown.clone());
        let passing = unfold(state, |(tail, left, shutdown)| async move {
            if left == 0 {
                return None;
            }
            let mut message = tokio::select! {
                message = tail.next() => message,
                () = shutdown.cancelled() => return None,
            };
            message
                .records
                .truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - message.records.len() as u64;
            Some((Ok(message), (tail, left, shutdown)))
        });
        Ok(Response::new(Box::pin(passing)))
    }

    async fn pause(&self, request: Request<proto::PauseRequest>) -> Answer<proto::PauseResponse> {
        let by = operator(&request, &request.get_ref().reason)?;
        let scope = requests::scope(request.get_ref().scope.as_ref(), &self.operated.topics())?;
        if !self.operated.may_pause(scope) {
            return Err(Status::failed_precondition(
                "too many pauses; resume some, or pause the whole topic",
            ));
        }
        let reason = by.reason.clone();
        self.operated
            .operate(Operation::Pause { scope, reason }, &by);
        let pauses = self.pauses();
        Ok(Response::new(proto::PauseResponse { pauses }))
    }

    async fn resume(
        &self,
        request: Request<proto::ResumeRequest>,
    ) -> Answer<proto::ResumeResponse> {
        let by = operator(&request, &request.get_ref().reason)?;
        let scope = requests::scope(request.get_ref().scope.as_ref(), &self.operated.topics())?;
        self.operated.operate(Operation::Resume { scope }, &by);
        let pauses = self.pauses();
        Ok(Response::new(proto::ResumeResponse { pauses }))
    }

    async fn seek(&self, request: Request<proto::SeekRequest>) -> Answer<proto::SeekResponse> {
        let by = operator(&request, &request.get_ref().reason)?;
        let request = request.into_inner();
        let partition = request
            .partition
            .ok_or_else(|| Status::invalid_argument("partition is required"))?;
        let id = requests::partition(&request.topic, partition, &self.operated.topics())?;
        let target = requests::target(request.target.as_ref())?;
        let answer = self.operated.seek(id, target, &by).await;
        let sought = match answer {
            Ok(Ok(sought)) => sought,
            Ok(Err(refused)) => return Err(seek_refused(&refused)),
            Err(_gone) => return Err(Status::unavailable("the process ends")),
        };
        Ok(Response::new(proto::SeekResponse {
            from: sought.from,
            to: sought.to,
            clamped: sought.clamped,
            earliest: sought.range.earliest,
            latest: sought.range.latest,
        }))
    }

    async fn drain(&self, request: Request<proto::DrainRequest>) -> Answer<proto::DrainResponse> {
        let by = operator(&request, &request.get_ref().reason)?;
        let wait = requests::time("wait", request.get_ref().wait.as_ref())?;
        let within = wait.unwrap_or(DRAIN_WITHIN);
        self.operated.operate(Operation::Drain { within }, &by);
        let until = Instant::now() + wait.unwrap_or_default();
        loop {
            let status = self.operated.view().status;
            let is_over = status.shutting_down || status.drain.is_some_and(|drain| drain.done);
            if is_over || Instant::now() >= until || self.shutdown.is_cancelled() {
                return Ok(Response::new(proto::DrainResponse {
                    state: answers::drain_state(status.drain).into(),
                    in_flight: status.live,
                }));
            }
            tokio::time::sleep(DRAIN_LOOK_EVERY).await;
        }
    }
}

/// Lets nobody in but the owner of the socket and root (A2).
#[allow(clippy::result_large_err)] // the shape is tonic's
pub(super) fn owner_only(request: Request<()>) -> Result<Request<()>, Status> {
    let connection = request.extensions().get::<Arc<Connection>>();
    match connection.map(|connection| connection.wrong_user()) {
        Some(None) => Ok(request),
        Some(Some(uid)) => Err(Status::permission_denied(format!(
            "user {uid} may not administer this sidecar; run the command as its user, or as root"
        ))),
        None => Err(Status::internal("not one of our connections")),
    }
}

/// Who calls, as the socket knows, and why.
fn operator<T>(request: &Request<T>, reason: &str) -> Result<Operator, Status> {
    let reason = requests::reason(reason)?;
    let connection = request.extensions().get::<Arc<Connection>>();
    let origin = connection.map(|connection| connection.peer().origin);
    let (uid, pid) = match origin {
        Some(Origin::Unix { uid, pid }) => (Some(uid), Some(pid)),
        Some(Origin::Tcp(_)) | None => (None, None),
    };
    Ok(Operator { uid, pid, reason })
}

fn seek_refused(refused: &SeekRefused) -> Status {
    let precondition = |words: &str| Status::new(Code::FailedPrecondition, words);
    match refused {
        SeekRefused::NotOurs => precondition(
            "this process does not have the partition; ask the pod that has it, see `ackline status`",
        ),
        SeekRefused::Starting => precondition(
            "the partition's committed offset is still being read; try again in a moment",
        ),
        SeekRefused::Leaving => {
            precondition("the partition moved to another member; ask the pod that has it now")
        }
        SeekRefused::Ending => precondition("the process ends or was drained; ask another pod"),
        SeekRefused::Busy => {
            precondition("another seek of the partition is under way; try again in a moment")
        }
        SeekRefused::Aborted => precondition(
            "a transaction was aborted meanwhile; nothing was changed, try again in a moment",
        ),
        SeekRefused::Brokers(error) => Status::unavailable(format!(
            "brokers did not say what the log holds: {}; nothing was changed, try again",
            match error {
                ReadError::Transient(words)
                | ReadError::Unauthorized(words)
                | ReadError::UnknownTopic(words) => words.as_str(),
                ReadError::Unsupported => "they do not support it",
            }
        )),
    }
}
