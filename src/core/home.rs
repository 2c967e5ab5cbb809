//! Who says where a partition starts, if applications keep the positions themselves?
//!
//! A partition is asked about: first the open stream that has the fewest partitions, and if that does not answer in
//! time, or ends, every other one, and each that opens later. The first valid answer wins, and that stream is the
//! partition's *home*. It alone gets the partition's records, since its application alone is known to have claimed the
//! position where that is kept, and it alone is offered what is to be kept.
//!
//! ```text
//!              first answer               its stream ends
//!  Asking ─────────────────────► At ─────────────────────► (asked anew, as a new assignment)
//!    ▲                            │ without a word                 ▲
//!    │ nobody to ask,             ▼                                │
//!    │ until a stream opens     Left ──────────────────────────────┘
//!                                    its application died, or did not within a second
//! ```
//!
//! When the home ends, what it kept counts, and what we know of the partition does not: some of what it acknowledged may
//! not be kept. So the next home is asked, and what it says is read anew. Only how often records failed and killed goes
//! along, since a store would be told that by us and an application is not.
//!
//! A commit is an offer here: it always succeeds, and whether it is kept is the application's business.
//!
//! # Invariants
//!
//! - P1: nothing of a partition is delivered before its start was told, nor ever to another stream than its home.
//! - P2: the first valid answer wins. Everyone else who was asked is told that the partition is another stream's.
//! - P3: a partition whose home ended, in whatever way, is asked about anew, under another assignment.
//! - P4: a record that killed its applications as often as it may is given up, though each death is followed by a new
//!   assignment.
//! - P5 (B15): without a store that could refuse us, doubt about our membership ends with the group's own word.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, Committed, Phase};
use super::delivery::{Stream, StreamPhase};
use super::effect::{CommitEntry, Effect, Notice, WithdrawReason};
use super::event::Event;
use super::ids::{Assignment, Moment, StreamId, TopicIndex};
use super::input::CommittedOffset;
use super::metadata;
use super::settings::Positions;
use super::suspects::TOGETHER_WITHIN;
use super::timers::Timer;
use crate::mutant;

mod carried;

pub(crate) use carried::FromHome;

/// How long the stream that is asked first has, before all others are asked as well.
const ASK_OTHERS_AFTER: Duration = Duration::from_secs(5);

/// What an application says of where a partition starts.
#[derive(Debug, Clone)]
pub struct StartAnswer {
    /// The stream that was asked.
    pub stream: StreamId,
    /// The assignment that asks.
    pub assignment: Assignment,
    /// Where: an offset, or one that was offered earlier, metadata included. `None`: the application has none, and the
    /// `start` policy applies.
    pub position: Option<CommittedOffset>,
}

/// Why what an application said of a start changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartRefused {
    /// The assignment has ended, or does not ask, or not this stream.
    Stale,
    /// Another stream was first.
    OtherStream,
    /// What was offered earlier was offered of another partition or group, or is damaged.
    OtherPosition,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Home {
    /// It needs none: positions are in a store.
    #[default]
    Anywhere,
    /// These streams were asked.
    Asking(BTreeSet<StreamId>),
    /// This stream said where it starts.
    At(StreamId),
    /// That stream ended without a word.
    Left(StreamId),
}

impl Home {
    /// Whether a stream may be given the partition's records.
    pub(crate) fn admits(&self, stream: StreamId) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(home) => *home == stream || mutant::planted("home-is-anywhere"),
            Self::Asking(_) | Self::Left(_) => false,
        }
    }

    /// Whether what becomes of the partition is a stream's business.
    pub(crate) fn concerns(&self, stream: StreamId) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Asking(asked) => asked.contains(&stream),
            Self::At(home) => *home == stream,
            Self::Left(_) => false,
        }
    }

    /// Whether the partition counts as one that a stream has.
    fn burdens(&self, stream: StreamId) -> bool {
        *self != Self::Anywhere && self.concerns(stream)
    }
}

impl Core {
    pub(super) fn applications_keep_positions(&self) -> bool {
        self.settings.positions == Positions::Application
    }

    /// Takes the first valid answer to where a partition starts.
    ///
    /// # Errors
    ///
    /// What makes it invalid. Nothing has changed then.
    pub fn start_at(
        &mut self,
        now: Moment,
        answer: StartAnswer,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StartRefused> {
        self.advance(now);
        let taken = self.take_answer(answer);
        self.finish_turn(effects);
        taken
    }

    fn take_answer(&mut self, answer: StartAnswer) -> Result<(), StartRefused> {
        let (id, stream) = (answer.assignment, answer.stream);
        let Some(assignment) = self.assignments.get(&id) else {
            return Err(StartRefused::Stale);
        };
        let asked = match &assignment.home {
            // Said twice, it was said.
            Home::At(home) if *home == stream => return Ok(()),
            Home::At(_) if mutant::planted("second-answer-wins") => [stream].into(),
            Home::At(_) => return Err(StartRefused::OtherStream),
            Home::Asking(asked) if asked.contains(&stream) => asked.clone(),
            Home::Asking(_) | Home::Left(_) | Home::Anywhere => return Err(StartRefused::Stale),
        };
        let partition = assignment.partition;
        if let Some(position) = &answer.position
            && !position.metadata.is_empty()
            && !metadata::is_of(
                &position.metadata,
                &self.expectation(partition),
                position.offset,
            )
        {
            return Err(StartRefused::OtherPosition);
        }
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.home = Home::At(stream);
            assignment.committed_answer = Some(answer.position);
        }
        for other in asked.into_iter().filter(|asked| *asked != stream) {
            let notice = Notice::Revoked {
                partition,
                assignment: id,
                reason: WithdrawReason::OtherStream,
            };
            self.notify_one(other, notice);
        }
        self.resolve_start(id);
        Ok(())
    }

    /// Asks where these start.
    pub(super) fn ask_homes(&mut self, ids: &[Assignment]) {
        for id in ids {
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.home = Home::Asking(BTreeSet::new());
            }
            self.ask_first(*id);
        }
    }

    /// Asks the stream that has the least, if there is one to be asked.
    fn ask_first(&mut self, id: Assignment) {
        let Some(topic) = self.topic_of(id) else {
            return;
        };
        let burden = |stream: &StreamId| {
            let states = self.assignments.values();
            states.filter(|state| state.home.burdens(*stream)).count()
        };
        let first = self
            .askable(topic)
            .min_by_key(|stream| (burden(stream), *stream));
        if let Some(first) = first {
            self.ask(id, first);
            self.timers
                .at(self.now.plus(ASK_OTHERS_AFTER), Timer::Ask(id));
        }
    }

    /// The one that was asked first has had its time.
    pub(super) fn ask_others(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let Home::Asking(asked) = &assignment.home else {
            return;
        };
        let (partition, before) = (assignment.partition, asked.len());
        let asked = asked.clone();
        let others: Vec<StreamId> = self
            .askable(partition.topic)
            .filter(|stream| !asked.contains(stream))
            .collect();
        let asked = before + others.len();
        for stream in others {
            self.ask(id, stream);
        }
        self.report(Event::StartUnanswered { partition, asked });
    }

    /// A stream opens: it is asked whatever is still open.
    pub(super) fn ask_newcomer(&mut self, stream: StreamId) {
        if !self.applications_keep_positions() {
            return;
        }
        let asks = |state: &&AssignmentState| matches!(state.home, Home::Asking(_));
        let open: Vec<Assignment> = self
            .assignments
            .values()
            .filter(asks)
            .map(|state| state.id)
            .collect();
        for id in open {
            let nobody = |state: &AssignmentState| state.home == Home::Asking(BTreeSet::new());
            if self.assignments.get(&id).is_some_and(nobody) {
                self.ask_first(id);
            } else if let Some(topic) = self.topic_of(id)
                && self.askable(topic).any(|askable| askable == stream)
            {
                self.ask(id, stream);
            }
        }
    }

    fn topic_of(&self, id: Assignment) -> Option<TopicIndex> {
        Some(self.assignments.get(&id)?.partition.topic)
    }

    /// Streams that may be asked about partitions of a topic.
    fn askable(&self, topic: TopicIndex) -> impl Iterator<Item = StreamId> {
        let is_askable = move |stream: &Stream| {
            stream.phase == StreamPhase::Open
                && stream.open.notice_partitions
                && stream.wants(topic)
        };
        let streams = self.streams.map.iter();
        streams
            .filter(move |(_, stream)| is_askable(stream))
            .map(|(id, _)| *id)
    }

    fn ask(&mut self, id: Assignment, stream: StreamId) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        if let Home::Asking(asked) = &mut assignment.home {
            asked.insert(stream);
            let notice = Notice::StartWanted {
                partition,
                assignment: id,
            };
            self.notify_one(stream, notice);
        }
    }

    /// A stream gets nothing more. `silently`: its connection broke, and its application may turn out to have died.
    pub(super) fn leave_homes(&mut self, stream: StreamId, silently: bool) {
        let mut homeless = Vec::new();
        let mut unasked = Vec::new();
        for state in self.assignments.values_mut() {
            match &mut state.home {
                Home::At(home) | Home::Left(home) if *home == stream => homeless.push(state.id),
                Home::Asking(asked) => {
                    if asked.remove(&stream) && asked.is_empty() {
                        unasked.push(state.id);
                    }
                }
                Home::Anywhere | Home::At(_) | Home::Left(_) => {}
            }
        }
        let told_by = self.now.plus(TOGETHER_WITHIN);
        for id in homeless {
            if let Some(state) = self.assignments.get_mut(&id) {
                state.home = Home::Left(stream);
            }
            if silently {
                self.timers.at(told_by, Timer::Home(id));
            } else {
                self.ask_anew(id);
            }
        }
        for id in unasked {
            self.ask_first(id);
        }
    }

    /// Asks anew about a partition whose home has left it, unless a death is still to be judged (P3, P4).
    pub(super) fn ask_anew(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let left = matches!(assignment.home, Home::Left(_));
        let leaves = assignment.phase == Phase::Draining;
        let partition = assignment.partition;
        if !left || leaves || self.shutdown.is_some() || self.drain.is_some() {
            return;
        }
        if let Some(judged_at) = self.death_judged_at(id) {
            return self.timers.at(judged_at, Timer::Home(id));
        }
        let carried = self.assignments.get_mut(&id).map(AssignmentState::carry);
        let before = id;
        let id = self.replace(id, WithdrawReason::StreamEnded);
        if let Some(assignment) = self.assignments.get_mut(&id)
            && !mutant::planted("home-forgets")
        {
            assignment.from_home = carried.unwrap_or_default();
        }
        self.report(Event::HomeLeft {
            partition,
            before,
            after: id,
        });
        self.read_positions(&[id]);
    }

    /// Asks anew about what is due. Not while time passes: a rebalance event may be what it passes for, and the client would
    /// take what it is told before the answer for the answer.
    pub(super) fn ask_homeless(&mut self) {
        while let Some(id) = self.homeless.pop_first() {
            self.ask_anew(id);
        }
    }

    /// The application of a stream died: what it had is asked about as soon as what it held is judged.
    pub(super) fn home_died(&mut self, stream: StreamId) {
        let left = |state: &&AssignmentState| state.home == Home::Left(stream);
        let ids: Vec<Assignment> = self
            .assignments
            .values()
            .filter(left)
            .map(|state| state.id)
            .collect();
        for id in ids {
            self.ask_anew(id);
        }
    }

    /// What is offered of an assignment, to be kept by its application.
    pub(super) fn offered(&self, id: Assignment) -> Option<CommitEntry> {
        let assignment = self.assignments.get(&id)?;
        let Committed {
            offset,
            leader_epoch,
            metadata,
            ..
        } = assignment.committed.clone()?;
        self.applications_keep_positions().then_some(CommitEntry {
            partition: assignment.partition,
            assignment: id,
            offset,
            leader_epoch,
            metadata,
        })
    }
}

impl AssignmentState {
    /// Whether a stream may be given records of it.
    pub(crate) fn is_for(&self, id: StreamId, stream: &Stream) -> bool {
        stream.wants(self.partition.topic) && self.home.admits(id)
    }
}

#[cfg(test)]
mod tests;
