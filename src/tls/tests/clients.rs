//! Clients that show who they are.

use super::authority::{Authority, Issued, expired, self_signed};
use super::handshake::handshake;
use crate::tls::{TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder, TlsVersion};

struct Mutual {
    server: Issued,
    authority: Authority,
}

impl Mutual {
    fn new() -> Self {
        let server = self_signed(&["a.example"], |_| {});
        Self { server, authority: Authority::new("the clients' authority") }
    }

    fn server(&self) -> TlsServerBuilder {
        TlsServer::builder().identity(self.server.identity()).client_ca_pem(self.authority.pem())
    }

    fn client(&self) -> TlsClientBuilder {
        TlsClient::builder().pin_certificate_pem(&self.server.chain)
    }
}

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

#[test]
fn a_client_with_the_right_certificate_is_let_in() {
    let mutual = Mutual::new();
    let known = mutual.authority.issue(&["client"]);
    let client = mutual.client().identity(known.identity()).build().unwrap();
    for version in VERSIONS {
        for optional in [false, true] {
            let server = mutual.server().allow_anonymous_clients(optional).max_version(version);
            let outcome = handshake(&client, "a.example", &server.build().unwrap());
            let outcome = outcome.expect_success();
            assert_eq!(outcome.version(), Some(version));
            assert_eq!(&*outcome.server.peer_certificates().unwrap()[0], &known.der[..]);
        }
    }
}

#[test]
fn a_client_without_one_is_refused_unless_it_may_be_anonymous() {
    let mutual = Mutual::new();
    let client = mutual.client().build().unwrap();
    for version in VERSIONS {
        let server = mutual.server().max_version(version).build().unwrap();
        let outcome = handshake(&client, "a.example", &server);
        let text = "the TLS handshake failed: the peer showed no certificate";
        assert_eq!(outcome.server_refusal(), text);
        let refusal = outcome.client_refusal();
        assert!(refusal.contains("certificate"), "{refusal}");

        let server = mutual.server().max_version(version).allow_anonymous_clients(true);
        let outcome = handshake(&client, "a.example", &server.build().unwrap()).expect_success();
        assert!(outcome.server.peer_certificates().is_none());
    }
}

#[test]
fn a_client_with_a_wrong_certificate_is_refused_even_where_it_may_be_anonymous() {
    let mutual = Mutual::new();
    let stranger = Authority::new("a stranger").issue(&["client"]);
    let old = mutual.authority.issue_with(&["client"], expired);
    let cases = [
        (stranger, "is signed by no authority", "unknown_ca"),
        (old, "expired on 2021-12-31", "certificate_expired"),
    ];
    for (issued, reason, alert) in cases {
        let client = mutual.client().identity(issued.identity()).check_dates(false);
        let client = client.build().unwrap();
        for optional in [false, true] {
            let server = mutual.server().allow_anonymous_clients(optional).build().unwrap();
            let outcome = handshake(&client, "a.example", &server);
            assert!(outcome.server_refusal().contains(reason));
            assert!(outcome.client_refusal().contains(alert));
        }
    }
}

#[test]
fn a_client_is_not_asked_unless_there_is_an_authority() {
    let mutual = Mutual::new();
    let known = mutual.authority.issue(&["client"]);
    let client = mutual.client().identity(known.identity()).build().unwrap();
    let outcome = handshake(&client, "a.example", &mutual.server.server()).expect_success();
    assert!(outcome.server.peer_certificates().is_none());

    let server = TlsServer::builder().identity(mutual.server.identity());
    let error = server.allow_anonymous_clients(true).build().unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("need an authority"));
}
