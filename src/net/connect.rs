//! From what to connect to, to a running connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::DRIVE_SOCKETS;
use super::connection_builder::To;
use super::happy_eyeballs::interleave;
use super::race::{Connecting, RaceFuture};
use super::targets::Targets;
use crate::address::Address;
use crate::driver::{Key, Readiness, Socket, SocketOptions};
use crate::error::{ConnectAttempt, ConnectAttempts, Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Guarded};
use crate::fence;
use crate::protocol::Protocol;
#[cfg(feature = "tls-core")]
use crate::task::future;
use crate::time::Backoff;
use crate::timeout::TimeoutKind;
use crate::transport::{Connection, Stream, StreamOptions, TransportHandle};
#[cfg(feature = "tls-core")]
use crate::transport::{PlaceholderProtocol, Setup};

/// How long to wait before a Unix server with a full backlog is asked again. On Linux a
/// non-blocking connect to it fails, while one to a TCP address waits.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(640);

/// How a connection is to be made.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) local: Option<Targets>,
    pub(super) delay: Option<Duration>,
    pub(super) first_family_count: usize,
}

/// A connected socket in a slot of its own.
pub(super) struct Opened {
    pub(super) core: Rc<Core>,
    pub(super) key: Key,
    pub(super) socket: Option<Socket>,
    /// Its readiness so far: the poll reports it only once.
    pub(super) readiness: Readiness,
    /// The system forgets it when the peer resets the connection.
    pub(super) peer: Option<Address>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.core.driver.deregister(&socket);
            self.core.free_slot(self.key);
        }
    }
}

/// Connects, within the time that is given for it.
pub(super) async fn open(
    core: &Rc<Core>,
    to: To,
    plan: Plan,
    timeout: Option<Duration>,
    options: &SocketOptions,
) -> Result<Opened, Error> {
    let mut attempts = Vec::new();
    let outcome = {
        let mut connecting = pin!(connect(core, to, plan, options, &mut attempts));
        let mut deadline =
            timeout.map(|timeout| EventLoop::from_core(Rc::clone(core)).sleep(timeout));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = connecting.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            match &mut deadline {
                Some(deadline) => pin!(deadline).poll(context).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await
    };
    match outcome {
        Some(outcome) => outcome,
        None => Err(Error::with_source(
            Kind::Timeout(TimeoutKind::Connect),
            TimeoutKind::Connect.text(),
            ConnectAttempts(attempts),
        )),
    }
}

async fn connect(
    core: &Rc<Core>,
    to: To,
    plan: Plan,
    options: &SocketOptions,
    attempts: &mut Vec<ConnectAttempt>,
) -> Result<Opened, Error> {
    match to {
        To::Targets(targets) => {
            let addresses = targets.resolve(core, false).await?;
            let local = match plan.local {
                Some(local) => local.resolve(core, true).await?,
                None => Vec::new(),
            };
            let addresses = with_local_address(addresses, &local)?;
            let addresses = interleave(&addresses, plan.first_family_count);
            RaceFuture::new(core, addresses, local, plan.delay, options, attempts).await
        }
        To::Unix(address) => {
            let path = address.to_path();
            if path.as_os_str().is_empty() {
                return Err(Error::invalid("the path of a Unix server is missing: this is empty"));
            }
            let failed = |error| Error::io(format!("could not connect to {address}"), error);
            let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY, core.jitter_seed());
            let socket = loop {
                match core.open_descriptor(|| core.driver.connect_unix(&path, options)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let event_loop = EventLoop::from_core(Rc::clone(core));
                        event_loop.sleep(backoff.next_delay()).await;
                    }
                    outcome => break outcome.map_err(failed)?,
                }
            };
            Connecting::new(core, socket)?.await.map_err(failed)
        }
        To::Socket(socket) => {
            let driver = core.driver.require_os(DRIVE_SOCKETS)?;
            let adopt = |error| Error::io("the socket cannot be used as a connection", error);
            let socket = driver.adopt_stream(socket).map_err(adopt)?;
            socket.apply(options).map_err(adopt)?;
            Ok(register(core, socket)?)
        }
    }
}

/// Gives a socket a slot, and registers it with the poll.
fn register(core: &Rc<Core>, socket: Socket) -> Result<Opened, Error> {
    let key = core.reserve_slot()?;
    if let Err(error) = core.driver.register(&socket, key, &core.signals) {
        core.free_slot(key);
        return Err(Error::io("the socket could not be registered with the poll", error));
    }
    let peer = socket.peer_address();
    Ok(Opened {
        core: Rc::clone(core),
        key,
        socket: Some(socket),
        readiness: Readiness::NONE,
        peer,
    })
}

/// Leaves the addresses that can be connected to from one of the local addresses.
fn with_local_address(
    mut addresses: Vec<SocketAddr>,
    local: &[SocketAddr],
) -> Result<Vec<SocketAddr>, Error> {
    if local.is_empty() {
        return Ok(addresses);
    }
    addresses.retain(|address| local.iter().any(|local| local.is_ipv4() == address.is_ipv4()));
    if addresses.is_empty() {
        return Err(Error::invalid("no local address has the family of a remote address"));
    }
    Ok(addresses)
}

/// What `receive_descriptors` is answered with where none can come.
pub(super) fn no_descriptors() -> Error {
    let text = "descriptors can be received over Unix sockets of the operating system only";
    Error::new(Kind::Unsupported, text)
}

/// Makes the protocol, and the stream in the socket's slot; `connection_made` is called.
pub(super) fn begin<P: Protocol>(
    core: &Rc<Core>,
    mut opened: Opened,
    factory: Guarded<Box<dyn FnOnce() -> P>>,
    options: &StreamOptions,
) -> Result<Connection<P>, Error> {
    core.check_open()?;
    if options.descriptors > 0 && !opened.socket.as_ref().is_some_and(Socket::passes_descriptors) {
        return Err(no_descriptors());
    }
    let (Some(factory), Some(socket)) = (factory.take(), opened.socket.take()) else {
        return Err(Error::bare(Kind::Closed));
    };
    let protocol = match fence::run(factory) {
        Ok(protocol) => protocol,
        Err(panic) => {
            opened.socket = Some(socket);
            return Err(panic.into_error());
        }
    };
    let peer = opened.peer.take();
    let stream = Stream::new(core, opened.key, socket, Box::new(protocol), options, None, peer);
    stream.note_before_start(opened.readiness);
    core.fill_slot(opened.key, Entry::Stream(Rc::clone(&stream)));
    stream.begin(core);
    Ok(Connection::new(TransportHandle::of(core, &stream)))
}

/// As [`begin`], once the TLS handshake is done.
#[cfg(feature = "tls-core")]
pub(super) async fn begin_tls<P: Protocol>(
    core: &Rc<Core>,
    mut opened: Opened,
    factory: Guarded<Box<dyn FnOnce() -> P>>,
    options: &StreamOptions,
    setup: Guarded<Setup>,
    host: Option<String>,
) -> Result<Connection<P>, Error> {
    core.check_open()?;
    let (Some(socket), Some(setup)) = (opened.socket.take(), setup.take()) else {
        return Err(Error::bare(Kind::Closed));
    };
    let key = opened.key;
    let peer = opened.peer.take();
    let who = peer_name(host, peer.as_ref());
    let stream = Stream::new(core, key, socket, Box::new(PlaceholderProtocol), options, None, peer);
    stream.note_before_start(opened.readiness);
    core.fill_slot(key, Entry::Stream(Rc::clone(&stream)));
    let (promise, made) = future(core);
    let own = Rc::clone(core);
    promise.on_cancel_at_once(move || {
        if let Some(stream) = own.stream(key) {
            stream.abort(&own);
        }
    });
    let done = move |core: &Rc<Core>, stream: &Rc<Stream>, outcome: Result<(), Error>| {
        let protocol = match outcome {
            Ok(()) => match factory.take() {
                Some(factory) => fence::run(factory).map_err(fence::Panic::into_error),
                None => Err(Error::bare(Kind::Closed)),
            },
            Err(error) => Err(handshake_failed(error, &who)),
        };
        promise.set(protocol.map(|protocol| {
            stream.begin_with(core, Box::new(protocol));
            Connection::new(TransportHandle::of(core, stream))
        }));
        // Nobody has it if the factory failed.
        if !stream.is_made() {
            stream.abort(core);
        }
    };
    stream.connect_tls(core, setup, Box::new(done));
    drop(stream);
    made.into_step().await
}

/// The peer of a handshake, for people: the name that was connected to, and the address.
#[cfg(feature = "tls-core")]
fn peer_name(host: Option<String>, peer: Option<&Address>) -> String {
    let peer = peer.map(ToString::to_string);
    match (host, peer) {
        (Some(host), Some(peer)) if !peer.contains(&host) => format!("{host} ({peer})"),
        (_, Some(peer)) => peer,
        (Some(host), None) => host,
        (None, None) => "the peer".to_owned(),
    }
}

/// What the network did to a handshake is an error of the connect. What TLS says to it (a certificate
/// that is not trusted) is its own.
#[cfg(feature = "tls-core")]
fn handshake_failed(error: Error, who: &str) -> Error {
    match error.kind() {
        Kind::Io | Kind::Truncated | Kind::Timeout(_) => {
            error.in_context(format!("the TLS handshake with {who} failed")).of_connect()
        }
        _ => error,
    }
}
