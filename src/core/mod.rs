//! Decides. One fact in, effects out; no clock, no I/O, no threads, no randomness of its own.
//!
//! [`Core`] owns every rule of delivery and commit. The edges tell it facts and carry out what it says:
//!
//! | door | for | answers |
//! |---|---|---|
//! | [`Core::handle`] | everything that happens ([`Input`]) | [`Effect`]s |
//! | [`Core::settle`] | what the application says of deliveries | refusals, and effects |
//! | [`Core::start_at`] | where the application says that a partition starts | whether it counts, and effects |
//! | [`Core::pull`] | a stream that can take a message | what to put into it |
//!
//! plus a few questions without consequences: how many records may be popped, which popped records must
//! be stored, when time itself becomes a fact, and how things stand.
//!
//! # Map
//!
//! | file | question |
//! |---|---|
//! | [`ids`], [`settings`], [`input`], [`effect`], [`event`], [`status`] | the interface |
//! | `window`, `pages` | how far may a partition commit? |
//! | `metadata` | what stands beside a committed offset, and is it ours? |
//! | `lane`, `lineup`, `runs` | what must wait for what, and where? |
//! | `history` | how often was a record tried? |
//! | `delivery`, `frame` | whose is this id, is it alive, and where are its bytes? |
//! | `assignment` | the life of one partition here |
//! | `group` | joining, leaving, rebalances; `group/alone`: when does a member without a stream leave? |
//! | `subscription` | which topics are read? |
//! | `unread` | what does a group of static members leave unread? |
//! | `start` | where does a partition begin? |
//! | `topic` | is a topic still the one it was? |
//! | `fetch` | what is handed to the client, and when? |
//! | `intake` | popped records, positions, failed fetches |
//! | `behind` | why does nothing arrive of a log that goes on? |
//! | `backpressure`, `limits` | how many records may be popped, and what is paused? |
//! | `room` | what may the next message of a stream hold? |
//! | `dispatch`, `fill` | which records go into it? |
//! | `balance` | which stream is a lane for, and which is worth waking? |
//! | `settle`, `finish`, `withdraw` | what follows from an outcome, or from taking a delivery back? |
//! | `aside`, `tokens` | what becomes of a record that is given up? |
//! | `suspects` | which record kills applications? |
//! | `deadlines` | what becomes of a delivery that is not settled in time? |
//! | `oversize` | what becomes of a record that no stream can receive? |
//! | `parked` | what does an operator do with records that are set aside? |
//! | `operations`, `pause` | what may an operator ask for, and what is paused? |
//! | `seek` | where does an operator move a partition? |
//! | `drain` | how does it end before the process does? |
//! | `explain`, `obstacle` | why does a partition not advance, and what is in flight? |
//! | `streams` | opening, closing, limits |
//! | `commit` | when is what committed, and what does the answer mean? |
//! | `awaited` | who waits for a commit, and what are they told? |
//! | `outputs`, `transactions`, `producer` | what is written and committed together, and by whom? |
//! | `replay`, `carried` | what begins again when a transaction had no effect, and what is still known then? |
//! | `trust` | may anything be delivered and confirmed? |
//! | `home` | who says where a partition starts, if applications do? |
//! | `shutdown` | the end |
//! | `timers` | what is due when? |
//!
//! # Invariants
//!
//! The numbers are those of `docs/failures.md`; the simulation checks each after every event.
//!
//! - I-S1: nothing is committed before it is finished.
//! - I-S2: within an assignment commits never go back.
//! - I-S3: only a living assignment commits.
//! - I-S4: a dead id changes nothing.
//! - I-O1, I-O2, I-O3: order within a lane, whatever happens.
//! - I-B1: what is held stays within the budget, one record and one popped batch.
//! - I-B5: memory follows what is unfinished, never an offset span or the past.
//!
//! # Deliberately absent
//!
//! Payload bytes. The core knows sizes; where bytes lie is the edge's business, told by
//! [`Effect::CopyOut`] and the `Free…` effects. Everything that is iterated is ordered, so that a seed
//! replays.

mod aside;
mod assignment;
mod awaited;
mod backpressure;
mod balance;
mod behind;
mod carried;
mod claim;
mod commit;
mod deadlines;
mod delivery;
mod dispatch;
mod drain;
pub mod effect;
pub mod event;
mod explain;
mod fetch;
mod fill;
mod finish;
mod frame;
mod group;
#[cfg(test)]
pub(crate) mod harness;
mod history;
mod home;
pub mod ids;
pub mod input;
mod intake;
mod lane;
mod limits;
mod lineup;
pub mod metadata;
mod obstacle;
mod operations;
mod outputs;
mod oversize;
mod pages;
mod parked;
mod pause;
mod producer;
pub(crate) mod random;
mod replay;
mod room;
mod runs;
mod seek;
pub mod settings;
mod settle;
mod shutdown;
mod start;
pub mod status;
mod streams;
mod subscription;
mod suspects;
mod timers;
mod tokens;
mod topic;
mod transactions;
mod trust;
mod unread;
mod window;
mod withdraw;

use std::collections::{BTreeMap, BTreeSet};

pub use aside::AsideStep;
pub use dispatch::{FramePlan, Planned};
pub use drain::DrainStatus;
pub use effect::*;
pub use event::Event;
pub use explain::{Explanation, InFlight};
pub use home::{StartAnswer, StartRefused};
pub use ids::*;
pub use input::*;
pub use obstacle::{Head, Obstacle};
pub use outputs::NewOutputs;
pub use parked::{ParkedAction, ParkedStatus, WhichParked};
pub use pause::{PAUSES_MAX, Pause, Scope};
pub use producer::ProducerError;
pub use seek::{SeekRefused, SeekTarget, Sought};
pub use settings::*;
pub use settle::{Refusal, RefusalReason};
pub use status::{Blocked, PartitionStatus, Status, StreamStatus};
pub use transactions::{Abort, TransactionEnd, TransactionStatus};

use assignment::AssignmentState;
use commit::Commits;
use delivery::Streams;
use dispatch::Hunger;
use drain::Drain;
use group::Group;
use pause::Pauses;
use random::SplitMix;
use seek::Seek;
use shutdown::Shutdown;
use subscription::Subscription;
use suspects::Suspects;
use timers::{Timer, Timers};
use tokens::Bucket;
use topic::Topic;
use transactions::Transactions;
use trust::Trust;
use unread::Unread;

/// See the module.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    now: Moment,
    random: SplitMix,
    effects: Vec<Effect>,
    timers: Timers,

    cluster: Option<String>,
    topics: Vec<Topic>,
    subscription: Subscription,
    unread: Unread,
    group_asks: u64,
    /// A look at all topics is due some time.
    describing: bool,
    group: Group,
    shutdown: Option<Shutdown>,
    drain: Option<Drain>,
    pauses: Pauses,
    seeks: BTreeMap<Assignment, Seek>,
    /// Assignments whose home has ended and that are to be asked about anew at the end of the turn.
    homeless: BTreeSet<Assignment>,
    next_assignment: u64,
    next_fetch: u64,
    assignments: BTreeMap<Assignment, AssignmentState>,
    owned: BTreeMap<PartitionId, Assignment>,
    /// Some assignment may wait to be handed to the client.
    starting: bool,
    /// What the client was last told to fetch.
    in_client: BTreeSet<PartitionId>,

    streams: Streams,
    hungry: BTreeMap<StreamId, Hunger>,
    /// Assignments with ready records that no stream holds.
    ready: BTreeSet<Assignment>,
    /// Assignments with ready lanes that stick to a stream.
    ready_bound: BTreeSet<(StreamId, Assignment)>,
    /// Lanes whose first record no stream could take, by its size.
    oversize: BTreeSet<(u64, Assignment, lane::LaneKey)>,
    live: u32,
    /// Of each topic, what may be given up.
    buckets: Vec<Bucket>,
    suspects: Suspects,
    /// Bytes of frames, and of live records whose frame is gone.
    frame_bytes: u64,
    /// Bytes of records that wait.
    waiting_bytes: u64,
    mean_record_bytes: u64,
    /// The one record that was let in above the budget.
    above_budget: Option<(Assignment, u64)>,
    /// Unpaused partitions that are full.
    full: BTreeSet<Assignment>,
    /// Whether a look at those is due at some time.
    full_look: bool,
    paused: BTreeSet<Assignment>,
    numbering: Vec<Option<(Assignment, RecordNumber)>>,

    commits: Commits,
    transactions: Transactions,
    trust: Trust,
    counters: status::Counters,
}

impl Core {
    /// A core that has joined nothing yet. `settings` were validated by whoever read them.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let topics = settings.topics.iter().map(|_| Topic::default()).collect();
        let random = SplitMix(settings.seed);
        let full = |policy: &Policy| Bucket::full(&policy.tokens);
        let buckets = settings.policies.iter().map(full).collect();
        debug_assert_eq!(settings.topics.len(), settings.policies.len());
        let subscription = Subscription::to_named(settings.topics.len());
        let mut core = Self {
            settings,
            now: Moment::default(),
            random,
            effects: Vec::new(),
            timers: Timers::default(),
            cluster: None,
            topics,
            subscription,
            unread: Unread::default(),
            group_asks: 0,
            describing: false,
            group: Group::default(),
            shutdown: None,
            drain: None,
            pauses: Pauses::default(),
            seeks: BTreeMap::new(),
            homeless: BTreeSet::new(),
            next_assignment: 0,
            next_fetch: 0,
            assignments: BTreeMap::new(),
            owned: BTreeMap::new(),
            starting: false,
            in_client: BTreeSet::new(),
            streams: Streams::default(),
            hungry: BTreeMap::new(),
            ready: BTreeSet::new(),
            ready_bound: BTreeSet::new(),
            oversize: BTreeSet::new(),
            live: 0,
            buckets,
            suspects: Suspects::default(),
            frame_bytes: 0,
            waiting_bytes: 0,
            mean_record_bytes: 256,
            above_budget: None,
            full: BTreeSet::new(),
            full_look: false,
            paused: BTreeSet::new(),
            numbering: Vec::new(),
            commits: Commits::default(),
            transactions: Transactions::default(),
            trust: Trust::default(),
            counters: status::Counters::default(),
        };
        core.look_for_topics_from_now_on();
        core
    }

    /// Takes one fact in and appends what is to be done to `effects`, in order.
    ///
    /// `now` must not go back; a jump above `doubt_after` makes the core doubt its membership (B15).
    pub fn handle(&mut self, now: Moment, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.lose(now, &input);
        self.advance(now);
        match input {
            Input::Tick => self.join_at_start(),
            Input::ClusterKnown { id } => self.cluster = Some(id),
            Input::GroupAssigned { partitions } => self.group_assigned(&partitions),
            Input::GroupRevoked { partitions } => self.group_revoked(&partitions),
            Input::GroupLost { .. } | Input::ClientRestarted => {} // done before
            Input::GroupLeft => self.group_left(),
            Input::UnreadAssigned { partitions } => self.unread_assigned(partitions),
            Input::Rejoin => self.rejoin(),
            Input::CommittedRead { answers, siblings } => self.committed_read(answers, &siblings),
            Input::OffsetsListed { assignment, answer } => self.offsets_listed(assignment, answer),
            Input::TopicDescribed { topic, answer } => self.topic_described(topic, answer),
            Input::TopicsFound { answer } => self.topics_found(answer),
            Input::GroupDescribed { ask, answer } => self.group_described(ask, answer),
            Input::Popped { runs } => self.popped(runs),
            Input::PositionSampled {
                partition,
                fetch,
                offset,
            } => {
                self.position_sampled(partition, fetch, offset);
            }
            Input::EndSampled {
                partition,
                fetch,
                end,
            } => self.end_sampled(partition, fetch, end),
            Input::FetchFailed {
                partition,
                fetch,
                error,
            } => self.fetch_failed(partition, fetch, error),
            Input::CommitDone { request, results } => self.commit_done(request, results),
            Input::TransactionDone { request, end } => self.transaction_done(request, end),
            Input::ProducerMade { ask, result } => self.producer_made(ask, result),
            Input::DeadLetterHeld {
                assignment,
                number,
                outputs,
            } => self.dead_letter_held(assignment, number, outputs),
            Input::StreamOpened {
                stream,
                entropy,
                open,
            } => self.stream_opened(stream, entropy, open),
            Input::StreamFlow { stream, flow } => self.stream_flow(stream, flow),
            Input::StreamClosing { stream } => self.stream_closing(stream),
            Input::StreamClosed { stream } => self.stream_closed(stream),
            Input::StreamDied { stream } => {
                self.stream_died(stream);
                self.home_died(stream);
            }
            Input::DeadLetterDone {
                assignment,
                number,
                result,
            } => self.dead_letter_done(assignment, number, result),
            Input::Shutdown {
                drain_within,
                reason,
            } => self.begin_shutdown(drain_within, reason),
            Input::Operate(operation) => self.operate(operation),
            Input::OffsetFound { assignment, answer } => self.offset_found(assignment, answer),
            Input::Fenced => self.fenced(),
        }
        self.finish_turn(effects);
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// For each run of the last [`Input::Popped`]: its assignment and the number of its first record, or
    /// `None` if the run was dropped because its fetch is over.
    #[must_use]
    pub fn numbering(&self) -> &[Option<(Assignment, RecordNumber)>] {
        &self.numbering
    }

    /// Whether a record waits to be delivered, so that the edge must keep its bytes.
    #[must_use]
    pub fn is_waiting(&self, assignment: Assignment, number: RecordNumber) -> bool {
        // Popped records are finished (restored marks), live (in a frame) or waiting. Nothing but popping
        // and pulling happens before the edge asks, so "unfinished and not live" needs no look at lanes:
        // the edge knows what it pulled.
        self.assignments
            .get(&assignment)
            .is_some_and(|state| state.window.offset(number.0).is_some())
    }

    /// Id of the cluster, once a broker has told it.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Bytes held, waiting and in flight.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.frame_bytes + self.waiting_bytes
    }

    /// A loss comes before the time that passed: what is due meanwhile would be asked of a client that is
    /// gone, and a revocation that is due would be answered, and the loss that ended it once more.
    fn lose(&mut self, now: Moment, input: &Input<'_>) {
        if let Input::GroupLost { partitions } = input {
            self.now = self.now.max(now);
            self.group_lost(partitions);
        } else if matches!(input, Input::ClientRestarted) {
            self.now = self.now.max(now);
            self.client_restarted();
        }
    }

    /// Lets time pass: notices jumps, and looks at everything that is due.
    fn advance(&mut self, now: Moment) {
        debug_assert!(self.now <= now, "time went back");
        let jumped = self.jumped(now);
        self.now = self.now.max(now);
        if jumped {
            self.doubt_membership();
        }
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.look_at(timer);
        }
    }

    fn look_at(&mut self, timer: Timer) {
        match timer {
            Timer::Lane(assignment, key) => self.lane_changed(assignment, key),
            Timer::Read(assignment) => self.read_again(assignment),
            Timer::List(assignment) => self.list_again(assignment),
            Timer::Staleness => self.look_at_staleness(),
            Timer::Fetch(_) | Timer::Commit => {} // every turn ends with a look at these
            Timer::Describe(topic) => self.describe(topic),
            Timer::DescribeAll => self.describe_all(),
            Timer::FindTopics => self.look_for_topics(),
            Timer::Group => self.look_at_group(),
            Timer::Claim => self.ask_whose_disputed_are(),
            Timer::Full => self.pause_full(),
            Timer::Rebalance => self.continue_rebalance(),
            Timer::Shutdown => self.continue_shutdown(),
            Timer::Linger(stream) => self.wake(stream),
            Timer::Stream(stream) => self.stream_timer(stream),
            Timer::Leave => self.leave_if_alone(),
            Timer::Seek(assignment) => self.seek_may_be_late(assignment),
            Timer::Unsettled(stream) => self.warn_unsettled(stream),
            Timer::Deadline(stream) => self.pass_deadlines(stream),
            Timer::Deaths => self.judge_deaths(),
            Timer::Ask(assignment) => self.ask_others(assignment),
            Timer::Home(assignment) => drop(self.homeless.insert(assignment)),
            Timer::GivenUp(assignment, number) => self.give_up_again(assignment, number),
            Timer::DeadLetter(assignment, number) => self.send_again(assignment, number),
            Timer::Oversize(assignment, key) => self.give_oversize_up(assignment, key),
            Timer::Producer => self.producer_may_be_due(),
            Timer::Carried(assignment, number) => self.end_carried(assignment, number),
        }
    }

    /// What every turn ends with, in an order that lets each step see what the one before decided.
    fn finish_turn(&mut self, effects: &mut Vec<Effect>) {
        self.ask_homeless();
        self.continue_drain();
        self.continue_rebalance();
        self.continue_shutdown();
        self.replay_orphans();
        self.commit_if_due();
        self.tell_fresh();
        // A last commit that turned out to be needless is not waited for.
        self.continue_rebalance();
        self.continue_shutdown();
        self.replay_orphans();
        self.hand_to_client();
        self.resume_paused();
        self.forget_that_many_died();
        self.feed_hungry();
        effects.append(&mut self.effects);
    }

    fn report(&mut self, event: Event) {
        self.effects.push(Effect::Report(event));
    }

    fn wake(&mut self, stream: StreamId) {
        self.effects.push(Effect::Wake(stream));
    }
}

#[cfg(test)]
mod tests;
