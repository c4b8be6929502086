//! Loops in memory.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use crate::driver::Driver;
use crate::driver::memory::{Machine, Network};
use crate::event_loop::{Core, EventLoop};

/// A network in memory: names, addresses that are listened on, buffers, and a virtual clock.
///
/// Servers and clients on its loops reach one another at any address they choose.
///
/// Several loops can be on one network, as if each were a machine of its own. They share the clock, and
/// whichever is run (or stepped, or [advanced](super::advance)) runs the others too: while it waits, each
/// loop that has something to do gets one tick after the other, in the order in which they were made. Time
/// passes when none of them has anything to do. [`EventLoop::stop`] and the end of a run concern only the loop
/// that is run.
///
/// ```
/// # use wharf::{Protocol, Result, Transport, testing::MemoryNetwork};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> Result {
/// let event_loop = MemoryNetwork::new().event_loop();
/// event_loop.run(async |event_loop| {
///     let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
///     let client = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
///     assert_eq!(client.info().peer_address(), server.local_address().ok().as_ref());
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("MemoryReactor", "Clock", "duplex"))]
#[derive(Clone, Default)]
#[must_use = "nothing is on it before `event_loop`"]
pub struct MemoryNetwork {
    network: Network,
}

impl MemoryNetwork {
    /// A network where nobody listens yet, and only `localhost` is known by name.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes each direction of a connection holds before its writer has to wait. 64 KiB
    /// unless set; it counts for connections made from then on.
    pub fn capacity(self, bytes: usize) -> Self {
        self.network.set_capacity(bytes);
        self
    }

    /// Puts urgent data on its way on every connection made from then on, and on every [`pair`](super::pair)
    /// of its loop, at places that follow from `seed`. The urgent bytes themselves are not received, as on
    /// TCP; but a read ends where one was, whatever is behind it. No byte of what is written is missing.
    ///
    /// ```
    /// # use wharf::{Protocol, Result, Transport, testing::MemoryNetwork};
    /// # struct Count(usize);
    /// # impl Protocol for Count {
    /// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    /// #         self.0 += data.len();
    /// #         if self.0 == 1_000_000 {
    /// #             transport.close();
    /// #         }
    /// #         Ok(())
    /// #     }
    /// # }
    /// # fn main() -> Result {
    /// let event_loop = MemoryNetwork::new().urgent_data(7).event_loop();
    /// event_loop.run(async |event_loop| {
    ///     event_loop.create_server(|| Count(0), "10.0.0.1:7").await?;
    ///     let client = event_loop.create_connection(|| Count(0), "10.0.0.1:7").await?;
    ///     client.write(&[0; 1_000_000]);
    ///     client.wait_closed().await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn urgent_data(self, seed: u64) -> Self {
        self.network.set_urgent(seed);
        self
    }

    /// The date at which the network is made, for certificates and tickets: 1 January 2025 unless set. A
    /// date before 1970 counts as 1970. It advances with the virtual time.
    pub fn date(self, date: SystemTime) -> Self {
        let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.network.set_date(since_epoch);
        self
    }

    /// How many bytes of datagrams that nobody has received yet a socket holds, with 8 more for each
    /// datagram. What comes beyond that is dropped and counted; on a Unix socket its sender waits.
    /// 208 KiB unless set. It counts for sockets opened from then on.
    pub fn datagram_capacity(self, bytes: usize) -> Self {
        self.network.set_datagram_capacity(bytes);
        self
    }

    /// Makes the name `host` resolve to `addresses`. As elsewhere, capitals and a dot at its end make no
    /// difference.
    pub fn host(self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.network.add_host(host, addresses.into_iter().collect());
        self
    }

    /// Drops every connect to `address`, as a firewall does: it is neither answered nor refused.
    pub fn black_hole(self, address: SocketAddr) -> Self {
        self.network.add_black_hole(address);
        self
    }

    /// The network that the hosts of a simulation are on, too.
    #[cfg(feature = "sim")]
    pub(crate) fn of(network: Network) -> Self {
        Self { network }
    }

    /// A new loop on this network. Dropping it closes it, as any loop's owner.
    pub fn event_loop(&self) -> EventLoop {
        EventLoop::owner(Core::new(Driver::in_memory(Machine::shared(self.network.clone())), 1, 1))
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryNetwork").finish_non_exhaustive()
    }
}
