//! A new handshake in the middle of a TLS 1.2 connection, asked for by openssl: refused.

use wharf::TlsServer;

use super::authority::Authority;
use super::servers::TalkingServer;
use crate::program::Program;
use crate::serving::{Seen, address, run, until};

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
        let server = TalkingServer::connect(&event_loop, "-tls1_2").await?;
        let Some(TalkingServer { openssl: mut peer, seen, ours }) = server else { return Ok(()) };
        peer.types("before\n");
        until(&event_loop, "data", || *seen.received.borrow() == b"before\n").await;
        peer.types("r\n");
        peer.line_with(&event_loop, REFUSED).await;
        until(&event_loop, "its end", || seen.lost() == 1).await;
        assert!(!seen.lost_cleanly());
        drop(ours);
        Ok(())
    });
}
