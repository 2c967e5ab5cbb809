use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::*;
use crate::store::Claim;

/// A store in memory, which others claim from, too.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    stored: BTreeMap<Place, (i64, Option<Position>)>,
    away: bool,
}

impl Shelf {
    fn claim_by_another(&self, place: &Place) {
        self.0
            .lock()
            .unwrap()
            .stored
            .entry(place.clone())
            .or_default()
            .0 += 1;
    }

    fn is_away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn ask<T>(&self, what: impl FnOnce(&mut Inside) -> T) -> Result<T, StoreError> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.away {
            return Err(StoreError::Away("no route".to_owned()));
        }
        Ok(what(&mut inside))
    }
}

impl OffsetStore for Shelf {
    fn claim<'a>(
        &'a mut self,
        places: &'a [Place],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        let claims = self.ask(|inside| {
            let claim = |place: &Place| {
                let (fence, position) = inside.stored.entry(place.clone()).or_default();
                *fence += 1;
                Claim {
                    place: place.clone(),
                    fence: *fence,
                    position: position.clone(),
                }
            };
            places.iter().map(claim).collect()
        });
        async move { claims }.boxed()
    }

    fn metadata<'a>(
        &'a mut self,
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<(Place, String)>, StoreError>> {
        let found = self.ask(|inside| {
            let of_topics = inside
                .stored
                .iter()
                .filter(|(place, _)| topics.contains(&place.topic));
            of_topics
                .filter_map(|(place, (_, position))| {
                    Some((place.clone(), position.clone()?.metadata))
                })
                .collect()
        });
        async move { found }.boxed()
    }

    fn positions<'a>(&'a mut self) -> BoxFuture<'a, Result<Vec<(Place, Position)>, StoreError>> {
        async move { Ok(Vec::new()) }.boxed()
    }

    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Vec<Place>, StoreError>> {
        let written = self.ask(|inside| {
            let mut written = Vec::new();
            for write in writes {
                if let Some((fence, position)) = inside.stored.get_mut(&write.place)
                    && *fence == write.fence
                {
                    *position = Some(write.position.clone());
                    written.push(write.place.clone());
                }
            }
            written
        });
        async move { written }.boxed()
    }
}

fn id(partition: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition,
    }
}

fn place(partition: i32) -> Place {
    Place {
        topic: "orders".to_owned(),
        partition,
    }
}

fn entry(partition: i32, assignment: u64, offset: i64) -> CommitEntry {
    CommitEntry {
        partition: id(partition),
        assignment: Assignment(assignment),
        offset,
        leader_epoch: Some(3),
        metadata: "marks".to_owned(),
    }
}

/// Asks, lets the task work, and takes what was answered.
struct Bench {
    keeper: Keeper,
    task: KeeperTask,
    shelf: Shelf,
}

impl Bench {
    fn new() -> Self {
        let shelf = Shelf::default();
        let wake: Wake = Arc::new(|| {});
        let (keeper, task) = Keeper::new(Box::new(shelf.clone()), &["orders".to_owned()], wake);
        Self {
            keeper,
            task,
            shelf,
        }
    }

    /// The one answer, and what was written.
    fn answer(&mut self) -> (Input<'static>, Vec<CommitEntry>) {
        let pending = self.task.answer_waiting().now_or_never();
        assert_eq!(pending, None, "it goes on waiting for the next question");
        let mut inputs = Vec::new();
        let written = self.keeper.take(&mut inputs);
        assert_eq!(inputs.len(), 1);
        (inputs.remove(0), written)
    }

    fn claim(
        &mut self,
        assignment: u64,
        partition: i32,
    ) -> Result<Option<CommittedOffset>, ReadError> {
        self.keeper
            .claim(&[(Assignment(assignment), id(partition))]);
        let Input::CommittedRead { mut answers, .. } = self.answer().0 else {
            panic!("another answer");
        };
        answers.remove(0).answer
    }

    fn write(&mut self, entries: &[CommitEntry]) -> (Vec<Result<(), CommitError>>, usize) {
        self.keeper.write(CommitId(1), entries);
        let (Input::CommitDone { results, .. }, written) = self.answer() else {
            panic!("another answer");
        };
        (
            results.into_iter().map(|(_, result)| result).collect(),
            written.len(),
        )
    }
}

#[test]
fn what_was_written_is_read_by_the_next_claim() {
    let mut bench = Bench::new();
    assert_eq!(bench.claim(1, 0), Ok(None));
    assert_eq!(bench.write(&[entry(0, 1, 7)]), (vec![Ok(())], 1));
    let read = bench.claim(2, 0).unwrap().unwrap();
    assert_eq!((read.offset, read.leader_epoch), (7, Some(3)));
    assert_eq!(read.metadata, b"marks");
}

#[test]
fn each_partition_has_a_result_of_its_own() {
    let mut bench = Bench::new();
    bench.claim(1, 0).unwrap();
    bench.claim(2, 1).unwrap();
    bench.shelf.claim_by_another(&place(0));
    // Nobody here has claimed the third.
    let (results, written) = bench.write(&[entry(0, 1, 7), entry(1, 2, 8), entry(2, 3, 9)]);
    assert!(
        matches!(results[0], Err(CommitError::Claimed(_))),
        "{results:?}"
    );
    assert_eq!((&results[1], written), (&Ok(()), 1));
    assert!(
        matches!(results[2], Err(CommitError::Claimed(_))),
        "{results:?}"
    );
}

/// Truncations and seeks begin a new assignment without a new claim.
#[test]
fn a_claim_outlives_the_assignment_it_was_made_for() {
    let mut bench = Bench::new();
    bench.claim(1, 0).unwrap();
    assert_eq!(bench.write(&[entry(0, 2, 4)]).0, [Ok(())]);
}

#[test]
fn a_store_that_is_away_is_no_answer_and_says_whose_words_these_are() {
    let mut bench = Bench::new();
    bench.claim(1, 0).unwrap();
    bench.shelf.is_away(true);
    let away = "offset store: no route".to_owned();
    assert_eq!(bench.claim(2, 1), Err(ReadError::Transient(away.clone())));
    assert_eq!(
        bench.write(&[entry(0, 1, 7)]).0,
        [Err(CommitError::Transient(away))]
    );
    bench.shelf.is_away(false);
    assert_eq!(bench.write(&[entry(0, 1, 7)]).0, [Ok(())]);
}

#[test]
fn siblings_are_told_with_a_claim() {
    let mut bench = Bench::new();
    bench.claim(1, 0).unwrap();
    bench.write(&[entry(0, 1, 7)]);
    bench.keeper.claim(&[(Assignment(2), id(1))]);
    let Input::CommittedRead { siblings, .. } = bench.answer().0 else {
        panic!("another answer");
    };
    assert_eq!(siblings, [(id(0), b"marks".to_vec())]);
}

#[test]
fn a_question_too_many_is_answered_at_once() {
    let bench = Bench::new();
    for asked in 0..=WAITING_MAX {
        bench.keeper.claim(&[(Assignment(asked as u64), id(0))]);
    }
    let mut inputs = Vec::new();
    bench.keeper.take(&mut inputs);
    let Input::CommittedRead { answers, .. } = &inputs[0] else {
        panic!("another answer");
    };
    assert!(matches!(answers[0].answer, Err(ReadError::Transient(_))));
}
