//! Which topics are read, and how: what the settings mean for single topics.

use std::borrow::Cow;
use std::sync::Arc;

use super::model::{Config, GroupProtocol, Processing, StoreKind};
use super::per_topic;
use super::topic_pattern::{TopicPattern, is_pattern};
use crate::core::{
    CommitMode, FindTopics, Policy, Positions, Settings as CoreSettings, TransactionLimits,
};
use crate::dead_letter;

/// Characters of commit metadata that a broker accepts unless its owner changed
/// `offset.metadata.max.bytes`.
const COMMIT_METADATA_CHARS_MAX: usize = 4096;

/// Topics of the brokers themselves. A pattern never means them.
const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

impl Config {
    /// What the core needs to know. `seed` should differ between processes.
    #[must_use]
    pub fn core_settings(&self, seed: u64) -> CoreSettings {
        let names = self.topic_names();
        CoreSettings {
            group: self.group.id.clone(),
            policies: names.iter().map(|topic| self.policy(topic)).collect(),
            topics: names,
            find_topics: self.find_topics(),
            commit_mode: self.commit.mode,
            positions: self.positions(),
            commit_interval: match self.commit.mode {
                CommitMode::OnAck if self.is_transactional() => self.transactions.interval,
                CommitMode::OnAck => self.commit.interval,
                CommitMode::OnDelivery => self.commit.delivery_interval,
            },
            commit_metadata: self.commit.metadata,
            commit_metadata_max: COMMIT_METADATA_CHARS_MAX,
            transactions: self.transaction_limits(),
            commit_staleness_max: self.commit.staleness_max,
            start: self.start,
            on_out_of_range: self.on_out_of_range,
            in_flight_records_max: self.in_flight.records,
            in_flight_bytes_max: self.in_flight.bytes,
            window_records_max: self.window.records,
            drain_revoke: self.drain.revoke,
            join: self.group.join,
            leave_after: self.group.leave_after,
            static_member: !self.group.instance_id.is_empty(),
            brokers_share_out: self.group.protocol == GroupProtocol::Consumer,
            warn_unsettled_after: self.delivery.warn_unsettled_after,
            assign_mode: self.group.assign_mode(),
            session_timeout: self.group.session_timeout,
            doubt_after: self.group.doubt_after(),
            seed,
        }
    }

    /// Who keeps positions.
    #[must_use]
    pub fn positions(&self) -> Positions {
        match self.offset_store.kind {
            StoreKind::Application => Positions::Application,
            StoreKind::Kafka | StoreKind::Postgres | StoreKind::ZooKeeper => Positions::Store,
        }
    }

    /// What transactions may hold, if commits are such.
    #[must_use]
    pub fn transaction_limits(&self) -> Option<TransactionLimits> {
        self.is_transactional().then(|| TransactionLimits {
            records_max: self.transactions.records_max.into(),
            bytes_max: self.transactions.bytes_max,
        })
    }

    /// Whether outputs go with commits, in transactions.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.processing == Processing::Transactional
    }

    /// The topics that are read because settings name them.
    #[must_use]
    pub fn topic_names(&self) -> Vec<String> {
        let names = self.topics.iter().filter(|topic| !is_pattern(topic));
        names.cloned().collect()
    }

    /// Whether topics are to be found by patterns of their names.
    #[must_use]
    pub fn has_topic_patterns(&self) -> bool {
        self.topics.iter().any(|topic| is_pattern(topic))
    }

    /// Whether a topic is read. A pattern does not mean topics of the brokers, nor the dead-letter topics of what it
    /// means: they would be read, given up and written again without end.
    #[must_use]
    pub fn reads(&self, topic: &str) -> bool {
        self.topics.iter().any(|named| named == topic)
            || (self.matches_pattern(topic) && !self.is_own_dead_letter_topic(topic))
    }

    fn matches_pattern(&self, topic: &str) -> bool {
        let patterns = self.topics.iter().filter(|topic| is_pattern(topic));
        !INTERNAL.contains(&topic)
            && patterns
                .filter_map(|text| TopicPattern::read(text).ok())
                .any(|pattern| pattern.matches(topic))
    }

    /// Whether records that are given up here are written to the topic.
    fn is_own_dead_letter_topic(&self, topic: &str) -> bool {
        let of_rules = (0..self.per_topic.len()).map(|rule| self.of_rule(rule).dead_letter.topic);
        let mut templates = of_rules.chain([self.dead_letter.topic.clone()]);
        templates.any(|template| match dead_letter::source_of(&template, topic) {
            Some(dead_letter::Source::Any) => true,
            Some(dead_letter::Source::One(source)) => {
                let is_read = self.topics.contains(&source) || self.matches_pattern(&source);
                is_read && self.dead_letter_topic(&source).as_deref() == Some(topic)
            }
            None => false,
        })
    }

    fn find_topics(&self) -> Option<FindTopics> {
        let config = self.clone();
        let texts = self.topics.iter().filter(|topic| is_pattern(topic));
        // Of thousands of topics few are meant, and only for those the rest is looked at.
        let patterns: Vec<TopicPattern> = texts
            .filter_map(|text| TopicPattern::read(text).ok())
            .collect();
        self.has_topic_patterns().then(|| FindTopics {
            every: self.topics_refresh,
            topics_max: usize::try_from(self.topics_max).unwrap_or(usize::MAX),
            policy_of: Arc::new(move |topic| {
                let may_be_read = patterns.iter().any(|pattern| pattern.matches(topic));
                (may_be_read && config.reads(topic)).then(|| config.policy(topic))
            }),
        })
    }

    /// The settings with those that a topic has of its own in their places.
    #[must_use]
    pub fn of_topic(&self, topic: &str) -> Cow<'_, Self> {
        match per_topic::rule_of(&self.per_topic, topic) {
            Some(index) => Cow::Owned(self.of_rule(index)),
            None => Cow::Borrowed(self),
        }
    }

    /// The settings with those of a rule in their places.
    pub(super) fn of_rule(&self, index: usize) -> Self {
        let mut config = self.clone();
        self.per_topic[index].apply(&mut config);
        config
    }

    /// Whether any topic may have a dead-letter topic.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        let of_rule = |index| !self.of_rule(index).dead_letter.topic.is_empty();
        !self.dead_letter.topic.is_empty() || (0..self.per_topic.len()).any(of_rule)
    }

    /// How the records of a topic are delivered.
    #[must_use]
    pub fn policy(&self, topic: &str) -> Policy {
        let config = self.of_topic(topic);
        Policy {
            order: config.order,
            lane_depth: config.lane_depth,
            retry: config.retry.backoff,
            failures_max: config.retry.max_attempts,
            then: config.retry.then,
            deaths_max: config.retry.crash_suspect_after,
            deadline: config.delivery.deadline,
            oversize: config.oversize,
            tokens: config.retry.tokens,
            has_dead_letters: !config.dead_letter.topic.is_empty(),
        }
    }

    /// Where records of `source` go that are given up; `None` if nowhere.
    #[must_use]
    pub fn dead_letter_topic(&self, source: &str) -> Option<String> {
        dead_letter::topic_of(&self.of_topic(source).dead_letter.topic, source)
    }
}

#[cfg(test)]
mod tests;
