//! One datagram socket, wherever it comes from.

use std::io;
use std::net::IpAddr;

use super::{memory, os};
use crate::address::{Address, UnixAddress};
use crate::driver::{MulticastInterface, Outbox};

/// How many datagrams, or runs of them, one call receives at most.
pub(crate) const RECEIVE_BATCH: usize = 32;

/// The most that one receive puts into one place: more than any UDP datagram or run of them has.
const IP_PLACE: usize = 64 * 1024;

/// Places that began at the same distance from a page would fall on the same lines of a cache.
const PLACE_OFFSET: usize = 64;

/// asyncio's largest datagram; those of Unix sockets can be longer than UDP's.
const UNIX_PLACE: usize = 256 * 1024;

/// One datagram socket.
#[derive(Debug)]
pub(crate) enum DatagramSocket {
    Os(os::OsDatagramSocket),
    Memory(memory::MemoryDatagramSocket),
    /// What a closed endpoint has.
    Closed,
}

/// Where received datagrams are put: one for the whole loop.
pub(crate) struct ReceiveBuffers {
    pub(super) bytes: Box<[u8]>,
    /// What the last receive brought comes first; behind that is what earlier ones did.
    pub(super) received: Box<[Received; RECEIVE_BATCH]>,
    /// How many the last receive brought.
    pub(super) count: usize,
    /// What else is known of each of them: of none, or of all.
    pub(super) details: Vec<Details>,
    #[cfg(feature = "udp-batch")]
    pub(super) metadata: Box<[quinn_udp::RecvMeta; quinn_udp::BATCH_SIZE]>,
    #[cfg(all(feature = "udp-batch", linux_kernel))]
    pub(super) headers: os::ReceiveHeaders,
}

/// One datagram, or several of one size from one sender that the kernel joined.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Where it begins.
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) from: Address,
}

/// What is known of some datagrams beside their senders; where there is none of it, there is nothing
/// to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Details {
    /// The size of each of several that were joined, but the last.
    pub(crate) stride: usize,
    pub(crate) to: Option<IpAddr>,
    pub(crate) interface: Option<u32>,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) truncated: bool,
}

/// The explicit congestion notification of a datagram (RFC 3168, section 5).
///
/// ```no_run
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Ecn, EventLoop, Result};
///
/// /// Counts the datagrams that met congestion on their way.
/// #[derive(Default)]
/// struct Congestion(u64);
///
/// impl DatagramProtocol for Congestion {
///     fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
///         Ok(())
///     }
///
///     fn datagrams_received(
///         &mut self,
///         _: &dyn DatagramTransport,
///         batch: &mut Datagrams<'_>,
///     ) -> Result {
///         self.0 += batch.filter(|datagram| datagram.ecn == Some(Ecn::Ce)).count() as u64;
///         Ok(())
///     }
/// }
///
/// # async fn example(event_loop: EventLoop) -> Result {
/// // What came with a datagram is known where `offload` is on.
/// let endpoint = event_loop
///     .create_datagram_endpoint(Congestion::default)
///     .local_address(":7000")
///     .offload(true)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// ECT(0): its sender understands ECN.
    Ect0,
    /// ECT(1): its sender understands ECN, and uses it as in L4S (RFC 9331).
    Ect1,
    /// CE: it met congestion.
    Ce,
}

/// What a second attempt to send led to.
#[derive(Debug)]
pub(crate) struct SentAgain {
    /// The first attempt's error, if it was about an earlier datagram.
    pub(crate) earlier: Option<io::Error>,
    /// How many datagrams were taken; an error is the first one's.
    pub(crate) result: io::Result<usize>,
}

impl DatagramSocket {
    /// Receives up to `wanted` datagrams; fewer means that there are no more just now, or that an
    /// error comes next.
    #[inline]
    pub(crate) fn receive(&self, buffers: &mut ReceiveBuffers, wanted: usize) -> io::Result<usize> {
        buffers.count = 0;
        buffers.details.clear();
        match self {
            Self::Os(socket) => socket.receive(buffers, wanted),
            Self::Memory(socket) => socket.receive(buffers, wanted),
            Self::Closed => Err(super::closed()),
        }
    }

    /// Hands over datagrams from the front of `outbox`, at least one. Returns how many were taken.
    ///
    /// An error is the first one's, or about one that was sent earlier.
    /// [`send_again`](Self::send_again) finds out.
    #[inline]
    pub(crate) fn send(&self, outbox: &Outbox) -> io::Result<usize> {
        match self {
            Self::Os(socket) => socket.send(outbox),
            Self::Memory(socket) => socket.send(outbox),
            Self::Closed => Err(super::closed()),
        }
    }

    /// Sends again after `first`, the error of a [`send`](Self::send) that was not "would block".
    #[cold]
    pub(crate) fn send_again(&self, outbox: &Outbox, first: io::Error) -> SentAgain {
        match self {
            Self::Os(socket) => socket.send_again(outbox, first),
            Self::Memory(socket) => socket.send_again(outbox, first),
            Self::Closed => SentAgain { earlier: None, result: Err(first) },
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        match self {
            Self::Os(socket) => socket.local_address(),
            Self::Memory(socket) => Some(socket.local_address()),
            Self::Closed => None,
        }
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        match self {
            Self::Os(socket) => socket.peer_address(),
            Self::Memory(socket) => socket.peer_address(),
            Self::Closed => None,
        }
    }

    pub(crate) fn join_multicast(
        &self,
        group: IpAddr,
        interface: MulticastInterface,
    ) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.join_multicast(group, interface),
            Self::Memory(socket) => socket.join_multicast(group),
            Self::Closed => Err(super::closed()),
        }
    }

    pub(crate) fn leave_multicast(
        &self,
        group: IpAddr,
        interface: MulticastInterface,
    ) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.leave_multicast(group, interface),
            Self::Memory(socket) => socket.leave_multicast(group),
            Self::Closed => Err(super::closed()),
        }
    }

    /// How far packets to a group go. In memory there is nothing to cross.
    pub(crate) fn set_multicast_ttl(&self, hops: u32) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.set_multicast_ttl(hops),
            Self::Memory(_) => Ok(()),
            Self::Closed => Err(super::closed()),
        }
    }

    pub(crate) fn set_multicast_loop(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.set_multicast_loop(on),
            Self::Memory(socket) => {
                socket.set_multicast_loop(on);
                Ok(())
            }
            Self::Closed => Err(super::closed()),
        }
    }

    /// Where packets to a group leave. A network in memory is one interface.
    pub(crate) fn set_multicast_interface(&self, interface: MulticastInterface) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.set_multicast_interface(interface),
            Self::Memory(_) => Ok(()),
            Self::Closed => Err(super::closed()),
        }
    }

    pub(crate) fn set_broadcast(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.set_broadcast(on),
            Self::Memory(socket) => {
                socket.set_broadcast(on);
                Ok(())
            }
            Self::Closed => Err(super::closed()),
        }
    }

    /// How many datagrams were dropped on the way in because nobody read; `None`: not known.
    pub(crate) fn receive_drops(&self) -> Option<u64> {
        match self {
            Self::Os(socket) => socket.receive_drops(),
            Self::Memory(socket) => Some(socket.receive_drops()),
            Self::Closed => None,
        }
    }

    /// Whether it has one peer, to which datagrams go without an address.
    pub(crate) fn is_connected(&self) -> bool {
        match self {
            Self::Os(socket) => socket.is_connected(),
            Self::Memory(socket) => socket.is_connected(),
            Self::Closed => false,
        }
    }

    /// Connects again to `peer`: a Unix socket loses its peer for good when that is closed, though
    /// another may have taken its name. The others never do.
    pub(crate) fn reconnect(&self, peer: &Address) -> io::Result<()> {
        match self {
            Self::Os(socket) => socket.reconnect(peer),
            Self::Memory(_) | Self::Closed => Err(super::closed()),
        }
    }

    /// Whether "would block" is about the destination, and not about the socket: a Unix socket
    /// without a fixed peer waits for each receiver by itself.
    pub(crate) fn blocks_by_destination(&self) -> bool {
        match self {
            Self::Os(socket) => socket.blocks_by_destination(),
            Self::Memory(socket) => socket.blocks_by_destination(),
            Self::Closed => false,
        }
    }

    /// Whether the driver tells when an unwilling socket takes datagrams again. It does not for a
    /// Unix socket without a fixed peer: it is the receiver that is full, and it could be any.
    pub(crate) fn tells_of_room(&self) -> bool {
        match self {
            Self::Os(socket) => socket.tells_of_room(),
            Self::Memory(_) | Self::Closed => true,
        }
    }
}

impl Details {
    /// Of one datagram.
    pub(crate) fn new(len: usize, truncated: bool) -> Self {
        Self { stride: len, to: None, interface: None, ecn: None, truncated }
    }
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        Self {
            // Zeroed memory is the kernel's until it is written to: only what is used is there.
            bytes: vec![0; RECEIVE_BATCH * (IP_PLACE + PLACE_OFFSET)].into_boxed_slice(),
            received: Box::new(std::array::from_fn(|_| Received {
                start: 0,
                len: 0,
                from: Address::Unix(UnixAddress::unnamed()),
            })),
            count: 0,
            details: Vec::new(),
            #[cfg(feature = "udp-batch")]
            metadata: Box::new([quinn_udp::RecvMeta::default(); quinn_udp::BATCH_SIZE]),
            #[cfg(all(feature = "udp-batch", linux_kernel))]
            headers: os::ReceiveHeaders::default(),
        }
    }

    /// What the last receive brought, and the memory it is in.
    pub(crate) fn parts(&self) -> (&[u8], &[Received], &[Details]) {
        (&self.bytes, &self.received[..self.count], &self.details)
    }

    /// Adds what was received, of which there are at most [`RECEIVE_BATCH`].
    pub(super) fn push(&mut self, received: Received, details: Details) {
        self.received[self.count] = received;
        self.count += 1;
        self.details.push(details);
    }

    /// Where the place of this number lies for IP datagrams.
    pub(super) const fn ip_place(position: usize) -> std::ops::Range<usize> {
        let start = position * (IP_PLACE + PLACE_OFFSET);
        start..start + IP_PLACE
    }

    /// Where the place of this number lies for datagrams of Unix sockets; there are fewer.
    pub(super) fn unix_place(position: usize) -> Option<std::ops::Range<usize>> {
        let start = position * UNIX_PLACE;
        let fits = start + UNIX_PLACE <= RECEIVE_BATCH * (IP_PLACE + PLACE_OFFSET);
        fits.then_some(start..start + UNIX_PLACE)
    }
}
