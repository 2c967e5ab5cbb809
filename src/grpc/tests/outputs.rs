//! Outputs that acknowledgements bring along.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::fake::{Client, Served, next, settlement, within};
use crate::core::OutputsId;
use crate::grpc::proto;
use crate::grpc::proto::consume_request::Request;
use crate::grpc::proto::stream_response::Response;
use crate::grpc::request::ENTRIES_MAX;
use crate::record;

fn output(topic: &str) -> proto::Output {
    proto::Output {
        topic: topic.to_owned(),
        ..proto::Output::default()
    }
}

fn returning(outputs: Vec<proto::Output>) -> proto::Settlement {
    proto::Settlement {
        outputs,
        ..settlement(proto::Outcome::Ack, &[1])
    }
}

async fn say(
    client: &mut Client,
    settlements: Vec<proto::Settlement>,
) -> Result<proto::AckResponse, Status> {
    let request = proto::AckRequest {
        settlements,
        ..proto::AckRequest::default()
    };
    client.ack(request).await.map(tonic::Response::into_inner)
}

// G8
#[tokio::test]
async fn outputs_are_kept_as_they_are() {
    within(async {
        let served = Served::transactional().await;
        let header = |name: &str, raw_name: &[u8], value: Option<&[u8]>| proto::Header {
            name: name.to_owned(),
            raw_name: raw_name.to_vec().into(),
            value: value.map(|value| value.to_vec().into()),
        };
        let whole = proto::Output {
            key: Some(Vec::new().into()),
            value: None,
            headers: vec![
                header("a", b"", None),
                header("", b"\xff", Some(b"")),
                header("a", b"", Some(b"1")),
            ],
            partition: Some(3),
            timestamp_ms: Some(1_700_000_000_000),
            ..output("invoices")
        };
        let mut client = served.client().await;
        say(&mut client, vec![returning(vec![whole])])
            .await
            .unwrap();
        let state = served.fake.state();
        let expected = record::Output {
            topic: "invoices".to_owned(),
            partition: Some(3),
            timestamp_ms: Some(1_700_000_000_000),
            key: Some(Vec::new()),
            value: None,
            headers: vec![
                (b"a".to_vec(), None),
                (b"\xff".to_vec(), Some(Vec::new())),
                (b"a".to_vec(), Some(b"1".to_vec())),
            ],
        };
        assert_eq!(state.outputs, [vec![expected]]);
        let named = state.settled[0].1[0].outputs.unwrap();
        assert_eq!((named.id, named.records), (OutputsId(1), 1));
    })
    .await;
}

#[tokio::test]
async fn outputs_are_refused_where_nobody_writes_them() {
    within(async {
        let served = Served::new().await;
        let mut client = served.client().await;
        let settlement = returning(vec![output("invoices")]);
        let refused = say(&mut client, vec![settlement]).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("processing"), "{refused}");
        assert!(served.fake.state().settled.is_empty());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_request_with_a_mistake() {
    within(async {
        let served = Served::transactional().await;
        let mut client = served.client().await;
        let retry = proto::Settlement {
            outcome: proto::Outcome::Retry.into(),
            ..returning(vec![output("invoices")])
        };
        let of_nothing = proto::Settlement {
            deliveries: None,
            ..returning(vec![output("invoices")])
        };
        let below_zero = proto::Output {
            partition: Some(-1),
            ..output("invoices")
        };
        let before_1970 = proto::Output {
            timestamp_ms: Some(-1),
            ..output("invoices")
        };
        for (mistake, words) in [
            (retry, "OUTCOME_ACK only"),
            (of_nothing, "need the deliveries"),
            (returning(vec![output("")]), "name of a topic"),
            (returning(vec![below_zero]), "below 0"),
            (returning(vec![before_1970]), "not above 0"),
        ] {
            let good = returning(vec![output("invoices")]);
            let refused = say(&mut client, vec![good, mistake]).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().contains(words), "{refused}");
        }
        let state = served.fake.state();
        assert!(state.outputs.is_empty() && state.settled.is_empty());
    })
    .await;
}

// C-1: a settlement, an id, outputs and their headers count together.
#[tokio::test]
async fn a_request_lists_so_many_outputs_and_headers_at_most() {
    within(async {
        let served = Served::transactional().await;
        let mut client = served.client().await;
        let of_headers = |count| proto::Output {
            headers: vec![proto::Header::default(); count],
            ..output("invoices")
        };
        let fits = returning(vec![of_headers(ENTRIES_MAX - 4), output("invoices")]);
        say(&mut client, vec![fits]).await.unwrap();
        let too_many = returning(vec![of_headers(ENTRIES_MAX - 3), output("invoices")]);
        let refused = say(&mut client, vec![too_many]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert_eq!(served.fake.state().outputs.len(), 1);
    })
    .await;
}

// I-B1
#[tokio::test]
async fn acknowledgements_with_outputs_wait_for_room_and_others_do_not() {
    within(async {
        let served = Served::transactional().await;
        served.fake.state().full_of_outputs = true;
        let mut client = served.client().await;
        let mut other = served.client().await;
        let mut waits = tokio::spawn(async move {
            say(&mut client, vec![returning(vec![output("invoices")])]).await
        });
        served.fake.until(|state| !state.waiting.is_empty()).await;
        say(&mut other, vec![settlement(proto::Outcome::Ack, &[2])])
            .await
            .unwrap();
        let given_up = {
            let mut client = served.client().await;
            tokio::spawn(
                async move { say(&mut client, vec![returning(vec![output("gone")])]).await },
            )
        };
        served.fake.until(|state| state.waiting.len() > 1).await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        assert!(served.fake.state().outputs.is_empty());
        let waiting = {
            let mut state = served.fake.state();
            state.full_of_outputs = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(std::task::Waker::wake);
        (&mut waits).await.unwrap().unwrap();
        assert_eq!(served.fake.state().outputs[0][0].topic, "invoices");
    })
    .await;
}

#[tokio::test]
async fn outputs_come_inside_the_stream_too() {
    within(async {
        let served = Served::transactional().await;
        let mut client = served.client().await;
        let (requests, receiver) = mpsc::channel(4);
        let request = |request_id, request| proto::ConsumeRequest {
            request_id,
            request: Some(request),
        };
        let open = Request::Open(proto::Open::default());
        requests.send(request(1, open)).await.unwrap();
        let receiver = ReceiverStream::new(receiver);
        let mut stream = client.consume(receiver).await.unwrap().into_inner();
        let Response::Opened(opened) = next(&mut stream).await else {
            panic!("not opened");
        };
        assert_eq!(opened.processing(), proto::Processing::Transactional);
        let settle = Request::Settle(returning(vec![output("invoices")]));
        requests.send(request(2, settle)).await.unwrap();
        let mut answered = 0;
        while answered < 2 {
            let Response::Settled(settled) = next(&mut stream).await else {
                panic!("not settled");
            };
            answered = settled.up_to_request_id;
        }
        assert_eq!(served.fake.state().outputs.len(), 1);
    })
    .await;
}
