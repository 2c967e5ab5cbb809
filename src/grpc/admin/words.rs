//! Why a partition does not advance, in words, and what helps.

use std::time::Duration;

use super::answers::topic;
use crate::core::{Cause, Head, InFlight, Moment, Obstacle, Scope, Status, StopReason};

/// One reason in words.
pub(super) struct Words {
    /// Its name, from a small closed set.
    pub(super) kind: &'static str,
    /// What it is.
    pub(super) text: String,
    /// What ends it; empty if it ends by itself.
    pub(super) remedy: String,
    /// Since when it is there, if that is known.
    pub(super) since: Option<Moment>,
}

impl Words {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            remedy: String::new(),
            since: None,
        }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: remedy.into(),
            ..self
        }
    }

    fn since(self, since: Moment) -> Self {
        Self {
            since: Some(since),
            ..self
        }
    }
}

/// How long something took or takes, for people.
#[must_use]
pub fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What holds up the whole process; empty if nothing does.
pub(super) fn process(status: &Status, not_ready: Option<&str>) -> String {
    match (not_ready, status.joined) {
        (Some(reason), _) => reason.to_owned(),
        (None, false) if status.without_topics => {
            "not in the group: brokers have named no topic so far that a pattern in `topics` matches; they are asked \
             again every `topics_refresh`"
                .to_owned()
        }
        (None, false) => {
            "not in the group: it is joined when an application opens a stream, unless `group.join` is at_start"
                .to_owned()
        }
        (None, true) if status.partitions.is_empty() => {
            "in the group, but no partition is assigned to this process; others may have them all".to_owned()
        }
        (None, true) => String::new(),
    }
}

/// One reason of the partition at `place`.
#[allow(clippy::too_many_lines)] // a table with one row for each reason
pub(super) fn cause(cause: &Obstacle, place: &str, now: Moment, topics: &[String]) -> Words {
    match cause {
        Obstacle::Starting { error } => {
            Words::new("starting", being_read("its committed offset", error.as_deref()))
        }
        Obstacle::StartUnanswered { asked: 0 } => Words::new(
            "start_unanswered",
            "the application keeps the positions, and no stream is open that could be asked where it starts",
        )
        .remedy("start the application, or look why it opens no stream that wants the topic"),
        Obstacle::StartUnanswered { asked } => Words::new(
            "start_unanswered",
            format!("the application keeps the positions and has not said where it starts; streams asked: {asked}"),
        )
        .remedy("look into the application: it must answer each PartitionEvent with start_wanted by StartAt"),
        Obstacle::Listing { error } => {
            Words::new("listing", being_read("the range of its log", error.as_deref()))
        }
        Obstacle::Leaving => Words::new("draining", "it is being given to another member"),
        Obstacle::MembershipDoubtful => Words::new(
            "membership_doubtful",
            "the process stood still for long; a commit, or the group, must confirm that it is still a member",
        ),
        Obstacle::ProducerAwaited { fenced, error } => producer_awaited(*fenced, error.as_deref()),
        Obstacle::TransactionsFailing { at, error } => Words::new(
            "transactions_failing",
            format!(
                "several transactions in a row had no effect, and nothing is delivered before one has; the last one, {} ago: {error}",
                age(now.since(*at))
            ),
        )
        .remedy("look at the brokers and at permissions on outputs' topics; it is tried again by itself"),
        Obstacle::OutputsFull { bytes, max } => Words::new(
            "outputs_full",
            format!("nothing more is delivered: {bytes} bytes of outputs wait for a transaction, of at most {max}"),
        ),
        Obstacle::Ending => Words::new("ending", "this process ends or was drained")
            .remedy("restart the process to consume again"),
        Obstacle::Unauthorized => Words::new(
            "unauthorized",
            "brokers do not allow to read or commit its offset",
        )
        .remedy("give the sidecar's user READ on the topic and on the group; it goes on by itself"),
        Obstacle::Stopped(reason) => stopped(*reason, place),
        Obstacle::Paused {
            scope,
            since,
            reason,
        } => paused(*scope, reason, topics).since(*since),
        Obstacle::CommitFailing {
            since,
            error,
            stale,
        } => commit_failing(error, *stale).since(*since),
        Obstacle::FetchFailing { at, error } => Words::new(
            "fetch_failing",
            format!("reading it failed {} ago: {error}", age(now.since(*at))),
        )
        .remedy("look at the brokers; it is tried again by itself"),
        Obstacle::Held { head, delivery } => held(head, delivery, place, now),
        Obstacle::RetryDue { head, due } => Words::new(
            "retry_due",
            format!(
                "{} was handed back after {} and comes again in {}",
                record(head),
                times(head.failures, "failure"),
                age(due.since(now))
            ),
        ),
        Obstacle::Parked {
            head,
            cause,
            reason,
            refused,
            since,
        } => parked(head, *cause, reason, refused.as_deref(), place).since(*since),
        Obstacle::DeadLetterPending { head, since, again } => {
            dead_letter_pending(head, *again, place, now).since(*since)
        }
        Obstacle::Suspected { head } => Words::new(
            "suspected",
            format!(
                "applications died while they held {}; it waits for a stream that holds nothing else",
                record(head)
            ),
        ),
        Obstacle::Oversize { head, size } => Words::new(
            "oversize",
            format!(
                "{} has {size} bytes, more than any open stream accepts",
                record(head)
            ),
        )
        .remedy("raise the largest message of the client (`max_message_bytes` of Open) above that"),
        Obstacle::NoStream
        | Obstacle::StreamsPaused
        | Obstacle::StreamsFull
        | Obstacle::ProcessFull
        | Obstacle::WindowFull { .. }
        | Obstacle::ShareFull { .. }
        | Obstacle::MarksFull => room(cause),
        Obstacle::NothingReadable { since } => Words::new(
            "nothing_readable",
            "its log goes on, but nothing of it can be read: a transaction was left open",
        )
        .remedy("find it with `kafka-transactions.sh find-hanging`, and end it with `abort`")
        .since(*since),
        Obstacle::NothingArrives { since } => Words::new(
            "nothing_arrives",
            format!(
                "its log goes on, but nothing of it has arrived for {}: brokers or the network are slow, or a quota holds \
                 this client back",
                age(now.since(*since))
            ),
        )
        .remedy("it goes on by itself; look at the brokers, and for quotas with `kafka-configs.sh --describe`")
        .since(*since),
    }
}

fn stopped(reason: StopReason, place: &str) -> Words {
    let seek = |to: &str| format!("ackline seek {place} --to {to} --reason …");
    match reason {
        StopReason::NoCommittedOffset => Words::new(
            "no_committed_offset",
            "the group has no committed offset of it, and `start` is stop",
        )
        .remedy(seek("earliest")),
        StopReason::OutOfRange => Words::new(
            "out_of_range",
            "its log does not hold the committed offset any more, and `on_out_of_range` is stop",
        )
        .remedy(seek("earliest")),
        StopReason::Corrupt => Words::new(
            "corrupt",
            "a batch of its log is damaged, also after three more tries",
        )
        .remedy(format!(
            "repair the log, or go on behind the batch: {}",
            seek("OFFSET")
        )),
        StopReason::OffsetsWentBack => Words::new(
            "offsets_went_back",
            "the broker sent offsets that were read before",
        )
        .remedy(format!("look at the topic, then go on: {}", seek("OFFSET"))),
    }
}

fn paused(scope: Scope, reason: &str, topics: &[String]) -> Words {
    let (what, argument) = match scope {
        Scope::Everything => ("everything".to_owned(), String::new()),
        Scope::Topic(index) => {
            let topic = topic(index, topics);
            (format!("topic {topic}"), format!(" {topic}"))
        }
        Scope::Partition(id) => {
            let place = format!("{}/{}", topic(id.topic, topics), id.partition);
            (place.clone(), format!(" {place}"))
        }
    };
    Words::new("paused", format!("an operator paused {what}: {reason}"))
        .remedy(format!("ackline resume{argument} --reason …"))
}

fn being_read(what: &str, error: Option<&str>) -> String {
    let error = error.map(|error| format!("; it is asked again, the last answer was: {error}"));
    format!("{what} is being read{}", error.unwrap_or_default())
}

fn commit_failing(error: &str, stale: bool) -> Words {
    let consequence = if stale {
        "; nothing new is delivered until one succeeds"
    } else {
        ""
    };
    Words::new(
        if stale {
            "commits_stale"
        } else {
            "commit_failing"
        },
        format!("commits of it fail: {error}{consequence}"),
    )
    .remedy(
        "look at what keeps positions: the brokers and the group's permissions, or the store of offset_store.kind; it is \
         tried again by itself",
    )
}

fn producer_awaited(fenced: bool, error: Option<&str>) -> Words {
    let error = error.map(|error| format!("; the last try: {error}"));
    let error = error.unwrap_or_default();
    if fenced {
        return Words::new(
            "producer_awaited",
            format!("another process uses the same transactions.id, and neither gets on{error}"),
        )
        .remedy("give each process a transactions.id of its own, or stop the other one");
    }
    Words::new(
        "producer_awaited",
        format!("what an earlier transaction left open is being settled before anything is read or committed{error}"),
    )
    .remedy("look at the brokers, and for WRITE on the transactional id; it is tried again by itself")
}

fn parked(head: &Head, cause: Cause, reason: &str, refused: Option<&str>, place: &str) -> Words {
    let because = match cause {
        Cause::Failures => format!("after {}", times(head.failures, "failure")),
        Cause::Crashes => "since applications died of it".to_owned(),
        Cause::Oversize => "for its size".to_owned(),
        Cause::Application => "as the application wished".to_owned(),
        Cause::Operator => "as an operator wished".to_owned(),
    };
    let words = if reason.is_empty() {
        String::new()
    } else {
        format!(": {}", reason.escape_debug())
    };
    let refused = refused.map_or(String::new(), |error| {
        let error = error.escape_debug();
        format!("; its dead-letter topic cannot take it: {error}")
    });
    let text = format!("{} is parked, {because}{words}{refused}", record(head));
    let record = format!("{place}/{}", head.offset);
    Words::new("parked", text).remedy(format!(
        "ackline parked retry {record} --reason …, or `skip` or `dead-letter` in place of `retry`"
    ))
}

/// One that is on its way may be in the topic already, so that nobody can give it up.
fn dead_letter_pending(head: &Head, again: Option<Moment>, place: &str, now: Moment) -> Words {
    let record = record(head);
    let (text, remedy) = match again {
        None => (
            format!("{record} is being written to the dead-letter topic"),
            "it goes on when that is confirmed; if it takes long, look at the brokers of the dead-letter topic"
                .to_owned(),
        ),
        Some(at) => (
            format!(
                "the dead-letter topic does not take {record}; it goes again in {}",
                age(at.since(now))
            ),
            format!(
                "look at the dead-letter topic; or give the record up: ackline parked skip {place}/{} --reason …",
                head.offset
            ),
        ),
    };
    Words::new("dead_letter_pending", text).remedy(remedy)
}

fn held(head: &Head, delivery: &InFlight, place: &str, now: Moment) -> Words {
    let client = if delivery.client.is_empty() {
        "without a name".to_owned()
    } else {
        delivery.client.escape_debug().to_string()
    };
    let text = format!(
        "{} is held unsettled by stream {} of client {client} for {} ({} attempt)",
        record(head),
        delivery.stream.0,
        age(now.since(delivery.since)),
        ordinal(delivery.attempt),
    );
    Words::new("held", text)
        .remedy(format!(
            "look at that client, then `ackline inflight {place}`; what it holds comes again when its stream ends"
        ))
        .since(delivery.since)
}

/// What keeps records from being taken in or out.
fn room(cause: &Obstacle) -> Words {
    match cause {
        Obstacle::StreamsPaused => Words::new(
            "streams_paused",
            "every stream that wants the topic was paused by its application",
        )
        .remedy("let the application take records again (`SetFlow`)"),
        Obstacle::StreamsFull => Words::new(
            "streams_full",
            "every stream that wants the topic holds as much as it may",
        )
        .remedy("see what they hold with `ackline inflight`, or add streams"),
        Obstacle::ProcessFull => Words::new(
            "process_full",
            "as much is in flight as `in_flight.records` allows",
        )
        .remedy("see what it is with `ackline inflight`"),
        Obstacle::WindowFull { unfinished, max } => Words::new(
            "window_full",
            format!(
                "nothing more is read: {unfinished} records are unfinished, `window.records` is {max}"
            ),
        ),
        Obstacle::ShareFull { bytes, max } => Words::new(
            "budget_full",
            format!(
                "nothing more is read: {bytes} bytes wait, its share of `in_flight.bytes` is {max}"
            ),
        ),
        Obstacle::MarksFull => Words::new(
            "marks_full",
            "nothing more is read: what is finished out of order would not fit the commit metadata",
        ),
        Obstacle::NoStream
        | Obstacle::Starting { .. }
        | Obstacle::StartUnanswered { .. }
        | Obstacle::Parked { .. }
        | Obstacle::DeadLetterPending { .. }
        | Obstacle::Suspected { .. }
        | Obstacle::Listing { .. }
        | Obstacle::Unauthorized
        | Obstacle::Stopped(_)
        | Obstacle::Leaving
        | Obstacle::Ending
        | Obstacle::MembershipDoubtful
        | Obstacle::ProducerAwaited { .. }
        | Obstacle::TransactionsFailing { .. }
        | Obstacle::OutputsFull { .. }
        | Obstacle::Paused { .. }
        | Obstacle::CommitFailing { .. }
        | Obstacle::FetchFailing { .. }
        | Obstacle::Held { .. }
        | Obstacle::RetryDue { .. }
        | Obstacle::Oversize { .. }
        | Obstacle::NothingReadable { .. }
        | Obstacle::NothingArrives { .. } => Words::new(
            "no_stream",
            "no open stream wants the topic and can take the record",
        )
        .remedy("start an application that opens a stream for it"),
    }
}

fn record(head: &Head) -> String {
    match head.key_hash {
        Some(hash) => format!("offset {} (key hash {hash:016x})", head.offset),
        None => format!("offset {}", head.offset),
    }
}

fn times(count: u32, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
