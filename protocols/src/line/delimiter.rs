use std::borrow::Cow;
use std::slice;

use memchr::{memchr, memchr2, memmem};

use super::EmptyDelimiter;

/// What ends a line.
///
/// Searching takes time proportional to the input times the length of the delimiter, so that long
/// delimiters are for trusted peers.
///
/// ```
/// use wharf_protocols::line::{Delimiter, EmptyDelimiter, LineDecoder};
///
/// # fn main() -> Result<(), EmptyDelimiter> {
/// let mut words = LineDecoder::new().delimiter(Delimiter::byte(0));
/// assert_eq!(words.feed(b"one\0two").next(), Some(Ok(&b"one"[..])));
///
/// let mut parts = LineDecoder::new().delimiter(Delimiter::bytes(b"\n--\n")?);
/// assert_eq!(parts.feed(b"a\nb\n--\nc").next(), Some(Ok(&b"a\nb"[..])));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delimiter(Kind);

impl Delimiter {
    /// `\n`. A `\r` right before it is not part of the line. This is the default. An encoder sends `\n`.
    ///
    /// A line with a `\r` anywhere else is refused, by decoders and encoders alike: some peers end a line there, and
    /// whoever wrote the line could smuggle another one past us. See `keep_bare_line_ends`
    /// ([of decoders](super::LineDecoder::keep_bare_line_ends),
    /// [of encoders](super::LineEncoder::keep_bare_line_ends)).
    pub const NEWLINE: Self = Self(Kind::Newline);

    /// `\r\n` and nothing else.
    ///
    /// A line with a bare `\r` or `\n` is refused, by decoders and encoders alike: many peers end a line there, and
    /// whoever wrote the line could smuggle another one past us. See `keep_bare_line_ends`, as above.
    pub const CRLF: Self = Self(Kind::CrLf);

    /// A single byte, such as `0` for NUL-terminated strings.
    pub const fn byte(byte: u8) -> Self {
        Self(Kind::Byte(byte))
    }

    /// Any string of bytes; the line ends where it first appears whole.
    ///
    /// # Errors
    /// There are no bytes.
    pub fn bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, EmptyDelimiter> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(EmptyDelimiter);
        }
        Ok(Self(Kind::Bytes(bytes)))
    }

    /// The bytes that an encoder puts after a line.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::Newline => b"\n",
            Kind::CrLf => b"\r\n",
            Kind::Byte(byte) => slice::from_ref(byte),
            Kind::Bytes(bytes) => bytes,
        }
    }

    /// Where the first delimiter that ends in `input` ends there, if `before` are the bytes of the
    /// same line that came earlier. `before` itself has no delimiter.
    pub(super) fn find_end(&self, before: &[u8], input: &[u8]) -> Option<usize> {
        let delimiter = self.as_bytes();
        let last = *delimiter.last()?;
        let mut end = 0;
        while let Some(at) = memchr(last, &input[end..]) {
            end += at + 1;
            if delimiter.len() == 1 || ends_with(before, &input[..end], delimiter) {
                return Some(end);
            }
        }
        None
    }

    /// The length of a line that was received with its delimiter, without the delimiter.
    pub(super) fn content_length(&self, received: &[u8]) -> usize {
        match self.0 {
            Kind::Newline if received.ends_with(b"\r\n") => received.len() - 2,
            _ => received.len() - self.as_bytes().len(),
        }
    }

    /// The length of the last line, whose delimiter has not come. The `\r` that begins one is no part of it.
    pub(super) fn unfinished_length(&self, received: &[u8]) -> usize {
        match self.0 {
            Kind::Newline | Kind::CrLf if received.ends_with(b"\r") => received.len() - 1,
            _ => received.len(),
        }
    }

    /// Where a line has a `\r` or `\n`, which some programs take for its end.
    pub(super) fn find_bare_line_end(&self, line: &[u8]) -> Option<usize> {
        match self.0 {
            Kind::Newline | Kind::CrLf => memchr2(b'\r', b'\n', line),
            Kind::Byte(_) | Kind::Bytes(_) => None,
        }
    }

    /// The most bytes a delimiter can have, be they sent or only understood.
    pub(super) fn max_length(&self) -> usize {
        match self.0 {
            Kind::Newline => 2,
            _ => self.as_bytes().len(),
        }
    }

    /// Whether a line that began with `received`, which has no delimiter, can still end with at
    /// most `max_length` bytes before the delimiter.
    pub(super) fn can_end_within(&self, max_length: usize, received: &[u8]) -> bool {
        let delimiter: &[u8] = match &self.0 {
            Kind::Newline => b"\r\n",
            _ => self.as_bytes(),
        };
        let first = (received.len() + 1).saturating_sub(delimiter.len());
        received.len() <= max_length
            || (first..=max_length).any(|end| delimiter.starts_with(&received[end..]))
    }

    /// Where a delimiter begins in `line` if `line` and the delimiter are sent, other than the one behind it: a decoder
    /// would not see exactly `line`.
    pub(super) fn find_within(&self, line: &[u8]) -> Option<usize> {
        match &self.0 {
            Kind::Newline => {
                memchr(b'\n', line).or_else(|| line.ends_with(b"\r").then(|| line.len() - 1))
            }
            Kind::CrLf => memmem::find(line, b"\r\n"),
            Kind::Byte(byte) => memchr(*byte, line),
            Kind::Bytes(delimiter) => {
                let overlaps = |shared: &usize| {
                    let (head, tail) = delimiter.split_at(*shared);
                    line.ends_with(head) && delimiter.starts_with(tail)
                };
                memmem::find(line, delimiter).or_else(|| {
                    let shared = (1..delimiter.len()).rev().find(overlaps)?;
                    Some(line.len() - shared)
                })
            }
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Newline,
    CrLf,
    Byte(u8),
    Bytes(Cow<'static, [u8]>),
}

/// Whether `before` followed by `input` ends with `delimiter`.
fn ends_with(before: &[u8], input: &[u8], delimiter: &[u8]) -> bool {
    match delimiter.len().checked_sub(input.len()) {
        None => input.ends_with(delimiter),
        Some(missing) => delimiter.ends_with(input) && before.ends_with(&delimiter[..missing]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_delimiter_that_begins_in_earlier_input() {
        let delimiter = Delimiter::bytes(b"abc").unwrap();
        assert_eq!(delimiter.find_end(b"xab", b"cd"), Some(1));
        assert_eq!(delimiter.find_end(b"xa", b"bcd"), Some(2));
        assert_eq!(delimiter.find_end(b"x", b"abcd"), Some(3));
        assert_eq!(delimiter.find_end(b"xb", b"cd"), None);
        assert_eq!(delimiter.find_end(b"", b"c"), None);
    }

    #[test]
    fn finds_the_first_of_overlapping_delimiters() {
        let delimiter = Delimiter::bytes(b"aa").unwrap();
        assert_eq!(delimiter.find_end(b"", b"aaa"), Some(2));
        assert_eq!(delimiter.find_end(b"a", b"aa"), Some(1));
    }

    #[test]
    fn newline_strips_one_carriage_return() {
        assert_eq!(Delimiter::NEWLINE.content_length(b"a\r\r\n"), 2);
        assert_eq!(Delimiter::NEWLINE.content_length(b"a\n"), 1);
        assert_eq!(Delimiter::NEWLINE.content_length(b"\r\n"), 0);
        assert_eq!(Delimiter::CRLF.content_length(b"a\r\r\n"), 2);
        assert_eq!(Delimiter::byte(b'\n').content_length(b"a\r\n"), 2);
    }

    #[test]
    fn a_started_delimiter_does_not_count_as_length() {
        assert!(Delimiter::NEWLINE.can_end_within(1, b"a\r"));
        assert!(!Delimiter::NEWLINE.can_end_within(1, b"ab"));
        assert!(!Delimiter::NEWLINE.can_end_within(1, b"a\r\r"));
        assert!(Delimiter::CRLF.can_end_within(0, b"\r"));
        assert!(!Delimiter::byte(b'\n').can_end_within(1, b"a\r"));

        let delimiter = Delimiter::bytes(b"aab").unwrap();
        assert!(delimiter.can_end_within(1, b"xaa"));
        assert!(delimiter.can_end_within(2, b"xaa"));
        assert!(!delimiter.can_end_within(0, b"xaa"));
        assert!(!delimiter.can_end_within(1, b"xab"));
    }

    #[test]
    fn containment_looks_across_the_end_of_the_line() {
        let delimiter = Delimiter::bytes(b"aba").unwrap();
        assert_eq!(delimiter.find_within(b"xabax"), Some(1));
        // "ab" + "aba" begins with the delimiter.
        assert_eq!(delimiter.find_within(b"xab"), Some(1));
        assert_eq!(delimiter.find_within(b"xa"), None);
        assert_eq!(delimiter.find_within(b"xb"), None);
        assert_eq!(delimiter.find_within(b""), None);
        let delimiter = Delimiter::bytes(b"aaa").unwrap();
        assert_eq!(delimiter.find_within(b"xaa"), Some(1));
    }

    #[test]
    fn bare_line_ends_are_told_from_delimiters() {
        for (delimiter, line, contained, bare) in [
            (Delimiter::NEWLINE, "a\nb", Some(1), Some(1)),
            (Delimiter::NEWLINE, "a\r", Some(1), Some(1)),
            (Delimiter::NEWLINE, "a\rb", None, Some(1)),
            (Delimiter::CRLF, "ab\r\nb", Some(2), Some(2)),
            (Delimiter::CRLF, "a\r", None, Some(1)),
            (Delimiter::CRLF, "a\nb", None, Some(1)),
            (Delimiter::CRLF, "ab", None, None),
            (Delimiter::byte(0), "a\r\nb", None, None),
        ] {
            assert_eq!(delimiter.find_within(line.as_bytes()), contained, "{line:?}");
            assert_eq!(delimiter.find_bare_line_end(line.as_bytes()), bare, "{line:?}");
        }
    }

    #[test]
    fn no_empty_delimiter() {
        assert_eq!(Delimiter::bytes(Vec::new()), Err(EmptyDelimiter));
    }
}
