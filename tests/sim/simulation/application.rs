//! The applications of one member: slow, out of order, crashing, late, hostile, and at last well-behaved.

use std::collections::BTreeSet;
use std::time::Duration;

use ackline::core::{
    Extend, FlowChange, IdRange, Moment, Outcome, Refusal, SettleRequest, Settlement, StreamId,
    StreamOpen, TopicIndex, WaitId,
};

use super::homes::Question;
use super::plan::Plan;
use super::random::Random;

/// Ids that an application remembers after they died, to settle them late.
const OLD_MAX: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Open(StreamId),
    /// Half-closed; waits for the end.
    Closing(StreamId),
}

/// One place where an application opens a stream, again and again.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: State,
    /// Deliveries that it works on.
    pub(crate) held: Vec<u64>,
    /// Deliveries that it settled, or that were taken from it.
    old: Vec<u64>,
    /// Whether it takes what is sent; if not, the transport is full.
    pub(crate) reads: bool,
    pub(crate) healthy: bool,
    /// Its stream takes every topic, and records of every size.
    pub(crate) wants_everything: bool,
    /// It is stuck on this delivery until then.
    stuck: Option<(u64, Moment)>,
    /// What it was asked and has not answered.
    pub(crate) questions: Vec<Question>,
    pace: u64,
}

/// What an application does next.
#[derive(Debug)]
pub(crate) enum Act {
    Nothing,
    Open(StreamOpen),
    Settle(SettleRequest),
    Flow(StreamId, FlowChange),
    HalfClose(StreamId),
    Crash(StreamId),
    ReadAgain(StreamId),
}

impl Slot {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            state: State::Closed,
            held: Vec::new(),
            old: Vec::new(),
            reads: true,
            healthy: false,
            wants_everything: false,
            stuck: None,
            questions: Vec::new(),
            pace: random.pick(&[20, 60, 150, 500]),
        }
    }

    pub(crate) fn pause(&self, random: &mut Random) -> Duration {
        if self.healthy {
            random.millis(20..80)
        } else {
            random.millis(self.pace / 4..self.pace)
        }
    }

    /// Deliveries ended without its doing. It may not have noticed.
    pub(crate) fn withdrawn(&mut self, ids: &[IdRange], random: &mut Random) {
        if random.chance(200) && !self.healthy {
            return;
        }
        let ended = |id: &u64| {
            ids.iter()
                .any(|range| range.first <= *id && *id <= range.last)
        };
        let (gone, held) = std::mem::take(&mut self.held).into_iter().partition(ended);
        self.held = held;
        self.remember(gone);
    }

    pub(crate) fn disconnected(&mut self) {
        self.state = State::Closed;
        self.reads = true;
        self.stuck = None;
        self.questions.clear();
        let held = std::mem::take(&mut self.held);
        self.remember(held);
    }

    pub(crate) fn half_closed(&mut self, stream: StreamId) {
        self.state = State::Closing(stream);
        let held = std::mem::take(&mut self.held);
        self.remember(held);
    }

    /// What was settled with outputs is not, if any of it was refused: the rest is settled again.
    pub(crate) fn refused(&mut self, request: &SettleRequest, refusals: &[Refusal]) {
        let is_refused = |id: u64| {
            let mut ranges = refusals.iter().flat_map(|refusal| &refusal.ids);
            ranges.any(|range| range.first <= id && id <= range.last)
        };
        let with_outputs = request.settlements.iter();
        for settlement in with_outputs.filter(|settlement| settlement.outputs.is_some()) {
            let ids = settlement.ids.iter();
            let ids: Vec<u64> = ids
                .filter(|range| range.first <= range.last)
                .flat_map(|range| range.first..=range.last)
                .collect();
            if ids.iter().any(|id| is_refused(*id)) {
                let rest = ids.into_iter().filter(|id| !is_refused(*id));
                self.held.extend(rest);
                self.held.sort_unstable();
                self.held.dedup();
            }
        }
    }

    fn remember(&mut self, ids: Vec<u64>) {
        self.old.extend(ids);
        let excess = self.old.len().saturating_sub(OLD_MAX);
        self.old.drain(..excess);
    }

    pub(crate) fn act(
        &mut self,
        now: Moment,
        plan: &Plan,
        random: &mut Random,
        wait: &mut u64,
    ) -> Act {
        let stream = match self.state {
            State::Closed => return Act::Open(self.opening(plan, random)),
            State::Closing(_) => return Act::Nothing,
            State::Open(stream) => stream,
        };
        if !self.healthy {
            let faults = &plan.faults;
            if random.chance(faults.crashing_applications) {
                return Act::Crash(stream);
            }
            if random.chance(faults.crashing_applications / 2) {
                return Act::HalfClose(stream);
            }
            if random.chance(30) {
                return Act::Flow(stream, flow(random));
            }
            if random.chance(faults.hostile_applications) {
                return Act::Settle(self.hostile(random, wait));
            }
            if random.chance(if self.reads { 20 } else { 300 }) {
                self.reads = !self.reads;
                if self.reads {
                    return Act::ReadAgain(stream);
                }
            }
        }
        self.settle(now, plan, random, wait)
            .map_or(Act::Nothing, Act::Settle)
    }

    fn settle(
        &mut self,
        now: Moment,
        plan: &Plan,
        random: &mut Random,
        wait: &mut u64,
    ) -> Option<SettleRequest> {
        if !self.healthy && self.stuck.is_none_or(|(_, until)| until <= now) {
            let sticks = random.chance(plan.faults.slow_applications / 4);
            self.stuck = self
                .held
                .first()
                .filter(|_| sticks)
                .map(|id| (*id, now.plus(random.millis(500..20_000))));
        }
        let stuck = self.stuck.filter(|_| !self.healthy).map(|(id, _)| id);
        let in_order = self.healthy || random.chance(300);
        let share = if self.healthy {
            1000
        } else {
            random.pick(&[100, 400, 1000])
        };
        let mut settlements: Vec<Settlement> = Vec::new();
        let mut kept = Vec::new();
        let mut done = Vec::new();
        for id in std::mem::take(&mut self.held) {
            if stuck == Some(id) || (in_order && !kept.is_empty()) || !random.chance(share) {
                kept.push(id);
                continue;
            }
            done.push(id);
            let outcome = self.outcome(random);
            match settlements
                .iter_mut()
                .find(|settlement| settlement.outcome == outcome)
            {
                Some(settlement) => add_id(&mut settlement.ids, id),
                None => settlements.push(Settlement {
                    ids: vec![IdRange::one(id)],
                    outcome,
                    reason: String::new(),
                    outputs: None,
                }),
            }
        }
        self.held = kept;
        self.remember(done);
        if settlements.is_empty() {
            return None;
        }
        let extends = if !self.healthy && random.chance(100) {
            self.extends(random)
        } else {
            Vec::new()
        };
        Some(SettleRequest {
            settlements,
            extends,
            wait: next_wait(random, wait),
        })
    }

    fn outcome(&self, random: &mut Random) -> Outcome {
        match random.below(20) {
            _ if self.healthy => Outcome::Ack,
            0 => Outcome::Retry { delay: None },
            1 => Outcome::Retry {
                delay: Some(random.millis(0..800)),
            },
            2 => Outcome::Release,
            3 if random.chance(300) => Outcome::DeadLetter,
            4 if random.chance(300) => Outcome::Discard,
            _ => Outcome::Ack,
        }
    }

    /// More time for something that it holds, or held.
    fn extends(&self, random: &mut Random) -> Vec<Extend> {
        let ids = self.held.iter().chain(&self.old);
        let ids: Vec<IdRange> = ids
            .filter(|_| random.chance(200))
            .map(|id| IdRange::one(*id))
            .collect();
        vec![Extend {
            ids,
            by: random.millis(1..3000),
        }]
    }

    /// Ids that are dead, doubled, never issued, or half of all numbers.
    fn hostile(&mut self, random: &mut Random, wait: &mut u64) -> SettleRequest {
        let mut settlements = Vec::new();
        for _ in 0..=random.below(3) {
            let id = if self.old.is_empty() || random.chance(200) {
                random.next() >> 11
            } else {
                random.pick(&self.old)
            };
            let ids = match random.below(8) {
                0 => vec![IdRange {
                    first: id,
                    last: id.saturating_sub(random.below(3) + 1),
                }],
                1 => vec![IdRange {
                    first: id,
                    last: id.saturating_add(random.below(4)),
                }],
                2 => vec![IdRange::one(id), IdRange::one(id)],
                _ => vec![IdRange::one(id)],
            };
            let outcome = random.pick(&[
                Outcome::Ack,
                Outcome::Ack,
                Outcome::Release,
                Outcome::Retry { delay: None },
                Outcome::DeadLetter,
                Outcome::Discard,
            ]);
            settlements.push(Settlement {
                ids,
                outcome,
                reason: "?".to_owned(),
                outputs: None,
            });
        }
        if random.chance(20) {
            let ids = vec![IdRange {
                first: 0,
                last: u64::MAX,
            }];
            settlements.push(Settlement {
                ids,
                outcome: Outcome::Release,
                reason: "everything".to_owned(),
                outputs: None,
            });
        }
        SettleRequest {
            settlements,
            extends: if random.chance(200) {
                self.extends(random)
            } else {
                Vec::new()
            },
            wait: next_wait(random, wait),
        }
    }

    fn opening(&mut self, plan: &Plan, random: &mut Random) -> StreamOpen {
        let mut open = StreamOpen {
            client: "application".to_owned(),
            topics: None,
            in_flight_records_max: 1000,
            in_flight_bytes_max: 1 << 20,
            message_bytes_max: 1 << 20,
            batch_records_max: 100,
            batch_bytes_max: 1 << 18,
            batch_linger: Duration::ZERO,
            keep_after_close: Duration::ZERO,
            notice_partitions: random.chance(300),
            notice_committed: random.chance(300),
            notice_caught_up: random.chance(300),
        };
        if plan.applications_keep {
            open.notice_partitions = true;
            open.notice_committed = true;
        }
        self.wants_everything = true;
        if self.healthy {
            return open;
        }
        if random.chance(150) {
            let topic = random.index(plan.settings.topics.len());
            open.topics = Some(BTreeSet::from([TopicIndex(
                u16::try_from(topic).unwrap_or(0),
            )]));
        }
        open.in_flight_records_max = random.pick(&[1, 3, 20, 1000]);
        open.in_flight_bytes_max = random.pick(&[1, 500, 5000, 1 << 20]);
        open.message_bytes_max = random.pick(&[1500, 1 << 20, 1 << 20]);
        open.batch_records_max = random.pick(&[1, 4, 100]);
        open.batch_bytes_max = random.pick(&[1, 400, 1 << 18]);
        if random.chance(100) {
            open.batch_linger = random.millis(5..60);
        }
        if random.chance(200) && !plan.applications_keep {
            open.keep_after_close = random.millis(200..3000);
        }
        self.wants_everything = open.topics.is_none() && open.message_bytes_max > 10_000;
        open
    }
}

fn flow(random: &mut Random) -> FlowChange {
    FlowChange {
        paused: random.chance(700).then(|| random.chance(300)),
        in_flight_records_max: random.chance(300).then(|| random.pick(&[1, 10, 1000])),
        in_flight_bytes_max: random.chance(300).then(|| random.pick(&[1, 1000, 1 << 20])),
    }
}

fn next_wait(random: &mut Random, wait: &mut u64) -> Option<WaitId> {
    random.chance(100).then(|| {
        *wait += 1;
        WaitId(*wait)
    })
}

fn add_id(ids: &mut Vec<IdRange>, id: u64) {
    match ids.last_mut() {
        Some(range) if range.last + 1 == id => range.last = id,
        Some(_) | None => ids.push(IdRange::one(id)),
    }
}
