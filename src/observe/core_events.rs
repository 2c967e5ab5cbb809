//! What the core reports, as log lines.
//!
//! INFO is a change of state, WARN recovers by itself, ERROR means that a person must act, and then
//! the message says how.

use tracing::Level;

use super::line::{Fields, Line};
use crate::core::{Cause, CommitError, Event, StopReason};

/// The line of an event.
pub(super) fn line(event: &Event) -> Line {
    let (level, name, message) = words(event);
    Line {
        level,
        event: name,
        message,
        fields: fields(event),
    }
}

/// Every class that [`commit_failure_class`] can give.
pub(super) const COMMIT_FAILURE_CLASSES: [&str; 5] = [
    "not_member",
    "transient",
    "metadata_too_large",
    "unauthorized",
    "claimed",
];

/// The class of a failed commit, as a metric label.
pub(super) fn commit_failure_class(error: &CommitError) -> &'static str {
    match error {
        CommitError::NotMember(_) => "not_member",
        CommitError::Transient(_) => "transient",
        CommitError::MetadataTooLarge => "metadata_too_large",
        CommitError::Unauthorized(_) => "unauthorized",
        CommitError::Claimed(_) => "claimed",
    }
}

#[allow(clippy::too_many_lines)] // a table with one row for each event
fn words(event: &Event) -> (Level, &'static str, &'static str) {
    use Event as E;
    const ERROR: Level = Level::ERROR;
    const WARN: Level = Level::WARN;
    const INFO: Level = Level::INFO;
    match event {
        E::Assigned { .. } => (INFO, "assigned", "the group gave us partitions"),
        E::Revoking { .. } => (INFO, "revoking", "the group takes partitions away"),
        E::Lost { .. } => (
            WARN,
            "lost",
            "partitions were lost without warning; nothing of them is committed",
        ),
        E::Started { .. } => (INFO, "started", "partition is being read"),
        E::StartedByPolicy {
            new_partition: true,
            ..
        } => (
            INFO,
            "started_new_partition",
            "partition is newer than the group's commits; it is read from its beginning",
        ),
        E::StartedByPolicy {
            new_partition: false,
            ..
        } => (
            INFO,
            "started_by_policy",
            "no committed offset; `start` decided where to begin",
        ),
        E::MetadataIgnored { .. } => (
            WARN,
            "metadata_ignored",
            "commit metadata is not used; records finished above the committed offset may come again",
        ),
        E::UnreadAssigned { .. } => (
            WARN,
            "unread_assigned",
            "the group gave this member partitions of topics that it does not read, because an earlier process with its \
             `group.instance_id` did; it leaves the group and joins again, so that others get them",
        ),
        E::Unowned { .. } => (
            WARN,
            "unowned",
            "no member of the group owned partitions of topics that this static member reads, as happens when topics are \
             added to the settings of static members; it leaves the group and joins again, so that they are handed out",
        ),
        E::ClaimOvertaken { .. } => (
            WARN,
            "claim_overtaken",
            "another process has claimed the partition in the offset store since; what was in flight was taken back, and the \
             group is asked whose it is",
        ),
        E::HomeLeft { .. } => (
            INFO,
            "home_left",
            "the stream that said where the partition starts has ended; it is asked about anew",
        ),
        E::StartUnanswered { .. } => (
            WARN,
            "start_unanswered",
            "the application keeps the positions and has not said where the partition starts; every stream is asked",
        ),
        E::TopicsFound { .. } => (
            INFO,
            "topics_found",
            "topics that match a pattern of `topics` were found, and are read",
        ),
        E::TopicsGone { .. } => (
            WARN,
            "topics_gone",
            "topics that were found by a pattern do not exist any more",
        ),
        E::TopicsLeftOut { topics: 0 } => (
            INFO,
            "topics_left_out",
            "every topic that matches a pattern of `topics` is read again",
        ),
        E::TopicsLeftOut { .. } => (
            ERROR,
            "topics_left_out",
            "topics that match a pattern are not read, because there are more than `topics_max`; raise it, or \
             narrow the pattern, and restart",
        ),
        E::TopicMadeAgain { .. } => (
            WARN,
            "topic_made_again",
            "topic was deleted and made again; it is read from its beginning",
        ),
        E::Truncated { .. } => (
            WARN,
            "truncated",
            "the log was cut below our position; reading goes on where the logs part",
        ),
        E::Skipped { .. } => (
            WARN,
            "offsets_skipped",
            "offsets were passed over by `on_out_of_range`; their records will not be delivered",
        ),
        E::Stopped { reason, .. } => (ERROR, "stopped", stop_remedy(*reason)),
        E::FetchRestarted { .. } => (WARN, "fetch_restarted", "reading failed and is tried again"),
        E::ReadRetried { .. } => (
            WARN,
            "read_retried",
            "a question to a broker failed and is asked again",
        ),
        E::CommitFailed {
            error: CommitError::Unauthorized(_),
            ..
        } => (
            ERROR,
            "commit_failed",
            "not allowed to commit; give the group and topic READ permission",
        ),
        E::CommitFailed { .. } => (WARN, "commit_failed", "a commit failed and is tried again"),
        E::CommitRecovered => (INFO, "commit_recovered", "commits succeed again"),
        E::TransactionAborted { .. } => (
            WARN,
            "transaction_aborted",
            "a transaction had no effect; what was acknowledged since the last one, in as many partitions as `count` \
             says, is delivered again",
        ),
        E::TransactionUnknown { .. } => (
            WARN,
            "transaction_unknown",
            "it is not known how a transaction ended; another producer settles it, and what it did not commit, in as \
             many partitions as `count` says, is delivered again",
        ),
        E::OutputRefused { .. } => (
            WARN,
            "output_refused",
            "a topic does not take what the application returned for this record; the record has failed once more",
        ),
        E::ProducerFailed { fenced: true, .. } => (
            ERROR,
            "producer_fenced",
            "another process uses our `transactions.id`; give each process its own",
        ),
        E::ProducerFailed { fenced: false, .. } => (
            WARN,
            "producer_failed",
            "the transactional producer cannot be made and is tried again; nothing is committed meanwhile",
        ),
        E::ProducerRecovered => (
            INFO,
            "producer_recovered",
            "the transactional producer is there again",
        ),
        E::MarksTooLarge { .. } => (
            WARN,
            "marks_too_large",
            "finished records do not fit into commit metadata; the partition is not committed before they do",
        ),
        E::MetadataLimited { .. } => (
            WARN,
            "metadata_limited",
            "the broker takes less commit metadata than `commit.metadata_max`; as many characters as `count` says are \
             used from now on",
        ),
        E::OutputsLost { .. } => (
            ERROR,
            "outputs_lost",
            "the partition was moved or made again while outputs waited for their transaction; they are not written",
        ),
        E::MarksDropped { .. } => (
            WARN,
            "marks_dropped",
            "finished records do not fit into commit metadata; a restart may repeat them",
        ),
        E::CommitsStale { .. } => (
            ERROR,
            "commits_stale",
            "no commit of this partition, and as many as `count` says, succeeded for \
             `commit.staleness_max`; nothing new of them is delivered until one does",
        ),
        E::CommitsFresh { .. } => (
            INFO,
            "commits_fresh",
            "this partition, and as many as `count` says, is committed again and goes on",
        ),
        E::MembershipDoubtful => (
            WARN,
            "membership_doubtful",
            "the process stood still for long; nothing is delivered until a commit confirms our membership",
        ),
        E::MembershipConfirmed => (
            INFO,
            "membership_confirmed",
            "a commit confirmed our membership",
        ),
        E::UnsettledForLong { .. } => (
            WARN,
            "unsettled_for_long",
            "a record is unsettled for long; its application may be stuck",
        ),
        E::Oversize { .. } => (
            ERROR,
            "oversize",
            "a record is larger than any open stream can receive; raise the largest message of the client",
        ),
        E::Parked {
            cause: Cause::Failures,
            ..
        } => (
            ERROR,
            "parked",
            "a record failed as often as `retry.max_attempts` allows and is parked; its lane stands until it is \
             retried, skipped or sent to the dead-letter topic",
        ),
        E::Parked {
            cause: Cause::Crashes,
            ..
        } => (
            ERROR,
            "parked",
            "applications died of a record and it is parked; its lane stands until it is retried, skipped or sent \
             to the dead-letter topic",
        ),
        E::Parked { .. } => (
            ERROR,
            "parked",
            "a record is parked; its lane stands until it is retried, skipped or sent to the dead-letter topic",
        ),
        E::DeadLettered { .. } => (WARN, "dead_lettered", "the dead-letter topic has a record"),
        E::DeadLetterFailed { .. } => (
            WARN,
            "dead_letter_failed",
            "a record could not be written to its dead-letter topic and is tried again; its lane waits",
        ),
        E::Discarded { .. } => (WARN, "discarded", "a record is dropped"),
        E::GivingUpStopped { .. } => (
            ERROR,
            "giving_up_stopped",
            "so many records of this topic were to be given up that its application may be down; they are tried on \
             at the longest back-off until it succeeds again",
        ),
        E::Unparked { .. } => (INFO, "unparked", "an operator lets a parked record go on"),
        E::ApplicationDied { .. } => (
            WARN,
            "application_died",
            "an application went away without closing its stream; what it held is delivered again, and alone what was \
             held by several that did so",
        ),
        E::DiedOf { .. } => (
            WARN,
            "died_of",
            "an application died while it held nothing but this record",
        ),
        E::DeadlinePassed { .. } => (
            WARN,
            "deadline_passed",
            "deliveries were not settled before `delivery.deadline` and are taken back",
        ),
        E::Paused { .. } => (Level::DEBUG, "paused", "partition is full and paused"),
        E::Resumed { .. } => (Level::DEBUG, "resumed", "partition has room again"),
        E::Fenced => (
            ERROR,
            "fenced",
            "another member uses our `group.instance_id`; give each member its own",
        ),
    }
}

fn stop_remedy(reason: StopReason) -> &'static str {
    match reason {
        StopReason::NoCommittedOffset => {
            "partition has no committed offset and `start` is stop; commit one, or change `start`"
        }
        StopReason::OutOfRange => {
            "the log no longer holds the committed offset and `on_out_of_range` is stop; commit another, or change it"
        }
        StopReason::Corrupt => {
            "a batch is damaged after three more tries; repair the log, or commit an offset behind it"
        }
        StopReason::OffsetsWentBack => {
            "the broker sent offsets that were taken in before; check the topic, then restart"
        }
    }
}

#[allow(clippy::too_many_lines)] // a table with one row for each event
fn fields(event: &Event) -> Fields {
    use Event as E;
    match event {
        E::Assigned { partitions }
        | E::Revoking { partitions }
        | E::Lost { partitions }
        | E::UnreadAssigned { partitions }
        | E::Unowned { partitions } => Fields::count(*partitions),
        E::TopicsFound { topics } | E::TopicsGone { topics } | E::TopicsLeftOut { topics } => {
            Fields::count(*topics)
        }
        E::Started {
            partition,
            offset,
            restored,
            ..
        } => Fields {
            count: Some(*restored),
            ..Fields::at(*partition, *offset)
        },
        E::StartedByPolicy {
            partition, offset, ..
        } => Fields::at(*partition, *offset),
        E::MetadataIgnored { partition, reason } => Fields::of(*partition).reason(reason),
        E::StartUnanswered { partition, asked } => Fields {
            count: Some(*asked as u64),
            ..Fields::of(*partition)
        },
        E::HomeLeft { partition, .. }
        | E::TopicMadeAgain { partition }
        | E::ClaimOvertaken { partition }
        | E::MarksDropped { partition }
        | E::MarksTooLarge { partition }
        | E::Paused { partition }
        | E::Resumed { partition } => Fields::of(*partition),
        E::Truncated {
            partition,
            from,
            to,
        } => Fields {
            to_offset: Some(*to),
            ..Fields::at(*partition, *from)
        },
        E::Skipped {
            partition,
            from,
            to,
        } => Fields {
            to_offset: Some(*to),
            count: Some(to.abs_diff(*from)),
            ..Fields::at(*partition, *from)
        },
        E::Stopped {
            partition,
            offset,
            reason,
        } => Fields::at(*partition, *offset).reason(crate::core::Blocked::Stopped(*reason).label()),
        E::FetchRestarted {
            partition,
            offset,
            error,
        } => Fields::at(*partition, *offset).error(error),
        E::ReadRetried { what, error } => Fields::default().reason(what).error(error),
        E::CommitFailed {
            partition,
            offset,
            error,
        } => commit_failed(Fields::at(*partition, *offset), error),
        E::UnsettledForLong {
            partition,
            offset,
            stream,
        } => Fields {
            stream: Some(stream.0),
            ..Fields::at(*partition, *offset)
        },
        E::Oversize {
            partition,
            offset,
            size,
        } => Fields {
            bytes: Some(*size),
            ..Fields::at(*partition, *offset)
        },
        E::Parked {
            partition,
            offset,
            cause,
            reason,
        }
        | E::Discarded {
            partition,
            offset,
            cause,
            reason,
        } => Fields::at(*partition, *offset)
            .reason(cause.label())
            .said(reason),
        E::DeadLettered {
            partition,
            offset,
            cause,
        } => Fields::at(*partition, *offset).reason(cause.label()),
        E::DeadLetterFailed {
            partition,
            offset,
            error,
        } => Fields::at(*partition, *offset).error(error),
        E::GivingUpStopped { partition } => Fields::of(*partition),
        E::Unparked {
            partition,
            offset,
            reason,
        } => Fields::at(*partition, *offset).said(reason),
        E::ApplicationDied {
            stream, records, ..
        } => Fields {
            stream: Some(stream.0),
            ..Fields::count(*records)
        },
        E::DiedOf {
            partition,
            offset,
            deaths,
        } => Fields {
            count: Some(u64::from(*deaths)),
            ..Fields::at(*partition, *offset)
        },
        E::DeadlinePassed {
            partition,
            offset,
            stream,
            deliveries,
        } => Fields {
            stream: Some(stream.0),
            count: Some(u64::from(*deliveries)),
            ..Fields::at(*partition, *offset)
        },
        E::CommitsStale { partitions } | E::CommitsFresh { partitions } => Fields {
            partition: partitions.first().copied(),
            count: Some(partitions.len() as u64),
            ..Fields::default()
        },
        E::TransactionAborted { partitions, reason }
        | E::TransactionUnknown { partitions, reason } => Fields::count(*partitions).error(reason),
        E::OutputRefused {
            partition,
            offset,
            reason,
        } => Fields::at(*partition, *offset).error(reason),
        E::ProducerFailed { error, .. } => Fields::default().error(error),
        E::MetadataLimited { characters } => Fields::count(*characters),
        E::OutputsLost { partition, records } => Fields {
            count: Some(*records),
            ..Fields::of(*partition)
        },
        E::CommitRecovered
        | E::ProducerRecovered
        | E::MembershipDoubtful
        | E::MembershipConfirmed
        | E::Fenced => Fields::default(),
    }
}

fn commit_failed(fields: Fields, error: &CommitError) -> Fields {
    let fields = fields.reason(commit_failure_class(error));
    match error {
        CommitError::NotMember(words)
        | CommitError::Transient(words)
        | CommitError::Unauthorized(words)
        | CommitError::Claimed(words) => fields.error(words),
        CommitError::MetadataTooLarge => fields,
    }
}
