//! The opening handshake (RFC 6455, 4): an HTTP/1.1 request and its answer.

mod agreed;
mod client;
mod decoders;
mod error;
mod extensions;
mod head;
mod key;
mod request;
mod server;
#[cfg(test)]
mod tests;
mod url;

pub use agreed::Agreed;
pub use client::{ClientHandshake, UpgradeResponse};
pub use decoders::{RequestDecoder, ResponseDecoder};
pub use error::HandshakeError;
#[cfg(feature = "websocket-deflate")]
pub(super) use extensions::Extension;
#[cfg(all(test, feature = "websocket-deflate"))]
pub(super) use extensions::parse as parse_extensions;
pub use request::{HeadFields, UpgradeRequest};
pub use server::{Acceptance, ServerHandshake};
pub use url::WebSocketUrl;

/// The longest head of a request or a response that is taken by default, in bytes: 16 KiB.
pub const DEFAULT_MAX_HEAD_LENGTH: usize = 16 * 1024;

/// The most header fields of a head.
pub const MAX_HEADER_FIELDS: usize = 100;
