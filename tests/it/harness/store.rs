//! What keeps positions, if not Kafka.

use serde_json::Value;

use super::Topic;

/// What is stored of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    /// How often it was claimed.
    pub(crate) fence: i64,
    /// Lowest offset that is not finished.
    pub(crate) next: Option<i64>,
}

/// A place of one's own in a real store.
pub(crate) trait Store {
    /// Settings of a sidecar that keeps its positions here.
    fn settings(&self) -> Value;

    /// What is stored of a topic, in the order of partitions. Told by the store's own tools, never by the sidecar.
    async fn stored(&self, topic: &Topic<'_>) -> Vec<Stored>;

    /// Lets nobody in, or everybody again; who is in is thrown out.
    async fn allow_connections(&self, allow: bool);
}
