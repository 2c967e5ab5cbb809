use super::super::harness::*;
use super::super::*;

fn flowing() -> Bench {
    let mut bench = Bench::flowing(settings());
    bench.pop("a a b");
    bench.pull(1);
    bench.forget();
    bench
}

fn leave(bench: &mut Bench) {
    assert_eq!(bench.lines("leave"), ["leave"]);
    bench.revoke(&[0]);
    bench.input(Input::GroupLeft);
}

// I-S6
#[test]
fn shutdown_drains_commits_ends_streams_leaves_and_only_then_finishes() {
    let mut bench = flowing();
    bench.shut_down(seconds(20));
    assert_eq!(bench.lines("notice"), ["notice 1: draining 20s"]);
    bench.ack("0");
    assert_eq!(bench.pull(1), "", "nothing new is delivered");
    bench.forget();
    bench.ack("2");
    let order: Vec<_> = bench.lines("");
    let at = |word: &str| {
        order
            .iter()
            .position(|line| line.starts_with(word))
            .expect("there")
    };
    assert!(at("commit 0@1+2..3") < at("end 1 GoingAway"));
    assert!(at("end 1 GoingAway") < at("leave"));
    bench.revoke(&[0]);
    assert!(bench.lines("finished").is_empty());
    bench.input(Input::GroupLeft);
    assert_eq!(bench.lines("finished"), ["finished Whole"]);
}

#[test]
fn a_static_member_commits_and_ends_without_leaving_the_group() {
    let mut bench = Bench::flowing(Settings {
        static_member: true,
        ..settings()
    });
    bench.pop("a");
    bench.pull(1);
    bench.shut_down(seconds(20));
    bench.forget();
    bench.ack("0");
    assert_eq!(bench.lines("end"), ["end 1 GoingAway"]);
    assert_eq!(bench.lines("finished"), ["finished Whole"]);
    assert!(bench.lines("leave").is_empty());
    assert_eq!(bench.broker[&partition(0)].offset, 1);
}

// I-L4
#[test]
fn application_that_never_settles_cannot_outlast_the_deadline() {
    let mut bench = flowing();
    bench.shut_down(seconds(20));
    bench.pass(millis(19_999));
    assert!(bench.lines("withdrawn").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 0 2 Shutdown"]);
    leave(&mut bench);
    assert_eq!(bench.lines("finished"), ["finished Unsettled"]);
}

#[test]
fn second_signal_cuts_the_drain_short() {
    let mut bench = flowing();
    bench.shut_down(seconds(20));
    bench.shut_down(seconds(0));
    leave(&mut bench);
    assert_eq!(bench.lines("finished"), ["finished Unsettled"]);
}

#[test]
fn shutdown_without_an_answer_to_its_last_commit_says_so() {
    let mut bench = flowing();
    bench.answers.commits = false;
    bench.shut_down(seconds(20));
    bench.ack("0 2");
    bench.pass(millis(2999));
    assert!(bench.lines("leave").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    bench.pass(seconds(3));
    assert_eq!(bench.lines("finished"), ["finished Uncommitted"]);
}

// B17
#[test]
fn fenced_member_commits_nothing_and_finishes() {
    let mut bench = flowing();
    bench.ack("0");
    bench.forget();
    bench.input(Input::Fenced);
    assert!(bench.lines("commit").is_empty());
    assert_eq!(bench.lines("finished"), ["finished Uncommitted"]);
}
