//! Clients that begin with a URL.

mod connect;
mod redirect;
#[cfg(test)]
mod tests;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Connection, EventLoop, Result, timeout};

use super::{
    Agreed, ClientHandshake, HandshakeError, MaskKeys, Role, WebSocketOptions, WebSocketProtocol,
    WebSocketSession, WebSocketStream, WebSocketUrl,
};

/// Connects to `ws://` and `wss://` URLs: with TLS, through a proxy, and with what the request is to say besides. Cloning
/// shares what is set.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Result, StreamReader, StreamWriter};
/// use wharf_protocols::websocket::{
///     OwnedMessage, ServerHandshake, WebSocketClient, WebSocketOptions, WebSocketStream,
/// };
///
/// async fn echo(reader: StreamReader, writer: StreamWriter) -> Result {
///     let handshake = ServerHandshake::new().protocols(["chat.v2"]);
///     let options = WebSocketOptions::new();
///     let mut socket = WebSocketStream::accept(reader, writer, handshake, options).await?;
///     while let Some(message) = socket.next().await {
///         socket.send(&message?).await?;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.start_server(echo, "10.0.0.1:80").await?;
///
///     let client = WebSocketClient::new(&event_loop)
///         .protocols(["chat.v2", "chat.v1"])
///         .field("Authorization", "Bearer 1234");
///     let mut socket = client.connect("ws://10.0.0.1/room?name=hall").await?;
///     assert_eq!(socket.socket().agreed().protocol.as_deref(), Some("chat.v2"));
///     socket.send("hello").await?;
///     let answer = socket.next().await.transpose()?;
///     assert_eq!(answer, Some(OwnedMessage::Text("hello".to_owned())));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Deadlines
/// A connection, with its proxy and the handshake of TLS, within [`connect_timeout`](Self::connect_timeout), 30 s by
/// default; then the opening handshake within [`WebSocketOptions::opening_timeout`], 10 s. Each redirect begins anew.
///
/// # Errors
/// A connection that cannot be made fails with a [`wharf::Error`]. All else is a [`HandshakeError`]: a URL that is none,
/// a sub-protocol or a field that cannot be sent, an answer that breaks a rule, and a server that does not agree
/// ([`HandshakeError::Answered`], with what it says).
///
/// ```
/// use wharf::Failure;
/// use wharf_protocols::websocket::HandshakeError;
///
/// fn explain(failure: &Failure) -> String {
///     match failure.downcast_ref() {
///         Some(HandshakeError::Answered(answer)) if answer.status() == 401 => "log in first".to_owned(),
///         _ => failure.to_string(),
///     }
/// }
/// # let _ = explain;
/// ```
#[derive(Clone)]
#[must_use]
pub struct WebSocketClient {
    event_loop: EventLoop,
    options: Rc<WebSocketOptions>,
    protocols: Vec<String>,
    fields: Vec<(String, String)>,
    #[cfg(feature = "websocket-deflate")]
    deflate: Option<super::DeflateOptions>,
    #[cfg(feature = "tls")]
    tls: Rc<std::cell::OnceCell<wharf::TlsClient>>,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    max_redirects: usize,
}

#[derive(Clone)]
struct Proxy {
    address: String,
    authorization: Option<String>,
}

impl WebSocketClient {
    /// A client on that loop: no sub-protocols, no further header fields, no compression, no proxy, no redirects, and the
    /// defaults of [`WebSocketOptions`].
    pub fn new(event_loop: &EventLoop) -> Self {
        Self {
            event_loop: event_loop.clone(),
            options: Rc::default(),
            protocols: Vec::new(),
            fields: Vec::new(),
            #[cfg(feature = "websocket-deflate")]
            deflate: None,
            #[cfg(feature = "tls")]
            tls: Rc::default(),
            proxy: None,
            connect_timeout: Duration::from_secs(30),
            max_redirects: 0,
        }
    }

    /// Limits and deadlines.
    pub fn options(mut self, options: impl Into<Rc<WebSocketOptions>>) -> Self {
        self.options = options.into();
        self
    }

    /// See [`ClientHandshake::protocols`]; one that cannot be sent is an error of connecting.
    pub fn protocols<T: Into<String>>(mut self, protocols: impl IntoIterator<Item = T>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// See [`ClientHandshake::field`]; one that cannot be sent is an error of connecting.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Offers to compress messages. The server may decline.
    #[cfg(feature = "websocket-deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
    pub fn deflate(mut self, options: super::DeflateOptions) -> Self {
        self.deflate = Some(options);
        self
    }

    /// What to trust, and what to show, where the URL is one of `wss://`. By default what [`wharf::TlsClient::new`] trusts,
    /// with `http/1.1` as the application protocol (ALPN). The server's certificate must be for the URL's host, which is
    /// also asked for (SNI), unless `tls` [says another name](wharf::TlsClient::server_name).
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: wharf::TlsClient) -> Self {
        self.tls = Rc::new(tls.into());
        self
    }

    /// Connects by CONNECT to an HTTP proxy at `address`, such as `127.0.0.1:3128` (RFC 9110, 9.3.6); the name of the
    /// server is for the proxy to resolve.
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.proxy = Some(Proxy { address: address.into(), authorization: None });
        self
    }

    /// What to show the proxy in `Proxy-Authorization`, such as `Basic dXNlcjpwYXNz`. Without a proxy it does nothing;
    /// what cannot be sent is an error of connecting.
    pub fn proxy_authorization(mut self, value: impl Into<String>) -> Self {
        if let Some(proxy) = &mut self.proxy {
            proxy.authorization = Some(value.into());
        }
        self
    }

    /// How long it may take to connect, with the proxy and TLS.
    pub fn connect_timeout(mut self, after: Duration) -> Self {
        self.connect_timeout = after;
        self
    }

    /// How many redirects to follow, one after the other; none unless set. One that is not followed is the error
    /// [`HandshakeError::Answered`]: where none is left, without a `Location`, or from `wss` to `ws`. `Authorization`,
    /// `Cookie` and `Proxy-Authorization` are not sent to another origin.
    pub fn max_redirects(mut self, count: usize) -> Self {
        self.max_redirects = count;
        self
    }

    /// Opens a WebSocket at `url`, for `async` code.
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// See [the type](Self#errors).
    pub async fn connect(&self, url: &str) -> Result<WebSocketStream> {
        let opened = self.open(url.parse()?).await?;
        let options = Rc::clone(&self.options);
        WebSocketStream::upgraded(opened.stream, Role::Client, opened.agreed, options).await
    }

    /// Opens a WebSocket at `url`, for a protocol, which is installed when the opening handshake is done, and dropped if
    /// it fails.
    ///
    /// The future does nothing until it is driven; dropping it closes the connection. Code that is not async makes a task
    /// of it:
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    /// use wharf_protocols::websocket::{WebSocket, WebSocketClient, WebSocketProtocol};
    ///
    /// struct Hello;
    ///
    /// impl WebSocketProtocol for Hello {
    ///     fn opened(&mut self, socket: &WebSocket) -> Result {
    ///         socket.send_text("hello")?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn begin(event_loop: &EventLoop) {
    ///     let connecting = WebSocketClient::new(event_loop).create_connection(Hello, "ws://10.0.0.1/");
    ///     let task = event_loop.create_task(connecting);
    ///     task.add_done_callback(|result| match result {
    ///         Ok(Ok(connection)) => println!("open: {connection:?}"),
    ///         Ok(Err(error)) => println!("not opened: {error}"),
    ///         Err(error) => println!("given up: {error}"),
    ///     });
    /// }
    /// # wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
    /// #     begin(&event_loop);
    /// #     event_loop.sleep(std::time::Duration::from_secs(1)).await;
    /// #     Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// See [the type](Self#errors).
    pub fn create_connection<P: WebSocketProtocol>(
        &self,
        protocol: P,
        url: &str,
    ) -> impl Future<Output = Result<Connection<WebSocketSession<P>>>> + 'static + use<P> {
        let (client, url) = (self.clone(), url.parse());
        async move {
            let opened = client.open(url?).await?;
            let connection = WebSocketSession::take_over_stream(
                opened.stream,
                Role::Client,
                protocol,
                opened.agreed,
                client.options,
            )?;
            Ok(connection)
        }
    }

    async fn open(&self, url: WebSocketUrl) -> Result<Opened> {
        let (mut url, mut fields) = (url, self.fields.clone());
        for left in (0..=self.max_redirects).rev() {
            let answer = match self.open_once(&url, &fields).await {
                Ok(opened) => return Ok(opened),
                Err(failure) => failure,
            };
            let Some(HandshakeError::Answered(response)) = answer.downcast_ref() else {
                return Err(answer);
            };
            match redirect::follow(&url, response) {
                Some(next) if left > 0 => {
                    redirect::keep_for(&mut fields, &url, &next);
                    url = next;
                }
                _ => return Err(answer),
            }
        }
        Err(HandshakeError::Truncated.into())
    }

    async fn open_once(&self, url: &WebSocketUrl, fields: &[(String, String)]) -> Result<Opened> {
        let handshake = self.handshake(url, fields)?;
        let mut stream = timeout(self.connect_timeout, self.connect_stream(url)).await??;
        let answer = connect::shake_hands(&mut stream, &handshake, self.options.opening_timeout);
        let agreed = answer.await?;
        Ok(Opened { stream, agreed })
    }

    fn handshake(
        &self,
        url: &WebSocketUrl,
        fields: &[(String, String)],
    ) -> Result<ClientHandshake, HandshakeError> {
        let mut handshake = ClientHandshake::new(url.clone(), &mut MaskKeys::random())
            .protocols(self.protocols.iter().map(String::as_str))?;
        for (name, value) in fields {
            handshake = handshake.field(name, value)?;
        }
        #[cfg(feature = "websocket-deflate")]
        if let Some(options) = &self.deflate {
            handshake = handshake.deflate(options.clone());
        }
        Ok(handshake)
    }
}

/// A connection whose opening handshake is done.
struct Opened {
    stream: wharf::ByteStream,
    agreed: Agreed,
}

impl fmt::Debug for WebSocketClient {
    /// Without the fields: they may be secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocketClient")
            .field("options", &self.options)
            .field("protocols", &self.protocols)
            .field("proxy", &self.proxy.as_ref().map(|proxy| &proxy.address))
            .field("max_redirects", &self.max_redirects)
            .finish_non_exhaustive()
    }
}
