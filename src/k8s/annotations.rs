//! What one pod asks for, in its annotations.
//!
//! | annotation | meaning |
//! |---|---|
//! | `cluster` | which of the platform's Kafka clusters |
//! | `group`, `topics`, `start`, `order`, `dead-letter-topic` | the settings of these names |
//! | `set.KEY` | any other setting that is the application's to choose |
//! | `config-map` | a ConfigMap whose `ackline.yaml` wins over all of these |
//! | `offset-store-secret` | the Secret of a store of positions outside Kafka |
//! | `containers` | which containers get the socket |
//! | `readiness` | whether `/readyz` counts for the pod |
//! | `image`, `cpu-request`, `cpu-limit`, `memory-limit` | of the sidecar's container |
//!
//! All of them begin with `ackline.dev/`. Under that name nothing else is let pass: an annotation that is
//! misspelled would otherwise do nothing, silently.

use serde_json::{Map, Value};

use super::mistake::Mistake;
use super::quantity::{cpu_milli, memory_bytes};
use crate::config::nearest;

/// Beginning of the names of all our labels and annotations.
pub(super) const PREFIX: &str = "ackline.dev/";
/// The label by which a pod asks for a sidecar.
pub(super) const INJECT: &str = "ackline.dev/inject";
/// Written by the injector: the version that did it.
pub(super) const INJECTED: &str = "ackline.dev/injected";
/// Written by the injector: the settings of the sidecar.
pub(super) const SETTINGS: &str = "ackline.dev/settings";
/// Which containers get the socket; written by the injector if the pod does not say.
pub(super) const CONTAINERS: &str = "ackline.dev/containers";
/// The Secret of a store of positions outside Kafka.
pub(super) const STORE_SECRET: &str = "ackline.dev/offset-store-secret";
const SET: &str = "ackline.dev/set.";

/// Annotations that are settings, with the keys of these.
const SHORT: [(&str, &str); 5] = [
    ("ackline.dev/group", "group.id"),
    ("ackline.dev/topics", "topics"),
    ("ackline.dev/start", "start"),
    ("ackline.dev/order", "order"),
    ("ackline.dev/dead-letter-topic", "dead_letter.topic"),
];

/// Those that a pod may have besides.
const OTHERS: [&str; 9] = [
    "ackline.dev/cluster",
    "ackline.dev/config-map",
    STORE_SECRET,
    CONTAINERS,
    "ackline.dev/readiness",
    "ackline.dev/image",
    "ackline.dev/cpu-request",
    "ackline.dev/cpu-limit",
    "ackline.dev/memory-limit",
];

/// Settings that are the platform's to choose, or that the pod's other parts rely on. Whoever sets where
/// Kafka is could have the platform's passwords sent there.
const RESERVED: [&str; 3] = ["kafka.", "listen.", "log.format"];
/// Those of them that concern nobody else.
const FREE: [&str; 3] = ["kafka.fetch_max_bytes", "listen.streams_max", "listen.uids"];

/// What a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) cluster: Option<String>,
    /// Annotation, setting, value.
    pub(super) settings: Vec<(String, String, String)>,
    pub(super) config_map: Option<String>,
    pub(super) store_secret: Option<String>,
    pub(super) containers: Option<Vec<String>>,
    pub(super) readiness: Option<bool>,
    pub(super) image: Option<String>,
    pub(super) cpu_request: Option<String>,
    pub(super) cpu_limit: Option<String>,
    pub(super) memory_limit: Option<String>,
}

/// Reads the annotations of a pod.
pub(super) fn read(annotations: &Map<String, Value>) -> (Asked, Vec<Mistake>) {
    let mut asked = Asked::default();
    let mut mistakes = Vec::new();
    let ours = annotations
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX));
    for (name, value) in ours {
        let place = format!("annotation {name}");
        let Some(value) = value.as_str() else {
            mistakes.push(Mistake::new(place, "is not text", "write it in quotes"));
            continue;
        };
        if value.trim().is_empty() && !name.starts_with(SET) {
            let remedy = "write a value, or remove the annotation";
            mistakes.push(Mistake::new(place, "is empty", remedy));
            continue;
        }
        mistakes.extend(asked.take(name, value).err());
    }
    (asked, mistakes)
}

impl Asked {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Mistake> {
        let place = format!("annotation {name}");
        if let Some((_, key)) = SHORT.iter().find(|(short, _)| *short == name) {
            let setting = (name.to_owned(), (*key).to_owned(), value.to_owned());
            self.settings.push(setting);
            return Ok(());
        }
        if let Some(key) = name.strip_prefix(SET) {
            return self.set(name, key, value);
        }
        let trimmed = value.trim();
        match name.strip_prefix(PREFIX).unwrap_or(name) {
            "cluster" => self.cluster = Some(trimmed.to_owned()),
            "config-map" => self.config_map = Some(object_name(&place, trimmed)?),
            "offset-store-secret" => self.store_secret = Some(object_name(&place, trimmed)?),
            "containers" => self.containers = Some(names(&place, value)?),
            "readiness" => self.readiness = Some(switch(&place, trimmed)?),
            "image" => self.image = Some(trimmed.to_owned()),
            "cpu-request" => self.cpu_request = Some(cpu(&place, trimmed)?),
            "cpu-limit" => self.cpu_limit = Some(cpu(&place, trimmed)?),
            "memory-limit" => self.memory_limit = Some(memory(&place, trimmed)?),
            // Written by the injector; whether they belong there is seen from the containers.
            "injected" | "settings" => {}
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, key: &str, value: &str) -> Result<(), Mistake> {
        let reserved = RESERVED.iter().any(|reserved| key.starts_with(reserved));
        if reserved && !FREE.contains(&key) {
            return Err(Mistake::new(
                format!("annotation {name}"),
                "is for the platform to set, not for a pod",
                format!(
                    "set `{key}` in the values of the chart, under `config` or for one of the `clusters`"
                ),
            ));
        }
        // Any of the sidecar's files could be sent anywhere as a password.
        if key.ends_with("_file") {
            return Err(Mistake::new(
                format!("annotation {name}"),
                "names a file, which a pod cannot",
                format!("name the Secret of the store by `{STORE_SECRET}`"),
            ));
        }
        if let Some((short, _)) = SHORT.iter().find(|(_, known)| *known == key) {
            return Err(Mistake::new(
                format!("annotation {name}"),
                "has a shorter name",
                format!("write `{short}`"),
            ));
        }
        self.settings
            .push((name.to_owned(), key.to_owned(), value.to_owned()));
        Ok(())
    }
}

fn unknown(name: &str) -> Mistake {
    let place = format!("annotation {name}");
    if name == INJECT {
        return Mistake::new(
            place,
            "is a label, not an annotation",
            "write `ackline.dev/inject: \"true\"` under the labels of the pod",
        );
    }
    let short = SHORT.iter().map(|(short, _)| *short);
    let known: Vec<&str> = short.chain(OTHERS).collect();
    // The part that all share would make all of them near.
    let ends = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
    let end = name.strip_prefix(PREFIX).unwrap_or(name);
    let remedy = nearest(end, ends).map_or_else(
        || {
            let names = known.join(", ");
            format!("remove it; there are {names} and {SET}KEY for any other setting")
        },
        |end| format!("did you mean `{PREFIX}{end}`?"),
    );
    Mistake::new(place, "there is no such annotation", remedy)
}

fn switch(place: &str, value: &str) -> Result<bool, Mistake> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Mistake::of(
            place,
            value,
            "is neither true nor false",
            "write \"true\" or \"false\"",
        )),
    }
}

fn names(place: &str, value: &str) -> Result<Vec<String>, Mistake> {
    let names: Vec<String> = value
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    if names.iter().any(String::is_empty) {
        let remedy = "write the names of containers with commas between them";
        return Err(Mistake::of(place, value, "has an empty name", remedy));
    }
    Ok(names)
}

/// A name as objects in Kubernetes have it.
pub(super) fn object_name(place: &str, value: &str) -> Result<String, Mistake> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = value.len() <= 253
        && value.chars().all(inner)
        && value.starts_with(outer)
        && value.ends_with(outer);
    if fits {
        return Ok(value.to_owned());
    }
    Err(Mistake::of(
        place,
        value,
        "is not a name of an object",
        "write lower-case letters, digits, `-` and `.`",
    ))
}

fn cpu(place: &str, value: &str) -> Result<String, Mistake> {
    cpu_milli(value).map(|_| value.to_owned()).ok_or_else(|| {
        Mistake::of(
            place,
            value,
            "is not an amount of processors",
            "write thousandths such as 100m, or processors such as 0.5",
        )
    })
}

fn memory(place: &str, value: &str) -> Result<String, Mistake> {
    memory_bytes(value)
        .map(|_| value.to_owned())
        .ok_or_else(|| {
            let remedy = "write an amount such as 128Mi";
            Mistake::of(place, value, "is not an amount of memory", remedy)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_injector_writes_is_not_suggested() {
        let said = unknown("ackline.dev/setting").remedy;
        assert!(!said.contains("ackline.dev/settings"), "{said}");
    }

    #[test]
    fn the_documentation_lists_the_annotations_that_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubernetes.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut documented: Vec<&str> = page
            .split(|c: char| !(c.is_ascii_alphanumeric() || "./-_".contains(c)))
            .map(|word| word.trim_end_matches(['.', '-']))
            .filter(|word| word.starts_with(PREFIX) && !word.starts_with(SET))
            .collect();
        documented.sort_unstable();
        documented.dedup();
        let mut known: Vec<&str> = SHORT.iter().map(|(short, _)| *short).collect();
        known.extend(OTHERS);
        known.extend([INJECT, INJECTED, SETTINGS]);
        known.sort_unstable();
        assert_eq!(documented, known);
    }
}
