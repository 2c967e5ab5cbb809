//! What is added to a pod that asks for a sidecar, or why it cannot be.
//!
//! Works on the pod as the API server sent it, field by field, so that what this program does not know is not
//! touched and not lost. The result is a list of additions (K1): the webhook answers with them, the command
//! carries them out.

use serde_json::{Map, Value, json};

use super::annotations::{self, Asked, CONTAINERS, INJECT, INJECTED, PREFIX, SETTINGS};
use super::container::{self, memory_mebibytes};
use super::mistake::{Mistake, Mistakes};
use super::quantity::memory_bytes;
use super::settings::{Resolved, resolve};
use super::values::{Mode, Values};
use super::volumes::{Mounted, SOCKET, SOCKET_DIR, TARGET, volumes};

/// Grace period of a pod that names none, in seconds.
const GRACE_SECONDS: u64 = 30;

/// Something to be added: a value and the place that it is added at, in the words of JSON Patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// A JSON pointer; `-` at its end is the end of a list.
    pub path: String,
    /// What is added there.
    pub value: Value,
}

/// What becomes of a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Injection {
    /// In this order. Empty if the pod has its sidecar, or does not want one.
    pub additions: Vec<Addition>,
    /// What its owner should know, though it may start.
    pub warnings: Vec<String>,
}

/// Whether a pod, or a template of one, asks for a sidecar.
pub(super) fn is_wanted(pod: &Value) -> bool {
    pod.pointer("/metadata/labels")
        .and_then(|labels| labels.get(INJECT))
        .is_some_and(|value| value == "true")
}

/// What has to be added to a pod, or to a template of one: `metadata` and `spec`.
///
/// # Errors
///
/// All mistakes in what it asks for.
pub fn inject(pod: &Value, values: &Values) -> Result<Injection, Mistakes> {
    if !is_wanted(pod) {
        return Ok(Injection::default());
    }
    let view = Pod::new(pod)?;
    let (asked, mut mistakes) = annotations::read(view.annotations);
    mistakes.extend(unknown_labels(pod));
    let is_injected = view.check_traces(&mut mistakes);
    check_allowed(&asked, values, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes));
    }
    let chosen = view.chosen(&asked)?;
    if is_injected {
        // Another webhook may have put containers in their place meanwhile.
        let mut injection = Injection::default();
        view.connect(&chosen, &mut injection);
        return Ok(injection);
    }
    let resolved = resolve(values, &asked).map_err(Mistakes)?;
    view.check_room(values, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes));
    }
    let config_map = asked.config_map.as_deref();
    let volumes = volumes(resolved.cluster, resolved.store.as_ref(), config_map);
    view.check_volumes(&volumes, &chosen)?;
    Ok(view.additions(values, &asked, &resolved, &volumes, &chosen))
}

/// The parts of a pod that are looked at.
struct Pod<'a> {
    pod: &'a Value,
    annotations: &'a Map<String, Value>,
    containers: &'a [Value],
    init_containers: &'a [Value],
    volumes: &'a [Value],
}

impl<'a> Pod<'a> {
    fn new(pod: &'a Value) -> Result<Self, Mistake> {
        static NOTHING: std::sync::LazyLock<Map<String, Value>> =
            std::sync::LazyLock::new(Map::new);
        let list = |key: &str| {
            let found = pod.pointer(key).and_then(Value::as_array);
            found.map_or(&[][..], Vec::as_slice)
        };
        let containers = list("/spec/containers");
        if containers.is_empty() {
            let remedy = "add the application's container";
            return Err(Mistake::new("spec.containers", "is empty", remedy));
        }
        let annotations = pod
            .pointer("/metadata/annotations")
            .and_then(Value::as_object);
        Ok(Self {
            pod,
            annotations: annotations.unwrap_or(&NOTHING),
            containers,
            init_containers: list("/spec/initContainers"),
            volumes: list("/spec/volumes"),
        })
    }

    fn sidecar(&self) -> Option<&Value> {
        let all = self.init_containers.iter().chain(self.containers);
        all.into_iter().find(|it| name_of(it) == container::NAME)
    }

    /// Whether the pod has its sidecar. Half of one is a mistake.
    fn check_traces(&self, mistakes: &mut Vec<Mistake>) -> bool {
        let marked = self.annotations.contains_key(INJECTED);
        match (marked, self.sidecar()) {
            (true, Some(_)) => return true,
            (false, None) => {
                if self.annotations.contains_key(SETTINGS) {
                    mistakes.push(written_by_us(SETTINGS));
                }
            }
            (true, None) => mistakes.push(written_by_us(INJECTED)),
            (false, Some(_)) => mistakes.push(Mistake::new(
                "container ackline",
                "has the name of the sidecar, but is not one that was injected",
                "rename it, or, if it is a sidecar of its own making, remove the label ackline.dev/inject",
            )),
        }
        false
    }

    /// Names of the containers that get the socket.
    fn chosen(&self, asked: &Asked) -> Result<Vec<String>, Mistake> {
        let names: Vec<&str> = self.containers.iter().map(name_of).collect();
        let ours: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| *name != container::NAME)
            .collect();
        if let Some(chosen) = &asked.containers {
            if let Some(stranger) = chosen.iter().find(|name| !ours.contains(&name.as_str())) {
                return Err(Mistake::of(
                    format!("annotation {CONTAINERS}"),
                    stranger,
                    "is no container of the pod",
                    format!("name some of {}", ours.join(", ")),
                ));
            }
            return Ok(chosen.clone());
        }
        if let [only] = ours.as_slice() {
            return Ok(vec![(*only).to_owned()]);
        }
        let default = self
            .annotations
            .get("kubectl.kubernetes.io/default-container")
            .and_then(Value::as_str);
        match default.filter(|name| ours.contains(name)) {
            Some(name) => Ok(vec![name.to_owned()]),
            None => Err(Mistake::new(
                format!("annotation {CONTAINERS}"),
                "is not given, and the pod has more than one container",
                format!("name those that consume: some of {}", ours.join(", ")),
            )),
        }
    }

    /// Whether this kind of pod can have a sidecar.
    fn check_room(&self, values: &Values, mistakes: &mut Vec<Mistake>) {
        let text = |path: &str| self.pod.pointer(path).and_then(Value::as_str);
        if text("/spec/os/name") == Some("windows") {
            mistakes.push(Mistake::new(
                "spec.os.name",
                "is windows, where the sidecar does not run",
                "remove the label ackline.dev/inject",
            ));
        }
        let ends = text("/spec/restartPolicy").is_some_and(|policy| policy != "Always");
        if ends && values.sidecar.mode == Mode::Classic {
            mistakes.push(Mistake::new(
                "spec.restartPolicy",
                "is that of a pod that ends, but a classic sidecar keeps it from ending",
                "use `sidecar.mode: native` (Kubernetes 1.29 and newer) in the values of the chart",
            ));
        }
    }

    /// That nothing stands where the sidecar's volumes go.
    fn check_volumes(&self, volumes: &[Mounted], chosen: &[String]) -> Result<(), Mistakes> {
        let mut mistakes = Vec::new();
        let taken: Vec<&str> = self.volumes.iter().map(name_of).collect();
        for name in volumes.iter().map(|volume| name_of(&volume.volume)) {
            if taken.contains(&name) {
                mistakes.push(Mistake::new(
                    format!("volume {name}"),
                    "has the name of one that the sidecar needs",
                    "rename it",
                ));
            }
        }
        for name in chosen {
            let Some(container) = self.containers.iter().find(|it| name_of(it) == name) else {
                continue;
            };
            let mut paths = mounts(container)
                .filter_map(|mount| mount.get("mountPath").and_then(Value::as_str));
            // Below it as well: the socket's volume is read-only there, so that nothing can be mounted in it.
            if paths.any(|path| steps(path).starts_with(&steps(SOCKET_DIR))) {
                mistakes.push(Mistake::new(
                    format!("container {name}"),
                    format!(
                        "has a volume at or below {SOCKET_DIR}, where the sidecar's socket goes"
                    ),
                    "mount it elsewhere",
                ));
            }
        }
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(Mistakes(mistakes))
        }
    }

    fn additions(
        &self,
        values: &Values,
        asked: &Asked,
        resolved: &Resolved<'_>,
        volumes: &[Mounted],
        chosen: &[String],
    ) -> Injection {
        let mut injection = Injection {
            warnings: self.warnings(values, asked, resolved),
            ..Injection::default()
        };
        self.annotate(&resolved.file, chosen, &mut injection);
        let all = volumes.iter().map(|volume| volume.volume.clone()).collect();
        injection.append("/spec/volumes", self.pod.pointer("/spec/volumes"), all);
        // Before a container is put in front of them, so that their places are those that we see.
        self.connect(chosen, &mut injection);
        let sidecar = &values.sidecar;
        let container = container::container(sidecar, asked, &resolved.config, volumes);
        match sidecar.mode {
            Mode::Native => {
                let path = "/spec/initContainers";
                injection.append(path, self.pod.pointer(path), vec![container]);
            }
            // First, so that it has been started when the application is.
            Mode::Classic => injection.add("/spec/containers/0", container),
        }
        injection
    }

    fn annotate(&self, settings: &str, chosen: &[String], injection: &mut Injection) {
        let mut written = vec![
            (INJECTED, env!("CARGO_PKG_VERSION").to_owned()),
            (SETTINGS, settings.to_owned()),
        ];
        if !self.annotations.contains_key(CONTAINERS) {
            // Other webhooks may add containers, among which the choice would not be clear.
            written.push((CONTAINERS, chosen.join(",")));
        }
        if self
            .pod
            .pointer("/metadata/annotations")
            .is_none_or(Value::is_null)
        {
            injection.add("/metadata/annotations", json!({}));
        }
        for (name, value) in written {
            let path = format!("/metadata/annotations/{}", name.replace('/', "~1"));
            injection.add(&path, json!(value));
        }
    }

    /// Gives the chosen containers the socket, where they do not have it.
    fn connect(&self, chosen: &[String], injection: &mut Injection) {
        for (index, container) in self.containers.iter().enumerate() {
            if !chosen.iter().any(|name| name == name_of(container)) {
                continue;
            }
            let has_socket = mounts(container).any(|mount| name_of(mount) == SOCKET);
            if !has_socket {
                let path = format!("/spec/containers/{index}/volumeMounts");
                let mount = json!({"name": SOCKET, "mountPath": SOCKET_DIR, "readOnly": true});
                injection.append(&path, container.get("volumeMounts"), vec![mount]);
            }
            let variables = container.get("env").and_then(Value::as_array);
            let own = variables
                .into_iter()
                .flatten()
                .find(|variable| name_of(variable) == "ACKLINE_TARGET");
            match own {
                None => {
                    let path = format!("/spec/containers/{index}/env");
                    let variable = json!({"name": "ACKLINE_TARGET", "value": TARGET});
                    injection.append(&path, container.get("env"), vec![variable]);
                }
                Some(own) if own.get("value") != Some(&json!(TARGET)) => {
                    injection.warnings.push(format!(
                        "container {} has an ACKLINE_TARGET of its own; the sidecar listens on {TARGET}",
                        name_of(container)
                    ));
                }
                Some(_) => {}
            }
        }
    }

    fn warnings(&self, values: &Values, asked: &Asked, resolved: &Resolved<'_>) -> Vec<String> {
        let mut warnings = Vec::new();
        let config = &resolved.config;
        let grace = self
            .pod
            .pointer("/spec/terminationGracePeriodSeconds")
            .and_then(Value::as_u64)
            .unwrap_or(GRACE_SECONDS);
        let budget = config.drain.shutdown.as_secs();
        if grace < budget {
            warnings.push(format!(
                "terminationGracePeriodSeconds is {grace}, but the sidecar may take {budget} s to end: its last \
                 commit may be cut off; raise it, or lower ackline.dev/set.drain.shutdown"
            ));
        }
        let needed = memory_mebibytes(config);
        let limit = asked
            .memory_limit
            .clone()
            .or_else(|| values.sidecar.resources.limits.memory());
        let is_little = |limit: &String| memory_bytes(limit).is_some_and(|it| it < needed << 20);
        if let Some(limit) = limit.filter(is_little) {
            warnings.push(format!(
                "the sidecar's memory limit of {limit} is less than the {needed}Mi that its settings may need; \
                 raise it, or lower in_flight.bytes or kafka.fetch_max_bytes"
            ));
        }
        let port = config.listen.http.map_or(0, |address| address.port());
        for container in self.init_containers.iter().chain(self.containers) {
            if ports(container).any(|own| own == u64::from(port)) {
                warnings.push(format!(
                    "container {} has port {port}, which is that of the sidecar's probes and metrics, and a pod has it \
                     once: use another one, or have the platform set `config.listen.http` in the values of the chart",
                    name_of(container)
                ));
            }
        }
        if self.pod.pointer("/spec/hostNetwork") == Some(&json!(true)) {
            warnings.push(format!(
                "with hostNetwork the sidecar's probes and metrics are at port {port} of the node, for everybody \
                 who reaches it, and a node has room for one such pod"
            ));
        }
        warnings
    }
}

impl Injection {
    fn add(&mut self, path: &str, value: Value) {
        self.additions.push(Addition {
            path: path.to_owned(),
            value,
        });
    }

    /// Adds to a list, which may not be there.
    fn append(&mut self, path: &str, list: Option<&Value>, values: Vec<Value>) {
        if list.is_none_or(Value::is_null) {
            return self.add(path, Value::Array(values));
        }
        for value in values {
            self.add(&format!("{path}/-"), value);
        }
    }
}

/// That the platform lets pods have what this one asks for.
fn check_allowed(asked: &Asked, values: &Values, mistakes: &mut Vec<Mistake>) {
    let wanted = [
        ("image", asked.image.is_some(), values.allow.image, "image"),
        (
            "config-map",
            asked.config_map.is_some(),
            values.allow.config_map,
            "configMap",
        ),
    ];
    for (annotation, asked, allowed, value) in wanted {
        if asked && !allowed {
            mistakes.push(Mistake::new(
                format!("annotation {PREFIX}{annotation}"),
                "is not allowed here",
                format!("remove it, or have the platform set `allow.{value}: true` in the values of the chart"),
            ));
        }
    }
}

/// Labels under our name, of which there is one.
fn unknown_labels(pod: &Value) -> Vec<Mistake> {
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    let names = labels.into_iter().flat_map(Map::keys);
    names
        .filter(|name| name.starts_with(PREFIX) && *name != INJECT)
        .map(|name| {
            Mistake::new(
                format!("label {name}"),
                "there is no such label",
                format!("write it under the annotations of the pod; the one label is {INJECT}"),
            )
        })
        .collect()
}

fn written_by_us(annotation: &str) -> Mistake {
    Mistake::new(
        format!("annotation {annotation}"),
        "is written by the injector, but the pod has no sidecar",
        "remove it",
    )
}

fn mounts(container: &Value) -> impl Iterator<Item = &Value> {
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    mounts.into_iter().flatten()
}

/// Where the path of a mount leads, as the container runtime sees it: from the root, without detours. The API server
/// compares such paths by their letters, so it takes two that lead to the same place.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            name => steps.push(name),
        }
    }
    steps
}

/// The TCP ports that a container says it listens on.
fn ports(container: &Value) -> impl Iterator<Item = u64> {
    let ports = container.get("ports").and_then(Value::as_array);
    let is_tcp = |port: &&Value| port.get("protocol").is_none_or(|it| it == "TCP");
    let ports = ports.into_iter().flatten().filter(is_tcp);
    ports.filter_map(|port| port.get("containerPort").and_then(Value::as_u64))
}

/// The name of a container, volume, mount or variable.
fn name_of(object: &Value) -> &str {
    object.get("name").and_then(Value::as_str).unwrap_or("")
}
