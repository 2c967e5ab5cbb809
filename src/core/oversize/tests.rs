use super::super::harness::*;
use super::super::*;

fn small(open: &mut StreamOpen) {
    open.message_bytes_max = 1000;
}

fn to_dead_letters() -> Settings {
    delivered(Policy {
        oversize: WhenOversize::DeadLetter,
        ..policy()
    })
}

fn with_small_stream(settings: Settings) -> Bench {
    let mut bench = Bench::flowing(settings);
    bench.close(1);
    bench.open_with(2, small);
    bench.forget();
    bench
}

// B28
#[test]
fn record_that_no_stream_can_receive_goes_to_the_dead_letter_topic() {
    let mut bench = with_small_stream(to_dead_letters());
    bench.pop("a:5000 a b");
    assert_eq!(bench.pull(2), "2");
    bench.pass(millis(1));
    assert_eq!(bench.lines("dead letter"), ["dead letter 0 oversize"]);
    assert_eq!(bench.pull(2), "1");
}

// B28
#[test]
fn without_a_token_it_waits_for_a_stream_that_can() {
    let mut settings = to_dead_letters();
    for policy in &mut settings.policies {
        policy.tokens.burst = 1;
        policy.tokens.per_minute = 0.0;
    }
    let mut bench = with_small_stream(settings);
    bench.pop("a:5000 b:5000");
    assert_eq!(bench.pull(2), "");
    bench.pass(millis(1));
    assert_eq!(bench.lines("dead letter").len(), 1);
    assert_eq!(bench.status(0).blocked, Some(Blocked::Oversize));
    bench.open(3);
    assert_eq!(bench.pull(3), "1");
}

#[test]
fn record_goes_to_the_stream_that_can_receive_it_however_late_it_asks() {
    let mut bench = with_small_stream(to_dead_letters());
    bench.open(3);
    bench.pop("a:5000");
    assert_eq!(bench.pull(2), "");
    bench.pass(seconds(1));
    assert!(bench.lines("dead letter").is_empty());
    assert_eq!(bench.pull(3), "0");
}

// B28
#[test]
fn client_that_claims_more_than_it_takes_is_found_out() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a:70000 a b");
    for stream in 1..4 {
        bench.open(stream + 1);
        bench.flow(
            stream + 1,
            FlowChange {
                paused: Some(true),
                ..FlowChange::default()
            },
        );
        bench.pull(stream);
        bench.ack("2");
        bench.close(stream);
        bench.flow(
            stream + 1,
            FlowChange {
                paused: Some(false),
                ..FlowChange::default()
            },
        );
        if stream == 1 {
            assert!(bench.core.parked(Scope::Everything, 1).is_empty());
        }
    }
    let parked = bench.core.parked(Scope::Everything, 10);
    assert_eq!((parked.len(), parked[0].offset), (1, 0));
    assert_eq!(parked[0].cause, Cause::Oversize);
    assert_eq!(bench.pull(4), "", "its lane waits");
}

#[test]
fn streams_that_said_something_of_it_have_received_it() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a:70000");
    for stream in 1..6 {
        assert!(bench.pull(stream).starts_with("0"), "stream {stream}");
        if stream % 2 == 0 {
            bench.retry("0");
            bench.pass(seconds(60));
            assert!(bench.pull(stream).starts_with("0"));
        }
        bench.close(stream);
        bench.open(stream + 1);
    }
    assert!(bench.core.parked(Scope::Everything, 1).is_empty());
}
