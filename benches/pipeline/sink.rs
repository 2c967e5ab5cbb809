//! The application at the other end: reads a stream as fast as it can, looks at every record's id and offset, and
//! acknowledges everything, a message at a time, inside the stream.
//!
//! It speaks HTTP/2 and reads only as much of each record as it needs, straight from the frames: client and
//! sidecar share two cores, and it is the sidecar that is measured. What a generated client costs is another
//! question.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::SendStream;
use serde_json::json;
use tokio::net::UnixStream;

use super::load::{PARTITIONS, now_ns};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    socket: PathBuf,
    /// Records to read
    #[arg(long)]
    count: u64,
    /// Records in flight to ask for; the server's default if absent
    #[arg(long)]
    in_flight: Option<u32>,
    /// Fail unless offsets of each partition rise
    #[arg(long)]
    ordered: bool,
    /// Note how old each record is
    #[arg(long)]
    latency: bool,
}

/// Says `ready` once the stream is open, and at the end prints what was read, as JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(read(arguments))
}

async fn read(arguments: &Arguments) -> anyhow::Result<()> {
    let socket = UnixStream::connect(&arguments.socket).await?;
    let (mut client, connection) = h2::client::Builder::new()
        .initial_window_size(8 << 20)
        .initial_connection_window_size(32 << 20)
        .max_frame_size(64 << 10)
        .handshake::<_, Bytes>(socket)
        .await?;
    tokio::spawn(connection);
    let request = http::Request::post("http://localhost/ackline.v1.ConsumerService/Consume")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut requests) = client.send_request(request, false)?;
    requests.send_data(open(arguments.in_flight), false)?;
    let mut body = response.await?.into_body();
    let mut scan = Scan::new(arguments);
    let mut told = false;
    while scan.records < arguments.count {
        let chunk = body.data().await.context("the stream ended early")??;
        body.flow_control().release_capacity(chunk.len())?;
        scan.feed(&chunk)?;
        scan.acknowledge(&mut requests)?;
        if !told {
            told = true;
            println!("ready");
            std::io::stdout().flush()?;
        }
    }
    let last = Instant::now();
    // Half-close: what was sent is applied and committed before the stream ends.
    requests.send_data(Bytes::new(), true)?;
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
    }
    let trailers = body.trailers().await?;
    let status = trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"));
    ensure!(
        status.is_some_and(|status| status == "0"),
        "the stream ended with {trailers:?}"
    );
    println!(
        "{}",
        json!({
            "records": scan.records,
            "bytes": scan.bytes,
            "seconds": last.duration_since(scan.first.unwrap_or(last)).as_secs_f64(),
            "latencies_us": scan.latencies_us,
        })
    );
    Ok(())
}

/// Frames a message for gRPC.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// `ConsumeRequest.open`, with a limit for records in flight and one for bytes that does not matter.
fn open(in_flight: Option<u32>) -> Bytes {
    let mut open = Vec::new();
    if let Some(in_flight) = in_flight {
        open.push(0x18);
        prost::encoding::encode_varint(u64::from(in_flight), &mut open);
        open.push(0x20);
        prost::encoding::encode_varint(32 << 20, &mut open);
    }
    let mut request = vec![0x12];
    prost::encoding::encode_varint(open.len() as u64, &mut request);
    request.extend(open);
    framed(&request)
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// gRPC's flag and length.
    Prefix,
    /// The response, and in it the head of its records up to the topic.
    Response,
    /// Partition and assignment.
    Place,
    /// One record, up to the first bytes of its value.
    Record,
}

/// More than the longest piece that must be seen whole.
const PIECE_MAX: usize = 96;

struct Scan {
    ordered: bool,
    latency: bool,
    next: Next,
    /// Bytes of a piece that goes on in the next chunk.
    cut: Vec<u8>,
    /// Bytes to pass over before the next piece.
    skip: usize,
    /// Bytes left of the message.
    message_left: usize,
    partition: usize,
    ids: Option<(u64, u64)>,
    done: Vec<(u64, u64)>,
    newest: Vec<i64>,
    records: u64,
    bytes: u64,
    first: Option<Instant>,
    latencies_us: Vec<u64>,
}

impl Scan {
    fn new(arguments: &Arguments) -> Self {
        Self {
            ordered: arguments.ordered,
            latency: arguments.latency,
            next: Next::Prefix,
            cut: Vec::with_capacity(2 * PIECE_MAX),
            skip: 0,
            message_left: 0,
            partition: 0,
            ids: None,
            done: Vec::new(),
            newest: vec![-1; PARTITIONS.unsigned_abs() as usize],
            records: 0,
            bytes: 0,
            first: None,
            latencies_us: Vec::new(),
        }
    }

    fn feed(&mut self, mut chunk: &[u8]) -> anyhow::Result<()> {
        self.bytes += chunk.len() as u64;
        loop {
            let skipped = self.skip.min(chunk.len());
            chunk = &chunk[skipped..];
            self.skip -= skipped;
            if chunk.is_empty() {
                return Ok(());
            }
            if self.cut.is_empty() {
                match self.piece(chunk)? {
                    Some(taken) => chunk = &chunk[taken..],
                    None => {
                        self.cut.extend_from_slice(chunk);
                        return Ok(());
                    }
                }
            } else {
                let before = self.cut.len();
                let more = chunk.len().min(PIECE_MAX);
                self.cut.extend_from_slice(&chunk[..more]);
                let cut = std::mem::take(&mut self.cut);
                if let Some(taken) = self.piece(&cut)? {
                    chunk = &chunk[taken - before..];
                    self.cut = cut;
                    self.cut.clear();
                } else {
                    self.cut = cut;
                    chunk = &chunk[more..];
                    ensure!(self.cut.len() <= 2 * PIECE_MAX, "a piece without end");
                }
            }
        }
    }

    /// Reads one piece and returns its length, or `None` if it is not there whole. What follows it and does not
    /// matter is skipped.
    fn piece(&mut self, bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let mut rest = bytes;
        let Some(skip) = self.read_piece(&mut rest)? else {
            return Ok(None);
        };
        self.skip = skip;
        Ok(Some(bytes.len() - rest.len()))
    }

    fn read_piece(&mut self, rest: &mut &[u8]) -> anyhow::Result<Option<usize>> {
        let before = rest.len();
        match self.next {
            Next::Prefix => {
                let Some((prefix, after)) = rest.split_first_chunk::<5>() else {
                    return Ok(None);
                };
                *rest = after;
                let [_, a, b, c, d] = *prefix;
                self.message_left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.next = Next::Response;
                if self.message_left == 0 {
                    self.next = Next::Prefix;
                }
                Ok(Some(0))
            }
            Next::Response => {
                let Some(tag) = rest.first().copied() else {
                    return Ok(None);
                };
                if tag != 0x12 {
                    // Opened, settled, notices.
                    self.next = Next::Prefix;
                    return Ok(Some(std::mem::take(&mut self.message_left)));
                }
                let mut at = &rest[1..];
                let (Some(_), Some(0x0a), Some(topic)) =
                    (varint(&mut at), take(&mut at), varint(&mut at))
                else {
                    return Ok(None);
                };
                *rest = at;
                let skip = usize::try_from(topic)?;
                self.message_left -= before - rest.len() + skip;
                self.next = Next::Place;
                Ok(Some(skip))
            }
            Next::Place => {
                let mut at = *rest;
                let (Some(0x10), Some(partition), Some(0x18), Some(_)) = (
                    take(&mut at),
                    varint(&mut at),
                    take(&mut at),
                    varint(&mut at),
                ) else {
                    return Ok(None);
                };
                *rest = at;
                self.partition = usize::try_from(partition)?;
                self.message_left -= before - rest.len();
                self.next = Next::Record;
                Ok(Some(0))
            }
            Next::Record => self.record(rest),
        }
    }

    fn record(&mut self, rest: &mut &[u8]) -> anyhow::Result<Option<usize>> {
        let before = rest.len();
        let mut at = *rest;
        let (Some(0x22), Some(len)) = (take(&mut at), varint(&mut at)) else {
            return Ok(None);
        };
        let inside = at.len();
        let (Some(0x09), Some((id, after))) = (take(&mut at), at.split_first_chunk::<8>()) else {
            return Ok(None);
        };
        at = after;
        let (Some(0x40), Some(_), Some(0x10), Some(offset)) = (
            take(&mut at),
            varint(&mut at),
            take(&mut at),
            varint(&mut at),
        ) else {
            return Ok(None);
        };
        if self.latency {
            // Timestamp, its type, the key of eight bytes, the value that begins with a time.
            let (Some(0x18), Some(_), Some(0x20), Some(_), Some(0x2a), Some(8)) = (
                take(&mut at),
                varint(&mut at),
                take(&mut at),
                varint(&mut at),
                take(&mut at),
                varint(&mut at),
            ) else {
                return Ok(None);
            };
            let Some(after) = at.get(8..) else {
                return Ok(None);
            };
            at = after;
            let (Some(0x32), Some(_), Some((sent, after))) =
                (take(&mut at), varint(&mut at), at.split_first_chunk::<8>())
            else {
                return Ok(None);
            };
            at = after;
            self.latencies_us
                .push(now_ns().saturating_sub(u64::from_le_bytes(*sent)) / 1000);
        }
        let seen = inside - at.len();
        let len = usize::try_from(len)?;
        let Some(skip) = len.checked_sub(seen) else {
            bail!("a record shorter than its fields");
        };
        *rest = at;
        self.seen(u64::from_le_bytes(*id), i64::try_from(offset)?)?;
        self.message_left -= before - rest.len() + skip;
        if self.message_left == 0 {
            self.next = Next::Prefix;
            self.done.extend(self.ids.take());
        }
        Ok(Some(skip))
    }

    fn seen(&mut self, id: u64, offset: i64) -> anyhow::Result<()> {
        self.first.get_or_insert_with(Instant::now);
        self.records += 1;
        self.ids = Some((self.ids.map_or(id, |(first, _)| first), id));
        let newest = &mut self.newest[self.partition];
        ensure!(
            !self.ordered || *newest < offset,
            "offset {offset} of partition {} came after {newest}",
            self.partition
        );
        *newest = offset;
        Ok(())
    }

    /// Acknowledges the messages that were read whole.
    fn acknowledge(&mut self, requests: &mut SendStream<Bytes>) -> anyhow::Result<()> {
        if self.done.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(self.done.len() * 20);
        for (first, last) in self.done.drain(..) {
            let mut range = vec![0x08];
            prost::encoding::encode_varint(first, &mut range);
            range.push(0x10);
            prost::encoding::encode_varint(last, &mut range);
            nested(0x12, &range, &mut ids);
        }
        let mut settlement = Vec::with_capacity(ids.len() + 8);
        nested(0x0a, &ids, &mut settlement);
        settlement.extend([0x10, 1]);
        let mut request = Vec::with_capacity(settlement.len() + 8);
        nested(0x1a, &settlement, &mut request);
        requests.send_data(framed(&request), false)?;
        Ok(())
    }
}

fn nested(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    prost::encoding::encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}
