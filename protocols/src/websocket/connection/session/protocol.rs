//! What the transport tells.

use std::mem;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use super::{State, WebSocketSession};
use crate::websocket::HandshakeError;
use crate::websocket::connection::WebSocketProtocol;
use crate::websocket::connection::keep_alive::Next;

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
        if let Err(error) = decoder.finish()
            && !socket.has_received_close()
        {
            self.failure.get_or_insert_with(|| Error::protocol_violation(error));
        }
        Ok(Eof::Close)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        match &self.state {
            State::Open { socket, .. } => {
                socket.set_paused(true);
                self.protocol.pause_writing(socket)
            }
            _ => {
                transport.hold_reading();
                Ok(())
            }
        }
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        match &self.state {
            State::Open { socket, .. } => {
                socket.set_paused(false);
                self.protocol.resume_writing(socket)
            }
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
        // A ping waits behind what is to be sent, and nothing is heard while reading is paused. Of a peer that takes nothing
        // tells the write stall.
        let could_hear = transport.is_reading() && transport.write_buffer_size() == 0;
        match self.keep_alive.passed(could_hear) {
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
                self.protocol.connection_lost(&socket, &socket.closure(), error)?;
                self.unreported.take().map_or(Ok(()), Err)
            }
            State::Failed(error) => self.protocol.opening_failed(&error),
            _ => self.protocol.opening_failed(&HandshakeError::Truncated),
        }
    }
}
