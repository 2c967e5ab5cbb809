//! A certificate that somebody else makes is served, and so is its successor.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::MutexGuard;

use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use serde_json::Value;

use super::super::certificate::make;
use super::super::tests::{pod, reviews, values};
use super::*;

/// What the API server calls us.
const NAME: &str = "ackline-injector.platform.svc";

fn identity() -> Identity {
    let names = [NAME.to_owned()];
    make(&names, SystemTime::now(), Duration::from_secs(3_600)).unwrap()
}

/// A Secret as the kubelet mounts it: the names lead over `..data`, which is changed in one step.
struct Mount {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mount {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
        }
        let version = 0;
        Self { folder, version }
    }

    fn files(&self) -> Files {
        Files {
            certificate: self.folder.path().join("tls.crt"),
            key: self.folder.path().join("tls.key"),
        }
    }

    fn hold(&mut self, certificate: &str, key: &str) {
        let (before, now) = (
            format!("..{}", self.version),
            format!("..{}", self.version + 1),
        );
        let path = |name: &str| self.folder.path().join(name);
        fs::create_dir(path(&now)).unwrap();
        fs::write(path(&now).join("tls.crt"), certificate).unwrap();
        fs::write(path(&now).join("tls.key"), key).unwrap();
        symlink(&now, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        if self.version > 0 {
            fs::remove_dir_all(path(&before)).unwrap();
        }
        self.version += 1;
    }

    fn hold_whole(&mut self, identity: &Identity) {
        self.hold(&identity.certificate, &identity.key);
    }
}

/// The lines that were logged since they were last looked at.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Of this thread, as long as the guard lives.
    fn heard() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.bytes())).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An injector whose clock is the test's.
struct Served {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Served {
    /// Serves with a certificate from files while `script` runs.
    async fn during(files: Files, script: impl AsyncFnOnce(&Self)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            values: values(),
            observer: InjectorObserver::default(),
            acceptor: Mutex::new(None),
            shutdown: Shutdown::new(),
        });
        let served = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::clone(&shared),
        };
        let told = async {
            // The first look is under way.
            tokio::time::sleep(Duration::from_millis(1)).await;
            script(&served).await;
        };
        tokio::select! {
            () = told => {}
            () = answer_calls(&listener, &shared) => unreachable!("it answers until it is dropped"),
            () = look_after(Source::Files(files), &shared) => unreachable!("it looks until it is dropped"),
        }
    }

    /// Until the files were looked at again.
    async fn looked(&self) {
        tokio::time::sleep(LOOK_EVERY).await;
    }

    /// Whether whoever trusts the authority of this certificate is answered, and with this certificate.
    async fn serves(&self, identity: &Identity) -> bool {
        let (address, connector) = (self.address, connector(&identity.authority));
        // While a thread blocks, a paused clock stands still.
        let called = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            connector.connect(NAME, stream).ok().map(call)
        });
        let Some((certificate, answer)) = called.await.unwrap() else {
            return false;
        };
        assert_eq!(certificate, identity.certificate);
        assert_eq!(answer["response"]["uid"], "7f0c");
        assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
        true
    }
}

fn connector(trusted: &str) -> SslConnector {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    let mut store = X509StoreBuilder::new().unwrap();
    store
        .add_cert(X509::from_pem(trusted.as_bytes()).unwrap())
        .unwrap();
    connector.set_cert_store(store.build());
    connector.build()
}

/// Calls as the API server does: the certificate that it saw, and the answer.
fn call(mut stream: openssl::ssl::SslStream<std::net::TcpStream>) -> (String, Value) {
    let certificate = stream.ssl().peer_certificate().unwrap().to_pem().unwrap();
    let body = reviews::call(&pod()).to_string();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let certificate = String::from_utf8(certificate).unwrap();
    (certificate, serde_json::from_str(body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_given_is_served_and_then_its_successor() {
    let (first, second) = (identity(), identity());
    let mut mount = Mount::new();
    mount.hold_whole(&first);
    Served::during(mount.files(), async |served| {
        assert!(served.serves(&first).await);
        assert!(!served.serves(&second).await, "nobody trusts it yet");
        mount.hold_whole(&second);
        served.looked().await;
        assert!(served.serves(&second).await);
        assert!(!served.serves(&first).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_fit_keep_what_is_served_and_are_told() {
    let (lines, _heard) = Lines::heard();
    let (first, second) = (identity(), identity());
    let half = |pem: &str| pem[..pem.len() / 2].to_owned();
    let two = format!("{}{}", second.certificate, half(&second.authority));
    let wrong = [
        ("the key of another", &*second.certificate, &*first.key),
        ("another key", &first.certificate, &second.key),
        (
            "half a certificate",
            &half(&second.certificate),
            &second.key,
        ),
        ("half a key", &second.certificate, &half(&second.key)),
        ("half a chain", &two, &second.key),
        ("nothing", "", ""),
    ];
    let mut mount = Mount::new();
    mount.hold_whole(&first);
    Served::during(mount.files(), async |served| {
        assert!(lines.take().contains("certificate_served"));
        for (what, certificate, key) in wrong {
            mount.hold(certificate, key);
            served.looked().await;
            assert!(served.serves(&first).await, "{what}");
            let told = lines.take();
            assert!(told.contains("certificate_trouble"), "{what}: {told}");
            assert!(told.contains("tls.key"), "{what}: {told}");
            assert!(!told.contains("PRIVATE KEY"), "{what}: {told}");
        }
        mount.hold_whole(&first);
        served.looked().await;
        assert!(!lines.take().contains("certificate_"), "as before");
        mount.hold_whole(&second);
        served.looked().await;
        assert!(served.serves(&second).await);
        assert!(lines.take().contains("certificate_served"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_certificate_is_there() {
    let (lines, _heard) = Lines::heard();
    let first = identity();
    let mut mount = Mount::new();
    Served::during(mount.files(), async |served| {
        assert!(lines.take().contains("cannot read"));
        assert!(served.shared.ready().is_err());
        assert!(!served.serves(&first).await);
        mount.hold_whole(&first);
        tokio::time::sleep(LOOK_EVERY_AT_FIRST).await;
        assert_eq!(served.shared.ready(), Ok(()));
        assert!(served.serves(&first).await);
    })
    .await;
}
