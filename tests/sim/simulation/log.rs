//! The log of one partition, with everything that makes offsets hard: transaction markers, aborted
//! records, compaction, retention, and cuts by an unclean election.

use ackline::core::LeaderEpoch;

use super::random::Random;

/// Names a record for ever, wherever its offset goes.
pub(crate) type Uid = usize;

/// A record that a consumer may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) uid: Uid,
    pub(crate) key: Option<u64>,
    pub(crate) size: u32,
}

/// What lies at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Record(Record),
    /// Of a transaction that was aborted: never shown to consumers.
    Aborted,
    /// The end of a transaction: shown to nobody, but the client's position moves over it.
    Marker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) kind: Kind,
}

impl Entry {
    pub(crate) fn record(&self) -> Option<Record> {
        match self.kind {
            Kind::Record(record) => Some(record),
            Kind::Aborted | Kind::Marker => None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Entry>,
    /// Oldest offset kept.
    pub(crate) start: i64,
    /// One past the newest.
    pub(crate) end: i64,
    pub(crate) epoch: i32,
}

impl Log {
    pub(crate) fn append(&mut self, kind: Kind) -> i64 {
        let offset = self.end;
        self.entries.push(Entry {
            offset,
            epoch: self.epoch,
            kind,
        });
        self.end += 1;
        offset
    }

    /// Leaves a hole behind the newest entry, as if everything there had been compacted away.
    pub(crate) fn skip(&mut self, offsets: i64) {
        self.end += offsets;
    }

    /// The entries from `offset` on.
    pub(crate) fn from(&self, offset: i64) -> &[Entry] {
        let at = self.entries.partition_point(|entry| entry.offset < offset);
        &self.entries[at..]
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&Entry, Record)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((entry, entry.record()?)))
    }

    /// One past the newest entry that a client notices: a hole at the very end, or aborted records whose
    /// marker a cut took away, are nothing that it ever learns of.
    pub(crate) fn readable_end(&self) -> i64 {
        let noticed = |entry: &&Entry| entry.kind != Kind::Aborted;
        self.entries
            .iter()
            .rev()
            .find(noticed)
            .map_or(self.start, |entry| entry.offset + 1)
    }

    /// Removes records here and there, never the newest entry. Returns what went.
    pub(crate) fn compact(&mut self, random: &mut Random) -> Vec<Uid> {
        let last = self.entries.len().saturating_sub(1);
        let mut at = 0;
        let mut gone = Vec::new();
        self.entries.retain(|entry| {
            at += 1;
            let keep = at > last || entry.record().is_none() || random.chance(600);
            if !keep {
                gone.extend(entry.record().map(|record| record.uid));
            }
            keep
        });
        gone
    }

    /// Drops everything below `start`.
    pub(crate) fn retain_from(&mut self, start: i64) -> Vec<Uid> {
        let at = self.entries.partition_point(|entry| entry.offset < start);
        self.start = self.start.max(start);
        self.entries
            .drain(..at)
            .filter_map(|entry| Some(entry.record()?.uid))
            .collect()
    }

    /// An unclean election: everything from `end` on is gone, and a new epoch begins.
    pub(crate) fn truncate(&mut self, end: i64) -> Vec<Uid> {
        let at = self.entries.partition_point(|entry| entry.offset < end);
        self.end = end;
        self.epoch += 1;
        self.entries
            .drain(at..)
            .filter_map(|entry| Some(entry.record()?.uid))
            .collect()
    }

    /// Where a reader that stands at `position`, behind a record of `epoch`, parts from this log, if it does.
    pub(crate) fn divergence(&self, epoch: LeaderEpoch, position: i64) -> Option<i64> {
        let epoch = epoch?;
        let end = self
            .entries
            .iter()
            .find(|entry| entry.epoch > epoch)
            .map_or(self.end, |entry| entry.offset);
        // An entry of a newer epoch may stand behind a hole; the epoch's own end is what counts.
        let end = if epoch < self.epoch {
            end.min(self.epoch_end(epoch))
        } else {
            self.end
        };
        (end < position).then_some(end)
    }

    /// One past the newest offset that `epoch` or an older one wrote.
    fn epoch_end(&self, epoch: i32) -> i64 {
        let at = self.entries.partition_point(|entry| entry.epoch <= epoch);
        self.entries.get(at).map_or(self.end, |entry| entry.offset)
    }
}
