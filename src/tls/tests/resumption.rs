//! Resuming sessions.

use std::time::Duration;

use rustls::HandshakeKind;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;

use super::authority::{Issued, self_signed};
use super::handshake::handshake;
use crate::tls::tickets::Tickets;
use crate::tls::{
    TlsClient, TlsClientBuilder, TlsProvider, TlsServer, TlsServerBuilder, TlsVersion, clock,
};

fn client(known: &Issued) -> TlsClientBuilder {
    TlsClient::builder().pin_certificate_pem(&known.chain)
}

fn server(known: &Issued) -> TlsServerBuilder {
    TlsServer::builder().identity(known.identity())
}

#[track_caller]
fn kind(client: &TlsClient, server: &TlsServer) -> HandshakeKind {
    handshake(client, "a.example", server).expect_success().client.handshake_kind().unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000 + seconds))
}

#[test]
fn the_second_connection_resumes_the_first() {
    let known = self_signed(&["a.example"], |_| {});
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let client = client(&known).max_version(version).build().unwrap();
        let server = server(&known).build().unwrap();
        assert_eq!(kind(&client, &server), HandshakeKind::Full);
        assert_eq!(kind(&client.clone(), &server.clone()), HandshakeKind::Resumed);
    }
}

#[test]
fn either_side_can_turn_resumption_off() {
    let known = self_signed(&["a.example"], |_| {});
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let cases = [
            (client(&known).session_cache(0), server(&known)),
            (client(&known), server(&known).ticket_lifetime(None)),
        ];
        for (client, server) in cases {
            let client = client.max_version(version).build().unwrap();
            let server = server.build().unwrap();
            for _ in 0..3 {
                assert_eq!(kind(&client, &server), HandshakeKind::Full);
            }
        }
    }
}

#[test]
fn a_provider_without_tickets_keeps_sessions_in_memory() {
    let known = self_signed(&["a.example"], |_| {});
    let custom = TlsProvider::from(TlsProvider::default_one().unwrap().crypto());
    let server = server(&known).provider(custom).build().unwrap();
    let client = client(&known).build().unwrap();
    assert_eq!(kind(&client, &server), HandshakeKind::Full);
    assert_eq!(kind(&client, &server), HandshakeKind::Resumed);
}

#[test]
fn a_ticket_is_good_for_half_its_lifetime_and_not_for_longer_than_all_of_it() {
    let known = self_signed(&["a.example"], |_| {});
    let client = client(&known).session_cache(8).build().unwrap();
    let server = clock::at(at(0), || {
        server(&known).ticket_lifetime(Some(Duration::from_secs(100))).build().unwrap()
    });
    clock::at(at(0), || assert_eq!(kind(&client, &server), HandshakeKind::Full));
    clock::at(at(49), || assert_eq!(kind(&client, &server), HandshakeKind::Resumed));
    // Its key is the one before by now.
    clock::at(at(51), || assert_eq!(kind(&client, &server), HandshakeKind::Resumed));
    clock::at(at(400), || assert_eq!(kind(&client, &server), HandshakeKind::Full));
}

#[test]
fn keys_of_tickets_change_by_the_clock_of_the_loop() {
    let provider = TlsProvider::default_one().unwrap();
    let new = || Tickets::new(&provider, Duration::from_secs(100)).unwrap().unwrap();
    let tickets = clock::at(at(0), new);
    assert_eq!(tickets.lifetime(), 100);
    let early = clock::at(at(0), || tickets.encrypt(b"early")).unwrap();
    let middle = clock::at(at(60), || tickets.encrypt(b"middle")).unwrap();
    clock::at(at(60), || assert_eq!(tickets.decrypt(&early).unwrap(), b"early"));
    clock::at(at(120), || {
        assert_eq!(tickets.decrypt(&early), None);
        assert_eq!(tickets.decrypt(&middle).unwrap(), b"middle");
    });
    // After a pause no old key is left.
    clock::at(at(1000), || assert_eq!(tickets.decrypt(&middle), None));

    // A clock that is set back does not prolong a key's life.
    let tickets = clock::at(at(5000), new);
    let ticket = clock::at(at(1000), || tickets.encrypt(b"ticket")).unwrap();
    clock::at(at(1100), || assert_eq!(tickets.decrypt(&ticket), None));
}

#[test]
fn the_lifetime_of_a_ticket_is_bounded() {
    let known = self_signed(&["a.example"], |_| {});
    for bad in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(12 * 3600 + 1)] {
        let error = server(&known).ticket_lifetime(Some(bad)).build().unwrap_err();
        assert!(error.is_invalid());
        assert!(error.to_string().contains("between 2 s and 12 h"), "{error}");
    }
}

#[test]
fn a_server_takes_early_data_only_if_it_is_to() {
    let known = self_signed(&["a.example"], |_| {});
    for bytes in [0, 1000] {
        let mut config = (*client(&known).build().unwrap().connect(None).unwrap().config).clone();
        config.enable_early_data = true;
        let client = TlsClient::from_rustls(config).server_name("a.example");
        let server = server(&known).max_early_data(bytes).build().unwrap();
        assert_eq!(kind(&client, &server), HandshakeKind::Full);
        let setup = client.connect(None).unwrap();
        let mut connection = rustls::ClientConnection::new(setup.config, setup.name).unwrap();
        let room = connection.early_data().map(|early| early.bytes_left());
        assert_eq!(room, (bytes > 0).then_some(bytes as usize));
    }
}
