//! A client that writes and closes at once, while a TLS 1.3 server's tickets are still on their way.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wharf::{Error, EventLoop, Protocol, Result, TlsClient, TlsServer, Transport};

use super::authority::{Authority, text};
use crate::peers::start;
use crate::process::Guard;
use crate::serving::{Seen, address, run, until};

const MUCH: usize = 1024 * 1024;

/// What is sent, which no program says by itself.
const BYTE: u8 = 7;

const ROUNDS: usize = 20;

const DELAY: Duration = Duration::from_millis(10);

/// Reads everything, and repeats it on its standard output.
const SERVER: &str = r#"
import socket, ssl, sys

chain, key = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(chain, key)
listener = socket.create_server(("127.0.0.1", 0))
print("ACCEPT", "127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    plain, _ = listener.accept()
    plain.settimeout(30)
    try:
        with context.wrap_socket(plain, server_side=True) as stream:
            while data := stream.recv(65536):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
"#;

/// Writes everything, and closes.
struct WriteAndClose(Rc<Seen>);

impl Protocol for WriteAndClose {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&vec![BYTE; MUCH]);
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("the server says nothing".into())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Connects again and again; `received` tells how much the server has got so far.
async fn all_arrives(
    event_loop: &EventLoop,
    authority: &Authority,
    port: u16,
    what: &str,
    received: impl Fn() -> usize,
) -> Result {
    for round in 1..=ROUNDS {
        let before = received();
        let seen = Seen::new();
        let tls = TlsClient::builder().ca_file(authority.file()).build()?;
        let tls = tls.server_name("a.example");
        let client = WriteAndClose(Rc::clone(&seen));
        event_loop.create_connection(|| client, ("127.0.0.1", port)).tls(tls).await?;
        let what = format!("{what}, round {round}");
        until(event_loop, &format!("{what}: all bytes"), || received() == before + MUCH).await;
        until(event_loop, &format!("{what}: the end"), || seen.lost() == 1).await;
        assert!(seen.lost_cleanly(), "{what}: {:?}", seen.lost.borrow());
    }
    Ok(())
}

fn arrives_at_wharf(delayed: bool) {
    run(async |event_loop| {
        let authority = Authority::new();
        let tls = TlsServer::builder().identity(authority.issue(&["a.example"]).identity());
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").tls(tls.build()?);
        let server = server.await?;
        let port = address(&server).port();
        let port = if delayed { delaying_relay(port) } else { port };
        let received = || seen.received.borrow().len();
        all_arrives(&event_loop, &authority, port, "wharf", received).await?;
        until(&event_loop, "the server's ends", || seen.lost() == ROUNDS).await;
        assert!(seen.lost_cleanly(), "{:?}", seen.lost.borrow());
        Ok(())
    });
}

fn arrives_at(program: &str, arguments: &[&str], delayed: bool) {
    run(async |event_loop| {
        let authority = Authority::new();
        let files = authority.issue(&["a.example"]);
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|argument| match *argument {
                "CHAIN" => text(&files.chain),
                "KEY" => text(&files.key),
                other => other,
            })
            .collect();
        let Some(server) = ForeignServer::start(program, &arguments) else { return Ok(()) };
        let received = || server.received.load(Ordering::Relaxed);
        let port = if delayed { delaying_relay(server.port) } else { server.port };
        all_arrives(&event_loop, &authority, port, program, received).await
    });
}

/// Hands on everything after [`DELAY`], both ways.
fn delaying_relay(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        // As many as are connected; then the test is over.
        for near in listener.incoming().take(ROUNDS).flatten() {
            let far = TcpStream::connect(("127.0.0.1", to)).expect("a server");
            for (from, into) in [(&near, &far), (&far, &near)] {
                let from = from.try_clone().expect("a descriptor");
                hand_on(from, into.try_clone().expect("a descriptor"));
            }
        }
    });
    port
}

fn hand_on(mut from: TcpStream, mut into: TcpStream) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + DELAY, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, data) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if into.write_all(&data).is_err() {
                return;
            }
        }
        thread::sleep(DELAY);
        let _ = into.shutdown(Shutdown::Write);
    });
}

/// A foreign server, and how much it has received.
struct ForeignServer {
    _process: RefCell<Guard>,
    port: u16,
    received: Arc<AtomicUsize>,
}

impl ForeignServer {
    fn start(program: &str, arguments: &[&str]) -> Option<Self> {
        let mut process = start(program, arguments)?;
        let mut output = BufReader::new(process.0.stdout.take().expect("a pipe"));
        let port = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).expect("text") > 0, "{program} says no port");
            if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
                break address.rsplit_once(':')?.1.parse().ok()?;
            }
        };
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                let own = buffer[..len].iter().filter(|byte| **byte == BYTE).count();
                count.fetch_add(own, Ordering::Relaxed);
            }
        });
        Some(Self { _process: RefCell::new(process), port, received })
    }
}

// 62, 251.
#[test]
fn what_a_client_writes_before_it_closes_arrives_at_wharf() {
    for delayed in [false, true] {
        arrives_at_wharf(delayed);
    }
}

// 62, 251.
#[test]
fn what_a_client_writes_before_it_closes_arrives_at_openssl() {
    let listen = ["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-cert", "CHAIN", "-key", "KEY"];
    for delayed in [false, true] {
        arrives_at("openssl", &listen, delayed);
    }
}

// 62, 251.
#[test]
fn what_a_client_writes_before_it_closes_arrives_at_python() {
    for delayed in [false, true] {
        arrives_at("python3", &["-c", SERVER, "CHAIN", "KEY"], delayed);
    }
}
