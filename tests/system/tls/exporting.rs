//! Keying material, as foreign peers export it.

use wharf::{Protocol, Result, TlsServer, Transport};

use super::authority::{Authority, text};
use crate::peers::Peer;
use crate::serving::{address, run};

/// Says what it exports, or why it does not, and ends when the peer has ended.
struct Export;

impl Protocol for Export {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let mut material = [0; 32];
        let said = match transport.export_keying_material(&mut material, b"EXPORTER-test", None) {
            Ok(()) => material.iter().map(|byte| format!("{byte:02X}")).collect(),
            Err(error) if error.is_unsupported() => "unsupported".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        transport.write(format!("we export {said}\n").as_bytes());
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        transport.close();
        Ok(())
    }
}

#[test]
fn openssl_exports_the_same_keying_material() {
    run(async |event_loop| {
        let authority = Authority::new();
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let server = event_loop.create_server(|| Export, "127.0.0.1:0").tls(tls.build()?).await?;
        let to = address(&server).to_string();
        for version in ["-tls1_2", "-tls1_3"] {
            // It would not wait for the answer, otherwise.
            let ours = ["s_client", "-ign_eof", version, "-connect", &to];
            let export = ["-keymatexport", "EXPORTER-test", "-keymatexportlen", "32"];
            let arguments = [&ours[..], &export].concat();
            let Some(peer) = Peer::start("openssl", arguments, b"enough\n".to_vec()) else {
                return Ok(());
            };
            let output = peer.end(&event_loop).await;
            let said = String::from_utf8_lossy(&output.stdout);
            let after = |what: &str| {
                let (_, rest) = said.split_once(what).unwrap_or_else(|| panic!("{output:?}"));
                rest.split_whitespace().next().map(str::to_owned)
            };
            let theirs = after("Keying material: ");
            assert_eq!(theirs.as_ref().map(String::len), Some(64), "{said}");
            assert_eq!(after("we export "), theirs, "{version}");
        }
        Ok(())
    });
}

#[test]
fn nothing_is_exported_of_a_master_secret_that_is_not_extended() {
    run(async |event_loop| {
        let authority = Authority::new();
        let ca = authority.file();
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let server = event_loop.create_server(|| Export, "127.0.0.1:0").tls(tls.build()?).await?;
        let port = address(&server).port().to_string();
        for (option, is_refused) in [("", false), (":%NO_SESSION_HASH", true)] {
            let priority = format!("NORMAL:-VERS-ALL:+VERS-TLS1.2{option}");
            let ours = ["--logfile=/dev/null", "--priority", &priority, "-p", &port];
            let name = ["--sni-hostname=a.example", "--verify-hostname=a.example"];
            let all = [&ours[..], &["--x509cafile", text(&ca)], &name, &["127.0.0.1"]].concat();
            let Some(peer) = Peer::start("gnutls-cli", all, b"enough\n".to_vec()) else {
                return Ok(());
            };
            let output = peer.end(&event_loop).await;
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("we export "), "{output:?}");
            assert_eq!(said.contains("we export unsupported"), is_refused, "{said}");
        }
        Ok(())
    });
}
