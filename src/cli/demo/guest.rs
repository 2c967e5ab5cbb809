//! A second sidecar, with an application of its own, that joins the group for a while, so that partitions move
//! there and back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Stage;
use super::application::Application;
use super::cluster::{Directory, Member, Members};
use super::ledger::Ledger;
use super::news::{Kind, News};
use super::options::Place;

/// Its name.
const NAME: char = 'B';
/// When it comes first, after the first record arrived. The times avoid those of [`super::faults`], so that
/// one thing can be watched after the other.
const FIRST_AFTER: Duration = Duration::from_millis(8_500);
/// How long it stays.
const STAYS: Duration = Duration::from_millis(6_000);
/// How long until it comes again.
const AGAIN_AFTER: Duration = Duration::from_millis(14_000);
/// Of its application.
const SEED: u64 = 0x0b0b_0b0b;

/// What the guest needs of its host.
pub(super) struct Guest {
    pub(super) brokers: String,
    pub(super) directory: Arc<Directory>,
    pub(super) members: Members,
    pub(super) ledger: Arc<Ledger>,
    pub(super) news: News,
}

impl Guest {
    /// Comes and goes until nothing more is produced.
    pub(super) async fn run(self, mut stage: watch::Receiver<Stage>) -> anyhow::Result<()> {
        tokio::select! {
            () = self.ledger.first_delivery() => {}
            _over = stage.wait_for(|stage| *stage != Stage::Running) => {}
        }
        let mut absence = FIRST_AFTER;
        while still_running(&mut stage, absence).await {
            self.visit(&mut stage).await?;
            absence = AGAIN_AFTER;
        }
        Ok(())
    }

    async fn visit(&self, stage: &mut watch::Receiver<Stage>) -> anyhow::Result<()> {
        let socket = self.directory.socket("guest.sock");
        let member = Member::start(NAME, &self.brokers, &Place::Unix(socket.clone())).await?;
        self.members.add(NAME, member.source());
        self.news.tell(
            Kind::Good,
            "sidecar B joins the group: some partitions move to it",
        );
        let (leave, at) = watch::channel(Stage::Running);
        let application = Application::new(NAME, &socket, &self.ledger, &self.news, SEED);
        let stay = async {
            still_running(stage, STAYS).await;
            self.news.tell(
                Kind::Good,
                "sidecar B leaves: it commits, and its partitions move back",
            );
            leave.send_replace(Stage::Closing);
            Ok(())
        };
        tokio::select! {
            visited = async { tokio::try_join!(application.run(at), stay) } => visited.map(|_| ())?,
            ended = member.ended() => {
                ended?;
                anyhow::bail!("sidecar B ended by itself");
            }
        }
        member.request_end();
        member.ended().await?;
        self.members.remove(NAME);
        Ok(())
    }
}

/// Waits. Answers whether the demonstration still runs then, or at once if not.
async fn still_running(stage: &mut watch::Receiver<Stage>, time: Duration) -> bool {
    let over = stage.wait_for(|stage| *stage != Stage::Running);
    timeout(time, over).await.is_err()
}
