use std::fmt;

use super::head::HeadBuffer;
use super::{HandshakeError, HeadFields, MAX_HEADER_FIELDS};

/// A server's answer to a [`ClientHandshake`](super::ClientHandshake).
///
/// Shown as text it is a line for a log: the status, and the first line of the body if that is text.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::websocket::{HandshakeError, ResponseDecoder};
///
/// # fn main() -> Result<(), HandshakeError> {
/// let mut input = &b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"[..];
/// let response = ResponseDecoder::new().decode(&mut input)?.expect("it is whole");
/// assert_eq!((response.status(), response.reason()), (302, "Found"));
/// assert_eq!(response.fields().get("location"), Some("/there"));
/// assert_eq!(response.to_string(), "302 Found");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeResponse {
    status: u16,
    reason: String,
    fields: HeadFields,
    body: Vec<u8>,
}

impl UpgradeResponse {
    /// The answer that an HTTP client has read.
    pub fn from_fields<'f>(
        status: u16,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Self {
        let fields = HeadFields::from_pairs(fields);
        Self { status, reason: String::new(), fields, body: Vec::new() }
    }

    /// The status: 101 if the server agrees.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The words behind the status, which may be missing.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// All header fields, for example `Location`.
    pub fn fields(&self) -> &HeadFields {
        &self.fields
    }

    /// The beginning of what the server says when it does not agree: at most [`MAX_REFUSAL_BODY`] bytes, and less when the
    /// connection, or the time for the opening handshake, ended before. Empty for an answer that only its head was read of.
    ///
    /// [`MAX_REFUSAL_BODY`]: super::MAX_REFUSAL_BODY
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) fn parse(head: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(head).map_err(HeadBuffer::malformed)?;
        let status = response.code.unwrap_or_default();
        // Others may refuse in HTTP/1.0, as some proxies do.
        if status == 101 && response.version != Some(1) {
            return Err(HandshakeError::HttpVersion);
        }
        let reason = response.reason.unwrap_or_default().to_owned();
        let fields = HeadFields::from_parsed(response.headers);
        Ok(Self { status, reason, fields, body: Vec::new() })
    }

    /// The first line of the body, if it is text.
    fn words(&self) -> Option<String> {
        let line =
            self.body.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty())?;
        let is_text =
            line.iter().all(|&byte| !byte.is_ascii_control() || byte.is_ascii_whitespace());
        let line = String::from_utf8_lossy(line.trim_ascii());
        let words: String = line.chars().filter(|letter| !letter.is_control()).take(200).collect();
        is_text.then_some(words)
    }
}

impl fmt::Display for UpgradeResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(formatter)?;
        if !self.reason.is_empty() {
            write!(formatter, " {}", self.reason)?;
        }
        match self.words() {
            Some(words) => write!(formatter, ": {words}"),
            None => Ok(()),
        }
    }
}
