//! What the applications of `tests/kube/application` report: a listener that all pods of a scenario reach.
//!
//! Reports of different pods arrive in any order, those of a node that was cut off even long after. But all pods run on one
//! machine and so have one clock: when the scenario is over, everything is told to the ledger in the order in which it
//! happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Ledger, Logged, Place, Sight, until};

/// Something that an application saw or did.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at_ms: i64,
    at_us: u64,
    pub(super) pod: String,
    /// Name of the process; a container that is started again has another.
    pub(super) process: String,
    pub(super) name: String,
    /// The records that it is about.
    pub(super) places: Vec<Place>,
    pub(super) body: Value,
}

impl Event {
    pub(super) fn is(&self, name: &str, pod: &str) -> bool {
        self.name == name && self.pod == pod
    }
}

/// The listener, and all it heard.
#[derive(Clone)]
pub(super) struct Reports {
    address: String,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    /// Newest report of each process: those that it sends again are known by it.
    newest: BTreeMap<String, u64>,
    /// Where deliveries come from, by process and id.
    places: BTreeMap<(String, u64), Place>,
    accepted: BTreeSet<Place>,
    /// Pods whose applications were killed.
    killed: BTreeSet<String>,
}

impl Reports {
    /// Listens at a port of that address.
    pub(super) async fn listen(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let reports = Self {
            address: listener.local_addr().unwrap().to_string(),
            heard: Arc::default(),
        };
        let heard = Arc::clone(&reports.heard);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(hear(connection, Arc::clone(&heard)));
            }
        });
        reports
    }

    /// Where applications report to.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far, in the order in which it arrived.
    pub(super) fn events(&self) -> Vec<Event> {
        self.heard().events.clone()
    }

    /// Waits until what was reported has an answer.
    pub(super) async fn until<T>(&self, what: &str, find: impl Fn(&[Event]) -> Option<T>) -> T {
        until(what, async || find(&self.heard().events)).await
    }

    /// Waits until that happens in that pod, and returns when it did.
    pub(super) async fn until_event(&self, name: &str, pod: &str) -> Event {
        self.until(&format!("{pod} reports {name}"), |events| {
            events.iter().find(|event| event.is(name, pod)).cloned()
        })
        .await
    }

    /// Records that were accepted, from whom ever.
    pub(super) fn accepted_count(&self) -> usize {
        self.heard().accepted.len()
    }

    /// Waits until so many more records were accepted.
    pub(super) async fn until_accepted_more(&self, count: usize) {
        let wanted = self.accepted_count() + count;
        until(&format!("{wanted} records are accepted"), async || {
            (self.accepted_count() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until so many records of that pod were accepted.
    pub(super) async fn until_accepted_by(&self, pod: &str, count: usize) {
        self.until(
            &format!("{count} records of {pod} are accepted"),
            |events| {
                let accepted = events.iter().filter(|event| event.is("accepted", pod));
                let sum: usize = accepted.map(|event| event.places.len()).sum();
                (sum >= count).then_some(())
            },
        )
        .await;
    }

    /// The application of that pod was killed, and with it maybe what it was about to report.
    pub(super) fn note_killed(&self, pod: &str) {
        self.heard().killed.insert(pod.to_owned());
    }

    /// Waits until everything that was written was accepted, as far as whoever acknowledged it lived to tell. I-S5.
    pub(super) async fn until_all_accepted(&self, ledger: &Ledger) {
        let written: Vec<Place> = ledger.log().into_iter().map(|(place, _)| place).collect();
        let missing = || {
            let heard = self.heard();
            let unheard = heard.unheard();
            let is_missing =
                |place: &&Place| !heard.accepted.contains(place) && !unheard.contains(place);
            written.iter().filter(is_missing).cloned().collect()
        };
        ledger.until_none_is_missing(missing).await;
    }

    /// Pods that received records after that time.
    pub(super) fn pods_with_records(&self, after_ms: i64) -> BTreeSet<String> {
        let heard = self.heard();
        let later = heard
            .events
            .iter()
            .filter(|event| event.name == "records" && event.at_ms > after_ms);
        later.map(|event| event.pod.clone()).collect()
    }

    /// Partitions of which that pod received records after one time and up to another.
    pub(super) fn partitions_of(&self, pod: &str, after_ms: i64, up_to_ms: i64) -> BTreeSet<i32> {
        let heard = self.heard();
        let then = heard.events.iter().filter(|event| {
            event.is("records", pod) && event.at_ms > after_ms && event.at_ms <= up_to_ms
        });
        then.flat_map(|event| &event.places)
            .map(|place| place.partition)
            .collect()
    }

    /// Deliveries of records that had been delivered before.
    pub(super) fn redelivered(&self) -> usize {
        let heard = self.heard();
        let records = heard.events.iter().filter(|event| event.name == "records");
        let places: Vec<&Place> = records.flat_map(|event| &event.places).collect();
        places.len() - places.iter().collect::<BTreeSet<_>>().len()
    }

    /// Whenever an application was started, its sidecar was there: it connected at the first try.
    pub(super) fn assert_sidecars_came_first(&self) {
        let heard = self.heard();
        let mut waiting = BTreeSet::new();
        for event in &heard.events {
            match event.name.as_str() {
                "started" => {
                    waiting.insert(&event.process);
                }
                "connected" => {
                    waiting.remove(&event.process);
                }
                "missing" => assert!(
                    !waiting.contains(&event.process),
                    "{} found no sidecar when it was started: {}",
                    event.process,
                    event.body["error"],
                ),
                _ => {}
            }
        }
    }

    /// Enters everything into the books, in the order in which it happened.
    pub(super) fn tell(&self, ledger: &Ledger) {
        let mut events = self.events();
        events.sort_by_key(|event| event.at_us);
        for event in &events {
            match event.name.as_str() {
                "records" => tell_delivery(event, ledger),
                "acknowledging" => ledger.acknowledging_at(&event.places, event.at_ms),
                "accepted" => ledger.accepted_at(&event.places, event.at_ms),
                "stale" => ledger.stale(event.places.len()),
                _ => {}
            }
        }
        ledger.answers_unheard(self.heard().unheard());
    }
}

async fn hear(connection: TcpStream, heard: Arc<Mutex<Heard>>) {
    let (lines, mut answers) = connection.into_split();
    let mut lines = BufReader::new(lines).lines();
    // A pod that is killed, or a node that is cut off, leaves a broken connection behind.
    while let Ok(Some(line)) = lines.next_line().await {
        let number = heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(&line);
        if answers
            .write_all(format!("{number}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

impl Heard {
    /// Takes note of a report; returns the number of the newest one of that process.
    fn note(&mut self, line: &str) -> u64 {
        // A connection that broke within a line: it comes again.
        let Ok(body) = serde_json::from_str::<Value>(line) else {
            return 0;
        };
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let (process, name) = (text("process"), text("event"));
        let number = body["number"].as_u64().unwrap();
        let newest = self.newest.entry(process.clone()).or_default();
        if number <= *newest {
            return *newest;
        }
        *newest = number;
        let places = if name == "records" {
            self.note_records(&process, &body)
        } else {
            self.places_of(&process, &body)
        };
        if name == "accepted" {
            self.accepted.extend(places.iter().cloned());
        }
        let at_us = body["at_us"].as_u64().unwrap();
        self.events.push(Event {
            at_ms: i64::try_from(at_us / 1000).unwrap(),
            at_us,
            pod: text("pod"),
            process,
            name,
            places,
            body,
        });
        number
    }

    /// What killed applications acknowledged, and whose answer nobody heard of.
    fn unheard(&self) -> BTreeSet<Place> {
        let mut unheard = BTreeSet::new();
        for event in self
            .events
            .iter()
            .filter(|event| self.killed.contains(&event.pod))
        {
            match event.name.as_str() {
                "acknowledging" => unheard.extend(event.places.iter().cloned()),
                "accepted" | "stale" | "unknown" => {
                    for place in &event.places {
                        unheard.remove(place);
                    }
                }
                _ => {}
            }
        }
        unheard
    }

    fn note_records(&mut self, process: &str, body: &Value) -> Vec<Place> {
        let of = &body["of"];
        let records = body["records"].as_array().unwrap().iter();
        let places = records.map(|record| {
            let place = Place {
                topic: of["topic"].as_str().unwrap().to_owned(),
                partition: i32::try_from(of["partition"].as_i64().unwrap()).unwrap(),
                offset: record["offset"].as_i64().unwrap(),
            };
            let id = record["id"].as_u64().unwrap();
            self.places.insert((process.to_owned(), id), place.clone());
            place
        });
        places.collect()
    }

    fn places_of(&self, process: &str, body: &Value) -> Vec<Place> {
        let ids = body["ids"].as_array().into_iter().flatten();
        let places = ids.map(|id| {
            let id = id.as_u64().unwrap();
            self.places[&(process.to_owned(), id)].clone()
        });
        places.collect()
    }
}

fn tell_delivery(event: &Event, ledger: &Ledger) {
    let of = &event.body["of"];
    let stream = format!("{} {}", event.process, of["stream"]);
    let records = event.body["records"].as_array().unwrap();
    for (place, record) in event.places.iter().zip(records) {
        let sight = Sight {
            member: &event.pod,
            stream: &stream,
            assignment: of["assignment"].as_u64().unwrap(),
            attempt: u32::try_from(record["attempt"].as_u64().unwrap()).unwrap(),
        };
        ledger.delivered(&sight, place, logged(record));
    }
}

fn logged(record: &Value) -> Logged {
    let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let headers = record["headers"].as_array().unwrap().iter().map(|header| {
        let value = serde_json::from_value(header[1].clone()).unwrap();
        (header[0].as_str().unwrap().to_owned(), value)
    });
    Logged {
        key: text(&record["key"]),
        value: text(&record["value"]),
        headers: headers.collect(),
        timestamp_ms: record["timestamp_ms"].as_i64().unwrap(),
    }
}
