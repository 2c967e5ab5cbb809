//! What is known of a partition that librdkafka fetches.

use super::ffi::{Handle, Partitions};
use crate::core::{Assignment, Fetch, FetchStart, LeaderEpoch};

/// A partition that librdkafka fetches.
pub(super) struct Fetching {
    pub(super) assignment: Assignment,
    pub(super) fetch: Fetch,
    pub(super) state: FetchState,
    /// The partition as a list of one, to ask for its position without allocating.
    place: Partitions,
    /// The position last told to the core, so that only news are told.
    told: Option<i64>,
}

/// What may be believed of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
    /// Everything.
    Alive,
    /// Nothing yet: the start must be compared with the leader's log first, and until that is under
    /// way the partition is paused.
    Unvalidated {
        /// Where it starts.
        offset: i64,
        /// The epoch to compare.
        leader_epoch: LeaderEpoch,
    },
    /// Nothing any more: an error may have moved its position. The core starts it anew.
    Failed,
}

impl Fetching {
    /// A fetch that starts at `start`; `place` is its partition as a list of one.
    pub(super) fn new(start: &FetchStart, place: Partitions) -> Self {
        let FetchStart {
            assignment,
            fetch,
            offset,
            leader_epoch,
            ..
        } = *start;
        // At the beginning of a log there is nothing to compare, nor without an epoch.
        let state = if leader_epoch.is_some() && offset > 0 {
            FetchState::Unvalidated {
                offset,
                leader_epoch,
            }
        } else {
            FetchState::Alive
        };
        Self {
            assignment,
            fetch,
            state,
            place,
            told: None,
        }
    }

    /// Whether its start needs no comparison any more.
    pub(super) fn is_validated(&self) -> bool {
        !matches!(self.state, FetchState::Unvalidated { .. })
    }

    /// The next offset librdkafka would hand out, if it differs from what was told before.
    ///
    /// True only between pops, and only on the thread that pops.
    pub(super) fn news_of_position(&mut self, handle: &Handle) -> Option<i64> {
        if self.state != FetchState::Alive || handle.position(&mut self.place).is_err() {
            return None;
        }
        let position = self.place.iter().next()?.offset();
        // Negative until the first record or marker was popped.
        if position < 0 || self.told == Some(position) {
            return None;
        }
        self.told = Some(position);
        Some(position)
    }
}
