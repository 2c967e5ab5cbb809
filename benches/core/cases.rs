//! What is measured.

use ackline::core::Order;

/// One way of using the core.
pub(crate) struct Case {
    /// For the command line and the figures that are kept.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) what: &'static str,
    pub(crate) order: Order,
    pub(crate) lane_depth: u32,
    pub(crate) partitions: i32,
    pub(crate) streams: u64,
    /// The first delivery is never settled.
    pub(crate) stuck: bool,
    /// Records of one measured round.
    pub(crate) records: u64,
    /// What performance we aim at.
    pub(crate) target: &'static str,
}

/// Twelve partitions, one stream, without order: what the others differ from.
const PLAIN: Case = Case {
    name: "none",
    what: "no order, 12 partitions",
    order: Order::None,
    lane_depth: 10_000,
    partitions: 12,
    streams: 1,
    stuck: false,
    records: 1_000_000,
    target: "50",
};

/// In the order in which they are shown.
pub(crate) const CASES: &[Case] = &[
    PLAIN,
    Case {
        name: "partition",
        what: "by partition, 12 partitions",
        order: Order::Partition,
        ..PLAIN
    },
    Case {
        name: "key",
        what: "by key, 10,000 keys, Zipf 1.1",
        order: Order::Key,
        target: "150",
        ..PLAIN
    },
    Case {
        name: "key-depth-1",
        what: "by key, one record of a key at a time",
        order: Order::Key,
        lane_depth: 1,
        target: "-",
        ..PLAIN
    },
    Case {
        name: "partitions-1",
        what: "by partition, 1 partition",
        order: Order::Partition,
        partitions: 1,
        ..PLAIN
    },
    Case {
        name: "partitions-1000",
        what: "by partition, 1,000 partitions",
        order: Order::Partition,
        partitions: 1000,
        ..PLAIN
    },
    Case {
        name: "streams-16",
        what: "no order, 16 streams",
        streams: 16,
        ..PLAIN
    },
    Case {
        name: "stuck",
        what: "no order, 10 M records pass a stuck one",
        stuck: true,
        records: 10_000_000,
        ..PLAIN
    },
    Case {
        name: "stuck-key",
        what: "by key, 10 M records pass a stuck one",
        order: Order::Key,
        stuck: true,
        records: 10_000_000,
        target: "150",
        ..PLAIN
    },
];
