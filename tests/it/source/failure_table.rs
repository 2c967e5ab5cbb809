//! `docs/failures.md` promises a test for each failure. A promise is kept if a test of that name
//! exists.
//!
//! A row of its tables begins with an id (`B10`, `C-5`, `I-S1`), and its last cell names tests in
//! back quotes. The promises of the README (`G1`) are checked in the same way.

use std::collections::BTreeSet;

use super::{Source, rust_files};
use crate::harness::repository;

#[test]
fn every_row_of_the_failure_table_names_tests_that_exist() {
    let table = std::fs::read_to_string(repository().join("docs/failures.md")).unwrap();
    let tests = test_names(&rust_files(&["src", "tests"]));
    let problems = problems_in(&table, &tests);
    assert!(
        problems.is_empty(),
        "docs/failures.md:\n{}",
        problems.join("\n")
    );
}

/// What is wrong with the tables of a page; nothing at all being there is wrong as well.
pub(super) fn problems_in(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(id), Some(last)) = (cells.first(), cells.last()) else {
            continue;
        };
        if !is_id(id) {
            continue;
        }
        if !ids.insert(*id) {
            problems.push(format!("{id} has two rows"));
        }
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            problems.push(format!("{id} names no test"));
        }
        let missing = named.iter().filter(|name| !tests.contains(**name));
        problems.extend(missing.map(|name| format!("{id} names `{name}`, which is no test")));
    }
    if ids.is_empty() {
        problems.push("there is no row that begins with an id".to_owned());
    }
    problems
}

/// Letters, perhaps a hyphen and letters, then a number: `B10`, `C-5`, `I-S1`.
fn is_id(cell: &str) -> bool {
    let bare = cell.trim_matches(['`', '*']);
    let letters = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.len() < bare.len()
        && letters.starts_with(|c: char| c.is_ascii_uppercase())
        && letters.chars().all(|c| c.is_ascii_uppercase() || c == '-')
}

/// Names of all test functions, and of scenarios that a macro makes tests of.
pub(super) fn test_names(sources: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources {
        // Whether an attribute that makes a test stands above, with nothing but attributes and
        // comments in between.
        let mut marked = false;
        for makes_tests in ["on_every_protocol!(", "on_every_client!("] {
            let scenarios = source.text.split(makes_tests).skip(1);
            names.extend(scenarios.filter_map(|after| leading_name(after.trim_start())));
        }
        for line in source.text.lines().map(str::trim) {
            if line.starts_with("#[") {
                marked |= line.contains("test]") || line.contains("::test(");
            } else if !line.starts_with("//") {
                if marked {
                    names.extend(function_name(line));
                }
                marked = false;
            }
        }
    }
    names
}

fn function_name(line: &str) -> Option<String> {
    leading_name(line.split_once("fn ")?.1)
}

fn leading_name(after: &str) -> Option<String> {
    let name: String = after
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn check(page: &str) -> Vec<String> {
        let text = "
            #[test]
            fn plain_test() {}

            /// With words above it.
            #[tokio::test(start_paused = true)]
            // and a comment in between
            async fn paused_test() {}

            async fn scenario(member: Member) {}
            on_every_protocol!(scenario);

            fn no_test() {}
        ";
        let sources = [Source {
            path: PathBuf::new(),
            text: text.to_owned(),
        }];
        problems_in(page, &test_names(&sources))
    }

    #[test]
    fn rows_with_existing_tests_are_accepted() {
        let page = "| # | failure | tests |\n|---|---|---|\n\
                    | B1 | gaps | `plain_test`, `paused_test` |\n| C-2 | theft | by `scenario` |";
        assert_eq!(check(page), Vec::<String>::new());
    }

    #[test]
    fn a_row_without_a_test_or_with_an_unknown_one_is_refused() {
        let page =
            "| B1 | gaps | soon |\n| I-S1 | safety | `no_test` |\n| B1 | again | `scenario` |";
        let expected = [
            "B1 names no test",
            "I-S1 names `no_test`, which is no test",
            "B1 has two rows",
        ];
        assert_eq!(check(page), expected);
    }

    #[test]
    fn a_page_without_rows_is_refused() {
        assert_eq!(
            check("# Failures\n| # | failure |"),
            ["there is no row that begins with an id"]
        );
    }
}
