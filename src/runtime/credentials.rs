//! From the settings to what the Kafka client needs, secrets read from their files; and watching the files.
//!
//! librdkafka reads certificates when a client is created, so new ones need a new client; a new password
//! is used by the next connection. Files are looked at again every few seconds rather than watched:
//! Kubernetes swaps a symlink two levels up, which file watchers are known to miss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sidecar::Handle;
use crate::config::{
    Config, FETCH_QUEUE_BYTES, FETCH_QUEUE_RECORDS, GroupProtocol as Protocol,
    SaslMechanism as Mechanism,
};
use crate::kafka::{ClientSettings, GroupProtocol, Sasl, SaslMechanism, Secret, Tls};
use crate::observe::ProcessEvent;

/// How often files with secrets are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A client with new certificates joins at a random moment within this time, so that the members of a
/// group do not all leave it together.
const REPLACE_WITHIN: Duration = Duration::from_secs(60);

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{key}` from {}", path.display())]
pub(crate) struct Error {
    key: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Error {
    /// The file.
    fn file(&self) -> String {
        self.path.display().to_string()
    }
}

/// The client's settings, with user name and password as the files have them now.
pub(crate) fn client_settings(config: &Config) -> Result<ClientSettings, Error> {
    let kafka = &config.kafka;
    let instance_id = Some(config.group.instance_id.clone()).filter(|id| !id.is_empty());
    let client_rack = Some(kafka.client_rack.clone()).filter(|rack| !rack.is_empty());
    let properties: BTreeMap<String, String> = kafka
        .properties
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Ok(ClientSettings {
        brokers: kafka.brokers.clone(),
        group: config.group.id.clone(),
        protocol: match (config.group.protocol, config.group.assignor) {
            (Protocol::Consumer, _) => GroupProtocol::Consumer,
            (Protocol::Classic, crate::config::Assignor::Cooperative) => {
                GroupProtocol::ClassicCooperative
            }
            (Protocol::Classic, crate::config::Assignor::Eager) => GroupProtocol::ClassicEager,
        },
        instance_id,
        session_timeout: config.group.session_timeout,
        poll_interval_max: config.group.max_poll_interval,
        tls: kafka.tls.enabled.then(|| Tls {
            ca_file: kafka.tls.ca_file.clone(),
            cert_file: kafka.tls.cert_file.clone(),
            key_file: kafka.tls.key_file.clone(),
        }),
        sasl: sasl(config)?,
        client_rack,
        fetch_queue_kilobytes: u32::try_from(FETCH_QUEUE_BYTES >> 10).unwrap_or(u32::MAX),
        fetch_queue_records: FETCH_QUEUE_RECORDS,
        // At most 64 MiB, by its table.
        fetch_max_bytes: u32::try_from(kafka.fetch_max_bytes).unwrap_or(u32::MAX),
        properties,
    })
}

fn sasl(config: &Config) -> Result<Option<Sasl>, Error> {
    let sasl = &config.kafka.sasl;
    let (Some(mechanism), Some(username), Some(password)) =
        (sasl.mechanism, &sasl.username_file, &sasl.password_file)
    else {
        return Ok(None);
    };
    Ok(Some(Sasl {
        mechanism: match mechanism {
            Mechanism::Plain => SaslMechanism::Plain,
            Mechanism::ScramSha256 => SaslMechanism::ScramSha256,
            Mechanism::ScramSha512 => SaslMechanism::ScramSha512,
        },
        username: read("kafka.sasl.username_file", username)?,
        password: Secret::new(read("kafka.sasl.password_file", password)?),
    }))
}

/// A secret's text, without the line end that editors and `kubectl create secret` leave behind.
fn read(key: &'static str, path: &Path) -> Result<String, Error> {
    let mut text = std::fs::read_to_string(path).map_err(|source| Error {
        key,
        path: path.to_owned(),
        source,
    })?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Watches the files, and gives the client what is new in them.
pub(super) async fn watch(
    config: Config,
    handle: Handle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut watched = Watched::new(&config, &client_settings(&config)?);
    if watched.is_empty() {
        stop.cancelled().await;
        return Ok(());
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
        match watched.look(&config) {
            Ok(Change::None) => {}
            Ok(Change::Credentials(sasl)) => {
                handle.lock().change_credentials(sasl);
                reloaded(&handle, "kafka.sasl");
            }
            Ok(Change::Client(settings)) => {
                let wait = REPLACE_WITHIN.mul_f64(
                    f64::from(u16::try_from(super::entropy() >> 48).unwrap_or(0)) / 65_536.0,
                );
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => return Ok(()),
                }
                handle.lock().replace_client(*settings);
                handle.changed();
                reloaded(&handle, "kafka.tls");
            }
            Err(error) => {
                let event = ProcessEvent::FileUnusable {
                    file: error.file(),
                    error: format!("{:#}", anyhow::Error::from(error)),
                };
                handle.lock().tell_person(&event);
            }
        }
    }
}

fn reloaded(handle: &Handle, file: &str) {
    handle.lock().tell_person(&ProcessEvent::FileReloaded {
        file: file.to_owned(),
    });
}

/// What the files held when they were last looked at.
struct Watched {
    certificates: Vec<(PathBuf, Option<Vec<u8>>)>,
    sasl: Option<(String, Secret)>,
}

/// What is to be done about files that changed.
enum Change {
    /// Nothing.
    None,
    /// Another user name or password.
    Credentials(Sasl),
    /// Other certificates; the password may have changed with them.
    Client(Box<ClientSettings>),
}

impl Watched {
    /// Looks at the files for the first time.
    fn new(config: &Config, settings: &ClientSettings) -> Self {
        let tls = &config.kafka.tls;
        let files = [&tls.ca_file, &tls.cert_file, &tls.key_file];
        let certificates = files
            .into_iter()
            .flatten()
            .filter(|_| tls.enabled)
            .map(|path| (path.clone(), std::fs::read(path).ok()))
            .collect();
        Self {
            certificates,
            sasl: settings.sasl.as_ref().map(of_sasl),
        }
    }

    /// Whether there is anything to watch.
    fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.sasl.is_none()
    }

    /// Looks again. A file that cannot be read just now counts as unchanged: it may be half-written, and the
    /// client goes on with what it has.
    fn look(&mut self, config: &Config) -> Result<Change, Error> {
        let mut certificates_changed = false;
        for (path, known) in &mut self.certificates {
            if let Ok(now) = std::fs::read(path)
                && known.as_ref() != Some(&now)
            {
                *known = Some(now);
                certificates_changed = true;
            }
        }
        let settings = client_settings(config)?;
        let sasl = settings.sasl.as_ref().map(of_sasl);
        let sasl_changed = sasl != self.sasl;
        self.sasl = sasl;
        Ok(match settings.sasl.clone() {
            _ if certificates_changed => Change::Client(Box::new(settings)),
            Some(sasl) if sasl_changed => Change::Credentials(sasl),
            Some(_) | None => Change::None,
        })
    }
}

fn of_sasl(sasl: &Sasl) -> (String, Secret) {
    (sasl.username.clone(), sasl.password.clone())
}
