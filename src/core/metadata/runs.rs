//! Sets of offsets.

/// Finished offsets as sorted runs that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinishedRuns {
    /// Each from its first offset to one past its last.
    runs: Vec<(i64, i64)>,
}

impl FinishedRuns {
    /// Whether nothing is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, each from its first offset to one past its last.
    #[must_use]
    pub fn runs(&self) -> &[(i64, i64)] {
        &self.runs
    }

    /// One past the highest finished offset.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.runs.last().map(|(_, to)| *to)
    }

    /// How many offsets are marked, whether or not the log holds a record there.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        self.runs.iter().map(|(from, to)| from.abs_diff(*to)).sum()
    }

    /// Whether `offset` is finished.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        let at = self.runs.partition_point(|(_, to)| *to <= offset);
        self.runs.get(at).is_some_and(|(from, _)| *from <= offset)
    }

    /// Adds the offsets from `from` up to, not including, `to`. They lie above all others.
    pub fn push(&mut self, from: i64, to: i64) {
        debug_assert!(self.end().is_none_or(|end| end <= from), "runs rise");
        if from >= to {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            Some(_) | None => self.runs.push((from, to)),
        }
    }

    /// Adds what `other` holds at or above `from`, which lies above all offsets held here.
    pub fn extend_above(&mut self, from: i64, other: &Self) {
        let at = other.runs.partition_point(|(_, to)| *to <= from);
        for (first, end) in &other.runs[at..] {
            self.push((*first).max(from), *end);
        }
    }
}
