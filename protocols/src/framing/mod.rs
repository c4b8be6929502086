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
