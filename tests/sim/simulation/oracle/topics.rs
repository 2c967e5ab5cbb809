//! Which topics a process reads, and which of them came into being while it looked.

use std::collections::BTreeSet;

use ackline::core::{FetchStart, PartitionId, ReadError, TopicIndex};

use super::super::library::Library;
use super::super::plan::Plan;
use super::Oracle;

/// What a process knows of topics that no settings name.
#[derive(Debug, Default)]
pub(super) struct Found {
    read: BTreeSet<TopicIndex>,
    /// An answer came, so that what comes later is new.
    looked: bool,
    /// Found by a later answer: nothing of them is older than the wish to read them.
    newborn: BTreeSet<TopicIndex>,
}

impl Oracle {
    /// A process is told which topics there are.
    pub(crate) fn topics_found(
        &mut self,
        member: usize,
        answer: &Result<Vec<String>, ReadError>,
        plan: &Plan,
    ) {
        let Ok(names) = answer else { return };
        let found = &mut self.members[member].found;
        for (name, index) in plan.settings.topics.iter().zip(0..) {
            let topic = TopicIndex(index);
            if !plan.is_found(topic) {
                continue;
            }
            if !names.contains(name) {
                found.read.remove(&topic);
            } else if found.read.insert(topic) && found.looked {
                found.newborn.insert(topic);
            }
        }
        found.looked = true;
    }

    /// B49, B50: what is read is what is named and what was found, and no more than may be.
    pub(crate) fn check_topics(
        &mut self,
        member: usize,
        read: impl Iterator<Item = TopicIndex>,
        plan: &Plan,
    ) {
        let named = (0..).map(TopicIndex).take(plan.named());
        let found = self.members[member].found.read.iter().copied();
        let right = named.chain(found).eq(read);
        self.check(right, || {
            "B49, B50: other topics are read than are named and found".to_owned()
        });
    }

    pub(super) fn is_newborn(&self, member: usize, topic: TopicIndex) -> bool {
        self.members[member].found.newborn.contains(&topic)
    }

    /// B49: nothing is fetched of a topic that is not read, but what the group has yet to be given back.
    pub(crate) fn check_is_read(
        &mut self,
        member: usize,
        start: &FetchStart,
        library: &Library,
        plan: &Plan,
    ) {
        let PartitionId { topic, .. } = start.partition;
        let read = !plan.is_found(topic) || self.members[member].found.read.contains(&topic);
        self.check(read || library.gives_back(start.partition), || {
            format!(
                "B49: {:?} is fetched, whose topic is not read",
                start.partition
            )
        });
    }
}
