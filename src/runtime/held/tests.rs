use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::config::{Config, FlagValue, Sources};
use crate::core::harness::unlimited;
use crate::core::{Effect, Input, StreamId};
use crate::fake::{Cluster, Member, Shape, read_rest};
use crate::runtime::source::Source;

const NANOSECOND: Duration = Duration::from_nanos(1);

/// A core whose one partition flows from a fake cluster of numbered records, and nothing between them but what is tested.
struct Bed {
    core: Core,
    source: Source,
    held: Held,
    store: Store,
    now: Moment,
    assignment: Assignment,
}

impl Bed {
    fn new(records: usize) -> Self {
        let cluster = Arc::new(Cluster::new(Shape {
            group: "g".to_owned(),
            topics: vec!["t".to_owned()],
            partitions: 1,
        }));
        let lines: String = (0..records)
            .map(|number| format!("{{\"value\": \"value {number}\"}}\n"))
            .collect();
        read_rest(&mut lines.as_bytes(), &cluster);
        assert!(cluster.mistakes().is_empty());
        let least = [
            ("kafka.brokers", "none:9092"),
            ("group.id", "g"),
            ("start", "earliest"),
            ("topics", "t"),
        ];
        let sources = Sources {
            flags: least.map(|(key, value)| FlagValue::set(key, value)).into(),
            ..Sources::default()
        };
        let settings = Config::load(&sources).unwrap().core_settings(1);
        let mut bed = Self {
            core: Core::new(settings),
            source: Source::Fake(Member::new(cluster, Arc::new(|| {}))),
            held: Held::default(),
            store: Store::default(),
            now: Moment(1),
            assignment: Assignment(0),
        };
        let open = Input::StreamOpened {
            stream: StreamId(1),
            entropy: 1,
            open: unlimited(),
        };
        bed.handle(open);
        bed.source.subscribe(&[]).unwrap();
        for _ in 0..20 {
            bed.poll();
        }
        let status = bed.core.status();
        assert!(status.partitions[0].frontier.is_some(), "{status:?}");
        bed.assignment = status.partitions[0].assignment;
        bed
    }

    /// Gives the core an input, and the source what follows.
    fn handle(&mut self, input: Input<'static>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.core.handle(self.now, input, &mut effects);
            for effect in effects {
                self.source.ask(&effect).unwrap();
                if let Effect::FreeAssignment(assignment) = effect {
                    self.held.forget(assignment);
                }
            }
        }
    }

    fn poll(&mut self) {
        self.now = self.now.plus(Duration::from_micros(1));
        let mut inputs = Vec::new();
        self.source.poll(self.now, &mut inputs);
        for input in inputs {
            self.handle(input);
        }
        self.handle(Input::Tick);
    }

    /// Pops so many records and holds them.
    fn pop(&mut self, records: usize) {
        let mut batch = self.held.spare();
        let popped = self.source.pop(&mut batch.batch, records, false);
        assert_eq!(popped, records);
        let mut effects = Vec::new();
        let runs = batch.batch.popped_runs();
        let input = Input::Popped { runs: &runs };
        self.core.handle(self.now, input, &mut effects);
        drop(runs);
        self.held.hold(batch, &self.core, self.now, &mut self.store);
    }

    /// Whether a record is given out.
    fn takes(&mut self, number: u64) -> bool {
        self.held
            .take(self.assignment, RecordNumber(number))
            .is_some()
    }

    fn has_copy(&self, number: u64) -> bool {
        let body = self.store.body(self.assignment, RecordNumber(number));
        body.is_some_and(|body| {
            let value = format!("value {number}");
            body.windows(value.len())
                .any(|some| some == value.as_bytes())
        })
    }

    fn later(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.held.release_old(self.now, &self.core, &mut self.store);
    }
}

// H1
#[test]
fn a_record_is_taken_once_and_its_batch_goes_with_the_last_one() {
    let mut bed = Bed::new(3);
    bed.pop(3);
    assert!(bed.takes(1) && bed.takes(0));
    assert!(!bed.takes(1) && !bed.takes(3));
    bed.held.free_empty();
    assert!(bed.held.due().is_some(), "one is left");
    assert!(bed.takes(2));
    bed.held.free_empty();
    assert!(bed.held.due().is_none());
    assert!(!bed.takes(2));
}

// H2
#[test]
fn what_waits_in_a_batch_that_gets_old_is_copied_and_what_was_taken_is_not() {
    let mut bed = Bed::new(5);
    bed.pop(2);
    assert!(bed.takes(0));
    bed.later(HELD_FOR / 2);
    bed.pop(3);
    bed.later(HELD_FOR / 2 - NANOSECOND);
    assert!(!bed.has_copy(1), "not old enough");
    bed.later(NANOSECOND);
    assert!(bed.has_copy(1) && !bed.has_copy(0));
    assert!(!bed.takes(1), "it is in the store now");
    assert!(bed.takes(2), "the younger batch is held");
    bed.held.release_all(&bed.core, &mut bed.store);
    assert!(bed.held.due().is_none());
    assert!(bed.has_copy(3) && bed.has_copy(4) && !bed.has_copy(2));
}

// H2
#[test]
fn no_more_batches_are_held_than_there_may_be() {
    let mut bed = Bed::new(BATCHES_MAX + 2);
    for _ in 0..BATCHES_MAX {
        bed.pop(1);
    }
    assert!(!bed.has_copy(0));
    bed.pop(1);
    assert!(bed.has_copy(0) && !bed.has_copy(1));
    bed.pop(1);
    assert!(bed.has_copy(1) && !bed.has_copy(2));
    assert!(bed.takes(BATCHES_MAX as u64 + 1));
}

// H3
#[test]
fn records_of_an_assignment_that_ended_are_given_to_nobody() {
    let mut bed = Bed::new(2);
    bed.pop(2);
    bed.held.forget(bed.assignment);
    assert!(!bed.takes(0) && !bed.takes(1));
    assert!(bed.held.due().is_none());
}
