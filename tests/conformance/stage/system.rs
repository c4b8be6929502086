//! Sockets and pipes of the operating system.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf::{Connection, EventLoop, Protocol};

use super::link::{CAPACITY, Capabilities, Link};
use super::socket::{Socket, once};
use crate::encryption::{Tls, connect, serve};
use crate::running::run_until;

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
