//! How a stream begins.

use std::rc::Rc;

use wharf::{
    ByteStream, EventLoop, Result, StreamReader, StreamWriter, Transport, TransportHandle,
};

use super::WebSocketStream;
use super::channel::{Channel, Ends};
use crate::websocket::{
    Agreed, ClientHandshake, Role, ServerHandshake, WebSocketClient, WebSocketOptions,
    WebSocketSession,
};

/// # Opening
impl WebSocketStream {
    /// Opens a WebSocket at a URL, of `ws://` or (with the feature `tls`) `wss://`: what a [`WebSocketClient`] does with
    /// nothing else set.
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// As for [`WebSocketClient::connect`].
    pub async fn connect(
        event_loop: &EventLoop,
        url: &str,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Self> {
        WebSocketClient::new(event_loop).options(options).connect(url).await
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
    /// A [`HandshakeError`](crate::websocket::HandshakeError); halves of different connections.
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
    /// A [`HandshakeError`](crate::websocket::HandshakeError); halves of different connections.
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

    /// Goes on with a connection whose opening handshake is done by others, such as an HTTP server that has written what
    /// [`Acceptance::fields`](crate::websocket::Acceptance::fields) says. What was received behind the handshake is still in
    /// the stream. For the HTTP server of this crate there is `respond` of [`ServerHandshake`].
    ///
    /// Dropping the future closes the connection.
    ///
    /// # Errors
    /// Halves of different connections.
    pub async fn upgraded(
        stream: ByteStream,
        role: Role,
        agreed: Agreed,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Self> {
        let (channel, ends) = Channel::new(&stream.writer().transport().event_loop());
        let session = WebSocketSession::upgraded(channel, role, agreed, options);
        Self::over(stream, session, ends).await
    }

    async fn over(
        stream: ByteStream,
        session: WebSocketSession<Channel>,
        ends: Ends,
    ) -> Result<Self> {
        let connection = stream.into_protocol(session)?;
        connection.post(WebSocketSession::begin);
        let opening = Opening(Some(connection.handle().clone()));
        let Ends { messages, opened, shared } = ends;
        let socket = opened.await??;
        opening.done();
        Ok(Self::new(socket, messages, shared))
    }
}

/// Closes the connection of who gives up waiting for it to open.
struct Opening(Option<TransportHandle>);

impl Opening {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.close();
        }
    }
}
