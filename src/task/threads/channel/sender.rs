//! The end of a channel that any thread has.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::Channel;
use super::queue::{Sent, Waited};
use super::refused::{Reason, RemoteSendError};

/// Sends messages to a loop, from any thread; [`EventLoop::create_channel`](crate::EventLoop::create_channel)
/// gives one.
///
/// A clone sends to the same receiver. Dropping the last one ends the channel: the receiver gets what is there,
/// and then is told.
pub struct RemoteSender<T: Send + 'static> {
    channel: Arc<Channel<T>>,
}

impl<T: Send + 'static> RemoteSender<T> {
    /// The first one, which the queue counts already.
    pub(super) fn new(channel: &Arc<Channel<T>>) -> Self {
        Self { channel: Arc::clone(channel) }
    }

    /// Sends `message`, if there is room. Never blocks.
    ///
    /// # Errors
    /// The message comes back when the channel [is full](RemoteSendError::is_full) or
    /// [is closed](RemoteSendError::is_closed).
    pub fn try_send(&self, message: T) -> Result<(), RemoteSendError<T>> {
        match self.channel.queue.try_send(message) {
            Sent::Queued(receiver) => {
                self.channel.wake(receiver);
                Ok(())
            }
            Sent::Full(message) => Err(RemoteSendError::new(message, Reason::Full)),
            Sent::Closed(message) => Err(RemoteSendError::new(message, Reason::Closed)),
        }
    }

    /// Sends `message` when there is room, on any loop or executor.
    ///
    /// Those who wait are served in the order in which they began to. Dropping the future before it is done
    /// drops the message, which is then not sent; it may have been if the future was not polled since.
    ///
    /// # Errors
    /// The message comes back when the channel [is closed](RemoteSendError::is_closed), also while it waits.
    pub fn send(&self, message: T) -> RemoteSend<T> {
        RemoteSend { sender: self.clone(), step: Step::Unsent(message) }
    }

    /// Blocks this thread until there is room for `message`, and sends it.
    ///
    /// On the thread of another loop it holds that one up: await [`send`](Self::send) there.
    ///
    /// # Errors
    /// The message comes back when the channel [is closed](RemoteSendError::is_closed), also while it waits; and
    /// on the loop's own thread when there is no room, since nobody would make any
    /// ([`is_invalid`](RemoteSendError::is_invalid)).
    #[doc(alias("blocking_send"))]
    pub fn send_blocking(&self, message: T) -> Result<(), RemoteSendError<T>> {
        let message = match self.try_send(message) {
            Err(refused) if refused.is_full() => refused.into_message(),
            outcome => return outcome,
        };
        if self.channel.remote.core_here().is_some() {
            return Err(RemoteSendError::new(message, Reason::OwnThread));
        }
        block_on(self.send(message))
    }

    /// Whether nothing is received any more.
    pub fn is_closed(&self) -> bool {
        self.channel.queue.is_closed()
    }

    /// How many messages are there that were not received.
    pub fn len(&self) -> usize {
        self.channel.queue.len()
    }

    /// Whether all that was sent has been received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages wait at most.
    pub fn capacity(&self) -> usize {
        self.channel.queue.capacity()
    }
}

impl<T: Send + 'static> Clone for RemoteSender<T> {
    fn clone(&self) -> Self {
        self.channel.queue.add_sender();
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T: Send + 'static> Drop for RemoteSender<T> {
    fn drop(&mut self) {
        let receiver = self.channel.queue.remove_sender();
        self.channel.wake(receiver);
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteSender")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// A message on its way, from [`RemoteSender::send`].
///
/// Dropping it before it is done drops the message: it is not sent, unless there was room since the last poll.
#[must_use = "nothing is sent before it is awaited"]
pub struct RemoteSend<T: Send + 'static> {
    sender: RemoteSender<T>,
    step: Step<T>,
}

enum Step<T> {
    Unsent(T),
    /// It is in the list of those who wait.
    Waiting(u64),
    Done,
}

// Nothing in it is pinned.
impl<T: Send + 'static> Unpin for RemoteSend<T> {}

impl<T: Send + 'static> Future for RemoteSend<T> {
    type Output = Result<(), RemoteSendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = Arc::clone(&self.sender.channel);
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::Unsent(message) => {
                // A waker is needed only if there is no room.
                let sent = match channel.queue.try_send(message) {
                    Sent::Full(message) => {
                        channel.queue.send_or_wait(message, context.waker().clone())
                    }
                    sent => Ok(sent),
                };
                match sent {
                    Err(number) => {
                        self.step = Step::Waiting(number);
                        Poll::Pending
                    }
                    Ok(Sent::Queued(receiver)) => {
                        channel.wake(receiver);
                        Poll::Ready(Ok(()))
                    }
                    Ok(Sent::Full(message) | Sent::Closed(message)) => {
                        Poll::Ready(Err(RemoteSendError::new(message, Reason::Closed)))
                    }
                }
            }
            Step::Waiting(number) => match channel.queue.look(number, context.waker()) {
                Waited::Sent => Poll::Ready(Ok(())),
                Waited::Closed(message) => {
                    Poll::Ready(Err(RemoteSendError::new(message, Reason::Closed)))
                }
                Waited::Waits(former) => {
                    self.step = Step::Waiting(number);
                    drop(former);
                    Poll::Pending
                }
            },
            Step::Done => Poll::Ready(Ok(())),
        }
    }
}

impl<T: Send + 'static> Drop for RemoteSend<T> {
    fn drop(&mut self) {
        if let Step::Waiting(number) = self.step {
            let taken_back = self.sender.channel.queue.take_back(number);
            drop(taken_back);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteSend<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RemoteSend").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Wakes a thread that has parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
