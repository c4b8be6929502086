use std::fmt;

use wharf::bytes::Bytes;

use crate::nats::codec::{CodecError, HeaderBlock, Headers, Msg, Pub};

/// A message that was received. Cheap to clone.
#[derive(Clone)]
pub struct Message {
    /// Subject, reply subject, headers and payload, one after the other.
    bytes: Bytes,
    subject: usize,
    reply: usize,
    headers: usize,
}

impl Message {
    /// `None`: a subject is no UTF-8, which NATS does not allow, and servers do not check.
    pub(super) fn copy(message: &Msg<'_>) -> Option<Self> {
        std::str::from_utf8(message.subject).ok()?;
        let reply = message.reply.unwrap_or_default();
        std::str::from_utf8(reply).ok()?;
        let parts = [message.subject, reply, message.headers.unwrap_or_default(), message.payload];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let subject = message.subject.len();
        let reply = subject + reply.len();
        let headers = reply + message.headers.map_or(0, <[u8]>::len);
        Some(Self { bytes: bytes.into(), subject, reply, headers })
    }

    /// The bytes that it has, all together.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Where it was published.
    pub fn subject(&self) -> &str {
        text(&self.bytes[..self.subject])
    }

    /// Where an answer goes, if one is wanted.
    pub fn reply(&self) -> Option<&str> {
        let reply = &self.bytes[self.subject..self.reply];
        if reply.is_empty() { None } else { Some(text(reply)) }
    }

    /// What was published.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.headers..]
    }

    /// The payload, without a copy.
    pub fn payload_bytes(&self) -> Bytes {
        self.bytes.slice(self.headers..)
    }

    /// The headers; `None` if it has none.
    ///
    /// # Errors
    /// The publisher has sent malformed headers; servers pass them on.
    pub fn headers(&self) -> Result<Option<HeaderBlock<'_>>, CodecError> {
        match &self.bytes[self.reply..self.headers] {
            [] => Ok(None),
            block => HeaderBlock::parse(block).map(Some),
        }
    }

    /// The first value of a header; `None` without one, and if the headers are malformed or it is no UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers().ok()??.get(name)?).ok()
    }

    /// The status of a message that a server made, such as 503 for "no responders".
    pub fn status(&self) -> Option<u16> {
        self.headers().ok()??.status()
    }

    /// The text behind the status.
    pub fn description(&self) -> &str {
        let headers = self.headers().ok().flatten();
        headers.map_or("", |headers| std::str::from_utf8(headers.description()).unwrap_or_default())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("subject", &self.subject())
            .field("reply", &self.reply())
            .field("headers", &self.headers())
            .field("payload", &self.payload_bytes())
            .finish()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it was checked when it came")
}

/// A message to publish.
///
/// ```
/// use wharf_protocols::nats::Publish;
/// use wharf_protocols::nats::codec::{CodecError, Headers};
///
/// # fn main() -> Result<(), CodecError> {
/// let mut headers = Headers::new();
/// headers.append("Trace", "1")?;
/// let message = Publish::new("orders.7", b"hello").reply("answers.1").headers(&headers);
/// # let _ = message;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it is given to `publish_message` or `request_message`"]
pub struct Publish<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    headers: Option<&'a Headers>,
    payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// A message without headers that wants no answer.
    pub fn new<B: AsRef<[u8]> + ?Sized>(subject: &'a str, payload: &'a B) -> Self {
        Self { subject, reply: None, headers: None, payload: payload.as_ref() }
    }

    /// Where the answer goes.
    pub fn reply(mut self, subject: &'a str) -> Self {
        self.reply = Some(subject);
        self
    }

    /// Its headers.
    pub fn headers(mut self, headers: &'a Headers) -> Self {
        self.headers = Some(headers).filter(|headers| !headers.is_empty());
        self
    }

    pub(super) fn as_op(&self) -> Pub<'a> {
        Pub {
            subject: self.subject.as_bytes(),
            reply: self.reply.map(str::as_bytes),
            headers: self.headers.map(Headers::as_bytes),
            payload: self.payload,
        }
    }
}
