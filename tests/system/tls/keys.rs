//! Keys and certificates as openssl writes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wharf::{
    Connection, EventLoop, Result, TlsClient, TlsFingerprint, TlsServer, TlsVersion, Transport,
};

use super::authority::text;
use crate::needs;
use crate::serving::{Directory, Echo, Seen, Watcher, address, run, until};

/// Runs openssl; false when it is not installed.
fn openssl(arguments: &str, files: &[(&str, &Path)]) -> bool {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace());
    for (option, file) in files {
        command.args([option, text(file)]);
    }
    if !needs::program("openssl") {
        return false;
    }
    let output = command.stdin(Stdio::null()).output().expect("openssl");
    assert!(output.status.success(), "{command:?}: {output:?}");
    true
}

/// Signs a certificate with its own key.
fn certify(directory: &Directory, key: &Path, name: &str) -> PathBuf {
    let certificate = directory.join(format!("{name}.crt"));
    let arguments = "req -x509 -subj /CN=a.example -addext subjectAltName=DNS:a.example -days 2";
    assert!(openssl(arguments, &[("-key", key), ("-out", &certificate)]));
    certificate
}

/// Has a connection of ours to a server with these files, and an answer on it.
async fn is_served(event_loop: &EventLoop, certificate: &Path, key: &Path) -> Result {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = TlsServer::from_files(certificate, key)?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").tls(tls).await?;
        let client = TlsClient::builder().pin_certificate_file(certificate).max_version(version);
        let seen = Seen::new();
        let watcher = Watcher(std::rc::Rc::clone(&seen));
        let connection: Connection<_> =
            event_loop.create_connection(|| watcher, address(&server)).tls(client.build()?).await?;
        connection.with(|_, transport| {
            assert_eq!(transport.info().tls().and_then(|tls| tls.version()), Some(version));
            transport.write(b"hello");
        })?;
        until(event_loop, "an answer", || *seen.received.borrow() == b"hello").await;
        connection.handle().close();
        until(event_loop, "its end", || server.connections() == 0).await;
        server.close();
    }
    Ok(())
}

#[test]
fn every_kind_of_key_that_openssl_writes_serves() {
    run(async |event_loop| {
        let directory = Directory::new();
        let kinds = [
            ("rsa-pkcs1", "genrsa -traditional", "2048"),
            ("rsa-pkcs8", "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048", ""),
            ("p256-sec1", "ecparam -genkey -name prime256v1", ""),
            ("p384-sec1", "ecparam -genkey -name secp384r1", ""),
            ("p256-pkcs8", "genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256", ""),
            ("ed25519", "genpkey -quiet -algorithm ED25519", ""),
        ];
        for (name, arguments, size) in kinds {
            let key = directory.join(format!("{name}.key"));
            // The size of an RSA key is the last argument, after the options.
            let arguments = format!("{arguments} -out {} {size}", text(&key));
            if !openssl(&arguments, &[]) {
                return Ok(());
            }
            let certificate = certify(&directory, &key, name);
            is_served(&event_loop, &certificate, &key)
                .await
                .map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    });
}

#[test]
fn an_encrypted_key_of_openssl_is_refused_by_name() {
    let directory = Directory::new();
    let key = directory.join("plain.key");
    if !openssl("ecparam -genkey -name prime256v1 -noout", &[("-out", &key)]) {
        return;
    }
    let certificate = certify(&directory, &key, "plain");
    for (name, arguments) in [
        ("pkcs8.key", "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret"),
        ("sec1.key", "ec -aes128 -passout pass:secret"),
    ] {
        let encrypted = directory.join(name);
        assert!(openssl(arguments, &[("-in", &key), ("-out", &encrypted)]));
        let error = format!("{:#}", TlsServer::from_files(&certificate, &encrypted).unwrap_err());
        assert!(error.contains(name) && error.contains("is encrypted"), "{error}");
        // As the error says.
        let decrypted = directory.join("decrypted.key");
        let arguments = "pkey -passin pass:secret";
        assert!(openssl(arguments, &[("-in", &encrypted), ("-out", &decrypted)]));
        TlsServer::from_files(&certificate, &decrypted).unwrap();
    }
}

#[test]
fn der_is_told_from_pem_and_old_certificates_are_refused() {
    let directory = Directory::new();
    let key = directory.join("key.pem");
    if !openssl("genrsa", &[("-out", &key)]) {
        return;
    }
    let certificate = certify(&directory, &key, "certificate");
    let der = directory.join("certificate.der");
    assert!(openssl("x509 -outform der", &[("-in", &certificate), ("-out", &der)]));
    let error = format!("{:#}", TlsServer::from_files(&der, &key).unwrap_err());
    assert!(error.contains("looks like DER"), "{error}");

    let (request, old) = (directory.join("request.pem"), directory.join("old.pem"));
    assert!(openssl("req -new -subj /CN=old", &[("-key", &key), ("-out", &request)]));
    let files = [("-in", &*request), ("-signkey", &*key), ("-out", &*old)];
    assert!(openssl("x509 -req -days 2", &files));
    let error = format!("{:#}", TlsServer::from_files(&old, &key).unwrap_err());
    assert!(error.contains("old.pem") && error.contains("cannot be parsed"), "{error}");
}

#[test]
fn a_fingerprint_is_the_one_that_openssl_prints() {
    let directory = Directory::new();
    let key = directory.join("key.pem");
    if !openssl("genpkey -quiet -algorithm ED25519", &[("-out", &key)]) {
        return;
    }
    let certificate = certify(&directory, &key, "certificate");
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", text(&certificate)])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let fingerprint = TlsServer::from_files(&certificate, &key).unwrap().fingerprint().unwrap();
    assert!(printed.trim_end().ends_with(&fingerprint.to_string()), "{printed}");
    assert_eq!(printed.parse::<TlsFingerprint>().unwrap(), fingerprint);
}
