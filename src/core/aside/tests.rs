use super::super::harness::*;
use super::super::*;

fn ends(then: WhenSpent) -> Policy {
    Policy {
        failures_max: 2,
        then,
        ..policy()
    }
}

/// A bench on which record 0 of key `a` has failed as often as it may, with 1 behind it and 2 of another key.
fn spent(policy: Policy) -> Bench {
    let mut bench = Bench::flowing(delivered(policy));
    bench.pop("a a b");
    assert_eq!(bench.pull(1), "0 2");
    bench.ack("2");
    bench.retry("0");
    bench.pass(millis(500));
    assert_eq!(bench.pull(1), "0*2");
    bench.forget();
    bench
}

// B30 A2
#[test]
fn record_that_failed_too_often_is_parked_and_holds_up_its_lane_only() {
    let mut bench = spent(ends(WhenSpent::Park));
    assert!(bench.retry("0").is_empty());
    assert_eq!(bench.lines("event Parked").len(), 1);
    bench.pass(seconds(3600));
    bench.pop("c");
    assert_eq!(bench.pull(1), "3");
    bench.ack("3");
    assert_eq!(bench.pull(1), "");
    assert_eq!(bench.status(0).blocked, Some(Blocked::Parked));
    assert_eq!(bench.status(0).watermark, Some(0));
    let parked = bench.core.parked(Scope::Everything, 10);
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].offset, parked[0].failures), (0, 2));
    assert_eq!((parked[0].cause, parked[0].behind), (Cause::Failures, 1));
}

// B30 M18 A1
#[test]
fn dead_letter_is_finished_when_it_is_confirmed_and_not_before() {
    let mut bench = spent(ends(WhenSpent::DeadLetter));
    bench.answers.dead_letters = None;
    bench.retry("0");
    assert_eq!(bench.lines("dead letter"), ["dead letter 0 failures"]);
    bench.pass(seconds(30));
    assert_eq!(bench.pull(1), "");
    assert_eq!(bench.status(0).watermark, Some(0));
    assert_eq!(bench.status(0).blocked, Some(Blocked::DeadLetterPending));
    bench.letter_answered(Ok(()));
    assert_eq!(bench.status(0).watermark, Some(1));
    assert_eq!(bench.pull(1), "1");
    assert_eq!(bench.core.counters().dead_lettered, 1);
}

// B30
#[test]
fn dead_letter_that_is_not_taken_goes_again_and_holds_up_its_lane() {
    let mut bench = spent(ends(WhenSpent::DeadLetter));
    let away = DeadLetterError::Transient("broker away".to_owned());
    bench.answers.dead_letters = Some(Err(away));
    bench.retry("0");
    bench.pass(seconds(10));
    let tries = bench.lines("dead letter").len();
    // After 0, 0.5, 1.5, 3.5 and 7.5 s.
    assert_eq!(tries, 5);
    assert_eq!(bench.pull(1), "");
    bench.answers.dead_letters = Some(Ok(()));
    bench.pass(seconds(60));
    assert_eq!(bench.pull(1), "1");
}

#[test]
fn dead_letter_that_never_will_be_taken_is_parked_with_the_reason() {
    let mut bench = spent(ends(WhenSpent::DeadLetter));
    let too_large = DeadLetterError::Permanent("too large".to_owned());
    bench.answers.dead_letters = Some(Err(too_large));
    bench.retry("0");
    assert_eq!(
        bench.core.parked(Scope::Everything, 1)[0].step,
        AsideStep::Parked(Some("too large".to_owned()))
    );
    let scope = Scope::Partition(partition(0));
    let causes = bench.core.explain(scope).remove(0).causes;
    assert!(
        matches!(&causes[0], Obstacle::Parked { cause: Cause::Failures, refused: Some(refused), .. }
            if **refused == *"too large"),
        "{causes:?}"
    );
    bench.pass(seconds(3600));
    assert_eq!(bench.lines("dead letter").len(), 1);
}

#[test]
fn discarded_record_is_finished_at_once() {
    let mut bench = spent(ends(WhenSpent::Discard));
    bench.retry("0");
    assert_eq!(bench.lines("event Discarded").len(), 1);
    assert_eq!(bench.status(0).watermark, Some(1));
    assert_eq!(bench.pull(1), "1");
}

// A3
#[test]
fn an_outage_costs_no_more_records_than_there_are_tokens() {
    let mut bench = Bench::flowing(delivered(Policy {
        failures_max: 1,
        then: WhenSpent::DeadLetter,
        tokens: TokenRate {
            burst: 3,
            per_success: 1.0,
            per_minute: 0.0,
        },
        ..policy()
    }));
    bench.pop("- - - - - - - -");
    bench.pull(1);
    bench.forget();
    bench.retry("0 1 2 3 4 5 6 7");
    assert_eq!(bench.lines("dead letter").len(), 3);
    assert_eq!(bench.lines("event GivingUpStopped").len(), 1);
    assert_eq!(bench.pull(1), "");
    bench.pass(seconds(60));
    assert_eq!(bench.pull(1), "3*2 4*2 5*2 6*2 7*2", "the longest back-off");
    bench.ack("3 4");
    bench.retry("5 6 7");
    assert_eq!(
        bench.lines("dead letter").len(),
        2,
        "earned by two successes"
    );
}

// DEAD_LETTER withdraws nothing, and is free.
#[test]
fn what_the_application_sends_there_withdraws_nothing_and_costs_nothing() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: 5,
        tokens: TokenRate {
            burst: 1,
            per_success: 0.0,
            per_minute: 0.0,
        },
        ..policy()
    }));
    bench.pop("- - - - - -");
    assert_eq!(bench.pull(1), "0 1 2 3 4");
    bench.answers.dead_letters = None;
    assert!(bench.settle(&[(Outcome::DeadLetter, "1 2")]).is_empty());
    assert!(bench.lines("withdrawn").is_empty());
    assert!(bench.ack("0 3 4").is_empty());
    assert_eq!(bench.pull(1), "", "what is behind them waits");
    bench.letter_answered(Ok(()));
    assert_eq!(bench.pull(1), "");
    bench.letter_answered(Ok(()));
    assert_eq!(bench.pull(1), "5");
    assert_eq!(bench.settle(&[(Outcome::Ack, "1")]), ["conflict 1"]);
    assert!(bench.settle(&[(Outcome::DeadLetter, "1")]).is_empty());
}

// A4 B10
#[test]
fn revocation_waits_for_dead_letters_on_their_way_and_for_nothing_else() {
    let mut bench = Bench::flowing(delivered(ends(WhenSpent::Park)));
    bench.pop("a b c");
    bench.pull(1);
    bench.answers.dead_letters = None;
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    bench.retry("1 2");
    bench.pass(millis(500));
    bench.pull(1);
    bench.retry("1");
    bench.ack("2");
    assert_eq!(bench.core.parked(Scope::Everything, 10).len(), 2);
    bench.revoke(&[0]);
    assert!(bench.rebalancing);
    bench.letter_answered(Ok(()));
    assert!(!bench.rebalancing);
    assert_eq!(bench.broker[&partition(0)].offset, 1);
}

// A4
#[test]
fn dead_letter_that_is_confirmed_after_its_partition_left_changes_nothing() {
    let mut bench = Bench::flowing(delivered(policy()));
    bench.pop("a");
    bench.pull(1);
    bench.answers.dead_letters = None;
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    bench.revoke(&[0]);
    bench.pass(seconds(9));
    assert!(!bench.rebalancing);
    bench.letter_answered(Ok(()));
    assert_eq!(bench.core.counters().dead_lettered, 0);
    assert!(!bench.core.is_sending(), "nothing waits for it any more")
}

#[test]
fn without_a_dead_letter_topic_what_should_go_there_is_parked() {
    let mut bench = Bench::flowing(delivered(Policy {
        has_dead_letters: false,
        ..policy()
    }));
    bench.pop("a");
    bench.pull(1);
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    assert_eq!(
        bench.core.parked(Scope::Everything, 1)[0].cause,
        Cause::Application
    );
    assert_eq!(
        bench.act(WhichParked::Of(Scope::Everything), ParkedAction::DeadLetter),
        0
    );
    assert_eq!(
        bench.act(WhichParked::Of(Scope::Everything), ParkedAction::Skip),
        1
    );
    assert_eq!(bench.status(0).watermark, Some(1));
}

// A restart may bring what was needed: the record is tried once more.
#[test]
fn parked_record_is_tried_once_after_a_restart() {
    let mut bench = spent(ends(WhenSpent::Park));
    bench.retry("0");
    bench.pass(seconds(2));
    let mut next = Bench::new(delivered(ends(WhenSpent::Park)));
    next.broker = bench.broker;
    next.open(1);
    next.assign(&[0]);
    next.pop("a a b");
    assert_eq!(next.pull(1), "0*3");
    next.retry("0");
    assert_eq!(next.core.parked(Scope::Everything, 10).len(), 1);
}

// I-S6
#[test]
fn dead_letter_that_arrives_after_the_drain_and_is_not_committed_makes_an_unclean_end() {
    let mut bench = Bench::flowing(delivered(policy()));
    bench.pop("a");
    bench.pull(1);
    bench.answers.dead_letters = None;
    assert!(bench.settle(&[(Outcome::DeadLetter, "0")]).is_empty());
    bench.shut_down(seconds(1));
    bench.pass(seconds(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    bench.answers.commits = false;
    bench.letter_answered(Ok(()));
    bench.pass(seconds(3));
    assert_eq!(bench.lines("finished"), ["finished Uncommitted"]);
}
