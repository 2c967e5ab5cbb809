//! The settings of one sidecar: those of the platform, of its cluster, of the pod, the later winning.

use serde_json::{Value, json};

use super::annotations::{Asked, STORE_SECRET};
use super::mistake::Mistake;
use super::store_secret::{self, StoreSecret};
use super::values::{Cluster, Values};
use super::volumes::{CA_FILE, CLIENT_CERT_FILE, CLIENT_KEY_FILE, PASSWORD_FILE, USERNAME_FILE};
use crate::config::{Config, Layer, LayerContent, Problem, Problems, Sources, print_given};

/// Settings that other parts of the pod rely on, so that even the platform does not set them.
const FIXED: [&str; 2] = ["listen.app", "listen.admin"];

/// Settings as they go into the pod.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    /// A settings file of everything that was given.
    pub(super) file: String,
    /// The same, with defaults. Not complete if a ConfigMap is to add to it.
    pub(super) config: Config,
    /// The cluster, if there is one: a ConfigMap may do without.
    pub(super) cluster: Option<&'a Cluster>,
    /// What its store of positions outside Kafka needs.
    pub(super) store: Option<StoreSecret>,
}

/// Puts the settings of a pod together.
///
/// # Errors
///
/// All mistakes in them.
pub(super) fn resolve<'a>(values: &'a Values, asked: &Asked) -> Result<Resolved<'a>, Vec<Mistake>> {
    let name = cluster_of(values, asked).map_err(|mistake| vec![mistake])?;
    let cluster = name.and_then(|name| Some((name, values.clusters.get(name)?)));
    let mut layers = platform_layers(values, cluster);
    layers.extend(asked.settings.iter().map(|(annotation, key, value)| Layer {
        name: format!("annotation {annotation}"),
        content: LayerContent::Setting {
            key: key.clone(),
            value: value.clone(),
        },
    }));
    // What the Secret is needed for is seen from the settings that it adds to.
    let without_secret = load(layers.clone(), true).ok();
    let store = without_secret
        .as_ref()
        .map(|config| store_secret::find(values, cluster, asked, config));
    let store = store
        .transpose()
        .map_err(|mistake| vec![mistake])?
        .flatten();
    layers.extend(store.as_ref().map(StoreSecret::layer));
    let config = load(layers, asked.config_map.is_some()).map_err(|found| {
        let is_mistake = |problem: &&Problem| {
            without_secret.is_some() || !store_secret::is_file(problem.setting())
        };
        found
            .iter()
            .filter(is_mistake)
            .map(pod_mistake)
            .collect::<Vec<_>>()
    })?;
    let file = print_given(&config).map_err(secrets_in_properties)?;
    let cluster = cluster.map(|(_, cluster)| cluster);
    Ok(Resolved {
        file,
        config,
        cluster,
        store,
    })
}

/// Looks at what the platform sets for each of its clusters, so that a mistake there is found before the first
/// pod needs it.
pub(super) fn check_platform_settings(values: &Values, mistakes: &mut Vec<Mistake>) {
    let mut places = vec![("config".to_owned(), &values.config)];
    places.extend(values.clusters.iter().map(|(name, cluster)| {
        let place = format!("clusters.{name}.config");
        (place, &cluster.config)
    }));
    for (place, config) in &places {
        for key in FIXED {
            let found = key
                .split('.')
                .try_fold(*config, |section, part| section.get(part));
            if found.is_some() {
                mistakes.push(Mistake::new(
                    format!("{place}.{key}"),
                    "is fixed in pods: volumes and the application rely on it",
                    "remove it",
                ));
            }
        }
    }
    let mut found: Vec<Mistake> = Vec::new();
    let clusters = values.clusters.iter().map(|(name, it)| (name.as_str(), it));
    let each: Vec<_> = clusters.map(Some).collect();
    for cluster in if each.is_empty() { vec![None] } else { each } {
        match load(platform_layers(values, cluster), true) {
            Ok(config) => {
                let secrets = print_given(&config).err().map(secrets_in_properties);
                found.extend(secrets.into_iter().flatten());
                if config.listen.http.is_none() {
                    found.push(Mistake::new(
                        "config.listen.http",
                        "is empty, but the kubelet looks there whether the sidecar has started",
                        "write an address such as 0.0.0.0:7421, or remove it",
                    ));
                }
            }
            Err(problems) => found.extend(problems.iter().map(|problem| {
                let place = problem.place().unwrap_or("config");
                let place = format!("{place}: {}", problem.setting());
                Mistake::new(place, problem.what(), problem.remedy())
            })),
        }
    }
    // What is said for all clusters is wrong in each of them.
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found.dedup();
    mistakes.extend(found);
}

/// The cluster that a pod means. With a ConfigMap it may mean none.
fn cluster_of<'a>(values: &'a Values, asked: &'a Asked) -> Result<Option<&'a str>, Mistake> {
    let place = "annotation ackline.dev/cluster";
    if let Some(name) = &asked.cluster {
        return match values.clusters.contains_key(name) {
            true => Ok(Some(name)),
            false => Err(values.no_such_cluster(place, name)),
        };
    }
    if !values.default_cluster.is_empty() {
        return Ok(Some(&values.default_cluster));
    }
    let mut names = values.clusters.keys().map(String::as_str);
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(Some(only)),
        (None, _) => Ok(None),
        (Some(_), Some(_)) if asked.config_map.is_some() => Ok(None),
        (Some(_), Some(_)) => {
            let all: Vec<&str> = values.clusters.keys().map(String::as_str).collect();
            Err(Mistake::new(
                place,
                "is not given, and there is more than one cluster",
                format!("name one of {}", all.join(", ")),
            ))
        }
    }
}

fn platform_layers(values: &Values, cluster: Option<(&str, &Cluster)>) -> Vec<Layer> {
    let mut layers = vec![Layer {
        name: "values, config".to_owned(),
        content: LayerContent::Tree(values.config.clone()),
    }];
    if let Some((name, cluster)) = cluster {
        layers.push(Layer {
            name: format!("values, clusters.{name}.config"),
            content: LayerContent::Tree(cluster.config.clone()),
        });
        layers.push(Layer {
            name: format!("values, clusters.{name}"),
            content: LayerContent::Tree(cluster.settings()),
        });
    }
    layers
}

impl Cluster {
    /// What the profile says, as settings.
    fn settings(&self) -> Value {
        let mut kafka = json!({});
        if !self.brokers.is_empty() {
            kafka["brokers"] = json!(self.brokers);
        }
        if let Some(tls) = &self.tls {
            kafka["tls"] = json!({"enabled": tls.enabled});
            if tls.enabled && !tls.ca_secret.name.is_empty() {
                kafka["tls"]["ca_file"] = json!(CA_FILE);
            }
            if tls.enabled && !tls.client_secret.name.is_empty() {
                kafka["tls"]["cert_file"] = json!(CLIENT_CERT_FILE);
                kafka["tls"]["key_file"] = json!(CLIENT_KEY_FILE);
            }
        }
        if !self.sasl.mechanism.is_empty() {
            kafka["sasl"] = json!({
                "mechanism": self.sasl.mechanism,
                "username_file": USERNAME_FILE,
                "password_file": PASSWORD_FILE,
            });
        }
        json!({"kafka": kafka})
    }
}

fn load(layers: Vec<Layer>, partial: bool) -> Result<Config, Problems> {
    Config::load(&Sources {
        layers,
        partial,
        skip_files: true,
        keep_variables: true,
        ..Sources::default()
    })
}

/// A mistake in the settings of a pod, told to whoever writes pods.
fn pod_mistake(problem: &Problem) -> Mistake {
    let setting = problem.setting();
    // What is needed only because of something else that was said has the place of its default.
    let is_given = |place: &&str| *place != "default" || problem.value() != Some("\"\"");
    let place = problem.place().filter(is_given);
    if place.is_none() && store_secret::is_file(setting) {
        return Mistake::new(
            format!("setting {setting}"),
            problem.what(),
            format!(
                "name a Secret that has it by the annotation `{STORE_SECRET}`, or have the platform set \
                 `offsetStore.secret` in the values of the chart"
            ),
        );
    }
    let Some(place) = place else {
        let remedy = match setting {
            "kafka.brokers" => {
                "name a cluster in `ackline.dev/cluster`, which the platform has to define \
                 under `clusters` in its values"
                    .to_owned()
            }
            "group.id" => "write the annotation `ackline.dev/group`".to_owned(),
            "topics" | "start" => format!("write the annotation `ackline.dev/{setting}`"),
            other => format!("write the annotation `ackline.dev/set.{other}`"),
        };
        return Mistake::new(format!("setting {setting}"), problem.what(), remedy);
    };
    let place = match problem.value() {
        Some(value) => format!("{place}: {setting} = {value}"),
        None => format!("{place}: {setting}"),
    };
    Mistake::new(place, problem.what(), problem.remedy())
}

fn secrets_in_properties(names: Vec<String>) -> Vec<Mistake> {
    let told = names.into_iter().map(|name| {
        Mistake::new(
            format!("setting kafka.properties[{name}]"),
            "may hold a secret, which everybody who may look at the pod could read",
            "use the Secrets of `clusters`, or a ConfigMap of settings",
        )
    });
    told.collect()
}
