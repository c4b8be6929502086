//! A new handshake in the middle of a TLS 1.2 connection, asked for by openssl: refused.

use std::rc::Rc;

use wharf::{TlsClient, TlsServer};

use super::authority::{Authority, text};
use super::servers::said_by_openssl;
use crate::program::Program;
use crate::serving::{Seen, Watcher, address, run, until};

/// As `-msg` shows it.
const REFUSED: &str = "<<< TLS 1.2, Alert [length 0002], warning no_renegotiation";

#[test]
fn openssls_client_may_not_renegotiate() {
    run(async |event_loop| {
        let authority = Authority::new();
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let seen = Seen::new();
        let server =
            event_loop.create_server(seen.watcher(), "127.0.0.1:0").tls(tls.build()?).await?;
        let to = address(&server).to_string();
        let arguments = ["s_client", "-tls1_2", "-msg", "-connect", &to];
        let Some(mut peer) = Program::foreign("openssl", &arguments) else { return Ok(()) };
        peer.types("before\n");
        until(&event_loop, "data", || *seen.received.borrow() == b"before\n").await;
        peer.types("R\n");
        peer.line_with(&event_loop, REFUSED).await;
        // It insists, and gives up.
        until(&event_loop, "its end", || seen.lost() == 1).await;
        assert!(!seen.lost_cleanly());
        Ok(())
    });
}

#[test]
fn openssls_server_may_not_renegotiate() {
    run(async |event_loop| {
        let authority = Authority::new();
        let (files, ca) = (authority.issue(&["a.example"]), authority.file());
        let (chain, key) = (text(&files.chain), text(&files.key));
        let listen = ["s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-msg"];
        let arguments = [&listen[..], &["-cert", chain, "-key", key]].concat();
        let Some(mut peer) = Program::foreign("openssl", &arguments) else { return Ok(()) };
        let port = said_by_openssl(&peer).ok_or("no port")?;
        let tls = TlsClient::builder().ca_file(ca).build()?.server_name("a.example");
        let seen = Seen::new();
        let watcher = Watcher(Rc::clone(&seen));
        let connection =
            event_loop.create_connection(|| watcher, ("127.0.0.1", port)).tls(tls).await?;
        peer.types("before\n");
        until(&event_loop, "data", || *seen.received.borrow() == b"before\n").await;
        peer.types("r\n");
        peer.line_with(&event_loop, REFUSED).await;
        until(&event_loop, "its end", || seen.lost() == 1).await;
        assert!(!seen.lost_cleanly());
        drop(connection);
        Ok(())
    });
}
