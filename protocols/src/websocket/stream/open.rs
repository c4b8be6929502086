//! How a stream begins.

use std::rc::Rc;

use wharf::{
    ByteStream, Connection, EventLoop, Result, StreamReader, StreamWriter, Transport,
    TransportHandle,
};

use super::WebSocketStream;
use super::channel::{Channel, Ends};
use crate::websocket::{
    ClientHandshake, HandshakeError, MaskKeys, ServerHandshake, WebSocketOptions, WebSocketSession,
    WebSocketUrl,
};

/// # Opening
impl WebSocketStream {
    /// Connects to a `ws://` URL and opens a WebSocket there.
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// A [`HandshakeError`] for a URL that is none, and one of `wss://`: that needs TLS, see
    /// [`connect_over`](Self::connect_over); what connecting fails with; what the server refuses.
    pub async fn connect(
        event_loop: &EventLoop,
        url: &str,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Self> {
        let url: WebSocketUrl = url.parse()?;
        if url.is_secure() {
            return Err(HandshakeError::Url("needs TLS").into());
        }
        let address = url.address();
        let handshake = ClientHandshake::new(url, &mut MaskKeys::random());
        let (channel, ends) = Channel::new(event_loop);
        let session = WebSocketSession::client(channel, handshake, options);
        let connection = event_loop.create_connection(|| session, address).await?;
        Self::opened(connection, ends).await
    }

    /// Opens a WebSocket over a connection that is there, for example one with TLS, through a proxy, or on a Unix
    /// socket; with the sub-protocols and the header fields of `handshake`.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    /// use wharf_protocols::websocket::{
    ///     ClientHandshake, MaskKeys, WebSocketOptions, WebSocketStream, WebSocketUrl,
    /// };
    ///
    /// async fn open(event_loop: &EventLoop, url: &str) -> Result<WebSocketStream> {
    ///     let url: WebSocketUrl = url.parse()?;
    ///     // With `.tls(TlsClient::new()?)` for one of `wss://`.
    ///     let (reader, writer) = event_loop.open_connection(url.address()).await?;
    ///     let handshake = ClientHandshake::new(url, &mut MaskKeys::random()).protocols(["chat.v2"])?;
    ///     WebSocketStream::connect_over(reader, writer, handshake, WebSocketOptions::new()).await
    /// }
    /// # let _ = open;
    /// ```
    ///
    /// # Errors
    /// A [`HandshakeError`]; halves of different connections.
    pub async fn connect_over(
        reader: StreamReader,
        writer: StreamWriter,
        handshake: ClientHandshake,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Self> {
        let (channel, ends) = Channel::new(&writer.transport().event_loop());
        let session = WebSocketSession::client(channel, handshake, options);
        Self::over(ByteStream::join(reader, writer), session, ends).await
    }

    /// Reads a request from a connection, and accepts it. One that is refused is answered.
    ///
    /// # Errors
    /// A [`HandshakeError`]; halves of different connections.
    pub async fn accept(
        reader: StreamReader,
        writer: StreamWriter,
        handshake: impl Into<Rc<ServerHandshake>>,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Self> {
        let (channel, ends) = Channel::new(&writer.transport().event_loop());
        let session = WebSocketSession::server(channel, handshake, options);
        Self::over(ByteStream::join(reader, writer), session, ends).await
    }

    async fn over(
        stream: ByteStream,
        session: WebSocketSession<Channel>,
        ends: Ends,
    ) -> Result<Self> {
        let connection = stream.into_protocol(session)?;
        connection.post(WebSocketSession::begin);
        Self::opened(connection, ends).await
    }

    async fn opened(connection: Connection<WebSocketSession<Channel>>, ends: Ends) -> Result<Self> {
        let opening = Opening(Some(connection.handle().clone()));
        let Ends { messages, opened, shared } = ends;
        let socket = opened.await??;
        opening.succeeded();
        Ok(Self::new(socket, messages, shared))
    }
}

/// Closes the connection of an opening that fails, or that nobody waits for any more.
struct Opening(Option<TransportHandle>);

impl Opening {
    fn succeeded(mut self) {
        self.0 = None;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.close();
        }
    }
}
