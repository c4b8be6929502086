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
use std::io::IoSlice;

use wharf::{Transport, WriteStatus};

/// Takes frames out of a byte stream.
///
/// The frames and errors are the same however the stream is split into inputs
/// ([`check_splits`](crate::testing::check_splits) checks it), the time is proportional to the input's length, and the
/// memory is bounded by limits that are set from the start.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Decoder`",
    label = "what takes frames out of a byte stream has to implement `wharf_protocols::codec::Decoder`"
)]
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

    /// Gives back the memory of the frame that was lent last, which the next call does otherwise. For one who will not
    /// call for a while. As provided, it does nothing.
    fn release(&mut self) {}

    /// What is kept of an unfinished frame.
    fn buffered(&self) -> &[u8];

    /// Takes out what is kept, as it was received, for whoever reads the stream from here on. The decoder is then as
    /// new.
    fn take_remainder(&mut self) -> Vec<u8>;
}

/// A [`Decoder`] that can tell that a frame is whole before it lends it.
///
/// It is what [`FramedReader::next`](crate::framing::FramedReader::next) needs, which waits for a frame and then lends it: of a
/// decoder that takes frames while it looks for them, Rust's borrow checker does not let a loop return one. For codecs
/// made of a [`PartialFrame`](crate::framing::PartialFrame) it is a line.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell that a frame is whole before it lends it",
    label = "`FramedReader::next` needs `wharf_protocols::codec::Ready`",
    note = "a decoder made of a `PartialFrame` implements it in a line: `self.frames.is_ready(input, measure)`",
    note = "without it, `FramedReader::next_with` copies what it needs out of each frame"
)]
pub trait Ready: Decoder {
    /// Whether [`decode`](Decoder::decode) with what is left in `input` would give a frame, or refuse it. With `false` the input was taken
    /// whole. With `true` some of it may have been; whatever is left belongs to the next call, as if nothing had been asked.
    ///
    /// # Errors
    /// As `decode` would fail.
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, Self::Error>;
}

/// Puts frames of the type `F` into a byte stream, so that the [`Decoder`] with the same options takes the same ones
/// out.
///
/// A frame that would be taken apart differently is refused: whoever supplied a part of it could otherwise speak in our
/// name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not encode `{F}`",
    label = "what puts frames into a byte stream has to implement `wharf_protocols::codec::Encoder<{F}>`",
    note = "payloads are slices: a `Vec` is passed as `&payload[..]`, a literal as `&b\"..\"[..]`"
)]
pub trait Encoder<F: ?Sized> {
    /// What a frame that cannot be sent is refused with.
    type Error: Error + Send + Sync + 'static;

    /// Appends a frame to `output`.
    ///
    /// # Errors
    /// The frame cannot be sent, or is above a limit; `output` is then as it was.
    fn encode(&mut self, frame: &F, output: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Gives the frame to `write` in slices that make it up when joined: what an encoder can do without copying what is
    /// in the frame. As provided, it is one slice, made by [`encode`](Self::encode).
    ///
    /// # Errors
    /// As for `encode`; `write` is not called then.
    fn encode_slices<R>(
        &mut self,
        frame: &F,
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Result<R, Self::Error>
    where
        Self: Sized,
    {
        let mut encoded = Vec::new();
        self.encode(frame, &mut encoded)?;
        Ok(write(&[IoSlice::new(&encoded)]))
    }

    /// Sends a frame: its slices, with [`Transport::write_vectored`].
    ///
    /// ```
    /// use wharf::testing::Recorder;
    /// use wharf::{Protocol, Result, Transport};
    /// use wharf_protocols::codec::Encoder;
    /// use wharf_protocols::framing::NetstringEncoder;
    ///
    /// struct Hello;
    ///
    /// impl Protocol for Hello {
    ///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
    ///         NetstringEncoder::new().write_to(transport, &b"hello"[..])?;
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// assert_eq!(Recorder::new(|| Hello)?.sent()?, b"5:hello,");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`encode`](Self::encode); nothing is sent then.
    fn write_to(
        &mut self,
        transport: &(impl Transport + ?Sized),
        frame: &F,
    ) -> Result<WriteStatus, Self::Error>
    where
        Self: Sized,
    {
        self.encode_slices(frame, |slices| transport.write_vectored(slices))
    }
}
