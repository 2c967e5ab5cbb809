//! Clients that name the path of the socket as their host, over a real one.

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::door::Tcp;
use super::fake::{Served, ack, within};
use super::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS,
    frame,
};
use super::raw::Raw;
use crate::grpc::{proto, wire};

const PATH: &str = "/ackline.v1.ConsumerService/Ack";

fn text(text: &str) -> Vec<u8> {
    let mut block = vec![u8::try_from(text.len()).unwrap()];
    block.extend_from_slice(text.as_bytes());
    block
}

/// What grpcio sends first: fields with names that go into the table.
fn first_block(authority: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":authority", authority),
        (":path", PATH),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0x40);
        block.extend(text(name));
        block.extend(text(value));
    }
    block
}

/// And then: the same by their indices in the table.
const LATER_BLOCK: [u8; 6] = [0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62];

/// Reads until that many calls have been answered, and says which.
async fn answered(raw: &mut Raw, calls: usize) -> Vec<u32> {
    let mut answered = Vec::new();
    while answered.len() < calls {
        let (kind, stream, payload) = raw.receive().await.expect("an answer");
        assert!(
            kind != RST_STREAM && kind != GOAWAY,
            "{stream}: {payload:?}"
        );
        if kind == DATA {
            let answer = proto::AckResponse::decode(&payload[wire::PREFIX..]).unwrap();
            assert_eq!(answer, proto::AckResponse::default());
            answered.push(stream);
        }
    }
    answered.sort_unstable();
    answered
}

#[tokio::test]
async fn path_of_the_socket_is_taken_for_a_host() {
    within(async {
        let served = Served::new().await;
        for path in ["run%2Fackline%2Fackline.sock", "/run/ackline/ackline.sock"] {
            let mut raw = Raw::connect(&served.socket).await;
            raw.send(HEADERS, END_HEADERS, 1, &first_block(path))
                .await
                .unwrap();
            // Calls begin while others go on, and their requests come in pieces.
            let streams: Vec<u32> = (1..20).step_by(2).collect();
            for &stream in &streams[1..] {
                raw.send(HEADERS, END_HEADERS, stream, &LATER_BLOCK)
                    .await
                    .unwrap();
                raw.send(DATA, 0, stream - 2, &[0]).await.unwrap();
            }
            raw.send(DATA, 0, 19, &[0]).await.unwrap();
            for &stream in &streams {
                let message = wire::message(&ack(&[u64::from(stream)]));
                raw.send(DATA, END_STREAM, stream, &message[1..])
                    .await
                    .unwrap();
            }
            assert_eq!(answered(&mut raw, streams.len()).await, streams);
        }
        assert_eq!(served.fake.state().settled.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn authority_may_come_in_pieces_with_padding_and_priority() {
    within(async {
        let served = Served::new().await;
        let mut raw = Raw::connect(&served.socket).await;
        let block = first_block("/run/ackline/ackline.sock");
        let (first, rest) = block.split_at(20);
        let payload = [&[3, 0, 0, 0, 0, 15], first, &[0; 3]].concat();
        let mut bytes = frame(HEADERS, 0x28, 1, &payload);
        bytes.extend(frame(CONTINUATION, 0, 1, &[]));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
        bytes.extend(frame(DATA, END_STREAM, 1, &wire::message(&ack(&[1]))));
        for byte in bytes {
            raw.0.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(answered(&mut raw, 1).await, [1]);
    })
    .await;
}

/// The first that the server has to complain about: kind of frame, stream and code.
async fn complaint(mut io: impl AsyncRead + AsyncWrite + Unpin, sent: &[u8]) -> Vec<u8> {
    // The server may hang up before it has read everything.
    let _hung_up = io.write_all(sent).await;
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.expect("a complaint");
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        io.read_exact(&mut payload).await.expect("the whole frame");
        if matches!(kind, RST_STREAM | GOAWAY) {
            return [&head[3..], &payload[..]].concat();
        }
    }
}

/// What HTTP/2 complains about.
fn malformed() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let path = first_block("/run/ackline/ackline.sock");
    let alone = |flags, payload: &[u8]| vec![frame(HEADERS, END_HEADERS | flags, 1, payload)];
    let behind = |begun: &[u8], then: Vec<u8>| vec![frame(HEADERS, 0, 1, begun), then];
    let endless = vec![frame(CONTINUATION, 0, 1, &[]); 7].concat();
    let itself = [&[0, 0, 0, 1, 9], &path[..]].concat();
    vec![
        (
            "goes on with nothing",
            vec![frame(CONTINUATION, END_HEADERS, 1, &path)],
        ),
        ("is interrupted", behind(&path, frame(DATA, 0, 1, &[0]))),
        (
            "goes on elsewhere",
            behind(&path, frame(CONTINUATION, END_HEADERS, 3, &[])),
        ),
        ("has no end", behind(&[], endless)),
        ("has too much padding", alone(8, &[200, 0x41])),
        ("has no padding", alone(8, &[])),
        ("has half a priority", alone(0x20, &[0, 0])),
        ("depends on itself", alone(0x20, &itself)),
        (
            "is of no stream",
            vec![frame(HEADERS, END_HEADERS, 0, &path)],
        ),
        (
            "names no index",
            alone(0, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        ("is cut off", alone(0, &path[..20])),
        ("makes the table too large", alone(0, &[0x3f, 0xe2, 0x1f])),
        ("has no method", alone(0, &path[1..])),
        (
            "has an empty authority",
            alone(0, &[0x81, 0x83, 0x86, 0x84]),
        ),
        ("is too large a frame", alone(0, &[0; (64 << 10) + 1])),
        (
            "opens the window too far",
            vec![frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]); 2],
        ),
    ]
}

/// On TCP nothing stands between the client and HTTP/2.
#[tokio::test]
async fn complaints_about_what_is_malformed_are_those_of_http2() {
    within(async {
        let served = Served::new().await;
        let bare = Tcp::new(None).await;
        for (what, frames) in malformed() {
            let sent = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat();
            let unix = UnixStream::connect(&served.socket).await.unwrap();
            let tcp = TcpStream::connect(bare.address).await.unwrap();
            let wanted = complaint(tcp, &sent).await;
            assert_eq!(complaint(unix, &sent).await, wanted, "{what}");
        }
    })
    .await;
}
