//! What all tests on nodes share, set up once.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::sync::OnceCell;

use crate::harness::{Cluster, repository};
use crate::kube::cluster::{Kind, Kube, run_to_end, script};

/// Image of the application that the pods of tests run.
pub(super) const APPLICATION: &str = "ackline-test/application:1";

/// Label of namespaces that may read the metrics of the injector.
pub(super) const SCRAPES: (&str, &str) = ("ackline-test/scrapes", "yes");

/// Nodes with the chart, and the Kafka that pods reach.
#[derive(Clone, Copy)]
pub(super) struct Bench {
    pub(super) kube: &'static Kube,
    pub(super) kafka: &'static Cluster,
}

impl Bench {
    pub(super) async fn shared() -> Self {
        static SHARED: OnceCell<Bench> = OnceCell::const_new();
        *SHARED.get_or_init(Self::set_up).await
    }

    async fn set_up() -> Self {
        let kube = Kube::shared(Kind::Nodes);
        // Pods reach what listens where the API server does.
        let kafka = Cluster::for_pods(kube.setting("KUBE_ADDRESS"));
        let bench = Self { kube, kafka };
        bench.load(&archive_of_sidecar(kube, "ackline.tar", &[]));
        bench.load(&archive_of_application(kube));
        bench.install().await;
        bench
    }

    /// Loads an image into the nodes.
    pub(super) fn load(&self, archive: &Path) {
        let (directory, archive) = (self.kube.directory.display(), archive.display());
        script("load", &[&directory.to_string(), &archive.to_string()], &[]);
    }

    async fn install(&self) {
        let values = self.kube.directory.join("ackline.yaml");
        let brokers: Vec<&str> = self.kafka.brokers().split(',').collect();
        let (key, value) = SCRAPES;
        let policy = json!({
            "enabled": true,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {key: value}}}],
            "apiServer": {"cidrs": [format!("{}/32", self.kube.setting("KUBE_ADDRESS"))]},
        });
        // JSON is YAML.
        let content = json!({"clusters": {"main": {"brokers": brokers}}, "networkPolicy": policy});
        std::fs::write(&values, content.to_string()).unwrap();
        // A cluster that was kept from an earlier run has it already.
        self.kube
            .helm(&[
                "uninstall",
                "ackline",
                "--namespace",
                "ackline",
                "--ignore-not-found",
                "--wait",
            ])
            .await;
        let values = values.display().to_string();
        self.documented("helm install ackline ", &[("ackline.yaml", &values)])
            .await;
    }

    /// Runs a command of Helm just as `docs/kubernetes.md` has it, except for the names of files.
    pub(super) async fn documented(&self, begin: &str, files: &[(&str, &str)]) -> String {
        let text = std::fs::read_to_string(repository().join("docs/kubernetes.md")).unwrap();
        let line = text.lines().find(|line| line.starts_with(begin));
        let line = line.unwrap_or_else(|| panic!("docs/kubernetes.md has no command {begin:?}"));
        let words = line.split_whitespace().skip(1).map(|word| {
            let file = files.iter().find(|(documented, _)| *documented == word);
            file.map_or(word, |(_, ours)| ours)
        });
        let words: Vec<&str> = words.collect();
        self.kube.helm(&words).await
    }
}

/// The binary that `ACKLINE_TEST_BINARY` names, or else the one that was built for the tests.
fn binary() -> String {
    std::env::var("ACKLINE_TEST_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_ackline").to_owned())
}

/// Packs the image of the sidecar.
pub(super) fn archive_of_sidecar(kube: &Kube, file: &str, options: &[&str]) -> PathBuf {
    let archive = kube.directory.join(file);
    let (binary, output) = (binary(), archive.display().to_string());
    let arguments = [options, &[&binary, &output]].concat();
    run_to_end(&repository().join("deploy/image/archive"), &arguments);
    archive
}

/// Builds the application and packs its image.
fn archive_of_application(kube: &Kube) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_ackline")).parent().unwrap();
    let mut arguments = vec!["build", "--quiet", "--example", "kube-application"];
    if built.ends_with("release") {
        arguments.push("--release");
    }
    run_to_end(Path::new(env!("CARGO")), &arguments);
    let archive = kube.directory.join("application.tar");
    let program = built.join("examples/kube-application");
    let (output, program) = (archive.display().to_string(), program.display().to_string());
    script("image", &[APPLICATION, &output, &program], &[]);
    archive
}
