//! Files that are no good, and the line that says so.

use super::authority::{Authority, Directory, expired, not_yet_valid, self_signed};
use crate::error::Error;
use crate::tls::{TlsClient, TlsIdentity, TlsServer};

#[track_caller]
fn refused(chain: impl AsRef<std::path::Path>, key: impl AsRef<std::path::Path>) -> Error {
    TlsServer::from_files(chain, key).expect_err("these files are no good")
}

#[track_caller]
fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` in: {text}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let chain = directory.write("chain.pem", &good.chain);
    let error = refused(&chain, directory.path("key.pem"));
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    assert_says(&error, &["key.pem", "cannot be read"]);

    let error = TlsClient::builder().ca_file(directory.path("ca.pem")).build().unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    assert_says(&error, &["ca.pem"]);
}

#[test]
fn a_directory_is_no_file() {
    let directory = Directory::new();
    let error = refused(directory.path("."), directory.path("."));
    assert!(error.io_error().is_some());
    assert_says(&error, &["cannot be read"]);
}

#[test]
fn what_is_not_pem_says_so() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let key = directory.write("key.pem", &good.key);
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty.pem", b"", "is empty"),
        ("blank.pem", b" \n\n", "is empty"),
        ("text.pem", b"hello", "is not PEM"),
        ("der.pem", &good.der, "looks like DER"),
        ("cut.pem", &good.chain.as_bytes()[..100], "has no end"),
        (
            "base64.pem",
            b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
            "not base64",
        ),
    ];
    for (name, content, part) in cases {
        let error = refused(directory.write(name, content), &key);
        assert!(error.is_invalid());
        assert_says(&error, &[name, part]);
    }
}

#[test]
fn a_file_without_what_is_needed_says_what_it_holds() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let chain = directory.write("chain.pem", &good.chain);
    let key = directory.write("key.pem", &good.key);
    assert_says(&refused(&key, &key), &["key.pem", "holds no certificate, only a private key"]);
    assert_says(
        &refused(&chain, &chain),
        &["chain.pem", "holds no private key, only certificates"],
    );
    let other = directory.write(
        "csr.pem",
        "-----BEGIN CERTIFICATE REQUEST-----\n\
        -----END CERTIFICATE REQUEST-----\n",
    );
    assert_says(&refused(&other, &key), &["csr.pem", "holds no certificate"]);
    assert_says(&refused(&chain, &other), &["csr.pem", "holds no private key"]);
}

#[test]
fn one_file_may_hold_both() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let both = directory.write("both.pem", format!("{}{}", good.key, good.chain));
    TlsServer::from_files(&both, &both).unwrap();
}

#[test]
fn several_keys_are_one_too_many() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let chain = directory.write("chain.pem", &good.chain);
    let keys = directory.write("keys.pem", format!("{0}{0}", good.key));
    assert_says(&refused(&chain, &keys), &["keys.pem", "holds 2 private keys; it must hold one"]);
}

#[test]
fn an_encrypted_key_says_how_to_decrypt_it() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let chain = directory.write("chain.pem", &good.chain);
    let texts = [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
         AAAA\n-----END EC PRIVATE KEY-----\n",
    ];
    for text in texts {
        let key = directory.write("key.pem", text);
        assert_says(&refused(&chain, &key), &["key.pem", "is encrypted", "openssl pkey"]);
    }
}

#[test]
fn a_damaged_key_is_named() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let chain = directory.write("chain.pem", &good.chain);
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let key = directory.write("key.pem", key);
    assert_says(&refused(&chain, &key), &["key.pem", "is damaged or of an unknown kind"]);
}

#[test]
fn a_damaged_certificate_is_named() {
    let directory = Directory::new();
    let good = self_signed(&["a.example"], |_| {});
    let key = directory.write("key.pem", &good.key);
    let chain = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let second = directory.write("second.pem", format!("{}{chain}", good.chain));
    assert_says(
        &refused(second, &key),
        &["certificate 2 of the chain", "second.pem", "cannot be parsed"],
    );
    let first = directory.write("first.pem", chain);
    assert_says(&refused(first, &key), &["first.pem", "cannot be parsed"]);
}

#[test]
fn a_key_of_another_certificate_is_named() {
    let directory = Directory::new();
    let [one, other] = [(); 2].map(|()| self_signed(&["a.example"], |_| {}));
    let chain = directory.write("chain.pem", &one.chain);
    let key = directory.write("key.pem", &other.key);
    let error = refused(&chain, &key);
    assert!(error.is_invalid());
    assert_says(&error, &["key.pem", "does not belong to the certificate in", "chain.pem"]);
}

#[test]
fn a_chain_in_the_wrong_order_says_which_comes_first() {
    let authority = Authority::new("the authority");
    let good = authority.issue(&["a.example"]);
    let chain = format!("{}{}", authority.pem(), good.chain);
    let identity = TlsIdentity::from_pem(chain, &good.key);
    let error = TlsServer::builder().identity(identity).build().unwrap_err();
    assert_says(&error, &["belongs to certificate 2 of the chain", "must come first"]);
}

#[test]
fn a_certificate_out_of_its_time_says_when() {
    let old = self_signed(&["a.example"], expired);
    let error = TlsServer::builder().identity(old.identity()).build().unwrap_err();
    assert!(error.is_invalid());
    assert_says(&error, &["the certificate in the given PEM expired on 2021-12-31 00:00:00 UTC"]);
    TlsServer::builder().identity(old.identity()).check_dates(false).build().unwrap();

    let early = self_signed(&["a.example"], not_yet_valid);
    let error = TlsServer::builder().identity(early.identity()).build().unwrap_err();
    assert_says(&error, &["is not valid before 3000-01-01 00:00:00 UTC"]);

    let pin = self_signed(&["a.example"], |_| {});
    let client = || TlsClient::builder().pin_certificate_pem(&pin.chain).identity(old.identity());
    assert_says(&client().build().unwrap_err(), &["expired on"]);
    client().check_dates(false).build().unwrap();
}

#[test]
fn an_expired_intermediate_is_named() {
    let authority = Authority::new("the authority");
    let good = authority.issue(&["a.example"]);
    let old = self_signed(&["old"], expired);
    let identity = TlsIdentity::from_pem(format!("{}{}", good.chain, old.chain), &good.key);
    let error = TlsServer::builder().identity(identity).build().unwrap_err();
    assert_says(&error, &["certificate 2 of the chain", "expired on 2021-12-31"]);
}

#[test]
fn a_bundle_without_a_usable_authority_is_named() {
    let directory = Directory::new();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let file = directory.write("ca.pem", bad);
    let error = TlsClient::builder().ca_file(&file).build().unwrap_err();
    assert_says(&error, &["ca.pem", "no certificate of an authority that can be used"]);
    let error = TlsClient::builder().ca_pem("").build().unwrap_err();
    assert_says(&error, &["the given PEM is empty"]);

    // Old bundles hold some that nobody can use.
    let authority = Authority::new("the authority");
    TlsClient::builder().ca_pem(format!("{bad}{}", authority.pem())).build().unwrap();
}

#[test]
fn a_server_needs_a_certificate() {
    let error = TlsServer::builder().build().unwrap_err();
    assert!(error.is_invalid());
    assert_says(&error, &["a TLS server needs a certificate"]);
}

#[test]
fn no_secret_is_shown_for_debugging() {
    let good = self_signed(&["a.example"], |_| {});
    let builder = TlsServer::builder().identity(good.identity());
    for text in [format!("{builder:?}"), format!("{:?}", builder.build().unwrap())] {
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
