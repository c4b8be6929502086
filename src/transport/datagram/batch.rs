//! Datagrams as they are delivered.

use std::cell::Cell;
use std::net::IpAddr;

use super::flags::Flags;
use crate::driver::Received;
use crate::net::Address;

/// One datagram as it was received.
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

/// The explicit congestion notification of a datagram (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// ECT(0): its sender understands ECN.
    Ect0,
    /// ECT(1): its sender understands ECN, and uses it as in L4S (RFC 9331).
    Ect1,
    /// CE: it met congestion.
    Ce,
}

/// Datagrams that were received together: an iterator over those not yet taken.
///
/// It ends early when the transport is paused or closing.
pub struct Datagrams<'a> {
    bytes: &'a [u8],
    received: &'a [Received],
    /// How much of the first of them was taken.
    offset: usize,
    flags: &'a Cell<Flags>,
    taken: usize,
    taken_bytes: usize,
    truncated: usize,
}

impl<'a> Datagrams<'a> {
    pub(super) fn new(bytes: &'a [u8], received: &'a [Received], flags: &'a Cell<Flags>) -> Self {
        Self { bytes, received, offset: 0, flags, taken: 0, taken_bytes: 0, truncated: 0 }
    }

    /// How many have not been taken.
    pub fn remaining(&self) -> usize {
        let all: usize = self.received.iter().map(datagrams_in).sum();
        match self.received.first() {
            Some(first) if self.offset > 0 => all - self.offset / first.stride.max(1),
            _ => all,
        }
    }

    /// How many, of how many bytes, were taken, and how many of them were cut.
    pub(super) fn taken(&self) -> (usize, usize, usize) {
        (self.taken, self.taken_bytes, self.truncated)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Goes on whatever the transport's state: to keep or count what is left.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Datagram<'a>, &'a Received)> {
        let first = self.received.first()?;
        let rest = first.len - self.offset;
        let start = first.start + self.offset;
        let len = rest.min(first.stride);
        if rest <= first.stride {
            self.received = &self.received[1..];
            self.offset = 0;
        } else {
            self.offset += len;
        }
        let datagram = Datagram {
            data: &self.bytes[start..start + len],
            from: &first.from,
            to: first.to,
            interface: first.interface,
            ecn: first.ecn,
            truncated: first.truncated,
        };
        Some((datagram, first))
    }
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.flags.get().any(Flags::NOT_READING) {
            return None;
        }
        let (datagram, _) = self.pop()?;
        self.taken += 1;
        self.taken_bytes += datagram.data.len();
        self.truncated += usize::from(datagram.truncated);
        Some(datagram)
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
fn datagrams_in(received: &Received) -> usize {
    received.len.div_ceil(received.stride.max(1)).max(1)
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
