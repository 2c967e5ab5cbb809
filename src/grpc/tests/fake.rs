//! A sidecar that records what it is asked and says what the test tells it to, and clients for it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::core::{
    CommitMode, Extend, FlowChange, IdRange, Moment, NewOutputs, Order, Outcome, OutputsId,
    Positions, SettleRequest, Settlement, StartAnswer, StartRefused, StreamId, StreamOpen,
};
use crate::grpc::proto::consumer_service_client::ConsumerServiceClient;
use crate::grpc::proto::stream_response::Response;
use crate::grpc::server::{Listen, ListenUnix};
use crate::grpc::{
    Answer, CommitAnswer, Event, OpenRefused, OpenedStream, Outbox, Outgoing, Peer, Refused,
    Server, Sidecar, Terms, proto, wire,
};
use crate::record::{Header, Record, TimestampKind};

pub(super) type Client = ConsumerServiceClient<Channel>;

/// Runs a test, which fails rather than hangs.
pub(super) async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), test)
        .await
        .expect("the test hangs")
}

pub(super) struct Fake {
    topics: Vec<String>,
    terms: Terms,
    now: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) streams: BTreeMap<StreamId, FakeStream>,
    pub(super) opened: Vec<(StreamOpen, Peer)>,
    pub(super) settled: Vec<(Option<StreamId>, Vec<Settlement>)>,
    pub(super) outputs: Vec<Vec<crate::record::Output>>,
    pub(super) extended: Vec<Extend>,
    /// Numbers of connections that are gone.
    pub(super) disconnected: Vec<u64>,
    pub(super) flows: Vec<FlowChange>,
    pub(super) closing: Vec<StreamId>,
    pub(super) closed: Vec<StreamId>,
    pub(super) events: Vec<Event>,
    /// Senders of the callers that wait for a commit.
    pub(super) commits: Vec<oneshot::Sender<CommitAnswer>>,
    /// What was said of where partitions start.
    pub(super) starts: Vec<StartAnswer>,
    /// What that is refused with; `None`: nothing.
    pub(super) start_refused: Option<StartRefused>,
    /// Whether there is no room for outputs, and who waits for it.
    pub(super) full_of_outputs: bool,
    pub(super) waiting: Vec<Waker>,
    /// What settlements are refused with; `None`: nothing.
    pub(super) refuse: Option<Refused>,
    /// Refuses every id, with this reason.
    pub(super) refuse_all: Option<crate::grpc::RefusedReason>,
    pub(super) shutting_down: bool,
    /// Puts something into the outbox of the stream when something is settled.
    pub(super) withdraw_on_settle: Option<IdRange>,
}

#[derive(Default)]
pub(super) struct FakeStream {
    pub(super) outbox: Outbox,
    pub(super) frames: VecDeque<Bytes>,
    waker: Option<Waker>,
}

impl Fake {
    pub(super) fn new(positions: Positions, transactional: bool) -> Arc<Self> {
        Arc::new(Self {
            topics: vec!["orders".to_owned(), "refunds".to_owned()],
            terms: Terms {
                in_flight_records: 100,
                in_flight_records_max: 1000,
                in_flight_bytes: 8 << 20,
                in_flight_bytes_max: 16 << 20,
                batch_records: 64,
                batch_bytes: 256 << 10,
                batch_linger: Duration::ZERO,
                order: Order::Key,
                lane_depth: 1,
                commit_mode: CommitMode::OnAck,
                positions,
                deadline: Duration::ZERO,
                dead_letters: false,
                transactional,
            },
            now: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until the state is as the test wants it.
    pub(super) async fn until(&self, wanted: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if wanted(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn advance(&self, by: Duration) {
        self.now
            .fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    /// Changes a stream and wakes its body.
    pub(super) fn with(&self, stream: StreamId, change: impl FnOnce(&mut FakeStream)) {
        let mut state = self.state();
        let stream = state.streams.get_mut(&stream).unwrap();
        change(stream);
        if let Some(waker) = stream.waker.take() {
            waker.wake();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_waiters();
        result
    }
}

/// Streams that the fake lets open.
pub(super) const STREAMS_MAX: u32 = 16;

impl Sidecar for Fake {
    fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::Relaxed))
    }

    fn topics(&self) -> Arc<[String]> {
        self.topics.as_slice().into()
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn poll_confirms(&self, outputs: bool, cx: &mut Context<'_>) -> Poll<()> {
        self.change(|state| {
            if !(outputs && state.full_of_outputs) {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        })
    }

    fn keep_outputs(&self, outputs: Vec<crate::record::Output>) -> NewOutputs {
        let records = u32::try_from(outputs.len()).expect("few");
        self.change(|state| state.outputs.push(outputs));
        NewOutputs {
            id: OutputsId(1),
            records,
            bytes: 1,
        }
    }

    fn open(&self, open: StreamOpen, peer: &Peer) -> Result<OpenedStream, OpenRefused> {
        self.change(|state| {
            if state.shutting_down {
                return Err(OpenRefused::ShuttingDown);
            }
            if state.streams.len() == STREAMS_MAX as usize {
                return Err(OpenRefused::TooManyStreams {
                    streams_max: STREAMS_MAX,
                });
            }
            let id = StreamId(state.opened.len() as u64);
            state.opened.push((open, peer.clone()));
            state.streams.insert(id, FakeStream::default());
            Ok(OpenedStream {
                id,
                name: format!("stream-{}", id.0),
            })
        })
    }

    fn poll(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<Outgoing> {
        self.change(|state| {
            let Some(stream) = state.streams.get_mut(&stream) else {
                return Poll::Pending;
            };
            // As the engine does: an end waits for nothing but the rest of the outbox.
            if let Some(outgoing) = stream.outbox.pop(&self.topics) {
                return Poll::Ready(outgoing);
            }
            if let Some(frame) = stream.frames.pop_front() {
                return Poll::Ready(Outgoing::Frame(frame));
            }
            stream.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn settle(&self, from: Option<StreamId>, request: SettleRequest) -> Vec<Refused> {
        let settlements = request.settlements;
        self.change(|state| {
            let mut refused: Vec<_> = state.refuse.take().into_iter().collect();
            if let Some(reason) = state.refuse_all {
                let ids = settlements
                    .iter()
                    .flat_map(|settlement| settlement.ids.clone());
                refused.push(Refused {
                    reason,
                    ids: ids.collect(),
                });
            }
            state.settled.push((from, settlements));
            state.extended.extend(request.extends);
            if let (Some(ids), Some(from)) = (state.withdraw_on_settle.take(), from) {
                let stream = state.streams.get_mut(&from).unwrap();
                stream
                    .outbox
                    .withdraw(&[ids], crate::core::WithdrawReason::EarlierRetry);
            }
            refused
        })
    }

    fn start_at(&self, answer: StartAnswer) -> Result<(), StartRefused> {
        self.change(|state| {
            state.starts.push(answer);
            state.start_refused.map_or(Ok(()), Err)
        })
    }

    fn settle_and_commit(
        &self,
        request: SettleRequest,
    ) -> (Vec<Refused>, oneshot::Receiver<CommitAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let refused = self.settle(None, request);
        self.change(|state| state.commits.push(sender));
        (refused, receiver)
    }

    fn answer(&self, stream: StreamId, answer: Answer) {
        if self.state().streams.contains_key(&stream) {
            self.with(stream, |stream| stream.outbox.answer(answer));
            self.changed.notify_waiters();
        }
    }

    fn poll_room(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()> {
        match self.state().streams.get_mut(&stream) {
            Some(stream) => stream.outbox.poll_room(cx),
            None => Poll::Ready(()),
        }
    }

    fn flow(&self, _: StreamId, flow: FlowChange) {
        self.change(|state| state.flows.push(flow));
    }

    fn stream_named(&self, name: &str) -> Option<StreamId> {
        let id = StreamId(name.strip_prefix("stream-")?.parse().ok()?);
        self.state().streams.contains_key(&id).then_some(id)
    }

    fn closing(&self, stream: StreamId) {
        self.change(|state| state.closing.push(stream));
    }

    fn closed(&self, stream: StreamId) {
        self.change(|state| {
            assert!(
                state.streams.remove(&stream).is_some(),
                "E2: closed exactly once"
            );
            state.closed.push(stream);
        });
    }

    fn disconnected(&self, connection: u64) {
        self.change(|state| state.disconnected.push(connection));
    }

    fn report(&self, event: Event) {
        self.change(|state| state.events.push(event));
    }
}

/// A server on a Unix socket of its own.
pub(super) struct Served {
    pub(super) fake: Arc<Fake>,
    pub(super) socket: PathBuf,
    pub(super) server: JoinHandle<Result<(), crate::grpc::Error>>,
    pub(super) stop: DropGuard,
    _directory: tempfile::TempDir,
}

impl Served {
    pub(super) async fn new() -> Self {
        Self::for_users(Vec::new()).await
    }

    pub(super) async fn with_positions(positions: Positions) -> Self {
        Self::serving(Vec::new(), positions, false).await
    }

    pub(super) async fn transactional() -> Self {
        Self::serving(Vec::new(), Positions::Store, true).await
    }

    pub(super) async fn for_users(uids: Vec<u32>) -> Self {
        Self::serving(uids, Positions::Store, false).await
    }

    async fn serving(uids: Vec<u32>, positions: Positions, transactional: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("ackline.sock");
        let fake = Fake::new(positions, transactional);
        let unix = Some(ListenUnix {
            path: socket.clone(),
            uids,
        });
        let (server, stop) = serve(Listen { unix, tcp: None }, &fake).await;
        Self {
            fake,
            socket,
            server,
            stop,
            _directory: directory,
        }
    }

    pub(super) async fn client(&self) -> Client {
        ConsumerServiceClient::new(channel(&self.socket).await.unwrap())
    }
}

pub(super) async fn serve(
    listen: Listen,
    fake: &Arc<Fake>,
) -> (JoinHandle<Result<(), crate::grpc::Error>>, DropGuard) {
    let server = Server::bind(listen).await.unwrap();
    let stop = CancellationToken::new();
    let serving = server.serve(Arc::clone(fake), stop.clone());
    (tokio::spawn(serving), stop.drop_guard())
}

pub(super) async fn channel(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket = socket.to_owned();
    Endpoint::from_static("http://localhost")
        // What clients of most languages have; hyper's own is much larger.
        .initial_stream_window_size(65_535)
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { io::Result::Ok(TokioIo::new(UnixStream::connect(socket).await?)) }
        }))
        .await
}

/// What the status of a call must be.
#[track_caller]
pub(super) fn assert_ends(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!(
        (info.domain.as_str(), info.reason.as_str()),
        ("ackline.dev", reason)
    );
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    assert!(size < 4096, "{size} bytes of trailers");
}

pub(super) async fn next(stream: &mut tonic::Streaming<proto::StreamResponse>) -> Response {
    stream
        .message()
        .await
        .unwrap()
        .expect("the stream ended")
        .response
        .expect("a known message")
}

/// Reads on until the stream ends, and says how.
pub(super) async fn end(
    stream: &mut tonic::Streaming<proto::StreamResponse>,
) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

pub(super) fn settlement(outcome: proto::Outcome, ids: &[u64]) -> proto::Settlement {
    proto::Settlement {
        deliveries: Some(proto::Ids {
            ids: ids.to_vec(),
            ranges: Vec::new(),
        }),
        outcome: outcome.into(),
        ..Default::default()
    }
}

pub(super) fn ack(ids: &[u64]) -> proto::AckRequest {
    proto::AckRequest {
        settlements: vec![settlement(proto::Outcome::Ack, ids)],
        ..Default::default()
    }
}

pub(super) fn acked(settlement: &Settlement) -> Vec<(u64, u64)> {
    assert_eq!(settlement.outcome, Outcome::Ack);
    settlement
        .ids
        .iter()
        .map(|ids| (ids.first, ids.last))
        .collect()
}

/// A record of which only the value matters.
pub(super) struct Plain(pub(super) Vec<u8>);

impl Record for Plain {
    fn offset(&self) -> i64 {
        42
    }
    fn timestamp(&self) -> (i64, TimestampKind) {
        (1_700_000_000_000, TimestampKind::CreateTime)
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
    fn header(&self, _: usize) -> Option<Header<'_>> {
        None
    }
    fn leader_epoch(&self) -> Option<i32> {
        Some(7)
    }
}

/// A frame with one record.
pub(super) fn frame(id: u64, value: Vec<u8>) -> Bytes {
    let record = Plain(value);
    let slot = wire::Slot {
        id,
        attempt: 1,
        body_len: wire::body_len(&record),
    };
    let head = wire::Head {
        topic: "orders",
        partition: 3,
        assignment: 9,
    };
    let mut frame = wire::Frame::new(&head, std::iter::once(slot), Vec::with_capacity);
    frame.record(&slot, &record);
    frame.finish().into()
}
