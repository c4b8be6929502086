//! What a client sends before the handshake is done (0-RTT).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use wharf::bytes::Bytes;
use wharf::interop::rustls::ServerConfig;
use wharf::interop::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use wharf::interop::rustls::server::ServerSessionMemoryCache;
use wharf::{TlsClient, TlsEarlyData, TlsServer, TlsUpgrade, TlsVersion, Transport};

use super::{Stage, logs, trusting};
use crate::encryption::{SERVER, Tls};
use crate::probe::{Call, Log, Probe};

const EARLY: &[u8] = b"a request that may be carried out twice; ";
const LATER: &[u8] = b"and what is written when the connection is there";

fn serving(max_early_data: u32) -> TlsServer {
    let server = TlsServer::builder().identity(SERVER.identity());
    server.max_early_data(max_early_data).build().unwrap()
}

/// A loop with a server under TLS that greets whoever comes: with that come tickets.
struct Served {
    stage: Stage,
    /// The server's ends.
    far: Rc<RefCell<Vec<Log>>>,
    server: wharf::Server,
}

impl Served {
    fn new(server: TlsServer) -> Self {
        Self::with(server, trusting())
    }

    fn with(server: TlsServer, client: TlsClient) -> Self {
        let tls = Tls { client: client.server_name("server.test"), server };
        let stage = Stage { tls, ..Stage::new() };
        let far = Rc::new(RefCell::new(Vec::new()));
        let server = serve(&stage, &far);
        Self { stage, far, server }
    }

    /// Another server in the place of the one that there is.
    fn replace(&mut self, tls: TlsServer) {
        self.server.close();
        self.stage.tls.server = tls;
        self.server = serve(&self.stage, &self.far);
    }

    /// Connects, says it all and ends: what became of the early data, and what the server has got.
    fn visit(&self) -> ([TlsEarlyData; 2], Vec<u8>) {
        let near = Log::new();
        let probe = Probe::new(&near).on_made(|transport| {
            transport.write(LATER);
            Ok(())
        });
        let connecting = self.stage.event_loop.create_connection(|| probe, "10.0.0.1:443");
        let connecting = connecting.tls(&self.stage.tls.client).early_data(EARLY).start();
        let _connection =
            self.stage.event_loop.run_until_complete(connecting).unwrap().expect("a connection");
        let far = || self.far.borrow().last().cloned().expect("a server's end");
        self.stage.run_until("the greeting", || near.received() == b"welcome");
        self.stage.run_until("all", || far().received().ends_with(LATER));
        let became = |log: &Log| log.handle().info().tls().unwrap().early_data();
        let outcome = [became(&near), became(&far())];
        near.handle().close();
        self.stage.run_until("both ends", || near.is_lost() && far().is_lost());
        assert_eq!((near.cause(), far().cause()), (None, None));
        assert!(self.stage.reports.take().is_empty());
        (outcome, far().received())
    }
}

fn serve(stage: &Stage, far: &Rc<RefCell<Vec<Log>>>) -> wharf::Server {
    let far = Rc::clone(far);
    let factory = move || {
        let log = Log::new();
        far.borrow_mut().push(log.clone());
        Probe::new(&log).on_made(|transport| {
            transport.write(b"welcome");
            Ok(())
        })
    };
    stage.serve(factory).0
}

const NOT_OFFERED: [TlsEarlyData; 2] = [TlsEarlyData::NotOffered, TlsEarlyData::NotOffered];
const ACCEPTED: [TlsEarlyData; 2] = [TlsEarlyData::Accepted, TlsEarlyData::Accepted];
const REJECTED: [TlsEarlyData; 2] = [TlsEarlyData::Rejected, TlsEarlyData::NotOffered];

fn all() -> Vec<u8> {
    [EARLY, LATER].concat()
}

#[test]
fn early_data_comes_once_and_first_whether_the_session_allows_it_or_not() {
    let served = Served::new(serving(1000));
    assert_eq!(served.visit(), (NOT_OFFERED, all()), "no session");
    for _ in 0..3 {
        assert_eq!(served.visit(), (ACCEPTED, all()));
    }
}

#[test]
fn early_data_that_the_server_does_not_take_is_sent_after_the_handshake() {
    // It takes none at all, and says so.
    let mut served = Served::new(serving(0));
    for _ in 0..2 {
        assert_eq!(served.visit(), (NOT_OFFERED, all()));
    }
    served.replace(serving(1000));
    assert_eq!(served.visit(), (NOT_OFFERED, all()), "the session is of before");
    assert_eq!(served.visit(), (ACCEPTED, all()));
    // It knows nothing of the session.
    served.replace(serving(1000));
    assert_eq!(served.visit(), (REJECTED, all()));
    assert_eq!(served.visit(), (ACCEPTED, all()));
}

/// A ready configuration with sessions of its own.
fn ready(max_early_data: u32, sessions: &Arc<ServerSessionMemoryCache>) -> TlsServer {
    let chain = CertificateDer::from_pem_slice(SERVER.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(SERVER.key.as_bytes()).unwrap();
    let provider = wharf::interop::rustls::crypto::ring::default_provider();
    let mut config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.max_early_data_size = max_early_data;
    config.session_storage = Arc::<ServerSessionMemoryCache>::clone(sessions);
    wharf::interop::tls_server(config)
}

#[test]
fn a_server_may_resume_the_session_and_reject_early_data() {
    let sessions = ServerSessionMemoryCache::new(100);
    let mut served = Served::new(ready(1000, &sessions));
    assert_eq!(served.visit(), (NOT_OFFERED, all()));
    served.replace(ready(0, &sessions));
    assert_eq!(served.visit(), (REJECTED, all()));
}

#[test]
fn what_is_more_than_the_server_allows_comes_after_the_handshake() {
    for allowed in 1..=EARLY.len() as u32 + 1 {
        let served = Served::new(serving(allowed));
        assert_eq!(served.visit(), (NOT_OFFERED, all()));
        assert_eq!(served.visit(), (ACCEPTED, all()), "{allowed}");
    }
}

#[test]
fn large_early_data_comes_in_order_however_much_is_allowed() {
    for allowed in [1, 16_384, 16_385, 50_000, 200_000] {
        let stage =
            Stage { tls: Tls { client: trusting(), server: serving(allowed) }, ..Stage::new() };
        let far = Rc::new(RefCell::new(Log::new()));
        let last = Rc::clone(&far);
        let (_server, _) = stage.serve(move || {
            let log = Log::new();
            *last.borrow_mut() = log.clone();
            Probe::new(&log).on_made(|transport| {
                transport.write(b"welcome");
                Ok(())
            })
        });
        let early: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        for expected in [TlsEarlyData::NotOffered, TlsEarlyData::Accepted] {
            let near = Log::new();
            let probe = Probe::new(&near);
            let connecting = stage.event_loop.create_connection(|| probe, "10.0.0.1:443");
            let connecting = connecting.tls(&stage.tls.client).early_data(&early).start();
            stage.event_loop.run_until_complete(connecting).unwrap().expect("a connection");
            stage.run_until("all", || far.borrow().received_len() == early.len());
            assert!(far.borrow().received() == early, "out of order");
            stage.run_until("the greeting", || near.received() == b"welcome");
            assert_eq!(near.handle().info().tls().unwrap().early_data(), expected, "{allowed}");
            near.handle().abort();
            stage.run_until("the end", || far.borrow().is_lost());
        }
    }
}

#[test]
fn under_tls_1_2_early_data_is_sent_after_the_handshake() {
    let client = TlsClient::builder().pin_certificate_pem(&SERVER.chain);
    let client = client.max_version(TlsVersion::Tls12).build().unwrap();
    let served = Served::with(serving(1000), client);
    for _ in 0..2 {
        assert_eq!(served.visit(), (NOT_OFFERED, all()));
    }
}

#[test]
fn a_client_with_a_certificate_can_send_early_data() {
    let client = TlsClient::builder().pin_certificate_pem(&SERVER.chain);
    let client = client.identity(crate::encryption::CLIENT.identity()).build().unwrap();
    let server = TlsServer::builder()
        .identity(SERVER.identity())
        .client_ca_pem(&crate::encryption::CLIENT.chain)
        .allow_anonymous_clients(true)
        .max_early_data(1000);
    let mut served = Served::with(server.clone().build().unwrap(), trusting());
    assert_eq!(served.visit(), (NOT_OFFERED, all()));
    assert_eq!(served.visit(), (ACCEPTED, all()));
    served.stage.tls.client = client.server_name("server.test");
    assert!(served.visit().1 == all());
    // The answer to a server that asks for a certificate is a longer one.
    served.replace(server.build().unwrap());
    assert_eq!(served.visit(), (REJECTED, all()));
}

#[test]
fn an_upgrade_sends_early_data_before_what_was_written_meanwhile() {
    let tls = Tls { client: trusting(), server: serving(1000) };
    let stage = Stage { tls, ..Stage::new() };
    for expected in [TlsEarlyData::NotOffered, TlsEarlyData::Accepted] {
        let (near, far) = logs();
        let upgrade = TlsUpgrade::from(stage.tls.client.clone().server_name("server.test"));
        let upgrade = upgrade.early_data(EARLY);
        let accepting = stage.tls.server.clone();
        let near_probe = Probe::new(&near).on_made(move |transport| {
            transport.start_tls(upgrade.clone(), Bytes::new());
            transport.write(LATER);
            Ok(())
        });
        let far_probe = Probe::new(&far).echoing().on_made(move |transport| {
            transport.start_tls((&accepting).into(), Bytes::new());
            Ok(())
        });
        wharf::testing::pair(&stage.event_loop, 1000, near_probe, far_probe).unwrap();
        stage.run_until("the echo", || near.received() == all());
        assert_eq!(near.count(Call::TlsEstablished), 1);
        assert_eq!(near.handle().info().tls().unwrap().early_data(), expected);
        near.handle().abort();
        stage.run_until("the end", || far.is_lost());
    }
}

#[test]
fn early_data_without_a_client_of_tls_is_an_error() {
    let stage = Stage::new();
    let connect = |tls: Option<TlsUpgrade>| {
        let made = stage.event_loop.create_connection(|| Probe::new(&Log::new()), "10.0.0.1:443");
        let made = match tls {
            Some(tls) => made.tls(tls),
            None => made,
        };
        stage.event_loop.run_until_complete(made.early_data(EARLY).start()).unwrap().unwrap_err()
    };
    assert!(connect(None).is_invalid());
    assert!(connect(Some((&stage.tls.server).into())).is_invalid());
    // And it is not shown for debugging.
    let upgrade = TlsUpgrade::from(&stage.tls.client).early_data("secret");
    assert!(!format!("{upgrade:?}").contains("secret"));
}
