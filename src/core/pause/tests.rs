use super::super::harness::*;
use super::super::*;

fn pause(bench: &mut Bench, scope: Scope) {
    let reason = "deploy".to_owned();
    bench.input(Input::Operate(Operation::Pause { scope, reason }));
}

fn resume(bench: &mut Bench, scope: Scope) {
    bench.input(Input::Operate(Operation::Resume { scope }));
}

#[test]
fn a_paused_partition_delivers_nothing_new_and_commits_what_is_settled() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.pop("c");
    pause(&mut bench, Scope::Partition(partition(0)));
    assert_eq!(bench.lines("pause"), ["pause 0"]);
    assert_eq!(bench.pull(1), "", "c waits");
    assert!(bench.ack("0").is_empty(), "settlements are taken");
    bench.pass(seconds(2));
    assert_eq!(bench.broker[&partition(0)].offset, 1, "and committed");
    assert_eq!(bench.status(0).blocked, Some(Blocked::Paused));
    bench.woken.clear();
    resume(&mut bench, Scope::Partition(partition(0)));
    assert_eq!(bench.lines("resume"), ["resume 0"]);
    assert_eq!(bench.serve(), "2", "and the stream is woken");
}

#[test]
fn a_retried_record_of_a_paused_partition_waits() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    pause(&mut bench, Scope::Everything);
    bench.retry("0");
    bench.pass(seconds(10));
    assert_eq!(bench.serve(), "");
    resume(&mut bench, Scope::Everything);
    assert_eq!(bench.serve(), "0*2");
}

#[test]
fn a_pause_outlives_a_rebalance() {
    let mut bench = Bench::flowing(settings());
    pause(&mut bench, Scope::Topic(TopicIndex(0)));
    bench.revoke(&[0]);
    bench.pass(seconds(1));
    bench.forget();
    bench.assign(&[0, 1]);
    bench.pass(seconds(1));
    let mut paused = bench.lines("pause");
    paused.sort();
    assert_eq!(paused, ["pause 0", "pause 1"], "they are never fetched");
    assert_eq!(bench.status(1).blocked, Some(Blocked::Paused));
    bench.assign_all(vec![other_topic(0)]);
    bench.pass(seconds(1));
    bench.pop_on(other_topic(0), "a");
    assert_eq!(bench.serve(), "u0/0", "another topic is not concerned");
}

#[test]
fn a_wider_pause_stays_when_a_narrower_one_ends() {
    let mut bench = Bench::flowing(settings());
    let narrow = Scope::Partition(partition(0));
    pause(&mut bench, narrow);
    pause(&mut bench, Scope::Everything);
    resume(&mut bench, narrow);
    assert_eq!(bench.status(0).blocked, Some(Blocked::Paused));
    let left: Vec<Scope> = bench.core.pauses().map(|(scope, _)| scope).collect();
    assert_eq!(left, [Scope::Everything]);
    pause(&mut bench, narrow);
    resume(&mut bench, Scope::Everything);
    assert_eq!(
        bench.core.pauses().count(),
        0,
        "everything means everything"
    );
    assert_eq!(bench.status(0).blocked, None);
}

#[test]
fn pausing_again_keeps_the_time_and_takes_the_new_reason() {
    let mut bench = Bench::flowing(settings());
    pause(&mut bench, Scope::Everything);
    let since = bench.now;
    bench.pass(seconds(5));
    let reason = "another".to_owned();
    let scope = Scope::Everything;
    bench.input(Input::Operate(Operation::Pause { scope, reason }));
    let (_, pause) = bench.core.pauses().next().unwrap();
    assert_eq!((pause.since, pause.reason.as_str()), (since, "another"));
}

#[test]
fn pauses_are_limited() {
    let mut bench = Bench::flowing(settings());
    for index in 0..i32::try_from(PAUSES_MAX).unwrap() + 1 {
        pause(&mut bench, Scope::Partition(partition(index)));
    }
    assert_eq!(bench.core.pauses().count(), PAUSES_MAX);
    assert!(!bench.core.may_pause(Scope::Everything));
    assert!(bench.core.may_pause(Scope::Partition(partition(0))));
}

#[test]
fn a_scope_contains_what_is_within_it() {
    let all = [
        Scope::Everything,
        Scope::Topic(TopicIndex(0)),
        Scope::Partition(partition(0)),
        Scope::Topic(TopicIndex(1)),
    ];
    let contained = |scope: Scope| all.iter().filter(|other| scope.contains(**other)).count();
    assert_eq!(all.map(contained), [4, 2, 1, 1]);
}
