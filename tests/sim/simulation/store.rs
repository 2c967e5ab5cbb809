//! The bytes that a member holds, kept exactly as the real edge must keep them.
//!
//! A frame holds the bytes of its records until it is freed. What waits has a copy of its own, under its
//! assignment and number; being dispatched uses the copy up. "Bytes" here are the record's name and size.

use std::collections::BTreeMap;

use ackline::core::{Assignment, DeliveryId, RecordNumber};

use super::log::Uid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) uid: Uid,
    pub(crate) size: u32,
}

#[derive(Debug)]
struct Frame {
    assignment: Assignment,
    records: Vec<(RecordNumber, Payload)>,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    frames: BTreeMap<u64, Frame>,
    copies: BTreeMap<(Assignment, RecordNumber), Payload>,
    /// Records popped in this turn, not stored yet.
    pub(crate) turn: BTreeMap<(Assignment, RecordNumber), Payload>,
    pub(crate) bytes: u64,
}

impl Store {
    /// The bytes of a record that is being dispatched.
    pub(crate) fn take(&mut self, assignment: Assignment, number: RecordNumber) -> Option<Payload> {
        let key = (assignment, number);
        if let Some(payload) = self.turn.remove(&key) {
            return Some(payload);
        }
        let payload = self.copies.remove(&key)?;
        self.bytes -= u64::from(payload.size);
        Some(payload)
    }

    pub(crate) fn keep_frame(
        &mut self,
        first: DeliveryId,
        assignment: Assignment,
        records: Vec<(RecordNumber, Payload)>,
    ) {
        self.bytes += records
            .iter()
            .map(|(_, payload)| u64::from(payload.size))
            .sum::<u64>();
        self.frames.insert(
            first.0,
            Frame {
                assignment,
                records,
            },
        );
    }

    /// Ends the turn: what `waits` gets a copy, the rest of the batch is gone.
    pub(crate) fn end_turn(
        &mut self,
        waits: impl Fn(Assignment, RecordNumber) -> bool,
    ) -> Result<(), String> {
        for ((assignment, number), payload) in std::mem::take(&mut self.turn) {
            if waits(assignment, number) {
                self.copy(assignment, number, payload)?;
            }
        }
        Ok(())
    }

    fn copy(
        &mut self,
        assignment: Assignment,
        number: RecordNumber,
        payload: Payload,
    ) -> Result<(), String> {
        self.bytes += u64::from(payload.size);
        match self.copies.insert((assignment, number), payload) {
            None => Ok(()),
            Some(_) => Err(format!("{assignment:?} {number:?} is stored twice")),
        }
    }

    pub(crate) fn copy_out(
        &mut self,
        first: DeliveryId,
        assignment: Assignment,
        records: &[(DeliveryId, RecordNumber)],
    ) -> Result<(), String> {
        for (id, number) in records {
            let frame = self
                .frames
                .get(&first.0)
                .ok_or_else(|| format!("copy out of {first:?}, which is not kept"))?;
            let found =
                id.0.checked_sub(first.0)
                    .and_then(|index| frame.records.get(usize::try_from(index).ok()?));
            match found {
                Some((held, payload)) if held == number && frame.assignment == assignment => {
                    let payload = *payload;
                    self.copy(assignment, *number, payload)?;
                }
                Some(_) | None => {
                    return Err(format!(
                        "{first:?} has no {id:?} of {assignment:?} {number:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Bytes of records that there is a copy of beside the frame they came in.
    pub(crate) fn bytes_held_twice(&self) -> u64 {
        if self.copies.is_empty() {
            return 0;
        }
        let of_frame = |frame: &Frame| {
            let copied = frame.records.iter().filter(|(number, _)| {
                let key = (frame.assignment, *number);
                self.copies.contains_key(&key)
            });
            copied
                .map(|(_, payload)| u64::from(payload.size))
                .sum::<u64>()
        };
        self.frames.values().map(of_frame).sum()
    }

    pub(crate) fn free_frame(&mut self, first: DeliveryId) -> Result<(), String> {
        let frame = self
            .frames
            .remove(&first.0)
            .ok_or_else(|| format!("{first:?} is freed but not kept"))?;
        self.bytes -= frame
            .records
            .iter()
            .map(|(_, payload)| u64::from(payload.size))
            .sum::<u64>();
        Ok(())
    }

    pub(crate) fn free_records(
        &mut self,
        assignment: Assignment,
        numbers: &[RecordNumber],
    ) -> Result<(), String> {
        for number in numbers {
            let payload = self
                .copies
                .remove(&(assignment, *number))
                .ok_or_else(|| format!("{assignment:?} {number:?} is freed but has no copy"))?;
            self.bytes -= u64::from(payload.size);
        }
        Ok(())
    }

    /// Drops every copy of the assignment; its frames must be gone.
    pub(crate) fn free_assignment(&mut self, assignment: Assignment) -> Result<(), String> {
        let mut freed = 0;
        self.copies.retain(|(of, _), payload| {
            if *of == assignment {
                freed += u64::from(payload.size);
            }
            *of != assignment
        });
        self.turn.retain(|(of, _), _| *of != assignment);
        self.bytes -= freed;
        match self
            .frames
            .values()
            .find(|frame| frame.assignment == assignment)
        {
            None => Ok(()),
            Some(_) => Err(format!(
                "{assignment:?} is freed while a frame of it is kept"
            )),
        }
    }

    /// Whether the bytes of a waiting record are here.
    pub(crate) fn holds(&self, assignment: Assignment, number: RecordNumber) -> bool {
        let key = (assignment, number);
        self.turn.contains_key(&key) || self.copies.contains_key(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.copies.is_empty() && self.turn.is_empty()
    }
}
