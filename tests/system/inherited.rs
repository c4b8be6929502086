//! Sockets that a service manager passes on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_getfd};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, InheritedKind, InheritedSockets, Result,
    inherited_listeners, inherited_sockets,
};

use crate::process::{Guard, PASSED, command, role};
use crate::serving::{Directory, Echo, LIMIT, run, until};
use crate::sockets::uninterrupted;

/// Runs this program in the part `role` of the test `name` as a service manager would: with these
/// descriptors, at most three, from 3 on. `environment` is what else it sets, besides their count.
fn activate(name: &str, role: &str, passed: Vec<OwnedFd>, environment: &str) -> Guard {
    let ours = command(name, role);
    let count = passed.len();
    // The shell gets them as its standard streams.
    let moved = ["3<&0", "4<&1", "5<&2"][..count].join(" ");
    let script = format!(
        "LISTEN_FDS={count} {environment}; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; \
         exec \"$0\" \"$@\" {moved} </dev/null >/dev/null 2>&1"
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(ours.get_program()).args(ours.get_args());
    for (name, value) in ours.get_envs() {
        shell.env(name, value.expect("a value"));
    }
    let mut passed = passed.into_iter();
    let mut next = || passed.next().map_or_else(Stdio::null, Stdio::from);
    Guard(shell.stdin(next()).stdout(next()).stderr(next()).spawn().expect("a shell"))
}

const LISTENERS: &str = "inherited::listeners_passed_by_a_service_manager_are_served";

/// The service: serves what it was given until its first client is gone.
fn serve() {
    let listeners = inherited_listeners().expect("listeners");
    assert_eq!(listeners.len(), 1);
    assert!(inherited_listeners().expect("none").is_empty(), "each has one owner");
    run(async |event_loop| {
        let server = event_loop.create_server_on(|| Echo, listeners).await?;
        let came = || event_loop.statistics().connections_total == 1;
        until(&event_loop, "a client", came).await;
        server.close();
        server.wait_closed().await?;
        Ok(())
    });
    std::process::exit(PASSED);
}

#[test]
fn listeners_passed_by_a_service_manager_are_served() {
    match role().as_deref() {
        Some("service") => return serve(),
        Some("stranger") => {
            assert!(inherited_listeners().expect("none").is_empty(), "they are another's");
            std::process::exit(PASSED);
        }
        _ => {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = || vec![listener.try_clone().unwrap().into()];
    let mut stranger = activate(LISTENERS, "stranger", passed(), "LISTEN_PID=1");
    assert_eq!(stranger.wait().code(), Some(PASSED));

    let mut service = activate(LISTENERS, "service", passed(), "LISTEN_PID=$$");
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"hello");
    assert_eq!(service.wait().code(), Some(PASSED));
}

/// Sends every datagram back.
struct DatagramEcho;

impl DatagramProtocol for DatagramEcho {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        transport.send_to(data, from)?;
        Ok(())
    }
}

fn names_and_kinds(sockets: &InheritedSockets) -> Vec<(&str, InheritedKind)> {
    sockets.sockets().iter().map(|socket| (socket.name(), socket.kind())).collect()
}

/// The only one of them, which children of this process do not get.
fn only(mut descriptors: Vec<OwnedFd>) -> OwnedFd {
    assert_eq!(descriptors.len(), 1);
    let descriptor = descriptors.pop().expect("one");
    let flags = fcntl_getfd(descriptor.as_fd()).expect("its flags");
    assert!(flags.contains(FdFlags::CLOEXEC));
    descriptor
}

const SERVERS: &str = "inherited::sockets_of_several_kinds_are_told_apart_by_name_and_kind";

fn serve_all() {
    let mut sockets = inherited_sockets().expect("sockets");
    let (listens, receives) = (InheritedKind::Listener, InheritedKind::Datagram);
    assert_eq!(
        names_and_kinds(&sockets),
        [("web", listens), ("web", receives), ("control", listens)]
    );
    assert!(sockets.sockets().iter().all(|socket| socket.local_address().is_some()));
    assert!(sockets.others().is_empty());
    assert!(std::env::var_os("LISTEN_FDS").is_none(), "children would take them for theirs");
    assert!(inherited_sockets().expect("none").sockets().is_empty(), "each has one owner");

    assert!(sockets.take_listeners("nothing").is_empty());
    let web = only(sockets.take_listeners("web"));
    assert!(sockets.take_listeners("web").is_empty(), "they are taken once");
    let quic = only(sockets.take_datagram_sockets("web"));
    let control = only(sockets.take_listeners("control"));
    assert_eq!(sockets.into_iter().count(), 0);
    run(async |event_loop| {
        let servers = event_loop.create_server_on(|| Echo, [web, control]).await?;
        let endpoint = event_loop.create_datagram_endpoint(|| DatagramEcho).socket(quic).await?;
        let came = || event_loop.statistics().connections_total == 3;
        until(&event_loop, "both clients", came).await;
        let answered = || endpoint.handle().statistics().sent == 1;
        until(&event_loop, "a datagram", answered).await;
        servers.close();
        servers.wait_closed().await?;
        Ok(())
    });
    std::process::exit(PASSED);
}

/// Sends something and its end, and reads the same.
fn asks(mut stream: impl Read + Write, end: impl FnOnce()) {
    stream.write_all(b"hello").unwrap();
    end();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"hello");
}

#[test]
fn sockets_of_several_kinds_are_told_apart_by_name_and_kind() {
    if role().is_some() {
        return serve_all();
    }
    let directory = Directory::new();
    let path = directory.join("control");
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let quic = UdpSocket::bind("127.0.0.1:0").unwrap();
    let control = UnixListener::bind(&path).unwrap();
    let (web_address, quic_address) = (web.local_addr().unwrap(), quic.local_addr().unwrap());
    let environment = "LISTEN_PID=$$ LISTEN_FDNAMES=web:web:control";
    let passed = vec![web.into(), quic.into(), control.into()];
    let mut service = activate(SERVERS, "service", passed, environment);

    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.set_read_timeout(Some(LIMIT)).unwrap();
    datagrams.send_to(b"a datagram", quic_address).unwrap();
    let mut received = [0; 16];
    let count = uninterrupted(|| datagrams.recv(&mut received)).unwrap();
    assert_eq!(&received[..count], b"a datagram");
    let client = TcpStream::connect(web_address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    asks(&client, || client.shutdown(Shutdown::Write).unwrap());
    let client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    asks(&client, || client.shutdown(Shutdown::Write).unwrap());
    assert_eq!(service.wait().code(), Some(PASSED));
}

const OTHERS: &str = "inherited::connections_datagram_pairs_and_what_is_no_socket_are_told_apart";

fn serve_one() {
    let mut sockets = inherited_sockets().expect("sockets");
    let unnamed = "unknown";
    let (connected, receives) = (InheritedKind::Connection, InheritedKind::Datagram);
    assert_eq!(names_and_kinds(&sockets), [(unnamed, connected), (unnamed, receives)]);
    assert_eq!(sockets.others(), [(unnamed.to_owned(), 5)]);
    let connection = only(sockets.take_connections(unnamed));
    let log = only(sockets.take_datagram_sockets(unnamed));
    // What it is not for stays open under its number.
    let text = std::fs::read_to_string("/proc/self/fd/5").expect("the pipe");
    assert_eq!(text, "in the pipe");
    run(async |event_loop| {
        let _client = event_loop.connect_accepted_socket(|| Echo, connection).await?;
        event_loop.sock_sendall(&log, b"begun").await?;
        let gone = || event_loop.statistics().connections_open == 0;
        until(&event_loop, "the end of the client", gone).await;
        Ok(())
    });
    std::process::exit(PASSED);
}

#[test]
#[cfg(target_os = "linux")]
fn connections_datagram_pairs_and_what_is_no_socket_are_told_apart() {
    if role().is_some() {
        return serve_one();
    }
    let (client, accepted) = UnixStream::pair().unwrap();
    let (log, writes) = UnixDatagram::pair().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"in the pipe").unwrap();
    drop(writer);
    let passed = vec![accepted.into(), writes.into(), reader.into()];
    let mut service = activate(OTHERS, "service", passed, "LISTEN_PID=$$");
    client.set_read_timeout(Some(LIMIT)).unwrap();
    asks(&client, || client.shutdown(Shutdown::Write).unwrap());
    log.set_read_timeout(Some(LIMIT)).unwrap();
    let mut received = [0; 8];
    let count = uninterrupted(|| log.recv(&mut received)).unwrap();
    assert_eq!(&received[..count], b"begun");
    assert_eq!(service.wait().code(), Some(PASSED));
}

const REFUSED: &str = "inherited::what_is_not_as_it_was_announced_is_refused";

#[test]
fn what_is_not_as_it_was_announced_is_refused() {
    match role().as_deref() {
        Some("names") => {
            let error = inherited_sockets().expect_err("one name for two");
            assert!(error.is_invalid(), "{error}");
            std::process::exit(PASSED);
        }
        Some("kinds") => {
            let error = inherited_listeners().expect_err("one is no listener");
            assert!(error.is_invalid() && format!("{error:#}").contains("`dns`"), "{error}");
            std::process::exit(PASSED);
        }
        _ => {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (role, names) in [("names", "web"), ("kinds", "web:dns")] {
        let passed: Vec<OwnedFd> =
            vec![listener.try_clone().unwrap().into(), datagrams.try_clone().unwrap().into()];
        let environment = format!("LISTEN_PID=$$ LISTEN_FDNAMES={names}");
        let mut service = activate(REFUSED, role, passed, &environment);
        assert_eq!(service.wait().code(), Some(PASSED), "{role}");
    }
}
