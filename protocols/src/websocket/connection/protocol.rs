use std::any::Any;

use wharf::{Error, Result, Timeout, Transport};

use super::{Closure, WebSocket};
use crate::websocket::{Acceptance, CloseCode, CloseReason, HandshakeError, Part, UpgradeRequest};

/// A protocol that receives messages. Install it in a [`WebSocketSession`](super::WebSocketSession).
///
/// ```
/// use wharf::Result;
/// use wharf::testing::MemoryNetwork;
/// use wharf_protocols::websocket::{
///     CloseCode, ClientHandshake, MaskKeys, ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
///     WebSocketSession,
/// };
///
/// struct Echo;
///
/// impl WebSocketProtocol for Echo {
///     fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
///         socket.send_text(text)?;
///         Ok(())
///     }
/// }
///
/// /// Says hello, and goes when it hears it.
/// #[derive(Default)]
/// struct Hello(bool);
///
/// impl WebSocketProtocol for Hello {
///     fn opened(&mut self, socket: &WebSocket) -> Result {
///         socket.send_text("hello")?;
///         Ok(())
///     }
///
///     fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
///         self.0 = text == "hello";
///         socket.close(CloseCode::NORMAL, "that was all")?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let options = WebSocketOptions::new();
///     let factory = || WebSocketSession::server(Echo, ServerHandshake::new(), WebSocketOptions::new());
///     event_loop.create_server(factory, "10.0.0.1:80").await?;
///
///     let handshake = ClientHandshake::new("ws://10.0.0.1/".parse()?, &mut MaskKeys::random());
///     let factory = || WebSocketSession::client(Hello::default(), handshake, options);
///     let client = event_loop.create_connection(factory, "10.0.0.1:80").await?;
///     while client.with(|session, _| session.protocol.0).is_ok_and(|heard| !heard) {
///         event_loop.sleep(std::time::Duration::from_millis(1)).await;
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # When no more messages are delivered
/// One read can bring many messages. Between two of them the following take effect at once; what is left is delivered
/// when reading goes on: `pause_reading` of the [transport](WebSocket::transport), until `resume_reading`; more answers
/// than the peer takes (`pause_writing` is called before the next message, which by default holds reading). After the
/// peer's close, the connection's end and an `Err` nothing is delivered.
#[doc(alias("WebSocketHandler", "on_message"))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `WebSocketProtocol`",
    label = "a WebSocket's callbacks are those of `wharf_protocols::websocket::WebSocketProtocol`"
)]
pub trait WebSocketProtocol: Any {
    /// On a server, a request was read, and `acceptance` is the answer to it: a header field can be added, or the
    /// request refused, for example because of its path or a cookie ([`HandshakeError::Refused`]).
    ///
    /// # Errors
    /// The request is refused with [`HandshakeError::status`].
    fn request_received(
        &mut self,
        request: &UpgradeRequest,
        acceptance: Acceptance,
    ) -> Result<Acceptance, HandshakeError> {
        let _ = request;
        Ok(acceptance)
    }

    /// The opening handshake is done: messages can be sent.
    #[doc(alias("on_open", "onOpen"))]
    fn opened(&mut self, socket: &WebSocket) -> Result {
        let _ = socket;
        Ok(())
    }

    /// The opening handshake has failed. Nothing else is called.
    fn opening_failed(&mut self, error: &HandshakeError) -> Result {
        let _ = error;
        Ok(())
    }

    /// A text message has arrived. It is lent: what is to be kept must be copied.
    ///
    /// The default closes with [`CloseCode::UNSUPPORTED_DATA`].
    #[doc(alias("on_message", "onMessage"))]
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        let _ = text;
        unsupported(socket)
    }

    /// A binary message has arrived. It is lent: what is to be kept must be copied.
    ///
    /// The default closes with [`CloseCode::UNSUPPORTED_DATA`].
    #[doc(alias("on_message", "onMessage"))]
    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        let _ = bytes;
        unsupported(socket)
    }

    /// A part of a message has arrived: instead of the two above, with
    /// [`WebSocketOptions::parts`](super::WebSocketOptions::parts).
    fn part_received(&mut self, socket: &WebSocket, part: Part<'_>) -> Result {
        let _ = part;
        unsupported(socket)
    }

    /// The peer asks whether this side is there. It is answered without this.
    fn ping_received(&mut self, socket: &WebSocket, payload: &[u8]) -> Result {
        let _ = (socket, payload);
        Ok(())
    }

    /// The peer answers a ping, of this protocol or of the keep-alive, which are empty.
    fn pong_received(&mut self, socket: &WebSocket, payload: &[u8]) -> Result {
        let _ = (socket, payload);
        Ok(())
    }

    /// The peer closes, or answers a close. It is answered when this returns, with its own code, unless a close was
    /// sent; what is sent before arrives.
    fn close_received(&mut self, socket: &WebSocket, reason: Option<CloseReason<'_>>) -> Result {
        let _ = (socket, reason);
        Ok(())
    }

    /// See [`Protocol::pause_writing`](wharf::Protocol::pause_writing).
    fn pause_writing(&mut self, socket: &WebSocket) -> Result {
        socket.transport().hold_reading();
        Ok(())
    }

    /// See [`Protocol::resume_writing`](wharf::Protocol::resume_writing).
    fn resume_writing(&mut self, socket: &WebSocket) -> Result {
        let _ = socket;
        Ok(())
    }

    /// See [`Protocol::timed_out`](wharf::Protocol::timed_out). [`Timeout::User`] is the session's own.
    fn timed_out(&mut self, socket: &WebSocket, timeout: Timeout) -> Result {
        let _ = socket;
        Err(Error::timeout(timeout).into())
    }

    /// See [`Protocol::shutting_down`](wharf::Protocol::shutting_down). The default closes with
    /// [`CloseCode::GOING_AWAY`].
    fn shutting_down(&mut self, socket: &WebSocket) -> Result {
        if socket.is_open() {
            socket.close(CloseCode::GOING_AWAY, "")?;
        }
        Ok(())
    }

    /// The connection has ended: called once, last, if [`opened`](Self::opened) was.
    ///
    /// `error` is what ended it: the peer broke a rule ([`Error::is_protocol_violation`], with a
    /// [`WebSocketError`](crate::websocket::WebSocketError) as its source), did not answer in time, or the network
    /// failed.
    #[doc(alias("on_close", "onClose"))]
    fn connection_lost(
        &mut self,
        socket: &WebSocket,
        closure: &Closure,
        error: Option<&Error>,
    ) -> Result {
        let _ = (socket, closure, error);
        Ok(())
    }
}

fn unsupported(socket: &WebSocket) -> Result {
    if socket.is_open() {
        socket.close(CloseCode::UNSUPPORTED_DATA, "")?;
    }
    Ok(())
}
