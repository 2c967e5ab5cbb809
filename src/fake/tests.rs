use std::sync::Arc;

use super::line;
use super::mistake::Place;
use super::{Batch, Cluster, Member, Shape};
use crate::core::{
    Assignment, CommitEntry, CommitId, DeliveryId, Fetch, FetchStart, FramePlan, Input, Moment,
    PartitionId, Planned, RecordNumber, TopicIndex,
};

const PARTITION: PartitionId = PartitionId {
    topic: TopicIndex(0),
    partition: 0,
};

/// A member that reads partition 0 of a cluster of these lines, as the core would let it.
struct Bed {
    cluster: Arc<Cluster>,
    member: Member,
    batch: Batch,
    now: u64,
}

impl Bed {
    fn new(lines: &[&str]) -> Self {
        let cluster = Arc::new(Cluster::new(Shape {
            group: "g".to_owned(),
            topics: vec!["t".to_owned()],
            partitions: 1,
        }));
        for text in lines {
            let place = Place {
                file: "f".to_owned(),
                line: 1,
            };
            let line = line::read(text.as_bytes()).unwrap();
            cluster.place(place, line).unwrap();
        }
        cluster.end_input();
        let mut bed = Self {
            member: Member::new(Arc::clone(&cluster), Arc::new(|| {})),
            cluster,
            batch: Batch::default(),
            now: 0,
        };
        bed.member.join();
        let told = bed.poll();
        assert!(matches!(told[1], Input::GroupAssigned { .. }), "{told:?}");
        bed.member.assign(&[], true);
        bed.start(1, 0);
        bed
    }

    /// A second passes.
    fn poll(&mut self) -> Vec<Input<'static>> {
        self.now += 1_000_000_000;
        let mut inputs = Vec::new();
        self.member.poll(Moment(self.now), &mut inputs);
        inputs
    }

    fn start(&mut self, assignment: u64, offset: i64) {
        let start = FetchStart {
            partition: PARTITION,
            assignment: Assignment(assignment),
            fetch: Fetch(assignment),
            offset,
            leader_epoch: None,
        };
        self.member.assign(&[start], false);
    }

    /// Pops all there is, and delivers it.
    fn deliver(&mut self, assignment: u64) -> usize {
        let first = self.member.pop(&mut self.batch, 1_000, false, |_| 1);
        let records = (0..first).map(|number| Planned {
            number: RecordNumber(number as u64),
            attempt: 1,
        });
        self.member.delivered(&FramePlan {
            partition: PARTITION,
            assignment: Assignment(assignment),
            first_id: DeliveryId(1),
            records: records.collect(),
            keep: true,
        });
        first
    }

    /// Whether a commit succeeds.
    fn commit(&mut self, assignment: u64, offset: i64) -> bool {
        let entry = CommitEntry {
            partition: PARTITION,
            assignment: Assignment(assignment),
            offset,
            leader_epoch: None,
            metadata: String::new(),
        };
        self.member.commit(CommitId(1), &[entry]);
        let told = self.poll();
        let Some(Input::CommitDone { results, .. }) = told.first() else {
            panic!("{told:?}");
        };
        results[0].1.is_ok()
    }
}

const RECORD: &str = "{}";

#[test]
fn records_beyond_a_step_wait_for_it() {
    let step = r#"{"do": "revoke", "partition": 0, "after_delivered": 2}"#;
    let mut bed = Bed::new(&[RECORD, RECORD, RECORD, step]);
    assert_eq!(bed.deliver(1), 2, "X2");
    let told = bed.poll();
    assert!(matches!(told[..], [Input::GroupRevoked { .. }]), "{told:?}");
    assert_eq!(bed.deliver(1), 1);
}

#[test]
fn a_rebalance_waits_for_the_answer_to_the_one_before() {
    let steps = [
        r#"{"do": "revoke", "partition": 0, "after_delivered": 1}"#,
        r#"{"do": "lose", "partition": 0, "after_delivered": 1}"#,
    ];
    let mut bed = Bed::new(&[RECORD, steps[0], steps[1]]);
    bed.deliver(1);
    let told = bed.poll();
    assert!(matches!(told[..], [Input::GroupRevoked { .. }]), "{told:?}");
    assert!(bed.poll().is_empty(), "X3");
    bed.member.unassign(&[PARTITION], true);
    let told = bed.poll();
    assert!(
        matches!(told[..], [Input::GroupAssigned { .. }]),
        "{told:?}"
    );
    bed.member.assign(&[], true);
    let told = bed.poll();
    assert!(matches!(told[..], [Input::GroupLost { .. }]), "{told:?}");
}

#[test]
fn what_was_taken_away_is_not_committed() {
    let step = r#"{"do": "lose", "partition": 0, "after_delivered": 1}"#;
    let mut bed = Bed::new(&[RECORD, RECORD, step]);
    bed.deliver(1);
    bed.poll();
    assert!(!bed.commit(1, 1), "X4");
    bed.member.unassign(&[PARTITION], true);
    assert!(!bed.commit(1, 1), "X4");
}

#[test]
fn another_assignment_commits_nothing() {
    let mut bed = Bed::new(&[RECORD]);
    assert!(!bed.commit(7, 1), "X4");
    assert!(bed.commit(1, 1));
    assert!(bed.cluster.is_settled(), "X1");
}

#[test]
fn nothing_is_settled_while_a_step_is_due() {
    let step = r#"{"do": "redeliver", "partition": 0, "offset": 0}"#;
    let mut bed = Bed::new(&[RECORD, RECORD, step]);
    bed.deliver(1);
    assert!(bed.commit(1, 2));
    assert!(!bed.cluster.is_settled(), "offset 0 comes again");
    bed.member.unassign(&[PARTITION], true);
    bed.poll();
    bed.poll();
    bed.member.assign(&[], true);
    bed.start(2, 0);
    assert_eq!(bed.deliver(2), 2);
    assert!(bed.commit(2, 2));
    assert!(bed.cluster.is_settled());
}

#[test]
fn offsets_have_gaps_and_never_go_back() {
    let mut bed = Bed::new(&[r#"{"offset": 5}"#, RECORD, r#"{"offset": 9}"#]);
    bed.deliver(1);
    let offsets: Vec<i64> = bed.batch.popped_runs()[0]
        .records
        .iter()
        .map(|record| record.offset)
        .collect();
    assert_eq!(offsets, [5, 6, 9]);
    let place = Place {
        file: "f".to_owned(),
        line: 4,
    };
    let line = line::read(br#"{"offset": 9}"#).unwrap();
    let fault = bed.cluster.place(place, line).unwrap_err();
    assert_eq!(
        (fault.key, fault.remedy.as_str()),
        ("offset", "write 10 or more, or leave it out")
    );
}

#[test]
fn commits_fail_as_often_as_the_script_says() {
    let mut bed = Bed::new(&[RECORD, r#"{"do": "commit_fails", "times": 2}"#]);
    bed.poll();
    let answers = [bed.commit(1, 1), bed.commit(1, 1), bed.commit(1, 1)];
    assert_eq!(answers, [false, false, true]);
}
