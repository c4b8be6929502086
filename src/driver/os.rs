//! The operating system as the driver: mio for readiness, its sockets, its clock.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use crate::net::Address;
use crate::transport::{Key, PeerCredentials, Readiness, SocketOptions};

/// How many events one poll can report.
const EVENTS: usize = 1024;

/// The token of the waker: no slot has this index.
const WAKER: Token = Token(usize::MAX);

/// Whether TCP options set on a listener are those of the sockets it accepts (Linux copies them).
pub(crate) const ACCEPTED_SOCKETS_INHERIT_OPTIONS: bool =
    cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) struct OsDriver {
    poll: RefCell<Poll>,
    /// In a box, so that taking them out of their place moves a word.
    events: Cell<Option<Box<Events>>>,
    waker: Arc<mio::Waker>,
    /// How many times to poll without waiting before going to sleep.
    spin: u32,
}

impl OsDriver {
    pub(crate) fn new(spin: u32) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll: RefCell::new(poll),
            events: Cell::new(Some(Box::new(Events::with_capacity(EVENTS)))),
            waker,
            spin,
        })
    }

    pub(crate) fn waker(&self) -> Arc<mio::Waker> {
        Arc::clone(&self.waker)
    }

    #[inline]
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        let result = self.fill(&mut events, timeout);
        self.events.set(Some(events));
        result
    }

    /// The events are out of their place meanwhile: `ready` runs the user's code.
    #[inline(always)]
    pub(crate) fn take_events(&self, mut ready: impl FnMut(Key, Readiness)) {
        let Some(mut events) = self.events.take() else { return };
        for event in events.iter() {
            if event.token() != WAKER {
                ready(Key::from_token(event.token()), readiness(event));
            }
        }
        events.clear();
        self.events.set(Some(events));
    }

    fn fill(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut poll = self.poll.borrow_mut();
        let wait = timeout != Some(Duration::ZERO);
        for _ in 0..if wait { self.spin } else { 0 } {
            poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
        }
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// Registers for both directions, once and for all.
    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        self.poll.borrow().registry().register(
            &mut SourceFd(&fd.as_raw_fd()),
            key.token(),
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    pub(crate) fn register_source(
        &self,
        source: &mut impl mio::event::Source,
        key: Key,
    ) -> io::Result<()> {
        self.poll.borrow().registry().register(source, key.token(), Interest::READABLE)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        // It fails only for a descriptor that is not registered, which is what is wanted.
        let _ = self.poll.borrow().registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
    }

    pub(crate) fn deregister_before_close(&self, fd: BorrowedFd<'_>) {
        if !super::CLOSING_DEREGISTERS {
            self.deregister(fd);
        }
    }
}

#[inline]
fn readiness(event: &mio::event::Event) -> Readiness {
    let mut readiness = Readiness::NONE;
    readiness.set(Readiness::READ, event.is_readable());
    readiness.set(Readiness::WRITE, event.is_writable());
    if event.is_read_closed() | event.is_write_closed() | event.is_error() {
        readiness.set(Readiness::READ_CLOSED, event.is_read_closed());
        readiness.set(Readiness::WRITE_CLOSED, event.is_write_closed());
        readiness.set(Readiness::ERROR, event.is_error());
    }
    readiness
}

/// A connected (or connecting) TCP or Unix stream socket, non-blocking.
#[derive(Debug)]
pub(crate) struct OsSocket {
    fd: OwnedFd,
}

impl OsSocket {
    /// Takes a connected socket from elsewhere, and makes it non-blocking.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        if SockRef::from(&fd).r#type()? != Type::STREAM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a stream socket was expected",
            ));
        }
        // It fails for one that is not connected.
        SockRef::from(&fd).peer_addr()?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    #[inline]
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(&self.fd, data, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let mut control = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&self.fd, slices, &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Write)?)
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        SockRef::from(&self.fd).take_error().unwrap_or_else(Some)
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(&self.fd).local_addr().ok()?)
    }

    pub(crate) fn peer_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(&self.fd).peer_addr().ok()?)
    }

    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            if SockRef::from(&self.fd).local_addr().ok()?.domain() != Domain::UNIX {
                return None;
            }
            let credentials = rustix::net::sockopt::socket_peercred(&self.fd).ok()?;
            Some(PeerCredentials {
                user: credentials.uid.as_raw(),
                group: credentials.gid.as_raw(),
                process: Some(credentials.pid.as_raw_nonzero().get()),
            })
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            None
        }
    }
}

impl AsFd for OsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A listening TCP or Unix stream socket, non-blocking.
#[derive(Debug)]
pub(crate) enum OsListener {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
}

impl OsListener {
    /// Takes a listening socket from elsewhere, and makes it non-blocking.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        if socket.r#type()? != Type::STREAM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a stream socket was expected",
            ));
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        if !socket.is_listener()? {
            let text = "a listening socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let domain = socket.local_addr()?.domain();
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self::from_fd(fd, domain))
    }

    fn from_fd(fd: OwnedFd, domain: Domain) -> Self {
        if domain == Domain::UNIX {
            Self::Unix(mio::net::UnixListener::from_std(fd.into()))
        } else {
            Self::Tcp(mio::net::TcpListener::from_std(fd.into()))
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    pub(crate) fn accept(&self) -> io::Result<(OsSocket, Option<Address>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                let fd = std::net::TcpStream::from(stream).into();
                Ok((OsSocket { fd }, Some(Address::Ip(peer))))
            }
            Self::Unix(listener) => {
                let (stream, peer) = listener.accept()?;
                let fd = std::os::unix::net::UnixStream::from(stream).into();
                Ok((OsSocket { fd }, Some(Address::from(peer))))
            }
        }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(self).local_addr().ok()?)
    }
}

impl AsFd for OsListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Begins to connect to `remote`.
pub(crate) fn connect(
    remote: SocketAddr,
    local: Option<SocketAddr>,
    options: &SocketOptions,
) -> io::Result<OsSocket> {
    let socket = open(Domain::for_address(remote), Some(Protocol::TCP))?;
    let socket = OsSocket { fd: socket.into() };
    options.apply(&socket)?;
    let reference = SockRef::from(&socket.fd);
    if let Some(local) = local {
        reference.set_reuse_address(true)?;
        reference.bind(&local.into())?;
    }
    begin(&reference, &remote.into())?;
    Ok(socket)
}

/// Begins to connect to the Unix socket at `path`; a path that begins with a zero byte is abstract.
pub(crate) fn connect_unix(path: &Path, options: &SocketOptions) -> io::Result<OsSocket> {
    let address = SockAddr::unix(path)?;
    let socket = OsSocket { fd: open(Domain::UNIX, None)?.into() };
    options.apply(&socket)?;
    begin(&SockRef::from(&socket.fd), &address)?;
    Ok(socket)
}

/// How to bind a TCP listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenOptions {
    pub(crate) backlog: u32,
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
}

/// Binds and listens; an IPv6 socket is for IPv6 only, so that both families can share a port.
pub(crate) fn listen(
    address: SocketAddr,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    let socket = open(Domain::for_address(address), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.reuse_address {
        socket.set_reuse_address(true)?;
    }
    if options.reuse_port {
        set_reuse_port(&socket)?;
    }
    socket.bind(&address.into())?;
    finish_listening(socket, Domain::for_address(address), options, socket_options)
}

/// Binds and listens at a path; a path that begins with a zero byte is abstract.
pub(crate) fn listen_unix(
    path: &Path,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    let socket = open(Domain::UNIX, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    finish_listening(socket, Domain::UNIX, options, socket_options)
}

fn finish_listening(
    socket: socket2::Socket,
    domain: Domain,
    options: &ListenOptions,
    socket_options: &SocketOptions,
) -> io::Result<OsListener> {
    if ACCEPTED_SOCKETS_INHERIT_OPTIONS {
        socket_options.apply(&socket)?;
    }
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(OsListener::from_fd(socket.into(), domain))
}

fn set_reuse_port(socket: &socket2::Socket) -> io::Result<()> {
    #[cfg(not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))]
    {
        socket.set_reuse_port(true)
    }
    #[cfg(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))]
    {
        let _ = socket;
        Err(io::Error::new(io::ErrorKind::Unsupported, "reuse_port is not supported here"))
    }
}

/// A non-blocking, close-on-exec stream socket.
fn open(domain: Domain, protocol: Option<Protocol>) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn begin(socket: &SockRef<'_>, address: &SockAddr) -> io::Result<()> {
    match socket.connect(address) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
