//! Requests as clients send them, and as nobody should.

use ackline::grpc::proto::{
    AckRequest, ConsumeRequest, Extend, Header, IdRange, Ids, Notice, Open, Outcome, Output,
    SetFlow, Settlement, StartAt, StreamRequest, WaitFor, consume_request::Request,
};
use prost::Message;

use super::Seeds;

const STREAM: u8 = 0;
const ACK: u8 = 1;
const CONSUME: u8 = 2;
const OTHER: u8 = 3;
const RESET: u8 = 4;
const REFUSE: u8 = 8;
const RAW: u8 = 16;
const APPLICATION: u8 = 32;

pub(super) fn seeds() -> Seeds {
    let opened = consume(1, Request::Open(open()));
    let settled = |number, outcome| consume(number, Request::Settle(settlement(outcome)));
    let flow = consume(4, Request::Flow(flow()));
    let conversation = [
        opened.clone(),
        settled(2, Outcome::Ack),
        settled(3, Outcome::Retry),
        flow,
    ];
    let mut seeds = Seeds::from([
        ("real-stream", input(STREAM, 0, &[stream().encode_to_vec()])),
        ("real-stream-of-defaults", input(STREAM, 0, &[Vec::new()])),
        (
            "real-stream-refused",
            input(STREAM | REFUSE, 0, &[stream().encode_to_vec()]),
        ),
        ("real-ack", input(ACK, 0, &[ack(WaitFor::Unspecified)])),
        (
            "real-ack-in-pieces",
            input(ACK | REFUSE, 3, &[ack(WaitFor::Committed)]),
        ),
        ("real-consume", input(CONSUME, 0, &conversation)),
        (
            "real-consume-in-pieces",
            input(CONSUME | REFUSE, 7, &conversation),
        ),
        (
            "real-consume-reset",
            input(CONSUME | RESET, 0, &conversation),
        ),
        (
            "real-start",
            input(ACK | APPLICATION, 0, &[start("stream-0").encode_to_vec()]),
        ),
        (
            "real-start-not-asked",
            input(ACK, 2, &[start("stream-0").encode_to_vec()]),
        ),
        (
            "real-start-inside",
            input(CONSUME | APPLICATION, 5, &starting()),
        ),
        ("real-outputs", input(ACK, 7, &[returning()])),
        (
            "real-outputs-inside",
            input(
                CONSUME,
                3,
                &[
                    consume(1, Request::Open(open())),
                    consume(2, Request::Settle(returned())),
                ],
            ),
        ),
    ]);
    seeds.extend(hostile());
    seeds
}

fn hostile() -> Seeds {
    let opened = consume(1, Request::Open(open()));
    let settled = |number, outcome| consume(number, Request::Settle(settlement(outcome)));
    Seeds::from([
        (
            "hostile-method",
            input(OTHER, 0, &[stream().encode_to_vec()]),
        ),
        (
            "hostile-two-messages",
            input(ACK, 1, &[Vec::new(), Vec::new()]),
        ),
        ("hostile-nothing", input(ACK, 0, &[])),
        (
            "hostile-opened-twice",
            input(CONSUME, 0, &[opened.clone(), opened.clone()]),
        ),
        (
            "hostile-not-opened",
            input(CONSUME, 0, &[settled(1, Outcome::Ack)]),
        ),
        (
            "hostile-numbers-fall",
            input(CONSUME, 0, &[opened, settled(1, Outcome::Ack)]),
        ),
        ("hostile-empty-ranges", input(ACK, 0, &[empty_ranges()])),
        ("hostile-empty-outputs", input(ACK, 0, &[empty_outputs()])),
        ("hostile-compressed", raw(STREAM, &[1, 0, 0, 0, 0])),
        (
            "hostile-length",
            raw(STREAM, &[0, 0xff, 0xff, 0xff, 0xff, 8]),
        ),
        ("hostile-cut-short", raw(CONSUME, &[0, 0, 0, 0, 9, 8])),
        (
            "hostile-groups",
            input(ACK, 0, &[vec![0x0b, 0x0b, 0x0b, 0x0c, 0x0b]]),
        ),
        ("hostile-varint", input(ACK, 0, &[vec![0xff; 12]])),
        (
            "hostile-nested-length",
            input(ACK, 0, &[vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0a]]),
        ),
        ("hostile-lines", input(STREAM, 0, &[forged_lines()])),
    ])
}

/// As the target reads it: each message behind its length.
fn input(flags: u8, cut: u8, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut input = vec![flags, cut];
    for message in messages {
        input.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        input.extend(message);
    }
    input
}

fn raw(flags: u8, body: &[u8]) -> Vec<u8> {
    [&[flags | RAW, 0], body].concat()
}

fn open() -> Open {
    Open {
        client: "billing".to_owned(),
        topics: vec!["orders".to_owned()],
        max_in_flight_records: Some(500),
        max_in_flight_bytes: Some(1 << 20),
        max_message_bytes: Some(4 << 20),
        max_batch_records: Some(10),
        max_batch_bytes: Some(100_000),
        batch_linger: Some(duration(0, 5_000_000)),
        keep_after_close: Some(duration(30, 0)),
        notices: vec![Notice::Partitions.into(), Notice::CaughtUp.into()],
    }
}

/// Where partitions start: an offset, something that was offered, and nothing.
fn start(stream_id: &str) -> AckRequest {
    let at = |assignment, offset, checkpoint: Vec<u8>| StartAt {
        assignment,
        offset,
        checkpoint: checkpoint.into(),
        stream_id: stream_id.to_owned(),
    };
    AckRequest {
        start_at: vec![
            at(1, Some(40), Vec::new()),
            at(2, None, checkpoint()),
            at(3, None, Vec::new()),
        ],
        ..AckRequest::default()
    }
}

/// As a sidecar makes it.
fn checkpoint() -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(90_i64.to_le_bytes());
    bytes.extend(2_i32.to_le_bytes());
    bytes.extend(b"bWFya3M");
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn starting() -> [Vec<u8>; 3] {
    let [first, second, _] = start("").start_at.try_into().unwrap();
    let fit = Open {
        keep_after_close: None,
        ..open()
    };
    [
        consume(1, Request::Open(fit)),
        consume(2, Request::StartAt(first)),
        consume(0, Request::StartAt(second)),
    ]
}

fn stream() -> StreamRequest {
    StreamRequest { open: Some(open()) }
}

fn consume(request_id: u64, request: Request) -> Vec<u8> {
    let request = Some(request);
    ConsumeRequest {
        request_id,
        request,
    }
    .encode_to_vec()
}

fn settlement(outcome: Outcome) -> Settlement {
    let first = 1 << 41;
    Settlement {
        deliveries: Some(Ids {
            ids: vec![first, first + 1, first + 5],
            ranges: vec![IdRange {
                first: first + 10,
                last: first + 20,
            }],
        }),
        outcome: outcome.into(),
        retry_delay: (outcome == Outcome::Retry).then(|| duration(2, 0)),
        reason: "the warehouse is closed".to_owned(),
        outputs: Vec::new(),
    }
}

/// An acknowledgement with a record of everything, and a tombstone.
fn returned() -> Settlement {
    let whole = Output {
        topic: "invoices".to_owned(),
        key: Some(b"customer".to_vec().into()),
        value: Some(b"12.50".to_vec().into()),
        headers: vec![Header {
            name: "traced".to_owned(),
            value: Some(b"yes".to_vec().into()),
            ..Header::default()
        }],
        partition: Some(3),
        timestamp_ms: Some(1_700_000_000_000),
    };
    let tombstone = Output {
        topic: "invoices".to_owned(),
        key: Some(b"order".to_vec().into()),
        ..Output::default()
    };
    Settlement {
        outputs: vec![whole, tombstone],
        ..settlement(Outcome::Ack)
    }
}

fn returning() -> Vec<u8> {
    AckRequest {
        settlements: vec![returned(), settlement(Outcome::Retry)],
        ..AckRequest::default()
    }
    .encode_to_vec()
}

/// Two bytes each, hundreds when decoded.
fn empty_outputs() -> Vec<u8> {
    let settlement = [0x2a, 0].repeat(1000);
    let mut message = vec![0x0a];
    prost::encoding::encode_varint(settlement.len() as u64, &mut message);
    message.extend(settlement);
    message
}

fn ack(wait_for: WaitFor) -> Vec<u8> {
    AckRequest {
        start_at: Vec::new(),
        settlements: vec![
            settlement(Outcome::Ack),
            settlement(Outcome::Release),
            settlement(Outcome::DeadLetter),
        ],
        extends: vec![Extend {
            deliveries: settlement(Outcome::Ack).deliveries,
            by: Some(duration(30, 0)),
        }],
        wait_for: wait_for.into(),
        close_stream: "stream-0".to_owned(),
    }
    .encode_to_vec()
}

fn flow() -> SetFlow {
    SetFlow {
        paused: Some(true),
        max_in_flight_records: Some(u32::MAX),
        max_in_flight_bytes: Some(1),
    }
}

/// Two bytes each, sixteen when decoded.
fn empty_ranges() -> Vec<u8> {
    let ids = Ids {
        ids: Vec::new(),
        ranges: vec![IdRange::default(); 1000],
    };
    let settlements = vec![Settlement {
        deliveries: Some(ids),
        outcome: Outcome::Ack.into(),
        ..Settlement::default()
    }];
    AckRequest {
        settlements,
        ..AckRequest::default()
    }
    .encode_to_vec()
}

/// A client that would like to write lines of a log.
fn forged_lines() -> Vec<u8> {
    let open = Open {
        client: "a\nERROR forged \u{1b}[2J\u{2028}\"".repeat(20),
        topics: vec!["orders\n".to_owned()],
        ..Open::default()
    };
    StreamRequest { open: Some(open) }.encode_to_vec()
}

fn duration(seconds: i64, nanos: i32) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos }
}
