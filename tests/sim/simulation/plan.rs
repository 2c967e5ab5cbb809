//! What kind of history a seed makes: settings, shape of the cluster, and how much goes wrong.

use std::sync::Arc;
use std::time::Duration;

use ackline::core::metadata::room_bits;
use ackline::core::{
    AssignMode, Backoff, CommitMode, FindTopics, JoinWhen, Order, Policy, Positions, Settings,
    StartPolicy, TokenRate, TopicIndex, TransactionLimits, WhenOversize, WhenSpent,
};

use super::broker::CLUSTER;
use super::random::Random;

/// What the names of topics begin with that are to be read.
pub(crate) const TOPICS: &str = "topic-";

/// Chances in 1,000, each per opportunity, and how often trouble looks for one.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    /// A commit is answered late.
    pub(crate) commit_late: u32,
    /// A commit is applied, but its answer gets lost.
    pub(crate) commit_answer_lost: u32,
    /// A commit gets lost.
    pub(crate) commit_lost: u32,
    /// A commit is refused: unauthorised, or as if of a stranger.
    pub(crate) commit_refused: u32,
    /// A read of offsets or topics fails.
    pub(crate) read_failed: u32,
    /// A fetch of a partition fails.
    pub(crate) fetch_failed: u32,
    /// A popped batch reaches the core only after something else has happened.
    pub(crate) batch_late: u32,
    /// Time between two blows to a log; zero for none.
    pub(crate) log_every: Duration,
    /// Time between two blows to a member; zero for none.
    pub(crate) member_every: Duration,
    /// Time between two acts of an operator; zero for none.
    pub(crate) operator_every: Duration,
    /// Time between two replacements of a client; zero for none.
    pub(crate) certificates_every: Duration,
    pub(crate) truncation: bool,
    pub(crate) topics_made_again: bool,
    /// Somebody else writes into the group's offsets.
    pub(crate) foreign_commits: bool,
    pub(crate) crashing_applications: u32,
    pub(crate) hostile_applications: u32,
    pub(crate) slow_applications: u32,
    /// The dead-letter topic does not take a record, for now or at all.
    pub(crate) dead_letter_refused: u32,
    /// An operator does something with parked records, per look.
    pub(crate) parked_acts: u32,
}

/// How topics are found that no settings name.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// How many topics are named. Those after them are found.
    pub(crate) named: usize,
    /// How often a member looks.
    pub(crate) every: Duration,
    /// When the topics come into being; `None` if they were always there.
    pub(crate) appear: Option<Duration>,
    /// From when until when answers may lack them although they exist.
    pub(crate) hidden: Option<(Duration, Duration)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// As if every topic were named; see [`Plan::settings_of_a_process`].
    pub(crate) settings: Settings,
    pub(crate) finding: Option<Finding>,
    pub(crate) members: usize,
    /// Partitions of each topic at the beginning.
    pub(crate) partitions: Vec<usize>,
    pub(crate) streams: usize,
    pub(crate) records: usize,
    pub(crate) keys: u64,
    pub(crate) oversize: bool,
    /// Whether the broker tells leader epochs, and topic ids.
    pub(crate) epochs: bool,
    pub(crate) topic_ids: bool,
    pub(crate) cluster_id: bool,
    pub(crate) chaos: Duration,
    /// What the broker allows as metadata, which may be less than we believe.
    pub(crate) metadata_max: usize,
    /// Positions are kept outside Kafka.
    pub(crate) claims: bool,
    /// Applications keep positions ([`super::homes`]).
    pub(crate) applications_keep: bool,
    /// Commits are transactions, with what applications return.
    pub(crate) transactions: Option<TransactionLimits>,
    /// One record in so many leads to something that no topic takes; zero for none.
    pub(crate) poison: usize,
    /// Time between two processes that use the name of a producer of ours; zero for none.
    pub(crate) impostor_every: Duration,
    /// Making a producer may take long.
    pub(crate) slow_producers: bool,
    pub(crate) faults: Faults,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let calm = random.chance(200);
        let faults = if calm {
            Faults::none()
        } else {
            Faults::some(random)
        };
        let topics = random.pick(&[1, 1, 2]);
        let metadata_max = if random.chance(800) {
            4096
        } else {
            random.pick(&[40, 120, 200, tight(8), tight(32)])
        };
        let mut settings = settings(random, topics);
        if !calm && !faults.topics_made_again && random.chance(50) {
            settings.commit_metadata_max = metadata_max * 2;
        } else {
            settings.commit_metadata_max = metadata_max;
        }
        let epochs = faults.truncation || random.chance(800);
        let topic_ids = faults.topics_made_again || random.chance(850);
        let faults = Faults {
            operator_every: operator_every(seed),
            certificates_every: certificates_every(seed),
            ..faults
        };
        let mut plan = Self {
            seed,
            finding: None,
            members: random.pick(&[1, 1, 2, 2, 3]),
            partitions: (0..topics).map(|_| random.pick(&[1, 2, 3])).collect(),
            streams: random.pick(&[1, 1, 2, 3]),
            records: random.pick(&[8, 20, 40, 80, 160]),
            keys: random.pick(&[1, 2, 5, 30]),
            oversize: random.chance(100),
            epochs,
            topic_ids,
            cluster_id: faults.topics_made_again || random.chance(800),
            chaos: random.millis(1500..9000),
            metadata_max,
            // Drawn apart as well.
            claims: Random::new(seed ^ 0xc1a1).chance(250),
            applications_keep: false,
            transactions: None,
            poison: 0,
            impostor_every: Duration::ZERO,
            slow_producers: false,
            faults,
            settings,
        };
        plan.make_transactional(calm);
        plan.finding = finding(seed, topics, plan.chaos);
        plan.settings.static_member = static_member(seed, plan.finding.is_some());
        plan.let_applications_keep(seed);
        plan
    }

    /// Drawn apart as well. What applications die of is carried from home to home, which unit tests of the core look at.
    fn let_applications_keep(&mut self, seed: u64) {
        let on_ack = self.settings.commit_mode == CommitMode::OnAck;
        let wanted = Random::new(seed ^ 0xa994).chance(250);
        if !wanted || !on_ack || self.claims || self.transactions.is_some() {
            return;
        }
        self.applications_keep = true;
        self.settings.positions = Positions::Application;
        for policy in &mut self.settings.policies {
            policy.deaths_max = 0;
        }
    }

    /// Drawn apart as well.
    fn make_transactional(&mut self, calm: bool) {
        let mut random = Random::new(self.seed ^ 0x7a25);
        let random = &mut random;
        if !random.chance(250) {
            return;
        }
        self.claims = false;
        self.settings.commit_mode = CommitMode::OnAck;
        self.settings.commit_metadata = true;
        self.settings.commit_interval = random.millis(20..400);
        if self.metadata_max < tight(8) {
            self.metadata_max = tight(8);
            self.settings.commit_metadata_max = tight(8);
        }
        let limits = TransactionLimits {
            records_max: random.pick(&[1, 4, 1000]),
            bytes_max: random.pick(&[200, 1000, 100_000]),
        };
        self.transactions = Some(limits);
        self.settings.transactions = Some(limits);
        if calm {
            return;
        }
        if random.chance(300) {
            self.poison = random.pick(&[5, 15, 40]);
        }
        if random.chance(200) {
            self.impostor_every = random.millis(500..4000);
        }
        if random.chance(250) {
            // The broker takes little, which is learned from what it refuses.
            self.metadata_max = random.pick(&[100, tight(8), tight(32)]);
            self.settings.commit_metadata_max = self.metadata_max * 2;
        }
        if random.chance(450) {
            // Outputs wait for long, transactions end badly, and partitions leave meanwhile.
            self.faults.commit_late = 300;
            self.faults.commit_answer_lost = 150;
            self.slow_producers = true;
            self.members = self.members.max(2);
            for partitions in &mut self.partitions {
                *partitions = (*partitions).max(2);
            }
            self.settings.in_flight_records_max = self.settings.in_flight_records_max.max(50);
            self.settings.assign_mode = AssignMode::Incremental;
            self.settings.drain_revoke = random.millis(100..500);
            self.faults.member_every = random.millis(300..1500);
        }
    }

    /// Whether what a record leads to is taken by no topic.
    pub(crate) fn is_poison(&self, uid: usize) -> bool {
        self.poison > 0 && uid % self.poison == self.poison - 1
    }

    /// How many topics are named by the settings of a process.
    pub(crate) fn named(&self) -> usize {
        let topics = self.settings.topics.len();
        self.finding
            .as_ref()
            .map_or(topics, |finding| finding.named)
    }

    /// Whether the topic at this place does not exist from the beginning.
    pub(crate) fn appears_later(&self, at: usize) -> bool {
        let finding = self.finding.as_ref();
        finding.is_some_and(|finding| finding.appear.is_some() && at >= finding.named)
    }

    /// Whether a topic is one that is found.
    pub(crate) fn is_found(&self, topic: TopicIndex) -> bool {
        usize::from(topic.0) >= self.named()
    }

    /// What a process is told: of topics that are found, only how.
    pub(crate) fn settings_of_a_process(&self) -> Settings {
        let mut settings = self.settings.clone();
        let Some(finding) = &self.finding else {
            return settings;
        };
        settings.topics.truncate(finding.named);
        let policies = settings.policies.split_off(finding.named);
        // What is left out is delivered like the topic that is found, or it would not matter that it is not.
        let policy_of = move |topic: &str| {
            let wanted = topic.starts_with(TOPICS);
            policies.first().copied().filter(|_| wanted)
        };
        settings.find_topics = Some(FindTopics {
            every: finding.every,
            topics_max: self.settings.topics.len(),
            policy_of: Arc::new(policy_of),
        });
        settings
    }

    /// Whether a topic that was made again can be recognised by what is stored with the commits.
    pub(crate) fn headers_are_kept(&self) -> bool {
        self.settings.commit_metadata_max >= 120
            && self.metadata_max >= self.settings.commit_metadata_max
    }
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            commit_late: 0,
            commit_answer_lost: 0,
            commit_lost: 0,
            commit_refused: 0,
            read_failed: 0,
            fetch_failed: 0,
            batch_late: 0,
            log_every: Duration::ZERO,
            member_every: Duration::ZERO,
            operator_every: Duration::ZERO,
            certificates_every: Duration::ZERO,
            truncation: false,
            topics_made_again: false,
            foreign_commits: false,
            crashing_applications: 0,
            hostile_applications: 0,
            slow_applications: 100,
            dead_letter_refused: 0,
            parked_acts: 0,
        }
    }

    fn some(random: &mut Random) -> Self {
        let intensity = random.pick(&[5, 30, 100, 250]);
        let rate = |random: &mut Random| {
            let rate = u32::try_from(random.below(intensity * 2)).unwrap_or(0);
            if random.chance(400) { 0 } else { rate }
        };
        let topics_made_again = random.chance(100);
        Self {
            commit_late: rate(random),
            commit_answer_lost: rate(random),
            commit_lost: rate(random),
            commit_refused: rate(random),
            read_failed: rate(random),
            fetch_failed: rate(random) / 4,
            batch_late: rate(random),
            log_every: if random.chance(500) {
                random.millis(300..3000)
            } else {
                Duration::ZERO
            },
            member_every: if random.chance(700) {
                random.millis(400..4000)
            } else {
                Duration::ZERO
            },
            operator_every: Duration::ZERO,
            certificates_every: Duration::ZERO,
            truncation: !topics_made_again && random.chance(300),
            topics_made_again,
            foreign_commits: random.chance(300),
            crashing_applications: rate(random) / 2,
            hostile_applications: rate(random),
            slow_applications: rate(random) + 20,
            dead_letter_refused: rate(random) * 2,
            parked_acts: rate(random),
        }
    }
}

/// Characters that leave room for so many bits of marks, so that a few records fill it.
fn tight(bits: u64) -> usize {
    let fits = |chars: &usize| room_bits(Some(CLUSTER), *chars) >= bits;
    (0..4096).find(fits).unwrap_or(4096)
}

/// Drawn apart, so that histories without an operator stay what they are.
fn operator_every(seed: u64) -> Duration {
    let mut random = Random::new(seed ^ 0x0bea);
    if random.chance(250) {
        random.millis(200..3000)
    } else {
        Duration::ZERO
    }
}

/// Drawn apart as well.
fn certificates_every(seed: u64) -> Duration {
    let mut random = Random::new(seed ^ 0xce47);
    if random.chance(200) {
        random.millis(200..3000)
    } else {
        Duration::ZERO
    }
}

/// Drawn apart as well; more often where members may come back to topics that they do not know.
fn static_member(seed: u64, finds: bool) -> bool {
    Random::new(seed ^ 0x57a7).chance(if finds { 600 } else { 200 })
}

/// Drawn apart as well.
fn finding(seed: u64, topics: usize, chaos: Duration) -> Option<Finding> {
    let mut random = Random::new(seed ^ 0xf14d);
    let random = &mut random;
    if !random.chance(if topics > 1 { 500 } else { 50 }) {
        return None;
    }
    let part = |random: &mut Random| chaos.mul_f64(random.within(50..900) as f64 / 1000.0);
    let hidden = random.chance(400).then(|| {
        let from = part(random);
        (from, from + random.millis(200..3000))
    });
    Some(Finding {
        named: topics - 1,
        every: random.millis(200..2500),
        appear: random.chance(700).then(|| part(random)),
        hidden,
    })
}

fn policy(random: &mut Random) -> Policy {
    let order = random.pick(&[Order::Partition, Order::Key, Order::Key, Order::None]);
    let lane_depth = match order {
        Order::Partition => random.pick(&[1, 2, 5, 100]),
        Order::Key => random.pick(&[1, 1, 1, 3]),
        Order::None => 1,
    };
    let retry_initial = random.pick(&[50, 200, 500]);
    Policy {
        order,
        lane_depth,
        retry: Backoff {
            initial: Duration::from_millis(retry_initial),
            max: Duration::from_millis(retry_initial * 4),
            multiplier: 2.0,
            jitter: 0.2,
        },
        failures_max: random.pick(&[0, 0, 1, 2, 4]),
        then: random.pick(&[WhenSpent::Park, WhenSpent::DeadLetter, WhenSpent::Discard]),
        deaths_max: random.pick(&[0, 1, 3]),
        deadline: if random.chance(250) {
            random.millis(300..3000)
        } else {
            Duration::ZERO
        },
        oversize: random.pick(&[WhenOversize::Park, WhenOversize::DeadLetter]),
        tokens: TokenRate {
            burst: random.pick(&[1, 3, 100]),
            per_success: random.pick(&[0.0, 0.1, 1.0]),
            per_minute: random.pick(&[0.0, 10.0]),
        },
        has_dead_letters: random.chance(800),
    }
}

fn settings(random: &mut Random, topics: usize) -> Settings {
    Settings {
        group: "group".to_owned(),
        topics: (0..topics)
            .map(|topic| format!("{TOPICS}{topic}"))
            .collect(),
        policies: (0..topics).map(|_| policy(random)).collect(),
        find_topics: None,
        positions: Positions::Store,
        commit_mode: if random.chance(80) {
            CommitMode::OnDelivery
        } else {
            CommitMode::OnAck
        },
        commit_interval: random.millis(100..1200),
        commit_metadata: random.chance(850),
        commit_metadata_max: 4096,
        transactions: None,
        commit_staleness_max: random.millis(8_000..60_000),
        start: random.pick(&[
            StartPolicy::Earliest,
            StartPolicy::Earliest,
            StartPolicy::Latest,
        ]),
        on_out_of_range: random.pick(&[
            StartPolicy::Earliest,
            StartPolicy::Latest,
            StartPolicy::Stop,
        ]),
        in_flight_records_max: random.pick(&[1, 5, 50, 1000]),
        in_flight_bytes_max: random.pick(&[1_000, 5_000, 100_000]),
        window_records_max: random.pick(&[1, 4, 30, 1000]),
        drain_revoke: random.millis(200..4000),
        join: random.pick(&[JoinWhen::OnStream, JoinWhen::AtStart]),
        leave_after: random.millis(1000..20_000),
        static_member: false,
        brokers_share_out: false,
        warn_unsettled_after: random.pick(&[Duration::ZERO, Duration::from_secs(2)]),
        assign_mode: random.pick(&[
            AssignMode::Incremental,
            AssignMode::Incremental,
            AssignMode::Whole,
        ]),
        session_timeout: Duration::from_secs(6),
        doubt_after: random.pick(&[Duration::from_secs(1), Duration::from_secs(3)]),
        seed: random.next(),
    }
}
