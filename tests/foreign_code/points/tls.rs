//! What a configuration of rustls is made of.

use std::fmt::Debug;
use std::sync::Arc;

use wharf::interop::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use wharf::interop::rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use wharf::interop::rustls::crypto::{CryptoProvider, ring};
use wharf::interop::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use wharf::interop::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use wharf::interop::rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache,
    StoresServerSessions,
};
use wharf::interop::rustls::sign::CertifiedKey;
use wharf::interop::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, KeyLog, NamedGroup,
    ServerConfig, SignatureScheme, SupportedProtocolVersion, version,
};

use super::actor::{Actor, At, By};
use crate::bomb::Bomb;
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

/// Plays every part of a configuration, and reaches the point in one.
#[derive(Debug)]
pub(crate) struct Part {
    /// Where it is the point, and what goes off there.
    bomb: Option<(Call, Bomb)>,
    certified: Option<Arc<CertifiedKey>>,
    /// What it remembers as a session store.
    sessions: Arc<dyn StoresServerSessions>,
    client_sessions: ClientSessionMemoryCache,
}

/// What rustls asks a part for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Resolve,
    KeyLog,
    Encrypt,
    Decrypt,
    Put,
    /// A session that was put: both ways of asking.
    Get,
    VerifyServer,
    VerifySignature,
    ResolveClient,
    VerifyClient,
    KxHint,
    SetKxHint,
    /// What a client resumes with, of either version.
    KeepTicket,
    TakeTicket,
}

impl Part {
    fn tick(&self, call: Call) {
        if let Some((at, bomb)) = &self.bomb
            && *at == call
        {
            bomb.tick();
        }
    }
}

impl ResolvesClientCert for Part {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.tick(Call::ResolveClient);
        self.certified.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Part {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.tick(Call::VerifyClient);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tick(Call::VerifySignature);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tick(Call::VerifySignature);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesServerCert for Part {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.tick(Call::Resolve);
        self.certified.clone()
    }
}

impl KeyLog for Part {
    fn log(&self, _: &str, _: &[u8], _: &[u8]) {
        self.tick(Call::KeyLog);
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
        self.tick(Call::Encrypt);
        Some(plain.to_vec())
    }
    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.tick(Call::Decrypt);
        Some(cipher.to_vec())
    }
}

impl StoresServerSessions for Part {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.tick(Call::Put);
        self.sessions.put(key, value)
    }
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.tick(Call::Get);
        self.sessions.get(key)
    }
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.tick(Call::Get);
        self.sessions.take(key)
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
        self.tick(Call::VerifyServer);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tick(Call::VerifySignature);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tick(Call::VerifySignature);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientSessionStore for Part {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.tick(Call::SetKxHint);
        self.client_sessions.set_kx_hint(name, group);
    }
    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.tick(Call::KxHint);
        self.client_sessions.kx_hint(name)
    }
    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.tick(Call::KeepTicket);
        self.client_sessions.set_tls12_session(name, value);
    }
    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.tick(Call::TakeTicket);
        self.client_sessions.tls12_session(name)
    }
    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.client_sessions.remove_tls12_session(name);
    }
    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tick(Call::KeepTicket);
        self.client_sessions.insert_tls13_ticket(name, value);
    }
    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tick(Call::TakeTicket);
        self.client_sessions.take_tls13_ticket(name)
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
    part(None)
}

fn loud(stage: &Stage, at: Call) -> Arc<Part> {
    part(Some((at, stage.bomb.clone())))
}

fn part(bomb: Option<(Call, Bomb)>) -> Arc<Part> {
    Arc::new(Part {
        bomb,
        certified: Some(certified()),
        sessions: ServerSessionMemoryCache::new(16),
        client_sessions: ClientSessionMemoryCache::new(16),
    })
}

pub(crate) fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver)
}

/// A server that asks clients for certificates.
fn asking_config(verifier: Arc<Part>) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(quiet())
}

pub(crate) fn client_config() -> ClientConfig {
    verified_by(quiet())
}

/// A client of one version of TLS.
pub(super) fn client_config_of(version: &'static SupportedProtocolVersion) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(quiet())
        .with_no_client_auth()
}

/// A client that shows what `resolver` gives.
fn known_by(resolver: Arc<Part>) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(quiet())
        .with_client_cert_resolver(resolver)
}

fn verified_by(verifier: Arc<Part>) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

/// One connection under TLS, which may come to nothing, and reaches the point.
fn shake_hands(stage: &Stage, server: ServerConfig, client: ClientConfig) {
    let before = stage.bomb.count();
    talk(stage, server, client, 1);
    stage.until_reached(before);
}

/// Two connections, of which the second resumes what the first has agreed on.
fn resume(stage: &Stage, server: ServerConfig, client: ClientConfig) {
    let before = stage.bomb.count();
    talk(stage, server, client, 2);
    stage.until_reached(before);
}

fn versions() -> [&'static SupportedProtocolVersion; 2] {
    [&version::TLS12, &version::TLS13]
}

fn talk(stage: &Stage, server: ServerConfig, client: ClientConfig, times: u32) {
    let echo = Actor::new(stage, At::Nowhere, By::Panic);
    let serving = stage.event_loop.create_server(echo, "127.0.0.1:0");
    let serving = serving.tls(wharf::interop::tls_server(server));
    let server = stage.complete(serving.start()).expect("a server");
    let to = server.addresses()[0].to_string();
    let client = wharf::interop::tls_client(client).server_name("localhost");
    for _ in 0..times {
        let own = Actor::new(stage, At::Nowhere, By::Panic)();
        let connecting = stage.event_loop.create_connection(move || own, to.clone());
        if let Ok(connection) = stage.complete(connecting.tls(&client).start()) {
            use wharf::Transport;
            // Its answer comes behind the tickets. Both answer what they receive.
            let received = stage.counts.received.get();
            connection.handle().write(b"hello");
            stage.until("an answer, or the end", || {
                stage.counts.received.get() >= received + 2
                    || stage.event_loop.statistics().connections_open < 2
            });
            connection.handle().close();
        }
        stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
    }
    stage.shut_down(&server);
}

const POINTS: &[Point] = &[
    reported("a certificate resolver", |stage| {
        shake_hands(stage, server_config(loud(stage, Call::Resolve)), client_config());
    }),
    reported("a server's key log", |stage| {
        let mut server = server_config(quiet());
        server.key_log = loud(stage, Call::KeyLog);
        shake_hands(stage, server, client_config());
    }),
    reported("a ticketer", |stage| {
        let mut server = server_config(quiet());
        server.ticketer = loud(stage, Call::Encrypt);
        shake_hands(stage, server, client_config());
    }),
    reported("a server's session store", |stage| {
        let mut server = server_config(quiet());
        server.session_storage = loud(stage, Call::Put);
        shake_hands(stage, server, client_config());
    }),
    reported("a verifier of certificates", |stage| {
        shake_hands(stage, server_config(quiet()), verified_by(loud(stage, Call::VerifyServer)));
    }),
    reported("a verifier of signatures", |stage| {
        shake_hands(stage, server_config(quiet()), verified_by(loud(stage, Call::VerifySignature)));
    }),
    reported("a client's certificate resolver", |stage| {
        shake_hands(stage, asking_config(quiet()), known_by(loud(stage, Call::ResolveClient)));
    }),
    reported("a verifier of clients' certificates", |stage| {
        shake_hands(stage, asking_config(loud(stage, Call::VerifyClient)), known_by(quiet()));
    }),
    reported("a verifier of clients' signatures", |stage| {
        shake_hands(stage, asking_config(loud(stage, Call::VerifySignature)), known_by(quiet()));
    }),
    reported("a ticketer that is given a ticket", |stage| {
        for version in versions() {
            let mut server = server_config(quiet());
            server.ticketer = loud(stage, Call::Decrypt);
            resume(stage, server, client_config_of(version));
        }
    }),
    reported("a server's session store that is asked", |stage| {
        for version in versions() {
            let mut server = server_config(quiet());
            server.session_storage = loud(stage, Call::Get);
            resume(stage, server, client_config_of(version));
        }
    }),
    reported("a client's session store that is given a session", |stage| {
        for version in versions() {
            let mut client = client_config_of(version);
            client.resumption = Resumption::store(loud(stage, Call::KeepTicket));
            shake_hands(stage, server_config(quiet()), client);
        }
    }),
    reported("a client's session store that is given a group", |stage| {
        let mut client = client_config_of(&version::TLS13);
        client.resumption = Resumption::store(loud(stage, Call::SetKxHint));
        shake_hands(stage, server_config(quiet()), client);
    }),
    reported("a client's key log", |stage| {
        let mut client = client_config();
        client.key_log = loud(stage, Call::KeyLog);
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
    fn connect(stage: &Stage, at: Call) {
        for version in versions() {
            let mut client = client_config_of(version);
            client.resumption = Resumption::store(loud(stage, at));
            talk(stage, server_config(quiet()), client, 1);
        }
    }
    blow_up(&[
        elsewhere("a client's session store", |stage| connect(stage, Call::KxHint)),
        elsewhere("a client's session store that is asked", |stage| {
            connect(stage, Call::TakeTicket);
        }),
    ]);
}
