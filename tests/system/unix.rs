//! Unix sockets between processes: who is at the other end.

#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Barrier;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use wharf::testing::Record;
use wharf::{
    DatagramTransport as _, EventLoop, Info, PeerCredentials, Protocol, Result, Transport,
    UnixAddress, with_info,
};

use super::process::Guard;
use crate::needs;
use crate::serving::{Directory, Echo, run, until, within};

/// Notes who is at the other end, when the first bytes come.
struct Asking(Rc<RefCell<Option<PeerCredentials>>>);

impl Protocol for Asking {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        *self.0.borrow_mut() = transport.info().peer_credentials();
        transport.write(b"answer");
        Ok(())
    }
}

/// A name in the abstract namespace that no other test has.
fn name(what: &str) -> UnixAddress {
    UnixAddress::from_abstract_name(format!("wharf-system-{what}-{}", std::process::id()))
}

fn python(script: &str, name: &UnixAddress) -> Option<Guard> {
    let name = String::from_utf8_lossy(name.as_abstract_name().expect("a name")).into_owned();
    let mut command = Command::new("python3");
    command.args(["-c", script, &name]).stdin(Stdio::null()).stdout(Stdio::piped());
    needs::program("python3").then(|| Guard(command.spawn().expect("a process")))
}

fn assert_is(credentials: PeerCredentials, process: u32) {
    assert_eq!(credentials.pid, Some(process));
    assert_eq!(credentials.uid, rustix::process::getuid().as_raw());
    assert_eq!(credentials.gid, rustix::process::getgid().as_raw());
}

#[test]
fn a_server_knows_which_process_connected() {
    const CLIENT: &str = r#"
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect("\0" + sys.argv[1])
server.sendall(b"question")
assert server.recv(100) == b"answer"
assert server.recv(100) == b""
"#;
    run(async |event_loop| {
        let name = name("server");
        let seen = Rc::new(RefCell::new(None));
        let told = Rc::new(RefCell::new(None));
        let (asked, noted) = (Rc::clone(&seen), Rc::clone(&told));
        // The factory is told as well: it is where a stranger would be refused.
        let factory = move |info: &Info| {
            *noted.borrow_mut() = info.peer_credentials();
            Ok(Asking(Rc::clone(&asked)))
        };
        let server = event_loop.create_unix_server(with_info(factory), &name).await?;
        let Some(mut client) = python(CLIENT, &name) else { return Ok(()) };
        until(&event_loop, "the question", || seen.borrow().is_some()).await;
        for credentials in [seen.take(), told.take()] {
            assert_is(credentials.expect("credentials"), client.0.id());
        }
        server.shutdown(std::time::Duration::from_secs(5)).await?;
        assert!(client.wait().success());
        Ok(())
    });
}

#[test]
fn a_client_knows_which_process_serves() {
    const SERVER: &str = r#"
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("\0" + sys.argv[1])
listener.listen()
print("listening", flush=True)
client, _ = listener.accept()
assert client.recv(100) == b""
"#;
    run(async |event_loop| {
        let name = name("client");
        let Some(mut server) = python(SERVER, &name) else { return Ok(()) };
        let mut output = server.0.stdout.take().expect("a pipe");
        let listening = event_loop.run_in_executor(move || {
            let mut text = [0; 10];
            std::io::Read::read_exact(&mut output, &mut text).map(|()| text)
        });
        assert_eq!(&within(&event_loop, listening).await??, b"listening\n");
        let client = event_loop.create_unix_connection(|| Echo, &name).await?;
        let info = client.handle().info();
        assert_is(info.peer_credentials().expect("credentials"), server.0.id());
        assert_eq!(info.peer_address(), Some(&name.into()));
        client.handle().close();
        let process = RefCell::new(&mut server);
        until(&event_loop, "the server's end", || process.borrow_mut().is_over()).await;
        assert!(server.wait().success());
        assert_eq!(info.peer_credentials().map(|known| known.pid.is_some()), Some(true));
        Ok(())
    });
}

/// A successor takes over a path where nobody listens. The number of its file would be the same once the socket
/// before it is closed, so that a path that was removed late could be the successor's.
#[test]
fn a_path_is_removed_before_its_socket_is_closed() {
    const ROUNDS: usize = 200;
    /// What a client finds at the path when it can no longer connect.
    fn found(path: PathBuf, kind: Type) -> io::Result<ErrorKind> {
        let address = SockAddr::unix(path)?;
        loop {
            let client = Socket::new(Domain::UNIX, kind, None)?;
            client.set_nonblocking(true)?;
            match client.connect(&address) {
                Ok(()) => {}
                // Too many wait to be accepted.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Ok(error.kind()),
            }
        }
    }
    let path = std::env::temp_dir().join(format!("wharf-system-order-{}", std::process::id()));
    for kind in [Type::STREAM, Type::DGRAM] {
        let refused = run(async |event_loop| {
            let mut refused = 0;
            for _ in 0..ROUNDS {
                let close: Box<dyn FnOnce()> = if kind == Type::STREAM {
                    let server = event_loop.create_unix_server(|| Echo, &path).await?;
                    Box::new(move || {
                        server.close();
                        server.abort_clients();
                    })
                } else {
                    let endpoint = event_loop.create_datagram_endpoint(|| Record::new().protocol());
                    let endpoint = endpoint.local_unix_address(&path).await?;
                    Box::new(move || endpoint.handle().abort())
                };
                let probed = path.clone();
                let probing = std::thread::spawn(move || found(probed, kind));
                event_loop.sleep(Duration::from_micros(200)).await;
                close();
                until(&event_loop, "the end of the probe", || probing.is_finished()).await;
                let found = probing.join().expect("no panic")?;
                assert!(matches!(found, ErrorKind::NotFound | ErrorKind::ConnectionRefused));
                refused += usize::from(found == ErrorKind::ConnectionRefused);
            }
            Ok(refused)
        });
        // One that has found the file, and is interrupted before it connects, may see both gone.
        assert!(refused <= ROUNDS / 100, "{kind:?}: {refused} of {ROUNDS} found a closed socket");
    }
}

/// What one of them found stale can be the other's new socket by the time that it is removed.
#[test]
fn of_servers_that_begin_at_one_path_at_once_one_gets_it() {
    const SERVERS: usize = 4;
    let directory = Directory::new();
    let path = directory.join("socket");
    for round in 0..100 {
        if round % 2 == 0 {
            // One that nobody listens on, as after a crash.
            drop(std::os::unix::net::UnixListener::bind(&path).expect("a path that is free"));
        }
        let barrier = Barrier::new(SERVERS);
        let begin = || {
            let event_loop = EventLoop::new().expect("a loop");
            let listening = event_loop.create_unix_server(|| Echo, &path).start();
            barrier.wait();
            let outcome = event_loop.run_until_complete(listening).expect("it is not stopped");
            // Nobody goes before all have tried.
            barrier.wait();
            outcome.map_err(|error| error.io_kind())
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..SERVERS).map(|_| scope.spawn(|| begin().map(drop))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(refused.eq([&Some(ErrorKind::AddrInUse); SERVERS - 1]), "{outcomes:?}");
    }
}
