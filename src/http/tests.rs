use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;

struct Fixed {
    live: Result<(), String>,
    ready: Result<(), String>,
}

impl Health for Fixed {
    fn live(&self) -> Result<(), String> {
        self.live.clone()
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.clone()
    }

    fn metrics(&self) -> String {
        "ackline_streams 1\n# EOF\n".to_owned()
    }
}

fn healthy() -> Fixed {
    Fixed {
        live: Ok(()),
        ready: Ok(()),
    }
}

/// Runs `act` against a server on a free port.
async fn with_server<F: Future<Output = ()>>(health: Fixed, act: impl FnOnce(SocketAddr) -> F) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    server.serve(Arc::new(health), act(address)).await;
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses may reset what it did not read.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: any\r\n\r\n"),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

#[tokio::test]
async fn a_healthy_process_answers_200_everywhere() {
    with_server(healthy(), |address| async move {
        for path in ["/startupz", "/livez", "/readyz"] {
            assert_eq!(
                fetch(address, path).await,
                (200, "ok\n".to_owned()),
                "{path}"
            );
        }
        let (status, body) = fetch(address, "/metrics").await;
        assert_eq!((status, body.ends_with("# EOF\n")), (200, true));
        assert_eq!(fetch(address, "/").await.0, 404);
        assert_eq!(fetch(address, "/metrics/../livez").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn the_body_names_the_reason_and_startup_needs_no_kafka() {
    let health = Fixed {
        live: Err("nothing was popped for 31s".to_owned()),
        ready: Err("not allowed to read topic orders".to_owned()),
    };
    with_server(health, |address| async move {
        let (status, body) = fetch(address, "/livez").await;
        assert_eq!(
            (status, body.as_str()),
            (503, "nothing was popped for 31s\n")
        );
        let (status, body) = fetch(address, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (503, "not allowed to read topic orders\n")
        );
        assert_eq!(fetch(address, "/startupz").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn only_reading_is_answered() {
    with_server(healthy(), |address| async move {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let request =
                format!("{method} /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            let answer = exchange(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        }
        let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"));
    })
    .await;
}

#[tokio::test]
async fn oversized_and_broken_requests_are_refused() {
    with_server(healthy(), |address| async move {
        let long = "x".repeat(20_000);
        let many: String = (0..100).map(|index| format!("a{index}: b\r\n")).collect();
        for request in [
            format!("GET /livez HTTP/1.1\r\nHost: a\r\nlong: {long}\r\n\r\n"),
            format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "nonsense\r\n\r\n".to_owned(),
        ] {
            let answer = exchange(address, &request).await;
            assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert_eq!(fetch(address, "/livez").await.0, 200);
    })
    .await;
}

/// Clients that say nothing hold their places for as long as headers may take, and no longer.
#[tokio::test]
async fn silent_clients_cannot_keep_others_out() {
    with_server(healthy(), |address| async move {
        let start = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(fetch(address, "/livez").await.0, 200);
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(8), "{waited:?}");
    })
    .await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Server::bind(first.address()).await.unwrap_err();
    assert!(
        error.to_string().contains(&first.address().to_string()),
        "{error}"
    );
}
