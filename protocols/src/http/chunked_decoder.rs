use super::limits::Limits;
use super::section::{Section, SectionRules};
use super::{Headers, HttpError, Rule, parse};
use crate::codec::Decoder;
use crate::field_syntax;

/// A part of chunked content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChunkedEvent<'a> {
    /// Some of the content, as much as came together: at least a byte, and not always a chunk.
    Data(&'a [u8]),
    /// The fields behind the content, if there are any.
    Trailers(Headers<'a>),
    /// The content is over; what follows belongs to the next message.
    End,
}

/// Takes chunked content apart (RFC 9112, 7.1), for the request and response decoders and for whoever has heads of their
/// own.
///
/// The syntax is taken as it is written there: no white space around a size, no line feed alone, no other line end behind
/// the data. Extensions are checked and left out, and bounded in number of bytes all together.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::http::{ChunkedDecoder, ChunkedEvent};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let mut decoder = ChunkedDecoder::new();
/// let mut input = &b"5;name=value\r\nhello\r\n0\r\nTag: x\r\n\r\nGET"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(ChunkedEvent::Data(b"hello")));
/// let Some(ChunkedEvent::Trailers(trailers)) = decoder.decode(&mut input)? else { panic!() };
/// assert_eq!(trailers.get("tag"), Some(&b"x"[..]));
/// assert_eq!(decoder.decode(&mut input)?, Some(ChunkedEvent::End));
/// assert_eq!(input, b"GET");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    limits: Limits,
    state: State,
    /// The size of the chunk, then what is missing of it.
    left: u64,
    digits: u8,
    content: u64,
    extensions: usize,
    trailers: Section,
    /// Bytes taken from the stream.
    position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// Blanks behind the size or a value: an extension has to follow.
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    Trailers,
    End,
    Failed(HttpError),
}

impl ChunkedDecoder {
    /// A decoder with the default [`Limits`].
    pub const fn new() -> Self {
        Self {
            limits: Limits::DEFAULT,
            state: State::Size,
            left: 0,
            digits: 0,
            content: 0,
            extensions: 0,
            trailers: Section::new(),
            position: 0,
        }
    }

    /// Sets the limits.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.set_limits(limits);
        self
    }

    pub(super) const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The memory held for input, in bytes: 0 when nothing is kept, else bounded by [`Limits::max_trailers`].
    pub fn buffer_capacity(&self) -> usize {
        self.trailers.capacity()
    }

    /// Begins the next content, at this place of the stream.
    pub(super) fn begin(&mut self, position: u64) {
        *self = Self { position, ..Self::new().limits(self.limits) };
    }

    fn fail(&mut self, error: HttpError) -> HttpError {
        self.state = State::Failed(error);
        self.trailers = Section::default();
        error
    }

    /// Goes over sizes and line ends, up to data, trailers or the end of the input.
    fn skip_to_content(&mut self, input: &mut &[u8]) -> Result<(), Rule> {
        while let [byte, rest @ ..] = *input {
            if matches!(self.state, State::Data | State::Trailers | State::End) {
                break;
            }
            self.state = self.next_state(*byte)?;
            *input = rest;
            self.position += 1;
        }
        Ok(())
    }

    fn next_state(&mut self, byte: u8) -> Result<State, Rule> {
        let next = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // Sixteen digits are 64 bits; more zeros before them would be endless.
                if self.digits == 16 {
                    return Err(Rule::ChunkSize);
                }
                self.digits += 1;
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, _) if self.digits == 0 => return Err(Rule::ChunkSize),
            (State::Size | State::Name | State::Value | State::AfterQuoted, b'\r') => {
                State::SizeEnd
            }
            (State::Size | State::AfterQuoted | State::BeforeSemicolon | State::Value, b';') => {
                State::BeforeName
            }
            (
                State::Size | State::AfterQuoted | State::BeforeSemicolon | State::Value,
                b' ' | b'\t',
            ) => State::BeforeSemicolon,
            (State::Size, _) => return Err(Rule::ChunkSize),
            (State::BeforeName, b' ' | b'\t') => State::BeforeName,
            (State::BeforeName | State::Name, _) if field_syntax::is_token(byte) => State::Name,
            (State::Name | State::AfterName, b' ' | b'\t') => State::AfterName,
            (State::Name | State::AfterName, b'=') => State::BeforeValue,
            (State::Name | State::AfterName, b';') => State::BeforeName,
            (State::BeforeValue, b' ' | b'\t') => State::BeforeValue,
            (State::BeforeValue, b'"') => State::Quoted,
            (State::BeforeValue | State::Value, _) if field_syntax::is_token(byte) => State::Value,
            (State::Quoted, b'"') => State::AfterQuoted,
            (State::Quoted, b'\\') => State::Escaped,
            (State::Quoted | State::Escaped, _) if field_syntax::is_value(byte) => State::Quoted,
            (State::SizeEnd, b'\n') => return self.begin_chunk(),
            (State::SizeEnd, _) => return Err(Rule::BareCarriageReturn),
            (State::DataReturn, b'\r') => return Ok(State::DataEnd),
            (State::DataEnd, b'\n') => return Ok(State::Size),
            (State::DataReturn | State::DataEnd, _) => return Err(Rule::ChunkEnd),
            _ => return Err(Rule::ChunkExtension),
        };
        let is_extension = !matches!(next, State::Size | State::SizeEnd);
        self.extensions += usize::from(is_extension);
        if self.extensions > self.limits.max_chunk_extensions {
            return Err(Rule::ChunkExtensionsTooLarge);
        }
        Ok(next)
    }

    fn begin_chunk(&mut self) -> Result<State, Rule> {
        self.digits = 0;
        if self.left == 0 {
            return Ok(State::Trailers);
        }
        self.content = self.content.checked_add(self.left).ok_or(Rule::ContentTooLarge)?;
        if self.content > self.limits.max_content {
            return Err(Rule::ContentTooLarge);
        }
        Ok(State::Data)
    }
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for ChunkedDecoder {
    type Frame<'a> = ChunkedEvent<'a>;
    type Error = HttpError;

    /// The next part. After [`End`](ChunkedEvent::End) the decoder begins anew, with another content.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ChunkedEvent<'a>>, HttpError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        if let Err(rule) = self.skip_to_content(input) {
            return Err(self.fail(HttpError::at(rule, self.position)));
        }
        match self.state {
            State::Data if !input.is_empty() => {
                let count = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (data, rest) = input.split_at(count);
                *input = rest;
                self.position += count as u64;
                self.left -= count as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                Ok(Some(ChunkedEvent::Data(data)))
            }
            State::Trailers => self.take_trailers(input),
            State::End => {
                self.begin(self.position);
                Ok(Some(ChunkedEvent::End))
            }
            _ => Ok(None),
        }
    }

    /// Content ends by itself, so the stream may end only before it.
    fn finish(&mut self) -> Result<Option<ChunkedEvent<'_>>, HttpError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Size if self.digits == 0 && self.content == 0 => Ok(None),
            State::End => {
                self.begin(self.position);
                Ok(Some(ChunkedEvent::End))
            }
            _ => Err(self.fail(HttpError::at(Rule::Truncated, self.position))),
        }
    }

    fn buffered(&self) -> &[u8] {
        self.trailers.buffered()
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        let remainder = self.trailers.take_buffered();
        self.begin(self.position);
        remainder
    }
}

impl ChunkedDecoder {
    fn take_trailers<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ChunkedEvent<'a>>, HttpError> {
        let rules = SectionRules {
            max_length: self.limits.max_trailers.max(2),
            too_long: [Rule::TrailersTooLarge; 2],
            first: |_| Ok(()),
            empty_lines_before: 0,
            may_be_empty: true,
        };
        let begin = self.position - self.trailers.buffered().len() as u64;
        let before = input.len();
        let taken = match self.trailers.take(input, &rules) {
            Ok(taken) => taken,
            Err(error) => {
                let error = error.moved_by(begin);
                self.state = State::Failed(error);
                return Err(error);
            }
        };
        self.position += (before - input.len()) as u64;
        let Some((section, _)) = taken else { return Ok(None) };
        if section.len() == 2 {
            (self.state, self.content, self.extensions) = (State::Size, 0, 0);
            return Ok(Some(ChunkedEvent::End));
        }
        match parse::trailers(section, self.limits.max_fields) {
            Ok(trailers) => {
                self.state = State::End;
                Ok(Some(ChunkedEvent::Trailers(trailers)))
            }
            Err(error) => {
                let error = error.moved_by(begin);
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }
}
