//! What the platform gives to all pods: the part of the chart's values that the injector works from.
//!
//! The same file, or the whole file of Helm values, serves `ackline inject -f`; what else stands at its top is
//! for the chart, whose schema looks after it.

mod shape;

use serde_json::{Map, Value, json};

use super::annotations::object_name;
use super::mistake::{Mistake, Mistakes};
use super::quantity::{cpu_milli, memory_bytes};
use super::settings::check_platform_settings;
use crate::config::{nearest, shown};
pub use shape::Values;
pub(super) use shape::{Amounts, Cluster, Image, Mode, OffsetStoreSecret, Sidecar, User};

/// The keys that there are, as a tree. `null`: whatever Kubernetes or the settings have there.
fn known_keys() -> Value {
    let store = json!({"secret": {
        "name": null,
        "usernameKey": null,
        "passwordKey": null,
        "caKey": null,
        "certKey": null,
        "keyKey": null,
    }});
    let cluster = json!({
        "brokers": null,
        "tls": {
            "enabled": null,
            "caSecret": {"name": null, "key": null},
            "clientSecret": {"name": null, "certKey": null, "keyKey": null},
        },
        "sasl": {"mechanism": null, "secret": {"name": null, "usernameKey": null, "passwordKey": null}},
        "offsetStore": store,
        "config": null,
    });
    json!({
        "sidecar": {
            "image": {"repository": null, "tag": null, "digest": null, "pullPolicy": null},
            "mode": null,
            "resources": {"requests": {"cpu": null}, "limits": {"cpu": null, "memory": null}},
            "securityContext": {"runAsUser": null, "runAsGroup": null},
            "startup": {"periodSeconds": null, "failureThreshold": null},
            "readiness": null,
            "env": null,
        },
        "config": null,
        "clusters": {"*": cluster},
        "defaultCluster": null,
        "offsetStore": store,
        "allow": {"configMap": null, "image": null},
    })
}

impl Values {
    /// Reads and checks values.
    ///
    /// # Errors
    ///
    /// All mistakes in them.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        let tree: Option<Value> = serde_saphyr::from_str_with_options(
            text,
            serde_saphyr::options! { with_snippet: false },
        )
        .map_err(|error| {
            let what = format!("not valid YAML: {}", shown(&error.to_string()));
            Mistake::new("values", what, "correct the file there")
        })?;
        let mut tree = match tree {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(tree)) => tree,
            Some(_) => {
                let remedy = "write keys such as `clusters:` and what belongs to them";
                return Err(Mistake::new("values", "are not a mapping", remedy).into());
            }
        };
        let known = known_keys();
        tree.retain(|key, _| known.get(key).is_some());
        let mut mistakes = Vec::new();
        unknown_keys("", &Value::Object(tree.clone()), &known, &mut mistakes);
        // An empty section in a file of values is `null`, and means the defaults.
        let tree = without_nulls(Value::Object(tree));
        match serde_json::from_value::<Self>(tree) {
            Ok(values) => {
                values.check(&mut mistakes);
                if mistakes.is_empty() {
                    return Ok(values);
                }
            }
            Err(error) => mistakes.push(Mistake::new(
                "values",
                shown(&error.to_string()),
                "write what the comments in the chart's values.yaml say",
            )),
        }
        Err(Mistakes(mistakes))
    }

    fn check(&self, mistakes: &mut Vec<Mistake>) {
        self.sidecar.check(mistakes);
        for (name, cluster) in &self.clusters {
            cluster.check(name, mistakes);
        }
        self.offset_store
            .secret
            .check("offsetStore.secret", mistakes);
        let default = &self.default_cluster;
        if !default.is_empty() && !self.clusters.contains_key(default) {
            mistakes.push(self.no_such_cluster("defaultCluster", default));
        }
        check_platform_settings(self, mistakes);
    }

    /// That nobody knows a cluster of this name.
    pub(super) fn no_such_cluster(&self, place: &str, name: &str) -> Mistake {
        let names = || self.clusters.keys().map(String::as_str);
        let remedy = nearest(name, names()).map_or_else(
            || {
                let all: Vec<&str> = names().collect();
                if all.is_empty() {
                    "the platform has none: add one under `clusters` in the values".to_owned()
                } else {
                    format!("there are: {}", all.join(", "))
                }
            },
            |known| format!("did you mean `{known}`?"),
        );
        Mistake::of(place, name, "is no cluster that the platform knows", remedy)
    }
}

impl Sidecar {
    fn check(&self, mistakes: &mut Vec<Mistake>) {
        if self.image.repository.is_empty() {
            mistakes.push(Mistake::new(
                "sidecar.image.repository",
                "is empty",
                "write where the image is, such as registry.example.com/ackline",
            ));
        }
        let amounts = [
            ("requests", &self.resources.requests),
            ("limits", &self.resources.limits),
        ];
        for (section, amounts) in amounts {
            let place = format!("sidecar.resources.{section}");
            if let Some(cpu) = amounts.cpu().filter(|cpu| cpu_milli(cpu).is_none()) {
                let (place, what) = (format!("{place}.cpu"), "is not an amount of processors");
                mistakes.push(Mistake::of(place, &cpu, what, "write one such as 100m"));
            }
            if let Some(memory) = amounts.memory().filter(|it| memory_bytes(it).is_none()) {
                let (place, what) = (format!("{place}.memory"), "is not an amount of memory");
                mistakes.push(Mistake::of(place, &memory, what, "write one such as 128Mi"));
            }
        }
        for (name, value) in [
            ("periodSeconds", self.startup.period_seconds),
            ("failureThreshold", self.startup.failure_threshold),
        ] {
            if value == 0 {
                let place = format!("sidecar.startup.{name}");
                mistakes.push(Mistake::of(place, "0", "is too small", "write 1 or more"));
            }
        }
        if self.security_context.run_as_user == Some(0) {
            mistakes.push(Mistake::of(
                "sidecar.securityContext.runAsUser",
                "0",
                "is root, as which the sidecar does not run",
                "write another number, or null to leave it to the cluster",
            ));
        }
        for (index, variable) in self.env.iter().enumerate() {
            if !variable.get("name").is_some_and(Value::is_string) {
                let place = format!("sidecar.env[{index}]");
                let remedy = "write `name` and `value` or `valueFrom`";
                mistakes.push(Mistake::new(place, "has no name", remedy));
            }
        }
    }
}

impl Cluster {
    fn check(&self, name: &str, mistakes: &mut Vec<Mistake>) {
        let place = format!("clusters.{name}");
        let mut secrets = vec![("sasl.secret", &self.sasl.secret.name)];
        if let Some(tls) = &self.tls {
            secrets.push(("tls.caSecret", &tls.ca_secret.name));
            secrets.push(("tls.clientSecret", &tls.client_secret.name));
        }
        for (key, secret) in secrets.iter().filter(|(_, name)| !name.is_empty()) {
            mistakes.extend(object_name(&format!("{place}.{key}.name"), secret).err());
        }
        let store = &self.offset_store.secret;
        store.check(&format!("{place}.offsetStore.secret"), mistakes);
        let (mechanism, secret) = (&self.sasl.mechanism, &self.sasl.secret.name);
        if mechanism.is_empty() != secret.is_empty() {
            mistakes.push(Mistake::new(
                format!("{place}.sasl"),
                "has only one of `mechanism` and `secret.name`",
                "write both, or neither",
            ));
        }
    }
}

impl Amounts {
    pub(super) fn cpu(&self) -> Option<String> {
        text_of(self.cpu.as_ref())
    }

    pub(super) fn memory(&self) -> Option<String> {
        text_of(self.memory.as_ref())
    }
}

impl Image {
    /// What a container names as its image.
    pub(super) fn reference(&self) -> String {
        if !self.digest.is_empty() {
            return format!("{}@{}", self.repository, self.digest);
        }
        let tag = if self.tag.is_empty() {
            env!("CARGO_PKG_VERSION")
        } else {
            &self.tag
        };
        format!("{}:{tag}", self.repository)
    }
}

/// An amount without quotes is a number.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    }
}

fn unknown_keys(path: &str, tree: &Value, known: &Value, mistakes: &mut Vec<Mistake>) {
    let (Value::Object(entries), Value::Object(names)) = (tree, known) else {
        return;
    };
    for (key, value) in entries {
        let place = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if let Some(below) = names.get(key).or_else(|| names.get("*")) {
            unknown_keys(&place, value, below, mistakes);
            continue;
        }
        let names: Vec<&str> = names.keys().map(String::as_str).collect();
        let remedy = nearest(key, names.iter().copied()).map_or_else(
            || format!("remove it; there are: {}", names.join(", ")),
            |known| format!("did you mean `{known}`?"),
        );
        mistakes.push(Mistake::new(place, "there is no such value", remedy));
    }
}

/// `runAsUser: null` is the one null that means something else than the default.
fn without_nulls(tree: Value) -> Value {
    match tree {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .filter(|(key, value)| !value.is_null() || key.starts_with("runAs"))
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => other,
    }
}
