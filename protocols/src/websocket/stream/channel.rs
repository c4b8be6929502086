//! From the callbacks of a session to the halves of a stream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Error, EventLoop, ItemSender, Items, LoopFuture, Promise, Result, Transport};

use crate::notify::Notify;
use crate::websocket::{Closure, HandshakeError, Message, WebSocket, WebSocketProtocol};

/// A message of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl<'a> From<&'a OwnedMessage> for Message<'a> {
    fn from(message: &'a OwnedMessage) -> Self {
        match message {
            OwnedMessage::Text(text) => Self::Text(text),
            OwnedMessage::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// The protocol of a stream.
pub(super) struct Channel {
    messages: ItemSender<OwnedMessage>,
    opened: Option<Promise<Result<WebSocket, HandshakeError>>>,
    shared: Rc<Shared>,
}

/// What the protocol and the writing half share.
#[derive(Default)]
pub(super) struct Shared {
    is_paused: Cell<bool>,
    end: RefCell<Option<(Closure, Option<Error>)>>,
    changed: Notify,
}

/// What comes out of a channel.
pub(super) struct Ends {
    pub(super) messages: Items<OwnedMessage>,
    pub(super) opened: LoopFuture<Result<WebSocket, HandshakeError>>,
    pub(super) shared: Rc<Shared>,
}

impl Channel {
    pub(super) fn new(event_loop: &EventLoop) -> (Self, Ends) {
        let (sender, messages) = event_loop.items(WAITING_MESSAGES);
        let (promise, opened) = event_loop.create_future();
        let shared = Rc::<Shared>::default();
        let channel = Self { messages: sender, opened: Some(promise), shared: Rc::clone(&shared) };
        (channel, Ends { messages, opened, shared })
    }
}

/// How many messages wait for a task before the peer is not read any more.
const WAITING_MESSAGES: usize = 16;

impl Shared {
    pub(super) fn pause(&self) {
        self.is_paused.set(true);
    }

    /// How it ended, once it has.
    pub(super) fn end(&self) -> Option<(Closure, Option<Error>)> {
        self.end.borrow().clone()
    }

    /// Waits until writing resumes, or the connection is lost.
    pub(super) async fn resumed(&self) {
        self.changed.wait_for(|| (!self.is_paused.get()).then_some(())).await;
    }

    /// Waits for the connection's end.
    pub(super) async fn ended(&self) -> Closure {
        self.changed.wait_for(|| self.end().map(|(closure, _)| closure)).await
    }
}

impl WebSocketProtocol for Channel {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        if let Some(promise) = self.opened.take() {
            let _ = promise.set_result(Ok(socket.clone()));
        }
        Ok(())
    }

    fn opening_failed(&mut self, error: &HandshakeError) -> Result {
        if let Some(promise) = self.opened.take() {
            let _ = promise.set_result(Err(error.clone()));
        }
        Ok(())
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        self.messages.send(socket.transport(), OwnedMessage::Text(text.to_owned()));
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        self.messages.send(socket.transport(), OwnedMessage::Binary(bytes.to_vec()));
        Ok(())
    }

    fn pause_writing(&mut self, socket: &WebSocket) -> Result {
        self.shared.pause();
        socket.transport().hold_reading();
        Ok(())
    }

    fn resume_writing(&mut self, _: &WebSocket) -> Result {
        self.shared.is_paused.set(false);
        self.shared.changed.wake();
        Ok(())
    }

    fn connection_lost(
        &mut self,
        _: &WebSocket,
        closure: &Closure,
        error: Option<&Error>,
    ) -> Result {
        let broken = || Error::protocol_violation("the connection ended without a close frame");
        let error = match error {
            Some(error) => Some(error.clone()),
            None => (!closure.is_clean).then(broken),
        };
        self.messages.end(error.as_ref());
        self.shared.end.replace(Some((closure.clone(), error)));
        self.shared.is_paused.set(false);
        self.shared.changed.wake();
        Ok(())
    }
}
