//! Reports to the ledger: one JSON object a line, over TCP.
//!
//! Each line has a number. The ledger answers with the newest number that it has, and lines are kept until then. A
//! connection on which nothing is answered is given up for another, so that a node that was cut off and is connected again
//! reports what happened meanwhile, as soon as it can.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Reporter(Arc<Shared>);

struct Shared {
    ledger: String,
    pod: String,
    /// Names this process, among all that the pod ever ran.
    process: u128,
    lines: Mutex<Lines>,
    changed: Notify,
}

#[derive(Default)]
struct Lines {
    newest: u64,
    unanswered: VecDeque<(u64, String)>,
}

impl Reporter {
    pub(crate) fn new(ledger: String, pod: &str) -> Self {
        Self(Arc::new(Shared {
            ledger,
            pod: pod.to_owned(),
            process: now_us(),
            lines: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down that something happens now.
    pub(crate) fn report(&self, event: &str, mut details: Value) {
        let mut lines = self.lines();
        lines.newest += 1;
        let newest = lines.newest;
        details["event"] = json!(event);
        details["at_us"] = json!(u64::try_from(now_us()).unwrap());
        details["pod"] = json!(self.0.pod);
        details["process"] = json!(format!("{}/{}", self.0.pod, self.0.process));
        details["number"] = json!(newest);
        lines.unanswered.push_back((newest, format!("{details}\n")));
        self.0.changed.notify_waiters();
    }

    /// Waits a moment until everything has been heard.
    pub(crate) async fn flush(&self) {
        let heard = async {
            while !self.lines().unanswered.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // A ledger that is gone must not keep the application from ending.
        let _ = timeout(5 * PATIENCE, heard).await;
    }

    /// Sends what is reported, for ever.
    pub(crate) async fn deliver(&self) {
        loop {
            if let Ok(Ok(connection)) = timeout(PATIENCE, TcpStream::connect(&self.0.ledger)).await
            {
                let _ = self.deliver_over(connection).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn deliver_over(&self, connection: TcpStream) -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        let (answers, mut ledger) = connection.into_split();
        let mut answers = BufReader::new(answers).lines();
        let mut sent = 0;
        let mut due = Instant::now() + PATIENCE;
        loop {
            let (newest, text) = self.after(sent);
            timeout(PATIENCE, ledger.write_all(text.as_bytes())).await??;
            sent = newest;
            if self.lines().unanswered.is_empty() {
                self.until_more_than(sent).await;
                due = Instant::now() + PATIENCE;
                continue;
            }
            tokio::select! {
                answer = timeout_at(due, answers.next_line()) => {
                    let Some(answer) = answer?? else { return Ok(()) };
                    due = Instant::now() + PATIENCE;
                    let answer: u64 = answer.parse().unwrap_or_default();
                    self.lines().unanswered.retain(|(number, _)| *number > answer);
                }
                () = self.until_more_than(sent) => {}
            }
        }
    }

    /// The newest number, and the lines after that one.
    fn after(&self, sent: u64) -> (u64, String) {
        let lines = self.lines();
        let more = lines.unanswered.iter().filter(|(number, _)| *number > sent);
        (lines.newest, more.map(|(_, line)| line.as_str()).collect())
    }

    async fn until_more_than(&self, sent: u64) {
        loop {
            let changed = self.0.changed.notified();
            if self.lines().newest > sent {
                return;
            }
            changed.await;
        }
    }
}

fn now_us() -> u128 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.unwrap_or_default().as_micros()
}
