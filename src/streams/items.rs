//! From the callbacks of a protocol to a task: items in a queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::error::Error;
use crate::event_loop::{EventLoop, Wakers};
use crate::thread_bound::{ThreadBound, UseRemote};
use crate::transport::{Transport, TransportHandle};

/// # From protocols to tasks
impl EventLoop {
    /// A queue from the callbacks of a protocol to a task: the protocol [puts](ItemSender::send) typed items into it
    /// (messages, frames, events), and the task [takes](Items::next) them out.
    ///
    /// It holds `limit` items; then the connection is not read until some are taken, so the peer is slowed down.
    /// Protocols can share the sender by an `Rc`: each connection that sends when the queue is full is then not read.
    ///
    /// ```
    /// use wharf::testing::MemoryNetwork;
    /// use wharf::{Error, ItemSender, Protocol, Result, Transport};
    ///
    /// /// Each byte is a number.
    /// struct Numbers(ItemSender<u32>);
    ///
    /// impl Protocol for Numbers {
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    ///         for number in data {
    ///             self.0.send(transport, u32::from(*number));
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
    ///         self.0.end(error);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     let (sender, mut items) = event_loop.items(100);
    ///     let mut sender = Some(sender);
    ///     let factory = move || Numbers(sender.take().expect("one connection"));
    ///     event_loop.create_server(factory, "10.0.0.1:7").max_connections(1).await?;
    ///     let (_reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     writer.write(&[1, 2, 3]);
    ///     writer.write_eof();
    ///     let mut sum = 0;
    ///     while let Some(number) = items.next().await {
    ///         sum += number?;
    ///     }
    ///     assert_eq!(sum, 6);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// The way back needs no queue: a task writes through the [`TransportHandle`]. A whole connection goes from a
    /// protocol to a task by [`ByteStream::take_over`](crate::ByteStream::take_over), and back by
    /// [`ByteStream::into_protocol`](crate::ByteStream::into_protocol).
    pub fn items<T: 'static>(&self, limit: usize) -> (ItemSender<T>, Items<T>) {
        let shared = Rc::new(Shared {
            event_loop: self.clone(),
            waiting: RefCell::default(),
            limit: limit.max(1),
            paused: RefCell::default(),
            end: RefCell::default(),
            has_ended: Cell::new(false),
            is_wanted: Cell::new(true),
            wakers: Wakers::default(),
        });
        let sender = ItemSender { shared: Rc::clone(&shared), bound: PhantomData };
        (sender, Items { shared, bound: PhantomData })
    }
}

/// The protocol's end of a queue of items; see [`EventLoop::items`].
///
/// Dropping it ends the queue: what was put into it can still be taken.
pub struct ItemSender<T: 'static> {
    shared: Rc<Shared<T>>,
    bound: ThreadBound<UseRemote>,
}

impl<T: 'static> ItemSender<T> {
    /// Puts an item into the queue, whatever its length. When it is full, reading of `transport` pauses until the task
    /// has taken half of the items.
    ///
    /// One that nobody will take, since the [`Items`] are dropped, is dropped; [`is_wanted`](Self::is_wanted) tells.
    pub fn send(&self, transport: &dyn Transport, item: T) {
        let shared = &self.shared;
        if !shared.is_wanted.get() || shared.has_ended.get() {
            return shared.event_loop.core().drop_user(item, "item");
        }
        shared.waiting.borrow_mut().push_back(item);
        if shared.waiting.borrow().len() >= shared.limit && transport.is_reading() {
            shared.paused.borrow_mut().push(transport.handle());
            transport.pause_reading();
        }
        shared.wake();
    }

    /// Ends the queue, with an error or without: it comes after all items. Later calls change nothing.
    pub fn end(&self, error: Option<&Error>) {
        if !self.shared.has_ended.replace(true) {
            *self.shared.end.borrow_mut() = error.cloned();
            self.shared.wake();
        }
    }

    /// Whether somebody still takes items.
    pub fn is_wanted(&self) -> bool {
        self.shared.is_wanted.get()
    }
}

/// The task's end of a queue of items; see [`EventLoop::items`].
///
/// Dropping it drops the items that nobody has taken. Reading goes on.
pub struct Items<T: 'static> {
    shared: Rc<Shared<T>>,
    bound: ThreadBound<UseRemote>,
}

impl<T: 'static> Items<T> {
    /// The next item; `None` when the queue has ended.
    ///
    /// Dropping the future loses no item.
    ///
    /// # Errors
    /// What the queue was [ended](ItemSender::end) with, once, when all items before it are taken.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        let shared = &*self.shared;
        shared.wakers.wait_for(shared.event_loop.core(), || shared.pop()).await
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.shared.waiting.borrow().len()
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What both ends share.
struct Shared<T: 'static> {
    event_loop: EventLoop,
    waiting: RefCell<VecDeque<T>>,
    limit: usize,
    /// The transports that are not read, since the queue is full: several, if their protocols share the sender.
    paused: RefCell<Vec<TransportHandle>>,
    end: RefCell<Option<Error>>,
    has_ended: Cell<bool>,
    is_wanted: Cell<bool>,
    wakers: Wakers,
}

impl<T: 'static> Shared<T> {
    /// `None`: nothing is there yet.
    fn pop(&self) -> Option<Option<Result<T, Error>>> {
        let first = self.waiting.borrow_mut().pop_front();
        if let Some(item) = first {
            if self.waiting.borrow().len() <= self.limit / 2 {
                self.resume();
            }
            return Some(Some(Ok(item)));
        }
        if !self.has_ended.get() {
            return None;
        }
        Some(self.end.borrow_mut().take().map(Err))
    }

    fn resume(&self) {
        for transport in self.paused.take() {
            transport.resume_reading();
        }
    }

    fn wake(&self) {
        self.wakers.wake_all(self.event_loop.core());
    }
}

impl<T: 'static> Drop for ItemSender<T> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<T: 'static> Drop for Items<T> {
    fn drop(&mut self) {
        self.shared.is_wanted.set(false);
        self.shared.resume();
        let core = self.shared.event_loop.core();
        loop {
            // Each by itself: it is the user's.
            let first = self.shared.waiting.borrow_mut().pop_front();
            let Some(item) = first else { return };
            core.drop_user(item, "item");
        }
    }
}

impl<T: 'static> fmt::Debug for ItemSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ItemSender").field("is_wanted", &self.is_wanted()).finish()
    }
}

impl<T: 'static> fmt::Debug for Items<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Items").field("len", &self.len()).finish()
    }
}
