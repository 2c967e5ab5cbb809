//! Serving what librdkafka has to say, apart from records.

use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as E;
use zeroize::Zeroizing;

use super::client::{Client, Closing, Rebalance};
use super::error::{Fatal, Trouble, TroubleKind};
use super::ffi::{Code, Event, EventKind};
use super::properties::PRODUCER_GUARANTEES;
use crate::core::{AssignMode, FetchError, Input, Moment, PartitionId};

/// How many events one poll serves at most, so that a flood of log lines does not keep everything
/// else waiting.
const EVENTS_MAX: usize = 1_000;

/// How often the client is looked at that leaves, and how long it may take to say goodbye once nothing of the group is ours.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// What a poll found beside the inputs of the core.
#[derive(Debug, Default)]
pub struct Polled {
    /// Set if the client must be replaced.
    pub fatal: Option<Fatal>,
    /// What is wrong and may pass by itself.
    pub troubles: Vec<Trouble>,
    /// There is more: poll again soon.
    pub more: bool,
}

impl Client {
    /// Serves all queues but that of records, without waiting, and appends what the core must know to
    /// `inputs`.
    ///
    /// Must be called when `wake` says so, and every few seconds in any case: it is what tells the
    /// group that we live.
    pub fn poll(&mut self, now: Moment, inputs: &mut Vec<Input<'static>>) -> Polled {
        let mut polled = Polled::default();
        inputs.append(&mut self.ready);
        let mut left = EVENTS_MAX;
        while left > 0
            && let Some(event) = self.consumer.poll()
        {
            left -= 1;
            self.on_event(&event, inputs, &mut polled);
        }
        while left > 0
            && let Some(event) = self.replies.poll()
        {
            left -= 1;
            self.on_reply(&event, inputs);
        }
        polled.more = left == 0;
        self.tell_cluster(inputs);
        self.tell_topics(inputs);
        self.tell_left(now, &polled, inputs);
        self.validate();
        polled
    }

    /// When it wants to be polled, if it does not wake us before.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        self.look_at
    }

    fn on_event(&mut self, event: &Event, inputs: &mut Vec<Input<'static>>, polled: &mut Polled) {
        match event.kind() {
            EventKind::Rebalance => self.on_rebalance(event, inputs),
            EventKind::Error => self.on_error(event, polled),
            EventKind::Log => log(event, &self.secrets),
            EventKind::Record => self.on_stray_record(event, inputs),
            EventKind::Committed
            | EventKind::CommittedRead
            | EventKind::OffsetsListed
            | EventKind::TopicsDescribed
            | EventKind::GroupDescribed
            | EventKind::Written
            | EventKind::Other => {
                tracing::debug!(kind = ?event.kind(), "an event of kafka that nobody asked for");
            }
        }
    }

    fn on_rebalance(&mut self, event: &Event, inputs: &mut Vec<Input<'static>>) {
        if self.closing != Closing::No {
            self.let_everything_go();
            return;
        }
        let ids: Vec<Option<PartitionId>> = event
            .partitions()
            .map(|view| self.topics.id_of(&view))
            .collect();
        let partitions: Vec<PartitionId> = ids.iter().copied().flatten().collect();
        let unread = ids.len() - partitions.len();
        if event.code() == Code::of(E::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
            if self.mode == AssignMode::Whole {
                self.owned.clear();
            }
            self.owned.extend(&partitions);
            self.rebalance = Some(Rebalance::Assign);
            inputs.push(Input::GroupAssigned { partitions });
            if unread > 0 {
                inputs.push(Input::UnreadAssigned { partitions: unread });
            }
            return;
        }
        self.rebalance = Some(Rebalance::Revoke(partitions.clone()));
        if self.handle.assignment_lost() {
            // Somebody else may own them already: the fence falls now, not with the answer.
            for id in &partitions {
                self.owned.remove(id);
            }
            inputs.push(Input::GroupLost { partitions });
        } else {
            inputs.push(Input::GroupRevoked { partitions });
        }
    }

    fn on_error(&mut self, event: &Event, polled: &mut Polled) {
        let Some(failure) = event.failure() else {
            return;
        };
        if event.is_fatal() {
            polled.fatal = Some(Fatal::of(&failure));
            return;
        }
        let kind = TroubleKind::of(failure.code);
        polled.troubles.push(Trouble {
            kind,
            text: failure.text,
        });
    }

    /// A record on the consumer queue bypassed the queue of records, and has moved the position of
    /// its partition. It must not get lost: the fetch has failed.
    fn on_stray_record(&mut self, event: &Event, inputs: &mut Vec<Input<'static>>) {
        let Some((topic, partition)) = event.record_place() else {
            return;
        };
        let Some(id) = self.topics.id(topic, partition) else {
            return;
        };
        let Some(fetching) = self.assigned.get(&id) else {
            return;
        };
        let error = FetchError::Transient("a record came by the wrong queue".to_owned());
        inputs.push(Input::FetchFailed {
            partition: id,
            fetch: fetching.fetch,
            error,
        });
        self.mark_failed(id);
    }

    fn tell_cluster(&mut self, inputs: &mut Vec<Input<'static>>) {
        if !self.cluster_told
            && let Some(id) = self.handle.cluster_id()
        {
            self.cluster_told = true;
            // Before the rebalance that may have come in the same poll.
            inputs.insert(0, Input::ClusterKnown { id });
        }
    }

    /// The group was left when nothing of it is ours, no rebalance is under way, and librdkafka has said goodbye: it has
    /// queued any rebalance that precedes the leaving before `leave` returned, and says goodbye some time after that was
    /// answered. Who closes the client before leaves without a word, and the group waits for him for a whole session.
    fn tell_left(&mut self, now: Moment, polled: &Polled, inputs: &mut Vec<Input<'static>>) {
        self.look_at = None;
        let given_back = self.owned.is_empty() && self.rebalance.is_none() && !polled.more;
        if !(self.leaving && given_back) {
            self.given_back_at = None;
            return;
        }
        let since = *self.given_back_at.get_or_insert(now);
        let patient = now.since(since) < GOODBYE_MAX;
        if patient && self.handle.is_member(self.broker_shares_out) {
            self.look_at = Some(now.plus(LOOK_EVERY));
            return;
        }
        self.leaving = false;
        self.given_back_at = None;
        inputs.push(Input::GroupLeft);
    }
}

/// Passes a log line of librdkafka on.
pub(super) fn log(event: &Event, secrets: &[Zeroizing<String>]) {
    let Some((level, facility, mut line)) = event.log_line() else {
        return;
    };
    let of_ours = |(name, _): &(&str, &str)| line.contains(name);
    if facility == "CONFWARN" && PRODUCER_GUARANTEES.iter().any(of_ours) {
        // A warning of what we set ourselves, and know.
        return;
    }
    redact(&mut line, secrets.iter().map(|secret| secret.as_str()));
    // Levels of syslog. What a person must act on reaches them as trouble, with its kind.
    match level {
        ..=4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{line}"),
        7.. => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// Removes secrets from a log line (C-10). librdkafka is not known to log any, but its debug output is
/// wide, and a user may turn it on.
pub(super) fn redact<'a>(line: &mut String, secrets: impl Iterator<Item = &'a str>) {
    for secret in secrets {
        if !secret.is_empty() && line.contains(secret) {
            *line = line.replace(secret, "***");
        }
    }
}
