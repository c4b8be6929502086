//! Framing: where messages begin and end in a byte stream.
//!
//! - Codecs: [`NetstringDecoder`], [`LengthPrefixDecoder`], [`FixedSizeDecoder`], each with its encoder. Text lines and
//!   other delimiters are in [`mod@line`](crate::line). All have limits, 64 KiB for a frame unless told otherwise.
//! - On a transport, [`Framed`] feeds any decoder and calls a [`FrameProtocol`]; an encoder sends with
//!   [`write_to`](crate::codec::Encoder::write_to). In tasks, [`FramedReader`] and [`FramedWriter`] do it on wharf's streams.
//! - For codecs of your own: [`PartialFrame`], of which those above are made.
//! - For protocols written by hand: [`Collector`], which waits until so many bytes are there, and [`Delivery`], which
//!   stops between frames where a transport wants it.
//!
//! A server whose messages are behind their length:
//!
//! ```no_run
//! use wharf::{EventLoop, Result, Transport};
//! use wharf_protocols::codec::Encoder;
//! use wharf_protocols::framing::{
//!     FrameProtocol, Framed, LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder,
//! };
//!
//! struct Echo;
//!
//! impl FrameProtocol<LengthPrefixDecoder> for Echo {
//!     fn frame_received(&mut self, transport: &dyn Transport, payload: &[u8]) -> Result {
//!         LengthPrefixEncoder::new(LengthPrefix::U32).write_to(transport, payload)?;
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     EventLoop::new()?.run(async |event_loop| {
//!         let factory = || Framed::new(Echo, LengthPrefixDecoder::new(LengthPrefix::U32));
//!         let server = event_loop.create_server(factory, "127.0.0.1:7000").await?;
//!         server.serve_forever().await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A client, as a task with a reader and a writer of frames:
//!
//! ```
//! use wharf::Result;
//! use wharf::testing::MemoryNetwork;
//! # use wharf::Transport;
//! # use wharf_protocols::codec::Encoder;
//! use wharf_protocols::framing::{
//!     FramedReader, FramedWriter, LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder,
//! };
//! # use wharf_protocols::framing::{FrameProtocol, Framed};
//! # struct Echo;
//! # impl FrameProtocol<LengthPrefixDecoder> for Echo {
//! #     fn frame_received(&mut self, transport: &dyn Transport, payload: &[u8]) -> Result {
//! #         LengthPrefixEncoder::new(LengthPrefix::U32).write_to(transport, payload)?;
//! #         Ok(())
//! #     }
//! # }
//!
//! # fn main() -> Result {
//! MemoryNetwork::new().event_loop().run(async |event_loop| {
//! #   let factory = || Framed::new(Echo, LengthPrefixDecoder::new(LengthPrefix::U32));
//! #   event_loop.create_server(factory, "10.0.0.1:7000").await?;
//!     let (reader, writer) = event_loop.open_connection("10.0.0.1:7000").await?;
//!     let mut frames = FramedReader::new(reader, LengthPrefixDecoder::new(LengthPrefix::U32));
//!     let mut writer = FramedWriter::new(writer, LengthPrefixEncoder::new(LengthPrefix::U32));
//!     writer.send(&b"hello"[..]).await?;
//!     assert_eq!(frames.next().await?, Some(&b"hello"[..]));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Limits
//!
//! | | default |
//! |---|---|
//! | the longest payload, of decoders and encoders ([`max_length`](NetstringDecoder::max_length)) | 64 KiB |
//! | what is kept | a frame with its head; twice that while it grows, and nothing between frames |
//!
//! # What is refused
//!
//! A length above the limit, as soon as it is known; a netstring whose length has a sign, a space or a zero in front, or that
//! has no comma behind it; a varint that is not in its shortest form or has more than 64 bits; a length that counts itself
//! and is less; a stream that ends within a frame. Each is a [`FramingError`] with its byte and its [`FramingRule`]. Encoders
//! refuse payloads that are too long, for the limit or for the prefix.

mod collector;
mod defaults;
mod delivery;
mod error;
mod fixed_size;
mod head;
#[cfg(test)]
mod hostile;
mod length_prefix;
mod netstring;
mod partial;
mod protocol;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod reported;
mod streams;
#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tests;

pub use collector::Collector;
pub(crate) use defaults::Defaults;
pub use delivery::Delivery;
pub use error::{FramingError, FramingRule, PayloadError};
pub use fixed_size::{FixedSizeDecoder, FixedSizeEncoder};
pub use length_prefix::{LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder};
pub use netstring::{NetstringDecoder, NetstringEncoder};
pub use partial::{Extent, PartialFrame, Unfinished};
pub use protocol::{FrameProtocol, Framed};
pub use streams::{FramedReader, FramedWriter};

/// The longest payload that decoders and encoders take by default, in bytes: 64 KiB.
pub const DEFAULT_MAX_LENGTH: usize = 64 * 1024;

/// No payload is longer, whatever the limit: with its head it would not fit into memory, nor a `usize`.
const LARGEST: usize = isize::MAX as usize - 64;
