use serde_json::{Value, json};

use super::super::Values;
use super::super::tests::{injected, named, refusal, sidecar, values, with_annotations};

const POSTGRES: [(&str, &str); 2] = [
    ("set.offset_store.kind", "postgres"),
    ("set.offset_store.postgres.address", "db:5432"),
];
const ZOOKEEPER: [(&str, &str); 2] = [
    ("set.offset_store.kind", "zookeeper"),
    (
        "set.offset_store.zookeeper.servers",
        "zk-0:2181,zk-1:2181/kafka",
    ),
];
const SECRET: (&str, &str) = ("offset-store-secret", "orders-store");

/// A platform that has a store and its Secret.
fn platform(secret: &str) -> Values {
    let text = format!(
        "clusters: {{main: {{brokers: ['a:1']}}}}\n\
         config: {{offset_store: {{kind: postgres, postgres: {{address: 'db:5432', tls: {{enabled: true}}}}}}}}\n\
         offsetStore: {{secret: {{{secret}}}}}"
    );
    Values::parse(&text).unwrap()
}

/// Setting and file of all that a pod's settings name below the store's folder.
fn named_files(pod: &Value) -> Vec<String> {
    let text = pod["metadata"]["annotations"]["ackline.dev/settings"].as_str();
    let lines = text.unwrap().lines().map(str::trim);
    let ours = lines.filter(|line| line.contains("/etc/ackline/offset-store/"));
    ours.map(|line| line.split(" #").next().unwrap().trim().to_owned())
        .collect()
}

fn secret(pod: &Value) -> &Value {
    &named(&pod["spec"]["volumes"], "ackline-offset-store")["secret"]
}

fn has_secret(pod: &Value) -> bool {
    pod.to_string().contains("ackline-offset-store")
}

#[test]
fn a_named_secret_becomes_files_of_the_sidecar_alone() {
    let pod = injected(
        &with_annotations(&[POSTGRES[0], POSTGRES[1], SECRET]),
        &values(),
    );
    assert_eq!(
        *secret(&pod),
        json!({
            "secretName": "orders-store",
            "items": [{"key": "username", "path": "username"}, {"key": "password", "path": "password"}],
        })
    );
    assert_eq!(
        *named(&sidecar(&pod)["volumeMounts"], "ackline-offset-store"),
        json!({"name": "ackline-offset-store", "mountPath": "/etc/ackline/offset-store", "readOnly": true})
    );
    assert_eq!(
        named_files(&pod),
        [
            "username_file: /etc/ackline/offset-store/username",
            "password_file: /etc/ackline/offset-store/password",
        ]
    );
    let app = named(&pod["spec"]["containers"], "app");
    assert!(!has_secret(app), "{app}");
}

#[test]
fn encryption_asks_for_the_authority_and_zookeeper_for_a_certificate_as_well() {
    let encrypted = ("set.offset_store.postgres.tls.enabled", "true");
    let pod = injected(
        &with_annotations(&[POSTGRES[0], POSTGRES[1], SECRET, encrypted]),
        &values(),
    );
    assert_eq!(
        named_files(&pod),
        [
            "username_file: /etc/ackline/offset-store/username",
            "password_file: /etc/ackline/offset-store/password",
            "ca_file: /etc/ackline/offset-store/ca.crt",
        ]
    );
    assert_eq!(secret(&pod)["items"].as_array().unwrap().len(), 3);

    let pod = injected(
        &with_annotations(&[ZOOKEEPER[0], ZOOKEEPER[1], SECRET]),
        &values(),
    );
    assert_eq!(secret(&pod)["items"].as_array().unwrap().len(), 2);
    let encrypted = ("set.offset_store.zookeeper.tls.enabled", "true");
    let pod = injected(
        &with_annotations(&[ZOOKEEPER[0], ZOOKEEPER[1], SECRET, encrypted]),
        &values(),
    );
    assert_eq!(
        named_files(&pod)[2..],
        [
            "ca_file: /etc/ackline/offset-store/ca.crt",
            "cert_file: /etc/ackline/offset-store/tls.crt",
            "key_file: /etc/ackline/offset-store/tls.key",
        ]
    );
}

#[test]
fn the_secret_of_the_values_is_for_every_pod_and_its_keys_may_have_other_names_or_be_missing() {
    let pod = injected(
        &with_annotations(&[]),
        &platform("name: store, usernameKey: user, caKey: ''"),
    );
    assert_eq!(
        *secret(&pod),
        json!({
            "secretName": "store",
            "items": [{"key": "user", "path": "username"}, {"key": "password", "path": "password"}],
        })
    );
    let settings = pod["metadata"]["annotations"]["ackline.dev/settings"].to_string();
    assert!(settings.contains("# values, offsetStore"), "{settings}");
    // A pod's own goes by the same keys.
    let pod = injected(
        &with_annotations(&[SECRET]),
        &platform("name: store, usernameKey: user"),
    );
    assert_eq!(secret(&pod)["secretName"], "orders-store");
    assert_eq!(secret(&pod)["items"][0]["key"], "user");
}

#[test]
fn a_profile_with_a_secret_wins_over_the_general_one() {
    let text = "clusters:\n  \
        main: {brokers: ['a:1'], offsetStore: {secret: {name: mine, passwordKey: word}}}\n  \
        other: {brokers: ['b:1']}\n\
        config: {offset_store: {kind: postgres, postgres: {address: 'db:5432'}}}\n\
        offsetStore: {secret: {name: general, usernameKey: user}}";
    let values = Values::parse(text).unwrap();
    let of = |cluster| {
        let pod = injected(&with_annotations(&[("cluster", cluster)]), &values);
        let keys = secret(&pod)["items"].as_array().unwrap().iter();
        let keys: Vec<String> = keys
            .map(|it| it["key"].as_str().unwrap().to_owned())
            .collect();
        (
            secret(&pod)["secretName"].as_str().unwrap().to_owned(),
            keys.join(" "),
        )
    };
    assert_eq!(of("main"), ("mine".to_owned(), "username word".to_owned()));
    assert_eq!(
        of("other"),
        ("general".to_owned(), "user password".to_owned())
    );
}

#[test]
fn a_pod_that_keeps_positions_in_kafka_gets_no_secret_of_a_store() {
    let text = "clusters: {main: {brokers: ['a:1']}}\noffsetStore: {secret: {name: store}}";
    let values = Values::parse(text).unwrap();
    assert!(!has_secret(&injected(&with_annotations(&[]), &values)));
    // One that names a Secret meant something else. A ConfigMap is not seen here.
    for more in [&[][..], &[("config-map", "settings")]] {
        let text = refusal(&with_annotations(&[&[SECRET][..], more].concat()), &values);
        assert!(text.contains("but offset_store.kind is kafka"), "{text}");
        assert!(
            text.contains("`ackline.dev/set.offset_store.kind`"),
            "{text}"
        );
    }
}

#[test]
fn a_config_map_may_say_where_the_store_is() {
    let asked = [POSTGRES[0], SECRET, ("config-map", "settings")];
    let pod = injected(&with_annotations(&asked), &values());
    assert_eq!(named_files(&pod).len(), 2);
}

#[test]
fn annotations_name_no_files() {
    for key in [
        "offset_store.postgres.username_file",
        "offset_store.postgres.password_file",
        "offset_store.postgres.tls.ca_file",
        "offset_store.zookeeper.tls.key_file",
    ] {
        let annotation = format!("set.{key}");
        // Where the password for Kafka is; it would be sent to a server of the pod's choice.
        let asked = [
            POSTGRES[0],
            POSTGRES[1],
            SECRET,
            (annotation.as_str(), "/etc/ackline/sasl/password"),
        ];
        let text = refusal(&with_annotations(&asked), &values());
        let said = format!("annotation ackline.dev/{annotation}: names a file, which a pod cannot");
        assert!(text.contains(&said), "{text}");
    }
}

#[test]
fn a_store_of_the_pods_own_does_not_get_the_platforms_secret() {
    for (setting, value) in [
        ("set.offset_store.postgres.address", "mine:5432"),
        ("set.offset_store.postgres.tls.enabled", "false"),
    ] {
        let text = refusal(
            &with_annotations(&[(setting, value)]),
            &platform("name: store"),
        );
        let said =
            "is about a store of your own, but the Secret is that of `offsetStore` in the values";
        assert!(text.contains(said), "{setting}: {text}");
        let pod = injected(
            &with_annotations(&[(setting, value), SECRET]),
            &platform("name: store"),
        );
        assert_eq!(secret(&pod)["secretName"], "orders-store");
    }
    // What concerns nobody else is free.
    let pod = injected(
        &with_annotations(&[("set.offset_store.postgres.table", "mine")]),
        &platform("name: store"),
    );
    assert_eq!(secret(&pod)["secretName"], "store");
}

#[test]
fn a_store_without_what_it_needs_is_told_with_what_to_write() {
    let text = refusal(&with_annotations(&[POSTGRES[0]]), &values());
    for part in [
        "setting offset_store.postgres.address: is not given",
        "`ackline.dev/set.offset_store.postgres.address`",
        "setting offset_store.postgres.username_file: is not given",
        "by the annotation `ackline.dev/offset-store-secret`, or have the platform set `offsetStore.secret`",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    // The Secret is there; that it could not be used yet is not another mistake.
    let asked = [POSTGRES[0], POSTGRES[1], SECRET, ("start", "nowhere")];
    let text = refusal(&with_annotations(&asked), &values());
    assert!(text.contains("start = nowhere"), "{text}");
    assert!(!text.contains("username_file"), "{text}");
}

#[test]
fn names_and_keys_are_looked_at() {
    let mistakes = |text: &str| Values::parse(text).unwrap_err().to_string();
    let text = mistakes("offsetStore: {secret: {name: No Name, certKey: ''}, secrets: {}}");
    for part in [
        "offsetStore.secret.name = No Name: is not a name of an object",
        "offsetStore.secret: has only one of `certKey` and `keyKey`",
        "did you mean `secret`?",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    let text = mistakes("clusters: {a: {brokers: ['a:1'], offsetStore: {secret: {name: A_B}}}}");
    assert!(
        text.contains("clusters.a.offsetStore.secret.name = A_B"),
        "{text}"
    );
    let text = refusal(
        &with_annotations(&[("offset-store-secret", "A_B")]),
        &values(),
    );
    assert!(
        text.contains("annotation ackline.dev/offset-store-secret = A_B"),
        "{text}"
    );
}
