//! What an edge would hold, kept independently of the core and compared with it after every step.
//!
//! Checked, each time:
//!
//! - the bytes of every live delivery lie in a frame or in an own copy, those of every waiting record in an
//!   own copy, and nothing else is held; frames and copies are freed exactly once;
//! - what the core says it holds is what is held (I-B1);
//! - a record is unfinished in its window unless it was acknowledged, discarded or confirmed by the dead-letter topic
//!   (I-S1, A1);
//! - live deliveries of a lane are its lowest unfinished records, at most `lane_depth`, on one stream (I-O1,
//!   I-O2, I-O3; L1, L2);
//!
//! and with each commit: everything below it and everything marked in it was acknowledged or does not exist
//! (I-S1), it does not go back (I-S2), and its assignment is alive (I-S3).

use std::collections::{BTreeMap, BTreeSet};

use super::super::assignment::{AssignmentState, Phase};
use super::super::*;
use super::text;

/// A record that was handed in.
#[derive(Debug, Clone, Copy)]
struct Known {
    partition: PartitionId,
    offset: i64,
    size: u32,
    key: Option<u64>,
}

#[derive(Debug)]
struct KeptFrame {
    assignment: Assignment,
    numbers: Vec<u64>,
}

/// See the module.
pub(in super::super) struct Books {
    pub(super) whole: bool,
    order: Order,
    depth: usize,
    records: BTreeMap<(Assignment, u64), Known>,
    finished: BTreeSet<(Assignment, u64)>,
    frames: BTreeMap<u64, KeptFrame>,
    copies: BTreeSet<(Assignment, u64)>,
    /// By id.
    deliveries: BTreeMap<u64, (Assignment, u64)>,
    latest: BTreeMap<(PartitionId, i64), u64>,
    committed: BTreeMap<Assignment, i64>,
    /// Live ids that the request under way acknowledges.
    acked: Vec<u64>,
    /// Dead letters that were handed out and not answered.
    sending: BTreeSet<(Assignment, u64)>,
}

impl Books {
    pub(super) fn new(settings: &Settings) -> Self {
        // Without a topic there is nothing to keep books of.
        let first = settings
            .policies
            .first()
            .copied()
            .unwrap_or_else(super::policy);
        Self {
            whole: settings.assign_mode == AssignMode::Whole,
            order: first.order,
            depth: first.lane_depth as usize,
            records: BTreeMap::new(),
            finished: BTreeSet::new(),
            frames: BTreeMap::new(),
            copies: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            latest: BTreeMap::new(),
            committed: BTreeMap::new(),
            acked: Vec::new(),
            sending: BTreeSet::new(),
        }
    }

    /// Bytes of frames and own copies.
    pub(in super::super) fn held(&self) -> u64 {
        let size = |key: &(Assignment, u64)| u64::from(self.records[key].size);
        let frames = self
            .frames
            .values()
            .flat_map(|frame| {
                frame
                    .numbers
                    .iter()
                    .map(|number| size(&(frame.assignment, *number)))
            })
            .sum::<u64>();
        frames + self.copies.iter().map(size).sum::<u64>()
    }

    /// The newest id under which a record was delivered.
    pub(in super::super) fn id(&self, name: &str) -> u64 {
        let place = text::parse_name(name);
        *self
            .latest
            .get(&place)
            .unwrap_or_else(|| panic!("{name} was never delivered"))
    }

    /// Ids of all live deliveries.
    pub(in super::super) fn live(core: &Core) -> Vec<u64> {
        let frames = core.streams.map.values().flat_map(|stream| &stream.frames);
        frames
            .flat_map(|(first, frame)| {
                (0..frame.numbers.len())
                    .filter(|index| frame.is_live(*index))
                    .map(move |index| first + index as u64)
            })
            .collect()
    }

    /// Names of the records handed in and not finished, of all living assignments.
    pub(in super::super) fn open(&self, core: &Core) -> Vec<String> {
        self.records
            .iter()
            .filter(|(key, _)| {
                core.assignments.contains_key(&key.0) && !self.finished.contains(key)
            })
            .map(|(_, known)| text::record_name(known.partition, known.offset))
            .collect()
    }

    pub(super) fn take_in(
        &mut self,
        core: &Core,
        partition: PartitionId,
        assignment: Assignment,
        first: RecordNumber,
        records: &[PoppedRecord],
    ) {
        for (number, record) in (first.0..).zip(records) {
            let key = (assignment, number);
            let known = Known {
                partition,
                offset: record.offset,
                size: record.size,
                key: record.key_hash,
            };
            if core.is_waiting(assignment, RecordNumber(number)) {
                self.records.insert(key, known);
                self.copies.insert(key);
            } else if core
                .assignments
                .get(&assignment)
                .is_some_and(|state| number < state.window.next_number())
            {
                self.records.insert(key, known);
                self.finished.insert(key);
            }
        }
    }

    /// Enters a message; names its records.
    pub(super) fn deliver(&mut self, stream: StreamId, plan: &FramePlan) -> String {
        assert!(!plan.records.is_empty(), "{stream:?} got an empty message");
        let mut names = Vec::new();
        for (id, planned) in (plan.first_id.0..).zip(&plan.records) {
            let key = (plan.assignment, planned.number.0);
            let known = self.records[&key];
            assert!(self.copies.remove(&key), "{known:?} has no bytes to send");
            self.deliveries.insert(id, key);
            self.latest.insert((known.partition, known.offset), id);
            let name = text::record_name(known.partition, known.offset);
            names.push(match planned.attempt {
                1 => name,
                attempt => format!("{name}*{attempt}"),
            });
            if !plan.keep {
                self.finished.insert(key);
            }
        }
        if plan.keep {
            let numbers = plan.records.iter().map(|planned| planned.number.0);
            let frame = KeptFrame {
                assignment: plan.assignment,
                numbers: numbers.collect(),
            };
            let before = self.frames.insert(plan.first_id.0, frame);
            assert!(before.is_none(), "an id is used twice");
        }
        names.join(" ")
    }

    pub(super) fn request(
        &self,
        settlements: &[(Outcome, &str)],
        wait: Option<WaitId>,
    ) -> SettleRequest {
        let settlements = settlements.iter().map(|(outcome, names)| Settlement {
            ids: names
                .split_whitespace()
                .map(|name| IdRange::one(self.id(name)))
                .collect(),
            outcome: *outcome,
            reason: String::new(),
            outputs: None,
        });
        SettleRequest {
            settlements: settlements.collect(),
            extends: Vec::new(),
            wait,
        }
    }

    /// Notes which live deliveries a request acknowledges.
    pub(super) fn before_settle(&mut self, core: &Core, request: &SettleRequest) {
        self.acked.clear();
        let acks = request
            .settlements
            .iter()
            .filter(|settlement| settlement.outcome == Outcome::Ack);
        let live = Self::live(core);
        for range in acks.flat_map(|settlement| &settlement.ids) {
            let named = |id: &&u64| (range.first..=range.last).contains(*id);
            self.acked.extend(live.iter().filter(named));
        }
    }

    pub(super) fn after_settle(&mut self, request: &SettleRequest, refusals: &[Refusal]) {
        let whole = request
            .settlements
            .iter()
            .any(|settlement| settlement.outputs.is_some());
        if whole && !refusals.is_empty() {
            return self.acked.clear();
        }
        for id in std::mem::take(&mut self.acked) {
            let refused = refusals
                .iter()
                .flat_map(|refusal| &refusal.ids)
                .any(|range| (range.first..=range.last).contains(&id));
            assert!(!refused, "the ack of a living delivery was refused");
            self.finished.insert(self.deliveries[&id]);
        }
    }

    /// `stale 3 4`: why, and the records of the ids.
    pub(super) fn refusals(&self, refusals: &[Refusal]) -> Vec<String> {
        refusals
            .iter()
            .map(|refusal| {
                let reason = format!("{:?}", refusal.reason).to_lowercase();
                format!("{reason} {}", self.ids(&refusal.ids))
            })
            .collect()
    }

    /// Names of the records that were delivered under these ids.
    pub(super) fn ids(&self, ids: &[IdRange]) -> String {
        let mut names = Vec::new();
        for range in ids {
            for (_, key) in self.deliveries.range(range.first..=range.last) {
                let known = self.records[key];
                names.push(text::record_name(known.partition, known.offset));
            }
        }
        names.join(" ")
    }

    pub(super) fn numbers(&self, assignment: Assignment, numbers: &[RecordNumber]) -> String {
        let known = numbers
            .iter()
            .map(|number| self.records[&(assignment, number.0)]);
        let names: Vec<_> = known
            .map(|known| text::record_name(known.partition, known.offset))
            .collect();
        names.join(" ")
    }

    pub(super) fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::CopyOut {
                frame,
                assignment,
                records,
            } => {
                let kept = self.frames.get(&frame.0).expect("copied from a frame");
                assert_eq!(kept.assignment, *assignment);
                for (id, number) in records {
                    let index = usize::try_from(id.0 - frame.0).expect("an index");
                    assert_eq!(kept.numbers[index], number.0);
                    let new = self.copies.insert((*assignment, number.0));
                    assert!(new, "a record is copied out twice");
                }
            }
            Effect::FreeFrame(first) => {
                let frame = self.frames.remove(&first.0);
                assert!(frame.is_some(), "a frame is freed twice");
            }
            Effect::FreeRecords {
                assignment,
                numbers,
            } => {
                for number in numbers {
                    let held = self.copies.remove(&(*assignment, number.0));
                    assert!(held, "a copy is freed twice");
                }
            }
            Effect::DeadLetter(letter) => {
                let key = (letter.assignment, letter.number.0);
                assert!(self.copies.contains(&key), "a dead letter without bytes");
                assert_eq!(self.records[&key].offset, letter.offset);
                assert!(self.sending.insert(key), "a record is sent twice at a time");
            }
            Effect::Report(Event::Discarded {
                partition, offset, ..
            }) => self.finish_newest(*partition, *offset),
            Effect::FreeAssignment(assignment) => {
                self.sending.retain(|(of, _)| of != assignment);
                self.copies.retain(|(of, _)| of != assignment);
                let framed = self
                    .frames
                    .values()
                    .any(|frame| frame.assignment == *assignment);
                assert!(!framed, "frames outlive their assignment");
            }
            _ => {}
        }
    }

    /// A record of the newest assignment of its partition is finished.
    fn finish_newest(&mut self, partition: PartitionId, offset: i64) {
        let is_it = |known: &Known| (known.partition, known.offset) == (partition, offset);
        let newest = self.records.iter().rev().find(|(_, known)| is_it(known));
        let (key, _) = newest.expect("what is discarded was handed in");
        self.finished.insert(*key);
    }

    /// The dead-letter topic answers. What it has is finished (A1).
    pub(super) fn dead_letter_done(&mut self, core: &Core, key: (Assignment, u64), written: bool) {
        if self.sending.remove(&key) && written && core.assignments.contains_key(&key.0) {
            self.finished.insert(key);
        }
    }

    pub(super) fn check(&self, core: &Core) {
        assert_eq!(core.held_bytes(), self.held(), "bytes held (I-B1)");
        let mut live: BTreeMap<(Assignment, u64), StreamId> = BTreeMap::new();
        let mut frames = BTreeSet::new();
        for (id, stream) in &core.streams.map {
            let before = live.len();
            for (first, frame) in &stream.frames {
                assert!(frame.live_count > 0, "a frame without a live delivery");
                if !frame.evacuated {
                    frames.insert(*first);
                }
                for (index, number) in frame.numbers.iter().enumerate() {
                    if frame.is_live(index) {
                        let key = (frame.assignment, *number);
                        let twice = live.insert(key, *id).is_some();
                        assert!(!twice, "{key:?} is live twice (I-O3)");
                        assert_eq!(self.copies.contains(&key), frame.evacuated);
                    }
                }
            }
            assert_eq!(stream.live as usize, live.len() - before);
        }
        assert!(frames.iter().eq(self.frames.keys()), "frames held");
        assert_eq!(core.live as usize, live.len());
        for state in core.assignments.values() {
            self.check_assignment(state, &live);
        }
        let gone = |key: &&(Assignment, u64)| !core.assignments.contains_key(&key.0);
        assert_eq!(self.copies.iter().find(gone), None, "copies left behind");
    }

    fn check_assignment(
        &self,
        state: &AssignmentState,
        live: &BTreeMap<(Assignment, u64), StreamId>,
    ) {
        let span = (state.id, 0)..=(state.id, u64::MAX);
        assert_eq!(state.live as usize, live.range(span.clone()).count());
        // While a revocation waits for its last commit, what was withdrawn waits for nothing any more.
        let draining = state.phase == Phase::Draining;
        let mut waiting = (0, 0);
        let mut lanes: BTreeMap<(u8, u64), Vec<u64>> = BTreeMap::new();
        for (key, known) in self.records.range(span) {
            let open = !self.finished.contains(key);
            let offset = state.window.offset(key.1);
            assert_eq!(offset, open.then_some(known.offset), "finished (I-S1)");
            if !open {
                assert!(!self.copies.contains(key), "a finished record is held");
                continue;
            }
            // What is set aside may have later ones live behind it: their turn had come.
            if !state.aside.contains_key(&key.1) {
                lanes
                    .entry(self.lane(known, key.1))
                    .or_default()
                    .push(key.1);
            }
            if !live.contains_key(key) && !draining {
                assert!(self.copies.contains(key), "{known:?} waits without bytes");
                waiting = (waiting.0 + 1, waiting.1 + u64::from(known.size));
            }
        }
        if !draining {
            assert_eq!((state.waiting_records, state.waiting_bytes), waiting);
        }
        for numbers in lanes.values() {
            let holders: Vec<_> = numbers
                .iter()
                .map(|number| live.get(&(state.id, *number)))
                .collect();
            let held = holders.iter().flatten().count();
            assert!(held <= self.depth, "at most `lane_depth` are live (L2)");
            let first = holders[0];
            assert!(
                holders[..held]
                    .iter()
                    .all(|holder| holder.is_some() && *holder == first),
                "the live ones are the lowest of their lane, on one stream (L1, L2): {holders:?}"
            );
        }
        let sending = self.sending.range((state.id, 0)..=(state.id, u64::MAX));
        let sends = |aside: &&super::aside::Aside| aside.step == AsideStep::Sending;
        assert_eq!(state.aside.values().filter(sends).count(), sending.count());
    }

    fn lane(&self, known: &Known, number: u64) -> (u8, u64) {
        match (self.order, known.key) {
            (Order::Partition, _) => (0, 0),
            (Order::Key, Some(hash)) => (1, hash),
            (Order::Key, None) | (Order::None, _) => (2, number),
        }
    }

    pub(super) fn check_commit(&mut self, core: &Core, entries: &[CommitEntry]) {
        for entry in entries {
            let id = entry.assignment;
            let alive = core.owned.get(&entry.partition) == Some(&id);
            assert!(alive, "{entry:?} is of no living assignment (I-S3)");
            let before = self.committed.insert(id, entry.offset);
            assert!(before <= Some(entry.offset), "{entry:?} goes back (I-S2)");
            let marks = text::marks(entry);
            for (key, known) in self.records.range((id, 0)..=(id, u64::MAX)) {
                let marked = marks
                    .as_ref()
                    .is_some_and(|marks| marks.finished.contains(known.offset));
                if known.offset < entry.offset || marked {
                    let finished = self.finished.contains(key);
                    assert!(finished, "{entry:?} covers {known:?}, which is open (I-S1)");
                }
            }
        }
    }
}
