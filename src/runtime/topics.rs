//! Topics that are found while the process runs, and what the client is told of them.
//!
//! # Invariants
//!
//! - Whoever speaks of a topic by its index can name it: the core adds a topic before anything else is said of it.
//! - A client that is made anew knows every topic that the core knows.

use std::sync::Arc;

use super::engine::Engine;
use super::positions::Keeping;
use crate::core::{Order, TopicIndex};

impl Engine {
    /// Tells the client which topics are read, as part of joining the group or later.
    pub(super) fn subscribe(&mut self) {
        let topics: Vec<TopicIndex> = self.core.topics_read().collect();
        if let Some(client) = &mut self.client {
            let asked = client.subscribe(&topics);
            self.judge(asked);
        }
    }

    /// A topic that is known from now on.
    pub(super) fn add_topic(&mut self, topic: TopicIndex, name: String) {
        debug_assert_eq!(
            usize::from(topic.0),
            self.topics.len(),
            "one after the other"
        );
        if let Some(client) = &mut self.client {
            let added = client.add_topic(&name);
            self.judge(added);
        }
        if let Keeping::InStore(positions) = &mut self.positions {
            positions.add_topic(&name);
        }
        let known = self.topics.iter().cloned();
        self.topics = known.chain([name]).collect();
        self.observer.know_topics(Arc::clone(&self.topics));
        self.feed.hash_keys |= self.core.policy(topic).order == Order::Key;
    }
}
