//! Requests of an application: frames of gRPC, protobuf, and what the fields say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ackline::core::{
    CommitMode, Extend, FlowChange, IdRange, Moment, NewOutputs, Order, Outcome, OutputsId,
    Positions, SettleRequest, Settlement, StartAnswer, StartRefused, StreamEnd, StreamId,
    StreamOpen,
};
use ackline::grpc::direct::call;
use ackline::grpc::validate::{
    CLIENT_BYTES_MAX, EXTEND_MAX, KEEP_AFTER_CLOSE_MAX, LINGER_MAX, REASON_BYTES_MAX,
    RETRY_DELAY_MAX,
};
use ackline::grpc::{
    Answer, CommitAnswer, End, Event, OpenRefused, OpenedStream, Outgoing, Peer, Refused,
    RefusedReason, Sidecar, Terms,
};
use ackline::record::Output;
use tokio::sync::oneshot;

use super::{first, pieces};

const METHODS: [&str; 4] = [
    "/ackline.v1.ConsumerService/Stream",
    "/ackline.v1.ConsumerService/Ack",
    "/ackline.v1.ConsumerService/Consume",
    "/ackline.v1.ConsumerService/Other",
];

/// Bits of the first byte, above those of the method.
const RESET: u8 = 4;
const REFUSE: u8 = 8;
const RAW: u8 = 16;
const APPLICATION: u8 = 32;

/// The first byte says which call it is and how it ends, the second how its bytes are cut into pieces. What follows are
/// messages, each behind its length in two bytes; or the bytes of the call as they are.
pub(crate) fn requests(mut input: &[u8]) {
    let flags = first(&mut input);
    let of = first(&mut input);
    let body = if flags & RAW == 0 {
        framed(input)
    } else {
        input.to_vec()
    };
    let whole = answer(flags, pieces(&body, 0));
    let cut = answer(flags, pieces(&body, of));
    assert_eq!(whole, cut, "depends on the pieces");
}

/// How the call went: the status with its words, and what the sidecar was asked for.
fn answer(flags: u8, pieces: Vec<bytes::Bytes>) -> (tonic::Code, String, String) {
    let method = METHODS[usize::from(flags % 4)];
    let sidecar = Arc::new(Strict::new(flags));
    let half_close = flags & RESET == 0;
    let answered = call(Arc::clone(&sidecar), method, pieces, half_close);
    let answered = answered.expect("the call waits for nothing that may happen");
    let status = answered.status;
    if status.code() != tonic::Code::Ok {
        let words = status.message();
        assert!(!words.is_empty() && words.len() <= 512, "{words:?}");
        assert!(!status.details().is_empty(), "{status:?}");
    }
    assert_ne!(status.code(), tonic::Code::Internal, "{status:?}");
    assert_ne!(status.code(), tonic::Code::Unknown, "{status:?}");
    assert_eq!(
        answered.held_bytes, 0,
        "counts on although the call is over"
    );
    let heard = sidecar.heard.lock().unwrap();
    assert_eq!(heard.opened, heard.closed, "each stream is closed once");
    (
        status.code(),
        status.message().to_owned(),
        heard.asked.clone(),
    )
}

/// gRPC's frames around messages.
fn framed(mut input: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while !input.is_empty() {
        let length = usize::from(first(&mut input)) << 8 | usize::from(first(&mut input));
        let (message, rest) = input.split_at(length.min(input.len()));
        let length = u32::try_from(message.len()).unwrap();
        body.push(0);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(message);
        input = rest;
    }
    body
}

/// A sidecar that takes nothing that is out of bounds.
struct Strict {
    flags: u8,
    topics: Vec<String>,
    terms: Terms,
    closing: AtomicBool,
    opened: AtomicU64,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    opened: Vec<StreamId>,
    closed: Vec<StreamId>,
    highest: u64,
    asked: String,
    waker: Option<Waker>,
}

impl Strict {
    fn new(flags: u8) -> Self {
        Self {
            flags,
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
                positions: if flags & APPLICATION == 0 {
                    Positions::Store
                } else {
                    Positions::Application
                },
                deadline: Duration::from_secs(60),
                dead_letters: flags & REFUSE == 0,
                transactional: flags & REFUSE == 0,
            },
            closing: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            heard: Mutex::default(),
        }
    }

    fn ends_by_itself(&self) -> bool {
        METHODS[usize::from(self.flags % 4)].ends_with("Stream")
    }

    fn note(&self, what: &str) {
        self.heard.lock().unwrap().asked.push_str(what);
    }

    fn check(&self, settlement: &Settlement) -> Vec<Refused> {
        let Settlement {
            ids,
            outcome,
            reason,
            outputs,
        } = settlement;
        assert!(outputs.is_none() || self.terms.transactional);
        assert!(outputs.is_none() || *outcome == Outcome::Ack);
        assert!(ids.iter().all(|range| range.first <= range.last));
        assert!(ids.len() <= 16_384, "{} ranges", ids.len());
        is_printable(reason, REASON_BYTES_MAX);
        if let Outcome::Retry { delay: Some(delay) } = outcome {
            assert!(*delay <= RETRY_DELAY_MAX);
        }
        assert!(*outcome != Outcome::DeadLetter || self.terms.dead_letters);
        self.note(&format!("{settlement:?}\n"));
        if self.flags & REFUSE == 0 {
            return Vec::new();
        }
        let reason = RefusedReason::Unknown;
        let ids: Vec<IdRange> = ids.clone();
        vec![Refused { reason, ids }]
    }
}

/// Fit for a line of a log.
fn is_printable(text: &str, bytes_max: usize) {
    assert!(text.len() <= bytes_max, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

impl Sidecar for Strict {
    fn now(&self) -> Moment {
        Moment::default().plus(Duration::from_secs(3600))
    }

    fn topics(&self) -> Arc<[String]> {
        self.topics.as_slice().into()
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn keep_outputs(&self, outputs: Vec<Output>) -> NewOutputs {
        assert!(!outputs.is_empty() && outputs.len() <= 16_384);
        for output in &outputs {
            assert!(!output.topic.is_empty() && output.topic.len() <= 249);
            assert!(output.partition.is_none_or(|partition| partition >= 0));
            assert!(output.timestamp_ms.is_none_or(|millis| millis > 0));
        }
        NewOutputs {
            id: OutputsId(1),
            records: u32::try_from(outputs.len()).unwrap(),
            bytes: outputs.iter().map(Output::bytes).sum(),
        }
    }

    fn open(&self, open: StreamOpen, _: &Peer) -> Result<OpenedStream, OpenRefused> {
        is_printable(&open.client, CLIENT_BYTES_MAX);
        let records = 1..=self.terms.in_flight_records_max;
        assert!(records.contains(&open.in_flight_records_max));
        let bytes = 1..=self.terms.in_flight_bytes_max;
        assert!(bytes.contains(&open.in_flight_bytes_max));
        assert!(open.message_bytes_max > 0 && open.batch_records_max > 0);
        assert!(open.batch_bytes_max > 0);
        assert!(open.batch_linger <= LINGER_MAX);
        assert!(open.keep_after_close <= KEEP_AFTER_CLOSE_MAX);
        let wanted = open.topics.iter().flatten();
        assert!(
            wanted
                .into_iter()
                .all(|topic| usize::from(topic.0) < self.topics.len())
        );
        self.note(&format!("{open:?}\n"));
        if self.flags & REFUSE != 0 && self.ends_by_itself() {
            return Err(OpenRefused::TooManyStreams { streams_max: 1 });
        }
        let id = StreamId(self.opened.fetch_add(1, Ordering::Relaxed));
        self.heard.lock().unwrap().opened.push(id);
        let name = format!("stream-{}", id.0);
        Ok(OpenedStream { id, name })
    }

    fn poll(&self, _: StreamId, cx: &mut Context<'_>) -> Poll<Outgoing> {
        if self.ends_by_itself() || self.closing.load(Ordering::Relaxed) {
            return Poll::Ready(Outgoing::End(End::Decided(StreamEnd::Closed)));
        }
        self.heard.lock().unwrap().waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn settle(&self, _: Option<StreamId>, request: SettleRequest) -> Vec<Refused> {
        for Extend { ids, by } in &request.extends {
            assert!(ids.iter().all(|range| range.first <= range.last));
            assert!(ids.len() <= 16_384, "{} ranges", ids.len());
            assert!(!by.is_zero() && *by <= EXTEND_MAX);
            self.note(&format!("{ids:?} {by:?}\n"));
        }
        let settlements = request.settlements.iter();
        settlements.flat_map(|it| self.check(it)).collect()
    }

    fn start_at(&self, answer: StartAnswer) -> Result<(), StartRefused> {
        assert_eq!(self.terms.positions, Positions::Application);
        self.note(&format!("{answer:?}\n"));
        if let Some(position) = &answer.position {
            assert!(position.offset >= 0, "offsets are at least 0");
        }
        // Every other one comes too late.
        if answer.assignment.0.is_multiple_of(2) {
            Ok(())
        } else {
            Err(StartRefused::Stale)
        }
    }

    fn settle_and_commit(
        &self,
        request: SettleRequest,
    ) -> (Vec<Refused>, oneshot::Receiver<CommitAnswer>) {
        let (committed, waits) = oneshot::channel();
        // With odd numbers of settlements the answer never comes.
        if request.settlements.len().is_multiple_of(2) {
            let _gone = committed.send(CommitAnswer {
                committed: true,
                offered: Vec::new(),
            });
        }
        (self.settle(None, request), waits)
    }

    fn answer(&self, _: StreamId, answer: Answer) {
        let mut heard = self.heard.lock().unwrap();
        if answer.request_id != 0 {
            assert!(heard.highest < answer.request_id, "numbers rise");
            heard.highest = answer.request_id;
        } else {
            assert!(!answer.refused.is_empty());
        }
    }

    fn poll_room(&self, _: StreamId, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn flow(&self, _: StreamId, flow: FlowChange) {
        assert!(
            flow.in_flight_records_max
                .is_none_or(|it| 0 < it && it <= 1000)
        );
        assert!(
            flow.in_flight_bytes_max
                .is_none_or(|it| 0 < it && it <= 16 << 20)
        );
        self.note(&format!("{flow:?}\n"));
    }

    fn stream_named(&self, name: &str) -> Option<StreamId> {
        name.strip_prefix("stream-")?.parse().ok().map(StreamId)
    }

    fn closing(&self, _: StreamId) {
        self.closing.store(true, Ordering::Relaxed);
        if let Some(waker) = self.heard.lock().unwrap().waker.take() {
            waker.wake();
        }
    }

    fn closed(&self, stream: StreamId) {
        self.heard.lock().unwrap().closed.push(stream);
    }

    fn disconnected(&self, _: u64) {}

    fn report(&self, _: Event) {}
}
