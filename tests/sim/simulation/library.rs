//! The client library of one member, as far as its behaviour is hard to live with.
//!
//! It prefetches into one queue; it pauses *everything* and throws the queue away while a rebalance event
//! is unanswered, and the queue of a partition that is paused; its position moves over markers as they are
//! popped, and to one past the offset of any error that it tells.

mod membership;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ackline::core::{
    Assignment, Fetch, FetchError, FetchStart, LeaderEpoch, PartitionId, PoppedRecord, TopicIndex,
};

use super::broker::Broker;
use super::group::MemberName;
use super::log::{Kind, Uid};
use super::plan::Faults;
use super::random::Random;

/// What the library prefetches at most.
const QUEUE_MAX: usize = 60;

/// A rebalance event, which waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rebalance {
    Assign(BTreeSet<PartitionId>),
    Revoke(BTreeSet<PartitionId>),
    Lost(BTreeSet<PartitionId>),
}

/// What the library does next, once nothing waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Raise(Rebalance),
    /// Give back what the application does not want any more, and join for what it wants.
    Resubscribe,
    Join,
    Left,
}

#[derive(Debug)]
pub(crate) struct Fetcher {
    assignment: Assignment,
    pub(crate) fetch: Fetch,
    /// Next offset the application would get.
    pub(crate) position: i64,
    /// Next offset to ask the broker for.
    next: i64,
    /// Leader epoch of the record before `next`, and of the one before `position`.
    epoch: LeaderEpoch,
    position_epoch: LeaderEpoch,
    /// Raised whenever what was prefetched becomes worthless.
    version: u64,
    pub(crate) paused: bool,
    /// It told an error and fetches no more.
    failed: bool,
}

#[derive(Debug)]
enum Queued {
    Record {
        partition: PartitionId,
        version: u64,
        record: PoppedRecord,
        uid: Uid,
    },
    Marker {
        partition: PartitionId,
        version: u64,
        offset: i64,
    },
    Failure {
        partition: PartitionId,
        version: u64,
        offset: i64,
        error: FetchError,
    },
}

/// Consecutive records of one partition, with the fetch they belong to.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) partition: PartitionId,
    pub(crate) fetch: Fetch,
    pub(crate) position: Option<i64>,
    pub(crate) records: Vec<PoppedRecord>,
    pub(crate) uids: Vec<Uid>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Popped {
    pub(crate) runs: Vec<Run>,
    pub(crate) failures: Vec<(PartitionId, Fetch, FetchError)>,
}

impl Popped {
    pub(crate) fn records(&self) -> usize {
        self.runs.iter().map(|run| run.records.len()).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.runs
            .iter()
            .flat_map(|run| &run.records)
            .map(|record| u64::from(record.size))
            .sum()
    }
}

#[derive(Debug)]
pub(crate) struct Library {
    cooperative: bool,
    /// Whether the application wants to be in the group.
    pub(crate) subscribed: bool,
    /// The topics that the application wants, and those of the last join.
    wanted: BTreeSet<TopicIndex>,
    pub(crate) topics: BTreeSet<TopicIndex>,
    pub(crate) name: Option<MemberName>,
    pub(crate) generation: i32,
    /// A join was sent and not answered.
    pub(crate) joining: bool,
    /// How many joins it sent.
    pub(crate) joins: u64,
    /// What the group gave to this member, as far as the library knows.
    pub(crate) owned: BTreeSet<PartitionId>,
    pub(crate) event: Option<Rebalance>,
    steps: VecDeque<Step>,
    pub(crate) fetchers: BTreeMap<PartitionId, Fetcher>,
    queue: VecDeque<Queued>,
    next_version: u64,
    corrupt: BTreeMap<PartitionId, u32>,
    /// What is paused, and in which assignment.
    paused: BTreeMap<PartitionId, Assignment>,
}

impl Library {
    pub(crate) fn new(cooperative: bool) -> Self {
        Self {
            cooperative,
            subscribed: false,
            wanted: BTreeSet::new(),
            topics: BTreeSet::new(),
            name: None,
            generation: -1,
            joining: false,
            joins: 0,
            owned: BTreeSet::new(),
            event: None,
            steps: VecDeque::new(),
            fetchers: BTreeMap::new(),
            queue: VecDeque::new(),
            next_version: 0,
            corrupt: BTreeMap::new(),
            paused: BTreeMap::new(),
        }
    }

    // ---- assignment of the client

    /// Returns what is wrong with the call, if anything.
    pub(crate) fn assign(&mut self, starts: &[FetchStart], whole: bool) -> Result<(), String> {
        if whole {
            self.fetchers.clear();
        }
        for start in starts {
            self.next_version += 1;
            // The edge pauses a partition again that it gives back to the client within one assignment.
            let paused = self.paused.get(&start.partition) == Some(&start.assignment);
            if !paused {
                self.paused.remove(&start.partition);
            }
            let fetcher = Fetcher {
                fetch: start.fetch,
                position: start.offset,
                next: start.offset,
                epoch: start.leader_epoch,
                position_epoch: start.leader_epoch,
                version: self.next_version,
                assignment: start.assignment,
                paused,
                failed: false,
            };
            if self.fetchers.insert(start.partition, fetcher).is_some() {
                return Err(format!("{:?} is assigned twice", start.partition));
            }
        }
        Ok(())
    }

    pub(crate) fn unassign(
        &mut self,
        partitions: &[PartitionId],
        whole: bool,
    ) -> Result<(), String> {
        if whole {
            self.fetchers.clear();
            return Ok(());
        }
        for partition in partitions {
            if self.fetchers.remove(partition).is_none() {
                return Err(format!("{partition:?} is unassigned but was not assigned"));
            }
        }
        Ok(())
    }

    pub(crate) fn set_paused(
        &mut self,
        partitions: &[PartitionId],
        paused: bool,
    ) -> Result<(), String> {
        for partition in partitions {
            let fetcher = self.fetchers.get_mut(partition);
            match fetcher {
                Some(fetcher) if paused => {
                    self.paused.insert(*partition, fetcher.assignment);
                }
                Some(_) => {
                    self.paused.remove(partition);
                }
                // Resumed between two fetches: the next one starts unpaused.
                None if !paused => {
                    self.paused.remove(partition);
                }
                None => return Err(format!("{partition:?} is paused but not assigned")),
            }
            if let Some(fetcher) = self.fetchers.get_mut(partition) {
                fetcher.paused = paused;
            }
        }
        if paused {
            self.purge(|partition| partitions.contains(partition));
        }
        Ok(())
    }

    /// Throws prefetched records away and goes back to where the application stands.
    fn purge(&mut self, which: impl Fn(&PartitionId) -> bool) {
        for (partition, fetcher) in &mut self.fetchers {
            if which(partition) {
                self.next_version += 1;
                fetcher.version = self.next_version;
                fetcher.next = fetcher.position;
                fetcher.epoch = fetcher.position_epoch;
                // An error that nobody was told goes with the rest.
                fetcher.failed = false;
            }
        }
    }

    // ---- data

    /// Prefetches. Returns whether something is in the queue that was empty before.
    pub(crate) fn fetch(&mut self, broker: &Broker, random: &mut Random, faults: &Faults) -> bool {
        self.drop_outdated();
        let was_empty = self.queue.is_empty();
        if self.event.is_some() {
            return false;
        }
        let partitions: Vec<PartitionId> = self.fetchers.keys().copied().collect();
        for partition in partitions {
            if self.queue.len() < QUEUE_MAX {
                self.fetch_one(partition, broker, random, faults);
            }
        }
        was_empty && !self.queue.is_empty()
    }

    fn fetch_one(
        &mut self,
        partition: PartitionId,
        broker: &Broker,
        random: &mut Random,
        faults: &Faults,
    ) {
        let Some(log) = broker.log(partition) else {
            return;
        };
        let Some(fetcher) = self.fetchers.get_mut(&partition) else {
            return;
        };
        if fetcher.paused || fetcher.failed {
            return;
        }
        let (version, offset) = (fetcher.version, fetcher.next);
        let truncated = if broker.epochs {
            log.divergence(fetcher.epoch, offset)
        } else {
            None
        };
        let error = if let Some(end) = truncated {
            Some(FetchError::Truncated { end })
        } else if offset < log.start || offset > log.end {
            Some(FetchError::OutOfRange)
        } else if random.chance(faults.fetch_failed) {
            Some(invented_failure(
                random,
                self.corrupt.entry(partition).or_default(),
            ))
        } else {
            None
        };
        if let Some(error) = error {
            fetcher.failed = true;
            self.queue.push_back(Queued::Failure {
                partition,
                version,
                offset,
                error,
            });
            return;
        }
        let count = random.index(12) + 1;
        for entry in log.from(offset).iter().take(count) {
            fetcher.next = entry.offset + 1;
            fetcher.epoch = broker.told(entry.epoch).or(fetcher.epoch);
            match entry.kind {
                Kind::Record(record) => {
                    let popped = PoppedRecord {
                        offset: entry.offset,
                        key_hash: record.key,
                        size: record.size,
                        leader_epoch: broker.told(entry.epoch),
                        foreign: false,
                    };
                    self.corrupt.remove(&partition);
                    self.queue.push_back(Queued::Record {
                        partition,
                        version,
                        record: popped,
                        uid: record.uid,
                    });
                }
                Kind::Marker => self.queue.push_back(Queued::Marker {
                    partition,
                    version,
                    offset: entry.offset,
                }),
                Kind::Aborted => {}
            }
        }
    }

    fn drop_outdated(&mut self) {
        let fetchers = &self.fetchers;
        self.queue.retain(|queued| {
            let (partition, version) = match queued {
                Queued::Record {
                    partition, version, ..
                }
                | Queued::Marker {
                    partition, version, ..
                }
                | Queued::Failure {
                    partition, version, ..
                } => (partition, version),
            };
            fetchers
                .get(partition)
                .is_some_and(|fetcher| fetcher.version == *version)
        });
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes up to `records_max` records, and whatever else lies between them.
    pub(crate) fn pop(&mut self, records_max: usize) -> Popped {
        self.drop_outdated();
        let mut popped = Popped::default();
        while popped.records() < records_max
            && let Some(queued) = self.queue.pop_front()
        {
            match queued {
                Queued::Record {
                    partition,
                    record,
                    uid,
                    ..
                } => {
                    let Some(fetcher) = self.fetchers.get_mut(&partition) else {
                        continue;
                    };
                    fetcher.position = record.offset + 1;
                    fetcher.position_epoch = record.leader_epoch.or(fetcher.position_epoch);
                    let fetch = fetcher.fetch;
                    match popped.runs.last_mut() {
                        Some(run) if run.partition == partition => {
                            run.records.push(record);
                            run.uids.push(uid);
                        }
                        Some(_) | None => popped.runs.push(Run {
                            partition,
                            fetch,
                            position: None,
                            records: vec![record],
                            uids: vec![uid],
                        }),
                    }
                }
                Queued::Marker {
                    partition, offset, ..
                } => {
                    if let Some(fetcher) = self.fetchers.get_mut(&partition) {
                        fetcher.position = offset + 1;
                    }
                }
                Queued::Failure {
                    partition,
                    offset,
                    error,
                    ..
                } => {
                    let Some(fetcher) = self.fetchers.get_mut(&partition) else {
                        continue;
                    };
                    // The trap: a position behind a record that nobody got.
                    fetcher.position = offset + 1;
                    popped.failures.push((partition, fetcher.fetch, error));
                }
            }
        }
        self.sample_positions(&mut popped);
        popped
    }

    /// The position right after the pop, told with the last run of each partition that did not fail.
    fn sample_positions(&self, popped: &mut Popped) {
        let mut seen = BTreeSet::new();
        for run in popped.runs.iter_mut().rev() {
            let failed = popped
                .failures
                .iter()
                .any(|(partition, ..)| *partition == run.partition);
            if seen.insert(run.partition) && !failed {
                run.position = self
                    .fetchers
                    .get(&run.partition)
                    .map(|fetcher| fetcher.position);
            }
        }
    }
}

/// A failure that goes away by itself. A batch is never corrupt for the third time.
fn invented_failure(random: &mut Random, corrupt: &mut u32) -> FetchError {
    match random.below(3) {
        0 if *corrupt < 2 => {
            *corrupt += 1;
            FetchError::Corrupt("bad checksum".to_owned())
        }
        1 => FetchError::Unauthorized("not allowed for now".to_owned()),
        _ => FetchError::Transient("broker away".to_owned()),
    }
}
