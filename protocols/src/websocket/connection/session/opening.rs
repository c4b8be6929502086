//! The opening handshake, and how it fails.

use std::mem;

use wharf::{Result, Timeout, Transport};

use super::receiving::Messages;
use super::{State, WebSocketSession};
use crate::codec::Decoder;
use crate::websocket::connection::{WebSocket, WebSocketProtocol};
use crate::websocket::{Agreed, HandshakeError, Role, ServerHandshake, UpgradeRequest};

impl<P: WebSocketProtocol> WebSocketSession<P> {
    /// What `connection_made` does, for a connection that was made before.
    pub(crate) fn begin(&mut self, transport: &dyn Transport) {
        if let State::Upgraded(agreed) = &mut self.state {
            let agreed = mem::take(agreed);
            if let Err(failure) = self.open(transport, agreed, None) {
                self.unreported = Some(failure);
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
    pub(super) fn read_head(
        &mut self,
        transport: &dyn Transport,
        input: &mut &[u8],
    ) -> Result<bool> {
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
            State::ClientOpening { answer, handshake } => match answer.read(handshake, input) {
                Ok(None) => return Ok(false),
                Ok(Some(agreed)) => Ok((agreed, None)),
                Err(error) => Err(error),
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

    pub(super) fn open(
        &mut self,
        transport: &dyn Transport,
        agreed: Agreed,
        request: Option<UpgradeRequest>,
    ) -> Result {
        let options = &self.options;
        transport.set_timeout(Timeout::User, options.ping_interval);
        if let Some(interval) = options.ping_interval {
            transport.set_timeout(Timeout::WriteStall, Some(interval + options.ping_timeout));
        }
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

    /// Nothing more comes of the opening handshake.
    pub(super) fn opening_failed(&mut self, error: HandshakeError) {
        let error = match &mut self.state {
            State::Failed(_) => return,
            State::ClientOpening { answer, .. } => answer.broken_off(error),
            _ => error,
        };
        self.state = State::Failed(error);
    }
}
