//! Two peers with a relay between them, on one loop.

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{
    Error, EventLoop, LoopFuture, Protocol, RelayBuilder, RelayOutcome, RelayStatistics, Result,
    Splicing, Transport, TransportHandle, relay,
};

use crate::loops::{are_simulated, memory_loop, settle, system_loop};
use crate::probe::{Log, Probe, assert_rules_were_kept};
use crate::running::{Reports, run_until};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What the connections are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Memory,
    Unix,
    Tcp,
}

impl Link {
    /// A simulation has none of the system's sockets.
    fn here(self) -> Self {
        if are_simulated() { Self::Memory } else { self }
    }
}

/// Every link, each way of moving bytes.
pub(super) const ALL: [(Link, Splicing); 7] = [
    (Link::Memory, Splicing::Automatic),
    (Link::Unix, Splicing::Automatic),
    (Link::Unix, Splicing::Always),
    (Link::Unix, Splicing::Never),
    (Link::Tcp, Splicing::Automatic),
    (Link::Tcp, Splicing::Always),
    (Link::Tcp, Splicing::Never),
];

/// What runs on the relay's connections before they are joined.
pub(super) struct Waiting;

impl Protocol for Waiting {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.pause_reading();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Peers called client and server, and the connections to them, called a and b.
pub(super) struct Stage {
    pub(super) event_loop: EventLoop,
    pub(super) client: Log,
    pub(super) server: Log,
    pub(super) a: TransportHandle,
    pub(super) b: TransportHandle,
    pub(super) statistics: RelayStatistics,
    outcome: RefCell<Option<LoopFuture<RelayOutcome>>>,
    reports: Reports,
}

impl Stage {
    pub(super) fn new(link: Link, splicing: Splicing) -> Self {
        Self::with(link, |relay| relay.splicing(splicing), |probe| probe, |probe| probe)
    }

    pub(super) fn with(
        link: Link,
        options: impl FnOnce(RelayBuilder) -> RelayBuilder,
        client: impl FnOnce(Probe) -> Probe,
        server: impl FnOnce(Probe) -> Probe,
    ) -> Self {
        let event_loop = match link.here() {
            Link::Memory => memory_loop(),
            _ => system_loop(),
        };
        let near = |event_loop: &EventLoop, probe| connected(event_loop, link, client(probe));
        let far = |event_loop: &EventLoop, probe| connected(event_loop, link, server(probe));
        Self::joined(event_loop, near, far, options)
    }

    /// With connections that are made as each side says.
    pub(super) fn joined(
        event_loop: EventLoop,
        client: impl FnOnce(&EventLoop, Probe) -> TransportHandle,
        server: impl FnOnce(&EventLoop, Probe) -> TransportHandle,
        options: impl FnOnce(RelayBuilder) -> RelayBuilder,
    ) -> Self {
        let reports = Reports::of(&event_loop);
        let (client_log, server_log) = (Log::new(), Log::new());
        let a = client(&event_loop, Probe::new(&client_log).half_open());
        let b = server(&event_loop, Probe::new(&server_log).half_open());
        let builder = options(relay(&a, &b));
        let statistics = builder.statistics();
        let outcome = RefCell::new(Some(builder.start()));
        let (client, server) = (client_log, server_log);
        Self { event_loop, client, server, a, b, statistics, outcome, reports }
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        run_until(&self.event_loop, what, condition);
    }

    pub(super) fn pass(&self, time: Duration) {
        advance(&self.event_loop, time).unwrap();
    }

    pub(super) fn settle(&self) {
        settle(&self.event_loop).unwrap();
    }

    /// Drops the future of the outcome.
    pub(super) fn forget(&self) {
        drop(self.outcome.take());
    }

    pub(super) fn cancel(&self) -> bool {
        self.outcome.borrow().as_ref().unwrap().cancel()
    }

    #[track_caller]
    pub(super) fn outcome(&self) -> Result<RelayOutcome, Error> {
        self.until("the relay to be over", || self.outcome.borrow().as_ref().unwrap().is_done());
        self.outcome.take().unwrap().take_result().unwrap()
    }

    /// Nothing is left when the peers are gone as well, and nobody was told of a failure.
    #[track_caller]
    pub(super) fn end(self) {
        self.client.handle().abort();
        self.server.handle().abort();
        self.until("everything to be gone", || self.event_loop.statistics().connections_open == 0);
        let statistics = self.event_loop.statistics();
        assert_eq!((statistics.timers, statistics.sources), (0, 0));
        assert_eq!(self.reports.take(), [""; 0]);
        let Self { event_loop, .. } = self;
        drop(event_loop);
        assert_rules_were_kept();
    }
}

/// A connection to a peer with that protocol.
pub(super) fn connected<P: Protocol>(
    event_loop: &EventLoop,
    link: Link,
    peer: P,
) -> TransportHandle {
    let (near, far): (OwnedFd, OwnedFd) = match link.here() {
        Link::Memory => return pair(event_loop, 10_000, Waiting, peer).unwrap().0.into(),
        Link::Unix => {
            let (near, far) = UnixStream::pair().unwrap();
            (near.into(), far.into())
        }
        Link::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (near.into(), listener.accept().unwrap().0.into())
        }
    };
    // So that some megabytes are more than fits on the way.
    const BUFFER: usize = 256 * 1024;
    let peer = event_loop.create_connection_on(|| peer, far);
    let peer = peer.send_buffer_size(BUFFER).receive_buffer_size(BUFFER).start();
    event_loop.run_until_complete(peer).unwrap().unwrap();
    let near = event_loop.create_connection_on(|| Waiting, near);
    let near = near.send_buffer_size(BUFFER).receive_buffer_size(BUFFER).start();
    event_loop.run_until_complete(near).unwrap().unwrap().into()
}

/// Bytes that differ from their neighbours and from those a read's length away.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|position| (position.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

/// What was received, looked at from outside.
pub(super) fn shared<T: Default>() -> Rc<RefCell<T>> {
    Rc::default()
}
