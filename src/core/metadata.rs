//! The text that goes with every commit.
//!
//! Kafka keeps a free text beside each committed offset. Ours says whose offset it is and, when
//! records were finished out of order, which offsets above it are finished already, so that a restart
//! repeats none of them, and how often others failed. Everybody with access to the group may write there, so what is read
//! back is believed only if it fits, and otherwise ignored: the offset then stands alone and records are
//! repeated, never skipped.
//!
//! # Format
//!
//! The characters `ack2`, then base64url without padding of the bytes below. All fixed-size numbers
//! are little-endian; a *varint* has seven bits a byte, lowest first.
//!
//! ```text
//! identity    8 bytes   hash of group, topic and partition
//! base        8 bytes   the offset this text was committed with
//! partitions  4 bytes   partition count of the topic
//! cluster     varint    length, then the id; length 0 is "unknown"
//! topic       1 byte    0 is "unknown"; 1 is followed by 16 bytes
//! marks                 absent when there is nothing to say of records above the base:
//!   epoch     varint    0 is "unknown", else the highest leader epoch of a record spoken of, plus one
//!   finished  1 byte    0: none; 1: a bitmap follows; 2: runs follow
//!     bitmap  varint    length, then the bytes: bit i, lowest first, is the offset base + i;
//!                       the last byte is not zero
//!     runs    2 bytes   orders of the codes of gaps and lengths (`metadata::bits`)
//!             varint    how many, at least one
//!             bits      of each run in turn the gap before it, from the base or the run before, and its length,
//!                       both less what they are at least; zeros up to the end of the byte
//!   retried   varints   of each record in turn that failed and is not finished: offset less the one before plus
//!                       one, or less the base; deliveries; how often the application said RETRY, at least once
//! checksum    4 bytes   CRC-32 of all bytes above
//! ```
//!
//! # Invariants
//!
//! - D1 (I-B4): a text is ASCII and never longer than asked for.
//! - D2: work and memory are bounded by the length of the text, never by the offsets it names.
//! - D3 (I-S5): whatever the bytes are, decoding does not fail; it says [`Decoded::Ignored`].
//! - D4: a text with one byte changed is ignored.

mod bits;
mod bytes;
mod marks;
mod runs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::marks::{Marks, Retried};
pub(crate) use self::marks::{RETRIED_MAX, bits_at_most, is_newer};
pub use self::runs::FinishedRuns;

use self::bytes::{Reader, put_varint};
use super::ids::TopicUuid;
use crate::mutant;

/// Name and version of the format. Four characters, so that the rest stays aligned.
const PREFIX: &str = "ack2";
const CHECKSUM_LEN: usize = 4;
/// Bytes of a header with a topic's id, without the text of the cluster's.
const HEADER_LEN: usize = 8 + 8 + 4 + 2 + 17;

/// Whose offset it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The cluster's id, if known.
    pub cluster: Option<String>,
    /// The topic's id, if known.
    pub topic: Option<TopicUuid>,
    /// [`identity_hash`] of group, topic and partition.
    pub identity_hash: u64,
    /// The offset this header is committed with.
    pub base_offset: i64,
    /// Partition count of the topic; a partition beyond it is younger than this commit.
    pub partition_count: u32,
}

/// A text for one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The text; empty if not even the header fits.
    pub text: String,
    /// Whether everything finished is in it.
    pub marks_kept: bool,
    /// Whether the header is in it.
    pub header_kept: bool,
}

/// What the reader of a text knows of the partition it was stored for.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The cluster's id, if known.
    pub cluster: Option<&'a str>,
    /// The topic's id today, if known.
    pub topic: Option<TopicUuid>,
    /// [`identity_hash`] of group, topic and partition.
    pub identity_hash: u64,
}

/// What a stored text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// There is none.
    Absent,
    /// We wrote it, for this partition and this offset.
    Ours {
        /// What it says of the partition.
        header: Header,
        /// What was finished above the offset.
        marks: Option<Marks>,
    },
    /// It is foreign, damaged, or speaks of something else: the offset counts, the text does not.
    Ignored(&'static str),
    /// It speaks of a topic of the same name that was deleted since: the offset means nothing.
    MadeAgain,
}

/// Hash of who commits what: FNV-1a with 64 bits over the lengths and bytes of group and topic, and
/// the partition. Stored in the cluster, so it never changes.
#[must_use]
pub fn identity_hash(group: &str, topic: &str, partition: i32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    // Lengths first, or ("ab", "c") and ("a", "bc") would be one.
    for name in [group, topic] {
        add(&(name.len() as u64).to_le_bytes());
        add(name.as_bytes());
    }
    add(&partition.to_le_bytes());
    hash
}

/// Writes a text of at most `chars_max` characters: header and marks, else the header and what fits of the marks, else
/// nothing. Marks below the header's base offset are left out: the offset says the same.
#[must_use]
pub fn encode(header: &Header, marks: Option<&Marks>, chars_max: usize) -> Encoded {
    let bytes_max = bytes_of(chars_max).saturating_sub(CHECKSUM_LEN);
    let mut bytes = header_bytes(header);
    let header_len = bytes.len();
    let marks_kept =
        marks.is_none_or(|marks| marks::put(&mut bytes, header.base_offset, marks, bytes_max));
    if let Some(text) = seal(&mut bytes, chars_max) {
        return Encoded {
            text,
            marks_kept,
            header_kept: true,
        };
    }
    bytes.truncate(header_len);
    let text = seal(&mut bytes, chars_max);
    Encoded {
        marks_kept: false,
        header_kept: text.is_some(),
        text: text.unwrap_or_default(),
    }
}

/// Bytes that so many characters hold, prefix aside.
fn bytes_of(chars: usize) -> usize {
    chars.saturating_sub(PREFIX.len()).saturating_mul(6) / 8
}

/// How many bits finished offsets may take in a text of `chars_max` characters, a quarter of which is left to what was
/// under way when somebody asked; `cluster` is the id that its header will carry.
#[must_use]
pub fn room_bits(cluster: Option<&str>, chars_max: usize) -> u64 {
    let header = HEADER_LEN + cluster.map_or(0, str::len) + CHECKSUM_LEN + marks::OVERHEAD;
    (bytes_of(chars_max) / 4 * 3).saturating_sub(header) as u64 * 8
}

/// Reads what was stored beside `offset`.
#[must_use]
pub fn decode(text: &[u8], expect: &Expectation<'_>, offset: i64) -> Decoded {
    if text.is_empty() {
        return Decoded::Absent;
    }
    let (header, marks) = match parse(text) {
        Ok(parsed) => parsed,
        Err(reason) => return Decoded::Ignored(reason),
    };
    if header.identity_hash != expect.identity_hash {
        return Decoded::Ignored("written for another group, topic or partition");
    }
    if header.base_offset != offset {
        return Decoded::Ignored("written for another offset");
    }
    let same_cluster = both(header.cluster.as_deref(), expect.cluster);
    match (same_cluster, both(header.topic, expect.topic)) {
        (Some(false), _) => Decoded::Ignored("written in another cluster"),
        (Some(true), Some(false)) => Decoded::MadeAgain,
        // Either a mirror or a topic made again. Only the offset may be kept without knowing which.
        (None, Some(false)) => {
            Decoded::Ignored("written for another topic id, in an unknown cluster")
        }
        (Some(true) | None, Some(true) | None) => Decoded::Ours { header, marks },
    }
}

/// Whether a text was written for this group, topic and partition, and for this offset. Says nothing of clusters and topic
/// ids, of which [`decode`] makes what is right.
#[must_use]
pub fn is_of(text: &[u8], expect: &Expectation<'_>, offset: i64) -> bool {
    parse(text).is_ok_and(|(header, _)| {
        header.identity_hash == expect.identity_hash && header.base_offset == offset
    })
}

/// The partition count that a commit of another partition of the topic remembers. `expect` speaks
/// of that partition.
#[must_use]
pub fn partition_count_of(text: &[u8], expect: &Expectation<'_>) -> Option<u32> {
    let (header, _) = parse(text).ok()?;
    let ours = header.identity_hash == expect.identity_hash
        && both(header.cluster.as_deref(), expect.cluster) != Some(false)
        && both(header.topic, expect.topic) != Some(false);
    ours.then_some(header.partition_count)
}

/// Whether two known things are the same; `None` if either is unknown.
fn both<T: PartialEq>(left: Option<T>, right: Option<T>) -> Option<bool> {
    Some(left? == right?)
}

fn header_bytes(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend_from_slice(&header.identity_hash.to_le_bytes());
    bytes.extend_from_slice(&header.base_offset.to_le_bytes());
    bytes.extend_from_slice(&header.partition_count.to_le_bytes());
    let cluster = header.cluster.as_deref().unwrap_or_default();
    put_varint(&mut bytes, cluster.len() as u64);
    bytes.extend_from_slice(cluster.as_bytes());
    match header.topic {
        Some(TopicUuid(id)) => {
            bytes.push(1);
            bytes.extend_from_slice(&id);
        }
        None => bytes.push(0),
    }
    bytes
}

/// Adds the checksum and turns the bytes into text, if it fits.
fn seal(bytes: &mut Vec<u8>, chars_max: usize) -> Option<String> {
    let checksum = crc32fast::hash(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    let chars = PREFIX.len() + base64::encoded_len(bytes.len(), false)?;
    if chars > chars_max {
        return None;
    }
    let mut text = String::with_capacity(chars);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    Some(text)
}

fn parse(text: &[u8]) -> Result<(Header, Option<Marks>), &'static str> {
    let rest = text
        .strip_prefix(PREFIX.as_bytes())
        .ok_or("not in our format")?;
    let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| "not base64url")?;
    let (content, checksum) = bytes
        .split_last_chunk::<CHECKSUM_LEN>()
        .ok_or("too short")?;
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) && !mutant::planted("M7") {
        return Err("checksum does not match");
    }
    // What follows the checksum can only fail for text that somebody forged.
    let mut reader = Reader { bytes: content };
    read_content(&mut reader).ok_or("malformed")
}

fn read_content(reader: &mut Reader<'_>) -> Option<(Header, Option<Marks>)> {
    let identity_hash = u64::from_le_bytes(reader.array()?);
    let base_offset = i64::from_le_bytes(reader.array()?);
    let partition_count = u32::from_le_bytes(reader.array()?);
    let cluster_len = usize::try_from(reader.varint()?).ok()?;
    let cluster = std::str::from_utf8(reader.take(cluster_len)?).ok()?;
    let topic = match reader.array::<1>()? {
        [0] => None,
        [1] => Some(TopicUuid(reader.array()?)),
        [_] => return None,
    };
    let header = Header {
        cluster: (!cluster.is_empty()).then(|| cluster.to_owned()),
        topic,
        identity_hash,
        base_offset,
        partition_count,
    };
    let marks = if reader.bytes.is_empty() {
        None
    } else {
        Some(marks::read(reader, base_offset)?)
    };
    Some((header, marks))
}

#[cfg(test)]
mod tests;
