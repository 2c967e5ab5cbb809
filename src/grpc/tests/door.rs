//! Who may come in: users, tokens, numbers of connections, and the socket's file.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::fake::{Fake, Served, ack, assert_ends, channel, serve, within};
use crate::core::Positions;
use crate::grpc::listener::CONNECTIONS_MAX;
use crate::grpc::proto::consumer_service_client::ConsumerServiceClient;
use crate::grpc::server::{Listen, ListenTcp, ListenUnix};
use crate::grpc::{Error, Event, Origin, Server, proto};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789a";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98765";

fn own_uid(socket: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(socket).unwrap())
}

/// Control C-1.
#[tokio::test]
async fn user_who_is_not_listed_gets_nothing() {
    within(async {
        let served = Served::for_users(vec![u32::MAX - 1]).await;
        let mut client = served.client().await;
        let status = client
            .stream(proto::StreamRequest::default())
            .await
            .unwrap_err();
        assert_ends(&status, Code::Unauthenticated, "WRONG_USER");
        let status = client.ack(ack(&[1])).await.unwrap_err();
        assert_ends(&status, Code::Unauthenticated, "WRONG_USER");
        let state = served.fake.state();
        assert!(state.opened.is_empty() && state.settled.is_empty());
        assert!(matches!(state.events[0], Event::Unauthenticated(_)));
    })
    .await;
}

#[tokio::test]
async fn user_who_is_listed_comes_in() {
    within(async {
        let directory = tempfile::tempdir().unwrap();
        let uid = own_uid(directory.path());
        let served = Served::for_users(vec![u32::MAX - 1, uid]).await;
        served.client().await.ack(ack(&[1])).await.unwrap();
    })
    .await;
}

/// Strangers have few places, and none of those of the others.
#[tokio::test]
async fn users_who_are_not_listed_take_no_place_from_others() {
    within(async {
        let served = Served::for_users(vec![u32::MAX - 1]).await;
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(channel(&served.socket).await.unwrap());
        }
        let mut refused = UnixStream::connect(&served.socket).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
}

pub(super) struct Tcp {
    fake: Arc<Fake>,
    pub(super) address: SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

impl Tcp {
    pub(super) async fn new(token_file: Option<&Path>) -> Self {
        // The port is free at this moment; nobody else binds on this address of loopback.
        let address = {
            let probe = std::net::TcpListener::bind("127.71.3.9:0").unwrap();
            probe.local_addr().unwrap()
        };
        let tcp = Some(ListenTcp {
            address,
            token_file: token_file.map(Into::into),
        });
        let fake = Fake::new(Positions::Store, false);
        let (_, stop) = serve(Listen { unix: None, tcp }, &fake).await;
        Self {
            fake,
            address,
            _stop: stop,
        }
    }

    async fn ack(&self, authorization: Option<&str>) -> Result<(), tonic::Status> {
        let uri = format!("http://{}", self.address);
        let mut client = ConsumerServiceClient::connect(uri).await.unwrap();
        let mut request = Request::new(ack(&[1]));
        if let Some(authorization) = authorization {
            let value = MetadataValue::try_from(authorization).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        client.ack(request).await.map(|_| ())
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Control C-1.
#[tokio::test]
async fn call_over_tcp_needs_the_token() {
    within(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let tcp = Tcp::new(Some(&file)).await;
        let cases = [
            (None, "NO_TOKEN"),
            (Some(TOKEN.to_owned()), "NO_TOKEN"),
            (Some("Bearer ".to_owned()), "WRONG_TOKEN"),
            (Some(bearer(OTHER)), "WRONG_TOKEN"),
            (Some(bearer(&TOKEN[1..])), "WRONG_TOKEN"),
            (Some(format!("{}0", bearer(TOKEN))), "WRONG_TOKEN"),
        ];
        for (authorization, reason) in cases {
            let status = tcp.ack(authorization.as_deref()).await.unwrap_err();
            assert_ends(&status, Code::Unauthenticated, reason);
        }
        assert!(tcp.fake.state().settled.is_empty());
        tcp.ack(Some(&bearer(TOKEN))).await.unwrap();
        tcp.ack(Some(&format!("bearer {TOKEN}"))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn changed_token_file_is_read_again() {
    within(async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, TOKEN).unwrap();
        let tcp = Tcp::new(Some(&file)).await;
        std::fs::write(&file, "too short").unwrap();
        tcp.fake.advance(Duration::from_secs(1));
        tcp.ack(Some(&bearer(TOKEN)))
            .await
            .expect("the token before stays in force");
        assert!(matches!(
            tcp.fake.state().events.pop(),
            Some(Event::TokenUnusable(_))
        ));

        std::fs::write(&file, OTHER).unwrap();
        tcp.fake.advance(Duration::from_secs(1));
        tcp.ack(Some(&bearer(OTHER))).await.unwrap();
        assert!(matches!(
            tcp.fake.state().events.pop(),
            Some(Event::TokenReloaded)
        ));
        assert!(tcp.ack(Some(&bearer(TOKEN))).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn tcp_without_a_token_takes_everybody() {
    within(async { Tcp::new(None).await.ack(None).await.unwrap() }).await;
}

/// Without a token nobody holds one of the places for long. The clock runs ahead whenever all wait.
#[tokio::test(start_paused = true)]
async fn idle_tcp_connection_is_closed_until_it_made_a_call() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let tcp = Tcp::new(Some(&file)).await;
    let started = tokio::time::Instant::now();
    let mut idle = tokio::net::TcpStream::connect(tcp.address).await.unwrap();
    while idle.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    assert!(started.elapsed() >= Duration::from_secs(30));
}

#[tokio::test]
async fn weak_token_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let weak = [
        String::new(),
        "a".repeat(42),
        "a".repeat(5000),
        format!("{TOKEN} {TOKEN}"),
    ];
    for content in weak {
        std::fs::write(&file, content).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let tcp = Some(ListenTcp {
            address,
            token_file: Some(file.clone()),
        });
        let error = Server::bind(Listen { unix: None, tcp }).await.unwrap_err();
        assert!(matches!(error, Error::Token(_)));
        assert!(error.to_string().contains("openssl rand"), "{error}");
    }
}

#[tokio::test]
async fn socket_is_open_to_all_users_and_goes_with_the_server() {
    within(async {
        let served = Served::new().await;
        let mode = std::fs::metadata(&served.socket)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o666);
        served.client().await.ack(ack(&[1])).await.unwrap();
        drop(served.stop);
        served.server.await.unwrap().unwrap();
        assert!(!served.socket.exists());
    })
    .await;
}

async fn bind_unix(path: &Path) -> Result<Server, Error> {
    let unix = Some(ListenUnix {
        path: path.to_owned(),
        uids: Vec::new(),
    });
    Server::bind(Listen { unix, tcp: None }).await
}

#[tokio::test]
async fn left_behind_socket_is_replaced_and_anything_else_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let server = bind_unix(&path).await.unwrap();
    assert!(matches!(
        bind_unix(&path).await,
        Err(Error::SocketInUse { .. })
    ));
    assert!(path.exists(), "the living one stays");
    drop(server);
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        bind_unix(&path).await,
        Err(Error::NotASocket { .. })
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let missing = directory.path().join("missing/ackline.sock");
    let error = bind_unix(&missing).await.unwrap_err();
    let said = error.to_string();
    let expected = ["could not listen on", "create its directory"];
    assert!(expected.iter().all(|part| said.contains(part)), "{said}");
}

/// Control C-6.
#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    within(async {
        let served = Served::new().await;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            connections.push(UnixStream::connect(&served.socket).await.unwrap());
        }
        let mut refused = UnixStream::connect(&served.socket).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
        let too_many =
            |event: &Event| matches!(event, Event::TooManyConnections(Origin::Unix { .. }));
        served
            .fake
            .until(|state| state.events.iter().any(too_many))
            .await;
        connections.pop();
        // The place is free once the server noticed; a connection that is refused is tried again.
        while channel(&served.socket).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn health_is_told_and_nothing_else_is_there() {
    within(async {
        let served = Served::new().await;
        let channel = channel(&served.socket).await.unwrap();
        let mut health = HealthClient::new(channel.clone());
        for service in ["", "ackline.v1.ConsumerService"] {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let answer = health.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving);
        }
        // Control C-3: no reflection.
        for path in [
            "/ackline.v1.ConsumerService/Nope",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            let mut grpc = tonic::client::Grpc::new(channel.clone());
            grpc.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<proto::AckRequest, proto::AckResponse>::default();
            let path = http::uri::PathAndQuery::from_static(path);
            let status = grpc
                .unary(Request::new(ack(&[])), path, codec)
                .await
                .unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
        }
    })
    .await;
}

/// Control C-13.
#[tokio::test]
async fn the_operators_service_is_not_where_applications_connect() {
    within(async {
        let served = Served::new().await;
        let tcp = Tcp::new(None).await;
        let over_tcp = tonic::transport::Endpoint::from_shared(format!("http://{}", tcp.address))
            .unwrap()
            .connect()
            .await
            .unwrap();
        for channel in [channel(&served.socket).await.unwrap(), over_tcp] {
            for path in [
                "/ackline.v1.AdminService/Status",
                "/ackline.v1.AdminService/WatchStatus",
                "/ackline.v1.AdminService/Explain",
                "/ackline.v1.AdminService/ListInFlight",
                "/ackline.v1.AdminService/Pause",
                "/ackline.v1.AdminService/Resume",
                "/ackline.v1.AdminService/Seek",
                "/ackline.v1.AdminService/Drain",
            ] {
                let mut grpc = tonic::client::Grpc::new(channel.clone());
                grpc.ready().await.unwrap();
                let codec =
                    tonic_prost::ProstCodec::<proto::AckRequest, proto::AckResponse>::default();
                let path = http::uri::PathAndQuery::from_static(path);
                let answer = grpc.unary(Request::new(ack(&[])), path, codec).await;
                assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
            }
        }
    })
    .await;
}
