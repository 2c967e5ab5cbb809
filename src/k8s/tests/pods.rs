use serde_json::{Value, json};

use super::super::{Values, inject};
use super::{injected, named, pod, sidecar, values, with_annotations};
use crate::config::{Config, Sources, memory_bytes_max};

/// The settings file that the sidecar would read, read as it would.
fn settings(pod: &Value) -> Config {
    let text = pod["metadata"]["annotations"]["ackline.dev/settings"].as_str();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ackline.yaml");
    std::fs::write(&path, text.unwrap()).unwrap();
    let sources = Sources {
        files: vec![path],
        skip_files: true,
        variables: vec![("POD_NAME".into(), "orders-0".into())],
        ..Sources::default()
    };
    Config::load(&sources).unwrap()
}

#[test]
fn a_pod_gets_a_native_sidecar_and_its_application_a_socket() {
    let pod = injected(&pod(), &values());
    let sidecar = sidecar(&pod);
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(sidecar["image"], "registry.example.com/ackline:1.2.3");
    assert_eq!(
        sidecar["args"],
        json!(["run", "--config", "/etc/ackline/settings/ackline.yaml"])
    );
    assert_eq!(sidecar["startupProbe"]["httpGet"]["path"], "/startupz");
    assert_eq!(
        sidecar["lifecycle"]["preStop"]["exec"]["command"],
        json!(["/ackline", "drain", "--notice", "--reason", "preStop"])
    );
    assert_eq!(
        sidecar.get("readinessProbe"),
        None,
        "it counts for the whole pod"
    );
    let app = named(&pod["spec"]["containers"], "app");
    let target = named(&app["env"], "ACKLINE_TARGET");
    assert_eq!(target["value"], "unix:/run/ackline/ackline.sock");
    assert_eq!(
        app["volumeMounts"],
        json!([{"name": "ackline-socket", "mountPath": "/run/ackline", "readOnly": true}])
    );
    assert_eq!(pod["spec"].get("securityContext"), None, "no fsGroup");
    assert_eq!(
        pod["metadata"]["annotations"]["ackline.dev/containers"],
        "app"
    );
}

#[test]
fn every_mount_of_the_sidecar_has_its_volume_and_the_reverse() {
    let pod = injected(&with_annotations(&[("config-map", "extra")]), &values());
    let names = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        let mut names: Vec<String> = list.map(|it| it["name"].to_string()).collect();
        names.sort();
        names
    };
    let volumes = names(&pod["spec"]["volumes"]);
    assert_eq!(names(&sidecar(&pod)["volumeMounts"]), volumes);
    assert_eq!(volumes.len(), 8, "{volumes:?}");
}

#[test]
fn settings_of_platform_cluster_and_pod_come_together_the_later_winning() {
    let asked = with_annotations(&[
        ("order", "key"),
        ("dead-letter-topic", "{topic}.dlq"),
        ("set.drain.revoke", "3s"),
        ("set.group.instance_id", "${POD_NAME}"),
        ("set.listen.streams_max", "4"),
    ]);
    let pod = injected(&asked, &values());
    let config = settings(&pod);
    assert_eq!(config.group.id, "orders-service");
    assert_eq!(config.topics, ["orders", "payments"]);
    assert_eq!(config.kafka.brokers, ["kafka-0:9093", "kafka-1:9093"]);
    assert_eq!(config.commit.interval.as_secs(), 2, "of the platform");
    assert_eq!(
        config.drain.revoke.as_secs(),
        3,
        "of the pod, over its cluster's"
    );
    assert_eq!(config.dead_letter.topic, "{topic}.dlq");
    assert_eq!(config.group.instance_id, "orders-0");
    assert_eq!(config.listen.streams_max, 4);
    let text = &pod["metadata"]["annotations"]["ackline.dev/settings"];
    let text = text.as_str().unwrap();
    assert!(text.contains("# annotation ackline.dev/topics"), "{text}");
    assert!(
        !text.contains("on_out_of_range"),
        "defaults are left out: {text}"
    );
}

#[test]
fn secrets_are_files_of_the_sidecar_alone() {
    let pod = injected(&pod(), &values());
    let login = named(&pod["spec"]["volumes"], "ackline-sasl");
    assert_eq!(login["secret"]["secretName"], "kafka-login");
    assert_eq!(
        login["secret"]["items"],
        json!([{"key": "user", "path": "username"}, {"key": "password", "path": "password"}])
    );
    let config = settings(&pod);
    let sasl = &config.kafka.sasl;
    let mounted = |name: &str| {
        let mount = named(&sidecar(&pod)["volumeMounts"], name)["mountPath"].clone();
        mount.as_str().unwrap().to_owned()
    };
    let file = |path: &Option<std::path::PathBuf>| path.clone().unwrap().display().to_string();
    assert_eq!(
        file(&sasl.username_file),
        mounted("ackline-sasl") + "/username"
    );
    assert_eq!(
        file(&sasl.password_file),
        mounted("ackline-sasl") + "/password"
    );
    let tls = &config.kafka.tls;
    assert_eq!(file(&tls.ca_file), mounted("ackline-tls-ca") + "/ca.crt");
    assert_eq!(
        file(&tls.cert_file),
        mounted("ackline-tls-client") + "/tls.crt"
    );
    assert_eq!(
        file(&tls.key_file),
        mounted("ackline-tls-client") + "/tls.key"
    );
    let app = named(&pod["spec"]["containers"], "app").to_string();
    assert!(!app.contains("sasl") && !app.contains("tls"), "{app}");
}

#[test]
fn the_sidecar_has_no_token_of_the_api_server() {
    let pod = injected(&pod(), &values());
    let mount = named(&sidecar(&pod)["volumeMounts"], "ackline-no-token");
    assert_eq!(
        mount["mountPath"],
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    assert!(named(&pod["spec"]["volumes"], "ackline-no-token")["emptyDir"].is_object());
}

#[test]
fn memory_follows_from_the_settings_and_is_requested_whole() {
    let asked = with_annotations(&[
        ("set.in_flight.bytes", "64MiB"),
        ("set.kafka.fetch_max_bytes", "1MiB"),
    ]);
    let pod = injected(&asked, &values());
    let mebibytes = memory_bytes_max(&settings(&pod)).div_ceil(1 << 20);
    assert_eq!(mebibytes, 310);
    let resources = &sidecar(&pod)["resources"];
    assert_eq!(
        resources["limits"],
        json!({"memory": format!("{mebibytes}Mi")})
    );
    assert_eq!(
        resources["requests"],
        json!({"cpu": "50m", "memory": format!("{mebibytes}Mi")})
    );
}

#[test]
fn resources_that_are_asked_for_win_and_too_little_memory_is_warned_of() {
    let asked = with_annotations(&[
        ("cpu-request", "200m"),
        ("cpu-limit", "1"),
        ("memory-limit", "32Mi"),
    ]);
    let injection = inject(&asked, &values()).unwrap();
    assert_eq!(injection.warnings.len(), 1);
    assert!(
        injection.warnings[0].contains("32Mi"),
        "{:?}",
        injection.warnings
    );
    let resources = sidecar(&super::applied(&asked, injection))["resources"].clone();
    assert_eq!(
        resources,
        json!({
            "requests": {"cpu": "200m", "memory": "32Mi"},
            "limits": {"cpu": "1", "memory": "32Mi"},
        })
    );
}

#[test]
fn a_grace_period_below_the_time_for_the_end_is_warned_of() {
    let mut short = pod();
    short["spec"]["terminationGracePeriodSeconds"] = json!(10);
    let warnings = inject(&short, &values()).unwrap().warnings;
    assert!(
        warnings[0].contains("terminationGracePeriodSeconds is 10"),
        "{warnings:?}"
    );
    short["metadata"]["annotations"]["ackline.dev/set.drain.shutdown"] = json!("8s");
    assert_eq!(
        inject(&short, &values()).unwrap().warnings,
        Vec::<String>::new()
    );
}

#[test]
fn readiness_counts_for_the_pod_only_if_somebody_asks() {
    let asked = with_annotations(&[("readiness", "true")]);
    let pod = injected(&asked, &values());
    assert_eq!(
        sidecar(&pod)["readinessProbe"]["httpGet"]["path"],
        "/readyz"
    );
    let by_default = Values::parse("sidecar: {readiness: true}\nclusters: {a: {brokers: ['a:1']}}");
    let by_default = by_default.unwrap();
    assert!(
        sidecar(&injected(&super::pod(), &by_default))
            .get("readinessProbe")
            .is_some()
    );
    let refused = with_annotations(&[("readiness", "false")]);
    assert_eq!(
        sidecar(&injected(&refused, &by_default)).get("readinessProbe"),
        None
    );
}

#[test]
fn with_several_containers_those_that_are_named_get_the_socket() {
    let mut several = with_annotations(&[("containers", "b, c")]);
    several["spec"]["containers"] = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
    let pod = injected(&several, &values());
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let has = |index: usize| containers[index].to_string().contains("ackline-socket");
    assert_eq!([has(0), has(1), has(2)], [false, true, true]);

    let annotations = &mut several["metadata"]["annotations"];
    annotations
        .as_object_mut()
        .unwrap()
        .remove("ackline.dev/containers");
    annotations["kubectl.kubernetes.io/default-container"] = json!("a");
    let pod = injected(&several, &values());
    assert!(
        pod["spec"]["containers"][0]
            .to_string()
            .contains("ackline-socket")
    );
    assert!(
        !pod["spec"]["containers"][1]
            .to_string()
            .contains("ackline-socket")
    );
}

#[test]
fn what_another_webhook_adds_later_does_not_change_the_choice() {
    let mut pod = injected(&pod(), &values());
    let proxy = json!({"name": "mesh-proxy", "image": "mesh:1"});
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .insert(0, proxy);
    assert_eq!(inject(&pod, &values()).unwrap().additions, []);
}

#[test]
fn a_container_that_lost_its_socket_gets_it_back_and_nothing_else_changes() {
    let mut pod = injected(&pod(), &values());
    let before = pod.clone();
    pod["spec"]["containers"][0] = json!({"name": "app", "image": "orders:1"});
    assert_eq!(injected(&pod, &values()), before);
}

#[test]
fn a_classic_sidecar_comes_before_the_application() {
    let classic =
        Values::parse("sidecar: {mode: classic}\nclusters: {a: {brokers: ['a:1']}}").unwrap();
    let pod = injected(&pod(), &classic);
    assert_eq!(pod["spec"].get("initContainers"), None);
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers[0]["name"], "ackline");
    assert_eq!(containers[0].get("restartPolicy"), None);
    assert!(containers[1].to_string().contains("ACKLINE_TARGET"));
    assert_eq!(inject(&pod, &classic).unwrap().additions, []);
}

#[test]
fn a_native_sidecar_comes_after_other_init_containers() {
    let mut pod = pod();
    pod["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    let pod = injected(&pod, &values());
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "migrate");
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "ackline");
}

#[test]
fn a_config_map_may_bring_what_the_annotations_lack() {
    let mut pod = super::pod();
    pod["metadata"]["annotations"] = json!({"ackline.dev/config-map": "orders-settings"});
    let pod = injected(&pod, &values());
    assert_eq!(
        sidecar(&pod)["args"],
        json!([
            "run",
            "--config",
            "/etc/ackline/settings/ackline.yaml",
            "--config",
            "/etc/ackline/config-map/ackline.yaml",
        ])
    );
    assert_eq!(
        named(&pod["spec"]["volumes"], "ackline-config-map")["configMap"]["name"],
        "orders-settings"
    );
}

#[test]
fn variables_of_the_platform_are_added_and_win() {
    let text = "sidecar:\n  env:\n  - {name: NODE_NAME, value: here}\n  - {name: TZ, value: UTC}\nclusters: {a: {brokers: ['a:1']}}";
    let pod = injected(&pod(), &Values::parse(text).unwrap());
    let variables = sidecar(&pod)["env"].as_array().unwrap();
    let names: Vec<&str> = variables
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(names, ["POD_NAME", "POD_NAMESPACE", "NODE_NAME", "TZ"]);
    assert_eq!(named(&sidecar(&pod)["env"], "NODE_NAME")["value"], "here");
}

#[test]
fn a_pod_without_the_label_is_left_alone() {
    let mut pod = pod();
    pod["metadata"]["labels"] = json!({"ackline.dev/inject": "false"});
    assert_eq!(
        inject(&pod, &values()).unwrap(),
        super::super::Injection::default()
    );
}

#[test]
fn users_may_be_left_to_the_cluster() {
    let text = "sidecar: {securityContext: {runAsUser: null, runAsGroup: null}}\nclusters: {a: {brokers: ['a:1']}}";
    let pod = injected(&pod(), &Values::parse(text).unwrap());
    let context = &sidecar(&pod)["securityContext"];
    assert_eq!(context.get("runAsUser"), None);
    assert_eq!(context["runAsNonRoot"], true);
}

#[test]
fn an_application_that_wants_the_sidecars_port_is_warned_of() {
    let warnings = |port: Value| {
        let mut pod = pod();
        pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}, port]);
        inject(&pod, &values()).unwrap().warnings
    };
    assert_eq!(
        warnings(json!({"containerPort": 7421, "protocol": "UDP"})),
        [""; 0]
    );
    let said = warnings(json!({"containerPort": 7421}));
    assert!(
        said.len() == 1 && said[0].starts_with("container app has port 7421"),
        "{said:?}"
    );
}
