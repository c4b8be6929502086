//! TLS.

mod closing;
mod data;
mod depth;
mod early_data;
mod exporting;
mod handshake;
mod pipes;
mod sweep;
mod tunnel;
mod upgrade;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;

use wharf::{Connection, Error, EventLoop, Protocol, Server, TlsClient, TlsVersion};

use crate::encryption::{SERVER, Tls};
use crate::loops::memory_loop;
use crate::probe::{Log, Probe};
use crate::running::{Reports, run_until};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// A loop in memory, and both sides of TLS.
struct Stage {
    event_loop: EventLoop,
    tls: Tls,
    reports: Reports,
}

impl Stage {
    fn new() -> Self {
        Self::with(TlsVersion::Tls13)
    }

    fn with(version: TlsVersion) -> Self {
        let event_loop = memory_loop();
        let reports = Reports::of(&event_loop);
        Self { event_loop, tls: Tls::new(version), reports }
    }

    /// A server under TLS, with what its accept errors are.
    fn serve<P: Protocol>(
        &self,
        factory: impl FnMut() -> P + 'static,
    ) -> (Server, Rc<RefCell<Vec<String>>>) {
        let errors = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&errors);
        let server = self
            .event_loop
            .create_server(factory, "10.0.0.1:443")
            .tls(&self.tls.server)
            .on_accept_error(move |error| seen.borrow_mut().push(format!("{error:#}")));
        let server = self.event_loop.run_until_complete(server.start());
        (server.and_then(|server| server).expect("a server"), errors)
    }

    /// A server without TLS at the same address.
    fn serve_plain<P: Protocol>(&self, factory: impl FnMut() -> P + 'static) -> Server {
        let server = self.event_loop.create_server(factory, "10.0.0.1:443").start();
        self.event_loop.run_until_complete(server).and_then(|server| server).expect("a server")
    }

    fn connect<P: Protocol>(&self, protocol: P) -> Result<Connection<P>, Error> {
        self.connect_by(self.tls.client.clone(), protocol)
    }

    fn connect_by<P: Protocol>(&self, tls: TlsClient, protocol: P) -> Result<Connection<P>, Error> {
        let connecting = self.event_loop.create_connection(|| protocol, "10.0.0.1:443").tls(tls);
        self.event_loop.run_until_complete(connecting.start()).and_then(|made| made)
    }

    fn connect_plain<P: Protocol>(&self, protocol: P) -> Connection<P> {
        let connecting = self.event_loop.create_connection(|| protocol, "10.0.0.1:443");
        let made = self.event_loop.run_until_complete(connecting.start());
        made.and_then(|made| made).expect("a connection")
    }

    #[track_caller]
    fn run_until(&self, what: &str, condition: impl FnMut() -> bool) {
        run_until(&self.event_loop, what, condition);
    }

    /// Joins two probes under TLS.
    fn join(&self, near: Probe, far: Probe) -> Connection<Probe> {
        let log = far.log().clone();
        let mut far = Some(far);
        let (server, _) = self.serve(move || far.take().expect("one connection"));
        let connection = self.connect(near).expect("a connection");
        self.run_until("the server's end", || log.is_made());
        server.close();
        connection
    }
}

/// A client that trusts nobody in particular that the server is.
fn distrusting() -> TlsClient {
    let other = crate::encryption::self_signed(&["other.test"]);
    TlsClient::builder().pin_certificate_pem(&other.chain).build().expect("a client")
}

fn trusting() -> TlsClient {
    TlsClient::builder().pin_certificate_pem(&SERVER.chain).build().expect("a client")
}

fn logs() -> (Log, Log) {
    (Log::new(), Log::new())
}
