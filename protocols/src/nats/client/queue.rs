//! The messages of a subscription that wait until they are taken.

use std::cell::Cell;
use std::task::{Context, Poll};

use super::message::Message;
use crate::mailbox::Mailbox;

/// What becomes of messages that come faster than they are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// They are dropped and [counted](super::Subscription::dropped), as other clients do.
    #[default]
    Drop,
    /// The connection is not read until half of the queue is taken, which slows down all that it is used for. The server
    /// drops a client that does not read for long.
    Pause,
}

/// A queue with limits.
pub(super) struct Queue {
    mailbox: Mailbox<Message>,
    capacity: usize,
    capacity_bytes: usize,
    slow: SlowConsumer,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    /// It is full, and somebody was told.
    is_slow: Cell<bool>,
}

/// What a message has done to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// There is room for more, or it was full before.
    Nothing,
    /// It is full, from now on; with `true` the connection is not to be read.
    Full(bool),
}

impl Queue {
    pub(super) fn new(capacity: usize, capacity_bytes: usize, slow: SlowConsumer) -> Self {
        Self {
            mailbox: Mailbox::new(),
            capacity,
            capacity_bytes,
            slow,
            bytes: Cell::new(0),
            dropped: Cell::new(0),
            is_slow: Cell::new(false),
        }
    }

    pub(super) fn push(&self, message: Message) -> Pushed {
        let does_pause = self.slow == SlowConsumer::Pause;
        let bytes = self.bytes.get() + message.len();
        let is_too_much = self.mailbox.len() >= self.capacity
            || bytes > self.capacity_bytes && !self.mailbox.is_empty();
        if is_too_much && !does_pause {
            self.dropped.set(self.dropped.get() + 1);
        } else if self.mailbox.push(message) {
            self.bytes.set(bytes);
        }
        // Who pauses does so before a message is one too many.
        let is_full =
            self.mailbox.len() >= self.capacity || self.bytes.get() >= self.capacity_bytes;
        if (is_too_much || does_pause && is_full) && !self.is_slow.replace(true) {
            return Pushed::Full(does_pause);
        }
        Pushed::Nothing
    }

    pub(super) fn try_next(&self) -> Option<Message> {
        self.mailbox.try_next().inspect(|message| self.taken_one(message))
    }

    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Message>> {
        let polled = self.mailbox.poll_next(context);
        if let Poll::Ready(Some(message)) = &polled {
            self.taken_one(message);
        }
        polled
    }

    fn taken_one(&self, message: &Message) {
        self.bytes.set(self.bytes.get() - message.len());
    }

    /// Whether it was full, and half of it is free again.
    pub(super) fn is_relieved(&self) -> bool {
        self.mailbox.len() <= self.capacity / 2
            && self.bytes.get() <= self.capacity_bytes / 2
            && self.is_slow.replace(false)
    }

    pub(super) fn len(&self) -> usize {
        self.mailbox.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Nothing comes any more. What is there can still be taken.
    pub(super) fn end(&self) {
        self.mailbox.end();
    }

    /// Nobody takes anything any more.
    pub(super) fn discard(&self) {
        self.mailbox.end();
        self.mailbox.clear();
        self.bytes.set(0);
    }

    /// Waits until everything was taken.
    pub(super) async fn taken(&self) {
        self.mailbox.empty().await;
    }
}
