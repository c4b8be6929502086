//! A WebSocket from its opening to its end, on a transport.

mod opening;
mod protocol;
mod receiving;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{ByteStream, Connection, Error, Failure, Result, Transport};

use self::receiving::Messages;
use super::keep_alive::KeepAlive;
use super::{WebSocket, WebSocketOptions, WebSocketProtocol};
use crate::websocket::{
    Agreed, AnswerReader, ClientHandshake, HandshakeError, RequestDecoder, Role, ServerHandshake,
};

/// A WebSocket on a transport: install it wherever a [`Protocol`](wharf::Protocol) is expected. It opens the WebSocket, feeds a
/// [`WebSocketProtocol`], answers pings and closes, and looks after deadlines.
///
/// A WebSocket that an HTTP server has opened goes on by [`take_over`](Self::take_over), or [`upgraded`](Self::upgraded).
///
/// # How it ends
/// As RFC 6455, 7.1 has it: when both have sent a close, the server ends the connection at once, and the client waits
/// for that. A peer that breaks a rule gets a close with the code that fits, and the connection ends.
#[derive(Debug)]
pub struct WebSocketSession<P> {
    /// The protocol that receives the messages.
    pub protocol: P,
    role: Role,
    options: Rc<WebSocketOptions>,
    state: State,
    keep_alive: KeepAlive,
    /// What the peer did, or did not in time.
    failure: Option<Error>,
    /// What `opened` failed with where nobody could be told yet.
    unreported: Option<Failure>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most connections are open")]
enum State {
    ServerOpening {
        decoder: RequestDecoder,
        handshake: Rc<ServerHandshake>,
    },
    ClientOpening {
        answer: AnswerReader,
        handshake: Box<ClientHandshake>,
    },
    /// Others have done the opening handshake.
    Upgraded(Agreed),
    /// The opening handshake has failed.
    Failed(HandshakeError),
    Open {
        socket: WebSocket,
        decoder: Messages,
    },
}

impl<P: WebSocketProtocol> WebSocketSession<P> {
    /// The server's end. Connections of a server can share what is in an [`Rc`].
    pub fn server(
        protocol: P,
        handshake: impl Into<Rc<ServerHandshake>>,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Self {
        let handshake = handshake.into();
        let state = State::ServerOpening { decoder: RequestDecoder::new(), handshake };
        Self::new(protocol, Role::Server, options.into(), state)
    }

    /// The client's end.
    pub fn client(
        protocol: P,
        handshake: ClientHandshake,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Self {
        let handshake = Box::new(handshake);
        let state = State::ClientOpening { answer: AnswerReader::default(), handshake };
        Self::new(protocol, Role::Client, options.into(), state)
    }

    /// Goes on with a connection whose opening handshake is done by others, such as an HTTP server that has written
    /// what [`Acceptance::fields`](crate::websocket::Acceptance::fields) says. `leftover` is what was received after the
    /// handshake. [`WebSocketProtocol::opened`] is called before this returns.
    ///
    /// # Errors
    /// What `opened` fails with; the connection has its old protocol then.
    pub fn take_over(
        transport: &dyn Transport,
        role: Role,
        protocol: P,
        agreed: Agreed,
        options: impl Into<Rc<WebSocketOptions>>,
        leftover: impl Into<Bytes>,
    ) -> Result {
        let failed = State::Failed(HandshakeError::Truncated);
        let mut session = Self::new(protocol, role, options.into(), failed);
        session.open(transport, agreed, None)?;
        transport.set_protocol(Box::new(session), leftover.into());
        Ok(())
    }

    /// A session for a connection whose opening handshake is done by others, and that they install: see
    /// [`take_over`](Self::take_over). [`WebSocketProtocol::opened`] is called when something is received.
    pub fn upgraded(
        protocol: P,
        role: Role,
        agreed: Agreed,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Self {
        Self::new(protocol, role, options.into(), State::Upgraded(agreed))
    }

    /// As [`take_over`](Self::take_over), of a stream.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for halves of different connections.
    pub fn take_over_stream(
        stream: ByteStream,
        role: Role,
        protocol: P,
        agreed: Agreed,
        options: impl Into<Rc<WebSocketOptions>>,
    ) -> Result<Connection<Self>, Error> {
        let connection = stream.into_protocol(Self::upgraded(protocol, role, agreed, options))?;
        connection.post(Self::begin);
        Ok(connection)
    }

    /// The sending side, once the WebSocket is open.
    pub fn socket(&self) -> Option<&WebSocket> {
        match &self.state {
            State::Open { socket, .. } => Some(socket),
            _ => None,
        }
    }

    fn new(protocol: P, role: Role, options: Rc<WebSocketOptions>, state: State) -> Self {
        Self {
            protocol,
            role,
            options,
            state,
            keep_alive: KeepAlive::default(),
            failure: None,
            unreported: None,
        }
    }
}
