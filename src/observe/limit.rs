//! Keeps one failing thing from filling the log: a thousand partitions whose commit fails together
//! are one piece of news.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::Moment;

/// Lines of one kind in one stretch of time.
const LINES_MAX: u32 = 20;

/// Length of a stretch.
const STRETCH: Duration = Duration::from_secs(10);

/// Counts lines by their kind.
#[derive(Debug, Default)]
pub(super) struct Limit {
    kinds: BTreeMap<&'static str, Stretch>,
}

#[derive(Debug)]
struct Stretch {
    since: Moment,
    lines: u32,
    left_out: u64,
}

impl Limit {
    /// Whether a line of this kind may be written now, and how many were left out before it.
    pub(super) fn admit(&mut self, now: Moment, kind: &'static str) -> Option<u64> {
        let stretch = self.kinds.entry(kind).or_insert(Stretch {
            since: now,
            lines: 0,
            left_out: 0,
        });
        if now.since(stretch.since) >= STRETCH {
            stretch.since = now;
            stretch.lines = 0;
        }
        if stretch.lines >= LINES_MAX {
            stretch.left_out += 1;
            return None;
        }
        stretch.lines += 1;
        Some(std::mem::take(&mut stretch.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_left_out_and_counted_in_the_next_stretch() {
        let mut limit = Limit::default();
        let start = Moment(1);
        for _ in 0..LINES_MAX {
            assert_eq!(limit.admit(start, "a"), Some(0));
        }
        assert_eq!(limit.admit(start, "a"), None);
        assert_eq!(limit.admit(start, "b"), Some(0), "kinds do not share");
        assert_eq!(
            limit.admit(start.plus(STRETCH - Duration::from_nanos(1)), "a"),
            None
        );
        assert_eq!(limit.admit(start.plus(STRETCH), "a"), Some(2));
        assert_eq!(limit.admit(start.plus(STRETCH), "a"), Some(0));
    }
}
