//! What datagram protocols talk to.

use std::net::IpAddr;
use std::rc::Rc;

use super::handle::DatagramHandle;
use super::statistics::DatagramStatistics;
use crate::address::Address;
use crate::driver::{MulticastInterface, TransportId};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::transport::{Info, WaterMarks};

pub(crate) mod sealed {
    /// Only wharf implements what requires this.
    #[diagnostic::on_unimplemented(
        message = "`DatagramTransport` is sealed: `{Self}` cannot implement it",
        label = "only wharf's own types implement `wharf::DatagramTransport`",
        note = "to test a protocol without sockets, use `wharf::testing`"
    )]
    #[allow(unnameable_types, unreachable_pub)]
    pub trait Sealed {}
}

/// The sending side and the controls of one datagram endpoint: UDP, Unix or memory.
///
/// Lent to each callback as `&dyn DatagramTransport`, and kept for later as a [`DatagramHandle`],
/// which implements it too. Every method takes `&self`, returns at once, and never calls a protocol:
/// what follows from it is delivered after the running callback has returned. On an endpoint that is
/// gone nothing is sent, and every control is a harmless no-op.
///
/// The trait is sealed: wharf implements it.
///
/// ```
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Result, SendStatus};
///
/// /// Answers with the length of what came.
/// struct Lengths;
///
/// impl DatagramProtocol for Lengths {
///     fn datagram_received(
///         &mut self,
///         transport: &dyn DatagramTransport,
///         data: &[u8],
///         from: &Address,
///     ) -> Result {
///         let answer = data.len().to_string();
///         if transport.send_to(answer.as_bytes(), from)? != SendStatus::Accepted {
///             eprintln!("{} bytes wait to be sent", transport.write_buffer_size());
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// # Accounting
/// Every datagram that a send has [`Accepted`](SendStatus::Accepted) is handed to the operating
/// system, or was refused by it (and reported to `error_received`), or counted as dropped:
/// [`statistics`](Self::statistics) says how many of each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `DatagramTransport`",
    label = "`wharf::DatagramTransport` is not implemented for this type",
    note = "a transport is lent to each callback: to keep it, keep `transport.handle()`, a `DatagramHandle`"
)]
#[doc(alias("UdpSocket"))]
pub trait DatagramTransport: sealed::Sealed {
    /// Sends one datagram, which may be empty, to the endpoint's remote address.
    ///
    /// What a callback sends is gathered and goes out when it returns, all at once where the system
    /// can do that; what is sent from elsewhere, or under [`DropPolicy::Refuse`], goes out at the end of
    /// the loop's round or before. What the operating system does not take then is queued. Its errors go
    /// to `error_received`.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when the endpoint has no remote address, and for a datagram
    /// that is too large for any. Nothing was sent then, and the endpoint is unharmed.
    fn send(&self, data: &[u8]) -> Result<SendStatus, Error>;

    /// Sends one datagram, which may be empty, to `to`. See [`send`](Self::send).
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when the endpoint has a remote address and `to` is not it,
    /// when `to` is of another family than the endpoint or has no name or port, and for a datagram
    /// that is too large for any. Nothing was sent then, and the endpoint is unharmed.
    #[doc(alias("sendto"))]
    fn send_to(&self, data: &[u8], to: &Address) -> Result<SendStatus, Error>;

    /// Sends `data` cut into datagrams of `size` bytes, the last one shorter, to `to` (`None`: to the
    /// endpoint's remote address).
    ///
    /// The cheap way to send much: with the feature `udp-batch`, Linux takes up to 64 datagrams at
    /// once and cuts them itself (GSO). It gives the status of the last datagram; empty `data` is
    /// nothing to send.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); and [`is_invalid`](Error::is_invalid) for a `size` of 0.
    fn send_segments(
        &self,
        data: &[u8],
        size: usize,
        to: Option<&Address>,
    ) -> Result<SendStatus, Error>;

    /// Sends each of the datagrams to its address, in order. How many were
    /// [taken](SendStatus::is_taken).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), for any of them: then none is sent.
    fn send_many_to(&self, datagrams: &[(&[u8], &Address)]) -> Result<usize, Error>;

    /// What waits to be sent, as it takes memory: the bytes, and 64 for each datagram. A Unix socket
    /// without a fixed peer adds the lengths of its receivers' paths, and 1,024 for each receiver that
    /// takes no more. (asyncio adds 8 for each datagram, though each holds more.)
    fn write_buffer_size(&self) -> usize;

    /// The water marks. Both are 0 when the endpoint is closed.
    fn write_buffer_limits(&self) -> WaterMarks;

    /// Sets the water marks, as [`Transport::set_write_buffer_limits`] does.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when `low` is above `high`, which changes nothing.
    ///
    /// [`Transport::set_write_buffer_limits`]: crate::Transport::set_write_buffer_limits
    fn set_write_buffer_limits(&self, limits: WaterMarks) -> Result<(), Error>;

    /// The most that may wait to be sent, in bytes as [`write_buffer_size`](Self::write_buffer_size)
    /// counts them (64 more than it has for each datagram), and what becomes of a datagram that finds
    /// no room. 1 MiB and [`DropPolicy::Newest`] unless set. What waits already stays.
    fn set_queue_limit(&self, limit: usize, policy: DropPolicy);

    /// Receives what is sent to `group` from now on, on that interface.
    ///
    /// # Errors
    /// What the operating system says; [`is_closed`](Error::is_closed).
    fn join_multicast(&self, group: IpAddr, interface: MulticastInterface) -> Result<(), Error>;

    /// Undoes [`join_multicast`](Self::join_multicast).
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast).
    fn leave_multicast(&self, group: IpAddr, interface: MulticastInterface) -> Result<(), Error>;

    /// How many networks away a datagram to a group goes; 1 unless set, which is not beyond this one.
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast).
    fn set_multicast_ttl(&self, hops: u32) -> Result<(), Error>;

    /// Whether members on this machine receive what is sent to a group from here. They do unless set.
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast).
    fn set_multicast_loop(&self, on: bool) -> Result<(), Error>;

    /// Which interface datagrams to a group leave by.
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast).
    fn set_multicast_interface(&self, interface: MulticastInterface) -> Result<(), Error>;

    /// Whether datagrams to broadcast addresses may be sent.
    ///
    /// # Errors
    /// As [`join_multicast`](Self::join_multicast).
    fn set_broadcast(&self, on: bool) -> Result<(), Error>;

    /// Stops receiving now, sends what is queued, then closes; `connection_lost` follows.
    ///
    /// Bounded by a deadline of 30 s. Repeated calls change nothing.
    fn close(&self);

    /// Closes without sending what is queued; `connection_lost(None)` follows soon.
    fn abort(&self);

    /// Whether the endpoint is closing or gone.
    fn is_closing(&self) -> bool;

    /// Stops delivering until [`resume_reading`](Self::resume_reading). Takes effect at once, also
    /// for datagrams of a batch that is being delivered. What comes meanwhile waits in the operating
    /// system, which drops what finds no room ([`receive_drops`](Self::receive_drops)).
    fn pause_reading(&self);

    /// Undoes [`pause_reading`](Self::pause_reading).
    fn resume_reading(&self);

    /// Whether datagrams are being delivered: not paused, not closing.
    fn is_reading(&self) -> bool;

    /// This endpoint's own address, with the port that port 0 became.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed).
    fn local_address(&self) -> Result<Address, Error>;

    /// The peer's address: of a connected endpoint, or where [`send`](Self::send) goes.
    fn peer_address(&self) -> Option<Address>;

    /// What became of the datagrams so far. It stays readable while anything refers to the endpoint's
    /// loop slot; on an endpoint that is gone all is zero.
    fn statistics(&self) -> DatagramStatistics;

    /// How many datagrams the operating system dropped on their way in because they were not received
    /// in time; `None` where it does not tell. On Linux a file is read to find out. Datagrams that
    /// the system has joined (`offload(true)`) count as one.
    fn receive_drops(&self) -> Option<u64>;

    /// What is known of the endpoint: its addresses.
    fn info(&self) -> Rc<Info>;

    /// The identity of the endpoint in its loop; never used again for another.
    fn id(&self) -> TransportId;

    /// A handle to keep: sends from, or closes, this endpoint from anywhere on the loop.
    fn handle(&self) -> DatagramHandle;

    /// The loop that drives this endpoint.
    fn event_loop(&self) -> EventLoop;
}

/// What became of a datagram.
///
/// A client that sends again what was not taken:
///
/// ```
/// use std::collections::VecDeque;
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Error, Result, SendStatus};
///
/// #[derive(Default)]
/// struct Sender {
///     waiting: VecDeque<Vec<u8>>,
/// }
///
/// impl Sender {
///     fn send(&mut self, transport: &dyn DatagramTransport) -> Result<(), Error> {
///         while let Some(datagram) = self.waiting.front() {
///             if transport.send(datagram)? == SendStatus::Refused {
///                 // `resume_writing` tells when there is room.
///                 break;
///             }
///             self.waiting.pop_front();
///         }
///         Ok(())
///     }
/// }
///
/// impl DatagramProtocol for Sender {
///     fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
///         Ok(())
///     }
///
///     fn resume_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
///         Ok(self.send(transport)?)
///     }
/// }
/// # use wharf::testing::{MemoryNetwork, Record};
/// # use wharf::{DropPolicy, WaterMarks};
/// # fn main() -> Result {
/// # MemoryNetwork::new().datagram_capacity(1000).event_loop().run(async |event_loop| {
/// #     let record = Record::new();
/// #     let receiver = event_loop.create_datagram_endpoint(record.factory()).local_unix_address("/r").await?;
/// #     receiver.pause_reading();
/// #     let sender = event_loop
/// #         .create_datagram_endpoint(Sender::default)
/// #         .peer_unix_address("/r")
/// #         .write_buffer_limits(WaterMarks::from_high(500))
/// #         .queue_limit(1000, DropPolicy::Refuse)
/// #         .await?;
/// #     sender.try_with(|sender, transport| {
/// #         sender.waiting.extend((0..50).map(|number| vec![number; 100]));
/// #         Ok(sender.send(transport)?)
/// #     })?;
/// #     assert!(sender.with(|sender, _| !sender.waiting.is_empty())?);
/// #     receiver.resume_reading();
/// #     record.until(|record| record.datagrams().len() == 50).await;
/// #     assert!(sender.statistics().refused > 0);
/// #     Ok(())
/// # })
/// # }
/// ```
// As wide as an error, the result of a send is returned in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[non_exhaustive]
pub enum SendStatus {
    /// Taken: sent, or about to be.
    ///
    /// What a callback sends is gathered. What finds no room when it returns is dropped then, as the policy says,
    /// and counted; with [`DropPolicy::Refuse`] there is room for all that was accepted.
    Accepted,
    /// Taken, and more than the high-water mark is now waiting to be sent.
    AboveHighWater,
    /// Dropped and counted: the queue is at its limit, and the policy is [`DropPolicy::Newest`].
    Dropped,
    /// Not taken: the queue is at its limit, and the policy is [`DropPolicy::Refuse`]. It can be sent
    /// again after `resume_writing`.
    Refused,
    /// Not taken: the endpoint is closing or gone.
    Closed,
}

impl SendStatus {
    /// Whether the endpoint has taken the datagram.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Accepted | Self::AboveHighWater)
    }
}

/// What becomes of a datagram that finds the send queue at its limit.
///
/// ```
/// use wharf::testing::{MemoryNetwork, Record};
/// use wharf::{DatagramTransport as _, DropPolicy};
///
/// # fn main() -> wharf::Result {
/// // A receiver that has room for a hundred bytes, and does not read.
/// MemoryNetwork::new().datagram_capacity(100).event_loop().run(async |event_loop| {
///     let record = Record::new();
///     let receiver =
///         event_loop.create_datagram_endpoint(record.factory()).local_unix_address("/positions").await?;
///     receiver.pause_reading();
///
///     let sender = event_loop
///         .create_datagram_endpoint(Record::new().factory())
///         .peer_unix_address("/positions")
///         .queue_limit(1000, DropPolicy::Oldest)
///         .await?;
///     for position in 0..200_u8 {
///         sender.send(&[position])?;
///     }
///     assert!(sender.statistics().dropped > 0);
///     receiver.resume_reading();
///     // The last one is there, whatever was dropped before.
///     record.until(|record| record.datagrams().last() == Some(&vec![199])).await;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropPolicy {
    /// It is dropped, and counted: what a router does. On a Unix endpoint without a remote address, the
    /// newest of the receiver for whom most waits is dropped instead, if that is another one: a
    /// receiver that never reads must not take all the room.
    #[default]
    Newest,
    /// The oldest in the queue are dropped, and counted, to make room: for what is soon out of date,
    /// such as sound and positions.
    Oldest,
    /// It is not taken, and [`SendStatus::Refused`] says so: for those who send it again later.
    Refuse,
}
