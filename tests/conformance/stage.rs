//! The transports that every check runs over, and what a check is given.

use std::cell::Cell;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[cfg(feature = "tls")]
use wharf::TlsVersion;
use wharf::testing::{MemoryNetwork, advance, pair, step};
use wharf::{Connection, EventLoop, Protocol, Transport};

use crate::encryption::{Tls, connect, serve};
use crate::probe::{Log, Probe, assert_rules_were_kept};
use crate::running::{Reports, rest, run_until};
#[cfg(feature = "sim")]
use crate::simulated::World;

/// One way to join two protocols on one loop. A transport takes part in the suite by implementing
/// this, and by its line in `main.rs`.
pub(crate) trait Link: Sized {
    const CAPABILITIES: Capabilities;

    fn new() -> Self;

    fn event_loop(&self) -> &EventLoop;

    /// The simulation that its two ends are in, if they are in one.
    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        None
    }

    /// Joins two protocols; both `connection_made` were called when it returns.
    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A>;

    /// Joins them as [`join`](Self::join), and gives another descriptor of the far end's socket, where
    /// that is one that can send urgent data.
    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        let _ = (near, far);
        None
    }
}

/// What not every transport can do. A check that needs one passes over those that lack it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    /// Which ways bytes go.
    pub(crate) ways: Ways,
    /// One side can end while the other goes on.
    pub(crate) half_close: bool,
    /// Aborting with unread input resets the connection at the other end.
    pub(crate) reset: bool,
    /// Dropping what was written resets the connection at the other end.
    pub(crate) cut: bool,
    /// Both ends have addresses.
    pub(crate) addresses: bool,
    /// What is written is what is sent, and what is sent lands in the protocol's own memory.
    pub(crate) plain: bool,
}

impl Capabilities {
    pub(crate) const ALL: Self = Self {
        ways: Ways::both(),
        half_close: true,
        reset: true,
        cut: true,
        addresses: true,
        plain: true,
    };

    #[cfg(feature = "tls")]
    pub(crate) const TLS: Self = Self { plain: false, ..Self::ALL };
}

/// Ways between the two ends of a link: those it has, or those that a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// From the near end to the far one.
    forward: bool,
    back: bool,
}

impl Ways {
    /// The check gets along with whatever there is.
    pub(crate) const fn any() -> Self {
        Self { forward: false, back: false }
    }

    pub(crate) const fn forward() -> Self {
        Self { forward: true, back: false }
    }

    pub(crate) const fn back() -> Self {
        Self { forward: false, back: true }
    }

    pub(crate) const fn both() -> Self {
        Self { forward: true, back: true }
    }

    pub(crate) const fn include(self, needed: Self) -> bool {
        (self.forward || !needed.forward) && (self.back || !needed.back)
    }
}

/// The bytes that one direction of a link holds, about; more than that waits in the write buffer.
pub(crate) const CAPACITY: usize = 32 * 1024;

/// More than every link holds by itself: what the kernel makes of [`CAPACITY`] included.
pub(crate) const MUCH: usize = 1024 * 1024;

/// A link, and what is told of the loops under it.
pub(crate) struct Stage<L> {
    link: L,
    loops: Vec<EventLoop>,
    pub(crate) reports: Reports,
}

impl<L: Link> Stage<L> {
    /// A stage of its own, for a check that needs several.
    pub(crate) fn of(link: L) -> Self {
        let reports = Reports::of(link.event_loop());
        let mut loops = vec![link.event_loop().clone()];
        #[cfg(feature = "sim")]
        if let Some(world) = link.world() {
            reports.add(&world.far);
            loops.push(world.far.clone());
        }
        Self { link, loops, reports }
    }

    /// Runs one check, closes its loops, and looks for what is left over.
    ///
    /// A link that does not have the ways that it needs is passed over.
    pub(crate) fn run(needed: Ways, check: fn(&mut Self)) {
        Self::run_and_then(needed, check, |_| {});
    }

    /// As [`run`](Self::run); `before_closing` is called when the check is done.
    pub(crate) fn run_and_then(
        needed: Ways,
        check: fn(&mut Self),
        before_closing: impl FnOnce(&Self),
    ) {
        if !L::CAPABILITIES.ways.include(needed) {
            return;
        }
        let mut stage = Self::of(L::new());
        check(&mut stage);
        before_closing(&stage);
        let loops = stage.loops.clone();
        drop(stage);
        for event_loop in loops {
            assert!(event_loop.is_closed());
            let statistics = event_loop.statistics();
            assert_eq!(statistics.connections_open, 0);
            assert_eq!(
                (statistics.sources, statistics.timers, statistics.tasks, statistics.ready),
                (0, 0, 0, 0)
            );
        }
        assert_rules_were_kept();
    }

    pub(crate) fn can(&self) -> Capabilities {
        L::CAPABILITIES
    }

    /// The near end's.
    pub(crate) fn event_loop(&self) -> &EventLoop {
        self.link.event_loop()
    }

    /// Those of both ends.
    pub(crate) fn loops(&self) -> &[EventLoop] {
        &self.loops
    }

    /// Sockets that linger without their protocols.
    pub(crate) fn lingering(&self) -> u64 {
        self.loops.iter().map(|event_loop| event_loop.statistics().lingering).sum()
    }

    pub(crate) fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.link.join(near, far)
    }

    pub(crate) fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.link.join_urgent(near, far)
    }

    /// Joins a probe to one that only records.
    pub(crate) fn join_to_probe(&self, near: impl Protocol) -> Log {
        let far = Log::new();
        self.join(near, Probe::new(&far));
        far
    }

    #[track_caller]
    pub(crate) fn run_until(&self, what: &str, condition: impl FnMut() -> bool) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.run_until(what, condition);
        }
        run_until(self.event_loop(), what, condition);
    }

    /// Ends the side of `log`'s protocol: the other one gets `eof_received`.
    pub(crate) fn end_side(&self, log: &Log) {
        if self.can().half_close {
            log.handle().write_eof();
        } else {
            log.handle().close();
        }
    }

    #[track_caller]
    pub(crate) fn run_until_lost(&self, log: &Log) {
        self.run_until("connection_lost", || log.is_lost());
    }

    /// A peer that went on writing to who had closed: a pipe is broken for it then, a socket that lingers is
    /// not. Neither costs it anything of what it was sent.
    #[track_caller]
    pub(crate) fn assert_talker_ended_well(&self, log: &Log) {
        let error = log.cause().map(|cause| cause.io_kind);
        let is_broken = error == Some(Some(std::io::ErrorKind::BrokenPipe));
        assert!(error.is_none() || (is_broken && !self.can().reset), "{:?}", log.cause());
    }

    #[track_caller]
    pub(crate) fn run_until_received(&self, log: &Log, len: usize) {
        self.run_until("all bytes", || log.received_len() >= len);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, duration: Duration) {
        if advance(self.event_loop(), duration).is_err() {
            let event_loop = self.event_loop();
            event_loop.run_until_complete(event_loop.sleep(duration)).expect("it runs");
        }
    }

    /// Until nothing is on its way any more.
    #[track_caller]
    pub(crate) fn rest(&self) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.rest();
        }
        rest(self.event_loop());
    }

    /// One turn of the loop.
    pub(crate) fn step(&self) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.step();
        }
        step(self.event_loop()).expect("the loop runs");
    }
}

/// A kind of socket, which TLS can be put on.
pub(crate) trait Socket: Sized {
    /// As in [`Capabilities`].
    const CUT: bool = true;

    fn new() -> Self;

    fn event_loop(&self) -> &EventLoop;

    /// As in [`Link`].
    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        None
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A>;

    /// A server for `near`, and a socket that is connected to it.
    fn accept<A: Protocol>(&self, tls: Option<&Tls>, near: A) -> Option<OwnedFd> {
        let _ = (tls, near);
        None
    }

    fn join_urgent<A: Protocol, B: Protocol>(
        &self,
        tls: Option<&Tls>,
        near: A,
        far: B,
    ) -> Option<OwnedFd> {
        let socket = self.accept(tls, near)?;
        let copy = socket.try_clone().expect("another descriptor");
        let event_loop = self.event_loop();
        let connecting = connect(tls, event_loop.create_connection_on(|| far, socket)).start();
        event_loop.run_until_complete(connecting).expect("it runs").expect("a connection");
        Some(copy)
    }
}

impl<S: Socket> Link for S {
    const CAPABILITIES: Capabilities = Capabilities { cut: S::CUT, ..Capabilities::ALL };

    fn new() -> Self {
        Socket::new()
    }

    fn event_loop(&self) -> &EventLoop {
        Socket::event_loop(self)
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(self)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        Socket::join(self, None, near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        Socket::join_urgent(self, None, near, far)
    }
}

/// TLS 1.2 over a socket.
#[cfg(feature = "tls")]
pub(crate) struct Tls12<S>(S);

#[cfg(feature = "tls")]
impl<S: Socket> Link for Tls12<S> {
    const CAPABILITIES: Capabilities = Capabilities { half_close: false, ..Capabilities::TLS };

    fn new() -> Self {
        Self(S::new())
    }

    fn event_loop(&self) -> &EventLoop {
        self.0.event_loop()
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.0.join(Some(&Tls::new(TlsVersion::Tls12)), near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.0.join_urgent(Some(&Tls::new(TlsVersion::Tls12)), near, far)
    }
}

/// TLS 1.3 over a socket.
#[cfg(feature = "tls")]
pub(crate) struct Tls13<S>(S);

#[cfg(feature = "tls")]
impl<S: Socket> Link for Tls13<S> {
    const CAPABILITIES: Capabilities = Capabilities::TLS;

    fn new() -> Self {
        Self(S::new())
    }

    fn event_loop(&self) -> &EventLoop {
        self.0.event_loop()
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.0.join(Some(&Tls::new(TlsVersion::Tls13)), near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.0.join_urgent(Some(&Tls::new(TlsVersion::Tls13)), near, far)
    }
}

/// TCP over the loopback interface.
pub(crate) struct Tcp(EventLoop);

impl Socket for Tcp {
    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        let (factory, made) = once(far);
        let serving = serve(tls, self.0.create_server(factory, "127.0.0.1:0"))
            .send_buffer_size(CAPACITY)
            .receive_buffer_size(CAPACITY)
            .start();
        let server =
            self.0.run_until_complete(serving).and_then(|server| server).expect("a server");
        let address = server.addresses()[0].to_string();
        let connecting = connect(tls, self.0.create_connection(move || near, address))
            .send_buffer_size(CAPACITY)
            .receive_buffer_size(CAPACITY)
            .start();
        let connection = self
            .0
            .run_until_complete(connecting)
            .and_then(|connection| connection)
            .expect("a connection");
        run_until(&self.0, "the server's end", || made.get());
        server.close();
        connection
    }

    fn accept<A: Protocol>(&self, tls: Option<&Tls>, near: A) -> Option<OwnedFd> {
        let (factory, _) = once(near);
        let serving = serve(tls, self.0.create_server(factory, "127.0.0.1:0")).start();
        let server = self.0.run_until_complete(serving).expect("it runs").expect("a server");
        let address = server.local_address().unwrap();
        let client = TcpStream::connect(address).expect("a client");
        client.set_nodelay(true).expect("the option");
        Some(client.into())
    }
}

/// TCP, where the operating system does not send files by itself: `sendfile` refuses descriptors that
/// append, which means nothing else to a socket.
pub(crate) struct TcpWithoutSendfile(EventLoop);

impl Link for TcpWithoutSendfile {
    const CAPABILITIES: Capabilities = Capabilities::ALL;

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let first = TcpStream::connect(listener.local_addr().expect("an address"));
        let (first, second) = (first.expect("a client"), listener.accept().expect("a server").0);
        for socket in [&first, &second] {
            let flags = rustix::fs::fcntl_getfl(socket).expect("its flags");
            let flags = flags | rustix::fs::OFlags::APPEND;
            rustix::fs::fcntl_setfl(socket, flags).expect("to change them");
        }
        let far = self.0.connect_accepted_socket(|| far, second).send_buffer_size(CAPACITY);
        let far = far.receive_buffer_size(CAPACITY).start();
        self.0.run_until_complete(far).expect("it runs").expect("a connection");
        let near = self.0.create_connection_on(|| near, first).send_buffer_size(CAPACITY);
        let near = near.receive_buffer_size(CAPACITY).start();
        self.0.run_until_complete(near).expect("it runs").expect("a connection")
    }
}

/// Unix sockets.
pub(crate) struct Unix {
    event_loop: EventLoop,
    path: PathBuf,
}

impl Socket for Unix {
    const CUT: bool = false;

    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf-conformance-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        Self { event_loop: EventLoop::new().expect("a loop"), path }
    }

    fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        let (factory, made) = once(far);
        let event_loop = &self.event_loop;
        let server = event_loop
            .run_until_complete(
                serve(tls, event_loop.create_unix_server(factory, &self.path))
                    .send_buffer_size(CAPACITY)
                    .start(),
            )
            .and_then(|server| server)
            .expect("a server");
        let connecting = connect(tls, event_loop.create_unix_connection(move || near, &self.path))
            .send_buffer_size(CAPACITY)
            .start();
        let connection = event_loop
            .run_until_complete(connecting)
            .and_then(|connection| connection)
            .expect("a connection");
        run_until(event_loop, "the server's end", || made.get());
        server.close();
        connection
    }

    fn accept<A: Protocol>(&self, tls: Option<&Tls>, near: A) -> Option<OwnedFd> {
        let (factory, _) = once(near);
        let server = self.event_loop.create_unix_server(factory, &self.path);
        let serving = serve(tls, server).start();
        self.event_loop.run_until_complete(serving).expect("it runs").expect("a server");
        Some(UnixStream::connect(&self.path).expect("a client").into())
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        // The server removes its path; this is for a check that failed before.
        let _ = fs::remove_file(&self.path);
    }
}

/// The two ends of a pair of Unix sockets, which are connected already.
pub(crate) struct SocketPair(EventLoop);

impl Link for SocketPair {
    const CAPABILITIES: Capabilities = Capabilities { cut: false, ..Capabilities::ALL };

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        let (socket, other) = UnixStream::pair().expect("a pair of sockets");
        let near = self.0.create_connection_on(move || near, socket);
        let far = self.0.create_connection_on(move || far, other);
        let (near, far) =
            (near.send_buffer_size(CAPACITY).start(), far.send_buffer_size(CAPACITY).start());
        let connection = self.0.run_until_complete(near).and_then(|near| near);
        self.0.run_until_complete(far).and_then(|far| far).expect("the far end");
        connection.expect("the near end")
    }
}

/// Two pipes, one for each way.
pub(crate) struct Pipes(EventLoop);

impl Link for Pipes {
    const CAPABILITIES: Capabilities =
        Capabilities { reset: false, cut: false, addresses: false, ..Capabilities::ALL };

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        let (forward, back) = (std::io::pipe().expect("a pipe"), std::io::pipe().expect("a pipe"));
        let near = self.0.connect_pipes(move || near, back.0, forward.1).start();
        let far = self.0.connect_pipes(move || far, forward.0, back.1).start();
        let connection = self.0.run_until_complete(near).and_then(|near| near);
        self.0.run_until_complete(far).and_then(|far| far).expect("the far end");
        connection.expect("the near end")
    }
}

/// A pair in memory, on a loop of the operating system.
pub(crate) struct Pair(EventLoop);

impl Link for Pair {
    const CAPABILITIES: Capabilities = Capabilities { addresses: false, ..Capabilities::ALL };

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        pair(&self.0, CAPACITY, near, far).expect("a pair").0
    }
}

/// A loop in memory, with its servers and clients, and virtual time.
pub(crate) struct Memory(EventLoop);

impl Socket for Memory {
    fn new() -> Self {
        Self(old(MemoryNetwork::new().capacity(CAPACITY).event_loop()))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        let (factory, made) = once(far);
        let server = self
            .0
            .run_until_complete(serve(tls, self.0.create_server(factory, "10.0.0.1:0")).start())
            .and_then(|server| server)
            .expect("a server");
        let address = server.addresses()[0].to_string();
        let connecting = connect(tls, self.0.create_connection(move || near, address)).start();
        let connection = self
            .0
            .run_until_complete(connecting)
            .and_then(|connection| connection)
            .expect("a connection");
        run_until(&self.0, "the server's end", || made.get());
        server.close();
        connection
    }
}

/// As [`Memory`], with urgent data in all that is sent, at whose marks reads end.
pub(crate) struct UrgentMemory(Memory);

impl Socket for UrgentMemory {
    fn new() -> Self {
        let network = MemoryNetwork::new().capacity(CAPACITY).urgent_data(9);
        Self(Memory(old(network.event_loop())))
    }

    fn event_loop(&self) -> &EventLoop {
        Socket::event_loop(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        Socket::join(&self.0, tls, near, far)
    }
}

/// A loop that is older than every default deadline, so that what counts from its beginning shows.
fn old(event_loop: EventLoop) -> EventLoop {
    advance(&event_loop, Duration::from_secs(120)).expect("virtual time");
    event_loop
}

/// A server's factory that makes one protocol, and whether it did.
pub(crate) fn once<P: Protocol>(protocol: P) -> (impl FnMut() -> P + 'static, Rc<Cell<bool>>) {
    let made = Rc::new(Cell::new(false));
    let mark = Rc::clone(&made);
    let mut place = Some(protocol);
    let factory = move || {
        mark.set(true);
        place.take().expect("one connection")
    };
    (factory, made)
}
