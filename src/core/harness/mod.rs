//! A scripted edge around [`Core`], so that a test is a few lines.
//!
//! A [`Bench`] plays the Kafka client, the broker and the gRPC edge: it owns partitions, answers reads, takes
//! commits, hands records in, keeps frames and own copies as it is told to, and settles deliveries. Every
//! effect is kept as a line of text ([`Bench::lines`]); after every step its books are checked against the
//! core (`books`).
//!
//! Records are written as words: `a b -` are three records with the keys `a`, `b` and none at the next
//! offsets; `a:500` has 500 bytes, `a@20` stands at offset 20. Deliveries are named by offset, with the
//! partition before it if that is not 0: `3 1/7`; a name with `*2` was delivered for the second time.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "an edge looks at the effects that concern it"
)]

mod acts;
mod books;
mod client;
mod text;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use books::Books;

/// Ten minutes of a machine that ticks often enough are longer than any wait of the core.
const TICK_MAX: Duration = Duration::from_secs(10);
const TICKS_MAX: u32 = 100_000;

/// A partition of the first topic.
pub(super) fn partition(index: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition: index,
    }
}

/// A partition of the second topic, written `u0`.
pub(super) fn other_topic(index: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(1),
        partition: index,
    }
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// By key, records that fail for ever are tried for ever, back-off without jitter.
pub(super) fn policy() -> Policy {
    Policy {
        order: Order::Key,
        lane_depth: 1,
        retry: Backoff {
            initial: millis(500),
            max: seconds(60),
            multiplier: 2.0,
            jitter: 0.0,
        },
        failures_max: 0,
        then: WhenSpent::Park,
        deaths_max: 0,
        deadline: Duration::ZERO,
        oversize: WhenOversize::Park,
        tokens: TokenRate {
            burst: 100,
            per_success: 0.1,
            per_minute: 1.0,
        },
        has_dead_letters: true,
    }
}

/// The settings of a bench whose topics are all delivered in this way.
pub(super) fn delivered(policy: Policy) -> Settings {
    Settings {
        policies: vec![policy; 2],
        ..settings()
    }
}

/// Nothing limited.
pub(super) fn settings() -> Settings {
    Settings {
        group: "group".to_owned(),
        topics: vec!["t".to_owned(), "u".to_owned()],
        policies: vec![policy(); 2],
        find_topics: None,
        commit_mode: CommitMode::OnAck,
        positions: Positions::Store,
        commit_interval: seconds(1),
        commit_metadata: true,
        commit_metadata_max: 4096,
        transactions: None,
        commit_staleness_max: seconds(60),
        start: StartPolicy::Earliest,
        on_out_of_range: StartPolicy::Stop,
        in_flight_records_max: 10_000,
        in_flight_bytes_max: 1 << 20,
        window_records_max: 10_000,
        drain_revoke: seconds(5),
        join: JoinWhen::OnStream,
        leave_after: seconds(360),
        static_member: false,
        brokers_share_out: false,
        warn_unsettled_after: seconds(60),
        assign_mode: AssignMode::Incremental,
        session_timeout: seconds(45),
        doubt_after: millis(22_500),
        seed: 1,
    }
}

pub(crate) fn unlimited() -> StreamOpen {
    StreamOpen {
        client: "test".to_owned(),
        topics: None,
        in_flight_records_max: 1000,
        in_flight_bytes_max: 1 << 20,
        message_bytes_max: 4 << 20,
        batch_records_max: 1000,
        batch_bytes_max: 1 << 20,
        batch_linger: Duration::ZERO,
        keep_after_close: Duration::ZERO,
        notice_partitions: false,
        notice_committed: false,
        notice_caught_up: false,
    }
}

/// Which questions and requests the bench answers by itself, and well.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) committed: bool,
    pub(super) topics: bool,
    pub(super) lists: bool,
    pub(super) commits: bool,
    pub(super) producers: bool,
    /// What the dead-letter topic says; if nothing, [`Bench::letters`] says what waits for it.
    pub(super) dead_letters: Option<Result<(), DeadLetterError>>,
}

/// See the module.
pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) now: Moment,
    pub(super) answers: Answers,
    /// What the group has committed.
    pub(super) broker: BTreeMap<PartitionId, CommittedOffset>,
    pub(super) logs: BTreeMap<PartitionId, LogRange>,
    pub(super) topics: BTreeMap<TopicIndex, TopicDescription>,
    /// Leader epoch of the records popped from now on.
    pub(super) epoch: LeaderEpoch,
    /// What the client fetches.
    pub(super) client: BTreeMap<PartitionId, FetchStart>,
    pub(super) requests: VecDeque<(CommitId, Vec<CommitEntry>)>,
    pub(super) transactions: VecDeque<(CommitId, Vec<CommitEntry>, Vec<OutputsId>)>,
    /// Producers that were asked for and not made.
    pub(super) producers: VecDeque<ProducerAsk>,
    /// Dead letters that were not answered.
    pub(super) letters: VecDeque<(Assignment, RecordNumber)>,
    next_offset: BTreeMap<PartitionId, i64>,
    pub(super) paused: Vec<PartitionId>,
    /// A rebalance event waits for its answer.
    pub(super) rebalancing: bool,
    /// Streams that were woken and not served since.
    pub(super) woken: BTreeSet<StreamId>,
    log: Vec<String>,
    replies: VecDeque<Input<'static>>,
    pub(super) books: Books,
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let topics = (0..2).map(|topic| (TopicIndex(topic), describe(topic, 8)));
        let mut bench = Self {
            books: Books::new(&settings),
            core: Core::new(settings),
            now: Moment(1),
            answers: Answers {
                committed: true,
                topics: true,
                lists: true,
                commits: true,
                producers: true,
                dead_letters: Some(Ok(())),
            },
            broker: BTreeMap::new(),
            logs: BTreeMap::new(),
            topics: topics.collect(),
            epoch: None,
            client: BTreeMap::new(),
            requests: VecDeque::new(),
            transactions: VecDeque::new(),
            producers: VecDeque::new(),
            letters: VecDeque::new(),
            next_offset: BTreeMap::new(),
            paused: Vec::new(),
            rebalancing: false,
            woken: BTreeSet::new(),
            log: Vec::new(),
            replies: VecDeque::new(),
        };
        bench.input(Input::ClusterKnown {
            id: "cluster".to_owned(),
        });
        bench
    }

    /// Partition 0 flows from offset 0, stream 1 is open, and nothing is left to commit.
    pub(super) fn flowing(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        bench.open(1);
        bench.assign(&[0]);
        bench.pass(seconds(2));
        bench.log.clear();
        bench
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        let mut effects = Vec::new();
        if let Input::DeadLetterDone {
            assignment,
            number,
            result,
        } = &input
        {
            let key = (*assignment, number.0);
            self.books.dead_letter_done(&self.core, key, result.is_ok());
        }
        if let Input::DeadLetterHeld {
            assignment, number, ..
        } = &input
        {
            self.books
                .dead_letter_done(&self.core, (*assignment, number.0), true);
        }
        self.core.handle(self.now, input, &mut effects);
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
    }

    /// Lets time pass, ticking whenever the core asks for it and at least every ten seconds.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        for _ in 0..TICKS_MAX {
            let latest = self.now.plus(TICK_MAX).min(end);
            let next = self.core.next_wakeup().map_or(latest, |at| at.min(latest));
            self.now = self.now.max(next);
            self.input(Input::Tick);
            if self.now == end && self.core.next_wakeup().is_none_or(|at| at > end) {
                return;
            }
        }
        panic!("time stands still: {:?}", self.core.next_wakeup());
    }

    /// Lets time pass without the core noticing, as when the machine sleeps.
    pub(super) fn jump(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.input(Input::Tick);
    }

    pub(super) fn open(&mut self, stream: u64) {
        self.open_with(stream, |_| {});
    }

    pub(super) fn open_with(&mut self, stream: u64, change: impl FnOnce(&mut StreamOpen)) {
        let mut open = unlimited();
        change(&mut open);
        self.input(Input::StreamOpened {
            stream: StreamId(stream),
            entropy: stream * 7919,
            open,
        });
    }

    pub(super) fn close(&mut self, stream: u64) {
        let stream = StreamId(stream);
        self.input(Input::StreamClosed { stream });
    }

    pub(super) fn closing(&mut self, stream: u64) {
        let stream = StreamId(stream);
        self.input(Input::StreamClosing { stream });
    }

    pub(super) fn flow(&mut self, stream: u64, flow: FlowChange) {
        let stream = StreamId(stream);
        self.input(Input::StreamFlow { stream, flow });
    }

    pub(super) fn assign(&mut self, partitions: &[i32]) {
        self.assign_all(partitions.iter().map(|index| partition(*index)).collect());
    }

    pub(super) fn assign_all(&mut self, partitions: Vec<PartitionId>) {
        self.rebalancing = true;
        self.input(Input::GroupAssigned { partitions });
    }

    pub(super) fn revoke(&mut self, partitions: &[i32]) {
        self.rebalancing = true;
        let partitions = partitions.iter().map(|index| partition(*index)).collect();
        self.input(Input::GroupRevoked { partitions });
    }

    pub(super) fn lose(&mut self, partitions: &[i32]) {
        self.rebalancing = true;
        let partitions = partitions.iter().map(|index| partition(*index)).collect();
        self.input(Input::GroupLost { partitions });
    }

    pub(super) fn shut_down(&mut self, drain_within: Duration) {
        let reason = "test";
        self.input(Input::Shutdown {
            drain_within,
            reason,
        });
    }

    /// Hands records of partition 0 in.
    pub(super) fn pop(&mut self, records: &str) {
        self.pop_on(partition(0), records);
    }

    pub(super) fn pop_on(&mut self, partition: PartitionId, records: &str) {
        let start = self.client.get(&partition).copied();
        let start = start.unwrap_or_else(|| panic!("{partition:?} is not fetched"));
        assert!(!self.paused.contains(&partition), "{partition:?} is paused");
        let next = self.next_offset.entry(partition).or_insert(0);
        let records = text::records(records, next, self.epoch);
        self.pop_records(partition, start.fetch, &records);
    }

    /// Hands records in under any fetch.
    pub(super) fn pop_records(
        &mut self,
        partition: PartitionId,
        fetch: Fetch,
        records: &[PoppedRecord],
    ) {
        let run = PoppedRun {
            partition,
            fetch,
            position: None,
            records,
        };
        let mut effects = Vec::new();
        let runs = &[run];
        self.core
            .handle(self.now, Input::Popped { runs }, &mut effects);
        if let Some((assignment, first)) = self.core.numbering()[0] {
            self.books
                .take_in(&self.core, partition, assignment, first, records);
        }
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
    }

    /// Asks for a message of a stream; names what is in it.
    pub(super) fn pull(&mut self, stream: u64) -> String {
        let mut plan = FramePlan::default();
        let mut effects = Vec::new();
        let stream = StreamId(stream);
        let planned = self.core.pull(self.now, stream, &mut plan, &mut effects);
        let names = if planned {
            self.books.deliver(stream, &plan)
        } else {
            String::new()
        };
        self.carry_out(effects);
        while let Some(reply) = self.replies.pop_front() {
            self.input(reply);
        }
        names
    }

    /// Serves the streams that were woken, as an edge does, until none is left.
    pub(super) fn serve(&mut self) -> String {
        let mut names = Vec::new();
        while let Some(StreamId(stream)) = self.woken.pop_first() {
            loop {
                let more = self.pull(stream);
                if more.is_empty() {
                    break;
                }
                names.push(more);
            }
        }
        names.join(" ")
    }

    /// How many records may be popped before a stream is served.
    pub(super) fn top_up(&mut self, stream: u64) -> usize {
        self.core.top_up(self.now, StreamId(stream))
    }

    /// How many records may be popped for a stream that just got nothing.
    pub(super) fn allowance(&mut self, stream: u64) -> usize {
        self.core.pop_allowance(self.now, StreamId(stream))
    }

    pub(super) fn fetch_failed(&mut self, index: i32, error: FetchError) {
        let partition = partition(index);
        let fetch = self.client[&partition].fetch;
        self.input(Input::FetchFailed {
            partition,
            fetch,
            error,
        });
    }

    /// The effects since they were last asked for whose lines begin with `word`; others stay.
    pub(super) fn lines(&mut self, word: &str) -> Vec<String> {
        let (found, rest) = std::mem::take(&mut self.log)
            .into_iter()
            .partition(|line| line.starts_with(word));
        self.log = rest;
        found
    }

    /// Forgets every effect so far.
    pub(super) fn forget(&mut self) {
        self.log.clear();
    }

    pub(super) fn status(&self, index: i32) -> PartitionStatus {
        let wanted = partition(index);
        let status = self.core.status();
        let found = status.partitions.into_iter();
        let mut found = found.filter(|status| status.partition == wanted);
        found.next().expect("the partition is ours")
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.log.push(text::line(&effect, &self.books));
            self.books.carry_out(&effect);
            self.answer(effect);
        }
        self.books.check(&self.core);
    }
}

/// A topic with an id of its own.
pub(super) fn describe(topic: u16, partitions: u32) -> TopicDescription {
    let byte = u8::try_from(topic + 1).expect("few topics");
    TopicDescription {
        id: Some(TopicUuid([byte; 16])),
        partitions,
    }
}
