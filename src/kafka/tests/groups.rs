//! Joining, rebalances, leaving, closing, dying.

#![allow(clippy::disallowed_methods, reason = "measures how long a drop takes")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as E;

use super::bed::{Bed, id};
use crate::core::{CommitEntry, CommitId, Input, PartitionId};
use crate::kafka::GroupProtocol::{ClassicCooperative, ClassicEager};
use crate::kafka::{Disposition, Error, Fatal};

fn revoked(input: &Input<'static>) -> Option<Vec<PartitionId>> {
    match input {
        Input::GroupRevoked { partitions } => Some(partitions.clone()),
        _ => None,
    }
}

/// B11: only what moves is taken, and nothing else may be touched until that is answered.
#[test]
fn second_member_takes_some_partitions_and_the_rest_flows_on() {
    let bed = Bed::new(&["t"], 4);
    for partition in 0..4 {
        bed.produce_numbers(partition, 0..2);
    }
    let mut first = bed.member("g", ClassicCooperative);
    assert_eq!(first.join().len(), 4);
    let starts: Vec<_> = (0..4)
        .map(|partition| first.start(partition, 7, 0))
        .collect();
    first.client.assign(&starts, true).unwrap();
    first.records(8);

    let mut second = bed.member("g", ClassicCooperative);
    second.subscribe();
    let taken = first.until_with("revocation", &mut [&mut second], |first| {
        first.inputs.iter().find_map(revoked)
    });
    assert_eq!(taken.len(), 2);
    let start = first.start(taken[0].partition, 8, 0);
    let error = first.client.assign(&[start], false).unwrap_err();
    assert!(
        matches!(error, Error::RebalanceUnanswered { .. }),
        "{error}"
    );
    assert_eq!(error.disposition(), Disposition::Rebuild);
    first.client.unassign(&taken, true).unwrap();

    first.inputs.clear();
    let given = second.until_with("partitions", &mut [&mut first], |second| {
        second.answer_empty();
        second.inputs.iter().find_map(|input| match input {
            Input::GroupAssigned { partitions } => Some(partitions.clone()),
            _ => None,
        })
    });
    second.client.assign(&[], true).unwrap();
    let set = |ids: &[PartitionId]| ids.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(set(&given), set(&taken));

    // The kept ones flow on, the taken ones at the new member.
    let kept = (0..4).map(id).find(|id| !taken.contains(id)).unwrap();
    bed.produce_numbers(kept.partition, 2..3);
    first.answer_empty();
    assert_eq!(first.records(1)[0].partition, kept.partition);
    let start = second.start(taken[0].partition, 1, 1);
    second.client.assign(&[start], false).unwrap();
    assert_eq!(second.records(1)[0].partition, taken[0].partition);
}

#[test]
fn revoked_partitions_that_were_never_started_are_let_go() {
    let bed = Bed::new(&["t"], 2);
    let mut member = bed.member("g", ClassicCooperative);
    member.join();
    let start = member.start(0, 7, 0);
    member.client.assign(&[start], true).unwrap();
    member.client.leave().unwrap();
    let taken = member.input("revocation", revoked);
    assert_eq!(
        taken,
        [id(0), id(1)],
        "also the one that waits for its start"
    );
    assert!(
        !member
            .inputs
            .iter()
            .any(|input| matches!(input, Input::GroupLeft))
    );
    member.client.unassign(&taken, true).unwrap();
    member.input("group left", |input| {
        matches!(input, Input::GroupLeft).then_some(())
    });

    // And in again.
    assert_eq!(member.join(), [id(0), id(1)]);
    member.client.assign(&[], true).unwrap();
}

#[test]
fn leaving_without_having_joined_is_told_at_once() {
    let bed = Bed::new(&["t"], 1);
    let mut member = bed.member("g", ClassicCooperative);
    member.client.leave().unwrap();
    member.input("group left", |input| {
        matches!(input, Input::GroupLeft).then_some(())
    });
}

#[test]
fn eager_member_gives_everything_back_and_gets_it_again() {
    let bed = Bed::new(&["t"], 2);
    bed.produce_numbers(0, 0..1);
    bed.produce_numbers(1, 0..1);
    let mut first = bed.member("g", ClassicEager);
    first.join();
    let starts = [first.start(0, 7, 0), first.start(1, 7, 0)];
    first.client.assign(&starts, true).unwrap();
    first.records(2);
    let mut second = bed.member("g", ClassicEager);
    second.subscribe();
    let taken = first.until_with("revocation", &mut [&mut second], |first| {
        first.inputs.iter().find_map(revoked)
    });
    assert_eq!(taken, [id(0), id(1)]);
    first.inputs.clear();
    first.client.unassign(&taken, true).unwrap();
    let kept = first.until_with("partitions", &mut [&mut second], |first| {
        first.inputs.iter().find_map(|input| match input {
            Input::GroupAssigned { partitions } => Some(partitions.clone()),
            _ => None,
        })
    });
    assert_eq!(kept.len(), 1);
    let start = first.start(kept[0].partition, 8, 0);
    first.client.assign(&[start], true).unwrap();
    assert_eq!(first.records(1)[0].partition, kept[0].partition);
}

/// The engine that owns them may be locked from any thread.
#[test]
fn client_and_batches_may_move_between_threads() {
    fn may_move<T: Send>() {}
    may_move::<crate::kafka::Client>();
    may_move::<crate::kafka::Batch>();
}

#[test]
fn cluster_names_itself_before_the_first_partitions() {
    let bed = Bed::new(&["t"], 1);
    let mut member = bed.member("g", ClassicCooperative);
    member.subscribe();
    member.until("partitions", |member| {
        member
            .inputs
            .iter()
            .any(|input| matches!(input, Input::GroupAssigned { .. }))
            .then_some(())
    });
    let first = &member.inputs[0];
    assert!(
        matches!(first, Input::ClusterKnown { id } if !id.is_empty()),
        "{first:?}"
    );
    member.inputs.clear();
    member.client.assign(&[], true).unwrap();
    member.poll();
    assert!(member.inputs.is_empty(), "told once: {:?}", member.inputs);
}

#[test]
fn closing_leaves_the_group_with_or_without_an_unanswered_rebalance() {
    let bed = Bed::new(&["t"], 1);
    for answered in [true, false] {
        let mut member = bed.member("g", ClassicCooperative);
        member.join();
        if answered {
            let start = member.start(0, 7, 0);
            member.client.assign(&[start], true).unwrap();
        }
        assert!(!member.client.is_closed());
        member.client.begin_close();
        // Whatever the core still wants done has no effect.
        let start = member.start(0, 8, 0);
        member.client.assign(&[start], false).unwrap();
        member.client.unassign(&[id(0)], true).unwrap();
        member.until("closed", |member| member.client.is_closed().then_some(()));
        let now = Instant::now();
        drop(member);
        assert!(
            now.elapsed() < Duration::from_secs(5),
            "drop took {:?}",
            now.elapsed()
        );
    }
}

/// K7, whatever is under way: a rebalance without answer, a commit that no broker takes, records in
/// a batch.
#[test]
fn drop_does_not_wait_for_a_broker() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..2);
    let mut member = bed.member("g", ClassicCooperative);
    let start = member.join_and_start(0);
    let mut batch = crate::kafka::Batch::default();
    member.until("records", |member| {
        (member.client.pop(&mut batch, 10, false, |_| 0) > 0).then_some(())
    });
    bed.broker_down();
    let entry = CommitEntry {
        partition: id(0),
        assignment: start.assignment,
        offset: 1,
        leader_epoch: None,
        metadata: String::new(),
    };
    member.client.commit(CommitId(1), &[entry]).unwrap();
    let now = Instant::now();
    drop(member);
    assert!(
        now.elapsed() < Duration::from_secs(2),
        "drop took {:?}",
        now.elapsed()
    );
    // The batch keeps the client's memory alive, so its records can still be read.
    assert_eq!(batch.runs()[0].count, 2);
    let now = Instant::now();
    drop(batch);
    assert!(
        now.elapsed() < Duration::from_secs(2),
        "drop took {:?}",
        now.elapsed()
    );
}

/// B17: told apart from all other deaths.
#[test]
fn fatal_errors_are_told_and_the_client_closes() {
    let cases = [
        (E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, true),
        (E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, false),
    ];
    for (code, fenced) in cases {
        let bed = Bed::new(&["t"], 1);
        let mut member = bed.member("g", ClassicCooperative);
        member.join_and_start(0);
        member.client.die_of(code);
        let fatal = member.until("fatal error", |member| {
            member.polled.iter().find_map(|polled| polled.fatal.clone())
        });
        match fatal {
            Fatal::FencedInstance => assert!(fenced),
            Fatal::Rebuild(reason) => assert!(!fenced && reason.contains("test"), "{reason}"),
        }
        member.client.begin_close();
        member.until("closed", |member| member.client.is_closed().then_some(()));
        let now = Instant::now();
        drop(member);
        assert!(
            now.elapsed() < Duration::from_secs(2),
            "drop took {:?}",
            now.elapsed()
        );
    }
}

#[test]
fn lost_brokers_are_trouble_and_not_the_end() {
    let bed = Bed::new(&["t"], 1);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    bed.broker_down();
    let trouble = member.until("trouble", |member| {
        let mut troubles = member.polled.iter().flat_map(|polled| &polled.troubles);
        troubles
            .find(|trouble| trouble.kind == crate::kafka::TroubleKind::BrokersDown)
            .cloned()
    });
    assert!(!trouble.text.is_empty());
    assert!(member.polled.iter().all(|polled| polled.fatal.is_none()));
}
