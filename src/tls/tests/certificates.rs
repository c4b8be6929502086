//! Which certificate a server shows.

use std::sync::OnceLock;

use rcgen::{KeyPair, PKCS_ED25519};
use rustls::SignatureScheme;
use rustls::pki_types::SignatureVerificationAlgorithm;

use super::authority::{Authority, Issued};
use super::handshake::handshake;
use crate::tls::{
    TlsClient, TlsClientBuilder, TlsIdentity, TlsProvider, TlsServer, TlsServerBuilder,
};

/// Some certificates, and a client that accepts them under any name.
struct Shop {
    authority: Authority,
    client: TlsClient,
    issued: Vec<Issued>,
}

impl Shop {
    fn new(names: &[&[&str]]) -> Self {
        let authority = Authority::new("the authority");
        let issued: Vec<_> = names.iter().map(|names| authority.issue(names)).collect();
        Self { authority, client: accepting(&issued), issued }
    }

    fn server(&self) -> TlsServerBuilder {
        let all = self.issued.iter().map(Issued::identity);
        all.fold(TlsServer::builder(), TlsServerBuilder::identity)
    }

    /// Which certificate a client is shown that asks for `host`.
    fn shown(&self, host: &str, server: &TlsServer) -> usize {
        let outcome = handshake(&self.client, host, server).expect_success();
        self.issued.iter().position(|issued| issued.der == outcome.shown()).unwrap()
    }
}

fn accepting<'a>(issued: impl IntoIterator<Item = &'a Issued>) -> TlsClient {
    let pins = issued.into_iter().map(|issued| &issued.chain);
    pins.fold(TlsClient::builder(), TlsClientBuilder::pin_certificate_pem).build().unwrap()
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let shop =
        Shop::new(&[&["first.example"], &["*.b.example"], &["a.b.example", "other.example"]]);
    let server = shop.server().build().unwrap();
    for (host, expected) in [
        ("first.example", 0),
        ("x.b.example", 1),
        ("a.b.example", 2),
        ("other.example", 2),
        ("A.B.Example", 2),
    ] {
        assert_eq!(shop.shown(host, &server), expected, "{host}");
    }
}

#[test]
fn the_first_certificate_is_for_who_asks_for_no_known_name() {
    let shop = Shop::new(&[&["first.example"], &["*.b.example"]]);
    let server = shop.server().build().unwrap();
    // A wildcard stands for one label, neither for none nor for two.
    for host in ["127.0.0.1", "unknown.example", "b.example", "x.y.b.example"] {
        assert_eq!(shop.shown(host, &server), 0, "{host}");
    }

    let server = shop.server().refuse_unknown_names(true).build().unwrap();
    assert_eq!(shop.shown("first.example", &server), 0);
    for host in ["127.0.0.1", "unknown.example"] {
        let refusal = handshake(&shop.client, host, &server).client_refusal();
        assert!(refusal.contains("access_denied: it does not let us in"), "{refusal}");
    }
}

#[test]
fn names_that_are_given_replace_those_in_the_certificate() {
    let shop = Shop::new(&[&["first.example"], &["other.example"]]);
    let server = TlsServer::builder()
        .identity(shop.issued[0].identity())
        .identity(shop.issued[1].identity().for_names(["Given.Example.", "*.many.example"]))
        .build()
        .unwrap();
    for host in ["given.example", "x.many.example"] {
        assert_eq!(shop.shown(host, &server), 1, "{host}");
    }
    assert_eq!(shop.shown("other.example", &server), 0);

    for bad in ["", "*.", "a b", "*.*.example", "x.*.example"] {
        let identity = shop.issued[0].identity().for_names([bad]);
        let error = TlsServer::builder().identity(identity).build().unwrap_err();
        assert!(error.is_invalid());
        assert!(error.to_string().contains("is no name for a TLS certificate"), "{error}");
    }
}

#[test]
fn of_two_kinds_of_keys_a_client_gets_the_one_that_it_can_check() {
    let mut shop = Shop::new(&[]);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    shop.issued.push(shop.authority.issue_for(&["a.example"], key, |_| {}));
    shop.issued.push(shop.authority.issue(&["a.example"]));
    shop.client = accepting(&shop.issued);
    let server = shop.server().build().unwrap();
    assert_eq!(shop.shown("a.example", &server), 0);

    let mut provider = (*TlsProvider::default_one().unwrap().crypto()).clone();
    let algorithms = &mut provider.signature_verification_algorithms;
    let without = |mapping: &&(SignatureScheme, _)| mapping.0 != SignatureScheme::ED25519;
    let mapping: Vec<_> = algorithms.mapping.iter().filter(without).copied().collect();
    // rustls borrows it for ever: a static is no leak.
    type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];
    static MAPPING: OnceLock<Vec<(SignatureScheme, Algorithms)>> = OnceLock::new();
    algorithms.mapping = MAPPING.get_or_init(|| mapping);
    let client = TlsClient::builder().ca_pem(shop.authority.pem()).provider(provider);
    shop.client = client.build().unwrap();
    assert_eq!(shop.shown("a.example", &server), 1);
}

#[test]
fn intermediates_are_sent_along() {
    let shop = Shop::new(&[&["a.example"]]);
    let chain = format!("{}{}", shop.issued[0].chain, shop.authority.pem());
    let identity = TlsIdentity::from_pem(chain, &shop.issued[0].key);
    let server = TlsServer::builder().identity(identity).build().unwrap();
    let outcome = handshake(&shop.client, "a.example", &server).expect_success();
    assert_eq!(outcome.client.peer_certificates().unwrap().len(), 2);
}
