//! Messages and control frames, to the protocol.

use wharf::{Error, Result, Transport};

use super::{State, WebSocketSession};
use crate::backpressure::is_above_high_water;
use crate::codec::Decoder;
use crate::websocket::connection::{WebSocket, WebSocketProtocol};
use crate::websocket::{
    CloseReason, Message, MessageDecoder, PartDecoder, Piece, Role, WebSocketError,
};

#[derive(Debug)]
pub(super) enum Messages {
    Whole(MessageDecoder),
    Parts(PartDecoder),
}

impl Messages {
    /// The stream has ended.
    pub(super) fn finish(&mut self) -> Result<(), WebSocketError> {
        match self {
            Self::Whole(decoder) => decoder.finish().map(drop),
            Self::Parts(decoder) => decoder.finish().map(drop),
        }
    }
}

impl<P: WebSocketProtocol> WebSocketSession<P> {
    /// Reads messages until the input is taken or reading is to stop.
    pub(super) fn read_messages(&mut self, transport: &dyn Transport, mut input: &[u8]) -> Result {
        let Self { protocol, state: State::Open { socket, decoder }, .. } = self else {
            return Ok(());
        };
        let mut delivery = Delivery { protocol, transport, socket };
        loop {
            let delivered = match decoder {
                Messages::Whole(decoder) => match decoder.decode(&mut input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(message)) => Ok(delivery.message(message)?),
                    Err(error) => Err(error),
                },
                Messages::Parts(decoder) => match decoder.decode(&mut input) {
                    Ok(None) => return Ok(()),
                    Ok(Some(piece)) => Ok(delivery.piece(piece)?),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = delivered {
                self.fail(transport, error);
                return Ok(());
            }
            let is_overflowing = !delivery.socket.is_paused() && is_above_high_water(transport);
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
}

/// Where messages go.
struct Delivery<'s, P> {
    protocol: &'s mut P,
    transport: &'s dyn Transport,
    socket: &'s WebSocket,
}

impl<P: WebSocketProtocol> Delivery<'_, P> {
    fn message(&mut self, message: Message<'_>) -> Result {
        match message {
            Message::Text(text) => self.protocol.text_received(self.socket, text),
            Message::Binary(bytes) => self.protocol.binary_received(self.socket, bytes),
            Message::Ping(payload) => self.ping(payload),
            Message::Pong(payload) => self.protocol.pong_received(self.socket, payload),
            Message::Close(reason) => self.close(reason),
        }
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result {
        match piece {
            Piece::Data(part) => self.protocol.part_received(self.socket, part),
            Piece::Ping(payload) => self.ping(payload),
            Piece::Pong(payload) => self.protocol.pong_received(self.socket, payload),
            Piece::Close(reason) => self.close(reason),
        }
    }

    fn ping(&mut self, payload: &[u8]) -> Result {
        self.socket.answer_ping(payload)?;
        self.protocol.ping_received(self.socket, payload)
    }

    fn close(&mut self, reason: Option<CloseReason<'_>>) -> Result {
        let Self { protocol, transport, socket } = self;
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
}
