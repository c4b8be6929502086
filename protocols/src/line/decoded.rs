use std::borrow::Cow;

use super::{LineDecoder, LineError};

/// The lines of one input, lent one at a time. Made by [`LineDecoder::feed`] and
/// [`LineDecoder::finish`].
///
/// What has not been taken when this is dropped goes back to the decoder, and comes first next
/// time: to stop between two lines, just break out of the loop. Until then the decoder holds a copy
/// of it, so feed it no more before it has been taken.
///
/// ```
/// use wharf_protocols::line::{LineDecoder, LineError};
///
/// # fn main() -> Result<(), LineError> {
/// let mut decoder = LineDecoder::new();
/// let mut lines = decoder.feed(b"LENGTH 3\n\x00\x01\x02");
/// assert_eq!(lines.next().transpose()?, Some(&b"LENGTH 3"[..]));
/// // Something else than lines follows.
/// assert_eq!(&*lines.into_remainder(), b"\x00\x01\x02");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "lines are found as they are asked for"]
pub struct DecodedLines<'d, 'i> {
    pub(super) decoder: &'d mut LineDecoder,
    input: &'i [u8],
    at_end: bool,
}

impl<'d, 'i> DecodedLines<'d, 'i> {
    pub(super) fn new(decoder: &'d mut LineDecoder, input: &'i [u8], at_end: bool) -> Self {
        Self { decoder, input, at_end }
    }
}

impl<'i> DecodedLines<'_, 'i> {
    /// The next line without its delimiter; `None` when more input is needed.
    ///
    /// # Errors
    /// [`LineRule::TooLong`](super::LineRule::TooLong), [`LineRule::BareLineEnd`](super::LineRule::BareLineEnd). With
    /// [`Refused::Fail`](super::Refused::Fail) nothing follows it. With [`Refused::Discard`](super::Refused::Discard) it
    /// takes the place of the line, and the next lines follow.
    #[expect(clippy::should_implement_trait, reason = "an Iterator cannot lend")]
    pub fn next(&mut self) -> Option<Result<&[u8], LineError>> {
        let line = self.decoder.next_line(&mut self.input, self.at_end)?;
        Some(line.map(|line| self.decoder.kept.lend(line)))
    }

    /// Takes out everything after the last line that was lent, as it was received, for a protocol
    /// that takes over in the middle of the stream. The decoder is then as new.
    ///
    /// It is borrowed from the input, unless something was kept from an earlier one. What was kept
    /// of a line that is being discarded is not given, and after a failure nothing is.
    pub fn into_remainder(mut self) -> Cow<'i, [u8]> {
        let input = if self.decoder.has_failed() { &[] } else { self.input };
        self.input = &[];
        let mut remainder = self.decoder.take_remainder();
        if remainder.is_empty() {
            return Cow::Borrowed(input);
        }
        remainder.extend_from_slice(input);
        Cow::Owned(remainder)
    }
}

impl Drop for DecodedLines<'_, '_> {
    fn drop(&mut self) {
        if !self.decoder.has_failed() {
            self.decoder.keep(self.input);
        }
        self.decoder.kept.settle();
    }
}
