//! Early data to a foreign server.

use std::rc::Rc;

use wharf::{EventLoop, Result, TlsClient, TlsEarlyData, Transport};

use super::authority::{Authority, Files, text};
use super::servers::said_by_openssl;
use crate::program::Program;
use crate::serving::{Seen, Watcher, run, until};

/// `openssl s_server`, which shows what it receives, and its port.
fn start(files: &Files) -> Option<(Program, u16)> {
    let shown = ["-cert", text(&files.chain), "-key", text(&files.key)];
    let ours = ["s_server", "-accept", "127.0.0.1:0", "-tls1_3"];
    let early = ["-early_data", "-max_early_data", "100"];
    let program = Program::foreign("openssl", &[&ours[..], &early, &shown].concat())?;
    let port = said_by_openssl(&program).expect("a port");
    Some((program, port))
}

/// Connects with a line as early data, which the server says was treated so; says something more, and
/// waits for an answer, before which tickets come.
async fn visit(
    event_loop: &EventLoop,
    (program, port): &mut (Program, u16),
    tls: &TlsClient,
    early: &str,
    said: &str,
) -> Result<TlsEarlyData> {
    let seen = Seen::new();
    let watcher = Watcher(Rc::clone(&seen));
    let connecting = event_loop.create_connection(|| watcher, ("127.0.0.1", *port)).tls(tls);
    let connection = connecting.early_data(early).await?;
    connection.with(|_, transport| transport.write(b"later\n"))?;
    // What it says of early data is buffered, what it receives is not.
    let lines = program.lines_with(event_loop, &[said, early.trim_end(), "later"]).await;
    let received = [early.trim_end(), "later"];
    let mut shown = lines;
    shown.retain(|line| received.contains(&&**line));
    assert_eq!(shown, received, "once, and in order");
    program.types("welcome\n");
    until(event_loop, "an answer", || *seen.received.borrow() == b"welcome\n").await;
    let info = connection.handle().info();
    connection.handle().close();
    Ok(info.tls().expect("TLS").early_data())
}

#[test]
fn openssl_takes_early_data_or_gets_it_after_the_handshake() {
    run(async |event_loop| {
        let authority = Authority::new();
        let files = authority.issue(&["a.example"]);
        let Some(mut server) = start(&files) else { return Ok(()) };
        let tls = TlsClient::builder().ca_file(authority.file()).build()?.server_name("a.example");
        let visit =
            async |server: &mut _, early, said| visit(&event_loop, server, &tls, early, said).await;
        let early = "an early line\n";
        let outcome = visit(&mut server, early, "No early data received").await?;
        assert_eq!(outcome, TlsEarlyData::NotOffered);
        let outcome = visit(&mut server, early, "Early data received:").await?;
        assert_eq!(outcome, TlsEarlyData::Accepted);
        // Another one, which cannot know the session.
        let mut other = start(&files).expect("openssl");
        let outcome = visit(&mut other, early, "Early data was rejected").await?;
        assert_eq!(outcome, TlsEarlyData::Rejected);
        let outcome = visit(&mut other, early, "Early data received:").await?;
        assert_eq!(outcome, TlsEarlyData::Accepted);
        Ok(())
    });
}
