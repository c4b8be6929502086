//! Section C: what is not the same over every transport.

use std::cell::Cell;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use wharf::{Connection, Error, Result, Transport};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probe::{Log, Probe};
use crate::running::{PATIENCE, run_until};

// 72.
#[test]
fn panicking_factory_fails_the_connect_and_closes_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let event_loop = system_loop();
    let address = listener.local_addr().unwrap();
    let factory = || -> Probe { panic!("no protocol") };
    let outcome: Result<Connection<Probe>, Error> = event_loop
        .run_until_complete(event_loop.create_connection(factory, address).start())
        .unwrap();
    let error = outcome.unwrap_err();
    assert!(error.is_panic() && format!("{error:#}").contains("no protocol"), "{error}");
    assert_eq!(read_to_end(listener.accept().unwrap().0), b"");
    assert_eq!(event_loop.statistics().sources, 0);
}

// 72, 73.
#[test]
fn adopted_socket_is_closed_when_the_connect_fails_or_is_cancelled() {
    let event_loop = system_loop();
    let (own, peer) = connected();
    let factory = || -> Probe { panic!("no protocol") };
    let outcome: Result<Connection<Probe>, Error> = event_loop
        .run_until_complete(event_loop.create_connection_on(factory, own).start())
        .unwrap();
    assert!(outcome.is_err());
    assert_eq!(read_to_end(peer), b"");

    let (own, peer) = connected();
    let log = Log::new();
    let probe = Probe::new(&log);
    drop(event_loop.create_connection_on(move || probe, own).start());
    run_until(&event_loop, "the socket's end", || event_loop.statistics().sources == 0);
    assert_eq!(read_to_end(peer), b"");
    assert_eq!((log.is_made(), log.drops()), (false, 1));
}

// 76: differs.
#[test]
fn nodelay_is_set_on_every_tcp_connection_unless_switched_off() {
    let event_loop = system_loop();
    for on in [true, false] {
        let (own, _peer) = connected();
        let watched = own.try_clone().unwrap();
        assert!(!watched.nodelay().unwrap());
        let (factory, _) = probe();
        let connecting = event_loop.create_connection_on(factory, own).nodelay(on).start();
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        assert_eq!(watched.nodelay().unwrap(), on);
    }
}

// 60.
#[test]
fn socket_is_closed_after_connection_lost() {
    let event_loop = system_loop();
    let (own, peer) = connected();
    let (factory, log) = probe();
    let connecting = event_loop.create_connection_on(factory, own).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    log.handle().write(b"bye");
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(read_to_end(peer), b"bye");
    assert_eq!(event_loop.statistics().sources, 0);
}

// 74.
#[test]
fn info_tells_both_addresses_and_the_credentials_of_a_unix_peer() {
    let event_loop = system_loop();
    let (own, peer) = connected();
    let (local, remote) = (own.local_addr().unwrap(), peer.local_addr().unwrap());
    let (factory, log) = probe();
    let connecting = event_loop.create_connection_on(factory, own).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    let info = log.handle().info();
    assert_eq!(info.local_address().unwrap().to_string(), local.to_string());
    assert_eq!(info.peer_address().unwrap().to_string(), remote.to_string());
    assert_eq!(info.peer_credentials(), None);

    let (own, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let (factory, log) = probe();
    let connecting = event_loop.create_connection_on(factory, own).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    let credentials = log.handle().info().peer_credentials();
    if cfg!(target_os = "linux") {
        assert_eq!(credentials.unwrap().pid, Some(std::process::id()));
    }
}

// 77: differs.
#[test]
fn connection_without_handles_lives_until_its_peer_ends_it() {
    let event_loop = system_loop();
    let (own, peer) = connected();
    let (factory, log) = probe();
    let connection = event_loop
        .run_until_complete(event_loop.create_connection_on(factory, own).start())
        .unwrap()
        .unwrap();
    drop(connection);
    let timed = Rc::new(Cell::new(false));
    let mark = Rc::clone(&timed);
    event_loop.call_later(Duration::from_millis(1), move || mark.set(true));
    run_until(&event_loop, "the timer", || timed.get());
    assert!(!log.is_lost());
    drop(peer);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
}

fn probe() -> (impl FnOnce() -> Probe + 'static, Log) {
    let log = Log::new();
    let probe = Probe::new(&log);
    (move || probe, log)
}

/// Both ends of a TCP connection that wharf knows nothing of.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (own, listener.accept().unwrap().0)
}

fn read_to_end(mut socket: TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut data = Vec::new();
    socket.read_to_end(&mut data).unwrap();
    data
}

#[test]
fn a_connection_is_found_by_its_id_until_it_is_gone() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let (connection, _) =
        wharf::testing::pair(&event_loop, 1024, Probe::new(&near), Probe::new(&far)).unwrap();
    let id = connection.handle().id();
    assert_eq!(event_loop.transport(id).as_ref(), Some(connection.handle()));
    connection.handle().abort();
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.transport(id), None);
    // Nor is another one that has its place found by it.
    let (near, far) = (Log::new(), Log::new());
    let (next, other) =
        wharf::testing::pair(&event_loop, 1024, Probe::new(&near), Probe::new(&far)).unwrap();
    assert_eq!(event_loop.transport(id), None);
    for found in [&next, &other].map(wharf::Connection::handle) {
        assert_eq!(event_loop.transport(found.id()).as_ref(), Some(found));
    }
}
