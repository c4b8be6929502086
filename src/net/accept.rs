//! Accepting connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::server_core::ServerCore;
use crate::address::Address;
use crate::driver::{Key, Listener, Readiness, Reserve, Socket};
use crate::error::{Error, Result};
use crate::event_loop::{Callback, Core, Entry, ListenerFacts, Ready, Source, nanoseconds};
#[cfg(feature = "tls-core")]
use crate::protocol::Protocol;
use crate::time::Backoff;
use crate::transport::{Info, Stream};
#[cfg(feature = "tls-core")]
use crate::transport::{PlaceholderProtocol, Setup, Waiter};

/// How long a listener rests when the system is out of descriptors or memory, at first and if that
/// lasts (asyncio's second).
const FIRST_REST: Duration = Duration::from_millis(100);
const LAST_REST: Duration = Duration::from_secs(1);

/// How many waiting connections are turned away at most when there is no descriptor for them.
const TURNED_AWAY: usize = 64;

/// One listener of a server.
pub(super) struct Accepting {
    key: Key,
    server: Rc<ServerCore>,
    /// `None` once the server is closed.
    listener: RefCell<Option<Listener>>,
    options_are_inherited: bool,
    ready: Cell<bool>,
    queued: Cell<bool>,
    resting: Cell<bool>,
    rests: RefCell<Backoff>,
    /// The shortage was reported, and still lasts.
    shortage_reported: Cell<bool>,
    /// Given up for a moment when no other descriptor is left, to take a connection and close it.
    reserve: RefCell<Option<Reserve>>,
}

impl Accepting {
    pub(super) fn register(
        core: &Rc<Core>,
        server: &Rc<ServerCore>,
        listener: Listener,
    ) -> Result<Rc<Self>, Error> {
        let options_are_inherited = listener
            .passes_on(&server.socket_options)
            .map_err(|error| Error::io("the options of connections could not be set", error))?;
        let key = core.reserve_slot()?;
        if let Err(error) = core.driver.register_listener(&listener, key, &core.signals) {
            core.free_slot(key);
            return Err(Error::io("the listener could not be registered with the poll", error));
        }
        let reserve = listener.reserve();
        let accepting = Rc::new(Self {
            key,
            server: Rc::clone(server),
            listener: RefCell::new(Some(listener)),
            options_are_inherited,
            ready: Cell::new(false),
            queued: Cell::new(false),
            resting: Cell::new(false),
            rests: RefCell::new(Backoff::new(FIRST_REST, LAST_REST, core.jitter_seed())),
            shortage_reported: Cell::new(false),
            reserve: RefCell::new(reserve),
        });
        core.fill_slot(key, Entry::Source(Rc::clone(&accepting) as Rc<dyn Source>));
        Ok(accepting)
    }

    pub(super) fn local_address(&self) -> Option<Address> {
        self.listener.borrow().as_ref()?.local_address()
    }

    /// Another descriptor for the same listener.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self.listener.borrow().as_ref().and_then(Listener::fd) {
            Some(fd) => fd.try_clone_to_owned(),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn enqueue_if_ready(self: &Rc<Self>, core: &Core) {
        if self.ready.get() && !self.queued.replace(true) {
            core.push_ready(Ready::Source(Rc::clone(self) as Rc<dyn Source>));
        }
    }

    /// Stops listening.
    pub(super) fn let_go(&self, core: &Core) {
        let listener = self.listener.borrow_mut().take();
        if let Some(listener) = listener {
            core.driver.deregister_listener(&listener);
            core.free_slot(self.key);
        }
        drop(self.reserve.borrow_mut().take());
    }

    fn accept(self: &Rc<Self>, core: &Rc<Core>) {
        for _ in 0..self.server.settings.accept_batch {
            // Asked each time: protocols that were begun may have closed the server.
            if self.resting.get() || !self.server.may_accept() {
                return;
            }
            let accepted = match &*self.listener.borrow() {
                Some(listener) => listener.accept(),
                None => return,
            };
            match accepted {
                Ok((socket, peer)) => {
                    if self.shortage_reported.replace(false) {
                        self.rests.borrow_mut().reset();
                    }
                    if let Err(error) =
                        self.server.begin(core, socket, peer, self.options_are_inherited)
                    {
                        self.server.accept_failed(core, error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready.set(false);
                    return;
                }
                // Sockets that only linger make room.
                Err(error) if core.give_up_lingering(&error) => {}
                Err(error) if is_shortage(&error) => return self.run_short(core, error),
                // The peer was gone before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    let lasts = is_of_listener(&error);
                    self.server.accept_failed(core, Error::io("accepting failed", error));
                    if lasts {
                        return self.rest(core);
                    }
                }
            }
        }
        self.enqueue_if_ready(core);
    }

    /// The system is out of something: turns away waiting clients, and rests.
    fn run_short(self: &Rc<Self>, core: &Rc<Core>, error: io::Error) {
        if !self.shortage_reported.replace(true) {
            let error = Error::io("accepting pauses: the system is short", error);
            self.server.accept_failed(core, error);
        }
        self.turn_away();
        self.rest(core);
    }

    /// Leaves the listener alone for a while, so as not to spin.
    fn rest(self: &Rc<Self>, core: &Rc<Core>) {
        if self.listener.borrow().is_some() {
            self.resting.set(true);
            let waking = Rc::new(Wake(Rc::clone(self)));
            let delay = nanoseconds(self.rests.borrow_mut().next_delay());
            core.add_timer(core.now().saturating_add(delay), Box::new(waking));
        }
    }

    /// With the reserve descriptor given up, takes waiting connections and closes them: a client
    /// learns now, instead of waiting in a backlog that nobody empties.
    fn turn_away(&self) {
        let Some(reserve) = self.reserve.borrow_mut().take() else { return };
        drop(reserve);
        for _ in 0..TURNED_AWAY {
            let listener = self.listener.borrow();
            let Some(listener) = &*listener else { return };
            if listener.accept().is_err() {
                break;
            }
        }
        self.keep_reserve();
    }

    fn keep_reserve(&self) {
        let reserve = self.listener.borrow().as_ref().and_then(Listener::reserve);
        *self.reserve.borrow_mut() = reserve;
    }
}

impl ServerCore {
    /// Makes the protocol and the stream of an accepted socket; `connection_made` is called.
    ///
    /// It counts as a connection from here on: a server that its factory closes is not over before
    /// this connection is.
    pub(super) fn begin(
        self: &Rc<Self>,
        core: &Rc<Core>,
        socket: Socket,
        peer: Option<Address>,
        options_are_inherited: bool,
    ) -> Result<(), Error> {
        self.connections.set(self.connections.get() + 1);
        let begun = self.open(core, socket, peer, options_are_inherited);
        if begun.is_err() {
            self.client_is_gone(core);
        }
        begun
    }

    #[inline]
    fn open(
        self: &Rc<Self>,
        core: &Rc<Core>,
        socket: Socket,
        peer: Option<Address>,
        options_are_inherited: bool,
    ) -> Result<(), Error> {
        if !options_are_inherited && let Err(error) = socket.apply(&self.socket_options) {
            return Err(of_peer(peer.as_ref(), error.into()));
        }
        #[cfg(feature = "tls-core")]
        let made = if self.has_tls() {
            // Made when the handshake is done: it is not yet known who this is.
            Ok(Box::new(PlaceholderProtocol) as Box<dyn Protocol>)
        } else {
            self.make_protocol(|| info(&socket, peer.as_ref()))
        };
        #[cfg(not(feature = "tls-core"))]
        let made = self.make_protocol(|| info(&socket, peer.as_ref()));
        let protocol = match made {
            Ok(protocol) => protocol,
            Err(error) => return Err(of_peer(peer.as_ref(), error)),
        };
        let key = match register(core, &socket) {
            Ok(key) => key,
            Err(error) => {
                core.drop_user(protocol, "protocol");
                return Err(of_peer(peer.as_ref(), error));
            }
        };
        let options = &self.stream_options;
        let own = Some(Rc::clone(self));
        let stream = Stream::new(core, key, socket, protocol, options, own, peer);
        core.fill_slot(key, Entry::Stream(Rc::clone(&stream)));
        #[cfg(feature = "tls-core")]
        if self.has_tls() {
            self.begin_under_tls(core, &stream);
            return Ok(());
        }
        stream.begin(core);
        Ok(())
    }

    #[cfg(feature = "tls-core")]
    #[cold]
    fn begin_under_tls(self: &Rc<Self>, core: &Rc<Core>, stream: &Rc<Stream>) {
        let Some(tls) = self.tls.borrow().clone() else { return stream.abort(core) };
        let setup = core.by_the_clock(|| Setup::accept(&tls));
        core.drop_user(tls, "TLS configuration");
        match setup {
            Ok(setup) => stream.begin_tls(core, setup, Waiter::Accept),
            Err(error) => {
                stream.abort(core);
                self.accept_failed(core, of_peer(stream.info().peer_address(), error));
            }
        }
    }
}

/// A slot for the socket, whose readiness is reported there.
#[inline]
fn register(core: &Core, socket: &Socket) -> Result<Key, Error> {
    let key = core.reserve_slot()?;
    if let Err(error) = core.driver.register(socket, key, &core.signals) {
        core.free_slot(key);
        return Err(Error::io("the socket could not be registered", error));
    }
    Ok(key)
}

/// Tells which peer it was.
#[cold]
fn of_peer(peer: Option<&Address>, error: Error) -> Error {
    match peer {
        Some(peer) => error.in_context(format!("connection from {peer}")),
        None => error,
    }
}

/// What a factory is told of a connection.
fn info(socket: &Socket, peer: Option<&Address>) -> Rc<Info> {
    Rc::new(Info {
        local_address: socket.local_address(),
        peer_address: peer.cloned(),
        peer_credentials: socket.peer_credentials(),
        #[cfg(feature = "tls-core")]
        tls: None,
    })
}

impl Source for Accepting {
    fn note(&self, _: Key, readiness: Readiness) -> bool {
        // The poll says only that somebody has shut down the listener; `accept` shows the rest.
        let broken = Readiness::READ_CLOSED.union(Readiness::ERROR);
        if readiness.intersects(Readiness::READ.union(broken)) {
            self.ready.set(true);
        }
        self.ready.get() && !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        self.accept(core);
    }

    fn wind_down(self: Rc<Self>, core: &Rc<Core>) {
        self.server.close(core);
    }

    fn as_listener(&self) -> Option<ListenerFacts> {
        Some(ListenerFacts {
            address: self.local_address(),
            is_serving: self.server.serving.get(),
            connections: self.server.connections.get(),
        })
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        self.server.close(core);
    }
}

/// The end of a rest.
struct Wake(Rc<Accepting>);

impl Callback for Wake {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.resting.set(false);
        if self.0.reserve.borrow().is_none() {
            self.0.keep_reserve();
        }
        self.0.enqueue_if_ready(core);
    }
}

fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Errors of the listener itself, which the next `accept` would have as well; all others are those
/// of one incoming connection.
fn is_of_listener(error: &io::Error) -> bool {
    let lasting = [Errno::INVAL, Errno::BADF, Errno::NOTSOCK, Errno::OPNOTSUPP, Errno::FAULT];
    lasting.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
