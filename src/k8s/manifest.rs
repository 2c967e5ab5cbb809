//! The same injection over files: for deployments that are kept in a repository, and to see beforehand what the
//! webhook would do.

use serde_json::{Value, json};

use super::admission::patch;
use super::annotations::PREFIX;
use super::inject::{inject, is_wanted};
use super::mistake::{Mistake, Mistakes};
use super::values::Values;
use crate::config::shown;

/// Largest input: a list of a large cluster's workloads.
const INPUT_BYTES_MAX: usize = 32 << 20;

/// Manifests with their sidecars.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    /// YAML, one document for each of the input's.
    pub text: String,
    /// What their owner should know.
    pub warnings: Vec<String>,
    /// How many pods and templates got a sidecar.
    pub count: usize,
}

/// Injects into all pods and workloads of a file that ask for it; everything else passes through.
///
/// # Errors
///
/// All mistakes in them; then nothing is to be used.
pub fn inject_manifests(text: &str, values: &Values) -> Result<Injected, Mistakes> {
    if text.len() > INPUT_BYTES_MAX {
        let remedy = "hand it over in parts";
        return Err(Mistake::new("manifests", "are larger than 32 MiB", remedy).into());
    }
    let mut documents = parse(text)?;
    let mut run = Run {
        values,
        warnings: Vec::new(),
        mistakes: Vec::new(),
        count: 0,
    };
    for document in &mut documents {
        run.visit(document);
    }
    if !run.mistakes.is_empty() {
        return Err(Mistakes(run.mistakes));
    }
    let text = serde_saphyr::to_string_multiple(&documents)
        .map_err(|error| Mistake::new("manifests", error.to_string(), "report this as a bug"))?;
    Ok(Injected {
        text,
        warnings: run.warnings,
        count: run.count,
    })
}

fn parse(text: &str) -> Result<Vec<Value>, Mistake> {
    // As kubectl reads it: 0644 is a mode, and `on` a switch.
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
    };
    let documents = serde_saphyr::from_multiple_with_options::<Value>(text, options);
    documents.map_err(|error| {
        let what = format!("not valid YAML: {}", shown(&error.to_string()));
        Mistake::new("manifests", what, "correct the file there")
    })
}

struct Run<'a> {
    values: &'a Values,
    warnings: Vec<String>,
    mistakes: Vec<Mistake>,
    count: usize,
}

impl Run<'_> {
    fn visit(&mut self, document: &mut Value) {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or("");
        let template = match kind {
            "Pod" => "",
            "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "Job"
            | "ReplicationController" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            "PodTemplate" => "/template",
            _ => {
                let items = document.get_mut("items").and_then(Value::as_array_mut);
                items.into_iter().flatten().for_each(|it| self.visit(it));
                return;
            }
        };
        let name = document.pointer("/metadata/name").and_then(Value::as_str);
        let whole = format!("{kind} {}", shown(name.unwrap_or("without a name")));
        if let Some(pod) = document.pointer_mut(template) {
            self.inject(&whole, pod);
        }
    }

    fn inject(&mut self, whole: &str, pod: &mut Value) {
        if !is_wanted(pod) {
            self.warn_of_lonely_annotations(whole, pod);
            return;
        }
        let injection = match inject(pod, self.values) {
            Ok(injection) => injection,
            Err(mistakes) => {
                self.mistakes
                    .extend(mistakes.0.into_iter().map(|mistake| Mistake {
                        place: format!("{whole}, {}", mistake.place),
                        ..mistake
                    }));
                return;
            }
        };
        let warnings = injection.warnings.into_iter();
        self.warnings
            .extend(warnings.map(|warning| format!("{whole}: {warning}")));
        if injection.additions.is_empty() {
            return;
        }
        // In a template there may be no metadata but labels, and in a pod no annotations: both were seen to.
        let carried_out = patch(injection.additions)
            .and_then(|patch| json_patch::patch(pod, &patch).map_err(|error| error.to_string()));
        match carried_out {
            Ok(()) => self.count += 1,
            Err(error) => self
                .mistakes
                .push(Mistake::new(whole, error, "report this as a bug")),
        }
    }

    /// Somebody meant to have a sidecar.
    fn warn_of_lonely_annotations(&mut self, whole: &str, pod: &Value) {
        let nothing = json!({});
        let annotations = pod.pointer("/metadata/annotations").unwrap_or(&nothing);
        let names = annotations.as_object().into_iter().flat_map(|it| it.keys());
        if names.into_iter().any(|name| name.starts_with(PREFIX)) {
            self.warnings.push(format!(
                "{whole}: has annotations of ackline, but its pods do not have the label \
                 ackline.dev/inject: \"true\", so nothing is injected"
            ));
        }
    }
}
