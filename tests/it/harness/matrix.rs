//! The group protocols, and the lines of Kafka that speak them.

use serde_json::{Value, json};

use super::cluster::{Cluster, Line};

/// How a group shares out its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Classic; only what moves is taken away.
    Cooperative,
    /// Classic; everything is taken away and dealt out again.
    Eager,
    /// KIP-848: the broker deals.
    Consumer,
}

/// What a scenario runs on.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) line: Line,
    pub(crate) cluster: &'static Cluster,
    pub(crate) protocol: Protocol,
}

impl Member {
    pub(crate) fn new(line: Line, protocol: Protocol) -> Self {
        Self {
            line,
            cluster: Cluster::shared(line),
            protocol,
        }
    }

    /// The same, where positions may be committed in transactions.
    pub(crate) fn of_transactions(self) -> Self {
        Self {
            cluster: Cluster::of_transactions(self.line),
            ..self
        }
    }

    /// The `group` settings that choose the protocol, with times short enough to wait for. Under KIP-848 the broker sets
    /// the times; `tests/kafka/up` shortens them as well.
    pub(crate) fn group_settings(self) -> Value {
        match self.protocol {
            Protocol::Cooperative => json!({"protocol": "classic", "session_timeout": "6s"}),
            Protocol::Eager => {
                json!({"protocol": "classic", "assignor": "eager", "session_timeout": "6s"})
            }
            Protocol::Consumer => json!({"protocol": "consumer"}),
        }
    }
}

/// Makes tests of a scenario: `async fn NAME(member: Member)` becomes one test per line and protocol, in a module NAME.
macro_rules! on_every_protocol {
    ($scenario:ident) => {
        mod $scenario {
            use crate::harness::{Line, Member, Protocol};

            #[tokio::test]
            async fn in_a_cooperative_group() {
                super::$scenario(Member::new(Line::Newest, Protocol::Cooperative)).await;
            }

            #[tokio::test]
            async fn in_an_eager_group() {
                super::$scenario(Member::new(Line::Newest, Protocol::Eager)).await;
            }

            #[tokio::test]
            async fn in_a_group_dealt_by_the_broker() {
                super::$scenario(Member::new(Line::Newest, Protocol::Consumer)).await;
            }

            #[tokio::test]
            async fn in_a_cooperative_group_on_the_oldest_line() {
                super::$scenario(Member::new(Line::Oldest, Protocol::Cooperative)).await;
            }

            #[tokio::test]
            async fn in_an_eager_group_on_the_oldest_line() {
                super::$scenario(Member::new(Line::Oldest, Protocol::Eager)).await;
            }
        }
    };
}
pub(crate) use on_every_protocol;
