use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Installed, restricted};
use crate::harness::until;

fn decoded(secret: &Value, key: &str) -> Option<String> {
    let text = secret["data"][key].as_str()?;
    Some(String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
}

/// A certificate for ten days, with its authority, as the data of a Secret.
async fn made_by_openssl(installed: &Installed) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let service = format!("{}.{}.svc", installed.name, installed.namespace);
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=old \
           -keyout ca.key -out ca.crt && \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old -keyout tls.key -out tls.csr && \
         printf 'subjectAltName=DNS:{service}' > extensions && \
         openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 10 -extfile extensions -out tls.crt"
    );
    let made = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(made.success());
    let file = |name: &str| STANDARD.encode(std::fs::read(folder.path().join(name)).unwrap());
    json!({"tls.crt": file("tls.crt"), "tls.key": file("tls.key"), "ca.crt": file("ca.crt")})
}

async fn patch_secret(installed: &Installed, data: Value) {
    let name = format!("{}-certificate", installed.name);
    let patch = json!({"data": data}).to_string();
    let namespace = &installed.namespace;
    let arguments = [
        "patch",
        "secret",
        &name,
        "-n",
        namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    installed.kube.kubectl(&arguments).await;
}

/// T1, T2: pods are created all the time, and none of them is refused.
#[tokio::test]
async fn a_certificate_is_replaced_without_a_gap() {
    let installed = Installed::new().await;
    let namespace = restricted(installed.kube).await;
    let secret = format!("{}-certificate", installed.name);
    // As an injector would have stored it eighty days ago.
    let old = made_by_openssl(&installed).await;
    patch_secret(&installed, old.clone()).await;
    let _injector = installed.start_injector("one", true).await;
    installed.until_it_answers(&namespace).await;

    let (done, created) = (AtomicBool::new(false), AtomicU32::new(0));
    let create_pods = async {
        while !done.load(Ordering::Relaxed) {
            let pod = installed.pod("always", &namespace);
            installed.would_create(&pod).await.unwrap();
            created.fetch_add(1, Ordering::Relaxed);
        }
    };
    let replace = async {
        let staged = until("the next certificate is trusted", async || {
            let stored = installed.object("secret", &secret).await;
            decoded(&stored, "next-trusted-since").and(decoded(&stored, "next-tls.crt"))
        })
        .await;
        // It would be trusted for a minute before it is served: that was an hour ago.
        let long_ago = json!({"next-trusted-since": STANDARD.encode("1000000000")});
        patch_secret(&installed, long_ago).await;
        until("the next certificate is served", async || {
            let stored = installed.object("secret", &secret).await;
            (decoded(&stored, "tls.crt")? == staged).then_some(())
        })
        .await;
        let before = created.load(Ordering::Relaxed);
        until("pods were created after it", async || {
            (created.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(create_pods, replace);

    let webhook = installed
        .object("mutatingwebhookconfiguration", &installed.name)
        .await;
    let bundle = webhook["webhooks"][0]["clientConfig"]["caBundle"]
        .as_str()
        .unwrap();
    let bundle = String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap();
    let stored = installed.object("secret", &secret).await;
    assert!(bundle.contains(&decoded(&stored, "ca.crt").unwrap()));
    let previous = String::from_utf8(STANDARD.decode(old["ca.crt"].as_str().unwrap()).unwrap());
    assert!(
        bundle.contains(&previous.unwrap()),
        "the old one is trusted until the next change"
    );
}

/// Stores a certificate that somebody else made, and has it where the kubelet would have put it.
async fn give(installed: &Installed, made: &Value, folder: &Path) {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "given", "namespace": installed.namespace},
        "type": "kubernetes.io/tls",
        "data": made,
    });
    installed.kube.apply(&secret).await;
    let stored = installed.object("secret", "given").await;
    for name in ["tls.crt", "tls.key"] {
        std::fs::write(folder.join(name), decoded(&stored, name).unwrap()).unwrap();
    }
}

/// Has the chart tell the API server to trust whoever made a certificate.
async fn trust(installed: &Installed, made: &Value, folder: &Path) {
    let file = folder.join("ca.crt");
    std::fs::write(&file, decoded(&json!({"data": made}), "ca.crt").unwrap()).unwrap();
    let bundle = format!("webhook.certificate.secret.caBundle={}", file.display());
    let flags = [
        "--set",
        "webhook.certificate.mode=secret",
        "--set",
        "webhook.certificate.secret.name=given",
        "--set-file",
        &bundle,
    ];
    installed.install(&flags).await;
}

/// The injector needs no rights for it, and no restart for the next one.
#[tokio::test]
async fn a_certificate_from_a_secret_that_is_given_serves_and_so_does_the_next_one() {
    let installed = Installed::prepared().await;
    let namespace = restricted(installed.kube).await;
    let folder = tempfile::tempdir().unwrap();
    let first = made_by_openssl(&installed).await;
    give(&installed, &first, folder.path()).await;
    trust(&installed, &first, folder.path()).await;
    let _injector = installed.start_injector_with(folder.path());
    installed.until_it_answers(&namespace).await;
    let pod = installed.pod("orders", &namespace);
    let created = installed.kube.try_create(&pod).await.unwrap();
    assert_eq!(created["spec"]["initContainers"][0]["name"], "ackline");

    // The order is the wrong one for a person, but shows which certificate is served.
    let second = made_by_openssl(&installed).await;
    trust(&installed, &second, folder.path()).await;
    let late = installed.pod("late", &namespace);
    let refused = until("the first one is not trusted any more", async || {
        installed.would_create(&late).await.err()
    })
    .await;
    assert!(refused.contains("certificate"), "{refused}");
    give(&installed, &second, folder.path()).await;
    installed.until_it_answers(&namespace).await;
    installed.kube.try_create(&late).await.unwrap();
}

/// T4: one writes; when it is gone another one does.
#[tokio::test]
async fn the_lease_goes_to_another_replica_when_its_holder_dies() {
    let installed = Installed::new().await;
    let mut first = installed.start_injector("first", true).await;
    until("the first one holds the lease", async || {
        (installed.holder().await == "first").then_some(())
    })
    .await;
    let _second = installed.start_injector("second", false).await;
    first.kill().await.unwrap();
    until("the second one holds the lease", async || {
        (installed.holder().await == "second").then_some(())
    })
    .await;
    let lease = installed.object("lease", &installed.name).await;
    assert_eq!(
        lease["spec"]["leaseTransitions"], 2,
        "taken twice, the first time from nobody"
    );
    // It may write: what somebody removed is back.
    let remove = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]).to_string();
    let name = &installed.name;
    let arguments = [
        "patch",
        "mutatingwebhookconfiguration",
        name,
        "--type=json",
        "-p",
        &remove,
    ];
    installed.kube.kubectl(&arguments).await;
    until("the API server trusts the injector again", async || {
        let webhook = installed.object("mutatingwebhookconfiguration", name).await;
        webhook["webhooks"][0]["clientConfig"]["caBundle"]
            .as_str()
            .map(drop)
    })
    .await;
}
