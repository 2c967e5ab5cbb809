//! What follows from what the application says of its deliveries.
//!
//! # Invariants
//!
//! - I-S4: an id that is not live changes nothing.
//! - I-S8: the answer is given after everything in the request was applied.
//! - D3 of `delivery`: which ids are refused, and why.
//! - The work is bounded by live ids, remembered outcomes and the length of the request, never by the span
//!   of a range. A refusal allocates nothing that outlives the answer.
//! - Within one request acks and discards come first. Then all ids that are handed back end, and only after that are
//!   later deliveries of their lanes withdrawn: a request may name a record and those behind it.

mod outputs;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Core;
use super::delivery::{Dead, Owner};
use super::effect::{Cause, Effect};
use super::ids::{Assignment, DeliveryId, IdRange, Moment, StreamId};
use super::input::{Outcome, SettleRequest, Settlement};
use super::settings::CommitMode;
use super::withdraw::{Place, Return, Returned};
use crate::mutant;

/// Why ids were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// Issued once, dead now: normal after a rebalance or a withdrawal.
    Stale,
    /// Settled before with another outcome, which stands.
    Conflict,
    /// Never issued by this process.
    Unknown,
}

/// Ids that a settlement named in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// Which, in the order of the request.
    pub ids: Vec<IdRange>,
}

/// What was said of some deliveries.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) outcome: Outcome,
    pub(super) reason: Arc<str>,
}

/// What one request has led to so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stale: Vec<IdRange>,
    conflict: Vec<IdRange>,
    unknown: Vec<IdRange>,
    returned: Returned,
    /// How many live deliveries were acknowledged, and of which stream: of the last one, if of several.
    together: Option<(StreamId, usize)>,
    /// Highest offset acknowledged per assignment: what a waiting caller needs committed.
    needs: BTreeMap<Assignment, i64>,
    /// Offsets of what the settlement finishes that is being applied, if it brings outputs along.
    collected: Option<BTreeMap<Assignment, Vec<i64>>>,
}

impl Progress {
    pub(super) fn refuse(&mut self, reason: RefusalReason, range: IdRange) {
        let ids = match reason {
            RefusalReason::Stale => &mut self.stale,
            RefusalReason::Conflict => &mut self.conflict,
            RefusalReason::Unknown => &mut self.unknown,
        };
        match ids.last_mut() {
            // A range that runs backwards joins nothing, or it would hide what came before it.
            Some(last)
                if last.last.checked_add(1) == Some(range.first)
                    && last.first <= last.last
                    && range.first <= range.last =>
            {
                last.last = range.last;
            }
            Some(_) | None => ids.push(range),
        }
    }

    fn together(&mut self, stream: StreamId, count: usize) {
        let before = match self.together {
            Some((of, before)) if of == stream => before,
            Some(_) | None => 0,
        };
        self.together = Some((stream, before + count));
    }

    fn need(&mut self, assignment: Assignment, offset: i64) {
        let need = self.needs.entry(assignment).or_insert(offset);
        *need = (*need).max(offset);
    }
}

impl Core {
    /// Applies settlements of any stream's deliveries and returns what was refused.
    ///
    /// A caller that waits for the commit is answered by [`Effect::CommitAwaited`], which may stand among
    /// the effects of this very call.
    pub fn settle(
        &mut self,
        now: Moment,
        request: &SettleRequest,
        effects: &mut Vec<Effect>,
    ) -> Vec<Refusal> {
        self.advance(now);
        let mut progress = Progress::default();
        self.settle_those(request, true, &mut progress);
        for extend in &request.extends {
            let until = self.now.plus(extend.by);
            for range in &extend.ids {
                self.extend_range(*range, until, &mut progress);
            }
        }
        self.settle_those(request, false, &mut progress);
        if let Some((id, count)) = progress.together
            && let Some(stream) = self.streams.map.get_mut(&id)
        {
            stream.acknowledged_together(count);
        }
        self.settle_returned(std::mem::take(&mut progress.returned));
        let refused = !(progress.stale.is_empty()
            && progress.conflict.is_empty()
            && progress.unknown.is_empty());
        if let Some(id) = request.wait {
            // Handing over finished the records, and nobody remembers where they were.
            let in_vain = refused || self.settings.commit_mode == CommitMode::OnDelivery;
            self.await_commit(id, progress.needs, in_vain);
        }
        self.finish_turn(effects);
        [
            (RefusalReason::Stale, progress.stale),
            (RefusalReason::Conflict, progress.conflict),
            (RefusalReason::Unknown, progress.unknown),
        ]
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(reason, ids)| Refusal { reason, ids })
        .collect()
    }

    /// Applies what a request finishes, or everything else.
    fn settle_those(&mut self, request: &SettleRequest, acks: bool, progress: &mut Progress) {
        // What is discarded is finished as well, and its frame may go: not after others were taken back out of it.
        let finishes = |outcome| matches!(outcome, Outcome::Ack | Outcome::Discard);
        let those = |settlement: &&Settlement| finishes(settlement.outcome) == acks;
        for settlement in request.settlements.iter().filter(those) {
            if !self.begin_outputs(settlement, progress) {
                continue;
            }
            let said = Said {
                outcome: settlement.outcome,
                // Acknowledgements give no reason, and none is made for them.
                reason: match settlement.reason.as_str() {
                    "" => Arc::default(),
                    reason => Arc::from(reason),
                },
            };
            for range in &settlement.ids {
                for (stream, stretch) in self.issued(*range, progress) {
                    self.settle_of_stream(stream, stretch, &said, progress);
                }
            }
            self.end_outputs(settlement, progress);
        }
    }

    /// The stretches of a range that streams issued which are remembered; refuses the others.
    pub(super) fn issued(
        &mut self,
        range: IdRange,
        progress: &mut Progress,
    ) -> Vec<(StreamId, IdRange)> {
        if range.first > range.last {
            progress.refuse(RefusalReason::Unknown, range);
            return Vec::new();
        }
        // Ids are below 2^53, so no stretch of one stream can be missed by cutting first.
        let mut issued = Vec::new();
        let counters = &mut self.counters;
        let on_delivery = self.settings.commit_mode == CommitMode::OnDelivery;
        self.streams.cut(range, |stretch, owner| match owner {
            Owner::Nobody => {
                counters.unknown_settlements += 1;
                progress.refuse(RefusalReason::Unknown, stretch);
            }
            Owner::Ended => {
                counters.stale_settlements += 1;
                progress.refuse(RefusalReason::Stale, stretch);
            }
            // Handing a record over finished it: whatever is said of it now is fine and changes nothing.
            Owner::Stream(_) if on_delivery => {}
            Owner::Stream(stream) => issued.push((stream, stretch)),
        });
        issued
    }

    /// Settles ids that one stream issued: live ones by frame, the dead ones between them by what is remembered.
    fn settle_of_stream(
        &mut self,
        id: StreamId,
        range: IdRange,
        said: &Said,
        progress: &mut Progress,
    ) {
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let from = stream.frame_of(range.first);
        let frames: Vec<u64> = stream
            .frames
            .range(from..=range.last)
            .map(|(first, _)| *first)
            .collect();
        let mut next = range.first;
        for first in frames {
            next = self.settle_in_frame(
                id,
                first,
                IdRange {
                    first: next,
                    ..range
                },
                said,
                progress,
            );
        }
        if next <= range.last {
            let rest = IdRange {
                first: next,
                last: range.last,
            };
            self.settle_dead(id, rest, said, progress);
        }
    }

    /// Settles the live ids that a frame has in `range`, and the dead ones up to the last of them. Returns the
    /// first id that is not settled yet.
    fn settle_in_frame(
        &mut self,
        id: StreamId,
        first: u64,
        range: IdRange,
        said: &Said,
        progress: &mut Progress,
    ) -> u64 {
        let mut next = range.first;
        while let Some(frame) = self
            .streams
            .map
            .get(&id)
            .and_then(|stream| stream.frames.get(&first))
        {
            let count = frame.numbers.len();
            let index = |id: u64| usize::try_from(id.saturating_sub(first)).unwrap_or(count);
            let end = count.min(index(range.last).saturating_add(1));
            let Some(live) = frame.next_live(index(next), end) else {
                break;
            };
            let stop = (live..end).find(|at| !frame.is_live(*at)).unwrap_or(end);
            let live_id = first + live as u64;
            if live_id > next {
                let dead = IdRange {
                    first: next,
                    last: live_id - 1,
                };
                self.settle_dead(id, dead, said, progress);
            }
            let place = Place {
                stream: id,
                frame: first,
                index: live,
            };
            self.settle_live(place, stop, said, progress);
            next = first + stop as u64;
        }
        next
    }

    fn settle_dead(&mut self, id: StreamId, range: IdRange, said: &Said, progress: &mut Progress) {
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let counters = &mut self.counters;
        stream.classify_dead(range, said.outcome.into(), |stretch, dead| match dead {
            Dead::Same {
                assignment,
                offset_max,
            } => progress.need(assignment, offset_max),
            Dead::Other => {
                counters.conflicting_settlements += 1;
                progress.refuse(RefusalReason::Conflict, stretch);
            }
            Dead::Forgotten if mutant::planted("M15") => {}
            Dead::Forgotten => {
                counters.stale_settlements += 1;
                progress.refuse(RefusalReason::Stale, stretch);
            }
        });
    }

    /// Settles the live deliveries from `place` up to index `stop` of the same frame.
    fn settle_live(&mut self, place: Place, stop: usize, said: &Said, progress: &mut Progress) {
        let ids = IdRange {
            first: place.frame + place.index as u64,
            last: place.frame + stop as u64 - 1,
        };
        let Some(stream) = self.streams.map.get(&place.stream) else {
            return;
        };
        let Some(frame) = stream.frames.get(&place.frame) else {
            return;
        };
        let assignment_id = frame.assignment;
        self.collect(assignment_id, &frame.numbers[place.index..stop], progress);
        let offset_max = match said.outcome {
            Outcome::Ack | Outcome::Discard => {
                progress.together(place.stream, stop - place.index);
                self.finish_live(place, stop, said)
            }
            Outcome::Retry { .. } | Outcome::Release | Outcome::DeadLetter => {
                // A message holds a partition's records in lane order, so any of them may be the highest.
                let numbers = frame.numbers[place.index..stop].iter();
                let offset_max = self.assignments.get(&assignment_id).and_then(|assignment| {
                    numbers
                        .filter_map(|number| assignment.window.offset(*number))
                        .max()
                });
                for index in place.index..stop {
                    self.hand_back(Place { index, ..place }, said, progress);
                }
                offset_max
            }
        };
        let offset_max = offset_max.unwrap_or(0);
        progress.need(assignment_id, offset_max);
        if let Some(stream) = self.streams.map.get_mut(&place.stream) {
            stream.remember(ids, said.outcome.into(), assignment_id, offset_max);
            if said.outcome != Outcome::Release {
                stream.trial_until = None;
            }
        }
    }

    /// A live delivery whose record is not finished by what was said of it.
    fn hand_back(&mut self, place: Place, said: &Said, progress: &mut Progress) {
        let Some((assignment_id, number)) = self.record_at(place) else {
            return;
        };
        let how = match said.outcome {
            Outcome::Retry { delay } => {
                self.counters.retried += 1;
                let returned = &mut progress.returned;
                self.failed((assignment_id, number), delay, &said.reason, returned)
            }
            Outcome::DeadLetter => {
                self.counters.dead_letters_asked += 1;
                let record = (assignment_id, number);
                let ending = self.dead_letter_or_park(assignment_id);
                let returned = &mut progress.returned;
                returned.set_aside(record, Cause::Application, ending, &said.reason);
                Return::SET_ASIDE
            }
            Outcome::Release | Outcome::Ack | Outcome::Discard => {
                self.counters.released += 1;
                Return {
                    avoid_until: Some(self.after_initial_retry(assignment_id)),
                    ..Return::WITHDRAWN
                }
            }
        };
        self.take_back(place, how, &mut progress.returned);
        if let Some(assignment) = self.assignments.get_mut(&assignment_id) {
            // Whoever says something of a record has received it, and is alive.
            let history = assignment.history.entry(number);
            history.resets = 0;
            if said.outcome != Outcome::Release {
                history.clear_suspicion();
            }
        }
    }

    /// The ids of a live delivery, for status.
    pub(super) fn first_live(&self, id: StreamId) -> Option<DeliveryId> {
        let (first, frame) = self.streams.map.get(&id)?.frames.first_key_value()?;
        let index = frame.next_live(0, frame.numbers.len())?;
        Some(DeliveryId(first + index as u64))
    }
}

#[cfg(test)]
mod tests;
