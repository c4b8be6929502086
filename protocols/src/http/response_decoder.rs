use super::body::{Body, BodyEvent};
use super::section::{Section, SectionRules};
use super::{Headers, HttpError, Limits, ResponseHead, Rule, parse};
use crate::codec::Decoder;

/// A part of a response. Each begins with a head and ends with an end, also where there is no content between them; an
/// interim head (1xx) is followed by the next head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResponseEvent<'a> {
    /// The head.
    Head(ResponseHead<'a>),
    /// Some of the content, as much as came together: at least a byte.
    Data(&'a [u8]),
    /// The fields behind chunked content, if there are any.
    Trailers(Headers<'a>),
    /// The response is over; what follows is the next one.
    End,
}

/// Takes the responses of a connection apart (RFC 9112), as strictly as
/// [`RequestDecoder`](super::RequestDecoder) does requests.
///
/// How long a response is depends on the request: say its method by [`answers_to`](Self::answers_to) before the response
/// comes; it counts for one response, and is GET unless said. After a tunnel has begun (101, or CONNECT that went well) the
/// end follows at once, and from then on the bytes are another protocol's: to decode them is an error.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::http::{ResponseDecoder, ResponseEvent};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let mut decoder = ResponseDecoder::new();
/// decoder.answers_to("HEAD");
/// let mut input = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..];
/// assert!(matches!(decoder.decode(&mut input)?, Some(ResponseEvent::Head(head)) if head.status() == 200));
/// assert_eq!(decoder.decode(&mut input)?, Some(ResponseEvent::End));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResponseDecoder {
    limits: Limits,
    state: State,
    method: Method,
    head: Section,
    body: Body,
    /// Bytes taken from the stream.
    position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body,
    /// A tunnel has begun, and its end is to be told.
    TunnelEnd,
    Tunnel,
    Failed(HttpError),
}

/// What the length of a response depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Head,
    Connect,
    Other,
}

impl ResponseDecoder {
    /// A decoder with the default [`Limits`], and none for the content.
    pub const fn new() -> Self {
        let limits = Limits { max_content: u64::MAX, ..Limits::DEFAULT };
        Self {
            limits,
            state: State::Head,
            method: Method::Other,
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

    /// Says that the next response answers a request by `method`.
    pub fn answers_to(&mut self, method: &str) {
        self.method = match method {
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        };
    }

    /// Whether nothing of a response has come since the last one's end.
    pub fn is_between_responses(&self) -> bool {
        self.state == State::Head && !self.head.has_begun()
    }

    /// The memory held for input, in bytes: 0 when nothing is kept, else bounded by [`Limits::max_head`] or
    /// [`Limits::max_trailers`].
    pub fn buffer_capacity(&self) -> usize {
        self.head.capacity() + self.body.capacity()
    }

    fn decode_head<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ResponseEvent<'a>>, HttpError> {
        let rules = SectionRules {
            max_length: self.limits.max_head.max(MIN_HEAD),
            too_long: [Rule::HeadTooLarge; 2],
            first: |byte| if byte == b'H' { Ok(()) } else { Err(Rule::Version) },
            empty_lines_before: 0,
            may_be_empty: false,
        };
        let begin = self.position - self.head.buffered().len() as u64;
        let before = input.len();
        let taken = self.head.take(input, &rules);
        self.position += (before - input.len()) as u64;
        let head = match taken {
            Ok(None) => return Ok(None),
            Ok(Some((head, _))) => parse::response(head, self.limits.max_fields),
            Err(error) => Err(error),
        };
        let method = match self.method {
            Method::Head => "HEAD",
            Method::Connect => "CONNECT",
            Method::Other => "GET",
        };
        let head = head.and_then(|head| {
            let started = self.body.begin(head.content_length(method), self.position);
            started.map_err(|rule| HttpError::at(rule, 0))?;
            Ok(head)
        });
        match head {
            Ok(head) => {
                if head.is_tunnel(method) {
                    self.state = State::TunnelEnd;
                } else if !head.is_interim() {
                    self.state = State::Body;
                }
                Ok(Some(ResponseEvent::Head(head)))
            }
            Err(error) => {
                let error = error.moved_by(begin);
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    fn end(&mut self) -> ResponseEvent<'static> {
        self.state = State::Head;
        self.method = Method::Other;
        ResponseEvent::End
    }
}

impl Default for ResponseDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for ResponseDecoder {
    type Frame<'a> = ResponseEvent<'a>;
    type Error = HttpError;

    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ResponseEvent<'a>>, HttpError> {
        self.head.release();
        match self.state {
            State::Head => self.decode_head(input),
            State::Body => match self.body.decode(input, &mut self.position) {
                Ok(None) => Ok(None),
                Ok(Some(BodyEvent::Data(data))) => Ok(Some(ResponseEvent::Data(data))),
                Ok(Some(BodyEvent::Trailers(trailers))) => {
                    Ok(Some(ResponseEvent::Trailers(trailers)))
                }
                Ok(Some(BodyEvent::End)) => {
                    self.state = State::Head;
                    self.method = Method::Other;
                    Ok(Some(ResponseEvent::End))
                }
                Err(error) => {
                    self.state = State::Failed(error);
                    Err(error)
                }
            },
            State::TunnelEnd => {
                self.state = State::Tunnel;
                Ok(Some(ResponseEvent::End))
            }
            State::Tunnel if input.is_empty() => Ok(None),
            State::Tunnel => Err(HttpError::at(Rule::AfterUpgrade, self.position)),
            State::Failed(error) => Err(error),
        }
    }

    /// The stream may end between two responses, and ends content that is [until the
    /// close](super::ContentLength::UntilClose).
    fn finish(&mut self) -> Result<Option<ResponseEvent<'_>>, HttpError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Head if !self.head.has_begun() => Ok(None),
            State::Tunnel => Ok(None),
            State::TunnelEnd => {
                self.state = State::Tunnel;
                Ok(Some(ResponseEvent::End))
            }
            State::Body if self.body.ends_with_stream() => Ok(Some(self.end())),
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
            _ => Vec::new(),
        };
        *self = Self { position: self.position, ..Self::new().limits(self.limits) };
        remainder
    }
}

/// Room for the shortest head.
const MIN_HEAD: usize = 19;
