use std::fmt;

use super::chars::is_target;
use super::facts::{Facts, is_method, is_target_for};
use super::{Headers, HttpError, Rule};
use crate::field_syntax::is_value_text;

/// A version of HTTP that this module speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks, and a connection that ends after one answer unless both say otherwise.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

impl Version {
    pub(super) const fn of(minor: Option<u8>) -> Self {
        if matches!(minor, Some(0)) { Self::Http10 } else { Self::Http11 }
    }

    pub(super) const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Http10 => b"HTTP/1.0",
            Self::Http11 => b"HTTP/1.1",
        }
    }
}

impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::HTTP_10,
            Version::Http11 => Self::HTTP_11,
        }
    }
}

/// How long the content of a message is, and how its end is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentLength {
    /// So many bytes; 0 where there is no content.
    Exact(u64),
    /// Chunks, whose end is marked.
    Chunked,
    /// Whatever comes until the connection ends; of responses only.
    UntilClose,
}

/// The head of a request, lent: what was received lies where it was received.
///
/// One that exists is one that can be sent: it follows the rules, together with its fields.
///
/// ```
/// use wharf_protocols::http::{ContentLength, Headers, RequestHead, Version};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let fields = [("Host", &b"example.org"[..]), ("Content-Length", b"3")];
/// let head = RequestHead::new("POST", "/form?a=1", Version::Http11, Headers::new(&fields)?)?;
/// assert_eq!(head.content_length(), ContentLength::Exact(3));
/// assert_eq!((head.path(), head.query()), ("/form", Some("a=1")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct RequestHead<'a> {
    pub(super) method: &'a str,
    /// Visible ASCII: made a text of for those who ask for it.
    pub(super) target: &'a [u8],
    pub(super) version: Version,
    pub(super) headers: Headers<'a>,
    pub(super) facts: Facts,
}

impl<'a> RequestHead<'a> {
    /// A head to send.
    ///
    /// # Errors
    /// The [`Rule`] that it breaks: a peer could take it for another, or for two.
    pub fn new(
        method: &'a str,
        target: &'a str,
        version: Version,
        headers: Headers<'a>,
    ) -> Result<Self, HttpError> {
        if !is_method(method) {
            return Err(HttpError::of(Rule::Method));
        }
        let is_visible = target.bytes().all(is_target);
        if !is_visible || !is_target_for(method, target) {
            return Err(HttpError::of(Rule::Target));
        }
        let mut facts = Facts::default();
        for (name, value) in headers {
            facts.add_of_request(name.as_bytes(), value).map_err(HttpError::of)?;
        }
        facts.check_request(method, version).map_err(HttpError::of)?;
        let target = target.as_bytes();
        Ok(Self { method, target, version, headers, facts })
    }

    /// The method, such as `GET`; capitals make a difference.
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// The target as it was sent: `/path?query`, `http://host/path`, `host:port` (of CONNECT) or `*` (of OPTIONS). Nothing
    /// in it is decoded.
    pub const fn target(&self) -> &'a str {
        match std::str::from_utf8(self.target) {
            Ok(target) => target,
            // Not possible: it was checked.
            Err(_) => "",
        }
    }

    /// The path of the target, without the query; not decoded. Empty in `host:port`.
    pub fn path(&self) -> &'a str {
        let origin = self.origin_form();
        origin.split_once('?').map_or(origin, |(path, _)| path)
    }

    /// What follows the `?`; not decoded.
    pub fn query(&self) -> Option<&'a str> {
        self.origin_form().split_once('?').map(|(_, query)| query)
    }

    /// The host and perhaps the port that the request is for: the target's, else the Host field's.
    pub fn authority(&self) -> Option<&'a str> {
        if self.method == "CONNECT" {
            return Some(self.target());
        }
        if let Some((_, rest)) = self.absolute_form() {
            return Some(&rest[..rest.find(['/', '?']).unwrap_or(rest.len())]);
        }
        self.headers.get("host").and_then(|host| std::str::from_utf8(host).ok())
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    pub const fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// How long the content is; [`UntilClose`](ContentLength::UntilClose) is not possible.
    pub const fn content_length(&self) -> ContentLength {
        match self.facts {
            Facts { is_chunked: true, .. } => ContentLength::Chunked,
            Facts { content_length: Some(length), .. } => ContentLength::Exact(length),
            _ => ContentLength::Exact(0),
        }
    }

    /// Whether the client wants the connection to go on afterwards (RFC 9112, 9.3).
    pub fn is_kept_alive(&self) -> bool {
        self.facts.is_kept_alive(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends the content (RFC 9110, 10.1.1). Never of HTTP/1.0, or
    /// without content.
    pub fn expects_continue(&self) -> bool {
        self.facts.expects_continue
            && self.version == Version::Http11
            && self.content_length() != ContentLength::Exact(0)
    }

    /// Whether the client asks to go on by another protocol, which the field Upgrade names (RFC 9110, 7.8).
    pub const fn is_upgrade(&self) -> bool {
        self.facts.upgrade && self.facts.has_upgrade && matches!(self.version, Version::Http11)
    }

    fn absolute_form(&self) -> Option<(&'a str, &'a str)> {
        if self.target.first() == Some(&b'/') { None } else { self.target().split_once("://") }
    }

    fn origin_form(&self) -> &'a str {
        match self.absolute_form() {
            Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
            None if self.method == "CONNECT" => "",
            None => self.target(),
        }
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &self.target())
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish()
    }
}

/// The head of a response, lent, as [`RequestHead`].
///
/// ```
/// use wharf_protocols::http::{ContentLength, Headers, ResponseHead, Version};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let fields = [("Content-Length", &b"3"[..])];
/// let head = ResponseHead::new(200, Version::Http11, Headers::new(&fields)?)?;
/// assert_eq!(head.content_length("GET"), ContentLength::Exact(3));
/// assert_eq!(head.content_length("HEAD"), ContentLength::Exact(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct ResponseHead<'a> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
    pub(super) headers: Headers<'a>,
    pub(super) facts: Facts,
}

impl<'a> ResponseHead<'a> {
    /// A head to send, with the usual reason for its status.
    ///
    /// # Errors
    /// The [`Rule`] that it breaks: a peer could take it for another, or for two.
    pub fn new(status: u16, version: Version, headers: Headers<'a>) -> Result<Self, HttpError> {
        if !(100..=999).contains(&status) {
            return Err(HttpError::of(Rule::Status));
        }
        let mut facts = Facts::default();
        for (name, value) in headers {
            facts.add(name.as_bytes(), value).map_err(HttpError::of)?;
        }
        facts.check_response(status, version).map_err(HttpError::of)?;
        let reason = canonical_reason(status).as_bytes();
        Ok(Self { version, status, reason, headers, facts })
    }

    /// The same with a reason of its own.
    ///
    /// # Errors
    /// [`Rule::Status`] for what is not text.
    pub fn with_reason(self, reason: &'a [u8]) -> Result<Self, HttpError> {
        match is_value_text(reason) {
            true => Ok(Self { reason, ..self }),
            false => Err(HttpError::of(Rule::Status)),
        }
    }

    /// The status, from 100 to 999.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason: text for people, perhaps empty.
    pub const fn reason(&self) -> &'a [u8] {
        self.reason
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    pub const fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// Whether another head follows for the same request: 1xx, but not 101.
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// How long the content is in the answer to a request by `method` (RFC 9112, 6.3).
    pub fn content_length(&self, method: &str) -> ContentLength {
        let has_none = self.status < 200
            || matches!(self.status, 204 | 304)
            || method == "HEAD"
            || self.is_tunnel(method);
        match self.facts {
            _ if has_none => ContentLength::Exact(0),
            Facts { is_chunked: true, .. } => ContentLength::Chunked,
            Facts { content_length: Some(length), .. } => ContentLength::Exact(length),
            _ => ContentLength::UntilClose,
        }
    }

    /// Whether what follows the head is no HTTP: after 101, and after CONNECT that went well.
    pub fn is_tunnel(&self, method: &str) -> bool {
        self.status == 101 || method == "CONNECT" && (200..300).contains(&self.status)
    }

    /// Whether the server lets the connection go on afterwards (RFC 9112, 9.3).
    pub fn is_kept_alive(&self) -> bool {
        self.facts.is_kept_alive(self.version)
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("version", &self.version)
            .field("status", &self.status)
            .field("reason", &self.reason.escape_ascii().to_string())
            .field("headers", &self.headers)
            .finish()
    }
}

pub(super) fn canonical_reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}
