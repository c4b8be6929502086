//! `create_connection` and its options.

use std::fmt;
use std::future::IntoFuture;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connect::{self, Plan};
use super::happy_eyeballs::DEFAULT_ATTEMPT_DELAY;
use super::stream_settings::stream_settings;
use super::targets::Targets;
use crate::address::UnixAddress;
use crate::driver::{Keepalive, SocketOptions};
use crate::event_loop::{Core, EventLoop, Guarded};
use crate::protocol::Protocol;
use crate::task::{LoopFuture, operation};
use crate::timeout::Timeout;
#[cfg(feature = "tls-core")]
use crate::transport::TlsUpgrade;
use crate::transport::{Connection, StreamOptions};

/// How long resolving and connecting may take together, unless set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to be made: what [`EventLoop::create_connection`] and similar methods return.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before. It gives a `T`: a [`Connection`], or what the
/// method that made the builder says.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Transport as _, WaterMarks};
/// use wharf::testing::MemoryNetwork;
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.create_server(|| Idle, "10.0.0.1:7").await?;
///     let client = event_loop
///         .create_connection(|| Idle, "10.0.0.1:7")
///         .timeout(Duration::from_secs(5))
///         .write_buffer_limits(WaterMarks::from_high(256 * 1024))
///         .await?;
///     client.close();
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is connected before it is awaited or started"]
pub struct ConnectionBuilder<P, T = Connection<P>> {
    core: Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    /// Makes what the future gives. One that keeps nothing is no allocation.
    finish: Box<dyn FnOnce(Connection<P>) -> T>,
    to: To,
    plan: Plan,
    timeout: Option<Duration>,
    socket_options: SocketOptions,
    stream_options: StreamOptions,
    #[cfg(feature = "tls-core")]
    tls: Option<TlsUpgrade>,
    #[cfg(feature = "tls-core")]
    early_data: Vec<u8>,
}

/// What to connect to.
pub(super) enum To {
    Targets(Targets),
    Unix(UnixAddress),
    /// A socket from elsewhere, connected already.
    Socket(OwnedFd),
}

#[cfg(feature = "tls-core")]
impl To {
    fn host(&self) -> Option<String> {
        match self {
            Self::Targets(targets) => targets.host(),
            Self::Unix(_) | Self::Socket(_) => None,
        }
    }
}

/// # Connections
///
/// Each method gives a builder: set options on it, then await it or [`start`](ConnectionBuilder::start) it.
impl EventLoop {
    /// Connects to an address and runs the protocol that `factory` makes on the connection.
    ///
    /// `to` is anything [`Targets`] are made from: `"localhost:7000"`, a `SocketAddr`, a list. Names
    /// are resolved off the loop's thread, and all addresses are tried as RFC 8305 (happy eyeballs)
    /// says, 250 ms apart. The future completes after `connection_made`.
    ///
    /// ```no_run
    /// # use wharf::{EventLoop, Protocol, Result, Transport};
    /// # struct Client;
    /// # impl Protocol for Client {
    /// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result { Ok(()) }
    /// # }
    /// # async fn connect(event_loop: EventLoop) -> Result {
    /// let connection = event_loop.create_connection(|| Client, "localhost:7000").await?;
    /// connection.write(b"hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`is_connect`](crate::error::Error::is_connect) when no address could be connected to, with every
    /// [attempt](crate::error::Error::attempts), and when the peer reset or ended the connection during the
    /// TLS handshake, or took too long over it; [`is_timeout`](crate::error::Error::is_timeout) after 30 s
    /// (see [`ConnectionBuilder::timeout`]); [`is_invalid`](crate::error::Error::is_invalid) for what is
    /// no address; the resolver's errors; a panic of the factory.
    #[doc(alias("connect", "connectTCP", "TcpStream"))]
    pub fn create_connection<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        to: impl Into<Targets>,
    ) -> ConnectionBuilder<P> {
        self.connection(factory, To::Targets(to.into()), StreamOptions::for_client())
    }

    /// Connects to a Unix socket, at a path or at any [`UnixAddress`].
    ///
    /// On Linux a path that begins with a zero byte is an abstract name.
    /// [`Info::peer_credentials`](crate::Info::peer_credentials) says who the server is, as far as
    /// the system knows.
    ///
    /// See [`create_connection`](Self::create_connection).
    #[doc(alias("connectUNIX", "UnixStream"))]
    pub fn create_unix_connection<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        path: impl Into<UnixAddress>,
    ) -> ConnectionBuilder<P> {
        let to = To::Unix(path.into());
        self.connection(factory, to, StreamOptions::for_client())
    }

    /// Takes a connected stream socket (TCP or Unix) as the client's end of a connection.
    ///
    /// The socket is owned from here on, and closed if anything fails. Others may share it; they may even
    /// make it a blocking one. [`close`](crate::Transport::close) ends the connection for them as well.
    pub fn create_connection_on<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        socket: impl Into<OwnedFd>,
    ) -> ConnectionBuilder<P> {
        let to = To::Socket(socket.into());
        self.connection(factory, to, StreamOptions::for_client())
    }

    /// Takes a stream socket that was accepted elsewhere as the server's end of a connection.
    ///
    /// As [`create_connection_on`](Self::create_connection_on), with a server's defaults.
    pub fn connect_accepted_socket<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        socket: impl Into<OwnedFd>,
    ) -> ConnectionBuilder<P> {
        let to = To::Socket(socket.into());
        self.connection(factory, to, StreamOptions::for_server())
    }

    fn connection<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        to: To,
        stream_options: StreamOptions,
    ) -> ConnectionBuilder<P> {
        ConnectionBuilder {
            core: Rc::clone(self.core()),
            factory: Box::new(factory),
            finish: Box::new(|connection| connection),
            to,
            plan: Plan { local: None, delay: Some(DEFAULT_ATTEMPT_DELAY), first_family_count: 1 },
            timeout: Some(CONNECT_TIMEOUT),
            socket_options: SocketOptions::default(),
            stream_options,
            #[cfg(feature = "tls-core")]
            tls: None,
            #[cfg(feature = "tls-core")]
            early_data: Vec::new(),
        }
    }
}

impl<P: Protocol> ConnectionBuilder<P> {
    /// The same, for what `finish` makes of the connection.
    pub(crate) fn finishing<T: 'static>(
        self,
        finish: impl FnOnce(Connection<P>) -> T + 'static,
    ) -> ConnectionBuilder<P, T> {
        ConnectionBuilder {
            core: self.core,
            factory: self.factory,
            finish: Box::new(finish),
            to: self.to,
            plan: self.plan,
            timeout: self.timeout,
            socket_options: self.socket_options,
            stream_options: self.stream_options,
            #[cfg(feature = "tls-core")]
            tls: self.tls,
            #[cfg(feature = "tls-core")]
            early_data: self.early_data,
        }
    }
}

impl<P: Protocol, T: 'static> ConnectionBuilder<P, T> {
    /// How long to wait for an address to answer before the next one is tried beside it. 250 ms by
    /// default, at least 10 ms; `None` tries strictly one after the other. Zero is refused with
    /// [`is_invalid`](crate::Error::is_invalid).
    #[doc(alias("HappyEyeballs"))]
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.plan.delay = delay.into();
        self
    }

    /// How many addresses of the first family are tried before the families take turns. 1 by
    /// default; 0 keeps the resolver's order.
    pub fn interleave(mut self, first_family_count: usize) -> Self {
        self.plan.first_family_count = first_family_count;
        self
    }

    /// The local address to connect from; port 0 is any that is free.
    ///
    /// If there are several, the first of the remote address's family is taken. Remote addresses of
    /// a family without a local address are not tried.
    pub fn local_address(mut self, address: impl Into<Targets>) -> Self {
        self.plan.local = Some(address.into());
        self
    }

    /// How long resolving and connecting may take together. 30 s by default; `None`: no limit.
    /// Zero is refused with [`is_invalid`](crate::Error::is_invalid).
    pub fn timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.timeout = after.into();
        self
    }

    /// Connects under TLS: as client with a [`TlsClient`](crate::TlsClient), or with a
    /// [`TlsServer`](crate::TlsServer) as server of a socket that was accepted elsewhere.
    ///
    /// The factory and `connection_made` are called when the handshake is done; if it fails, that is
    /// the connect's error. The name that the server must have is that of the host, unless
    /// [`TlsClient::server_name`](crate::TlsClient::server_name) says another. The handshake has a
    /// deadline of its own.
    #[cfg(feature = "tls-core")]
    pub fn tls(mut self, tls: impl Into<TlsUpgrade>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Sends `data` with the first message under TLS, before the handshake is done (0-RTT), if the
    /// session that is resumed allows that; else right after it. **It can be replayed:** see
    /// [`TlsUpgrade::early_data`](crate::TlsUpgrade::early_data).
    ///
    /// Off unless asked for: the server has to allow it
    /// ([`max_early_data`](crate::TlsServerBuilder::max_early_data)), and the
    /// [`TlsClient`](crate::TlsClient) to have been connected to it before. Without
    /// [`tls`](Self::tls) it is an error.
    ///
    /// ```no_run
    /// # use wharf::{EventLoop, Protocol, Result, TlsClient, TlsEarlyData, Transport};
    /// # struct Client;
    /// # impl Protocol for Client {
    /// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result { Ok(()) }
    /// # }
    /// async fn ask(event_loop: &EventLoop, tls: &TlsClient) -> Result {
    ///     let connection = event_loop
    ///         .create_connection(|| Client, "example.org:443")
    ///         .tls(tls)
    ///         .early_data("GET / HTTP/1.0\r\n\r\n")
    ///         .await?;
    ///     let info = connection.info();
    ///     if info.tls().is_some_and(|tls| tls.early_data() == TlsEarlyData::Accepted) {
    ///         println!("the answer is on its way already");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[cfg(feature = "tls-core")]
    pub fn early_data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.early_data.extend_from_slice(data.as_ref());
        self
    }

    stream_settings!();

    /// Begins to connect. Dropping the future that is returned gives up (see [`LoopFuture`]).
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, factory, finish, to, plan, timeout, .. } = self;
        let Self { socket_options, stream_options, .. } = self;
        // Each is dropped on its own, however this ends.
        let factory = Guarded::new(&core, factory, "protocol factory");
        #[cfg(feature = "tls-core")]
        let tls = self.tls.map(|tls| Guarded::new(&core, tls, "TLS configuration"));
        operation(&Rc::clone(&core), async move {
            stream_options.check(&core)?;
            socket_options.check()?;
            crate::error::Error::refuse_zero("the timeout of a connect", timeout)?;
            crate::error::Error::refuse_zero("the Happy Eyeballs delay", plan.delay)?;
            #[cfg(feature = "tls-core")]
            if tls.is_none() && !self.early_data.is_empty() {
                return Err(crate::error::Error::invalid("early data is sent under TLS only"));
            }
            #[cfg(feature = "tls-core")]
            if let Some(tls) = tls.and_then(Guarded::take) {
                let host = to.host();
                let tls = tls.early_data(self.early_data);
                let setup = tls.setup(&core, host.as_deref());
                core.drop_user(tls, "TLS configuration");
                let setup = Guarded::new(&core, setup?, "TLS session");
                let opened = connect::open(&core, to, plan, timeout, &socket_options).await?;
                let options = &stream_options;
                let begun = connect::begin_tls(&core, opened, factory, options, setup, host);
                return begun.await.map(finish);
            }
            let opened = connect::open(&core, to, plan, timeout, &socket_options).await?;
            connect::begin(&core, opened, factory, &stream_options).map(finish)
        })
    }
}

impl<P: Protocol, T: 'static> IntoFuture for ConnectionBuilder<P, T> {
    type Output = Result<T, crate::error::Error>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<P, T> fmt::Debug for ConnectionBuilder<P, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectionBuilder")
            .field("socket_options", &self.socket_options)
            .field("stream_options", &self.stream_options)
            .finish_non_exhaustive()
    }
}
