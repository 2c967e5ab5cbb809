//! The topics that the core knows: their numbers in the core, their names in librdkafka.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use super::Error;
use super::ffi::{PartitionView, Partitions};
use crate::core::{PartitionId, TopicIndex};

pub(super) struct Topics {
    names: Vec<CString>,
    numbers: BTreeMap<CString, TopicIndex>,
}

impl Topics {
    pub(super) fn new(names: &[String]) -> Result<Self, Error> {
        let mut topics = Self {
            names: Vec::with_capacity(names.len()),
            numbers: BTreeMap::new(),
        };
        for name in names {
            topics.add(name)?;
        }
        Ok(topics)
    }

    /// Adds the next topic of the core.
    pub(super) fn add(&mut self, name: &str) -> Result<(), Error> {
        let name = CString::new(name).map_err(|_| Error::Name { what: "topic name" })?;
        let number = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.numbers.insert(name.clone(), TopicIndex(number));
        self.names.push(name);
        Ok(())
    }

    /// The name of a topic. Numbers come from the core, which has as many as there are names.
    pub(super) fn name(&self, topic: TopicIndex) -> &CStr {
        self.names
            .get(usize::from(topic.0))
            .map_or(c"", CString::as_c_str)
    }

    pub(super) fn find(&self, name: &CStr) -> Option<TopicIndex> {
        self.numbers.get(name).copied()
    }

    /// The partition as the core knows it; `None` if its topic is not configured.
    pub(super) fn id(&self, topic: &CStr, partition: i32) -> Option<PartitionId> {
        Some(PartitionId {
            topic: self.find(topic)?,
            partition,
        })
    }

    /// As [`Self::id`], for an element of a list.
    pub(super) fn id_of(&self, view: &PartitionView<'_>) -> Option<PartitionId> {
        self.id(view.topic(), view.partition())
    }

    /// A list of partitions without offsets.
    pub(super) fn list(
        &self,
        partitions: impl ExactSizeIterator<Item = PartitionId>,
    ) -> Partitions {
        let mut list = Partitions::with_capacity(partitions.len());
        for id in partitions {
            list.add(self.name(id.topic), id.partition);
        }
        list
    }
}
