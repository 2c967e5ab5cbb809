//! What Prometheus, Grafana, KEDA and the runbook name is there, and every alert and every reason has a page.
//!
//! Whether queries are valid, and when alerts are on, is for Prometheus' own tool to say: `tests/monitoring/run`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use ackline::cli::{Invocation, execute};
use ackline::core::Blocked;
use ackline::k8s::Admission;
use ackline::observe::injector_metrics;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::operations::{first_cells, metrics_in, page};
use super::rust_files;
use crate::harness::repository;

const RULES: [&str; 2] = [
    "deploy/charts/ackline/files/alerts.yaml",
    "deploy/charts/ackline/files/injector-alerts.yaml",
];
const DASHBOARD: &str = "deploy/charts/ackline/files/dashboard.json";
const KEDA: [&str; 2] = [
    "deploy/examples/keda/scaledobject.yaml",
    "deploy/examples/keda/scaledobject-to-zero.yaml",
];

/// What a PodMonitor gives to every series.
const OF_THE_POD: [&str; 3] = ["namespace", "pod", "group"];

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    after: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn alerts() -> Vec<Alert> {
    let rules = RULES.map(|file| serde_saphyr::from_str::<Rules>(&page(file)).unwrap());
    let groups = rules.into_iter().flat_map(|rules| rules.groups);
    groups.flat_map(|group| group.rules).collect()
}

/// Pages of the runbook by name; its index is not one of them.
fn pages() -> BTreeMap<String, String> {
    let folder = repository().join("docs/runbook");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let page = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        (name != "README").then(|| (name, std::fs::read_to_string(&path).unwrap()))
    };
    files.filter_map(page).collect()
}

fn index() -> String {
    page("docs/runbook/README.md")
}

/// Every string of the dashboard, unescaped.
fn strings_of(value: &Value, found: &mut String) {
    match value {
        Value::String(text) => {
            found.push_str(text);
            found.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| strings_of(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings_of(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// All that holds queries, by the name of its file.
fn queries() -> Vec<(&'static str, String)> {
    let mut dashboard = String::new();
    let json = serde_json::from_str(&page(DASHBOARD)).unwrap();
    strings_of(&json, &mut dashboard);
    let text = RULES.iter().chain(&KEDA).map(|file| (*file, page(file)));
    text.chain([(DASHBOARD, dashboard)]).collect()
}

/// Every metric with its labels.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let reference = ackline::observe::metrics_reference();
    let row = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let names = |cell: &str| -> Vec<String> {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect()
        };
        let name = names(cells[0]).pop()?;
        Some((name, names(cells[2]).into_iter().collect()))
    };
    let injector = injector_metrics().map(|(name, labels)| {
        let labels = labels.iter().map(|label| (*label).to_owned());
        (name, labels.collect())
    });
    reference.lines().filter_map(row).chain(injector).collect()
}

/// A condition on a label of one of our metrics.
struct Matcher {
    metric: String,
    label: String,
    values: Vec<String>,
}

fn matchers(query: &str) -> Vec<Matcher> {
    let selector = Regex::new(r"(ackline_[a-z0-9_]+)\{([^}]*)\}").unwrap();
    let matcher = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
    let mut found = Vec::new();
    for selected in selector.captures_iter(query) {
        found.extend(matcher.captures_iter(&selected[2]).map(|one| Matcher {
            metric: selected[1].to_owned(),
            label: one[1].to_owned(),
            values: one[2].split('|').map(str::to_owned).collect(),
        }));
    }
    found
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let pages = pages();
    let alerts = alerts();
    let names: BTreeSet<&String> = alerts.iter().map(|alert| &alert.alert).collect();
    assert_eq!(names, pages.keys().collect());
    assert_eq!(names.len(), alerts.len(), "an alert is there twice");
    for alert in &alerts {
        let name = &alert.alert;
        let file = format!("docs/runbook/{name}.md");
        assert_eq!(alert.annotations["runbook"], file);
        assert!(
            index().contains(&format!("| [{name}]({name}.md) |")),
            "{name}"
        );
        let severity = &alert.labels["severity"];
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}");
        let when = alert
            .after
            .as_ref()
            .map_or("at once".to_owned(), |after| format!("after {after}"));
        let page = &pages[name];
        assert!(
            page.starts_with(&format!("# {name}\n\n`{severity}`, {when}.")),
            "{name}"
        );
        for part in [
            "It means",
            "Users notice",
            "Look:",
            "End it:",
            "Do not",
            "Escalate",
        ] {
            assert!(
                page.contains(&format!("\n**{part}**")),
                "{name} lacks {part}"
            );
        }
        for key in ["summary", "description", "command"] {
            assert!(alert.annotations.contains_key(key), "{name} lacks {key}");
        }
    }
}

#[test]
fn every_reason_has_a_row_in_the_index_of_the_runbook_and_its_page_names_it() {
    let index = index();
    let head = "| reason | page | what ends it |";
    let known = BTreeSet::from(Blocked::LABELS.map(str::to_owned));
    assert_eq!(first_cells(&index, head), known);
    let pages = pages();
    let rows = index.lines().skip_while(|line| *line != head).skip(2);
    for row in rows.take_while(|line| line.starts_with('|')) {
        let reason = row.split('`').nth(1).unwrap();
        if let Some((name, _)) = row
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
        {
            assert!(
                pages[name].contains(&format!("`{reason}`")),
                "{name} does not name {reason}"
            );
        }
    }
}

#[test]
fn links_of_the_runbook_lead_to_pages() {
    let link = Regex::new(r"\]\(([A-Za-z]+)\.md\)").unwrap();
    let pages = pages();
    for text in pages.values().chain([&index()]) {
        for found in link.captures_iter(text) {
            assert!(pages.contains_key(&found[1]), "{}", &found[0]);
        }
    }
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let known: BTreeSet<String> = metrics().into_keys().collect();
    let runbook = pages().into_values().collect::<String>() + &index();
    for (file, text) in queries().into_iter().chain([("docs/runbook", runbook)]) {
        let unknown: Vec<String> = metrics_in(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn every_label_that_is_asked_for_exists_and_can_have_that_value() {
    let metrics = metrics();
    let sources: String = rust_files(&["src/observe", "src/runtime"])
        .into_iter()
        .map(|source| source.text)
        .collect();
    for (file, text) in queries() {
        for Matcher {
            metric,
            label,
            values,
        } in matchers(&text)
        {
            if OF_THE_POD.contains(&label.as_str()) {
                continue;
            }
            assert!(
                metrics[&metric].contains(&label),
                "{file}: {metric} has no label {label}"
            );
            for value in values {
                let exists = match metric.as_str() {
                    "ackline_injector_admissions_total" => {
                        Admission::ALL.iter().any(|it| it.name() == value)
                    }
                    "ackline_blocked" => Blocked::LABELS.contains(&value.as_str()),
                    // The words of other labels are literals where events and totals are named.
                    _ => sources.contains(&format!("\"{value}\"")),
                };
                assert!(exists, "{file}: {label} of {metric} is never {value}");
            }
        }
    }
}

#[test]
fn every_label_that_is_grouped_by_exists() {
    let mut known: BTreeSet<String> = metrics().into_values().flatten().collect();
    known.extend(OF_THE_POD.map(str::to_owned));
    let grouping = Regex::new(r"\b(?:by|on) \(([^)]*)\)").unwrap();
    for (file, text) in queries() {
        for group in grouping.captures_iter(&text) {
            for label in group[1].split(", ") {
                assert!(known.contains(label), "{file} groups by {label}");
            }
        }
    }
}

#[test]
fn annotations_name_labels_that_their_alert_has() {
    let aggregation = Regex::new(r"^(?:sum|max|min|count) by \(([^)]*)\)").unwrap();
    let used = Regex::new(r"\$labels\.(\w+)").unwrap();
    let metrics = metrics();
    for alert in alerts() {
        let has: BTreeSet<String> = if let Some(grouped) = aggregation.captures(&alert.expr) {
            grouped[1].split(", ").map(str::to_owned).collect()
        } else {
            let mut labels: BTreeSet<String> = OF_THE_POD.map(str::to_owned).into();
            for metric in metrics_in(&alert.expr) {
                labels.extend(metrics[&metric].iter().cloned());
            }
            // Nothing is known of what is not there.
            if alert.expr.starts_with("absent") {
                BTreeSet::new()
            } else {
                labels
            }
        };
        for text in alert.annotations.values() {
            for label in used.captures_iter(text) {
                assert!(
                    has.contains(&label[1]),
                    "{} has no label {}",
                    alert.alert,
                    &label[1]
                );
            }
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard: Value = serde_json::from_str(&page(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), panels.len(), "ids differ");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.ends_with('.')),
            "{title}"
        );
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(
            panel["type"] == "table" || unit.is_some(),
            "{title} has no unit"
        );
    }
}

/// What a person would fill in.
fn filled_in(command: &str) -> String {
    let words = [
        ("{{$labels.topic}}", "orders"),
        ("TOPIC", "orders"),
        ("PARTITION", "3"),
        ("OFFSET", "120"),
        ("GROUP", "orders"),
        ("WHY", "because"),
        // Settings come from variables here.
        ("--config FILE", ""),
        ("--config ackline.yaml", ""),
    ];
    let fill = |text: String, (word, by): (&str, &str)| text.replace(word, by);
    words.into_iter().fold(command.to_owned(), fill)
}

/// Commands of ours in a page: code that begins with `ackline`, or with what runs it in the pod.
fn commands_in(text: &str) -> Vec<String> {
    let code = Regex::new(r"`([^`\n]+)`|(?m:^(kubectl .*|ackline .*)$)").unwrap();
    let mut found = Vec::new();
    for code in code.captures_iter(text) {
        let code = code.get(1).or(code.get(2)).unwrap().as_str();
        let command = code.split_once("-- /ackline ").map(|(_, rest)| rest);
        let command = command.or(code.strip_prefix("ackline "));
        found.extend(
            command
                .filter(|command| !command.contains('…'))
                .map(filled_in),
        );
    }
    found
}

/// Whether the command line takes it.
fn is_understood(command: &str) -> bool {
    let variables = [
        ("ACKLINE_KAFKA_BROKERS", "kafka:9092"),
        ("ACKLINE_GROUP_ID", "orders"),
        ("ACKLINE_TOPICS", "orders"),
        ("ACKLINE_START", "earliest"),
    ];
    let words = ["ackline"].into_iter().chain(command.split_whitespace());
    let invocation = Invocation {
        arguments: words.map(Into::into).collect(),
        variables: variables
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
    };
    let (mut out, mut carried_out) = (Vec::new(), false);
    let result = execute::<()>(invocation, &mut out, |_| {
        carried_out = true;
        Ok(ExitCode::SUCCESS)
    });
    result.is_ok() && (carried_out || !out.is_empty())
}

#[test]
fn every_command_of_a_page_or_an_alert_is_one_of_ours() {
    assert!(is_understood("parked retry orders --reason because"));
    assert!(
        !is_understood("parked retry orders"),
        "a wrong one is found"
    );
    let in_alerts = alerts().into_iter().flat_map(|alert| {
        let commands = ["look", "command"].map(|key| alert.annotations.get(key).cloned());
        commands
            .into_iter()
            .flatten()
            .map(|command| command + "\n")
            .collect::<Vec<_>>()
    });
    let texts = pages().into_values().chain([index()]).chain(in_alerts);
    let commands: BTreeSet<String> = texts.flat_map(|text| commands_in(&text)).collect();
    assert!(commands.len() > 15, "{commands:?}");
    // `ackline inject` reads files that a page cannot have.
    let ours = commands
        .iter()
        .filter(|command| !command.starts_with("inject "));
    let strange: Vec<_> = ours.filter(|command| !is_understood(command)).collect();
    assert!(strange.is_empty(), "not understood: {strange:?}");
}
