use super::super::harness::*;
use super::super::*;

fn seek(bench: &mut Bench, target: SeekTarget) {
    bench.input(Input::Operate(Operation::Seek {
        ask: AskId(1),
        partition: partition(0),
        target,
    }));
}

/// A bench whose log holds 10 to 50, with everything up to 20 acknowledged and 21 in flight.
fn bench() -> Bench {
    let mut bench = Bench::flowing(settings());
    let range = LogRange {
        earliest: 10,
        latest: 50,
    };
    bench.logs.insert(partition(0), range);
    bench.pop("a@20 b@21");
    assert_eq!(bench.pull(1), "20 21");
    bench.ack("20");
    bench.pass(seconds(2));
    bench.forget();
    bench
}

#[test]
fn a_seek_withdraws_moves_and_commits_at_once() {
    let mut bench = bench();
    let before = bench.status(0).assignment;
    seek(&mut bench, SeekTarget::Offset(15));
    assert_eq!(bench.lines("sought"), ["sought 1: Some(21) -> 15"]);
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 21 Repositioned"]);
    assert_eq!(bench.lines("commit"), ["commit 0@15"]);
    assert_eq!(bench.lines("assign"), ["assign 0@15"]);
    assert!(bench.status(0).assignment > before, "a new assignment");
    assert_eq!(bench.ack("21"), ["stale 21"], "its old delivery is dead");
    bench.pop("c@15");
    assert_eq!(bench.serve(), "15");
}

#[test]
fn every_target_leads_into_the_log() {
    let cases = [
        (SeekTarget::Earliest, "sought 1: Some(21) -> 10"),
        (SeekTarget::Latest, "sought 1: Some(21) -> 50"),
        (SeekTarget::Offset(3), "sought 1: Some(21) -> 10 clamped"),
        (SeekTarget::Offset(99), "sought 1: Some(21) -> 50 clamped"),
        (SeekTarget::Offset(50), "sought 1: Some(21) -> 50"),
    ];
    for (target, expected) in cases {
        let mut bench = bench();
        seek(&mut bench, target);
        assert_eq!(bench.lines("sought"), [expected], "{target:?}");
    }
}

#[test]
fn a_timestamp_is_looked_up() {
    for (found, expected) in [
        (Some(30), "sought 1: Some(21) -> 30"),
        (None, "sought 1: Some(21) -> 50"),
        (Some(4), "sought 1: Some(21) -> 10"),
    ] {
        let mut bench = bench();
        seek(&mut bench, SeekTarget::Timestamp(1_700_000_000_000));
        assert_eq!(bench.lines("find"), ["find 0 at 1700000000000"]);
        assert!(bench.lines("sought").is_empty(), "not known yet");
        let assignment = bench.status(0).assignment;
        let answer = Ok(found);
        bench.input(Input::OffsetFound { assignment, answer });
        assert_eq!(bench.lines("sought"), [expected]);
    }
}

#[test]
fn a_jump_forward_counts_what_it_passes_over() {
    let mut bench = bench();
    seek(&mut bench, SeekTarget::Offset(40));
    assert_eq!(bench.core.counters().skipped, 19, "21 to 39");
}

#[test]
fn a_jump_over_records_not_read_takes_no_leader_epoch_along() {
    let mut bench = Bench::flowing(settings());
    bench.epoch = Some(3);
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.ack("0 1");
    bench.pass(seconds(2));
    seek(&mut bench, SeekTarget::Offset(40));
    assert_eq!(bench.client[&partition(0)].leader_epoch, None);
    assert_eq!(bench.broker[&partition(0)].leader_epoch, None);
    seek(&mut bench, SeekTarget::Offset(40));
    bench.pop("c");
    assert_eq!(bench.serve(), "40");
    bench.ack("40");
    bench.pass(seconds(2));
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.client[&partition(0)].leader_epoch, Some(3));
}

#[test]
fn a_stopped_partition_starts_again_by_a_seek() {
    let mut settings = settings();
    settings.start = StartPolicy::Stop;
    let mut bench = Bench::new(settings);
    bench.open(1);
    bench.assign(&[0]);
    bench.pass(seconds(2));
    let stopped = Blocked::Stopped(StopReason::NoCommittedOffset);
    assert_eq!(bench.status(0).blocked, Some(stopped));
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("sought"), ["sought 1: None -> 0"]);
    assert_eq!(bench.status(0).blocked, None);
    assert_eq!(bench.broker[&partition(0)].offset, 0);
    bench.pop("a");
    assert_eq!(bench.serve(), "0");
}

#[test]
fn a_sought_partition_stays_paused() {
    let mut bench = bench();
    let (scope, reason) = (Scope::Everything, String::new());
    bench.input(Input::Operate(Operation::Pause { scope, reason }));
    bench.forget();
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("assign"), ["assign 0@10"]);
    assert_eq!(bench.lines("pause"), ["pause 0"]);
    assert_eq!(bench.status(0).blocked, Some(Blocked::Paused));
}

#[test]
fn a_seek_that_cannot_be_done_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(settings());
    bench.open(1);
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("sought"), ["sought 1: NotOurs"]);
    bench.answers.committed = false;
    bench.assign(&[0]);
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("sought"), ["sought 1: Starting"]);

    let mut bench = self::bench();
    bench.answers.lists = false;
    seek(&mut bench, SeekTarget::Earliest);
    assert!(bench.lines("sought").is_empty());
    seek(&mut bench, SeekTarget::Latest);
    assert_eq!(bench.lines("sought"), ["sought 1: Busy"]);
    let assignment = bench.status(0).assignment;
    let answer = Err(ReadError::Transient("no leader".to_owned()));
    bench.input(Input::OffsetsListed { assignment, answer });
    let refused = bench.lines("sought");
    assert!(refused[0].contains("no leader"), "{refused:?}");
    assert_eq!(bench.status(0).assignment, assignment);
    assert!(bench.ack("21").is_empty(), "its delivery lives on");

    bench.shut_down(seconds(5));
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("sought"), ["sought 1: Ending"]);
}

// The transaction that it waits for may take long, and so may brokers.
#[test]
fn a_seek_that_is_not_done_when_a_drain_begins_is_refused() {
    let mut bench = bench();
    bench.answers.lists = false;
    seek(&mut bench, SeekTarget::Earliest);
    let within = seconds(5);
    bench.input(Input::Operate(Operation::Drain { within }));
    let assignment = bench.status(0).assignment;
    let answer = Ok(LogRange {
        earliest: 10,
        latest: 50,
    });
    bench.input(Input::OffsetsListed { assignment, answer });
    assert_eq!(bench.lines("sought"), ["sought 1: Ending"]);
    assert_eq!(bench.status(0).assignment, assignment);
}

#[test]
fn a_seek_that_brokers_never_answer_is_given_up() {
    let mut bench = bench();
    bench.answers.lists = false;
    seek(&mut bench, SeekTarget::Earliest);
    bench.pass(seconds(19));
    assert!(bench.lines("sought").is_empty());
    bench.pass(seconds(2));
    let refused = bench.lines("sought");
    assert!(refused[0].contains("no answer in time"), "{refused:?}");
    bench.answers.lists = true;
    seek(&mut bench, SeekTarget::Earliest);
    assert_eq!(bench.lines("sought"), ["sought 1: Some(21) -> 10"]);
}

#[test]
fn a_seek_whose_partition_leaves_is_answered() {
    let mut bench = bench();
    bench.answers.lists = false;
    seek(&mut bench, SeekTarget::Earliest);
    bench.lose(&[0]);
    assert_eq!(bench.lines("sought"), ["sought 1: Leaving"]);

    let mut bench = self::bench();
    bench.answers.lists = false;
    seek(&mut bench, SeekTarget::Earliest);
    let assignment = bench.status(0).assignment;
    bench.revoke(&[0]);
    let answer = Ok(LogRange {
        earliest: 10,
        latest: 50,
    });
    bench.input(Input::OffsetsListed { assignment, answer });
    assert_eq!(bench.lines("sought"), ["sought 1: Leaving"]);
    assert!(bench.ack("21").is_empty(), "its last settlements are taken");
}
