//! The normal life of a record, and clean stops.

use crate::harness::{
    Door, Ledger, Manner, Member, Reader, Sidecar, Topic, Worker, on_every_protocol, unique,
};

use super::assert_worked_off;

// R8 B42
async fn everything_arrives_once_and_is_committed_to_the_end(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 6).await;
    let settings = member.settings(&group, &topic);
    topic.write_numbered(&ledger, 3000).await;
    let sidecar = Sidecar::start(settings.clone()).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(1));
    ledger.until_all_accepted().await;
    worker.finish().await;
    let directory = sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;

    // In a second life only what is new arrives.
    topic.write_numbered(&ledger, 60).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(2));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    assert_eq!(ledger.delivery_count(), 3060, "each record arrives once");
}
on_every_protocol!(everything_arrives_once_and_is_committed_to_the_end);

// R24 B42
async fn a_clean_stop_with_holes_repeats_nothing_that_was_acknowledged(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    let settings = member.settings(&group, &topic);
    topic.write_numbered(&ledger, 600).await;
    let sidecar = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    // The first record of each partition stays open, and every second one after it: no offset can
    // be committed, so the finished records must be remembered in another way.
    let taken = reader.take(90).await;
    let acknowledged: Vec<u64> = taken
        .iter()
        .filter(|record| record.place.offset % 2 == 1)
        .map(|record| record.id)
        .collect();
    assert!(reader.ack(&acknowledged).await.is_empty());
    let directory = sidecar.stop().await;
    let repeated = ledger.delivery_count() - acknowledged.len();

    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(3));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    assert_eq!(
        ledger.delivery_count(),
        600 + repeated,
        "what was open arrives once more"
    );
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
on_every_protocol!(a_clean_stop_with_holes_repeats_nothing_that_was_acknowledged);

// R24 B42: the application closes its stream by half-close, and failures are delivered again
async fn the_fast_door_finishes_everything_and_failures_come_again(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    topic.write_numbered(&ledger, 900).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let manner = Manner {
        door: Door::Consume,
        retry_one_in: 50,
        ..Manner::new(4)
    };
    let worker = Worker::start(sidecar.socket(), &ledger, manner);
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    assert!(
        ledger.delivery_count() > 900,
        "some records failed at first"
    );
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
on_every_protocol!(the_fast_door_finishes_everything_and_failures_come_again);
