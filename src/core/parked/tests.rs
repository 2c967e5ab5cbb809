use super::super::harness::*;
use super::super::*;

/// Records 0 to 4 in one lane, three deep; 0 is parked, and what was behind it was taken back.
fn parked() -> Bench {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: 3,
        failures_max: 1,
        ..policy()
    }));
    bench.pop("- - - - -");
    assert_eq!(bench.pull(1), "0 1 2");
    bench.forget();
    bench.retry("0");
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 2 EarlierRetry"]);
    bench
}

#[test]
fn retried_record_goes_first_and_has_all_its_attempts_again() {
    let mut bench = parked();
    assert_eq!(
        bench.act(WhichParked::Record(partition(0), 0), ParkedAction::Retry),
        1
    );
    assert_eq!(bench.pull(1), "0*2 1*2 2*2");
    assert_eq!(bench.core.parked(Scope::Everything, 1), []);
}

#[test]
fn skipped_record_is_finished_and_told_of() {
    let mut bench = parked();
    bench.act(
        WhichParked::Of(Scope::Topic(TopicIndex(0))),
        ParkedAction::Skip,
    );
    assert_eq!(bench.lines("event Discarded").len(), 1);
    assert_eq!(bench.status(0).watermark, Some(1));
    assert_eq!(bench.pull(1), "1*2 2*2 3");
}

#[test]
fn sent_record_waits_for_the_dead_letter_topic_like_any_other() {
    let mut bench = parked();
    bench.answers.dead_letters = None;
    bench.act(WhichParked::Of(Scope::Everything), ParkedAction::DeadLetter);
    assert_eq!(bench.lines("dead letter"), ["dead letter 0 operator"]);
    assert_eq!(
        bench.act(WhichParked::Of(Scope::Everything), ParkedAction::Skip),
        0,
        "it is on its way"
    );
    assert_eq!(bench.pull(1), "");
    bench.letter_answered(Ok(()));
    assert_eq!(bench.pull(1), "1*2 2*2 3");
}

#[test]
fn other_records_are_left_alone() {
    let mut bench = parked();
    for which in [
        WhichParked::Record(partition(0), 1),
        WhichParked::Of(Scope::Partition(partition(1))),
        WhichParked::Of(Scope::Topic(TopicIndex(1))),
    ] {
        assert_eq!(bench.act(which, ParkedAction::Skip), 0);
    }
    assert_eq!(bench.core.parked(Scope::Everything, 10).len(), 1);
}

// I-O1: an explicit DEAD_LETTER takes nothing back, so something later may be live when its record is let go on.
#[test]
fn what_is_live_behind_a_record_that_goes_on_is_taken_back() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: 3,
        has_dead_letters: false,
        ..policy()
    }));
    bench.pop("- - -");
    bench.pull(1);
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    bench.forget();
    bench.act(WhichParked::Of(Scope::Everything), ParkedAction::Retry);
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 2 EarlierRetry"]);
    assert_eq!(bench.pull(1), "0*2 1*2 2*2");
}
