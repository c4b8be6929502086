use super::body_encoder::BodyEncoder;
use super::{ContentLength, HttpError, RequestHead, ResponseEvent, ResponseHead, Rule, Version};
use crate::codec::Encoder;

/// Writes responses so that a [`ResponseDecoder`](super::ResponseDecoder) that knows the request takes the same ones out:
/// head, data, trailers, end.
///
/// Say which request is answered by [`answers_to`](Self::answers_to): what may be in a response depends on it. To HEAD, and
/// with 1xx, 204 and 304, no data are taken; a head without `Content-Length` and `Transfer-Encoding` announces content up to
/// the end of the connection, and no other response can follow it; chunks are refused towards HTTP/1.0.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::http::{Headers, ResponseEncoder, ResponseEvent, ResponseHead, Version};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let fields = [("Content-Length", &b"2"[..])];
/// let head = ResponseHead::new(200, Version::Http11, Headers::new(&fields)?)?;
/// let (mut encoder, mut output) = (ResponseEncoder::new(), Vec::new());
/// encoder.encode(&ResponseEvent::Head(head), &mut output)?;
/// assert!(encoder.encode(&ResponseEvent::End, &mut output).is_err());
/// encoder.encode(&ResponseEvent::Data(b"hi"), &mut output)?;
/// encoder.encode(&ResponseEvent::End, &mut output)?;
/// assert_eq!(output, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResponseEncoder {
    body: BodyEncoder,
    request: Request,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Head,
    Connect,
    Other,
}

impl ResponseEncoder {
    /// An encoder for a new connection. The first request is a GET of HTTP/1.1, unless said.
    pub const fn new() -> Self {
        Self { body: BodyEncoder::Idle, request: Request::Other, version: Version::Http11 }
    }

    /// Says that the next response answers `request`.
    #[inline]
    pub fn answers_to(&mut self, request: &RequestHead<'_>) {
        self.version = request.version;
        self.request = match request.method {
            "HEAD" => Request::Head,
            "CONNECT" => Request::Connect,
            _ => Request::Other,
        };
    }

    /// Whether the last response has been ended, so that a head can follow.
    pub fn is_between_responses(&self) -> bool {
        self.body == BodyEncoder::Idle
    }

    /// Whether the response being sent ends with the connection, or was the last one.
    pub fn is_until_close(&self) -> bool {
        matches!(self.body, BodyEncoder::UntilClose | BodyEncoder::Closed)
    }

    const fn method(&self) -> &'static str {
        match self.request {
            Request::Head => "HEAD",
            Request::Connect => "CONNECT",
            Request::Other => "GET",
        }
    }

    fn head(&mut self, head: &ResponseHead<'_>, output: &mut Vec<u8>) -> Result<(), HttpError> {
        if self.body != BodyEncoder::Idle {
            return Err(HttpError::of(Rule::Order));
        }
        let is_old = self.version == Version::Http10;
        let length = head.content_length(self.method());
        if is_old && (length == ContentLength::Chunked || head.status < 200) {
            return Err(HttpError::of(Rule::CodingNotAllowed));
        }
        if head.is_tunnel(self.method()) {
            self.body = BodyEncoder::Closed;
        } else if !head.is_interim() {
            self.body = BodyEncoder::of(length);
        }
        write_head(head, output);
        Ok(())
    }
}

impl Default for ResponseEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder<ResponseEvent<'_>> for ResponseEncoder {
    type Error = HttpError;

    /// # Errors
    /// [`Rule::Order`], [`Rule::LengthMismatch`], [`Rule::TrailerNotAllowed`], [`Rule::CodingNotAllowed`].
    fn encode(&mut self, event: &ResponseEvent<'_>, output: &mut Vec<u8>) -> Result<(), HttpError> {
        match event {
            ResponseEvent::Head(head) => self.head(head, output),
            ResponseEvent::Data(data) => self.body.data(data, output),
            ResponseEvent::Trailers(trailers) => self.body.trailers(*trailers, output),
            ResponseEvent::End => {
                // A tunnel has no end of its own.
                if self.body == BodyEncoder::Closed {
                    return Ok(());
                }
                self.body.end(output)?;
                (self.request, self.version) = (Request::Other, Version::Http11);
                Ok(())
            }
        }
    }
}

fn write_head(head: &ResponseHead<'_>, output: &mut Vec<u8>) {
    output.extend_from_slice(head.version.as_bytes());
    let mut digits = itoa::Buffer::new();
    for part in [b" ", digits.format(head.status).as_bytes(), b" ", head.reason, b"\r\n"] {
        output.extend_from_slice(part);
    }
    head.headers.write_to(output);
    output.extend_from_slice(b"\r\n");
}
