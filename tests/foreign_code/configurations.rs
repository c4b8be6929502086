//! The `Drop` of what connections and servers are configured with.

use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use wharf::interop::rustls::server::{ClientHello, ResolvesServerCert};
use wharf::interop::rustls::sign::CertifiedKey;
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Error, Protocol, Result, Server, TlsClient,
    TlsServer, Transport,
};

use crate::bomb::{Bomb, ON_PURPOSE, OnDrop};
use crate::points::tls::{client_config, quiet, server_config};
use crate::stage::{Point, Stage, alone, blow_up, descriptors, elsewhere, reported};

/// A resolver whose `Drop` reaches the point.
#[derive(Debug)]
struct Held {
    inner: Arc<dyn ResolvesServerCert>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    on_drop: OnDrop,
}

impl ResolvesServerCert for Held {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.inner.resolve(hello)
    }
}

/// Has the point in its `Drop`.
struct Idle(#[expect(dead_code, reason = "it is there to be dropped")] Option<OnDrop>);

impl Protocol for Idle {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl DatagramProtocol for Idle {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

fn server_of(bomb: &Bomb) -> TlsServer {
    wharf::interop::tls_server(server_config(Arc::new(Held {
        inner: quiet(),
        on_drop: bomb.on_drop(),
    })))
}

/// A client whose client certificates nobody asks for: what would give them has the point.
fn client_of(bomb: &Bomb) -> TlsClient {
    use wharf::interop::rustls::SignatureScheme;
    use wharf::interop::rustls::client::ResolvesClientCert;

    #[derive(Debug)]
    struct Nothing(#[expect(dead_code, reason = "it is there to be dropped")] OnDrop);
    impl ResolvesClientCert for Nothing {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn has_certs(&self) -> bool {
            false
        }
    }
    let mut config = client_config();
    config.client_auth_cert_resolver = Arc::new(Nothing(bomb.on_drop()));
    wharf::interop::tls_client(config).server_name("localhost")
}

fn serve(stage: &Stage, tls: TlsServer) -> Server {
    let serving = stage.event_loop.create_server(|| Idle(None), "127.0.0.1:0").tls(tls);
    stage.complete(serving.start()).expect("a server")
}

/// A connection that outlives all that is known of its server and its client.
fn connect(stage: &Stage, server: Server, client: TlsClient) -> wharf::Connection<Idle> {
    let to = server.addresses()[0].to_string();
    let connecting = stage.event_loop.create_connection(|| Idle(None), to).tls(client);
    let connection = stage.complete(connecting.start()).expect("a connection");
    stage.until("the server's side", || server.connections() == 1);
    server.close();
    connection
}

fn end(stage: &Stage, connection: wharf::Connection<Idle>) {
    connection.handle().close();
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
}

fn quiet_server() -> TlsServer {
    wharf::interop::tls_server(server_config(quiet()))
}

fn quiet_client() -> TlsClient {
    wharf::interop::tls_client(client_config()).server_name("localhost")
}

fn nowhere() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

const POINTS: &[Point] = &[
    reported("a server's TLS that a connection has last", |stage| {
        let server = serve(stage, server_of(&stage.bomb));
        end(stage, connect(stage, server, quiet_client()));
    }),
    reported("a server's TLS that had no connection", |stage| {
        serve(stage, server_of(&stage.bomb)).close();
    }),
    reported("a client's TLS", |stage| {
        let server = serve(stage, quiet_server());
        let client = client_of(&stage.bomb);
        end(stage, connect(stage, server, client));
    }),
    reported("the TLS of a connect that is refused", |stage| {
        let client = client_of(&stage.bomb);
        let connecting = stage.event_loop.create_connection(|| Idle(None), nowhere()).tls(client);
        let error = stage.complete(connecting.start()).map(drop).expect_err("nobody listens");
        assert!(error.is_connect(), "{error}");
    }),
    reported("the TLS of a connect without a name", |stage| {
        let client = client_of(&stage.bomb).server_name("not a name");
        let connecting = stage.event_loop.create_connection(|| Idle(None), nowhere()).tls(client);
        let error = stage.complete(connecting.start()).map(drop).expect_err("it is no name");
        assert!(!is_on_purpose(&error), "{error}");
    }),
    reported("the TLS of a server that cannot listen", |stage| {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = taken.local_addr().expect("an address");
        let serving = stage.event_loop.create_server(|| Idle(None), at).tls(server_of(&stage.bomb));
        let error = stage.complete(serving.start()).map(drop).expect_err("it is taken");
        assert!(!is_on_purpose(&error), "{error}");
    }),
    elsewhere("the TLS of a server that is given up", |stage| {
        let before = stage.bomb.count();
        let serving = stage.event_loop.create_server(|| Idle(None), "127.0.0.1:0");
        drop(serving.tls(server_of(&stage.bomb)).start());
        stage.until_reached(before);
    }),
    reported("a protocol whose descriptor is no transport", |stage| {
        let directory = File::open("/").expect("a directory");
        let on_drop = stage.bomb.on_drop();
        let opening = stage.event_loop.connect_read_pipe(|| Idle(Some(on_drop)), directory);
        let error = stage.complete(opening.start()).map(drop).expect_err("it is a directory");
        assert!(!is_on_purpose(&error), "{error}");
    }),
    reported("the factory of a pipe that cannot be opened", |stage| {
        let on_drop = stage.bomb.on_drop();
        let opening = stage.event_loop.connect_read_fifo(|| Idle(Some(on_drop)), "/dev/null/none");
        let error = stage.complete(opening.start()).map(drop).expect_err("there is none");
        assert!(!is_on_purpose(&error), "{error}");
    }),
    reported("the factory of an endpoint that cannot be opened", |stage| {
        let on_drop = stage.bomb.on_drop();
        let opening = stage.event_loop.create_datagram_endpoint(|| Idle(Some(on_drop)));
        let error = stage.complete(opening.start()).map(drop).expect_err("no address was given");
        assert!(error.is_invalid(), "{error}");
    }),
];

fn is_on_purpose(error: &Error) -> bool {
    format!("{error:#}").contains(ON_PURPOSE)
}

#[test]
fn what_is_configured_may_panic_when_it_is_dropped() {
    blow_up(POINTS);
}

/// Each is dropped on its own: two that panic would end the process if one unwound through the other.
#[test]
fn all_that_a_connect_or_a_server_holds_may_panic_when_it_is_dropped() {
    crate::keep_quiet();
    let _alone = alone();
    let stage = Stage::new(1);
    let bombs = [(); 5].map(|()| Bomb::new(1));
    let [factory, tls, server_factory, handler, server_tls] = &bombs;
    let on_drop = factory.on_drop();
    let connecting = stage.event_loop.create_connection(|| Idle(Some(on_drop)), nowhere());
    let connecting = connecting.tls(client_of(tls)).start();
    assert!(stage.complete(connecting).is_err());

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    let (on_drop, of_handler) = (server_factory.on_drop(), handler.on_drop());
    let make = move || {
        let _ = &on_drop;
        Idle(None)
    };
    let told = move |_: &Error| {
        let _ = &of_handler;
    };
    let serving = stage.event_loop.create_server(make, at).on_accept_error(told);
    assert!(stage.complete(serving.tls(server_of(server_tls)).start()).is_err());
    for (number, bomb) in bombs.iter().enumerate() {
        assert_eq!(bomb.count(), 1, "{number}");
    }
    stage.until("the reports", || {
        stage.reports().iter().filter(|text| text.contains(ON_PURPOSE)).count() == bombs.len()
    });
}

/// The loop is closed while the connection is open: nothing comes out of that.
#[test]
fn closing_the_loop_drops_what_is_configured_behind_the_fence() {
    crate::keep_quiet();
    let _alone = alone();
    let before = descriptors();
    for of_server in [true, false] {
        for is_closed in [true, false] {
            let stage = Stage::new(1);
            let (tls, client) = match of_server {
                true => (server_of(&stage.bomb), quiet_client()),
                false => (quiet_server(), client_of(&stage.bomb)),
            };
            let server = serve(&stage, tls);
            let to = server.addresses()[0].to_string();
            let connecting = stage.event_loop.create_connection(|| Idle(None), to).tls(client);
            let connection = stage.complete(connecting.start()).expect("a connection");
            stage.until("the server's side", || server.connections() == 1);
            if is_closed {
                server.close();
            }
            drop(server);
            let bomb = stage.bomb.clone();
            let reports = stage.told();
            drop((stage, connection));
            assert_eq!(bomb.count(), 1);
            let reports = Rc::into_inner(reports).expect("the loop is gone").into_inner();
            let told = reports.iter().filter(|text| text.contains(ON_PURPOSE)).count();
            assert_eq!((told, reports.len()), (1, 1), "{reports:?}");
            assert_eq!(descriptors(), before);
        }
    }
}

/// The client learns that it was the server's fault, and not the network's.
#[test]
fn a_resolver_that_panics_is_told_to_the_client() {
    #[derive(Debug)]
    struct Panics(Bomb);
    impl ResolvesServerCert for Panics {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            self.0.tick();
            None
        }
    }
    crate::keep_quiet();
    let _alone = alone();
    let stage = Stage::new(1);
    let tls = wharf::interop::tls_server(server_config(Arc::new(Panics(stage.bomb.clone()))));
    let server = serve(&stage, tls);
    let to = server.addresses()[0].to_string();
    let connecting = stage.event_loop.create_connection(|| Idle(None), to).tls(quiet_client());
    let error = stage.complete(connecting.start()).map(drop).expect_err("no certificate");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let text: Vec<String> = causes.map(ToString::to_string).collect();
    assert!(text.iter().any(|text| text.contains("internal_error")), "{text:?}");
    assert!(stage.bomb.has_gone_off());
    stage.shut_down(&server);
}
