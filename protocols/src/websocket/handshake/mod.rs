//! The opening handshake (RFC 6455, 4): an HTTP/1.1 request and its answer.

mod agreed;
mod answer;
mod client;
mod decoders;
mod error;
mod extensions;
mod head;
mod key;
mod refusal;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;
mod url;

pub use agreed::Agreed;
pub(super) use answer::AnswerReader;
pub use client::ClientHandshake;
pub use decoders::{RequestDecoder, ResponseDecoder};
pub use error::HandshakeError;
#[cfg(feature = "websocket-deflate")]
pub(super) use extensions::Extension;
#[cfg(all(test, feature = "websocket-deflate"))]
pub(super) use extensions::parse as parse_extensions;
pub use request::{HeadFields, UpgradeRequest};
pub use response::UpgradeResponse;
pub use server::{Acceptance, ServerHandshake};
pub use url::WebSocketUrl;

/// The longest head of a request or a response that is taken by default, in bytes: 16 KiB.
pub const DEFAULT_MAX_HEAD_LENGTH: usize = 16 * 1024;

/// How much of what a server says is kept when it does not agree, in bytes of the body: 4 KiB.
pub const MAX_REFUSAL_BODY: usize = 4096;

/// The most header fields of a head.
pub const MAX_HEADER_FIELDS: usize = 100;
