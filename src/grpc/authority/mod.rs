//! Makes a socket's path a host that HTTP/2 takes.
//!
//! On a Unix socket grpc-java, and every client on gRPC's C core since 1.60, send the path of the
//! socket as `:authority`: `run%2Fackline%2Fackline.sock`. That is no authority, and the `h2` crate
//! resets the stream before tonic, or anybody else here, sees the call. So the bytes that a client
//! sends on the Unix socket pass through here, and such a value is mended on the way:
//!
//! ```text
//!               ┌ io ── AsyncRead and AsyncWrite around the accepted socket; writes go straight through
//!  UnixDoor ────┤
//!               └ frames ── which bytes are a header block; all others stay where they were read to
//!                     └ block ── finds the authority in a header block and mends it
//! ```
//!
//! A mended value is as long as the one that was sent: what a host cannot have becomes `-`. HPACK
//! sizes a table by the lengths of what it holds, whatever that is. The tables of client and server
//! therefore stay in step although this module holds none, a value that was mended once is the
//! mended one whenever an index names it, and everything else of a block goes on as it came:
//! Huffman codes, indices, marks of what must not be indexed, changes of the table's size.
//!
//! # Invariants
//!
//! - H1: any split of the same bytes into reads gives the same bytes.
//! - H2: what a client of HTTP/2 sends is changed in nothing but the first authority of a header
//!   block, and this only if it is no authority. (A block that is mended loses its padding, and may
//!   be cut into frames at other places.)
//! - H3: a mended value has the length, decoded, of what it replaces.
//! - H4: what is malformed, or longer than is looked at, goes on as it came. The answer to it is
//!   that of HTTP/2, and its limits hold.
//! - H5: `frames::BLOCK_MAX` bytes are held back at most; besides, what has been read waits in one
//!   copy until it is asked for.
//!
//! # Deliberately absent
//!
//! No header table, so nothing to drift and nothing that a client can make grow. (Of the libraries
//! that have one, some panic at malformed input, and others build a Huffman table for every text.)
//! An authority that is named by an index into the dynamic table but has a new value is not
//! recognised, nor is an empty one, of which nothing could be made: they are refused as before. No
//! client is known to send them; the name has an index in the static table.
//!
//! TCP, where clients send a host. And all of this, on the day `h2` takes such authorities:
//! `listener` then yields the bare socket.

mod block;
mod frames;
mod io;

pub(super) use io::Mended;

#[cfg(test)]
mod tests;
