//! `Ack`: settlements from anywhere.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use super::fake::{Served, ack, acked, assert_ends, settlement, within};
use crate::core::{IdRange, Outcome, StreamId};
use crate::grpc::connection::UNKNOWN_IDS_MAX;
use crate::grpc::request::{ENTRIES_MAX, MESSAGE_MAX};
use crate::grpc::{CommitAnswer, Event, Refused, RefusedReason, proto};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn settlements_reach_the_sidecar_and_refusals_come_back() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        served.fake.state().refuse = Some(Refused {
            reason: RefusedReason::Conflict,
            ids: vec![IdRange { first: 3, last: 3 }],
        });
        let mut retry = settlement(proto::Outcome::Retry, &[9]);
        retry.retry_delay = Some(prost_types::Duration {
            seconds: 2,
            nanos: 0,
        });
        retry.reason = "no stock".to_owned();
        let mut request = ack(&[1, 2, 3]);
        request.settlements.push(retry);
        let answer = client.ack(request).await.unwrap().into_inner();
        assert!(!answer.committed);
        assert_eq!(answer.refused.len(), 1);
        assert_eq!(answer.refused[0].reason(), proto::RefusalReason::Conflict);
        let ranges = &answer.refused[0].deliveries.as_ref().unwrap().ranges;
        assert_eq!(ranges, &[proto::IdRange { first: 3, last: 3 }]);

        let state = served.fake.state();
        let (from, settlements) = &state.settled[0];
        assert_eq!(*from, None);
        assert_eq!(acked(&settlements[0]), [(1, 3)]);
        let delay = Some(Duration::from_secs(2));
        assert_eq!(settlements[1].outcome, Outcome::Retry { delay });
        assert_eq!(settlements[1].reason, "no stock");
    })
    .await;
}

#[tokio::test]
async fn caller_learns_whether_a_commit_covers_its_acks() {
    within(async {
        let served = Served::new().await;
        for expected in [Some(true), Some(false), None] {
            let mut client = served.client().await;
            let mut request = ack(&[1]);
            request.set_wait_for(proto::WaitFor::Committed);
            let answer = tokio::spawn(async move { client.ack(request).await });
            served.fake.until(|state| !state.commits.is_empty()).await;
            let commit = served.fake.state().commits.pop().unwrap();
            match expected {
                Some(committed) => commit
                    .send(CommitAnswer {
                        committed,
                        ..CommitAnswer::default()
                    })
                    .unwrap(),
                None => drop(commit),
            }
            let answer = answer.await.unwrap().unwrap().into_inner();
            assert_eq!(answer.committed, expected == Some(true));
        }
    })
    .await;
}

#[tokio::test]
async fn caller_that_gives_up_waits_no_more() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut request = ack(&[1]);
        request.set_wait_for(proto::WaitFor::Committed);
        let waiting = tokio::spawn(async move { client.ack(request).await });
        served.fake.until(|state| !state.commits.is_empty()).await;
        let mut commit = served.fake.state().commits.pop().unwrap();
        waiting.abort();
        commit.closed().await;
    })
    .await;
}

#[tokio::test]
async fn stream_is_closed_by_name_after_the_settlements() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let _stream = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap();
        let mut request = ack(&[1]);
        request.close_stream = "stream-0".to_owned();
        client.ack(request).await.unwrap();
        assert_eq!(served.fake.state().closing, [StreamId(0)]);
        let mut request = ack(&[]);
        request.close_stream = "stream-99".to_owned();
        client.ack(request).await.unwrap();
        assert_eq!(
            served.fake.state().closing.len(),
            1,
            "ended streams are no mistake"
        );
    })
    .await;
}

#[tokio::test]
async fn mistaken_settlement_is_refused_and_nothing_applied() {
    let backwards = proto::Settlement {
        deliveries: Some(proto::Ids {
            ids: Vec::new(),
            ranges: vec![proto::IdRange { first: 2, last: 1 }],
        }),
        ..settlement(proto::Outcome::Ack, &[])
    };
    let mut delayed = settlement(proto::Outcome::Ack, &[1]);
    delayed.retry_delay = Some(prost_types::Duration {
        seconds: 1,
        nanos: 0,
    });
    let unknown = proto::Settlement {
        outcome: 4,
        ..settlement(proto::Outcome::Ack, &[1])
    };
    let mistakes = [
        ("outcome", settlement(proto::Outcome::Unspecified, &[1])),
        ("outcome", unknown),
        ("retry_delay", delayed),
        ("ranges", backwards),
    ];
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        for (field, mistake) in mistakes {
            let mut request = ack(&[1]);
            request.settlements.push(mistake);
            let status = client.ack(request).await.unwrap_err();
            assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
            assert_eq!(
                status.get_details_error_info().unwrap().metadata["field"],
                field
            );
        }
        let request = proto::AckRequest {
            wait_for: 9,
            ..ack(&[1])
        };
        let status = client.ack(request).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert!(served.fake.state().settled.is_empty());
    })
    .await;
}

#[tokio::test]
async fn request_that_lists_too_much_is_refused() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        // The settlement counts, too.
        let ids: Vec<u64> = (0..ENTRIES_MAX as u64 - 1).map(|id| id * 3).collect();
        client.ack(ack(&ids)).await.unwrap();
        assert_eq!(
            acked(&served.fake.state().settled[0].1[0]).len(),
            ENTRIES_MAX - 1
        );
        let ids: Vec<u64> = (0..ENTRIES_MAX as u64).collect();
        let status = client.ack(ack(&ids)).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "TOO_MANY_IDS");
    })
    .await;
}

#[tokio::test]
async fn request_above_four_mebibytes_is_refused() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let mut request = ack(&[1]);
        request.settlements[0].reason = "x".repeat(MESSAGE_MAX);
        let status = client.ack(request).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "REQUEST_TOO_LARGE");
        let mut request = ack(&[1]);
        request.settlements[0].reason = "x".repeat(MESSAGE_MAX - 1024);
        client.ack(request).await.unwrap();
    })
    .await;
}

/// Control C-5.
#[tokio::test]
async fn never_issued_ids_cost_the_connection_its_calls_for_a_minute() {
    let flood: Vec<u64> = (0..=UNKNOWN_IDS_MAX as u64).map(|id| id * 2).collect();
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        served.fake.state().refuse_all = Some(RefusedReason::Unknown);
        client.ack(ack(&flood)).await.unwrap();
        client
            .ack(ack(&[1]))
            .await
            .expect("ids of the process before are no fault");

        served.fake.advance(10 * MINUTE);
        client.ack(ack(&flood)).await.unwrap();
        let status = client.ack(ack(&[1])).await.unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "UNKNOWN_IDS");
        let delay = status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        assert_eq!(delay, Some(MINUTE));
        let status = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "UNKNOWN_IDS");
        {
            let state = served.fake.state();
            assert!(
                matches!(state.events.as_slice(), [Event::UnknownIds(_)]),
                "told once"
            );
        }
        served
            .client()
            .await
            .ack(ack(&[1]))
            .await
            .expect("others are not concerned");

        served.fake.advance(MINUTE);
        client.ack(ack(&[1])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn late_acks_never_count_against_a_client() {
    let late: Vec<u64> = (0..=UNKNOWN_IDS_MAX as u64).map(|id| id * 2).collect();
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        served.fake.advance(10 * MINUTE);
        for reason in [RefusedReason::Stale, RefusedReason::Conflict] {
            served.fake.state().refuse_all = Some(reason);
            for _ in 0..3 {
                client.ack(ack(&late)).await.unwrap();
            }
        }
    })
    .await;
}

/// Callers that wait for a commit hold their requests in memory; together they have one limit.
#[tokio::test]
async fn waiting_callers_of_a_connection_have_a_limit() {
    let ids: Vec<u64> = (0..16_000).map(|id| (id << 20) | 1).collect();
    let mut request = ack(&ids);
    request.set_wait_for(proto::WaitFor::Committed);
    within(async {
        let served = Served::new().await;
        let client = served.client().await;
        let mut waiting = tokio::task::JoinSet::new();
        let mut refused = None;
        while refused.is_none() {
            let before = served.fake.state().commits.len();
            let (mut client, request) = (client.clone(), request.clone());
            waiting.spawn(async move { client.ack(request).await });
            tokio::select! {
                () = served.fake.until(|state| state.commits.len() > before) => {}
                ended = waiting.join_next() => refused = Some(ended.unwrap().unwrap()),
            }
        }
        let status = refused.unwrap().unwrap_err();
        assert_ends(&status, Code::ResourceExhausted, "REQUESTS_UNFINISHED");
        let others = served.client().await.ack(ack(&ids)).await;
        others.expect("others are not concerned");

        for commit in std::mem::take(&mut served.fake.state().commits) {
            let committed = CommitAnswer {
                committed: true,
                ..CommitAnswer::default()
            };
            commit.send(committed).unwrap();
        }
        while let Some(answer) = waiting.join_next().await {
            assert!(answer.unwrap().unwrap().into_inner().committed);
        }
        client
            .clone()
            .ack(ack(&ids))
            .await
            .expect("the place is free again");
    })
    .await;
}
