//! The text that goes with every commit.
//!
//! Kafka keeps a free text beside each committed offset. Ours says whose offset it is and, when
//! records were finished out of order, which offsets above it are finished already, so that a restart
//! repeats none of them. Everybody with access to the group may write there, so what is read back is
//! believed only if it fits, and otherwise ignored: the offset then stands alone and records are
//! repeated, never skipped.
//!
//! # Format
//!
//! The characters `ack1`, then base64url without padding of the bytes below. All fixed-size numbers
//! are little-endian; a *varint* has seven bits a byte, lowest first.
//!
//! ```text
//! identity    8 bytes   hash of group, topic and partition
//! base        8 bytes   the offset this text was committed with
//! partitions  4 bytes   partition count of the topic
//! cluster     varint    length, then the id; length 0 is "unknown"
//! topic       1 byte    0 is "unknown"; 1 is followed by 16 bytes
//! marks                 absent when nothing above the base is finished:
//!   epoch     varint    0 is "unknown", else the leader epoch plus one
//!   runs      varints   lengths in turn from the base on: not finished, finished, not finished, …
//!                       ending with a finished one; only the first may be zero
//! checksum    4 bytes   CRC-32 of all bytes above
//! ```
//!
//! # Invariants
//!
//! - D1 (I-B4): a text is ASCII and never longer than asked for.
//! - D2: work and memory are bounded by the length of the text, never by the offsets it names.
//! - D3 (I-S5): whatever the bytes are, decoding does not fail; it says [`Decoded::Ignored`].
//! - D4: a text with one byte changed is ignored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ids::{LeaderEpoch, TopicUuid};
use crate::mutant;

/// Name and version of the format. Four characters, so that the rest stays aligned.
const PREFIX: &str = "ack1";
const CHECKSUM_LEN: usize = 4;

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

/// What was finished above the committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Highest leader epoch of a finished record; a mark does not speak of records with a newer one.
    pub leader_epoch: LeaderEpoch,
    /// The finished offsets.
    pub finished: FinishedRuns,
}

/// Finished offsets as sorted runs that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinishedRuns {
    /// Each from its first offset to one past its last.
    runs: Vec<(i64, i64)>,
}

impl FinishedRuns {
    /// Whether nothing is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, each from its first offset to one past its last.
    #[must_use]
    pub fn runs(&self) -> &[(i64, i64)] {
        &self.runs
    }

    /// One past the highest finished offset.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.runs.last().map(|(_, to)| *to)
    }

    /// How many offsets are marked, whether or not the log holds a record there.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        self.runs.iter().map(|(from, to)| from.abs_diff(*to)).sum()
    }

    /// Whether `offset` is finished.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        let at = self.runs.partition_point(|(_, to)| *to <= offset);
        self.runs.get(at).is_some_and(|(from, _)| *from <= offset)
    }

    /// Adds the offsets from `from` up to, not including, `to`. They lie above all others.
    pub fn push(&mut self, from: i64, to: i64) {
        debug_assert!(self.end().is_none_or(|end| end <= from), "runs rise");
        if from >= to {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            Some(_) | None => self.runs.push((from, to)),
        }
    }

    /// Adds what `other` holds at or above `from`, which lies above all offsets held here.
    pub fn extend_above(&mut self, from: i64, other: &Self) {
        let at = other.runs.partition_point(|(_, to)| *to <= from);
        for (first, end) in &other.runs[at..] {
            self.push((*first).max(from), *end);
        }
    }
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

/// Writes a text of at most `chars_max` characters: header and marks, else the header alone, else
/// nothing. Marks below the header's base offset are left out: the offset says the same.
#[must_use]
pub fn encode(header: &Header, marks: Option<&Marks>, chars_max: usize) -> Encoded {
    let bytes_max = chars_max.saturating_sub(PREFIX.len()) / 4 * 3 + 2;
    let mut bytes = header_bytes(header);
    let header_len = bytes.len();
    let marks_kept =
        marks.is_none_or(|marks| put_marks(&mut bytes, header.base_offset, marks, bytes_max));
    if marks_kept && let Some(text) = seal(&mut bytes, chars_max) {
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

/// Returns whether they fit into `bytes_max` bytes in all.
fn put_marks(bytes: &mut Vec<u8>, base: i64, marks: &Marks, bytes_max: usize) -> bool {
    let mut finished = FinishedRuns::default();
    finished.extend_above(base, &marks.finished);
    if finished.is_empty() {
        return true;
    }
    // A negative epoch is Kafka's own way of saying "unknown".
    put_varint(
        bytes,
        marks
            .leader_epoch
            .map_or(0, |epoch| u64::try_from(i64::from(epoch) + 1).unwrap_or(0)),
    );
    let mut at = base;
    for (from, to) in finished.runs() {
        put_varint(bytes, at.abs_diff(*from));
        put_varint(bytes, from.abs_diff(*to));
        at = *to;
        if bytes.len() > bytes_max {
            return false;
        }
    }
    true
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
        Some(read_marks(reader, base_offset)?)
    };
    Some((header, marks))
}

fn read_marks(reader: &mut Reader<'_>, base: i64) -> Option<Marks> {
    let leader_epoch = match reader.varint()? {
        0 => None,
        epoch => Some(i32::try_from(epoch - 1).ok()?),
    };
    let mut finished = FinishedRuns::default();
    let mut at = base;
    while !reader.bytes.is_empty() || finished.is_empty() {
        let gap = reader.varint()?;
        let length = reader.varint()?;
        if length == 0 || (gap == 0 && !finished.is_empty()) {
            return None;
        }
        let from = at.checked_add_unsigned(gap)?;
        at = from.checked_add_unsigned(length)?;
        finished.push(from, at);
    }
    Some(Marks {
        leader_epoch,
        finished,
    })
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// Takes bytes off the front; `None` when there are too few.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if part << shift >> shift != part {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                // One way to write a number: no zero byte at its end.
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
