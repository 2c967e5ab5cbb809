//! A file holds one concept, and a concept fits into 500 lines.

use super::rust_files;

const LINES_MAX: usize = 500;

#[test]
fn no_file_outgrows_a_concept() {
    let long: Vec<String> = rust_files(&["src", "tests"])
        .into_iter()
        .filter(|source| !source.name().contains("/generated/"))
        .map(|source| (source.text.lines().count(), source.name()))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LINES_MAX} lines:\n{}",
        long.join("\n")
    );
}
