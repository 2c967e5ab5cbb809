//! The bytes of records that are not finished.
//!
//! A record's bytes lie in one of two places: in the frame it was sent in, for as long as anything in that
//! frame is live, or in a copy of its own, in wire form, if it waits or outlived its frame. Which one it is,
//! and when a place is given up, is the core's decision; this is only the shelf.

use bytes::Bytes;
use hashbrown::HashMap;

use crate::core::{Assignment, DeliveryId, RecordNumber};
use crate::fixed_hash::FixedState;
use crate::grpc::wire;

/// Keys are numbers that we give out: nobody can choose them so that they collide.
type Table<K, V> = HashMap<K, V, FixedState>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Store {
    frames: Table<DeliveryId, Bytes>,
    own: Table<Assignment, Table<RecordNumber, Box<[u8]>>>,
}

impl Store {
    /// Keeps a frame that was sent. Shares its bytes with HTTP/2 until they are on the wire.
    pub(super) fn keep_frame(&mut self, first: DeliveryId, frame: Bytes) {
        let before = self.frames.insert(first, frame);
        debug_assert!(before.is_none(), "a frame is kept once");
    }

    pub(super) fn free_frame(&mut self, first: DeliveryId) {
        let frame = self.frames.remove(&first);
        debug_assert!(frame.is_some(), "a frame is freed once");
    }

    /// Gives records that lie in a frame copies of their own.
    pub(super) fn copy_out(
        &mut self,
        frame: DeliveryId,
        assignment: Assignment,
        records: &[(DeliveryId, RecordNumber)],
    ) {
        let Some(bytes) = self.frames.get(&frame) else {
            debug_assert!(false, "a frame is copied from while it is kept");
            return;
        };
        let own = self.own.entry(assignment).or_default();
        let wanted: Table<u64, RecordNumber> =
            records.iter().map(|(id, number)| (id.0, *number)).collect();
        for (id, body) in wire::bodies(bytes) {
            if let Some(number) = wanted.get(&id) {
                own.insert(*number, body.into());
            }
        }
    }

    /// Keeps the body of a popped record that must wait.
    pub(super) fn keep(&mut self, assignment: Assignment, number: RecordNumber, body: Box<[u8]>) {
        self.own.entry(assignment).or_default().insert(number, body);
    }

    /// A record's own copy, which stays.
    pub(super) fn body(&self, assignment: Assignment, number: RecordNumber) -> Option<&[u8]> {
        let body = self.own.get(&assignment)?.get(&number)?;
        Some(body)
    }

    /// Takes a record's own copy, to send it.
    pub(super) fn take(
        &mut self,
        assignment: Assignment,
        number: RecordNumber,
    ) -> Option<Box<[u8]>> {
        self.own.get_mut(&assignment)?.remove(&number)
    }

    pub(super) fn free_records(&mut self, assignment: Assignment, numbers: &[RecordNumber]) {
        if let Some(own) = self.own.get_mut(&assignment) {
            for number in numbers {
                own.remove(number);
            }
        }
    }

    pub(super) fn free_assignment(&mut self, assignment: Assignment) {
        self.own.remove(&assignment);
    }
}
