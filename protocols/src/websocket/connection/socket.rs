use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Timeout, Transport, TransportHandle, WriteStatus};

use crate::codec::Encoder;
use crate::websocket::{
    Agreed, CloseCode, CloseReason, EncodeError, Message, MessageEncoder, Part, Role,
    UpgradeRequest, spare,
};

/// The sending side of an open WebSocket: lent to each callback, and cloned to be kept, for example by other
/// connections or a task of the same loop.
///
/// All methods return at once, and none calls a protocol. Dropping it closes nothing. On a connection that is gone a
/// message goes nowhere, and the status says so.
#[derive(Clone)]
pub struct WebSocket {
    shared: Rc<Shared>,
}

struct Shared {
    role: Role,
    transport: TransportHandle,
    encoder: RefCell<MessageEncoder>,
    agreed: Agreed,
    request: Option<UpgradeRequest>,
    close_timeout: Duration,
    /// What the peer's close said.
    received: RefCell<Option<Closure>>,
    has_failed: Cell<bool>,
    /// Between `pause_writing` and `resume_writing`.
    is_paused: Cell<bool>,
    /// What the last ping asked that came meanwhile.
    unanswered: RefCell<Option<Vec<u8>>>,
}

impl WebSocket {
    pub(super) fn new(
        transport: TransportHandle,
        role: Role,
        encoder: MessageEncoder,
        agreed: Agreed,
        request: Option<UpgradeRequest>,
        close_timeout: Duration,
    ) -> Self {
        let shared = Shared {
            role,
            transport,
            encoder: RefCell::new(encoder),
            agreed,
            request,
            close_timeout,
            received: RefCell::default(),
            has_failed: Cell::default(),
            is_paused: Cell::default(),
            unanswered: RefCell::default(),
        };
        Self { shared: Rc::new(shared) }
    }

    /// Sends a message or a control frame. The status says whether it was taken, and whether more waits to be sent now
    /// than should.
    ///
    /// A [`Message::Close`] begins the closing handshake, as [`close`](Self::close) does.
    ///
    /// # Errors
    /// As for [`MessageEncoder::check`]; nothing is sent then.
    pub fn send(&self, message: &Message<'_>) -> Result<WriteStatus, EncodeError> {
        let transport = &self.shared.transport;
        let status = self.shared.encoder.borrow_mut().write_to(transport, message)?;
        if let Message::Close(_) = message {
            // From here on it is the closing that has a deadline.
            transport.set_timeout(Timeout::User, Some(self.shared.close_timeout));
        }
        Ok(status)
    }

    /// Sends text.
    ///
    /// # Errors
    /// As for [`MessageEncoder::check`].
    pub fn send_text(&self, text: &str) -> Result<WriteStatus, EncodeError> {
        self.send(&Message::Text(text))
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// As for [`MessageEncoder::check`].
    pub fn send_binary(&self, bytes: &[u8]) -> Result<WriteStatus, EncodeError> {
        self.send(&Message::Binary(bytes))
    }

    /// Sends a part of a message, as a fragment: for messages that are not to be held in memory. Until the last one is
    /// sent, only control frames may come between.
    ///
    /// # Errors
    /// As for the [`Encoder`] of parts; nothing is sent then.
    pub fn send_part(&self, part: &Part<'_>) -> Result<WriteStatus, EncodeError> {
        let mut output = spare::take();
        let encoded = self.shared.encoder.borrow_mut().encode(part, &mut output);
        let status = encoded.map(|()| self.shared.transport.write(&output));
        spare::give(output);
        status
    }

    /// Asks the peer to answer. Its answer comes in `pong_received`.
    ///
    /// # Errors
    /// As for [`MessageEncoder::check`].
    pub fn ping(&self, payload: &[u8]) -> Result<WriteStatus, EncodeError> {
        self.send(&Message::Ping(payload))
    }

    /// Begins the closing handshake (RFC 6455, 7.1.2): nothing can be sent after it, and the connection ends when the
    /// peer has answered, or has not in time. Messages still arrive until then.
    ///
    /// # Errors
    /// [`EncodeError::CloseCode`] and [`EncodeError::LongControl`] for what no frame can hold; [`EncodeError::AfterClose`]
    /// the second time.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<WriteStatus, EncodeError> {
        self.send(&Message::Close(Some(CloseReason { code, reason })))
    }

    /// Whether messages can be sent: until a close is sent, or the connection is gone.
    pub fn is_open(&self) -> bool {
        !self.shared.encoder.borrow().is_closed() && !self.shared.transport.is_closing()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.shared.role
    }

    /// The sub-protocol that was agreed upon, and what else.
    pub fn agreed(&self) -> &Agreed {
        &self.shared.agreed
    }

    /// The client's request, on a server that has read it.
    pub fn request(&self) -> Option<&UpgradeRequest> {
        self.shared.request.as_ref()
    }

    /// The transport beneath: for addresses, deadlines and limits. What is written to it directly is no message.
    pub fn transport(&self) -> &TransportHandle {
        &self.shared.transport
    }

    pub(super) fn has_sent_close(&self) -> bool {
        self.shared.encoder.borrow().is_closed()
    }

    pub(super) fn has_received_close(&self) -> bool {
        self.shared.received.borrow().is_some()
    }

    pub(super) fn close_received(&self, reason: Option<CloseReason<'_>>) {
        let code = reason.map_or(CloseCode::NO_STATUS, |reason| reason.code);
        let words = reason.map_or("", |reason| reason.reason).to_owned();
        let closure = Closure { code, reason: words, is_clean: true };
        *self.shared.received.borrow_mut() = Some(closure);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.shared.is_paused.get()
    }

    /// While writing is paused, pings are not answered each: a peer that does not take its answers gets the one to its
    /// last ping afterwards (RFC 6455, 5.5.3).
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.shared.is_paused.set(is_paused);
        let unanswered = self.shared.unanswered.take().filter(|_| !is_paused);
        if let Some(payload) = unanswered
            && self.is_open()
        {
            let _ = self.send(&Message::Pong(&payload));
        }
    }

    pub(super) fn answer_ping(&self, payload: &[u8]) -> Result<(), EncodeError> {
        if self.has_sent_close() {
            return Ok(());
        }
        if self.is_paused() {
            *self.shared.unanswered.borrow_mut() = Some(payload.to_vec());
            return Ok(());
        }
        self.send(&Message::Pong(payload)).map(drop)
    }

    /// The peer broke a rule: says so, unless a close was sent before.
    pub(super) fn fail(&self, code: CloseCode, reason: &str) {
        self.shared.has_failed.set(true);
        let _ = self.close(code, reason);
    }

    /// How it ended.
    pub(super) fn closure(&self) -> Closure {
        match &*self.shared.received.borrow() {
            Some(closure) => {
                let is_clean = self.has_sent_close() && !self.shared.has_failed.get();
                Closure { is_clean, ..closure.clone() }
            }
            None => Closure { code: CloseCode::ABNORMAL, reason: String::new(), is_clean: false },
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebSocket")
            .field("role", &self.shared.role)
            .field("transport", &self.shared.transport)
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// How a WebSocket ended (RFC 6455, 7.1.4 to 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closure {
    /// What the peer's close frame said: [`CloseCode::NO_STATUS`] if it had no code, [`CloseCode::ABNORMAL`] if none
    /// came.
    pub code: CloseCode,
    /// The peer's words.
    pub reason: String,
    /// Whether both ends have sent a close frame, and neither broke a rule.
    pub is_clean: bool,
}
