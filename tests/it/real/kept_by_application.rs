//! Positions that the application keeps, in one transaction with what comes of the records: the example in `examples/python`
//! with a real PostgreSQL, killed at random.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};

use crate::harness::{
    Client, Database, Ledger, Line, Member, Protocol, Random, Settings, Sidecar, Topic, ackline,
    example, on_every_protocol, unique, until,
};

/// So often is the application killed, between two and forty transactions, or in one.
const KILLS: usize = 50;
const PARTITIONS: i32 = 4;

fn settings(member: Member, group: &str, topic: &Topic<'_>) -> Settings {
    member.settings(group, topic).with(json!({
        "order": "key",
        "offset_store": {"kind": "application"},
        // Half a hundred deaths are not the records' fault.
        "retry": {"crash_suspect_after": 0},
        "batch": {"records": 8},
    }))
}

fn ledger_py(sidecar: &Sidecar, database: &Database) -> Child {
    let mut command = Command::from(example("examples/python/ledger.py"));
    command
        .env("DATABASE_URL", database.url())
        .env(
            "ACKLINE_TARGET",
            format!("unix:{}", sidecar.socket().display()),
        )
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// Everything that was booked, by partition and offset, once for each time.
async fn booked(database: &Database) -> Vec<(i32, i64)> {
    let made = "SELECT to_regclass('payments') IS NOT NULL";
    let made: bool = database.query(made).await[0].get(0);
    if !made {
        return Vec::new();
    }
    let rows = "SELECT partition, record_offset FROM payments ORDER BY 1, 2";
    let rows = database.query(rows).await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn until_booked(database: &Database, count: usize) {
    until("so much is booked", async || {
        (booked(database).await.len() >= count).then_some(())
    })
    .await;
}

async fn assert_each_once(database: &Database, topic: &Topic<'_>) {
    let rows = booked(database).await;
    let different: BTreeSet<_> = rows.iter().collect();
    assert_eq!(different.len(), rows.len(), "something was booked twice");
    let mut wanted = BTreeSet::new();
    for partition in 0..topic.partitions {
        let (start, end) = topic.bounds(partition).await;
        wanted.extend((start..end).map(|offset| (partition, offset)));
    }
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[tokio::test]
async fn an_application_that_is_killed_books_each_record_once() {
    if !Client::PythonSync.is_tested() {
        return;
    }
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, PARTITIONS).await;
    let database = Database::create().await;
    let sidecar = Sidecar::start(settings(member, &group, &topic)).await;
    let mut random = Random(50);
    let mut application = ledger_py(&sidecar, &database);
    let mut wanted = 0;
    for _ in 0..KILLS {
        topic.write_numbered(&ledger, 60).await;
        // At least something is booked between two deaths, and then it may be in the midst of anything.
        until_booked(&database, wanted + 1).await;
        tokio::time::sleep(Duration::from_millis(random.next() % 60)).await;
        application.kill().await.unwrap();
        wanted = booked(&database).await.len();
        application = ledger_py(&sidecar, &database);
    }
    let written = ledger.log().len();
    until_booked(&database, written).await;
    assert_each_once(&database, &topic).await;
    println!("{KILLS} kills, {written} records, each booked once");
    sidecar.stop().await;
}

/// Two members, each with its application; one of each kind is killed again and again.
#[tokio::test]
async fn whatever_is_killed_each_record_is_booked_once() {
    if !Client::PythonSync.is_tested() {
        return;
    }
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, PARTITIONS).await;
    let database = Database::create().await;
    let settings = settings(member, &group, &topic);
    let steady = Sidecar::start(settings.clone()).await;
    let mut steady_application = ledger_py(&steady, &database);
    let mut wanted = 0;
    for round in 0..8 {
        let sidecar = Sidecar::start(settings.clone()).await;
        let mut application = ledger_py(&sidecar, &database);
        topic.write_numbered(&ledger, 200).await;
        until_booked(&database, wanted + 1).await;
        if round % 2 == 0 {
            sidecar.kill().await;
        } else {
            steady_application.kill().await.unwrap();
            steady_application = ledger_py(&steady, &database);
            sidecar.stop().await;
        }
        application.kill().await.unwrap();
        wanted = booked(&database).await.len();
    }
    let written = ledger.log().len();
    until_booked(&database, written).await;
    assert_each_once(&database, &topic).await;
    steady.stop().await;
    drop(steady_application);
}

/// The group's own offsets stand where the application was offered to, for tools that compute lag.
async fn what_is_offered_is_copied_to_the_group(member: Member) {
    if !Client::PythonSync.is_tested() {
        return;
    }
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let database = Database::create().await;
    let settings =
        settings(member, &group, &topic).with(json!({"offset_store": {"mirror_to_kafka": true}}));
    topic.write_numbered(&ledger, 100).await;
    let sidecar = Sidecar::start(settings).await;
    let application = ledger_py(&sidecar, &database);
    until_booked(&database, 100).await;
    super::until_committed_to_the_end(member.cluster, &group, &topic).await;
    assert_each_once(&database, &topic).await;
    drop(application);
    until("nobody answers", async || {
        let (_, explained) = ackline(&sidecar.socket(), &["explain"]).await;
        explained
            .contains("no stream is open that could be asked")
            .then_some(())
    })
    .await;
    sidecar.stop().await;
}
on_every_protocol!(what_is_offered_is_copied_to_the_group);
