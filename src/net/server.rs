//! A server: its listeners, its connections, its end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use super::accept::Accepting;
use super::draining::Draining;
use super::factory::{Factory, Make};
use super::server_builder::Settings;
use crate::address::Address;
use crate::cell::put_back;
use crate::driver::unix_path::BoundPath;
use crate::driver::{Listener, SocketOptions};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Exception, nanoseconds};
use crate::fence;
use crate::protocol::Protocol;
use crate::task::{LoopFuture, Promise, Share, Waiters, future};
use crate::thread_bound::{ThreadBound, UseRemote};
#[cfg(feature = "tls-core")]
use crate::tls::TlsServer;
use crate::transport::{Info, Stream, StreamOptions};

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

    /// Brings the server to its end, within `grace`: stops listening, tells every protocol (see
    /// [`Protocol::shutting_down`], which closes gracefully by default), waits for the connections
    /// to end, and aborts those that are left at the deadline.
    ///
    /// It also waits until the peers of closed connections have acknowledged everything that was sent to them, as
    /// far as the system tells. It does not wait for them to end their side. So a program that ends after the
    /// shutdown cuts off no reply.
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
        let until = self.core.now().saturating_add(nanoseconds(grace));
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

pub(super) type AcceptErrorHandler = Box<dyn FnMut(&Error)>;

/// The state of a server, shared by its handles, its listeners and its connections.
pub(crate) struct ServerCore {
    /// Taken out while it runs: it is the user's code.
    pub(super) factory: Cell<Option<Factory>>,
    /// `None` without TLS, and once the server is over: users put code of their own into it.
    #[cfg(feature = "tls-core")]
    pub(super) tls: RefCell<Option<TlsServer>>,
    pub(super) settings: ServerSettings,
    pub(super) socket_options: SocketOptions,
    pub(super) stream_options: StreamOptions,
    pub(super) serving: Cell<bool>,
    pub(super) connections: Cell<usize>,
    pub(super) listeners: RefCell<Vec<Rc<Accepting>>>,
    pub(super) paths: Cell<Vec<BoundPath>>,
    closed: Cell<bool>,
    forever: RefCell<Option<Promise<()>>>,
    waiting: Waiters<()>,
    on_accept_error: Cell<Option<AcceptErrorHandler>>,
    /// When the last accept error was reported by default, and how many have not been reported
    /// since.
    reported: Cell<(Option<u64>, u64)>,
}

pub(super) struct ServerSettings {
    pub(super) max_connections: usize,
    pub(super) accept_batch: u32,
}

/// The least time between two accept errors that are reported by default, in nanoseconds.
const REPORT_INTERVAL: u64 = 1_000_000_000;

impl ServerCore {
    pub(super) fn new(
        factory: Factory,
        settings: Settings,
        socket_options: SocketOptions,
        stream_options: StreamOptions,
        paths: Vec<BoundPath>,
    ) -> Rc<Self> {
        Rc::new(Self {
            factory: Cell::new(Some(factory)),
            settings: ServerSettings {
                max_connections: settings.max_connections.unwrap_or(usize::MAX),
                accept_batch: settings.accept_batch,
            },
            #[cfg(feature = "tls-core")]
            tls: RefCell::new(settings.tls),
            socket_options,
            stream_options,
            serving: Cell::new(false),
            connections: Cell::new(0),
            listeners: RefCell::default(),
            paths: Cell::new(paths),
            closed: Cell::new(false),
            forever: RefCell::default(),
            waiting: Waiters::default(),
            on_accept_error: Cell::new(settings.on_accept_error),
            reported: Cell::new((None, 0)),
        })
    }

    pub(super) fn listen(
        self: &Rc<Self>,
        core: &Rc<Core>,
        listeners: Vec<Listener>,
    ) -> Result<(), Error> {
        for listener in listeners {
            match Accepting::register(core, self, listener) {
                Ok(accepting) => self.listeners.borrow_mut().push(accepting),
                Err(error) => {
                    self.close(core);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes a protocol for a connection, by the factory.
    pub(crate) fn make_protocol(
        &self,
        info: impl FnOnce() -> Rc<Info>,
    ) -> Result<Box<dyn Protocol>, Error> {
        let Some(mut factory) = self.factory.take() else {
            return Err(Error::bare(Kind::Closed));
        };
        let made = fence::run(|| match &mut factory {
            Factory(Make::Plain(make)) => Ok(make()),
            Factory(Make::WithInfo(make)) => make(&info()),
        });
        put_back(&self.factory, factory);
        match made {
            Ok(Ok(protocol)) => Ok(protocol),
            Ok(Err(failure)) => Err(Error::from(failure)),
            Err(panic) => Err(panic.into_error()),
        }
    }

    #[cfg(feature = "tls-core")]
    pub(super) fn has_tls(&self) -> bool {
        self.tls.borrow().is_some()
    }

    pub(super) fn may_accept(&self) -> bool {
        self.serving.get()
            && !self.closed.get()
            && self.connections.get() < self.settings.max_connections
    }

    pub(super) fn accept_soon(&self, core: &Core) {
        let listeners = self.listeners.borrow().clone();
        for listener in listeners {
            listener.enqueue_if_ready(core);
        }
    }

    #[inline]
    pub(crate) fn client_is_gone(&self, core: &Core) {
        let before = self.connections.get();
        self.connections.set(before - 1);
        if before == self.settings.max_connections {
            self.accept_soon(core);
        }
        self.tell_if_over(core);
    }

    pub(super) fn close(&self, core: &Rc<Core>) {
        if self.closed.replace(true) {
            return;
        }
        // While the listeners are still open: see `BoundPath`.
        drop(self.paths.take());
        let listeners = std::mem::take(&mut *self.listeners.borrow_mut());
        for listener in listeners {
            listener.let_go(core);
        }
        let forever = self.forever.borrow_mut().take();
        if let Some(forever) = forever {
            forever.set(Ok(()));
        }
        self.tell_if_over(core);
    }

    fn is_over(&self) -> bool {
        self.closed.get() && self.connections.get() == 0
    }

    #[inline]
    fn tell_if_over(&self, core: &Core) {
        if self.is_over() {
            self.tell_over(core);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_over(&self, core: &Core) {
        self.waiting.tell(|| Ok(()));
        // No protocol is made any more: everything of the user's is dropped here, behind the fence
        // and one at a time, since it may hold this server. What drops the rest of the server later
        // runs no foreign code.
        core.drop_user(self.factory.take(), "protocol factory");
        core.drop_user(self.on_accept_error.take(), "accept error handler");
        #[cfg(feature = "tls-core")]
        {
            let tls = self.tls.borrow_mut().take();
            core.drop_user(tls, "TLS configuration");
        }
    }

    /// An incoming connection came to nothing. The error may be the user's, and is dropped here.
    pub(crate) fn accept_failed(&self, core: &Core, error: Error) {
        self.tell_accept_error(core, &error);
        core.drop_user(error, "user's error");
    }

    fn tell_accept_error(&self, core: &Core, error: &Error) {
        if let Some(mut handler) = self.on_accept_error.take() {
            core.run_caught("the accept error handler failed", || handler(error));
            if self.is_over() {
                core.drop_user(handler, "accept error handler");
            } else {
                self.on_accept_error.set(Some(handler));
            }
            return;
        }
        let now = core.tick_time();
        let (last, held_back) = self.reported.get();
        if last.is_some_and(|last| now < last.saturating_add(REPORT_INTERVAL)) {
            self.reported.set((last, held_back + 1));
            return;
        }
        self.reported.set((Some(now), 0));
        let message = match held_back {
            0 => "an incoming connection failed".to_owned(),
            _ => format!("an incoming connection failed (and {held_back} before, not reported)"),
        };
        core.report(&Exception::new(&message, Some(error), None));
    }
}
