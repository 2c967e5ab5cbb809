//! Records that are set aside.

use super::*;

fn parked() -> ParkedStatus {
    ParkedStatus {
        partition: orders(3),
        offset: 17,
        cause: Cause::Failures,
        reason: Arc::from("no such account"),
        failures: 10,
        deaths: 0,
        since: Moment(0),
        step: AsideStep::Parked(Some("too large".to_owned())),
        behind: 4,
    }
}

fn retry() -> proto::ActOnParkedRequest {
    proto::ActOnParkedRequest {
        scope: Some(proto::Scope {
            topic: "orders".to_owned(),
            partition: Some(3),
        }),
        offset: Some(17),
        action: proto::ParkedAction::Retry.into(),
        reason: "the account is there now".to_owned(),
    }
}

#[tokio::test]
async fn parked_records_are_listed_and_acted_upon() {
    let mut served = Served::new().await;
    served.state().parked = vec![parked()];
    served.state().view.status.partitions = vec![
        PartitionStatus {
            aside: 4,
            ..status()
        },
        PartitionStatus {
            partition: orders(4),
            aside: 3,
            ..status()
        },
    ];
    let request = proto::ListParkedRequest::default();
    let listed = served.client.list_parked(request).await.unwrap();
    let listed = listed.into_inner();
    let record = &listed.records[0];
    assert_eq!((record.topic.as_str(), record.offset), ("orders", 17));
    let said = (record.cause.as_str(), record.error.as_str());
    assert_eq!(said, ("failures", "too large"));
    assert_eq!(record.step(), proto::ParkedStep::Parked);
    assert_eq!(listed.aside, 7);
    let request = proto::ListParkedRequest {
        scope: scope("orders", Some(4)),
        limit: None,
    };
    let listed = served.client.list_parked(request).await.unwrap();
    assert_eq!(listed.into_inner().aside, 3, "of what was asked for");
    let done = served.client.act_on_parked(retry()).await.unwrap();
    let expected = proto::ActOnParkedResponse {
        records: 1,
        on_their_way: 2,
        without_dead_letter_topic: 3,
    };
    assert_eq!(done.into_inner(), expected);
    let acts = served.state().acts.clone();
    let expected = (WhichParked::Record(orders(3), 17), ParkedAction::Retry);
    assert_eq!((acts[0].0, acts[0].1), expected);
}

#[tokio::test]
async fn acts_on_parked_records_that_make_no_sense_are_refused() {
    let mut served = Served::new().await;
    let without_reason = proto::ActOnParkedRequest {
        reason: " ".to_owned(),
        ..retry()
    };
    let without_action = proto::ActOnParkedRequest {
        action: 0,
        ..retry()
    };
    let without_place = proto::ActOnParkedRequest {
        scope: None,
        ..retry()
    };
    let nowhere = proto::ActOnParkedRequest {
        scope: Some(proto::Scope {
            topic: "refunds".to_owned(),
            partition: None,
        }),
        offset: None,
        action: proto::ParkedAction::DeadLetter.into(),
        ..retry()
    };
    for (wrong, code) in [
        (without_reason, Code::InvalidArgument),
        (without_action, Code::InvalidArgument),
        (without_place, Code::InvalidArgument),
        (nowhere, Code::FailedPrecondition),
    ] {
        let refused = served.client.act_on_parked(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert!(served.state().acts.is_empty());
}

/// One that is on its way is not an operator's to give up.
#[tokio::test]
async fn a_dead_letter_that_is_on_its_way_is_waited_for() {
    let mut served = Served::new().await;
    let pending = |again| Obstacle::DeadLetterPending {
        head: Head {
            offset: 17,
            key_hash: None,
            failures: 3,
        },
        since: Moment(0),
        again,
    };
    let causes = vec![pending(None), pending(Some(Moment(2_000_000_000)))];
    served.state().explanations = vec![Explanation {
        status: status(),
        causes,
        stuck: false,
    }];
    let request = proto::ExplainRequest::default();
    let answer = served.client.explain(request).await.unwrap().into_inner();
    let [on_its_way, again] = &answer.explanations[0].causes[..] else {
        panic!("two causes");
    };
    assert!(!on_its_way.remedy.contains("ackline"), "{on_its_way:?}");
    assert!(on_its_way.remedy.contains("brokers"), "{on_its_way:?}");
    let skip = "ackline parked skip orders/3/17 --reason …";
    assert!(again.remedy.contains(skip), "{again:?}");
}
