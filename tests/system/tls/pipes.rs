//! TLS with foreign peers at the other end of a child's standard input and output.

use std::process::{Command, Stdio};
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{EventLoop, Protocol, Result, TlsClient, TlsServer, TlsUpgrade, Transport};

use super::authority::{Authority, text};
use super::servers::said_by_openssl;
use crate::needs;
use crate::process::Guard;
use crate::program::Program;
use crate::serving::{Seen, run, until};

/// Says a line under TLS, and notes what comes.
struct Speaker {
    upgrade: TlsUpgrade,
    line: &'static [u8],
    seen: Rc<Seen>,
}

impl Protocol for Speaker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.start_tls(self.upgrade.clone(), Bytes::new());
        transport.write(self.line);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.seen.received.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.seen.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Starts a program and speaks TLS with it over its pipes, until `answer` came; what is known of the
/// connection.
async fn speak(
    event_loop: &EventLoop,
    command: &mut Command,
    upgrade: impl Into<TlsUpgrade>,
    answer: &[u8],
) -> Result<Option<Rc<wharf::Info>>> {
    if !needs::program(&command.get_program().to_string_lossy()) {
        return Ok(None);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let mut child = Guard(child);
    let seen = Seen::new();
    let speaker = Speaker { upgrade: upgrade.into(), line: b"level?\n", seen: Rc::clone(&seen) };
    let connection = event_loop.connect_pipes(|| speaker, output, input).await?;
    until(event_loop, "an answer", || *seen.received.borrow() == answer).await;
    let info = connection.handle().info();
    connection.handle().close();
    until(event_loop, "the end", || seen.lost() == 1).await;
    assert!(seen.lost_cleanly(), "{:?}", seen.lost.borrow());
    let child = std::cell::RefCell::new(&mut child);
    until(event_loop, "the child's end", || child.borrow_mut().is_over()).await;
    Ok(Some(info))
}

#[test]
fn openssl_is_spoken_to_through_a_program_on_pipes() {
    run(async |event_loop| {
        let authority = Authority::new();
        let files = authority.issue(&["a.example"]);
        let shown = ["-cert", text(&files.chain), "-key", text(&files.key)];
        let ours = ["s_server", "-accept", "127.0.0.1:0", "-rev"];
        let Some(server) = Program::foreign("openssl", &[&ours[..], &shown].concat()) else {
            return Ok(());
        };
        let to = format!("TCP:127.0.0.1:{}", said_by_openssl(&server).expect("a port"));
        let tls = TlsClient::builder().ca_file(authority.file()).build()?.server_name("a.example");
        let mut socat = Command::new("socat");
        socat.args(["-", &to]);
        if let Some(info) = speak(&event_loop, &mut socat, &tls, b"?level\n").await? {
            assert!(info.tls().expect("TLS").peer_certificates().len() > 0);
            assert_eq!(info.peer_address(), None);
        }
        Ok(())
    });
}

/// A client in Python whose TLS goes over standard input and output.
const CLIENT: &str = r#"
import os, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="a.example")
def work(step):
    while True:
        try:
            result = step()
        except ssl.SSLWantReadError:
            result = None
        os.write(1, outgoing.read())
        if result is not None:
            return result
        data = os.read(0, 65536)
        incoming.write(data) if data else incoming.write_eof()
work(lambda: tls.do_handshake() or True)
line = work(lambda: tls.read(100))
work(lambda: tls.write(line.upper()))
assert work(lambda: [tls.read(100)]) == [b""]
"#;

#[test]
fn pythons_ssl_is_served_over_pipes() {
    run(async |event_loop| {
        let authority = Authority::new();
        let ca = authority.file();
        let identity = authority.issue(&["a.example"]).identity();
        let tls = TlsServer::builder().identity(identity).build()?;
        let mut python = Command::new("python3");
        python.args(["-c", CLIENT, text(&ca)]);
        if let Some(info) = speak(&event_loop, &mut python, &tls, b"LEVEL?\n").await? {
            assert_eq!(info.tls().expect("TLS").server_name(), Some("a.example"));
        }
        Ok(())
    });
}
