//! Virtual time, the queue of what will happen, and one history from its first event to its last.
//!
//! | file | what happens there |
//! |---|---|
//! | `world` | the queue, the order of events, the end |
//! | `turns` | one member takes an input, and its effects are carried out |
//! | `rebalances` | what the group gives and takes, and the answers |
//! | `cluster` | the broker, the coordinator and their answers |
//! | `topics` | topics that are found |
//! | `client` | a member's client dies, or is replaced |
//! | `edge` | popping and pulling, applications |
//! | `letters` | the dead-letter topic, and the operator |
//! | `operator` | what an operator does |
//! | `trouble` | what goes wrong, and that it stops |

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use ackline::core::{
    AssignMode, Assignment, CommitId, Effect, Input, Moment, ProducerAsk, ProducerError,
    RecordNumber, StreamId, TransactionEnd,
};

use super::application::Slot;
use super::broker::Broker;
use super::claims::{ClaimInFlight, Claims};
use super::cluster::Answer;
use super::cluster::CommitInFlight;
use super::group::{Grant, Group};
use super::member::Member;
use super::oracle::Oracle;
use super::plan::Plan;
use super::random::Random;
use super::transactions::{Transaction, Transactions};

/// A history that needs more events than this does not get anywhere.
const EVENTS_MAX: u64 = 200_000;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Produce,
    LogTrouble,
    MemberTrouble,
    OperatorActs,
    CertificatesChange,
    TopicsAppear,
    Coordinator,
    Heal,
    Look,
    Start(usize),
    Of {
        member: usize,
        life: u32,
        /// Which of its clients, where it matters: what was on its way to an earlier one gets lost.
        client: Option<u32>,
        what: What,
    },
    CommitArrives(Box<CommitInFlight>),
    ClaimArrives(Box<ClaimInFlight>),
    TransactionArrives(Box<Transaction>),
    /// The request to commit a transaction of a member; whether it hears of it.
    TransactionEnds(usize, u64, bool),
    Impostor,
}

/// Something that happens to one process.
#[derive(Debug)]
pub(crate) enum What {
    Tick,
    Heartbeat,
    Fetch,
    Pump(StreamId),
    Application(usize),
    Answer(Box<Answer>),
    JoinArrives,
    Granted(Grant),
    Left,
    StreamGone(StreamId),
    /// The connection of a stream that closed is gone.
    Died(StreamId),
    /// The dead-letter topic has a record, or does not take it.
    Written(Assignment, RecordNumber),
    /// An application gives its stream up.
    Abandon(StreamId),
    /// The letter waits for a transaction.
    LetterHeld(Assignment, RecordNumber),
    MakeProducer(ProducerAsk),
    ProducerMade(ProducerAsk, Result<(), ProducerError>),
    /// How a transaction of this epoch ended.
    TransactionDone(CommitId, u32, TransactionEnd),
    /// An operator looks at what is parked.
    LookAtParked,
    Signal,
}

#[derive(Debug)]
struct Due {
    at: Moment,
    order: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// How far a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Trouble,
    Healed { at: Moment },
    Stopping { at: Moment },
    Over,
}

/// What becomes of the log of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logging {
    Off,
    Kept,
    /// Printed line by line, so that it is there even if the core panics.
    Printed,
}

/// What a history came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<String>,
    pub(crate) log: Vec<String>,
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) redeliveries: u64,
}

pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    /// The operator's own chance.
    pub(crate) operator: Random,
    /// That of new certificates.
    pub(crate) certificates: Random,
    pub(crate) broker: Broker,
    pub(crate) group: Group,
    pub(crate) claims: Claims,
    pub(crate) transactions: Transactions,
    pub(crate) members: Vec<Member>,
    pub(crate) oracle: Oracle,
    pub(crate) stage: Stage,
    pub(crate) produced: usize,
    pub(crate) effects: Vec<Effect>,
    queue: BinaryHeap<Reverse<Due>>,
    order: u64,
    events: u64,
    logging: Logging,
    log: Vec<String>,
}

impl World {
    /// The history of a seed, with a log of its events if one is wanted.
    pub(crate) fn run(seed: u64, logging: Logging) -> Outcome {
        let mut world = Self::new(Plan::new(seed), logging);
        world.note_plan();
        world.begin();
        while world.stage != Stage::Over && world.oracle.violation.is_none() {
            if !world.step() {
                world.oracle.violate(|| {
                    "nothing is left to happen, yet the history is not over".to_owned()
                });
            }
        }
        Outcome {
            violation: world.oracle.violation.take(),
            log: world.log,
            events: world.events,
            deliveries: world.oracle.deliveries,
            redeliveries: world.oracle.redeliveries,
        }
    }

    fn new(plan: Plan, logging: Logging) -> Self {
        let mut random = Random::new(plan.seed ^ 0x5eed);
        let slots = |random: &mut Random| (0..plan.streams).map(|_| Slot::new(random)).collect();
        let members = (0..plan.members)
            .map(|_| Member::new(slots(&mut random)))
            .collect();
        Self {
            now: Moment(1),
            broker: Broker::new(&plan),
            group: Group::new(&plan, plan.settings.assign_mode == AssignMode::Incremental),
            claims: Claims::default(),
            transactions: Transactions::default(),
            oracle: Oracle::new(plan.settings.clone(), plan.members, plan.cluster_id),
            members,
            operator: Random::new(plan.seed ^ 0x0_9e7a),
            certificates: Random::new(plan.seed ^ 0xce47_1f1c),
            random,
            stage: Stage::Trouble,
            produced: 0,
            effects: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            events: 0,
            logging,
            log: Vec::new(),
            plan,
        }
    }

    fn begin(&mut self) {
        for member in 0..self.plan.members {
            let wait = self.random.millis(0..800);
            self.after(wait, Happening::Start(member));
        }
        self.after(Duration::from_millis(1), Happening::Produce);
        self.after(Duration::from_millis(500), Happening::Coordinator);
        self.after(self.plan.chaos, Happening::Heal);
        if !self.plan.faults.log_every.is_zero() {
            self.after(self.plan.faults.log_every, Happening::LogTrouble);
        }
        if !self.plan.faults.member_every.is_zero() {
            self.after(self.plan.faults.member_every, Happening::MemberTrouble);
        }
        if !self.plan.faults.operator_every.is_zero() {
            self.after(self.plan.faults.operator_every, Happening::OperatorActs);
        }
        if !self.plan.faults.certificates_every.is_zero() {
            let wait = self.plan.faults.certificates_every;
            self.after(wait, Happening::CertificatesChange);
        }
        if !self.plan.impostor_every.is_zero() {
            self.after(self.plan.impostor_every, Happening::Impostor);
        }
        let finding = self.plan.finding.as_ref();
        if let Some(wait) = finding.and_then(|finding| finding.appear) {
            self.after(wait, Happening::TopicsAppear);
        }
    }

    pub(crate) fn after(&mut self, wait: Duration, what: Happening) {
        self.at(self.now.plus(wait), what);
    }

    pub(crate) fn at(&mut self, at: Moment, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Due {
            at: at.max(self.now),
            order: self.order,
            what,
        }));
    }

    pub(crate) fn later(&mut self, member: usize, wait: Duration, what: What) {
        self.later_to(member, wait, None, what);
    }

    /// The same, unless the member has another client by then.
    pub(crate) fn later_of_client(&mut self, member: usize, wait: Duration, what: What) {
        let process = self.members[member].process.as_ref();
        let client = process.map(|process| process.client);
        self.later_to(member, wait, client, what);
    }

    /// The same for a process that may be another one by now.
    pub(crate) fn later_in(&mut self, member: usize, life: u32, wait: Duration, what: What) {
        let client = None;
        self.after(
            wait,
            Happening::Of {
                member,
                life,
                client,
                what,
            },
        );
    }

    fn later_to(&mut self, member: usize, wait: Duration, client: Option<u32>, what: What) {
        let life = self.members[member].life;
        self.after(
            wait,
            Happening::Of {
                member,
                life,
                client,
                what,
            },
        );
    }

    /// The time that something takes on the network.
    pub(crate) fn latency(&mut self) -> Duration {
        self.random.millis(1..12)
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.stage != Stage::Trouble
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.logging == Logging::Off {
            return;
        }
        let line = format!("{:>10.3} ms  {}", self.now.0 as f64 / 1e6, what());
        match self.logging {
            Logging::Off => {}
            Logging::Kept => self.log.push(line),
            Logging::Printed => println!("{line}"),
        }
    }

    fn note_plan(&mut self) {
        let plan = (self.logging != Logging::Off).then(|| format!("{:#?}", self.plan));
        self.note(|| plan.unwrap_or_default());
    }

    fn step(&mut self) -> bool {
        let Some(Reverse(due)) = self.queue.pop() else {
            return false;
        };
        self.now = due.at;
        self.events += 1;
        if self.events > EVENTS_MAX {
            self.oracle
                .violate(|| format!("{EVENTS_MAX} events, and no end"));
        }
        match due.what {
            Happening::Produce => self.produce(),
            Happening::LogTrouble => self.log_trouble(),
            Happening::MemberTrouble => self.member_trouble(),
            Happening::OperatorActs => self.operator_acts(),
            Happening::CertificatesChange => self.certificates_change(),
            Happening::TopicsAppear => self.topics_appear(),
            Happening::Coordinator => self.coordinator_looks(),
            Happening::Heal => self.heal(),
            Happening::Look => self.look(),
            Happening::Start(member) => self.start(member),
            Happening::Of {
                member,
                life,
                client,
                what,
            } => self.happen(member, life, client, what),
            Happening::CommitArrives(commit) => self.commit_arrives(*commit),
            Happening::ClaimArrives(claim) => self.claim_arrives(*claim),
            Happening::TransactionArrives(transaction) => self.transaction_arrives(*transaction),
            Happening::TransactionEnds(member, number, answered) => {
                self.transaction_ends(member, number, answered)
            }
            Happening::Impostor => self.impostor(),
        }
        true
    }

    /// Something happens to a process, unless it is another one by now, or is not running.
    fn happen(&mut self, member: usize, life: u32, client: Option<u32>, what: What) {
        let of_member = &self.members[member];
        let process = of_member
            .process
            .as_ref()
            .filter(|_| of_member.life == life);
        if process.is_none_or(|process| client.is_some_and(|client| client != process.client)) {
            return;
        }
        if self.now < of_member.frozen_until {
            let at = of_member.frozen_until;
            return self.at(
                at,
                Happening::Of {
                    member,
                    life,
                    client,
                    what,
                },
            );
        }
        match what {
            What::Tick => self.tick(member),
            What::Heartbeat => self.heartbeat(member),
            What::Fetch => self.fetch(member),
            What::Pump(stream) => self.pump(member, stream),
            What::Application(slot) => self.application(member, slot),
            What::Answer(answer) => self.answered(member, *answer),
            What::JoinArrives => self.join_arrives(member),
            What::Granted(grant) => self.granted(member, grant),
            What::Left => self.left(member),
            What::Signal => self.signal(member),
            What::StreamGone(stream) => self.tell(member, Input::StreamClosed { stream }),
            What::Died(stream) => self.tell(member, Input::StreamDied { stream }),
            What::Written(assignment, number) => {
                self.dead_letter_arrives(member, assignment, number)
            }
            What::Abandon(stream) => self.abandon(member, stream),
            What::LetterHeld(assignment, number) => self.hold_letter(member, assignment, number),
            What::MakeProducer(ask) => self.producer_asked(member, ask),
            What::ProducerMade(ask, result) => {
                self.tell(member, Input::ProducerMade { ask, result })
            }
            What::TransactionDone(request, epoch, end) => {
                self.transaction_done(member, request, epoch, end)
            }
            What::LookAtParked => self.look_at_parked(member),
        }
        self.tell_late_batch(member);
    }
}
