//! Applications that fail at everything, die of one record, or are replaced again and again.
//!
//! The figures that these print are those of `docs/failures.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::dead_letters::everything;
use super::until_committed_to_the_end;
use crate::harness::{
    Job, Ledger, Line, Logged, Member, Process, Protocol, Settings, Sidecar, Topic, figure,
    is_long, unique, until, until_within,
};

/// Records with keys of their own, from `first` on, dealt out over the partitions.
fn records(topic: &Topic<'_>, first: i32, count: i32) -> Vec<(i32, Logged)> {
    let record = |number: i32| Logged {
        key: Some(format!("key-{number}").into_bytes()),
        ..Logged::numbered(number)
    };
    (first..first + count)
        .map(|number| (number % topic.partitions, record(number)))
        .collect()
}

/// A topic, and one for its dead letters.
struct Scene {
    member: Member,
    group: String,
    topic: Topic<'static>,
    dead: Topic<'static>,
}

impl Scene {
    async fn new(partitions: i32) -> Self {
        let member = Member::new(Line::Newest, Protocol::Cooperative);
        Self {
            member,
            group: unique("group"),
            topic: Topic::create(member.cluster, partitions).await,
            dead: Topic::create(member.cluster, 1).await,
        }
    }

    fn settings(&self) -> Settings {
        let settings = self.member.settings(&self.group, &self.topic);
        settings.with(json!({
            "dead_letter": {"topic": self.dead.name},
            "retry": {"then": "dead_letter"},
        }))
    }

    async fn write(&self, first: i32, count: i32) {
        let records = records(&self.topic, first, count);
        self.topic.write(&Ledger::default(), records).await;
    }

    async fn until_committed_to_the_end(&self) {
        until_committed_to_the_end(self.member.cluster, &self.group, &self.topic).await;
    }

    /// Cause and offset of each dead letter.
    async fn letters(&self) -> Vec<(String, String)> {
        let letters = everything(self.member.cluster, &self.dead).await;
        letters
            .iter()
            .map(|letter| {
                let record = &letter.record;
                (
                    record.header("ackline.cause"),
                    record.header("ackline.offset"),
                )
            })
            .collect()
    }
}

/// How often an application with so many streams dies of one record of a thousand, with 200 in flight.
async fn deaths_until_everything_else_is_finished(streams: usize) -> usize {
    let scene = Scene::new(6).await;
    scene.write(0, 1000).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let job = Job {
        socket: sidecar.socket(),
        streams,
        in_flight: 200 / u32::try_from(streams).unwrap(),
        work: Duration::from_millis(10),
        dies_of: Some((3, 83)),
    };
    let mut deaths = 0;
    let dying = async {
        loop {
            let status = Process::start(&job).died().await;
            assert!(!status.success());
            deaths += 1;
        }
    };
    tokio::select! {
        () = dying => {}
        () = scene.until_committed_to_the_end() => {}
    }
    let letters = scene.letters().await;
    assert_eq!(letters, [("crashes".to_owned(), "83".to_owned())]);
    sidecar.stop().await;
    deaths
}

// B30
#[tokio::test]
async fn an_application_that_dies_of_one_record_finishes_all_others() {
    let deaths = deaths_until_everything_else_is_finished(1).await;
    figure(&format!(
        "one record of 1,000 kills the application, one stream with 200 in flight: {deaths} deaths"
    ));
    assert!(deaths <= 5, "{deaths}");
}

// B30
#[tokio::test]
async fn an_application_with_four_streams_that_dies_of_one_record_finishes_all_others() {
    let deaths = deaths_until_everything_else_is_finished(4).await;
    figure(&format!(
        "one record of 1,000 kills the application, four streams with 50 in flight each: {deaths} deaths"
    ));
    assert!(deaths <= 7, "{deaths}");
}

/// How long an application fails at everything, and what that leaves behind.
struct Outage {
    settings: Settings,
    /// Records a second.
    rate: i32,
    lasts: Duration,
}

// B30
#[tokio::test]
async fn an_outage_leaves_few_records_in_the_dead_letter_topic() {
    let scene = Scene::new(6).await;
    let outage = if is_long() {
        Outage {
            settings: scene.settings(),
            rate: 200,
            lasts: Duration::from_secs(300),
        }
    } else {
        Outage {
            settings: scene.settings().with(json!({
                "retry": {"max_attempts": 3, "backoff": {"initial": "10ms", "max": "1s"}},
            })),
            rate: 1000,
            lasts: Duration::from_secs(5),
        }
    };
    let sidecar = Sidecar::start(outage.settings).await;
    let job = Job {
        socket: sidecar.socket(),
        streams: 1,
        in_flight: 100,
        work: Duration::from_millis(5),
        dies_of: None,
    };
    let (stop, fails) = (CancellationToken::new(), AtomicBool::new(true));
    let mut written = 0;
    let scenario = async {
        let begun = Instant::now();
        while begun.elapsed() < outage.lasts {
            scene.write(written, outage.rate).await;
            written += outage.rate;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        sidecar.until_logged(&["giving_up_stopped"]).await;
        fails.store(false, Ordering::Relaxed);
        let recovered = Instant::now();
        let everything = f64::from(written);
        until_within(
            Duration::from_secs(300),
            "the backlog is gone",
            async || {
                let done = sidecar.metric("ackline_records_finished_total", &[]).await;
                (done >= everything).then_some(())
            },
        )
        .await;
        let took = recovered.elapsed();
        stop.cancel();
        took
    };
    let (worked, took) = tokio::join!(job.work(&stop, &fails), scenario);
    worked.unwrap();
    scene.until_committed_to_the_end().await;
    let letters = scene.letters().await;
    figure(&format!(
        "an outage of {} s, {} records/s: of {written} records {} in the dead-letter topic, backlog gone {:.1} s after it",
        outage.lasts.as_secs(),
        outage.rate,
        letters.len(),
        took.as_secs_f64(),
    ));
    // The bucket, and what it earns by the minute, which a busy machine may have several of.
    assert!((1..=110).contains(&letters.len()), "{}", letters.len());
    sidecar.stop().await;
}

/// How applications are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaced {
    Never,
    /// They are told to stop, and finish what they hold.
    Told,
    /// They are killed.
    Killed,
}

/// Records that four processes work off, and how many at once: 4,000 a second at most.
const RECORDS: i32 = 20_000;
const PROCESSES: usize = 4;
const IN_FLIGHT: u32 = 50;

/// Records a second while one process after the other is replaced, and how many of them were replaced.
async fn worked_off_while(replaced: Replaced) -> (f64, usize) {
    let scene = Scene::new(12).await;
    scene.write(0, RECORDS).await;
    let settings = scene
        .settings()
        .with(json!({"in_flight": {"records": 1000}, "order": "key"}));
    let sidecar = Sidecar::start(settings).await;
    let job = Job {
        socket: sidecar.socket(),
        streams: 1,
        in_flight: IN_FLIGHT,
        work: Duration::from_millis(50),
        dies_of: None,
    };
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start(&job)).collect();
    let done = async |at_least: f64| {
        let metric = sidecar.metric("ackline_records_finished_total", &[]).await;
        (metric >= at_least).then_some(())
    };
    until("they work", async || done(500.0).await).await;
    let begun = Instant::now();
    let mut replacements = 0;
    let replacing = async {
        if replaced == Replaced::Never {
            return std::future::pending().await;
        }
        loop {
            let process = processes.remove(0);
            match replaced {
                Replaced::Told => process.finish().await,
                Replaced::Killed | Replaced::Never => process.kill().await,
            }
            processes.push(Process::start(&job));
            replacements += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = replacing => {}
        () = until("everything is finished", async || done(f64::from(RECORDS)).await) => {}
    }
    let took = begun.elapsed();
    assert_eq!(scene.letters().await, [], "nobody is to blame");
    if replaced != Replaced::Killed {
        let suspected = sidecar.metric("ackline_records_suspected_total", &[]).await;
        assert_eq!(suspected, 0.0);
    }
    for process in processes {
        process.finish().await;
    }
    scene.until_committed_to_the_end().await;
    sidecar.stop().await;
    (f64::from(RECORDS - 500) / took.as_secs_f64(), replacements)
}

// B30
#[tokio::test]
async fn replacing_healthy_applications_slows_nothing_down() {
    let (steady, _) = worked_off_while(Replaced::Never).await;
    for replaced in [Replaced::Told, Replaced::Killed] {
        let (rate, replacements) = worked_off_while(replaced).await;
        assert!(replacements > 0, "{replaced:?}");
        figure(&format!(
            "four processes of 50 in flight and 50 ms a record, one replaced after the other ({replaced:?}, \
             {replacements} times): {rate:.0} records/s, {:.2} of {steady:.0} records/s without",
            rate / steady
        ));
    }
}
