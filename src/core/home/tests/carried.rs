//! What goes from one home to the next.

use super::super::super::harness::*;
use super::super::super::*;
use super::super::carried::GIVEN_UP_MAX;
use super::{answer, assignment_of, at, at_home, kept_by_applications, open};

fn deadly() -> Settings {
    Settings {
        positions: Positions::Application,
        ..delivered(Policy {
            order: Order::None,
            deaths_max: 3,
            then: WhenSpent::DeadLetter,
            ..policy()
        })
    }
}

/// Another home takes the partition from offset 0, is given what comes, and dies of it.
fn next_dies(bench: &mut Bench, stream: u64, records: &str) -> String {
    open(bench, stream);
    answer(bench, stream, 0, at(0)).unwrap();
    bench.pop(records);
    let held = bench.pull(stream);
    bench.die(stream);
    bench.pass(seconds(2));
    held
}

// P4
#[test]
fn a_record_that_kills_every_home_is_given_up() {
    let mut bench = at_home(deadly());
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.die(1);
    bench.pass(seconds(2));
    let mut held = Vec::new();
    for stream in 2..12 {
        held.push(next_dies(&mut bench, stream, "a b"));
        if !bench.lines("dead letter").is_empty() {
            break;
        }
    }
    let alone = held
        .iter()
        .filter(|held| *held == "0" || held.starts_with("0*"));
    assert!(alone.count() >= 3, "{held:?}");
    assert!(!bench.core.assignments.is_empty());
    open(&mut bench, 50);
    answer(&mut bench, 50, 0, at(0)).unwrap();
    bench.pop("a b c");
    bench.pass(millis(1));
    assert_eq!(
        bench.lines("dead letter").len(),
        1,
        "once more: nobody kept that it went there"
    );
    let mut given = Vec::new();
    for _ in 0..4 {
        let more = bench.pull(50);
        let names: Vec<String> = more.split_whitespace().map(str::to_owned).collect();
        for name in &names {
            let number = name.split('*').next().unwrap_or_default();
            bench.ack(number);
        }
        given.extend(names);
    }
    assert!(given.iter().all(|name| !name.starts_with('0')), "{given:?}");
}

#[test]
fn how_often_a_record_failed_goes_along() {
    let mut bench = at_home(kept_by_applications());
    bench.pop("a");
    bench.pull(1);
    bench.retry("0");
    bench.closing(1);
    open(&mut bench, 2);
    answer(&mut bench, 2, 0, at(0)).unwrap();
    bench.pop("a");
    bench.pass(seconds(5));
    assert_eq!(bench.pull(2), "0*2");
}

#[test]
fn what_is_remembered_of_given_up_records_is_bounded() {
    let mut bench = at_home(deadly());
    let id = assignment_of(&bench, 0);
    let count = GIVEN_UP_MAX + 10;
    bench.pop(&"a ".repeat(count));
    let state = bench.core.assignments.get_mut(&id).unwrap();
    for number in 0..count as u64 {
        state.remember_given_up(number, Cause::Crashes, &"died".into());
    }
    assert_eq!(state.from_home.given_up_count(), GIVEN_UP_MAX);
}
