//! What one stream is to be told besides records.
//!
//! The engine keeps an [`Outbox`] per stream, puts the core's effects into it, and empties it with
//! [`Outbox::pop`] before it asks the core for records.
//!
//! # Invariants
//!
//! - O1: a withdrawal is popped before the answer that refuses its ids.
//! - O2: memory stays bounded although the client reads nothing. Withdrawn ranges cannot outnumber
//!   the deliveries that were live; refused ranges hold back further requests beyond
//!   [`REFUSED_MAX`]; commits and ends of partitions are kept once per partition, the newest;
//!   beyond [`EVENTS_MAX`] partition events the stream ends.
//! - O3: the end is popped last, and from then on nothing else.
//! - O4: no message is larger than [`super::validate::MESSAGE_BYTES_MIN`].

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use super::proto::partition_event::Kind;
use super::proto::stream_response::Response;
use super::{
    Answer, CommitAnswer, End, Outgoing, Refused, RefusedReason, RefusedStart, checkpoint, proto,
};
use crate::core::{
    Assignment, CommitEntry, IdRange, Notice, PartitionId, StartRefused, StreamEnd, WaitId,
    WithdrawReason,
};

/// Partition events that may wait for a client.
pub const EVENTS_MAX: usize = 4096;

/// Refused ranges that may wait for a client before its further requests do.
pub const REFUSED_MAX: usize = 16_384;

/// Ranges in one message; each takes 22 bytes at most.
const RANGES_PER_MESSAGE: usize = 512;

/// Messages that wait for one stream.
#[derive(Debug, Default)]
pub struct Outbox {
    withdrawn: BTreeMap<WithdrawReason, Ranges>,
    refused: BTreeMap<RefusedReason, Ranges>,
    refused_starts: VecDeque<RefusedStart>,
    /// Highest request answered, and highest told to the client.
    answered: u64,
    told: u64,
    events: VecDeque<PartitionNotice>,
    committed: BTreeMap<PartitionId, Kept>,
    caught_up: BTreeMap<PartitionId, (Assignment, i64)>,
    draining: Option<(Duration, &'static str)>,
    end: Option<End>,
    waits_for_room: Option<Waker>,
}

/// A notice about a partition that comes or goes.
#[derive(Debug)]
struct PartitionNotice {
    partition: PartitionId,
    assignment: Assignment,
    what: PartitionChange,
}

/// What was committed, or what the application is to keep.
#[derive(Debug)]
struct Kept {
    assignment: Assignment,
    offset: i64,
    checkpoint: Vec<u8>,
}

#[derive(Debug)]
enum PartitionChange {
    StartWanted,
    Assigned { start_offset: i64 },
    Revoking { time_left: Duration },
    Revoked { reason: WithdrawReason },
}

impl Outbox {
    /// An outbox in which nothing waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Deliveries were taken back. Nothing is kept if that is because the stream itself ended.
    pub fn withdraw(&mut self, ids: &[IdRange], reason: WithdrawReason) {
        if !ids.is_empty() && reason != WithdrawReason::StreamEnded {
            self.withdrawn.entry(reason).or_default().extend(ids);
        }
    }

    /// Something the stream asked to be told.
    pub fn notify(&mut self, notice: &Notice) {
        if self.end.is_some() {
            return;
        }
        match *notice {
            Notice::StartWanted {
                partition,
                assignment,
            } => self.event(partition, assignment, PartitionChange::StartWanted),
            Notice::Assigned {
                partition,
                assignment,
                start_offset,
            } => {
                self.event(
                    partition,
                    assignment,
                    PartitionChange::Assigned { start_offset },
                );
            }
            Notice::Revoking {
                partition,
                assignment,
                time_left,
            } => {
                self.event(
                    partition,
                    assignment,
                    PartitionChange::Revoking { time_left },
                );
            }
            Notice::Revoked {
                partition,
                assignment,
                reason,
            } => {
                self.event(partition, assignment, PartitionChange::Revoked { reason });
            }
            Notice::Committed {
                partition,
                assignment,
                offset,
                ref offered,
            } => {
                let kept = Kept {
                    assignment,
                    offset,
                    checkpoint: offered
                        .as_deref()
                        .map(checkpoint::encode)
                        .unwrap_or_default(),
                };
                self.committed.insert(partition, kept);
            }
            Notice::CaughtUp {
                partition,
                assignment,
                end_offset,
            } => {
                self.caught_up.insert(partition, (assignment, end_offset));
            }
            Notice::Draining { time_left, reason } => self.draining = Some((time_left, reason)),
        }
    }

    /// The stream ends once everything before was popped. The first end stands.
    pub fn end(&mut self, end: StreamEnd) {
        self.end.get_or_insert(End::Decided(end));
    }

    /// Answers one request.
    pub fn answer(&mut self, answer: Answer) {
        self.answered = self.answered.max(answer.request_id);
        for Refused { reason, ids } in answer.refused {
            if ids.is_empty() {
                continue;
            }
            self.refused.entry(reason).or_default().extend(&ids);
        }
        self.refused_starts.extend(answer.refused_starts);
    }

    /// Ready while fewer than [`REFUSED_MAX`] refused ranges wait; else the task of `cx` is woken
    /// when that is so again. One task at a time.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.refused_waiting() < REFUSED_MAX {
            return Poll::Ready(());
        }
        self.waits_for_room = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether [`Outbox::pop`] has something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.withdrawn.is_empty()
            && self.refused.is_empty()
            && self.refused_starts.is_empty()
            && self.answered == self.told
            && self.events.is_empty()
            && self.committed.is_empty()
            && self.caught_up.is_empty()
            && self.draining.is_none()
            && self.end.is_none()
    }

    /// The next thing to send. `topics` are the configured topics.
    pub fn pop(&mut self, topics: &[String]) -> Option<Outgoing> {
        let response = self
            .pop_withdrawn()
            .or_else(|| self.pop_settled())
            .or_else(|| self.pop_event(topics))
            .or_else(|| self.pop_committed(topics))
            .or_else(|| self.pop_caught_up(topics))
            .or_else(|| self.pop_draining());
        match response {
            Some(response) => Some(Outgoing::Message(response)),
            // Stays in place, so that whoever asks again is told the same (O3).
            None => self.end.map(Outgoing::End),
        }
    }

    /// Whether the stream ends because its client leaves too much unread.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.end == Some(End::TooManyUnread)
    }

    fn event(&mut self, partition: PartitionId, assignment: Assignment, what: PartitionChange) {
        if self.events.len() == EVENTS_MAX {
            self.events.clear();
            self.committed.clear();
            self.caught_up.clear();
            self.end = Some(End::TooManyUnread);
            return;
        }
        self.events.push_back(PartitionNotice {
            partition,
            assignment,
            what,
        });
    }

    /// Refused ranges that the client was not told yet.
    pub(super) fn refused_waiting(&self) -> usize {
        let ranges = self.refused.values().map(|ranges| ranges.0.len());
        ranges.sum::<usize>() + self.refused_starts.len()
    }

    fn pop_withdrawn(&mut self) -> Option<Response> {
        let (reason, ids) = take_ids(&mut self.withdrawn)?;
        Some(Response::Withdrawn(proto::Withdrawn {
            deliveries: Some(ids),
            reason: withdraw_reason(reason).into(),
        }))
    }

    /// Refusals go first, with the number told before, so that "accepted up to" never names a
    /// request whose refusals are still to come.
    fn pop_settled(&mut self) -> Option<Response> {
        let refused = match take_ids(&mut self.refused) {
            Some((reason, ids)) => vec![proto::Refusal {
                deliveries: Some(ids),
                reason: refusal_reason(reason).into(),
            }],
            None if self.answered == self.told && self.refused_starts.is_empty() => return None,
            None => Vec::new(),
        };
        let starts = self.refused_starts.len().min(RANGES_PER_MESSAGE);
        let refused_starts = start_refusals(self.refused_starts.drain(..starts));
        if self.refused.is_empty() && self.refused_starts.is_empty() {
            self.told = self.answered;
        }
        if self.refused_waiting() < REFUSED_MAX
            && let Some(waker) = self.waits_for_room.take()
        {
            waker.wake();
        }
        Some(Response::Settled(proto::Settled {
            up_to_request_id: self.told,
            refused,
            refused_starts,
        }))
    }

    fn pop_event(&mut self, topics: &[String]) -> Option<Response> {
        let PartitionNotice {
            partition,
            assignment,
            what,
        } = self.events.pop_front()?;
        let mut event = proto::PartitionEvent {
            topic: topic_of(partition, topics),
            partition: partition.partition,
            assignment: assignment.0,
            ..proto::PartitionEvent::default()
        };
        match what {
            PartitionChange::StartWanted => {
                event.set_kind(Kind::Assigned);
                event.start_wanted = true;
            }
            PartitionChange::Assigned { start_offset } => {
                event.set_kind(Kind::Assigned);
                event.start_offset = start_offset;
            }
            PartitionChange::Revoking { time_left } => {
                event.set_kind(Kind::Revoking);
                event.time_left = Some(duration(time_left));
            }
            PartitionChange::Revoked { reason } => {
                event.set_kind(Kind::Revoked);
                event.set_reason(withdraw_reason(reason));
            }
        }
        Some(Response::Partition(event))
    }

    fn pop_committed(&mut self, topics: &[String]) -> Option<Response> {
        let (partition, kept) = self.committed.pop_first()?;
        let Kept {
            assignment,
            offset,
            checkpoint,
        } = kept;
        Some(Response::Committed(proto::Committed {
            topic: topic_of(partition, topics),
            partition: partition.partition,
            assignment: assignment.0,
            offset,
            checkpoint: checkpoint.into(),
        }))
    }

    fn pop_caught_up(&mut self, topics: &[String]) -> Option<Response> {
        let (partition, (assignment, end_offset)) = self.caught_up.pop_first()?;
        Some(Response::CaughtUp(proto::CaughtUp {
            topic: topic_of(partition, topics),
            partition: partition.partition,
            assignment: assignment.0,
            end_offset,
        }))
    }

    fn pop_draining(&mut self) -> Option<Response> {
        let (time_left, reason) = self.draining.take()?;
        Some(Response::Draining(proto::Draining {
            time_left: Some(duration(time_left)),
            reason: reason.to_owned(),
        }))
    }
}

/// The callers that wait for a commit, by the name the core knows them by.
#[derive(Debug, Default)]
pub struct CommitWaits {
    next: u64,
    waiting: BTreeMap<WaitId, oneshot::Sender<CommitAnswer>>,
}

impl CommitWaits {
    /// A new caller.
    pub fn add(&mut self) -> (WaitId, oneshot::Receiver<CommitAnswer>) {
        let wait = WaitId(self.next);
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(wait, sender);
        (wait, receiver)
    }

    /// The core's answer. The caller may have gone.
    pub fn answer(&mut self, wait: WaitId, answer: CommitAnswer) {
        if let Some(sender) = self.waiting.remove(&wait) {
            let _gone = sender.send(answer);
        }
    }
}

/// Refusals as the application sees them.
pub(super) fn refusals(refused: Vec<Refused>) -> Vec<proto::Refusal> {
    refused
        .into_iter()
        .map(|Refused { reason, ids }| proto::Refusal {
            reason: refusal_reason(reason).into(),
            deliveries: Some(ids_of(ids.into_iter())),
        })
        .collect()
}

/// What an application is to keep of a partition.
pub(super) fn kept(entry: &CommitEntry, topics: &[String]) -> proto::Committed {
    proto::Committed {
        topic: topic_of(entry.partition, topics),
        partition: entry.partition.partition,
        assignment: entry.assignment.0,
        offset: entry.offset,
        checkpoint: checkpoint::encode(entry).into(),
    }
}

/// Answers to where partitions start that changed nothing, as the application sees them.
pub(super) fn start_refusals(
    refused: impl IntoIterator<Item = RefusedStart>,
) -> Vec<proto::StartRefusal> {
    let refused = refused.into_iter();
    refused
        .map(|(assignment, reason)| proto::StartRefusal {
            assignment: assignment.0,
            reason: start_refusal_reason(reason).into(),
        })
        .collect()
}

fn start_refusal_reason(reason: StartRefused) -> proto::StartRefusalReason {
    match reason {
        StartRefused::Stale => proto::StartRefusalReason::Stale,
        StartRefused::OtherStream => proto::StartRefusalReason::OtherStream,
        StartRefused::OtherPosition => proto::StartRefusalReason::OtherPosition,
    }
}

/// Ranges in the order they came, joined where one follows on the other.
#[derive(Debug, Default)]
struct Ranges(VecDeque<IdRange>);

impl Ranges {
    fn extend(&mut self, ranges: &[IdRange]) {
        for range in ranges {
            match self.0.back_mut() {
                Some(last) if last.last.checked_add(1) == Some(range.first) => {
                    last.last = range.last;
                }
                Some(_) | None => self.0.push_back(*range),
            }
        }
    }
}

/// Takes what fits into one message, of the first reason for which ids wait.
fn take_ids<R: Copy + Ord>(waiting: &mut BTreeMap<R, Ranges>) -> Option<(R, proto::Ids)> {
    let mut entry = waiting.first_entry()?;
    let reason = *entry.key();
    let ranges = &mut entry.get_mut().0;
    let ids = ids_of(ranges.drain(..ranges.len().min(RANGES_PER_MESSAGE)));
    if ranges.is_empty() {
        entry.remove();
    }
    Some((reason, ids))
}

fn ids_of(ranges: impl Iterator<Item = IdRange>) -> proto::Ids {
    let ranges = ranges
        .map(|IdRange { first, last }| proto::IdRange { first, last })
        .collect();
    proto::Ids {
        ids: Vec::new(),
        ranges,
    }
}

fn topic_of(partition: PartitionId, topics: &[String]) -> String {
    topics
        .get(usize::from(partition.topic.0))
        .cloned()
        .unwrap_or_default()
}

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

fn withdraw_reason(reason: WithdrawReason) -> proto::WithdrawReason {
    match reason {
        WithdrawReason::Revoked => proto::WithdrawReason::Revoked,
        WithdrawReason::Lost => proto::WithdrawReason::Lost,
        WithdrawReason::Deadline => proto::WithdrawReason::Deadline,
        WithdrawReason::EarlierRetry => proto::WithdrawReason::EarlierRetry,
        WithdrawReason::Repositioned => proto::WithdrawReason::Repositioned,
        WithdrawReason::Aborted => proto::WithdrawReason::Aborted,
        WithdrawReason::Shutdown => proto::WithdrawReason::Shutdown,
        WithdrawReason::OtherStream => proto::WithdrawReason::OtherStream,
        // Not kept by `Outbox::withdraw`.
        WithdrawReason::StreamEnded => proto::WithdrawReason::Unspecified,
    }
}

fn refusal_reason(reason: RefusedReason) -> proto::RefusalReason {
    match reason {
        RefusedReason::Stale => proto::RefusalReason::Stale,
        RefusedReason::Conflict => proto::RefusalReason::Conflict,
        RefusedReason::Unknown => proto::RefusalReason::Unknown,
    }
}

#[cfg(test)]
mod tests;
