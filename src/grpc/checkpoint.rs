//! Positions as applications keep them: opaque bytes that only a sidecar of the same group reads.
//!
//! ```text
//! version     1 byte    1
//! offset      8 bytes   little endian
//! epoch       4 bytes   leader epoch of the record before the offset, little endian; −1 for none
//! metadata    the rest  what a broker would be given beside the offset (`core::metadata`)
//! checksum    4 bytes   CRC-32 of all bytes above
//! ```
//!
//! Whose position it is stands in the metadata; the core looks at that.

use crate::core::{CommitEntry, CommittedOffset};

const VERSION: u8 = 1;
/// Longest one that is looked at; what we make is far shorter.
const BYTES_MAX: usize = 64 << 10;

/// The bytes of what is offered to an application.
pub(super) fn encode(entry: &CommitEntry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17 + entry.metadata.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&entry.offset.to_le_bytes());
    bytes.extend_from_slice(&entry.leader_epoch.unwrap_or(-1).to_le_bytes());
    bytes.extend_from_slice(entry.metadata.as_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What an application gives back, or why it is none of ours.
pub(super) fn decode(bytes: &[u8]) -> Result<CommittedOffset, &'static str> {
    if bytes.len() > BYTES_MAX {
        return Err("is longer than any that a sidecar makes");
    }
    let (content, checksum) = bytes
        .split_last_chunk::<4>()
        .ok_or("is too short to be one of a sidecar")?;
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
        return Err("is damaged, or none of a sidecar: its checksum does not match");
    }
    let Some((&[VERSION], rest)) = content.split_first_chunk::<1>() else {
        return Err("was made by a newer sidecar; use that one");
    };
    let cut = "is too short to be one of a sidecar";
    let (offset, rest) = rest.split_first_chunk::<8>().ok_or(cut)?;
    let (epoch, metadata) = rest.split_first_chunk::<4>().ok_or(cut)?;
    let offset = i64::from_le_bytes(*offset);
    if offset < 0 {
        return Err("speaks of an offset below zero");
    }
    let epoch = i32::from_le_bytes(*epoch);
    Ok(CommittedOffset {
        offset,
        leader_epoch: (epoch >= 0).then_some(epoch),
        metadata: metadata.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Assignment, PartitionId, TopicIndex};

    fn entry(leader_epoch: Option<i32>, metadata: &str) -> CommitEntry {
        CommitEntry {
            partition: PartitionId {
                topic: TopicIndex(0),
                partition: 3,
            },
            assignment: Assignment(7),
            offset: 1 << 40,
            leader_epoch,
            metadata: metadata.to_owned(),
        }
    }

    #[test]
    fn what_was_offered_comes_back_as_it_was() {
        for (epoch, metadata) in [(None, ""), (Some(0), "YQ"), (Some(i32::MAX), "YWI")] {
            let read = decode(&encode(&entry(epoch, metadata))).unwrap();
            assert_eq!(read.offset, 1 << 40);
            assert_eq!(read.leader_epoch, epoch);
            assert_eq!(read.metadata, metadata.as_bytes());
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let bytes = encode(&entry(Some(4), "YWJjZA"));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(decode(&changed).is_err(), "byte {place}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn what_is_no_position_is_told_by_what_is_wrong_with_it() {
        let of = |content: &[u8]| {
            let mut bytes = content.to_vec();
            bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
            decode(&bytes).unwrap_err()
        };
        assert!(of(&[2; 13]).contains("newer sidecar"));
        assert!(of(&[1; 12]).contains("too short"));
        let below_zero = [&[VERSION][..], &(-1_i64).to_le_bytes(), &[0; 4]].concat();
        assert!(of(&below_zero).contains("below zero"));
        assert!(
            decode(&vec![0; BYTES_MAX + 1])
                .unwrap_err()
                .contains("longer")
        );
    }
}
