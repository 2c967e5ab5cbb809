use super::super::harness::*;
use super::super::*;

fn explain(bench: &Bench) -> Explanation {
    bench
        .core
        .explain(Scope::Partition(partition(0)))
        .pop()
        .expect("the partition is ours")
}

fn first(bench: &Bench) -> Obstacle {
    explain(bench).causes.first().cloned().expect("a cause")
}

#[test]
fn a_partition_that_flows_has_no_cause() {
    let bench = Bench::flowing(settings());
    let explained = explain(&bench);
    assert!(explained.causes.is_empty(), "{explained:?}");
    assert!(!explained.stuck);
}

#[test]
fn a_head_in_flight_names_who_holds_it_and_gets_stuck_with_time() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.ack("1");
    let Obstacle::Held { head, delivery } = first(&bench) else {
        panic!("{:?}", explain(&bench));
    };
    assert_eq!((head.offset, head.failures), (0, 0));
    assert!(head.key_hash.is_some());
    assert_eq!(delivery.stream, StreamId(1));
    assert_eq!((delivery.client.as_str(), delivery.attempt), ("test", 1));
    assert!(!explain(&bench).stuck);
    bench.pass(seconds(61));
    assert!(explain(&bench).stuck);
}

#[test]
fn a_head_that_failed_tells_when_it_comes_again() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a a a");
    assert_eq!(bench.pull(1), "0");
    let asked = bench.now;
    bench.retry("0");
    let Obstacle::RetryDue { head, due } = first(&bench) else {
        panic!("{:?}", explain(&bench));
    };
    assert_eq!((head.offset, head.failures), (0, 1));
    assert_eq!(due, asked.plus(millis(500)));
}

#[test]
fn a_head_that_nobody_takes_tells_what_streams_lack() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.flow(
        1,
        FlowChange {
            paused: Some(true),
            ..FlowChange::default()
        },
    );
    assert_eq!(first(&bench), Obstacle::StreamsPaused);
    bench.close(1);
    assert_eq!(first(&bench), Obstacle::NoStream);
    bench.open_with(2, |open| open.topics = Some([TopicIndex(1)].into()));
    assert_eq!(first(&bench), Obstacle::NoStream, "another topic");
    bench.open_with(3, |open| open.in_flight_records_max = 1);
    assert_eq!(bench.pull(3), "0");
    bench.retry("0");
    assert_eq!(bench.pull(3), "1");
    bench.pass(seconds(1));
    assert_eq!(first(&bench), Obstacle::StreamsFull, "0 could go again");
}

#[test]
fn an_oversize_head_needs_a_person() {
    let mut bench = Bench::flowing(settings());
    bench.close(1);
    bench.open_with(2, |open| open.message_bytes_max = 1000);
    bench.pop("a:5000");
    assert_eq!(bench.pull(2), "");
    let explained = explain(&bench);
    assert!(
        matches!(explained.causes[0], Obstacle::Oversize { size: 5000, .. }),
        "{explained:?}"
    );
    assert!(explained.stuck);
}

#[test]
fn a_full_window_is_told_after_the_head_that_fills_it() {
    let mut settings = settings();
    settings.window_records_max = 2;
    let mut bench = Bench::flowing(settings);
    bench.pop("a a");
    assert_eq!(bench.pull(1), "0");
    let causes = explain(&bench).causes;
    assert!(matches!(causes[0], Obstacle::Held { .. }), "{causes:?}");
    let full = Obstacle::WindowFull {
        unfinished: 2,
        max: 2,
    };
    assert_eq!(causes[1], full);
}

#[test]
fn pauses_stops_and_ends_are_told_first() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    let (scope, reason) = (Scope::Topic(TopicIndex(0)), "deploy".to_owned());
    bench.input(Input::Operate(Operation::Pause { scope, reason }));
    let explained = explain(&bench);
    assert!(
        matches!(&explained.causes[0], Obstacle::Paused { reason, .. } if reason == "deploy"),
        "{explained:?}"
    );
    assert!(explained.stuck);
    bench.input(Input::Operate(Operation::Resume { scope }));
    bench.shut_down(seconds(5));
    assert_eq!(first(&bench), Obstacle::Ending);

    let mut settings = settings();
    settings.start = StartPolicy::Stop;
    let mut bench = Bench::new(settings);
    bench.open(1);
    bench.assign(&[0]);
    let stopped = Obstacle::Stopped(StopReason::NoCommittedOffset);
    assert_eq!(first(&bench), stopped);
    assert!(explain(&bench).stuck);
}

#[test]
fn a_paused_partition_is_not_taken_for_one_that_cannot_be_read() {
    let mut bench = Bench::flowing(settings());
    assert_eq!(bench.pull(1), "", "hungry");
    let (scope, reason) = (Scope::Everything, String::new());
    bench.input(Input::Operate(Operation::Pause { scope, reason }));
    let fetch = bench.client[&partition(0)].fetch;
    let end_sampled = |bench: &mut Bench| {
        let partition = partition(0);
        bench.input(Input::EndSampled {
            partition,
            fetch,
            end: 50,
        });
    };
    end_sampled(&mut bench);
    bench.pass(seconds(20));
    end_sampled(&mut bench);
    assert_eq!(explain(&bench).causes.len(), 1, "{:?}", explain(&bench));
    bench.input(Input::Operate(Operation::Resume { scope }));
    end_sampled(&mut bench);
    assert_eq!(bench.status(0).blocked, None);
}

#[test]
fn failing_commits_and_fetches_carry_the_broker_s_words() {
    let mut bench = Bench::flowing(settings());
    bench.answers.commits = false;
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    bench.ack("0");
    bench.pass(seconds(2));
    bench.commit_answered(Err(CommitError::Transient(
        "coordinator is away".to_owned(),
    )));
    let Obstacle::CommitFailing { error, stale, .. } = first(&bench) else {
        panic!("{:?}", explain(&bench));
    };
    assert_eq!((error.as_str(), stale), ("coordinator is away", false));
    bench.fetch_failed(0, FetchError::Transient("leader is away".to_owned()));
    let causes = explain(&bench).causes;
    assert!(
        matches!(&causes[1], Obstacle::FetchFailing { error, .. } if error == "leader is away"),
        "{causes:?}"
    );
}

#[test]
fn the_list_of_what_is_in_flight_is_bounded() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b c d");
    assert_eq!(bench.pull(1), "0 1 2 3");
    bench.ack("1");
    let offsets = |max| {
        let list = bench.core.in_flight(Scope::Everything, max);
        list.iter().map(|one| one.offset).collect::<Vec<_>>()
    };
    assert_eq!(offsets(10), [0, 2, 3]);
    assert_eq!(offsets(2), [0, 2]);
    let other = Scope::Topic(TopicIndex(1));
    assert!(bench.core.in_flight(other, 10).is_empty());
}
