//! Static members: a name of one's own, and what happens when two bear it.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Ledger, Line, Manner, Member, Protocol, Reader, Settings, Sidecar, Topic, Worker, ackline,
    commits_of, unique, until,
};

use super::assert_worked_off;

/// The older one of two members with the same name is fenced. It must end, and not touch the
/// offsets of the one that took its place.
async fn a_fenced_member_exits_with_code_1_and_commits_nothing(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"group": {"instance_id": "only-one"}}));
    topic.write_numbered(&ledger, 100).await;
    let mut older = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&older.socket(), &ledger).await;
    reader.take(50).await;

    let newer = Sidecar::start(settings).await;
    let worker = Worker::start(newer.socket(), &ledger, Manner::new(28));
    let status = older.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    older.until_logged(&["ERROR", "group.instance_id"]).await;
    assert!(
        reader.until_ended().await.is_err(),
        "the stream does not end as if all were well"
    );
    let earliest = commits_of(member.cluster, &group).await;
    assert!(
        earliest
            .iter()
            .all(|commit| commit.offset == 0 || ledger.accepted_count() > 0)
    );

    ledger.until_all_accepted().await;
    worker.finish().await;
    newer.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R10 B17
#[tokio::test]
async fn a_fenced_member_ends() {
    a_fenced_member_exits_with_code_1_and_commits_nothing(Member::new(
        Line::Newest,
        Protocol::Cooperative,
    ))
    .await;
}

// R10 B17
#[tokio::test]
async fn a_fenced_member_ends_on_the_oldest_line() {
    a_fenced_member_exits_with_code_1_and_commits_nothing(Member::new(
        Line::Oldest,
        Protocol::Eager,
    ))
    .await;
}

// R10 B17: when the broker deals, it refuses the newer one of two members with the same name
#[tokio::test]
async fn a_second_member_of_the_same_name_waits_until_the_first_is_gone() {
    let member = Member::new(Line::Newest, Protocol::Consumer);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"group": {"instance_id": "only-one"}}));
    topic.write_numbered(&ledger, 100).await;
    let first = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&first.socket(), &ledger).await;
    let taken = reader.take(50).await;
    let second = Sidecar::start(settings).await;
    let worker = Worker::start(second.socket(), &ledger, Manner::new(29));
    until("the second one says why it is not ready", async || {
        let (code, body) = second.get("/readyz").await;
        (code == 503 && body.contains("instance ID")).then_some(())
    })
    .await;
    let ids: Vec<u64> = taken.iter().map(|record| record.id).collect();
    assert!(
        reader.ack_committed(&ids).await,
        "the first one is not disturbed"
    );
    first.kill().await;
    ledger.until_all_accepted().await;
    worker.finish().await;
    second.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

/// How a static member ends before it is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    /// With an early notice, as pods are told.
    Stopped,
}

// R10: what static membership is for
#[tokio::test]
async fn a_static_member_that_restarts_moves_no_partition() {
    a_restart_moves_no_partition(End::Killed).await;
}

// R10
#[tokio::test]
async fn a_static_member_that_is_told_to_end_and_restarts_moves_no_partition() {
    a_restart_moves_no_partition(End::Stopped).await;
}

async fn a_restart_moves_no_partition(end: End) {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 4).await;
    let named = |name: &str| {
        let group_settings = json!({"instance_id": name, "session_timeout": "30s"});
        member
            .settings(&group, &topic)
            .with(json!({"group": group_settings}))
    };
    let written = CancellationToken::new();
    let scenario = async {
        let one = Sidecar::start(named("one")).await;
        let worker_one = Worker::start(one.socket(), &ledger, Manner::new(30));
        ledger.until_accepted(1).await;
        let two = Sidecar::start(named("two")).await;
        let worker_two = Worker::start(two.socket(), &ledger, Manner::new(31));
        until("both have work", async || {
            (ledger.members().len() == 2).then_some(())
        })
        .await;
        let rebalances = one.metric("ackline_rebalances_total", &[]).await;
        let directory = match end {
            End::Killed => two.kill().await,
            End::Stopped => {
                ackline(&two.socket(), &["drain", "--reason", "restart"]).await;
                two.stop().await
            }
        };
        let two = Sidecar::start_in(directory, named("two")).await;
        ledger.until_accepted(ledger.accepted_count() + 500).await;
        written.cancel();
        (one, worker_one, two, worker_two, rebalances)
    };
    let (_, (one, worker_one, two, worker_two, rebalances)) =
        tokio::join!(topic.write_until(&ledger, &written), scenario);
    // The last batch is in the ledger only now.
    ledger.until_all_accepted().await;
    assert!((one.metric("ackline_rebalances_total", &[]).await - rebalances).abs() < 0.5);
    worker_one.finish().await;
    worker_two.finish().await;
    one.stop().await;
    two.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

/// Reads `topic` as the only member of a group, which is static, and ends without leaving.
async fn read_as_static_member(settings: Settings, ledger: &Ledger) -> Arc<TempDir> {
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), ledger, Manner::new(32));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await
}

fn static_settings(member: Member, group: &str, topics: &[&str]) -> Settings {
    let mut of_group = member.group_settings();
    // Long enough to come back in time; brokers that share partitions out have one of their own.
    if let Some(session) = of_group.get_mut("session_timeout") {
        *session = json!("30s");
    }
    of_group["instance_id"] = json!("only-one");
    Settings::new(member.cluster.brokers(), group, topics).with(json!({"group": of_group}))
}

/// The group gives a static member that comes back what it had, and asks nobody for what: not even the member that wants
/// more topics than before.
async fn a_topic_that_is_new_to_a_static_member_is_read(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let old = Topic::create(member.cluster, 1).await;
    let new = Topic::create(member.cluster, 1).await;
    old.write_numbered(&ledger, 10).await;
    let directory =
        read_as_static_member(static_settings(member, &group, &[&old.name]), &ledger).await;
    new.write_numbered(&ledger, 10).await;
    let settings = static_settings(member, &group, &[&old.name, &new.name]);
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(33));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &new, &ledger).await;
}

/// A leader that comes back is not told that it is the leader; that topics grow is noticed by its client all the same.
async fn a_partition_that_is_new_to_a_static_member_is_read(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let mut topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 10).await;
    let settings = static_settings(member, &group, &[&topic.name]);
    let directory = read_as_static_member(settings.clone(), &ledger).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(34));
    topic.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    topic.grow(2).await;
    topic.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

/// What a member that comes back was given, and does not want any more, must not stay with it.
async fn a_topic_that_a_static_member_reads_no_more_goes_to_another(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let kept = Topic::create(member.cluster, 2).await;
    let left = Topic::create(member.cluster, 2).await;
    let settings = |name: &str, topics: &[&str]| {
        static_settings(member, &group, topics).with(json!({"group": {"instance_id": name}}))
    };
    let both = [kept.name.as_str(), left.name.as_str()];
    let one = Sidecar::start(settings("one", &both)).await;
    let worker_one = Worker::start(one.socket(), &ledger, Manner::new(35));
    kept.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    let two = Sidecar::start(settings("two", &both)).await;
    let worker_two = Worker::start(two.socket(), &ledger, Manner::new(36));
    until("both have their share", async || {
        let one = one.metric("ackline_partitions", &[]).await;
        let two = two.metric("ackline_partitions", &[]).await;
        ((one - 2.0).abs() < 0.5 && (two - 2.0).abs() < 0.5).then_some(())
    })
    .await;
    worker_one.finish().await;
    let directory = one.stop().await;
    let one = Sidecar::start_in(directory, settings("one", &both[..1])).await;
    let worker_one = Worker::start(one.socket(), &ledger, Manner::new(37));
    left.write_numbered(&ledger, 20).await;
    kept.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    worker_one.finish().await;
    worker_two.finish().await;
    one.stop().await;
    two.stop().await;
    for topic in [&kept, &left] {
        assert_worked_off(member.cluster, &group, topic, &ledger).await;
    }
}

// B51
#[tokio::test]
async fn topics_that_a_cooperative_static_member_reads_no_more_go_to_another() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    a_topic_that_a_static_member_reads_no_more_goes_to_another(member).await;
}

// B51
#[tokio::test]
async fn topics_that_an_eager_static_member_reads_no_more_go_to_another() {
    let member = Member::new(Line::Oldest, Protocol::Eager);
    a_topic_that_a_static_member_reads_no_more_goes_to_another(member).await;
}

// B51
#[tokio::test]
async fn topics_that_are_new_to_a_cooperative_static_member_are_read() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    a_topic_that_is_new_to_a_static_member_is_read(member).await;
}

// B51
#[tokio::test]
async fn topics_that_are_new_to_an_eager_static_member_are_read() {
    let member = Member::new(Line::Oldest, Protocol::Eager);
    a_topic_that_is_new_to_a_static_member_is_read(member).await;
}

// B7
#[tokio::test]
async fn partitions_that_are_new_to_a_cooperative_static_member_are_read() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    a_partition_that_is_new_to_a_static_member_is_read(member).await;
}

// B7
#[tokio::test]
async fn partitions_that_are_new_to_an_eager_static_member_are_read() {
    let member = Member::new(Line::Oldest, Protocol::Eager);
    a_partition_that_is_new_to_a_static_member_is_read(member).await;
}

// B7 B51
#[tokio::test]
async fn topics_and_partitions_that_are_new_to_a_static_member_of_the_consumer_protocol_are_read() {
    let member = Member::new(Line::Newest, Protocol::Consumer);
    a_topic_that_is_new_to_a_static_member_is_read(member).await;
    a_partition_that_is_new_to_a_static_member_is_read(member).await;
}
