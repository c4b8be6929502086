use super::head::is_own_name;
use super::{Agreed, HandshakeError, UpgradeResponse, WebSocketUrl, extensions, key};
use crate::field_syntax::{is_token_text, is_value_text};
use crate::websocket::MaskKeys;

/// What a client asks for, and whether the answer is one (RFC 6455, 4.1).
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::websocket::{ClientHandshake, HandshakeError, MaskKeys, ResponseDecoder};
///
/// # fn main() -> Result<(), HandshakeError> {
/// let keys = &mut MaskKeys::random();
/// let handshake = ClientHandshake::new("ws://example.org/chat".parse()?, keys).protocols(["chat.v2"])?;
/// let mut request = Vec::new();
/// handshake.encode(&mut request);
/// assert!(request.starts_with(b"GET /chat HTTP/1.1\r\nHost: example.org\r\n"));
///
/// let mut input = &b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..];
/// let response = ResponseDecoder::new().decode(&mut input)?.expect("it is whole");
/// let error = handshake.finish(&response).expect_err("it is not there");
/// assert!(matches!(error, HandshakeError::Answered(response) if response.status() == 404));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    url: WebSocketUrl,
    key: String,
    protocols: Vec<String>,
    fields: Vec<(String, String)>,
    #[cfg(feature = "websocket-deflate")]
    deflate: Option<crate::websocket::DeflateOptions>,
}

impl ClientHandshake {
    /// Asks for a WebSocket at `url`, with a nonce from `keys`.
    pub fn new(url: WebSocketUrl, keys: &mut MaskKeys) -> Self {
        Self {
            url,
            key: key::encode(keys.nonce()),
            protocols: Vec::new(),
            fields: Vec::new(),
            #[cfg(feature = "websocket-deflate")]
            deflate: None,
        }
    }

    /// The sub-protocols that the client speaks, the best one first. The server chooses one, or none.
    ///
    /// # Errors
    /// [`HandshakeError::Unsendable`]: one is no token, or is there twice.
    pub fn protocols<T: Into<String>>(
        mut self,
        protocols: impl IntoIterator<Item = T>,
    ) -> Result<Self, HandshakeError> {
        self.protocols = Vec::new();
        for protocol in protocols {
            let protocol = protocol.into();
            if !is_token_text(protocol.as_bytes()) || self.protocols.contains(&protocol) {
                return Err(HandshakeError::Unsendable("a sub-protocol"));
            }
            self.protocols.push(protocol);
        }
        Ok(self)
    }

    /// Adds a header field to the request, such as `Authorization`, `Cookie` or `Origin`.
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

    /// Offers to compress messages. The server may decline.
    #[cfg(feature = "websocket-deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
    #[must_use]
    pub fn deflate(mut self, options: crate::websocket::DeflateOptions) -> Self {
        self.deflate = Some(options);
        self
    }

    /// Where the WebSocket is.
    pub fn url(&self) -> &WebSocketUrl {
        &self.url
    }

    /// Appends the request.
    pub fn encode(&self, output: &mut Vec<u8>) {
        let mut line = |parts: &[&str]| {
            for part in parts {
                output.extend_from_slice(part.as_bytes());
            }
            output.extend_from_slice(b"\r\n");
        };
        line(&["GET ", self.url.target(), " HTTP/1.1"]);
        line(&["Host: ", &self.url.host_field()]);
        line(&["Upgrade: websocket"]);
        line(&["Connection: Upgrade"]);
        line(&["Sec-WebSocket-Key: ", &self.key]);
        line(&["Sec-WebSocket-Version: 13"]);
        if !self.protocols.is_empty() {
            line(&["Sec-WebSocket-Protocol: ", &self.protocols.join(", ")]);
        }
        #[cfg(feature = "websocket-deflate")]
        if let Some(options) = &self.deflate {
            line(&["Sec-WebSocket-Extensions: ", &options.offer()]);
        }
        for (name, value) in &self.fields {
            line(&[name, ": ", value]);
        }
        line(&[]);
    }

    /// Checks the server's answer, and says what is agreed upon. The connection is a WebSocket from the end of the head
    /// on.
    ///
    /// # Errors
    /// [`HandshakeError::Answered`] for another status than 101, such as a redirect, which is for the caller to follow;
    /// [`HandshakeError::Field`] if the server does not show that it has understood, or chose what was not offered.
    pub fn finish(&self, response: &UpgradeResponse) -> Result<Agreed, HandshakeError> {
        if response.status() != 101 {
            return Err(HandshakeError::Answered(Box::new(response.clone())));
        }
        let fields = response.fields();
        let refuse = |name, rule| Err(HandshakeError::Field { name, rule });
        if !fields.required("Upgrade")?.eq_ignore_ascii_case("websocket") {
            return refuse("Upgrade", "is not websocket");
        }
        if !fields.lists("Connection", "upgrade") {
            return refuse("Connection", "is not Upgrade");
        }
        if fields.required("Sec-WebSocket-Accept")? != key::accept(&self.key) {
            return refuse("Sec-WebSocket-Accept", "does not fit the key");
        }
        let protocol = fields.single("Sec-WebSocket-Protocol")?.map(str::to_owned);
        if protocol.as_ref().is_some_and(|protocol| !self.protocols.contains(protocol)) {
            return refuse("Sec-WebSocket-Protocol", "was not offered");
        }
        let mut agreed = Agreed { protocol, ..Agreed::default() };
        for value in fields.all("Sec-WebSocket-Extensions") {
            let Some(accepted) = extensions::parse(value) else {
                return refuse("Sec-WebSocket-Extensions", "does not follow the grammar");
            };
            if accepted.iter().any(|extension| !self.agrees(extension, &mut agreed)) {
                return refuse("Sec-WebSocket-Extensions", "was not offered");
            }
        }
        Ok(agreed)
    }

    /// Whether the server may accept this extension, which was offered once.
    #[cfg(feature = "websocket-deflate")]
    fn agrees(&self, extension: &extensions::Extension, agreed: &mut Agreed) -> bool {
        let is_first = agreed.deflate.is_none();
        agreed.deflate = self.deflate.as_ref().and_then(|options| options.agree(extension));
        is_first && agreed.deflate.is_some()
    }

    /// No extension was offered.
    #[cfg(not(feature = "websocket-deflate"))]
    fn agrees(&self, _: &extensions::Extension, _: &mut Agreed) -> bool {
        false
    }
}
