//! `create_datagram_endpoint` and its options.

use std::fmt;
use std::future::IntoFuture;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::datagram_open::{self, Place};
use super::targets::Targets;
use crate::address::UnixAddress;
use crate::driver::DatagramSocketOptions;
use crate::event_loop::{Core, EventLoop, Guarded};
use crate::protocol::DatagramProtocol;
use crate::task::{LoopFuture, operation};
use crate::transport::{DatagramOptions, DropPolicy, Endpoint, WaterMarks};

/// A datagram endpoint to be opened: what [`EventLoop::create_datagram_endpoint`] returns.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before. It gives a `T`: an [`Endpoint`], or what the method
/// that made the builder says.
///
/// ```
/// use wharf::testing::{MemoryNetwork, Record};
/// use wharf::{DatagramTransport as _, DropPolicy};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let record = Record::new();
///     let server = event_loop
///         .create_datagram_endpoint(record.factory())
///         .local_address("10.0.0.1:7")
///         .queue_limit(64 * 1024, DropPolicy::Oldest)
///         .await?;
///     let client = event_loop
///         .create_datagram_endpoint(Record::new().factory())
///         .peer_address("10.0.0.1:7")
///         .await?;
///     client.send(b"ping")?;
///     record.until(|record| record.datagrams() == [b"ping"]).await;
///     server.close();
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is opened before it is awaited or started"]
pub struct DatagramEndpointBuilder<P, T = Endpoint<P>> {
    core: Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    /// Makes what the future gives. One that keeps nothing is no allocation.
    finish: Box<dyn FnOnce(Endpoint<P>) -> T>,
    pub(super) place: Place,
    socket_options: DatagramSocketOptions,
    options: DatagramOptions,
}

/// # Datagrams
impl EventLoop {
    /// Opens a datagram endpoint (UDP, or a Unix datagram socket) and runs the protocol that
    /// `factory` makes on it.
    ///
    /// It needs an address: a [`local_address`](DatagramEndpointBuilder::local_address) to receive at,
    /// a [`peer_address`](DatagramEndpointBuilder::peer_address) to send to, or both. Names are
    /// resolved off the loop's thread. The future completes after `connection_made`.
    ///
    /// ```
    /// use wharf::{Address, DatagramProtocol, DatagramTransport, EventLoop, Result};
    ///
    /// /// Sends every datagram back to where it came from.
    /// struct Echo;
    ///
    /// impl DatagramProtocol for Echo {
    ///     fn datagram_received(
    ///         &mut self,
    ///         transport: &dyn DatagramTransport,
    ///         data: &[u8],
    ///         from: &Address,
    ///     ) -> Result {
    ///         transport.send_to(data, from)?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn main() -> Result {
    ///     EventLoop::new()?.run(async |event_loop| {
    ///         let endpoint =
    ///             event_loop.create_datagram_endpoint(|| Echo).local_address("127.0.0.1:0").await?;
    ///         let address = endpoint.local_address()?;
    ///         println!("listening on {address}");
    ///         endpoint.close();
    ///         Ok(())
    ///     })
    /// }
    /// # use wharf::DatagramTransport as _;
    /// ```
    ///
    /// # Errors
    /// [`is_invalid`](crate::error::Error::is_invalid) when no address was given, when the local and the
    /// remote addresses have no family in common, and for options that exclude each other; what the
    /// operating system says to binding or connecting, with the address; the resolver's errors; a
    /// panic of the factory.
    #[doc(alias("bind", "listenUDP", "UdpSocket", "UnixDatagram"))]
    pub fn create_datagram_endpoint<P: DatagramProtocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
    ) -> DatagramEndpointBuilder<P> {
        DatagramEndpointBuilder {
            core: Rc::clone(self.core()),
            factory: Box::new(factory),
            finish: Box::new(|endpoint| endpoint),
            place: Place::default(),
            socket_options: DatagramSocketOptions::default(),
            options: DatagramOptions::default(),
        }
    }
}

impl<P: DatagramProtocol> DatagramEndpointBuilder<P> {
    /// The same, for what `finish` makes of the endpoint.
    pub(crate) fn finishing<T: 'static>(
        self,
        finish: impl FnOnce(Endpoint<P>) -> T + 'static,
    ) -> DatagramEndpointBuilder<P, T> {
        let Self { core, factory, place, socket_options, options, .. } = self;
        let finish = Box::new(finish);
        DatagramEndpointBuilder { core, factory, finish, place, socket_options, options }
    }
}

impl<P: DatagramProtocol, T: 'static> DatagramEndpointBuilder<P, T> {
    /// The address to receive at: `"0.0.0.0:7000"` or `":7000"` for all of this machine's, port 0
    /// for any that is free. If there are several, the first that can be bound is taken.
    pub fn local_address(mut self, address: impl Into<Targets>) -> Self {
        self.place.local = Some(address.into());
        self
    }

    /// The only address to send to and to receive from: the socket is connected to it, so that it
    /// can be told that nobody is there (unless with [`broadcast`](Self::broadcast)).
    pub fn peer_address(mut self, address: impl Into<Targets>) -> Self {
        self.place.remote = Some(address.into());
        self
    }

    /// The address to receive at with a Unix datagram socket: a path, or any [`UnixAddress`]. On
    /// Linux a path that begins with a zero byte is an abstract name.
    ///
    /// A socket there that nobody has open any more is removed first; anything else there is an
    /// error. The path is removed when the endpoint is gone, if it still is this endpoint's.
    pub fn local_unix_address(mut self, address: impl Into<UnixAddress>) -> Self {
        self.place.local_unix = Some(address.into());
        self
    }

    /// The Unix datagram socket to send to.
    pub fn peer_unix_address(mut self, address: impl Into<UnixAddress>) -> Self {
        self.place.remote_unix = Some(address.into());
        self
    }

    /// Takes a datagram socket from elsewhere, bound, connected or one of a pair. It is owned from
    /// here on, and closed if anything fails. It excludes addresses, and options of binding.
    pub fn socket(mut self, socket: impl Into<OwnedFd>) -> Self {
        self.place.socket = Some(socket.into());
        self
    }

    /// Whether datagrams to broadcast addresses may be sent (`SO_BROADCAST`). The endpoint is then
    /// not connected to its peer address, but sends there by default, and receives from anyone.
    pub fn broadcast(mut self, on: bool) -> Self {
        self.socket_options.broadcast = on;
        self
    }

    /// Whether other sockets may be bound to the same address, among which the system distributes
    /// what comes in (`SO_REUSEPORT`): one per thread. An error where the system has no such option.
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.socket_options.reuse_port = on;
        self
    }

    /// Whether other programs may receive what is sent to a multicast group at the same port, too:
    /// every socket gets it.
    ///
    /// Not for anything but multicast: of two sockets that are bound so, the last one takes what is
    /// sent to the port itself. That is why asyncio's `reuse_address` does not exist.
    pub fn reuse_multicast_port(mut self, on: bool) -> Self {
        self.socket_options.reuse_multicast_port = on;
        self
    }

    /// Whether an IPv6 endpoint is for IPv6 only, or receives from IPv4 addresses as well (shown as
    /// `::ffff:a.b.c.d`). The system's default unless set.
    pub fn only_v6(mut self, on: bool) -> Self {
        self.socket_options.only_v6 = Some(on);
        self
    }

    /// The size of the operating system's send buffer, in bytes (`SO_SNDBUF`).
    pub fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.socket_options.send_buffer_size = Some(bytes);
        self
    }

    /// The size of the operating system's receive buffer, in bytes (`SO_RCVBUF`): what can come in
    /// while the loop is busy, before datagrams are dropped.
    pub fn receive_buffer_size(mut self, bytes: usize) -> Self {
        self.socket_options.receive_buffer_size = Some(bytes);
        self
    }

    /// The time to live, or hop limit, of the datagrams sent.
    pub fn ttl(mut self, hops: u32) -> Self {
        self.socket_options.ttl = Some(hops);
        self
    }

    /// The type of service, or traffic class, of the datagrams sent. With one, runs of datagrams are
    /// not left to the system to cut up.
    pub fn tos(mut self, tos: u32) -> Self {
        self.socket_options.tos = Some(tos);
        self
    }

    /// Makes Linux join datagrams from one sender on their way in (GRO), and tell for each where it
    /// was sent to, on which interface it came, and its ECN bits; datagrams sent are never broken up
    /// on their way, so that the largest that gets through can be found (RFC 8899). For much data,
    /// and for protocols such as QUIC. Off by default: for single small datagrams it costs more than
    /// it saves.
    ///
    /// Without the feature `udp-batch` it is an error that
    /// [`is_unsupported`](crate::error::Error::is_unsupported). In memory and on Unix sockets it changes
    /// nothing.
    pub fn offload(mut self, on: bool) -> Self {
        self.socket_options.offload = on;
        self
    }

    /// The water marks that the endpoint starts with: 64 KiB and 16 KiB by default. A `low` above
    /// `high` is refused with [`is_invalid`](crate::Error::is_invalid).
    pub fn write_buffer_limits(mut self, limits: WaterMarks) -> Self {
        self.options.marks = limits;
        self
    }

    /// How many bytes may wait to be sent, and what becomes of a datagram that finds no room; see
    /// [`DatagramTransport::set_queue_limit`](crate::DatagramTransport::set_queue_limit).
    pub fn queue_limit(mut self, limit: usize, policy: DropPolicy) -> Self {
        self.options.queue_limit = limit;
        self.options.drop_policy = policy;
        self
    }

    /// Begins to open the endpoint. Dropping the future that is returned gives up (see
    /// [`LoopFuture`]).
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, factory, finish, place, socket_options, options } = self;
        let factory = Guarded::new(&core, factory, "protocol factory");
        operation(&Rc::clone(&core), async move {
            options.marks.check()?;
            let opened = datagram_open::open(&core, place, &socket_options).await?;
            datagram_open::begin(&core, opened, factory, &options).map(finish)
        })
    }
}

impl<P: DatagramProtocol, T: 'static> IntoFuture for DatagramEndpointBuilder<P, T> {
    type Output = Result<T, crate::error::Error>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<P, T> fmt::Debug for DatagramEndpointBuilder<P, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatagramEndpointBuilder")
            .field("socket_options", &self.socket_options)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
