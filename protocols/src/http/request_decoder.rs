use super::body::{Body, BodyEvent};
use super::section::{Section, SectionRules};
use super::{ContentLength, Headers, HttpError, Limits, RequestHead, Rule, parse, whole};
use crate::codec::Decoder;
use crate::field_syntax;

/// A part of a request. Each begins with a head and ends with an end, also where there is no content between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RequestEvent<'a> {
    /// The head.
    Head(RequestHead<'a>),
    /// Some of the content, as much as came together: at least a byte.
    Data(&'a [u8]),
    /// The fields behind chunked content, if there are any.
    Trailers(Headers<'a>),
    /// The request is over; what follows is the next one.
    End,
}

/// Takes the requests of a connection apart (RFC 9112).
///
/// It is strict where requests have been smuggled: whatever two programs could take for different messages is refused
/// ([`Rule`] has the list), and nothing is repaired. An error is the end: what follows it on the connection cannot be told
/// apart any more, and all further calls fail in the same way. [`Rule::status`] is the answer that the client should get.
///
/// A head that comes in one piece is lent from the input, without a copy and without an allocation. One that comes in
/// pieces is put together, at most [`Limits::max_head`] bytes; nothing is kept between requests. Each byte is looked at
/// a bounded number of times, however a head comes.
///
/// After the [`End`](RequestEvent::End) of a request that the server answers with 101, or of CONNECT, stop: what is left of
/// the input is the other protocol's.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::http::{RequestDecoder, RequestEvent};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let mut decoder = RequestDecoder::new();
/// let mut input = &b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HT"[..];
/// let mut seen = Vec::new();
/// while let Some(event) = decoder.decode(&mut input)? {
///     seen.push(match event {
///         RequestEvent::Head(head) => format!("{} {}", head.method(), head.target()),
///         RequestEvent::Data(data) => String::from_utf8_lossy(data).into_owned(),
///         RequestEvent::Trailers(_) => "trailers".to_owned(),
///         RequestEvent::End => "end".to_owned(),
///     });
/// }
/// assert_eq!(seen, ["POST /notes", "hello", "end"]);
/// assert_eq!(decoder.buffered(), b"GET / HT");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestDecoder {
    limits: Limits,
    state: State,
    head: Section,
    body: Body,
    /// Bytes taken from the stream.
    position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body,
    Failed(HttpError),
}

impl RequestDecoder {
    /// A decoder with the default [`Limits`].
    pub const fn new() -> Self {
        let limits = Limits::DEFAULT;
        Self {
            limits,
            state: State::Head,
            head: Section::new(),
            body: Body::new(limits),
            position: 0,
        }
    }

    /// Sets the limits, also of a message that has begun.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.body.set_limits(limits);
        self
    }

    /// Whether nothing of a request has come since the last one's end.
    pub fn is_between_requests(&self) -> bool {
        self.state == State::Head && !self.head.has_begun()
    }

    /// The memory held for input, in bytes: 0 when nothing is kept, else bounded by [`Limits::max_head`] or
    /// [`Limits::max_trailers`].
    pub fn buffer_capacity(&self) -> usize {
        self.head.capacity() + self.body.capacity()
    }

    /// The head that the input begins with, if it is whole and follows all rules: most are. If it announces no content, the
    /// request is [over](Self::is_between_requests), and no end comes by itself.
    // The head is large, and built where it is used.
    #[inline(always)]
    pub(super) fn decode_whole_head<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Option<RequestHead<'i>> {
        if self.state != State::Head || self.head.has_begun() {
            return None;
        }
        let visible = &input[..input.len().min(self.limits.max_head)];
        let (head, length) = whole::request(visible, self.limits.max_fields)?;
        let position = self.position + length as u64;
        if head.content_length() != ContentLength::Exact(0) {
            self.body.begin(head.content_length(), position).ok()?;
            self.state = State::Body;
        }
        self.position = position;
        *input = &input[length..];
        Some(head)
    }

    fn decode_head<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<RequestEvent<'a>>, HttpError> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(head) = self.decode_whole_head(input) {
            if self.state == State::Head {
                self.body.begin_empty();
                self.state = State::Body;
            }
            return Ok(Some(RequestEvent::Head(head)));
        }
        let rules = SectionRules {
            max_length: self.limits.max_head.max(MIN_HEAD),
            too_long: [Rule::TargetTooLong, Rule::HeadTooLarge],
            first: |byte| if field_syntax::is_token(byte) { Ok(()) } else { Err(Rule::Method) },
            empty_lines_before: 1,
            may_be_empty: false,
        };
        let begin = self.position - self.head.buffered().len() as u64;
        let before = input.len();
        let taken = self.head.take(input, &rules);
        self.position += (before - input.len()) as u64;
        let (head, begin) = match taken {
            Ok(None) => return Ok(None),
            Ok(Some((head, skipped))) => (head, begin + skipped as u64),
            Err(error) => {
                let error = error.moved_by(begin);
                self.state = State::Failed(error);
                return Err(error);
            }
        };
        let head = parse::request(head, self.limits.max_fields).and_then(|head| {
            let started = self.body.begin(head.content_length(), self.position);
            started.map_err(|rule| HttpError::at(rule, 0))?;
            Ok(head)
        });
        match head {
            Ok(head) => {
                self.state = State::Body;
                Ok(Some(RequestEvent::Head(head)))
            }
            Err(error) => {
                let error = error.moved_by(begin);
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for RequestDecoder {
    type Frame<'a> = RequestEvent<'a>;
    type Error = HttpError;

    #[inline]
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<RequestEvent<'a>>, HttpError> {
        self.head.release();
        match self.state {
            State::Head => self.decode_head(input),
            State::Body => match self.body.decode(input, &mut self.position) {
                Ok(None) => Ok(None),
                Ok(Some(BodyEvent::Data(data))) => Ok(Some(RequestEvent::Data(data))),
                Ok(Some(BodyEvent::Trailers(trailers))) => {
                    Ok(Some(RequestEvent::Trailers(trailers)))
                }
                Ok(Some(BodyEvent::End)) => {
                    self.state = State::Head;
                    Ok(Some(RequestEvent::End))
                }
                Err(error) => {
                    self.state = State::Failed(error);
                    Err(error)
                }
            },
            State::Failed(error) => Err(error),
        }
    }

    /// The stream may end between two requests.
    fn finish(&mut self) -> Result<Option<RequestEvent<'_>>, HttpError> {
        match self.state {
            State::Failed(error) => Err(error),
            // An empty line, or the beginning of one, is no request.
            State::Head if b"\r\n".starts_with(self.head.buffered()) => Ok(None),
            State::Body if self.body.ends_with_stream() => {
                self.state = State::Head;
                Ok(Some(RequestEvent::End))
            }
            _ => {
                let error = HttpError::at(Rule::Truncated, self.position);
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    fn buffered(&self) -> &[u8] {
        match self.state {
            State::Head => self.head.buffered(),
            _ => self.body.buffered(),
        }
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        let remainder = match self.state {
            State::Head => self.head.take_buffered(),
            State::Body => self.body.take_buffered(),
            State::Failed(_) => Vec::new(),
        };
        *self = Self { position: self.position, ..Self::new().limits(self.limits) };
        remainder
    }
}

/// Room for a head that asks for `/`.
const MIN_HEAD: usize = 18;
