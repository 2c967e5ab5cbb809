//! What an application may settle, and what it is answered.

use ackline::core::{
    CommitMode, CommittedOffset, IdRange, Moment, Outcome, PartitionId, Refusal, RefusalReason,
    SettleRequest, StreamId, WaitId, WithdrawReason,
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
            .flat_map(|settlement| &settlement.ids)
            .flat_map(|range| self.issued(member, *range))
        {
            *touched.entry(id).or_default() += 1;
        }
        let mut covered = Vec::new();
        for acks in [true, false] {
            for settlement in request
                .settlements
                .iter()
                .filter(|settlement| (settlement.outcome == Outcome::Ack) == acks)
            {
                for range in &settlement.ids {
                    self.check_unknown(member, *range, refusals);
                    for id in self.issued(member, *range) {
                        let answer = refusal_of(id, refusals);
                        let once = touched.get(&id) == Some(&1);
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
        match outcome {
            Outcome::Ack => {
                if let Some(uid) = uid {
                    self.truths[uid].terminal = true;
                }
            }
            Outcome::Retry { delay } => {
                self.hold_back(member, id, now.plus(self.shortest_backoff(delay)), false)
            }
            Outcome::Release => {
                self.hold_back(member, id, now.plus(self.settings.retry.initial), true)
            }
        }
    }

    fn shortest_backoff(&self, delay: Option<Duration>) -> Duration {
        let retry = self.settings.retry;
        delay.map_or_else(
            || retry.initial.mul_f64(1.0 - retry.jitter),
            |delay| delay.min(retry.max),
        )
    }

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

    fn uid_of(&self, member: usize, id: u64) -> Option<Uid> {
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
        let finished = life == Life::Settled(Kind::Ack);
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
                self.end_delivery(member, id, Life::Dead);
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
