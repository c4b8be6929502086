//! A subscription as the client keeps it.

use std::cell::{Cell, RefCell};

use super::message::Message;
use super::queue::Queue;
use crate::nats::codec::ClientOp;

/// Where the messages of a subscription go.
pub(super) enum Sink {
    Queue(Queue),
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
    /// The server was told to send no more.
    pub(super) is_stopped: Cell<bool>,
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
        if let Sink::Queue(queue) = &self.sink {
            queue.end();
        }
    }

    /// Waits until everything was taken.
    pub(super) async fn taken(&self) {
        if let Sink::Queue(queue) = &self.sink {
            queue.taken().await;
        }
    }
}
