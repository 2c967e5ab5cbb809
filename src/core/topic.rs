//! What brokers say of the configured topics, and whether a topic is still the one it was.
//!
//! The client does not notice that a topic was deleted and made again. So each topic is described at every
//! assignment, and every few seconds while it is read; another identity ends its assignments (B6).

use std::time::Duration;

use super::Core;
use super::assignment::{ListPurpose, Phase};
use super::effect::{Effect, WithdrawReason};
use super::event::Event;
use super::ids::{Assignment, TopicIndex, TopicUuid};
use super::input::{ReadError, TopicDescription};
use super::start::backoff;
use super::timers::Timer;

/// How often topics are looked at for having been made again.
const DESCRIBE_EVERY: Duration = Duration::from_secs(5);

/// What is known of a configured topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// The last description; `None` before the first one.
    description: Option<TopicDescription>,
    /// The description is not older than the newest assignment.
    fresh: bool,
    /// A description was asked for and not answered.
    asked: bool,
    tries: u32,
    /// The last try was not allowed.
    refused: bool,
    /// The broker does not describe topics; it is not asked again.
    unsupported: bool,
    /// It came into being while we looked, so that nothing of it is older than our wish to read it.
    newborn: bool,
}

impl Topic {
    pub(super) fn id(&self) -> Option<TopicUuid> {
        self.description.and_then(|description| description.id)
    }

    pub(super) fn partitions(&self) -> u32 {
        self.description
            .map_or(0, |description| description.partitions)
    }

    /// Whether we are not allowed to know it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether it came into being while we looked.
    pub(super) fn is_newborn(&self) -> bool {
        self.newborn
    }

    pub(super) fn was_born(&mut self) {
        self.newborn = true;
    }

    pub(super) fn is_known(&self) -> bool {
        self.fresh || self.unsupported
    }
}

impl Core {
    /// Describes a topic for a new assignment: it may have been made again while nobody looked.
    pub(super) fn describe_anew(&mut self, topic: TopicIndex) {
        if let Some(known) = self.topics.get_mut(usize::from(topic.0)) {
            known.fresh = false;
        }
        self.describe(topic);
    }

    /// One such timer runs at a time, or each rebalance would add one for ever.
    pub(super) fn describe_later(&mut self) {
        if !std::mem::replace(&mut self.describing, true) {
            let at = self.now.plus(DESCRIBE_EVERY);
            self.timers.at(at, Timer::DescribeAll);
        }
    }

    /// Questions that were on their way to a client that is gone are not answered any more.
    pub(super) fn forget_questions(&mut self) {
        for topic in &mut self.topics {
            topic.asked = false;
        }
        self.look_for_topics_again();
    }

    pub(super) fn describe(&mut self, topic: TopicIndex) {
        let Some(known) = self.topics.get_mut(usize::from(topic.0)) else {
            return;
        };
        if !known.asked && !known.unsupported {
            known.asked = true;
            self.effects.push(Effect::DescribeTopics(vec![topic]));
        }
    }

    /// Looks at all topics that are read, again and again.
    pub(super) fn describe_all(&mut self) {
        let mut topics: Vec<TopicIndex> =
            self.owned.keys().map(|partition| partition.topic).collect();
        topics.dedup();
        for topic in &topics {
            self.describe(*topic);
        }
        self.describing = false;
        if !topics.is_empty() {
            self.describe_later();
        }
    }

    pub(super) fn topic_described(
        &mut self,
        topic: TopicIndex,
        answer: Result<TopicDescription, ReadError>,
    ) {
        let Some(known) = self.topics.get_mut(usize::from(topic.0)) else {
            return;
        };
        known.asked = false;
        known.refused = matches!(answer, Err(ReadError::Unauthorized(_)));
        match answer {
            Ok(description) => {
                known.description = Some(description);
                known.fresh = true;
                known.tries = 0;
            }
            Err(ReadError::Unsupported) => known.unsupported = true,
            Err(error) => {
                known.tries += 1;
                let wait = backoff(known.tries);
                if !self.owned.keys().any(|partition| partition.topic == topic) {
                    return; // whoever asked does so again
                }
                return self.read_failed("topic", error, wait, Timer::Describe(topic));
            }
        }
        let of_topic: Vec<Assignment> = self
            .owned
            .iter()
            .filter(|(partition, _)| partition.topic == topic)
            .map(|(_, id)| *id)
            .collect();
        for id in of_topic {
            self.compare_topic(id);
            self.resolve_start(id);
        }
    }

    /// A living assignment whose topic has another identity now belongs to a topic that is gone.
    fn compare_topic(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        let (known, now) = (
            assignment.topic_id,
            self.topics[usize::from(partition.topic.0)].id(),
        );
        let (Some(known), Some(now)) = (known, now) else {
            return;
        };
        let settled = matches!(
            assignment.phase,
            Phase::Flowing | Phase::Stopped(_) | Phase::Listing(_)
        );
        if known != now && settled {
            self.report(Event::TopicMadeAgain { partition });
            let id = self.replace(id, WithdrawReason::Repositioned);
            self.list_for(id, ListPurpose::MadeAgain);
        }
    }
}
