//! The bytes of a client on the Unix socket, before HTTP/2 reads them.

use ackline::grpc::direct::mended;
use http::uri::Authority;

use super::{first, pieces};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte says whether the client begins as it should, the second how its bytes are cut into reads.
pub(crate) fn authority(mut input: &[u8]) {
    let polite = first(&mut input).is_multiple_of(2);
    let of = first(&mut input);
    let mut sent = if polite { PREFACE } else { &[] }.to_vec();
    sent.extend_from_slice(input);
    let received = mended(pieces(&sent, 0));
    assert_eq!(mended(pieces(&sent, of)), received, "depends on the reads");
    if sent.starts_with(PREFACE) {
        // A block loses its padding, and an authority grows from five bits for each byte to eight.
        let longest = sent.len() / 5 * 8 + 64;
        assert!(received.len() <= longest, "{} bytes", received.len());
        names_hosts(received.strip_prefix(PREFACE).unwrap());
    } else {
        assert_eq!(received, sent, "what is not HTTP/2 passes as it is");
    }
    assert_eq!(
        mended(pieces(&received, 0)),
        received,
        "what was mended is right"
    );
}

/// No block that begins as those of clients do names what is no host.
fn names_hosts(mut frames: &[u8]) {
    const HEADERS: u8 = 1;
    const END_HEADERS: u8 = 4;
    const END_STREAM: u8 = 1;
    while let Some(([a, b, c, kind, flags, _, _, _, _], rest)) = frames.split_first_chunk::<9>() {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some((payload, after)) = rest.split_at_checked(length) else {
            return;
        };
        frames = after;
        // Neither padded nor with a priority, and whole.
        if *kind != HEADERS || flags & !END_STREAM != END_HEADERS {
            continue;
        }
        // POST and http by their indices, then the authority by its name's, in plain letters.
        if let Some([length @ ..0x7f, value @ ..]) = payload.strip_prefix(&[0x83, 0x86, 0x41])
            && let Some(value) = value
                .get(..usize::from(*length))
                .filter(|it| !it.is_empty())
        {
            assert!(
                Authority::try_from(value).is_ok(),
                "{}",
                value.escape_ascii()
            );
        }
    }
}
