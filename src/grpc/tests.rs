//! The edge over real sockets, with a generated client and a sidecar that does as it is told.
#![allow(clippy::disallowed_methods, reason = "tests are their own supervisor")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects"
)]

mod ack;
mod authority;
mod consume;
mod door;
mod fake;
mod hostile;
pub(in crate::grpc) mod http2;
mod outputs;
mod raw;
mod starts;
mod stream;
