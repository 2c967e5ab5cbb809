//! Keeps one failing thing from filling the log: a thousand partitions whose commit fails together
//! are one piece of news, and so is a broker that stays down.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Level;

use super::line::Line;
use crate::core::Moment;

/// Lines of one kind in one stretch of time.
const LINES_MAX: u32 = 20;

/// Length of a stretch.
const STRETCH: Duration = Duration::from_secs(10);

/// A warning that says what the one before it said is no news for this long.
const SAME_AGAIN: Duration = Duration::from_secs(60);

/// Counts lines by their kind.
#[derive(Debug, Default)]
pub(super) struct Limit {
    kinds: BTreeMap<(&'static str, Option<&'static str>), Stretch>,
}

#[derive(Debug)]
struct Stretch {
    since: Moment,
    lines: u32,
    left_out: u64,
    /// The last warning written, and when.
    last: Option<(Line, Moment)>,
}

impl Limit {
    /// Whether this line may be written now, and how many of its kind were left out before it.
    pub(super) fn admit(&mut self, now: Moment, line: &Line) -> Option<u64> {
        let stretch = self.kinds.entry(kind(line)).or_insert(Stretch {
            since: now,
            lines: 0,
            left_out: 0,
            last: None,
        });
        let same_again = |(last, at): &(Line, Moment)| last == line && now.since(*at) < SAME_AGAIN;
        if stretch.last.as_ref().is_some_and(same_again) {
            stretch.left_out += 1;
            return None;
        }
        if now.since(stretch.since) >= STRETCH {
            stretch.since = now;
            stretch.lines = 0;
        }
        if stretch.lines >= LINES_MAX {
            stretch.left_out += 1;
            return None;
        }
        stretch.lines += 1;
        if line.level == Level::WARN {
            stretch.last = Some((line.clone(), now));
        }
        Some(std::mem::take(&mut stretch.left_out))
    }
}

/// What a line is limited with: its event, and for trouble with Kafka what kind of trouble, since several alternate.
fn kind(line: &Line) -> (&'static str, Option<&'static str>) {
    (line.event, line.fields.reason)
}

#[cfg(test)]
mod tests {
    use super::super::line::Fields;
    use super::*;

    fn line(event: &'static str, count: u64) -> Line {
        Line {
            level: Level::WARN,
            event,
            message: "something",
            fields: Fields::count(count),
        }
    }

    #[test]
    fn warning_that_says_the_same_again_is_left_out_for_a_minute() {
        let mut limit = Limit::default();
        let start = Moment(1);
        assert_eq!(limit.admit(start, &line("a", 1)), Some(0));
        let later = start.plus(SAME_AGAIN - Duration::from_nanos(1));
        assert_eq!(limit.admit(later, &line("a", 1)), None);
        assert_eq!(limit.admit(later, &line("a", 2)), Some(1), "other news");
        let state = Line {
            level: Level::INFO,
            ..line("b", 1)
        };
        assert_eq!(limit.admit(later, &state), Some(0));
        assert_eq!(
            limit.admit(later, &state),
            Some(0),
            "changes are always news"
        );
        assert_eq!(limit.admit(later.plus(SAME_AGAIN), &line("a", 2)), Some(0));
    }

    #[test]
    fn lines_beyond_the_limit_are_left_out_and_counted_in_the_next_stretch() {
        let mut limit = Limit::default();
        let start = Moment(1);
        let mut numbers = 0..;
        let mut next = |event| line(event, numbers.next().unwrap_or(0));
        for _ in 0..LINES_MAX {
            assert_eq!(limit.admit(start, &next("a")), Some(0));
        }
        assert_eq!(limit.admit(start, &next("a")), None);
        assert_eq!(
            limit.admit(start, &next("b")),
            Some(0),
            "kinds do not share"
        );
        assert_eq!(
            limit.admit(start.plus(STRETCH - Duration::from_nanos(1)), &next("a")),
            None
        );
        assert_eq!(limit.admit(start.plus(STRETCH), &next("a")), Some(2));
        assert_eq!(limit.admit(start.plus(STRETCH), &next("a")), Some(0));
    }
}
