//! Pods by example: one that is plain, some twenty that differ from it by one thing, and all pairs of these. What
//! each of them gets stands in `golden/pods.txt`, so that a change of the injector is read there.
//!
//! `ACKLINE_REGENERATE=1 cargo test --lib k8s::tests::golden` writes the file anew.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::{Addition, Injection, Values, inject, inject_manifests};
use super::random::contains;
use super::{VALUES, applied, pod};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/k8s/tests/golden/pods.txt");
/// More than somebody reads.
const LINES_MAX: usize = 6_000;

const HEAD: &str = "\
# What pods get; src/k8s/tests/golden.rs says how they are made. First all of what the plain one gets, then for each
# variation, and each two of them, what is there besides (+) and what is not (-).
";

/// A pod, and the platform that it is created on.
struct Example {
    name: String,
    pod: Value,
    platform: Value,
}

/// The plain one first.
fn examples() -> Vec<Example> {
    let variations: Map<String, Value> =
        serde_saphyr::from_str(include_str!("golden/variations.yaml")).unwrap();
    let all: Vec<_> = variations.iter().collect();
    let plain = example(&[]);
    let single = all.iter().map(|one| example(&[*one]));
    let pairs = all.iter().enumerate().flat_map(|(index, first)| {
        let rest = &all[index + 1..];
        rest.iter().map(|second| example(&[*first, *second]))
    });
    [plain].into_iter().chain(single).chain(pairs).collect()
}

fn example(variations: &[(&String, &Value)]) -> Example {
    let mut example = Example {
        name: "plain".to_owned(),
        pod: pod(),
        platform: serde_saphyr::from_str(VALUES).unwrap(),
    };
    for (_, variation) in variations {
        for (place, change) in variation.as_object().unwrap() {
            let into = match place.as_str() {
                "pod" => &mut example.pod,
                "app" => &mut example.pod["spec"]["containers"][0],
                "platform" => &mut example.platform,
                other => panic!("{other} is no part of a variation"),
            };
            merge(into, change);
        }
    }
    if !variations.is_empty() {
        let names: Vec<&str> = variations.iter().map(|(name, _)| name.as_str()).collect();
        example.name = names.join(" + ");
    }
    example
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                // Of users `null` means something.
                if value.is_null() && key != "runAsUser" {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(change)) => into.extend(change.iter().cloned()),
        (into, change) => *into = change.clone(),
    }
}

/// What becomes of a pod, one thing a line.
fn outcome(example: &Example) -> Vec<String> {
    let values = Values::parse(&example.platform.to_string()).unwrap();
    match inject(&example.pod, &values) {
        Ok(injection) => {
            hold_the_invariants(example, &injection, &values);
            told(&injection)
        }
        Err(mistakes) => {
            let refused = mistakes.to_string();
            let refused = refused.lines().map(|line| format!("refused:{line}"));
            refused.collect()
        }
    }
}

/// K1, K2 and K4.
fn hold_the_invariants(example: &Example, injection: &Injection, values: &Values) {
    let name = &example.name;
    let after = applied(&example.pod, injection.clone());
    assert!(contains(&after, &example.pod), "{name}: {after:#}");
    let again = inject(&after, values).unwrap();
    assert_eq!(again.additions, [], "{name}");
    let printed = inject_manifests(&example.pod.to_string(), values).unwrap();
    let printed: Value = serde_saphyr::from_str(&printed.text).unwrap();
    assert_eq!(printed, after, "{name}");
}

fn told(injection: &Injection) -> Vec<String> {
    let mut lines = Vec::new();
    if injection.additions.is_empty() {
        lines.push("nothing is added".to_owned());
    }
    for Addition { path, value } in &injection.additions {
        // What is added to a list is told alike, whether the list was there or not.
        if let Value::Array(items) = value {
            lines.push(format!("{path}: a list"));
            for item in items {
                tell_item(path, item, &mut lines);
            }
        } else if path.ends_with("/-") || value["name"] == "ackline" {
            tell_item(path.trim_end_matches("/-"), value, &mut lines);
        } else {
            tell(&path.replace("~1", "/"), value, &mut lines);
        }
    }
    let warnings = injection.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines
}

/// Something of a list. Of the sidecar it is told apart where it stands and what it is.
fn tell_item(list: &str, item: &Value, lines: &mut Vec<String>) {
    match item["name"].as_str() {
        Some("ackline") => {
            lines.push(format!("{list}: sidecar"));
            tell("sidecar", item, lines);
        }
        Some(name) => tell(&format!("{list}/{name}"), item, lines),
        None => lines.push(format!("{list}: {item}")),
    }
}

fn tell(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields.iter().filter(|(key, _)| *key != "name") {
                tell(&format!("{path}/{key}"), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(|item| item["name"].is_string()) => {
            for item in items {
                tell_item(path, item, lines);
            }
        }
        Value::String(text) if text.contains('\n') => {
            lines.extend(text.lines().map(|line| format!("{path}: | {line}")));
        }
        // The version is another one in each release.
        Value::String(text) if text == env!("CARGO_PKG_VERSION") => {
            lines.push(format!("{path}: (our version)"));
        }
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => lines.push(format!("{path}: {other}")),
    }
}

/// What is in one and not in the other, each as often as it is.
fn without<'a>(these: &'a [String], those: &[String]) -> Vec<&'a String> {
    let mut left: Vec<&String> = those.iter().collect();
    let mut found = Vec::new();
    for line in these {
        match left.iter().position(|it| *it == line) {
            Some(index) => {
                left.swap_remove(index);
            }
            None => found.push(line),
        }
    }
    found
}

fn written() -> String {
    let mut text = HEAD.to_owned();
    let mut plain: Option<Vec<String>> = None;
    for example in examples() {
        let outcome = outcome(&example);
        let _ = write!(text, "\n{}\n", example.name);
        let Some(plain) = &plain else {
            for line in &outcome {
                let _ = writeln!(text, "  {line}");
            }
            plain = Some(outcome);
            continue;
        };
        if outcome == *plain {
            text.push_str("  = plain\n");
        }
        // Where nothing is made, all of it is missing.
        let is_made = outcome.contains(&plain[0]);
        let missing = without(plain, &outcome);
        for line in missing.into_iter().filter(|_| is_made) {
            let _ = writeln!(text, "  - {line}");
        }
        for line in without(&outcome, plain) {
            let _ = writeln!(text, "  + {line}");
        }
    }
    text
}

#[test]
fn pods_get_what_the_golden_file_says() {
    let now = written();
    let count = now.split("\n\n").count() - 1;
    assert!(count >= 200, "{count} pods");
    assert!(now.lines().count() <= LINES_MAX);
    if std::env::var_os("ACKLINE_REGENERATE").is_some() {
        std::fs::write(FILE, now).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(FILE).unwrap();
    let mut blocks = golden.split("\n\n").zip(now.split("\n\n"));
    if let Some((golden, now)) = blocks.find(|(golden, now)| golden != now) {
        panic!(
            "{FILE} says otherwise; if this is right, run `ACKLINE_REGENERATE=1 cargo test --lib k8s::tests::golden`\n\
             in the file:\n{golden}\nnow:\n{now}"
        );
    }
    assert_eq!(golden.len(), now.len(), "pods at the end of {FILE}");
}
