//! Which topics are read: those that settings name, and those that exist and match a pattern.
//!
//! Where settings hold patterns, brokers are asked for all topics when the process starts and again and again after
//! that. Patterns are not left to the client library: each rebalance protocol evaluates them in its own way, and none
//! knows a limit.
//!
//! # Invariants
//!
//! - A topic keeps its index for as long as the process lives, also while it does not exist.
//! - A topic that settings name is always read. One that was found is read until an answer lacks it; a question that
//!   failed says nothing.
//! - What came into being while we looked is read from its beginning, whatever `start` says.
//! - At most `topics_max` topics are read. Those that are read already go on; what is left out is told.
//! - The group is joined for at least one topic: the client takes an empty subscription for leaving.
//! - A static member joins when it has found topics for the first time: the group gives it what it had, and it should
//!   know all of it.

use std::collections::BTreeSet;

use super::Core;
use super::effect::Effect;
use super::event::Event;
use super::ids::TopicIndex;
use super::input::ReadError;
use super::settings::{FindTopics, Policy};
use super::start::backoff;
use super::timers::Timer;
use super::tokens::Bucket;
use super::topic::Topic;
use crate::mutant;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    read: BTreeSet<TopicIndex>,
    /// As many, from the first one, are named by settings.
    named: usize,
    asked: bool,
    /// An answer came, so that what comes later is new.
    looked: bool,
    tries: u32,
    left_out: usize,
}

impl Subscription {
    pub(super) fn to_named(topics: usize) -> Self {
        Self {
            read: (0..topics).filter_map(index).collect(),
            named: topics,
            ..Self::default()
        }
    }
}

/// The index of the topic at this place. There are fewer than 65,536.
fn index(place: usize) -> Option<TopicIndex> {
    u16::try_from(place).ok().map(TopicIndex)
}

impl Core {
    /// The topics that the group is joined for, rising.
    pub fn topics_read(&self) -> impl Iterator<Item = TopicIndex> {
        self.subscription.read.iter().copied()
    }

    /// Whether the group can be joined.
    pub(super) fn knows_what_to_read(&self) -> bool {
        let must_look = self.settings.static_member && self.settings.find_topics.is_some();
        !self.subscription.read.is_empty() && (self.subscription.looked || !must_look)
    }

    /// How the records of a topic are delivered.
    #[must_use]
    pub fn policy(&self, topic: TopicIndex) -> &Policy {
        self.settings.policy(topic)
    }

    /// Begins to look for topics, if any are to be found.
    pub(super) fn look_for_topics_from_now_on(&mut self) {
        if self.settings.find_topics.is_some() {
            self.timers.at(self.now, Timer::FindTopics);
        }
    }

    /// Asks brokers which topics there are.
    pub(super) fn look_for_topics(&mut self) {
        if !self.subscription.asked && self.shutdown.is_none() {
            self.subscription.asked = true;
            self.effects.push(Effect::FindTopics);
        }
    }

    /// The client that was asked is gone, and its answer with it.
    pub(super) fn look_for_topics_again(&mut self) {
        if std::mem::take(&mut self.subscription.asked) {
            self.timers.at(self.now, Timer::FindTopics);
        }
    }

    pub(super) fn topics_found(&mut self, answer: Result<Vec<String>, ReadError>) {
        let Some(finder) = self.settings.find_topics.clone() else {
            return;
        };
        self.subscription.asked = false;
        let names = match answer {
            Ok(names) => names,
            Err(error) => {
                self.subscription.tries += 1;
                let wait = backoff(self.subscription.tries).min(finder.every);
                return self.read_failed("topics", error, wait, Timer::FindTopics);
            }
        };
        self.subscription.tries = 0;
        self.timers
            .at(self.now.plus(finder.every), Timer::FindTopics);
        let before = self.subscription.read.clone();
        self.leave_out_what_is_gone(&names);
        self.read_what_is_new(names, &finder);
        let first = !std::mem::replace(&mut self.subscription.looked, true);
        let read = &self.subscription.read;
        let (found, gone) = (
            read.difference(&before).count(),
            before.difference(read).count(),
        );
        if gone > 0 {
            self.report(Event::TopicsGone { topics: gone });
        }
        if found > 0 {
            self.report(Event::TopicsFound { topics: found });
        }
        if found + gone > 0 {
            self.subscription_changed();
        } else if first {
            self.join_for_topics();
        }
    }

    fn leave_out_what_is_gone(&mut self, names: &[String]) {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let (subscription, known) = (&mut self.subscription, &self.settings.topics);
        let named = subscription.named;
        subscription.read.retain(|topic| {
            let place = usize::from(topic.0);
            place < named || names.contains(known[place].as_str())
        });
    }

    fn read_what_is_new(&mut self, mut names: Vec<String>, finder: &FindTopics) {
        // Which ones are left out should not depend on the order of the answer.
        names.sort_unstable();
        names.dedup();
        let mut left_out = 0;
        for name in names {
            let Some(policy) = finder.policy_of(&name) else {
                continue;
            };
            let known = self.settings.topics.iter().position(|known| *known == name);
            let known = known.and_then(index);
            if known.is_some_and(|topic| self.subscription.read.contains(&topic)) {
                continue;
            }
            let room = self.subscription.read.len() < finder.topics_max;
            let topic = match known {
                _ if !room => None,
                Some(topic) => Some(topic),
                None => self.add_topic(name, policy),
            };
            match topic {
                Some(topic) => {
                    self.subscription.read.insert(topic);
                    if self.subscription.looked && !mutant::planted("found-topic-by-policy") {
                        self.topics[usize::from(topic.0)].was_born();
                    }
                }
                None => left_out += 1,
            }
        }
        if left_out != self.subscription.left_out {
            self.subscription.left_out = left_out;
            self.report(Event::TopicsLeftOut { topics: left_out });
        }
    }

    /// A topic that was never seen; `None` if the process has seen too many.
    fn add_topic(&mut self, name: String, policy: Policy) -> Option<TopicIndex> {
        let topic = index(self.settings.topics.len())?;
        self.buckets.push(Bucket::full(&policy.tokens));
        self.topics.push(Topic::default());
        self.settings.policies.push(policy);
        self.settings.topics.push(name.clone());
        self.effects.push(Effect::TopicAdded { topic, name });
        Some(topic)
    }

    fn subscription_changed(&mut self) {
        if self.subscription.read.is_empty() {
            self.leave_for_want_of_topics();
        } else if self.is_member() {
            self.effects.push(Effect::Subscribe);
        } else {
            self.join_for_topics();
        }
    }

    fn join_for_topics(&mut self) {
        self.join_at_start();
        self.join_if_wanted();
    }
}

#[cfg(test)]
mod tests;
