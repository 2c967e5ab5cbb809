use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::sync::DropGuard;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::core::{
    AsideStep, Assignment, Cause, DeliveryId, Head, LogRange, Obstacle, ParkedAction, ParkedStatus,
    PartitionStatus, StreamId, TopicIndex, WhichParked,
};
use crate::grpc::admin_proto::{self as proto, admin_service_client::AdminServiceClient};

mod parked;
mod tail;

/// A process that writes down what it is asked, and answers as the test says.
struct Fake {
    topics: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: View,
    explanations: Vec<Explanation>,
    in_flight: Vec<InFlight>,
    operations: Vec<(Operation, Operator)>,
    sought: Option<Result<Sought, SeekRefused>>,
    seeks: Vec<(PartitionId, SeekTarget, Operator)>,
    parked: Vec<ParkedStatus>,
    acts: Vec<(WhichParked, ParkedAction, String)>,
    tails: Vec<(Wanted, String)>,
    taps: Taps,
}

impl Fake {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Operated for Fake {
    fn topics(&self) -> Arc<[String]> {
        self.topics.as_slice().into()
    }

    fn view(&self) -> View {
        self.state.lock().unwrap().view.clone()
    }

    fn explain(&self, _: Scope) -> Vec<Explanation> {
        self.state.lock().unwrap().explanations.clone()
    }

    fn in_flight(&self, _: Scope, max: usize) -> Vec<InFlight> {
        let all = &self.state.lock().unwrap().in_flight;
        all.iter().take(max).cloned().collect()
    }

    fn parked(&self, _: Scope, max: usize) -> Vec<ParkedStatus> {
        let all = &self.state.lock().unwrap().parked;
        all.iter().take(max).cloned().collect()
    }

    fn has_dead_letters(&self, which: WhichParked) -> bool {
        which != WhichParked::Of(Scope::Topic(TopicIndex(1)))
    }

    fn act_on_parked(&self, which: WhichParked, action: ParkedAction, by: &Operator) -> Acted {
        let mut state = self.state.lock().unwrap();
        state.acts.push((which, action, by.reason.clone()));
        Acted {
            records: state.parked.len(),
            on_their_way: 2,
            without_topic: 3,
        }
    }

    fn tail(&self, wanted: Wanted, by: &Operator) -> Result<Tail, TooManyTails> {
        let mut state = self.state();
        state.tails.push((wanted.clone(), by.reason.clone()));
        state.taps.open(wanted)
    }

    fn may_pause(&self, scope: Scope) -> bool {
        scope != Scope::Topic(TopicIndex(1))
    }

    fn operate(&self, operation: Operation, by: &Operator) {
        let mut state = self.state.lock().unwrap();
        if let Operation::Drain { .. } = operation {
            state.view.status.drain = Some(crate::core::DrainStatus {
                since: Moment(0),
                done: false,
                undone: crate::core::Drained::Whole,
            });
        }
        state.operations.push((operation, by.clone()));
    }

    fn seek(
        &self,
        partition: PartitionId,
        target: SeekTarget,
        by: &Operator,
    ) -> oneshot::Receiver<Result<Sought, SeekRefused>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        state.seeks.push((partition, target, by.clone()));
        if let Some(answer) = state.sought.clone() {
            let _ = sender.send(answer);
        }
        receiver
    }

    fn report(&self, _: Event) {}
}

struct Served {
    fake: Arc<Fake>,
    socket: PathBuf,
    client: AdminServiceClient<Channel>,
    _directory: tempfile::TempDir,
    _stop: DropGuard,
}

impl Served {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let fake = Arc::new(Fake {
            topics: vec!["orders".to_owned(), "refunds".to_owned()],
            state: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let server = AdminServer::bind(&socket).unwrap();
        let serving = server.serve(Arc::clone(&fake), stop.clone());
        #[allow(clippy::disallowed_methods)] // the test is the supervisor
        tokio::spawn(async move { serving.await.unwrap() });
        let client = client(socket.clone()).await;
        Self {
            fake,
            socket,
            client,
            _directory: directory,
            _stop: stop.drop_guard(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.fake.state()
    }
}

async fn client(socket: PathBuf) -> AdminServiceClient<Channel> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    AdminServiceClient::new(channel)
}

fn scope(topic: &str, partition: Option<i32>) -> Option<proto::Scope> {
    Some(proto::Scope {
        topic: topic.to_owned(),
        partition,
    })
}

fn orders(partition: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition,
    }
}

fn status() -> PartitionStatus {
    PartitionStatus {
        aside: 0,
        partition: orders(3),
        assignment: Assignment(7),
        watermark: Some(120),
        frontier: Some(130),
        committed: Some(120),
        end: Some(500),
        unfinished: 2,
        waiting: 1,
        live: 1,
        waiting_bytes: 10,
        watermark_since: Moment(0),
        blocked: None,
    }
}

/// Control C-1.
#[tokio::test]
async fn the_admin_socket_is_open_to_its_owner_alone() {
    let served = Served::new().await;
    let file = std::fs::metadata(&served.socket).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_status_tells_of_partitions_and_what_is_paused() {
    let mut served = Served::new().await;
    {
        let mut state = served.state();
        state.view.group = "orders-svc".to_owned();
        state.view.now = Moment(5_000_000_000);
        state.view.status.partitions = vec![status()];
        let pause = Pause {
            since: Moment(2_000_000_000),
            reason: "deploy".to_owned(),
        };
        state.view.pauses = vec![(Scope::Topic(TopicIndex(0)), pause)];
    }
    let answer = served.client.status(proto::StatusRequest {}).await.unwrap();
    let status = answer.into_inner().status.unwrap();
    assert_eq!(status.group, "orders-svc");
    let partition = &status.partitions[0];
    assert_eq!(
        (partition.topic.as_str(), partition.partition),
        ("orders", 3)
    );
    assert_eq!((partition.lag, partition.committed), (Some(380), Some(120)));
    assert_eq!(partition.stands_for.as_ref().unwrap().seconds, 5);
    assert_eq!(status.pauses[0].reason, "deploy");
    assert_eq!(status.pauses[0].age.as_ref().unwrap().seconds, 3);
}

#[tokio::test]
async fn a_watch_goes_on_until_its_process_ends() {
    let mut served = Served::new().await;
    let interval = prost_types::Duration::try_from(Duration::from_millis(100)).ok();
    let request = proto::WatchStatusRequest { interval };
    let mut statuses = served
        .client
        .watch_status(request)
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        assert!(statuses.message().await.unwrap().is_some());
    }
    drop(served._stop);
    while let Ok(Some(_)) = statuses.message().await {}
}

#[tokio::test]
async fn an_explanation_names_the_record_its_holder_and_what_helps() {
    let mut served = Served::new().await;
    let head = Head {
        offset: 120,
        key_hash: Some(0xabc),
        failures: 2,
    };
    let delivery = InFlight {
        partition: orders(3),
        assignment: Assignment(7),
        offset: 120,
        id: DeliveryId(1),
        attempt: 3,
        stream: StreamId(4),
        client: "worker".to_owned(),
        since: Moment(0),
    };
    {
        let mut state = served.state();
        state.view.now = Moment(90_000_000_000);
        state.view.status.joined = true;
        state.view.status.partitions = vec![status()];
        state.explanations = vec![Explanation {
            status: status(),
            causes: vec![Obstacle::Held { head, delivery }],
            stuck: true,
        }];
    }
    let request = proto::ExplainRequest {
        scope: scope("orders", Some(3)),
    };
    let answer = served.client.explain(request).await.unwrap().into_inner();
    assert!(answer.stuck);
    let cause = &answer.explanations[0].causes[0];
    assert_eq!(cause.kind, "held");
    assert_eq!(
        cause.text,
        "offset 120 (key hash 0000000000000abc) is held unsettled by stream 4 of client worker for 90 s (3rd attempt)"
    );
    assert!(cause.remedy.contains("ackline inflight orders/3"));
    assert_eq!((cause.stream, cause.failures), (Some(4), 2));
}

#[tokio::test]
async fn a_pause_is_asked_for_with_who_and_why() {
    let mut served = Served::new().await;
    let request = proto::PauseRequest {
        scope: scope("orders", Some(3)),
        reason: " deploy\nnow ".to_owned(),
    };
    served.client.pause(request).await.unwrap();
    let (operation, by) = served.state().operations[0].clone();
    let expected = Operation::Pause {
        scope: Scope::Partition(orders(3)),
        reason: "deploy now".to_owned(),
    };
    assert_eq!(operation, expected);
    assert!(by.uid.is_some() && by.pid.is_some(), "{by:?}");
    assert_eq!(by.reason, "deploy now", "no line of its own in the log");
}

#[tokio::test]
async fn nothing_is_changed_without_a_reason_or_a_known_topic() {
    let mut served = Served::new().await;
    let reason = String::new();
    let pause = proto::PauseRequest {
        scope: None,
        reason,
    };
    let refused = served.client.pause(pause).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("reason is required"));
    let resume = proto::ResumeRequest {
        scope: scope("nonsense", None),
        reason: "why".to_owned(),
    };
    let refused = served.client.resume(resume).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(refused.message().contains("orders, refunds"), "{refused:?}");
    let pause = proto::PauseRequest {
        scope: scope("refunds", None),
        reason: "why".to_owned(),
    };
    let refused = served.client.pause(pause).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(served.state().operations.is_empty());
}

#[tokio::test]
async fn a_seek_waits_for_its_answer() {
    let mut served = Served::new().await;
    let range = LogRange {
        earliest: 10,
        latest: 50,
    };
    served.state().sought = Some(Ok(Sought {
        partition: orders(3),
        assignment: Assignment(8),
        from: Some(20),
        to: 10,
        clamped: true,
        range,
    }));
    let request = |target| proto::SeekRequest {
        topic: "orders".to_owned(),
        partition: Some(3),
        reason: "why".to_owned(),
        target,
    };
    use proto::seek_request::Target;
    let answer = served.client.seek(request(Some(Target::Offset(3)))).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(
        (answer.from, answer.to, answer.clamped),
        (Some(20), 10, true)
    );
    let at = prost_types::Timestamp {
        seconds: 1_700_000_000,
        nanos: 5_000_000,
    };
    let answer = served
        .client
        .seek(request(Some(Target::Timestamp(at))))
        .await;
    answer.unwrap();
    let targets: Vec<SeekTarget> = served.state().seeks.iter().map(|seek| seek.1).collect();
    let expected = [
        SeekTarget::Offset(3),
        SeekTarget::Timestamp(1_700_000_000_005),
    ];
    assert_eq!(targets, expected);
    for target in [None, Some(Target::Offset(-1)), Some(Target::End(0))] {
        let refused = served.client.seek(request(target)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    served.state().sought = Some(Err(SeekRefused::NotOurs));
    let refused = served.client.seek(request(Some(Target::Offset(3)))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("ackline status"), "{refused:?}");
}

#[tokio::test]
async fn a_drain_is_waited_for_only_if_asked() {
    let mut served = Served::new().await;
    let request = |wait: Option<Duration>| proto::DrainRequest {
        reason: "preStop".to_owned(),
        wait: wait.and_then(|wait| prost_types::Duration::try_from(wait).ok()),
    };
    let answer = served.client.drain(request(None)).await.unwrap();
    assert_eq!(answer.get_ref().state(), proto::DrainState::Draining);
    let answer = served
        .client
        .drain(request(Some(Duration::from_millis(120))))
        .await;
    let answer = answer.unwrap();
    assert_eq!(
        answer.get_ref().state(),
        proto::DrainState::Draining,
        "in vain"
    );
    let fake = Arc::clone(&served.fake);
    let answer = served.client.drain(request(Some(Duration::from_secs(60))));
    let ends = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        if let Some(drain) = &mut fake.state.lock().unwrap().view.status.drain {
            drain.done = true;
        }
    };
    let (answer, ()) = tokio::join!(answer, ends);
    assert_eq!(
        answer.unwrap().get_ref().state(),
        proto::DrainState::Drained
    );
}
