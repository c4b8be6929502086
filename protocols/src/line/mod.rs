//! Line framing: byte streams whose messages end with a delimiter.
//!
//! [`LineDecoder`] and [`LineEncoder`] are the codec. Both take a [`Delimiter`] and a maximum
//! length, and both come with limits set: 64 KiB for a line, unless told otherwise. [`Lines`] feeds
//! the decoder from a transport and calls a [`LineProtocol`].
//!
//! ```
//! use wharf_protocols::line::{LineDecoder, LineError};
//!
//! # fn main() -> Result<(), LineError> {
//! let mut decoder = LineDecoder::new();
//!
//! let mut lines = decoder.feed(b"HELO there\r\nQU");
//! assert_eq!(lines.next(), Some(Ok(&b"HELO there"[..])));
//! assert_eq!(lines.next(), None);
//! drop(lines);
//!
//! let mut lines = decoder.feed(b"IT\r\n");
//! while let Some(line) = lines.next() {
//!     assert_eq!(line?, b"QUIT");
//! }
//! # Ok(())
//! # }
//! ```

mod decoder;
mod delimiter;
mod encoder;
mod error;
mod protocol;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod tests;

pub use decoder::{DecodedLines, LineDecoder, Overlong};
pub use delimiter::Delimiter;
pub use encoder::LineEncoder;
pub use error::LineError;
pub use protocol::{LineProtocol, Lines};

/// The longest line that decoders and encoders take by default, in bytes without its delimiter:
/// 64 KiB.
pub const DEFAULT_MAX_LENGTH: usize = 64 * 1024;
