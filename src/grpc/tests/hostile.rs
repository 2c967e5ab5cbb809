//! Bytes that no generated client sends.

use bytes::{BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use super::fake::{Served, ack, assert_ends, channel, within};
use crate::grpc::proto;

/// Sends messages as they are given.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        bytes::Buf::advance(buffer, bytes::Buf::remaining(buffer));
        Ok(Some(()))
    }
}

/// Calls `Ack` with these messages.
async fn call(served: &Served, messages: Vec<Bytes>) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel(&served.socket).await.unwrap());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/ackline.v1.ConsumerService/Ack");
    let messages = Request::new(tokio_stream::iter(messages));
    grpc.client_streaming(messages, path, Raw).await.map(|_| ())
}

/// A field of bytes, by its number.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut field);
    field.extend_from_slice(content);
    field
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    within(async {
        let served = Served::new().await;
        let status = call(&served, vec![Bytes::from_static(&[0x0a, 0xff])])
            .await
            .unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "MALFORMED_REQUEST");
        let status = call(&served, Vec::new()).await.unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "MESSAGE_COUNT");
        let status = call(&served, vec![Bytes::new(), Bytes::new()])
            .await
            .unwrap_err();
        assert_ends(&status, Code::InvalidArgument, "MESSAGE_COUNT");
        call(&served, vec![Bytes::new()])
            .await
            .expect("an empty message is a message");
    })
    .await;
}

/// Two bytes on the wire become sixteen or a hundred in memory: refused before they do.
#[tokio::test]
async fn small_bytes_that_become_large_structures_are_refused() {
    within(async {
        let served = Served::new().await;
        let empty_ranges = [0x12, 0].repeat(1 << 20);
        let in_ranges = field(1, &field(1, &empty_ranges));
        let packed_ids = field(1, &field(1, &field(1, &vec![7; 1 << 20])));
        let empty_settlements = [0x0a, 0].repeat(1 << 20);
        for message in [in_ranges, packed_ids, empty_settlements] {
            let status = call(&served, vec![message.into()]).await.unwrap_err();
            assert_ends(&status, Code::InvalidArgument, "TOO_MANY_IDS");
        }
        assert!(served.fake.state().settled.is_empty());
    })
    .await;
}

/// A newer client must not believe that its offsets were set.
#[tokio::test]
async fn request_of_a_newer_client_is_not_half_applied() {
    within(async {
        let served = Served::new().await;
        for number in [6, 15] {
            let mut message = prost::Message::encode_to_vec(&ack(&[1]));
            message.extend(field(number, &[]));
            let status = call(&served, vec![message.into()]).await.unwrap_err();
            assert_ends(&status, Code::Unimplemented, "UNKNOWN_REQUEST");
        }
        assert!(served.fake.state().settled.is_empty());
    })
    .await;
}

#[tokio::test]
async fn compressed_request_is_refused() {
    within(async {
        let served = Served::new().await;
        // A prefix inside of a message of the codec would be data; the flag needs raw HTTP.
        let mut client = tower::ServiceExt::ready_oneshot(channel(&served.socket).await.unwrap())
            .await
            .unwrap();
        let request = http::Request::post("http://localhost/ackline.v1.ConsumerService/Ack")
            .header("content-type", "application/grpc")
            .body(tonic::body::Body::new(http_body_util::Full::new(
                Bytes::from_static(&[1, 0, 0, 0, 0]),
            )))
            .unwrap();
        let response = tower::Service::call(&mut client, request).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_ends(&status, Code::Unimplemented, "COMPRESSED_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_grpc_is_told_so_in_http() {
    within(async {
        let served = Served::new().await;
        let mut client = tower::ServiceExt::ready_oneshot(channel(&served.socket).await.unwrap())
            .await
            .unwrap();
        let request = http::Request::get("http://localhost/ackline.v1.ConsumerService/Ack")
            .body(tonic::body::Body::empty())
            .unwrap();
        let response = tower::Service::call(&mut client, request).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    })
    .await;
}

/// Control C-5: a flood of random ids, each message as large as it may be.
#[tokio::test]
async fn flood_of_random_ids_is_answered_and_a_good_stream_goes_on() {
    within(async {
        let served = Served::new().await;
        let mut good = served.client().await;
        let mut stream = good
            .stream(proto::StreamRequest::default())
            .await
            .unwrap()
            .into_inner();
        super::fake::next(&mut stream).await;
        served.fake.state().refuse_all = Some(crate::grpc::RefusedReason::Unknown);
        let mut hostile = served.client().await;
        let mut id = 1_u64;
        for round in 0..30 {
            let ids: Vec<u64> = (0..16_000)
                .map(|_| {
                    // Any spread will do: a multiplicative generator.
                    id = id.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1);
                    id >> 11
                })
                .collect();
            let answer = hostile.ack(ack(&ids)).await.unwrap().into_inner();
            assert_eq!(answer.refused.len(), 1);
            served.fake.state().settled.clear();
            served.fake.with(crate::core::StreamId(0), |stream| {
                stream
                    .frames
                    .push_back(super::fake::frame(round, vec![1; 100]));
            });
            super::fake::next(&mut stream).await;
        }
    })
    .await;
}
