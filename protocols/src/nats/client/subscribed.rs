//! A subscription as the client keeps it.

use std::cell::{Cell, RefCell};

use super::message::Message;
use crate::mailbox::Mailbox;
use crate::nats::codec::ClientOp;

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

/// Where the messages of a subscription go.
pub(super) enum Sink {
    Queue {
        mailbox: Mailbox<Message>,
        capacity: usize,
        slow: SlowConsumer,
    },
    Callback(RefCell<Box<dyn FnMut(Message)>>),
    /// The answers to requests.
    Requests,
}

pub(super) struct Subscribed {
    pub(super) sid: u64,
    pub(super) subject: String,
    pub(super) queue_group: Option<String>,
    pub(super) max: Option<u64>,
    pub(super) delivered: Cell<u64>,
    pub(super) dropped: Cell<u64>,
    /// Messages are being dropped, and somebody was told.
    pub(super) is_slow: Cell<bool>,
    pub(super) sink: Sink,
}

impl Subscribed {
    pub(super) fn sub(&self) -> ClientOp<'_> {
        ClientOp::Sub {
            subject: self.subject.as_bytes(),
            queue: self.queue_group.as_deref().map(str::as_bytes),
            sid: self.sid,
        }
    }

    pub(super) fn end(&self) {
        if let Sink::Queue { mailbox, .. } = &self.sink {
            mailbox.end();
        }
    }

    /// Waits until everything was taken.
    pub(super) async fn taken(&self) {
        if let Sink::Queue { mailbox, .. } = &self.sink {
            mailbox.empty().await;
        }
    }
}
