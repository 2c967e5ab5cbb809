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

/// Answers a call, whatever it holds.
#[must_use]
pub fn review(body: &[u8], values: &Values) -> (Admission, Value) {
    let request: Result<AdmissionRequest<DynamicObject>, String> =
        serde_json::from_slice::<AdmissionReview<DynamicObject>>(body)
            .map_err(|error| error.to_string())
            .and_then(|review| review.try_into().map_err(|_| "has no request".to_owned()));
    let (admission, response) = match request {
        Ok(request) => answer(&request, body, values),
        Err(error) => {
            let message = format!("ackline does not understand the admission review: {error}");
            (Admission::Malformed, AdmissionResponse::invalid(message))
        }
    };
    let review = serde_json::to_value(response.into_review());
    (admission, review.unwrap_or_else(|_| json!({})))
}

fn answer(
    request: &AdmissionRequest<DynamicObject>,
    body: &[u8],
    values: &Values,
) -> (Admission, AdmissionResponse) {
    let response = AdmissionResponse::from(request);
    // The types above know the call, not the pod: it is taken as it was sent, with what nobody knows yet.
    let pod = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|mut review| Some(review.pointer_mut("/request/object")?.take()));
    let Some(pod) = pod.filter(|_| request.kind.kind == "Pod") else {
        return (Admission::Unchanged, response);
    };
    match inject(&pod, values) {
        Ok(injection) => accept(response, injection),
        Err(mistakes) => {
            let message = format!("ackline cannot be injected:\n{mistakes}");
            (Admission::Refused, response.deny(message))
        }
    }
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
