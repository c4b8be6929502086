use super::body_encoder::BodyEncoder;
use super::{HttpError, RequestEvent, RequestHead, Rule};
use crate::codec::Encoder;

/// Writes requests so that a [`RequestDecoder`](super::RequestDecoder) takes the same ones out: head, data, trailers, end.
///
/// The head says how the content is sent: with `Content-Length` as it is, with `Transfer-Encoding: chunked` in chunks, each
/// piece of data one. Data beside the announced length are refused, and so is a head before the end of the last request.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::http::{Headers, RequestEncoder, RequestEvent, RequestHead, Version};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let fields = [("Host", &b"x"[..]), ("Transfer-Encoding", b"chunked")];
/// let head = RequestHead::new("PUT", "/a", Version::Http11, Headers::new(&fields)?)?;
/// let (mut encoder, mut output) = (RequestEncoder::new(), Vec::new());
/// for event in [RequestEvent::Head(head), RequestEvent::Data(b"hello"), RequestEvent::End] {
///     encoder.encode(&event, &mut output)?;
/// }
/// let sent = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
/// assert_eq!(output, sent);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestEncoder {
    body: BodyEncoder,
}

impl RequestEncoder {
    /// An encoder for a new connection.
    pub const fn new() -> Self {
        Self { body: BodyEncoder::Idle }
    }

    /// Whether the last request has been ended, so that a head can follow.
    pub fn is_between_requests(&self) -> bool {
        self.body == BodyEncoder::Idle
    }
}

impl Default for RequestEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder<RequestEvent<'_>> for RequestEncoder {
    type Error = HttpError;

    /// # Errors
    /// [`Rule::Order`], [`Rule::LengthMismatch`], [`Rule::TrailerNotAllowed`].
    fn encode(&mut self, event: &RequestEvent<'_>, output: &mut Vec<u8>) -> Result<(), HttpError> {
        match event {
            RequestEvent::Head(head) => {
                if self.body != BodyEncoder::Idle {
                    return Err(HttpError::of(Rule::Order));
                }
                self.body = BodyEncoder::of(head.content_length());
                write_head(head, output);
                Ok(())
            }
            RequestEvent::Data(data) => self.body.data(data, output),
            RequestEvent::Trailers(trailers) => self.body.trailers(*trailers, output),
            RequestEvent::End => self.body.end(output),
        }
    }
}

fn write_head(head: &RequestHead<'_>, output: &mut Vec<u8>) {
    for part in [head.method.as_bytes(), b" ", head.target, b" "] {
        output.extend_from_slice(part);
    }
    output.extend_from_slice(head.version.as_bytes());
    output.extend_from_slice(b"\r\n");
    head.headers.write_to(output);
    output.extend_from_slice(b"\r\n");
}
