//! Reads request messages, with a bound on everything a client can make us hold.
//!
//! A request may be 4 MiB, and each two bytes of it could become an empty range of sixteen, so
//! what a request lists is counted on its bytes before any of it is decoded. Bytes that wait for
//! the rest of their message count against their connection, not against each call: a thousand
//! half-sent requests cost no more than one.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http_body::Body as _;
use prost::Message;
use prost::encoding::decode_varint;
use tonic::body::Body;

use super::call_error::CallError;
use super::connection::Connection;
use super::wire::PREFIX;

/// Largest request message.
pub(super) const MESSAGE_MAX: usize = 4 << 20;

/// Bytes of unfinished requests that one connection may have: one of the largest and some.
pub(super) const BUFFER_MAX: usize = MESSAGE_MAX + (128 << 10);

/// Ids, ranges, settlements, outputs, their headers, topics and notices that one request may list, counted together.
pub(super) const ENTRIES_MAX: usize = 16_384;

/// A read buffer larger than this is given back when it is empty.
const KEPT_MAX: usize = 64 << 10;

/// A request message, with the fields of it that can repeat.
pub(super) trait Request: Message + Default {
    /// What is counted before decoding.
    const SHAPE: &'static Shape;
    /// The highest field that we know, if what a newer client asks for beyond it must not be ignored: that would be to say
    /// that it was done.
    const NEWEST_FIELD: u64 = u64::MAX;
}

/// The repeated fields of a message type, by field number.
pub(super) struct Shape(&'static [(u64, Repeated)]);

enum Repeated {
    /// Numbers, packed or not.
    Numbers,
    /// Strings or small messages.
    Each,
    /// A message that itself has repeated fields.
    In(&'static Shape),
    /// As `In`, and each one counts.
    EachIn(&'static Shape),
}

static IDS: Shape = Shape(&[(1, Repeated::Numbers), (2, Repeated::Each)]);
static OUTPUT: Shape = Shape(&[(4, Repeated::Each)]);
static SETTLEMENT: Shape = Shape(&[(1, Repeated::In(&IDS)), (5, Repeated::EachIn(&OUTPUT))]);
static EXTEND: Shape = Shape(&[(1, Repeated::In(&IDS))]);
static OPEN: Shape = Shape(&[(2, Repeated::Each), (10, Repeated::Numbers)]);
static STREAM: Shape = Shape(&[(1, Repeated::In(&OPEN))]);
static CONSUME: Shape = Shape(&[
    (2, Repeated::In(&OPEN)),
    (3, Repeated::In(&SETTLEMENT)),
    (4, Repeated::In(&EXTEND)),
]);
static ACK: Shape = Shape(&[
    (1, Repeated::EachIn(&SETTLEMENT)),
    (2, Repeated::EachIn(&EXTEND)),
    (5, Repeated::Each),
]);

impl Request for super::proto::StreamRequest {
    const SHAPE: &'static Shape = &STREAM;
}

impl Request for super::proto::ConsumeRequest {
    const SHAPE: &'static Shape = &CONSUME;
}

impl Request for super::proto::AckRequest {
    const SHAPE: &'static Shape = &ACK;
    const NEWEST_FIELD: u64 = 5;
}

/// The request side of one call.
pub(super) struct Reader {
    body: Body,
    buffer: BytesMut,
    /// Bytes of messages that were handed out and still count.
    unapplied: usize,
    connection: Arc<Connection>,
}

impl Reader {
    pub(super) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            unapplied: 0,
            connection,
        }
    }

    /// The next message; `None` once the client half-closed. A call that broke is an error.
    pub(super) async fn next<R: Request>(&mut self) -> Result<Option<R>, CallError> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What was handed out is done with. Until then, or until the reader is dropped, it counts
    /// against the connection: settlements and answers may have to wait in memory.
    pub(super) fn applied(&mut self) {
        self.connection.release(std::mem::take(&mut self.unapplied));
    }

    /// The only message of a unary call.
    pub(super) async fn only<R: Request>(&mut self) -> Result<R, CallError> {
        let Some(request) = self.next().await? else {
            return Err(CallError::MessageCount("no message"));
        };
        match self.next::<R>().await? {
            None => Ok(request),
            Some(_) => Err(CallError::MessageCount("several messages")),
        }
    }

    fn poll_next<R: Request>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<R>, CallError>> {
        loop {
            if let Some(request) = self.decode()? {
                return Poll::Ready(Ok(Some(request)));
            }
            let Some(frame) = ready!(std::pin::Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(self.ended());
            };
            let frame = frame.map_err(|status| CallError::Broken(status.message().to_owned()))?;
            // Trailers of a request mean nothing.
            if let Ok(data) = frame.into_data() {
                if !self.connection.hold(data.len()) {
                    return Poll::Ready(Err(CallError::BufferFull));
                }
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// The end of a body is a half-close only if the client said so; a reset looks similar.
    fn ended<R>(&self) -> Result<Option<R>, CallError> {
        if !self.body.is_end_stream() {
            Err(CallError::Broken("reset by the client".to_owned()))
        } else if self.buffer.is_empty() {
            Ok(None)
        } else {
            Err(CallError::Malformed(
                "the stream ends inside a message".to_owned(),
            ))
        }
    }

    fn decode<R: Request>(&mut self) -> Result<Option<R>, CallError> {
        let Some((&[flag, ref len @ ..], rest)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*len) as usize;
        match flag {
            0 => {}
            1 => return Err(CallError::Compressed),
            _ => {
                return Err(CallError::Malformed(
                    "the compression flag is neither 0 nor 1".to_owned(),
                ));
            }
        }
        if len > MESSAGE_MAX {
            return Err(CallError::TooLarge(len));
        }
        let Some(message) = rest.get(..len) else {
            return Ok(None);
        };
        let mut left = ENTRIES_MAX;
        count(message, R::SHAPE, &mut left)?;
        refuse_newer(message, R::NEWEST_FIELD)?;
        let request =
            R::decode(message).map_err(|error| CallError::Malformed(error.to_string()))?;
        self.buffer.advance(PREFIX + len);
        self.unapplied += PREFIX + len;
        if self.buffer.is_empty() && len > KEPT_MAX {
            self.buffer = BytesMut::new();
        }
        Ok(Some(request))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.release(self.buffer.len() + self.unapplied);
    }
}

/// Takes what `message` lists off `left`. Stops at malformed bytes, where the decoder stops, too.
fn count(mut message: &[u8], shape: &Shape, left: &mut usize) -> Result<(), CallError> {
    while let Some((field, value)) = next_field(&mut message) {
        let Some((_, repeated)) = shape.0.iter().find(|(number, _)| *number == field) else {
            continue;
        };
        let entries = match (repeated, value) {
            (Repeated::Numbers, Some(packed)) => packed.iter().filter(|byte| **byte < 0x80).count(),
            (Repeated::Numbers | Repeated::Each | Repeated::EachIn(_), _) => 1,
            (Repeated::In(_), _) => 0,
        };
        *left = left.checked_sub(entries).ok_or(CallError::TooManyEntries)?;
        if let (Repeated::In(shape) | Repeated::EachIn(shape), Some(inner)) = (repeated, value) {
            count(inner, shape, left)?;
        }
    }
    Ok(())
}

/// Refuses a message with a field that we do not know.
fn refuse_newer(mut message: &[u8], newest: u64) -> Result<(), CallError> {
    while let Some((field, _)) = next_field(&mut message) {
        if field > newest {
            return Err(CallError::UnknownRequest);
        }
    }
    Ok(())
}

/// The next field's number, and its bytes if it is delimited by a length.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = decode_varint(message).ok()?;
    let value = match key & 7 {
        0 => decode_varint(message).ok().map(|_| None)?,
        1 => skip(message, 8).map(|_| None)?,
        2 => {
            let len = usize::try_from(decode_varint(message).ok()?).ok()?;
            Some(skip(message, len)?)
        }
        5 => skip(message, 4).map(|_| None)?,
        // Groups: what is in them is counted as if it stood here, at worst too much.
        3 | 4 => None,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn skip<'a>(message: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(len)?;
    *message = rest;
    Some(taken)
}
