//! What one pop brought.

use std::sync::Arc;

use super::log::StoredRecord;
use crate::core::{Fetch, PartitionId, PoppedRecord, PoppedRun};

/// Records that were popped together. Its buffers are reused by the next pop into it.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) records: Vec<Arc<StoredRecord>>,
    pub(super) popped: Vec<PoppedRecord>,
    pub(super) runs: Vec<Run>,
}

/// Records of one partition that were popped one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) partition: PartitionId,
    pub(super) fetch: Fetch,
    /// Place of the first one in the batch.
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Batch {
    /// Number of runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Number of records in a run.
    #[must_use]
    pub fn count(&self, run: usize) -> usize {
        self.runs[run].count
    }

    /// The runs as [`crate::core::Input::Popped`] wants them.
    #[must_use]
    pub fn popped_runs(&self) -> Vec<PoppedRun<'_>> {
        let run = |run: &Run| PoppedRun {
            partition: run.partition,
            fetch: run.fetch,
            position: None,
            records: &self.popped[run.first..run.first + run.count],
        };
        self.runs.iter().map(run).collect()
    }

    /// Record number `index` of a run.
    #[must_use]
    pub fn record(&self, run: usize, index: usize) -> &StoredRecord {
        &self.records[self.runs[run].first + index]
    }

    /// Bytes that it takes in a frame, as the core was told.
    #[must_use]
    pub fn size(&self, run: usize, index: usize) -> u32 {
        self.popped[self.runs[run].first + index].size
    }

    /// Lets the records go.
    pub fn clear(&mut self) {
        self.records.clear();
        self.popped.clear();
        self.runs.clear();
    }
}
