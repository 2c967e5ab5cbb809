//! The core decides and does nothing else: `src/core` names no runtime, no client, no clock, no
//! chance and no socket. That is what lets a seed replay a history.

use super::rust_files;

/// What must not be named, and why.
const FORBIDDEN: [(&str, &str); 16] = [
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
    ("collections::Hash", "its order differs from run to run"),
    ("tracing::", "what happened is an effect"),
];

#[test]
fn the_core_names_nothing_that_does_something() {
    let mut found = Vec::new();
    for source in rust_files(&["src/core"]) {
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, why) in FORBIDDEN {
                if code.contains(word) {
                    found.push(format!("{}:{}: {word} ({why})", source.name(), index + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
