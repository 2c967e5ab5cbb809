//! Exactly once, Kafka to Kafka: a copying application, and a reader of committed data that knows nothing of the sidecar.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::harness::proto::stream_response::Response;
use crate::harness::proto::{AckRequest, Header, Open, Record, Records, Settlement};
use crate::harness::{
    Client, Cluster, Copier, Ledger, Line, Member, Protocol, Random, Settings, Sidecar, Topic,
    committed, committed_values, connect, copied, copies, example, figure, is_long,
    on_every_protocol, open_stream, unique, until,
};

fn transactional(settings: Settings, id: &str) -> Settings {
    settings.with(json!({
        "processing": "transactional",
        "transactions": {"id": id},
        "order": "partition",
        "lane_depth": 100,
    }))
}

/// A group that copies a topic.
struct Copying<'a> {
    cluster: &'a Cluster,
    group: String,
    topic: Topic<'a>,
    target: Topic<'a>,
    ledger: Ledger,
}

impl<'a> Copying<'a> {
    async fn of(member: Member, partitions: i32) -> Copying<'a> {
        Self {
            cluster: member.cluster,
            group: unique("group"),
            topic: Topic::create(member.cluster, partitions).await,
            target: Topic::create(member.cluster, partitions).await,
            ledger: Ledger::default(),
        }
    }

    fn copier(&self, sidecar: &Sidecar) -> Copier {
        Copier::start(sidecar.socket(), &self.target.name)
    }

    /// I-E1, I-E2: the copies of each partition are its first records, each once and in their order, and exactly those that
    /// are committed. Returns how many there are.
    async fn look(&self) -> usize {
        let before = committed(self.cluster, &self.group, &self.topic).await;
        // The end of a transaction reaches one partition after the other, and a leader that is new to a partition knows
        // later what every replica has.
        let found = until("what is committed is visible", async || {
            let found = copies(self.cluster, &self.target).await;
            let all = found.iter().all(|(partition, found)| {
                // Nothing but plain records was written, so no offset is left out.
                let in_order = found.iter().zip(0..).all(|(offset, at)| *offset == at);
                assert!(in_order, "I-E1: the copies of {partition} are {found:?}");
                before[partition] <= count(found)
            });
            all.then_some(found)
        })
        .await;
        let after = committed(self.cluster, &self.group, &self.topic).await;
        for (partition, found) in &found {
            let (copied, committed) = (count(found), after[partition]);
            assert!(
                copied <= committed,
                "I-E2: {partition} has {copied} copies and is committed at {committed}"
            );
        }
        found.values().map(Vec::len).sum()
    }

    /// Writes, and looks at the copies, until told to stop.
    async fn write_and_look_until(&self, stop: &CancellationToken) {
        let look = async {
            while !stop.is_cancelled() {
                self.look().await;
            }
        };
        tokio::join!(self.topic.write_until(&self.ledger, stop), look);
    }

    /// Returns how many records there are, once all are copied and committed.
    async fn until_all_are_copied(&self) -> usize {
        let mut ends = BTreeMap::new();
        for partition in 0..self.topic.partitions {
            ends.insert(partition, self.topic.bounds(partition).await.1);
        }
        until("everything is copied", async || {
            self.look().await;
            let committed = committed(self.cluster, &self.group, &self.topic).await;
            (committed == ends).then_some(())
        })
        .await;
        self.look().await
    }
}

fn count(copies: &[i64]) -> i64 {
    i64::try_from(copies.len()).unwrap()
}

async fn until_more_is_settled(copier: &Copier, count: usize) {
    let before = copier.settled();
    until("some more is copied", async || {
        (copier.settled() > before + count).then_some(())
    })
    .await;
}

// B46 I-E1 I-E2
async fn copies_are_made_once_though_sidecar_and_application_are_killed(member: Member) {
    let member = member.of_transactions();
    let kills = if is_long() { 50 } else { 4 };
    let copying = Copying::of(member, 3).await;
    let settings = member.settings(&copying.group, &copying.topic);
    let settings = transactional(settings, &unique("id"));
    let mut sidecar = Sidecar::start(settings.clone()).await;
    let mut copier = copying.copier(&sidecar);
    let stop = CancellationToken::new();
    let scenario = async {
        for kill in 0..kills {
            until_more_is_settled(&copier, 300).await;
            if kill % 2 == 0 {
                let directory = sidecar.kill().await;
                sidecar = Sidecar::start_in(directory, settings.clone()).await;
            } else {
                copier.kill().await;
                copier = copying.copier(&sidecar);
            }
        }
        stop.cancel();
        (sidecar, copier)
    };
    let ((), (sidecar, copier)) = tokio::join!(copying.write_and_look_until(&stop), scenario);
    let records = copying.until_all_are_copied().await;
    copier.kill().await;
    sidecar.stop().await;
    tell(&format!("{kills} kills"), records);
}
on_every_protocol!(copies_are_made_once_though_sidecar_and_application_are_killed);

fn tell(what: &str, records: usize) {
    figure(&format!(
        "exactly once, {what}: {records} records, 0 duplicates, 0 losses"
    ));
}

// B46 I-E1 I-E2: KIP-447
async fn copies_are_made_once_though_members_come_and_go(member: Member) {
    let member = member.of_transactions();
    let rounds = if is_long() { 20 } else { 2 };
    let copying = Copying::of(member, 6).await;
    let of = |name: &str| {
        let settings = member.settings(&copying.group, &copying.topic);
        transactional(settings, &unique(name))
    };
    let first = Sidecar::start(of("first")).await;
    let copier = copying.copier(&first);
    let stop = CancellationToken::new();
    let scenario = async {
        for round in 0..rounds {
            let mut second = Sidecar::start(of("second")).await;
            let other = copying.copier(&second);
            until_more_is_settled(&other, 200).await;
            if round % 2 == 0 {
                // In the midst of a rebalance its last transaction may be refused, and then it says so.
                other.kill().await;
                second.signal("TERM").await;
                second.ended().await;
            } else {
                drop(second.kill().await);
                other.kill().await;
            }
        }
        stop.cancel();
    };
    tokio::join!(copying.write_and_look_until(&stop), scenario);
    let records = copying.until_all_are_copied().await;
    copier.kill().await;
    first.stop().await;
    tell(&format!("{rounds} members came and went"), records);
}
on_every_protocol!(copies_are_made_once_though_members_come_and_go);

// B46 B24
async fn brokers_are_killed(line: Line, name: &str) {
    let rounds = if is_long() { 5 } else { 1 };
    let cluster = Cluster::own_of(line, name, &["--nodes", "3"]);
    let safe = [("min.insync.replicas", "2")];
    let copying = Copying {
        cluster: &cluster,
        group: unique("group"),
        topic: Topic::create_with(&cluster, 3, 3, &safe).await,
        target: Topic::create_with(&cluster, 3, 3, &safe).await,
        ledger: Ledger::default(),
    };
    let settings = Settings::new(cluster.brokers(), &copying.group, &[&copying.topic.name]);
    let sidecar = Sidecar::start(transactional(settings, &unique("id"))).await;
    let copier = copying.copier(&sidecar);
    let stop = CancellationToken::new();
    let scenario = async {
        for _ in 0..rounds {
            for node in ["1", "2", "3"] {
                until_more_is_settled(&copier, 300).await;
                cluster.stop(&[node, "--kill"]).await;
                cluster.start_again().await;
            }
        }
        stop.cancel();
    };
    tokio::join!(copying.write_and_look_until(&stop), scenario);
    let records = copying.until_all_are_copied().await;
    copier.kill().await;
    sidecar.stop().await;
    tell(&format!("{} brokers killed", 3 * rounds), records);
}

#[tokio::test]
async fn copies_are_made_once_though_brokers_are_killed() {
    brokers_are_killed(Line::Newest, "exactly-once").await;
}

#[tokio::test]
async fn copies_are_made_once_though_brokers_of_the_oldest_line_are_killed() {
    brokers_are_killed(Line::Oldest, "exactly-once-oldest").await;
}

// B46
async fn a_producer_whose_name_is_taken_says_so_and_goes_on_later(member: Member) {
    let member = member.of_transactions();
    let id = unique("id");
    let copying = Copying::of(member, 2).await;
    let settings = member.settings(&copying.group, &copying.topic);
    let sidecar = Sidecar::start(transactional(settings, &id)).await;
    let copier = copying.copier(&sidecar);
    copying.topic.write_numbered(&copying.ledger, 200).await;
    copying.until_all_are_copied().await;
    let brokers = member.cluster.brokers().to_owned();
    let steal = move || {
        let thief: BaseProducer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", id)
            .create()
            .unwrap();
        thief.init_transactions(Duration::from_secs(30)).unwrap();
    };
    tokio::task::spawn_blocking(steal).await.unwrap();
    copying.topic.write_numbered(&copying.ledger, 200).await;
    sidecar
        .until_logged(&["producer_fenced", "transactions.id"])
        .await;
    let records = copying.until_all_are_copied().await;
    copier.kill().await;
    sidecar.stop().await;
    tell("1 name taken", records);
}
on_every_protocol!(a_producer_whose_name_is_taken_says_so_and_goes_on_later);

/// Each record by itself. That of offset 7 has a copy which its topic does not take.
fn one_by_one(records: Records, target: &str) -> Vec<Settlement> {
    let one = |record: Record| {
        let offset = record.offset;
        let one = Records {
            records: vec![record],
            ..records.clone()
        };
        let mut settlement = copied(one, target);
        if offset == 7 {
            // Not even compression makes it small.
            let mut random = Random(7);
            let noise = (0..1000).flat_map(|_| random.next().to_le_bytes());
            let noise = Header {
                name: "noise".to_owned(),
                value: Some(noise.collect()),
                ..Header::default()
            };
            settlement.outputs[0].headers.push(noise);
        }
        settlement
    };
    records.records.iter().cloned().map(one).collect()
}

// B46: a poison output
#[tokio::test]
async fn a_record_whose_output_is_refused_is_parked_and_the_others_are_copied() {
    let member = Member::new(Line::Newest, Protocol::Cooperative).of_transactions();
    let limit = [("max.message.bytes", "2000")];
    let copying = Copying {
        target: Topic::create_with(member.cluster, 1, 1, &limit).await,
        ..Copying::of(member, 1).await
    };
    let settings = member.settings(&copying.group, &copying.topic);
    let settings = transactional(settings, &unique("id")).with(json!({
        "order": "none",
        "lane_depth": 1,
        "retry": {"max_attempts": 2, "backoff": {"initial": "100ms"}},
    }));
    let sidecar = Sidecar::start(settings).await;
    copying.topic.write_numbered(&copying.ledger, 20).await;
    let copier = Copier::start_with(sidecar.socket(), &copying.target.name, one_by_one);
    sidecar.until_logged(&["output_refused"]).await;
    sidecar.until_logged(&["\"parked\"", "\"offset\":7"]).await;
    until("the others are copied", async || {
        let found = copies(member.cluster, &copying.target).await;
        let mut offsets = found[&0].clone();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), found[&0].len(), "I-E1: {found:?}");
        (offsets.len() == 19 && !offsets.contains(&7)).then_some(())
    })
    .await;
    copier.kill().await;
    sidecar.stop().await;
    tell("1 poison output", 19);
}

fn exactly_once_py(sidecar: &Sidecar, target: &Topic<'_>) -> Child {
    let mut command = Command::from(example("examples/python/exactly_once.py"));
    let socket = format!("unix:{}", sidecar.socket().display());
    command
        .env("TARGET_TOPIC", &target.name)
        .env("ACKLINE_TARGET", socket)
        .kill_on_drop(true);
    command.spawn().unwrap()
}

#[tokio::test]
async fn the_example_copies_each_record_once_though_it_is_killed() {
    if !Client::PythonSync.is_tested() {
        return;
    }
    let member = Member::new(Line::Newest, Protocol::Cooperative).of_transactions();
    let copying = Copying::of(member, 3).await;
    let settings = member.settings(&copying.group, &copying.topic);
    let settings = settings.with(json!({
        "processing": "transactional",
        // A few deaths are not the records' fault.
        "retry": {"crash_suspect_after": 0},
        "batch": {"records": 8},
    }));
    let sidecar = Sidecar::start(settings).await;
    let mut application = exactly_once_py(&sidecar, &copying.target);
    for _ in 0..3 {
        let before = committed_values(member.cluster, &copying.target).await;
        copying.topic.write_numbered(&copying.ledger, 600).await;
        until("some more is copied", async || {
            let found = committed_values(member.cluster, &copying.target).await;
            (found.len() > before.len()).then_some(())
        })
        .await;
        application.kill().await.unwrap();
        application = exactly_once_py(&sidecar, &copying.target);
    }
    let log = copying.ledger.log();
    let values = log.iter().filter_map(|(_, logged)| logged.value.clone());
    let mut expected: Vec<_> = values.map(|value| value.to_ascii_uppercase()).collect();
    expected.sort();
    until("everything is copied", async || {
        let found = committed_values(member.cluster, &copying.target).await;
        let mut found: Vec<_> = found.into_iter().map(|(_, value)| value).collect();
        found.sort();
        assert!(found.len() <= expected.len(), "I-E1: too many copies");
        (found == expected).then_some(())
    })
    .await;
    application.kill().await.unwrap();
    sidecar.stop().await;
}

#[tokio::test]
async fn outputs_are_refused_where_nobody_writes_them() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    topic.write_numbered(&ledger, 1).await;
    let mut client = connect(&sidecar.socket()).await;
    let (_, mut responses) = open_stream(&mut client, Open::default()).await.unwrap();
    let records = loop {
        let message = responses.message().await.unwrap().unwrap();
        if let Some(Response::Records(records)) = message.response {
            break records;
        }
    };
    let request = AckRequest {
        settlements: vec![copied(records, &topic.name)],
        ..AckRequest::default()
    };
    let refused = client.ack(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("processing"), "{refused}");
    drop(responses);
    sidecar.stop().await;
}
