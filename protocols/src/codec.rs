//! What every codec of this crate is: a [`Decoder`] that takes frames out of a byte stream, and an [`Encoder`] that
//! puts them into one.
//!
//! Neither knows of sockets, clocks or wharf's loop, so both can be tested, fuzzed and used anywhere. A decoder *lends*
//! its frames: what lies whole in one input is a part of that input, and nothing is copied. It keeps the beginning of a
//! frame whose end has not come, and only then holds memory.
//!
//! ```
//! use wharf_protocols::codec::{Decoder, Encoder};
//! use wharf_protocols::line::{LineDecoder, LineEncoder, LineError};
//!
//! # fn main() -> Result<(), LineError> {
//! let mut stream = Vec::new();
//! LineEncoder::new().encode(b"EHLO example.org", &mut stream)?;
//! stream.extend_from_slice(b"QU");
//!
//! let mut decoder = LineDecoder::new();
//! let mut input = &stream[..];
//! let mut lines = 0;
//! while let Some(line) = decoder.decode(&mut input)? {
//!     assert_eq!(line, b"EHLO example.org");
//!     lines += 1;
//! }
//! assert_eq!((lines, decoder.buffered()), (1, &b"QU"[..]));
//! # Ok(())
//! # }
//! ```

use std::error::Error;

/// Takes frames out of a byte stream.
///
/// The frames and errors are the same however the stream is split into inputs
/// ([`check_splits`](crate::testing::check_splits) checks it), the time is proportional to the input's length, and the
/// memory is bounded by limits that are set from the start.
pub trait Decoder {
    /// What the stream is made of. It may borrow from the decoder or the input.
    type Frame<'a>
    where
        Self: 'a;

    /// What a stream that follows no rule is refused with.
    type Error: Error + Send + Sync + 'static;

    /// Takes the next frame, and moves `input` to what follows it. `Ok(None)`: the input was taken whole, and more is
    /// needed.
    ///
    /// To stop between two frames, call it no more: what is left in `input` is the caller's, to be
    /// [unread](wharf::Transport::unread) or given to another decoder. What the decoder keeps besides is
    /// [`take_remainder`](Self::take_remainder)'s.
    ///
    /// # Errors
    /// The stream breaks a rule or a limit. Whether it can go on after that is for the codec to say; if not, all further
    /// calls fail in the same way.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Self::Frame<'a>>, Self::Error>;

    /// Ends the stream: `Ok(None)` if it may end here, or a last frame that has no end of its own.
    ///
    /// # Errors
    /// The stream ends in the middle of a frame.
    fn finish(&mut self) -> Result<Option<Self::Frame<'_>>, Self::Error>;

    /// What is kept of an unfinished frame.
    fn buffered(&self) -> &[u8];

    /// Takes out what is kept, as it was received, for whoever reads the stream from here on. The decoder is then as
    /// new.
    fn take_remainder(&mut self) -> Vec<u8>;
}

/// Puts frames of the type `F` into a byte stream, so that the [`Decoder`] with the same options takes the same ones
/// out.
///
/// A frame that would be taken apart differently is refused: whoever supplied a part of it could otherwise speak in our
/// name.
pub trait Encoder<F: ?Sized> {
    /// What a frame that cannot be sent is refused with.
    type Error: Error + Send + Sync + 'static;

    /// Appends a frame to `output`.
    ///
    /// # Errors
    /// The frame cannot be sent, or is above a limit; `output` is then as it was.
    fn encode(&mut self, frame: &F, output: &mut Vec<u8>) -> Result<(), Self::Error>;
}
