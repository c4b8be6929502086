use std::collections::BTreeSet;

use super::head::{HeadBuffer, tokens};
use super::{HandshakeError, MAX_HEADER_FIELDS, key};

/// Header fields, in order. Names in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadFields(Vec<(String, String)>);

impl HeadFields {
    /// The first field of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All fields of that name.
    pub fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        let fields = self.0.iter().filter(move |field| field.0.eq_ignore_ascii_case(name));
        fields.map(|field| field.1.as_str())
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn from_pairs<'f>(fields: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect())
    }

    pub(super) fn from_parsed(fields: &[httparse::Header<'_>]) -> Self {
        Self::from_pairs(fields.iter().map(|field| (field.name, field.value)))
    }

    /// The field of that name, which may be there once.
    pub(super) fn single(&self, name: &'static str) -> Result<Option<&str>, HandshakeError> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() {
            return Err(HandshakeError::Field { name, rule: "is there twice" });
        }
        Ok(first)
    }

    /// The field of that name, which must be there once.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, HandshakeError> {
        self.single(name)?.ok_or(HandshakeError::Field { name, rule: "is missing" })
    }

    /// Whether one of the fields of that name lists the token.
    pub(super) fn lists(&self, name: &str, token: &str) -> bool {
        let is_wanted = |element: Option<&str>| {
            element.is_some_and(|element| element.eq_ignore_ascii_case(token))
        };
        self.all(name).any(|value| tokens(value).any(is_wanted))
    }
}

/// Bytes above ASCII are obsolete (RFC 9110, 5.5), and each stands for itself.
fn text(value: &[u8]) -> String {
    let text = value.iter().map(|&byte| char::from(byte)).collect::<String>();
    text.trim_matches([' ', '\t']).to_owned()
}

/// A request to open a WebSocket, which follows all rules of RFC 6455, 4.2.1.
///
/// Read by a [`ServerHandshake`](super::ServerHandshake), or made of a request that an HTTP server has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    target: String,
    fields: HeadFields,
}

impl UpgradeRequest {
    /// A request that an HTTP server has read: its method, its target, and its header fields in order.
    ///
    /// The version has to be HTTP/1.1, and the request without a body.
    ///
    /// # Errors
    /// It does not ask for a WebSocket, or not in the right way: [`HandshakeError::status`] says how to answer.
    pub fn from_fields<'f>(
        method: &str,
        target: &str,
        fields: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Result<Self, HandshakeError> {
        Self::checked(method, target, HeadFields::from_pairs(fields))
    }

    /// The path and the query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The host that the client asked for, with its port if it is not the usual one.
    pub fn host(&self) -> &str {
        self.fields.get("Host").unwrap_or_default()
    }

    /// Where the page is from whose script asks; `None` for clients that are no browsers (RFC 6454, 7).
    pub fn origin(&self) -> Option<&str> {
        self.fields.get("Origin")
    }

    /// The sub-protocols that the client speaks, the best one first.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.fields.all("Sec-WebSocket-Protocol").flat_map(|value| tokens(value).flatten())
    }

    /// All header fields, for example cookies.
    pub fn fields(&self) -> &HeadFields {
        &self.fields
    }

    pub(super) fn key(&self) -> &str {
        self.fields.get("Sec-WebSocket-Key").unwrap_or_default()
    }

    pub(super) fn parse(head: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADER_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(head).map_err(HeadBuffer::malformed)?;
        if request.version != Some(1) {
            return Err(HandshakeError::HttpVersion);
        }
        let fields = HeadFields::from_parsed(request.headers);
        Self::checked(request.method.unwrap_or_default(), request.path.unwrap_or_default(), fields)
    }

    fn checked(method: &str, target: &str, fields: HeadFields) -> Result<Self, HandshakeError> {
        if method != "GET" {
            return Err(HandshakeError::Method);
        }
        let host = fields.required("Host")?;
        let target = path_of(target, host)?;
        if !fields.lists("Upgrade", "websocket") {
            let rule = "does not ask for websocket";
            return Err(HandshakeError::Field { name: "Upgrade", rule });
        }
        if !fields.lists("Connection", "upgrade") {
            let rule = "does not ask for an upgrade";
            return Err(HandshakeError::Field { name: "Connection", rule });
        }
        if fields.single("Sec-WebSocket-Version")? != Some("13") {
            return Err(HandshakeError::WebSocketVersion);
        }
        if !key::is_valid(fields.required("Sec-WebSocket-Key")?) {
            let rule = "is not the base64 of 16 bytes";
            return Err(HandshakeError::Field { name: "Sec-WebSocket-Key", rule });
        }
        fields.single("Origin")?;
        if fields.get("Transfer-Encoding").is_some() {
            let rule = "says that a body follows";
            return Err(HandshakeError::Field { name: "Transfer-Encoding", rule });
        }
        if fields.all("Content-Length").any(|length| length != "0") {
            let rule = "says that a body follows";
            return Err(HandshakeError::Field { name: "Content-Length", rule });
        }
        let mut offered = BTreeSet::new();
        for value in fields.all("Sec-WebSocket-Protocol") {
            for token in tokens(value) {
                match token {
                    Some(token) if offered.insert(token) => (),
                    _ => {
                        let rule = "is not a list of different tokens";
                        let name = "Sec-WebSocket-Protocol";
                        return Err(HandshakeError::Field { name, rule });
                    }
                }
            }
        }
        Ok(Self { target, fields })
    }
}

/// The path and the query of a target, which may be a whole URI of the request's host (RFC 6455, 4.2.1; RFC 9112, 3.2).
fn path_of(target: &str, host: &str) -> Result<String, HandshakeError> {
    let malformed = HandshakeError::Malformed { offset: 0, rule: "the target is no path" };
    if target.contains('#') {
        return Err(malformed);
    }
    if target.starts_with('/') {
        return Ok(target.to_owned());
    }
    let Some((scheme, rest)) = target.split_once("://") else { return Err(malformed) };
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(malformed);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !authority.eq_ignore_ascii_case(host) {
        return Err(HandshakeError::Field { name: "Host", rule: "is not that of the target" });
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{path}"))
}
