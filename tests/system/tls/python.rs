//! Python's ssl, as client and as server.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::rc::Rc;

use wharf::{
    EventLoop, Protocol, Result, TlsClient, TlsClientBuilder, TlsServer, TlsVersion, Transport,
};

use super::authority::{Authority, text};
use crate::peers::{Peer, start};
use crate::process::Guard;
use crate::serving::{Echo, Seen, Watcher, address, run, until};

/// Connects twice, and resumes; says how each went.
const CLIENT: &str = r#"
import socket, ssl, sys

port, ca, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
context.maximum_version = ssl.TLSVersion[version]
context.set_alpn_protocols(["imap"])
session = None
for _ in range(2):
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname="a.example", session=session) as stream:
        stream.sendall(b"hello")
        assert stream.recv(5) == b"hello"
        session = stream.session
        print(stream.version(), stream.selected_alpn_protocol(), stream.session_reused)
"#;

/// Serves a number of connections, with clients' certificates; says who came.
const SERVER: &str = r#"
import socket, ssl, sys

chain, key, ca, version, count = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
context.load_cert_chain(chain, key)
context.verify_mode = ssl.CERT_REQUIRED
context.maximum_version = ssl.TLSVersion[version]
context.set_alpn_protocols(["imap"])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
for _ in range(int(count)):
    plain, _ = listener.accept()
    plain.settimeout(10)
    try:
        with context.wrap_socket(plain, server_side=True) as stream:
            who = dict(item[0] for item in stream.getpeercert()["subject"])["commonName"]
            print(who, stream.selected_alpn_protocol(), stream.session_reused, flush=True)
            while data := stream.recv(1000):
                stream.sendall(data)
            stream.unwrap()
    except ssl.SSLError as error:
        print(error.reason, flush=True)
"#;

const VERSIONS: [(TlsVersion, &str); 2] =
    [(TlsVersion::Tls12, "TLSv1_2"), (TlsVersion::Tls13, "TLSv1_3")];

#[test]
fn pythons_client_is_served_and_resumes() {
    run(async |event_loop| {
        let authority = Authority::new();
        let tls = TlsServer::builder()
            .identity(authority.issue(&["a.example"]).identity())
            .alpn(["imap"])
            .build()?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").tls(&tls).await?;
        let port = address(&server).port().to_string();
        let ca = authority.file();
        for (_, version) in VERSIONS {
            let arguments = ["-c", CLIENT, &port, text(&ca), version];
            let Some(peer) = Peer::start("python3", arguments, Vec::new()) else { return Ok(()) };
            let output = peer.end(&event_loop).await;
            let shown = version.replace('_', ".");
            let shown = shown.strip_suffix(".0").unwrap_or(&shown);
            let expected = format!("{shown} imap False\n{shown} imap True\n");
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
        }
        Ok(())
    });
}

/// A server of Python's, and what it says.
struct PythonServer {
    process: RefCell<Guard>,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl PythonServer {
    fn start(authority: &Authority, version: &str, connections: u32) -> Option<Self> {
        let (files, ca) = (authority.issue(&["a.example"]), authority.file());
        let count = connections.to_string();
        let arguments =
            ["-c", SERVER, text(&files.chain), text(&files.key), text(&ca), version, &count];
        let mut process = start("python3", arguments)?;
        let mut output = BufReader::new(process.0.stdout.take().expect("a pipe"));
        let mut port = String::new();
        output.read_line(&mut port).expect("a port");
        let port = port.trim().parse().expect("a port");
        Some(Self { process: RefCell::new(process), output, port })
    }

    /// Waits for its end, and gives what it has said.
    async fn end(mut self, event_loop: &EventLoop) -> String {
        until(event_loop, "the server's end", || self.process.borrow_mut().is_over()).await;
        assert!(self.process.borrow_mut().wait().success());
        let mut said = String::new();
        self.output.read_to_string(&mut said).expect("text");
        said
    }
}

/// Sends a word, and ends when it has come back.
struct Greeter(Rc<Seen>);

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"hello");
        Watcher(Rc::clone(&self.0)).connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.0.received.borrow_mut().extend_from_slice(data);
        if self.0.received.borrow().ends_with(b"hello") {
            transport.close();
        }
        Ok(())
    }

    fn connection_lost(
        &mut self,
        transport: &dyn Transport,
        error: Option<&wharf::Error>,
    ) -> Result {
        Watcher(Rc::clone(&self.0)).connection_lost(transport, error)
    }
}

fn client(authority: &Authority) -> TlsClientBuilder {
    TlsClient::builder().ca_file(authority.file()).alpn(["imap"])
}

#[test]
fn pythons_server_knows_our_client_and_lets_it_resume() {
    run(async |event_loop| {
        for (version, name) in VERSIONS {
            let authority = Authority::new();
            let Some(server) = PythonServer::start(&authority, name, 2) else { return Ok(()) };
            let tls = client(&authority).identity(authority.issue(&["client"]).identity());
            let tls = tls.build()?.server_name("a.example");
            for is_second in [false, true] {
                let seen = Seen::new();
                let greeter = Greeter(Rc::clone(&seen));
                let to = ("127.0.0.1", server.port);
                let connection = event_loop.create_connection(|| greeter, to).tls(&tls).await?;
                let info = connection.handle().info();
                let info = info.tls().expect("TLS");
                assert_eq!(info.version(), Some(version));
                assert_eq!(info.alpn_protocol(), Some(&b"imap"[..]));
                assert_eq!(info.is_resumed(), is_second);
                until(&event_loop, "its end", || seen.lost() == 1).await;
                assert!(seen.lost_cleanly(), "{:?}", seen.lost.borrow());
            }
            let said = server.end(&event_loop).await;
            assert_eq!(said, "client imap False\nclient imap True\n");
        }
        Ok(())
    });
}

#[test]
fn pythons_server_is_refused_under_another_name() {
    run(async |event_loop| {
        let authority = Authority::new();
        let Some(server) = PythonServer::start(&authority, "TLSv1_3", 1) else { return Ok(()) };
        let to = ("127.0.0.1", server.port);
        let watcher = Watcher(Seen::new());
        let connecting =
            event_loop.create_connection(|| watcher, to).tls(client(&authority).build()?);
        let error = connecting.await.expect_err("the certificate is for a name");
        assert!(error.is_tls());
        let text = format!("{error:#}");
        assert!(text.ends_with("certificate is for a.example, not for 127.0.0.1"), "{text}");
        assert!(server.end(&event_loop).await.contains("BAD_CERTIFICATE"));
        Ok(())
    });
}

#[test]
fn pythons_server_refuses_a_client_without_a_certificate_in_words() {
    run(async |event_loop| {
        for (version, name) in VERSIONS {
            let authority = Authority::new();
            let Some(server) = PythonServer::start(&authority, name, 1) else { return Ok(()) };
            let tls = client(&authority).build()?.server_name("a.example");
            let seen = Seen::new();
            let watcher = Watcher(Rc::clone(&seen));
            let to = ("127.0.0.1", server.port);
            let text = match event_loop.create_connection(|| watcher, to).tls(&tls).await {
                Err(error) => format!("{error:#}"),
                // In TLS 1.3 a client is done before the server has looked at it.
                Ok(_) => {
                    assert_eq!(version, TlsVersion::Tls13);
                    until(&event_loop, "its end", || seen.lost() == 1).await;
                    seen.lost.borrow()[0].clone().expect("an error")
                }
            };
            assert!(text.contains("the peer sent the alert "), "{text}");
            assert!(text.contains("asks for a c"), "{text}");
            assert!(server.end(&event_loop).await.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE"));
        }
        Ok(())
    });
}
