//! HTTP/2 written by hand, for what no client library sends (control C-6).

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{Served, ack, within};
use super::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS,
    frame, headers,
};
use crate::core::StreamId;
use crate::grpc::proto::consume_request::Request;
use crate::grpc::{proto, wire};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection that says exactly what the test wants.
pub(super) struct Raw(pub(super) UnixStream);

impl Raw {
    pub(super) async fn connect(socket: &Path) -> Self {
        let mut raw = Self(UnixStream::connect(socket).await.unwrap());
        raw.0.write_all(PREFACE).await.unwrap();
        raw.send(SETTINGS, 0, 0, &[]).await.unwrap();
        raw
    }

    pub(super) async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload)).await
    }

    /// The next frame: kind, stream, payload. `None` once the connection is closed.
    pub(super) async fn receive(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, u32::from_be_bytes(stream), payload))
    }

    /// Reads on until a frame of that kind, and says its stream and its error code.
    async fn error(&mut self, wanted: u8) -> Option<(u32, u32)> {
        while let Some((kind, stream, payload)) = self.receive().await {
            if kind == wanted {
                let at = if kind == GOAWAY { 4 } else { 0 };
                let code = payload.get(at..)?.first_chunk::<4>()?;
                return Some((stream, u32::from_be_bytes(*code)));
            }
        }
        None
    }
}

const CONSUME: &str = "/ackline.v1.ConsumerService/Consume";

fn open() -> Bytes {
    let request = Some(Request::Open(proto::Open::default()));
    wire::message(&proto::ConsumeRequest {
        request_id: 0,
        request,
    })
}

#[tokio::test]
async fn cancelled_call_is_no_half_close() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        raw.send(HEADERS, END_HEADERS, 1, &headers(CONSUME, &[]))
            .await
            .unwrap();
        raw.send(DATA, 0, 1, &open()).await.unwrap();
        served.fake.until(|state| !state.streams.is_empty()).await;
        raw.send(RST_STREAM, 0, 1, &CANCEL).await.unwrap();
        served
            .fake
            .until(|state| state.closed == [StreamId(0)])
            .await;
        assert_eq!(served.fake.state().closing, []);

        raw.send(HEADERS, END_HEADERS, 3, &headers(CONSUME, &[]))
            .await
            .unwrap();
        raw.send(DATA, END_STREAM, 3, &open()).await.unwrap();
        served
            .fake
            .until(|state| state.closing == [StreamId(1)])
            .await;
    })
    .await;
}

#[tokio::test]
async fn requests_in_pieces_are_put_together() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let path = "/ackline.v1.ConsumerService/Ack";
        raw.send(HEADERS, END_HEADERS, 1, &headers(path, &[]))
            .await
            .unwrap();
        for byte in wire::message(&ack(&[5, 6, 9])) {
            raw.send(DATA, 0, 1, &[byte]).await.unwrap();
        }
        raw.send(DATA, END_STREAM, 1, &[]).await.unwrap();
        while let Some((kind, _, payload)) = raw.receive().await {
            if kind == DATA {
                let answer = proto::AckResponse::decode(&payload[wire::PREFIX..]).unwrap();
                assert_eq!(answer, proto::AckResponse::default());
                break;
            }
        }
        assert_eq!(served.fake.state().settled.len(), 1);

        // Cut off inside of a message: nothing is applied.
        raw.send(HEADERS, END_HEADERS, 3, &headers(path, &[]))
            .await
            .unwrap();
        let message = wire::message(&ack(&[1]));
        raw.send(DATA, END_STREAM, 3, &message[..message.len() - 1])
            .await
            .unwrap();
        while let Some((kind, stream, _)) = raw.receive().await {
            if (kind, stream) == (HEADERS, 3) {
                break;
            }
        }
        assert_eq!(served.fake.state().settled.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn rapid_reset_ends_the_connection() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let block = headers(CONSUME, &[]);
        let mut frames = Vec::new();
        for stream in (1..2001_u32).step_by(2) {
            for (kind, flags, payload) in [
                (HEADERS, END_HEADERS, block.as_slice()),
                (RST_STREAM, 0, CANCEL.as_slice()),
            ] {
                frames.extend(frame(kind, flags, stream, payload));
            }
        }
        // The server may hang up before it has read everything.
        let _hung_up = raw.0.write_all(&frames).await;
        let (_, code) = raw.error(GOAWAY).await.expect("a GOAWAY");
        assert_eq!(code, ENHANCE_YOUR_CALM);
        served
            .client()
            .await
            .ack(ack(&[1]))
            .await
            .expect("others are not concerned");
    })
    .await;
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        raw.send(HEADERS, 0, 1, &headers(CONSUME, &[]))
            .await
            .unwrap();
        let filler = headers(CONSUME, &[("x", &"y".repeat(10_000))]);
        while raw.send(CONTINUATION, 0, 1, &filler).await.is_ok() {}
        served
            .client()
            .await
            .ack(ack(&[1]))
            .await
            .expect("others are not concerned");
    })
    .await;
}

#[tokio::test]
async fn headers_above_the_limit_are_refused() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let large = "y".repeat(15 << 10);
        raw.send(HEADERS, END_HEADERS, 1, &headers(CONSUME, &[("x", &large)]))
            .await
            .unwrap();
        raw.send(DATA, 0, 1, &open()).await.unwrap();
        served.fake.until(|state| !state.streams.is_empty()).await;
        let large = "y".repeat(17 << 10);
        raw.send(HEADERS, END_HEADERS, 3, &headers(CONSUME, &[("x", &large)]))
            .await
            .unwrap();
        while let Some((kind, stream, _)) = raw.receive().await {
            if stream == 3 {
                assert!(matches!(kind, HEADERS | RST_STREAM), "{kind}");
                break;
            }
        }
        assert_eq!(served.fake.state().opened.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn calls_at_one_time_have_a_limit() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        // The server's settings must be known before they bind.
        while raw.receive().await.expect("settings").0 != SETTINGS {}
        raw.send(SETTINGS, 1, 0, &[]).await.unwrap();
        let path = "/ackline.v1.ConsumerService/Ack";
        for call in 0..=1024_u32 {
            raw.send(HEADERS, END_HEADERS, call * 2 + 1, &headers(path, &[]))
                .await
                .unwrap();
        }
        assert_eq!(raw.error(RST_STREAM).await, Some((2049, REFUSED_STREAM)));
    })
    .await;
}

#[tokio::test]
async fn unopened_consume_calls_of_a_connection_have_a_limit() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let limit = u32::try_from(crate::grpc::connection::UNOPENED_MAX).unwrap();
        for call in 0..=limit {
            raw.send(HEADERS, END_HEADERS, call * 2 + 1, &headers(CONSUME, &[]))
                .await
                .unwrap();
        }
        // Trailers only, with the status: everyone else gets headers and waits.
        while let Some((kind, stream, payload)) = raw.receive().await {
            if (kind, stream) == (HEADERS, limit * 2 + 1) {
                let text = String::from_utf8_lossy(&payload).into_owned();
                assert!(payload.len() > 100, "{text}");
                break;
            }
        }
        raw.send(RST_STREAM, 0, 1, &CANCEL).await.unwrap();
        raw.send(HEADERS, END_HEADERS, 9999, &headers(CONSUME, &[]))
            .await
            .unwrap();
        raw.send(DATA, 0, 9999, &open()).await.unwrap();
        served.fake.until(|state| !state.streams.is_empty()).await;
    })
    .await;
}

/// Half-sent requests cost no more together than one of the largest.
#[tokio::test]
async fn bytes_of_unfinished_requests_have_a_limit() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let path = "/ackline.v1.ConsumerService/Ack";
        let len = u32::try_from(crate::grpc::request::MESSAGE_MAX)
            .unwrap()
            .to_be_bytes();
        let mut start = vec![0];
        start.extend_from_slice(&len);
        start.resize(48 << 10, 0);
        let enough = u32::try_from(crate::grpc::request::BUFFER_MAX / start.len()).unwrap() + 1;
        // Each call sends what fits into its window at the start, and no more.
        let mut refused = 0;
        for call in 0..enough {
            raw.send(HEADERS, END_HEADERS, call * 2 + 1, &headers(path, &[]))
                .await
                .unwrap();
            raw.send(DATA, 0, call * 2 + 1, &start).await.unwrap();
            // Window updates tell that what was sent has been read.
            loop {
                let (kind, stream, _) = raw.receive().await.unwrap();
                if kind == HEADERS {
                    refused += 1;
                    break;
                }
                if kind == 8 && stream == call * 2 + 1 {
                    break;
                }
            }
        }
        assert_eq!(refused, 1, "the call that passes the limit");
        served
            .client()
            .await
            .ack(ack(&[1]))
            .await
            .expect("others are not concerned");
    })
    .await;
}
