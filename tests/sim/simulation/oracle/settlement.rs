//! What an application may settle, and what it is answered.

use ackline::core::{
    Backoff, CommitMode, CommittedOffset, IdRange, Moment, Outcome, PartitionId, Refusal,
    RefusalReason, SettleRequest, Settlement, StreamId, TopicIndex, WaitId, WithdrawReason,
};
use std::collections::BTreeMap;
use std::time::Duration;

use super::super::broker::Broker;
use super::super::log::Uid;
use super::{Kind, Life, Oracle, Standing, is_marked};

impl Kind {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ack => Self::Ack,
            Outcome::Retry { .. } => Self::Retry,
            Outcome::Release => Self::Release,
            Outcome::DeadLetter => Self::DeadLetter,
            Outcome::Discard => Self::Discard,
        }
    }
}

impl Oracle {
    /// The core answered a request with these refusals. Its effects were not looked at yet.
    pub(crate) fn settled(
        &mut self,
        now: Moment,
        member: usize,
        request: &SettleRequest,
        refusals: &[Refusal],
    ) {
        let mut touched: BTreeMap<u64, u32> = BTreeMap::new();
        for id in request
            .settlements
            .iter()
            .map(|settlement| &settlement.ids)
            .chain(request.extends.iter().map(|extend| &extend.ids))
            .flatten()
            .flat_map(|range| self.issued(member, *range))
        {
            *touched.entry(id).or_default() += 1;
        }
        let mut covered = Vec::new();
        for acks in [true, false] {
            if !acks {
                self.extended(now, member, request, refusals);
            }
            for settlement in request.settlements.iter().filter(|settlement| {
                matches!(settlement.outcome, Outcome::Ack | Outcome::Discard) == acks
            }) {
                let outputs = settlement.outputs.map(|outputs| outputs.id);
                if outputs.is_some() && self.refused_whole(member, settlement, refusals, &touched) {
                    continue;
                }
                for range in &settlement.ids {
                    self.check_unknown(member, *range, refusals);
                    for id in self.issued(member, *range) {
                        let answer = refusal_of(id, refusals);
                        let once = touched.get(&id) == Some(&1);
                        if self.members[member].deliveries[&id].life == Life::Live {
                            self.note_output(member, id, outputs);
                        }
                        self.settle_one(
                            now,
                            member,
                            id,
                            settlement.outcome,
                            once.then_some(answer),
                            &mut covered,
                        );
                    }
                }
            }
        }
        if let Some(wait) = request.wait {
            self.members[member].waits.insert(wait, covered);
        }
    }

    /// A settlement with outputs is applied whole or not at all.
    fn refused_whole(
        &mut self,
        member: usize,
        settlement: &Settlement,
        refusals: &[Refusal],
        touched: &BTreeMap<u64, u32>,
    ) -> bool {
        let (mut live, mut same, mut wrong) = (false, false, false);
        for range in &settlement.ids {
            let ids = self.issued(member, *range);
            let named = range.last.checked_sub(range.first);
            let named = named.map_or(0, |span| span.saturating_add(1));
            wrong |= range.first > range.last || named != ids.len() as u64;
            for id in ids {
                match self.members[member].deliveries[&id].life {
                    Life::Live => live = true,
                    Life::Settled(Kind::Ack) => same = true,
                    Life::Settled(_) | Life::Dead => wrong = true,
                }
            }
        }
        let mixed = live && same;
        if !wrong && !mixed {
            return false;
        }
        for range in &settlement.ids {
            self.check_unknown(member, *range, refusals);
            for id in self.issued(member, *range) {
                let expected = match self.members[member].deliveries[&id].life {
                    Life::Live => None,
                    Life::Settled(Kind::Ack) => mixed.then_some(RefusalReason::Conflict),
                    Life::Settled(_) => Some(RefusalReason::Conflict),
                    Life::Dead => Some(RefusalReason::Stale),
                };
                let answer = refusal_of(id, refusals);
                let once = touched.get(&id) == Some(&1);
                self.check(!once || answer == expected, || {
                    format!("id {id} of a settlement that is refused whole is answered {answer:?}, not {expected:?}")
                });
            }
        }
        true
    }

    fn issued(&self, member: usize, range: IdRange) -> Vec<u64> {
        if range.first > range.last {
            return Vec::new();
        }
        self.members[member]
            .deliveries
            .range(range.first..=range.last)
            .map(|(id, _)| *id)
            .collect()
    }

    /// A single id that was never issued is UNKNOWN.
    fn check_unknown(&mut self, member: usize, range: IdRange, refusals: &[Refusal]) {
        if range.first == range.last && !self.members[member].deliveries.contains_key(&range.first)
        {
            let answer = refusal_of(range.first, refusals);
            self.check(answer == Some(RefusalReason::Unknown), || {
                format!(
                    "I-S4: id {} was never issued, but is answered {answer:?}",
                    range.first
                )
            });
        }
    }

    fn settle_one(
        &mut self,
        now: Moment,
        member: usize,
        id: u64,
        outcome: Outcome,
        answer: Option<Option<RefusalReason>>,
        covered: &mut Vec<Uid>,
    ) {
        let on_delivery = self.settings.commit_mode == CommitMode::OnDelivery;
        let Some(delivery) = self.members[member].deliveries.get(&id) else {
            return;
        };
        let kind = Kind::of(outcome);
        let life = delivery.life;
        let expected = match life {
            _ if on_delivery => None,
            Life::Live => None,
            Life::Settled(before) if before == kind => None,
            Life::Settled(_) => Some(RefusalReason::Conflict),
            Life::Dead => Some(RefusalReason::Stale),
        };
        let uid = self.uid_of(member, id);
        if let Some(answer) = answer {
            self.check(answer == expected, || {
                format!("I-S4: {outcome:?} of id {id}, which is {life:?}, is answered {answer:?}, not {expected:?}")
            });
        }
        if kind == Kind::Ack && expected.is_none() {
            covered.extend(uid);
        }
        if life != Life::Live || on_delivery {
            return;
        }
        self.end_delivery(member, id, Life::Settled(kind));
        let retry = self.retry_of(member, id);
        match outcome {
            Outcome::Ack | Outcome::Discard => {
                if let Some(uid) = uid.filter(|_| !self.is_transactional()) {
                    self.truths[uid].terminal = true;
                }
            }
            Outcome::Retry { delay } => {
                self.hold_back(member, id, now.plus(shortest_backoff(retry, delay)), false);
                self.failed(member, id);
            }
            Outcome::Release => self.hold_back(member, id, now.plus(retry.initial), true),
            Outcome::DeadLetter => self.asked_to_set_aside(member, id),
        }
        self.heard_of(member, id, outcome);
    }

    fn retry_of(&self, member: usize, id: u64) -> Backoff {
        let of_member = &self.members[member];
        let delivery = of_member.deliveries.get(&id);
        let book = delivery.and_then(|delivery| of_member.books.get(&delivery.assignment));
        let topic = book.map_or(TopicIndex(0), |book| book.partition.topic);
        self.settings.policy(topic).retry
    }
}

fn shortest_backoff(retry: Backoff, delay: Option<Duration>) -> Duration {
    delay.map_or_else(
        || retry.initial.mul_f64(1.0 - retry.jitter),
        |delay| delay.min(retry.max),
    )
}

impl Oracle {
    fn hold_back(&mut self, member: usize, id: u64, until: Moment, released: bool) {
        let of_member = &mut self.members[member];
        let Some(delivery) = of_member.deliveries.get(&id) else {
            return;
        };
        let Some(book) = of_member.books.get_mut(&delivery.assignment) else {
            return;
        };
        let taken = &mut book.taken[delivery.number];
        if released {
            taken.avoid = Some((delivery.stream, until));
        } else {
            taken.not_before = until;
        }
    }

    pub(super) fn uid_of(&self, member: usize, id: u64) -> Option<Uid> {
        let of_member = &self.members[member];
        let delivery = of_member.deliveries.get(&id)?;
        Some(
            of_member
                .books
                .get(&delivery.assignment)?
                .taken
                .get(delivery.number)?
                .uid,
        )
    }

    /// A live delivery ends; its record waits again, unless it is finished.
    pub(super) fn end_delivery(&mut self, member: usize, id: u64, life: Life) {
        let of_member = &mut self.members[member];
        let Some(delivery) = of_member.deliveries.get_mut(&id) else {
            return;
        };
        delivery.life = life;
        of_member.live -= 1;
        let Some(book) = of_member.books.get_mut(&delivery.assignment) else {
            return;
        };
        let taken = &mut book.taken[delivery.number];
        let finished = matches!(life, Life::Settled(Kind::Ack | Kind::Discard));
        taken.standing = if finished {
            Standing::Finished
        } else {
            Standing::Waiting
        };
        book.unfinished -= usize::from(finished);
        book.lane_dirty = true;
        if let Some(stream) = of_member.streams.get_mut(&delivery.stream) {
            stream.live -= 1;
            stream.live_bytes -= taken.size;
        }
    }

    pub(crate) fn withdrawn(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        ids: &[IdRange],
        reason: WithdrawReason,
    ) {
        let expired = self.members[member]
            .streams
            .get(&stream)
            .is_some_and(|stream| stream.expired_at == Some(now));
        let oldest = self.members[member]
            .deliveries
            .iter()
            .find(|(_, delivery)| delivery.stream == stream && delivery.life == Life::Live)
            .map(|(id, _)| *id);
        for id in ids.iter().flat_map(|range| range.first..=range.last) {
            let alive = self.members[member]
                .deliveries
                .get(&id)
                .is_some_and(|delivery| delivery.life == Life::Live && delivery.stream == stream);
            self.check(alive || expired, || {
                format!("id {id} of {stream:?} is withdrawn ({reason:?}), but was not alive there")
            });
            let right = self.is_right_reason(member, id, reason);
            self.check(right, || {
                format!("M11: id {id} is withdrawn ({reason:?}), but its partition stays")
            });
            if alive {
                if reason == WithdrawReason::Deadline {
                    self.late(now, member, id, oldest == Some(id));
                }
                self.end_delivery(member, id, Life::Dead);
            } else if reason == WithdrawReason::Deadline {
                // It may have been late before it was kept for too long, and the oldest.
                self.failed(member, id);
            }
        }
    }

    /// A delivery is taken back for its deadline, which must have come. Only the oldest of its stream has failed.
    fn late(&mut self, now: Moment, member: usize, id: u64, oldest: bool) {
        let retry = self.retry_of(member, id);
        let deadline = self.members[member].deliveries[&id].deadline;
        self.check(deadline.is_some_and(|deadline| deadline <= now), || {
            format!("id {id} is late before its deadline {deadline:?}")
        });
        let wait = if oldest {
            shortest_backoff(retry, None)
        } else {
            retry.initial
        };
        self.hold_back(member, id, now.plus(wait), false);
        if oldest {
            self.failed(member, id);
        }
    }

    /// A turn of time is over: nothing that was late is alive.
    pub(crate) fn check_deadlines(&mut self, now: Moment, member: usize) {
        let late = |(_, delivery): &(&u64, &super::Delivery)| {
            let over = delivery.deadline.is_some_and(|deadline| deadline <= now);
            over && delivery.life == Life::Live
        };
        let found = self.members[member].deliveries.iter().find(late);
        let id = found.map(|(id, _)| *id);
        self.check(id.is_none(), || {
            format!("B39: id {id:?} is alive after its deadline")
        });
    }

    /// Deadlines were moved.
    fn extended(
        &mut self,
        now: Moment,
        member: usize,
        request: &SettleRequest,
        refusals: &[Refusal],
    ) {
        for extend in &request.extends {
            for range in &extend.ids {
                self.check_unknown(member, *range, refusals);
                for id in self.issued(member, *range) {
                    let Some(delivery) = self.members[member].deliveries.get_mut(&id) else {
                        continue;
                    };
                    if delivery.life == Life::Live && delivery.deadline.is_some() {
                        delivery.deadline = Some(now.plus(extend.by));
                    }
                    if delivery.life != Life::Live && self.settings.commit_mode == CommitMode::OnAck
                    {
                        let answer = refusal_of(id, refusals);
                        self.check(answer.is_some(), || {
                            format!("I-S4: the deadline of dead id {id} is moved")
                        });
                    }
                }
            }
        }
    }

    /// A delivery is taken back as revoked only if its partition is.
    fn is_right_reason(&self, member: usize, id: u64, reason: WithdrawReason) -> bool {
        let of_member = &self.members[member];
        let delivery = of_member.deliveries.get(&id);
        let book = delivery.and_then(|delivery| of_member.books.get(&delivery.assignment));
        reason != WithdrawReason::Revoked
            || book.is_some_and(|book| of_member.revoking.contains(&book.partition))
    }

    pub(crate) fn commit_awaited(
        &mut self,
        member: usize,
        wait: WaitId,
        committed: bool,
        broker: &Broker,
    ) {
        let Some(uids) = self.members[member].waits.remove(&wait) else {
            return self.violate(|| format!("{wait:?} is answered, but does not wait"));
        };
        for uid in uids {
            let truth = &self.truths[uid];
            let (partition, offset) = (truth.partition, truth.offset);
            let comparable = truth.incarnation == broker.topic(partition.topic).incarnation
                && !self.disturbed.contains(&partition);
            if committed && comparable {
                let is_covered = self.is_covered(broker, partition, offset);
                self.check(is_covered, || {
                    format!("I-S8: {wait:?} is told that {partition:?} {offset} is committed")
                });
            }
        }
    }

    pub(crate) fn has_commit_out(&self, member: usize) -> bool {
        self.members[member].commit_out.is_some()
    }

    /// Everything an operator asked of a process that ends was answered (K1).
    pub(crate) fn unanswered_seeks(&self, member: usize) -> usize {
        self.members[member].wishes.unanswered()
    }

    pub(crate) fn unanswered_waits(&self, member: usize) -> usize {
        self.members[member].waits.len()
    }

    /// Whether what the broker holds keeps a record from ever being delivered again.
    pub(super) fn is_covered(&self, broker: &Broker, partition: PartitionId, offset: i64) -> bool {
        let Some(committed) = broker.committed.get(&partition) else {
            return false;
        };
        offset < committed.offset || self.is_marked_at(broker, partition, committed, offset)
    }

    fn is_marked_at(
        &self,
        broker: &Broker,
        partition: PartitionId,
        committed: &CommittedOffset,
        offset: i64,
    ) -> bool {
        match broker.decode(partition, committed, self.knows_cluster) {
            ackline::core::metadata::Decoded::Ours {
                marks: Some(marks), ..
            } => is_marked(&marks, offset, None),
            ackline::core::metadata::Decoded::Ours { marks: None, .. }
            | ackline::core::metadata::Decoded::Absent
            | ackline::core::metadata::Decoded::Ignored(_)
            | ackline::core::metadata::Decoded::MadeAgain => false,
        }
    }
}

fn refusal_of(id: u64, refusals: &[Refusal]) -> Option<RefusalReason> {
    refusals
        .iter()
        .find(|refusal| {
            refusal
                .ids
                .iter()
                .any(|range| range.first <= id && id <= range.last)
        })
        .map(|refusal| refusal.reason)
}
