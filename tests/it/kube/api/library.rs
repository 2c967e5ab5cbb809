//! The library chart makes the container that the injector makes.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::super::cluster::{Kind, Kube};
use crate::harness::repository;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn ackline(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ackline"))
        .args(arguments)
        .env_clear()
        .env("POD_NAME", "orders-0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{arguments:?} of {input}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the values of the library say, as annotations and values of the injector.
fn as_injected(library: &Value) -> (Value, Value) {
    let mut annotations = Map::new();
    let mut put = |name: &str, value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                items.join(",")
            }
            other => other.to_string(),
        };
        annotations.insert(format!("ackline.dev/{name}"), json!(text));
    };
    for (key, name) in [
        ("cluster", "cluster"),
        ("group", "group"),
        ("topics", "topics"),
        ("start", "start"),
        ("order", "order"),
        ("deadLetterTopic", "dead-letter-topic"),
        ("configMap", "config-map"),
    ] {
        if let Some(value) = library.get(key) {
            put(name, value);
        }
    }
    for (section, settings) in library["set"].as_object().into_iter().flatten() {
        for (key, value) in settings.as_object().unwrap() {
            put(&format!("set.{section}.{key}"), value);
        }
    }
    let mut values = json!({});
    for key in [
        "sidecar",
        "config",
        "clusters",
        "defaultCluster",
        "offsetStore",
    ] {
        if let Some(value) = library.get(key) {
            values[key] = value.clone();
        }
    }
    (Value::Object(annotations), values)
}

fn sorted(list: &Value) -> Vec<Value> {
    let mut list = list.as_array().unwrap().clone();
    list.sort_by_key(|it| it["name"].to_string());
    list
}

fn sidecar(pod: &Value) -> Value {
    let lists = ["initContainers", "containers"].map(|key| pod["spec"][key].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    let mut container = all.find(|it| it["name"] == "ackline").unwrap().clone();
    container["volumeMounts"] = Value::Array(sorted(&container["volumeMounts"]));
    container["env"] = Value::Array(sorted(&container["env"]));
    container
}

/// Defaults spelt out, so that only what is meant is compared, without where it came from.
async fn settings(pod: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ackline.yaml");
    let text = pod["metadata"]["annotations"]["ackline.dev/settings"].as_str();
    std::fs::write(&path, text.unwrap()).unwrap();
    let path = path.display().to_string();
    let printed = ackline(&["config", "print", "--config", &path], "").await;
    let lines = printed
        .lines()
        .map(|line| line.split('#').next().unwrap().trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

async fn compare(file: Option<&str>) {
    let kube = Kube::shared(Kind::Api);
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("application");
    copy(&repository().join("tests/charts/application"), &chart);
    let library = chart.join("charts/ackline-sidecar");
    copy(
        &repository().join("deploy/charts/ackline-sidecar"),
        &library,
    );
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(chart.join(path)).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    };
    let mut given = read("values.yaml")["ackline"].clone();
    let chart_path = chart.display().to_string();
    let mut arguments = vec![
        "template",
        "orders",
        &chart_path,
        "--kube-version",
        "1.37.0",
    ];
    let values_path = chart
        .join(file.unwrap_or("values.yaml"))
        .display()
        .to_string();
    arguments.extend(["--values", &values_path]);
    if let Some(file) = file {
        // As Helm does it: maps come together.
        merge(&mut given, &read(file)["ackline"]);
    }
    let rendered = kube.helm(&arguments).await;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let by_library = documents
        .iter()
        .find(|it| it["kind"] == "Deployment")
        .unwrap();
    let by_library = &by_library["spec"]["template"];

    let (annotations, values) = as_injected(&given);
    let values_file = folder.path().join("values.json");
    std::fs::write(&values_file, values.to_string()).unwrap();
    let bare = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {"ackline.dev/inject": "true"}, "annotations": annotations},
        "spec": {"containers": [{"name": "application"}]},
    });
    let values_file = values_file.display().to_string();
    let injected = ["inject", "-f", "-", "--values", &values_file];
    let injected = ackline(&injected, &bare.to_string()).await;
    let injected: Value = serde_saphyr::from_str(&injected).unwrap();

    assert_eq!(sidecar(by_library), sidecar(&injected), "{file:?}");
    assert_eq!(
        sorted(&by_library["spec"]["volumes"]),
        sorted(&injected["spec"]["volumes"]),
        "{file:?}"
    );
    let application = |pod: &Value| {
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let found = containers
            .iter()
            .find(|it| it["name"] == "application")
            .unwrap();
        (found["env"].clone(), found["volumeMounts"].clone())
    };
    assert_eq!(application(by_library), application(&injected), "{file:?}");
    assert_eq!(
        settings(by_library).await,
        settings(&injected).await,
        "{file:?}"
    );
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// K4, for who does without the webhook.
#[tokio::test]
async fn the_library_chart_makes_the_container_that_the_injector_makes() {
    compare(None).await;
    compare(Some("values/classic.yaml")).await;
    compare(Some("values/everything.yaml")).await;
    compare(Some("values/offset-store.yaml")).await;
}
