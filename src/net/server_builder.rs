//! `create_server` and its options.

use std::fmt;
use std::future::IntoFuture;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connect::no_descriptors;
use super::factory::{Factory, ProtocolFactory};
use super::listen::{self, On};
use super::server::Server;
use super::server_core::{AcceptErrorHandler, ServerCore};
use super::stream_settings::stream_settings;
use super::targets::Targets;
use crate::address::UnixAddress;
use crate::driver::{Keepalive, ListenOptions, Listener, SocketOptions};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Guarded};
use crate::task::{LoopFuture, operation};
use crate::timeout::Timeout;
#[cfg(feature = "tls-core")]
use crate::tls::TlsServer;
use crate::transport::StreamOptions;

/// A server to be made: what [`EventLoop::create_server`] and its kin return.
///
/// Await it, or [`start`](Self::start) it. Nothing is bound before. It gives a `T`: a [`Server`], or what the method
/// that made the builder says.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let server = event_loop
///         .create_server(|| Idle, "10.0.0.1:7")
///         .max_connections(1000)
///         .write_buffer_cap(1024 * 1024)
///         .backlog(256)
///         .await?;
///     assert!(server.is_serving());
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is listened on before it is awaited or started"]
pub struct ServerBuilder<T = Server> {
    core: Rc<Core>,
    /// Makes what the future gives. One that keeps nothing is no allocation.
    finish: Box<dyn FnOnce(Server) -> T>,
    on: On,
    factory: Factory,
    listen: ListenOptions,
    start_serving: bool,
    cleanup_socket: Option<bool>,
    settings: Settings,
    socket_options: SocketOptions,
    stream_options: StreamOptions,
}

/// What a running server goes by.
pub(super) struct Settings {
    pub(super) max_connections: Option<usize>,
    pub(super) accept_batch: u32,
    pub(super) on_accept_error: Option<AcceptErrorHandler>,
    #[cfg(feature = "tls-core")]
    pub(super) tls: Option<TlsServer>,
}

impl Settings {
    /// A server that accepts nothing is a mistake.
    fn check(&self) -> Result<(), Error> {
        if self.max_connections == Some(0) || self.accept_batch == 0 {
            return Err(Error::invalid("a server has to accept at least one connection"));
        }
        Ok(())
    }
}

/// # Servers
///
/// Each method gives a builder: set options on it, then await it or [`start`](ServerBuilder::start) it.
impl EventLoop {
    /// Listens on `to` and runs a protocol that `factory` makes on each connection.
    ///
    /// `factory` is a closure without arguments, or [`with_info`](crate::with_info) of one that is told
    /// who connects and may refuse.
    ///
    /// `to` is anything [`Targets`] are made from: `"127.0.0.1:7000"`, `":7000"` for all
    /// interfaces, a `SocketAddr`, a list. Every address gets its own listener; port 0 is a free
    /// port, one for all of them where possible. When the future completes the server accepts.
    ///
    /// ```
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
    ///         let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
    ///         println!("listening on {}", server.local_address()?);
    ///         server.close();
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for what is no address; what the operating system says to
    /// binding, with the address; the resolver's errors.
    #[doc(alias("bind", "listen", "listenTCP", "TcpListener"))]
    pub fn create_server(
        &self,
        factory: impl ProtocolFactory,
        to: impl Into<Targets>,
    ) -> ServerBuilder {
        self.server(factory.into_factory(), On::Targets(to.into()))
    }

    /// Listens on a Unix socket, at a path or at any [`UnixAddress`].
    ///
    /// A socket at `path` that nobody listens on any more is removed first; anything else there is
    /// an error. Meanwhile the directory is locked (`flock`), so that of servers that begin at once
    /// one gets the path; a lock that others keep is waited for half a second. The path is removed
    /// when the server closes, if it still is this server's. On Linux a path that begins with a zero
    /// byte is an abstract name. An empty path is refused as [`is_invalid`](Error::is_invalid).
    /// [`Info::peer_credentials`](crate::Info::peer_credentials) says who a client is, as far as the
    /// system knows.
    #[doc(alias("listenUNIX", "UnixListener"))]
    pub fn create_unix_server(
        &self,
        factory: impl ProtocolFactory,
        path: impl Into<UnixAddress>,
    ) -> ServerBuilder {
        self.server(factory.into_factory(), On::Unix(path.into().to_path()))
    }

    /// Serves on sockets that listen already: a `TcpListener`, or those of
    /// [`inherited_sockets`](crate::inherited_sockets). They are owned from here on; the path of one at a
    /// Unix path goes with it (see [`cleanup_socket`](ServerBuilder::cleanup_socket)).
    pub fn create_server_on<L: Into<OwnedFd>>(
        &self,
        factory: impl ProtocolFactory,
        listeners: impl IntoIterator<Item = L>,
    ) -> ServerBuilder {
        let listeners = listeners.into_iter().map(Into::into).collect();
        self.server(factory.into_factory(), On::Listeners(listeners))
    }

    fn server(&self, factory: Factory, on: On) -> ServerBuilder {
        ServerBuilder {
            core: Rc::clone(self.core()),
            finish: Box::new(|server| server),
            on,
            factory,
            listen: ListenOptions { backlog: 1024, reuse_address: true, reuse_port: false },
            start_serving: true,
            cleanup_socket: None,
            settings: Settings {
                max_connections: None,
                accept_batch: 16,
                on_accept_error: None,
                #[cfg(feature = "tls-core")]
                tls: None,
            },
            socket_options: SocketOptions::default(),
            stream_options: StreamOptions::for_server(),
        }
    }
}

impl ServerBuilder {
    /// The same, for what `finish` makes of the server.
    pub(crate) fn finishing<T: 'static>(
        self,
        finish: impl FnOnce(Server) -> T + 'static,
    ) -> ServerBuilder<T> {
        ServerBuilder {
            core: self.core,
            finish: Box::new(finish),
            on: self.on,
            factory: self.factory,
            listen: self.listen,
            start_serving: self.start_serving,
            cleanup_socket: self.cleanup_socket,
            settings: self.settings,
            socket_options: self.socket_options,
            stream_options: self.stream_options,
        }
    }
}

impl<T: 'static> ServerBuilder<T> {
    /// How many connections the operating system keeps waiting to be accepted. 1024 by default,
    /// and no more than the system allows.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.listen.backlog = connections;
        self
    }

    /// Whether an address may be bound that connections of a former server still occupy
    /// (`SO_REUSEADDR`). On by default.
    pub fn reuse_address(mut self, on: bool) -> Self {
        self.listen.reuse_address = on;
        self
    }

    /// Whether several sockets may be bound to the address, among which the operating system
    /// spreads connections (`SO_REUSEPORT`). Off by default.
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.listen.reuse_port = on;
        self
    }

    /// Whether to accept at once (the default), or only after
    /// [`Server::start_serving`].
    pub fn start_serving(mut self, on: bool) -> Self {
        self.start_serving = on;
        self
    }

    /// Whether the path of a Unix server is removed when it closes, if it still is that of its socket.
    ///
    /// On by default, also for listeners that were bound elsewhere; off for those that another process
    /// has as well: a service manager's ([`inherited_sockets`](crate::inherited_sockets)) and a
    /// predecessor's ([`take_over`](EventLoop::take_over)). The successor gets the paths, too.
    pub fn cleanup_socket(mut self, on: bool) -> Self {
        self.cleanup_socket = Some(on);
        self
    }

    /// The most connections at a time, at least 1; further ones wait in the backlog. `None`, the
    /// default: no limit.
    #[doc(alias("Semaphore", "LimitTotalConnectionsFactory"))]
    pub fn max_connections(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.settings.max_connections = connections.into();
        self
    }

    /// The most connections that one listener accepts before other sockets are served, at least 1.
    /// 16 by default.
    pub fn accept_batch(mut self, connections: u32) -> Self {
        self.settings.accept_batch = connections;
        self
    }

    /// Serves under TLS.
    ///
    /// The factory and `connection_made` are called when a handshake is done, so that a factory
    /// [`with_info`](crate::with_info) is told what was agreed on
    /// ([`Info::tls`](crate::Info::tls)). A handshake that fails or takes too long is an accept error. Handshakes that
    /// go on count as connections.
    #[cfg(feature = "tls-core")]
    pub fn tls(mut self, tls: impl Into<TlsServer>) -> Self {
        self.settings.tls = Some(tls.into());
        self
    }

    /// Calls `handler` for every incoming connection that came to nothing: accepting failed, the
    /// factory failed, the TLS handshake failed, the system is out of descriptors.
    ///
    /// By default they go to the loop's exception handler, at most one a second and server.
    pub fn on_accept_error(mut self, handler: impl FnMut(&Error) + 'static) -> Self {
        self.settings.on_accept_error = Some(Box::new(handler));
        self
    }

    stream_settings!();

    /// Begins to resolve and bind. Dropping the future that is returned gives up (see
    /// [`LoopFuture`]).
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, finish, on, factory, listen, .. } = self;
        let Self { socket_options, cleanup_socket, .. } = self;
        let mut settings = self.settings;
        // Each is dropped on its own, however this ends.
        let factory = Guarded::new(&core, factory, "protocol factory");
        let handler = settings.on_accept_error.take();
        let handler = Guarded::new(&core, handler, "accept error handler");
        #[cfg(feature = "tls-core")]
        let tls = Guarded::new(&core, settings.tls.take(), "TLS configuration");
        operation(&Rc::clone(&core), async move {
            self.stream_options.check(&core)?;
            settings.check()?;
            socket_options.check()?;
            let bound = listen::bind(&core, on, &listen, &socket_options, cleanup_socket).await?;
            core.check_open()?;
            let pass = |listener: &Listener| listener.passes_descriptors();
            if self.stream_options.descriptors > 0 && !bound.listeners.iter().all(pass) {
                return Err(no_descriptors());
            }
            settings.on_accept_error = handler.take().flatten();
            #[cfg(feature = "tls-core")]
            {
                settings.tls = tls.take().flatten();
            }
            let Some(factory) = factory.take() else { return Err(Error::bare(Kind::Closed)) };
            let shared = ServerCore::new(
                factory,
                settings,
                socket_options,
                self.stream_options,
                bound.paths,
            );
            shared.listen(&core, bound.listeners)?;
            let server = Server::new(core, shared);
            if self.start_serving {
                server.start_serving()?;
            }
            Ok(finish(server))
        })
    }
}

impl<T: 'static> IntoFuture for ServerBuilder<T> {
    type Output = Result<T, Error>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<T> fmt::Debug for ServerBuilder<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerBuilder")
            .field("listen", &self.listen)
            .field("socket_options", &self.socket_options)
            .field("stream_options", &self.stream_options)
            .finish_non_exhaustive()
    }
}
