use std::fmt;
use std::rc::Rc;

use wharf::{Error, Items, Result, WriteStatus};

use super::OwnedMessage;
use super::channel::Shared;
use crate::websocket::{CloseCode, Closure, Message, WebSocket};

/// A WebSocket for `async` code: asyncio's `websockets`.
///
/// Pings are answered and sent, and deadlines kept, whether or not a task waits. Up to 16 messages wait for one; then
/// the peer is not read until some are taken.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Result, StreamReader, StreamWriter};
/// use wharf_protocols::websocket::{
///     CloseCode, OwnedMessage, ServerHandshake, WebSocketOptions, WebSocketStream,
/// };
///
/// async fn echo(reader: StreamReader, writer: StreamWriter) -> Result {
///     let (handshake, options) = (ServerHandshake::new(), WebSocketOptions::new());
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
///     let options = WebSocketOptions::new();
///     let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options).await?;
///     socket.send("hello").await?;
///     let answer = socket.next().await.transpose()?;
///     assert_eq!(answer, Some(OwnedMessage::Text("hello".to_owned())));
///     let closure = socket.close(CloseCode::NORMAL, "").await?;
///     assert!(closure.is_clean);
///     Ok(())
/// })
/// # }
/// ```
///
/// Dropping both halves sends a close ([`CloseCode::GOING_AWAY`]) if none was sent.
#[derive(Debug)]
#[must_use = "dropping it closes the WebSocket"]
pub struct WebSocketStream {
    reader: WebSocketReader,
    writer: WebSocketWriter,
}

impl WebSocketStream {
    pub(super) fn new(
        socket: WebSocket,
        messages: Items<OwnedMessage>,
        shared: Rc<Shared>,
    ) -> Self {
        let owner = Rc::new(Owner { socket, shared });
        let reader = WebSocketReader { messages, owner: Rc::clone(&owner) };
        Self { reader, writer: WebSocketWriter { owner } }
    }

    /// The next message; `None` when the peer has closed, and both ends have said so.
    ///
    /// Dropping the future loses no message.
    ///
    /// # Errors
    /// Once, after all messages: what ended the connection in any other way.
    pub async fn next(&mut self) -> Option<Result<OwnedMessage, Error>> {
        self.reader.next().await
    }

    /// Sends a message, and waits while too much waits to be sent.
    ///
    /// Dropping the future takes nothing back.
    ///
    /// # Errors
    /// As for [`WebSocketWriter::send`].
    pub async fn send(&self, message: impl Into<Message<'_>>) -> Result {
        self.writer.send(message).await
    }

    /// Closes, and waits for the peer's answer and the connection's end. Messages that nobody has taken are dropped.
    ///
    /// # Errors
    /// As for [`WebSocketWriter::close`].
    pub async fn close(self, code: CloseCode, reason: &str) -> Result<Closure> {
        let Self { reader, writer } = self;
        // What it holds would keep the peer's answer from being read.
        drop(reader);
        writer.close(code, reason).await
    }

    /// Makes two halves of it, for two tasks.
    pub fn split(self) -> (WebSocketReader, WebSocketWriter) {
        (self.reader, self.writer)
    }

    /// What sends without waiting, and knows what was agreed upon.
    pub fn socket(&self) -> &WebSocket {
        self.writer.socket()
    }
}

/// The half that receives.
pub struct WebSocketReader {
    messages: Items<OwnedMessage>,
    owner: Rc<Owner>,
}

impl WebSocketReader {
    /// As [`WebSocketStream::next`].
    ///
    /// # Errors
    /// As there.
    pub async fn next(&mut self) -> Option<Result<OwnedMessage, Error>> {
        self.messages.next().await
    }

    /// How it ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.owner.shared.end().map(|(closure, _)| closure)
    }
}

/// The half that sends.
pub struct WebSocketWriter {
    owner: Rc<Owner>,
}

impl WebSocketWriter {
    /// As [`WebSocketStream::send`].
    ///
    /// # Errors
    /// An [`EncodeError`](crate::websocket::EncodeError) for what cannot be sent, or after a close; what ended the
    /// connection, if it has.
    pub async fn send(&self, message: impl Into<Message<'_>>) -> Result {
        let Owner { socket, shared } = &*self.owner;
        if let Some((_, error)) = shared.end() {
            return Err(error.map_or_else(|| "the WebSocket is closed".into(), Into::into));
        }
        let status = socket.send(&message.into())?;
        if !status.is_taken() {
            return Err("the WebSocket is closed".into());
        }
        if status == WriteStatus::AboveHighWater {
            // Such a write is always followed by `pause_writing` and `resume_writing`.
            shared.pause();
            shared.resumed().await;
        }
        Ok(())
    }

    /// Closes, and waits for the peer's answer and the connection's end: the other half has to go on reading, or be
    /// dropped.
    ///
    /// # Errors
    /// An [`EncodeError`](crate::websocket::EncodeError) for a code or words that cannot be sent. A peer that does not
    /// answer is no error: see [`Closure::is_clean`].
    pub async fn close(self, code: CloseCode, reason: &str) -> Result<Closure> {
        let Owner { socket, shared } = &*self.owner;
        if socket.is_open() {
            socket.close(code, reason)?;
        }
        Ok(shared.ended().await)
    }

    /// What sends without waiting, and knows what was agreed upon.
    pub fn socket(&self) -> &WebSocket {
        &self.owner.socket
    }
}

/// Closes when both halves are gone.
struct Owner {
    socket: WebSocket,
    shared: Rc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.socket.is_open() {
            let _ = self.socket.close(CloseCode::GOING_AWAY, "");
        }
    }
}

impl fmt::Debug for WebSocketReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocketReader")
            .field("socket", &self.owner.socket)
            .field("waiting", &self.messages.len())
            .finish()
    }
}

impl fmt::Debug for WebSocketWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WebSocketWriter").field("socket", &self.owner.socket).finish()
    }
}
