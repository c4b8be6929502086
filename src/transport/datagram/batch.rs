//! Datagrams as they are delivered.

use std::cell::Cell;
use std::net::IpAddr;
use std::slice::Iter;

use super::flags::Flags;
use crate::address::Address;
use crate::driver::{Details, Ecn, Received};
use crate::error::Result;

/// One datagram as it was received.
///
/// A server that answers what was sent to it alone, and not what went to a multicast group:
///
/// ```
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Result};
///
/// struct Unicast;
///
/// impl DatagramProtocol for Unicast {
///     // Called for those that are passed on one by one: none, here.
///     fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
///         Ok(())
///     }
///
///     fn datagrams_received(
///         &mut self,
///         transport: &dyn DatagramTransport,
///         batch: &mut Datagrams<'_>,
///     ) -> Result {
///         for datagram in batch {
///             if !datagram.truncated && datagram.to.is_some_and(|to| !to.is_multicast()) {
///                 transport.send_to(datagram.data, datagram.from)?;
///             }
///         }
///         Ok(())
///     }
/// }
/// # use wharf::testing::{MemoryNetwork, Record};
/// # fn main() -> Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// #     event_loop.create_datagram_endpoint(|| Unicast).local_address("10.0.0.1:7").await?;
/// #     let record = Record::new();
/// #     let client =
/// #         event_loop.create_datagram_endpoint(record.factory()).peer_address("10.0.0.1:7").await?;
/// #     client.send(b"hello")?;
/// #     record.until(|record| record.datagrams() == [b"hello"]).await;
/// #     Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// What it carries; it may be empty.
    pub data: &'a [u8],
    /// Who sent it. Unnamed for a Unix socket that was not bound.
    pub from: &'a Address,
    /// The address it was sent to, which tells multicast from unicast, and one address of this
    /// machine from another. Known in memory, and on endpoints with `offload(true)`.
    pub to: Option<IpAddr>,
    /// The number of the interface it came in on. Known on endpoints with `offload(true)`.
    pub interface: Option<u32>,
    /// What routers said of congestion on its way (RFC 3168); `None` also for senders without ECN.
    /// Known on endpoints with `offload(true)`.
    pub ecn: Option<Ecn>,
    /// Whether it was longer than the receive buffer (256 KiB), and its end is lost.
    pub truncated: bool,
}

/// Datagrams that were received together: an iterator over those not yet taken.
///
/// It ends early when the transport is paused or closing.
///
/// ```
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Result};
///
/// /// Counts what comes in at once.
/// #[derive(Default)]
/// struct Meter {
///     datagrams: usize,
///     bytes: usize,
/// }
///
/// impl DatagramProtocol for Meter {
///     fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
///         Ok(())
///     }
///
///     fn datagrams_received(
///         &mut self,
///         _: &dyn DatagramTransport,
///         batch: &mut Datagrams<'_>,
///     ) -> Result {
///         for datagram in batch {
///             self.datagrams += 1;
///             self.bytes += datagram.data.len();
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct Datagrams<'a> {
    bytes: &'a [u8],
    /// Those not taken, or not to their end.
    rest: Iter<'a, Received>,
    /// As many as `rest`; or none, and there are only whole ones.
    details: &'a [Details],
    /// How much of the first of several that were joined was taken.
    offset: usize,
    flags: &'a Cell<Flags>,
    /// How many there were, several that were joined as one.
    count: usize,
    taken: Taken,
}

/// What was taken of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many datagrams of several that were joined, but the last.
    parts: usize,
    pub(super) bytes: usize,
    /// How many were cut.
    pub(super) truncated: usize,
}

impl<'a> Datagrams<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        received: &'a [Received],
        details: &'a [Details],
        flags: &'a Cell<Flags>,
    ) -> Self {
        let (rest, count) = (received.iter(), received.len());
        Self { bytes, rest, details, offset: 0, flags, count, taken: Taken::default() }
    }

    /// How many have not been taken.
    pub fn remaining(&self) -> usize {
        if self.details.is_empty() {
            return self.rest.len();
        }
        let joined = self.rest.as_slice().iter().zip(self.details);
        let all: usize = joined.map(|(received, details)| datagrams_in(received, details)).sum();
        match self.details.first() {
            Some(first) if self.offset > 0 => all - self.offset / first.stride.max(1),
            _ => all,
        }
    }

    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    /// How many were taken. What is known anyway is not counted with each.
    pub(super) fn taken_datagrams(&self) -> usize {
        self.count - self.rest.len() + self.taken.parts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.as_slice().is_empty()
    }

    /// Calls `take` with the datagrams one after the other until it fails.
    ///
    /// What the iterator does, without asking each time whether there are details.
    #[inline]
    pub(crate) fn try_each(&mut self, mut take: impl FnMut(&[u8], &Address) -> Result) -> Result {
        self.flags.set(self.flags.get().union(Flags::ONE_BY_ONE));
        if self.details.is_empty() {
            while self.goes_on()
                && let Some((data, from)) = self.next_plain()
            {
                take(data, from)?;
            }
        } else {
            while self.goes_on()
                && let Some((data, from, _)) = self.next_detailed()
            {
                take(data, from)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn goes_on(&self) -> bool {
        !self.flags.get().intersects(Flags::NOT_READING)
    }

    /// Those not taken, once more: taking from it takes nothing from this one.
    pub(crate) fn untaken(&self) -> Self {
        Self { rest: self.rest.clone(), ..*self }
    }

    /// Goes on whatever the transport's state: to keep what is left.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Datagram<'a>> {
        if self.details.is_empty() {
            let (data, from) = self.next_plain()?;
            Some(Datagram { data, from, to: None, interface: None, ecn: None, truncated: false })
        } else {
            let (data, from, details) = self.next_detailed()?;
            let Details { to, interface, ecn, truncated, .. } = *details;
            Some(Datagram { data, from, to, interface, ecn, truncated })
        }
    }

    #[inline]
    fn next_plain(&mut self) -> Option<(&'a [u8], &'a Address)> {
        let Received { start, len, from } = self.rest.next()?;
        self.taken.bytes += *len;
        Some((&self.bytes[*start..*start + *len], from))
    }

    #[inline]
    fn next_detailed(&mut self) -> Option<(&'a [u8], &'a Address, &'a Details)> {
        let received = self.rest.as_slice().first()?;
        let details = self.details.first()?;
        let left = received.len - self.offset;
        let len = left.min(details.stride);
        let start = received.start + self.offset;
        if len == left {
            self.rest.next();
            self.details = &self.details[1..];
            self.offset = 0;
        } else {
            self.offset += len;
            self.taken.parts += 1;
        }
        self.taken.bytes += len;
        self.taken.truncated += usize::from(details.truncated);
        Some((&self.bytes[start..start + len], &received.from, details))
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.goes_on() { self.pop() } else { None }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining()))
    }
}

impl std::fmt::Debug for Datagrams<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Datagrams").field("remaining", &self.remaining()).finish()
    }
}

/// How many datagrams the kernel has joined in one.
fn datagrams_in(received: &Received, details: &Details) -> usize {
    received.len.div_ceil(details.stride.max(1)).max(1)
}

#[cfg(feature = "udp-batch")]
impl From<quinn_udp::EcnCodepoint> for Ecn {
    fn from(codepoint: quinn_udp::EcnCodepoint) -> Self {
        match codepoint {
            quinn_udp::EcnCodepoint::Ect0 => Self::Ect0,
            quinn_udp::EcnCodepoint::Ect1 => Self::Ect1,
            quinn_udp::EcnCodepoint::Ce => Self::Ce,
        }
    }
}
