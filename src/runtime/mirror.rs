//! Copies of positions in the consumer group, when they are kept elsewhere: tools that compute lag look for them there.
//!
//! A copy is never read back. One that fails is tried again with the newest position; nothing waits for it.
//!
//! # Invariants
//!
//! - What is copied was written to the store before.
//! - One request is out at a time, and the newest position of each partition goes with the next.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::{CommitEntry, CommitError, CommitId, Input, Moment, PartitionId};

/// Numbers from here on are ours; the core counts from zero.
const FIRST: u64 = 1 << 63;

/// How long after a failure the next request goes.
const TRY_AFTER: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    requests: u64,
    outstanding: Option<(CommitId, Vec<CommitEntry>)>,
    /// Written to the store, and not copied.
    waiting: BTreeMap<PartitionId, CommitEntry>,
    not_before: Moment,
    /// A failure was told, and no success since.
    failing: bool,
}

impl Mirror {
    /// Positions that were written to the store.
    pub(super) fn add(&mut self, written: impl IntoIterator<Item = CommitEntry>) {
        let written = written.into_iter();
        self.waiting
            .extend(written.map(|entry| (entry.partition, entry)));
    }

    /// What is to be committed now, if anything is.
    pub(super) fn next(&mut self, now: Moment) -> Option<(CommitId, Vec<CommitEntry>)> {
        if self.outstanding.is_some() || self.waiting.is_empty() || now < self.not_before {
            return None;
        }
        let entries: Vec<CommitEntry> = std::mem::take(&mut self.waiting).into_values().collect();
        let request = (CommitId(FIRST + self.requests), entries);
        self.requests += 1;
        self.outstanding = Some(request.clone());
        Some(request)
    }

    /// Takes the answers to our requests out of `inputs`. Returns what failed, if it has not failed before.
    pub(super) fn take_answers(
        &mut self,
        inputs: &mut Vec<Input<'static>>,
        now: Moment,
    ) -> Option<String> {
        let mut news = None;
        inputs.retain(|input| {
            let Input::CommitDone { request, results } = input else {
                return true;
            };
            if request.0 >= FIRST {
                let errors = results.iter();
                let errors = errors.filter_map(|(_, result)| result.as_ref().err());
                news = self.answered(*request, errors, now).or(news.take());
            }
            request.0 < FIRST
        });
        news
    }

    fn answered<'a>(
        &mut self,
        request: CommitId,
        errors: impl Iterator<Item = &'a CommitError>,
        now: Moment,
    ) -> Option<String> {
        let (_, entries) = self.outstanding.take_if(|(sent, _)| *sent == request)?;
        // A partition that has moved is copied by whoever has it now.
        let mut failures = errors.filter(|error| !matches!(error, CommitError::NotMember(_)));
        let Some(first) = failures.next() else {
            self.failing = false;
            return None;
        };
        self.wait_again(entries);
        self.not_before = now.plus(TRY_AFTER);
        (!std::mem::replace(&mut self.failing, true)).then(|| first.words().to_owned())
    }

    /// The client that was asked is gone.
    pub(super) fn client_is_gone(&mut self) {
        if let Some((_, entries)) = self.outstanding.take() {
            self.wait_again(entries);
        }
    }

    /// What came later stands.
    fn wait_again(&mut self, entries: Vec<CommitEntry>) {
        for entry in entries {
            self.waiting.entry(entry.partition).or_insert(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Assignment, LeaderEpoch, TopicIndex};

    fn entry(partition: i32, offset: i64) -> CommitEntry {
        CommitEntry {
            partition: PartitionId {
                topic: TopicIndex(0),
                partition,
            },
            assignment: Assignment(1),
            offset,
            leader_epoch: LeaderEpoch::default(),
            metadata: String::new(),
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(seconds))
    }

    fn done(request: CommitId, result: Result<(), CommitError>) -> Input<'static> {
        Input::CommitDone {
            request,
            results: vec![(Assignment(1), result)],
        }
    }

    #[test]
    fn the_newest_position_goes_when_the_last_request_is_answered() {
        let mut mirror = Mirror::default();
        mirror.add([entry(0, 5), entry(1, 3)]);
        let (first, entries) = mirror.next(at(0)).unwrap();
        assert_eq!(entries, [entry(0, 5), entry(1, 3)]);
        mirror.add([entry(0, 6)]);
        mirror.add([entry(0, 7)]);
        assert!(mirror.next(at(0)).is_none(), "one request at a time");
        assert_eq!(
            mirror.take_answers(&mut vec![done(first, Ok(()))], at(0)),
            None
        );
        assert_eq!(mirror.next(at(0)).unwrap().1, [entry(0, 7)]);
    }

    #[test]
    fn a_failure_is_told_once_and_tried_again_with_what_is_newest() {
        let mut mirror = Mirror::default();
        let away = || Err(CommitError::Transient("away".to_owned()));
        mirror.add([entry(0, 5), entry(1, 3)]);
        let (request, _) = mirror.next(at(0)).unwrap();
        mirror.add([entry(0, 6)]);
        let told = mirror.take_answers(&mut vec![done(request, away())], at(1));
        assert_eq!(told.as_deref(), Some("away"));
        assert!(mirror.next(at(5)).is_none());
        let (request, entries) = mirror.next(at(6)).unwrap();
        assert_eq!(entries, [entry(0, 6), entry(1, 3)]);
        let told = mirror.take_answers(&mut vec![done(request, away())], at(6));
        assert_eq!(told, None, "told before");
        let (request, _) = mirror.next(at(11)).unwrap();
        mirror.take_answers(&mut vec![done(request, Ok(()))], at(11));
        mirror.add([entry(0, 9)]);
        let (request, _) = mirror.next(at(11)).unwrap();
        let told = mirror.take_answers(&mut vec![done(request, away())], at(11));
        assert_eq!(told.as_deref(), Some("away"), "it had worked since");
    }

    #[test]
    fn a_partition_that_moved_is_left_to_its_new_owner() {
        let mut mirror = Mirror::default();
        mirror.add([entry(0, 5)]);
        let (request, _) = mirror.next(at(0)).unwrap();
        let moved = Err(CommitError::NotMember("the partition moved".to_owned()));
        assert_eq!(
            mirror.take_answers(&mut vec![done(request, moved)], at(0)),
            None
        );
        assert!(mirror.next(at(60)).is_none());
    }

    #[test]
    fn what_a_client_took_with_it_goes_to_the_next() {
        let mut mirror = Mirror::default();
        mirror.add([entry(0, 5)]);
        let (request, _) = mirror.next(at(0)).unwrap();
        mirror.client_is_gone();
        assert_eq!(mirror.next(at(0)).unwrap().1, [entry(0, 5)]);
        mirror.take_answers(&mut vec![done(request, Ok(()))], at(0));
        assert!(
            mirror.outstanding.is_some(),
            "that was the answer of the first"
        );
    }

    #[test]
    fn answers_of_the_core_stay() {
        let mut mirror = Mirror::default();
        let mut inputs = vec![done(CommitId(0), Ok(())), Input::GroupLeft];
        mirror.take_answers(&mut inputs, at(0));
        assert_eq!(inputs.len(), 2);
    }
}
