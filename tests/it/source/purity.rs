//! The core decides and does nothing else: `src/core` names no runtime, no client, no clock, no
//! chance and no socket. That is what lets a seed replay a history.

use super::rust_files;

/// What must not be named, and why.
const FORBIDDEN: [(&str, &str); 17] = [
    ("tokio", "no runtime"),
    ("futures_util", "nothing waits"),
    ("async ", "nothing waits"),
    (".await", "nothing waits"),
    ("rdkafka", "no client"),
    ("tonic", "no server"),
    ("prost", "no wire format"),
    ("std::net", "no sockets"),
    ("std::io", "no I/O"),
    ("std::fs", "no files"),
    ("std::thread", "no threads"),
    ("Instant", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("getrandom", "chance comes from a seed"),
    ("collections::HashMap", "its order differs from run to run"),
    ("collections::HashSet", "its order differs from run to run"),
    ("tracing::", "what happened is an effect"),
];

#[test]
fn the_core_names_nothing_that_does_something() {
    let mut found = Vec::new();
    // Tests of the core may look at a clock: they are not replayed.
    let decides = |name: &str| !name.ends_with("/tests.rs");
    for source in rust_files(&["src/core"])
        .into_iter()
        .filter(|source| decides(&source.name()))
    {
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, why) in FORBIDDEN {
                if names(code, word) {
                    found.push(format!("{}:{}: {word} ({why})", source.name(), index + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether `word` stands in `code` and is not part of a longer name.
fn names(code: &str, word: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(in_name);
        let after = code[at + word.len()..].chars().next().is_some_and(in_name);
        let whole_start = !(word.starts_with(in_name) && before);
        let whole_end = !(word.ends_with(in_name) && after);
        whole_start && whole_end
    })
}

#[test]
fn a_word_inside_of_a_longer_name_is_no_word() {
    assert!(names("use tokio::time;", "tokio"));
    assert!(names("let at = Instant::now();", "Instant"));
    assert!(names("socket.accept().await?", ".await"));
    assert!(names(
        "use std::collections::HashMap;",
        "collections::HashMap"
    ));
    assert!(!names("self.await_commit(wait)", ".await"));
    assert!(!names("Instantly", "Instant"));
}
