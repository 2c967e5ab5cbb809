//! How things stand, for metrics, probes and people.

use std::time::Duration;

use super::Core;
use super::aside::AsideStep;
use super::assignment::{AssignmentState, Phase};
use super::delivery::StreamPhase;
use super::drain::DrainStatus;
use super::effect::StopReason;
use super::home::Home;
use super::ids::{Assignment, Moment, PartitionId, StreamId};
use super::transactions::TransactionStatus;

/// A question that failed so often in a row may not pass by itself.
const READ_TRIES_TOLD: u32 = 5;

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Partitions owned, ordered.
    pub partitions: Vec<PartitionStatus>,
    /// Streams open or kept, ordered.
    pub streams: Vec<StreamStatus>,
    /// Live deliveries.
    pub live: u32,
    /// Payload bytes held.
    pub held_bytes: u64,
    /// The budget they are held in.
    pub budget_bytes: u64,
    /// Whether the group is joined.
    pub joined: bool,
    /// Whether the group is not joined because no topic was found so far: there is none to read, or, for a static member,
    /// there may be more than the settings name.
    pub without_topics: bool,
    /// Whether a rebalance event waits for its answer.
    pub rebalancing: bool,
    /// Whether the process is ending.
    pub shutting_down: bool,
    /// How far a drain before the end is.
    pub drain: Option<DrainStatus>,
    /// Partitions of which nothing new is delivered because their commits have failed for too long.
    pub stale_partitions: usize,
    /// What was said last of the commit of one of them.
    pub stale_error: Option<String>,
    /// Partitions whose committed offset or log range could not be read again and again, and what was said last of one.
    pub unreadable: Option<(usize, String)>,
    /// Membership is in doubt after a clock jump.
    pub membership_doubtful: bool,
    /// How transactions stand, if commits are transactions.
    pub transactions: Option<TransactionStatus>,
    /// When a commit last succeeded.
    pub last_commit: Option<Moment>,
    /// Totals since the start.
    pub counters: Counters,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: PartitionId,
    /// Its present assignment.
    pub assignment: Assignment,
    /// Lowest offset not finished; absent before the start is known.
    pub watermark: Option<i64>,
    /// Next offset to take in.
    pub frontier: Option<i64>,
    /// Last offset committed by this assignment, or found at its start.
    pub committed: Option<i64>,
    /// End of the log as last heard.
    pub end: Option<i64>,
    /// Records taken in and not finished.
    pub unfinished: u64,
    /// Records that wait for their lane, their back-off or a stream.
    pub waiting: u64,
    /// Deliveries in flight.
    pub live: u32,
    /// Records that are set aside: parked, or on their way to the dead-letter topic.
    pub aside: u64,
    /// Bytes of waiting records.
    pub waiting_bytes: u64,
    /// Since when the watermark stands.
    pub watermark_since: Moment,
    /// Why it does not advance, if something other than the application holds it.
    pub blocked: Option<Blocked>,
}

/// Why a partition does not advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blocked {
    /// Its committed offset is being read.
    Starting,
    /// Applications keep positions, and none has said where it starts.
    StartUnanswered,
    /// The range of its log is being read.
    Listing,
    /// It stands until a person acts.
    Stopped(StopReason),
    /// It is being revoked.
    Draining,
    /// An operator paused it.
    Paused,
    /// Its fetch failed and is tried again.
    FetchFailing,
    /// Reading or committing its offset is not allowed.
    Unauthorized,
    /// Committing it has failed for too long.
    CommitsStale,
    /// It is paused: its window or its share of the budget is full.
    Full,
    /// It is paused: what might be finished out of order in it soon would not fit the commit metadata.
    MarksFull,
    /// A record is larger than any open stream accepts.
    Oversize,
    /// The lowest record that is not finished is parked.
    Parked,
    /// The lowest record that is not finished waits for the dead-letter topic.
    DeadLetterPending,
    /// Its log goes on, and yet nothing of it can be read: a transaction was left open.
    NothingReadable,
    /// No stream is open.
    NoStream,
    /// The producer of its transactions is being made, or cannot be.
    ProducerAwaited,
    /// Several transactions in a row had no effect.
    TransactionsFailing,
    /// As many outputs wait for a transaction as may.
    OutputsFull,
}

impl Blocked {
    /// Every label that [`Blocked::label`] can give.
    pub const LABELS: [&'static str; 22] = [
        "starting",
        "start_unanswered",
        "listing",
        "no_committed_offset",
        "out_of_range",
        "corrupt",
        "offsets_went_back",
        "draining",
        "paused",
        "fetch_failing",
        "unauthorized",
        "commits_stale",
        "full",
        "marks_full",
        "oversize",
        "parked",
        "dead_letter_pending",
        "nothing_readable",
        "no_stream",
        "producer_awaited",
        "transactions_failing",
        "outputs_full",
    ];

    /// A name for metrics and status, from a small closed set.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::StartUnanswered => "start_unanswered",
            Self::Listing => "listing",
            Self::Stopped(StopReason::NoCommittedOffset) => "no_committed_offset",
            Self::Stopped(StopReason::OutOfRange) => "out_of_range",
            Self::Stopped(StopReason::Corrupt) => "corrupt",
            Self::Stopped(StopReason::OffsetsWentBack) => "offsets_went_back",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::FetchFailing => "fetch_failing",
            Self::Unauthorized => "unauthorized",
            Self::CommitsStale => "commits_stale",
            Self::Full => "full",
            Self::MarksFull => "marks_full",
            Self::Oversize => "oversize",
            Self::Parked => "parked",
            Self::DeadLetterPending => "dead_letter_pending",
            Self::NothingReadable => "nothing_readable",
            Self::NoStream => "no_stream",
            Self::ProducerAwaited => "producer_awaited",
            Self::TransactionsFailing => "transactions_failing",
            Self::OutputsFull => "outputs_full",
        }
    }
}

/// One stream.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    /// The stream.
    pub stream: StreamId,
    /// Name given by its client.
    pub client: String,
    /// Whether its connection still stands.
    pub open: bool,
    /// Deliveries it holds.
    pub live: u32,
    /// Bytes of them.
    pub live_bytes: u64,
    /// Id of the oldest one it holds.
    pub oldest_id: Option<u64>,
    /// For how long it has held its oldest frame.
    pub oldest_for: Option<Duration>,
}

/// Totals since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records taken in.
    pub taken_in: u64,
    /// Records that commit metadata said were finished before.
    pub restored: u64,
    /// Records passed over because they were sent back for another group.
    pub foreign: u64,
    /// Records dropped because their partition had moved on to another fetch.
    pub dropped_old_fetch: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Deliveries that were not the first of their record in its assignment.
    pub redelivered: u64,
    /// Records finished.
    pub finished: u64,
    /// Deliveries acknowledged.
    pub acknowledged: u64,
    /// Deliveries answered with RETRY.
    pub retried: u64,
    /// Deliveries answered with RELEASE, or released by half-close.
    pub released: u64,
    /// Deliveries answered with DEAD_LETTER.
    pub dead_letters_asked: u64,
    /// Records that their dead-letter topic has.
    pub dead_lettered: u64,
    /// Dead letters that their topic did not take.
    pub dead_letters_failed: u64,
    /// Records dropped, by rule or by somebody's word.
    pub discarded: u64,
    /// Records parked, counted each time.
    pub parked: u64,
    /// Records that became suspect, or were when an application died, counted each time.
    pub suspected: u64,
    /// Deaths of applications that held one record alone.
    pub died_of: u64,
    /// Deliveries taken back because they were not settled in time.
    pub withdrawn_deadline: u64,
    /// Deliveries taken back because an earlier record of their lane comes again.
    pub withdrawn_earlier_retry: u64,
    /// Deliveries taken back because their stream ended.
    pub withdrawn_stream_ended: u64,
    /// Deliveries taken back because their partition was revoked.
    pub withdrawn_revoked: u64,
    /// Deliveries taken back because their partition was lost.
    pub withdrawn_lost: u64,
    /// Deliveries taken back because their partition's position was moved.
    pub withdrawn_repositioned: u64,
    /// Stretches of ids refused as stale.
    pub stale_settlements: u64,
    /// Stretches of ids refused as conflicting.
    pub conflicting_settlements: u64,
    /// Stretches of ids refused as unknown.
    pub unknown_settlements: u64,
    /// Commit requests that succeeded whole.
    pub commits: u64,
    /// Transactions that succeeded.
    pub transactions_committed: u64,
    /// Transactions that had no effect.
    pub transactions_aborted: u64,
    /// Transactions of which it was not known how they ended.
    pub transactions_unknown: u64,
    /// Outputs that are visible.
    pub outputs_written: u64,
    /// Deliveries taken back because a transaction had no effect, or was not known to have one.
    pub withdrawn_aborted: u64,
    /// Entries of commit requests that failed.
    pub commits_failed: u64,
    /// Commits whose finished marks did not fit.
    pub marks_dropped: u64,
    /// Offsets passed over by a policy.
    pub skipped: u64,
    /// Rebalance events that gave partitions.
    pub rebalances_assigned: u64,
    /// Rebalance events that took partitions.
    pub rebalances_revoked: u64,
    /// Rebalance events that found partitions lost.
    pub rebalances_lost: u64,
}

impl Core {
    /// Partitions that could not be asked about where they begin for [`READ_TRIES_TOLD`] tries.
    fn unreadable(&self) -> Option<(usize, String)> {
        let mut failing = self
            .assignments
            .values()
            .filter(|assignment| assignment.read_tries >= READ_TRIES_TOLD)
            .filter_map(|assignment| assignment.read_error.as_ref())
            .peekable();
        let error = (*failing.peek()?).clone();
        Some((failing.count(), error))
    }

    /// How things stand. Costs time in proportion to partitions and streams; not for every record.
    #[must_use]
    pub fn status(&self) -> Status {
        let no_stream = self.open_streams().next().is_none();
        Status {
            partitions: self
                .owned
                .values()
                .filter_map(|id| self.assignments.get(id))
                .map(|assignment| self.partition_status(assignment, no_stream))
                .collect(),
            streams: self.stream_statuses(),
            live: self.live,
            held_bytes: self.held_bytes(),
            budget_bytes: self.settings.in_flight_bytes_max,
            joined: !self.group.is_out(),
            without_topics: !self.knows_what_to_read(),
            rebalancing: self.group.rebalancing(),
            shutting_down: self.shutdown.is_some(),
            drain: self.drain_status(),
            stale_partitions: self
                .assignments
                .values()
                .filter(|assignment| assignment.commits_stale)
                .count(),
            stale_error: self.assignments.values().find_map(|assignment| {
                let error = assignment.commit_error.as_ref();
                error.filter(|_| assignment.commits_stale).cloned()
            }),
            unreadable: self.unreadable(),
            membership_doubtful: self.trust.is_doubtful(),
            transactions: self.transaction_status(),
            last_commit: self.commits.last_success,
            counters: self.counters,
        }
    }

    /// Totals since the start, without looking at partitions.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn partition_status(
        &self,
        assignment: &AssignmentState,
        no_stream: bool,
    ) -> PartitionStatus {
        let positioned = assignment.has_position();
        PartitionStatus {
            partition: assignment.partition,
            assignment: assignment.id,
            watermark: positioned.then(|| assignment.window.watermark().0),
            frontier: positioned.then(|| assignment.window.frontier().0),
            committed: assignment
                .committed
                .as_ref()
                .map(|committed| committed.offset),
            end: assignment.end,
            unfinished: assignment.window.unfinished(),
            waiting: assignment.waiting_records,
            live: assignment.live,
            aside: assignment.aside.len() as u64,
            waiting_bytes: assignment.waiting_bytes,
            watermark_since: assignment.watermark_since,
            blocked: self.blocked(assignment, no_stream),
        }
    }

    fn blocked(&self, assignment: &AssignmentState, no_stream: bool) -> Option<Blocked> {
        let topic_refused = self.topics[usize::from(assignment.partition.topic.0)].is_refused();
        match assignment.phase {
            Phase::Reading if assignment.read_refused || topic_refused => {
                return Some(Blocked::Unauthorized);
            }
            Phase::Listing(_) if assignment.read_refused => return Some(Blocked::Unauthorized),
            Phase::Reading if matches!(assignment.home, Home::Asking(_)) => {
                return Some(Blocked::StartUnanswered);
            }
            Phase::Reading if assignment.unsettled && !self.transactions.producer.is_ready() => {
                return Some(Blocked::ProducerAwaited);
            }
            Phase::Reading => return Some(Blocked::Starting),
            Phase::Listing(_) => return Some(Blocked::Listing),
            Phase::Stopped(reason) => return Some(Blocked::Stopped(reason)),
            Phase::Draining => return Some(Blocked::Draining),
            Phase::Flowing => {}
        }
        if assignment.on_hold {
            return Some(Blocked::Paused);
        }
        let oversize = self.oversize.iter().any(|(_, of, _)| *of == assignment.id);
        if assignment.unauthorized {
            Some(Blocked::Unauthorized)
        } else if assignment.commits_stale {
            Some(Blocked::CommitsStale)
        } else if let Some(blocked) = self.blocked_by_transactions() {
            Some(blocked)
        } else if assignment.fetch_fails(self.now) {
            Some(Blocked::FetchFailing)
        } else if let Some(aside) = assignment.lowest_aside() {
            Some(match aside.step {
                AsideStep::Parked(_) => Blocked::Parked,
                AsideStep::Sending | AsideStep::SendAgain(_) => Blocked::DeadLetterPending,
            })
        } else if oversize {
            Some(Blocked::Oversize)
        } else if no_stream {
            Some(Blocked::NoStream)
        } else if assignment.paused || self.full.contains(&assignment.id) {
            Some(if assignment.is_full_of_marks(&self.limits()) {
                Blocked::MarksFull
            } else {
                Blocked::Full
            })
        } else if assignment.nothing_readable().is_some() && self.is_anyone_hungry_for_work() {
            Some(Blocked::NothingReadable)
        } else {
            None
        }
    }

    fn stream_statuses(&self) -> Vec<StreamStatus> {
        self.streams
            .map
            .iter()
            .filter(|(_, stream)| !matches!(stream.phase, StreamPhase::Ended(_)))
            .map(|(id, stream)| StreamStatus {
                stream: *id,
                client: stream.open.client.clone(),
                open: matches!(stream.phase, StreamPhase::Open | StreamPhase::Closing(_)),
                live: stream.live,
                live_bytes: stream.live_bytes,
                oldest_id: self.first_live(*id).map(|id| id.0),
                oldest_for: self.oldest_delivery(*id).map(|at| self.now.since(at)),
            })
            .collect()
    }
}
