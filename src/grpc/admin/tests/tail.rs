//! Records that pass by.

use super::*;
use crate::grpc::wire::{Frame, Head as FrameHead, Slot, StoredRecord, body_len};

/// Hands out a frame of so many records without a key.
fn pass(served: &Served, count: u64) {
    let record = StoredRecord::read(&[0x10, 0x11]).unwrap();
    let slots = (0..count).map(|id| Slot {
        id,
        attempt: 1,
        body_len: body_len(&record),
    });
    let head = FrameHead {
        topic: "orders",
        partition: 3,
        assignment: 1,
    };
    let mut frame = Frame::new(&head, slots.clone(), Vec::with_capacity);
    slots.clone().for_each(|slot| frame.record(&slot, &record));
    let passing = Passing {
        topic: "orders",
        partition: orders(3),
        stream: StreamId(1),
        frame: &frame.finish(),
    };
    served
        .state()
        .taps
        .show(&passing, slots.map(|slot| slot.attempt));
}

fn look() -> proto::TailRequest {
    proto::TailRequest {
        reason: "why".to_owned(),
        ..proto::TailRequest::default()
    }
}

#[tokio::test]
async fn a_look_at_passing_records_ends_at_its_limit() {
    let mut served = Served::new().await;
    let request = proto::TailRequest {
        scope: scope("orders", Some(3)),
        key: None,
        limit: Some(3),
        payload: true,
        reason: "why".to_owned(),
    };
    let mut passing = served.client.tail(request).await.unwrap().into_inner();
    let asked = served.state().tails.clone();
    let wanted = Wanted {
        scope: Scope::Partition(orders(3)),
        key: None,
        payload: true,
    };
    assert_eq!(asked, [(wanted, "why".to_owned())]);
    pass(&served, 2);
    let told = passing.message().await.unwrap().unwrap();
    assert_eq!((told.records.len(), told.records[0].offset), (2, 17));
    pass(&served, 5);
    let told = passing.message().await.unwrap().unwrap();
    assert_eq!(told.records.len(), 1, "no more than was asked for");
    assert!(passing.message().await.unwrap().is_none());
}

#[tokio::test]
async fn who_looks_on_is_let_go_when_the_process_ends() {
    let mut served = Served::new().await;
    let mut passing = served.client.tail(look()).await.unwrap().into_inner();
    drop(served._stop);
    assert!(!matches!(passing.message().await, Ok(Some(_))));
}

#[tokio::test]
async fn too_many_onlookers_and_senseless_requests_are_refused() {
    let mut served = Served::new().await;
    let without_reason = proto::TailRequest::default();
    let without_end = proto::TailRequest {
        limit: Some(0),
        ..look()
    };
    let elsewhere = proto::TailRequest {
        scope: scope("nonsense", None),
        ..look()
    };
    for (wrong, code) in [
        (without_reason, Code::InvalidArgument),
        (without_end, Code::InvalidArgument),
        (elsewhere, Code::NotFound),
    ] {
        let refused = served.client.tail(wrong).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert!(served.state().tails.is_empty());
    let mut open = Vec::new();
    for _ in 0..TAILS_MAX {
        open.push(served.client.tail(look()).await.unwrap());
    }
    let refused = served.client.tail(look()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("end one of them"), "{refused}");
}
