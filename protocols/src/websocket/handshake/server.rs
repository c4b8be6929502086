#[cfg(feature = "websocket-deflate")]
use super::extensions;
use super::head::is_own_name;
use super::{Agreed, HandshakeError, UpgradeRequest, key};
use crate::field_syntax::{is_token_text, is_value_text};

/// What a server answers to requests for a WebSocket (RFC 6455, 4.2.2).
///
/// It takes requests of clients that are no browsers, and those that browsers make for pages of the same host. A page
/// from elsewhere could otherwise talk to the server in the name of whoever looks at it; see
/// [`allow_origins`](Self::allow_origins).
///
/// ```
/// use wharf_protocols::websocket::{HandshakeError, ServerHandshake, UpgradeRequest};
///
/// # fn main() -> Result<(), HandshakeError> {
/// // What an HTTP server has read.
/// let fields: [(&str, &[u8]); 6] = [
///     ("host", b"example.org"),
///     ("upgrade", b"websocket"),
///     ("connection", b"keep-alive, Upgrade"),
///     ("sec-websocket-version", b"13"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-protocol", b"chat.v1, chat.v2"),
/// ];
/// let request = UpgradeRequest::from_fields("GET", "/chat", fields)?;
/// let acceptance = ServerHandshake::new().protocols(["chat.v2"]).accept(&request)?;
/// assert_eq!(acceptance.agreed().protocol.as_deref(), Some("chat.v2"));
/// // What the HTTP server answers, with status 101.
/// let fields: Vec<_> = acceptance.fields().collect();
/// assert_eq!(fields[3], ("Sec-WebSocket-Protocol", "chat.v2"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerHandshake {
    protocols: Vec<String>,
    origins: Origins,
    #[cfg(feature = "websocket-deflate")]
    deflate: Option<crate::websocket::DeflateOptions>,
}

#[derive(Clone, Debug, Default)]
enum Origins {
    #[default]
    SameHost,
    These(Vec<String>),
    Any,
}

impl ServerHandshake {
    /// No sub-protocols, and pages of the same host only.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sub-protocols that the server speaks, the best one first. The first one that the client speaks as well is
    /// chosen; if there is none, the connection is opened without, and it is for the server to close it.
    #[must_use]
    pub fn protocols<T: Into<String>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Takes requests for pages from these origins, such as `https://example.org`, besides clients that are no browsers
    /// (RFC 6455, 10.2).
    #[must_use]
    pub fn allow_origins<T: Into<String>>(mut self, origins: impl IntoIterator<Item = T>) -> Self {
        self.origins = Origins::These(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Takes requests for pages from anywhere: for servers that do the same for everybody.
    #[must_use]
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Compresses messages, if the client offers it in a way that agrees with `options`.
    #[cfg(feature = "websocket-deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
    #[must_use]
    pub fn deflate(mut self, options: crate::websocket::DeflateOptions) -> Self {
        self.deflate = Some(options);
        self
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// [`HandshakeError::Origin`].
    pub fn accept(&self, request: &UpgradeRequest) -> Result<Acceptance, HandshakeError> {
        if let Some(origin) = request.origin()
            && !self.allows(origin, request.host())
        {
            return Err(HandshakeError::Origin(origin.to_owned()));
        }
        let is_offered =
            |protocol: &&String| request.protocols().any(|offered| offered == protocol.as_str());
        #[cfg_attr(not(feature = "websocket-deflate"), expect(unused_mut, reason = "no extension"))]
        let mut agreed = Agreed {
            protocol: self.protocols.iter().find(is_offered).cloned(),
            ..Agreed::default()
        };
        let mut fields = vec![
            ("Upgrade".to_owned(), "websocket".to_owned()),
            ("Connection".to_owned(), "Upgrade".to_owned()),
            ("Sec-WebSocket-Accept".to_owned(), key::accept(request.key())),
        ];
        if let Some(protocol) = &agreed.protocol {
            fields.push(("Sec-WebSocket-Protocol".to_owned(), protocol.clone()));
        }
        #[cfg(feature = "websocket-deflate")]
        if let Some((parameters, answer)) = self.accept_deflate(request)? {
            fields.push(("Sec-WebSocket-Extensions".to_owned(), answer));
            agreed.deflate = Some(parameters);
        }
        Ok(Acceptance { agreed, fields })
    }

    /// Appends the answer to a request that cannot be accepted: an HTTP response with the error's status, after which
    /// the connection is closed.
    pub fn refuse(error: &HandshakeError, output: &mut Vec<u8>) {
        // What is no refusal is not sent as one.
        let status = if (400..600).contains(&error.status()) { error.status() } else { 500 };
        let phrase = match status {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            400..500 => "Bad Request",
            _ => "Refused",
        };
        let more = match error {
            HandshakeError::Method => "Allow: GET\r\n",
            HandshakeError::WebSocketVersion => {
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            }
            _ => "",
        };
        let close = if status == 426 { "" } else { "Connection: close\r\n" };
        let head = format!(
            "HTTP/1.1 {status} {phrase}\r\n{more}{close}Content-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{phrase}\n",
            phrase.len() + 1,
        );
        output.extend_from_slice(head.as_bytes());
    }

    /// The first of the client's offers that agrees with our options.
    #[cfg(feature = "websocket-deflate")]
    fn accept_deflate(
        &self,
        request: &UpgradeRequest,
    ) -> Result<Option<(crate::websocket::DeflateParameters, String)>, HandshakeError> {
        let Some(options) = &self.deflate else { return Ok(None) };
        let name = "Sec-WebSocket-Extensions";
        let mut accepted = None;
        for value in request.fields().all(name) {
            let rule = "does not follow the grammar";
            let offers = extensions::parse(value).ok_or(HandshakeError::Field { name, rule })?;
            accepted = accepted.or_else(|| offers.iter().find_map(|offer| options.accept(offer)));
        }
        Ok(accepted)
    }

    fn allows(&self, origin: &str, host: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(origins) => {
                origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
            }
            Origins::SameHost => {
                let (scheme, authority) = origin.split_once("://").unwrap_or_default();
                let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
                let shortened = |authority: &str| {
                    let name = authority.strip_suffix(usual).unwrap_or(authority);
                    name.to_ascii_lowercase()
                };
                !authority.is_empty() && shortened(authority) == shortened(host)
            }
        }
    }
}

/// A request that is accepted: what to answer, and what is agreed upon.
#[derive(Clone, Debug)]
pub struct Acceptance {
    agreed: Agreed,
    fields: Vec<(String, String)>,
}

impl Acceptance {
    /// What is agreed upon.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Adds a header field to the answer, such as `Set-Cookie`.
    ///
    /// # Errors
    /// [`HandshakeError::Unsendable`]: the name is no token or one of the handshake's own, or the value has a line end
    /// or a control character, or blanks around it.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, HandshakeError> {
        if !is_token_text(name.as_bytes()) || is_own_name(name) {
            return Err(HandshakeError::Unsendable("the name of a header field"));
        }
        if !is_value_text(value.as_bytes()) {
            return Err(HandshakeError::Unsendable("the value of a header field"));
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// The header fields of the answer, for an HTTP server that sends it. The status is 101.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Appends the answer.
    pub fn encode(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        for (name, value) in self.fields() {
            for text in [name, ": ", value, "\r\n"] {
                output.extend_from_slice(text.as_bytes());
            }
        }
        output.extend_from_slice(b"\r\n");
    }
}
