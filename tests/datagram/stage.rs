//! The transports that every check runs over, and what a check is given.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf::testing::MemoryNetwork;
use wharf::{Address, DatagramEndpointBuilder, DatagramTransport, Endpoint, EventLoop};

use crate::datagram_probe::{Log, Probe};
use crate::needs;
use crate::running::{Reports, rest, run_until};

/// One kind of datagram transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    UdpV4,
    UdpV6,
    UdpV4Offload,
    UdpV6Offload,
    Unix,
    Memory,
    MemoryUnix,
}

/// A loop, and where its endpoints are.
pub(crate) struct Stage {
    pub(crate) link: Link,
    event_loop: Option<EventLoop>,
    pub(crate) reports: Reports,
    folder: PathBuf,
    next: Cell<u32>,
}

/// What a memory socket holds: little, so that tests can fill it.
pub(crate) const MEMORY_CAPACITY: usize = 64 * 1024;

/// What a datagram that waits counts beside its bytes, and a receiver that is waited for.
pub(crate) const OVERHEAD: usize = 64;
pub(crate) const LANE: usize = 1024;

impl Stage {
    /// Runs one check, closes the loop, and looks for what is left over.
    pub(crate) fn run(link: Link, check: fn(&Self)) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if matches!(link, Link::UdpV6 | Link::UdpV6Offload) && !needs::ipv6() {
            return;
        }
        let event_loop = match link {
            Link::Memory | Link::MemoryUnix => {
                MemoryNetwork::new().datagram_capacity(MEMORY_CAPACITY).event_loop()
            }
            _ => EventLoop::new().unwrap(),
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf-datagram-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        if link == Link::Unix {
            std::fs::create_dir(&folder).unwrap();
        }
        let reports = Reports::of(&event_loop);
        let mut stage =
            Self { link, event_loop: Some(event_loop), reports, folder, next: Cell::new(0) };
        check(&stage);
        let event_loop = stage.event_loop().clone();
        drop(stage.event_loop.take());
        assert!(event_loop.is_closed());
        let statistics = event_loop.statistics();
        assert_eq!(statistics.connections_open, 0);
        assert_eq!(
            (statistics.sources, statistics.timers, statistics.tasks, statistics.ready),
            (0, 0, 0, 0)
        );
        if link == Link::Unix {
            // It fails if a socket was left behind.
            std::fs::remove_dir(&stage.folder).unwrap();
        }
    }

    /// Drops the loop's owner; the clones stay.
    pub(crate) fn event_loop(&self) -> &EventLoop {
        self.event_loop.as_ref().expect("the loop is there while a check runs")
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.link, Link::Unix | Link::MemoryUnix)
    }

    /// Whether the system joins datagrams on their way in.
    pub(crate) fn joins_datagrams(&self) -> bool {
        matches!(self.link, Link::UdpV4Offload | Link::UdpV6Offload)
    }

    /// An endpoint to be, bound to an address of its own.
    pub(crate) fn builder(&self, probe: Probe) -> DatagramEndpointBuilder<Probe> {
        let builder = self.event_loop().create_datagram_endpoint(|| probe);
        match self.link {
            Link::UdpV4 => builder.local_address("127.0.0.1:0"),
            Link::UdpV6 => builder.local_address("[::1]:0"),
            Link::UdpV4Offload => {
                builder.local_address("127.0.0.1:0").offload(cfg!(feature = "udp-batch"))
            }
            Link::UdpV6Offload => {
                builder.local_address("[::1]:0").offload(cfg!(feature = "udp-batch"))
            }
            Link::Memory => builder.local_address("192.0.2.1:0"),
            Link::Unix | Link::MemoryUnix => {
                self.next.set(self.next.get() + 1);
                builder.local_unix_address(self.folder.join(self.next.get().to_string()))
            }
        }
    }

    /// Has an endpoint send to `to` alone.
    pub(crate) fn towards(
        &self,
        builder: DatagramEndpointBuilder<Probe>,
        to: &Address,
    ) -> DatagramEndpointBuilder<Probe> {
        match to {
            Address::Ip(to) => builder.peer_address(*to),
            to => builder.peer_unix_address(to.as_unix_path().unwrap()),
        }
    }

    pub(crate) fn open(&self, builder: DatagramEndpointBuilder<Probe>) -> Endpoint<Probe> {
        self.event_loop().run_until_complete(builder.start()).unwrap().unwrap()
    }

    /// An endpoint with an address of its own.
    pub(crate) fn bound(&self, probe: Probe) -> Endpoint<Probe> {
        self.open(self.builder(probe))
    }

    /// An endpoint with an address of its own that sends to `to` alone.
    pub(crate) fn connected(&self, probe: Probe, to: &Address) -> Endpoint<Probe> {
        self.open(self.towards(self.builder(probe), to))
    }

    /// As [`bound`](Self::bound), at an address that no other test is given when it is free again:
    /// what is still sent there would come to that one.
    pub(crate) fn apart(&self, probe: Probe) -> Endpoint<Probe> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (20_000 + (std::process::id() * 37 + own) % 10_000) as u16;
        let builder = self.builder(probe);
        self.open(match self.link {
            Link::UdpV4 | Link::UdpV4Offload => builder.local_address(("127.0.0.1", port)),
            Link::UdpV6 | Link::UdpV6Offload => builder.local_address(("::1", port)),
            _ => builder,
        })
    }

    /// An address of this kind where nobody is.
    pub(crate) fn deserted(&self) -> Address {
        let endpoint = self.apart(Probe::new(&Log::default()));
        let address = address(&endpoint);
        endpoint.handle().abort();
        self.rest();
        address
    }

    #[track_caller]
    pub(crate) fn run_until(&self, what: &str, condition: impl FnMut() -> bool) {
        run_until(self.event_loop(), what, condition);
    }

    #[track_caller]
    pub(crate) fn run_until_received(&self, log: &Log, count: usize) {
        self.run_until("all datagrams", || log.received().len() >= count);
    }

    #[track_caller]
    pub(crate) fn rest(&self) {
        rest(self.event_loop());
    }
}

pub(crate) fn address(endpoint: &Endpoint<Probe>) -> Address {
    endpoint.handle().local_address().expect("the endpoint has an address")
}

/// Datagrams that differ, of all lengths up to `longest`.
pub(crate) fn datagrams(count: usize, longest: usize) -> Vec<Vec<u8>> {
    (0..count).map(|position| vec![position as u8; position * 37 % (longest + 1)]).collect()
}
