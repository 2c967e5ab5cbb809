//! Any history, with the checks of `harness::books` after every step, and an end at which all is well again.

use proptest::prelude::*;
use proptest::sample::Index;

use super::harness::*;
use super::*;

const PARTITIONS: i32 = 3;
const STREAMS: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    Pop {
        partition: i32,
        records: String,
    },
    Pull {
        stream: u64,
    },
    Settle {
        outcome: Outcome,
        picks: Vec<Index>,
    },
    Open {
        stream: u64,
    },
    Close {
        stream: u64,
        half: bool,
    },
    Pause {
        stream: u64,
        paused: bool,
    },
    Assign {
        partition: i32,
    },
    Revoke {
        partition: i32,
        lost: bool,
    },
    FetchFails {
        partition: i32,
    },
    CommitsFail(bool),
    Die {
        stream: u64,
    },
    Extend {
        picks: Vec<Index>,
    },
    /// The dead-letter topic takes everything, nothing for now, nothing at all, or does not answer.
    DeadLetters(Option<Result<(), DeadLetterError>>),
    Parked(ParkedAction),
    Pass {
        millis: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    order: Order,
    lane_depth: u32,
    whole: bool,
    metadata: bool,
    batch: u32,
    in_flight: u32,
    window: u32,
    budget: u64,
    keep: u64,
    end: End,
}

/// When and how records are given up.
#[derive(Debug, Clone, Copy)]
struct End {
    failures: u32,
    deaths: u32,
    then: WhenSpent,
    deadline: u64,
    burst: u32,
}

fn ends() -> impl Strategy<Value = End> {
    let then = prop_oneof![
        Just(WhenSpent::Park),
        Just(WhenSpent::DeadLetter),
        Just(WhenSpent::Discard)
    ];
    let deadline = prop_oneof![3 => Just(0), 1 => Just(900)];
    (0..4u32, 0..3u32, then, deadline, 1..5u32).prop_map(
        |(failures, deaths, then, deadline, burst)| End {
            failures,
            deaths,
            then,
            deadline,
            burst,
        },
    )
}

fn shapes() -> impl Strategy<Value = Shape> {
    let order = prop_oneof![Just(Order::Partition), Just(Order::Key), Just(Order::None)];
    (
        (order, prop_oneof![Just(1), Just(2), Just(100)]),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.8)),
        (1..6u32, prop_oneof![1..8u32, Just(1000)]),
        (
            prop_oneof![4..20u32, Just(10_000)],
            prop_oneof![500..4000u64, Just(1 << 20)],
        ),
        prop_oneof![2 => Just(0), 1 => Just(3)],
        ends(),
    )
        .prop_map(
            |(
                (order, lane_depth),
                (whole, metadata),
                (batch, in_flight),
                (window, budget),
                keep,
                end,
            )| Shape {
                order,
                lane_depth,
                whole,
                metadata,
                batch,
                in_flight,
                window,
                budget,
                keep,
                end,
            },
        )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let partition = || 0..PARTITIONS;
    let stream = || 1..=STREAMS;
    let record = "[abc-](:(50|300|900))?";
    let records = prop::collection::vec(record, 1..8).prop_map(|words| words.join(" "));
    let outcome = prop_oneof![
        6 => Just(Outcome::Ack),
        2 => Just(Outcome::Retry { delay: None }),
        1 => Just(Outcome::Retry { delay: Some(millis(50)) }),
        1 => Just(Outcome::Release),
        1 => Just(Outcome::DeadLetter),
        1 => Just(Outcome::Discard),
    ];
    let refused = || "refused".to_owned();
    let letters = prop_oneof![
        2 => Just(Some(Ok(()))),
        1 => Just(Some(Err(DeadLetterError::Transient(refused())))),
        1 => Just(Some(Err(DeadLetterError::Permanent(refused())))),
        2 => Just(None),
    ];
    let parked = prop_oneof![
        Just(ParkedAction::Retry),
        Just(ParkedAction::Skip),
        Just(ParkedAction::DeadLetter)
    ];
    let step = prop_oneof![
        10 => (partition(), records).prop_map(|(partition, records)| Step::Pop { partition, records }),
        12 => stream().prop_map(|stream| Step::Pull { stream }),
        10 => (outcome, prop::collection::vec(any::<Index>(), 1..6))
            .prop_map(|(outcome, picks)| Step::Settle { outcome, picks }),
        2 => stream().prop_map(|stream| Step::Open { stream }),
        1 => (stream(), any::<bool>()).prop_map(|(stream, half)| Step::Close { stream, half }),
        1 => (stream(), any::<bool>()).prop_map(|(stream, paused)| Step::Pause { stream, paused }),
        2 => partition().prop_map(|partition| Step::Assign { partition }),
        1 => (partition(), any::<bool>()).prop_map(|(partition, lost)| Step::Revoke { partition, lost }),
        1 => partition().prop_map(|partition| Step::FetchFails { partition }),
        1 => any::<bool>().prop_map(Step::CommitsFail),
        2 => stream().prop_map(|stream| Step::Die { stream }),
        1 => prop::collection::vec(any::<Index>(), 1..4).prop_map(|picks| Step::Extend { picks }),
        1 => letters.prop_map(Step::DeadLetters),
        1 => parked.prop_map(Step::Parked),
        5 => prop_oneof![Just(1), Just(120), Just(700), Just(4000)].prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

/// A bench and what a history did to it.
struct History {
    bench: Bench,
    shape: Shape,
    /// The living stream behind each of the names 1 to 3.
    streams: [Option<u64>; 3],
    opened: u64,
}

impl History {
    fn new(shape: Shape) -> Self {
        let assign_mode = if shape.whole {
            AssignMode::Whole
        } else {
            AssignMode::Incremental
        };
        let bench = Bench::new(Settings {
            assign_mode,
            commit_metadata: shape.metadata,
            in_flight_records_max: shape.in_flight,
            window_records_max: shape.window,
            in_flight_bytes_max: shape.budget,
            ..delivered(Policy {
                order: shape.order,
                lane_depth: shape.lane_depth,
                failures_max: shape.end.failures,
                deaths_max: shape.end.deaths,
                then: shape.end.then,
                deadline: millis(shape.end.deadline),
                tokens: TokenRate {
                    burst: shape.end.burst,
                    ..policy().tokens
                },
                ..policy()
            })
        });
        let mut history = Self {
            bench,
            shape,
            streams: [None; 3],
            opened: 0,
        };
        history.open(1);
        history.bench.assign(&[0, 1]);
        history
    }

    fn stream(&mut self, name: u64) -> &mut Option<u64> {
        &mut self.streams[usize::try_from(name - 1).expect("small")]
    }

    fn open(&mut self, name: u64) {
        if self.stream(name).is_none() {
            self.opened += 1;
            let (id, shape) = (self.opened, self.shape);
            *self.stream(name) = Some(id);
            self.bench.open_with(id, |open| {
                open.batch_records_max = shape.batch;
                open.in_flight_records_max = shape.in_flight.min(5);
                open.keep_after_close = seconds(shape.keep);
            });
        }
    }

    fn close(&mut self, name: u64, half: bool) {
        if let Some(id) = self.stream(name).take() {
            if half {
                self.bench.closing(id);
            } else {
                self.bench.close(id);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pop { partition, records } => self.pop(partition, &records),
            Step::Pull { stream } => {
                if let Some(id) = *self.stream(stream) {
                    self.bench.pull(id);
                }
            }
            Step::Settle { outcome, picks } => self.settle(outcome, &picks),
            Step::Open { stream } => self.open(stream),
            Step::Close { stream, half } => self.close(stream, half),
            Step::Pause { stream, paused } => {
                if let Some(id) = *self.stream(stream) {
                    let paused = Some(paused);
                    self.bench.flow(
                        id,
                        FlowChange {
                            paused,
                            ..FlowChange::default()
                        },
                    );
                }
            }
            Step::Assign { partition } => self.assign(partition),
            Step::Revoke { partition, lost } => self.revoke(partition, lost),
            Step::FetchFails { partition: index } => {
                if !self.bench.rebalancing && self.bench.client.contains_key(&partition(index)) {
                    let error = FetchError::Transient("broker away".to_owned());
                    self.bench.fetch_failed(index, error);
                }
            }
            Step::CommitsFail(fail) => {
                self.bench.answers.commits = !fail;
                while !self.bench.requests.is_empty() {
                    let error = CommitError::Transient("broker away".to_owned());
                    self.bench.commit_answered(Err(error));
                }
            }
            Step::Die { stream } => {
                if let Some(id) = self.stream(stream).take() {
                    self.bench.die(id);
                }
            }
            Step::Extend { picks } => self.extend(&picks),
            Step::DeadLetters(answer) => self.answer_letters(answer),
            Step::Parked(action) => {
                self.bench.act(WhichParked::Of(Scope::Everything), action);
            }
            Step::Pass { millis: time } => self.bench.pass(millis(time)),
        }
    }

    fn answer_letters(&mut self, answer: Option<Result<(), DeadLetterError>>) {
        self.bench.answers.dead_letters.clone_from(&answer);
        if let Some(result) = answer {
            while !self.bench.letters.is_empty() {
                self.bench.letter_answered(result.clone());
            }
        }
    }

    fn extend(&mut self, picks: &[Index]) {
        let live = self.bench.live();
        if !live.is_empty() {
            let picks = picks.iter().map(|index| live[index.index(live.len())]);
            let extend = Extend {
                ids: picks.map(IdRange::one).collect(),
                by: seconds(2),
            };
            let refused = self.bench.settle_raw(&SettleRequest {
                extends: vec![extend],
                ..SettleRequest::default()
            });
            assert!(refused.is_empty(), "living deliveries can be extended");
        }
    }

    fn pop(&mut self, index: i32, records: &str) {
        let fetched = self.bench.client.contains_key(&partition(index));
        let paused = self.bench.paused.contains(&partition(index));
        // The client gives nothing while a rebalance event is unanswered.
        if fetched && !paused && !self.bench.rebalancing {
            let before = self.bench.core.held_bytes();
            if before < self.shape.budget {
                self.bench.pop_on(partition(index), records);
            }
        }
    }

    fn settle(&mut self, outcome: Outcome, picks: &[Index]) {
        let live = self.bench.live();
        if !live.is_empty() {
            let picks = picks.iter().map(|index| live[index.index(live.len())]);
            let ids = picks.map(IdRange::one).collect();
            self.bench.settle_ids(outcome, ids);
        }
    }

    fn owned(&self) -> Vec<i32> {
        let owned = self.bench.core.owned.keys();
        owned.map(|partition| partition.partition).collect()
    }

    fn assign(&mut self, index: i32) {
        let mut owned = self.owned();
        if self.bench.rebalancing || owned.contains(&index) {
            return;
        }
        if self.shape.whole {
            self.bench.revoke(&owned);
            self.answered();
            owned.push(index);
            self.bench.assign(&owned);
        } else {
            self.bench.assign(&[index]);
        }
    }

    fn revoke(&mut self, index: i32, lost: bool) {
        let mut owned = self.owned();
        if self.bench.rebalancing || !owned.contains(&index) {
            return;
        }
        let leaving = if self.shape.whole {
            owned.clone()
        } else {
            vec![index]
        };
        if lost {
            self.bench.lose(&leaving);
        } else {
            self.bench.revoke(&leaving);
        }
        if self.shape.whole {
            self.answered();
            owned.retain(|other| *other != index);
            self.bench.assign(&owned);
        }
    }

    /// I-L3: a revocation is answered within `drain.revoke` and 3 s.
    fn answered(&mut self) {
        let until = self.bench.now.plus(seconds(8));
        while self.bench.rebalancing {
            assert!(self.bench.now < until, "a revocation is not answered");
            self.bench.pass(millis(500));
        }
    }

    /// Heals everything and demands that all records finish, by an edge that asks only when it was woken.
    fn heal(&mut self) {
        self.step(Step::CommitsFail(false));
        self.step(Step::DeadLetters(Some(Ok(()))));
        self.answered();
        for name in 1..=STREAMS {
            self.step(Step::Pause {
                stream: name,
                paused: false,
            });
        }
        self.open(1);
        for _ in 0..200 {
            self.bench
                .act(WhichParked::Of(Scope::Everything), ParkedAction::Retry);
            self.bench.serve();
            let ids = self.bench.live().into_iter().map(IdRange::one).collect();
            self.bench.settle_ids(Outcome::Ack, ids);
            self.bench.pass(millis(700));
            if self.bench.books.open(&self.bench.core).is_empty() {
                self.bench.pass(seconds(40));
                return self.all_is_well();
            }
        }
        panic!("stalled: {:?}", self.bench.books.open(&self.bench.core));
    }

    fn all_is_well(&mut self) {
        assert_eq!(self.bench.core.held_bytes(), 0);
        for status in self.bench.core.status().partitions {
            assert_eq!(status.watermark, status.frontier);
            assert_eq!(status.committed, status.watermark, "I-L1");
            assert_eq!(status.blocked, None);
        }
        assert!(self.bench.paused.is_empty(), "paused though empty");
        self.bench.pass(seconds(120));
        let timers = self.bench.core.timers.len();
        assert!(
            timers <= 6,
            "timers are left behind: {:?}",
            self.bench.core.timers
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_books_and_ends_with_everything_finished(
        shape in shapes(),
        steps in steps(),
    ) {
        let mut history = History::new(shape);
        steps.into_iter().for_each(|step| history.step(step));
        history.heal();
    }
}
