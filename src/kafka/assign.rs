//! Handing partitions to librdkafka and taking them back.

use super::client::{Client, Closing, Rebalance, refused};
use super::error::Error;
use super::fetching::{FetchState, Fetching};
use super::ffi::{Code, Partitions};
use crate::core::{AssignMode, FetchStart, PartitionId};

impl Client {
    /// Starts to fetch partitions. Under a protocol that assigns the whole, `starts` is everything
    /// that is to be fetched from now on. A pause outlives a new fetch, but not a new assignment.
    ///
    /// `answers_rebalance` says that this is the answer to [`crate::core::Input::GroupAssigned`]; it
    /// may be empty, and the rest may follow later.
    pub fn assign(&mut self, starts: &[FetchStart], answers_rebalance: bool) -> Result<(), Error> {
        self.check_turn("assign partitions", answers_rebalance)?;
        if self.closing != Closing::No {
            return Ok(());
        }
        if starts.is_empty() && !answers_rebalance && self.mode == AssignMode::Incremental {
            return Ok(());
        }
        let mut list = Partitions::with_capacity(starts.len());
        for start in starts {
            let PartitionId { topic, partition } = start.partition;
            let element = list.add(self.topics.name(topic), partition);
            element
                .offset(start.offset)
                .leader_epoch(start.leader_epoch);
        }
        // Before the fetch starts, or its first records would go to the consumer queue.
        self.collect(starts);
        let fetches = starts.iter().map(|start| {
            let place = self.topics.list([start.partition].into_iter());
            (start.partition, Fetching::new(start, place))
        });
        let fetches: Vec<(PartitionId, Fetching)> = fetches.collect();
        self.prepare_pauses(&fetches)?;
        match self.mode {
            AssignMode::Incremental => self.handle.incremental_assign(&list),
            AssignMode::Whole => {
                self.assigned.clear();
                self.handle.assign(Some(&list))
            }
        }
        .map_err(refused("assign partitions"))?;
        // And again: if an earlier fetch of the partition was still being stopped, that cut the
        // connection made above. Stops come first in the main thread's queue, so after this wait none
        // is left. What was fetched meanwhile waits in the partition and follows.
        self.handle.wait_for_main_thread();
        self.collect(starts);
        self.assigned.extend(fetches);
        if answers_rebalance {
            self.rebalance = None;
        }
        self.validate();
        Ok(())
    }

    /// Stops to fetch partitions; those that are not fetched are passed over. Under a protocol that
    /// assigns the whole, everything is taken.
    ///
    /// `answers_rebalance` says that this is the answer to [`crate::core::Input::GroupRevoked`] or
    /// [`crate::core::Input::GroupLost`].
    pub fn unassign(
        &mut self,
        partitions: &[PartitionId],
        answers_rebalance: bool,
    ) -> Result<(), Error> {
        self.check_turn("take partitions back", answers_rebalance)?;
        if self.closing != Closing::No {
            return Ok(());
        }
        let taken: Vec<PartitionId> = match self.mode {
            AssignMode::Whole => std::mem::take(&mut self.assigned).into_keys().collect(),
            AssignMode::Incremental => {
                let fetched = partitions
                    .iter()
                    .filter(|id| self.assigned.remove(id).is_some());
                fetched.copied().collect()
            }
        };
        if !taken.is_empty() || answers_rebalance {
            match self.mode {
                AssignMode::Whole => self.handle.assign(None),
                AssignMode::Incremental => self
                    .handle
                    .incremental_unassign(&self.topics.list(taken.iter().copied())),
            }
            .map_err(refused("take partitions back"))?;
        }
        if answers_rebalance && let Some(Rebalance::Revoke(revoked)) = self.rebalance.take() {
            for id in revoked {
                self.owned.remove(&id);
            }
        }
        Ok(())
    }

    /// Stops fetching partitions and drops what was fetched ahead.
    pub fn pause(&mut self, partitions: &[PartitionId]) -> Result<(), Error> {
        let mut list = Partitions::with_capacity(partitions.len());
        for id in partitions {
            if let Some(fetching) = self.assigned.get(id) {
                self.paused.insert(*id, fetching.assignment);
                list.add(self.topics.name(id.topic), id.partition);
            }
        }
        self.handle
            .pause(&list)
            .map_err(refused("pause partitions"))
    }

    /// Fetches paused partitions again, from where they were.
    pub fn resume(&mut self, partitions: &[PartitionId]) -> Result<(), Error> {
        let mut list = Partitions::with_capacity(partitions.len());
        for id in partitions {
            let validated = self.assigned.get(id).is_none_or(Fetching::is_validated);
            if self.paused.remove(id).is_some() && validated {
                list.add(self.topics.name(id.topic), id.partition);
            }
        }
        self.handle
            .resume(&list)
            .map_err(refused("resume partitions"))
    }

    /// Compares the starts of new fetches with the leaders' logs.
    ///
    /// librdkafka compares the leader epoch of a position for certain only after a seek, and a seek
    /// works only once the fetch has started, which an outstanding commit may delay. So it is tried
    /// until it works. The partition is paused until then: a fetch beyond the end of a truncated log
    /// would be answered with "out of range", which hides the truncation.
    pub(super) fn validate(&mut self) {
        if self.rebalance.is_some() {
            return;
        }
        let mut list = Partitions::with_capacity(0);
        for (id, fetching) in &self.assigned {
            if let FetchState::Unvalidated {
                offset,
                leader_epoch,
            } = fetching.state
            {
                let element = list.add(self.topics.name(id.topic), id.partition);
                element.offset(offset).leader_epoch(leader_epoch);
            }
        }
        if list.is_empty() {
            return;
        }
        // Whatever lets a fetch start may be half done on the main thread; nobody would wake us again.
        self.handle.wait_for_main_thread();
        // A seek without an answer in time may work nevertheless; doing it again is harmless.
        let answered = self.handle.seek(&mut list);
        tracing::trace!(?answered, "asked for validation of start positions");
        let mut validating = Partitions::with_capacity(list.iter().len());
        for view in list.iter() {
            if let Some(id) = self.topics.id_of(&view)
                && let Some(fetching) = self.assigned.get_mut(&id)
                && view.code() == Code::NONE
            {
                // From here on librdkafka itself fetches nothing before the answer.
                fetching.state = FetchState::Alive;
                if !self.paused.contains_key(&id) {
                    validating.add(view.topic(), view.partition());
                }
            }
        }
        if let Err(failure) = self.handle.resume(&validating) {
            tracing::warn!(%failure, "kafka client did not resume partitions");
        }
    }

    /// While a rebalance is unanswered, librdkafka takes any change for the answer.
    fn check_turn(&self, what: &'static str, answers_rebalance: bool) -> Result<(), Error> {
        if self.rebalance.is_some() && !answers_rebalance {
            return Err(Error::RebalanceUnanswered { what });
        }
        Ok(())
    }

    /// Sends what is fetched of these partitions to the one queue of records.
    fn collect(&self, starts: &[FetchStart]) {
        for start in starts {
            let PartitionId { topic, partition } = start.partition;
            self.records.collect(self.topics.name(topic), partition);
        }
    }

    /// Pauses what must not be fetched yet, and ends what is left of other pauses: librdkafka ties a
    /// pause to the partition, and may or may not remember it when the partition comes back. We tie
    /// it to the assignment.
    fn prepare_pauses(&mut self, fetches: &[(PartitionId, Fetching)]) -> Result<(), Error> {
        let mut hold = Partitions::with_capacity(fetches.len());
        let mut free = Partitions::with_capacity(fetches.len());
        for (id, fetching) in fetches {
            let paused = self
                .paused
                .get(id)
                .is_some_and(|paused| *paused == fetching.assignment);
            if !paused {
                self.paused.remove(id);
            }
            let list = if paused || !fetching.is_validated() {
                &mut hold
            } else {
                &mut free
            };
            list.add(self.topics.name(id.topic), id.partition);
        }
        self.handle
            .pause(&hold)
            .map_err(refused("pause partitions"))?;
        self.handle
            .resume(&free)
            .map_err(refused("resume partitions"))
    }
}
