use super::super::Values;

fn mistakes(text: &str) -> String {
    Values::parse(text).unwrap_err().to_string()
}

#[test]
fn no_values_are_the_defaults() {
    for text in ["", "sidecar:\nclusters:\n", "replicas: 3\n"] {
        assert_eq!(Values::parse(text).unwrap(), Values::default(), "{text}");
    }
}

/// What the chart's values.yaml has in our sections is what we know, and our defaults.
#[test]
fn the_charts_own_values_are_the_defaults() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/charts/ackline/values.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(Values::parse(&text).unwrap(), Values::default());
}

#[test]
fn all_unknown_keys_are_named_with_the_nearest() {
    let text =
        mistakes("sidecar: {imgae: {}}\nclusters: {a: {broker: [x], sasl: {mechanisms: PLAIN}}}");
    for part in [
        "sidecar.imgae: there is no such value\n    -> did you mean `image`?",
        "clusters.a.broker: there is no such value\n    -> did you mean `brokers`?",
        "did you mean `mechanism`?",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
}

#[test]
fn settings_of_the_platform_are_judged_before_a_pod_needs_them() {
    let text = mistakes(
        "config: {order: sorted, listen: {app: 'unix:/x'}, kafka: {properties: {sasl.password: x}}}\n\
         clusters: {a: {brokers: [nonsense], config: {lane_dept: 3}}, b: {brokers: ['b:1']}}",
    );
    for part in [
        "values, config: order",
        "config.listen.app: is fixed in pods",
        "values, clusters.a: kafka.brokers: `nonsense`",
        "values, clusters.a.config: lane_dept",
        "did you mean `lane_depth`?",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert_eq!(
        text.matches("values, config: order").count(),
        1,
        "once for all clusters"
    );
}

#[test]
fn a_secret_among_properties_is_refused() {
    let text = mistakes("config: {kafka: {properties: {ssl.key.pem: x}}}");
    assert!(text.contains("ssl.key.pem"), "{text}");
}

#[test]
fn halves_are_mistakes() {
    let text = mistakes(
        "clusters:\n  a:\n    brokers: ['a:1']\n    sasl: {mechanism: PLAIN}\n    tls: {enabled: true, caSecret: {name: C_A}}\n",
    );
    assert!(text.contains("clusters.a.sasl: has only one of"), "{text}");
    assert!(
        text.contains("clusters.a.tls.caSecret.name = C_A: is not a name of an object"),
        "{text}"
    );
    let text = mistakes("defaultCluster: mian\nclusters: {main: {brokers: ['a:1']}}");
    assert!(text.contains("did you mean `main`?"), "{text}");
}

#[test]
fn the_container_is_looked_at() {
    let text = mistakes(
        "sidecar:\n  image: {repository: ''}\n  resources: {limits: {memory: much, cpu: 0}}\n  \
         startup: {periodSeconds: 0}\n  securityContext: {runAsUser: 0}\n  env: [{value: x}]\n",
    );
    for part in [
        "sidecar.image.repository: is empty",
        "sidecar.resources.limits.memory = much",
        "sidecar.resources.limits.cpu = 0",
        "sidecar.startup.periodSeconds = 0",
        "sidecar.securityContext.runAsUser = 0: is root",
        "sidecar.env[0]: has no name",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert!(
        mistakes("sidecar: {mode: native, startup: {periodSeconds: soon}}").contains("values:")
    );
    assert!(mistakes("config: {listen: {http: ''}}").contains("config.listen.http: is empty"));
    assert!(mistakes("[1, 2]").contains("are not a mapping"));
    assert!(mistakes("a: [").contains("not valid YAML"));
}

#[test]
fn images_are_named_by_digest_by_tag_or_by_our_version() {
    let image = |text: &str| {
        let text = format!("sidecar: {{image: {{{text}}}}}");
        Values::parse(&text).unwrap().sidecar.image.reference()
    };
    let ours = format!("ackline:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(image(""), ours);
    assert_eq!(image("repository: r/a, tag: '7'"), "r/a:7");
    assert_eq!(image("tag: '7', digest: 'sha256:1'"), "ackline@sha256:1");
}
