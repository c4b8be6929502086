//! Messages from other threads to a loop, with back-pressure.

mod queue;
mod receiver;
mod refused;
mod sender;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

pub use self::receiver::RemoteReceiver;
pub use self::refused::RemoteSendError;
pub use self::sender::{RemoteSend, RemoteSender};

use self::queue::Queue;
use super::wake::wake;
use crate::event_loop::{Core, EventLoop, Remote};

/// What the queue is made of; in the models of `tests/loom` it is loom's.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

/// # Other threads
impl EventLoop {
    /// A channel by which other threads send messages to this loop: at most `capacity` of them (at least one)
    /// wait at a time, and whoever sends more waits, too.
    ///
    /// [`call_soon_threadsafe`](Remote::call_soon_threadsafe) takes as much as other threads give; a channel
    /// slows them down to what the loop gets done. What was sent arrives in the order of each sender. Many
    /// messages wake the loop once.
    ///
    /// When the loop closes, so does the channel: senders are told, and get back what they were waiting with.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// let event_loop = EventLoop::new()?;
    /// let (sender, mut receiver) = event_loop.create_channel(16);
    /// let thread = std::thread::spawn(move || {
    ///     for number in 0..1000 {
    ///         // Waits while sixteen are there that the loop has not taken.
    ///         sender.send_blocking(number).expect("the loop receives all of them");
    ///     }
    /// });
    /// let sum = event_loop.run(async |_| {
    ///     let mut sum = 0;
    ///     while let Some(number) = receiver.recv().await {
    ///         sum += number;
    ///     }
    ///     Ok(sum)
    /// })?;
    /// assert_eq!(sum, 499_500);
    /// thread.join().expect("no panic");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("Queue", "mpsc", "channel", "run_coroutine_threadsafe"))]
    pub fn create_channel<T: Send + 'static>(
        &self,
        capacity: usize,
    ) -> (RemoteSender<T>, RemoteReceiver<T>) {
        let core = self.core();
        let channel = Arc::new(Channel { queue: Queue::new(capacity), remote: core.remote() });
        let number = core.jobs.channels.add(core, &channel);
        (RemoteSender::new(&channel), RemoteReceiver::new(channel, core, number))
    }
}

/// What both sides share.
struct Channel<T> {
    queue: Queue<T>,
    /// Where the receiver is.
    remote: Remote,
}

impl<T> Channel<T> {
    /// Wakes somebody on whichever side.
    fn wake(&self, waker: Option<Waker>) {
        if waker.is_some() {
            wake(self.remote.core_here().as_deref(), waker);
        }
    }

    fn close(&self) {
        for waker in self.queue.close() {
            self.wake(Some(waker));
        }
    }
}

/// The channels that lead to a loop, to be closed with it.
#[derive(Default)]
pub(super) struct Channels {
    open: RefCell<BTreeMap<u64, Arc<dyn Close>>>,
    next: Cell<u64>,
}

trait Close {
    fn close(&self);
}

impl<T: Send> Close for Channel<T> {
    fn close(&self) {
        Self::close(self);
    }
}

impl Channels {
    fn add<T: Send + 'static>(&self, core: &Core, channel: &Arc<Channel<T>>) -> u64 {
        let number = self.next.replace(self.next.get() + 1);
        if core.is_closed() {
            channel.close();
        } else {
            self.open.borrow_mut().insert(number, Arc::clone(channel) as Arc<dyn Close>);
        }
        number
    }

    fn remove(&self, number: u64) {
        let channel = self.open.borrow_mut().remove(&number);
        drop(channel);
    }

    pub(super) fn close(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        for channel in open.into_values() {
            channel.close();
        }
    }
}
