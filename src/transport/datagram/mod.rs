//! The state of one datagram endpoint.

mod access;
mod batch;
mod by_destination;
mod callback;
mod close;
mod endpoint;
mod flags;
mod handle;
mod lanes;
mod options;
mod receive;
mod send;
mod shared;
mod statistics;
mod transport;
mod update;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use self::flags::Flags;
use self::lanes::Lanes;
use self::receive::Kept;
use self::statistics::Counts;
use crate::address::Address;
use crate::driver::unix_path::BoundPath;
use crate::driver::{DatagramSocket, Key, Outbox, Readiness};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Ready};
use crate::protocol::DatagramProtocol;
use crate::time::TimerKey;
use crate::transport::Info;
use crate::transport::marks::Marks;

pub use self::batch::{Datagram, Datagrams};
pub use self::endpoint::Endpoint;
pub use self::handle::DatagramHandle;
pub use self::statistics::DatagramStatistics;
pub use self::transport::{DatagramTransport, DropPolicy, SendStatus};

pub(crate) use self::options::DatagramOptions;
pub(crate) use self::shared::DatagramShared;

/// One datagram endpoint: its socket, its protocol and what is between them.
///
/// As with a [`Stream`](super::Stream), the protocol is taken out while one of its callbacks runs.
pub(crate) struct DatagramEndpoint {
    pub(crate) key: Key,
    flags: Cell<Flags>,
    /// Closed when the endpoint is.
    socket: RefCell<DatagramSocket>,
    /// Removed with the socket.
    path: Cell<Option<BoundPath>>,
    /// `None` while one of its callbacks runs, and after the last.
    protocol: Cell<Option<Box<dyn DatagramProtocol>>>,
    /// What is sent where.
    reach: Reach,
    /// Most endpoints have nothing queued at any time.
    queue: RefCell<Option<Box<Outbox>>>,
    /// What waits for receivers that are full, where each is waited for by itself.
    lanes: RefCell<Option<Box<Lanes>>>,
    marks: Marks,
    queue_limit: Cell<usize>,
    drop_policy: Cell<DropPolicy>,
    /// How many datagrams the next receive asks for.
    receive_hint: Cell<usize>,
    /// Received when reading was paused in the middle of a batch.
    kept: RefCell<Option<Box<Kept>>>,
    /// To be told to `error_received`.
    errors: RefCell<VecDeque<Error>>,
    /// What `connection_lost` is to be told.
    end: Cell<Option<Error>>,
    /// The same, for the handles that outlive the endpoint.
    ended: Rc<Ended>,
    /// Ends a close that cannot send what waits.
    linger: Cell<Option<TimerKey>>,
    /// When Unix receivers that were full are tried again.
    retry: Cell<Option<(TimerKey, u64)>>,
    counts: Counts,
    info: OnceCell<Rc<Info>>,
}

/// What ended an endpoint, if an error did.
#[derive(Default)]
pub(crate) struct Ended(RefCell<Option<Error>>);

impl Ended {
    /// The error of what cannot be done because the endpoint is closed: it says why.
    fn closed(&self) -> Error {
        match &*self.0.borrow() {
            Some(error) => Error::with_source(Kind::Closed, "the endpoint was lost", error.clone()),
            None => Error::bare(Kind::Closed),
        }
    }
}

/// Where an endpoint's datagrams can go.
struct Reach {
    family: Family,
    /// The only destination: of a connected socket, or remembered.
    remote: Option<Address>,
    /// Whether the socket is connected, and sends without an address.
    connected: bool,
    /// Whether "would block" is about a destination, and not about the socket.
    by_destination: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
    Unix,
}

impl DatagramEndpoint {
    /// `remote` is where [`DatagramTransport::send`] goes on a socket that is not connected.
    pub(crate) fn new(
        key: Key,
        socket: DatagramSocket,
        remote: Option<Address>,
        protocol: Box<dyn DatagramProtocol>,
        path: Option<BoundPath>,
        options: &DatagramOptions,
    ) -> Rc<Self> {
        let reach = Reach {
            family: match socket.local_address() {
                Some(Address::Ip(address)) if address.is_ipv4() => Family::Ipv4,
                Some(Address::Ip(_)) => Family::Ipv6,
                _ => Family::Unix,
            },
            connected: socket.is_connected(),
            by_destination: socket.blocks_by_destination(),
            remote: remote.or_else(|| socket.peer_address()),
        };
        Rc::new(Self {
            key,
            flags: Cell::new(Flags::WRITABLE),
            socket: RefCell::new(socket),
            path: Cell::new(path),
            protocol: Cell::new(Some(protocol)),
            reach,
            queue: RefCell::default(),
            lanes: RefCell::default(),
            marks: Marks::new(options.marks),
            queue_limit: Cell::new(options.queue_limit),
            drop_policy: Cell::new(options.drop_policy),
            receive_hint: Cell::new(receive::LEAST_BATCH),
            kept: RefCell::default(),
            errors: RefCell::default(),
            end: Cell::new(None),
            ended: Rc::default(),
            linger: Cell::new(None),
            retry: Cell::new(None),
            counts: Counts::default(),
            info: OnceCell::new(),
        })
    }

    #[inline]
    fn has(&self, flags: Flags) -> bool {
        self.flags.get().intersects(flags)
    }

    #[inline]
    fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().union(flags));
    }

    #[inline]
    fn clear(&self, flags: Flags) {
        self.flags.set(self.flags.get().difference(flags));
    }

    /// Notes what the socket is ready for. Returns whether it has its turn now rather than in the
    /// ready list.
    #[inline]
    pub(crate) fn note(&self, readiness: Readiness) -> bool {
        let before = self.flags.get();
        self.flags.set(before.union(Flags::from(readiness)).union(Flags::QUEUED));
        !before.intersects(Flags::QUEUED)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.has(Flags::CLOSED)
    }

    /// Puts the endpoint in the ready list, unless it is there.
    fn enqueue(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::QUEUED) {
            self.set(Flags::QUEUED);
            core.push_ready(Ready::Datagram(Rc::clone(self)));
        }
    }

    fn info(&self) -> Rc<Info> {
        Rc::clone(self.info.get_or_init(|| {
            Rc::new(Info {
                local_address: self.socket.borrow().local_address(),
                peer_address: self.reach.remote.clone(),
                ..Info::default()
            })
        }))
    }

    fn statistics(&self) -> DatagramStatistics {
        DatagramStatistics { queued: self.queue_datagrams() as u64, ..self.counts.snapshot() }
    }
}

impl Reach {
    /// The largest datagram there can be.
    fn largest(&self) -> usize {
        match self.family {
            // 65,535 less the UDP header, and less that of IPv4, whose length counts it.
            Family::Ipv4 => 65_507,
            Family::Ipv6 => 65_527,
            // The socket's send buffer is the limit, and the operating system tells.
            Family::Unix => usize::MAX,
        }
    }

    /// What the socket has to be told for a datagram without a destination of its own.
    fn default_destination(&self) -> Result<Option<&Address>, Error> {
        match &self.remote {
            // A connected Unix pair has peers without names.
            _ if self.connected => Ok(None),
            Some(remote) => Ok(Some(remote)),
            None => Err(Error::invalid(
                "send() needs a remote address, which this endpoint does not have; use send_to()",
            )),
        }
    }

    /// What the socket has to be told for a datagram to `to`.
    #[inline]
    fn destination<'a>(&'a self, to: &'a Address) -> Result<Option<&'a Address>, Error> {
        if self.connected || self.remote.is_some() {
            return if self.remote.as_ref() == Some(to) {
                self.default_destination()
            } else {
                Err(self.wrong_remote(to))
            };
        }
        let fits = match (self.family, to) {
            (Family::Ipv4, Address::Ip(to)) => to.is_ipv4() && to.port() != 0,
            (Family::Ipv6, Address::Ip(to)) => to.is_ipv6() && to.port() != 0,
            (Family::Unix, Address::Unix(to)) => !to.is_unnamed(),
            _ => false,
        };
        if fits { Ok(Some(to)) } else { Err(self.wrong_address(to)) }
    }

    #[cold]
    fn wrong_remote(&self, to: &Address) -> Error {
        let remote = self.remote.as_ref().map_or_else(|| "its peer".to_owned(), Address::to_string);
        Error::invalid(format!("this endpoint sends to {remote} only, not to {to}"))
    }

    #[cold]
    fn wrong_address(&self, to: &Address) -> Error {
        let family = match self.family {
            Family::Ipv4 => "an IPv4",
            Family::Ipv6 => "an IPv6",
            Family::Unix => "a Unix",
        };
        let reason = match to {
            Address::Ip(to) if to.port() == 0 => "it has no port",
            Address::Unix(to) if to.is_unnamed() => "it has no name",
            _ => "it is of another family",
        };
        Error::invalid(format!("{to} cannot be sent to from {family} endpoint: {reason}"))
    }

    fn check_group(&self, group: IpAddr) -> Result<(), Error> {
        let fits = match self.family {
            Family::Ipv4 => group.is_ipv4(),
            Family::Ipv6 => group.is_ipv6(),
            Family::Unix => false,
        };
        if fits && group.is_multicast() {
            return Ok(());
        }
        Err(Error::invalid(format!("{group} is no multicast group for this endpoint's family")))
    }
}
