//! An edge that does nothing but hand descriptors in and settle what comes out.

use std::collections::VecDeque;
use std::time::Duration;

use ackline::core::{
    AssignMode, Backoff, CommitMode, CommittedAnswer, Core, Effect, Fetch, FramePlan, IdRange,
    Input, JoinWhen, Moment, Outcome, PartitionId, Policy, PoppedRecord, PoppedRun, Positions,
    Settings, SettleRequest, Settlement, StartPolicy, StreamId, StreamOpen, TokenRate,
    TopicDescription, TopicIndex, WhenOversize, WhenSpent,
};
use ackline::core::{CommittedOffset, Order};

use super::cases::Case;

/// Records of a popped batch.
const BATCH: usize = 500;
/// Bytes of a record.
const SIZE: u32 = 150;
/// Different keys.
const KEYS: usize = 10_000;
/// Keys drawn beforehand, so that drawing costs nothing while it is measured.
const DRAWN: usize = 1 << 16;
/// Between two batches, at about five million records a second.
const STEP: Duration = Duration::from_micros(100);

/// See the module.
pub(crate) struct Driver<'a> {
    case: &'a Case,
    core: Core,
    now: Moment,
    fetches: Vec<Fetch>,
    next_offset: Vec<i64>,
    /// Whose batch comes next.
    turn: usize,
    keys: Vec<u64>,
    next_key: usize,
    records: Vec<PoppedRecord>,
    plan: FramePlan,
    effects: Vec<Effect>,
    replies: VecDeque<Input<'static>>,
    /// The delivery that nobody settles.
    stuck: Option<u64>,
    settled: u64,
}

/// Runs a case once.
pub(crate) fn run(case: &Case, records: u64) {
    Driver::new(case).pass(records);
}

impl<'a> Driver<'a> {
    /// Everything is assigned and flows, every stream is open.
    pub(crate) fn new(case: &'a Case) -> Self {
        let partitions = usize::try_from(case.partitions).unwrap_or(0);
        let mut driver = Self {
            case,
            core: Core::new(settings(case)),
            now: Moment(1),
            fetches: vec![Fetch(0); partitions],
            next_offset: vec![0; partitions],
            turn: 0,
            keys: keys(),
            next_key: 0,
            records: Vec::with_capacity(BATCH),
            plan: FramePlan::default(),
            effects: Vec::new(),
            replies: VecDeque::new(),
            stuck: None,
            settled: 0,
        };
        driver.input(Input::ClusterKnown {
            id: "cluster".to_owned(),
        });
        for stream in 1..=case.streams {
            driver.input(Input::StreamOpened {
                stream: StreamId(stream),
                entropy: stream * 7919,
                open: stream_open(),
            });
        }
        let partitions = (0..case.partitions).map(partition).collect();
        driver.input(Input::GroupAssigned { partitions });
        assert!(
            driver.fetches.iter().all(|fetch| fetch.0 > 0),
            "every partition is fetched"
        );
        driver
    }

    /// Lets so many records pass.
    pub(crate) fn pass(&mut self, records: u64) {
        let end = self.settled + records;
        while self.settled < end {
            self.now = self.now.plus(STEP);
            for stream in 1..=self.case.streams {
                self.serve(StreamId(stream));
            }
            if self.core.next_wakeup().is_some_and(|due| due <= self.now) {
                self.input(Input::Tick);
            }
        }
    }

    /// One message for a stream, popped for if need be, and settled.
    fn serve(&mut self, stream: StreamId) {
        let missing = self.core.top_up(self.now, stream);
        self.pop(missing.min(BATCH));
        self.carry_out();
        if !self.pull(stream) {
            let allowance = self.core.pop_allowance(self.now, stream);
            self.pop(allowance.min(BATCH));
            self.carry_out();
            if !self.pull(stream) {
                return;
            }
        }
        self.settle();
    }

    fn pull(&mut self, stream: StreamId) -> bool {
        let pulled = self
            .core
            .pull(self.now, stream, &mut self.plan, &mut self.effects);
        self.carry_out();
        pulled
    }

    fn pop(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let turn = self.turn;
        self.turn = (turn + 1) % self.fetches.len();
        let keyed = self.case.order == Order::Key;
        self.records.clear();
        for _ in 0..count {
            self.records.push(PoppedRecord {
                offset: self.next_offset[turn],
                key_hash: keyed.then(|| self.keys[self.next_key]),
                size: SIZE,
                leader_epoch: Some(3),
                foreign: false,
            });
            self.next_offset[turn] += 1;
            self.next_key = (self.next_key + 1) % DRAWN;
        }
        let run = PoppedRun {
            partition: partition(i32::try_from(turn).unwrap_or(0)),
            fetch: self.fetches[turn],
            position: None,
            records: &self.records,
        };
        self.core
            .handle(self.now, Input::Popped { runs: &[run] }, &mut self.effects);
    }

    fn settle(&mut self) {
        let mut first = self.plan.first_id.0;
        let last = first + self.plan.records.len() as u64 - 1;
        if self.case.stuck && self.stuck.is_none() {
            self.stuck = Some(first);
            first += 1;
        }
        let request = SettleRequest {
            settlements: vec![Settlement {
                ids: vec![IdRange { first, last }],
                outcome: Outcome::Ack,
                reason: Default::default(),
                outputs: None,
            }],
            wait: None,
            extends: Vec::new(),
        };
        let refused = self.core.settle(self.now, &request, &mut self.effects);
        assert!(refused.is_empty(), "{refused:?}");
        self.settled += last + 1 - first;
        self.carry_out();
    }

    fn input(&mut self, input: Input<'static>) {
        self.core.handle(self.now, input, &mut self.effects);
        self.carry_out();
    }

    /// Answers what the core asks, well and at once.
    fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.answer(effect);
        }
        self.effects = effects;
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "most effects need no answer"
    )]
    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { partitions, .. } => {
                for start in partitions {
                    let index = usize::try_from(start.partition.partition).unwrap_or(0);
                    self.fetches[index] = start.fetch;
                }
            }
            Effect::ReadCommitted(wanted) => self.replies.push_back(Input::CommittedRead {
                answers: wanted
                    .into_iter()
                    .map(|(assignment, _)| CommittedAnswer {
                        assignment,
                        answer: Ok(Some(CommittedOffset {
                            offset: 0,
                            leader_epoch: None,
                            metadata: Vec::new(),
                        })),
                    })
                    .collect(),
                siblings: Vec::new(),
            }),
            Effect::DescribeTopics(topics) => {
                for topic in topics {
                    self.replies.push_back(Input::TopicDescribed {
                        topic,
                        answer: Ok(TopicDescription {
                            id: None,
                            partitions: self.case.partitions.cast_unsigned(),
                        }),
                    });
                }
            }
            Effect::Commit { request, entries } => self.replies.push_back(Input::CommitDone {
                request,
                results: entries
                    .into_iter()
                    .map(|entry| (entry.assignment, Ok(())))
                    .collect(),
            }),
            _ => {}
        }
    }
}

fn partition(index: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition: index,
    }
}

/// Keys as they come in the field: few that are frequent, many that are rare (Zipf, exponent 1.1).
#[allow(clippy::cast_precision_loss, reason = "ranks are small")]
fn keys() -> Vec<u64> {
    let weight = |rank: usize| 1.0 / ((rank + 1) as f64).powf(1.1);
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (0..KEYS)
        .map(|rank| {
            sum += weight(rank);
            sum
        })
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..DRAWN)
        .map(|_| {
            let at = draw() * sum;
            let rank = cumulated.partition_point(|upto| *upto < at) as u64;
            (rank + 1).wrapping_mul(0xd6e8_feb8_6659_fd93)
        })
        .collect()
}

fn stream_open() -> StreamOpen {
    StreamOpen {
        client: "bench".to_owned(),
        topics: None,
        in_flight_records_max: 65_536,
        in_flight_bytes_max: 32 << 20,
        message_bytes_max: 4 << 20,
        batch_records_max: 500,
        batch_bytes_max: 256 << 10,
        batch_linger: Duration::ZERO,
        keep_after_close: Duration::ZERO,
        notice_partitions: false,
        notice_committed: false,
        notice_caught_up: false,
    }
}

fn policy(case: &Case) -> Policy {
    Policy {
        order: case.order,
        lane_depth: case.lane_depth,
        retry: Backoff {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
        },
        failures_max: 10,
        then: WhenSpent::Park,
        deaths_max: 3,
        deadline: Duration::ZERO,
        oversize: WhenOversize::Park,
        tokens: TokenRate {
            burst: 100,
            per_success: 0.1,
            per_minute: 1.0,
        },
        has_dead_letters: false,
    }
}

fn settings(case: &Case) -> Settings {
    Settings {
        group: "bench".to_owned(),
        topics: vec!["bench".to_owned()],
        policies: vec![policy(case)],
        find_topics: None,
        commit_mode: CommitMode::OnAck,
        positions: Positions::Store,
        commit_interval: Duration::from_secs(1),
        commit_metadata: true,
        commit_metadata_max: 4096,
        transactions: None,
        commit_staleness_max: Duration::from_secs(60),
        start: StartPolicy::Earliest,
        on_out_of_range: StartPolicy::Stop,
        in_flight_records_max: 200_000,
        in_flight_bytes_max: 32 << 20,
        window_records_max: 200_000,
        drain_revoke: Duration::from_secs(5),
        join: JoinWhen::OnStream,
        leave_after: Duration::from_secs(360),
        static_member: false,
        brokers_share_out: false,
        warn_unsettled_after: Duration::from_secs(60),
        assign_mode: AssignMode::Incremental,
        session_timeout: Duration::from_secs(45),
        doubt_after: Duration::from_secs(20),
        seed: 1,
    }
}
