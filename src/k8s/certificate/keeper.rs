//! Keeps the certificate in a Secret, and the API server's trust in the webhook's configuration.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::lease::{Candidate, Decision, LEASE, Seen};
use super::make::{Identity, make};
use super::plan::{Known, State, Step, VALID, plan};

/// The webhook within its configuration.
const WEBHOOK: &str = "inject.ackline.dev";
/// Who changed what, in the API server's books.
const MANAGER: &str = "ackline-injector";
/// Steps in one turn: make, trust, and once more to see that nothing is left.
const STEPS_MAX: usize = 4;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
const NEXT_CERTIFICATE: &str = "next-tls.crt";
const NEXT_KEY: &str = "next-tls.key";
const NEXT_AUTHORITY: &str = "next-ca.crt";
const NEXT_TRUSTED_SINCE: &str = "next-trusted-since";
const PREVIOUS_AUTHORITY: &str = "previous-ca.crt";

/// Names of the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Namespace of all but the webhook's configuration, which has none.
    pub namespace: String,
    /// The Service by which the API server calls us.
    pub service: String,
    /// The Secret that holds the certificate.
    pub secret: String,
    /// The Lease that says who may write.
    pub lease: String,
    /// The MutatingWebhookConfiguration.
    pub webhook: String,
    /// Who we are among the replicas: the name of the pod.
    pub identity: String,
}

/// Why a turn was not finished. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused, or could not be asked.
    #[error("could not {what} {kind} {name}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// What kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The API server's words.
        #[source]
        source: Box<kube::Error>,
    },
    /// OpenSSL failed.
    #[error("could not make a certificate")]
    Make(#[from] openssl::error::ErrorStack),
}

/// Looks after the certificate.
pub struct Keeper {
    names: Names,
    secrets: Api<Secret>,
    leases: Api<Lease>,
    webhooks: Api<MutatingWebhookConfiguration>,
    candidate: Candidate,
}

/// What a turn found.
#[derive(Debug)]
pub struct Turn {
    /// What is to be served, if there is something.
    pub identity: Option<Identity>,
    /// What was done, in order, each a word of a closed set.
    pub done: Vec<&'static str>,
}

impl Keeper {
    /// For these objects.
    #[must_use]
    pub fn new(client: Client, names: Names) -> Self {
        let candidate = Candidate::new(names.identity.clone());
        Self {
            secrets: Api::namespaced(client.clone(), &names.namespace),
            leases: Api::namespaced(client.clone(), &names.namespace),
            webhooks: Api::all(client),
            names,
            candidate,
        }
    }

    /// Does what is to be done now, if it is ours to do, and says what to serve. `running` is a clock that only
    /// goes forward.
    ///
    /// # Errors
    ///
    /// If the API server could not be asked for something.
    pub async fn turn(&mut self, now: SystemTime, running: Duration) -> Result<Turn, Error> {
        let mut secret = self.read_secret().await?;
        let mut done = Vec::new();
        if self.holds_lease(running).await? {
            for _ in 0..STEPS_MAX {
                let trusted = self.trusted().await?;
                let Some(step) = self.advance(&mut secret, &trusted, now).await? else {
                    break;
                };
                done.push(step);
            }
        }
        let stored = Stored(secret.data.unwrap_or_default());
        Ok(Turn {
            identity: stored.identity(CERTIFICATE, KEY, AUTHORITY),
            done,
        })
    }

    /// One step, if there is one.
    async fn advance(
        &self,
        secret: &mut Secret,
        trusted: &str,
        now: SystemTime,
    ) -> Result<Option<&'static str>, Error> {
        let mut stored = Stored(secret.data.take().unwrap_or_default());
        let step = plan(&stored.state(), trusted, now);
        let word = match step {
            Step::Rest => {
                secret.data = Some(stored.0);
                return Ok(None);
            }
            Step::Trust(bundle) => {
                secret.data = Some(stored.0);
                self.trust(&bundle).await?;
                return Ok(Some("trusted"));
            }
            Step::Create => {
                let identity = self.make(now)?;
                stored.0.clear();
                stored.put(&identity, CERTIFICATE, KEY, AUTHORITY);
                "created"
            }
            Step::Stage => {
                let identity = self.make(now)?;
                stored.0.remove(NEXT_TRUSTED_SINCE);
                stored.put(&identity, NEXT_CERTIFICATE, NEXT_KEY, NEXT_AUTHORITY);
                "staged"
            }
            Step::NoteTrust => {
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                stored.set(NEXT_TRUSTED_SINCE, &seconds.to_string());
                "noted"
            }
            Step::Serve => {
                stored.rename(AUTHORITY, PREVIOUS_AUTHORITY);
                stored.rename(NEXT_CERTIFICATE, CERTIFICATE);
                stored.rename(NEXT_KEY, KEY);
                stored.rename(NEXT_AUTHORITY, AUTHORITY);
                stored.0.remove(NEXT_TRUSTED_SINCE);
                "replaced"
            }
        };
        secret.data = Some(stored.0);
        *secret = self.write_secret(secret).await?;
        Ok(Some(word))
    }

    fn make(&self, now: SystemTime) -> Result<Identity, Error> {
        let (service, namespace) = (&self.names.service, &self.names.namespace);
        let names = [
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ];
        Ok(make(&names, now, VALID)?)
    }

    async fn read_secret(&self) -> Result<Secret, Error> {
        let name = &self.names.secret;
        let read = self.secrets.get(name).await;
        read.map_err(|source| failed("read", "Secret", name, source))
    }

    async fn write_secret(&self, secret: &Secret) -> Result<Secret, Error> {
        let name = &self.names.secret;
        // It carries the version that it was read in: who was faster wins.
        let parameters = post_parameters();
        let written = self.secrets.replace(name, &parameters, secret).await;
        written.map_err(|source| failed("update", "Secret", name, source))
    }

    async fn trusted(&self) -> Result<String, Error> {
        let name = &self.names.webhook;
        let configuration = self.webhooks.get(name).await;
        let configuration = configuration
            .map_err(|source| failed("read", "MutatingWebhookConfiguration", name, source))?;
        let ours = configuration.webhooks.into_iter().flatten();
        let bundle = ours
            .filter(|webhook| webhook.name == WEBHOOK)
            .find_map(|webhook| webhook.client_config.ca_bundle);
        Ok(bundle.map_or_else(String::new, |bundle| text(&bundle)))
    }

    /// Merges by the name of the webhook: nothing else of it is touched, nor owned from then on.
    async fn trust(&self, bundle: &str) -> Result<(), Error> {
        let name = &self.names.webhook;
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let patch = json!({"webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": bundle}}]});
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = self
            .webhooks
            .patch(name, &parameters, &Patch::Strategic(patch))
            .await;
        patched
            .map(|_| ())
            .map_err(|source| failed("update", "MutatingWebhookConfiguration", name, source))
    }

    async fn holds_lease(&mut self, running: Duration) -> Result<bool, Error> {
        let name = &self.names.lease;
        let read = self.leases.get(name).await;
        let mut lease = read.map_err(|source| failed("read", "Lease", name, source))?;
        let spec = lease.spec.take().unwrap_or_default();
        let seen = Seen {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            renewed: lease.resource_version().unwrap_or_default(),
        };
        let decision = self.candidate.decide(seen, running);
        if decision == Decision::Wait {
            return Ok(false);
        }
        let now = MicroTime(Timestamp::now());
        let taken = decision == Decision::Take;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.candidate.identity().to_owned()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if taken { Some(now) } else { spec.acquire_time },
            lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(taken)),
            ..spec
        });
        match self.leases.replace(name, &post_parameters(), &lease).await {
            Ok(_) => Ok(true),
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(source) => Err(failed("update", "Lease", name, source)),
        }
    }
}

fn post_parameters() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn failed(what: &'static str, kind: &'static str, name: &str, source: kube::Error) -> Error {
    Error::Api {
        what,
        kind,
        name: name.to_owned(),
        source: Box::new(source),
    }
}

/// What the Secret holds.
struct Stored(BTreeMap<String, ByteString>);

impl Stored {
    fn state(&self) -> State {
        let known = |certificate, key, authority| {
            let identity = self.identity(certificate, key, authority)?;
            Some(Known {
                expires: identity.expires().ok()?,
                authority: identity.authority,
            })
        };
        let since = self.get(NEXT_TRUSTED_SINCE);
        let since = since.and_then(|seconds| seconds.parse::<u64>().ok());
        State {
            current: known(CERTIFICATE, KEY, AUTHORITY),
            next: known(NEXT_CERTIFICATE, NEXT_KEY, NEXT_AUTHORITY),
            next_trusted_since: since.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
            previous: self.get(PREVIOUS_AUTHORITY),
        }
    }

    /// What can be served: a certificate that is whole, with its own key.
    fn identity(&self, certificate: &str, key: &str, authority: &str) -> Option<Identity> {
        let identity = Identity {
            certificate: self.get(certificate)?,
            key: self.get(key)?,
            authority: self.get(authority)?,
        };
        identity.acceptor().ok().map(|_| identity)
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(text)
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = ByteString(value.as_bytes().to_vec());
        self.0.insert(name.to_owned(), value);
    }

    fn put(&mut self, identity: &Identity, certificate: &str, key: &str, authority: &str) {
        self.set(certificate, &identity.certificate);
        self.set(key, &identity.key);
        self.set(authority, &identity.authority);
    }

    fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.0.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }
}

/// PEM and numbers are ASCII; what is not is of no use either way.
fn text(bytes: &ByteString) -> String {
    String::from_utf8_lossy(&bytes.0).into_owned()
}
