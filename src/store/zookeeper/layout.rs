//! Where what is kept, and how it is written.
//!
//! ```text
//! /consumers/GROUP/offsets/TOPIC/PARTITION             the offset in digits, as the consumers before Kafka 0.9 kept it
//! /consumers/GROUP/ackline/TOPIC/PARTITION             who claimed it last; its version is the fence
//! /consumers/GROUP/ackline/TOPIC/PARTITION/position    what is finished above the offset; nothing until it was written
//! ```
//!
//! The claim is a node of its own, so that its version changes with claims and nothing else.

use serde::{Deserialize, Serialize};

use super::super::{Place, Position};

/// Nodes of a group.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    group: String,
}

/// What stands beside an offset.
#[derive(Debug, Serialize, Deserialize)]
struct Beside {
    /// The offset that was stored with it: another one was written by somebody else.
    offset: i64,
    leader_epoch: Option<i32>,
    metadata: String,
}

impl Layout {
    pub(super) fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
        }
    }

    /// Names of topics of which something is stored.
    pub(super) fn all_offsets(&self) -> String {
        format!("/consumers/{}/offsets", self.group)
    }

    /// Names of what is stored of a topic, one for each partition.
    pub(super) fn offsets(&self, topic: &str) -> String {
        format!("{}/{topic}", self.all_offsets())
    }

    /// The offset.
    pub(super) fn offset(&self, place: &Place) -> String {
        format!("{}/{}", self.offsets(&place.topic), place.partition)
    }

    /// The claim.
    pub(super) fn claim(&self, place: &Place) -> String {
        format!(
            "/consumers/{}/ackline/{}/{}",
            self.group, place.topic, place.partition
        )
    }

    /// What stands beside the offset.
    pub(super) fn position(&self, place: &Place) -> String {
        format!("{}/position", self.claim(place))
    }

    /// Every node that a claim needs, each after the one that holds it. The first is one for all groups.
    pub(super) fn needed(&self, place: &Place) -> [String; 8] {
        let Self { group } = self;
        let topic = &place.topic;
        [
            "/consumers".to_owned(),
            format!("/consumers/{group}"),
            self.all_offsets(),
            self.offsets(topic),
            format!("/consumers/{group}/ackline"),
            format!("/consumers/{group}/ackline/{topic}"),
            self.claim(place),
            self.position(place),
        ]
    }
}

/// Data of a claim.
pub(super) fn claimed(by: &str) -> Vec<u8> {
    serde_json::json!({ "claimed_by": by })
        .to_string()
        .into_bytes()
}

/// Data of an offset.
pub(super) fn digits(offset: i64) -> Vec<u8> {
    offset.to_string().into_bytes()
}

/// Data of what stands beside an offset.
pub(super) fn beside(position: &Position) -> Vec<u8> {
    let beside = Beside {
        offset: position.offset,
        leader_epoch: position.leader_epoch,
        metadata: position.metadata.clone(),
    };
    // Numbers and text always have a form in JSON.
    serde_json::to_vec(&beside).unwrap_or_default()
}

/// The offset that a node holds; a fault continues a sentence that begins with the node.
pub(super) fn read_offset(data: &[u8]) -> Result<i64, &'static str> {
    let text = std::str::from_utf8(data).ok();
    let offset = text.and_then(|text| text.trim().parse().ok());
    let offset = offset.filter(|offset: &i64| *offset >= 0);
    offset.ok_or("holds no offset in digits")
}

/// A position from its two nodes. The leader epoch belongs to the offset that was stored with it; metadata says itself what
/// it belongs to. A fault continues a sentence that begins with the node beside the offset.
pub(super) fn read_position(offset: i64, beside: &[u8]) -> Result<Position, &'static str> {
    let beside = read_beside(beside)?;
    let own = beside.as_ref().filter(|beside| beside.offset == offset);
    Ok(Position {
        offset,
        leader_epoch: own.and_then(|beside| beside.leader_epoch),
        metadata: beside.map_or_else(String::new, |beside| beside.metadata),
    })
}

/// The metadata of a node beside an offset; `None` until it was written.
pub(super) fn read_metadata(beside: &[u8]) -> Result<Option<String>, &'static str> {
    Ok(read_beside(beside)?.map(|beside| beside.metadata))
}

fn read_beside(data: &[u8]) -> Result<Option<Beside>, &'static str> {
    if data.is_empty() {
        return Ok(None);
    }
    let beside = serde_json::from_slice(data);
    beside.map(Some).map_err(|_| "holds no position")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: i64) -> Position {
        Position {
            offset,
            leader_epoch: Some(3),
            metadata: "\"{}\u{e4}".to_owned(),
        }
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let stored = position(i64::MAX);
        let offset = read_offset(&digits(stored.offset)).unwrap();
        assert_eq!(read_position(offset, &beside(&stored)).unwrap(), stored);
    }

    #[test]
    fn an_offset_of_somebody_else_has_no_leader_epoch_of_ours() {
        let read = read_position(7, &beside(&position(8))).unwrap();
        assert_eq!((read.offset, read.leader_epoch), (7, None));
        assert_eq!(read.metadata, position(8).metadata);
    }

    #[test]
    fn the_offset_of_a_classic_consumer_needs_nothing_beside_it() {
        let read = read_position(read_offset(b"42").unwrap(), b"").unwrap();
        let expected = Position {
            offset: 42,
            leader_epoch: None,
            metadata: String::new(),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_offset_is_never_taken_for_one() {
        for bad in [
            &b""[..],
            b"-1",
            b"4 2",
            b"x",
            b"\xff",
            b"9223372036854775808",
        ] {
            assert!(read_offset(bad).is_err(), "{bad:?}");
        }
        for bad in [&b"{}"[..], b"[", b"7", b"\xff"] {
            assert!(read_position(7, bad).is_err(), "{bad:?}");
            assert!(read_metadata(bad).is_err(), "{bad:?}");
        }
    }
}
