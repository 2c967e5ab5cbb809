use super::super::harness::*;
use super::super::transactions::tests::{away, delivered, transactional, two_delivered};
use super::super::*;

// T6, T7
#[test]
fn what_was_in_an_aborted_transaction_is_delivered_again_from_what_is_committed() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.transaction_answered(TransactionEnd::Committed);
    bench.ack_with("1", 2);
    bench.pass(seconds(1));
    bench.ack_with("2", 3);
    bench.forget();
    bench.transaction_answered(away());
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 3 4 5 Aborted"]);
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [3]"]);
    assert_eq!(bench.lines("read"), ["read 0"]);
    assert_eq!(bench.client[&partition(0)].offset, 1);
    bench.pop("b c d e f");
    assert_eq!(bench.pull(1), "1 2 3 4 5");
}

// O1
#[test]
fn partitions_that_share_outputs_are_committed_together_and_begin_again_together() {
    let mut bench = two_delivered();
    bench.ack_with("0 1/0", 1);
    bench.pass(seconds(1));
    assert_eq!(bench.lines("transact"), ["transact 0@1 1@1 with [1]"]);
    bench.ack_with("1 1/1", 2);
    bench.forget();
    bench.transaction_answered(away());
    assert_eq!(bench.lines("read"), ["read 0 1"]);
}

// T7
#[test]
fn what_begins_again_while_a_transaction_is_out_is_read_when_that_is_settled() {
    for end in [TransactionEnd::Committed, away()] {
        let mut bench = two_delivered();
        bench.ack_with("0", 1);
        bench.pass(seconds(1));
        assert_eq!(bench.lines("transact"), ["transact 0@1 with [1]"]);
        bench.ack_with("1 1/0", 2);
        bench.lose(&[1]);
        bench.forget();
        bench.pass(millis(500));
        assert!(bench.lines("read").is_empty(), "{end:?}");
        bench.transaction_answered(end);
        assert_eq!(bench.lines("read"), ["read 0"]);
    }
}

// T7
#[test]
fn partition_that_is_assigned_again_while_its_transaction_is_out_is_read_when_that_is_settled() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.lose(&[0]);
    bench.assign(&[0]);
    assert!(bench.lines("read").is_empty());
    bench.answers.producers = false;
    bench.transaction_answered(TransactionEnd::Unknown("gone".to_owned()));
    assert!(bench.lines("read").is_empty());
    bench.producer_answered(Ok(()));
    assert_eq!(bench.lines("read"), ["read 0"]);
}

// O4
#[test]
fn lost_partition_takes_shared_outputs_along_and_the_other_begins_again() {
    let mut bench = two_delivered();
    bench.ack_with("0 1/0", 1);
    bench.forget();
    bench.lose(&[1]);
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [1]"]);
    assert_eq!(bench.lines("read"), ["read 0"]);
    assert_eq!(bench.lines("withdrawn 1: 1 Aborted").len(), 1);
    bench.pass(seconds(5));
    assert!(bench.lines("transact").is_empty());
}

#[test]
fn parked_record_stays_parked_when_everything_begins_again() {
    let policy = Policy {
        failures_max: 1,
        then: WhenSpent::Park,
        ..policy()
    };
    let mut bench = delivered(Settings {
        policies: vec![policy; 2],
        ..transactional()
    });
    bench.retry("0");
    bench.ack_with("1", 1);
    bench.pass(seconds(1));
    bench.transaction_answered(away());
    bench.pop("a b c d e f");
    assert_eq!(bench.pull(1), "1 2 3 4 5");
    assert_eq!(bench.status(0).aside, 1);
}
