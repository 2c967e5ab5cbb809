use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use super::*;
use crate::core::TopicIndex;

const ORDERS: PartitionId = PartitionId {
    topic: TopicIndex(0),
    partition: 3,
};
const FIRST: Assignment = Assignment(1);

fn topics() -> Vec<String> {
    vec!["orders".to_owned()]
}

fn range(first: u64, last: u64) -> IdRange {
    IdRange { first, last }
}

fn refused(reason: RefusedReason, ids: Vec<IdRange>) -> Vec<Refused> {
    vec![Refused { reason, ids }]
}

/// Pops everything but an end.
fn drain(outbox: &mut Outbox) -> Vec<Response> {
    let mut popped = Vec::new();
    while let Some(Outgoing::Message(response)) = outbox.pop(&topics()) {
        popped.push(response);
    }
    popped
}

#[test]
fn withdrawn_precedes_the_settled_that_refuses_its_ids() {
    let mut outbox = Outbox::new();
    outbox.answer(Answer {
        request_id: 1,
        refused: refused(RefusedReason::Stale, vec![range(7, 7)]),
        ..Answer::default()
    });
    outbox.withdraw(&[range(5, 7)], WithdrawReason::Revoked);
    let popped = drain(&mut outbox);
    assert!(matches!(
        popped.as_slice(),
        [
            Response::Withdrawn(_),
            Response::Settled(proto::Settled {
                up_to_request_id: 1,
                ..
            })
        ]
    ));
    assert!(outbox.is_empty());
}

#[test]
fn neighbouring_ranges_are_joined_and_reasons_kept_apart() {
    let mut outbox = Outbox::new();
    outbox.withdraw(&[range(1, 2), range(3, 3)], WithdrawReason::Revoked);
    outbox.withdraw(&[range(4, 9), range(11, 11)], WithdrawReason::Revoked);
    outbox.withdraw(&[range(10, 10)], WithdrawReason::Lost);
    let ranges: Vec<_> = drain(&mut outbox)
        .into_iter()
        .map(|response| {
            let Response::Withdrawn(withdrawn) = response else {
                panic!("unexpected {response:?}")
            };
            let ids = withdrawn.deliveries.clone().unwrap_or_default();
            let ranges: Vec<_> = ids.ranges.iter().map(|ids| (ids.first, ids.last)).collect();
            (withdrawn.reason(), ranges)
        })
        .collect();
    assert_eq!(
        ranges,
        [
            (proto::WithdrawReason::Revoked, vec![(1, 9), (11, 11)]),
            (proto::WithdrawReason::Lost, vec![(10, 10)]),
        ]
    );
}

#[test]
fn answers_are_merged_to_the_highest_number() {
    let mut outbox = Outbox::new();
    for request_id in [1, 2, 0, 9] {
        outbox.answer(Answer {
            request_id,
            refused: Vec::new(),
            ..Answer::default()
        });
    }
    assert_eq!(
        drain(&mut outbox),
        [Response::Settled(proto::Settled {
            up_to_request_id: 9,
            refused: Vec::new(),
            refused_starts: Vec::new(),
        })]
    );
}

#[test]
fn request_without_a_number_is_answered_only_if_refused() {
    let mut outbox = Outbox::new();
    outbox.answer(Answer::default());
    assert!(outbox.is_empty());
    assert_eq!(outbox.pop(&topics()), None);
    outbox.answer(Answer {
        request_id: 0,
        refused: refused(RefusedReason::Unknown, vec![range(1, 1)]),
        ..Answer::default()
    });
    assert_eq!(drain(&mut outbox).len(), 1);
}

#[test]
fn request_is_accepted_only_after_all_its_refusals() {
    let mut outbox = Outbox::new();
    let ids = (0..2000).map(|id| range(id * 2, id * 2)).collect();
    outbox.answer(Answer {
        request_id: 4,
        refused: refused(RefusedReason::Stale, ids),
        ..Answer::default()
    });
    let mut seen = 0;
    for response in drain(&mut outbox) {
        let encoded = proto::StreamResponse {
            response: Some(response.clone()),
        }
        .encoded_len();
        assert!(
            encoded <= super::super::validate::MESSAGE_BYTES_MIN as usize,
            "O4: {encoded}"
        );
        let Response::Settled(settled) = response else {
            panic!("unexpected {response:?}")
        };
        seen += settled
            .refused
            .iter()
            .flat_map(|refusal| &refusal.deliveries)
            .fold(0, |sum, ids| sum + ids.ranges.len());
        assert_eq!(settled.up_to_request_id, if seen == 2000 { 4 } else { 0 });
    }
    assert_eq!(seen, 2000);
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn unread_refusals_hold_further_requests_back() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut outbox = Outbox::new();
    assert_eq!(outbox.poll_room(&mut cx), Poll::Ready(()));
    let ids = (0..REFUSED_MAX as u64)
        .map(|id| range(id * 2, id * 2))
        .collect();
    outbox.answer(Answer {
        request_id: 1,
        refused: refused(RefusedReason::Unknown, ids),
        ..Answer::default()
    });
    assert_eq!(outbox.poll_room(&mut cx), Poll::Pending);
    assert!(!woken.0.load(Ordering::Relaxed));
    outbox.pop(&topics());
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(outbox.poll_room(&mut cx), Poll::Ready(()));
}

#[test]
fn partition_events_keep_their_order() {
    let mut outbox = Outbox::new();
    outbox.notify(&Notice::Assigned {
        partition: ORDERS,
        assignment: FIRST,
        start_offset: 5,
    });
    outbox.notify(&Notice::Revoking {
        partition: ORDERS,
        assignment: FIRST,
        time_left: Duration::from_millis(1500),
    });
    outbox.notify(&Notice::Revoked {
        partition: ORDERS,
        assignment: FIRST,
        reason: WithdrawReason::Lost,
    });
    let events: Vec<_> = drain(&mut outbox)
        .into_iter()
        .map(|response| {
            let Response::Partition(event) = response else {
                panic!("unexpected {response:?}")
            };
            assert_eq!((event.topic.as_str(), event.partition), ("orders", 3));
            let left = event.time_left.map(|left| (left.seconds, left.nanos));
            (event.kind(), event.start_offset, left, event.reason())
        })
        .collect();
    let none = proto::WithdrawReason::Unspecified;
    assert_eq!(
        events,
        [
            (Kind::Assigned, 5, None, none),
            (Kind::Revoking, 0, Some((1, 500_000_000)), none),
            (Kind::Revoked, 0, None, proto::WithdrawReason::Lost),
        ]
    );
}

#[test]
fn only_the_newest_commit_and_end_of_a_partition_wait() {
    let mut outbox = Outbox::new();
    for offset in 0..10_000 {
        outbox.notify(&Notice::Committed {
            partition: ORDERS,
            assignment: FIRST,
            offset,
            offered: None,
        });
        outbox.notify(&Notice::CaughtUp {
            partition: ORDERS,
            assignment: FIRST,
            end_offset: offset,
        });
    }
    assert!(matches!(
        drain(&mut outbox).as_slice(),
        [
            Response::Committed(proto::Committed { offset: 9999, .. }),
            Response::CaughtUp(proto::CaughtUp {
                end_offset: 9999,
                ..
            }),
        ]
    ));
}

#[test]
fn too_many_unread_events_end_the_stream() {
    let mut outbox = Outbox::new();
    let event = Notice::Assigned {
        partition: ORDERS,
        assignment: FIRST,
        start_offset: 0,
    };
    for _ in 0..EVENTS_MAX {
        outbox.notify(&event);
    }
    assert!(matches!(outbox.pop(&topics()), Some(Outgoing::Message(_))));
    outbox.notify(&event);
    assert!(!outbox.has_overflowed(), "full, and no more");
    outbox.withdraw(&[range(1, 1)], WithdrawReason::Revoked);
    for _ in 0..10 {
        outbox.notify(&event);
    }
    assert!(outbox.has_overflowed());
    outbox.end(StreamEnd::GoingAway);
    assert_eq!(drain(&mut outbox).len(), 1, "the withdrawal is still told");
    assert_eq!(
        outbox.pop(&topics()),
        Some(Outgoing::End(End::TooManyUnread))
    );
    assert_eq!(
        outbox.pop(&topics()),
        Some(Outgoing::End(End::TooManyUnread))
    );
}

#[test]
fn end_comes_last() {
    let mut outbox = Outbox::new();
    outbox.end(StreamEnd::Closed);
    outbox.notify(&Notice::Draining {
        time_left: Duration::ZERO,
        reason: "too late",
    });
    outbox.answer(Answer {
        request_id: 3,
        refused: Vec::new(),
        ..Answer::default()
    });
    assert!(matches!(
        drain(&mut outbox).as_slice(),
        [Response::Settled(_)]
    ));
    assert_eq!(
        outbox.pop(&topics()),
        Some(Outgoing::End(End::Decided(StreamEnd::Closed)))
    );
}

#[test]
fn caller_that_left_does_not_disturb_the_others() {
    let mut waits = CommitWaits::default();
    let (left, receiver) = waits.add();
    drop(receiver);
    let (stayed, mut receiver) = waits.add();
    assert_ne!(left, stayed);
    let answer = |committed| CommitAnswer {
        committed,
        offered: Vec::new(),
    };
    waits.answer(left, answer(true));
    waits.answer(stayed, answer(true));
    assert_eq!(receiver.try_recv(), Ok(answer(true)));
    waits.answer(stayed, answer(false));
    assert!(waits.waiting.is_empty());
}
