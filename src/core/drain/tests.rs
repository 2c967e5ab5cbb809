use super::super::harness::*;
use super::super::*;

fn notice(bench: &mut Bench) {
    let within = seconds(25);
    bench.input(Input::Operate(Operation::Drain { within }));
}

#[test]
fn a_notice_stops_dispatch_takes_settlements_and_leaves_when_nothing_is_in_flight() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b c");
    assert_eq!(bench.pull(1), "0 1 2");
    bench.pop("d");
    notice(&mut bench);
    assert_eq!(bench.lines("notice"), ["notice 1: draining 25s"]);
    assert_eq!(bench.serve(), "", "nothing new");
    assert_eq!(bench.allowance(1), 0);
    bench.ack("0 1");
    bench.pass(seconds(60));
    assert!(bench.lines("leave").is_empty(), "2 is in flight");
    assert!(!bench.core.drain_status().unwrap().done);
    bench.ack("2");
    bench.pass(millis(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    bench.revoke(&[0]);
    bench.pass(seconds(1));
    assert_eq!(bench.broker[&partition(0)].offset, 3);
    bench.input(Input::GroupLeft);
    let status = bench.core.drain_status().unwrap();
    assert!(status.done);
    assert_eq!(status.undone, Drained::Whole);
    bench.pass(seconds(600));
    assert!(bench.lines("join").is_empty(), "never again (N1)");
    assert!(bench.lines("finished").is_empty(), "the process goes on");
}

// N3
#[test]
fn a_static_member_that_is_drained_keeps_its_partitions_for_its_successor() {
    let mut bench = Bench::flowing(Settings {
        static_member: true,
        ..settings()
    });
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    notice(&mut bench);
    bench.pass(seconds(1));
    assert!(!bench.core.drain_status().unwrap().done, "0 is in flight");
    bench.ack("0");
    bench.pass(seconds(1));
    assert_eq!(bench.broker[&partition(0)].offset, 1);
    assert!(bench.core.drain_status().unwrap().done);
    bench.pass(seconds(357));
    assert!(
        bench.lines("leave").is_empty(),
        "2 s + 357 s are less than 6 minutes"
    );
    bench.pass(seconds(2));
    assert_eq!(bench.lines("leave"), ["leave"]);
}

#[test]
fn a_drained_process_ends_at_once_when_told_to() {
    let mut bench = Bench::flowing(settings());
    notice(&mut bench);
    bench.pass(millis(1));
    bench.revoke(&[0]);
    bench.input(Input::GroupLeft);
    bench.shut_down(seconds(25));
    assert_eq!(bench.lines("finished"), ["finished Whole"]);
}

#[test]
fn a_stream_that_opens_late_is_told() {
    let mut bench = Bench::flowing(settings());
    notice(&mut bench);
    bench.forget();
    bench.open(2);
    assert_eq!(bench.lines("notice"), ["notice 2: draining 25s"]);
    assert_eq!(bench.pull(2), "");
}

#[test]
fn a_client_made_anew_does_not_join_after_a_notice() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    notice(&mut bench);
    bench.forget();
    bench.input(Input::ClientRestarted);
    bench.pass(seconds(60));
    assert!(bench.lines("join").is_empty());
    let status = bench.core.drain_status().unwrap();
    assert_eq!((status.done, status.undone), (true, Drained::Unsettled));
}

#[test]
fn a_retried_record_is_left_to_others() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    assert_eq!(bench.pull(1), "0");
    notice(&mut bench);
    bench.retry("0");
    bench.pass(millis(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    assert_eq!(bench.serve(), "");
}
