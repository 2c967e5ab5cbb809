//! A topic deleted and made again under the same name. Offsets begin anew, and nothing in Kafka's
//! protocol says so to a consumer of this kind.

use crate::harness::{
    Ledger, Manner, Member, Sidecar, Topic, Worker, commits_of, on_every_protocol, unique, until,
};

use super::until_committed_to_the_end;

// R5 B6
async fn a_topic_made_again_while_the_sidecar_is_down_is_read_from_its_beginning(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic);
    topic.write_numbered(&ledger, 40).await;
    let sidecar = Sidecar::start(settings.clone()).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(18));
    ledger.until_all_accepted().await;
    worker.finish().await;
    let directory = sidecar.stop().await;
    ledger.assert_sound();

    topic.make_again().await;
    // More than before, so that the old offset lies inside of the new log.
    let again = Ledger::default();
    topic.write_numbered(&again, 100).await;
    // The broker deletes offsets together with the topic. A mirrored or restored group keeps them,
    // and so may a broker that was down meanwhile.
    put_commits_back(member, &group).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &again, Manner::new(19));
    again.until_all_accepted().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    again.assert_sound();
    assert_eq!(again.delivery_count(), 100);
}
on_every_protocol!(a_topic_made_again_while_the_sidecar_is_down_is_read_from_its_beginning);

/// Commits for the group what its last commits were, metadata included, if the broker lost them.
async fn put_commits_back(member: Member, group: &str) {
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
    use rdkafka::{ClientConfig, Offset, TopicPartitionList};

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", member.cluster.brokers())
        .set("group.id", group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for commit in commits_of(member.cluster, group).await {
        let partition = (&*commit.topic, commit.partition);
        if list.find_partition(partition.0, partition.1).is_none() {
            list.add_partition(partition.0, partition.1);
        }
        let mut newest = list.find_partition(partition.0, partition.1).unwrap();
        newest.set_offset(Offset::Offset(commit.offset)).unwrap();
        newest.set_metadata(commit.metadata);
    }
    // A broker takes commits of strangers only when the group is empty, and the member that just ended may still be
    // on its way out.
    until("the group is empty", async || {
        consumer.commit(&list, CommitMode::Sync).ok()
    })
    .await;
}

// R5 B6
async fn a_topic_made_again_under_a_running_sidecar_is_read_from_its_beginning(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    topic.write_numbered(&ledger, 40).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(20));
    ledger.until_all_accepted().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    ledger.assert_sound();

    topic.make_again().await;
    ledger.forget_topic(&topic.name);
    topic.write_numbered(&ledger, 100).await;
    ledger.until_all_accepted().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
}
on_every_protocol!(a_topic_made_again_under_a_running_sidecar_is_read_from_its_beginning);
