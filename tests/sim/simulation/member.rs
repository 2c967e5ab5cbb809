//! One member: its process with a real [`Core`], the client library under it, the bytes it holds, and the
//! applications at its socket.

use std::collections::{BTreeMap, BTreeSet};

use ackline::core::{Core, Moment, OutputsId, PartitionId, StreamId};

use super::application::Slot;
use super::homes::Home;
use super::library::{Library, Popped};
use super::store::Store;
use super::transactions::Output;

/// What ends with the process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) core: Core,
    pub(crate) library: Library,
    /// Raised with each client.
    pub(crate) client: u32,
    /// The next join is that of a new client.
    pub(crate) replaces_client: bool,
    /// The topics whose names it knows: as many, from the first one.
    pub(crate) topics_known: usize,
    pub(crate) store: Store,
    /// Numbers of its claims, if positions are kept outside Kafka.
    pub(crate) claims: BTreeMap<PartitionId, u64>,
    /// Which streams say where partitions start, if applications keep positions.
    pub(crate) homes: BTreeMap<PartitionId, Home>,
    /// Epoch of its producer, if it has one.
    pub(crate) producer: Option<u32>,
    /// What applications returned and no transaction has.
    pub(crate) outputs: BTreeMap<OutputsId, Vec<Output>>,
    pub(crate) next_outputs: u64,
    pub(crate) knows_cluster: bool,
    pub(crate) next_stream: u64,
    pub(crate) next_wait: u64,
    /// When the next tick was asked for.
    pub(crate) tick_at: Option<Moment>,
    /// How many ticks in a row came at the same moment.
    pub(crate) ticks_at_once: (Moment, u32),
    /// Streams for which the client's queue was found empty: new records come without an event.
    pub(crate) starving: BTreeSet<StreamId>,
    /// A batch that was popped and not told yet.
    pub(crate) late_batch: Option<Popped>,
    pub(crate) sampled_at: Moment,
    pub(crate) heard_of_at: Moment,
    /// When the rebalance event that waits for its answer was told.
    pub(crate) asked_at: Moment,
    pub(crate) stopping: bool,
    /// When it was told to end, and by when it must have.
    pub(crate) end_by: Option<(Moment, Moment)>,
    /// How it ended.
    pub(crate) finished: Option<ackline::core::Drained>,
}

impl Process {
    pub(crate) fn new(core: Core, cooperative: bool, topics_known: usize, now: Moment) -> Self {
        Self {
            core,
            library: Library::new(cooperative),
            client: 0,
            replaces_client: false,
            topics_known,
            store: Store::default(),
            claims: BTreeMap::new(),
            homes: BTreeMap::new(),
            producer: None,
            outputs: BTreeMap::new(),
            next_outputs: 0,
            knows_cluster: false,
            next_stream: 1,
            next_wait: 0,
            tick_at: None,
            ticks_at_once: (now, 0),
            starving: BTreeSet::new(),
            late_batch: None,
            sampled_at: now,
            heard_of_at: now,
            asked_at: now,
            stopping: false,
            end_by: None,
            finished: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    /// Raised with each process, so that what was on its way to an earlier one gets lost.
    pub(crate) life: u32,
    pub(crate) process: Option<Process>,
    pub(crate) slots: Vec<Slot>,
    /// Stopped, as by SIGSTOP, until then.
    pub(crate) frozen_until: Moment,
    /// When it last came out of that.
    pub(crate) thawed_at: Moment,
    /// Without a connection to the coordinator until then.
    pub(crate) cut_off_until: Moment,
}

impl Member {
    pub(crate) fn new(slots: Vec<Slot>) -> Self {
        Self {
            life: 0,
            process: None,
            slots,
            frozen_until: Moment(0),
            thawed_at: Moment(0),
            cut_off_until: Moment(0),
        }
    }

    /// The slot that holds a stream.
    pub(crate) fn slot_of(&mut self, stream: StreamId) -> Option<&mut Slot> {
        use super::application::State;
        self.slots.iter_mut().find(|slot| match slot.state {
            State::Open(held) | State::Closing(held) => held == stream,
            State::Closed => false,
        })
    }
}
