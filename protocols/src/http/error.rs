use std::error::Error;
use std::fmt;
use std::io;

/// Why a message was refused: the rule that it breaks, and where.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::http::{RequestDecoder, Rule};
///
/// let mut decoder = RequestDecoder::new();
/// let error = decoder.decode(&mut &b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"[..]).unwrap_err();
/// assert_eq!((error.rule, error.offset), (Rule::FieldName, Some(20)));
/// assert_eq!(error.to_string(), "byte 20: malformed field name (RFC 9112, 5.1)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpError {
    /// The rule that is broken.
    pub rule: Rule,
    /// Where in the stream, in bytes from its beginning. `None` for what was to be sent.
    pub offset: Option<u64>,
}

impl HttpError {
    pub(super) const fn at(rule: Rule, offset: u64) -> Self {
        Self { rule, offset: Some(offset) }
    }

    pub(super) const fn of(rule: Rule) -> Self {
        Self { rule, offset: None }
    }

    /// The same, `base` bytes further on.
    pub(super) fn moved_by(self, base: u64) -> Self {
        Self { offset: self.offset.map(|offset| offset + base), ..self }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(offset) = self.offset {
            write!(f, "byte {offset}: ")?;
        }
        let (what, section) = self.rule.text();
        write!(f, "{what} ({section})")
    }
}

impl Error for HttpError {}

/// `InvalidData`; `UnexpectedEof` for a message that was cut off, and `InvalidInput` for what cannot be sent.
impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        let kind = match error.rule {
            Rule::Truncated => io::ErrorKind::UnexpectedEof,
            _ if error.offset.is_none() => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $what:literal, $section:literal;)*) => {
        /// What a message has to follow. Numbers are of RFC 9112 unless another one is named.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// The status with which a server answers a request that breaks this rule.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            const fn text(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($what, $section),)* }
            }
        }
    };
}

rules! {
    /// A line ends with CR and LF, not with LF alone (2.2).
    BareLineFeed = 400, "line feed without a carriage return", "RFC 9112, 2.2";
    /// CR stands only before LF (2.2).
    BareCarriageReturn = 400, "carriage return without a line feed", "RFC 9112, 2.2";
    /// At most one empty line comes before a request, none before a response (2.2).
    EmptyLine = 400, "empty line in place of a message", "RFC 9112, 2.2";
    /// A method is a token (3.1).
    Method = 400, "malformed method", "RFC 9112, 3.1";
    /// A target has one of four forms, of visible ASCII characters, and the one that its method needs (3.2).
    Target = 400, "malformed target", "RFC 9112, 3.2";
    /// The request line, or its target, is longer than the limit (3).
    TargetTooLong = 414, "request line above the limit", "RFC 9112, 3";
    /// A version is `HTTP/`, a digit, a dot and a digit (2.3).
    Version = 400, "malformed version", "RFC 9112, 2.3";
    /// Versions 1.0 and 1.1 are known (RFC 9110, 15.6.6).
    UnsupportedVersion = 505, "unsupported version", "RFC 9110, 15.6.6";
    /// A status is three digits, from 100 to 999, with a reason of text (4).
    Status = 400, "malformed status line", "RFC 9112, 4";
    /// A field's name is a token with a colon right behind it (5.1).
    FieldName = 400, "malformed field name", "RFC 9112, 5.1";
    /// A field's value has no control characters (RFC 9110, 5.5).
    FieldValue = 400, "control character in a field value", "RFC 9110, 5.5";
    /// A field's line is not continued by white space (5.2).
    ObsoleteFold = 400, "folded field line", "RFC 9112, 5.2";
    /// The head is larger than the limit (RFC 6585, 5).
    HeadTooLarge = 431, "head above the limit", "RFC 6585, 5";
    /// There are more fields than the limit (RFC 6585, 5).
    TooManyFields = 431, "more fields than the limit", "RFC 6585, 5";
    /// A request by HTTP/1.1 names its host (3.2).
    HostMissing = 400, "no Host field", "RFC 9112, 3.2";
    /// There is one Host (3.2).
    HostRepeated = 400, "more than one Host field", "RFC 9112, 3.2";
    /// A Host is a host and perhaps a port (RFC 9110, 7.2).
    HostMalformed = 400, "malformed Host field", "RFC 9110, 7.2";
    /// A length is a number of digits that fits 64 bits (6.2).
    ContentLength = 400, "malformed Content-Length", "RFC 9112, 6.3";
    /// There is one length (6.3).
    ContentLengthRepeated = 400, "more than one Content-Length", "RFC 9112, 6.3";
    /// A length and a transfer coding exclude each other (6.1).
    LengthAndCoding = 400, "Content-Length beside Transfer-Encoding", "RFC 9112, 6.1";
    /// `chunked` is the one transfer coding, named once (6.1).
    TransferCoding = 501, "transfer coding other than chunked", "RFC 9112, 6.1";
    /// Transfer codings are HTTP/1.1's (6.1), and not of messages that have no content.
    CodingNotAllowed = 400, "Transfer-Encoding where none is allowed", "RFC 9112, 6.1";
    /// CONNECT, and other messages without content, have none (RFC 9110, 9.3.6).
    ContentNotAllowed = 400, "content where none is allowed", "RFC 9110, 6.4.1";
    /// `100-continue` is the one expectation (RFC 9110, 10.1.1).
    Expectation = 417, "unknown expectation", "RFC 9110, 10.1.1";
    /// A chunk's size is hexadecimal digits, and fits 64 bits (7.1).
    ChunkSize = 400, "malformed chunk size", "RFC 9112, 7.1";
    /// A chunk's extensions are names, perhaps with values (7.1.1).
    ChunkExtension = 400, "malformed chunk extension", "RFC 9112, 7.1.1";
    /// There are more bytes of extensions in one content than the limit (7.1.1).
    ChunkExtensionsTooLarge = 400, "chunk extensions above the limit", "RFC 9112, 7.1.1";
    /// CR and LF follow a chunk's data (7.1).
    ChunkEnd = 400, "no line end behind a chunk", "RFC 9112, 7.1";
    /// The trailers are larger than the limit (7.1.2).
    TrailersTooLarge = 431, "trailers above the limit", "RFC 9112, 7.1.2";
    /// What says how a message is taken apart cannot come behind it (RFC 9110, 6.5.1).
    TrailerNotAllowed = 400, "field that cannot be a trailer", "RFC 9110, 6.5.1";
    /// The content is larger than the limit (RFC 9110, 15.5.14).
    ContentTooLarge = 413, "content above the limit", "RFC 9110, 15.5.14";
    /// The connection ended in the middle of a message (8).
    Truncated = 400, "message cut off", "RFC 9112, 8";
    /// Bytes behind the switch to another protocol are not HTTP (RFC 9110, 7.8).
    AfterUpgrade = 400, "bytes of another protocol", "RFC 9110, 7.8";
    /// The parts of a message to send come as head, data, trailers, end, and data as long as announced (2.1).
    Order = 500, "part of a message out of its order", "RFC 9112, 2.1";
    /// A server-sent event is larger than the limit (HTML, 9.2).
    EventTooLarge = 500, "server-sent event above the limit", "HTML, 9.2";
    /// The data to send are not as many bytes as announced (6.2).
    LengthMismatch = 500, "content of another length than announced", "RFC 9112, 6.2";
}
