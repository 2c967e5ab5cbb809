//! Clients that mean harm, beside one that works.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::harness::http2::{
    DATA, END_HEADERS, HEADERS, PING, SETTINGS, WINDOW_UPDATE, drain, flood, frame, headers,
    open_raw,
};
use crate::harness::{
    Ledger, Line, Manner, Member, Protocol, Sidecar, Topic, Worker, unique, until,
};

use super::assert_worked_off;

const CONSUME: &str = "/ackline.v1.ConsumerService/Consume";
const STREAM: &str = "/ackline.v1.ConsumerService/Stream";

/// Opens a stream with defaults and without a name: a request of `Consume`, as a gRPC message.
const OPEN: [u8; 9] = [0, 0, 0, 0, 4, 0x12, 0x02, 0x0a, 0x00];

/// Whom a scenario harms: a sidecar with a worker that has had its first records.
struct Victim {
    member: Member,
    group: String,
    topic: Topic<'static>,
    ledger: Ledger,
    sidecar: Sidecar,
    worker: Worker,
    resident: u64,
}

impl Victim {
    async fn start(seed: u64) -> Self {
        let member = Member::new(Line::Newest, Protocol::Cooperative);
        let (ledger, group) = (Ledger::default(), unique("group"));
        let topic = Topic::create(member.cluster, 3).await;
        // A flood that dies holds records, again and again; that they are to blame is not the question here.
        let settings = json!({"retry": {"crash_suspect_after": 0}});
        let settings = member.settings(&group, &topic).with(settings);
        let sidecar = Sidecar::start(settings).await;
        let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(seed));
        topic.write_numbered(&ledger, 3000).await;
        ledger.until_all_accepted().await;
        Self {
            member,
            group,
            topic,
            ledger,
            resident: sidecar.resident_bytes(),
            sidecar,
            worker,
        }
    }

    /// While the flood runs the worker gets and settles everything that is written, and memory grows by `max`
    /// at most. That goes on until enough has come through to be a flood: a busy machine takes its time.
    async fn works_on(self, floods: Floods, max: u64) {
        let mut resident = self.resident;
        let mut rounds = 0;
        until("what comes through is a flood", async || {
            self.topic.write_numbered(&self.ledger, 300).await;
            self.ledger.until_all_accepted().await;
            resident = resident.max(self.sidecar.resident_bytes());
            rounds += 1;
            (rounds >= 10 && floods.came_through(&self.sidecar).await).then_some(())
        })
        .await;
        let grown = resident - self.resident;
        assert!(grown <= max, "memory grew by {grown} bytes");
        for flood in floods.tasks {
            flood.abort();
        }
        self.worker.finish().await;
        self.sidecar.stop().await;
        self.ledger.assert_nothing_repeated();
        assert_worked_off(self.member.cluster, &self.group, &self.topic, &self.ledger).await;
    }
}

/// Clients that mean harm, and what shows that they came through.
struct Floods {
    tasks: Vec<JoinHandle<()>>,
    answered: Arc<AtomicU64>,
    answered_min: u64,
    streams_min: u16,
}

impl Floods {
    async fn came_through(&self, sidecar: &Sidecar) -> bool {
        let labels = ["event=\"stream_opened\""];
        let streams = sidecar.metric("ackline_events_total", &labels).await;
        let answered = self.answered.load(Ordering::Relaxed);
        streams > f64::from(self.streams_min) && answered >= self.answered_min
    }
}

/// Four connections that send a frame without end, two of which read what comes back.
fn four_floods(socket: &Path, bytes: &[u8], first: &[u8]) -> Floods {
    let answered = Arc::new(AtomicU64::new(0));
    let tasks = [true, true, false, false]
        .into_iter()
        .map(|reads| {
            let (socket, bytes, first) = (socket.to_path_buf(), bytes.to_vec(), first.to_vec());
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                loop {
                    let mut stream = open_raw(&socket, &[]).await;
                    let _hung_up = stream.write_all(&first).await;
                    if reads {
                        let (read, mut write) = stream.into_split();
                        tokio::join!(drain(read, &answered), async {
                            flood(&mut write, &bytes, 1 << 16).await;
                            drop(write);
                        });
                    } else {
                        flood(&mut stream, &bytes, 1 << 16).await;
                    }
                }
            })
        })
        .collect();
    Floods {
        tasks,
        answered,
        answered_min: 0,
        streams_min: 0,
    }
}

const MIB: u64 = 1 << 20;

// C-6
#[tokio::test]
async fn a_flood_of_pings_takes_no_memory_and_stops_nobody() {
    let victim = Victim::start(61).await;
    let ping = frame(PING, 0, 0, &[7; 8]);
    let floods = Floods {
        answered_min: MIB,
        ..four_floods(&victim.sidecar.socket(), &ping, &[])
    };
    victim.works_on(floods, 8 * MIB).await;
}

// C-6
#[tokio::test]
async fn a_flood_of_settings_takes_no_memory_and_stops_nobody() {
    let victim = Victim::start(62).await;
    // SETTINGS_MAX_FRAME_SIZE, to something valid.
    let settings = frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x40, 0]);
    let floods = Floods {
        answered_min: MIB,
        ..four_floods(&victim.sidecar.socket(), &settings, &[])
    };
    victim.works_on(floods, 8 * MIB).await;
}

// C-6
#[tokio::test]
async fn a_flood_of_empty_data_takes_no_memory_and_stops_nobody() {
    let victim = Victim::start(63).await;
    let mut open = frame(HEADERS, END_HEADERS, 1, &headers(CONSUME, &[]));
    open.extend(frame(DATA, 0, 1, &OPEN));
    let empty = frame(DATA, 0, 1, &[]);
    let floods = Floods {
        streams_min: 4,
        ..four_floods(&victim.sidecar.socket(), &empty, &open)
    };
    victim.works_on(floods, 8 * MIB).await;
}

// C-6
#[tokio::test]
async fn windows_of_one_byte_take_no_memory_and_stop_nobody() {
    let victim = Victim::start(64).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of 1, and then one more byte at a time, for the call and the connection.
    let mut open = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    open.extend(frame(HEADERS, END_HEADERS, 1, &headers(STREAM, &[])));
    open.extend(frame(DATA, 1, 1, &[0, 0, 0, 0, 0]));
    let mut one_more = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    one_more.extend(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    let floods = Floods {
        streams_min: 4,
        ..four_floods(&victim.sidecar.socket(), &one_more, &open)
    };
    victim.works_on(floods, 8 * MIB).await;
}
