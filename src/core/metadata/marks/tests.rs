use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Runs of the offsets of a set.
fn runs(offsets: &BTreeSet<i64>) -> FinishedRuns {
    let mut runs = FinishedRuns::default();
    for offset in offsets {
        runs.push(*offset, offset + 1);
    }
    runs
}

fn of(finished: FinishedRuns) -> Marks {
    Marks {
        finished,
        ..Marks::default()
    }
}

fn written(base: i64, marks: &Marks) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(put(&mut bytes, base, marks, usize::MAX));
    bytes
}

fn read_back(bytes: &[u8], base: i64) -> Option<Marks> {
    read(&mut Reader { bytes }, base)
}

/// One record of `of` is finished, drawn with a fixed seed.
fn drawn(records: i64, finished_percent: u64) -> BTreeSet<i64> {
    let mut state = 7_u64;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 100
    };
    (1..records).filter(|_| draw() < finished_percent).collect()
}

#[test]
fn bytes_are_what_the_documentation_says() {
    let mut two = FinishedRuns::default();
    two.push(12, 15);
    two.push(300, 301);
    let marks = Marks {
        leader_epoch: Some(4),
        finished: two,
        retried: vec![
            Retried {
                offset: 11,
                attempts: 3,
                failures: 2,
            },
            Retried {
                offset: 15,
                attempts: 300,
                failures: 1,
            },
        ],
    };
    // Gaps 2 and 284 (285 less one) in order 5: 1 00010 and 0001001 11100; lengths 2 and 0 in order 0: 011 and 1.
    #[rustfmt::skip]
    let documented = [
        5,  RUNS, 5, 0,  2,  0b1000_1001, 0b1000_1001, 0b1110_0100,  1, 3, 2,  3, 0xac, 0x02, 1,
    ];
    assert_eq!(written(10, &marks), documented);
    let alternating = of(runs(&(10..40).step_by(2).collect()));
    assert_eq!(
        written(10, &alternating),
        [0, BITMAP, 4, 0x55, 0x55, 0x55, 0x15]
    );
}

/// The figures of `docs/performance.md`, so that they stay true.
#[test]
fn two_thousand_records_take_a_quarter_of_a_kilobyte_at_most() {
    let len = |percent| written(0, &of(runs(&drawn(2000, percent)))).len();
    let lens = [50, 90, 99].map(len);
    assert_eq!(lens, [254, 147, 32]);
    let mut all_but_the_first = FinishedRuns::default();
    all_but_the_first.push(1, 10_000_000);
    assert_eq!(written(0, &of(all_but_the_first)).len(), 9);
}

#[test]
fn finished_that_do_not_fit_are_left_out_whole_and_the_lowest_retried_stay() {
    let mut marks = of(runs(&drawn(800, 50)));
    marks.retried = (0..40)
        .map(|offset| Retried {
            offset: offset * 20,
            attempts: 1,
            failures: 1,
        })
        .collect();
    let full = written(0, &marks).len();
    for limit in 0..full {
        let mut bytes = Vec::new();
        let kept = put(&mut bytes, 0, &marks, limit);
        assert!(bytes.len() <= limit);
        if bytes.is_empty() {
            continue;
        }
        let read = read_back(&bytes, 0).expect("well formed");
        assert_eq!(read.finished.is_empty(), !kept);
        assert!(marks.retried.starts_with(&read.retried));
    }
}

#[test]
fn no_more_are_written_than_are_read() {
    let many: Vec<Retried> = (0..1000)
        .map(|offset| Retried {
            offset,
            attempts: 1,
            failures: 1,
        })
        .collect();
    let marks = Marks {
        retried: many.clone(),
        ..Marks::default()
    };
    let read = read_back(&written(0, &marks), 0).expect("well formed");
    assert_eq!(read.retried, many[..RETRIED_MAX]);
}

#[test]
fn run_of_billions_is_one_run() {
    let length = (i64::MAX - 10).unsigned_abs();
    let mut bytes = vec![0, RUNS, ORDER_MAX, ORDER_MAX, 1];
    let mut bits = BitWriter::new(&mut bytes);
    bits.number(1, ORDER_MAX);
    bits.number(length - 1, ORDER_MAX);
    let marks = read_back(&bytes, 5).expect("well formed");
    assert_eq!(marks.finished.runs(), [(6, i64::MAX - 4)]);
    assert_eq!(read_back(&bytes, 10), None, "past the end of offsets");
}

#[test]
fn forged_marks_are_refused() {
    let base = i64::MAX - 100;
    #[rustfmt::skip]
    let forged: [(&str, &[u8]); 18] = [
        ("an epoch and nothing else", &[0]),
        ("nothing is finished and nothing failed", &[0, NONE]),
        ("a kind that does not exist", &[0, 3]),
        ("an empty bitmap", &[0, BITMAP, 0]),
        ("a bitmap that ends with nothing", &[0, BITMAP, 2, 1, 0]),
        ("a bitmap longer than the text", &[0, BITMAP, 5, 1]),
        ("a bitmap past the end of offsets", &[0, BITMAP, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]),
        ("a bitmap of a length past counting", &[0, BITMAP, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ("no runs", &[0, RUNS, 0, 0, 0]),
        ("an order that does not exist", &[0, RUNS, 63, 0, 1, 0xc0]),
        ("fewer runs than it says", &[0, RUNS, 0, 0, 5, 0xc0]),
        ("padding that is not zero", &[0, RUNS, 0, 0, 1, 0xe0]),
        ("billions of runs", &[0, RUNS, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff]),
        ("failed records that never failed", &[0, NONE, 1, 1, 0]),
        ("more failures than deliveries", &[0, NONE, 1, 1, 2]),
        ("failed records past the end of offsets", &[0, NONE, 101, 1, 1]),
        ("half a failed record", &[0, NONE, 1, 1]),
        ("an epoch that Kafka has no room for", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, NONE, 1, 1, 1]),
    ];
    for (what, bytes) in forged {
        assert_eq!(read_back(bytes, base), None, "{what}");
    }
    let right: &[u8] = &[0, RUNS, 0, 0, 1, 0xc0];
    assert_eq!(
        read_back(right, base).map(|marks| marks.finished.offsets()),
        Some(1)
    );
}

prop_compose! {
    /// A window: which of its records are finished, and where they lie.
    fn window()(
        steps in proptest::collection::vec((prop_oneof![9 => Just(1_i64), 1 => 1_i64..3000], any::<bool>()), 1..400),
        base in 0_i64..1 << 50,
    ) -> (i64, Vec<(i64, bool)>) {
        let mut at = base - 1;
        let mut records: Vec<(i64, bool)> = steps.into_iter().map(|(step, finished)| {
            at += step;
            (at, finished)
        }).collect();
        // The first is the watermark.
        records[0] = (base, false);
        let mut at = base;
        for record in records.iter_mut().skip(1) {
            record.0 = record.0.max(at + 1);
            at = record.0;
        }
        (base, records)
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        (base, records) in window(), epoch in proptest::option::of(0..=i32::MAX), gaps_too in any::<bool>(),
    ) {
        let mut finished = FinishedRuns::default();
        let mut retried = Vec::new();
        let mut after_finished = false;
        let mut end = base;
        for (offset, is_finished) in &records {
            if *is_finished {
                finished.push(if after_finished && gaps_too { end } else { *offset }, offset + 1);
            } else if offset % 3 == 0 {
                retried.push(Retried { offset: *offset, attempts: 2, failures: 1 });
            }
            after_finished = *is_finished;
            end = offset + 1;
        }
        retried.truncate(RETRIED_MAX);
        let marks = Marks { leader_epoch: epoch, finished, retried };
        prop_assume!(!marks.is_empty());
        prop_assert_eq!(read_back(&written(base, &marks), base), Some(marks));
    }

    // D5, as the window writes them: gaps between finished records count as finished.
    #[test]
    fn no_window_takes_more_bits_than_was_said((base, records) in window()) {
        let unfinished = records.iter().filter(|(_, finished)| !finished).count() as u64;
        let mut finished = FinishedRuns::default();
        let mut before = base;
        let mut previous = false;
        for (offset, is_finished) in &records {
            if *is_finished {
                finished.push(if previous { before } else { *offset }, offset + 1);
            }
            previous = *is_finished;
            before = offset + 1;
        }
        prop_assume!(!finished.is_empty());
        let len = written(base, &of(finished)).len();
        let at_most = bits_at_most(base.abs_diff(before), records.len() as u64, unfinished);
        prop_assert!(
            len as u64 * 8 <= at_most + OVERHEAD as u64 * 8,
            "{} bits, at most {}", len * 8, at_most
        );
    }

    // D2.
    #[test]
    fn any_bytes_are_marks_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200), base in 0..i64::MAX) {
        if let Some(marks) = read_back(&bytes, base) {
            prop_assert!(marks.finished.runs().len() <= bytes.len() * 4);
            prop_assert!(marks.finished.runs().iter().all(|(from, to)| base <= *from && from < to));
            prop_assert!(marks.retried.len() <= bytes.len() / 3);
        }
    }
}
