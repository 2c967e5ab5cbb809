use serde_json::{Value, json};

use super::super::{Admission, Reviewed, review};
use super::{injected, pod, values};

/// A call as the API server makes it, with a field that nobody knows yet.
pub(in crate::k8s) fn call(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7f0c",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": object,
            "oldObject": null,
            "dryRun": true,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            "fieldOfTheFuture": {"a": 1},
        },
    })
}

fn reviewed(call: &Value) -> Reviewed {
    review(call.to_string().as_bytes(), &values())
}

fn answer(object: &Value) -> (Admission, Value) {
    let reviewed = reviewed(&call(object));
    (reviewed.admission, reviewed.answer)
}

#[test]
fn the_answer_carries_a_patch_that_only_adds() {
    let (admission, answer) = answer(&pod());
    assert_eq!(admission, Admission::Injected);
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], "7f0c");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    let patch: Vec<u8> = serde_json::from_value(response["patch"].clone()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    for operation in &patch.0 {
        assert!(
            matches!(operation, json_patch::PatchOperation::Add(_)),
            "{operation:?}"
        );
    }
    let mut object = pod();
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(object, injected(&pod(), &values()));
}

#[test]
fn a_refusal_says_why() {
    let (admission, answer) = answer(&super::with_annotations(&[("topix", "x")]));
    assert_eq!(admission, Admission::Refused);
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("did you mean `ackline.dev/topics`?"),
        "{message}"
    );
}

#[test]
fn warnings_travel_with_the_patch() {
    let mut short = pod();
    short["spec"]["terminationGracePeriodSeconds"] = json!(5);
    short["spec"]["hostNetwork"] = json!(true);
    short["metadata"]["annotations"]["ackline.dev/memory-limit"] = json!("20Mi");
    let (_, answer) = answer(&short);
    let warnings = answer["response"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 3);
    // Longer ones may be cut by the API server.
    assert!(
        warnings.iter().all(|it| it.as_str().unwrap().len() <= 256),
        "{warnings:?}"
    );
    let warning = warnings[0].as_str().unwrap();
    assert!(
        warning.starts_with("ackline: terminationGracePeriodSeconds is 5"),
        "{warning}"
    );
}

#[test]
fn what_has_its_sidecar_or_is_no_pod_passes() {
    let (admission, answer) = answer(&injected(&pod(), &values()));
    assert_eq!(admission, Admission::Unchanged);
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"].get("patch"), None);
    let mut other = call(&json!({"metadata": {"labels": {"ackline.dev/inject": "true"}}}));
    other["request"]["kind"]["kind"] = json!("Service");
    assert_eq!(reviewed(&other).admission, Admission::Unchanged);
    let deleted = reviewed(&call(&Value::Null));
    assert_eq!(deleted.admission, Admission::Unchanged);
}

#[test]
fn the_log_names_the_pod_and_says_what_its_owner_is_told() {
    let mut short = pod();
    short["spec"]["terminationGracePeriodSeconds"] = json!(5);
    let warned = reviewed(&call(&short));
    assert_eq!(warned.pod, "shop/orders-");
    let said = &warned.said;
    assert!(
        said.starts_with("ackline: terminationGracePeriodSeconds is 5"),
        "{said}"
    );

    let mut wrong = super::with_annotations(&[("topix", "x")]);
    wrong["metadata"]["name"] = json!("orders-7");
    let refused = reviewed(&call(&wrong));
    assert_eq!(refused.pod, "shop/orders-7");
    let said = &refused.said;
    assert!(
        said.starts_with("ackline cannot be injected:\n  annotation ackline.dev/topix"),
        "{said}"
    );

    assert_eq!(reviewed(&call(&pod())).said, "");
    assert_eq!(review(b"", &values()).pod, "/");
}

#[test]
fn nonsense_is_answered_and_not_admitted() {
    for body in [
        &b""[..],
        b"{}",
        b"[]",
        b"\xff",
        br#"{"kind": "AdmissionReview"}"#,
        call(&json!("no pod")).to_string().as_bytes(),
    ] {
        let reviewed = review(body, &values());
        assert_eq!(reviewed.admission, Admission::Malformed);
        assert_eq!(reviewed.answer["response"]["allowed"], false);
        let said = &reviewed.said;
        assert!(
            said.starts_with("ackline does not understand the admission review"),
            "{said}"
        );
    }
}
