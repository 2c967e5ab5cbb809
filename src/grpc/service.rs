//! `ackline.v1.ConsumerService`, routed by hand.
//!
//! The generated server would put every response through a prost encoder; here record streams
//! answer with a body of their own ([`RecordBody`]) and everything else is small.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::body::{Lease, Opened, RecordBody, trailers};
use super::call_error::CallError;
use super::connection::Connection;
use super::consume::{self, RequestSide};
use super::outbox::{kept, refusals, start_refusals};
use super::proto::stream_response::Response as Message;
use super::request::Reader;
use super::said::Said;
use super::{CommitAnswer, OpenRefused, RefusedStart, Sidecar, proto, validate, wire};
use crate::core::{
    Assignment, CommitMode, CommittedOffset, Order, Positions, StartAnswer, StartRefused, StreamId,
    StreamOpen,
};

/// The service, for tonic's server. Its connections must be [`Connection`]s.
pub(super) struct ConsumerServer<S: Sidecar> {
    sidecar: Arc<S>,
    request_sides: mpsc::Sender<RequestSide<S>>,
}

impl<S: Sidecar> ConsumerServer<S> {
    /// Request sides of `Consume` calls go to `request_sides`, to be driven.
    pub(super) fn new(sidecar: Arc<S>, request_sides: mpsc::Sender<RequestSide<S>>) -> Self {
        Self {
            sidecar,
            request_sides,
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        let (head, body) = request.into_parts();
        let Some(connection) = head.extensions.get::<Arc<Connection>>() else {
            return Err(CallError::Broken("not one of our connections".to_owned()));
        };
        connection.admit(&head.headers, self.sidecar.as_ref())?;
        let connection = Arc::clone(connection);
        match head.uri.path() {
            "/ackline.v1.ConsumerService/Stream" => self.stream(connection, body).await,
            "/ackline.v1.ConsumerService/Ack" => self.ack(connection, body).await,
            "/ackline.v1.ConsumerService/Consume" => self.consume(connection, body),
            _ => Err(CallError::UnknownMethod),
        }
    }

    async fn stream(
        self,
        connection: Arc<Connection>,
        body: Body,
    ) -> Result<Response<Body>, CallError> {
        let mut reader = Reader::new(body, Arc::clone(&connection));
        let request: proto::StreamRequest = reader.only().await?;
        let opened = open(
            &self.sidecar,
            &connection,
            &request.open.unwrap_or_default(),
        )?;
        Ok(response(Body::new(RecordBody::open(opened))))
    }

    /// Answers with headers at once: some clients wait for them before they send `open`.
    fn consume(self, connection: Arc<Connection>, body: Body) -> Result<Response<Body>, CallError> {
        let (side, requests) = consume::split(&self.sidecar, connection, body)?;
        match self.request_sides.try_send(side) {
            Ok(()) => Ok(response(Body::new(RecordBody::opening(requests)))),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CallError::TooManyUnopened),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(CallError::OpenRefused(OpenRefused::ShuttingDown))
            }
        }
    }

    async fn ack(
        self,
        connection: Arc<Connection>,
        body: Body,
    ) -> Result<Response<Body>, CallError> {
        let mut reader = Reader::new(body, Arc::clone(&connection));
        let proto::AckRequest {
            settlements,
            extends,
            wait_for,
            close_stream,
            start_at,
        } = reader.only().await?;
        let waits = validate::waits_for_commit(wait_for)?;
        let said = Said::read(&settlements, &extends, self.sidecar.terms())?;
        // From here on the call may wait for long; what it holds counts against its connection
        // as long as the reader lives.
        let starts = starts(&start_at, self.sidecar.as_ref())?;
        drop((settlements, extends, start_at));
        let sidecar = self.sidecar.as_ref();
        let outputs = said.brings_outputs();
        std::future::poll_fn(|cx| sidecar.poll_confirms(outputs, cx)).await;
        let request = said.kept(sidecar);
        let refused_starts = starts
            .into_iter()
            .filter_map(|start| start.refused_by(sidecar));
        let refused_starts = start_refusals(refused_starts);
        let (refused, commit) = if waits {
            let (refused, commit) = sidecar.settle_and_commit(request);
            (refused, Some(commit))
        } else {
            (sidecar.settle(None, request), None)
        };
        connection.count_unknown(&refused, sidecar);
        if !close_stream.is_empty()
            && let Some(stream) = sidecar.stream_named(&close_stream)
        {
            sidecar.closing(stream);
        }
        let CommitAnswer { committed, offered } = match commit {
            Some(commit) => commit.await.unwrap_or_default(),
            None => CommitAnswer::default(),
        };
        let topics = sidecar.topics();
        let answer = proto::AckResponse {
            refused: refusals(refused),
            committed,
            checkpoints: offered.iter().map(|entry| kept(entry, &topics)).collect(),
            refused_starts,
        };
        let done = trailers(&Status::ok(""));
        let body = Full::new(wire::message(&answer))
            .with_trailers(async move { Some(Ok::<_, Infallible>(done)) });
        Ok(response(Body::new(body)))
    }
}

/// Where a partition starts, by a stream that there is, or by one that has ended or never was.
struct Start {
    assignment: Assignment,
    position: Option<CommittedOffset>,
    stream: Option<StreamId>,
}

impl Start {
    fn refused_by(self, sidecar: &impl Sidecar) -> Option<RefusedStart> {
        let Self {
            assignment,
            position,
            stream,
        } = self;
        let Some(stream) = stream else {
            return Some((assignment, StartRefused::Stale));
        };
        let answer = StartAnswer {
            stream,
            assignment,
            position,
        };
        let refused = sidecar.start_at(answer).err()?;
        Some((assignment, refused))
    }
}

/// What an `Ack` call says of where partitions start.
fn starts(said: &[proto::StartAt], sidecar: &impl Sidecar) -> Result<Vec<Start>, CallError> {
    if !said.is_empty() && sidecar.terms().positions != Positions::Application {
        return Err(CallError::PositionsElsewhere);
    }
    let start = |start: &proto::StartAt| {
        if start.stream_id.is_empty() {
            return Err(validate::Invalid::new(
                "stream_id",
                "is required; say the `Opened.stream_id` of the stream that was asked",
            ));
        }
        Ok(Start {
            assignment: Assignment(start.assignment),
            position: validate::position(start)?,
            stream: sidecar.stream_named(&start.stream_id),
        })
    };
    Ok(said.iter().map(start).collect::<Result<_, _>>()?)
}

/// Opens a stream for `Stream` or `Consume`.
pub(super) fn open<S: Sidecar>(
    sidecar: &Arc<S>,
    connection: &Connection,
    asked: &proto::Open,
) -> Result<Opened<S>, CallError> {
    let open = validate::open(asked, &sidecar.topics(), sidecar.terms())?;
    let mut message = opened_message(&open, sidecar.as_ref());
    let stream = sidecar
        .open(open, connection.peer())
        .map_err(CallError::OpenRefused)?;
    message.stream_id = stream.name;
    let message = proto::StreamResponse {
        response: Some(Message::Opened(message)),
    };
    Ok(Opened {
        lease: Lease::new(Arc::clone(sidecar), stream.id),
        message: wire::message(&message),
    })
}

fn opened_message(open: &StreamOpen, sidecar: &impl Sidecar) -> proto::Opened {
    let terms = sidecar.terms();
    let order = match terms.order {
        Order::Partition => proto::Order::Partition,
        Order::Key => proto::Order::Key,
        Order::None => proto::Order::None,
    };
    let message_bytes = open
        .message_bytes_max
        .saturating_add(u64::from(wire::HEAD_MAX));
    proto::Opened {
        stream_id: String::new(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        order: order.into(),
        lane_depth: terms.lane_depth,
        max_in_flight_records: open.in_flight_records_max,
        max_in_flight_bytes: open.in_flight_bytes_max,
        max_message_bytes: u32::try_from(message_bytes).unwrap_or(u32::MAX),
        settling_required: terms.commit_mode == CommitMode::OnAck,
        application_keeps_positions: terms.positions == Positions::Application,
        delivery_deadline: (!terms.deadline.is_zero())
            .then(|| prost_types::Duration::try_from(terms.deadline).ok())
            .flatten(),
        processing: if terms.transactional {
            proto::Processing::Transactional.into()
        } else {
            proto::Processing::AtLeastOnce.into()
        },
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether this is a gRPC call at all; browsers and probes are told so in HTTP.
fn is_grpc(request: &Request<Body>) -> bool {
    request.method() == Method::POST
        && request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(GRPC.as_bytes()))
}

impl<S: Sidecar> Clone for ConsumerServer<S> {
    fn clone(&self) -> Self {
        Self {
            sidecar: Arc::clone(&self.sidecar),
            request_sides: self.request_sides.clone(),
        }
    }
}

impl<S: Sidecar> NamedService for ConsumerServer<S> {
    const NAME: &'static str = "ackline.v1.ConsumerService";
}

impl<S: Sidecar> Service<Request<Body>> for ConsumerServer<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            if !is_grpc(&request) {
                let mut refused = Response::new(Body::empty());
                *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                return Ok(refused);
            }
            Ok(server
                .answer(request)
                .await
                .unwrap_or_else(|error| error.status().into_http()))
        })
    }
}
