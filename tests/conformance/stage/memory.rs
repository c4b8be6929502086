//! Sockets that are buffers.

use std::time::Duration;

use wharf::testing::{MemoryNetwork, advance, pair};
use wharf::{Connection, EventLoop, Protocol};

use super::link::{CAPACITY, Capabilities, Link};
use super::socket::{Socket, once};
use crate::encryption::{Tls, connect, serve};
use crate::running::run_until;

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
