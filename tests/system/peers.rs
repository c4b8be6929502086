//! Foreign peers: Python's asyncio, netcat and socat.
//!
//! A test whose peer is not installed says so, and fails where everything has to be there.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::thread;

use wharf::{Eof, Error, EventLoop, Protocol, Result, Server, Transport};

use crate::needs::{self, loopbacks, netcat_that_ends};
use crate::process::Guard;
use crate::serving::{Directory, Echo, address, run, until};

/// Enough to fill every buffer on the way many times.
const MUCH: usize = 8 * 1024 * 1024;

/// Bytes that are not the same everywhere.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

/// A peer's process, fed and read by threads; `None` when the program is not installed.
pub(crate) struct Peer {
    process: Guard,
    output: thread::JoinHandle<Vec<u8>>,
    errors: thread::JoinHandle<Vec<u8>>,
}

impl Peer {
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        input: Vec<u8>,
    ) -> Option<Self> {
        let mut process = start(program, arguments)?;
        let mut stdin = process.0.stdin.take().expect("a pipe");
        // It ends with a broken pipe when the peer does not read it all.
        thread::spawn(move || stdin.write_all(&input));
        let output = read_all(process.0.stdout.take().expect("a pipe"));
        let errors = read_all(process.0.stderr.take().expect("a pipe"));
        Some(Self { process, output, errors })
    }

    /// Waits for its end, on the loop.
    pub(crate) async fn end(mut self, event_loop: &EventLoop) -> Output {
        let process = RefCell::new(&mut self.process);
        until(event_loop, "the peer's end", || process.borrow_mut().is_over()).await;
        Output {
            status: self.process.wait(),
            stdout: self.output.join().expect("no panic"),
            stderr: self.errors.join().expect("no panic"),
        }
    }
}

pub(crate) fn start<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Option<Guard> {
    if !needs::program(program) {
        return None;
    }
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Some(Guard(spawned.unwrap_or_else(|error| panic!("{program}: {error}"))))
}

fn read_all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).expect("a pipe that can be read");
        all
    })
}

/// Checks a peer that sends its standard input, ends its side, and writes what comes back.
async fn check_echoed(event_loop: &EventLoop, server: &Server, peer: Option<Peer>, sent: &[u8]) {
    let Some(peer) = peer else { return };
    let output = peer.end(event_loop).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == sent, "{} of {} bytes", output.stdout.len(), sent.len());
    until(event_loop, "its end", || server.connections() == 0).await;
    assert_eq!(event_loop.statistics().exceptions, 0);
}

/// Sends everything, ends its side, and collects what comes back.
struct Sending {
    data: Vec<u8>,
    received: Rc<RefCell<Vec<u8>>>,
    lost: Rc<RefCell<Vec<Option<String>>>>,
}

impl Protocol for Sending {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write_bytes(std::mem::take(&mut self.data).into());
        transport.write_eof();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.received.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Checks a foreign echo server with a client of ours, made by `connect`.
async fn check_echo_server(
    event_loop: &EventLoop,
    connect: impl AsyncFnOnce(&EventLoop, Sending) -> Result,
) -> Result {
    let data = pattern(MUCH);
    let (received, lost) = (Rc::default(), Rc::default());
    let client =
        Sending { data: data.clone(), received: Rc::clone(&received), lost: Rc::clone(&lost) };
    connect(event_loop, client).await?;
    until(event_loop, "the end", || !lost.borrow().is_empty()).await;
    assert_eq!(*lost.borrow(), [None]);
    assert!(*received.borrow() == data, "{} bytes", received.borrow().len());
    Ok(())
}

const ASYNCIO_CLIENT: &str = r#"
import asyncio, sys

async def main():
    data = sys.stdin.buffer.read()
    reader, writer = await asyncio.open_connection(*sys.argv[1:])
    async def send():
        for start in range(0, len(data), 100_000):
            writer.write(data[start:start + 100_000])
            await writer.drain()
        writer.write_eof()
    sending = asyncio.create_task(send())
    received = await reader.read()
    await sending
    writer.close()
    await writer.wait_closed()
    sys.stdout.buffer.write(received)

asyncio.run(main())
"#;

const ASYNCIO_SERVER: &str = r#"
import asyncio, sys

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)
    def pause_writing(self):
        self.transport.pause_reading()
    def resume_writing(self):
        self.transport.resume_reading()
    def eof_received(self):
        return False
    def connection_lost(self, error):
        lost.set_result(error)

async def main():
    global lost
    lost = asyncio.get_running_loop().create_future()
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    assert await lost is None
    server.close()

asyncio.run(main())
"#;

#[test]
fn a_client_of_pythons_asyncio_gets_everything_back() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let data = pattern(MUCH);
        let to = address(&server);
        let arguments = [
            "-c".to_owned(),
            ASYNCIO_CLIENT.to_owned(),
            to.ip().to_string(),
            to.port().to_string(),
        ];
        let peer = Peer::start("python3", arguments, data.clone());
        check_echoed(&event_loop, &server, peer, &data).await;
        Ok(())
    });
}

#[test]
fn a_server_of_pythons_asyncio_serves_our_client() {
    run(async |event_loop| {
        let Some(mut server) = start("python3", ["-c", ASYNCIO_SERVER]) else { return Ok(()) };
        let mut port = String::new();
        BufReader::new(server.0.stdout.take().expect("a pipe")).read_line(&mut port)?;
        let to = format!("127.0.0.1:{}", port.trim());
        check_echo_server(&event_loop, async |event_loop, client| {
            event_loop.create_connection(move || client, to).await?;
            Ok(())
        })
        .await?;
        let server = RefCell::new(server);
        until(&event_loop, "the server's end", || server.borrow_mut().is_over()).await;
        assert!(server.borrow_mut().wait().success(), "it saw an error");
        Ok(())
    });
}

#[test]
fn netcat_gets_everything_back_over_tcp_and_unix_sockets() {
    if !netcat_that_ends() {
        return;
    }
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let data = pattern(MUCH);
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let port = address(&server).port().to_string();
        let peer = Peer::start("nc", ["-N", "127.0.0.1", &port], data.clone());
        check_echoed(&event_loop, &server, peer, &data).await;

        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        let arguments = [OsStr::new("-N"), OsStr::new("-U"), path.as_os_str()];
        let peer = Peer::start("nc", arguments, data.clone());
        check_echoed(&event_loop, &server, peer, &data).await;
        Ok(())
    });
}

/// socat's address of a path, which must not contain what it takes for options.
fn socat_address(kind: &str, path: &std::path::Path) -> String {
    format!("{kind}:{}", path.display())
}

#[test]
fn socat_gets_everything_back_over_tcp_and_unix_sockets() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let data = pattern(MUCH);
        // Time for the echo to arrive after the end of the input.
        let wait = ["-t", "10", "-"];
        let server = event_loop.create_server(|| Echo, loopbacks()).await?;
        for address in server.addresses() {
            let family = if address.ip().is_some_and(|ip| ip.is_ipv4()) { "TCP4" } else { "TCP6" };
            let to = format!("{family}:{address}");
            let peer = Peer::start("socat", wait.into_iter().chain([to.as_str()]), data.clone());
            check_echoed(&event_loop, &server, peer, &data).await;
        }

        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        let to = socat_address("UNIX-CONNECT", &path);
        let peer = Peer::start("socat", wait.into_iter().chain([to.as_str()]), data.clone());
        check_echoed(&event_loop, &server, peer, &data).await;

        let name = format!("wharf-system-{}", std::process::id());
        let server = event_loop.create_unix_server(|| Echo, format!("\0{name}")).await?;
        let to = format!("ABSTRACT-CONNECT:{name}");
        let peer = Peer::start("socat", wait.into_iter().chain([to.as_str()]), data.clone());
        check_echoed(&event_loop, &server, peer, &data).await;
        Ok(())
    });
}

#[test]
fn a_server_of_socat_serves_our_client_over_tcp_and_unix_sockets() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let listen = socat_address("UNIX-LISTEN", &path);
        let arguments = ["-t", "10", &listen, "EXEC:cat"];
        let Some(_server) = start("socat", arguments) else { return Ok(()) };
        until(&event_loop, "the socket", || path.exists()).await;
        check_echo_server(&event_loop, async |event_loop, client| {
            event_loop.create_unix_connection(move || client, &path).await?;
            Ok(())
        })
        .await?;

        let arguments = ["-d", "-d", "-t", "10", "TCP4-LISTEN:0,bind=127.0.0.1", "EXEC:cat"];
        let Some(mut server) = start("socat", arguments) else { return Ok(()) };
        // It says where it listens: "... listening on AF=2 127.0.0.1:40000".
        let mut messages = BufReader::new(server.0.stderr.take().expect("a pipe")).lines();
        let to = loop {
            let line = messages.next().expect("a line about where it listens")?;
            if let Some((_, address)) = line.split_once("listening on AF=2 ") {
                break address.trim().to_owned();
            }
        };
        let _messages = thread::spawn(move || messages.count());
        check_echo_server(&event_loop, async |event_loop, client| {
            event_loop.create_connection(move || client, to).await?;
            Ok(())
        })
        .await
    });
}

#[test]
fn a_peer_that_is_killed_in_the_middle_leaves_nothing() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let port = address(&server).port().to_string();
        for round in 1..=3 {
            let Some(mut peer) = start("nc", ["127.0.0.1", &port]) else { return Ok(()) };
            peer.0.stdin.as_mut().expect("a pipe").write_all(b"hello")?;
            until(&event_loop, "a connection", || server.connections() == 1).await;
            until(&event_loop, "the echo", || event_loop.statistics().bytes_sent == round * 5)
                .await;
            peer.0.kill()?;
            until(&event_loop, "its end", || server.connections() == 0).await;
        }
        assert_eq!(event_loop.statistics().sources, 1);
        assert_eq!(event_loop.statistics().exceptions, 0);
        Ok(())
    });
}
