//! TLS of the binary, with foreign peers and its own.

use std::fs;

use rustix::process::Signal;
use wharf::TlsClient;
use wharf_executor::client::{Client, ClientOptions};
use wharf_test_support::authority::{Authority, text};
use wharf_test_support::program::Program;

use crate::support::{Place, listening, run, start};

#[test]
fn a_foreign_peer_without_a_certificate_is_refused_and_a_renewed_certificate_is_shown() {
    let (place, servers, clients) = (Place::new(), Authority::new(), Authority::new());
    let server = servers.issue(&["127.0.0.1"]);
    let own = clients.issue(&["operator"]);
    let authority = clients.file();
    let tls = ["--listen", "127.0.0.1:0", "--tls-cert", text(&server.chain), "--tls-key"];
    let tls = [&tls[..], &[text(&server.key), "--tls-client-ca", text(&authority)]].concat();
    let coordinator = place.serve(&tls);
    listening(&coordinator);
    let address = listening(&coordinator);
    // Without a certificate, by another library of TLS; and without TLS.
    let trusted = servers.file();
    let foreign = ["s_client", "-connect", &address, "-CAfile", text(&trusted), "-ign_eof"];
    if let Some(foreign) = Program::foreign("openssl", &foreign) {
        let ending = foreign.end();
        assert!(ending.errors.contains("certificate required"), "{}", ending.errors);
    }
    let plain = start(&["status", "x", "--connect", &address, "--connect-timeout", "500ms"]).end();
    assert_eq!(plain.code, Some(5), "{}", plain.errors);
    let known = ["status", "x", "--connect", &address, "--tls-ca", text(&trusted)];
    let identity = ["--tls-cert", text(&own.chain), "--tls-key", text(&own.key)];
    let known = start(&[&known[..], &identity].concat()).end();
    assert_eq!(known.code, Some(6), "there is no such task: {}", known.errors);

    let renewing = Authority::new();
    let renewed = renewing.issue(&["127.0.0.1"]);
    fs::copy(&renewed.chain, &server.chain).unwrap();
    fs::copy(&renewed.key, &server.key).unwrap();
    coordinator.signal(Signal::HUP);
    run(async |event_loop| {
        let tls = TlsClient::builder().ca_file(renewing.file()).identity(own.identity()).build()?;
        let options = ClientOptions { tls: Some(tls), ..ClientOptions::default() };
        // It connects again until the new one is shown.
        Client::start(&event_loop, [&*address], options)?.submit("sleep", &1).await?;
        Ok(())
    });
}
