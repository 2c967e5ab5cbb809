//! The books of a scenario, kept outside of the sidecar: what was written to the log, what was delivered, what the
//! application acknowledged, and what the sidecar answered as accepted.
//!
//! The checks carry the names of the invariants in `docs/failures.md`:
//!
//! - I-S1: an offset is committed only after every record below it was acknowledged.
//! - I-S2: committed offsets of a partition never go back.
//! - I-S5: every record is finished in the end.
//! - I-S6: what was accepted is not delivered again.
//! - I-S7: what is delivered is what was written, byte for byte, and nothing of an aborted transaction.
//! - I-B3: a crash repeats no more than what was in flight and what no commit covered.
//! - I-O1: within an assignment, a stream sees first deliveries of a partition with rising offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::committed::Commit;
use super::topic::now_ms;
use super::until;

/// How long after a crash the application may still find answers that were sent before it.
const ON_THE_WAY_MS: i64 = 1000;

/// One record's place in Kafka.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What a record holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp_ms: i64,
}

impl Logged {
    /// A record that no other number equals.
    pub(crate) fn numbered(number: i32) -> Self {
        Self {
            key: Some(format!("key-{}", number % 97).into_bytes()),
            value: Some(format!("value-{number}").into_bytes()),
            headers: vec![("number".to_owned(), Some(number.to_be_bytes().to_vec()))],
            // Close to now: retention goes by what the producer says.
            timestamp_ms: now_ms() - i64::from(number % 1000),
        }
    }

    /// The text of a header; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        let value = found.and_then(|(_, value)| value.clone());
        String::from_utf8(value.unwrap_or_default()).unwrap()
    }
}

/// Everything that is known about one record.
#[derive(Debug, Default)]
struct Entry {
    written: Option<Logged>,
    aborted: bool,
    removed: bool,
    received: Vec<Received>,
    /// When an acknowledgement was first sent, in milliseconds since 1970.
    acknowledged_ms: Option<i64>,
    accepted: Option<Accepted>,
    /// Nobody lived to hear whether the acknowledgement was accepted.
    unheard: bool,
}

/// One delivery.
#[derive(Debug)]
struct Received {
    step: u64,
    member: String,
    record: Logged,
}

/// The first answer that took an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    step: u64,
    at_ms: i64,
}

#[derive(Debug, Default)]
struct Books {
    steps: u64,
    entries: BTreeMap<Place, Entry>,
    /// Newest first delivery by stream, assignment, topic and partition.
    newest: BTreeMap<(String, u64, String, i32), i64>,
    stale: usize,
    faults: Vec<String>,
}

impl Books {
    fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    fn entry(&mut self, place: Place) -> &mut Entry {
        self.entries.entry(place).or_default()
    }
}

/// Shared by everything that takes part in a scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Books>>);

/// A delivery as a reader saw it.
pub(crate) struct Sight<'a> {
    pub(crate) member: &'a str,
    pub(crate) stream: &'a str,
    pub(crate) assignment: u64,
    pub(crate) attempt: u32,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    /// The broker confirmed a record.
    pub(crate) fn written(&self, place: Place, record: Logged) {
        self.books().entry(place).written = Some(record);
    }

    /// What a record holds, if it was written.
    pub(crate) fn written_at(&self, place: &Place) -> Option<Logged> {
        self.books().entries.get(place)?.written.clone()
    }

    /// A record's transaction was aborted.
    pub(crate) fn aborted(&self, place: Place) {
        self.books().entry(place).aborted = true;
    }

    /// A record left the log before anybody had to see it.
    pub(crate) fn removed(&self, place: Place) {
        self.books().entry(place).removed = true;
    }

    /// The topic was deleted: its records are nobody's business any more.
    pub(crate) fn forget_topic(&self, topic: &str) {
        self.books().entries.retain(|place, _| place.topic != topic);
    }

    /// A record arrived at the application.
    pub(crate) fn delivered(&self, sight: &Sight<'_>, place: &Place, record: Logged) {
        let mut books = self.books();
        let step = books.step();
        if sight.attempt == 1 {
            let run = (
                sight.stream.to_owned(),
                sight.assignment,
                place.topic.clone(),
                place.partition,
            );
            let newest = books.newest.insert(run, place.offset);
            if newest.is_some_and(|newest| newest >= place.offset) {
                books.faults.push(format!(
                    "I-O1: {place:?} was first delivered after {newest:?}"
                ));
            }
        }
        let member = sight.member.to_owned();
        books.entry(place.clone()).received.push(Received {
            step,
            member,
            record,
        });
    }

    /// The application is about to acknowledge.
    pub(crate) fn acknowledging(&self, places: &[Place]) {
        self.acknowledging_at(places, now_ms());
    }

    /// The application said that it was about to acknowledge, and when.
    pub(crate) fn acknowledging_at(&self, places: &[Place], at_ms: i64) {
        let mut books = self.books();
        for place in places {
            let entry = books.entry(place.clone());
            entry.acknowledged_ms.get_or_insert(at_ms);
        }
    }

    /// The sidecar took the acknowledgements.
    pub(crate) fn accepted(&self, places: &[Place]) {
        self.accepted_at(places, now_ms());
    }

    /// The application said that the sidecar took the acknowledgements, and when.
    pub(crate) fn accepted_at(&self, places: &[Place], at_ms: i64) {
        let mut books = self.books();
        let step = books.step();
        for place in places {
            let accepted = Accepted { step, at_ms };
            books.entry(place.clone()).accepted.get_or_insert(accepted);
        }
    }

    /// The application was killed after it acknowledged these and before it heard an answer: each may be finished, which
    /// the commits then show, or be delivered again.
    pub(crate) fn answers_unheard(&self, places: impl IntoIterator<Item = Place>) {
        let mut books = self.books();
        for place in places {
            books.entry(place).unheard = true;
        }
    }

    /// The sidecar refused acknowledgements because their deliveries are dead.
    pub(crate) fn stale(&self, count: usize) {
        self.books().stale += count;
    }

    /// How many acknowledgements were refused so.
    pub(crate) fn stale_count(&self) -> usize {
        self.books().stale
    }

    /// Records accepted so far.
    pub(crate) fn accepted_count(&self) -> usize {
        self.books()
            .entries
            .values()
            .filter(|entry| entry.accepted.is_some())
            .count()
    }

    /// Where everything lies that was written.
    pub(crate) fn log(&self) -> Vec<(Place, Logged)> {
        let books = self.books();
        let written =
            |(place, entry): (&Place, &Entry)| Some((place.clone(), entry.written.clone()?));
        books.entries.iter().filter_map(written).collect()
    }

    /// Deliveries so far, repeats included.
    pub(crate) fn delivery_count(&self) -> usize {
        self.books()
            .entries
            .values()
            .map(|entry| entry.received.len())
            .sum()
    }

    /// Members that received something.
    pub(crate) fn members(&self) -> BTreeSet<String> {
        let books = self.books();
        let received = books.entries.values().flat_map(|entry| &entry.received);
        received.map(|received| received.member.clone()).collect()
    }

    /// Waits until so many records were accepted.
    pub(crate) async fn until_accepted(&self, count: usize) {
        until(&format!("{count} records are accepted"), async || {
            (self.accepted_count() >= count).then_some(())
        })
        .await;
    }

    /// Waits until everything that was written is accepted. I-S5.
    pub(crate) async fn until_all_accepted(&self) {
        self.until_none_is_missing(|| self.unfinished()).await;
    }

    /// The same, if somebody else knows what is not accepted yet.
    pub(crate) async fn until_none_is_missing(&self, missing: impl Fn() -> Vec<Place>) {
        let deadline = tokio::time::Instant::now() + super::PATIENCE;
        loop {
            let missing = missing();
            if missing.is_empty() {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "I-S5: {} of {} records are not accepted, among them {:?}",
                missing.len(),
                self.books().entries.len(),
                &missing[..missing.len().min(5)],
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn unfinished(&self) -> Vec<Place> {
        let books = self.books();
        let due = books.entries.iter().filter(|(_, entry)| {
            entry.written.is_some() && !entry.removed && entry.accepted.is_none() && !entry.unheard
        });
        due.map(|(place, _)| place.clone()).collect()
    }

    /// I-S5, I-S7 and I-O1 at the end of a scenario in which everything was worked off.
    pub(crate) fn assert_sound(&self) {
        let unfinished = self.unfinished();
        assert!(unfinished.is_empty(), "I-S5: not accepted: {unfinished:?}");
        self.assert_faithful();
    }

    /// I-S7 and I-O1 for whatever was delivered.
    pub(crate) fn assert_faithful(&self) {
        let books = self.books();
        for (place, entry) in &books.entries {
            for received in &entry.received {
                assert!(
                    !entry.aborted,
                    "I-S7: {place:?} is of an aborted transaction"
                );
                assert_eq!(
                    entry.written.as_ref(),
                    Some(&received.record),
                    "I-S7: {place:?}"
                );
            }
        }
        assert!(books.faults.is_empty(), "{:?}", books.faults);
    }

    /// I-S6: nothing that was accepted arrived again.
    pub(crate) fn assert_nothing_repeated(&self) {
        let repeated = self.repeated_after_acceptance();
        assert!(
            repeated.is_empty(),
            "I-S6: delivered again after they were accepted: {repeated:?}"
        );
    }

    /// Records that arrived after they had been accepted, with the time of that.
    fn repeated_after_acceptance(&self) -> Vec<(Place, i64)> {
        let books = self.books();
        let repeated = books.entries.iter().filter_map(|(place, entry)| {
            let accepted = entry.accepted?;
            let again = entry
                .received
                .iter()
                .any(|received| received.step > accepted.step);
            again.then(|| (place.clone(), accepted.at_ms))
        });
        repeated.collect()
    }

    /// Deliveries that repeat a record whose acknowledgement was not accepted before.
    pub(crate) fn repeats_of_unaccepted(&self) -> usize {
        let books = self.books();
        let repeats = books.entries.values().map(|entry| {
            let before = |received: &&Received| {
                entry
                    .accepted
                    .is_none_or(|accepted| received.step < accepted.step)
            };
            entry
                .received
                .iter()
                .filter(before)
                .count()
                .saturating_sub(1)
        });
        repeats.sum()
    }

    /// I-B3: what crashes, at these times, made arrive again.
    ///
    /// A commit is built after the one before it succeeded. So of two commits that the broker took after an
    /// acknowledgement was accepted, the second one covers it, and a crash after that must not repeat the record.
    pub(crate) fn assert_repeats_are_bounded(
        &self,
        commits: &[Commit],
        crashes_ms: &[i64],
        in_flight_max: usize,
    ) {
        for (place, accepted_ms) in self.repeated_after_acceptance() {
            let crash_ms = crashes_ms
                .iter()
                .copied()
                .find(|&crash_ms| crash_ms + ON_THE_WAY_MS >= accepted_ms);
            let crash_ms =
                crash_ms.unwrap_or_else(|| panic!("I-B3: no crash made {place:?} come again"));
            let between = commits_of_partition(commits, &place)
                .filter(|commit| commit.at_ms > accepted_ms && commit.at_ms <= crash_ms);
            assert!(
                between.count() < 2,
                "I-B3: {place:?} was accepted at {accepted_ms}, committed before {crash_ms}, and came again"
            );
        }
        let (repeats, bound) = (
            self.repeats_of_unaccepted(),
            crashes_ms.len() * in_flight_max,
        );
        assert!(
            repeats <= bound,
            "I-B3: {repeats} deliveries repeat what was not accepted, and at most {bound} were in flight"
        );
    }

    /// I-S1 and I-S2 over everything the group ever committed to these partitions.
    pub(crate) fn assert_commits_are_earned(&self, commits: &[Commit]) {
        assert!(!commits.is_empty(), "the group committed nothing");
        let mut newest = BTreeMap::new();
        let books = self.books();
        for commit in commits {
            let partition = (&commit.topic, commit.partition);
            let before = newest.insert(partition, commit.offset).unwrap_or(0);
            assert!(
                before <= commit.offset,
                "I-S2: {commit:?} goes back from {before}"
            );
            let from = Place {
                topic: commit.topic.clone(),
                partition: commit.partition,
                offset: before,
            };
            let to = Place {
                offset: commit.offset,
                ..from.clone()
            };
            for (place, entry) in books.entries.range(from..to) {
                let earned = entry
                    .acknowledged_ms
                    .is_some_and(|at_ms| at_ms <= commit.at_ms);
                let needed = entry.written.is_some() && !entry.removed;
                assert!(
                    earned || !needed,
                    "I-S1: {place:?} is not finished, but {commit:?} covers it"
                );
            }
        }
    }
}

fn commits_of_partition<'a>(
    commits: &'a [Commit],
    place: &'a Place,
) -> impl Iterator<Item = &'a Commit> {
    commits
        .iter()
        .filter(|commit| commit.topic == place.topic && commit.partition == place.partition)
}
