//! How far is a partition?
//!
//! # Invariants
//!
//! - The position never passes a record that is under way.

use std::collections::BTreeSet;

/// The progress of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The next offset to look at.
    next: i64,
    /// Offsets of records that are not confirmed.
    under_way: BTreeSet<i64>,
    /// What was kept last.
    kept: Option<i64>,
}

impl Cursor {
    /// One that begins at an offset.
    pub(super) fn at(start: i64) -> Self {
        Self {
            next: start,
            under_way: BTreeSet::new(),
            kept: None,
        }
    }

    /// A record is sent.
    pub(super) fn sent(&mut self, offset: i64) {
        self.under_way.insert(offset);
        self.next = offset + 1;
    }

    /// A record is left where it is.
    pub(super) fn passed(&mut self, offset: i64) {
        self.next = offset + 1;
    }

    /// Everything below was looked at.
    pub(super) fn through(&mut self, end: i64) {
        self.next = self.next.max(end);
    }

    /// The brokers have a record.
    pub(super) fn confirmed(&mut self, offset: i64) {
        self.under_way.remove(&offset);
    }

    /// The lowest offset that is not done with.
    pub(super) fn position(&self) -> i64 {
        self.under_way.first().copied().unwrap_or(self.next)
    }

    /// The position, if it is to be kept anew. The caller keeps it.
    pub(super) fn news(&mut self) -> Option<i64> {
        let position = self.position();
        (self.kept != Some(position)).then(|| {
            self.kept = Some(position);
            position
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_waits_for_the_lowest_record_under_way() {
        let mut cursor = Cursor::at(5);
        assert_eq!(cursor.news(), Some(5));
        assert_eq!(cursor.news(), None);
        cursor.sent(7);
        cursor.passed(8);
        cursor.sent(9);
        assert_eq!(cursor.position(), 7);
        cursor.confirmed(9);
        assert_eq!(cursor.position(), 7, "9 is confirmed, 7 is not");
        cursor.confirmed(7);
        assert_eq!(cursor.news(), Some(10));
        cursor.through(20);
        assert_eq!(cursor.position(), 20);
    }
}
