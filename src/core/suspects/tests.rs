use super::super::harness::*;
use super::super::*;

fn suspicious() -> Settings {
    delivered(Policy {
        deaths_max: 3,
        ..policy()
    })
}

/// Streams 1 and 2 died, one after the other, with three records of three keys; two more wait.
fn died() -> Bench {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b c");
    assert_eq!(bench.pull(1), "0 1 2");
    bench.die(1);
    bench.open(2);
    bench.pass(seconds(10));
    assert_eq!(bench.pull(2), "0*2 1*2 2*2", "one death says little");
    bench.forget();
    bench.die(2);
    assert_eq!(
        bench.lines("event ApplicationDied"),
        ["event ApplicationDied { stream: StreamId(2), records: 3, suspects: 3 }"]
    );
    bench.pop("d e");
    bench
}

// B30 S1 S5
#[test]
fn what_two_dead_applications_held_is_delivered_alone_one_by_one() {
    let mut bench = died();
    bench.open(3);
    assert_eq!(bench.pull(3), "0*3");
    assert_eq!(bench.pull(3), "", "nothing else meanwhile");
    bench.ack("0");
    assert_eq!(bench.pull(3), "1*3");
    bench.ack("1");
    assert_eq!(bench.pull(3), "2*3");
    bench.ack("2");
    assert_eq!(bench.pull(3), "3 4", "then everything as usual");
}

// S5
#[test]
fn a_record_that_was_settled_between_two_deaths_is_not_suspect() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.die(1);
    bench.open(2);
    bench.pass(seconds(10));
    assert_eq!(bench.pull(2), "0*2 1*2");
    bench.retry("0");
    bench.pass(seconds(60));
    assert_eq!(bench.pull(2), "0*3");
    bench.die(2);
    bench.open(3);
    assert_eq!(bench.pull(3), "1*3", "alone: it was held at both");
    bench.ack("1");
    assert_eq!(bench.pull(3), "0*4");
    bench.pop("c");
    assert_eq!(bench.pull(3), "2", "and not alone");
}

// S5
#[test]
fn whoever_held_nothing_else_is_suspected_at_once() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    bench.die(1);
    bench.open(2);
    bench.pop("b");
    assert_eq!(bench.pull(2), "0*2");
    assert_eq!(bench.pull(2), "");
}

// S6
#[test]
fn a_stream_opened_after_a_death_gets_one_record_until_it_settles_something() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b c d");
    assert_eq!(bench.pull(1), "0 1 2 3");
    bench.die(1);
    bench.open(2);
    assert_eq!(bench.pull(2), "0*2");
    assert_eq!(bench.pull(2), "");
    bench.release("0");
    assert_eq!(bench.pull(2), "1*2", "who hands back has shown nothing");
    assert_eq!(bench.pull(2), "");
    bench.woken.clear();
    bench.ack("1");
    assert!(bench.woken.contains(&StreamId(2)));
    assert_eq!(bench.pull(2), "2*2 3*2");
}

// S6
#[test]
fn a_trial_ends_though_the_first_record_takes_long() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b c");
    assert_eq!(bench.pull(1), "0 1 2");
    bench.die(1);
    bench.open(2);
    assert_eq!(bench.pull(2), "0*2");
    assert_eq!(bench.pull(2), "");
    bench.woken.clear();
    bench.pass(seconds(10));
    assert!(bench.woken.contains(&StreamId(2)));
    assert_eq!(bench.pull(2), "1*2 2*2");
}

// S6
#[test]
fn no_suspect_is_given_to_a_stream_on_trial_while_another_is_there() {
    let mut bench = died();
    bench.open(3);
    assert_eq!(bench.pull(3), "0*3", "nobody else is there");
    bench.ack("0");
    bench.open(4);
    assert_eq!(bench.pull(4), "3", "that one could take a suspect");
    assert_eq!(bench.pull(3), "1*3");
    bench.ack("3");
    assert_eq!(bench.pull(4), "2*3", "it works");
}

// S2
#[test]
fn third_death_alone_parks_the_record_that_caused_it() {
    let mut bench = died();
    for stream in 3..6 {
        bench.open(stream);
        bench.pass(seconds(2));
        assert!(bench.pull(stream).starts_with("0*"), "stream {stream}");
        bench.die(stream);
    }
    assert!(
        bench.core.parked(Scope::Everything, 1).is_empty(),
        "not judged yet"
    );
    bench.pass(seconds(2));
    let parked = bench.core.parked(Scope::Everything, 10);
    assert_eq!(
        (parked[0].offset, parked[0].cause, parked[0].deaths),
        (0, Cause::Crashes, 3)
    );
    bench.open(6);
    assert_eq!(bench.pull(6), "1*3");
}

// S2
#[test]
fn deaths_at_the_same_time_count_for_nobody_and_then_one_goes_at_a_time() {
    let mut bench = died();
    bench.open(3);
    bench.open(4);
    assert_eq!(bench.pull(3), "0*3");
    assert_eq!(bench.pull(4), "1*3");
    bench.die(3);
    bench.pass(millis(900));
    bench.die(4);
    bench.pass(seconds(3));
    assert_eq!(bench.core.counters().died_of, 0);
    bench.open(5);
    bench.open(6);
    assert_eq!(bench.pull(5), "0*4");
    assert_eq!(bench.pull(6), "3", "no second suspect, but others");
    bench.ack("0");
    assert_eq!(bench.pull(5), "1*4");
    bench.ack("3");
    assert_eq!(bench.pull(6), "4");
    bench.ack("4");
    assert_eq!(bench.pull(6), "");
    bench.ack("1");
    assert_eq!(bench.pull(6), "2*3");
    bench.ack("2");
    bench.die(5);
    bench.pass(seconds(1));
    bench.pop("f g");
    assert_eq!(bench.pull(6), "5 6");
}

// S3
#[test]
fn orderly_ends_make_nothing_suspect() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b");
    bench.pull(1);
    bench.close(1);
    bench.open(2);
    assert_eq!(bench.pull(2), "0*2 1*2", "a call that was cancelled");
    bench.closing(2);
    bench.die(2);
    bench.open(3);
    assert_eq!(bench.pull(3), "0*3 1*3", "a stream that was half-closed");
    bench.shut_down(seconds(5));
    bench.die(3);
    assert_eq!(bench.core.counters().suspected, 0);
}

// S3
#[test]
fn what_was_being_revoked_is_not_suspected() {
    let mut bench = Bench::flowing(suspicious());
    bench.pop("a b");
    bench.pull(1);
    bench.revoke(&[0]);
    bench.die(1);
    assert_eq!(bench.core.counters().suspected, 0);
}

// S4
#[test]
fn one_busy_stream_is_emptied_for_a_suspect_while_the_other_goes_on() {
    let mut bench = Bench::flowing(suspicious());
    bench.open(2);
    bench.open(3);
    bench.pop("a b c");
    bench.open_with(4, |open| open.in_flight_records_max = 1);
    assert_eq!(bench.pull(4), "0");
    assert_eq!(bench.pull(1), "1 2");
    bench.pop("d");
    assert_eq!(bench.pull(2), "3");
    bench.die(4);
    bench.pop("e f g");
    assert_eq!(bench.pull(1), "", "it is being emptied");
    assert_eq!(bench.pull(2), "4 5 6");
    bench.ack("1");
    assert_eq!(bench.pull(1), "");
    bench.ack("2");
    assert!(bench.woken.contains(&StreamId(1)));
    assert_eq!(bench.pull(1), "0*2");
    bench.pop("h");
    assert_eq!(bench.pull(1), "");
    bench.ack("0");
    assert_eq!(bench.pull(1), "7");
}

// Rolling restarts: whoever leaves in an orderly way is not waited for.
#[test]
fn suspects_of_an_idle_stream_need_no_emptying() {
    let mut bench = Bench::flowing(suspicious());
    bench.open(2);
    bench.open(3);
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    bench.pop("b");
    assert_eq!(bench.pull(2), "1");
    bench.die(1);
    assert_eq!(bench.pull(3), "0*2");
    bench.pop("c");
    assert_eq!(bench.pull(2), "2");
}

// Records without order wait in no lane; suspects among them do.
#[test]
fn records_without_order_are_suspected_too() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::None,
        deaths_max: 1,
        then: WhenSpent::Discard,
        ..policy()
    }));
    bench.pop("- - - -");
    bench.pull(1);
    bench.ack("1");
    bench.die(1);
    bench.open(2);
    bench.pass(seconds(10));
    assert_eq!(bench.pull(2), "0*2 2*2 3*2");
    bench.die(2);
    bench.open(3);
    assert_eq!(bench.pull(3), "0*3");
    bench.die(3);
    bench.pass(seconds(2));
    bench.open(4);
    assert_eq!(bench.pull(4), "2*3");
    assert_eq!(bench.core.counters().discarded, 1);
    bench.retry("2");
    assert_eq!(bench.pull(4), "3*3");
    bench.ack("3");
    bench.pass(millis(500));
    assert_eq!(
        bench.pull(4),
        "2*4",
        "whoever fails at a record has survived it"
    );
    bench.pop("-");
    assert_eq!(bench.pull(4), "4");
}
