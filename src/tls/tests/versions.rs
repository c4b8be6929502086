//! Versions, application protocols, providers, ready configurations.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};

use super::authority::{Authority, self_signed};
use super::handshake::handshake;
use crate::tls::{TlsClient, TlsProvider, TlsServer, TlsVersion};

#[test]
fn the_highest_version_in_common_is_spoken() {
    let known = self_signed(&["a.example"], |_| {});
    let client = || TlsClient::builder().pin_certificate_pem(&known.chain);
    let server = || TlsServer::builder().identity(known.identity());
    let [v12, v13] = [TlsVersion::Tls12, TlsVersion::Tls13];
    let cases = [
        (client(), server(), v13),
        (client().max_version(v12), server(), v12),
        (client(), server().max_version(v12), v12),
        (client().min_version(v13), server(), v13),
    ];
    for (client, server, expected) in cases {
        let outcome = handshake(&client.build().unwrap(), "a.example", &server.build().unwrap());
        assert_eq!(outcome.expect_success().version(), Some(expected));
    }
}

#[test]
fn no_version_in_common_says_so_on_both_sides() {
    let known = self_signed(&["a.example"], |_| {});
    let [v12, v13] = [TlsVersion::Tls12, TlsVersion::Tls13];
    for (client, server) in [(v12, v13), (v13, v12)] {
        let client = TlsClient::builder()
            .pin_certificate_pem(&known.chain)
            .min_version(client)
            .max_version(client);
        let server =
            TlsServer::builder().identity(known.identity()).min_version(server).max_version(server);
        let outcome = handshake(&client.build().unwrap(), "a.example", &server.build().unwrap());
        for refusal in [outcome.client_refusal(), outcome.server_refusal()] {
            assert!(refusal.contains("no TLS version in common"), "{refusal}");
        }
    }
}

#[test]
fn versions_in_the_wrong_order_are_an_error() {
    let known = self_signed(&["a.example"], |_| {});
    let error = TlsClient::builder()
        .pin_certificate_pem(&known.chain)
        .min_version(TlsVersion::Tls13)
        .max_version(TlsVersion::Tls12)
        .build()
        .unwrap_err();
    assert!(error.is_invalid());
    assert!(error.to_string().contains("(TLS 1.3) is above the highest (TLS 1.2)"), "{error}");
}

#[test]
fn the_server_chooses_the_application_protocol() {
    let known = self_signed(&["a.example"], |_| {});
    let client = |names: &[&str]| {
        TlsClient::builder().pin_certificate_pem(&known.chain).alpn(names).build().unwrap()
    };
    let server = |names: &[&str]| {
        TlsServer::builder().identity(known.identity()).alpn(names).build().unwrap()
    };
    let choice = |offered: &[&str], accepted: &[&str]| {
        let outcome = handshake(&client(offered), "a.example", &server(accepted)).expect_success();
        assert_eq!(outcome.client.alpn_protocol(), outcome.server.alpn_protocol());
        outcome.client.alpn_protocol().map(<[u8]>::to_vec)
    };
    let both = ["h2", "http/1.1"];
    assert_eq!(choice(&both, &["http/1.1", "h2"]).unwrap(), b"http/1.1");
    assert_eq!(choice(&both, &["h2"]).unwrap(), b"h2");
    assert_eq!(choice(&[], &["h2"]), None);
    assert_eq!(choice(&["h2"], &[]), None);

    let outcome = handshake(&client(&["h2"]), "a.example", &server(&["imap"]));
    let offers = "the peer offers no application protocol that we accept (ALPN)";
    assert!(outcome.server_refusal().contains(offers));
    assert!(outcome.client_refusal().contains("no_application_protocol"));
}

#[test]
fn protocol_names_that_do_not_fit_are_an_error() {
    let known = self_signed(&["a.example"], |_| {});
    let long = "x".repeat(256);
    let many = vec!["x".repeat(255); 256];
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: [(&[&str], &str); 3] =
        [(&["h2", ""], "is empty"), (&[&long], "has 256 bytes"), (&many, "too many")];
    for (names, part) in cases {
        let client = TlsClient::builder().pin_certificate_pem(&known.chain).alpn(names);
        let server = TlsServer::builder().identity(known.identity()).alpn(names);
        for error in [client.build().unwrap_err(), server.build().unwrap_err()] {
            assert!(error.is_invalid());
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    let longest = "x".repeat(255);
    TlsServer::builder().identity(known.identity()).alpn([longest]).build().unwrap();
}

#[test]
fn any_provider_can_be_chosen_and_none_is_installed() {
    let known = self_signed(&["a.example"], |_| {});
    let fewer = {
        let mut provider = (*TlsProvider::default_one().unwrap().crypto()).clone();
        provider
            .cipher_suites
            .retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
        TlsProvider::from(provider)
    };
    let providers = [
        #[cfg(feature = "tls")]
        TlsProvider::Ring,
        #[cfg(feature = "tls-aws-lc-rs")]
        TlsProvider::AwsLcRs,
        fewer.clone(),
    ];
    for one in &providers {
        for other in &providers {
            let client = TlsClient::builder()
                .pin_certificate_pem(&known.chain)
                .min_version(TlsVersion::Tls13)
                .provider(one.clone());
            let server = TlsServer::builder()
                .identity(known.identity())
                .min_version(TlsVersion::Tls13)
                .provider(other.clone());
            let outcome =
                handshake(&client.build().unwrap(), "a.example", &server.build().unwrap());
            outcome.expect_success();
        }
    }
    // Without a suite of TLS 1.2 that version alone cannot be had.
    let client = TlsClient::builder()
        .pin_certificate_pem(&known.chain)
        .max_version(TlsVersion::Tls12)
        .provider(fewer);
    let error = client.build().unwrap_err();
    assert!(error.to_string().contains("the TLS settings do not fit together"), "{error}");
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[test]
fn ring_is_the_default() {
    assert_eq!(format!("{:?}", TlsProvider::default_one().unwrap()), "Ring");
}

#[test]
fn a_ready_configuration_is_used_as_it_is() {
    let authority = Authority::new("the authority");
    let issued = authority.issue(&["a.example"]);
    let mut roots = RootCertStore::empty();
    let mut pem = authority.pem().into_bytes();
    pem.push(b'\n');
    for certificate in
        crate::tls::pem::PemSource::memory(pem).read().unwrap().certificates().unwrap()
    {
        roots.add(certificate).unwrap();
    }
    let provider = TlsProvider::default_one().unwrap().crypto();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"imap".to_vec()];
    let client = TlsClient::from_rustls(config.clone());
    let used = client.connect(Some("a.example")).unwrap().config;
    assert!(Arc::ptr_eq(used.crypto_provider(), config.crypto_provider()));
    assert_eq!(used.alpn_protocols, config.alpn_protocols);
    assert!(client.connect(None).unwrap_err().is_invalid());

    let server = TlsServer::from_rustls(issued.server().accept().unwrap().config);
    handshake(&client, "a.example", &server).expect_success();
    assert_eq!(server.fingerprint(), None);
    assert!(server.reload().unwrap_err().is_unsupported());
}

#[test]
fn deadlines_are_ten_seconds_and_none_and_never_zero() {
    let known = self_signed(&["a.example"], |_| {});
    let client = TlsClient::builder().pin_certificate_pem(&known.chain).build().unwrap();
    let server = known.server();
    for timeouts in [client.connect(None).unwrap().timeouts, server.accept().unwrap().timeouts] {
        assert_eq!(timeouts.handshake, Duration::from_secs(10));
        assert_eq!(timeouts.shutdown, None);
    }
    let zero = Duration::ZERO;
    let errors = [
        client.clone().handshake_timeout(zero).connect(None).unwrap_err(),
        client.shutdown_timeout(zero).connect(None).unwrap_err(),
        server.clone().handshake_timeout(zero).accept().unwrap_err(),
        server.shutdown_timeout(zero).accept().unwrap_err(),
    ];
    for error in errors {
        assert!(
            error.is_invalid() && error.to_string().contains("timeout must not be zero"),
            "{error}"
        );
    }
}
