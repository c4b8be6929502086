//! New keys in the middle of a connection, asked for by openssl.

use wharf::{TlsServer, Transport};

use super::authority::Authority;
use super::servers::TalkingServer;
use crate::program::Program;
use crate::serving::{Echo, address, run, until};

/// As `-msg` shows them.
const SENT: &str = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate";
const RECEIVED: &str = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate";

/// What to type: `K` asks the peer for new keys too.
const COMMANDS: [(&str, bool); 3] = [("k\n", false), ("K\n", true), ("K\n", true)];

#[test]
fn openssls_client_changes_keys_and_has_ours_changed() {
    run(async |event_loop| {
        let authority = Authority::new();
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").tls(tls.build()?).await?;
        let to = address(&server).to_string();
        let arguments = ["s_client", "-tls1_3", "-msg", "-connect", &to];
        let Some(mut peer) = Program::foreign("openssl", &arguments) else { return Ok(()) };
        peer.types("before\n");
        peer.line_with(&event_loop, "before").await;
        for (command, asks) in COMMANDS {
            peer.types(command);
            peer.line_with(&event_loop, SENT).await;
            peer.types("after\n");
            // The answer comes with the next data that we send, here the echo.
            if asks {
                peer.line_with(&event_loop, RECEIVED).await;
            }
            peer.line_with(&event_loop, "after").await;
        }
        peer.types("Q\n");
        until(&event_loop, "its end", || server.connections() == 0).await;
        Ok(())
    });
}

#[test]
fn openssls_server_changes_keys_and_has_ours_changed() {
    run(async |event_loop| {
        let server = TalkingServer::connect(&event_loop, "-tls1_3").await?;
        let Some(TalkingServer { openssl: mut peer, seen, ours }) = server else { return Ok(()) };
        let ours = ours.handle();
        let mut expected = b"before\n".to_vec();
        peer.types("before\n");
        until(&event_loop, "data", || *seen.received.borrow() == expected).await;
        for (number, (command, asks)) in COMMANDS.into_iter().enumerate() {
            peer.types(command);
            peer.line_with(&event_loop, SENT).await;
            peer.types("after\n");
            expected.extend_from_slice(b"after\n");
            until(&event_loop, "data", || *seen.received.borrow() == expected).await;
            let line = format!("ours {number}\n");
            ours.write(line.as_bytes());
            if asks {
                peer.line_with(&event_loop, RECEIVED).await;
            }
            peer.line_with(&event_loop, line.trim_end()).await;
        }
        ours.close();
        until(&event_loop, "its end", || seen.lost() == 1).await;
        assert!(seen.lost_cleanly());
        Ok(())
    });
}
