use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::error::NatsError;
use super::handle::Client;
use super::message::Message;
use super::queue::{Queue, SlowConsumer};
use super::shared::Shared;
use super::subscribed::{Sink, Subscribed};

/// How many messages wait for whoever takes them, unless told otherwise.
const CAPACITY: usize = 65_536;

/// How many bytes they have together, unless told otherwise.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;

/// A subscription to be made: what [`Client::subscription`] gives.
#[must_use = "nothing is subscribed to before `start` or `on_message`"]
pub struct SubscribeBuilder {
    shared: Rc<Shared>,
    subject: String,
    queue_group: Option<String>,
    capacity: usize,
    capacity_bytes: usize,
    slow: SlowConsumer,
    max: Option<u64>,
}

impl SubscribeBuilder {
    pub(super) fn new(shared: &Rc<Shared>, subject: String) -> Self {
        Self {
            shared: Rc::clone(shared),
            subject,
            queue_group: None,
            capacity: CAPACITY,
            capacity_bytes: CAPACITY_BYTES,
            slow: SlowConsumer::default(),
            max: None,
        }
    }

    /// Each message goes to one of the group's members.
    pub fn queue_group(mut self, name: impl Into<String>) -> Self {
        self.queue_group = Some(name.into());
        self
    }

    /// How many messages wait until somebody takes them: 65,536 by default, at least 1.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.max(1);
        self
    }

    /// How many bytes the messages that wait have together, with their subjects and headers: 64 MiB by default. One message
    /// may wait whatever its length.
    pub fn capacity_bytes(mut self, bytes: usize) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// What becomes of more messages than that.
    pub fn slow_consumer(mut self, slow: SlowConsumer) -> Self {
        self.slow = slow;
        self
    }

    /// Ends the subscription after so many messages, over all connections.
    pub fn max_messages(mut self, most: u64) -> Self {
        self.max = Some(most.max(1));
        self
    }

    /// Subscribes, and gives the messages to whoever takes them from the [`Subscription`].
    ///
    /// # Errors
    /// [`NatsError::Refused`] for a subject or group that is none; [`NatsError::Closed`]. What the server refuses
    /// is an [`Event::ServerError`](super::Event::ServerError).
    pub fn start(self) -> Result<Subscription, NatsError> {
        let queue = Queue::new(self.capacity, self.capacity_bytes, self.slow);
        self.subscribe(Sink::Queue(queue)).map(|handle| Subscription { handle })
    }

    /// Subscribes, and calls `callback` with each message. It runs between two reads of the connection, and must not
    /// take long. A panic in it goes to the loop's exception handler; the next message comes all the same.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn on_message(
        self,
        callback: impl FnMut(Message) + 'static,
    ) -> Result<SubscriptionHandle, NatsError> {
        self.subscribe(Sink::Callback(RefCell::new(Box::new(callback))))
    }

    fn subscribe(self, sink: Sink) -> Result<SubscriptionHandle, NatsError> {
        let Self { shared, subject, queue_group, max, .. } = self;
        shared.check_open()?;
        let subscribed = shared.add_subscribed(|sid| Subscribed {
            sid,
            subject,
            queue_group,
            max,
            delivered: Cell::new(0),
            is_stopped: Cell::new(false),
            sink,
        })?;
        Ok(SubscriptionHandle { shared: Rc::downgrade(&shared), subscribed, is_detached: false })
    }
}

impl fmt::Debug for SubscribeBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SubscribeBuilder")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// A subscription whose messages go to a callback. Dropping it unsubscribes, unless it is
/// [detached](Self::detach).
#[must_use = "dropping it unsubscribes; `detach` lets the subscription live as long as the client"]
pub struct SubscriptionHandle {
    shared: Weak<Shared>,
    subscribed: Rc<Subscribed>,
    is_detached: bool,
}

impl SubscriptionHandle {
    /// The subject.
    pub fn subject(&self) -> &str {
        &self.subscribed.subject
    }

    /// How many messages were received, those that were dropped included.
    pub fn received(&self) -> u64 {
        self.subscribed.delivered.get()
    }

    /// Lets the subscription live as long as the client.
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    /// Ends the subscription. Nothing more is delivered.
    pub fn unsubscribe(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.unsubscribe(self.subscribed.sid);
        }
    }

    /// Ends the subscription after everything that the server has sent until now: waits until that is delivered.
    ///
    /// # Errors
    /// [`NatsError::Closed`], or the connection was lost meanwhile; the subscription has ended all the same.
    pub async fn drain(&self) -> Result<(), NatsError> {
        let shared = self.shared.upgrade().ok_or(NatsError::Closed)?;
        shared.stop(&self.subscribed);
        // Also if nobody waits for it to the end.
        let _ending = Ending { shared: &shared, sid: self.subscribed.sid };
        Client::flush_of(&shared).await
    }

    fn end_at_drop(&self) {
        if !self.is_detached {
            self.unsubscribe();
        }
    }
}

impl Drop for SubscriptionHandle {
    fn drop(&mut self) {
        self.end_at_drop();
    }
}

impl fmt::Debug for SubscriptionHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SubscriptionHandle")
            .field("subject", &self.subject())
            .finish_non_exhaustive()
    }
}

/// Unsubscribes when it is dropped.
struct Ending<'a> {
    shared: &'a Shared,
    sid: u64,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.sid);
    }
}

/// A subscription whose messages are taken one by one. Dropping it unsubscribes.
///
/// It lives through reconnects: what was published meanwhile, or was on its way, is lost, which JetStream is for.
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    handle: SubscriptionHandle,
}

impl Subscription {
    /// The next message; `None` when the subscription or the client has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next message, if one is there.
    pub fn try_next(&mut self) -> Option<Message> {
        let message = self.queue()?.try_next()?;
        self.after_taking();
        Some(message)
    }

    /// As [`next`](Self::next), for those who poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let Some(queue) = self.queue() else { return Poll::Ready(None) };
        let polled = queue.poll_next(context);
        if matches!(polled, Poll::Ready(Some(_))) {
            self.after_taking();
        }
        polled
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        self.handle.subject()
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.queue().map_or(0, Queue::len)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were dropped, as nobody took them: see [`SlowConsumer::Drop`].
    pub fn dropped(&self) -> u64 {
        self.queue().map_or(0, Queue::dropped)
    }

    /// Ends the subscription. What is waiting can still be taken.
    pub fn unsubscribe(&self) {
        self.handle.unsubscribe();
    }

    /// Ends the subscription after everything that the server has sent until now. It can still be taken.
    ///
    /// # Errors
    /// As for [`SubscriptionHandle::drain`].
    pub async fn drain(&self) -> Result<(), NatsError> {
        self.handle.drain().await
    }

    fn queue(&self) -> Option<&Queue> {
        match &self.handle.subscribed.sink {
            Sink::Queue(queue) => Some(queue),
            _ => None,
        }
    }

    fn after_taking(&self) {
        let Some(queue) = self.queue() else { return };
        if queue.is_relieved()
            && let Some(shared) = self.handle.shared.upgrade()
        {
            shared.resume(self.handle.subscribed.sid);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(queue) = self.queue() {
            queue.discard();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subscription")
            .field("subject", &self.subject())
            .field("waiting", &self.len())
            .finish()
    }
}

/// The subscription that answers to requests come to.
pub(super) fn answers(shared: &Rc<Shared>) -> Result<(), NatsError> {
    if shared.is_inbox_open.replace(true) {
        return Ok(());
    }
    let subject = format!("{}.*", shared.inbox);
    let added = shared.add_subscribed(|sid| Subscribed {
        sid,
        subject,
        queue_group: None,
        max: None,
        delivered: Cell::new(0),
        is_stopped: Cell::new(false),
        sink: Sink::Requests,
    });
    if added.is_err() {
        shared.is_inbox_open.set(false);
    }
    added.map(|_| ())
}
