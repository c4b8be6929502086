use std::mem;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{ByteStream, Connection, Eof, Error, Protocol, Result, Timeout, Transport};

use super::keep_alive::{KeepAlive, Next};
use super::{WebSocket, WebSocketOptions, WebSocketProtocol};
use crate::backpressure::is_above_high_water;
use crate::codec::Decoder;
use crate::websocket::{
    Agreed, ClientHandshake, CloseReason, HandshakeError, Message, MessageDecoder, PartDecoder,
    Piece, RequestDecoder, ResponseDecoder, Role, ServerHandshake, UpgradeRequest, WebSocketError,
};

/// A WebSocket on a transport: install it wherever a [`Protocol`] is expected. It opens the WebSocket, feeds a
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
    writing_is_paused: bool,
    /// What the peer did, or did not in time.
    failure: Option<Error>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most connections are open")]
enum State {
    ServerOpening {
        decoder: RequestDecoder,
        handshake: Rc<ServerHandshake>,
    },
    ClientOpening {
        decoder: ResponseDecoder,
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

#[derive(Debug)]
enum Messages {
    Whole(MessageDecoder),
    Parts(PartDecoder),
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
        let state = State::ClientOpening { decoder: ResponseDecoder::new(), handshake };
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
            writing_is_paused: false,
            failure: None,
        }
    }

    /// What `connection_made` does, for a connection that was made before.
    pub(crate) fn begin(&mut self, transport: &dyn Transport) {
        if let State::Upgraded(agreed) = &mut self.state {
            let agreed = mem::take(agreed);
            if self.open(transport, agreed, None).is_err() {
                transport.abort();
            }
            return;
        }
        if matches!(self.state, State::Open { .. } | State::Failed(_)) {
            return;
        }
        transport.set_timeout(Timeout::User, Some(self.options.opening_timeout));
        if let State::ClientOpening { handshake, .. } = &self.state {
            let mut request = Vec::new();
            handshake.encode(&mut request);
            transport.write(&request);
        }
    }

    /// Reads the head of the other end. `true`: the WebSocket is open.
    fn read_head(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> Result<bool> {
        let opened = match &mut self.state {
            State::Open { .. } => return Ok(true),
            State::Upgraded(agreed) => Ok((mem::take(agreed), None)),
            State::Failed(_) => {
                *input = &[];
                return Ok(false);
            }
            State::ServerOpening { decoder, handshake } => match decoder.decode(input) {
                Ok(None) => return Ok(false),
                Err(error) => Err(error),
                Ok(Some(request)) => {
                    let acceptance = handshake.accept(&request);
                    let accepted = acceptance
                        .and_then(|accepted| self.protocol.request_received(&request, accepted));
                    accepted.map(|acceptance| {
                        let mut answer = Vec::new();
                        acceptance.encode(&mut answer);
                        transport.write(&answer);
                        (acceptance.agreed().clone(), Some(request))
                    })
                }
            },
            State::ClientOpening { decoder, handshake } => match decoder.decode(input) {
                Ok(None) => return Ok(false),
                Err(error) => Err(error),
                Ok(Some(response)) => handshake.finish(&response).map(|agreed| (agreed, None)),
            },
        };
        match opened {
            Ok((agreed, request)) => {
                self.open(transport, agreed, request)?;
                Ok(true)
            }
            Err(error) => {
                if self.role == Role::Server {
                    let mut answer = Vec::new();
                    ServerHandshake::refuse(&error, &mut answer);
                    transport.write(&answer);
                }
                self.state = State::Failed(error);
                transport.close();
                Ok(false)
            }
        }
    }

    fn open(
        &mut self,
        transport: &dyn Transport,
        agreed: Agreed,
        request: Option<UpgradeRequest>,
    ) -> Result {
        let options = &self.options;
        transport.set_timeout(Timeout::User, options.ping_interval);
        let decoder = if options.gives_parts {
            Messages::Parts(options.part_decoder(self.role, &agreed))
        } else {
            Messages::Whole(options.message_decoder(self.role, &agreed))
        };
        let socket = WebSocket::new(
            transport.handle(),
            self.role,
            options.encoder(self.role, &agreed),
            agreed,
            request,
            options.close_timeout,
        );
        self.state = State::Open { socket: socket.clone(), decoder };
        self.protocol.opened(&socket)
    }

    /// Reads messages until the input is taken or reading is to stop.
    fn read_messages(&mut self, transport: &dyn Transport, mut input: &[u8]) -> Result {
        let Self { protocol, state: State::Open { socket, decoder }, .. } = self else {
            return Ok(());
        };
        loop {
            let delivered = match decoder {
                Messages::Whole(decoder) => match decoder.decode(&mut input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(message)) => Ok(deliver(protocol, transport, socket, message)?),
                    Err(error) => Err(error),
                },
                Messages::Parts(decoder) => match decoder.decode(&mut input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(piece)) => Ok(deliver_piece(protocol, transport, socket, piece)?),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = delivered {
                self.fail(transport, error);
                return Ok(());
            }
            let is_overflowing = !self.writing_is_paused && is_above_high_water(transport);
            if is_overflowing || !transport.is_reading() {
                transport.unread(input.len());
                return Ok(());
            }
        }
    }

    /// The peer broke a rule: it is told which, and the connection ends (RFC 6455, 7.1.7).
    fn fail(&mut self, transport: &dyn Transport, error: WebSocketError) {
        if let State::Open { socket, .. } = &self.state {
            socket.fail(error.close_code(), &error.violation.to_string());
        }
        self.failure = Some(Error::protocol_violation(error));
        transport.close();
    }

    fn opening_failed(&mut self, error: HandshakeError) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Failed(error);
        }
    }
}

impl<P: WebSocketProtocol> Protocol for WebSocketSession<P> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.begin(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.keep_alive.heard();
        let mut input = data;
        if self.read_head(transport, &mut input)? {
            if !transport.is_reading() {
                transport.unread(input.len());
                return Ok(());
            }
            self.read_messages(transport, input)?;
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        let State::Open { socket, decoder } = &mut self.state else {
            self.opening_failed(HandshakeError::Truncated);
            return Ok(Eof::Close);
        };
        let finished = match decoder {
            Messages::Whole(decoder) => decoder.finish().map(drop),
            Messages::Parts(decoder) => decoder.finish().map(drop),
        };
        if let Err(error) = finished
            && !socket.has_received_close()
        {
            self.failure.get_or_insert_with(|| Error::protocol_violation(error));
        }
        Ok(Eof::Close)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.writing_is_paused = true;
        match &self.state {
            State::Open { socket, .. } => self.protocol.pause_writing(socket),
            _ => {
                transport.hold_reading();
                Ok(())
            }
        }
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.writing_is_paused = false;
        match &self.state {
            State::Open { socket, .. } => self.protocol.resume_writing(socket),
            _ => Ok(()),
        }
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        let State::Open { socket, .. } = &self.state else {
            self.opening_failed(HandshakeError::TimedOut);
            transport.abort();
            return Ok(());
        };
        if timeout != Timeout::User {
            return self.protocol.timed_out(socket, timeout);
        }
        if socket.has_sent_close() {
            if socket.has_received_close() {
                // A server that does not end the connection.
                transport.close();
            } else {
                self.failure.get_or_insert_with(|| Error::timeout(timeout));
                transport.abort();
            }
            return Ok(());
        }
        match self.keep_alive.passed() {
            Next::Wait => transport.set_timeout(Timeout::User, self.options.ping_interval),
            Next::Ask => {
                let _ = socket.ping(b"");
                transport.set_timeout(Timeout::User, Some(self.options.ping_timeout));
            }
            Next::GiveUp => {
                self.failure.get_or_insert_with(|| Error::timeout(timeout));
                transport.abort();
            }
        }
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        match &self.state {
            State::Open { socket, .. } => self.protocol.shutting_down(socket),
            _ => {
                transport.close();
                Ok(())
            }
        }
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let failed = State::Failed(HandshakeError::Truncated);
        match mem::replace(&mut self.state, failed) {
            State::Open { socket, .. } => {
                let failure = self.failure.take();
                let error = failure.as_ref().or(error);
                self.protocol.connection_lost(&socket, &socket.closure(), error)
            }
            State::Failed(error) => self.protocol.opening_failed(&error),
            _ => self.protocol.opening_failed(&HandshakeError::Truncated),
        }
    }
}

fn deliver<P: WebSocketProtocol>(
    protocol: &mut P,
    transport: &dyn Transport,
    socket: &WebSocket,
    message: Message<'_>,
) -> Result {
    match message {
        Message::Text(text) => protocol.text_received(socket, text),
        Message::Binary(bytes) => protocol.binary_received(socket, bytes),
        Message::Ping(payload) => ping(protocol, socket, payload),
        Message::Pong(payload) => protocol.pong_received(socket, payload),
        Message::Close(reason) => close(protocol, transport, socket, reason),
    }
}

fn deliver_piece<P: WebSocketProtocol>(
    protocol: &mut P,
    transport: &dyn Transport,
    socket: &WebSocket,
    piece: Piece<'_>,
) -> Result {
    match piece {
        Piece::Data(part) => protocol.part_received(socket, part),
        Piece::Ping(payload) => ping(protocol, socket, payload),
        Piece::Pong(payload) => protocol.pong_received(socket, payload),
        Piece::Close(reason) => close(protocol, transport, socket, reason),
    }
}

fn ping<P: WebSocketProtocol>(protocol: &mut P, socket: &WebSocket, payload: &[u8]) -> Result {
    if !socket.has_sent_close() {
        socket.send(&Message::Pong(payload))?;
    }
    protocol.ping_received(socket, payload)
}

fn close<P: WebSocketProtocol>(
    protocol: &mut P,
    transport: &dyn Transport,
    socket: &WebSocket,
    reason: Option<CloseReason<'_>>,
) -> Result {
    socket.close_received(reason);
    protocol.close_received(socket, reason)?;
    if !socket.has_sent_close() {
        let answer = reason.map(|reason| CloseReason::new(reason.code));
        socket.send(&Message::Close(answer))?;
    }
    // The server is the one to end the connection, so that it is not the one whose port waits (RFC 6455, 7.1.1).
    if socket.role() == Role::Server {
        transport.close();
    }
    Ok(())
}
