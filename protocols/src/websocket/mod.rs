//! WebSocket: messages both ways over one connection, with an HTTP request to begin with (RFC 6455).
//!
//! [`MessageDecoder`] and [`MessageEncoder`] are the codec, for clients and servers ([`Role`]). A [`PartDecoder`] is for
//! messages that are too big to be held, and a [`FrameHeader`] for those who work with single frames.
//!
//! A [`ServerHandshake`] and a [`ClientHandshake`] are the HTTP at the beginning, with [`RequestDecoder`] and
//! [`ResponseDecoder`], or with what an HTTP server has read ([`UpgradeRequest::from_fields`]).
//!
//! On a transport, a [`WebSocketSession`] does all of it and calls a [`WebSocketProtocol`], which sends by a [`WebSocket`].
//! With the feature `http`, requests to an HTTP server go on as WebSockets by a [`ServerHandshake`]'s `respond` (in `async`
//! services) and `answer` (in callbacks).
//!
//! For `async` code there is a [`WebSocketStream`]. A [`WebSocketClient`] opens either of them at a URL, with TLS.
//!
//! Messages are compressed (RFC 7692) with the feature `websocket-deflate`, where both ends agree.
//!
//! Both ends are held to every rule of RFC 6455, and each error names its [`Violation`], where it happened, and the
//! [`CloseCode`] to answer with. Frames, messages and fragments have limits.
//!
//! ```
//! use wharf_protocols::codec::{Decoder, Encoder};
//! use wharf_protocols::websocket::{CloseCode, Message, MessageDecoder, Role, Violation};
//!
//! let mut decoder = MessageDecoder::new(Role::Client);
//! let mut input = &b"\x81\x05hello\x81\x01\xff"[..];
//! assert_eq!(decoder.decode(&mut input), Ok(Some(Message::Text("hello"))));
//! let error = decoder.decode(&mut input).unwrap_err();
//! assert_eq!((error.offset, error.violation), (9, Violation::InvalidUtf8));
//! assert_eq!(error.close_code(), CloseCode::INVALID_DATA);
//! ```
//!
//! A server of callbacks, and a client in a task:
//!
//! ```
//! use wharf::Result;
//! use wharf::testing::MemoryNetwork;
//! use wharf_protocols::websocket::{
//!     CloseCode, OwnedMessage, ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
//!     WebSocketSession, WebSocketStream,
//! };
//!
//! struct Echo;
//!
//! impl WebSocketProtocol for Echo {
//!     fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
//!         socket.send_text(text)?;
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result {
//! MemoryNetwork::new().event_loop().run(async |event_loop| {
//!     let factory =
//!         || WebSocketSession::server(Echo, ServerHandshake::new(), WebSocketOptions::new());
//!     event_loop.create_server(factory, "10.0.0.1:80").await?;
//!
//!     let options = WebSocketOptions::new();
//!     let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options).await?;
//!     socket.send("hello").await?;
//!     let answer = socket.next().await.transpose()?;
//!     assert_eq!(answer, Some(OwnedMessage::Text("hello".to_owned())));
//!     socket.close(CloseCode::NORMAL, "").await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Limits
//!
//! | [`WebSocketOptions`] | default | close code |
//! |---|---|---|
//! | `max_message_length`: a message, after decompression | 1 MiB | 1009 |
//! | `max_frame_length`: a frame of one | 1 MiB | 1009 |
//! | `max_fragments`: frames of a message | 65,536 | 1009 |
//! | `opening_timeout`: the opening handshake | 10 s | |
//! | `ping_interval`, `ping_timeout`: silence before a ping, and after it | 20 s, 20 s | |
//! | `close_timeout`: the answer to a close, and the end after it | 10 s | |
//!
//! # What is refused
//!
//! Of RFC 6455: reserved bits and opcodes, lengths that are not the shortest, frames that are masked the wrong way (5.1, 5.2),
//! fragments out of order (5.4), control frames that are long or in fragments (5.5), text that is not UTF-8, at its first wrong
//! byte (8.1), and close codes that may not be sent (7.4). Of RFC 7692: compressed data that are no DEFLATE (7.2.2), and
//! parameters that were not offered (7.1). [`Violation`] has each by itself.

mod assembler;
mod client;
mod close;
mod connection;
mod decoder;
#[cfg(feature = "websocket-deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
mod deflate;
mod encoder;
mod error;
mod frame;
mod handshake;
mod mask;
mod message;
#[cfg(not(feature = "websocket-deflate"))]
mod no_deflate;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
mod over_http;
mod spare;
mod stream;
#[cfg(test)]
mod tests;
mod utf8;

pub use client::WebSocketClient;
pub use close::{CloseCode, CloseReason};
pub use connection::{Closure, WebSocket, WebSocketOptions, WebSocketProtocol, WebSocketSession};
pub use decoder::{MessageDecoder, PartDecoder};
#[cfg(feature = "websocket-deflate")]
pub use deflate::{DeflateOptions, DeflateParameters};
pub use encoder::MessageEncoder;
pub use error::{EncodeError, Violation, WebSocketError};
pub use frame::{FrameHeader, Opcode, Role};
pub use handshake::{
    Acceptance, Agreed, ClientHandshake, DEFAULT_MAX_HEAD_LENGTH, HandshakeError, HeadFields,
    MAX_HEADER_FIELDS, MAX_REFUSAL_BODY, RequestDecoder, ResponseDecoder, ServerHandshake,
    UpgradeRequest, UpgradeResponse, WebSocketUrl,
};
pub use mask::MaskKeys;
pub use message::{DataKind, Message, Part, Piece};
pub use stream::{OwnedMessage, WebSocketReader, WebSocketStream, WebSocketWriter};

#[cfg(feature = "websocket-deflate")]
use deflate::{Deflater, Inflater};
use handshake::AnswerReader;
#[cfg(not(feature = "websocket-deflate"))]
use no_deflate::{Deflater, Inflater};

/// The longest message, and the longest frame of one, that is taken by default, in bytes: 1 MiB.
pub const DEFAULT_MAX_MESSAGE_LENGTH: usize = 1024 * 1024;

/// The most fragments of a message by default.
pub const DEFAULT_MAX_FRAGMENTS: u32 = 65_536;
