//! Sorted runs of record numbers.
//!
//! Most work comes in long runs: a popped batch, a frame, a range acknowledged. A [`Runs`] costs one
//! entry per run, whatever its length.

use std::collections::VecDeque;
use std::ops::Range;

/// A sorted set of record numbers, kept as disjoint runs that do not touch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    runs: VecDeque<Range<u64>>,
}

impl Runs {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The lowest number.
    pub(crate) fn front(&self) -> Option<u64> {
        self.runs.front().map(|run| run.start)
    }

    /// The lowest run.
    pub(crate) fn front_run(&self) -> Option<Range<u64>> {
        self.runs.front().cloned()
    }

    /// Takes `count` numbers off the lowest run, which must hold that many.
    pub(crate) fn take_front(&mut self, count: u64) {
        let Some(run) = self.runs.front_mut() else {
            debug_assert!(count == 0, "took from an empty set");
            return;
        };
        debug_assert!(count <= run.end - run.start, "took more than the run holds");
        run.start += count;
        if run.start == run.end {
            self.runs.pop_front();
        }
    }

    /// Adds a number above all others, the common case, or anywhere.
    pub(crate) fn insert(&mut self, number: u64) {
        match self.runs.back_mut() {
            Some(last) if last.end == number => last.end += 1,
            Some(last) if last.end < number => self.runs.push_back(number..number + 1),
            None => self.runs.push_back(number..number + 1),
            Some(_) => self.insert_within(number),
        }
    }

    /// Adds a number that is not above all others.
    fn insert_within(&mut self, number: u64) {
        let at = self.runs.partition_point(|run| run.end < number);
        let Some(run) = self.runs.get_mut(at) else {
            return;
        };
        if run.contains(&number) {
            debug_assert!(false, "number {number} is already there");
            return;
        }
        if run.end == number {
            run.end += 1;
            let end = run.end;
            if self.runs.get(at + 1).is_some_and(|next| next.start == end)
                && let Some(next) = self.runs.remove(at + 1)
            {
                self.runs[at].end = next.end;
            }
        } else if run.start == number + 1 {
            run.start = number;
        } else {
            self.runs.insert(at, number..number + 1);
        }
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.runs.iter().cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Runs;

    proptest! {
        #[test]
        fn runs_hold_what_a_sorted_set_would(numbers in proptest::collection::vec(0u64..60, 0..80), takes in 0usize..40) {
            let mut runs = Runs::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                if set.insert(number) {
                    runs.insert(number);
                }
            }
            for _ in 0..takes {
                prop_assert_eq!(runs.front(), set.first().copied());
                if set.pop_first().is_some() {
                    runs.take_front(1);
                }
            }
            prop_assert_eq!(runs.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            // Runs that touch are one run, or the cost of a set would grow with its history.
            prop_assert!(runs.runs.iter().zip(runs.runs.iter().skip(1)).all(|(a, b)| a.end < b.start));
        }
    }
}
