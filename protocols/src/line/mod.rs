//! Line framing: byte streams whose messages end with a delimiter.
//!
//! [`LineDecoder`] and [`LineEncoder`] are the codec. Both take a [`Delimiter`] and a maximum
//! length, and both come with limits set: 64 KiB for a line, unless told otherwise. They agree about what a
//! line is: each takes every line that the other one gives, and no other.
//!
//! On a transport, [`Lines`] feeds the decoder and calls a [`LineProtocol`], and
//! [`write_line`](WriteLine::write_line) sends a line. Use it, or a [`LineEncoder`], for whatever is made of text
//! that others wrote: `transport.write` with a `\n` behind the text lets whoever wrote
//! `"x\nDELETE y"` give two commands.
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
//!
//! A server and a client are on the pages of [`LineProtocol`] and [`Lines`]; in tasks,
//! [`FramedReader`](crate::framing::FramedReader) and [`FramedWriter`](crate::framing::FramedWriter) read and send lines, too.
//!
//! # Limits
//!
//! | | default |
//! |---|---|
//! | the longest line, without its delimiter ([`max_length`](LineDecoder::max_length)) | 64 KiB |
//! | what is kept | the beginning of a line with its delimiter, and nothing between lines |
//!
//! # What is refused
//!
//! A line above the limit, when the first byte above it has come; one with a `\r` or `\n` in it that is not its end, which some
//! peers take for one ([`Delimiter`]). A line to send is refused that its peer would see another line, or two, in. Each is a
//! [`LineError`] with its byte and its [`LineRule`].

mod decoded;
mod decoder;
mod delimiter;
mod encoder;
mod error;
mod kept;
mod protocol;
#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod tests;

pub use decoded::DecodedLines;
pub use decoder::{LineDecoder, Refused};
pub use delimiter::Delimiter;
pub use encoder::{LineEncoder, WriteLine};
pub use error::{EmptyDelimiter, LineError, LineRule};
pub use protocol::{LineProtocol, Lines};

/// The longest line that decoders and encoders take by default, in bytes without its delimiter:
/// 64 KiB.
pub const DEFAULT_MAX_LENGTH: usize = 64 * 1024;
