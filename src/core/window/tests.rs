use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::metadata::{self, Decoded, Expectation, Header};
use super::*;

fn record(offset: i64, leader_epoch: LeaderEpoch) -> PoppedRecord {
    PoppedRecord {
        offset,
        key_hash: None,
        size: 1,
        leader_epoch,
        foreign: false,
    }
}

/// Runs a script on a window that starts at offset 10: `in 10 12` takes records in, `done 10` finishes them,
/// `at 20` is a position of the client.
fn run(script: &str) -> Window {
    let mut window = Window::new(10, None, None, false);
    follow(&mut window, script);
    window
}

fn follow(window: &mut Window, script: &str) {
    let mut verb = "";
    for word in script.split_whitespace() {
        let Ok(offset) = word.parse::<i64>() else {
            verb = word;
            continue;
        };
        match verb {
            "in" => assert_ne!(window.take_in(&record(offset, None)), Taken::WentBack),
            "done" => {
                let number = (0..window.next_number())
                    .find(|number| window.offset(*number) == Some(offset))
                    .expect("unfinished");
                assert_eq!(window.finish(number), Some(offset));
            }
            "at" => {
                window.raise_frontier(offset);
            }
            _ => panic!("what is {verb}?"),
        }
    }
}

/// After `script` the window stands like this: `watermark/frontier`, then runs finished above.
fn check(script: &str, expected: &str) {
    assert_eq!(shown(&run(script)), expected, "after {script}");
}

fn shown(window: &Window) -> String {
    let marks = window.marks().map_or_else(String::new, |marks| {
        marks
            .finished
            .runs()
            .iter()
            .map(|(from, to)| format!(" {from}..{to}"))
            .collect()
    });
    format!("{}/{}{marks}", window.watermark().0, window.frontier().0)
}

fn finished(runs: &[(i64, i64)], leader_epoch: LeaderEpoch) -> Marks {
    let mut finished = FinishedRuns::default();
    runs.iter().for_each(|(from, to)| finished.push(*from, *to));
    Marks {
        leader_epoch,
        finished,
        retried: Vec::new(),
    }
}

// I-S1, M1, M16
#[test]
fn watermark_is_the_lowest_unfinished_offset() {
    check("", "10/10");
    check("in 10 11 12", "10/13");
    check("in 10 11 12 done 10", "11/13");
    check("in 10 11 12 done 11 12", "10/13 11..13");
    check("in 10 11 12 done 12 11 10", "13/13");
}

// B1
#[test]
fn gaps_of_any_size_are_no_records() {
    check("in 10 4000000000 done 10", "4000000000/4000000001");
    check(
        "in 10 4000000000 done 4000000000",
        "10/4000000001 11..4000000001",
    );
    check("in 5000 done 5000", "5001/5001");
}

// B1
#[test]
fn position_behind_a_tail_of_markers_is_the_frontier() {
    check("in 10 done 10 at 15", "15/15");
    check("in 10 at 15", "10/15");
    check("in 10 at 15 done 10", "15/15");
    check("at 15", "15/15");
}

// "position sampled late": a position below what was taken in is old.
#[test]
fn position_below_the_frontier_is_ignored() {
    check("in 10 11 at 11", "10/12");
    check("in 10 11 done 10 11 at 5", "12/12");
}

#[test]
fn record_at_or_below_the_newest_is_refused() {
    let mut window = run("in 10 11");
    assert_eq!(window.take_in(&record(11, None)), Taken::WentBack);
    assert_eq!(window.take_in(&record(3, None)), Taken::WentBack);
    assert_eq!(window.take_in(&record(12, None)), Taken::New);
    assert_eq!(window.unfinished(), 3);
}

#[test]
fn record_is_finished_once() {
    let mut window = run("in 10 11");
    assert_eq!(window.finish(0), Some(10));
    assert_eq!(window.finish(0), None);
    assert_eq!(window.finish(7), None);
    assert_eq!(window.unfinished(), 1);
}

// I-B5, "window counted as a span"
#[test]
fn record_that_is_stuck_while_a_million_pass_keeps_one_page() {
    let mut window = Window::new(0, None, None, true);
    window.take_in(&record(0, Some(1)));
    for offset in 1..1_000_000 {
        let epoch = i32::try_from(offset / 100_000).expect("small");
        window.take_in(&record(offset * 1000, Some(epoch)));
        window.finish(offset.unsigned_abs());
    }
    assert_eq!(window.unfinished(), 1);
    assert_eq!(window.pages(), 1);
    assert!(window.epochs.len() <= 12, "one entry per election");
    assert_eq!(window.marks().expect("some").finished.runs().len(), 1);
    window.finish(0);
    assert_eq!(window.pages(), 0);
    assert_eq!(window.epochs.len(), 1);
    assert_eq!(window.watermark().0, 999_999_001);
}

#[test]
fn page_goes_with_its_last_unfinished_record() {
    let mut window = Window::new(0, None, None, false);
    for offset in 0..128 {
        window.take_in(&record(offset, None));
    }
    assert_eq!(window.pages(), 2);
    for number in 0..63 {
        window.finish(number);
    }
    assert_eq!(window.pages(), 2);
    window.finish(63);
    assert_eq!(window.pages(), 1);
    assert_eq!(window.watermark().0, 64);
}

// B3: commits carry the leader epoch of the last record below the offset.
#[test]
fn epoch_of_a_commit_is_that_of_the_last_record_below() {
    let mut window = Window::new(10, Some(3), None, false);
    assert_eq!(window.watermark_epoch(), Some(3));
    for (offset, epoch) in [(10, 4), (11, 4), (12, 6), (13, 9)] {
        window.take_in(&record(offset, Some(epoch)));
    }
    assert_eq!(
        window.watermark_epoch(),
        Some(3),
        "nothing of ours is below"
    );
    assert_eq!(window.frontier_epoch(), Some(9));
    window.finish(2);
    assert_eq!(window.watermark_epoch(), Some(3));
    window.finish(0);
    assert_eq!(window.watermark_epoch(), Some(4));
    window.finish(1);
    assert_eq!(window.watermark_epoch(), Some(6));
    window.finish(3);
    assert_eq!(window.watermark_epoch(), Some(9));
}

#[test]
fn records_for_another_group_hold_nothing_up() {
    let mut window = Window::new(10, None, None, false);
    let foreign = |offset| PoppedRecord {
        foreign: true,
        ..record(offset, None)
    };
    assert_eq!(window.take_in(&foreign(10)), Taken::Foreign);
    assert_eq!(window.watermark().0, 11, "nothing is unfinished");
    assert_eq!(window.take_in(&record(11, None)), Taken::New);
    assert_eq!(window.take_in(&foreign(12)), Taken::Foreign);
    assert_eq!(window.watermark().0, 11);
    window.finish(1);
    assert_eq!(window.watermark().0, 13);
    assert_eq!(window.take_in(&foreign(12)), Taken::WentBack);
}

#[test]
fn key_and_size_are_those_of_the_record() {
    let mut window = Window::new(0, None, None, true);
    for (offset, key_hash) in [(5, Some(9)), (6, None)] {
        let record = PoppedRecord {
            offset,
            key_hash,
            size: 77,
            leader_epoch: None,
            foreign: false,
        };
        window.take_in(&record);
    }
    assert_eq!(window.key(0), Some(9));
    assert_eq!(window.key(1), None);
    assert_eq!(window.size(1), 77);
    assert_eq!(run("in 10").key(0), None, "keys only in key order");
}

// G2
#[test]
fn restored_marks_finish_records_as_they_come() {
    let marks = finished(&[(11, 13), (15, 16)], None);
    let mut window = Window::new(10, None, Some(marks), false);
    assert_eq!(shown(&window), "10/10 11..13 15..16");
    assert_eq!(window.take_in(&record(10, None)), Taken::New);
    assert_eq!(window.take_in(&record(11, None)), Taken::FinishedBefore);
    assert_eq!(shown(&window), "10/12 11..13 15..16");
    assert_eq!(window.take_in(&record(14, None)), Taken::New);
    assert_eq!(window.take_in(&record(15, None)), Taken::FinishedBefore);
    assert_eq!(window.take_in(&record(16, None)), Taken::New);
    assert_eq!(shown(&window), "10/17 11..14 15..16");
}

#[test]
fn record_newer_than_the_marks_is_another_record() {
    let marks = finished(&[(11, 30)], Some(5));
    let mut window = Window::new(10, Some(5), Some(marks), false);
    assert_eq!(window.take_in(&record(11, Some(5))), Taken::FinishedBefore);
    assert_eq!(window.take_in(&record(12, Some(4))), Taken::FinishedBefore);
    assert_eq!(window.take_in(&record(13, None)), Taken::FinishedBefore);
    assert_eq!(window.take_in(&record(14, Some(6))), Taken::New);
    assert_eq!(window.take_in(&record(15, Some(6))), Taken::New);
}

// Or the marks of old records would be written again under the newer epoch, and believed.
#[test]
fn marks_do_not_outlive_a_newer_epoch() {
    let marks = finished(&[(11, 30)], Some(5));
    let mut window = Window::new(10, Some(5), Some(marks), false);
    window.take_in(&record(10, Some(6)));
    window.take_in(&record(12, Some(6)));
    window.finish(1);
    let marks = window.marks().expect("12 is finished");
    assert_eq!(marks.leader_epoch, Some(6));
    assert_eq!(marks.finished.runs(), [(11, 13)]);
}

#[test]
fn skip_passes_over_what_the_log_lost_but_not_over_what_was_taken_in() {
    let mut window = run("in 10 11 done 11");
    window.skip_to(50);
    assert_eq!(shown(&window), "10/50 11..50");
    follow(&mut window, "in 60 done 10");
    assert_eq!(shown(&window), "60/61");
}

#[derive(Debug, Clone)]
enum Step {
    TakeIn { gap: i64 },
    Finish(prop::sample::Index),
    Position { ahead: i64 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![6 => Just(0), 2 => 1..5i64, 1 => 1..5_000_000_000i64];
    prop::collection::vec(
        prop_oneof![
            6 => gap.prop_map(|gap| Step::TakeIn { gap }),
            5 => any::<prop::sample::Index>().prop_map(Step::Finish),
            1 => (-3..5i64).prop_map(|ahead| Step::Position { ahead }),
            1 => Just(Step::Restart),
        ],
        0..300,
    )
}

/// The whole log and what became of it, naively.
#[derive(Default)]
struct Model {
    log: Vec<i64>,
    finished: BTreeSet<i64>,
    /// Taken in by the present window, by number.
    taken: Vec<i64>,
    frontier: i64,
    /// Every offset below is a record or a gap for ever.
    end: i64,
}

impl Model {
    fn open(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        let taken = self.taken.iter().copied().enumerate();
        taken.filter(|(_, offset)| !self.finished.contains(offset))
    }

    fn take_in(&mut self, window: &mut Window, offset: i64) -> Result<(), TestCaseError> {
        let known = self.finished.contains(&offset);
        let expected = if known {
            Taken::FinishedBefore
        } else {
            Taken::New
        };
        prop_assert_eq!(window.take_in(&record(offset, None)), expected);
        self.taken.push(offset);
        self.frontier = offset + 1;
        self.end = self.end.max(self.frontier);
        Ok(())
    }

    /// Commits, and reads back in another process.
    fn restart(&mut self, window: &Window) -> Result<Window, TestCaseError> {
        let header = Header {
            cluster: None,
            topic: None,
            identity_hash: 1,
            base_offset: window.watermark().0,
            partition_count: 1,
        };
        let text = metadata::encode(&header, window.marks().as_ref(), usize::MAX).text;
        let expect = Expectation {
            cluster: None,
            topic: None,
            identity_hash: 1,
        };
        let decoded = metadata::decode(text.as_bytes(), &expect, header.base_offset);
        let Decoded::Ours { marks, .. } = decoded else {
            return Err(TestCaseError::fail("not ours"));
        };
        let mut next = Window::new(header.base_offset, None, marks, false);
        let again = self.log.clone();
        self.taken.clear();
        self.frontier = header.base_offset;
        for offset in again
            .into_iter()
            .filter(|offset| *offset >= header.base_offset)
        {
            self.take_in(&mut next, offset)?;
        }
        Ok(next)
    }

    fn check(&self, window: &Window) -> Result<(), TestCaseError> {
        let lowest = self
            .open()
            .next()
            .map_or(self.frontier, |(_, offset)| offset);
        prop_assert_eq!(window.watermark().0, lowest, "W2, W3");
        prop_assert_eq!(window.frontier().0, self.frontier);
        prop_assert_eq!(window.unfinished(), self.open().count() as u64);
        prop_assert!(window.pages() as u64 <= window.unfinished(), "W4");
        // Whatever the marks say is finished is finished or absent, and the other way round.
        let marks = window.marks();
        for (number, offset) in self.taken.iter().copied().enumerate() {
            let open = !self.finished.contains(&offset);
            prop_assert_eq!(window.offset(number as u64), open.then_some(offset));
            let marked = marks
                .as_ref()
                .is_some_and(|marks| marks.finished.contains(offset));
            prop_assert_eq!(open, !marked && offset >= lowest, "I-S1, G2: {}", offset);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn window_agrees_with_a_sorted_set_over_any_history_with_restarts(steps in steps()) {
        let mut window = Window::new(0, None, None, false);
        let mut model = Model::default();
        for step in steps {
            let before = window.watermark();
            match step {
                Step::TakeIn { gap } => {
                    let offset = model.end + gap;
                    model.log.push(offset);
                    model.take_in(&mut window, offset)?;
                }
                Step::Finish(index) => {
                    let open: Vec<_> = model.open().collect();
                    if !open.is_empty() {
                        let (number, offset) = open[index.index(open.len())];
                        prop_assert_eq!(window.finish(number as u64), Some(offset));
                        model.finished.insert(offset);
                    }
                }
                Step::Position { ahead } => {
                    // The client passes gaps only, and those stay gaps.
                    let position = if ahead > 0 { model.end } else { model.frontier } + ahead;
                    window.raise_frontier(position);
                    model.frontier = model.frontier.max(position);
                    model.end = model.end.max(position);
                }
                Step::Restart => window = model.restart(&window)?,
            }
            prop_assert!(before <= window.watermark(), "W1");
            model.check(&window)?;
        }
    }
}

proptest! {
    // A message is finished at once, in the order of its lanes, over any pages; some of it may be finished already.
    #[test]
    fn records_finished_together_are_those_finished_one_by_one(
        numbers in proptest::collection::vec(0u64..400, 1..300),
        before in proptest::collection::vec(0u64..400, 0..40),
    ) {
        let filled = || {
            let mut window = Window::new(0, None, None, false);
            for number in 0..400 {
                let offset = number * 3;
                window.take_in(&PoppedRecord {
                    size: u32::try_from(number + 1).unwrap(),
                    ..record(offset, Some(i32::try_from(number / 150).unwrap()))
                });
            }
            for number in &before {
                window.finish(*number);
            }
            window
        };
        let (mut together, mut one_by_one) = (filled(), filled());
        let finished = together.finish_all(&numbers);
        let mut bytes = 0;
        let mut highest = None;
        for number in &numbers {
            let size = one_by_one.size(*number);
            if let Some(offset) = one_by_one.finish(*number) {
                bytes += size;
                highest = highest.max(Some((*number, offset)));
            }
        }
        prop_assert_eq!((finished.bytes, finished.last), (bytes, highest));
        prop_assert_eq!(together.unfinished(), one_by_one.unfinished());
        prop_assert_eq!(together.watermark(), one_by_one.watermark());
        prop_assert_eq!(together.marks().map(|marks| marks.finished), one_by_one.marks().map(|marks| marks.finished));
    }
}
