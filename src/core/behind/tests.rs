use super::super::harness::*;
use super::super::*;

/// One record was worked off, and the stream waits for more.
fn idle() -> Bench {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    bench.pull(1);
    bench.ack("0");
    assert_eq!(bench.pull(1), "", "and waits for more");
    bench.answers.lists = false;
    bench
}

fn end_is(bench: &mut Bench, end: i64) {
    let fetch = bench.client[&partition(0)].fetch;
    bench.input(Input::EndSampled {
        partition: partition(0),
        fetch,
        end,
    });
}

/// Seconds pass in which the end is told as always.
fn wait(bench: &mut Bench, time: u64, end: i64) {
    for _ in 0..time {
        bench.pass(seconds(1));
        end_is(bench, end);
    }
}

fn broker_says_that_it_can_be_read_to(bench: &mut Bench, latest: i64) {
    let assignment = bench.status(0).assignment;
    let answer = Ok(LogRange {
        earliest: 0,
        latest,
    });
    bench.input(Input::OffsetsListed { assignment, answer });
}

fn cause(bench: &Bench) -> Option<Obstacle> {
    let explained = bench.core.explain(Scope::Partition(partition(0)));
    explained[0].causes.first().cloned()
}

// B2 N1
#[test]
fn log_that_goes_on_and_gives_nothing_is_told_of() {
    let mut bench = idle();
    end_is(&mut bench, 1);
    wait(&mut bench, 60, 1);
    assert_eq!(cause(&bench), None, "the log ends there");
    bench.forget();
    wait(&mut bench, 10, 5);
    assert_eq!(cause(&bench), None, "it may be under way");
    wait(&mut bench, 1, 5);
    assert_eq!(bench.lines("list").len(), 1, "a broker is asked");
    assert_eq!(bench.status(0).blocked, None, "and has not answered");
    broker_says_that_it_can_be_read_to(&mut bench, 1);
    assert_eq!(bench.status(0).blocked, Some(Blocked::NothingReadable));
    assert!(matches!(
        cause(&bench),
        Some(Obstacle::NothingReadable { .. })
    ));
    bench.pop("b");
    assert_eq!(bench.status(0).blocked, None);
    wait(&mut bench, 60, 5);
    assert_eq!(
        bench.status(0).blocked,
        None,
        "the application has something to do"
    );
}

// B33 N1
#[test]
fn what_is_held_back_is_not_called_unreadable() {
    let mut bench = idle();
    wait(&mut bench, 11, 5);
    broker_says_that_it_can_be_read_to(&mut bench, 5);
    assert_eq!(bench.status(0).blocked, None);
    assert!(matches!(
        cause(&bench),
        Some(Obstacle::NothingArrives { .. })
    ));
    let explained = bench.core.explain(Scope::Everything);
    assert!(!explained[0].stuck, "it passes");
    bench.forget();
    wait(&mut bench, 25, 5);
    assert_eq!(bench.lines("list").len(), 2, "asked again and again");
    broker_says_that_it_can_be_read_to(&mut bench, 1);
    assert_eq!(bench.status(0).blocked, Some(Blocked::NothingReadable));
    broker_says_that_it_can_be_read_to(&mut bench, 5);
    assert_eq!(
        bench.status(0).blocked,
        Some(Blocked::NothingReadable),
        "nobody asked"
    );
    wait(&mut bench, 10, 5);
    broker_says_that_it_can_be_read_to(&mut bench, 5);
    assert_eq!(bench.status(0).blocked, None);
}

// N1
#[test]
fn a_late_answer_says_nothing_of_a_later_position() {
    let mut bench = idle();
    wait(&mut bench, 11, 5);
    bench.pop("b");
    bench.pull(1);
    bench.ack("1");
    assert_eq!(bench.pull(1), "");
    wait(&mut bench, 1, 5);
    broker_says_that_it_can_be_read_to(&mut bench, 1);
    assert_eq!(bench.status(0).blocked, None);
}
