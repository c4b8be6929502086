//! A server as its users have it.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::draining::Draining;
use super::server_core::ServerCore;
use crate::address::Address;
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Wakers};
use crate::task::{LoopFuture, Share, future};
use crate::thread_bound::{ThreadBound, UseRemote};
use crate::transport::Stream;

/// A server: a handle to its listeners and its connections.
///
/// Cheap to clone. Dropping it does not close the server: the loop keeps it. The exception is a server
/// that nobody ever had, because it was still in the result of a [future](LoopFuture) or task that was
/// dropped: it is closed with its connections, unless a clone of it is elsewhere.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::MemoryNetwork;
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let server = event_loop.create_server(|| Idle, "10.0.0.1:7").await?;
///     println!("listening on {}", server.addresses()[0]);
///
///     // Accepts no more, has each protocol's `shutting_down` called, and waits for ten seconds at most.
///     let aborted = server.shutdown(Duration::from_secs(10)).await?;
///     assert_eq!(aborted, 0);
///     Ok(())
/// })
/// # }
/// ```
///
/// A server of a program that runs until it is told to stop:
///
/// ```no_run
/// use wharf::{EventLoop, Protocol, Result, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     EventLoop::new()?.run(async |event_loop| {
///         let server = event_loop.create_server(|| Echo, "127.0.0.1:7000").await?;
///         server.serve_forever().await?;
///         Ok(())
///     })
/// }
/// ```
#[doc(alias("TcpListener", "UnixListener", "Port"))]
#[derive(Clone)]
pub struct Server {
    pub(super) core: Rc<Core>,
    pub(super) shared: Rc<ServerCore>,
    share: Share,
    bound: ThreadBound<UseRemote>,
}

impl Server {
    pub(super) fn new(core: Rc<Core>, shared: Rc<ServerCore>) -> Self {
        Self { core, shared, share: Share::default(), bound: PhantomData }
    }

    /// The address that is listened on, with the port that port 0 became; the first, if there are
    /// several.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) once the server is closed.
    pub fn local_address(&self) -> Result<Address, Error> {
        self.check_open()?;
        let first = self.addresses().into_iter().next();
        first.ok_or_else(|| Error::new(Kind::Unsupported, "the listener has no address"))
    }

    /// All addresses that are listened on; empty once the server is closed. asyncio's `sockets`.
    pub fn addresses(&self) -> Vec<Address> {
        let listeners = self.shared.listeners.borrow();
        listeners.iter().filter_map(|listener| listener.local_address()).collect()
    }

    /// Another descriptor of each listener, in the order of [`addresses`](Self::addresses): for a program that another one
    /// takes the place of, in this process (`exec`) or in its child.
    ///
    /// While one of them is open clients connect and wait to be accepted, after [`close`](Self::close), too;
    /// [`create_server_on`](EventLoop::create_server_on) serves them. The path of a Unix server is removed by `close`,
    /// unless [`cleanup_socket`](crate::ServerBuilder::cleanup_socket) says otherwise. They are closed on `exec`, as all
    /// descriptors of this library. Between processes that run at the same time
    /// [`offer_handover`](EventLoop::offer_handover) does the whole.
    ///
    /// # Errors
    /// The process has too many descriptors; [`is_unsupported`](Error::is_unsupported) on a loop in memory.
    pub fn duplicate_listeners(&self) -> Result<Vec<OwnedFd>, Error> {
        let failed = |error| Error::io("a listener could not be duplicated", error);
        self.core.driver.require_os("duplicate a listener")?;
        let listeners = self.shared.listeners.borrow();
        listeners.iter().map(|listener| listener.duplicate().map_err(failed)).collect()
    }

    /// Whether connections are accepted.
    pub fn is_serving(&self) -> bool {
        self.shared.serving.get() && !self.is_closed()
    }

    /// Whether the server is closed: nothing is listened on any more.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.get()
    }

    /// The connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Begins to accept, where the server was made without. Later calls change nothing.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed).
    pub fn start_serving(&self) -> Result<(), Error> {
        self.check_open()?;
        if !self.shared.serving.replace(true) {
            self.shared.accept_soon(&self.core);
        }
        Ok(())
    }

    /// Those who wait until it is closed.
    pub(crate) fn closing(&self) -> &Wakers {
        &self.shared.closing
    }

    /// Stops accepting until [`start_serving`](Self::start_serving): who connects waits in the backlog.
    pub(crate) fn pause_serving(&self) {
        self.shared.serving.set(false);
    }

    /// Serves until the server is closed. It accepts from now on, if it did not.
    ///
    /// Cancelling the future closes the server. It does not wait for connections to end; that is
    /// what [`shutdown`](Self::shutdown) is for.
    ///
    /// # Errors
    /// The future fails with [`is_closed`](Error::is_closed) when the server is closed already,
    /// and with [`is_invalid`](Error::is_invalid) when it is being served already.
    pub fn serve_forever(&self) -> LoopFuture<()> {
        let (promise, served) = future(&self.core);
        if let Err(error) = self.start_serving() {
            promise.set(Err(error));
        } else if self.shared.forever.borrow().as_ref().is_some_and(|other| !other.is_cancelled()) {
            promise.set(Err(Error::invalid("the server is served for ever already")));
        } else {
            let server = self.clone();
            promise.on_cancel_at_once(move || server.close());
            let former = self.shared.forever.borrow_mut().replace(promise);
            drop(former);
        }
        served
    }

    /// Stops listening at once: new connects are refused. Open connections stay. Later calls
    /// change nothing.
    #[doc(alias("stopListening"))]
    pub fn close(&self) {
        self.shared.close(&self.core);
    }

    /// Closes every open connection gracefully: what is written is sent first.
    pub fn close_clients(&self) {
        for stream in self.clients() {
            stream.close(&self.core);
        }
    }

    /// Aborts every open connection: what is not sent is dropped. Returns how many they were.
    pub fn abort_clients(&self) -> usize {
        let clients = self.clients();
        for stream in &clients {
            stream.abort(&self.core);
        }
        clients.len()
    }

    /// Waits until the server is closed and all its connections are gone.
    ///
    /// It waits as long as that takes; [`shutdown`](Self::shutdown) has a deadline.
    pub fn wait_closed(&self) -> LoopFuture<()> {
        let gone = self.shared.waiting.wait(&self.core);
        if self.shared.is_over() {
            self.shared.waiting.tell(|| Ok(()));
        }
        gone
    }

    /// Brings the server to its end, within `grace`: stops listening, tells every protocol
    /// ([`shutting_down`](crate::Protocol::shutting_down), which closes gracefully by default), waits
    /// for the connections to end, and aborts those that are left at the deadline.
    ///
    /// It also waits until the peers of closed connections have acknowledged everything that was sent to them, as
    /// far as the system tells. It does not wait for them to end their side. So a program that ends after the
    /// shutdown cuts off no reply.
    ///
    /// It waits, too, for handlers of [`start_server`](EventLoop::start_server) that have something left to do though
    /// their connection is gone. One that goes on at the deadline is left alone: closing the loop drops it.
    ///
    /// Completes with the number of connections that had to be aborted, including those whose peers had not
    /// acknowledged everything at the deadline. Dropping the future does not cancel the shutdown: a server that
    /// has stopped listening cannot go back.
    #[doc(alias("graceful_shutdown", "stopListening"))]
    pub fn shutdown(&self, grace: Duration) -> LoopFuture<usize> {
        self.close();
        let event_loop = EventLoop::from_core(Rc::clone(&self.core));
        for stream in self.clients() {
            // From the ready list: this may be called inside one of their callbacks.
            let core = Rc::clone(&self.core);
            event_loop.call_soon(move || stream.ask_to_shut_down(&core));
        }
        let server = self.clone();
        let aborted = Rc::new(Cell::new(0));
        let count = Rc::clone(&aborted);
        let deadline = event_loop.call_later(grace, move || count.set(server.abort_clients()));
        let (promise, ended) = future(&self.core);
        let server = self.clone();
        let until = self.core.after(grace);
        let gone = self.wait_closed();
        gone.add_done_callback(move |outcome| {
            deadline.cancel();
            match outcome {
                Ok(()) => Draining::begin(server, until, aborted.get(), promise),
                Err(_) => promise.set(Err(Error::bare(Kind::Cancelled))),
            }
        });
        gone.detach();
        ended
    }

    /// The loop that the server runs on.
    pub fn event_loop(&self) -> EventLoop {
        EventLoop::from_core(Rc::clone(&self.core))
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::new(Kind::Closed, "the server is closed"));
        }
        Ok(())
    }

    pub(super) fn clients(&self) -> Vec<Rc<Stream>> {
        let slots = self.core.slots.borrow();
        slots
            .entries()
            .filter_map(|entry| match entry {
                Entry::Stream(stream) if stream.belongs_to(&self.shared) && !stream.is_closed() => {
                    Some(Rc::clone(stream))
                }
                _ => None,
            })
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.share.close_if_untaken(|| {
            self.close();
            self.close_clients();
        });
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("addresses", &self.addresses())
            .field("is_serving", &self.is_serving())
            .field("connections", &self.connections())
            .finish()
    }
}
