//! TCP and Unix sockets: urgent data, descriptors, credentials.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use wharf::{Buffered, EventLoop, Protocol, RateLimit, Transport};

use super::{send_around, send_urgent};
use crate::probe::{Call, Log, Probe};
use crate::running::{rest, run_until};
use crate::serving::Directory;

/// A loop with a server of one connection, and a client that is none of the loop's.
fn served<P: Protocol>(protocol: P) -> (EventLoop, TcpStream) {
    let event_loop = EventLoop::new().unwrap();
    let mut protocol = Some(protocol);
    let factory = move || protocol.take().expect("one connection");
    let server = event_loop.create_server(factory, "127.0.0.1:0").start();
    let server = event_loop.run_until_complete(server).unwrap().unwrap();
    let client = TcpStream::connect(server.local_address().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    rest(&event_loop);
    (event_loop, client)
}

/// Two ends of a TCP connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn urgent_data_stops_no_reader() {
    type Prepare = fn(&Log, Probe) -> (EventLoop, TcpStream);
    let kinds: [(&str, Prepare); 5] = [
        ("plain", |_, probe| served(probe)),
        ("buffered", |_, probe| served(Buffered(probe.buffer_of(100)))),
        ("buffered, one byte", |_, probe| served(Buffered(probe.buffer_of(1)))),
        ("limited", |_, probe| {
            served(probe.on_made(|transport| {
                transport.set_read_limit(Some(RateLimit::bytes_per_second(1_000_000)));
                Ok(())
            }))
        }),
        ("paused", |_, probe| served(probe.not_reading())),
    ];
    for (name, prepare) in kinds {
        let log = Log::new();
        let (event_loop, client) = prepare(&log, Probe::new(&log));
        for round in 1..=20 {
            send_around(&client, b"abc", b"def");
            if name == "paused" {
                rest(&event_loop);
                log.handle().resume_reading();
            }
            run_until(&event_loop, name, || log.received_len() == 6 * round);
            if name == "paused" {
                log.handle().pause_reading();
            }
        }
        assert_eq!(log.received(), b"abcdef".repeat(20), "{name}");
    }
}

#[test]
fn urgent_data_may_come_at_any_place_and_often() {
    let log = Log::new();
    let (event_loop, client) = served(Probe::new(&log));
    // Nothing before it, nothing after it, two in a row of which one is in the stream.
    send_around(&client, b"", b"first");
    run_until(&event_loop, "the first", || log.received() == b"first");
    send_around(&client, b"second", b"");
    run_until(&event_loop, "the second", || log.received() == b"firstsecond");
    (&client).write_all(b"third").unwrap();
    run_until(&event_loop, "the third", || log.received() == b"firstsecondthird");
    // telnet: interrupt the process, and then what was to be read behind the mark.
    for _ in 0..200 {
        let before = log.received_len();
        (&client).write_all(b"\xff\xf4").unwrap();
        send_urgent(&client, b"\xff\xf2");
        (&client).write_all(b"ABOR\r\n").unwrap();
        run_until(&event_loop, "telnet's abort", || log.received_len() == before + 9);
        assert!(log.received().ends_with(b"\xff\xf4\xffABOR\r\n"));
    }
    // With the end behind it.
    send_around(&client, b"last", b" words");
    drop(client);
    run_until(&event_loop, "the end", || log.is_lost());
    assert!(log.received().ends_with(b"last words"));
    assert_eq!((log.count(Call::Eof), log.cause()), (1, None));
}

#[test]
fn urgent_data_stops_no_client() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = Log::new();
    let probe = Probe::new(&log);
    let address = listener.local_addr().unwrap().to_string();
    let connecting = event_loop.create_connection(|| probe, address).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    let (server, _) = listener.accept().unwrap();
    for round in 1..=20 {
        send_around(&server, b"abc", b"def");
        run_until(&event_loop, "both parts", || log.received_len() == 6 * round);
    }
}

#[test]
fn urgent_data_stops_no_adopted_socket_whoever_takes_it() {
    for inline in [false, true] {
        for taken in [false, true] {
            if inline && taken {
                // Then it is in the stream only.
                continue;
            }
            let event_loop = EventLoop::new().unwrap();
            let (client, server) = connected();
            SockRef::from(&server).set_out_of_band_inline(inline).unwrap();
            let other = server.try_clone().unwrap();
            let take = || {
                if taken {
                    rustix::net::recv(&other, &mut [0; 1], RecvFlags::OOB).unwrap();
                }
            };
            send_around(&client, b"abc", b"def");
            take();
            let log = Log::new();
            let probe = Probe::new(&log);
            let adopting = event_loop.connect_accepted_socket(|| probe, server).start();
            event_loop.run_until_complete(adopting).unwrap().unwrap();
            let expected: &[u8] = if inline { b"abc!def" } else { b"abcdef" };
            run_until(&event_loop, "what was there before", || log.received() == expected);
            send_around(&client, b"abc", b"def");
            take();
            run_until(&event_loop, "what came after", || log.received() == expected.repeat(2));
        }
    }
}

#[test]
fn urgent_data_stops_no_socket_that_is_read_as_a_pipe() {
    let event_loop = EventLoop::new().unwrap();
    let (client, server) = connected();
    let log = Log::new();
    let probe = Probe::new(&log);
    let reading = event_loop.connect_read_pipe(|| probe, server).start();
    event_loop.run_until_complete(reading).unwrap().unwrap();
    send_around(&client, b"abc", b"def");
    run_until(&event_loop, "both parts", || log.received() == b"abcdef");
}

#[test]
fn urgent_data_stops_no_sock_recv() {
    let event_loop = EventLoop::new().unwrap();
    let (client, server) = connected();
    server.set_nonblocking(true).unwrap();
    send_around(&client, b"abc", b"def");
    let received = event_loop.run(async |event_loop| {
        let mut received = Vec::new();
        while received.len() < 6 {
            let mut buffer = [0; 100];
            let count = event_loop.sock_recv(&server, &mut buffer).await?;
            received.extend_from_slice(&buffer[..count]);
        }
        Ok(received)
    });
    assert_eq!(received.unwrap(), b"abcdef");
}

/// A protocol on the server's end of a Unix socket, and the client's end.
fn unix(log: &Log) -> (EventLoop, UnixStream, Directory) {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    let mut probe = Some(Probe::new(log));
    let factory = move || probe.take().expect("one connection");
    let path = directory.join("socket");
    let server = event_loop.create_unix_server(factory, &path).start();
    event_loop.run_until_complete(server).unwrap().unwrap();
    let client = UnixStream::connect(&path).unwrap();
    rest(&event_loop);
    (event_loop, client, directory)
}

#[test]
fn descriptors_that_nobody_takes_stop_no_reader() {
    let log = Log::new();
    let (event_loop, client, _directory) = unix(&log);
    let sender = Log::new();
    let probe = Probe::new(&sender);
    let adopting = event_loop.create_connection_on(|| probe, client).start();
    event_loop.run_until_complete(adopting).unwrap().unwrap();
    for round in 1..=20 {
        let null = File::open("/dev/null").unwrap().into();
        sender.handle().write_with_descriptors(b"one", vec![null]).unwrap();
        sender.handle().write(b"two");
        run_until(&event_loop, "both", || log.received_len() == 6 * round);
    }
    assert_eq!(log.received(), b"onetwo".repeat(20));
    // The other way: a client that is adopted.
    log.handle()
        .write_with_descriptors(b"three", vec![File::open("/dev/null").unwrap().into()])
        .unwrap();
    log.handle().write(b"four");
    run_until(&event_loop, "both", || sender.received() == b"threefour");
}

#[test]
fn urgent_data_stops_no_unix_socket() {
    let log = Log::new();
    let (event_loop, mut client, _directory) = unix(&log);
    for round in 1..=20 {
        client.write_all(b"abc").unwrap();
        if rustix::net::send(&client, b"!", SendFlags::OOB).is_err() {
            // The system has none on Unix sockets.
            return;
        }
        client.write_all(b"def").unwrap();
        run_until(&event_loop, "both parts", || log.received_len() == 6 * round);
    }
    assert_eq!(log.received(), b"abcdef".repeat(20));
}

// 79.
#[test]
fn readiness_is_told_once_and_nothing_is_forgotten_while_reading_is_paused() {
    let log = Log::new();
    let (event_loop, mut client) = served(Probe::new(&log).not_reading());
    client.write_all(b"waits").unwrap();
    rest(&event_loop);
    let told = event_loop.statistics();
    for _ in 0..5 {
        rest(&event_loop);
    }
    assert_eq!(event_loop.statistics().events, told.events, "it was told again");
    assert_eq!(log.received_len(), 0);
    log.handle().resume_reading();
    run_until(&event_loop, "what waited", || log.received() == b"waits");
    assert_eq!(event_loop.statistics().events, told.events, "it was told again");
}

// 79.
#[test]
fn one_read_brings_256_kib_at_most_and_one_turn_four_of_them() {
    use std::cell::RefCell;
    use std::rc::Rc;

    const MOST: usize = 256 * 1024;
    let event_loop = EventLoop::new().unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    let recorder = |name: char, log: &Log| {
        let order = Rc::clone(&order);
        Probe::new(log).not_reading().on_data(move |_, data| {
            order.borrow_mut().push((name, data.len()));
            Ok(())
        })
    };
    let logs = [Log::new(), Log::new()];
    let fars = [('f', 0), ('d', 1)].map(|(name, index)| {
        let far = Log::new();
        let near = recorder(name, &logs[index]);
        wharf::testing::pair(&event_loop, 8 * MOST, near, Probe::new(&far)).unwrap();
        far
    });
    fars[0].handle().write(&vec![7; 8 * MOST]);
    fars[1].handle().write(b"drip");
    rest(&event_loop);
    for log in &logs {
        log.handle().resume_reading();
    }
    run_until(&event_loop, "all", || logs[0].received_len() == 8 * MOST);
    let order = order.take();
    let lengths: Vec<_> =
        order.iter().filter(|(name, _)| *name == 'f').map(|(_, len)| *len).collect();
    assert_eq!(lengths, [MOST; 8]);
    assert_eq!(order.iter().position(|(name, _)| *name == 'd'), Some(4));
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_on_a_quiet_connection_costs_one_read() {
    let log = Log::new();
    let (event_loop, mut client) = served(Probe::new(&log).echoing());
    rest(&event_loop);
    let reads = || {
        let counts = std::fs::read_to_string("/proc/thread-self/io").ok()?;
        let line = counts.lines().find_map(|line| line.strip_prefix("syscr: "))?;
        line.parse::<usize>().ok()
    };
    if reads().is_none() {
        return;
    }
    let own = {
        let before = reads().unwrap();
        reads().unwrap() - before
    };
    let before = reads().unwrap();
    for round in 1..=100 {
        client.write_all(b"message").unwrap();
        run_until(&event_loop, "the message", || log.received_len() == 7 * round);
    }
    assert_eq!(reads().unwrap() - before - own, 100);
}
