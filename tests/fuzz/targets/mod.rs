//! One function for each reader of other people's bytes. It panics if something does not hold.

mod authority;
mod metadata;
mod requests;
mod settings;
mod zookeeper;

pub(crate) use authority::authority;
pub(crate) use metadata::metadata;
pub(crate) use requests::requests;
pub(crate) use settings::settings;
pub(crate) use zookeeper::zookeeper;

/// Takes the first byte off an input; an empty one begins with zeros without end.
fn first<'a>(input: &mut &'a [u8]) -> u8 {
    let Some((first, rest)): Option<(&'a u8, &'a [u8])> = input.split_first() else {
        return 0;
    };
    *input = rest;
    *first
}

/// Cuts bytes into pieces of that many, or leaves them whole.
fn pieces(bytes: &[u8], of: u8) -> Vec<bytes::Bytes> {
    let of = if of == 0 { usize::MAX } else { of.into() };
    bytes
        .chunks(of)
        .map(bytes::Bytes::copy_from_slice)
        .collect()
}
