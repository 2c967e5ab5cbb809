//! The thread that makes transactions, and what becomes of asks when it does not answer. The transactions themselves are
//! made on real brokers, in `tests/it`.

use std::time::Duration;

use super::bed::Bed;
use crate::core::{Abort, CommitId, Input, ProducerAsk, ProducerError, TransactionEnd};
use crate::kafka::GroupProtocol::ClassicCooperative;
use crate::kafka::{Bell, TransactionSettings, Transactor};

struct Asker {
    transactor: Transactor,
    bell: Bell,
}

impl Asker {
    fn new(brokers: &str) -> Self {
        let bed = Bed::new(&["t"], 1);
        let mut client = bed.settings("g", ClassicCooperative);
        client.brokers = vec![brokers.to_owned()];
        let settings = TransactionSettings {
            id: "id".to_owned(),
            timeout: Duration::from_secs(1),
        };
        let bell = Bell::default();
        let transactor = Transactor::start(&client, settings, bell.wake()).unwrap();
        Self { transactor, bell }
    }

    fn answers(&mut self) -> Vec<Input<'static>> {
        let mut answers = Vec::new();
        while answers.is_empty() {
            self.bell.wait(Duration::from_secs(1));
            self.transactor.take(&mut answers);
        }
        answers
    }
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

// X1
#[test]
fn a_producer_that_no_broker_answers_is_told_of() {
    let mut asker = Asker::new(NOBODY);
    asker.transactor.make(ProducerAsk(1));
    let answers = asker.answers();
    let [Input::ProducerMade { ask, result }] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(*ask, ProducerAsk(1));
    assert!(
        matches!(result, Err(ProducerError::Transient(_))),
        "{result:?}"
    );
}

// X5
#[test]
fn a_thread_that_does_not_answer_is_left_to_itself() {
    let mut asker = Asker::new(NOBODY);
    asker.transactor.make(ProducerAsk(1));
    asker.transactor.make(ProducerAsk(2));
    let answers = asker.answers();
    let asks = answers.iter().map(|answer| match answer {
        Input::ProducerMade { ask, .. } => ask.0,
        other => panic!("{other:?}"),
    });
    assert_eq!(asks.collect::<Vec<_>>(), [2]);
}

// The fence.
#[test]
fn without_a_client_nothing_is_committed() {
    let mut asker = Asker::new(NOBODY);
    asker
        .transactor
        .transact(None, CommitId(7), &[], Vec::new());
    let mut answers = Vec::new();
    asker.transactor.take(&mut answers);
    let [Input::TransactionDone { request, end }] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(*request, CommitId(7));
    assert!(matches!(end, TransactionEnd::Aborted(Abort::NotMember(_))));
}
