//! The bytes of a client on the Unix socket, before HTTP/2 reads them.

use ackline::grpc::direct::mended;

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
        assert!(received.starts_with(PREFACE));
    } else {
        assert_eq!(received, sent, "what is not HTTP/2 passes as it is");
    }
    assert_eq!(
        mended(pieces(&received, 0)),
        received,
        "what was mended is right"
    );
}
