//! What the pages for operators name is there, and what there is they name.

use std::collections::BTreeSet;

use ackline::core::Blocked;

use crate::harness::repository;

pub(super) fn page(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// Names in the first cells of the table that begins with this line.
pub(super) fn first_cells(page: &str, head: &str) -> BTreeSet<String> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let name = |row: &str| row.split('`').nth(1).map(str::to_owned);
    rows.filter_map(name).collect()
}

#[test]
fn every_reason_why_a_partition_is_blocked_has_a_remedy() {
    let told = first_cells(
        &page("docs/operations.md"),
        "| reason | meaning | what to do |",
    );
    let known = BTreeSet::from(Blocked::LABELS.map(str::to_owned));
    assert_eq!(told, known);
}

#[test]
fn alerts_name_reasons_that_exist() {
    let page = page("docs/operations.md");
    let (_, after) = page.split_once("{reason=~\"").unwrap();
    let (reasons, _) = after.split_once('"').unwrap();
    for reason in reasons.split("\\|") {
        assert!(Blocked::LABELS.contains(&reason), "{reason}");
    }
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let reference = ackline::observe::metrics_reference();
    let mut known = metrics_in(&reference);
    // A table, and no metric.
    known.insert("ackline_offsets".to_owned());
    for name in [
        "README.md",
        "docs/operations.md",
        "docs/failures.md",
        "docs/topics.md",
    ] {
        let named = metrics_in(&page(name));
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
}

/// Words that begin like a metric, without a file's ending.
pub(super) fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.match_indices("ackline_").map(|(start, _)| {
        let rest = &text[start..];
        rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())].to_owned()
    });
    words.collect()
}
