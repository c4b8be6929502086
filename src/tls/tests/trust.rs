//! Whom a client trusts.

use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::authority::{Authority, expired, self_signed};
use super::handshake::handshake;
use crate::tls::fingerprint::Sha256;
use crate::tls::{TlsClient, TlsFingerprint, TlsProvider, clock};

fn fingerprint(data: &[u8]) -> TlsFingerprint {
    let provider = TlsProvider::default_one().unwrap().crypto();
    Sha256::of(&provider).unwrap().fingerprint(data)
}

fn trusting(authority: &Authority) -> TlsClient {
    TlsClient::builder().ca_pem(authority.pem()).build().unwrap()
}

#[test]
fn a_server_of_a_trusted_authority_is_accepted_under_its_names() {
    let authority = Authority::new("the authority");
    let server = authority.issue(&["a.example", "*.b.example", "127.0.0.1", "::1"]).server();
    let client = trusting(&authority);
    for host in ["a.example", "A.Example", "a.example.", "x.b.example", "127.0.0.1", "[::1]", "::1"]
    {
        handshake(&client, host, &server).expect_success();
    }
}

#[test]
fn another_name_is_refused_and_both_are_said() {
    let authority = Authority::new("the authority");
    let server = authority.issue(&["a.example", "b.example"]).server();
    let outcome = handshake(&trusting(&authority), "c.example", &server);
    assert_eq!(
        outcome.client_refusal(),
        "the TLS handshake failed: the peer's certificate is for a.example, b.example, \
         not for c.example"
    );
    assert!(outcome.server_refusal().contains("the peer sent the alert bad_certificate"));
}

#[test]
fn the_name_can_be_another_than_the_host() {
    let authority = Authority::new("the authority");
    let server = authority.issue(&["a.example"]).server();
    let client = trusting(&authority).server_name("a.example");
    let outcome = handshake(&client, "127.0.0.1", &server).expect_success();
    assert_eq!(outcome.server.server_name(), Some("a.example"));
}

#[test]
fn an_unknown_authority_is_refused() {
    let server = Authority::new("another").issue(&["a.example"]).server();
    let outcome = handshake(&trusting(&Authority::new("the authority")), "a.example", &server);
    assert!(outcome.client_refusal().contains("is signed by no authority that is trusted"));
    assert!(outcome.server_refusal().contains("unknown_ca: it does not trust who signed"));
}

#[test]
fn several_authorities_are_trusted_together() {
    let [one, other] = ["one", "other"].map(Authority::new);
    let client = TlsClient::builder().ca_pem(one.pem()).ca_pem(other.pem()).build().unwrap();
    for authority in [one, other] {
        handshake(&client, "a.example", &authority.issue(&["a.example"]).server()).expect_success();
    }
}

#[test]
#[cfg(feature = "tls-platform-roots")]
fn the_roots_of_the_system_are_trusted_and_others_with_them() {
    let authority = Authority::new("the authority");
    let server = authority.issue(&["a.example"]).server();
    match TlsClient::new() {
        Ok(client) => {
            let outcome = handshake(&client, "a.example", &server);
            assert!(outcome.client_refusal().contains("is signed by no authority"));
        }
        // A system without any.
        Err(error) => {
            assert!(error.is_unsupported());
            assert!(error.to_string().contains("roots of the operating system"), "{error}");
        }
    }
    let client = TlsClient::builder().platform_roots().ca_pem(authority.pem()).build().unwrap();
    handshake(&client, "a.example", &server).expect_success();
    let outcome = handshake(&client, "b.example", &server);
    assert!(outcome.client_refusal().contains("not for b.example"));
}

#[test]
#[cfg(feature = "tls-webpki-roots")]
fn the_roots_of_mozilla_are_trusted_and_others_with_them() {
    let [authority, stranger] = ["the authority", "a stranger"].map(Authority::new);
    let builder = TlsClient::builder().webpki_roots().ca_pem(authority.pem());
    let client = builder.build().unwrap();
    handshake(&client, "a.example", &authority.issue(&["a.example"]).server()).expect_success();
    let client = TlsClient::builder().webpki_roots().build().unwrap();
    for authority in [authority, stranger] {
        let outcome = handshake(&client, "a.example", &authority.issue(&["a.example"]).server());
        assert!(outcome.client_refusal().contains("is signed by no authority"));
    }
}

#[test]
#[cfg(all(feature = "tls-platform-roots", feature = "tls-webpki-roots"))]
fn one_of_the_two_lists_of_roots_is_chosen() {
    let error = TlsClient::builder().platform_roots().webpki_roots().build().unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("choose one"), "{error}");
}

#[test]
#[cfg(not(feature = "tls-platform-roots"))]
fn a_client_with_nothing_to_trust_is_not_made() {
    let error = TlsClient::new().unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("a CA file or a pin"), "{error}");
}

#[test]
fn an_authority_that_serves_itself_is_told_to_be_pinned() {
    let itself = self_signed(&["a.example"], |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let client = TlsClient::builder().ca_pem(&itself.chain).build().unwrap();
    let outcome = handshake(&client, "a.example", &itself.server());
    assert!(outcome.client_refusal().contains("if it is self-signed, pin it"));

    let client = TlsClient::builder().pin_certificate_pem(&itself.chain).build().unwrap();
    handshake(&client, "a.example", &itself.server()).expect_success();
}

#[test]
fn dates_are_checked_by_the_clock_of_the_loop() {
    let authority = Authority::new("the authority");
    let issued = authority.issue(&["a.example"]);
    let server = issued.server();
    let client = trusting(&authority);
    handshake(&client, "a.example", &server).expect_success();

    // The first second of 4097; rcgen's certificates end with 4095.
    let far = UnixTime::since_unix_epoch(Duration::from_secs(67_121_740_800));
    let outcome = clock::at(far, || handshake(&client, "a.example", &server));
    let expected = "the peer's certificate expired on 4096-01-01 00:00:00 UTC";
    assert!(outcome.client_refusal().contains(expected));

    let old = authority.issue_with(&["a.example"], expired);
    let server = crate::TlsServer::builder().identity(old.identity()).check_dates(false);
    let server = server.build().unwrap();
    let outcome = handshake(&client, "a.example", &server);
    assert_eq!(
        outcome.client_refusal(),
        "the TLS handshake failed: the peer's certificate expired on 2021-12-31 00:00:00 UTC"
    );
    assert!(outcome.server_refusal().contains("certificate_expired"));
    let then = UnixTime::since_unix_epoch(Duration::from_secs(1_600_000_000));
    clock::at(then, || handshake(&client, "a.example", &server)).expect_success();
}

#[test]
fn a_pinned_certificate_is_accepted_and_no_other() {
    let [known, other] = [(); 2].map(|()| self_signed(&["a.example"], |_| {}));
    let pins = [
        TlsClient::builder().pin_certificate(fingerprint(&known.der)),
        TlsClient::builder().pin_public_key(fingerprint(&known.public_key)),
        TlsClient::builder().pin_certificate_pem(&known.chain),
    ];
    for builder in pins {
        let client = builder.build().unwrap();
        // The pin says which one it is, whatever the host is called.
        handshake(&client, "b.example", &known.server()).expect_success();
        let outcome = handshake(&client, "a.example", &other.server());
        let expected = format!(
            "the TLS handshake failed: the peer's certificate is not the pinned one: \
             its SHA-256 fingerprint is {}",
            fingerprint(&other.der)
        );
        assert_eq!(outcome.client_refusal(), expected);
        assert!(outcome.server_refusal().contains("it does not accept our certificate"));
    }
}

#[test]
fn a_pinned_certificate_may_be_out_of_its_time() {
    let old = self_signed(&["a.example"], expired);
    let server = crate::TlsServer::builder().identity(old.identity()).check_dates(false);
    let client = TlsClient::builder().pin_certificate_pem(&old.chain).build().unwrap();
    handshake(&client, "a.example", &server.build().unwrap()).expect_success();
}

#[test]
fn a_pin_does_not_replace_the_proof_of_the_key() {
    // A server that shows the pinned certificate and signs with a key of its own.
    let [known, thief] = [(); 2].map(|()| self_signed(&["a.example"], |_| {}));
    let provider = TlsProvider::default_one().unwrap().crypto();
    let stolen = known.identity().load(&provider, None).unwrap().cert;
    let key = thief.identity().load(&provider, None).unwrap().key;
    let key = rustls::sign::CertifiedKey::new(stolen, key);
    let client = TlsClient::builder().pin_certificate_pem(&known.chain).build().unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(
                key.clone(),
            )));
        let server = crate::TlsServer::from_rustls(config);
        let outcome = handshake(&client, "a.example", &server);
        assert!(outcome.client_refusal().contains("has a wrong signature"));
    }
}

#[test]
fn with_authorities_and_pins_a_server_must_satisfy_both() {
    let authority = Authority::new("the authority");
    let [known, other] = [(); 2].map(|()| authority.issue(&["a.example"]));
    let client = TlsClient::builder()
        .ca_pem(authority.pem())
        .pin_certificate(fingerprint(&known.der))
        .build()
        .unwrap();
    handshake(&client, "a.example", &known.server()).expect_success();
    let outcome = handshake(&client, "a.example", &other.server());
    assert!(outcome.client_refusal().contains("is not the pinned one"));
    let outcome = handshake(&client, "b.example", &known.server());
    assert!(outcome.client_refusal().contains("not for b.example"));
}

#[test]
fn the_name_is_sent_unless_it_is_not_to_be() {
    let known = self_signed(&["a.example"], |_| {});
    let builder = || TlsClient::builder().pin_certificate_pem(&known.chain);
    let cases = [
        (builder().build().unwrap(), "a.example", Some("a.example")),
        (builder().build().unwrap(), "127.0.0.1", None),
        (builder().send_server_name(false).build().unwrap(), "a.example", None),
    ];
    for (client, host, sent) in cases {
        let outcome = handshake(&client, host, &known.server()).expect_success();
        assert_eq!(outcome.server.server_name(), sent);
    }
}

#[test]
fn a_client_that_checks_the_name_needs_one() {
    let authority = Authority::new("the authority");
    let client = trusting(&authority);
    let error = client.connect(None).unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("TlsClient::server_name"));
    client.clone().server_name("a.example").connect(None).unwrap();
    client.connect(Some("fe80::1%eth0")).unwrap();

    let pinned = TlsClient::builder().pin_certificate_pem(authority.pem()).build().unwrap();
    pinned.connect(None).unwrap();
    pinned.connect(Some("no name")).unwrap();
}

#[test]
fn what_is_no_name_is_an_error() {
    let client = trusting(&Authority::new("the authority"));
    for (name, part) in [
        ("", "is empty"),
        ("a b", "`a b` is no TLS server name"),
        ("a..b", "is no TLS server name"),
        ("münchen.example", "must be in punycode"),
        (&"x".repeat(300), "is no TLS server name"),
        ("line\nbreak", "`line\\nbreak`"),
    ] {
        for error in [
            client.connect(Some(name)).unwrap_err(),
            client.clone().server_name(name).connect(Some("a.example")).unwrap_err(),
        ] {
            assert!(error.is_invalid());
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[test]
fn a_fingerprint_is_read_as_it_is_printed() {
    let fingerprint = TlsFingerprint::of_certificate(b"abc").unwrap();
    assert_eq!(TlsFingerprint::from_bytes(*fingerprint.as_bytes()), fingerprint);
    let text = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:\
                B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
    assert_eq!(fingerprint.to_string(), text);
    let plain = text.replace(':', "").to_lowercase();
    for text in [text.to_owned(), plain.clone(), format!("sha256 Fingerprint={text}\n")] {
        assert_eq!(text.parse::<TlsFingerprint>().unwrap(), fingerprint);
    }
    for bad in ["", "ab", &plain[1..], &format!("{plain}00"), &plain.replace('a', "g")] {
        assert!(bad.parse::<TlsFingerprint>().unwrap_err().is_invalid());
    }
}
