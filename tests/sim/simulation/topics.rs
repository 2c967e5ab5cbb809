//! Topics that no settings name: they come into being, members look for them, and the group is joined for them.

use std::collections::BTreeSet;
use std::time::Duration;

use ackline::core::{Moment, TopicIndex};

use super::cluster::Answer;
use super::log::Log;
use super::plan::TOPICS;
use super::world::{What, World};

impl World {
    /// The topics that are to be found exist from now on.
    pub(crate) fn topics_appear(&mut self) {
        for (at, topic) in self
            .broker
            .topics
            .iter_mut()
            .enumerate()
            .skip(self.plan.named())
        {
            topic.logs = vec![Log::default(); self.plan.partitions[at]];
        }
        self.note(|| "topics appear".to_owned());
    }

    /// A member asks which topics there are.
    pub(crate) fn find_topics(&mut self, member: usize) {
        let (mut wait, error) = self.read_fate(member);
        // Who asks for everything waits for the slowest, and may have another client before the answer comes.
        if !self.is_healed() && self.random.chance(150) {
            wait += self.random.millis(50..3000);
        }
        let answer = error.map_or_else(|| Ok(self.listed()), Err);
        self.later_of_client(member, wait, What::Answer(Box::new(Answer::Topics(answer))));
    }

    /// What exists, beside it what no pattern means, and one that is more than may be read.
    fn listed(&mut self) -> Vec<String> {
        let lacking = self.may_be_hidden() && self.random.chance(700);
        let is_listed = |(at, topic): &(usize, &super::broker::Topic)| {
            let hidden = lacking && *at >= self.plan.named();
            !hidden && !topic.logs.is_empty()
        };
        let topics = self.broker.topics.iter().enumerate();
        let mut names: Vec<String> = topics
            .filter(is_listed)
            .map(|(_, topic)| topic.name.clone())
            .collect();
        if names.len() == self.broker.topics.len() {
            names.push(format!("{TOPICS}9"));
        }
        names.push("something else".to_owned());
        names.reverse();
        names
    }

    /// Whether a broker that was asked may not have heard of the topics that are to be found.
    fn may_be_hidden(&self) -> bool {
        let hidden = self
            .plan
            .finding
            .as_ref()
            .and_then(|finding| finding.hidden);
        let at = |after: Duration| Moment(0).plus(after);
        !self.is_healed()
            && hidden.is_some_and(|(from, until)| (at(from)..at(until)).contains(&self.now))
    }

    /// What the process wants to be in the group for.
    fn topics_read(&self, member: usize) -> BTreeSet<TopicIndex> {
        let process = self.members[member].process.as_ref();
        process.map_or_else(BTreeSet::new, |process| {
            process.core.topics_read().collect()
        })
    }

    /// The group is joined, by a new client if the old one was to be replaced.
    pub(crate) fn join(&mut self, member: usize) {
        let topics = self.topics_read(member);
        let Some(process) = self.process(member) else {
            return;
        };
        if std::mem::take(&mut process.replaces_client) {
            self.make_client(member);
        }
        if let Some(process) = self.process(member) {
            process.library.subscribe(topics);
        }
    }

    pub(crate) fn subscribe(&mut self, member: usize) {
        let topics = self.topics_read(member);
        if let Some(process) = self.process(member) {
            process.library.resubscribe(topics);
        }
    }

    pub(crate) fn topic_added(&mut self, member: usize, topic: TopicIndex, name: &str) {
        let expected = self.broker.topics.get(usize::from(topic.0));
        let right = expected.is_some_and(|topic| topic.name == name);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let next = usize::from(topic.0) == process.topics_known;
        process.topics_known += 1;
        self.oracle.check(right && next, || {
            format!("{topic:?} is {name}, which should not be read")
        });
    }

    /// A running process that does not read everything that exists.
    pub(crate) fn who_lacks_topics(&self) -> Option<usize> {
        let exist = |topic: &&super::broker::Topic| !topic.logs.is_empty();
        let exist = self.broker.topics.iter().filter(exist).count();
        self.members.iter().position(|member| {
            let process = member.process.as_ref();
            process.is_some_and(|process| process.core.topics_read().count() < exist)
        })
    }

    /// Whether a process has heard of a topic, so that others can name it to the process.
    pub(crate) fn knows_topic(&self, member: usize, topic: TopicIndex) -> bool {
        let process = self.members[member].process.as_ref();
        process.is_some_and(|process| usize::from(topic.0) < process.topics_known)
    }
}
