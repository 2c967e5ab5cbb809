use super::super::harness::*;
use super::super::metadata::{self, Decoded, Expectation, Marks, Retried};
use super::super::*;

fn starting(start: StartPolicy) -> Bench {
    let mut bench = Bench::new(Settings {
        start,
        ..settings()
    });
    bench.logs.insert(
        partition(0),
        LogRange {
            earliest: 20,
            latest: 70,
        },
    );
    bench.open(1);
    bench.forget();
    bench
}

// B8, B9
#[test]
fn start_without_an_offset_follows_the_policy_and_is_committed_at_once() {
    for (policy, at) in [(StartPolicy::Earliest, 20), (StartPolicy::Latest, 70)] {
        let mut bench = starting(policy);
        bench.assign(&[0]);
        assert_eq!(bench.lines("assign"), [format!("assign 0@{at}")]);
        assert_eq!(bench.lines("commit"), [format!("commit 0@{at}")]);
    }
    let mut bench = starting(StartPolicy::Stop);
    bench.assign(&[0]);
    assert!(bench.lines("assign").is_empty());
    let stopped = Blocked::Stopped(StopReason::NoCommittedOffset);
    assert_eq!(bench.status(0).blocked, Some(stopped));
}

// B7
#[test]
fn partition_younger_than_its_siblings_commits_begins_at_its_beginning() {
    let mut bench = starting(StartPolicy::Latest);
    bench.topics.insert(TopicIndex(0), describe(0, 3));
    bench.assign(&[1]);
    bench.topics.insert(TopicIndex(0), describe(0, 5));
    bench.forget();
    bench.assign(&[2, 3]);
    assert_eq!(bench.client[&partition(2)].offset, 100);
    assert_eq!(bench.client[&partition(3)].offset, 0);
}

// M12, B24
#[test]
fn failed_read_is_tried_again_and_never_taken_for_no_offset() {
    let mut bench = starting(StartPolicy::Latest);
    bench.answers.committed = false;
    bench.assign(&[0]);
    let assignment = bench.status(0).assignment;
    for (error, blocked) in [
        (ReadError::Transient("x".to_owned()), Blocked::Starting),
        (
            ReadError::Unauthorized("x".to_owned()),
            Blocked::Unauthorized,
        ),
        (ReadError::Unsupported, Blocked::Starting),
    ] {
        bench.forget();
        let answer = Err(error);
        let answers = vec![CommittedAnswer { assignment, answer }];
        let siblings = Vec::new();
        bench.input(Input::CommittedRead { answers, siblings });
        assert_eq!(bench.status(0).blocked, Some(blocked));
        bench.pass(seconds(5));
        assert_eq!(bench.lines("read"), ["read 0"]);
    }
    assert!(bench.client.is_empty());
}

// B53
#[test]
fn a_read_that_fails_again_and_again_is_told_until_it_succeeds() {
    let mut bench = starting(StartPolicy::Latest);
    bench.answers.committed = false;
    bench.assign(&[0]);
    let assignment = bench.status(0).assignment;
    let read = |bench: &mut Bench, answer| {
        let answers = vec![CommittedAnswer { assignment, answer }];
        let siblings = Vec::new();
        bench.input(Input::CommittedRead { answers, siblings });
        bench.core.status().unreadable
    };
    for tries in 1..=6 {
        let told = read(&mut bench, Err(ReadError::Transient("away".to_owned())));
        let expected = (tries >= 5).then(|| (1, "away".to_owned()));
        assert_eq!(told, expected, "after {tries} tries");
    }
    assert_eq!(read(&mut bench, Ok(None)), None);
}

// B23
#[test]
fn topic_that_may_not_be_described_is_named() {
    let mut bench = starting(StartPolicy::Latest);
    bench.answers.topics = false;
    bench.assign(&[0]);
    let told = |answer| Input::TopicDescribed {
        topic: TopicIndex(0),
        answer,
    };
    bench.input(told(Err(ReadError::Unauthorized("no".to_owned()))));
    assert_eq!(bench.status(0).blocked, Some(Blocked::Unauthorized));
    bench.input(told(Ok(describe(0, 1))));
    assert_eq!(bench.status(0).blocked, None);
}

fn restarted(change: impl FnOnce(&mut Bench)) -> Bench {
    let mut first = Bench::flowing(settings());
    first.pop("a b c d");
    first.pull(1);
    first.ack("1 2");
    first.pass(seconds(2));
    let mut next = Bench::new(settings());
    next.broker = first.broker;
    change(&mut next);
    next.open(1);
    next.assign(&[0]);
    next.pop("a b c d e");
    next
}

// G2
#[test]
fn restart_repeats_nothing_that_was_acknowledged() {
    assert_eq!(restarted(|_| {}).pull(1), "0 3 4");
}

// G2
#[test]
fn failures_of_a_record_outlive_a_restart_as_far_as_it_is_the_same_record() {
    let mut first = Bench::flowing(settings());
    first.epoch = Some(1);
    first.pop("a b c");
    assert_eq!(first.pull(1), "0 1 2");
    first.retry("1");
    first.pass(millis(500));
    assert_eq!(first.pull(1), "1*2");
    first.ack("2");
    first.retry("1");
    first.pass(seconds(2));
    let committed = first.broker;
    let restarted = |epoch| {
        let mut next = Bench::new(settings());
        next.broker.clone_from(&committed);
        next.epoch = epoch;
        next.open(1);
        next.assign(&[0]);
        next.pop("a b c d");
        next
    };
    let mut same = restarted(Some(1));
    assert_eq!(same.pull(1), "0 1*3 3");
    // The third failure waits four times as long as the first.
    same.retry("1");
    same.pass(millis(1999));
    assert_eq!(same.pull(1), "");
    same.pass(millis(1));
    assert_eq!(same.pull(1), "1*4");
    // A log that was cut and written again has other records.
    assert_eq!(restarted(Some(2)).pull(1), "0 1 2 3");
}

// M7
#[test]
fn forged_failures_only_make_a_record_wait() {
    let mut bench = restarted(|bench| {
        let committed = bench.broker.get_mut(&partition(0)).expect("committed");
        let topic = bench.topics[&TopicIndex(0)].id;
        let identity_hash = metadata::identity_hash("group", "t", 0);
        let expect = Expectation {
            cluster: None,
            topic,
            identity_hash,
        };
        let decoded = metadata::decode(&committed.metadata, &expect, committed.offset);
        let Decoded::Ours { header, .. } = decoded else {
            panic!("{decoded:?}");
        };
        let marks = Marks {
            retried: vec![Retried {
                offset: 0,
                attempts: u32::MAX,
                failures: u32::MAX,
            }],
            ..Marks::default()
        };
        committed.metadata = metadata::encode(&header, Some(&marks), 4096)
            .text
            .into_bytes();
    });
    assert_eq!(bench.pull(1), "0*4294967295 1 2 3 4");
    bench.retry("0");
    bench.pass(seconds(60));
    assert_eq!(bench.pull(1), "0*4294967295");
}

// M6, M7
#[test]
fn metadata_that_is_not_ours_is_ignored_and_the_offset_kept() {
    let mut bench = restarted(|bench| {
        let committed = bench.broker.get_mut(&partition(0)).expect("committed");
        committed.metadata[20] ^= 1;
    });
    assert_eq!(bench.lines("event MetadataIgnored").len(), 1);
    assert_eq!(bench.pull(1), "0 1 2 3 4");
}

// B6
#[test]
fn topic_made_again_is_read_from_its_beginning() {
    let other = TopicDescription {
        id: Some(TopicUuid([9; 16])),
        partitions: 8,
    };
    let mut bench = restarted(|bench| {
        bench.topics.insert(TopicIndex(0), other);
    });
    assert_eq!(bench.lines("event TopicMadeAgain").len(), 1);
    assert_eq!(bench.pull(1), "0 1 2 3 4");

    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.pull(1);
    bench.ack("0");
    bench.pass(seconds(1));
    bench.topics.insert(TopicIndex(0), other);
    bench.forget();
    bench.pass(seconds(6));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 Repositioned"]);
    assert_eq!(bench.lines("assign"), ["assign 0@0"]);
}
