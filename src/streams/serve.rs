//! `start_server` and its kin: a server whose connections are served by an async function each.

use std::any::type_name;
use std::cell::OnceCell;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::link::Link;
use super::protocol::Taker;
use super::{StreamProtocol, StreamReader, StreamWriter};
use crate::address::UnixAddress;
use crate::error::{Error, Result};
use crate::event_loop::{EventLoop, ServerCore, Subject};
use crate::fence;
use crate::net::{ServerBuilder, Targets};
use crate::transport::{Access, Transport};

/// # Serving streams
impl EventLoop {
    /// Listens on `to`, and runs `handler` for each connection: asyncio's `start_server`.
    ///
    /// Each connection's handler is a task of the loop. When it returns `Ok` the connection is closed, as by
    /// [`StreamWriter::close`]. An `Err` or a panic goes to the loop's
    /// [exception handler](Self::set_exception_handler), with the handler's type and the peer, and aborts the
    /// connection; an `Err` that is the peer's or the network's doing (a reset, a timeout, an
    /// [incomplete read](Error::is_incomplete_read), a [line too long](Error::is_limit_overrun), an
    /// [`Error::protocol_violation`]) is not reported.
    ///
    /// While the server [shuts down](crate::Server::shutdown), a reader that has nothing sees the end of the input,
    /// so a handler that reads request after request ends after the one it is at; what was received is read first
    /// (see [`StreamReader::set_waits_in_shutdown`] and [`StreamWriter::is_shutting_down`]). Handlers that have not
    /// ended by the deadline lose their connection; [`shutdown`](crate::Server::shutdown) waits for them until then.
    ///
    /// ```
    /// use wharf::{Result, StreamReader, StreamWriter};
    /// # use wharf::testing::MemoryNetwork;
    ///
    /// async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result {
    ///     let mut buffer = [0; 1024];
    ///     loop {
    ///         let count = reader.read(&mut buffer).await?;
    ///         if count == 0 {
    ///             return Ok(());
    ///         }
    ///         writer.write_all(&buffer[..count]).await?;
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     let server = event_loop.start_server(echo, "10.0.0.1:7").max_connections(1000).await?;
    ///     let (mut reader, writer) = event_loop.open_connection(server.local_address()?).await?;
    ///     writer.write_all(b"hello").await?;
    ///     assert_eq!(reader.read_exactly(5).await?, b"hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// `to`, the options and the errors are those of [`create_server`](Self::create_server). Dropping the builder
    /// listens on nothing; dropping the [`Server`](crate::Server) changes nothing.
    #[doc(alias("TcpListener", "serve"))]
    #[track_caller]
    pub fn start_server<F>(&self, handler: F, to: impl Into<Targets>) -> ServerBuilder
    where
        F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
    {
        self.create_server(self.served_by(handler), to)
    }

    /// As [`start_server`](Self::start_server), on a Unix socket: see
    /// [`create_unix_server`](Self::create_unix_server).
    #[doc(alias("UnixListener"))]
    #[track_caller]
    pub fn start_unix_server<F>(&self, handler: F, path: impl Into<UnixAddress>) -> ServerBuilder
    where
        F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
    {
        self.create_unix_server(self.served_by(handler), path)
    }

    /// As [`start_server`](Self::start_server), on sockets that listen already: see
    /// [`create_server_on`](Self::create_server_on).
    #[track_caller]
    pub fn start_server_on<F, L>(
        &self,
        handler: F,
        listeners: impl IntoIterator<Item = L>,
    ) -> ServerBuilder
    where
        F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
        L: Into<OwnedFd>,
    {
        self.create_server_on(self.served_by(handler), listeners)
    }

    #[track_caller]
    fn served_by<F>(&self, handler: F) -> impl FnMut() -> StreamProtocol + 'static
    where
        F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
    {
        let (event_loop, place) = (self.clone(), Location::caller());
        let (function, server) = (Some(handler), OnceCell::new());
        let handler = Rc::new(Handler { event_loop, place, function, server });
        move || {
            let taker: Rc<dyn Taker> = Rc::clone(&handler) as _;
            StreamProtocol::for_taker(handler.event_loop.core(), taker)
        }
    }
}

/// The user's async function, which all connections of a server share. The last of them drops it.
struct Handler<F: 'static> {
    event_loop: EventLoop,
    /// Where the server was started.
    place: &'static Location<'static>,
    /// There until it is dropped.
    function: Option<F>,
    /// Known from the first connection on. Its factory owns this.
    server: OnceCell<Weak<ServerCore>>,
}

impl<F: 'static> Handler<F> {
    fn server(&self) -> Option<Rc<ServerCore>> {
        self.server.get().and_then(Weak::upgrade)
    }
}

impl<F: 'static> Drop for Handler<F> {
    fn drop(&mut self) {
        self.event_loop.core().drop_user(self.function.take(), "handler");
    }
}

impl<F> Taker for Handler<F>
where
    F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
{
    fn take(self: Rc<Self>, stream: &StreamProtocol) {
        let link = Rc::clone(stream.link());
        let (event_loop, place) = (self.event_loop.clone(), self.place);
        let handling = Handling::begin(self, &link);
        // In a box: all of a task's future is in the task twice.
        let running: Running = Box::pin(async move {
            let Some(function) = &handling.0.function else { return Ok(()) };
            let (reader, writer) = StreamProtocol::halves_of(&link);
            function(reader, writer).await
        });
        let serving = Serving {
            link: Rc::clone(stream.link()),
            running: Some(running),
            handler: type_name::<F>,
        };
        event_loop.create_task_at(place, serving).detach();
    }
}

/// A call of the handler, which its server's shutdown waits for.
struct Handling<F: 'static>(Rc<Handler<F>>);

impl<F: 'static> Handling<F> {
    fn begin(handler: Rc<Handler<F>>, link: &Link) -> Self {
        let server = link.with(|stream| stream.server().map(Rc::downgrade)).flatten();
        handler.server.get_or_init(|| server.unwrap_or_default());
        if let Some(server) = handler.server() {
            server.handler_begins();
        }
        Self(handler)
    }
}

impl<F: 'static> Drop for Handling<F> {
    fn drop(&mut self) {
        if let Some(server) = self.0.server() {
            server.handler_ends();
        }
    }
}

type Running = Pin<Box<dyn Future<Output = Result>>>;

/// Runs the handler of one connection to its end, and ends the connection as it says.
struct Serving {
    link: Rc<Link>,
    /// There until it is over.
    running: Option<Running>,
    /// What the handler's type is called.
    handler: fn() -> &'static str,
}

impl Future for Serving {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.running else { return Poll::Ready(()) };
        let outcome = match fence::run(|| running.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome.map_err(Error::from),
            Err(panic) => Err(panic.into_error()),
        };
        // Here, so that a panic of its Drop code does not keep the connection from ending.
        let running = self.running.take();
        self.link.core().run_caught("dropping a handler failed", || drop(running));
        self.end(outcome);
        Poll::Ready(())
    }
}

impl Serving {
    fn end(&self, outcome: Result<(), Error>) {
        let (link, core) = (&self.link, self.link.core());
        match outcome {
            Ok(()) => link.close_here(),
            Err(error) => {
                link.abort();
                if error.is_reported() {
                    let peer = link.info().peer_address().cloned();
                    let subject = Subject::new(link.id(), (self.handler)(), peer);
                    core.report_callback(&subject, "its handler", &error);
                }
                core.drop_user(error, "user's error");
            }
        }
    }
}
