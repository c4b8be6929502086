//! A loop with everything on it that operations need at their other end.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;

use wharf::testing::MemoryNetwork;
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Endpoint, EventLoop, LoopFuture, Result, Server,
    UnixAddress,
};

use crate::encryption::{self, Tls};
use crate::running::Reports;
use crate::serving::{Directory, Echo};

pub(crate) struct Stage {
    pub(crate) event_loop: EventLoop,
    pub(crate) is_memory: bool,
    pub(crate) reports: Reports,
    pub(crate) tcp: SocketAddr,
    /// Nobody listens there.
    pub(crate) dead: SocketAddr,
    pub(crate) unix: UnixAddress,
    pub(crate) udp: Address,
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "nobody asks"))]
    pub(crate) encrypted: Vec<(Tls, SocketAddr)>,
    _servers: Vec<Server>,
    _endpoint: Endpoint<Silent>,
    directory: Option<Directory>,
    next: Cell<u32>,
}

/// Receives datagrams, and says nothing.
pub(crate) struct Silent;

impl DatagramProtocol for Silent {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

impl Stage {
    pub(crate) fn in_memory() -> Self {
        Self::on(MemoryNetwork::new().event_loop(), true)
    }

    pub(crate) fn on_the_system() -> Self {
        Self::on(EventLoop::new().expect("a loop"), false)
    }

    fn on(event_loop: EventLoop, is_memory: bool) -> Self {
        let reports = Reports::of(&event_loop);
        let directory = (!is_memory).then(Directory::new);
        let unix = match &directory {
            Some(directory) => directory.join("server"),
            None => PathBuf::from("server"),
        };
        // Clients that are given up are no errors here.
        let quiet = |builder: wharf::ServerBuilder| builder.on_accept_error(|_| {}).start();
        let mut servers = Vec::new();
        let mut serve = |server| {
            let server = complete(&event_loop, quiet(server));
            let address = server.addresses()[0].clone();
            servers.push(server);
            address
        };
        let tcp = serve(event_loop.create_server(|| Echo, "127.0.0.1:0"));
        serve(event_loop.create_unix_server(|| Echo, unix.clone()));
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "there is none"))]
        let mut encrypted = Vec::new();
        #[cfg(feature = "tls")]
        for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
            let tls = Tls::new(version);
            let server = event_loop.create_server(|| Echo, "127.0.0.1:0");
            let address = serve(encryption::serve(Some(&tls), server));
            encrypted.push((tls, address.as_ip().expect("an IP address")));
        }
        #[cfg(not(feature = "tls"))]
        let _: fn(Option<&Tls>, wharf::ServerBuilder) -> wharf::ServerBuilder = encryption::serve;
        let closed =
            complete(&event_loop, event_loop.create_server(|| Echo, "127.0.0.1:0").start());
        let dead = closed.local_address().unwrap().as_ip().expect("an IP address");
        closed.close();
        let endpoint =
            event_loop.create_datagram_endpoint(|| Silent).local_address("127.0.0.1:0").start();
        let endpoint = complete(&event_loop, endpoint);
        let udp = endpoint.handle().local_address().expect("an address");
        Self {
            tcp: tcp.as_ip().expect("an IP address"),
            dead,
            unix: UnixAddress::from_path(unix),
            udp,
            encrypted,
            is_memory,
            reports,
            _servers: servers,
            _endpoint: endpoint,
            directory,
            next: Cell::new(0),
            event_loop,
        }
    }

    /// A path for a file of this stage; on a loop in memory it is just a name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(name),
            None => PathBuf::from(name),
        }
    }

    /// As [`path`](Self::path), one that was not used before: what was given up may still be closing.
    pub(crate) fn new_path(&self, name: &str) -> PathBuf {
        let number = self.next.replace(self.next.get() + 1);
        self.path(&format!("{name}-{number}"))
    }

    pub(crate) fn complete<T: 'static>(&self, future: LoopFuture<T>) -> T {
        complete(&self.event_loop, future)
    }
}

#[track_caller]
fn complete<T: 'static>(event_loop: &EventLoop, future: LoopFuture<T>) -> T {
    event_loop.run_until_complete(future).expect("the loop runs").expect("no error")
}
