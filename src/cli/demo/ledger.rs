//! What happened to every record, noted by its producer and by the application, independently of the sidecar.
//!
//! # Invariants
//!
//! - D1: a record counts as acknowledged when the sidecar has answered that it accepted it.
//! - D2: the records of a customer are numbered; each must be acknowledged directly after the one before.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Where a record lies.
pub(super) type Place = (i32, i64);

/// Notes of everybody.
#[derive(Default)]
pub(super) struct Ledger {
    books: Mutex<Books>,
    changed: Notify,
}

/// Totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Records in the log.
    pub(super) produced: u64,
    /// Records that did not get into the log.
    pub(super) not_produced: u64,
    /// Records that reached the application, each time they did.
    pub(super) delivered: u64,
    /// Those of them that had reached it before.
    pub(super) redelivered: u64,
    /// Records acknowledged, each once.
    pub(super) acknowledged: u64,
    /// Acknowledgements of records that were acknowledged before.
    pub(super) acknowledged_again: u64,
    /// Acknowledgements that the sidecar refused, because their deliveries had been taken back.
    pub(super) refused: u64,
    /// Acknowledgements out of the order of their customer.
    pub(super) out_of_order: u64,
}

#[derive(Default)]
struct Books {
    totals: Totals,
    /// By place: whether it was acknowledged.
    records: BTreeMap<Place, bool>,
    /// By customer: the number that must be acknowledged next.
    next: BTreeMap<u32, u64>,
    production_over: bool,
}

impl Ledger {
    /// A record got into the log, or did not.
    pub(super) fn produced(&self, in_log: bool) {
        let mut books = self.books();
        if in_log {
            books.totals.produced += 1;
        } else {
            books.totals.not_produced += 1;
        }
    }

    /// No more records come.
    pub(super) fn production_is_over(&self) {
        self.books().production_over = true;
        self.changed.notify_waiters();
    }

    /// A record reached the application. Answers whether it had done so before.
    pub(super) fn delivered(&self, place: Place) -> bool {
        let mut books = self.books();
        let known = books.records.contains_key(&place);
        books.records.entry(place).or_insert(false);
        books.totals.delivered += 1;
        books.totals.redelivered += u64::from(known);
        drop(books);
        self.changed.notify_waiters();
        known
    }

    /// The acknowledgement of a customer's record was accepted.
    pub(super) fn acknowledged(&self, place: Place, customer: u32, number: u64) {
        let mut books = self.books();
        if books.records.insert(place, true) == Some(true) {
            books.totals.acknowledged_again += 1;
            return;
        }
        books.totals.acknowledged += 1;
        let next = books.next.entry(customer).or_insert(0);
        let in_order = *next == number;
        *next = number + 1;
        books.totals.out_of_order += u64::from(!in_order);
        drop(books);
        self.changed.notify_waiters();
    }

    /// The sidecar refused the settlement of a record.
    pub(super) fn refused(&self) {
        self.books().totals.refused += 1;
    }

    /// Totals so far.
    pub(super) fn totals(&self) -> Totals {
        self.books().totals
    }

    /// How many records of the partition below `offset` were never acknowledged.
    pub(super) fn unacknowledged_below(&self, partition: i32, offset: i64) -> u64 {
        let books = self.books();
        let below = books.records.range((partition, 0)..(partition, offset));
        let acknowledged = below.filter(|(_, acknowledged)| **acknowledged).count();
        let all = u64::try_from(offset).unwrap_or(0);
        all.saturating_sub(u64::try_from(acknowledged).unwrap_or(u64::MAX))
    }

    /// Waits for the first record to reach the application.
    pub(super) async fn first_delivery(&self) {
        self.until(|books| books.totals.delivered > 0).await;
    }

    /// Waits until everything produced is acknowledged, and nothing more is produced.
    pub(super) async fn all_acknowledged(&self) {
        let all = |books: &Books| books.totals.acknowledged >= books.totals.produced;
        self.until(|books| books.production_over && all(books))
            .await;
    }

    async fn until(&self, is_so: impl Fn(&Books) -> bool) {
        loop {
            // Listens before it looks, so that no change falls between the two.
            let changed = self.changed.notified();
            if is_so(&self.books()) {
                return;
            }
            changed.await;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_acknowledged_is_missing_below_an_offset() {
        let ledger = Ledger::default();
        assert!(!ledger.delivered((1, 0)));
        assert!(!ledger.delivered((1, 2)));
        assert!(ledger.delivered((1, 2)));
        ledger.acknowledged((1, 2), 7, 0);
        assert_eq!(ledger.unacknowledged_below(1, 3), 2);
        ledger.acknowledged((1, 0), 7, 1);
        ledger.acknowledged((1, 0), 7, 1);
        assert_eq!(ledger.unacknowledged_below(1, 1), 0);
        let totals = ledger.totals();
        assert_eq!((totals.delivered, totals.redelivered), (3, 1));
        assert_eq!((totals.acknowledged, totals.acknowledged_again), (2, 1));
        assert_eq!(totals.out_of_order, 0);
    }

    #[test]
    fn a_number_left_out_is_out_of_order() {
        let ledger = Ledger::default();
        ledger.acknowledged((0, 0), 7, 0);
        ledger.acknowledged((0, 1), 7, 2);
        assert_eq!(ledger.totals().out_of_order, 1);
    }
}
