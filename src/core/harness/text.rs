//! Effects as lines, records from words.

use super::super::metadata::{self, Decoded, Expectation};
use super::super::*;
use super::books::Books;

/// The name of a partition: its number, with a `u` before it in the second topic.
pub(super) fn name(partition: PartitionId) -> String {
    let topic = if partition.topic == TopicIndex(0) {
        ""
    } else {
        "u"
    };
    format!("{topic}{}", partition.partition)
}

/// The name of a record, without the partition if that is 0.
pub(super) fn record_name(partition: PartitionId, offset: i64) -> String {
    match name(partition).as_str() {
        "0" => offset.to_string(),
        partition => format!("{partition}/{offset}"),
    }
}

pub(super) fn parse_name(text: &str) -> (PartitionId, i64) {
    let (place, offset) = text.split_once('/').unwrap_or(("0", text));
    let (topic, index) = match place.strip_prefix('u') {
        Some(index) => (1, index),
        None => (0, place),
    };
    let partition = PartitionId {
        topic: TopicIndex(topic),
        partition: index.parse().expect("a partition"),
    };
    (partition, offset.parse().expect("an offset"))
}

/// Records from words, see `harness`. `next` is where the first one stands, and then where the next will.
pub(super) fn records(words: &str, next: &mut i64, epoch: LeaderEpoch) -> Vec<PoppedRecord> {
    let record = |word: &str| {
        let (word, offset) = match word.split_once('@') {
            Some((word, offset)) => (word, offset.parse().expect("an offset")),
            None => (word, *next),
        };
        let (key, size) = match word.split_once(':') {
            Some((key, size)) => (key, size.parse().expect("a size")),
            None => (word, 100),
        };
        *next = offset + 1;
        let hash = |key: &str| {
            key.bytes()
                .fold(7, |hash, byte| hash * 31 + u64::from(byte))
        };
        PoppedRecord {
            offset,
            key_hash: (key != "-").then(|| hash(key)),
            size,
            leader_epoch: epoch,
            foreign: false,
        }
    };
    words.split_whitespace().map(record).collect()
}

/// One effect as a line.
pub(super) fn line(effect: &Effect, books: &Books) -> String {
    match effect {
        Effect::Join => "join".to_owned(),
        Effect::Subscribe => "subscribe".to_owned(),
        Effect::FindTopics => "find topics".to_owned(),
        Effect::TopicAdded { topic, name } => format!("topic {} is {name}", topic.0),
        Effect::Leave => "leave".to_owned(),
        Effect::Assign {
            partitions,
            answers_rebalance,
        } => {
            let starts = partitions
                .iter()
                .map(|start| format!(" {}@{}", name(start.partition), start.offset));
            format!("{}assign{}", answer(*answers_rebalance), joined(starts))
        }
        Effect::Unassign {
            partitions,
            answers_rebalance,
        } => format!(
            "{}unassign{}",
            answer(*answers_rebalance),
            names(partitions)
        ),
        Effect::Pause(partitions) => format!("pause{}", names(partitions)),
        Effect::Resume(partitions) => format!("resume{}", names(partitions)),
        Effect::ReadCommitted(wanted) => format!("read{}", names_of(wanted)),
        Effect::ListOffsets(wanted) => format!("list{}", names_of(wanted)),
        Effect::FindOffset {
            partition,
            timestamp,
            ..
        } => format!("find {} at {timestamp}", name(*partition)),
        Effect::Sought { ask, answer } => sought(*ask, answer),
        Effect::DescribeGroup(_) => "describe group".to_owned(),
        Effect::DescribeTopics(topics) => described(topics),
        Effect::Commit { entries, .. } => commit(entries),
        Effect::Transact { .. } | Effect::DropOutputs(_) | Effect::MakeProducer(_) => {
            of_transactions(effect)
        }
        Effect::DeadLetter(letter) => dead_letter(letter),
        Effect::Wake(stream) => format!("wake {}", stream.0),
        Effect::Withdrawn {
            stream,
            ids,
            reason,
        } => format!("withdrawn {}: {} {reason:?}", stream.0, books.ids(ids)),
        Effect::Notify { stream, notice } => format!("notice {}: {}", stream.0, told(notice)),
        Effect::EndStream { stream, end } => format!("end {} {end:?}", stream.0),
        Effect::CommitAwaited {
            wait,
            committed,
            offered,
        } => awaited(*wait, *committed, offered),
        Effect::CopyOut { records, .. } => {
            let ids: Vec<_> = records.iter().map(|(id, _)| IdRange::one(id.0)).collect();
            format!("copy {}", books.ids(&ids))
        }
        Effect::FreeFrame(first) => {
            format!("free frame of {}", books.ids(&[IdRange::one(first.0)]))
        }
        Effect::FreeRecords {
            assignment,
            numbers,
        } => format!("free records {}", books.numbers(*assignment, numbers)),
        Effect::FreeAssignment(assignment) => format!("free assignment {}", assignment.0),
        Effect::Finished { drained } => format!("finished {drained:?}"),
        Effect::Report(event) => format!("event {event:?}"),
    }
}

fn of_transactions(effect: &Effect) -> String {
    match effect {
        Effect::Transact {
            entries, outputs, ..
        } => {
            let entries = entries.iter().map(|entry| format!(" {}", committed(entry)));
            let outputs: Vec<u64> = outputs.iter().map(|id| id.0).collect();
            format!("transact{} with {outputs:?}", joined(entries))
        }
        Effect::DropOutputs(outputs) => {
            let outputs: Vec<u64> = outputs.iter().map(|id| id.0).collect();
            format!("drop outputs {outputs:?}")
        }
        Effect::MakeProducer(ask) => format!("make producer {}", ask.0),
        _ => String::new(),
    }
}

fn sought(ask: AskId, answer: &Result<Sought, SeekRefused>) -> String {
    match answer {
        Ok(sought) => {
            let clamped = if sought.clamped { " clamped" } else { "" };
            format!(
                "sought {}: {:?} -> {}{clamped}",
                ask.0, sought.from, sought.to
            )
        }
        Err(refused) => format!("sought {}: {refused:?}", ask.0),
    }
}

fn dead_letter(letter: &DeadLetter) -> String {
    let name = record_name(letter.partition, letter.offset);
    format!("dead letter {name} {}", letter.cause.label())
}

fn answer(is: bool) -> &'static str {
    if is { "answer " } else { "" }
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect()
}

fn names(partitions: &[PartitionId]) -> String {
    joined(
        partitions
            .iter()
            .map(|partition| format!(" {}", name(*partition))),
    )
}

fn names_of(wanted: &[(Assignment, PartitionId)]) -> String {
    joined(
        wanted
            .iter()
            .map(|(_, partition)| format!(" {}", name(*partition))),
    )
}

/// `0@5+7..9`: partition 0 at offset 5, with 7 and 8 finished.
fn committed(entry: &CommitEntry) -> String {
    let marks = marks(entry)
        .map(|marks| {
            joined(
                marks
                    .finished
                    .runs()
                    .iter()
                    .map(|(from, to)| format!("+{from}..{to}")),
            )
        })
        .unwrap_or_default();
    format!("{}@{}{marks}", name(entry.partition), entry.offset)
}

/// What a commit says is finished above its offset.
pub(super) fn marks(entry: &CommitEntry) -> Option<metadata::Marks> {
    let topic = if entry.partition.topic == TopicIndex(0) {
        "t"
    } else {
        "u"
    };
    let expect = Expectation {
        cluster: None,
        topic: None,
        identity_hash: metadata::identity_hash("group", topic, entry.partition.partition),
    };
    match metadata::decode(entry.metadata.as_bytes(), &expect, entry.offset) {
        Decoded::Ours { marks, .. } => marks,
        Decoded::Absent => None,
        Decoded::Ignored(reason) => panic!(
            "a commit carries what no one can read: {reason}, {}",
            entry.metadata
        ),
        Decoded::MadeAgain => panic!("a commit carries another topic's id"),
    }
}

fn commit(entries: &[CommitEntry]) -> String {
    let entries = entries.iter().map(|entry| format!(" {}", committed(entry)));
    format!("commit{}", joined(entries))
}

fn described(topics: &[TopicIndex]) -> String {
    let topics = topics.iter().map(|topic| format!(" {}", topic.0));
    format!("describe{}", joined(topics))
}

fn awaited(wait: WaitId, covered: bool, offered: &[CommitEntry]) -> String {
    let offered = offered.iter();
    let offered = offered.map(|entry| format!(", offered {}", committed(entry)));
    format!("awaited {} {covered}{}", wait.0, joined(offered))
}

fn told(notice: &Notice) -> String {
    match notice {
        Notice::StartWanted { partition, .. } => format!("start wanted {}", name(*partition)),
        Notice::Assigned {
            partition,
            start_offset,
            ..
        } => format!("assigned {}@{start_offset}", name(*partition)),
        Notice::Revoking {
            partition,
            time_left,
            ..
        } => format!("revoking {} {time_left:?}", name(*partition)),
        Notice::Revoked {
            partition, reason, ..
        } => format!("revoked {} {reason:?}", name(*partition)),
        Notice::Committed {
            partition,
            offset,
            offered,
            ..
        } => {
            let offered = if offered.is_some() { ", offered" } else { "" };
            format!("committed {}@{offset}{offered}", name(*partition))
        }
        Notice::CaughtUp {
            partition,
            end_offset,
            ..
        } => format!("caught up {}@{end_offset}", name(*partition)),
        Notice::Draining { time_left, .. } => format!("draining {time_left:?}"),
    }
}
