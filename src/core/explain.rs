//! Why does a partition not advance, and what is in flight?
//!
//! A partition's committed offset stands at its lowest unfinished record, its *head*. So the first question is what became
//! of the head: it is in flight, or it waits for its back-off, or nobody takes it. The second is what keeps new records
//! from coming. Answers are data; words and the command that helps are the edge's.
//!
//! # Invariants
//!
//! - X1: asking changes nothing.
//! - X2: the work is bounded by what is in flight, and by partitions and streams; records that wait are not looked at one
//!   by one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, Phase};
use super::delivery::{Stream, StreamPhase};
use super::home::Home;
use super::ids::{Assignment, DeliveryId, Moment, PartitionId, StreamId};
use super::lane::LaneKey;
use super::obstacle::{Head, Obstacle};
use super::pause::Scope;
use super::room::MESSAGE_OVERHEAD;
use super::settings::CommitMode;
use super::status::PartitionStatus;

/// A watermark that stands for this long is worth a person's look, unless the settings name another time.
const STANDS_FOR: Duration = Duration::from_secs(60);

/// Why a partition is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// How it stands.
    pub status: PartitionStatus,
    /// Why it does not advance, the reason that must go first before the others. Empty: it does.
    pub causes: Vec<Obstacle>,
    /// It needs a person, or has not advanced for long though there is something to do.
    pub stuck: bool,
}

/// One delivery in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// The partition.
    pub partition: PartitionId,
    /// Its assignment.
    pub assignment: Assignment,
    /// The record's offset.
    pub offset: i64,
    /// The delivery.
    pub id: DeliveryId,
    /// 1 the first time the record is delivered.
    pub attempt: u32,
    /// The stream that holds it.
    pub stream: StreamId,
    /// Name given by the stream's client.
    pub client: String,
    /// When it was handed over.
    pub since: Moment,
}

impl Core {
    /// Why partitions of a scope do not advance, those that do included. Ordered.
    #[must_use]
    pub fn explain(&self, scope: Scope) -> Vec<Explanation> {
        let heads = self.heads(scope);
        let held = self.held_heads(&heads);
        self.owned
            .iter()
            .filter(|(partition, _)| scope.holds(**partition))
            .filter_map(|(_, id)| self.assignments.get(id))
            .map(|assignment| self.explain_one(assignment, held.get(&assignment.id)))
            .collect()
    }

    /// Deliveries in flight, oldest streams first, at most `max` of them.
    #[must_use]
    pub fn in_flight(&self, scope: Scope, max: usize) -> Vec<InFlight> {
        let mut found = Vec::new();
        for (id, stream) in &self.streams.map {
            for (first, frame) in &stream.frames {
                let Some(assignment) = self.assignments.get(&frame.assignment) else {
                    continue;
                };
                if !scope.holds(assignment.partition) {
                    continue;
                }
                let mut from = 0;
                while let Some(index) = frame.next_live(from, frame.numbers.len()) {
                    if found.len() == max {
                        return found;
                    }
                    from = index + 1;
                    let delivery = DeliveryId(first + index as u64);
                    let number = frame.numbers[index];
                    let since = frame.delivered_at;
                    found.push(in_flight(assignment, number, delivery, *id, stream, since));
                }
            }
        }
        found
    }

    /// Numbers of the lowest unfinished records.
    fn heads(&self, scope: Scope) -> BTreeMap<Assignment, u64> {
        self.assignments
            .values()
            .filter(|assignment| scope.holds(assignment.partition))
            .filter_map(|assignment| Some((assignment.id, assignment.window.lowest()?.0)))
            .collect()
    }

    /// Those of them that are in flight: one look at everything that is.
    fn held_heads(&self, heads: &BTreeMap<Assignment, u64>) -> BTreeMap<Assignment, InFlight> {
        let mut held = BTreeMap::new();
        for (id, stream) in &self.streams.map {
            for (first, frame) in &stream.frames {
                let (Some(head), Some(assignment)) = (
                    heads.get(&frame.assignment),
                    self.assignments.get(&frame.assignment),
                ) else {
                    continue;
                };
                let mut from = 0;
                while let Some(index) = frame.next_live(from, frame.numbers.len()) {
                    from = index + 1;
                    if frame.numbers[index] == *head {
                        let delivery = DeliveryId(first + index as u64);
                        let since = frame.delivered_at;
                        let found = in_flight(assignment, *head, delivery, *id, stream, since);
                        held.insert(assignment.id, found);
                    }
                }
            }
        }
        held
    }

    fn explain_one(&self, assignment: &AssignmentState, held: Option<&InFlight>) -> Explanation {
        let no_stream = self.open_streams().next().is_none();
        let status = self.partition_status(assignment, no_stream);
        let mut causes = Vec::new();
        self.explain_life(assignment, &mut causes);
        self.explain_trouble(assignment, &mut causes);
        self.explain_head(assignment, held, &mut causes);
        self.explain_intake(assignment, &mut causes);
        let stands_for = if self.settings.warn_unsettled_after.is_zero() {
            STANDS_FOR
        } else {
            self.settings.warn_unsettled_after
        };
        let something_to_do = status.unfinished > 0
            || status.end.is_some_and(|end| {
                status.frontier.is_none_or(|frontier| frontier < end) && !causes.is_empty()
            });
        let stands = self.now.since(assignment.watermark_since) >= stands_for;
        let stuck = causes.iter().any(Obstacle::needs_a_person) || (something_to_do && stands);
        Explanation {
            status,
            causes,
            stuck,
        }
    }

    /// What its phase and the process's say.
    fn explain_life(&self, assignment: &AssignmentState, causes: &mut Vec<Obstacle>) {
        let topic_refused = self.topics[usize::from(assignment.partition.topic.0)].is_refused();
        match assignment.phase {
            Phase::Reading if assignment.read_refused || topic_refused => {
                causes.push(Obstacle::Unauthorized);
            }
            Phase::Listing(_) if assignment.read_refused => causes.push(Obstacle::Unauthorized),
            // Told below, if it is known why.
            Phase::Reading if assignment.unsettled && !self.transactions.producer.is_ready() => {
                if self.transactions.producer.error.is_none() {
                    causes.push(self.producer_awaited());
                }
            }
            Phase::Reading => causes.push(match &assignment.home {
                Home::Asking(asked) => Obstacle::StartUnanswered { asked: asked.len() },
                Home::Anywhere | Home::At(_) | Home::Left(_) => Obstacle::Starting {
                    error: assignment.read_error.clone(),
                },
            }),
            Phase::Listing(_) => causes.push(Obstacle::Listing {
                error: assignment.read_error.clone(),
            }),
            Phase::Stopped(reason) => causes.push(Obstacle::Stopped(reason)),
            Phase::Draining => causes.push(Obstacle::Leaving),
            Phase::Flowing => {}
        }
        if let Some((scope, pause)) = self.pauses.of(assignment.partition) {
            causes.push(Obstacle::Paused {
                scope,
                since: pause.since,
                reason: pause.reason.clone(),
            });
        }
        if self.shutdown.is_some() || self.drain.is_some() {
            causes.push(Obstacle::Ending);
        }
        if self.trust.is_doubtful() {
            causes.push(Obstacle::MembershipDoubtful);
        }
        self.explain_transactions(causes);
    }

    /// What brokers refuse.
    fn explain_trouble(&self, assignment: &AssignmentState, causes: &mut Vec<Obstacle>) {
        if assignment.unauthorized {
            causes.push(Obstacle::Unauthorized);
        }
        if let Some(since) = assignment.uncommitted_since
            && let Some(error) = &assignment.commit_error
        {
            causes.push(Obstacle::CommitFailing {
                since,
                error: error.clone(),
                stale: assignment.commits_stale,
            });
        }
        if let Some(at) = assignment.fetch_failed_at
            && assignment.fetch_fails(self.now)
        {
            let error = assignment.fetch_error.clone().unwrap_or_default();
            causes.push(Obstacle::FetchFailing { at, error });
        }
    }

    /// What became of the lowest unfinished record.
    fn explain_head(
        &self,
        assignment: &AssignmentState,
        held: Option<&InFlight>,
        causes: &mut Vec<Obstacle>,
    ) {
        let Some((number, offset)) = assignment.window.lowest() else {
            return;
        };
        let history = assignment.history.of(number);
        let head = Head {
            offset,
            key_hash: assignment.window.key(number),
            failures: history.failures,
        };
        if let Some(delivery) = held {
            let delivery = delivery.clone();
            return causes.push(Obstacle::Held { head, delivery });
        }
        if let Some(aside) = assignment.aside.get(&number) {
            return causes.push(Obstacle::of_aside(head, aside));
        }
        if let Some(due) = history.hold.due().filter(|due| *due > self.now) {
            return causes.push(Obstacle::RetryDue { head, due });
        }
        if history.suspect {
            causes.push(Obstacle::Suspected { head });
        }
        let lane = assignment
            .lane_of(number)
            .unwrap_or(LaneKey::Single(number));
        if let Some(size) = assignment.lane(lane).and_then(|lane| lane.oversize) {
            return causes.push(Obstacle::Oversize { head, size });
        }
        causes.extend(self.explain_streams(assignment, number));
    }

    /// Why no stream takes a record that could go.
    fn explain_streams(&self, assignment: &AssignmentState, number: u64) -> Option<Obstacle> {
        let size = assignment.window.size(number);
        let wants = |(id, stream): &(&StreamId, &Stream)| {
            let fits = stream
                .open
                .message_bytes_max
                .saturating_sub(MESSAGE_OVERHEAD)
                >= size;
            stream.phase == StreamPhase::Open && fits && assignment.is_for(**id, stream)
        };
        let wanting = self.streams.map.iter().filter(wants);
        let mut wanting = wanting.map(|(_, stream)| stream).peekable();
        if wanting.peek().is_none() {
            return Some(Obstacle::NoStream);
        }
        if self.settings.commit_mode == CommitMode::OnAck
            && self.live >= self.settings.in_flight_records_max
        {
            return Some(Obstacle::ProcessFull);
        }
        let has_room = |stream: &&Stream| {
            stream.live < stream.open.in_flight_records_max
                && stream.live_bytes < stream.open.in_flight_bytes_max
        };
        let mut reading = wanting.filter(|stream| !stream.paused).peekable();
        if reading.peek().is_none() {
            return Some(Obstacle::StreamsPaused);
        }
        (!reading.any(|stream| has_room(&stream))).then_some(Obstacle::StreamsFull)
    }

    /// What keeps new records from being taken in.
    fn explain_intake(&self, assignment: &AssignmentState, causes: &mut Vec<Obstacle>) {
        let limits = self.limits();
        let unfinished = assignment.window.unfinished();
        if assignment.phase != Phase::Flowing {
            return;
        }
        let is_full = assignment.is_full(&limits) || (assignment.paused && !assignment.on_hold);
        if is_full && assignment.is_full_of_marks(&limits) {
            causes.push(Obstacle::MarksFull);
        } else if is_full && unfinished > limits.window / 2 {
            let max = limits.window;
            causes.push(Obstacle::WindowFull { unfinished, max });
        } else if is_full {
            let (bytes, max) = (assignment.waiting_bytes, limits.share);
            causes.push(Obstacle::ShareFull { bytes, max });
        }
        let is_behind = assignment
            .end
            .is_some_and(|end| assignment.window.frontier().0 < end);
        if unfinished == 0 && is_behind && self.nobody_wants(assignment) {
            causes.push(Obstacle::NoStream);
        } else if self.is_anyone_hungry_for_work() {
            let unreadable = assignment.nothing_readable();
            causes.extend(unreadable.map(|since| Obstacle::NothingReadable { since }));
            let late = assignment.nothing_arrives(self.now);
            causes.extend(late.map(|since| Obstacle::NothingArrives { since }));
        }
    }

    fn nobody_wants(&self, assignment: &AssignmentState) -> bool {
        !self
            .streams
            .map
            .iter()
            .any(|(id, stream)| stream.phase == StreamPhase::Open && assignment.is_for(*id, stream))
    }
}

fn in_flight(
    assignment: &AssignmentState,
    number: u64,
    id: DeliveryId,
    stream: StreamId,
    of: &Stream,
    since: Moment,
) -> InFlight {
    InFlight {
        partition: assignment.partition,
        assignment: assignment.id,
        offset: assignment.window.offset(number).unwrap_or_default(),
        id,
        attempt: assignment.history.of(number).attempts.saturating_add(1),
        stream,
        client: of.open.client.clone(),
        since,
    }
}

#[cfg(test)]
mod tests;
