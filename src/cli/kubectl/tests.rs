use std::ffi::OsString;

use clap::Parser;
use serde_json::json;

use super::pods::pods_in;
use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    kubectl: Kubectl,
}

fn parsed(words: &[&str]) -> Kubectl {
    let words = ["kubectl-ackline"].iter().chain(words);
    Line::try_parse_from(words).unwrap().kubectl
}

#[test]
fn under_the_name_of_a_plugin_it_is_one() {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let plugin = words(&["/usr/local/bin/kubectl-ackline", "explain", "-A"]);
    assert_eq!(
        as_subcommand(plugin),
        words(&["ackline", "kubectl", "explain", "-A"])
    );
    let other = words(&["/usr/local/bin/ackline", "explain"]);
    assert_eq!(as_subcommand(other.clone()), other);
}

#[test]
fn what_follows_the_first_word_is_for_the_sidecar() {
    let asked = parsed(&[
        "pause",
        "-l",
        "app=orders",
        "orders/3",
        "--reason",
        "bad deploy",
    ]);
    assert_eq!(asked.selector.as_deref(), Some("app=orders"));
    assert_eq!(asked.arguments, ["orders/3", "--reason", "bad deploy"]);
}

#[test]
fn what_changes_something_wants_to_be_told_where() {
    for verb in ["pause", "resume", "drain"] {
        let refused = parsed(&[verb]).run(&mut Vec::new()).unwrap_err();
        assert!(refused.to_string().contains("-l SELECTOR"), "{refused}");
    }
}

#[test]
fn pods_without_a_sidecar_are_left_out_and_those_whose_sidecar_is_down_are_told() {
    let pod = |name: &str, containers: serde_json::Value, status: serde_json::Value| {
        json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"initContainers": containers, "containers": [{"name": "app"}]},
            "status": status,
        })
    };
    let sidecar = json!([{"name": "ackline"}]);
    let state = |state: serde_json::Value| json!({"phase": "Running", "initContainerStatuses": [{"name": "ackline", "state": state}]});
    let list = json!({"items": [
        pod("a", sidecar.clone(), state(json!({"running": {}}))),
        pod("b", json!([]), json!({})),
        pod("c", sidecar.clone(), state(json!({"waiting": {"reason": "CrashLoopBackOff"}}))),
        pod("d", sidecar, json!({"phase": "Pending"})),
    ]});
    let found = pods_in(&list);
    let down: Vec<(&str, Option<&str>)> = found
        .iter()
        .map(|pod| (pod.name.as_str(), pod.not_running.as_deref()))
        .collect();
    assert_eq!(
        down,
        [
            ("a", None),
            ("c", Some("CrashLoopBackOff")),
            ("d", Some("the pod is Pending")),
        ]
    );
}

fn answers() -> Vec<Answer> {
    let pod = |name: &str| Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        not_running: None,
    };
    vec![
        Answer {
            pod: pod("a"),
            said: Ok("{\"partitions\": []}\n".to_owned()),
        },
        Answer {
            pod: pod("b"),
            said: Err("no answer within 60 s".to_owned()),
        },
    ]
}

#[test]
fn answers_are_shown_by_pod_with_a_verdict() {
    let text = parsed(&["status"]).as_text(&answers(), 1);
    assert!(
        text.starts_with("== shop/a\n{\"partitions\": []}\n\n== shop/b\nno answer"),
        "{text}"
    );
    assert!(
        text.ends_with("1 of 2 pods: the others could not be asked, or refused\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&as_json(&answers())).unwrap();
    assert_eq!(json["pods"][0]["answer"]["partitions"], json!([]));
    assert_eq!(json["pods"][1]["error"], "no answer within 60 s");
    assert_eq!(json["pods"][1]["ok"], false);
}

#[tokio::test]
async fn an_exit_code_is_an_answer_and_a_missing_program_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kubectl");
    let text = "#!/bin/sh\necho stuck\necho 'command terminated with exit code 1' >&2\nexit 1\n";
    std::fs::write(&script, text).unwrap();
    let within = Duration::from_secs(30);
    let mut command = Command::new("sh");
    command.arg(&script);
    let said = output_of(command, within).await;
    assert_eq!(said, Err("stuck".to_owned()));
    let missing = output_of(Command::new(folder.path().join("nothing")), within).await;
    assert!(missing.unwrap_err().contains("name it in KUBECTL"));
}
