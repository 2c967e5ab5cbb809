//! The container of the sidecar.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::annotations::Asked;
use super::values::{Mode, Sidecar, User};
use super::volumes::{CONFIG_MAP_FILE, Mounted, SETTINGS_FILE};
use crate::config::{Config, memory_bytes_max};

/// Name of the container.
pub(super) const NAME: &str = "ackline";
/// Name of the port of probes and metrics; at most 15 characters.
const HTTP_PORT: &str = "ackline-http";
/// Where the program is in its image.
const PROGRAM: &str = "/ackline";

/// The container, for settings that are known as far as `config`.
pub(super) fn container(
    sidecar: &Sidecar,
    asked: &Asked,
    config: &Config,
    volumes: &[Mounted],
) -> Value {
    let mut args = vec!["run", "--config", SETTINGS_FILE];
    if asked.config_map.is_some() {
        args.extend(["--config", CONFIG_MAP_FILE]);
    }
    let image = asked.image.clone();
    let mounts: Vec<&Value> = volumes.iter().map(|volume| &volume.mount).collect();
    let port = config
        .listen
        .http
        .map_or(0, |address: SocketAddr| address.port());
    let mut container = json!({
        "name": NAME,
        "image": image.unwrap_or_else(|| sidecar.image.reference()),
        "imagePullPolicy": sidecar.image.pull_policy,
        "args": args,
        "env": variables(sidecar),
        "ports": [{"name": HTTP_PORT, "containerPort": port}],
        // Needs no Kafka: a broker that is away must not keep the application from starting.
        "startupProbe": {
            "httpGet": get("/startupz"),
            "periodSeconds": sidecar.startup.period_seconds,
            "failureThreshold": sidecar.startup.failure_threshold,
        },
        "livenessProbe": {
            "httpGet": get("/livez"),
            "periodSeconds": 10,
            "failureThreshold": 3,
            "timeoutSeconds": 5,
        },
        // The kubelet runs it as soon as the pod is to end, long before the sidecar's own SIGTERM.
        "lifecycle": {"preStop": {"exec": {
            "command": [PROGRAM, "drain", "--notice", "--reason", "preStop"],
        }}},
        "resources": resources(sidecar, asked, config),
        "securityContext": security(&sidecar.security_context),
        "volumeMounts": mounts,
    });
    if asked.readiness.unwrap_or(sidecar.readiness) {
        container["readinessProbe"] = json!({"httpGet": get("/readyz")});
    }
    if sidecar.mode == Mode::Native {
        container["restartPolicy"] = json!("Always");
    }
    container
}

/// Least memory that the sidecar may need, as its settings say, in whole Mi.
pub(super) fn memory_mebibytes(config: &Config) -> u64 {
    memory_bytes_max(config).div_ceil(1 << 20)
}

fn get(path: &str) -> Value {
    json!({"path": path, "port": HTTP_PORT})
}

fn variables(sidecar: &Sidecar) -> Vec<Value> {
    let field = |name: &str, path: &str| {
        let source = json!({"fieldRef": {"fieldPath": path}});
        json!({"name": name, "valueFrom": source})
    };
    let mut variables = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("NODE_NAME", "spec.nodeName"),
    ];
    let known = |variable: &Value, name: &Value| variable.get("name") == Some(name);
    for own in &sidecar.env {
        // The platform's own wins: a name that is there twice is refused by strict clients.
        if let Some(name) = own.get("name") {
            variables.retain(|variable| !known(variable, name));
        }
        variables.push(Value::Object(own.clone()));
    }
    variables
}

/// Memory is requested whole, so that the node has it when the settings come true.
fn resources(sidecar: &Sidecar, asked: &Asked, config: &Config) -> Value {
    let given = &sidecar.resources;
    let memory = asked
        .memory_limit
        .clone()
        .or_else(|| given.limits.memory())
        .unwrap_or_else(|| format!("{}Mi", memory_mebibytes(config)));
    let mut requests = json!({"memory": memory.clone()});
    let mut limits = json!({"memory": memory});
    if let Some(cpu) = asked.cpu_request.clone().or_else(|| given.requests.cpu()) {
        requests["cpu"] = json!(cpu);
    }
    if let Some(cpu) = asked.cpu_limit.clone().or_else(|| given.limits.cpu()) {
        limits["cpu"] = json!(cpu);
    }
    json!({"requests": requests, "limits": limits})
}

/// What Pod Security calls `restricted`, and a file system that nobody writes to.
fn security(user: &User) -> Value {
    let mut context = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let Some(id) = user.run_as_user {
        context["runAsUser"] = json!(id);
    }
    if let Some(id) = user.run_as_group {
        context["runAsGroup"] = json!(id);
    }
    context
}
