//! Accepting connections one by one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::protocol::Taker;
use super::{StreamProtocol, StreamReader, StreamWriter};
use crate::address::{Address, UnixAddress};
use crate::error::{Error, Kind, Result};
use crate::event_loop::{EventLoop, Wakers};
use crate::net::{Server, ServerBuilder, Targets};

/// How many connections wait to be taken before no more are accepted.
const MOST_WAITING: usize = 16;

/// # Accepting streams
impl EventLoop {
    /// Listens on `to`, for connections that [`Listener::accept`] gives one by one.
    ///
    /// [`start_server`](Self::start_server) is shorter where each connection is served by itself. `to`, the options
    /// and the errors are those of [`create_server`](Self::create_server).
    ///
    /// ```
    /// # use wharf::testing::MemoryNetwork;
    /// # fn main() -> wharf::Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     let listener = event_loop.listen("10.0.0.1:7").await?;
    ///     let (mut reader, client) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     let (_reader, server) = listener.accept().await?;
    ///     server.write_all(b"hello").await?;
    ///     assert_eq!(reader.read_exactly(5).await?, b"hello");
    ///     # drop(client);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("TcpListener", "bind"))]
    pub fn listen(&self, to: impl Into<Targets>) -> ServerBuilder<Listener> {
        let queue = Queue::new(self);
        self.create_server(queue.factory(), to).finishing(|server| Listener::new(server, queue))
    }

    /// As [`listen`](Self::listen), on a Unix socket: see [`create_unix_server`](Self::create_unix_server).
    #[doc(alias("UnixListener"))]
    pub fn listen_unix(&self, path: impl Into<UnixAddress>) -> ServerBuilder<Listener> {
        let queue = Queue::new(self);
        self.create_unix_server(queue.factory(), path)
            .finishing(|server| Listener::new(server, queue))
    }

    /// As [`listen`](Self::listen), on sockets that listen already: see
    /// [`create_server_on`](Self::create_server_on).
    pub fn listen_on<L: Into<OwnedFd>>(
        &self,
        listeners: impl IntoIterator<Item = L>,
    ) -> ServerBuilder<Listener> {
        let queue = Queue::new(self);
        self.create_server_on(queue.factory(), listeners)
            .finishing(|server| Listener::new(server, queue))
    }
}

/// What [`EventLoop::listen`] gives: connections, one by one.
///
/// Up to 16 connections are accepted ahead of who takes them; then others wait in the operating system's backlog.
/// What they have sent by then is there when they are taken.
///
/// Dropping it stops listening, and closes connections that nobody has taken. Those that were taken go on.
#[doc(alias("TcpListener", "UnixListener"))]
pub struct Listener {
    server: Server,
    queue: Rc<Queue>,
}

impl Listener {
    fn new(server: Server, queue: Rc<Queue>) -> Self {
        *queue.server.borrow_mut() = Some(server.clone());
        Self { server, queue }
    }

    /// Waits for a connection. Any number of tasks can wait.
    ///
    /// Dropping the future loses no connection.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the listener is closed, and no connection waits any more. An incoming
    /// connection that came to nothing is no error here: see [`ServerBuilder::on_accept_error`].
    pub async fn accept(&self) -> Result<(StreamReader, StreamWriter), Error> {
        let (server, queue) = (&self.server, &*self.queue);
        let core = queue.event_loop.core();
        let mut taken = pin!(queue.arrivals.wait_in_turn(core, || queue.pop(server)));
        let is_closed = || server.is_closed().then_some(());
        let mut closed = pin!(server.closing().wait_for(core, is_closed));
        poll_fn(|context| {
            let polled = taken.as_mut().poll(context).map(Ok);
            if polled.is_pending() && closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Error::new(Kind::Closed, "the listener is closed")));
            }
            polled
        })
        .await
    }

    /// The next connection; `None` when the listener is closed. As [`accept`](Self::accept), for loops.
    ///
    /// Dropping the future loses no connection.
    pub async fn next(&mut self) -> Option<Result<(StreamReader, StreamWriter), Error>> {
        match self.accept().await {
            Err(error) if error.is_closed() => None,
            outcome => Some(outcome),
        }
    }

    /// The address that is listened on; see [`Server::local_address`].
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) once the listener is closed.
    pub fn local_address(&self) -> Result<Address, Error> {
        self.server.local_address()
    }

    /// The server behind it, to count connections, to close it or to shut it down.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.close();
        self.queue.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Listener")
            .field("server", &self.server)
            .field("waiting", &self.queue.waiting.borrow().len())
            .finish()
    }
}

/// The connections that nobody has taken.
struct Queue {
    event_loop: EventLoop,
    waiting: RefCell<VecDeque<(StreamReader, StreamWriter)>>,
    /// Not accepting, since it is full.
    is_full: Cell<bool>,
    /// The listener was dropped.
    is_closed: Cell<bool>,
    /// There until then.
    server: RefCell<Option<Server>>,
    /// Those who accept.
    arrivals: Wakers,
}

impl Queue {
    fn new(event_loop: &EventLoop) -> Rc<Self> {
        Rc::new(Self {
            event_loop: event_loop.clone(),
            waiting: RefCell::default(),
            is_full: Cell::new(false),
            is_closed: Cell::new(false),
            server: RefCell::default(),
            arrivals: Wakers::default(),
        })
    }

    fn factory(self: &Rc<Self>) -> impl FnMut() -> StreamProtocol + 'static {
        let queue = Rc::clone(self);
        move || {
            let taker: Rc<dyn Taker> = Rc::clone(&queue) as _;
            StreamProtocol::for_taker(queue.event_loop.core(), taker)
        }
    }

    /// The first one; `None`: none is there yet.
    fn pop(&self, server: &Server) -> Option<(StreamReader, StreamWriter)> {
        let first = self.waiting.borrow_mut().pop_front()?;
        if self.is_full.replace(false) {
            // A server that was closed meanwhile stays closed.
            let _ = server.start_serving();
        }
        Some(first)
    }

    fn close(&self) {
        self.is_closed.set(true);
        let waiting = self.waiting.take();
        drop(waiting);
        let server = self.server.borrow_mut().take();
        drop(server);
    }
}

impl Taker for Queue {
    fn take(self: Rc<Self>, stream: &StreamProtocol) {
        if self.is_closed.get() {
            return;
        }
        self.waiting.borrow_mut().push_back(stream.halves());
        if self.waiting.borrow().len() >= MOST_WAITING {
            let server = self.server.borrow().clone();
            if let Some(server) = server {
                self.is_full.set(true);
                server.pause_serving();
            }
        }
        self.arrivals.wake_some(self.event_loop.core());
    }
}
