//! HTTP/2 written by hand, for what no client library sends.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_HEADERS: u8 = 4;

/// Opens a connection whose frames are written by hand. `settings` is the payload of its first SETTINGS.
pub(crate) async fn open_raw(socket: &Path, settings: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend(frame(SETTINGS, 0, 0, settings));
    stream.write_all(&hello).await.unwrap();
    stream
}

/// The bytes of one frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of a gRPC call, without compression.
pub(crate) fn call(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Sends the same bytes again and again, until that often or until nobody takes them any more.
pub(crate) async fn flood(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8], times: usize) {
    let many = bytes.repeat(256);
    for _ in 0..times.div_ceil(256) {
        if stream.write_all(&many).await.is_err() {
            return;
        }
    }
}

/// Reads and forgets, until the other side hangs up, and counts the bytes.
pub(crate) async fn drain(mut stream: OwnedReadHalf, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
    {
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}
