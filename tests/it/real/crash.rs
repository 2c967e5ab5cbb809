//! The sidecar dies without a chance to say goodbye.

use tokio_util::sync::CancellationToken;

use crate::harness::{
    Ledger, Manner, Member, Sidecar, Topic, Worker, now_ms, on_every_protocol, unique,
};

use super::assert_worked_off;

// R23 B41
async fn a_killed_sidecar_loses_nothing_and_repeats_little(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 6).await;
    let settings = member.settings(&group, &topic);
    let sidecar = Sidecar::start(settings.clone()).await;
    let manner = Manner::new(5);
    let worker = Worker::start(sidecar.socket(), &ledger, manner);
    let written = CancellationToken::new();
    let scenario = async {
        ledger.until_accepted(1000).await;
        let crash_ms = now_ms();
        let directory = sidecar.kill().await;
        let sidecar = Sidecar::start_in(directory, settings).await;
        ledger.until_accepted(ledger.accepted_count() + 200).await;
        written.cancel();
        (sidecar, crash_ms)
    };
    let (_, (sidecar, crash_ms)) = tokio::join!(topic.write_until(&ledger, &written), scenario);
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    let commits = assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    let in_flight = usize::try_from(manner.in_flight).unwrap();
    ledger.assert_repeats_are_bounded(&commits, &[crash_ms], in_flight);
}
on_every_protocol!(a_killed_sidecar_loses_nothing_and_repeats_little);
