//! `StartAt`: where partitions start, if applications keep the positions.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::fake::{Client, Served, ack, assert_ends, end, next, within};
use crate::core::{
    Assignment, CommitEntry, Notice, PartitionId, Positions, StartRefused, StreamId, TopicIndex,
    WithdrawReason,
};
use crate::grpc::proto::consume_request::Request;
use crate::grpc::proto::partition_event::Kind;
use crate::grpc::proto::stream_response::Response;
use crate::grpc::{CommitAnswer, checkpoint, proto};

const PLACE: PartitionId = PartitionId {
    topic: TopicIndex(1),
    partition: 4,
};

async fn served() -> Served {
    Served::with_positions(Positions::Application).await
}

fn open() -> proto::Open {
    proto::Open {
        notices: vec![
            proto::Notice::Partitions.into(),
            proto::Notice::Committed.into(),
        ],
        ..proto::Open::default()
    }
}

fn entry() -> CommitEntry {
    CommitEntry {
        partition: PLACE,
        assignment: Assignment(7),
        offset: 90,
        leader_epoch: Some(2),
        metadata: "bWFya3M".to_owned(),
    }
}

async fn opened(client: &mut Client) -> (String, tonic::Streaming<proto::StreamResponse>) {
    let request = proto::StreamRequest { open: Some(open()) };
    let mut stream = client.stream(request).await.unwrap().into_inner();
    let Response::Opened(opened) = next(&mut stream).await else {
        panic!("not opened");
    };
    assert!(opened.application_keeps_positions);
    (opened.stream_id, stream)
}

async fn say(client: &mut Client, start: proto::StartAt) -> Result<proto::AckResponse, Status> {
    let request = proto::AckRequest {
        start_at: vec![start],
        ..proto::AckRequest::default()
    };
    client.ack(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_stream_is_asked_answers_and_is_offered_what_to_keep() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let (stream_id, mut stream) = opened(&mut client).await;
        served.fake.with(StreamId(0), |stream| {
            stream.outbox.notify(&Notice::StartWanted {
                partition: PLACE,
                assignment: Assignment(7),
            });
        });
        let Response::Partition(event) = next(&mut stream).await else {
            panic!("not asked");
        };
        assert_eq!((event.kind(), event.start_wanted), (Kind::Assigned, true));
        assert_eq!((event.topic.as_str(), event.partition), ("refunds", 4));
        assert_eq!(event.assignment, 7);
        let kept = checkpoint::encode(&entry());
        let start = proto::StartAt {
            assignment: event.assignment,
            checkpoint: kept.clone().into(),
            stream_id,
            ..proto::StartAt::default()
        };
        let answer = say(&mut client, start).await.unwrap();
        assert_eq!(answer.refused_starts, []);
        let said = served.fake.state().starts.pop().unwrap();
        assert_eq!((said.stream, said.assignment), (StreamId(0), Assignment(7)));
        let position = said.position.unwrap();
        assert_eq!((position.offset, position.leader_epoch), (90, Some(2)));
        assert_eq!(position.metadata, b"bWFya3M");

        served.fake.with(StreamId(0), |stream| {
            stream.outbox.notify(&Notice::Committed {
                partition: PLACE,
                assignment: Assignment(7),
                offset: 90,
                offered: Some(Box::new(entry())),
            });
        });
        let Response::Committed(committed) = next(&mut stream).await else {
            panic!("not offered");
        };
        assert_eq!(
            (committed.offset, &committed.checkpoint[..]),
            (90, &kept[..])
        );
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_the_commit_is_given_checkpoints() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let mut request = ack(&[1]);
        request.set_wait_for(proto::WaitFor::Committed);
        let answer = tokio::spawn(async move { client.ack(request).await });
        served.fake.until(|state| !state.commits.is_empty()).await;
        let commit = served.fake.state().commits.pop().unwrap();
        let offered = CommitAnswer {
            committed: true,
            offered: vec![entry()],
        };
        commit.send(offered).unwrap();
        let answer = answer.await.unwrap().unwrap().into_inner();
        let [kept] = answer.checkpoints.as_slice() else {
            panic!("{answer:?}");
        };
        assert_eq!((kept.topic.as_str(), kept.partition), ("refunds", 4));
        assert_eq!((kept.assignment, kept.offset), (7, 90));
        assert_eq!(kept.checkpoint, checkpoint::encode(&entry()));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_changes_nothing_is_told_by_its_reason() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let (stream_id, _stream) = opened(&mut client).await;
        for (refused, told) in [
            (StartRefused::Stale, proto::StartRefusalReason::Stale),
            (
                StartRefused::OtherStream,
                proto::StartRefusalReason::OtherStream,
            ),
            (
                StartRefused::OtherPosition,
                proto::StartRefusalReason::OtherPosition,
            ),
        ] {
            served.fake.state().start_refused = Some(refused);
            let start = proto::StartAt {
                assignment: 3,
                stream_id: stream_id.clone(),
                ..proto::StartAt::default()
            };
            let answer = say(&mut client, start).await.unwrap();
            let refusal = &answer.refused_starts[0];
            assert_eq!((refusal.assignment, refusal.reason()), (3, told));
        }
        // A stream that is gone answers nothing.
        served.fake.state().starts.clear();
        let start = proto::StartAt {
            assignment: 4,
            stream_id: "gone".to_owned(),
            ..proto::StartAt::default()
        };
        let answer = say(&mut client, start).await.unwrap();
        let told = proto::StartRefusalReason::Stale;
        assert_eq!(answer.refused_starts[0].reason(), told);
        assert!(served.fake.state().starts.is_empty());
    })
    .await;
}

#[tokio::test]
async fn consume_answers_for_itself() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let (requests, outgoing) = mpsc::channel(8);
        let send = async |request_id, request| {
            let request = proto::ConsumeRequest {
                request_id,
                request: Some(request),
            };
            requests.send(request).await.unwrap();
        };
        send(1, Request::Open(open())).await;
        let mut responses = client
            .consume(ReceiverStream::new(outgoing))
            .await
            .unwrap()
            .into_inner();
        assert!(matches!(next(&mut responses).await, Response::Opened(_)));
        assert!(matches!(next(&mut responses).await, Response::Settled(_)));
        let start = proto::StartAt {
            assignment: 9,
            offset: Some(12),
            ..proto::StartAt::default()
        };
        send(2, Request::StartAt(start.clone())).await;
        let Response::Settled(settled) = next(&mut responses).await else {
            panic!("no answer");
        };
        assert_eq!(
            (settled.up_to_request_id, settled.refused_starts.len()),
            (2, 0)
        );
        let said = served.fake.state().starts.pop().unwrap();
        assert_eq!(said.position.unwrap().offset, 12);

        served.fake.state().start_refused = Some(StartRefused::OtherStream);
        // Without a number, too.
        send(0, Request::StartAt(start.clone())).await;
        let Response::Settled(settled) = next(&mut responses).await else {
            panic!("no answer");
        };
        assert_eq!(settled.refused_starts[0].assignment, 9);

        let foreign = proto::StartAt {
            stream_id: "another".to_owned(),
            ..start
        };
        send(3, Request::StartAt(foreign)).await;
        let status = end(&mut responses).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
    })
    .await;
}

#[tokio::test]
async fn wrong_answers_are_refused_by_field() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let (stream_id, _stream) = opened(&mut client).await;
        let of_stream = || proto::StartAt {
            assignment: 1,
            stream_id: stream_id.clone(),
            ..proto::StartAt::default()
        };
        let damaged = vec![1, 2, 3, 4, 5, 6];
        for (wrong, field) in [
            (
                proto::StartAt {
                    stream_id: String::new(),
                    ..of_stream()
                },
                "stream_id",
            ),
            (
                proto::StartAt {
                    offset: Some(-1),
                    ..of_stream()
                },
                "offset",
            ),
            (
                proto::StartAt {
                    checkpoint: damaged.clone().into(),
                    ..of_stream()
                },
                "checkpoint",
            ),
            (
                proto::StartAt {
                    offset: Some(1),
                    checkpoint: checkpoint::encode(&entry()).into(),
                    ..of_stream()
                },
                "checkpoint",
            ),
        ] {
            let status = say(&mut client, wrong).await.unwrap_err();
            assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
            assert!(status.message().starts_with(field), "{status}");
        }
        assert!(served.fake.state().starts.is_empty());
    })
    .await;
}

#[tokio::test]
async fn streams_must_be_fit_to_be_asked() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let mut refused = async |open| {
            let request = proto::StreamRequest { open: Some(open) };
            client.stream(request).await.unwrap_err()
        };
        let status = refused(proto::Open::default()).await;
        assert!(status.message().contains("NOTICE_PARTITIONS"), "{status}");
        let keeps = proto::Open {
            keep_after_close: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
            ..open()
        };
        let status = refused(keeps).await;
        assert!(status.message().starts_with("keep_after_close"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_whose_positions_are_elsewhere() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let start = proto::StartAt {
            assignment: 1,
            stream_id: "any".to_owned(),
            ..proto::StartAt::default()
        };
        let status = say(&mut client, start).await.unwrap_err();
        assert_ends(&status, Code::FailedPrecondition, "POSITIONS_ELSEWHERE");
        assert!(status.message().contains("offset_store.kind"), "{status}");
    })
    .await;
}

#[tokio::test]
async fn whoever_was_too_late_is_told_that_the_partition_is_another_streams() {
    within(async {
        let served = served().await;
        let mut client = served.client().await;
        let (_, mut stream) = opened(&mut client).await;
        served.fake.with(StreamId(0), |stream| {
            stream.outbox.notify(&Notice::Revoked {
                partition: PLACE,
                assignment: Assignment(7),
                reason: WithdrawReason::OtherStream,
            });
        });
        let Response::Partition(event) = next(&mut stream).await else {
            panic!("not told");
        };
        assert_eq!(event.reason(), proto::WithdrawReason::OtherStream);
    })
    .await;
}
