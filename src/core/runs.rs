//! Sorted runs of record numbers.
//!
//! Most work comes in long runs: a popped batch, a frame, a range acknowledged. A [`Runs`] costs one
//! entry per run, whatever its length.

use std::collections::VecDeque;
use std::ops::Range;

/// A sorted set of record numbers, kept as disjoint runs that do not touch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    /// The lowest run. Empty only if there is no other: most sets are one run, and need no memory of their own.
    first: Range<u64>,
    /// The others.
    rest: VecDeque<Range<u64>>,
}

impl Runs {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// How many numbers it holds.
    pub(crate) fn len(&self) -> u64 {
        let runs = std::iter::once(&self.first).chain(&self.rest);
        runs.map(|run| run.end - run.start).sum()
    }

    /// The lowest number.
    pub(crate) fn front(&self) -> Option<u64> {
        self.front_run().map(|run| run.start)
    }

    /// The lowest run.
    pub(crate) fn front_run(&self) -> Option<Range<u64>> {
        (!self.is_empty()).then(|| self.first.clone())
    }

    /// Takes `count` numbers off the lowest run, which must hold that many.
    pub(crate) fn take_front(&mut self, count: u64) {
        let held = self.first.end - self.first.start;
        debug_assert!(count <= held, "took more than the run holds");
        self.first.start += count.min(held);
        if self.first.is_empty()
            && let Some(next) = self.rest.pop_front()
        {
            self.first = next;
        }
    }

    /// Adds a number above all others, the common case, or anywhere.
    pub(crate) fn insert(&mut self, number: u64) {
        self.insert_run(number..number + 1);
    }

    /// Adds a run that does not overlap what is there. Above all others it costs next to nothing.
    pub(crate) fn insert_run(&mut self, run: Range<u64>) {
        if run.is_empty() {
            return;
        }
        if self.is_empty() {
            self.first = run;
            return;
        }
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if last.end == run.start {
            last.end = run.end;
        } else if last.end < run.start {
            self.rest.push_back(run);
        } else {
            self.insert_within(run);
        }
    }

    /// Adds a run that is not above all others.
    fn insert_within(&mut self, run: Range<u64>) {
        // For a moment the first run stands with the others.
        self.rest.push_front(self.first.clone());
        let at = self.rest.partition_point(|other| other.end < run.start);
        let overlaps = |other: &Range<u64>| other.start < run.end && run.start < other.end;
        if self.rest.get(at).is_some_and(overlaps) {
            debug_assert!(false, "{run:?} is there already");
        } else {
            self.join(at, run);
        }
        if let Some(first) = self.rest.pop_front() {
            self.first = first;
        }
    }

    /// Adds a run before the place `at`, joined with the runs that it touches.
    fn join(&mut self, at: usize, mut run: Range<u64>) {
        let mut to = at;
        if let Some(before) = self.rest.get(to)
            && before.end == run.start
        {
            run.start = before.start;
            to += 1;
        }
        if let Some(after) = self.rest.get(to)
            && after.start == run.end
        {
            run.end = after.end;
            to += 1;
        }
        if to == at {
            self.rest.insert(at, run);
        } else {
            self.rest[at] = run;
            self.rest.drain(at + 1..to);
        }
    }

    /// Whether it holds a number.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.rest.partition_point(|run| run.end <= number);
        let in_rest = self.rest.get(at).is_some_and(|run| run.contains(&number));
        self.first.contains(&number) || in_rest
    }

    /// Takes a number out, wherever it is. Returns whether it was there.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        if self.first.contains(&number) {
            let rest = number + 1..self.first.end;
            self.first.end = number;
            if !rest.is_empty() {
                self.rest.push_front(rest);
            }
            self.take_front(0);
            return true;
        }
        let at = self.rest.partition_point(|run| run.end <= number);
        let Some(run) = self.rest.get_mut(at).filter(|run| run.contains(&number)) else {
            return false;
        };
        let rest = number + 1..run.end;
        run.end = number;
        if run.is_empty() {
            self.rest.remove(at);
        }
        if !rest.is_empty() {
            let before = self.rest.partition_point(|run| run.end <= number);
            self.rest.insert(before, rest);
        }
        true
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .cloned()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Runs;

    proptest! {
        #[test]
        fn runs_hold_what_a_sorted_set_would(
            added in proptest::collection::vec((0u64..60, 1u64..6), 0..80),
            takes in 0usize..40,
            removes in proptest::collection::vec(0u64..70, 0..20),
        ) {
            let mut runs = Runs::default();
            let mut set = BTreeSet::new();
            for (start, count) in added {
                let run = start..start + count;
                if run.clone().any(|number| set.contains(&number)) {
                    continue;
                }
                set.extend(run.clone());
                if count == 1 { runs.insert(start) } else { runs.insert_run(run) }
            }
            for number in removes {
                prop_assert_eq!(runs.contains(number), set.contains(&number));
                prop_assert_eq!(runs.remove(number), set.remove(&number));
            }
            for _ in 0..takes {
                prop_assert_eq!(runs.front(), set.first().copied());
                if set.pop_first().is_some() {
                    runs.take_front(1);
                }
            }
            prop_assert_eq!(runs.len(), set.len() as u64);
            prop_assert_eq!(runs.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            // Runs that touch are one run, or the cost of a set would grow with its history.
            let all: Vec<_> = std::iter::once(&runs.first).chain(&runs.rest).collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
