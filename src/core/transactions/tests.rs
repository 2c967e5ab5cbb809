use super::super::harness::*;
use super::super::*;

pub(in crate::core) fn transactional() -> Settings {
    Settings {
        transactions: Some(TransactionLimits {
            records_max: 100,
            bytes_max: 10_000,
        }),
        ..settings()
    }
}

fn unhurried() -> Settings {
    Settings {
        commit_interval: seconds(3),
        ..transactional()
    }
}

pub(in crate::core) fn delivered(settings: Settings) -> Bench {
    let mut bench = Bench::flowing(settings);
    bench.pop("a b c d e f");
    bench.pull(1);
    bench.forget();
    bench.answers.commits = false;
    bench
}

pub(in crate::core) fn two_delivered() -> Bench {
    let mut bench = Bench::flowing(transactional());
    bench.assign(&[1]);
    bench.pop("a b");
    bench.pop_on(partition(1), "c d");
    assert_eq!([bench.pull(1), bench.pull(1)], ["0 1", "1/0 1/1"]);
    bench.forget();
    bench.answers.commits = false;
    bench
}

pub(in crate::core) fn away() -> TransactionEnd {
    TransactionEnd::Aborted(Abort::Transient("away".to_owned()))
}

/// The next transaction has no effect, and what was in it is read again. Returns what is delivered then.
pub(super) fn abort_next(bench: &mut Bench) -> String {
    while bench.transactions.is_empty() {
        bench.pass(millis(100));
    }
    bench.transaction_answered(away());
    bench.pop("a b c d e f");
    bench.pull(1)
}

fn refused(outputs: u64) -> TransactionEnd {
    let words = "too large".to_owned();
    TransactionEnd::Aborted(Abort::Refused(vec![(OutputsId(outputs), words)]))
}

// T1, O2
#[test]
fn transaction_carries_what_was_returned_with_what_it_covers_in_the_order_of_acknowledgements() {
    let mut bench = delivered(unhurried());
    bench.ack_with("3", 1);
    bench.ack_with("0", 2);
    bench.ack("1");
    bench.pass(seconds(1));
    assert_eq!(bench.lines("transact"), ["transact 0@2+3..4 with [1, 2]"]);
}

// T2
#[test]
fn one_transaction_is_out_and_what_is_acknowledged_meanwhile_goes_with_the_next() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.ack_with("1", 2);
    bench.pass(seconds(3));
    assert_eq!(bench.lines("transact"), ["transact 0@1 with [1]"]);
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("transact"), ["transact 0@2 with [2]"]);
}

#[test]
fn as_many_outputs_as_a_transaction_may_have_end_the_wait_for_it() {
    let mut bench = delivered(Settings {
        transactions: Some(TransactionLimits {
            records_max: 2,
            bytes_max: 10_000,
        }),
        ..unhurried()
    });
    bench.ack_with("0", 1);
    assert!(bench.lines("transact").is_empty());
    bench.ack_with("1", 2);
    assert_eq!(bench.lines("transact"), ["transact 0@2 with [1, 2]"]);
}

#[test]
fn nothing_is_delivered_while_outputs_hold_more_than_twice_what_a_transaction_may() {
    let mut bench = delivered(Settings {
        transactions: Some(TransactionLimits {
            records_max: 100,
            bytes_max: 100,
        }),
        ..transactional()
    });
    for (name, outputs) in [("0", 1), ("1", 2), ("2", 3)] {
        bench.ack_with(name, outputs);
    }
    bench.pop("g");
    assert_eq!(bench.pull(1), "");
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.serve(), "6");
}

// I-S8
#[test]
fn waiting_caller_hears_of_the_commit_when_the_transaction_has_ended() {
    let mut bench = delivered(transactional());
    bench.ack_and_wait("0", 1);
    assert!(bench.lines("awaited").is_empty());
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("awaited"), ["awaited 1 true"]);
    bench.ack_and_wait("1", 2);
    bench.transaction_answered(away());
    assert_eq!(bench.lines("awaited"), ["awaited 2 false"]);
}

#[test]
fn settlement_with_outputs_is_applied_whole_or_not_at_all() {
    let mut bench = delivered(unhurried());
    bench.retry("5");
    assert_eq!(bench.ack_with("4 5", 1), ["conflict 5"]);
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [1]"]);
    assert_eq!(bench.ack_with("4", 2), Vec::<String>::new());
    bench.ack_with("0", 3);
    assert_eq!(bench.ack_with("0 1", 4), ["conflict 0"]);
    assert!(bench.ack_with("1", 5).is_empty());
    bench.pass(seconds(1));
    assert_eq!(
        bench.lines("transact"),
        ["transact 0@2+4..5 with [2, 3, 5]"]
    );
}

#[test]
fn same_settlement_again_is_accepted_and_makes_no_second_output() {
    let mut bench = delivered(transactional());
    bench.ack_with("0 1", 1);
    assert!(bench.ack_with("0 1", 2).is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [2]"]);
    assert_eq!(bench.lines("transact"), ["transact 0@2 with [1]"]);
}

// I-E3
#[test]
fn after_an_end_that_is_not_known_the_next_producer_comes_before_anything_is_read_or_sent() {
    let mut bench = two_delivered();
    bench.answers.producers = false;
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.forget();
    bench.transaction_answered(TransactionEnd::Unknown("timed out".to_owned()));
    assert_eq!(bench.lines("make producer"), ["make producer 2"]);
    bench.ack_with("1/0", 2);
    bench.pass(seconds(5));
    assert!(bench.lines("transact").is_empty());
    assert!(bench.lines("read").is_empty());
    bench.producer_answered(Ok(()));
    assert_eq!(bench.lines("read"), ["read 0"]);
    assert_eq!(bench.lines("transact"), ["transact 1@1 with [2]"]);
}

#[test]
fn fenced_producer_is_made_again_after_a_wait_that_grows() {
    let mut bench = two_delivered();
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.answers.producers = false;
    bench.forget();
    bench.transaction_answered(TransactionEnd::Fenced("another".to_owned()));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before = bench.now;
        while bench.producers.is_empty() {
            bench.pass(millis(100));
        }
        waits.push(bench.now.since(before));
        let fenced = ProducerError::Fenced("another".to_owned());
        bench.producer_answered(Err(fenced));
    }
    assert!(
        waits[0] >= millis(500) && waits[0] <= millis(1100),
        "{waits:?}"
    );
    assert!(
        waits[7] >= seconds(30) && waits[7] <= seconds(61),
        "{waits:?}"
    );
    assert!(bench.lines("transact").is_empty());
}

// T3
#[test]
fn late_result_changes_nothing_for_an_assignment_that_ended() {
    let mut bench = two_delivered();
    bench.ack_with("0", 1);
    bench.ack_with("1/0", 2);
    bench.pass(seconds(1));
    bench.lose(&[0]);
    bench.forget();
    bench.transaction_answered(away());
    assert_eq!(bench.lines("read"), ["read 1"]);
}

#[test]
fn revocation_waits_for_the_transaction_that_is_out_and_makes_a_last_one() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.ack_with("1 2 3 4 5", 2);
    bench.forget();
    bench.revoke(&[0]);
    assert!(bench.rebalancing);
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("transact"), ["transact 0@6 with [2]"]);
    bench.transaction_answered(TransactionEnd::Committed);
    assert!(!bench.rebalancing);
    assert_eq!(bench.broker[&partition(0)].offset, 6);
}

#[test]
fn revocation_is_answered_though_the_transaction_is_not() {
    let mut bench = delivered(transactional());
    bench.ack_with("0 1 2 3 4 5", 1);
    bench.revoke(&[0]);
    bench.pass(seconds(3));
    assert!(!bench.rebalancing);
    bench.transaction_answered(TransactionEnd::Committed);
    assert!(bench.core.owned().is_empty());
}

// T8
#[test]
fn record_whose_output_is_refused_fails_and_is_given_up_at_last_while_others_do_not() {
    let policy = Policy {
        failures_max: 2,
        then: WhenSpent::Park,
        ..policy()
    };
    let mut bench = delivered(Settings {
        policies: vec![policy; 2],
        ..transactional()
    });
    bench.ack_with("0", 1);
    bench.ack_with("1", 2);
    bench.pass(seconds(1));
    bench.forget();
    bench.transaction_answered(refused(1));
    assert_eq!(bench.lines("event OutputRefused").len(), 1);
    bench.pop("a b c d e f");
    assert_eq!(bench.pull(1), "1 2 3 4 5");
    bench.pass(seconds(1));
    assert_eq!(bench.serve(), "0*2");
    bench.ack_with("0", 3);
    bench.pass(seconds(1));
    bench.transaction_answered(refused(3));
    bench.pop("a b c d e f");
    bench.pass(millis(1));
    assert_eq!(bench.lines("event Parked").len(), 1);
    assert_eq!(bench.serve(), "1 2 3 4 5");
    bench.ack_with("1 2 3 4 5", 4);
    bench.pass(seconds(1));
    assert_eq!(bench.lines("transact").len(), 2);
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.broker[&partition(0)].offset, 0);
}

#[test]
fn dead_letter_goes_out_with_the_transaction_that_commits_its_record() {
    let mut bench = delivered(transactional());
    bench.answers.dead_letters = None;
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    let (assignment, number) = bench.letters.pop_front().expect("a letter");
    let outputs = NewOutputs {
        id: OutputsId(7),
        records: 1,
        bytes: 10,
    };
    bench.input(Input::DeadLetterHeld {
        assignment,
        number,
        outputs,
    });
    bench.pass(seconds(1));
    assert_eq!(bench.lines("transact"), ["transact 0@1 with [7]"]);
    assert!(bench.lines("event DeadLettered").is_empty());
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("event DeadLettered").len(), 1);
}

#[test]
fn dead_letter_that_is_refused_parks_its_record() {
    let mut bench = delivered(transactional());
    bench.answers.dead_letters = None;
    bench.settle(&[(Outcome::DeadLetter, "0")]);
    let (assignment, number) = bench.letters.pop_front().expect("a letter");
    let outputs = NewOutputs {
        id: OutputsId(7),
        records: 1,
        bytes: 10,
    };
    bench.input(Input::DeadLetterHeld {
        assignment,
        number,
        outputs,
    });
    bench.pass(seconds(1));
    bench.transaction_answered(refused(7));
    bench.pop("a b c d e f");
    bench.pass(millis(1));
    assert_eq!(bench.lines("event Parked").len(), 1);
    assert_eq!(bench.serve(), "1 2 3 4 5");
}

// Seeks
#[test]
fn seek_waits_for_what_is_under_way_and_nothing_new_is_delivered_meanwhile() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.input(Input::Operate(Operation::Seek {
        ask: AskId(1),
        partition: partition(0),
        target: SeekTarget::Offset(50),
    }));
    assert!(bench.lines("sought").is_empty());
    bench.pop("g");
    assert_eq!(bench.pull(1), "");
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("sought"), ["sought 1: Some(1) -> 50"]);
}

#[test]
fn seek_is_refused_when_the_transaction_that_it_waits_for_is_aborted() {
    let mut bench = delivered(transactional());
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.input(Input::Operate(Operation::Seek {
        ask: AskId(1),
        partition: partition(0),
        target: SeekTarget::Offset(50),
    }));
    bench.transaction_answered(away());
    assert_eq!(bench.lines("sought"), ["sought 1: Aborted"]);
}

#[test]
fn log_that_was_cut_begins_again_at_what_is_committed_while_outputs_wait() {
    let mut bench = delivered(unhurried());
    bench.ack_with("0 1 2", 1);
    bench.forget();
    bench.fetch_failed(0, FetchError::Truncated { end: 2 });
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [1]"]);
    assert_eq!(bench.lines("read"), ["read 0"]);
    assert_eq!(bench.client[&partition(0)].offset, 0);
}

// T9
#[test]
fn after_three_transactions_without_effect_nothing_is_delivered_before_one_succeeds() {
    let mut bench = delivered(transactional());
    for outputs in 1..=3 {
        bench.ack_with("0", outputs);
        let got = abort_next(&mut bench);
        assert_eq!(got.is_empty(), outputs == 3, "{got}");
    }
    while bench.transactions.is_empty() {
        bench.pass(millis(100));
    }
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.serve(), "0 1 2 3 4 5");
}

#[test]
fn shutdown_waits_for_the_last_transaction() {
    let mut bench = delivered(transactional());
    bench.ack_with("0 1 2 3 4 5", 1);
    bench.shut_down(seconds(5));
    assert_eq!(bench.lines("transact"), ["transact 0@6 with [1]"]);
    assert!(bench.lines("leave").is_empty());
    bench.transaction_answered(TransactionEnd::Committed);
    assert_eq!(bench.lines("leave"), ["leave"]);
}

#[test]
fn broker_that_takes_less_metadata_is_given_less() {
    let mut bench = delivered(transactional());
    bench.ack_with("1 3 5", 1);
    bench.pass(seconds(1));
    bench.transaction_answered(TransactionEnd::Aborted(Abort::MetadataTooLarge));
    assert!(bench.core.settings.commit_metadata_max < transactional().commit_metadata_max);
    assert_eq!(bench.lines("event MetadataLimited").len(), 1);
}

#[test]
fn broker_is_given_no_less_metadata_than_it_once_took() {
    let mut bench = delivered(transactional());
    bench.ack_with("1", 1);
    bench.pass(seconds(1));
    bench.transaction_answered(TransactionEnd::Committed);
    let mut committed = bench.core.assignments.values();
    let taken = committed.find_map(|state| Some(state.committed.as_ref()?.metadata.len()));
    bench.retry("2");
    bench.ack_with("3", 2);
    bench.pass(seconds(1));
    bench.transaction_answered(TransactionEnd::Aborted(Abort::MetadataTooLarge));
    assert_eq!(Some(bench.core.settings.commit_metadata_max), taken);
}

// T1
#[test]
fn partition_whose_marks_do_not_fit_is_left_out_with_whoever_shares_outputs_with_it() {
    let mut bench = two_delivered();
    bench.core.settings.commit_metadata_max = 60;
    bench.ack_with("1 1/0", 1);
    bench.pass(seconds(2));
    assert!(bench.lines("transact").is_empty());
    assert_eq!(bench.lines("event MarksTooLarge").len(), 1);
    bench.ack_with("0", 2);
    bench.pass(seconds(1));
    assert_eq!(bench.lines("transact"), ["transact 0@2 1@1 with [1, 2]"]);
}

#[test]
fn partition_that_waits_for_a_record_which_too_many_outputs_hold_up_begins_again() {
    let mut bench = delivered(Settings {
        transactions: Some(TransactionLimits {
            records_max: 100,
            bytes_max: 100,
        }),
        ..transactional()
    });
    bench.core.settings.commit_metadata_max = 60;
    for (name, outputs) in [("1", 1), ("3", 2), ("5", 3)] {
        bench.ack_with(name, outputs);
        bench.pass(seconds(2));
    }
    assert_eq!(bench.lines("drop outputs"), ["drop outputs [1, 2, 3]"]);
    assert_eq!(bench.lines("read"), ["read 0"]);
}
