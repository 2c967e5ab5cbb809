//! A conformance application as a process, and what it reports: one JSON object a line, as in `tests/clients/README.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::Client;
use super::ledger::{Ledger, Logged, Place, Sight};
use super::{PATIENCE, until};

/// How an application reaches the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    UnixSocket,
    /// With a token.
    Tcp,
}

/// Where a sidecar is, in the words of gRPC libraries.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) target: String,
    pub(crate) token: Option<String>,
}

/// The running application. Everything it reports goes into the ledger.
pub(crate) struct Application {
    client: Client,
    child: Child,
    reading: JoinHandle<()>,
    seen: Arc<Mutex<Seen>>,
    errors: NamedTempFile,
}

/// What an application reported so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) opened: usize,
    pub(crate) sightings: Vec<Sighting>,
    /// Records whose acknowledgement was accepted, in the order of the answers.
    pub(crate) accepted: Vec<Place>,
    /// Records of which RETRY was accepted.
    pub(crate) retried: Vec<Place>,
    /// Records whose settlement was refused: their deliveries are dead.
    pub(crate) stale: Vec<Place>,
    /// Records whose settlement a sidecar that was started again could make nothing of.
    pub(crate) unknown: Vec<Place>,
    pub(crate) withdrawn: Vec<u64>,
    /// Code and message of the ends after which it connected again.
    pub(crate) reconnects: Vec<(i64, String)>,
    /// Code and message of the end that it took for final.
    pub(crate) failed: Option<(i64, String)>,
    /// How many workers said goodbye.
    pub(crate) ended: usize,
    /// What no correct pair of sidecar and client does.
    faults: Vec<String>,
    process: u32,
    streams: BTreeMap<i64, String>,
    places: BTreeMap<u64, Place>,
}

/// A record as the application saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) place: Place,
    pub(crate) attempt: u32,
    /// Absent for null.
    pub(crate) key_size: Option<u64>,
    pub(crate) value_size: Option<u64>,
    pub(crate) digest: u32,
}

impl Application {
    pub(crate) fn start(
        client: Client,
        address: &Address,
        arguments: &[&str],
        ledger: &Ledger,
    ) -> Self {
        let errors = NamedTempFile::new().unwrap();
        let mut command = Command::from(client.conformance());
        command
            .args(arguments)
            .env("ACKLINE_TARGET", &address.target)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().map(File::into).unwrap_or(Stdio::null()))
            // A group of its own, so that forked workers end with it.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(token) = &address.token {
            command.env("ACKLINE_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let seen = Arc::new(Mutex::new(Seen {
            process: child.id().expect("it was just started"),
            ..Seen::default()
        }));
        let output = child.stdout.take().unwrap();
        let reading = tokio::spawn(read(output, Arc::clone(&seen), ledger.clone()));
        Self {
            client,
            child,
            reading,
            seen,
            errors,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what it reported satisfies the condition.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let what = format!("{what}, by {:?}", self.client);
        until(&what, async || {
            let holds = holds(&self.seen());
            if !holds && let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status} while waiting until {what}");
            }
            holds.then_some(())
        })
        .await;
    }

    /// Tells it to end, and demands that it does so cleanly.
    pub(crate) async fn terminate(self) -> Seen {
        let id = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(status.unwrap().success());
        let client = self.client;
        let (status, seen) = self.end().await;
        assert_eq!(
            status.code(),
            Some(client.status_after_sigterm()),
            "{seen:?}"
        );
        assert!(seen.ended > 0 && seen.failed.is_none(), "{seen:?}");
        seen
    }

    /// Waits for the end that its arguments asked for.
    pub(crate) async fn finish(self) -> Seen {
        let (status, seen) = self.end().await;
        assert!(status.success(), "it ended with {status}: {seen:?}");
        assert!(seen.ended > 0 && seen.failed.is_none(), "{seen:?}");
        seen
    }

    /// Waits until it gives up, and returns code and message of the reason.
    pub(crate) async fn fail(self) -> (i64, String) {
        let (status, seen) = self.end().await;
        assert_eq!(status.code(), Some(1), "{seen:?}");
        seen.failed.expect("it says why it gives up")
    }

    async fn end(mut self) -> (ExitStatus, Seen) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end: {:?}", self.seen()));
        // What it wrote before it ended is all there when the pipe is at its end.
        timeout(PATIENCE, &mut self.reading).await.unwrap().unwrap();
        let seen = std::mem::take(&mut *self.seen());
        assert!(
            seen.unknown.is_empty() || !seen.reconnects.is_empty(),
            "{seen:?}"
        );
        assert!(seen.faults.is_empty(), "{:?}", seen.faults);
        (status.unwrap(), seen)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let group = format!("-{id}");
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
        }
        if std::thread::panicking() {
            let errors = std::fs::read_to_string(self.errors.path()).unwrap_or_default();
            let (client, seen) = (self.client, self.seen());
            eprintln!("{client:?}: {seen:?}; on its standard error:\n{errors}");
        }
    }
}

async fn read(output: ChildStdout, seen: Arc<Mutex<Seen>>, ledger: Ledger) {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let mut seen = seen.lock().unwrap();
        match serde_json::from_str(&line) {
            Ok(event) => seen.note(&event, &ledger),
            Err(error) => seen.faults.push(format!("{error} in the line {line}")),
        }
    }
}

/// In numbers, because a failure must stay readable.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("opened", &self.opened)
            .field("sightings", &self.sightings.len())
            .field("accepted", &self.accepted.len())
            .field("retried", &self.retried.len())
            .field("stale", &self.stale.len())
            .field("unknown", &self.unknown.len())
            .field("withdrawn", &self.withdrawn.len())
            .field("reconnects", &self.reconnects)
            .field("failed", &self.failed)
            .field("ended", &self.ended)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Seen {
    fn note(&mut self, event: &Value, ledger: &Ledger) {
        match event["event"].as_str().unwrap_or_default() {
            "opened" => {
                self.opened += 1;
                // Two sidecars may give the same name.
                let stream = format!("{} of {}/{}", event["stream"], self.process, self.opened);
                self.streams.insert(integer(&event["worker"]), stream);
            }
            "record" => self.note_record(event, ledger),
            "accepted" => self.note_accepted(event, ledger),
            "refused" => self.note_refused(event, ledger),
            "withdrawn" => self.withdrawn.extend(ids_of(&event["ranges"])),
            "reconnecting" => self.reconnects.push(status_of(event)),
            "failed" => self.failed = Some(status_of(event)),
            "ended" => self.ended += 1,
            other => self.faults.push(format!("the event {other:?} is unknown")),
        }
    }

    fn note_record(&mut self, event: &Value, ledger: &Ledger) {
        let place = Place {
            topic: event["topic"].as_str().unwrap_or_default().to_owned(),
            partition: i32::try_from(integer(&event["partition"])).unwrap(),
            offset: integer(&event["offset"]),
        };
        let sighting = Sighting {
            place: place.clone(),
            attempt: u32::try_from(integer(&event["attempt"])).unwrap(),
            key_size: event["key_size"].as_u64(),
            value_size: event["value_size"].as_u64(),
            digest: u32::try_from(integer(&event["digest"])).unwrap(),
        };
        self.places.insert(id_of(event), place.clone());
        // A record that the ledger does not know is the scenario's to judge.
        if let Some(written) = ledger.written_at(&place) {
            let same = written.timestamp_ms == integer(&event["timestamp_ms"])
                && digest(&written) == sighting.digest;
            if same {
                let stream = &self.streams[&integer(&event["worker"])];
                let sight = Sight {
                    member: "application",
                    stream,
                    assignment: event["assignment"].as_u64().unwrap(),
                    attempt: sighting.attempt,
                };
                ledger.delivered(&sight, &place, written);
            } else {
                self.faults
                    .push(format!("I-S7: {sighting:?} is not what was written"));
            }
        }
        self.sightings.push(sighting);
    }

    fn note_accepted(&mut self, event: &Value, ledger: &Ledger) {
        let place = self.places[&id_of(event)].clone();
        if event["outcome"] == "OUTCOME_RETRY" {
            self.retried.push(place);
        } else {
            ledger.acknowledging(std::slice::from_ref(&place));
            ledger.accepted(std::slice::from_ref(&place));
            self.accepted.push(place);
        }
    }

    fn note_refused(&mut self, event: &Value, ledger: &Ledger) {
        let place = self.places[&id_of(event)].clone();
        match event["reason"].as_str() {
            Some("REFUSAL_REASON_STALE") => {
                ledger.stale(1);
                self.stale.push(place);
            }
            // Sent before the client noticed that its stream broke, and answered by the process that came after.
            Some("REFUSAL_REASON_UNKNOWN") => self.unknown.push(place),
            _ => self
                .faults
                .push(format!("an honest client is refused: {event}")),
        }
    }
}

fn integer(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is no integer"))
}

fn id_of(event: &Value) -> u64 {
    event["id"].as_u64().expect("a delivery has an id")
}

fn status_of(event: &Value) -> (i64, String) {
    let message = event["message"].as_str().unwrap_or_default().to_owned();
    (integer(&event["code"]), message)
}

fn ids_of(ranges: &Value) -> impl Iterator<Item = u64> {
    let ranges = ranges.as_array().into_iter().flatten();
    ranges.flat_map(|range| range[0].as_u64().unwrap()..=range[1].as_u64().unwrap())
}

/// CRC-32 of everything in the record, as the applications compute it. Null differs from empty, and no field runs into
/// the next.
fn digest(record: &Logged) -> u32 {
    let mut crc = Crc::default();
    crc.optional(record.key.as_deref());
    crc.optional(record.value.as_deref());
    for (name, value) in &record.headers {
        crc.field(2, name.as_bytes());
        crc.optional(value.as_deref());
    }
    crc.0.finalize()
}

/// The digest of a record with one header, whose name is not UTF-8.
pub(crate) fn digest_with_raw_name(value: &[u8], name: &[u8], header: &[u8]) -> u32 {
    let mut crc = Crc::default();
    crc.optional(None);
    crc.optional(Some(value));
    crc.field(3, name);
    crc.optional(Some(header));
    crc.0.finalize()
}

#[derive(Default)]
struct Crc(crc32fast::Hasher);

impl Crc {
    fn field(&mut self, kind: u8, content: &[u8]) {
        self.0.update(&[kind]);
        let size = u32::try_from(content.len()).unwrap();
        self.0.update(&size.to_be_bytes());
        self.0.update(content);
    }

    fn optional(&mut self, content: Option<&[u8]>) {
        self.field(u8::from(content.is_some()), content.unwrap_or_default());
    }
}
