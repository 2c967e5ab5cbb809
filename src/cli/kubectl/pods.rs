//! Which pods have a sidecar, and whether it runs.

use serde_json::Value;

/// A pod with a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Why its sidecar cannot be asked.
    pub(super) not_running: Option<String>,
}

/// The pods with a sidecar of a list, in its order.
pub(super) fn pods_in(list: &Value) -> Vec<Pod> {
    let items = list["items"].as_array();
    items.into_iter().flatten().filter_map(pod).collect()
}

fn pod(pod: &Value) -> Option<Pod> {
    let has_sidecar = ["initContainers", "containers"].iter().any(|list| {
        let containers = pod["spec"][*list].as_array().into_iter().flatten();
        containers.into_iter().any(|it| it["name"] == "ackline")
    });
    let text = |value: &Value| value.as_str().map(str::to_owned);
    has_sidecar.then_some(())?;
    Some(Pod {
        namespace: text(&pod["metadata"]["namespace"])?,
        name: text(&pod["metadata"]["name"])?,
        not_running: not_running(&pod["status"]),
    })
}

fn not_running(status: &Value) -> Option<String> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let mut all = lists.iter().filter_map(|list| status[*list].as_array());
    let Some(sidecar) = all.find_map(|list| list.iter().find(|it| it["name"] == "ackline")) else {
        let phase = status["phase"].as_str().unwrap_or("unknown");
        return Some(format!("the pod is {phase}"));
    };
    let state = &sidecar["state"];
    if !state["running"].is_null() {
        return None;
    }
    let reason = ["waiting", "terminated"]
        .iter()
        .find_map(|kind| state[*kind]["reason"].as_str());
    Some(reason.unwrap_or("it has not started").to_owned())
}
