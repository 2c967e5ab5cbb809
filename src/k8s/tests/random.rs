//! Pods that nobody wrote: whatever they hold, they are only added to, and once.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::inject;
use super::{applied, values};

/// Any JSON, as a field of the future may hold it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-zA-Z/~.]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("x[a-zA-Z]{1,8}", anything(), 0..3).prop_map(|map| map.into_iter().collect())
}

fn list(name: &'static str) -> impl Strategy<Value = Option<Value>> {
    let item = (0..1_000_u32, fields()).prop_map(move |(number, mut item)| {
        item.insert("name".to_owned(), json!(format!("{name}-{number}")));
        Value::Object(item)
    });
    proptest::option::of(vec(item, 0..4).prop_map(Value::from))
}

fn container() -> impl Strategy<Value = Value> {
    (0..1_000_u32, list("env"), list("mount"), fields()).prop_map(
        |(number, env, mounts, mut container)| {
            container.insert("name".to_owned(), json!(format!("c-{number}")));
            insert(&mut container, "env", env);
            insert(&mut container, "volumeMounts", mounts);
            Value::Object(container)
        },
    )
}

fn insert(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value);
    }
}

/// A pod that asks for a sidecar, mostly rightly.
fn pods() -> impl Strategy<Value = Value> {
    let annotation = prop_oneof![
        Just(("ackline.dev/order", "key")),
        Just(("ackline.dev/set.lane_depth", "3")),
        Just(("ackline.dev/readiness", "true")),
        Just(("ackline.dev/cluster", "other")),
        Just(("ackline.dev/config-map", "more")),
        Just(("ackline.dev/topics", "a,b,^c.*")),
        Just(("ackline.dev/memory-limit", "64Mi")),
        Just(("ackline.dev/unknown", "x")),
        Just(("ackline.dev/start", "nowhere")),
        Just(("example.com/other", "x")),
    ];
    let parts = (
        vec(container(), 1..4),
        list("init"),
        list("volume"),
        vec(annotation, 0..4),
        (fields(), fields(), fields()),
        proptest::option::of(0..100_u64),
    );
    parts.prop_map(|(containers, init, volumes, annotations, more, grace)| {
        let (mut whole, mut metadata, mut spec) = more;
        let chosen = containers[0]["name"].as_str().unwrap_or("").to_owned();
        let mut all = json!({
            "ackline.dev/group": "g",
            "ackline.dev/topics": "t",
            "ackline.dev/start": "latest",
            "ackline.dev/containers": chosen,
        });
        for (name, value) in annotations {
            all[name] = json!(value);
        }
        metadata.insert("annotations".to_owned(), all);
        metadata.insert("labels".to_owned(), json!({"ackline.dev/inject": "true"}));
        spec.insert("containers".to_owned(), Value::from(containers));
        insert(&mut spec, "initContainers", init);
        insert(&mut spec, "volumes", volumes);
        insert(
            &mut spec,
            "terminationGracePeriodSeconds",
            grace.map(Value::from),
        );
        whole.insert("metadata".to_owned(), Value::Object(metadata));
        whole.insert("spec".to_owned(), Value::Object(spec));
        Value::Object(whole)
    })
}

/// Whether everything of `before` is in `after`, lists in their order.
pub(super) fn contains(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|it| contains(it, value))),
        (Value::Array(after), Value::Array(before)) => {
            let mut rest = after.iter();
            before
                .iter()
                .all(|wanted| rest.any(|it| contains(it, wanted)))
        }
        _ => after == before,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pods_are_only_added_to_and_only_once(pod in pods()) {
        let values = values();
        let Ok(injection) = inject(&pod, &values) else {
            return Ok(()); // K3: then nothing is added at all
        };
        let after = applied(&pod, injection);
        prop_assert!(contains(&after, &pod), "K1: {after:#}");
        let again = inject(&after, &values).unwrap();
        prop_assert!(again.additions.is_empty(), "K2: {:?}", again.additions);
    }

    #[test]
    fn any_json_is_answered(body in anything()) {
        let _ = inject(&body, &values());
        let _ = super::super::review(body.to_string().as_bytes(), &values());
        let _ = super::super::inject_manifests(&body.to_string(), &values());
    }
}
