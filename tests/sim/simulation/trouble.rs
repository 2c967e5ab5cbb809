//! What goes wrong, and that it stops.

use ackline::core::metadata::{self, FinishedRuns, Header, Marks};
use ackline::core::{FlowChange, Input, Moment, PartitionId, TopicIndex};

use super::application::State;
use super::log::Kind;
use super::plan::Faults;
use super::world::{Happening, Stage, World};

/// Partitions that a topic may grow to.
const PARTITIONS_MAX: usize = 4;

impl World {
    pub(crate) fn produce(&mut self) {
        if self.is_healed() || self.produced >= self.plan.records {
            return;
        }
        for (partition, offset, _, record) in self.broker.produce(&mut self.random, &self.plan) {
            let incarnation = self.broker.topic(partition.topic).incarnation;
            self.oracle
                .produced(partition, incarnation, offset, record.key, record.size);
            self.note(|| format!("record {} is at {partition:?} {offset}", record.uid));
            self.produced += 1;
        }
        let chaos = u64::try_from(self.plan.chaos.as_millis()).unwrap_or(1);
        let pace = (chaos * 3 / self.plan.records.max(1) as u64).max(2);
        let wait = self.random.millis(0..pace * 2);
        self.after(wait, Happening::Produce);
    }

    pub(crate) fn log_trouble(&mut self) {
        if self.is_healed() {
            return;
        }
        let partitions = self.broker.partitions();
        if !partitions.is_empty() {
            let partition = self.random.pick(&partitions);
            self.trouble_a_log(partition);
        }
        let wait = self.plan.faults.log_every;
        self.after(wait, Happening::LogTrouble);
    }

    fn trouble_a_log(&mut self, partition: PartitionId) {
        match self.random.below(10) {
            0..=3 => self.compact(partition),
            4 => self.retain(partition),
            5 | 6 if self.plan.faults.truncation => self.truncate(partition),
            5 | 6 if self.plan.faults.topics_made_again && self.plan.headers_are_kept() => {
                self.make_again(partition.topic)
            }
            7 => self.add_partition(partition.topic),
            8 | 9 if self.plan.faults.foreign_commits => self.foreign_commit(partition),
            _ => self.end_with_markers(partition),
        }
    }

    fn compact(&mut self, partition: PartitionId) {
        let random = &mut self.random;
        let gone = self
            .broker
            .log_mut(partition)
            .map(|log| log.compact(random))
            .unwrap_or_default();
        self.note(|| format!("{partition:?} is compacted: {gone:?} are gone"));
        self.oracle.vanished(&gone);
    }

    fn retain(&mut self, partition: PartitionId) {
        let random = &mut self.random;
        let Some(log) = self.broker.log_mut(partition) else {
            return;
        };
        let offsets: Vec<i64> = log
            .entries
            .iter()
            .map(|entry| entry.offset)
            .chain([log.end])
            .collect();
        let start = random.pick(&offsets);
        let gone = log.retain_from(start);
        self.note(|| format!("{partition:?} begins at {start} now: {gone:?} are gone"));
        self.oracle.vanished(&gone);
    }

    fn truncate(&mut self, partition: PartitionId) {
        let random = &mut self.random;
        let Some(log) = self.broker.log_mut(partition) else {
            return;
        };
        let newest: Vec<i64> = log
            .entries
            .iter()
            .rev()
            .take(6)
            .map(|entry| entry.offset)
            .collect();
        if newest.is_empty() {
            return;
        }
        let end = random.pick(&newest);
        let end_before = log.end;
        let gone = log.truncate(end);
        self.note(|| format!("{partition:?} is cut at {end}: {gone:?} are gone"));
        self.oracle.vanished(&gone);
        self.oracle
            .truncated(partition, end_before, self.broker.committed.get(&partition));
    }

    fn make_again(&mut self, topic: TopicIndex) {
        let offsets_too = self.random.chance(400);
        let nameless: Vec<(PartitionId, i64)> = self
            .broker
            .committed
            .iter()
            .filter(|(partition, _)| partition.topic == topic && !offsets_too)
            .filter(|(partition, committed)| self.broker.topic_of(**partition, committed).is_none())
            .map(|(partition, committed)| (*partition, committed.offset))
            .collect();
        let gone = self.broker.make_again(topic, offsets_too);
        let incarnation = self.broker.topic(topic).incarnation;
        for (partition, offset) in nameless {
            self.oracle.misplaced(partition, offset, incarnation);
        }
        self.note(|| format!("{topic:?} is made again: {gone:?} are gone"));
        self.oracle.vanished(&gone);
        let partitions = self.broker.partitions();
        self.oracle.disturbed.extend(
            partitions
                .into_iter()
                .filter(|partition| partition.topic == topic),
        );
    }

    fn add_partition(&mut self, topic: TopicIndex) {
        let logs = &mut self.broker.topics[usize::from(topic.0)].logs;
        if logs.len() < PARTITIONS_MAX {
            logs.push(super::log::Log::default());
            self.group.begin_rebalance(self.now);
            self.note(|| format!("{topic:?} has one more partition"));
        }
    }

    /// A tail that no consumer ever sees a record of.
    fn end_with_markers(&mut self, partition: PartitionId) {
        let Some(log) = self.broker.log_mut(partition) else {
            return;
        };
        log.append(Kind::Aborted);
        log.append(Kind::Marker);
        self.note(|| format!("{partition:?} ends with an aborted transaction"));
    }

    /// Somebody with access to the group writes what they like, but leaves the offset or sets it back.
    fn foreign_commit(&mut self, partition: PartitionId) {
        let identity_hash = self.broker.identity(partition);
        let topic = self.broker.topic(partition.topic);
        let (incarnation, id) = (topic.incarnation, topic.uuid(partition.topic));
        let before = self.broker.committed.get(&partition);
        let named = before.and_then(|committed| self.broker.topic_of(partition, committed));
        let random = &mut self.random;
        let Some(committed) = self.broker.committed.get_mut(&partition) else {
            return;
        };
        let (offset, written) = (committed.offset, committed.metadata.clone());
        let text = &mut committed.metadata;
        match random.below(8) {
            0 => *text = b"bAAQAAAAAAAAAAAAAA==".to_vec(),
            1 => {
                *text = (0..random.index(60))
                    .map(|_| random.next().to_le_bytes()[0])
                    .collect()
            }
            2 if !text.is_empty() => {
                let at = random.index(text.len());
                text[at] = random.pick(b"ABCDEFGHabcdefgh0123456789-_");
            }
            3 => text.truncate(random.index(text.len().max(1))),
            4 | 6 => *text = forged(identity_hash, offset),
            // Ours, of a newer offset.
            5 => {
                committed.offset = committed.offset.saturating_sub(2).max(0);
                self.oracle.rewound.insert(partition);
            }
            _ => text.clear(),
        }
        self.note(|| format!("somebody else writes into the commit of {partition:?}"));
        self.oracle.disturbed.insert(partition);
        let after = &self.broker.committed[&partition];
        if after.metadata != written {
            self.broker.tampered.insert(after.metadata.clone());
        }
        if self.random.chance(400) {
            // So that somebody reads it before the next commit writes over it.
            let member = self.random.index(self.members.len());
            self.kill_and_start_again(member);
        }
        let after = &self.broker.committed[&partition];
        if named.is_some_and(|named| named != id) && self.broker.topic_of(partition, after) != named
        {
            self.oracle.misplaced(partition, after.offset, incarnation);
        }
    }

    pub(crate) fn member_trouble(&mut self) {
        if self.is_healed() {
            return;
        }
        let member = self.random.index(self.members.len());
        if self.members[member].process.is_some() {
            match self.random.below(10) {
                0 | 1 => self.kill_and_start_again(member),
                2 | 3 => {
                    let wait = self.random.millis(100..9000);
                    self.note(|| format!("member {member} is frozen for {wait:?}"));
                    let before = self.members[member].frozen_until;
                    let until = before.max(self.now.plus(wait));
                    self.members[member].frozen_until = until;
                    self.members[member].thawed_at = until;
                }
                4 | 5 => {
                    let wait = self.random.millis(100..9000);
                    self.note(|| format!("member {member} is cut off for {wait:?}"));
                    self.members[member].cut_off_until = self.now.plus(wait);
                }
                6 | 7 if self.now >= self.members[member].frozen_until => {
                    let within = self.random.millis(0..4000);
                    self.shut_down(member, within);
                }
                8 => self.restart_client(member),
                _ => self.group.begin_rebalance(self.now),
            }
        }
        let wait = self.plan.faults.member_every;
        self.after(wait, Happening::MemberTrouble);
    }

    fn kill_and_start_again(&mut self, member: usize) {
        if self.members[member].process.is_some() {
            self.note(|| format!("member {member} is killed"));
            self.kill(member);
            self.start_again(member);
        }
    }

    /// Everything works from now on, and every application behaves.
    pub(crate) fn heal(&mut self) {
        self.note(|| "everything is healed".to_owned());
        self.stage = Stage::Healed { at: self.now };
        self.plan.faults = Faults {
            member_every: self.plan.faults.member_every,
            ..Faults::none()
        };
        self.resume_everything();
        for member in 0..self.members.len() {
            let of_member = &mut self.members[member];
            of_member.cut_off_until = Moment(0);

            if of_member.process.is_none() {
                self.after(
                    std::time::Duration::from_millis(10),
                    Happening::Start(member),
                );
            }
            for index in 0..self.members[member].slots.len() {
                self.behave(member, index);
            }
        }
        self.after(std::time::Duration::from_millis(50), Happening::Look);
    }

    fn behave(&mut self, member: usize, index: usize) {
        let slot = &mut self.members[member].slots[index];
        slot.healthy = true;
        let was = slot.state;
        // Half of the applications come back with a new stream, the others only begin to work.
        let reopens = self.random.chance(500);
        let slot = &mut self.members[member].slots[index];
        match was {
            State::Closed | State::Closing(_) => {}
            State::Open(stream) if reopens || !slot.wants_everything => {
                slot.disconnected();
                self.tell(member, Input::StreamClosed { stream });
            }
            State::Open(stream) => {
                slot.reads = true;
                let flow = FlowChange {
                    paused: Some(false),
                    in_flight_records_max: Some(1000),
                    in_flight_bytes_max: Some(1 << 20),
                };
                self.tell(member, Input::StreamFlow { stream, flow });
                self.later(
                    member,
                    std::time::Duration::from_micros(10),
                    super::world::What::Pump(stream),
                );
            }
        }
    }
}

/// Metadata that looks like ours and claims that everything above the offset is finished, but for its
/// checksum.
fn forged(identity_hash: u64, offset: i64) -> Vec<u8> {
    let mut finished = FinishedRuns::default();
    finished.push(offset, offset.saturating_add(1_000_000_000_000));
    let marks = Marks {
        leader_epoch: Some(1_000_000),
        finished,
        retried: Vec::new(),
    };
    let header = Header {
        cluster: None,
        topic: None,
        identity_hash,
        base_offset: offset,
        partition_count: 9,
    };
    let mut text = metadata::encode(&header, Some(&marks), 4096)
        .text
        .into_bytes();
    let at = text.len() - 3;
    text[at] = if text[at] == b'A' { b'B' } else { b'A' };
    text
}
