//! From what a datagram endpoint is to be, to a running one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::DRIVE_SOCKETS;
use super::targets::Targets;
use crate::address::{Address, UnixAddress};
use crate::driver::unix_path::{BoundPath, PathClaim};
use crate::driver::{DatagramSocket, DatagramSocketOptions};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Guarded};
use crate::fence::{self, Panic};
use crate::protocol::DatagramProtocol;
use crate::timeout::TimeoutKind;
use crate::transport::{DatagramEndpoint, DatagramHandle, DatagramOptions, Endpoint};

/// How long resolving may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// What was asked for.
#[derive(Default)]
pub(super) struct Place {
    pub(super) local: Option<Targets>,
    pub(super) remote: Option<Targets>,
    pub(super) local_unix: Option<UnixAddress>,
    pub(super) remote_unix: Option<UnixAddress>,
    pub(super) socket: Option<OwnedFd>,
}

/// A socket, where it sends by default if it is not connected, and the path that goes with it.
pub(super) struct Opened {
    // Dropped first.
    path: Option<BoundPath>,
    socket: DatagramSocket,
    remote: Option<Address>,
}

pub(super) async fn open(
    core: &Rc<Core>,
    place: Place,
    options: &DatagramSocketOptions,
) -> Result<Opened, Error> {
    match place {
        Place { local: None, remote: None, local_unix: None, remote_unix: None, socket } => {
            let missing = "a datagram endpoint needs a local or a remote address, or a socket";
            let socket = socket.ok_or_else(|| Error::invalid(missing))?;
            adopt(core, socket, options)
        }
        Place { socket: Some(_), .. } => {
            Err(Error::invalid("a socket from elsewhere excludes a local or remote address"))
        }
        Place { local: None, remote: None, local_unix, remote_unix, .. } => {
            open_unix(core, local_unix, remote_unix, options)
        }
        Place { local, remote, local_unix: None, remote_unix: None, .. } => {
            open_ip(core, local, remote, options).await
        }
        _ => Err(Error::invalid("an endpoint has IP addresses or Unix addresses, not both")),
    }
}

/// Makes the protocol, and the endpoint in a slot of its own; `connection_made` is called.
pub(super) fn begin<P: DatagramProtocol>(
    core: &Rc<Core>,
    opened: Opened,
    factory: Guarded<Box<dyn FnOnce() -> P>>,
    options: &DatagramOptions,
) -> Result<Endpoint<P>, Error> {
    core.check_open()?;
    let Some(factory) = factory.take() else { return Err(Error::bare(Kind::Closed)) };
    let protocol = fence::run(factory).map_err(Panic::into_error)?;
    let protocol = Guarded::new(core, Box::new(protocol) as Box<dyn DatagramProtocol>, "protocol");
    let key = core.reserve_slot()?;
    let Opened { socket, remote, path } = opened;
    if let Err(error) = core.driver.register_datagram(&socket, key, &core.signals) {
        core.free_slot(key);
        return Err(Error::io("the socket could not be registered with the poll", error));
    }
    let Some(protocol) = protocol.take() else { return Err(Error::bare(Kind::Closed)) };
    let endpoint = DatagramEndpoint::new(key, socket, remote, protocol, path, options);
    core.fill_slot(key, Entry::Datagram(Rc::clone(&endpoint)));
    endpoint.begin(core);
    Ok(Endpoint::new(DatagramHandle::of(core, &endpoint)))
}

fn adopt(
    core: &Rc<Core>,
    socket: OwnedFd,
    options: &DatagramSocketOptions,
) -> Result<Opened, Error> {
    if options.reuse_port || options.reuse_multicast_port || options.only_v6.is_some() {
        return Err(Error::invalid("a socket from elsewhere excludes options of binding"));
    }
    let driver = core.driver.require_os(DRIVE_SOCKETS)?;
    let socket = driver.adopt_datagram(socket, options).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::Unsupported => Kind::Unsupported,
            io::ErrorKind::InvalidInput => Kind::Invalid,
            _ => Kind::Io,
        };
        Error::with_source(kind, "the socket cannot be used as a datagram endpoint", error)
    })?;
    Ok(Opened { socket, remote: None, path: None })
}

fn open_unix(
    core: &Rc<Core>,
    local: Option<UnixAddress>,
    remote: Option<UnixAddress>,
    options: &DatagramSocketOptions,
) -> Result<Opened, Error> {
    if local.iter().chain(&remote).any(UnixAddress::is_unnamed) {
        return Err(Error::invalid("the path of a Unix datagram socket is empty"));
    }
    let is_file = core.driver.has_socket_files();
    let file = local.as_ref().and_then(UnixAddress::as_path).filter(|_| is_file);
    let claim = file.map(PathClaim::new);
    if let (Some(claim), Some(file)) = (&claim, file) {
        claim.remove_stale_datagram(file);
    }
    let open = || core.driver.open_unix_datagram(local.as_ref(), remote.as_ref(), options);
    let socket = core
        .open_descriptor(open)
        .map_err(|error| open_failed(shown(local.as_ref()), shown(remote.as_ref()), error))?;
    drop(claim);
    let path = file.and_then(BoundPath::note);
    Ok(Opened { socket, remote: None, path })
}

async fn open_ip(
    core: &Rc<Core>,
    local: Option<Targets>,
    remote: Option<Targets>,
    options: &DatagramSocketOptions,
) -> Result<Opened, Error> {
    let resolving = async {
        let local = match local {
            Some(local) => Some(local.resolve(core, true).await?),
            None => None,
        };
        let remote = match remote {
            Some(remote) => Some(remote.resolve(core, false).await?),
            None => None,
        };
        Ok::<_, Error>((local, remote))
    };
    let (local, remote) = in_time(core, resolving).await?;
    let pairs = pairs(local, remote)?;
    let mut first_error = None;
    for (local, remote) in pairs {
        // Nobody could be connected to a broadcast address.
        let connect_to = remote.filter(|_| !options.broadcast);
        let open = || core.driver.open_datagram(local, connect_to, options);
        match core.open_descriptor(open) {
            Ok(socket) => {
                return Ok(Opened { socket, remote: remote.map(Address::Ip), path: None });
            }
            Err(error) => {
                let error = open_failed(shown(local.as_ref()), shown(remote.as_ref()), error);
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| Error::invalid("no address was given")))
}

/// A local and a remote address of one family, or one of them.
type Pair = (Option<SocketAddr>, Option<SocketAddr>);

/// The addresses to try together, in the order of the remote ones.
fn pairs(
    local: Option<Vec<SocketAddr>>,
    remote: Option<Vec<SocketAddr>>,
) -> Result<Vec<Pair>, Error> {
    let (local, remote) = match (local, remote) {
        (Some(local), None) => return Ok(local.into_iter().map(|one| (Some(one), None)).collect()),
        (None, Some(remote)) => {
            return Ok(remote.into_iter().map(|one| (None, Some(one))).collect());
        }
        (local, remote) => (local.unwrap_or_default(), remote.unwrap_or_default()),
    };
    let mut pairs = Vec::new();
    for remote in &remote {
        let same = local.iter().filter(|local| local.is_ipv4() == remote.is_ipv4());
        pairs.extend(same.map(|local| (Some(*local), Some(*remote))));
    }
    if pairs.is_empty() {
        return Err(Error::invalid("no local address has the family of a remote address"));
    }
    Ok(pairs)
}

/// Names are resolved by the system, which may take its time.
async fn in_time<T>(
    core: &Rc<Core>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    let mut deadline = EventLoop::from_core(Rc::clone(core)).sleep(RESOLVE_TIMEOUT);
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(outcome) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(outcome);
        }
        std::pin::Pin::new(&mut deadline)
            .poll(context)
            .map(|()| Err(Error::timeout(TimeoutKind::Connect)))
    })
    .await
}

fn shown(address: Option<&impl ToString>) -> Option<String> {
    address.map(ToString::to_string)
}

fn open_failed(local: Option<String>, remote: Option<String>, error: io::Error) -> Error {
    let what = match (local, remote) {
        (Some(local), Some(remote)) => format!("at {local} for {remote}"),
        (Some(local), None) => format!("at {local}"),
        (None, remote) => format!("for {}", remote.unwrap_or_default()),
    };
    let kind = match error.kind() {
        io::ErrorKind::Unsupported => Kind::Unsupported,
        _ => Kind::Io,
    };
    Error::with_source(kind, format!("could not open a datagram endpoint {what}"), error)
}
