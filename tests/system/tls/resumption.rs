//! Sessions that foreign clients take up again; `python.rs` and `servers.rs` have more.

use wharf::{Protocol, Result, TlsServer, Transport};

use super::authority::{Authority, text};
use crate::peers::Peer;
use crate::serving::{Directory, address, run};

/// Says whether the session was taken up again, and ends when the peer has ended: not before it has
/// got its tickets.
struct Tell;

impl Protocol for Tell {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let info = transport.info();
        let is_resumed = info.tls().is_some_and(|tls| tls.is_resumed());
        let said: &[u8] = if is_resumed { b"taken up again\n" } else { b"from scratch\n" };
        transport.write(said);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        transport.close();
        Ok(())
    }
}

#[test]
fn openssl_and_gnutls_resume() {
    run(async |event_loop| {
        let (authority, directory) = (Authority::new(), Directory::new());
        let (ca, session) = (authority.file(), directory.join("session"));
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let server = event_loop.create_server(|| Tell, "127.0.0.1:0").tls(tls.build()?).await?;
        let (to, port) = (address(&server).to_string(), address(&server).port().to_string());
        for version in ["-tls1_2", "-tls1_3"] {
            for (option, expected) in
                [("-sess_out", "from scratch\n"), ("-sess_in", "taken up again\n")]
            {
                let arguments =
                    ["s_client", "-quiet", version, "-connect", &to, option, text(&session)];
                let Some(peer) = Peer::start("openssl", arguments, b"enough\n".to_vec()) else {
                    break;
                };
                let output = peer.end(&event_loop).await;
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
            }
        }
        for version in ["1.2", "1.3"] {
            let priority = format!("NORMAL:-VERS-ALL:+VERS-TLS{version}");
            let ours = ["--resume", "--logfile=/dev/null", "--priority", &priority, "-p", &port];
            let name = ["--sni-hostname=a.example", "--verify-hostname=a.example"];
            let all = [&ours[..], &["--x509cafile", text(&ca)], &name, &["127.0.0.1"]].concat();
            let Some(peer) = Peer::start("gnutls-cli", all, b"enough\n".to_vec()) else { break };
            let output = peer.end(&event_loop).await;
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("taken up again"), "{output:?}");
        }
        Ok(())
    });
}
