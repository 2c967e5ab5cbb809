//! A member that sleeps through its own end.

use serde_json::json;

use crate::harness::proto::RefusalReason;
use crate::harness::{
    Ledger, Manner, Member, Reader, Sidecar, Topic, Worker, commits_of, on_every_protocol, unique,
    until,
};

use super::until_committed_to_the_end;

// R9 B12 B13 B15
async fn a_member_that_slept_through_its_session_refuses_late_acknowledgements(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic);
    topic.write_numbered(&ledger, 100).await;
    let mut sleeper = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sleeper.socket(), &ledger).await;
    let taken = reader.take(100).await;
    let (early, late): (Vec<_>, Vec<_>) = taken.iter().partition(|record| record.place.offset < 10);
    let ids = |records: &[&crate::harness::Delivered]| -> Vec<u64> {
        records.iter().map(|record| record.id).collect()
    };
    assert!(reader.ack_committed(&ids(&early)).await);

    sleeper.signal("STOP").await;
    // The group gives the partitions to another member, which works them off.
    let heir = Sidecar::start(settings.with(json!({"log": {"level": "info"}}))).await;
    let worker = Worker::start(heir.socket(), &ledger, Manner::new(25));
    ledger.until_all_accepted().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    topic.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    let before = commits_of(member.cluster, &group).await.len();

    sleeper.signal("CONT").await;
    let refused = reader.ack(&ids(&late)).await;
    let dead: u64 = refused
        .iter()
        .filter(|refusal| refusal.reason() == RefusalReason::Stale)
        .flat_map(|refusal| &refusal.deliveries.as_ref().unwrap().ranges)
        .map(|range| range.last - range.first + 1)
        .sum();
    assert_eq!(dead, 80, "every late acknowledgement is stale: {refused:?}");
    assert_eq!(ledger.stale_count(), 80);

    // The sleeper joins again and both live on; what it believed has not reached the broker. It may have its partition
    // before the next records are read, and this stream, which nobody reads any more, would be given them.
    drop(reader);
    topic.write_numbered(&ledger, 20).await;
    let own = Worker::start(sleeper.socket(), &ledger, Manner::new(26));
    ledger.until_all_accepted().await;
    worker.finish().await;
    own.finish().await;
    heir.stop().await;
    sleeper.stop().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    let commits = commits_of(member.cluster, &group).await;
    ledger.assert_commits_are_earned(&commits);
    assert!(
        commits[before..].iter().all(|commit| commit.offset >= 60),
        "{:?}",
        &commits[before..]
    );
    ledger.assert_sound();
    until("both are gone", async || {
        let text = member
            .cluster
            .tool(&["groups", "--describe", "--members", "--group", &group])
            .await;
        (!text.contains("/127.0.0.1")).then_some(())
    })
    .await;
}
on_every_protocol!(a_member_that_slept_through_its_session_refuses_late_acknowledgements);
