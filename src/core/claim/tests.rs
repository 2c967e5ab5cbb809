use super::super::harness::*;
use super::super::*;

fn claimed() -> Result<(), CommitError> {
    Err(CommitError::Claimed("fence 3 is newer than 2".to_owned()))
}

/// Partition 0 flows, a record of it was acknowledged and another is in flight; its commit waits for its answer.
fn committing() -> Bench {
    let mut bench = Bench::flowing(settings());
    bench.answers.commits = false;
    bench.pop("a b");
    bench.pull(1);
    bench.ack("0");
    bench.pass(seconds(1));
    bench.forget();
    bench
}

fn answered(bench: &mut Bench, ask: u64, rests: bool, ours: &[PartitionId]) {
    bench.input(Input::GroupDescribed {
        ask: GroupAsk(ask),
        answer: Ok(GroupDescription {
            rests,
            owned: ours.to_vec(),
            ours: ours.to_vec(),
        }),
    });
}

#[test]
fn what_another_claimed_is_taken_back_and_the_group_is_asked() {
    let mut bench = committing();
    bench.commit_answered(claimed());
    assert_eq!(bench.lines("event ClaimOvertaken").len(), 1);
    assert_eq!(bench.lines("withdrawn 1: 1 Lost").len(), 1);
    assert_eq!(bench.lines("describe group").len(), 1);
    assert!(!bench.client.contains_key(&partition(0)), "nothing is read");
    assert_eq!(bench.lines("read").len(), 0, "the group has not answered");
    bench.pass(seconds(100));
    assert_eq!(bench.lines("commit").len(), 0, "nothing is written");
}

#[test]
fn it_is_claimed_again_when_the_group_says_that_it_is_ours() {
    let mut bench = committing();
    bench.commit_answered(claimed());
    bench.forget();
    bench.answers.commits = true;
    answered(&mut bench, 1, true, &[partition(0)]);
    assert_eq!(bench.lines("read 0").len(), 1);
    assert!(bench.client.contains_key(&partition(0)), "it flows again");
}

#[test]
fn what_the_group_said_before_the_refusal_is_no_answer() {
    let mut bench = committing();
    bench.commit_answered(claimed());
    bench.forget();
    answered(&mut bench, 0, true, &[partition(0)]);
    assert_eq!(bench.lines("read").len(), 0);
}

#[test]
fn a_group_that_does_not_rest_or_names_another_is_asked_again() {
    let mut bench = committing();
    bench.commit_answered(claimed());
    for (ask, rests, ours) in [(1, false, vec![partition(0)]), (2, true, vec![])] {
        bench.forget();
        answered(&mut bench, ask, rests, &ours);
        bench.pass(seconds(1));
        assert_eq!(bench.lines("read").len(), 0);
        assert_eq!(bench.lines("describe group").len(), 1);
    }
    bench.forget();
    bench.lose(&[0]);
    bench.pass(seconds(10));
    assert_eq!(
        bench.lines("describe group").len(),
        0,
        "that was the answer"
    );
}

#[test]
fn a_partition_that_leaves_is_not_claimed_again() {
    let mut bench = committing();
    bench.revoke(&[0]);
    bench.pass(seconds(5));
    bench.commit_answered(claimed());
    assert_eq!(bench.lines("describe group").len(), 0);
    assert_eq!(bench.lines("answer unassign").len(), 1);
    assert!(bench.core.owned().is_empty());
}

// I-S6
#[test]
fn an_end_that_meets_a_refusal_is_not_clean() {
    let mut bench = committing();
    bench.shut_down(seconds(20));
    bench.pass(seconds(20));
    bench.commit_answered(claimed());
    bench.pass(seconds(1));
    bench.revoke(&[0]);
    bench.input(Input::GroupLeft);
    assert_eq!(bench.lines("finished"), ["finished Uncommitted"]);
}
