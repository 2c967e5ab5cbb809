//! One assignment: its life, its records, its lanes.
//!
//! ```text
//!             committed offset read             last commit ended
//!  Reading ──────────────────────────► Flowing ───────► Draining ──► (gone)
//!     │  no offset, or out of range     │  ▲ ▲             ▲
//!     └──────► Listing ─────────────────┼──┘ │ revoked     │
//!                  │                    ▼    │             │
//!                  └────────────────► Stopped ─────────────┘
//! ```
//!
//! A lost assignment goes from anywhere, without a commit. *Full* is no phase: it is what
//! [`AssignmentState::is_full`] says of a flowing one. The next life of a partition is a new value of this
//! type under a new number; nothing is carried over (B14, M2, M3).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::aside::{Aside, AsideStep};
use super::behind::Behind;
use super::carried::{Carried, CarriedHold, Unproven};
use super::effect::StopReason;
use super::history::Histories;
use super::home::{FromHome, Home};
use super::ids::{
    Assignment, Fetch, GroupAsk, LeaderEpoch, Moment, PartitionId, StreamId, TopicUuid,
};
use super::input::CommittedOffset;
use super::lane::{Lane, LaneKey, Lanes};
use super::metadata::Marks;
use super::runs::Runs;
use super::settings::{Order, Policy};
use super::window::Window;
use crate::mutant;

/// A fetch that did not fail for this long is well, though there may have been nothing to fetch.
const FETCH_WELL_AFTER: Duration = Duration::from_secs(30);

/// Why the log's range is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListPurpose {
    /// No committed offset: the `start` policy applies.
    Start,
    /// No committed offset, but the siblings' commits are older than the partition: earliest.
    NewPartition,
    /// The topic was deleted and made again: earliest.
    MadeAgain,
    /// The position is outside of the log.
    OutOfRange,
}

/// Where an assignment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for its committed offset and for its topic's identity.
    Reading,
    /// Waits for the range of the log.
    Listing(ListPurpose),
    /// Has a position.
    Flowing,
    /// Stands until a person acts.
    Stopped(StopReason),
    /// Is being revoked: nothing new is delivered, settlements still count.
    Draining,
}

/// What was last committed successfully.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// The commit carried all finished marks, or there were none to carry.
    pub(crate) marks_kept: bool,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) metadata: String,
}

impl Committed {
    /// Whether committing `other` would tell the broker nothing new.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        (self.offset, &self.metadata) == (other.offset, &other.metadata)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct AssignmentState {
    pub(crate) id: Assignment,
    pub(crate) partition: PartitionId,
    pub(crate) phase: Phase,
    pub(crate) policy: Policy,

    /// The stream that has it, if applications keep positions.
    pub(crate) home: Home,
    /// What earlier assignments knew of records that are not taken in.
    pub(crate) from_home: FromHome,

    // ---- position
    /// The fetch whose records are taken in; `None` while the client has none of ours.
    pub(crate) fetch: Option<Fetch>,
    /// When it is to be handed to the client (again); in the past for "as soon as possible".
    pub(crate) fetch_due: Option<Moment>,
    pub(crate) read_tries: u32,
    /// The last try to read its committed offset or its log's range was not allowed.
    pub(crate) read_refused: bool,
    /// Why that try failed, if it did.
    pub(crate) read_error: Option<String>,
    pub(crate) fetch_tries: u32,
    /// When the fetch last failed.
    pub(crate) fetch_failed_at: Option<Moment>,
    /// What the client last said of it.
    pub(crate) fetch_error: Option<String>,
    pub(crate) corrupt_at: Option<(i64, u32)>,
    pub(crate) committed_answer: Option<Option<CommittedOffset>>,
    /// A claim of the partition was overtaken: it is not claimed again before the group has said, asked so or later, that
    /// it is ours.
    pub(crate) disputed: Option<GroupAsk>,
    /// What is committed of it is read when a transaction is settled that may change it: by its answer, or by the next producer.
    pub(crate) unsettled: bool,
    pub(crate) sibling_partitions: Option<u32>,
    pub(crate) topic_id: Option<TopicUuid>,
    pub(crate) end: Option<i64>,
    pub(crate) caught_up: bool,
    /// The log goes on behind the frontier, with nothing left to do before it.
    pub(crate) behind: Option<Behind>,
    pub(crate) window: Window,

    // ---- records
    /// Ready records without order that were never handed back.
    pub(crate) pool: Runs,
    pub(crate) partition_lane: Lane,
    pub(crate) lanes: Lanes,
    /// Ready lanes that no stream holds, in the order in which they became ready.
    pub(crate) ready: VecDeque<LaneKey>,
    /// Ready lanes that stick to a stream.
    pub(crate) ready_bound: BTreeMap<StreamId, VecDeque<LaneKey>>,
    pub(crate) history: Histories,
    /// Records that do not go the usual way, by number.
    pub(crate) aside: BTreeMap<u64, Aside>,
    /// What is known of records that come again, until the first of them may be taken in.
    pub(crate) carried: BTreeMap<i64, Carried>,
    /// Records that came again and are to be given up, by number.
    pub(crate) arrived: BTreeMap<u64, CarriedHold>,
    /// What is known of records that are finished, until that is committed.
    pub(crate) unproven: Unproven,
    pub(crate) keeps_unproven: bool,
    /// A seek waits until nothing of it is under way.
    pub(crate) seek_waits: bool,
    pub(crate) live: u32,
    pub(crate) waiting_records: u64,
    pub(crate) waiting_bytes: u64,

    // ---- back-pressure
    /// Since when it has been full, or full and not below half again.
    pub(crate) full_since: Option<Moment>,
    pub(crate) paused: bool,
    /// An operator paused it (`pause`).
    pub(crate) on_hold: bool,

    // ---- commit
    pub(crate) committed: Option<Committed>,
    /// Since when something is finished and not known to be committed.
    pub(crate) uncommitted_since: Option<Moment>,
    /// That is too long ago.
    pub(crate) commits_stale: bool,
    /// Back-off after commits that failed for this partition and not for others.
    pub(crate) commit_tries: u32,
    pub(crate) commit_not_before: Moment,
    pub(crate) metadata_refused: u8,
    /// Its marks did not fit when it was last to be committed.
    pub(crate) marks_unfit: bool,
    pub(crate) unauthorized: bool,
    /// Why its last commit failed, if it did.
    pub(crate) commit_error: Option<String>,
    /// When the watermark took its present value while something was unfinished.
    pub(crate) watermark_since: Moment,
    watermark_seen: i64,
}

impl AssignmentState {
    pub(crate) fn new(id: Assignment, partition: PartitionId, policy: Policy, now: Moment) -> Self {
        Self {
            id,
            partition,
            phase: Phase::Reading,
            policy,
            home: Home::default(),
            from_home: FromHome::default(),
            fetch: None,
            fetch_due: None,
            read_tries: 0,
            read_refused: false,
            read_error: None,
            fetch_tries: 0,
            fetch_failed_at: None,
            fetch_error: None,
            corrupt_at: None,
            committed_answer: None,
            disputed: None,
            unsettled: false,
            sibling_partitions: None,
            topic_id: None,
            end: None,
            caught_up: false,
            behind: None,
            window: Window::new(0, None, None, false),
            pool: Runs::default(),
            partition_lane: Lane::default(),
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            ready_bound: BTreeMap::new(),
            history: Histories::default(),
            aside: BTreeMap::new(),
            carried: BTreeMap::new(),
            arrived: BTreeMap::new(),
            unproven: Unproven::default(),
            keeps_unproven: false,
            seek_waits: false,
            live: 0,
            waiting_records: 0,
            waiting_bytes: 0,
            full_since: None,
            paused: false,
            on_hold: false,
            committed: None,
            uncommitted_since: None,
            commits_stale: false,
            commit_tries: 0,
            commit_not_before: Moment(0),
            metadata_refused: 0,
            marks_unfit: false,
            unauthorized: false,
            commit_error: None,
            watermark_since: now,
            watermark_seen: -1,
        }
    }

    /// Gives the assignment its position.
    pub(crate) fn start_at(
        &mut self,
        offset: i64,
        epoch: LeaderEpoch,
        mut restored: Option<Marks>,
    ) {
        self.history = match &mut restored {
            Some(marks) => {
                Histories::restored(std::mem::take(&mut marks.retried), marks.leader_epoch)
            }
            None => Histories::default(),
        };
        self.history.carry(std::mem::take(&mut self.carried));
        let restored = restored.filter(|marks| !marks.finished.is_empty());
        self.window = Window::new(offset, epoch, restored, self.policy.order == Order::Key);
        self.phase = Phase::Flowing;
        self.fetch_due = Some(Moment(0));
    }

    /// What the commit metadata should say of the records above the watermark.
    pub(crate) fn marks(&self) -> Option<Marks> {
        let retried = self.history.retried(&self.window);
        if retried.is_empty() {
            return self.window.marks();
        }
        let mut marks = self.window.marks().unwrap_or_default();
        marks.leader_epoch = marks.leader_epoch.max(self.history.epoch(&self.window));
        marks.retried = retried;
        Some(marks)
    }

    /// Whether it has a position, and so something to commit.
    pub(crate) fn has_position(&self) -> bool {
        match self.phase {
            Phase::Flowing | Phase::Draining => true,
            Phase::Stopped(reason) => reason != StopReason::NoCommittedOffset,
            Phase::Listing(purpose) => purpose == ListPurpose::OutOfRange,
            Phase::Reading => false,
        }
    }

    /// Whether its fetch failed, and nothing has come since, nor has it been long enough to say that it is well.
    pub(crate) fn fetch_fails(&self, now: Moment) -> bool {
        self.fetch_failed_at
            .is_some_and(|at| now.since(at) < FETCH_WELL_AFTER)
    }

    /// Whether records of it may be delivered.
    pub(crate) fn may_dispatch(&self) -> bool {
        let alive = match self.phase {
            Phase::Flowing | Phase::Stopped(_) => true,
            Phase::Listing(purpose) => purpose == ListPurpose::OutOfRange,
            Phase::Reading | Phase::Draining => false,
        };
        let on_hold = self.on_hold && !mutant::planted("paused-is-delivered");
        alive
            && !matches!(self.home, Home::Left(_))
            && !self.unauthorized
            && !self.commits_stale
            && !on_hold
            && !self.seek_waits
    }

    /// Whether dead letters of it are on their way.
    pub(crate) fn is_sending(&self) -> bool {
        self.aside
            .values()
            .any(|aside| aside.step == AsideStep::Sending)
    }

    /// What is known of the lowest unfinished record, if it is set aside.
    pub(crate) fn lowest_aside(&self) -> Option<&Aside> {
        self.aside.get(&self.window.lowest_number()?)
    }

    /// When a record that was handed back may be delivered again, if it is a matter of time.
    pub(crate) fn due(&self, number: u64) -> Option<Moment> {
        self.history.of(number).hold.due()
    }

    /// Notes when the watermark took its present value, for "held since".
    pub(crate) fn watermark_moved(&mut self, now: Moment) {
        let watermark = self.window.watermark().0;
        if watermark != self.watermark_seen {
            self.watermark_seen = watermark;
            self.watermark_since = now;
        }
    }
}
