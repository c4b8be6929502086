//! The end of a channel that the loop has.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Channel;
use crate::event_loop::{Core, EventLoop};
use crate::task::Task;
use crate::thread_bound::{ThreadBound, UseRemoteSender};

/// How many messages are given in a row before others on the loop have a turn.
const IN_A_ROW: u32 = 128;

/// Receives the messages of other threads, on the loop's;
/// [`EventLoop::create_channel`](crate::EventLoop::create_channel) gives one.
///
/// Dropping it closes the channel: what was not received is dropped, on this thread, and senders are told.
pub struct RemoteReceiver<T: Send + 'static> {
    channel: Arc<Channel<T>>,
    core: Rc<Core>,
    number: u64,
    in_a_row: u32,
    bound: ThreadBound<UseRemoteSender>,
}

impl<T: Send + 'static> RemoteReceiver<T> {
    pub(super) fn new(channel: Arc<Channel<T>>, core: &Rc<Core>, number: u64) -> Self {
        Self { channel, core: Rc::clone(core), number, in_a_row: 0, bound: PhantomData }
    }

    /// The next message; `None` once the channel is closed, or has no sender any more, and all was received.
    ///
    /// Dropping the future loses nothing: the message stays for the next call. Senders that are faster than
    /// this loop keep it neither from its timers nor from its sockets: after 128 messages in a row others have a
    /// turn.
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
        poll_fn(|context| self.poll_recv(context))
    }

    /// As [`recv`](Self::recv), for futures written by hand.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.in_a_row >= IN_A_ROW {
            self.in_a_row = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (received, former) = self.channel.queue.receive_or_wait(context.waker());
        self.core.drop_user(former, "waker");
        match received {
            Poll::Ready(Some((message, sender))) => {
                self.in_a_row += 1;
                self.channel.wake(sender);
                Poll::Ready(Some(message))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                self.in_a_row = 0;
                Poll::Pending
            }
        }
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<T> {
        match self.channel.queue.try_receive() {
            Poll::Ready(Some((message, sender))) => {
                self.channel.wake(sender);
                Some(message)
            }
            _ => None,
        }
    }

    /// Takes nothing any more: senders are told, and get back what they wait with. What is there can still be
    /// received.
    pub fn close(&mut self) {
        self.core.jobs.channels.remove(self.number);
        self.channel.close();
    }

    /// Has `callback` called with each message, for code that is not async.
    ///
    /// The task ends when the channel does; cancelling it closes the channel. A panic of the callback goes to
    /// the exception handler, and the next message follows.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// let event_loop = EventLoop::new()?;
    /// let (sender, receiver) = event_loop.create_channel(8);
    /// let thread = std::thread::spawn(move || {
    ///     for word in ["hello", "there", "stop"] {
    ///         sender.send_blocking(word).expect("somebody receives");
    ///     }
    /// });
    /// let stopper = event_loop.clone();
    /// let receiving = receiver.on_message(move |word| {
    ///     if word == "stop" {
    ///         stopper.stop();
    ///     }
    /// });
    /// receiving.detach();
    /// event_loop.run_forever()?;
    /// thread.join().expect("no panic");
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn on_message(mut self, mut callback: impl FnMut(T) + 'static) -> Task<()> {
        let core = Rc::clone(&self.core);
        EventLoop::from_core(Rc::clone(&core)).create_task(async move {
            while let Some(message) = self.recv().await {
                core.counters.count_callback();
                core.run_caught("a callback for messages failed", || callback(message));
            }
        })
    }

    /// How many messages are there.
    pub fn len(&self) -> usize {
        self.channel.queue.len()
    }

    /// Whether no message is there at the moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Send + 'static> Drop for RemoteReceiver<T> {
    fn drop(&mut self) {
        self.close();
        for message in self.channel.queue.take_all() {
            self.core.drop_user(message, "message");
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RemoteReceiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteReceiver")
            .field("capacity", &self.channel.queue.capacity())
            .field("len", &self.len())
            .finish()
    }
}
