//! Popping: bytes, positions, pauses, errors, restarts.

use std::time::Duration;

use super::bed::{Bed, id};
use crate::core::{Assignment, FetchError, Input};
use crate::kafka::GroupProtocol::ClassicCooperative;
use crate::kafka::settings::GroupProtocol::ClassicEager;
use crate::record::TimestampKind;

/// B31, I-S7.
#[test]
fn records_arrive_byte_for_byte() {
    let bed = Bed::new(&["t"], 1);
    let binary: Vec<u8> = (0..=255).collect();
    bed.produce(0, None, None);
    bed.produce(0, Some(b""), Some(b""));
    let headers: &[(&str, Option<&[u8]>)] = &[
        ("a", Some(b"1")),
        ("b", None),
        ("a", Some(b"2")),
        ("", Some(b"")),
        ("a", Some(&binary)),
    ];
    bed.produce_with(0, Some(&binary), Some(&binary), headers);

    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    let records = member.records(3);
    assert_eq!(records[0].key, None);
    assert_eq!(records[0].value, None);
    assert_eq!(records[0].headers, []);
    assert_eq!(records[0].key_hash, None);
    assert_eq!(records[1].key.as_deref(), Some(&b""[..]));
    assert_eq!(records[1].value.as_deref(), Some(&b""[..]));
    assert!(records[1].key_hash.is_some(), "an empty key is a key");
    assert_eq!(records[2].key.as_ref(), Some(&binary));
    assert_eq!(records[2].value.as_ref(), Some(&binary));
    let own = |name: &str, value: Option<&[u8]>| (name.into(), value.map(<[u8]>::to_vec));
    let expected: Vec<_> = headers
        .iter()
        .map(|(name, value)| own(name, *value))
        .collect();
    assert_eq!(records[2].headers, expected);
    assert_eq!(
        records[2].timestamp,
        (1_700_000_000_123, TimestampKind::CreateTime)
    );
    assert_eq!(records[2].size, 256 + 7, "as the caller measures it");
    assert_eq!(
        records
            .iter()
            .map(|record| record.offset)
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn records_sent_back_for_another_group_are_told_apart() {
    let bed = Bed::new(&["t"], 1);
    for headers in [
        &[("ackline.redrive-group", Some(&b"g"[..]))][..],
        &[("ackline.redrive-group", Some(&b"other"[..]))],
        &[("ackline.redriven-from", Some(&b"t.dlq/0/1"[..]))],
        &[],
    ] {
        bed.produce_with(0, None, None, headers);
    }
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    let records = member.records(4);
    let foreign: Vec<bool> = records.iter().map(|record| record.foreign).collect();
    assert_eq!(foreign, [false, true, false, false]);
}

#[test]
fn empty_answer_is_completed_by_a_later_assign_at_an_offset() {
    let bed = Bed::new(&["t"], 2);
    bed.produce_numbers(0, 0..5);
    bed.produce_numbers(1, 100..105);
    let mut member = bed.member("g", ClassicCooperative);
    assert_eq!(member.join(), [id(0), id(1)]);
    member.client.assign(&[], true).unwrap();

    let late = member.start(1, 7, 3);
    member.client.assign(&[late], false).unwrap();
    let records = member.records(2);
    assert_eq!(
        records
            .iter()
            .map(|record| record.text())
            .collect::<Vec<_>>(),
        ["103", "104"]
    );
    assert!(
        records
            .iter()
            .all(|record| record.partition == 1 && record.fetch == late.fetch)
    );
    assert_eq!(records[1].position, Some(5), "sampled with the pop");

    let later = member.start(0, 8, 4);
    member.client.assign(&[later], false).unwrap();
    let records = member.records(1);
    assert_eq!(
        (records[0].offset, records[0].assignment),
        (4, Assignment(8))
    );
}

#[test]
fn position_is_told_once_and_only_as_news() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..3);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    let mut samples = Vec::new();
    member.client.sample_positions(&mut samples);
    assert!(samples.is_empty(), "nothing was popped: {samples:?}");
    member.records(3);
    member.client.sample_positions(&mut samples);
    assert!(samples.is_empty(), "the pop has told it: {samples:?}");
}

/// A pop of part of the queue leaves the position behind what was popped, not what was fetched.
#[test]
fn position_after_a_partial_pop_is_behind_what_was_popped() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..10);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    member.until("all ten", |member| {
        member.pop(4);
        (member.popped.len() == 10).then_some(())
    });
    for record in member
        .popped
        .iter()
        .filter(|record| record.position.is_some())
    {
        assert_eq!(record.position, Some(record.offset + 1));
    }
    assert_eq!(member.popped[9].position, Some(10));
}

/// The connection to our queue is cut by each stop, which may come late: one round in which it is
/// not made again would stop the partition for good, without a word.
#[test]
fn restart_in_one_breath_always_flows_again() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..3);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    for round in 0..60 {
        let start = member.start(0, 7, round % 3);
        member.client.unassign(&[id(0)], false).unwrap();
        member.client.assign(&[start], false).unwrap();
        let count = usize::try_from(3 - round % 3).unwrap();
        let records = member.records(count);
        assert_eq!(records[0].offset, round % 3);
        assert!(
            records.iter().all(|record| record.fetch == start.fetch),
            "{records:?}"
        );
    }
}

#[test]
fn eager_restart_sets_everything_again_each_at_its_own_place() {
    let bed = Bed::new(&["t"], 2);
    bed.produce_numbers(0, 0..4);
    bed.produce_numbers(1, 100..104);
    let mut member = bed.member("g", ClassicEager);
    assert_eq!(member.join(), [id(0), id(1)]);
    let starts = [member.start(0, 7, 0), member.start(1, 8, 0)];
    member.client.assign(&starts, true).unwrap();
    member.records(8);
    for round in 0..20 {
        let starts = [member.start(0, 7, 3), member.start(1, 8, 2)];
        member.client.assign(&starts, false).unwrap();
        let mut records = member.records(3);
        records.sort_by_key(|record| (record.partition, record.offset));
        let texts: Vec<_> = records.iter().map(|record| record.text()).collect();
        assert_eq!(texts, ["3", "102", "103"], "round {round}");
        assert_eq!(records[0].fetch, starts[0].fetch);
    }
    // Dropping one of them.
    let start = member.start(1, 8, 3);
    member.client.assign(&[start], false).unwrap();
    assert_eq!(member.records(1)[0].text(), "103");
    bed.produce_numbers(0, 4..6);
    bed.produce_numbers(1, 104..105);
    assert_eq!(member.records(1)[0].text(), "104");
}

#[test]
fn pause_drops_what_was_fetched_and_resume_brings_it_again() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..10);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    member.until("three", |member| {
        member.pop(3 - member.popped.len());
        (member.popped.len() == 3).then_some(())
    });
    member.popped.clear();
    member.client.pause(&[id(0)]).unwrap();
    // The other nine were fetched with the first; the pause has purged them.
    assert_eq!(member.pop(100), 0);
    member.client.resume(&[id(0)]).unwrap();
    let records = member.records(7);
    assert_eq!(records[0].offset, 3, "{records:?}");
}

#[test]
fn pause_outlives_a_new_fetch_but_not_a_new_assignment() {
    let bed = Bed::new(&["t"], 2);
    bed.produce_numbers(0, 0..3);
    bed.produce_numbers(1, 100..101);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    member.records(3);
    member.client.pause(&[id(0)]).unwrap();

    let (again, other) = (member.start(0, 7, 0), member.start(1, 8, 0));
    member.client.unassign(&[id(0)], false).unwrap();
    member.client.assign(&[again, other], false).unwrap();
    let records = member.records(1);
    assert_eq!(records[0].partition, 1, "the paused one stays silent");

    let anew = member.start(0, 9, 0);
    member.client.unassign(&[id(0)], false).unwrap();
    member.client.assign(&[anew], false).unwrap();
    assert_eq!(member.records(3)[0].assignment, Assignment(9));
}

/// B4: librdkafka does not decide.
#[test]
fn out_of_range_is_told_and_a_new_fetch_works() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..3);
    let mut member = bed.member("g", ClassicCooperative);
    let start = member.join_and_start(1_000);
    let failed = member.until("failure", |member| {
        member.pop(100);
        member.inputs.iter().find_map(|input| match input {
            Input::FetchFailed {
                partition,
                fetch,
                error,
            } => Some((*partition, *fetch, error.clone())),
            _ => None,
        })
    });
    assert_eq!(failed, (id(0), start.fetch, FetchError::OutOfRange));
    let mut samples = Vec::new();
    member.client.sample_positions(&mut samples);
    assert!(
        samples.is_empty(),
        "the position of a failed fetch is not believed: {samples:?}"
    );

    let again = member.start(0, 7, 2);
    member.client.unassign(&[id(0)], false).unwrap();
    member.client.assign(&[again], false).unwrap();
    assert_eq!(member.records(1)[0].text(), "2");
}

/// A start with an epoch is validated by a seek, and nothing gets lost or comes twice by it.
#[test]
fn start_with_a_leader_epoch_is_validated_and_flows() {
    let bed = Bed::new(&["t"], 1);
    bed.produce_numbers(0, 0..5);
    let mut member = bed.member("g", ClassicCooperative);
    member.join();
    let mut start = member.start(0, 7, 2);
    start.leader_epoch = Some(0);
    member.client.assign(&[start], true).unwrap();
    let records = member.records(3);
    assert_eq!(records[0].offset, 2);
    bed.produce_numbers(0, 5..7);
    assert_eq!(member.records(2)[1].text(), "6");
}

/// B3: told as a truncation, with the place where the logs part, never as out of range.
#[test]
fn start_beyond_the_end_of_its_epoch_is_a_truncation() {
    for protocol in [ClassicCooperative, ClassicEager] {
        let bed = Bed::new(&["t"], 1);
        bed.produce_numbers(0, 0..5);
        let mut member = bed.member("g", protocol);
        member.join();
        for round in 0..10 {
            let mut start = member.start(0, 7, 100 + round);
            start.leader_epoch = Some(0);
            if round > 0 {
                member.client.unassign(&[id(0)], false).unwrap();
            }
            member.client.assign(&[start], round == 0).unwrap();
            let error = member.until("failure", |member| {
                member.pop(100);
                member.inputs.iter().find_map(|input| match input {
                    Input::FetchFailed { error, .. } => Some(error.clone()),
                    _ => None,
                })
            });
            assert_eq!(error, FetchError::Truncated { end: 5 }, "round {round}");
            member.inputs.clear();
        }
    }
}

#[test]
fn records_of_partitions_taken_away_are_not_popped() {
    let bed = Bed::new(&["t"], 2);
    bed.produce_numbers(0, 0..5);
    bed.produce_numbers(1, 100..105);
    let mut member = bed.member("g", ClassicCooperative);
    member.join();
    let starts = [member.start(0, 7, 0), member.start(1, 8, 0)];
    member.client.assign(&starts, true).unwrap();
    member.until("the first record", |member| {
        member.pop(1);
        (!member.popped.is_empty()).then_some(())
    });
    member.popped.clear();
    member.client.unassign(&[id(0), id(5)], false).unwrap();
    bed.produce_numbers(1, 105..106);
    member.until("the last record", |member| {
        member.pop(100);
        member
            .popped
            .iter()
            .any(|record| record.offset == 5)
            .then_some(())
    });
    assert!(
        member.popped.iter().all(|record| record.partition == 1),
        "{:?}",
        member.popped
    );
}

#[test]
fn wake_rings_for_records_that_come_later() {
    let bed = Bed::new(&["t"], 1);
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    assert_eq!(member.pop(10), 0);
    bed.produce_numbers(0, 0..1);
    assert!(
        member.rings_within(Duration::from_secs(30)),
        "records ring without a poll"
    );
    member.records(1);
}
