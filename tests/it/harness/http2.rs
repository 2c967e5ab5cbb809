//! HTTP/2 written by hand, for what no client library sends.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

#[path = "../../../src/grpc/tests/http2.rs"]
mod frames;

pub(crate) use frames::{DATA, END_HEADERS, HEADERS, PREFACE, SETTINGS, frame, headers};

pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;

/// Opens a connection whose frames are written by hand. `settings` is the payload of its first SETTINGS.
pub(crate) async fn open_raw(socket: &Path, settings: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, settings));
    stream.write_all(&hello).await.unwrap();
    stream
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
