//! What the README shows is what the tests run and what the program prints.
//!
//! `ACKLINE_REGENERATE=1 cargo test --test it source::readme` writes its tables anew.

use super::failure_table::{problems_in, test_names};
use super::rust_files;
use crate::harness::repository;

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

/// A page that says `<!-- file: PATH -->` shows that file in the block that follows.
#[test]
fn files_that_pages_show_are_those_that_are_tested() {
    let shown = [
        ("README.md", 1), // Python
        ("docs/clients.md", 4),
        ("docs/testing.md", 2),
    ];
    for (page, count) in shown {
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        let mut files = 0;
        for after in text.split("<!-- file: ").skip(1) {
            let (file, rest) = after.split_once(" -->\n\n```").unwrap();
            let block = rest
                .split_once('\n')
                .unwrap()
                .1
                .split_once("```\n")
                .unwrap()
                .0;
            let tested = std::fs::read_to_string(repository().join(file)).unwrap();
            assert!(block == tested, "{page} shows another {file} than there is");
            files += 1;
        }
        assert_eq!(files, count, "{page}");
    }
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist() {
    let tests = test_names(&rust_files(&["src", "tests"]));
    let problems = problems_in(&readme(), &tests);
    assert!(problems.is_empty(), "README.md:\n{}", problems.join("\n"));
}

#[test]
fn the_tables_of_the_readme_are_what_the_program_prints() {
    let committed = readme();
    let tables = [
        ("settings", ackline::config::reference()),
        ("metrics", ackline::observe::metrics_reference()),
    ];
    let fresh = tables
        .iter()
        .fold(committed.clone(), |page, (name, table)| {
            with_table(&page, name, table)
        });
    if std::env::var_os("ACKLINE_REGENERATE").is_some() {
        std::fs::write(repository().join("README.md"), &fresh).unwrap();
        return;
    }
    assert!(
        committed == fresh,
        "a table of the README is out of date; run `ACKLINE_REGENERATE=1 cargo test --test it source::readme`"
    );
}

/// The page with this table between its two markers.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- table: {name} -->\n"),
        format!("<!-- end: {name} -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("the README has no line {begin}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("the README has no line {end}"));
    format!("{before}{begin}\n{table}\n{end}{after}")
}
