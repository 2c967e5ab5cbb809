//! Deliveries, their ids, and what is remembered of dead ones.
//!
//! A frame is one message to one stream: consecutive ids, records of one assignment. While anything in
//! it is live the frame is also the store of its records' bytes. Ids of a stream are consecutive and
//! start at random, so an id alone names a delivery, and an old id practically never hits a new record.
//!
//! # Invariants
//!
//! - D1 (I-S4): an id is live in at most one frame; every id below a stream's next one that is not live
//!   is dead for ever.
//! - D2: memory is bounded by live ids: a frame goes when its last id dies; outcomes of dead ids are
//!   runs, at most [`OUTCOMES_MAX`] per stream; ended ranges at most [`ENDED_RANGES_MAX`].
//! - D3 (I-S8): the same outcome twice is accepted, another one is a conflict, an id never issued is
//!   unknown, everything else is stale.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashSet;

use super::frame::Frame;
use super::ids::{Assignment, IdRange, Moment, StreamId, TopicIndex};
use super::input::{Outcome, StreamOpen};
use super::lane::LaneKey;
use super::suspects::HeldAtClose;
use crate::fixed_hash::FixedState;

/// Lowest first id, and one past the highest: room for 2^44 ids below 2^53, the largest integers that
/// JavaScript's numbers hold exactly.
const FIRST_ID_MIN: u64 = 1 << 40;
const FIRST_ID_END: u64 = (1 << 53) - (1 << 44);
/// Ids of one stream.
pub(crate) const IDS_PER_STREAM: u64 = 1 << 44;
/// How often a first id is drawn before a smaller distance to others will do.
const DRAWS: u32 = 64;
/// Runs of outcomes remembered per stream.
pub(crate) const OUTCOMES_MAX: usize = 4096;
/// Ranges of ended streams whose ids are still known to have been issued.
pub(crate) const ENDED_RANGES_MAX: usize = 4096;

/// So many records by one request, times 16, are together.
const TOGETHER: u32 = 3 * 16;
/// Looks at deadlines that may be in vain, besides one for each frame.
const LOOKS_IN_VAIN: usize = 64;

/// What a dead id's outcome is compared by: a retry is a retry, whatever its delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutcomeKind {
    Ack,
    Retry,
    Release,
    DeadLetter,
    Discard,
}

impl From<Outcome> for OutcomeKind {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ack => Self::Ack,
            Outcome::Retry { .. } => Self::Retry,
            Outcome::Release => Self::Release,
            Outcome::DeadLetter => Self::DeadLetter,
            Outcome::Discard => Self::Discard,
        }
    }
}

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamPhase {
    /// Takes records and settlements.
    Open,
    /// The application is done with it: nothing new; it ends after a commit, or at this moment.
    Closing(Moment),
    /// Its connection is gone, its deliveries live on until this moment.
    Kept(Moment),
    /// It holds nothing; its outcomes are remembered until this moment.
    Ended(Moment),
}

/// A run of dead ids with one outcome.
#[derive(Clone, Copy, Debug)]
struct OutcomeRun {
    last: u64,
    kind: OutcomeKind,
    assignment: Assignment,
    /// Highest offset among them: a commit above it covers them all.
    offset_max: i64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) open: StreamOpen,
    pub(crate) first_id: u64,
    pub(crate) next_id: u64,
    pub(crate) phase: StreamPhase,
    pub(crate) paused: bool,
    pub(crate) live: u32,
    pub(crate) live_bytes: u64,
    /// Lanes with live records on it, where a lane may have several. Changes with each of them, so it is a table;
    /// whoever looks through it must not depend on its order.
    pub(crate) bound: HashSet<(Assignment, LaneKey), FixedState>,
    /// The lane that is on its way to it.
    pub(crate) taking: Option<(Assignment, LaneKey)>,
    /// Frames whose bytes are gone, among those below.
    pub(crate) evacuated: usize,
    /// By first id, and so by age; only frames with something live.
    pub(crate) frames: BTreeMap<u64, Frame>,
    /// What it holds is a suspect, and it is given nothing else meanwhile.
    pub(crate) alone: bool,
    /// It was opened soon after a death and has settled nothing yet: until then it is trusted with little (`suspects`).
    pub(crate) trial_until: Option<Moment>,
    /// What it held when it closed without a word.
    pub(crate) held_at_close: Option<HeldAtClose>,
    /// When which frame is to be looked at for deliveries that were not settled in time.
    pub(crate) deadlines: BTreeSet<(Moment, u64)>,
    /// A look at how long its deliveries are unsettled is under way.
    pub(crate) watched: bool,
    /// Frames below this id were reported as unsettled for long.
    pub(crate) warn_from: u64,
    outcomes: BTreeMap<u64, OutcomeRun>,
    /// The assignment served last, so that the next one gets its turn.
    pub(crate) served: Assignment,
    /// How many records are acknowledged by one request, lately, times 16.
    together: u32,
    /// When little room is filled, though it is little.
    pub(crate) fill_at: Option<Moment>,
    /// When a message that is not full stops waiting for more.
    pub(crate) linger_until: Option<Moment>,
}

/// A stretch of dead ids, classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dead {
    /// Settled before with this very outcome; the commit must reach past the offset to cover it.
    Same {
        assignment: Assignment,
        offset_max: i64,
    },
    /// Settled before with another outcome.
    Other,
    /// Withdrawn, or settled so long ago that nobody remembers how.
    Forgotten,
}

impl Stream {
    /// First id of the frame that an id belongs to, if one is kept, or the id itself.
    pub(crate) fn frame_of(&self, id: u64) -> u64 {
        let before = self.frames.range(..=id).next_back();
        before.map_or(id, |(first, _)| *first)
    }

    /// Whether it asked for records of a topic.
    pub(crate) fn wants(&self, topic: TopicIndex) -> bool {
        let topics = self.open.topics.as_ref();
        topics.is_none_or(|topics| topics.contains(&topic))
    }

    pub(crate) fn new(open: StreamOpen, first_id: u64) -> Self {
        Self {
            open,
            first_id,
            next_id: first_id,
            phase: StreamPhase::Open,
            paused: false,
            live: 0,
            live_bytes: 0,
            bound: HashSet::default(),
            taking: None,
            evacuated: 0,
            frames: BTreeMap::new(),
            alone: false,
            trial_until: None,
            held_at_close: None,
            deadlines: BTreeSet::new(),
            watched: false,
            warn_from: first_id,
            outcomes: BTreeMap::new(),
            served: Assignment(0),
            together: 0,
            fill_at: None,
            linger_until: None,
        }
    }

    /// Has a frame looked at then. Returns whether that is before all other looks.
    ///
    /// Looks at what was settled or extended since are not taken out one by one. They go when they are as many as those that
    /// count, so their number is bounded by the frames.
    pub(crate) fn look_at_deadline(&mut self, when: Moment, frame: u64) -> bool {
        let first = self.deadlines.first();
        let is_first = first.is_none_or(|(first, _)| when < *first);
        self.deadlines.insert((when, frame));
        if self.deadlines.len() > 2 * self.frames.len() + LOOKS_IN_VAIN {
            let looks = self.frames.iter();
            let looks = looks.filter_map(|(first, frame)| Some((frame.next_deadline()?, *first)));
            self.deadlines = looks.collect();
        }
        is_first
    }

    /// Whether it has yet to show that it works (`suspects`).
    pub(crate) fn is_on_trial(&self, now: Moment) -> bool {
        self.trial_until.is_some_and(|until| until > now)
    }

    /// Notes how many records one request has acknowledged. The last few requests decide.
    pub(crate) fn acknowledged_together(&mut self, count: usize) {
        let count = u32::try_from(count.min(1024)).unwrap_or(1024);
        self.together = (self.together * 7 + count * 16) / 8;
    }

    /// Whether the application acknowledges several records by one request, as whoever works a message off does.
    pub(crate) fn acknowledges_together(&self) -> bool {
        self.together >= TOGETHER
    }

    /// Remembers the outcome of ids `range`, which died just now.
    pub(crate) fn remember(
        &mut self,
        range: IdRange,
        kind: OutcomeKind,
        assignment: Assignment,
        offset_max: i64,
    ) {
        let mut run = OutcomeRun {
            last: range.last,
            kind,
            assignment,
            offset_max,
        };
        let mut first = range.first;
        let joins = |other: &OutcomeRun| other.kind == kind && other.assignment == assignment;
        if let Some((&before, other)) = self.outcomes.range(..range.first).next_back()
            && other.last + 1 == range.first
            && joins(other)
        {
            run.offset_max = run.offset_max.max(other.offset_max);
            first = before;
        }
        if let Some(other) = self.outcomes.get(&(range.last + 1)).copied()
            && joins(&other)
        {
            self.outcomes.remove(&(range.last + 1));
            run.last = other.last;
            run.offset_max = run.offset_max.max(other.offset_max);
        }
        self.outcomes.insert(first, run);
        if self.outcomes.len() > OUTCOMES_MAX {
            self.outcomes.pop_first();
        }
    }

    pub(crate) fn forget_outcomes(&mut self) {
        self.outcomes.clear();
    }

    /// Classifies the dead ids of `range`, all issued by this stream, as runs in rising order.
    pub(crate) fn classify_dead(
        &self,
        range: IdRange,
        kind: OutcomeKind,
        mut found: impl FnMut(IdRange, Dead),
    ) {
        let mut from = range.first;
        let start = self
            .outcomes
            .range(..=range.first)
            .next_back()
            .map_or(range.first, |(first, _)| *first);
        for (&first, run) in self.outcomes.range(start..=range.last) {
            if run.last < from {
                continue;
            }
            if first > from {
                found(
                    IdRange {
                        first: from,
                        last: first - 1,
                    },
                    Dead::Forgotten,
                );
                from = first;
            }
            let last = run.last.min(range.last);
            let dead = if run.kind == kind {
                Dead::Same {
                    assignment: run.assignment,
                    offset_max: run.offset_max,
                }
            } else {
                Dead::Other
            };
            found(IdRange { first: from, last }, dead);
            from = last + 1;
        }
        if from <= range.last {
            found(
                IdRange {
                    first: from,
                    last: range.last,
                },
                Dead::Forgotten,
            );
        }
    }
}

/// All streams, and the id ranges of those that ended.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) map: BTreeMap<StreamId, Stream>,
    by_first_id: BTreeMap<u64, StreamId>,
    /// First to last id of ended streams.
    ended: BTreeMap<u64, u64>,
    /// Their first ids, oldest end first.
    ended_order: VecDeque<u64>,
}

/// Whose an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Issued by this stream.
    Stream(StreamId),
    /// Issued by a stream that is forgotten.
    Ended,
    /// Never issued.
    Nobody,
}

impl Streams {
    /// Adds a stream, with a range of ids far from every other one.
    pub(crate) fn insert(&mut self, id: StreamId, open: StreamOpen, entropy: u64) {
        let mut random = super::random::SplitMix(entropy);
        let span = FIRST_ID_END - FIRST_ID_MIN;
        let mut draw = || FIRST_ID_MIN + random.next() % span;
        let mut first = draw();
        let mut distance = IDS_PER_STREAM;
        let mut tries = 0;
        while self.is_near_another(first, distance) {
            first = draw();
            tries += 1;
            // There is no room for many streams at full distance: a thousand get by with less.
            if tries % DRAWS == 0 {
                distance /= 2;
            }
        }
        self.by_first_id.insert(first, id);
        self.map.insert(id, Stream::new(open, first));
    }

    /// A new range keeps its whole length away from live ranges. Of the thousands remembered it keeps
    /// only as far as a stream is likely to get: there is no room for more.
    fn is_near_another(&self, first: u64, distance: u64) -> bool {
        let live = self
            .by_first_id
            .keys()
            .any(|other| first.abs_diff(*other) < distance);
        let reach = first.saturating_add(1 << 36);
        live || self
            .ended
            .range(..reach)
            .next_back()
            .is_some_and(|(_, last)| *last >= first)
    }

    /// One past the highest id that a stream may issue.
    pub(crate) fn ids_end(&self, first: u64) -> u64 {
        let above = (std::ops::Bound::Excluded(first), std::ops::Bound::Unbounded);
        let next = self.by_first_id.range(above).next();
        let end = first + IDS_PER_STREAM;
        next.map_or(end, |(next, _)| end.min(*next))
    }

    /// Forgets a stream but for the range of its ids.
    pub(crate) fn remove(&mut self, id: StreamId) {
        let Some(stream) = self.map.remove(&id) else {
            return;
        };
        self.by_first_id.remove(&stream.first_id);
        if stream.next_id > stream.first_id {
            self.ended.insert(stream.first_id, stream.next_id - 1);
            self.ended_order.push_back(stream.first_id);
        }
        if self.ended_order.len() > ENDED_RANGES_MAX
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// Cuts `range` into stretches that have one owner each, in rising order. The work is bounded by the
    /// number of streams, live and remembered, not by the length of the range.
    pub(crate) fn cut(&self, range: IdRange, mut found: impl FnMut(IdRange, Owner)) {
        let mut from = range.first;
        while from <= range.last {
            let (owner, last) = self.owner_from(from);
            let last = last.min(range.last);
            found(IdRange { first: from, last }, owner);
            let Some(next) = last.checked_add(1) else {
                return;
            };
            from = next;
        }
    }

    /// The owner of `id`, and the last id up to which it is the same.
    fn owner_from(&self, id: u64) -> (Owner, u64) {
        if let Some((_, stream_id)) = self.by_first_id.range(..=id).next_back()
            && let Some(stream) = self.map.get(stream_id)
            && id < stream.next_id
        {
            return (Owner::Stream(*stream_id), stream.next_id - 1);
        }
        if let Some((_, last)) = self.ended.range(..=id).next_back()
            && id <= *last
        {
            return (Owner::Ended, *last);
        }
        let above = (std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded);
        let live = self
            .by_first_id
            .range(above)
            .next()
            .map(|(first, _)| *first);
        let ended = self.ended.range(above).next().map(|(first, _)| *first);
        let next = live.into_iter().chain(ended).min();
        (Owner::Nobody, next.map_or(u64::MAX, |first| first - 1))
    }
}

#[cfg(test)]
mod tests;
