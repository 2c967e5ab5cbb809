//! Encrypted and authenticated connections, each against a real listener; and what happens when
//! the broker says no.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Cluster, Ledger, Line, Manner, Member, Protocol, Settings, Sidecar, Topic, Worker, unique,
    until,
};

use super::assert_worked_off;

fn cluster() -> &'static Cluster {
    Cluster::shared(Line::Newest)
}

/// TLS settings that trust the cluster's authority.
fn tls() -> Value {
    json!({"enabled": true, "ca_file": format!("{}/authority.pem", cluster().setting("KAFKA_CERTIFICATES"))})
}

/// TLS settings that also show the client's certificate.
fn mutual_tls() -> Value {
    let folder = cluster().setting("KAFKA_CERTIFICATES");
    json!({
        "enabled": true,
        "ca_file": format!("{folder}/authority.pem"),
        "cert_file": format!("{folder}/client.pem"),
        "key_file": format!("{folder}/client.key"),
    })
}

/// SASL settings of the user that `tests/kafka/up` makes.
fn sasl(mechanism: &str, secrets: &Path, password: &str) -> Value {
    std::fs::write(secrets.join("username"), "alice").unwrap();
    std::fs::write(secrets.join("password"), password).unwrap();
    json!({
        "mechanism": mechanism,
        "username_file": secrets.join("username"),
        "password_file": secrets.join("password"),
    })
}

fn settings(listener: &str, group: &str, topic: &Topic<'_>, kafka: Value) -> Settings {
    Settings::new(cluster().setting(listener), group, &[&topic.name]).with(json!({"kafka": kafka}))
}

/// Reads a topic to its end over a listener.
async fn everything_is_finished_over(listener: &str, kafka: Value) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(cluster(), 2).await;
    topic.write_numbered(&ledger, 200).await;
    let sidecar = Sidecar::start(settings(listener, &group, &topic, kafka)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(32));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(cluster(), &group, &topic, &ledger).await;
}

// R18
#[tokio::test]
async fn tls_encrypts_the_connection() {
    everything_is_finished_over("KAFKA_TLS_BOOTSTRAP", json!({"tls": tls()})).await;
}

// R18
#[tokio::test]
async fn mutual_tls_authenticates_by_certificate() {
    everything_is_finished_over("KAFKA_MUTUAL_TLS_BOOTSTRAP", json!({"tls": mutual_tls()})).await;
}

// R18
#[tokio::test]
async fn sasl_plain_authenticates_by_password() {
    let secrets = TempDir::new().unwrap();
    let sasl = sasl("PLAIN", secrets.path(), "alice-secret");
    everything_is_finished_over("KAFKA_SASL_BOOTSTRAP", json!({"tls": tls(), "sasl": sasl})).await;
}

// R18
#[tokio::test]
async fn scram_sha_256_authenticates_by_password() {
    let secrets = TempDir::new().unwrap();
    let sasl = sasl("SCRAM-SHA-256", secrets.path(), "alice-secret");
    everything_is_finished_over("KAFKA_SASL_BOOTSTRAP", json!({"tls": tls(), "sasl": sasl})).await;
}

// R18
#[tokio::test]
async fn scram_sha_512_authenticates_by_password() {
    let secrets = TempDir::new().unwrap();
    let sasl = sasl("SCRAM-SHA-512", secrets.path(), "alice-secret");
    everything_is_finished_over("KAFKA_SASL_BOOTSTRAP", json!({"tls": tls(), "sasl": sasl})).await;
}

// R18 B34 C-10
#[tokio::test]
async fn a_wrong_password_is_named_never_shown_and_mended_by_writing_the_file() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(cluster(), 2).await;
    topic.write_numbered(&ledger, 50).await;
    let secrets = TempDir::new().unwrap();
    let sasl = sasl("SCRAM-SHA-512", secrets.path(), "planted-canary");
    let kafka = json!({"tls": tls(), "sasl": sasl});
    let sidecar = Sidecar::start(settings("KAFKA_SASL_BOOTSTRAP", &group, &topic, kafka)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(33));
    until_not_ready(&sidecar, "authentication").await;
    std::fs::write(secrets.path().join("password"), "alice-secret").unwrap();
    ledger.until_all_accepted().await;
    until_ready(&sidecar).await;
    assert!(
        !sidecar.log().contains("planted-canary"),
        "the password is in the log"
    );
    assert!(
        !sidecar.log().contains("alice-secret"),
        "the password is in the log"
    );
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(cluster(), &group, &topic, &ledger).await;
}

// R18 B35
#[tokio::test]
async fn a_renewed_certificate_is_taken_up_without_loss_or_repeats() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(cluster(), 2).await;
    let files = TempDir::new().unwrap();
    let place = |name: &str| files.path().join(name);
    let copy = |name: &str| {
        // Written beside it and renamed, as a mounted secret is renewed.
        let source = format!("{}/{name}", cluster().setting("KAFKA_CERTIFICATES"));
        let mut text = std::fs::read_to_string(source).unwrap();
        text.push('\n');
        std::fs::write(place("new"), text).unwrap();
        std::fs::rename(place("new"), place(name)).unwrap();
    };
    let original = mutual_tls();
    for name in ["client.pem", "client.key"] {
        let from = format!("{}/{name}", cluster().setting("KAFKA_CERTIFICATES"));
        std::fs::copy(from, place(name)).unwrap();
    }
    let tls = json!({
        "enabled": true,
        "ca_file": original["ca_file"],
        "cert_file": place("client.pem"),
        "key_file": place("client.key"),
    });
    let kafka = json!({"tls": tls});
    let sidecar = Sidecar::start(settings(
        "KAFKA_MUTUAL_TLS_BOOTSTRAP",
        &group,
        &topic,
        kafka,
    ))
    .await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(34));
    topic.write_numbered(&ledger, 200).await;
    ledger.until_all_accepted().await;
    copy("client.key");
    copy("client.pem");
    sidecar.until_logged(&["file_reloaded", "kafka.tls"]).await;
    topic.write_numbered(&ledger, 200).await;
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    assert_worked_off(cluster(), &group, &topic, &ledger).await;
}

// R12 B23
#[tokio::test]
async fn a_withdrawn_permission_is_named_and_its_return_needs_no_restart() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(cluster(), 2).await;
    topic.write_numbered(&ledger, 50).await;
    let denial = [
        "--deny-principal",
        "User:alice",
        "--operation",
        "Read",
        "--group",
        &group,
    ];
    cluster()
        .tool(&[["acls", "--add"].as_slice(), &denial].concat())
        .await;
    let secrets = TempDir::new().unwrap();
    let sasl = sasl("PLAIN", secrets.path(), "alice-secret");
    let kafka = json!({"tls": tls(), "sasl": sasl});
    let sidecar = Sidecar::start(settings("KAFKA_SASL_BOOTSTRAP", &group, &topic, kafka)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(35));
    until_not_ready(&sidecar, "group authorization").await;
    assert_eq!(ledger.delivery_count(), 0);
    cluster()
        .tool(&[["acls", "--remove", "--force"].as_slice(), &denial].concat())
        .await;
    ledger.until_all_accepted().await;
    until_ready(&sidecar).await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(cluster(), &group, &topic, &ledger).await;
}

// R12: nothing but the topic and the group may be needed
#[tokio::test]
async fn an_encrypted_listener_is_not_mistaken_for_a_plain_one() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let topic = Topic::create(member.cluster, 1).await;
    let kafka = json!({"tls": {"enabled": false}});
    let sidecar = Sidecar::start(settings("KAFKA_TLS_BOOTSTRAP", &group, &topic, kafka)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(36));
    until_not_ready(&sidecar, "broker").await;
    worker.finish().await;
    sidecar.stop().await;
}

async fn until_ready(sidecar: &Sidecar) {
    until("it is ready", async || {
        (sidecar.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
}

/// Waits until the readiness page gives a reason that contains this.
async fn until_not_ready(sidecar: &Sidecar, reason: &str) {
    until(
        &format!("it is not ready because of {reason}"),
        async || {
            let (code, body) = sidecar.get("/readyz").await;
            (code == 503 && body.to_lowercase().contains(&reason.to_lowercase())).then_some(())
        },
    )
    .await;
    assert_eq!(
        sidecar.get("/livez").await.0,
        200,
        "a restart would mend nothing"
    );
}
