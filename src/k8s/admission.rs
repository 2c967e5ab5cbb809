//! The call of the API server, and the answer.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde_json::{Value, json};

use super::inject::{Addition, Injection, inject};
use super::values::Values;

/// What became of a call: the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// The pod gets a sidecar.
    Injected,
    /// It has one, or wants none.
    Unchanged,
    /// It asks for what cannot be.
    Refused,
    /// What was sent is no call.
    Malformed,
}

impl Admission {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Injected,
        Self::Unchanged,
        Self::Refused,
        Self::Malformed,
    ];

    /// As a label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }
}

/// A call and its answer.
#[derive(Debug)]
pub struct Reviewed {
    /// What became of it.
    pub admission: Admission,
    /// Namespace and name of the pod, as far as they are known: a Deployment's pod gets its name later.
    pub pod: String,
    /// What the caller is told beside the patch: warnings, or mistakes.
    pub said: String,
    /// What is sent back.
    pub answer: Value,
}

/// Answers a call, whatever it holds.
#[must_use]
pub fn review(body: &[u8], values: &Values) -> Reviewed {
    let parsed = serde_json::from_slice::<Value>(body).map_err(|error| error.to_string());
    let pod = parsed.as_ref().map_or_else(|_| "/".to_owned(), pod_of);
    let answered = parsed.and_then(|mut review| {
        // The types of a call do not know the pod: it is taken as it was sent, with what nobody knows yet.
        let object = review.pointer_mut("/request/object").map(Value::take);
        let request: AdmissionRequest<DynamicObject> =
            serde_json::from_value::<AdmissionReview<DynamicObject>>(review)
                .map_err(|error| error.to_string())?
                .try_into()
                .map_err(|_| "has no request")?;
        answer(&request, object.unwrap_or_default(), values)
    });
    let (admission, response) = answered.unwrap_or_else(|error| {
        let message = format!("ackline does not understand the admission review: {error}");
        (Admission::Malformed, AdmissionResponse::invalid(message))
    });
    Reviewed {
        admission,
        pod,
        said: said(&response),
        answer: serde_json::to_value(response.into_review()).unwrap_or_else(|_| json!({})),
    }
}

fn answer(
    request: &AdmissionRequest<DynamicObject>,
    object: Value,
    values: &Values,
) -> Result<(Admission, AdmissionResponse), String> {
    let response = AdmissionResponse::from(request);
    if request.kind.kind != "Pod" || object.is_null() {
        return Ok((Admission::Unchanged, response));
    }
    if !object.is_object() {
        return Err("its pod is no object".to_owned());
    }
    Ok(match inject(&object, values) {
        Ok(injection) => accept(response, injection),
        Err(mistakes) => {
            let message = format!("ackline cannot be injected:\n{mistakes}");
            (Admission::Refused, response.deny(message))
        }
    })
}

fn pod_of(review: &Value) -> String {
    let text = |path: &str| {
        let found = review.pointer(path).and_then(Value::as_str);
        found.filter(|text| !text.is_empty())
    };
    let namespace = text("/request/namespace").unwrap_or_default();
    let name = text("/request/object/metadata/name")
        .or_else(|| text("/request/object/metadata/generateName"));
    format!("{namespace}/{}", name.unwrap_or_default())
}

fn said(response: &AdmissionResponse) -> String {
    let warnings = response.warnings.iter().flatten().map(String::as_str);
    let parts: Vec<&str> = warnings
        .chain([response.result.message.as_str()])
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("; ")
}

fn accept(response: AdmissionResponse, injection: Injection) -> (Admission, AdmissionResponse) {
    let Injection {
        additions,
        warnings,
    } = injection;
    let mut response = response;
    if !warnings.is_empty() {
        let warnings = warnings.into_iter().map(|text| format!("ackline: {text}"));
        response.warnings = Some(warnings.collect());
    }
    if additions.is_empty() {
        return (Admission::Unchanged, response);
    }
    match patch(additions).map(|patch| response.clone().with_patch(patch)) {
        Ok(Ok(response)) => (Admission::Injected, response),
        Ok(Err(error)) => (Admission::Refused, response.deny(error)),
        Err(error) => (Admission::Refused, response.deny(error)),
    }
}

/// Additions in the words of JSON Patch.
pub(super) fn patch(additions: Vec<Addition>) -> Result<Patch, String> {
    let operations = additions.into_iter().map(|addition| {
        let path = PointerBuf::parse(addition.path).map_err(|error| error.to_string())?;
        let value = addition.value;
        Ok(PatchOperation::Add(AddOperation { path, value }))
    });
    Ok(Patch(operations.collect::<Result<_, String>>()?))
}
