//! What the core says of itself: explanations of where it starts, goes on and stops.

use ackline::core::metadata::room_bits;
use ackline::core::{
    AskId, Event, Operation, PartitionId, SeekRefused, Sought, StartPolicy, StopReason,
};

use super::super::broker::{Broker, CLUSTER};
use super::{Oracle, Standing};

impl Oracle {
    /// The core reports something that a person may want to read.
    pub(crate) fn reported(&mut self, member: usize, event: &Event, broker: &Broker) {
        match event {
            Event::StartedByPolicy {
                partition,
                offset,
                new_partition,
            } => {
                self.started_by_policy(member, *partition, *offset, *new_partition, broker);
            }
            Event::Skipped { partition, to, .. } => {
                self.moved(member, *partition);
                let latest = self.settings.on_out_of_range == StartPolicy::Latest
                    || self.settings.start == StartPolicy::Latest;
                self.passed_over(*partition, *to, latest, broker);
            }
            Event::Truncated { partition, to, .. } => {
                let knows_epoch = self
                    .newest_book(member, *partition)
                    .is_some_and(|book| book.knows_epoch());
                self.moved(member, *partition);
                // Without a leader epoch nobody can tell where the logs part (B5): what was written between
                // the cut and the end is passed over, with this report.
                if !knows_epoch {
                    self.passed_over(*partition, *to, true, broker);
                }
            }
            Event::TopicMadeAgain { partition } => {
                self.moved(member, *partition);
                // The newest may be one that has just been heard of.
                let books = self.members[member].books.values_mut();
                for book in books.filter(|book| book.partition == *partition) {
                    book.carried.clear();
                    book.restored = None;
                }
            }
            Event::Stopped {
                partition, reason, ..
            } => self.stopped(member, *partition, *reason),
            Event::Started {
                partition,
                assignment,
                ..
            } => {
                self.next_book(member, *assignment, *partition);
            }
            Event::Paused { partition } => self.check_fullness(member, *partition, broker),
            Event::MarksDropped { partition } => self.marks_dropped(member, *partition),
            Event::ClaimOvertaken { partition } => {
                self.members[member].overtaken.insert(*partition);
            }
            Event::HomeLeft {
                partition,
                before,
                after,
            } => self.home_left(member, *partition, *before, *after),
            Event::OutputRefused {
                partition, offset, ..
            } => self.output_refused(member, *partition, *offset),
            Event::MembershipDoubtful => self.members[member].doubtful = true,
            Event::MembershipConfirmed => self.members[member].doubtful = false,
            Event::CommitsStale { partitions } => self.stale(member, partitions, true),
            Event::CommitsFresh { partitions } => self.stale(member, partitions, false),
            Event::Assigned { .. }
            | Event::Revoking { .. }
            | Event::Lost { .. }
            | Event::UnreadAssigned { .. }
            | Event::Unowned { .. }
            | Event::TopicsFound { .. }
            | Event::TopicsGone { .. }
            | Event::TopicsLeftOut { .. }
            | Event::StartUnanswered { .. }
            | Event::MetadataIgnored { .. }
            | Event::FetchRestarted { .. }
            | Event::ReadRetried { .. }
            | Event::CommitFailed { .. }
            | Event::CommitRecovered
            | Event::TransactionAborted { .. }
            | Event::TransactionUnknown { .. }
            | Event::ProducerFailed { .. }
            | Event::ProducerRecovered
            | Event::MarksTooLarge { .. }
            | Event::MetadataLimited { .. }
            | Event::OutputsLost { .. }
            | Event::UnsettledForLong { .. }
            | Event::Oversize { .. }
            | Event::Resumed { .. }
            | Event::Fenced => {}
            Event::Parked { .. } | Event::Discarded { .. } | Event::Unparked { .. } => {
                self.given_up(member, event)
            }
            Event::DeadLettered { .. }
            | Event::DeadLetterFailed { .. }
            | Event::GivingUpStopped { .. }
            | Event::ApplicationDied { .. }
            | Event::DiedOf { .. }
            | Event::DeadlinePassed { .. } => {}
        }
    }

    /// An operator asks a process for something.
    pub(crate) fn operated(&mut self, member: usize, operation: &Operation) {
        self.members[member].wishes.operated(operation);
    }

    pub(crate) fn seek_asked(&mut self, member: usize, ask: AskId) {
        self.members[member].wishes.seek_asked(ask);
    }

    /// An operator learns what came of a seek. What lies before the target is passed over because he says so, and
    /// the committed offset may go back.
    pub(crate) fn sought(
        &mut self,
        member: usize,
        ask: AskId,
        answer: &Result<Sought, SeekRefused>,
        broker: &Broker,
    ) {
        let asked = self.members[member].wishes.seek_answered(ask);
        self.check(asked, || format!("K1: {ask:?} is answered twice"));
        let Ok(sought) = answer else { return };
        let is_drained = self.members[member].wishes.is_drained();
        self.check(!is_drained, || "a drained process seeks".to_owned());
        let within = (sought.range.earliest..=sought.range.latest).contains(&sought.to);
        self.check(within, || format!("{sought:?} leads out of the log"));
        self.disturbed.insert(sought.partition);
        self.moved_on(member, sought.partition, sought.to);
        self.moved(member, sought.partition);
        if sought.from.is_none_or(|from| sought.to > from) {
            self.passed_over(sought.partition, sought.to, true, broker);
        }
    }

    /// While marks might come to fill the room for them, no batch is taken in. How far apart its offsets are is not known before.
    fn marks_dropped(&mut self, member: usize, partition: PartitionId) {
        let room = room_bits(Some(CLUSTER), self.settings.commit_metadata_max);
        let newest = self.newest_book(member, partition);
        let span = newest.map_or(0, |book| book.span_before_batch);
        self.check(room == 0 || span <= room, || {
            format!("G2: marks are dropped, though there is room for {room} bits of them")
        });
    }

    /// A report explains why a position is not where it was.
    fn moved(&mut self, member: usize, partition: PartitionId) {
        if let Some(book) = self.newest_book(member, partition) {
            book.moved = true;
            book.frontier = None;
            book.committed = None;
        }
    }

    fn stale(&mut self, member: usize, partitions: &[PartitionId], stale: bool) {
        for partition in partitions {
            if let Some(book) = self.newest_book(member, *partition) {
                book.stale = stale;
            }
        }
    }

    fn stopped(&mut self, member: usize, partition: PartitionId, reason: StopReason) {
        if let Some(book) = self.newest_book(member, partition) {
            book.stopped = Some(reason);
        }
        let honest = !matches!(reason, StopReason::OffsetsWentBack | StopReason::Corrupt);
        self.check(honest, || {
            format!("{partition:?} stops for {reason:?}, which never happened")
        });
    }

    fn started_by_policy(
        &mut self,
        member: usize,
        partition: PartitionId,
        offset: i64,
        new_partition: bool,
        broker: &Broker,
    ) {
        let Some(book) = self.newest_book(member, partition) else {
            return;
        };
        let (moved, read, new) = (book.moved, book.read.clone(), book.new_partition);
        let new = new || self.is_newborn(member, partition.topic);
        let disturbed =
            self.disturbed.contains(&partition) || broker.topic(partition.topic).incarnation > 0;
        self.check(read == Some(None) || moved, || {
            format!("M12: {partition:?} starts by policy, but the broker said {read:?}")
        });
        self.check(moved || disturbed || new_partition == new, || {
            format!("B7, B49: {partition:?} new: {new_partition}, not {new}")
        });
        let latest = self.settings.start == StartPolicy::Latest && !new_partition && !moved;
        self.passed_over(partition, offset, latest, broker);
    }

    /// I-B5: a partition is paused for what it holds, never for the span of its offsets, unless what is finished among
    /// them might not fit a commit.
    fn check_fullness(&mut self, member: usize, partition: PartitionId, broker: &Broker) {
        let of_member = &self.members[member];
        let alive = of_member.books.values().filter(|book| book.alive);
        // Of some partitions nobody may have been asked yet where they start, an application or brokers.
        let owned = if self.applications_keep() || self.is_transactional() {
            broker.partitions().len()
        } else {
            alive.count()
        };
        let share = self.settings.in_flight_bytes_max / (owned as u64 + 1);
        // A bit for each offset is what marks take at most.
        let marks_room = room_bits(Some(CLUSTER), self.settings.commit_metadata_max);
        let newest = of_member
            .newest
            .get(&partition)
            .and_then(|newest| of_member.books.get(newest));
        let full = newest.is_some_and(|book| {
            let waiting = book
                .taken
                .iter()
                .filter(|taken| taken.standing == Standing::Waiting);
            let bytes: u64 = waiting.map(|taken| taken.size).sum();
            book.unfinished >= self.settings.window_records_max as usize
                || bytes >= share
                || (self.settings.commit_metadata && book.marks_span() > marks_room)
        });
        let over_budget = of_member.held_bytes >= self.settings.in_flight_bytes_max;
        self.check(full || over_budget, || {
            format!("I-B5: {partition:?} is paused, but holds little")
        });
    }

    /// G6: records below `offset` are passed over. Unless `latest` was asked for they must be gone or finished.
    fn passed_over(&mut self, partition: PartitionId, offset: i64, latest: bool, broker: &Broker) {
        let Some(log) = broker.log(partition) else {
            return;
        };
        let mut wrong = None;
        for (entry, record) in log.records().filter(|(entry, _)| entry.offset < offset) {
            let truth = &mut self.truths[record.uid];
            if latest {
                truth.accounted = true;
            } else if !truth.terminal && !truth.accounted {
                wrong = Some(format!(
                    "G6: {partition:?} {} is passed over, but is there",
                    entry.offset
                ));
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }
}
