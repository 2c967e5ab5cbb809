//! Members that join, leave and die while applications acknowledge out of order.

use tokio_util::sync::CancellationToken;

use crate::harness::{
    Ledger, Manner, Member, Settings, Sidecar, Topic, Worker, now_ms, on_every_protocol, unique,
    until,
};

use super::assert_worked_off;

/// A sidecar and the application beside it.
struct Pod {
    sidecar: Sidecar,
    worker: Worker,
}

impl Pod {
    /// Starts both and waits until records arrive there.
    async fn start(settings: &Settings, ledger: &Ledger, seed: u64) -> Self {
        let members = ledger.members().len();
        let sidecar = Sidecar::start(settings.clone()).await;
        let worker = Worker::start(sidecar.socket(), ledger, Manner::new(seed));
        until("the new member receives records", async || {
            (ledger.members().len() > members).then_some(())
        })
        .await;
        Self { sidecar, worker }
    }

    /// The application ends first, as Kubernetes does it.
    async fn stop(self) {
        self.worker.finish().await;
        self.sidecar.stop().await;
    }
}

// R8 B10 B11 B14 B43 B47
async fn members_come_and_go_without_loss_or_needless_repeats(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 6).await;
    let settings = member.settings(&group, &topic);
    let written = CancellationToken::new();
    let scenario = async {
        let first = Pod::start(&settings, &ledger, 6).await;
        let second = Pod::start(&settings, &ledger, 7).await;
        let third = Pod::start(&settings, &ledger, 8).await;
        second.stop().await;
        ledger.until_accepted(ledger.accepted_count() + 500).await;
        // Partitions moved four times, but nobody died: what was accepted must not come again.
        ledger.assert_nothing_repeated();
        let crash_ms = now_ms();
        third.sidecar.kill().await;
        written.cancel();
        (first, third.worker, crash_ms)
    };
    let (_, (first, orphan, crash_ms)) =
        tokio::join!(topic.write_until(&ledger, &written), scenario);
    ledger.until_all_accepted().await;
    orphan.finish().await;
    first.stop().await;
    assert_eq!(ledger.members().len(), 3);
    let commits = assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    // Each of the moves may have withdrawn what was in flight at three members.
    ledger.assert_repeats_are_bounded(&commits, &[crash_ms], 5 * 3 * 200);
}
on_every_protocol!(members_come_and_go_without_loss_or_needless_repeats);

/// Who ends says goodbye, every time: the group would wait a whole session for one that went without a word.
async fn a_member_that_ends_is_not_waited_for(member: Member) {
    let ledger = Ledger::default();
    let topic = Topic::create(member.cluster, 2).await;
    let group = unique("group");
    for seed in 0..8 {
        topic.write_numbered(&ledger, 10).await;
        let pod = Pod::start(&member.settings(&group, &topic), &ledger, 60 + seed).await;
        ledger.until_all_accepted().await;
        pod.stop().await;
        let members = member
            .cluster
            .tool(&["groups", "--describe", "--members", "--group", &group])
            .await;
        assert!(
            !members.contains(&topic.name) && !members.contains("ackline-"),
            "{members}"
        );
    }
}
on_every_protocol!(a_member_that_ends_is_not_waited_for);
