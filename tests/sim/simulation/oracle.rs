//! What must hold, checked after every event, with the numbers of the failure catalogue.
//!
//! The oracle keeps books of its own: which record of which log is finished, which delivery is alive, what
//! each assignment has taken in. It learns only what an outsider could know: what went in, and what came out.
//! It trusts nothing that the core says of itself.
//!
//! | file | invariants |
//! |---|---|
//! | `oracle` | the books |
//! | `dispatch` | I-O1 to I-O3, I-S7, I-B1, what was committed is not delivered again (I-B3) |
//! | `settlement` | I-S4, I-S8, withdrawals, deadlines |
//! | `aside` | what is given up, and that it was time; deaths and suspects |
//! | `streams` | which deliveries end with a stream |
//! | `commits` | I-S1, I-S2, I-S3, I-B4, I-S6, M4, starts |
//! | `transactions` | I-E1, I-E2 |
//! | `topics` | B49, B50: which topics are read |
//! | `reports` | what the core says of itself, and G6: nothing is passed over silently |

mod aside;
mod commits;
mod dispatch;
mod homes;
mod marks;
mod reports;
mod settlement;
mod streams;
mod topics;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use ackline::core::metadata::Marks;
use ackline::core::{
    Assignment, CommitId, CommittedOffset, Fetch, Moment, OutputsId, PartitionId, Settings,
    StopReason, StreamId, StreamOpen, WaitId,
};

use super::log::Uid;
use super::operator::Wishes;
use marks::{is_marked, retried_at};

/// The truth about one record that was produced.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) partition: PartitionId,
    pub(crate) incarnation: u8,
    pub(crate) offset: i64,
    pub(crate) key: Option<u64>,
    /// The log does not hold it any more.
    pub(crate) gone: bool,
    /// It was acknowledged under a live id, or handed over with `on_delivery`.
    pub(crate) terminal: bool,
    /// An application has kept a position that stands for it.
    pub(crate) kept: bool,
    /// It was passed over by a policy that allows it, and reported.
    pub(crate) accounted: bool,
    /// How often what it led to was written.
    pub(crate) outputs: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ack,
    Retry,
    Release,
    DeadLetter,
    Discard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Live,
    Settled(Kind),
    /// Taken back; its id means nothing any more.
    Dead,
}

#[derive(Debug)]
struct Delivery {
    stream: StreamId,
    assignment: Assignment,
    number: usize,
    life: Life,
    /// When it is taken back if it is not settled.
    deadline: Option<Moment>,
    /// It was a suspect when it was delivered.
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting,
    Live(u64),
    Finished,
}

/// What an assignment knows of one record that it took in.
#[derive(Debug)]
struct Taken {
    uid: Uid,
    offset: i64,
    key: Option<u64>,
    size: u64,
    standing: Standing,
    attempts: u32,
    /// It was delivered that often at most, by an earlier assignment.
    attempts_unsure: bool,
    failures: u32,
    /// Streams died while they held nothing else.
    deaths: u32,
    /// How many streams died that held it, since something was said of it.
    deaths_among: u32,
    /// It must be delivered alone.
    suspect: bool,
    /// It is set aside: nothing behind it in its lane goes.
    aside: bool,
    /// What is known of it from an earlier home may be more than the core knows.
    vague: bool,
    /// It is on its way to the dead-letter topic.
    sent: bool,
    not_before: Moment,
    /// The stream that released it, which does not get it before that time.
    avoid: Option<(StreamId, Moment)>,
    /// What goes out with it.
    output: Option<OutputsId>,
    /// A transaction of this assignment covers it.
    proven: bool,
}

#[derive(Debug)]
struct Book {
    partition: PartitionId,
    alive: bool,
    taken: Vec<Taken>,
    /// Everything below this number is finished.
    low: usize,
    unfinished: usize,
    fetch: Option<Fetch>,
    /// The position came with the leader epoch of the record before it.
    epoch_told: bool,
    /// The client told an error: its position means nothing until the next fetch.
    failed: bool,
    /// Next offset to take in, as far as it was told to the core.
    frontier: Option<i64>,
    /// What the broker said was committed.
    read: Option<Option<CommittedOffset>>,
    /// Marks that count, if the metadata was ours.
    restored: Option<Marks>,
    /// Whether siblings' commits say that the partition is younger than they are.
    new_partition: bool,
    /// A report explained why the position is not the committed one.
    moved: bool,
    stopped: Option<StopReason>,
    /// What [`Book::marks_span`] was when the newest batch came.
    span_before_batch: u64,
    /// It was not committed for too long.
    stale: bool,
    committed: Option<i64>,
    lane_dirty: bool,
    /// What an earlier home of the partition knew.
    from_home: homes::Carried,
    /// What is known of records that come again.
    carried: BTreeMap<i64, transactions::Carry>,
    /// The partition has left.
    left: bool,
    /// The last transaction of the process had no effect.
    aborted: bool,
}

impl Book {
    /// Offsets from the lowest unfinished one to the highest that is, or may soon be, finished.
    fn marks_span(&self) -> u64 {
        let unfinished = |taken: &&Taken| taken.standing != Standing::Finished;
        let Some(lowest) = self.taken[self.low..].iter().find(unfinished) else {
            return 0;
        };
        let restored = self
            .restored
            .as_ref()
            .and_then(|marks| marks.finished.end());
        let end = restored.max(self.frontier).unwrap_or(lowest.offset);
        lowest.offset.abs_diff(end)
    }

    /// Whether a record or the committed offset said which leader epoch the position belongs to.
    fn knows_epoch(&self) -> bool {
        let read = matches!(&self.read, Some(Some(committed)) if committed.leader_epoch.is_some());
        read || self.epoch_told || !self.taken.is_empty()
    }
}

#[derive(Debug)]
struct StreamBook {
    open: StreamOpen,
    next_id: Option<u64>,
    paused: bool,
    /// Takes records.
    receiving: bool,
    kept_until: Option<Moment>,
    /// When keeping ended. What else became due at that moment may have come first.
    expired_at: Option<Moment>,
    live: u32,
    live_bytes: u64,
    /// What it held when it closed without a word.
    held_at_close: Option<(Moment, Vec<(Assignment, usize)>)>,
    /// It was opened soon after a death, and has settled nothing.
    trial_until: Option<Moment>,
}

/// What is known of one process.
#[derive(Debug, Default)]
pub(crate) struct MemberBook {
    books: BTreeMap<Assignment, Book>,
    newest: BTreeMap<PartitionId, Assignment>,
    deliveries: BTreeMap<u64, Delivery>,
    streams: BTreeMap<StreamId, StreamBook>,
    waits: BTreeMap<WaitId, Vec<Uid>>,
    live: u32,
    held_bytes: u64,
    /// The commit that is outstanding, and since when.
    commit_out: Option<(CommitId, Moment)>,
    revoking: BTreeSet<PartitionId>,
    /// Partitions that somebody else has claimed since: what was finished here cannot be stored any more.
    overtaken: BTreeSet<PartitionId>,
    doubtful: bool,
    /// Records answered as accepted by a process that was told to stop, by assignment.
    at_shutdown: Option<BTreeSet<Assignment>>,
    /// When a stream died last.
    last_death: Option<Moment>,
    /// Since when no stream is open that was.
    alone_since: Option<Moment>,
    /// Which stream said where an assignment starts.
    homes: BTreeMap<Assignment, StreamId>,
    /// Which stream gets a partition's records.
    home_of: BTreeMap<PartitionId, StreamId>,
    wishes: Wishes,
    found: topics::Found,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) truths: Vec<Truth>,
    members: Vec<MemberBook>,
    settings: Settings,
    knows_cluster: bool,
    /// Bytes of the largest batch and record so far: what may be held above the budget.
    batch_bytes_max: u64,
    batch_records_max: usize,
    record_bytes_max: u64,
    /// Partitions whose committed offset may go back, and why marks may be missing there.
    pub(crate) disturbed: BTreeSet<PartitionId>,
    /// Partitions whose committed offset somebody set back, which a member that has committed does not see.
    pub(crate) rewound: BTreeSet<PartitionId>,
    /// Below these offsets records may be written that nobody can tell from those that a cut took away,
    /// because the position above them has no leader epoch, or from those of a topic that was deleted.
    unfenced: BTreeMap<PartitionId, i64>,
    /// Offset of the newest record of a lane that led to something that is written.
    written: BTreeMap<(PartitionId, Option<u64>), i64>,
    pub(crate) violation: Option<String>,
    pub(crate) deliveries: u64,
    pub(crate) redeliveries: u64,
}

impl Oracle {
    pub(crate) fn new(settings: Settings, members: usize, knows_cluster: bool) -> Self {
        Self {
            truths: Vec::new(),
            members: (0..members).map(|_| MemberBook::default()).collect(),
            settings,
            knows_cluster,
            batch_bytes_max: 0,
            batch_records_max: 0,
            record_bytes_max: 0,
            disturbed: BTreeSet::new(),
            rewound: BTreeSet::new(),
            unfenced: BTreeMap::new(),
            written: BTreeMap::new(),
            violation: None,
            deliveries: 0,
            redeliveries: 0,
        }
    }

    /// Records the first thing that must not be.
    pub(crate) fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violate(what);
        }
    }

    pub(crate) fn try_hold(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violate(|| what);
        }
    }

    // ---- the log

    pub(crate) fn produced(
        &mut self,
        partition: PartitionId,
        incarnation: u8,
        offset: i64,
        key: Option<u64>,
        size: u32,
    ) {
        self.record_bytes_max = self.record_bytes_max.max(u64::from(size));
        let accounted = self
            .unfenced
            .get(&partition)
            .is_some_and(|end| offset < *end);
        self.truths.push(Truth {
            partition,
            incarnation,
            offset,
            key,
            gone: false,
            terminal: false,
            kept: false,
            accounted,
            outputs: 0,
        });
    }

    pub(crate) fn vanished(&mut self, uids: &[Uid]) {
        for uid in uids {
            self.truths[*uid].gone = true;
        }
    }

    /// A log that ended at `end` was cut. Positions above the cut whose leader epoch is not known cannot notice.
    pub(crate) fn truncated(
        &mut self,
        partition: PartitionId,
        end: i64,
        committed: Option<&CommittedOffset>,
    ) {
        self.disturbed.insert(partition);
        // A first commit may be on its way.
        let stored = committed.is_none_or(|committed| committed.leader_epoch.is_none());
        // Where a client stands, or where a policy is about to start it, it need not have told yet.
        let live = self.members.iter().any(|member| {
            let newest = member.newest.get(&partition);
            let book = newest.and_then(|newest| member.books.get(newest));
            book.is_some_and(|book| book.alive && !book.knows_epoch())
        });
        if stored || live {
            self.unfence(partition, end);
        }
    }

    /// A committed offset says no more that it belongs to a topic that was since deleted and made again:
    /// somebody wrote over the header. Whoever reads it takes it for an offset of the new topic.
    pub(crate) fn misplaced(&mut self, partition: PartitionId, offset: i64, incarnation: u8) {
        self.unfence(partition, offset);
        for truth in &mut self.truths {
            let below = truth.partition == partition && truth.offset < offset;
            truth.accounted |= below && truth.incarnation == incarnation;
        }
    }

    fn unfence(&mut self, partition: PartitionId, end: i64) {
        let known = self.unfenced.entry(partition).or_insert(end);
        *known = (*known).max(end);
    }

    /// Records that somebody still has to finish.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (Uid, &Truth)> {
        self.truths
            .iter()
            .enumerate()
            .filter(|(_, truth)| !(truth.gone || truth.terminal || truth.accounted))
    }

    // ---- processes

    /// The process is gone, with everything it knew.
    pub(crate) fn forget_member(&mut self, member: usize) {
        self.members[member] = MemberBook::default();
    }

    /// Whether the newest assignment of a partition here stands until a person acts.
    pub(crate) fn is_stopped(&self, member: usize, partition: PartitionId) -> bool {
        let book = &self.members[member];
        book.newest
            .get(&partition)
            .and_then(|newest| book.books.get(newest))
            .is_some_and(|book| book.stopped.is_some())
    }

    /// An assignment is heard of: it is the newest of its partition from now on.
    fn book(&mut self, member: usize, assignment: Assignment, partition: PartitionId) -> &mut Book {
        let of_member = &mut self.members[member];
        of_member.newest.insert(partition, assignment);
        of_member.books.entry(assignment).or_insert_with(|| Book {
            partition,
            alive: true,
            taken: Vec::new(),
            low: 0,
            unfinished: 0,
            fetch: None,
            epoch_told: false,
            failed: false,
            frontier: None,
            read: None,
            restored: None,
            new_partition: false,
            moved: false,
            stopped: None,
            span_before_batch: 0,
            stale: false,
            committed: None,
            lane_dirty: false,
            from_home: homes::Carried::new(),
            carried: BTreeMap::new(),
            left: false,
            aborted: false,
        })
    }

    /// An assignment that no committed offset was read for: the partition was moved.
    fn next_book(
        &mut self,
        member: usize,
        assignment: Assignment,
        partition: PartitionId,
    ) -> &mut Book {
        let known = self.members[member].books.contains_key(&assignment);
        let moved = self
            .newest_book(member, partition)
            .is_some_and(|book| book.moved);
        let book = self.book(member, assignment, partition);
        if !known {
            book.moved = moved;
        }
        book
    }

    fn newest_book(&mut self, member: usize, partition: PartitionId) -> Option<&mut Book> {
        let of_member = &mut self.members[member];
        of_member.books.get_mut(of_member.newest.get(&partition)?)
    }

    // ---- rebalances

    pub(crate) fn revoking(&mut self, member: usize, partitions: &BTreeSet<PartitionId>) {
        self.members[member]
            .revoking
            .extend(partitions.iter().copied());
    }

    /// The partitions have left this member: nothing of them may be alive.
    pub(crate) fn left(&mut self, member: usize, partitions: &BTreeSet<PartitionId>) {
        self.members[member]
            .revoking
            .retain(|partition| !partitions.contains(partition));
        for partition in partitions {
            let Some(newest) = self.members[member].newest.get(partition).copied() else {
                continue;
            };
            let alive = self.members[member]
                .deliveries
                .iter()
                .find(|(_, delivery)| delivery.assignment == newest && delivery.life == Life::Live)
                .map(|(id, _)| *id);
            self.check(alive.is_none(), || {
                format!("I-S4: {alive:?} of {partition:?} is alive after the partition left")
            });
            if let Some(book) = self.members[member].books.get_mut(&newest) {
                book.alive = false;
                book.left = true;
            }
        }
    }

    pub(crate) fn assignment_freed(&mut self, member: usize, assignment: Assignment) {
        let alive = self.members[member]
            .deliveries
            .iter()
            .find(|(_, delivery)| delivery.assignment == assignment && delivery.life == Life::Live)
            .map(|(id, _)| *id);
        self.check(alive.is_none(), || {
            format!("I-S4: {alive:?} is alive after {assignment:?} was freed")
        });
        let of_member = &mut self.members[member];
        if let Some(book) = of_member.books.get_mut(&assignment) {
            book.alive = false;
            // It begins again.
            book.aborted |= !of_member.revoking.contains(&book.partition);
        }
    }
}
