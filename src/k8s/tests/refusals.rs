use serde_json::json;

use super::super::Values;
use super::{injected, pod, refusal, values, with_annotations};

#[test]
fn every_mistake_in_the_annotations_is_named_with_its_remedy() {
    let pod = with_annotations(&[
        ("topix", "orders"),
        ("set.comit.interval", "1s"),
        ("set.kafka.brokers", "evil:9092"),
        ("set.order", "key"),
        ("readiness", "yes"),
        ("memory-limit", "lots"),
        ("config-map", "No Name"),
        ("inject", "true"),
        ("settings", "group: {id: mine}"),
    ]);
    let text = refusal(&pod, &values());
    for part in [
        "did you mean `ackline.dev/topics`?",
        "annotation ackline.dev/set.kafka.brokers: is for the platform to set",
        "write `ackline.dev/order`",
        "annotation ackline.dev/readiness = yes: is neither true nor false",
        "annotation ackline.dev/memory-limit = lots",
        "is not a name of an object",
        "is a label, not an annotation",
        "annotation ackline.dev/settings: is written by the injector",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn settings_are_judged_as_the_sidecar_would_judge_them() {
    let pod = with_annotations(&[
        ("start", "newest"),
        ("set.comit.interval", "1s"),
        ("set.lane_depth", "0"),
    ]);
    let text = refusal(&pod, &values());
    for part in [
        "annotation ackline.dev/start: start = newest",
        "did you mean `commit.interval`?",
        "annotation ackline.dev/set.lane_depth: lane_depth = 0",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn what_is_missing_is_told_with_the_annotation_to_write() {
    let mut bare = pod();
    bare["metadata"]["annotations"] = json!({});
    let text = refusal(&bare, &values());
    for part in [
        "`ackline.dev/group`",
        "`ackline.dev/topics`",
        "`ackline.dev/start`",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let text = refusal(&pod(), &Values::default());
    assert!(text.contains("setting kafka.brokers"), "{text}");
    assert!(text.contains("`ackline.dev/cluster`"), "{text}");
}

#[test]
fn a_cluster_that_nobody_knows_and_one_that_is_not_named() {
    let text = refusal(&with_annotations(&[("cluster", "mian")]), &values());
    assert!(text.contains("did you mean `main`?"), "{text}");
    let two = Values::parse("clusters: {a: {brokers: ['a:1']}, b: {brokers: ['b:1']}}").unwrap();
    let text = refusal(&pod(), &two);
    assert!(text.contains("name one of a, b"), "{text}");
}

#[test]
fn names_that_are_taken_are_not_taken_over() {
    let mut taken = pod();
    taken["spec"]["initContainers"] = json!([{"name": "ackline", "image": "mine:1"}]);
    assert!(refusal(&taken, &values()).contains("container ackline: has the name of the sidecar"));

    let mut taken = pod();
    taken["spec"]["volumes"] = json!([{"name": "ackline-socket", "emptyDir": {}}]);
    assert!(refusal(&taken, &values()).contains("volume ackline-socket: has the name"));
}

#[test]
fn the_place_of_the_socket_is_known_however_it_is_written() {
    let mounted_at = |path: &str| {
        let mut pod = pod();
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "x", "mountPath": path}]);
        pod
    };
    for path in [
        "/run/ackline",
        "/run/ackline/",
        "/run//ackline",
        "//run/./ackline/.",
        "/run/other/../ackline",
        "/../run/ackline",
        "run/ackline",
        "/run/ackline/cache",
    ] {
        let text = refusal(&mounted_at(path), &values());
        let said = "container app: has a volume at or below /run/ackline";
        assert!(text.contains(said), "{path}: {text}");
    }
    for path in ["/run", "/run/acklines", "/run/ackline/..", "/var/ackline"] {
        injected(&mounted_at(path), &values());
    }
}

#[test]
fn what_the_injector_writes_is_not_believed_without_a_sidecar() {
    let text = refusal(&with_annotations(&[("injected", "0.1.0")]), &values());
    assert!(text.contains("but the pod has no sidecar"), "{text}");
    // And a sidecar is not made of an annotation.
    let mut pod = injected(&pod(), &values());
    pod["spec"]
        .as_object_mut()
        .unwrap()
        .remove("initContainers");
    assert!(refusal(&pod, &values()).contains("but the pod has no sidecar"));
}

#[test]
fn containers_that_are_not_there_and_a_choice_that_is_not_clear() {
    let text = refusal(&with_annotations(&[("containers", "ap")]), &values());
    assert!(text.contains("= ap: is no container of the pod"), "{text}");
    let mut two = pod();
    two["spec"]["containers"] = json!([{"name": "a"}, {"name": "b"}]);
    let text = refusal(&two, &values());
    assert!(
        text.contains("name those that consume: some of a, b"),
        "{text}"
    );
}

#[test]
fn a_pod_that_ends_cannot_have_a_classic_sidecar() {
    let classic =
        Values::parse("sidecar: {mode: classic}\nclusters: {a: {brokers: ['a:1']}}").unwrap();
    let mut job = pod();
    job["spec"]["restartPolicy"] = json!("Never");
    assert!(refusal(&job, &classic).contains("sidecar.mode: native"));
    injected(&job, &values());
}

#[test]
fn what_the_platform_does_not_allow_is_refused() {
    let text = refusal(&with_annotations(&[("image", "mine:1")]), &values());
    assert!(text.contains("`allow.image: true`"), "{text}");
    let strict =
        Values::parse("allow: {configMap: false}\nclusters: {a: {brokers: ['a:1']}}").unwrap();
    let text = refusal(&with_annotations(&[("config-map", "mine")]), &strict);
    assert!(text.contains("`allow.configMap: true`"), "{text}");
    let free = Values::parse("allow: {image: true}\nclusters: {a: {brokers: ['a:1']}}").unwrap();
    let pod = injected(&with_annotations(&[("image", "mine:1")]), &free);
    assert_eq!(super::sidecar(&pod)["image"], "mine:1");
}

#[test]
fn labels_under_our_name_are_known_or_refused() {
    let mut wrong = pod();
    wrong["metadata"]["labels"]["ackline.dev/group"] = json!("orders");
    let text = refusal(&wrong, &values());
    assert!(
        text.contains("label ackline.dev/group: there is no such label"),
        "{text}"
    );
}
