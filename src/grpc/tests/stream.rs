//! `Stream`: opening, records, ends.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::fake::{STREAMS_MAX, Served, assert_ends, end, frame, next, within};
use crate::core::{
    Assignment, IdRange, Notice, PartitionId, StreamEnd, StreamId, TopicIndex, WithdrawReason,
};
use crate::grpc::proto::stream_response::Response;
use crate::grpc::{Origin, outbox, proto};

const FIRST: StreamId = StreamId(0);

fn request(open: proto::Open) -> proto::StreamRequest {
    proto::StreamRequest { open: Some(open) }
}

#[tokio::test]
async fn opened_comes_first_and_says_what_is_in_force() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        let Response::Opened(opened) = next(&mut stream).await else {
            panic!("not opened")
        };
        let expected = proto::Opened {
            stream_id: "stream-0".to_owned(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            order: proto::Order::Key.into(),
            lane_depth: 1,
            max_in_flight_records: 100,
            max_in_flight_bytes: 8 << 20,
            max_message_bytes: 4 << 20,
            settling_required: true,
            delivery_deadline: None,
            application_keeps_positions: false,
            processing: proto::Processing::AtLeastOnce.into(),
        };
        assert_eq!(opened, expected);
        let state = served.fake.state();
        let (_, peer) = &state.opened[0];
        let Origin::Unix { uid, pid } = peer.origin else {
            panic!("{peer:?}")
        };
        assert_eq!(u32::try_from(pid).unwrap(), std::process::id());
        let own = std::fs::metadata(&served.socket).unwrap();
        assert_eq!(uid, std::os::unix::fs::MetadataExt::uid(&own));
    })
    .await;
}

#[tokio::test]
async fn records_arrive_as_they_are() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let open = proto::Open {
            client: "billing\n".to_owned(),
            topics: vec!["refunds".to_owned()],
            keep_after_close: Some(prost_types::Duration {
                seconds: 5,
                nanos: 0,
            }),
            ..Default::default()
        };
        let mut stream = client.stream(request(open)).await.unwrap().into_inner();
        next(&mut stream).await;
        for id in 100..103 {
            served.fake.with(FIRST, |stream| {
                stream.frames.push_back(frame(id, vec![1; 100_000]))
            });
        }
        for id in 100..103 {
            let Response::Records(records) = next(&mut stream).await else {
                panic!("no records")
            };
            assert_eq!((records.topic.as_str(), records.partition), ("orders", 3));
            assert_eq!(records.assignment, 9);
            let record = &records.records[0];
            assert_eq!((record.id, record.offset, record.attempt), (id, 42, 1));
            assert_eq!(record.value.as_deref(), Some(&[1; 100_000][..]));
            assert_eq!((record.key.as_ref(), record.leader_epoch), (None, Some(7)));
        }
        let state = served.fake.state();
        let (open, _) = &state.opened[0];
        assert_eq!(open.client, r"billing\n");
        assert_eq!(open.topics, Some([TopicIndex(1)].into()));
        assert_eq!(open.keep_after_close, Duration::from_secs(5));
    })
    .await;
}

#[tokio::test]
async fn dropped_stream_is_closed_once() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        next(&mut stream).await;
        drop(stream);
        served.fake.until(|state| state.closed == [FIRST]).await;
        assert_eq!(served.fake.state().closing, []);
    })
    .await;
}

#[tokio::test]
async fn broken_connection_closes_its_streams() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut streams = Vec::new();
        for _ in 0..2 {
            let request = proto::StreamRequest::default();
            streams.push(client.stream(request).await.unwrap().into_inner());
        }
        drop((client, streams));
        served.fake.until(|state| state.closed.len() == 2).await;
    })
    .await;
}

#[tokio::test]
async fn mistaken_open_is_refused_by_field() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mistakes = [
            (
                "topics",
                proto::Open {
                    topics: vec!["nope".to_owned()],
                    ..Default::default()
                },
            ),
            (
                "max_in_flight_records",
                proto::Open {
                    max_in_flight_records: Some(0),
                    ..Default::default()
                },
            ),
            (
                "notices",
                proto::Open {
                    notices: vec![77],
                    ..Default::default()
                },
            ),
        ];
        for (field, open) in mistakes {
            let status = client.stream(request(open)).await.unwrap_err();
            assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
            assert!(status.message().starts_with(field), "{}", status.message());
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.metadata["field"], field);
            assert!(status.get_details_retry_info().is_none());
        }
        assert!(served.fake.state().opened.is_empty());
    })
    .await;
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_ack_still_works() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS_MAX {
            let request = proto::StreamRequest::default();
            streams.push(client.stream(request).await.unwrap().into_inner());
        }
        let status = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "TOO_MANY_STREAMS");
        client.ack(super::fake::ack(&[1])).await.unwrap();
        streams.pop();
        served.fake.until(|state| state.closed.len() == 1).await;
        client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn each_end_says_what_to_do() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let ends = [
            (StreamEnd::GoingAway, Code::Unavailable, "GOING_AWAY"),
            (StreamEnd::IdsExhausted, Code::Unavailable, "IDS_EXHAUSTED"),
        ];
        for (id, (how, code, reason)) in (0..).map(StreamId).zip(ends) {
            let request = proto::StreamRequest::default();
            let mut stream = client.stream(request).await.unwrap().into_inner();
            served.fake.with(id, |stream| stream.outbox.end(how));
            let status = end(&mut stream).await.unwrap_err();
            assert_ends(&status, code, reason);
            let retry = status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay);
            assert!(
                retry.is_some_and(|delay| delay > Duration::ZERO),
                "{status:?}"
            );
            served.fake.until(|state| state.closed.contains(&id)).await;
        }
        let mut stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        served
            .fake
            .with(StreamId(2), |stream| stream.outbox.end(StreamEnd::Closed));
        end(&mut stream).await.unwrap();

        served.fake.state().shutting_down = true;
        let status = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap_err();
        assert_ends(&status, Code::Unavailable, "SHUTTING_DOWN");
        assert!(status.get_details_retry_info().is_some());
    })
    .await;
}

#[tokio::test]
async fn client_that_leaves_its_notices_unread_loses_its_stream() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        next(&mut stream).await;
        let partition = PartitionId {
            topic: TopicIndex(0),
            partition: 1,
        };
        let notice = Notice::Assigned {
            partition,
            assignment: Assignment(1),
            start_offset: 0,
        };
        served.fake.with(FIRST, |stream| {
            for _ in 0..=outbox::EVENTS_MAX {
                stream.outbox.notify(&notice);
            }
            stream
                .outbox
                .withdraw(&[IdRange { first: 1, last: 9 }], WithdrawReason::Revoked);
        });
        assert!(matches!(next(&mut stream).await, Response::Withdrawn(_)));
        let status = end(&mut stream).await.unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "TOO_MANY_UNREAD");
    })
    .await;
}

/// The last call of a drain: no new connections, open streams stay until the sidecar ends them.
#[tokio::test]
async fn server_stops_once_its_streams_have_ended() {
    within(async {
        let served = Served::new().await;
        let channel = super::fake::channel(&served.socket).await.unwrap();
        let mut client = super::fake::Client::new(channel.clone());
        let mut stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        next(&mut stream).await;
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        let request = tonic_health::pb::HealthCheckRequest::default();
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status, 1);

        drop(served.stop);
        assert_eq!(
            watch.message().await.unwrap().unwrap().status,
            2,
            "not serving"
        );
        assert!(watch.message().await.unwrap().is_none(), "the watch ends");
        served.fake.with(FIRST, |stream| {
            stream.frames.push_back(frame(1, vec![1]));
        });
        assert!(matches!(next(&mut stream).await, Response::Records(_)));
        assert!(!served.server.is_finished());
        served
            .fake
            .with(FIRST, |stream| stream.outbox.end(StreamEnd::GoingAway));
        end(&mut stream).await.unwrap_err();
        served.server.await.unwrap().unwrap();
    })
    .await;
}
