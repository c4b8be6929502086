//! Links of one way: one end only writes, the other only reads.

use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use wharf::{Connection, EventLoop, Protocol};

use crate::stage::{Capabilities, Link, Ways};

/// What has an end to be read and one to be written.
pub(crate) trait Ends {
    /// The end that is read, and the one that is written.
    fn open() -> (OwnedFd, OwnedFd);
}

/// A pipe.
pub(crate) struct Pipe;

impl Ends for Pipe {
    fn open() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader.into(), writer.into())
    }
}

/// A pair of sockets, of which one way is used.
pub(crate) struct Socket;

impl Ends for Socket {
    fn open() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
        (reader.into(), writer.into())
    }
}

/// The near end writes, the far one reads.
pub(crate) struct Forward<E>(EventLoop, PhantomData<E>);

/// The far end writes, the near one reads.
pub(crate) struct Back<E>(EventLoop, PhantomData<E>);

const ONE_WAY: Capabilities = Capabilities {
    ways: Ways::forward(),
    half_close: false,
    reset: false,
    cut: false,
    addresses: false,
    plain: true,
};

impl<E: Ends> Link for Forward<E> {
    const CAPABILITIES: Capabilities = ONE_WAY;

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"), PhantomData)
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        let (reader, writer) = E::open();
        let near = self.0.connect_write_pipe(move || near, writer).start();
        let far = self.0.connect_read_pipe(move || far, reader).start();
        let connection = self.0.run_until_complete(near).and_then(|near| near);
        self.0.run_until_complete(far).and_then(|far| far).expect("the read end");
        connection.expect("the write end")
    }
}

impl<E: Ends> Link for Back<E> {
    const CAPABILITIES: Capabilities = Capabilities { ways: Ways::back(), ..ONE_WAY };

    fn new() -> Self {
        Self(EventLoop::new().expect("a loop"), PhantomData)
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        let (reader, writer) = E::open();
        let near = self.0.connect_read_pipe(move || near, reader).start();
        let far = self.0.connect_write_pipe(move || far, writer).start();
        let connection = self.0.run_until_complete(near).and_then(|near| near);
        self.0.run_until_complete(far).and_then(|far| far).expect("the write end");
        connection.expect("the read end")
    }
}
