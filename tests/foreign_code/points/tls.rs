//! What a configuration of rustls is made of.

use std::fmt::Debug;
use std::sync::Arc;

use wharf::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use wharf::rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use wharf::rustls::crypto::{CryptoProvider, ring};
use wharf::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use wharf::rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, StoresServerSessions,
};
use wharf::rustls::sign::CertifiedKey;
use wharf::rustls::{
    ClientConfig, DigitallySignedStruct, Error, KeyLog, NamedGroup, ServerConfig, SignatureScheme,
};
use wharf::{TlsClient, TlsServer};

use super::actor::{Actor, At, By};
use crate::bomb::Bomb;
use crate::stage::{Point, Stage, blow_up, reported};

/// Plays every part of a configuration, and reaches the point in one.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bomb: Option<Bomb>,
    certified: Option<Arc<CertifiedKey>>,
}

impl Part {
    fn tick(&self) {
        if let Some(bomb) = &self.bomb {
            bomb.tick();
        }
    }
}

impl ResolvesServerCert for Part {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.tick();
        self.certified.clone()
    }
}

impl KeyLog for Part {
    fn log(&self, _: &str, _: &[u8], _: &[u8]) {
        self.tick();
    }
}

impl ProducesTickets for Part {
    fn enabled(&self) -> bool {
        true
    }
    fn lifetime(&self) -> u32 {
        60
    }
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tick();
        Some(plain.to_vec())
    }
    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl StoresServerSessions for Part {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        self.tick();
        false
    }
    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn can_cache(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for Part {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.tick();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientSessionStore for Part {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.tick();
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certified() -> Arc<CertifiedKey> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("to sign");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).expect("a key");
    Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key))
}

/// A part that does its duty.
pub(crate) fn quiet() -> Arc<Part> {
    Arc::new(Part { bomb: None, certified: Some(certified()) })
}

fn loud(stage: &Stage) -> Arc<Part> {
    Arc::new(Part { bomb: Some(stage.bomb.clone()), certified: Some(certified()) })
}

pub(crate) fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver)
}

pub(crate) fn client_config() -> ClientConfig {
    verified_by(quiet())
}

fn verified_by(verifier: Arc<Part>) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

/// One connection under TLS, which may come to nothing.
fn shake_hands(stage: &Stage, server: ServerConfig, client: ClientConfig) {
    let before = stage.bomb.count();
    let echo = Actor::new(stage, At::Nowhere, By::Panic);
    let serving = stage.event_loop.create_server(echo, "127.0.0.1:0");
    let serving = serving.tls(TlsServer::from_rustls(server));
    let server = stage.complete(serving.start()).expect("a server");
    let to = server.addresses()[0].to_string();
    let own = Actor::new(stage, At::Nowhere, By::Panic)();
    let client = TlsClient::from_rustls(client).server_name("localhost");
    let connecting = stage.event_loop.create_connection(move || own, to).tls(client).start();
    if let Ok(connection) = stage.complete(connecting) {
        stage.until("the point, or the end", || stage.bomb.count() > before);
        use wharf::Transport;
        connection.handle().close();
    }
    stage.shut_down(&server);
    stage.until("the end", || stage.event_loop.metrics().connections_open == 0);
    stage.until_reached(before);
}

const POINTS: &[Point] = &[
    reported("a certificate resolver", |stage| {
        shake_hands(stage, server_config(loud(stage)), client_config());
    }),
    reported("a server's key log", |stage| {
        let mut server = server_config(quiet());
        server.key_log = loud(stage);
        shake_hands(stage, server, client_config());
    }),
    reported("a ticketer", |stage| {
        let mut server = server_config(quiet());
        server.ticketer = loud(stage);
        shake_hands(stage, server, client_config());
    }),
    reported("a server's session store", |stage| {
        let mut server = server_config(quiet());
        server.session_storage = loud(stage);
        shake_hands(stage, server, client_config());
    }),
    reported("a verifier of certificates", |stage| {
        shake_hands(stage, server_config(quiet()), verified_by(loud(stage)));
    }),
    reported("a client's key log", |stage| {
        let mut client = client_config();
        client.key_log = loud(stage);
        shake_hands(stage, server_config(quiet()), client);
    }),
];

#[test]
fn what_rustls_is_configured_with_may_panic() {
    blow_up(POINTS);
}

/// When a connect is prepared, its own error says it.
#[test]
fn a_session_store_that_panics_fails_the_connect() {
    blow_up(&[crate::stage::elsewhere("a client's session store", |stage| {
        let mut client = client_config();
        client.resumption = Resumption::store(loud(stage));
        shake_hands(stage, server_config(quiet()), client);
    })]);
}
