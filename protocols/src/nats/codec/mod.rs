//! NATS's wire protocol without I/O: operations in a byte stream, in both directions.
//!
//! A client decodes [`ServerOp`]s and encodes [`ClientOp`]s; the other two are for servers, proxies, and tests of
//! clients. Both decoders lend what they give, and keep nothing between two operations; all four have limits on
//! control lines, messages and headers. Encoders refuse what their decoder would take apart differently.
//!
//! The [protocol](https://docs.nats.io/reference/reference-protocols/nats-protocol) is NATS's own; headers are those of
//! [ADR-4](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-4.md).

mod arguments;
mod client;
mod error;
mod framing;
mod headers;
mod json;
mod limits;
mod output;
mod server;
mod subject;
#[cfg(test)]
mod tests;

pub use client::{ClientOp, ClientOpDecoder, ClientOpEncoder, Pub};
pub use error::{CodecError, Rule};
pub use headers::{HeaderBlock, Headers};
pub use json::{ConnectInfo, ServerInfo};
pub use limits::{
    DEFAULT_MAX_CONTROL_LINE, DEFAULT_MAX_HEADERS, DEFAULT_MAX_PAYLOAD,
    DEFAULT_MAX_SENT_CONTROL_LINE,
};
pub use server::{Msg, ServerOp, ServerOpDecoder, ServerOpEncoder};
pub use subject::{check_queue_group, check_subject, check_subscription, subject_matches};
