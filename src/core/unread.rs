//! What a static group leaves unread.
//!
//! The group gives a static member that comes back what it had before, and asks nobody for anything. It does not notice
//! that the member reads other topics now: partitions of a topic that it reads no more stay with it, and a topic that is
//! new to the group is given to nobody, until the next rebalance, which static members are there to avoid. A partition
//! that was on its way from one member to another stays with nobody too, if the one that gave it up did not live to ask
//! for the rebalance that hands it out. None of this befalls other members, or groups whose partitions brokers share
//! out.
//!
//! So whoever is given what it does not read leaves the group and joins it again, which is a rebalance; and a static
//! member that has joined looks whether somebody owns what it reads.
//!
//! # Invariants
//!
//! - No partition stays with a member that does not read it.
//! - No partition of a topic that a static member reads stays without an owner.
//! - A group is judged only while it rests, and by two looks in a row: members that are started one after the other are
//!   none of its faults.
//! - A process leaves for want of an owner only once, whatever it sees after that.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Core;
use super::event::Event;
use super::ids::{Moment, PartitionId, TopicIndex};
use super::input::{GroupDescription, ReadError};
use super::start::backoff;
use super::timers::Timer;

/// How long after a join, and after a look, the group is looked at; and once more as long, by chance, so that members
/// that were started together do not all leave.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// How often a look is put off for topics that brokers do not describe: they may not exist.
const PUT_OFF_MAX: u32 = 3;

/// What the last look has shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// No look is wanted before the next join.
    #[default]
    Over,
    /// The first look is to come.
    Joined,
    /// Something had no owner.
    Suspicious,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unread {
    watch: Watch,
    /// When the next look is due, if one is.
    due: Option<Moment>,
    put_off: u32,
    tries: u32,
    /// The group was left once because something had no owner.
    left: bool,
}

impl Core {
    /// What a static member was given, without what its former self was reading and it does not.
    pub(super) fn only_read(&self, partitions: &[PartitionId]) -> Vec<PartitionId> {
        let read: BTreeSet<TopicIndex> = self.topics_read().collect();
        let is_read = |partition: &PartitionId| {
            !self.settings.static_member || read.contains(&partition.topic)
        };
        partitions.iter().copied().filter(is_read).collect()
    }

    /// The group gave partitions of topics that we do not read.
    pub(super) fn unread_assigned(&mut self, partitions: usize) {
        self.report(Event::UnreadAssigned { partitions });
        self.leave_and_join();
    }

    /// The group is joined: from now on it is watched, if it may leave something without an owner.
    pub(super) fn watch_group(&mut self) {
        let settings = &self.settings;
        if settings.static_member && !settings.brokers_share_out && !self.unread.left {
            self.unread = Unread {
                watch: Watch::Joined,
                ..Unread::default()
            };
        }
    }

    /// The group gave something, so that there is something to look at.
    pub(super) fn look_at_group_soon(&mut self) {
        if self.unread.watch == Watch::Joined && self.unread.due.is_none() {
            self.describe_unknown_topics();
            self.look_at_group_later();
        }
    }

    fn look_at_group_later(&mut self) {
        let wait = LOOK_AFTER + LOOK_AFTER.mul_f64(self.random.fraction());
        let at = self.now.plus(wait);
        self.unread.due = Some(at);
        self.timers.at(at, Timer::Group);
    }

    /// Asks who owns what, and what there is to own.
    pub(super) fn look_at_group(&mut self) {
        if self.unread.due.is_none_or(|at| at > self.now) || !self.is_watching() {
            return;
        }
        self.unread.due = None;
        if self.describe_unknown_topics() && self.unread.put_off < PUT_OFF_MAX {
            self.unread.put_off += 1;
            return self.look_at_group_later();
        }
        self.ask_group();
    }

    /// Asks for what is not known of the topics that are read. Returns whether there was any.
    fn describe_unknown_topics(&mut self) -> bool {
        let is_known = |topic: &TopicIndex| self.topics[usize::from(topic.0)].is_known();
        let read = self.topics_read();
        let unknown: Vec<TopicIndex> = read.filter(|topic| !is_known(topic)).collect();
        for topic in &unknown {
            self.describe(*topic);
        }
        !unknown.is_empty()
    }

    /// Judges the group as it is described, if it is watched.
    pub(super) fn judge_group(&mut self, answer: Result<GroupDescription, ReadError>) {
        if !self.is_watching() {
            return;
        }
        let group = match answer {
            Ok(group) => group,
            Err(ReadError::Unsupported) => {
                self.unread.watch = Watch::Over;
                return;
            }
            Err(error) => {
                self.unread.tries += 1;
                let wait = backoff(self.unread.tries);
                self.unread.due = Some(self.now.plus(wait));
                return self.read_failed("group", error, wait, Timer::Group);
            }
        };
        self.unread.tries = 0;
        if !group.rests {
            return self.look_at_group_later();
        }
        let unowned = self.unowned(&group.owned);
        match (unowned, self.unread.watch) {
            (0, _) => self.unread.watch = Watch::Over,
            (_, Watch::Suspicious) => {
                self.report(Event::Unowned {
                    partitions: unowned,
                });
                self.unread = Unread {
                    left: true,
                    ..Unread::default()
                };
                self.leave_and_join();
            }
            (_, Watch::Joined | Watch::Over) => {
                self.unread.watch = Watch::Suspicious;
                self.look_at_group_later();
            }
        }
    }

    /// How many partitions of topics that are read, and that are known to exist, nobody owns.
    fn unowned(&self, owned: &[PartitionId]) -> usize {
        let owned: BTreeSet<&PartitionId> = owned.iter().collect();
        let partitions = self.topics_read().flat_map(|topic| {
            let partitions = self.topics[usize::from(topic.0)].partitions();
            let partitions = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
            partitions.map(move |partition| PartitionId { topic, partition })
        });
        partitions
            .filter(|partition| !owned.contains(partition))
            .count()
    }

    fn is_watching(&self) -> bool {
        let ends = self.shutdown.is_some() || self.drain.is_some();
        self.unread.watch != Watch::Over && self.is_member() && !ends
    }
}

#[cfg(test)]
mod tests;
