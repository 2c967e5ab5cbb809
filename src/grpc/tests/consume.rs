//! `Consume`: requests inside the stream.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::fake::{Client, Served, ack, acked, assert_ends, end, frame, next, settlement, within};
use crate::core::{IdRange, StreamEnd, StreamId};
use crate::grpc::outbox::REFUSED_MAX;
use crate::grpc::proto::consume_request::Request;
use crate::grpc::proto::stream_response::Response;
use crate::grpc::request::ENTRIES_MAX;
use crate::grpc::{Refused, RefusedReason, proto};

const FIRST: StreamId = StreamId(0);

/// A `Consume` call whose requests the test sends one by one.
struct Call {
    requests: mpsc::Sender<proto::ConsumeRequest>,
    responses: Streaming<proto::StreamResponse>,
}

impl Call {
    /// Waits for the response's headers before any request is sent, as careless clients do.
    async fn new(client: &mut Client) -> Self {
        let (requests, outgoing) = mpsc::channel(64);
        let responses = client
            .consume(ReceiverStream::new(outgoing))
            .await
            .unwrap()
            .into_inner();
        Self {
            requests,
            responses,
        }
    }

    async fn opened(client: &mut Client, request_id: u64) -> Self {
        let mut call = Self::new(client).await;
        call.send(request_id, open()).await;
        assert!(matches!(
            next(&mut call.responses).await,
            Response::Opened(_)
        ));
        call
    }

    async fn send(&self, request_id: u64, request: Request) {
        let request = proto::ConsumeRequest {
            request_id,
            request: Some(request),
        };
        self.requests.send(request).await.unwrap();
    }
}

fn open() -> Request {
    Request::Open(proto::Open::default())
}

fn settle(ids: &[u64]) -> Request {
    Request::Settle(settlement(proto::Outcome::Ack, ids))
}

fn settled(response: Response) -> proto::Settled {
    let Response::Settled(settled) = response else {
        panic!("not settled: {response:?}")
    };
    settled
}

#[tokio::test]
async fn numbered_requests_are_answered_in_order() {
    within(async {
        let served = Served::new().await;
        let mut call = Call::opened(&mut served.client().await, 1).await;
        assert_eq!(settled(next(&mut call.responses).await).up_to_request_id, 1);
        call.send(0, settle(&[5, 6])).await;
        call.send(7, settle(&[7])).await;
        assert_eq!(settled(next(&mut call.responses).await).up_to_request_id, 7);
        let flow = proto::SetFlow {
            paused: Some(true),
            ..Default::default()
        };
        call.send(8, Request::Flow(flow)).await;
        assert_eq!(settled(next(&mut call.responses).await).up_to_request_id, 8);
        let state = served.fake.state();
        let settled: Vec<_> = state
            .settled
            .iter()
            .map(|(from, all)| (*from, acked(&all[0])))
            .collect();
        assert_eq!(
            settled,
            [(Some(FIRST), vec![(5, 6)]), (Some(FIRST), vec![(7, 7)])]
        );
        assert_eq!(state.flows[0].paused, Some(true));
    })
    .await;
}

#[tokio::test]
async fn withdrawn_precedes_the_settled_that_refuses_its_ids() {
    within(async {
        let served = Served::new().await;
        let mut call = Call::opened(&mut served.client().await, 0).await;
        let ids = IdRange { first: 8, last: 9 };
        {
            let mut state = served.fake.state();
            state.withdraw_on_settle = Some(ids);
            state.refuse = Some(Refused {
                reason: RefusedReason::Stale,
                ids: vec![ids],
            });
        }
        call.send(0, settle(&[8, 9])).await;
        let Response::Withdrawn(withdrawn) = next(&mut call.responses).await else {
            panic!("withdrawn comes first")
        };
        assert_eq!(withdrawn.reason(), proto::WithdrawReason::EarlierRetry);
        let settled = settled(next(&mut call.responses).await);
        assert_eq!(settled.up_to_request_id, 0);
        assert_eq!(settled.refused[0].reason(), proto::RefusalReason::Stale);
        let ranges = &settled.refused[0].deliveries.as_ref().unwrap().ranges;
        assert_eq!(ranges, &[proto::IdRange { first: 8, last: 9 }]);
    })
    .await;
}

#[tokio::test]
async fn half_close_applies_everything_before_it_closes() {
    within(async {
        let served = Served::new().await;
        let Call {
            requests,
            mut responses,
        } = Call::opened(&mut served.client().await, 0).await;
        for id in 0..40 {
            let request = proto::ConsumeRequest {
                request_id: id + 1,
                request: Some(settle(&[id])),
            };
            requests.send(request).await.unwrap();
        }
        drop(requests);
        served.fake.until(|state| state.closing == [FIRST]).await;
        assert_eq!(served.fake.state().settled.len(), 40);
        served
            .fake
            .with(FIRST, |stream| stream.outbox.end(StreamEnd::Closed));
        let mut answered = 0;
        while let Some(response) = responses.message().await.unwrap() {
            answered = settled(response.response.unwrap()).up_to_request_id;
        }
        assert_eq!(answered, 40, "the answer comes before the end");
        served.fake.until(|state| state.closed == [FIRST]).await;
    })
    .await;
}

/// The client runs on a runtime of its own, which dies with everything in it.
#[tokio::test]
async fn broken_connection_is_no_half_close() {
    within(async {
        let served = Served::new().await;
        let socket = served.socket.clone();
        let (die, dies) = tokio::sync::oneshot::channel::<()>();
        let client = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let channel = super::fake::channel(&socket).await.unwrap();
                let _call = Call::opened(&mut Client::new(channel), 0).await;
                dies.await
            })
        });
        served.fake.until(|state| !state.opened.is_empty()).await;
        die.send(()).unwrap();
        served.fake.until(|state| state.closed == [FIRST]).await;
        assert_eq!(served.fake.state().closing, []);
        client.join().unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn first_request_must_open() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut call = Call::new(&mut client).await;
        call.send(1, settle(&[1])).await;
        let status = end(&mut call.responses).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "NOT_OPENED");

        let Call {
            requests,
            mut responses,
        } = Call::new(&mut client).await;
        drop(requests);
        let status = end(&mut responses).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "NOT_OPENED");
        assert!(served.fake.state().settled.is_empty());
    })
    .await;
}

#[tokio::test]
async fn mistaken_request_ends_the_stream() {
    let zero = proto::SetFlow {
        max_in_flight_records: Some(0),
        ..Default::default()
    };
    let mistakes = [
        (6, Some(open()), Code::InvalidArgument, "OPENED_TWICE"),
        (
            5,
            Some(settle(&[1])),
            Code::InvalidArgument,
            "REQUEST_ID_NOT_RISING",
        ),
        (6, None, Code::Unimplemented, "UNKNOWN_REQUEST"),
        (
            0,
            Some(Request::Flow(zero)),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            0,
            Some(Request::Settle(proto::Settlement::default())),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
    ];
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        for (request_id, request, code, reason) in mistakes {
            let mut call = Call::opened(&mut client, 5).await;
            call.requests
                .send(proto::ConsumeRequest {
                    request_id,
                    request,
                })
                .await
                .unwrap();
            let status = end(&mut call.responses).await.unwrap_err();
            assert_ends(&status, code, reason);
        }
        served.fake.until(|state| state.closed.len() == 5).await;
        assert!(served.fake.state().settled.is_empty());
        assert!(served.fake.state().closing.is_empty());
    })
    .await;
}

#[tokio::test]
async fn mistaken_open_ends_the_call() {
    within(async {
        let served = Served::new().await;
        let mut call = Call::new(&mut served.client().await).await;
        let open = proto::Open {
            topics: vec!["nope".to_owned()],
            ..Default::default()
        };
        call.send(0, Request::Open(open)).await;
        let status = end(&mut call.responses).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
    })
    .await;
}

/// Invariant E3: the client's window is full of a frame it does not read.
#[tokio::test]
async fn settlements_are_applied_while_the_client_reads_nothing() {
    within(async {
        let served = Served::new().await;
        let call = Call::opened(&mut served.client().await, 0).await;
        served.fake.with(FIRST, |stream| {
            for id in 0..4 {
                stream.frames.push_back(frame(id, vec![0; 3 << 20]));
            }
        });
        served
            .fake
            .until(|state| state.streams[&FIRST].frames.len() < 4)
            .await;
        for id in 1..200 {
            call.send(id, settle(&[id])).await;
        }
        served.fake.until(|state| state.settled.len() == 199).await;
        assert!(
            !served.fake.state().streams[&FIRST].frames.is_empty(),
            "nothing was read"
        );
    })
    .await;
}

#[tokio::test]
async fn client_that_reads_no_answers_is_held_back_and_not_lost() {
    const REQUESTS: u64 = 30;
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut call = Call::opened(&mut client, 0).await;
        served.fake.state().refuse_all = Some(RefusedReason::Stale);
        // Every second id, so that nothing can be joined.
        let ids: Vec<u64> = (0..ENTRIES_MAX as u64 - 1).map(|id| id * 2).collect();
        for request_id in 1..=REQUESTS {
            call.send(request_id, settle(&ids)).await;
        }
        served
            .fake
            .until(|state| state.streams[&FIRST].outbox.refused_waiting() >= REFUSED_MAX)
            .await;
        // Calls that come and go give the server every chance to go on.
        for _ in 0..20 {
            client.ack(ack(&[])).await.unwrap();
        }
        {
            let state = served.fake.state();
            let inside = state
                .settled
                .iter()
                .filter(|(from, _)| from.is_some())
                .count();
            assert!(
                inside < 6,
                "{inside} requests were applied for a client that reads nothing"
            );
            assert!(state.streams[&FIRST].outbox.refused_waiting() < 2 * REFUSED_MAX);
        }
        let mut refused = 0;
        loop {
            let settled = settled(next(&mut call.responses).await);
            for refusal in settled.refused {
                refused += refusal.deliveries.unwrap().ranges.len();
            }
            if settled.up_to_request_id == REQUESTS {
                break;
            }
        }
        assert_eq!(refused as u64, REQUESTS * (ENTRIES_MAX as u64 - 1));
    })
    .await;
}

/// Control C-5, inside of a stream.
#[tokio::test]
async fn never_issued_ids_end_the_stream() {
    within(async {
        let served = Served::new().await;
        let mut call = Call::opened(&mut served.client().await, 0).await;
        served.fake.advance(std::time::Duration::from_secs(600));
        served.fake.state().refuse_all = Some(RefusedReason::Unknown);
        let ids: Vec<u64> = (0..12_000).map(|id| id * 2).collect();
        call.send(1, settle(&ids)).await;
        call.send(2, settle(&[1])).await;
        let status = end(&mut call.responses).await.unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "UNKNOWN_IDS");
        assert_eq!(served.fake.state().settled.len(), 1);
    })
    .await;
}
