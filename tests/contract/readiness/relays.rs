//! Relays that splice: "nothing" from splice is not the socket's own.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;
use wharf::{
    EventLoop, LoopFuture, RelayEnd, RelayOutcome, RelayStatistics, Splicing, Timeout, Transport,
    TransportHandle, relay,
};

use super::{reset_on_close, send_around, send_urgent};
use crate::pipes::{read_with, write_with};
use crate::probe::{Log, Probe};
use crate::running::{rest, run_until};

const BUFFER: usize = 64 * 1024;

const EVERY: [Splicing; 3] = [Splicing::Never, Splicing::Automatic, Splicing::Always];

/// A relay between a client and a server that are none of the loop's.
struct Joined {
    event_loop: EventLoop,
    client: TcpStream,
    server: TcpStream,
    b: TransportHandle,
    statistics: RelayStatistics,
    outcome: LoopFuture<RelayOutcome>,
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().unwrap().0)
}

fn adopted(event_loop: &EventLoop, socket: impl Into<OwnedFd>) -> TransportHandle {
    let log = Log::new();
    let probe = Probe::new(&log).not_reading();
    let adopting = event_loop.create_connection_on(|| probe, socket).send_buffer_size(BUFFER);
    event_loop.run_until_complete(adopting.start()).unwrap().unwrap().into()
}

/// As a proxy has them: the client's connection is accepted, and the server's made.
fn joined(splicing: Splicing) -> Joined {
    let event_loop = EventLoop::new().unwrap();
    let accepted = Log::new();
    let mut probe = Some(Probe::new(&accepted).not_reading());
    let factory = move || probe.take().expect("one connection");
    let proxy = event_loop.create_server(factory, "127.0.0.1:0").start();
    let proxy = event_loop.run_until_complete(proxy).unwrap().unwrap();
    let client = TcpStream::connect(proxy.local_address().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // So that some megabytes are more than fits on the way.
    SockRef::from(&listener).set_recv_buffer_size(BUFFER).unwrap();
    let log = Log::new();
    let probe = Probe::new(&log).not_reading();
    let address = listener.local_addr().unwrap().to_string();
    let connecting = event_loop.create_connection(|| probe, address).send_buffer_size(BUFFER);
    let b = event_loop.run_until_complete(connecting.start()).unwrap().unwrap().into();
    let server = listener.accept().unwrap().0;
    rest(&event_loop);
    proxy.close();
    let builder = relay(accepted.handle(), &b).splicing(splicing);
    let statistics = builder.statistics();
    let outcome = builder.start();
    Joined { event_loop, client, server, b, statistics, outcome }
}

#[test]
fn urgent_data_does_not_end_what_is_spliced() {
    for splicing in EVERY {
        let Joined { event_loop, client, mut server, outcome, .. } = joined(splicing);
        send_around(&client, b"before", b"after");
        client.shutdown(Shutdown::Write).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let outcome = event_loop.run_until_complete(outcome).unwrap().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{splicing:?}: {outcome:?}");
        assert_eq!(outcome.a_to_b, 11);
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"beforeafter", "{splicing:?}");
    }
}

#[test]
fn urgent_data_stops_no_relay() {
    for splicing in EVERY {
        let Joined { event_loop, client, mut server, statistics, outcome, .. } = joined(splicing);
        for round in 1..=20 {
            send_around(&client, b"before", b"after");
            run_until(&event_loop, "both parts", || statistics.a_to_b() == 11 * round);
            let mut received = [0; 11];
            server.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"beforeafter", "{splicing:?}");
        }
        for _ in 0..20 {
            (&client).write_all(b"\xff\xf4").unwrap();
            send_urgent(&client, b"\xff\xf2");
            (&client).write_all(b"ABOR\r\n").unwrap();
            let before = statistics.a_to_b();
            run_until(&event_loop, "telnet's abort", || statistics.a_to_b() == before + 9);
            server.read_exact(&mut [0; 9]).unwrap();
        }
        drop((client, server));
        event_loop.run_until_complete(outcome).unwrap().unwrap();
    }
}

#[test]
fn much_with_urgent_data_in_it_is_spliced_and_is_whole() {
    const PART: usize = 3_000_000;
    for splicing in EVERY {
        let Joined { event_loop, client, mut server, statistics, outcome, .. } = joined(splicing);
        let part: Vec<u8> = (0..PART as u32).map(|index| (index / 5) as u8).collect();
        let expected = part.repeat(2);
        let writer = std::thread::spawn(move || {
            send_around(&client, &part, &part);
            client
        });
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; PART * 2];
            server.read_exact(&mut received).unwrap();
            (received, server)
        });
        let all = (PART * 2) as u64;
        run_until(&event_loop, "all", || statistics.a_to_b() == all && reader.is_finished());
        let ((received, server), client) = (reader.join().unwrap(), writer.join().unwrap());
        assert!(received == expected, "{splicing:?}");
        assert_eq!(statistics.spliced() > all / 2, splicing != Splicing::Never, "{splicing:?}");
        drop((client, server));
        event_loop.run_until_complete(outcome).unwrap().unwrap();
    }
}

#[test]
fn a_reset_behind_urgent_data_is_told_and_loses_nothing_that_copying_delivers() {
    for splicing in EVERY {
        let Joined { event_loop, client, mut server, outcome, .. } = joined(splicing);
        send_around(&client, b"before", b"after");
        reset_on_close(&client);
        drop(client);
        let outcome = event_loop.run_until_complete(outcome).unwrap().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Failed(..)), "{splicing:?}: {outcome:?}");
        let mut received = Vec::new();
        let _ = server.read_to_end(&mut received);
        assert!(b"beforeafter".starts_with(&received), "{splicing:?}: {received:?}");
        assert_eq!(outcome.a_to_b, 11, "{splicing:?}");
    }
}

#[test]
fn urgent_data_goes_through_relays_between_sockets_and_pipes() {
    for splicing in EVERY {
        // From a socket into a pipe.
        let event_loop = EventLoop::new().unwrap();
        let (client, near) = connected();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let into = Log::new();
        write_with(&event_loop, writer, Probe::new(&into));
        let a = adopted(&event_loop, near);
        let first = relay(&a, into.handle()).splicing(splicing).start();
        send_around(&client, b"before", b"after");
        client.shutdown(Shutdown::Write).unwrap();
        event_loop.run_until_complete(first).unwrap().unwrap();
        let mut received = Vec::new();
        reader.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"beforeafter", "{splicing:?}");

        // From a pipe of packets to a Unix socket.
        let (packets, mut writer) = {
            let flags = rustix::pipe::PipeFlags::DIRECT;
            let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
            (reader, std::fs::File::from(writer))
        };
        let from = Log::new();
        read_with(&event_loop, packets, Probe::new(&from).not_reading());
        let (mut far, near) = UnixStream::pair().unwrap();
        let second = relay(from.handle(), adopted(&event_loop, near)).splicing(splicing).start();
        writer.write_all(b"one").unwrap();
        writer.write_all(b"two").unwrap();
        drop(writer);
        event_loop.run_until_complete(second).unwrap().unwrap();
        received.clear();
        far.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"onetwo", "{splicing:?}");
    }
}

#[test]
fn urgent_data_on_unix_sockets_stops_no_relay() {
    for splicing in EVERY {
        let event_loop = EventLoop::new().unwrap();
        let (mut client, a) = UnixStream::pair().unwrap();
        let (mut server, b) = UnixStream::pair().unwrap();
        let (a, b) = (adopted(&event_loop, a), adopted(&event_loop, b));
        let outcome = relay(&a, &b).splicing(splicing).start();
        client.write_all(b"before").unwrap();
        if rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).is_err() {
            // The system has none on Unix sockets.
            return;
        }
        client.write_all(b"after").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        event_loop.run_until_complete(outcome).unwrap().unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"beforeafter", "{splicing:?}");
    }
}

#[test]
fn what_is_spliced_is_counted_as_sent_and_as_activity() {
    // A machine that stands still for as long as half the deadline shows nothing: then once more.
    while !splices_slowly(Duration::from_millis(1500)) {}
}

/// Relays to a receiver that takes longer than the idle deadline in all; `false` if half of it once
/// passed without a byte, so that the deadline may have gone off rightly.
fn splices_slowly(idle: Duration) -> bool {
    const ALL: usize = 2_000_000;
    const STEP: usize = 100_000;
    let Joined { event_loop, client, mut server, b, statistics, outcome } =
        joined(Splicing::Always);
    let writer = std::thread::spawn(move || {
        // It fails if the relay is given up.
        let _ = (&client).write_all(&[7; ALL]);
        client
    });
    run_until(&event_loop, "a queue", || b.write_buffer_size() > 0);
    let sent = event_loop.statistics().bytes_sent;
    assert!(sent > 0 && sent < ALL as u64, "{sent}");
    b.set_timeout(Timeout::Idle, Some(idle));
    server.set_nonblocking(true).unwrap();
    // Slowness is the subject: the naps are.
    let began = event_loop.time();
    let (mut last, mut sent_last) = (began, sent);
    let mut received = vec![0; ALL];
    for step in received.chunks_mut(STEP) {
        let nap = event_loop.sleep(idle / 10);
        event_loop.run_until_complete(nap).unwrap();
        let mut filled = 0;
        while filled < step.len() {
            let (now, sent) = (event_loop.time(), event_loop.statistics().bytes_sent);
            if sent_last < ALL as u64 {
                if now - last >= idle / 2 {
                    return false;
                }
                if sent > sent_last {
                    (last, sent_last) = (now, sent);
                }
                if sent == ALL as u64 {
                    // What is left is on its way: the connection is idle from here on.
                    assert!(!b.is_closing(), "the deadline went off while bytes went out");
                    assert!(now - began > idle);
                    b.set_timeout(Timeout::Idle, None);
                }
            }
            match server.read(&mut step[filled..]) {
                Ok(0) => panic!("the deadline went off while bytes went out"),
                Ok(count) => filled += count,
                Err(_) => rest(&event_loop),
            }
        }
    }
    assert!(received.iter().all(|byte| *byte == 7));
    assert_eq!(event_loop.statistics().bytes_sent, ALL as u64);
    // What comes between a splice that found nothing and the read that looks why is copied: the writer
    // has a thread of its own.
    assert!(statistics.spliced() > ALL as u64 / 2);
    drop((writer.join().unwrap(), server));
    event_loop.run_until_complete(outcome).unwrap().unwrap();
    true
}
