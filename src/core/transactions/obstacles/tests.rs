use super::super::tests::{abort_next, delivered, transactional};
use crate::core::harness::*;
use crate::core::*;

fn explained(bench: &Bench) -> (Option<Blocked>, Vec<Obstacle>) {
    let explained = bench.core.explain(Scope::Partition(partition(0)));
    let first = explained.first().expect("it is assigned").clone();
    (first.status.blocked, first.causes)
}

#[test]
fn partition_says_that_it_waits_for_a_producer_and_why_there_is_none() {
    let mut bench = delivered(transactional());
    bench.answers.producers = false;
    bench.ack_with("0", 1);
    bench.pass(seconds(1));
    bench.transaction_answered(TransactionEnd::Unknown("gone".to_owned()));
    let (blocked, causes) = explained(&bench);
    assert_eq!(blocked, Some(Blocked::ProducerAwaited));
    let none_yet = Obstacle::ProducerAwaited {
        fenced: false,
        error: None,
    };
    assert_eq!(causes[..1], [none_yet]);
    bench.producer_answered(Err(ProducerError::Fenced("taken".to_owned())));
    let (blocked, causes) = explained(&bench);
    assert_eq!(blocked, Some(Blocked::ProducerAwaited));
    let taken = Obstacle::ProducerAwaited {
        fenced: true,
        error: Some("taken".to_owned()),
    };
    assert_eq!(causes[..1], [taken]);
}

#[test]
fn partition_says_that_transactions_have_no_effect() {
    let mut bench = delivered(transactional());
    for outputs in 1..=3 {
        bench.ack_with("0", outputs);
        abort_next(&mut bench);
    }
    let (blocked, causes) = explained(&bench);
    assert_eq!(blocked, Some(Blocked::TransactionsFailing));
    let failing = |cause: &Obstacle| matches!(cause, Obstacle::TransactionsFailing { error, .. } if error == "away");
    assert!(causes.iter().any(failing), "{causes:?}");
}

#[test]
fn partition_says_that_too_many_outputs_wait() {
    let mut bench = delivered(Settings {
        transactions: Some(TransactionLimits {
            records_max: 100,
            bytes_max: 100,
        }),
        ..transactional()
    });
    for (name, outputs) in [("0", 1), ("1", 2), ("2", 3)] {
        assert!(!bench.core.holds_too_many_outputs());
        bench.ack_with(name, outputs);
    }
    assert!(bench.core.holds_too_many_outputs());
    let (blocked, causes) = explained(&bench);
    assert_eq!(blocked, Some(Blocked::OutputsFull));
    let full = |cause: &Obstacle| matches!(cause, Obstacle::OutputsFull { max: 200, .. });
    assert!(causes.iter().any(full), "{causes:?}");
}
