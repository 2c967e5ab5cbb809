//! What an engine is made of.

use super::admin::Identity;
use super::clock::Clock;
use super::dead_letters::DeadLetterTopicOf;
use super::positions::Keeping;
use super::source::Origin;
use crate::core::Settings;
use crate::kafka::{self, TransactionSettings};
use crate::observe::Observer;

/// See the module.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) origin: Origin,
    /// Who keeps positions.
    pub(super) positions: Keeping,
    /// Whether they are copied to Kafka.
    pub(super) mirror_to_kafka: bool,
    /// How transactions are made, if commits are such.
    pub(super) transactions: Option<TransactionSettings>,
    /// Of a topic.
    pub(super) dead_letter_topic_of: DeadLetterTopicOf,
    pub(super) streams_max: u32,
    pub(super) wake: kafka::Wake,
    pub(super) observer: Observer,
    pub(super) identity: Identity,
}
