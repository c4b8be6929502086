//! What is kept of a connection beyond a callback.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::stream::{Access, flush, wait_closed};
use super::{DatagramHandle, Facts, Stream, Transport};
use crate::driver::{Key, TransportId};
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::fence;
use crate::thread_bound::{ThreadBound, UseRemoteAndTransportId};

/// A handle to one connection, to keep and to use from anywhere on its loop.
///
/// It implements [`Transport`](super::Transport). It is an index and a generation: cheap to clone,
/// it keeps nothing open, and dropping it closes nothing. Once the connection is gone every method is a
/// harmless no-op that says `Closed`, but for [`info`](Transport::info) and
/// [`close_reason`](Transport::close_reason), which stay. It cannot leave
/// the loop's thread.
///
/// Members of a room keep each other's handles:
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Error, Protocol, Result, Transport, TransportHandle};
///
/// type Room = Rc<RefCell<Vec<TransportHandle>>>;
///
/// struct Member(Room);
///
/// impl Protocol for Member {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         self.0.borrow_mut().push(transport.handle());
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         for member in &*self.0.borrow() {
///             member.write(data);
///         }
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
///         self.0.borrow_mut().retain(|member| member.id() != transport.id());
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let room = Room::default();
///     let entered = Rc::clone(&room);
///     event_loop.create_server(move || Member(Rc::clone(&entered)), "10.0.0.1:7").await?;
///     let record = wharf::testing::Record::new();
///     let client = event_loop.create_connection(record.factory(), "10.0.0.1:7").await?;
///     client.write(b"hello");
///     record.until(|record| record.received() == b"hello").await;
///     assert_eq!(room.borrow().len(), 1);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct TransportHandle {
    core: Rc<Core>,
    key: Key,
    facts: Rc<Facts>,
    bound: ThreadBound<UseRemoteAndTransportId>,
}

impl TransportHandle {
    pub(crate) fn new(core: Rc<Core>, key: Key, facts: Rc<Facts>) -> Self {
        Self { core, key, facts, bound: PhantomData }
    }

    /// A handle to a stream that is there.
    pub(crate) fn of(core: &Rc<Core>, stream: &Stream) -> Self {
        Self::new(Rc::clone(core), stream.key, stream.facts())
    }
}

/// # Waiting
impl TransportHandle {
    /// Waits until everything that was written is handed to the operating system: asyncio's `drain` with a
    /// high-water mark of 0.
    ///
    /// What is written meanwhile is waited for, too. Any number of tasks can wait, and a connection that nobody
    /// waits for pays nothing. Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the connection ends with something unsent, or is gone already, with what
    /// ended it as the source, if an error did.
    pub async fn flush(&self) -> Result<(), Error> {
        flush(self).await
    }

    /// Waits until the connection is gone: `connection_lost` was called. It does not close it.
    ///
    /// After a [`close`](Transport::close), `Ok` means that everything was handed to the operating system. Any
    /// number of tasks can wait. Dropping the future changes nothing.
    ///
    /// ```
    /// use wharf::testing::MemoryNetwork;
    /// use wharf::Transport as _;
    /// # struct Idle;
    /// # impl wharf::Protocol for Idle {
    /// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
    /// # }
    ///
    /// # fn main() -> wharf::Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     event_loop.create_server(|| Idle, "10.0.0.1:7").await?;
    ///     let client = event_loop.create_connection(|| Idle, "10.0.0.1:7").await?;
    ///     client.write(b"good-bye");
    ///     client.flush().await?;
    ///     assert_eq!(client.write_buffer_size(), 0);
    ///     client.close();
    ///     client.wait_closed().await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error that ended the connection, as `connection_lost` was told it; none after a `close`, an `abort` or
    /// the peer's end.
    #[doc(alias("loseConnection"))]
    pub async fn wait_closed(&self) -> Result<(), Error> {
        wait_closed(self).await
    }
}

/// # Transports by identity
impl EventLoop {
    /// The handle of a connection by its identity; `None` when it is gone.
    ///
    /// The way to a connection for other threads: they keep the id, and ask inside
    /// [`Remote::call_soon_threadsafe`].
    ///
    /// [`Remote::call_soon_threadsafe`]: crate::Remote::call_soon_threadsafe
    pub fn transport(&self, id: TransportId) -> Option<TransportHandle> {
        let stream = self.core().stream(id.0)?;
        Some(TransportHandle::of(self.core(), &stream))
    }

    /// As [`transport`](Self::transport), for a datagram endpoint.
    pub fn datagram_transport(&self, id: TransportId) -> Option<DatagramHandle> {
        let endpoint = self.core().datagram_endpoint(id.0)?;
        Some(DatagramHandle::of(self.core(), &endpoint))
    }
}

impl Access for TransportHandle {
    fn core(&self) -> &Rc<Core> {
        &self.core
    }

    fn key(&self) -> Key {
        self.key
    }

    fn facts(&self) -> Rc<Facts> {
        Rc::clone(&self.facts)
    }

    fn with<R>(&self, act: impl FnOnce(&Rc<Stream>) -> R) -> Option<R> {
        fence::debug_assert_open();
        // Taken out of the slots first: `act` may run the user's code.
        let stream = self.core.stream(self.key)?;
        Some(act(&stream))
    }
}

impl From<&Self> for TransportHandle {
    fn from(handle: &Self) -> Self {
        handle.clone()
    }
}

impl PartialEq for TransportHandle {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && Rc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for TransportHandle {}

impl fmt::Debug for TransportHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransportHandle")
            .field("id", &TransportId(self.key))
            .field("is_closing", &self.is_closing())
            .finish()
    }
}
