//! Compressed messages: permessage-deflate (RFC 7692).

mod deflater;
mod inflater;
mod negotiation;
mod shared;
#[cfg(test)]
mod tests;

pub(super) use deflater::Deflater;
pub(super) use inflater::Inflater;
pub use negotiation::{DeflateOptions, DeflateParameters};
