//! What is known of records above the committed offset, in as few bytes as can be.
//!
//! Finished offsets are written in the shorter of two ways. A *bitmap* takes a bit for each offset: best where half of
//! them are finished, here and there. *Runs* take a few bits for each change between finished and not, however long
//! each lasts: best where nearly all are finished, or few, and in logs with gaps.
//!
//! # Invariants
//!
//! - D2: work and memory are bounded by the number of bytes, never by the offsets they name.
//! - D5: finished offsets of a window take no more than [`bits_at_most`] says of it.

use super::bits::{BitReader, BitWriter, ORDER_MAX, number_bits};
use super::bytes::{Reader, put_varint, varint_len};
use super::runs::FinishedRuns;
use crate::core::ids::LeaderEpoch;
use crate::mutant;

/// Most retried records that are written. A failing application hands back all it has; the lowest matter most.
pub(crate) const RETRIED_MAX: usize = 256;
/// Bytes of marks beside the bits: epoch, kind, orders and a count.
pub(super) const OVERHEAD: usize = 5 + 1 + 2 + 3;

const NONE: u8 = 0;
const BITMAP: u8 = 1;
const RUNS: u8 = 2;

/// What is known of records above the committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Highest leader epoch of a record that is spoken of; marks do not speak of records with a newer one.
    pub leader_epoch: LeaderEpoch,
    /// The finished offsets.
    pub finished: FinishedRuns,
    /// Records that the application failed at and has not finished, by rising offset.
    pub retried: Vec<Retried>,
}

/// A record that the application failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Its offset.
    pub offset: i64,
    /// How often it was delivered.
    pub attempts: u32,
    /// How often the application said RETRY, at least once.
    pub failures: u32,
}

/// Whether a record of this epoch is newer than what marks of that one speak of: another record at the same offset.
pub(crate) fn is_newer(record: LeaderEpoch, marks: LeaderEpoch) -> bool {
    matches!((record, marks), (Some(record), Some(marks)) if record > marks)
}

impl Marks {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.retried.is_empty()
    }
}

/// Writes what lies at or above `base`. Returns whether the finished offsets are in it: they are left out if `bytes` would
/// grow beyond `bytes_max`, and of the retried records there are as many as fit.
pub(super) fn put(bytes: &mut Vec<u8>, base: i64, marks: &Marks, bytes_max: usize) -> bool {
    let mut finished = FinishedRuns::default();
    finished.extend_above(base, &marks.finished);
    let retried = marks
        .retried
        .iter()
        .filter(|retried| retried.offset >= base);
    let mut retried = retried.take(RETRIED_MAX).peekable();
    if finished.is_empty() && retried.peek().is_none() {
        return true;
    }
    let before = bytes.len();
    // A negative epoch is Kafka's own way of saying "unknown".
    let epoch = marks.leader_epoch.map_or(0, |epoch| i64::from(epoch) + 1);
    put_varint(bytes, u64::try_from(epoch).unwrap_or(0));
    let kept = put_finished(bytes, base, &finished, bytes_max);
    if !kept {
        bytes.push(NONE);
    }
    let empty = bytes.len();
    let mut next = base;
    for retried in retried {
        let end = bytes.len();
        put_varint(bytes, next.abs_diff(retried.offset));
        put_varint(bytes, retried.attempts.into());
        put_varint(bytes, retried.failures.into());
        if bytes.len() > bytes_max {
            bytes.truncate(end);
            break;
        }
        next = retried.offset + 1;
    }
    if bytes.len() == empty && (!kept || finished.is_empty()) {
        bytes.truncate(before);
    }
    kept
}

/// Returns whether they fit; if not, `bytes` is as before.
fn put_finished(bytes: &mut Vec<u8>, base: i64, finished: &FinishedRuns, bytes_max: usize) -> bool {
    let Some(end) = finished.end() else {
        bytes.push(NONE);
        return true;
    };
    let room = bytes_max.saturating_sub(bytes.len()) as u64;
    let bitmap = base.abs_diff(end).div_ceil(8);
    let bitmap_len = 1 + varint_len(bitmap) + bitmap;
    // A run takes two bits at least.
    let count = finished.runs().len() as u64;
    let coded = (count / 4 < room.min(bitmap_len)).then(|| Orders::shortest(base, finished));
    if let Some((orders, bits)) = coded
        && let coded_len = 3 + varint_len(count) + bits.div_ceil(8)
        && coded_len < bitmap_len
    {
        return coded_len <= room && {
            put_runs(bytes, base, finished, orders);
            true
        };
    }
    if bitmap_len > room {
        return false;
    }
    put_bitmap(bytes, base, finished, usize::try_from(bitmap).unwrap_or(0));
    true
}

fn put_runs(bytes: &mut Vec<u8>, base: i64, finished: &FinishedRuns, orders: Orders) {
    bytes.extend([RUNS, orders.gap, orders.length]);
    put_varint(bytes, finished.runs().len() as u64);
    let mut writer = BitWriter::new(bytes);
    for (gap, length) in numbers(base, finished) {
        writer.number(gap, orders.gap);
        writer.number(length, orders.length);
    }
}

fn put_bitmap(bytes: &mut Vec<u8>, base: i64, finished: &FinishedRuns, len: usize) {
    bytes.push(BITMAP);
    put_varint(bytes, len as u64);
    let start = bytes.len();
    bytes.resize(start + len, 0);
    let bitmap = bytes.get_mut(start..).unwrap_or_default();
    for (from, to) in finished.runs() {
        for offset in *from..*to {
            let at = usize::try_from(base.abs_diff(offset)).unwrap_or(0);
            if let Some(byte) = bitmap.get_mut(at / 8) {
                *byte |= 1 << (at % 8);
            }
        }
    }
}

/// Orders of the codes of runs.
#[derive(Clone, Copy, Debug)]
struct Orders {
    gap: u8,
    length: u8,
}

impl Orders {
    /// Those with which the runs are shortest, and their length in bits.
    fn shortest(base: i64, finished: &FinishedRuns) -> (Self, u64) {
        let (gap, gap_bits) = shortest(|| numbers(base, finished).map(|(gap, _)| gap));
        let (length, length_bits) = shortest(|| numbers(base, finished).map(|(_, length)| length));
        (Self { gap, length }, gap_bits + length_bits)
    }
}

/// The order in which numbers, at least one, are shortest, and their length in bits. One near the logarithm of their
/// mean, which is what [`bits_at_most`] relies on.
fn shortest<Numbers: Iterator<Item = u64>>(numbers: impl Fn() -> Numbers) -> (u8, u64) {
    let (count, sum) = numbers().fold((0_u64, 0_u64), |(count, sum), number| {
        (count + 1, sum.saturating_add(number))
    });
    let mean = sum.checked_div(count).unwrap_or(0) + 1;
    let near = u8::try_from(mean.ilog2())
        .unwrap_or(ORDER_MAX)
        .min(ORDER_MAX);
    let bits = |order: u8| numbers().map(|number| number_bits(number, order)).sum();
    (near.saturating_sub(2)..=(near + 1).min(ORDER_MAX))
        .map(|order| (order, bits(order)))
        .min_by_key(|(_, bits)| *bits)
        .unwrap_or((0, u64::MAX))
}

/// Gap and length of each run, less what they are at least.
fn numbers(base: i64, finished: &FinishedRuns) -> impl Iterator<Item = (u64, u64)> {
    let mut at = base;
    let mut least = 0;
    finished.runs().iter().map(move |(from, to)| {
        let gap = at.abs_diff(*from) - least;
        at = *to;
        least = 1;
        (gap, from.abs_diff(*to) - 1)
    })
}

/// How many bits finished offsets of a window take at most, whichever of its records are finished next: of `unfinished`
/// among `records`, between the watermark and `span` offsets above it.
///
/// Between two runs lies something unfinished, so there are no more runs than unfinished records, and as many gaps. A
/// number *n* takes at most log2 *n* + 3.17 bits in a code whose order fits the mean, and the logarithm is concave.
pub(crate) fn bits_at_most(span: u64, records: u64, unfinished: u64) -> u64 {
    let runs = unfinished.min(records.div_ceil(2));
    let numbers = runs * 2;
    let Some(mean) = span.checked_div(numbers) else {
        return 0;
    };
    let each_in_tenths = 10 * u64::from(mean.max(1).ilog2()) + 42;
    let coded = numbers.saturating_mul(each_in_tenths) / 10 + 1;
    coded.min(span)
}

/// Reads what [`put`] wrote.
pub(super) fn read(reader: &mut Reader<'_>, base: i64) -> Option<Marks> {
    let leader_epoch = match reader.varint()? {
        0 => None,
        epoch => Some(i32::try_from(epoch - 1).ok()?),
    };
    let finished = match reader.array()? {
        [NONE] => FinishedRuns::default(),
        [BITMAP] => read_bitmap(reader, base)?,
        [RUNS] => read_runs(reader, base)?,
        [_] => return None,
    };
    let marks = Marks {
        leader_epoch,
        finished,
        retried: read_retried(reader, base)?,
    };
    (!marks.is_empty()).then_some(marks)
}

fn read_bitmap(reader: &mut Reader<'_>, base: i64) -> Option<FinishedRuns> {
    let len = usize::try_from(reader.varint()?).ok()?;
    let bitmap = reader.take(len)?;
    // One way to write a set: the last byte says something.
    bitmap.last().filter(|last| **last != 0)?;
    let mut finished = FinishedRuns::default();
    for (at, byte) in bitmap.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
            let offset = base.checked_add_unsigned(at as u64 * 8 + bit)?;
            finished.push(offset, offset.checked_add(1)?);
        }
    }
    Some(finished)
}

fn read_runs(reader: &mut Reader<'_>, base: i64) -> Option<FinishedRuns> {
    let [gap_order, length_order] = reader.array()?;
    if gap_order > ORDER_MAX || length_order > ORDER_MAX {
        return None;
    }
    let count = reader.varint()?;
    let mut bits = BitReader::new(reader.bytes);
    let mut finished = FinishedRuns::default();
    let mut at = base;
    // Each takes at least two bits, so a count of billions ends with the bytes.
    for run in 0..count {
        let apart = run > 0 && !mutant::planted("M8");
        let gap = bits.number(gap_order)?.checked_add(u64::from(apart))?;
        let from = at.checked_add_unsigned(gap)?;
        at = from.checked_add_unsigned(bits.number(length_order)?.checked_add(1)?)?;
        finished.push(from, at);
    }
    reader.bytes = bits.rest()?;
    (count > 0).then_some(finished)
}

fn read_retried(reader: &mut Reader<'_>, base: i64) -> Option<Vec<Retried>> {
    let mut retried = Vec::new();
    let mut next = base;
    while !reader.bytes.is_empty() {
        let offset = next.checked_add_unsigned(reader.varint()?)?;
        let attempts = u32::try_from(reader.varint()?).ok()?;
        let failures = u32::try_from(reader.varint()?).ok()?;
        if failures == 0 || failures > attempts || retried.len() >= RETRIED_MAX {
            return None;
        }
        retried.push(Retried {
            offset,
            attempts,
            failures,
        });
        next = offset.checked_add(1)?;
    }
    Some(retried)
}

#[cfg(test)]
mod tests;
