//! Two pipes that are one transport.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use wharf::{EventLoop, Protocol, Transport, WriteStatus};

use super::done;
use crate::loops::memory_loop;
use crate::probe::{Call, Log, Probe};
use crate::running::{Reports, rest, run_until};

fn join<P: Protocol>(
    event_loop: &EventLoop,
    protocol: P,
    reader: impl Into<OwnedFd>,
    writer: impl Into<OwnedFd>,
) {
    done(event_loop, event_loop.connect_pipes(|| protocol, reader, writer).start()).expect("pipes");
}

/// A loop, a probe on two pipes, and the other ends of these.
fn joined(probe: impl FnOnce(Probe) -> Probe) -> (EventLoop, Log, io::PipeWriter, io::PipeReader) {
    let event_loop = EventLoop::new().expect("a loop");
    let (reader, input) = io::pipe().expect("a pipe");
    let (output, writer) = io::pipe().expect("a pipe");
    let log = Log::new();
    join(&event_loop, probe(Probe::new(&log)), reader, writer);
    (event_loop, log, input, output)
}

#[test]
fn two_pipes_are_one_transport_whose_sides_end_apart() {
    let (event_loop, log, mut input, mut output) = joined(Probe::half_open);
    assert!(log.handle().can_write_eof());
    input.write_all(b"question").unwrap();
    run_until(&event_loop, "the question", || log.received() == b"question");
    log.handle().write(b"answer");
    log.handle().write_eof();
    rest(&event_loop);
    let mut answer = String::new();
    output.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer", "and then the end");
    assert!(!log.is_lost());
    input.write_all(b", and more").unwrap();
    drop(input);
    run_until(&event_loop, "the end", || log.count(Call::Eof) == 1);
    assert_eq!(log.received(), b"question, and more");
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
}

#[test]
fn the_end_of_what_is_read_ends_both_unless_it_is_kept_open() {
    let (event_loop, log, input, mut output) = joined(|probe| probe);
    log.handle().write(b"last words");
    drop(input);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    let mut words = String::new();
    output.read_to_string(&mut words).unwrap();
    assert_eq!((words.as_str(), log.cause()), ("last words", None));
}

#[test]
fn a_write_that_nobody_reads_is_an_error_after_the_rest_of_the_input() {
    for is_full in [false, true] {
        let (event_loop, log, mut input, output) = joined(|probe| probe);
        let reports = Reports::of(&event_loop);
        if is_full {
            while log.handle().write(&[0; 10_000]) == WriteStatus::Accepted {
                rest(&event_loop);
            }
        }
        drop(output);
        rest(&event_loop);
        assert_eq!(log.is_lost(), is_full, "it is not known before something is written");
        if !is_full {
            input.write_all(b"the rest").unwrap();
            log.handle().write(b"to nobody");
        }
        run_until(&event_loop, "connection_lost", || log.is_lost());
        assert_eq!(log.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
        assert_eq!(log.received(), if is_full { &b""[..] } else { b"the rest" });
        assert!(reports.take().is_empty());
    }
}

#[test]
fn files_and_sockets_can_be_joined_too() {
    let event_loop = EventLoop::new().unwrap();
    let directory = crate::serving::Directory::new();
    let (path, other) = (directory.join("in"), directory.join("out"));
    std::fs::write(&path, "from a file").unwrap();
    let log = Log::new();
    let out = File::create_new(&other).unwrap();
    join(&event_loop, Probe::new(&log).echoing(), File::open(&path).unwrap(), out);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "from a file");

    // The same socket twice: its write side ends though the other descriptor is open.
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let log = Log::new();
    let copy = socket.try_clone().unwrap();
    join(&event_loop, Probe::new(&log).half_open(), socket, copy);
    log.handle().write(b"hello");
    log.handle().write_eof();
    rest(&event_loop);
    let mut said = String::new();
    peer.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
    peer.write_all(b"good-bye").unwrap();
    run_until(&event_loop, "the answer", || log.received() == b"good-bye");
    drop(peer);
    run_until(&event_loop, "the end", || log.count(Call::Eof) == 1);
}

#[test]
fn joined_pipes_can_be_relayed() {
    let event_loop = EventLoop::new().unwrap();
    let (near, far, first, second) = (Log::new(), Log::new(), Log::new(), Log::new());
    for (end, middle, is_far) in [(&near, &first, false), (&far, &second, true)] {
        let (there, back) = (io::pipe().unwrap(), io::pipe().unwrap());
        let probe = Probe::new(end);
        let probe = if is_far { probe.echoing() } else { probe };
        join(&event_loop, probe, back.0, there.1);
        join(&event_loop, Probe::new(middle).not_reading(), there.0, back.1);
    }
    let relay = wharf::relay(first.handle(), second.handle()).start();
    let much: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    near.handle().write(&much);
    run_until(&event_loop, "the echo", || near.received_len() == much.len());
    assert!(near.received() == much, "the bytes differ");
    near.handle().close();
    let outcome = done(&event_loop, relay).unwrap();
    assert_eq!((outcome.a_to_b, outcome.b_to_a), (2_000_000, 2_000_000));
    run_until(&event_loop, "both ends", || near.is_lost() && far.is_lost());
}

#[test]
fn pipes_that_cannot_be_joined_leave_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let sources = event_loop.statistics().sources;
    let (reader, writer) = io::pipe().unwrap();
    let (other_reader, other_writer) = io::pipe().unwrap();
    let swapped = event_loop.connect_pipes(|| Probe::new(&Log::new()), writer, reader).start();
    let error = done(&event_loop, swapped).unwrap_err();
    assert_eq!(error.io_error().map(io::Error::kind), Some(io::ErrorKind::InvalidInput));
    let second = other_reader.try_clone().unwrap();
    let half = event_loop.connect_pipes(|| Probe::new(&Log::new()), other_reader, second).start();
    assert!(done(&event_loop, half).is_err());
    assert_eq!(event_loop.statistics().sources, sources);
    drop(other_writer);

    let memory = memory_loop();
    let (reader, writer) = io::pipe().unwrap();
    let refused = memory.connect_pipes(|| Probe::new(&Log::new()), reader, writer).start();
    assert!(done(&memory, refused).unwrap_err().is_unsupported());
}

#[test]
fn descriptors_are_used_as_they_are() {
    let event_loop = EventLoop::new().unwrap();
    let directory = crate::serving::Directory::new();
    let path = directory.join("file");
    std::fs::write(&path, "skipped, read").unwrap();
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(9)).unwrap();
    let (_reader, writer) = io::pipe().unwrap();
    let log = Log::new();
    join(&event_loop, Probe::new(&log), file, writer);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.received(), b"read");
}

#[test]
fn what_was_read_ahead_of_a_small_buffer_outlives_a_failed_write() {
    let event_loop = EventLoop::new().expect("a loop");
    let (reader, mut input) = io::pipe().expect("a pipe");
    let (output, writer) = io::pipe().expect("a pipe");
    let log = Log::new();
    let probe = Probe::new(&log).buffer_of(10).on_data(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    join(&event_loop, wharf::Buffered(probe), reader, writer);
    input.write_all(&[7; 30]).unwrap();
    run_until(&event_loop, "the first bytes", || log.received_len() == 10);
    drop(output);
    log.handle().write(b"to nobody");
    rest(&event_loop);
    assert!(!log.is_lost(), "twenty bytes wait");
    for _ in 0..3 {
        log.handle().resume_reading();
        rest(&event_loop);
    }
    assert_eq!(log.received_len(), 30);
}

// A pipe has no reset that could destroy what was written: there is nothing to wait for.
#[test]
fn closing_lets_go_of_both_pipes_at_once() {
    let (event_loop, log, mut input, mut output) = joined(Probe::not_reading);
    input.write_all(b"never read").unwrap();
    rest(&event_loop);
    log.handle().write(b"answer");
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.cause(), log.received_len()), (None, 0));
    assert_eq!(event_loop.statistics().lingering, 0);
    let error = input.write_all(b"more").expect_err("nobody reads it");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let mut answer = String::new();
    output.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

// A TCP socket has one, also when it is both pipes, as a service manager hands it over.
#[test]
fn a_joined_socket_lingers_as_any_other() {
    const LEN: usize = 2_000_000;
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = listener.accept().unwrap().0;
    let log = Log::new();
    let copy = socket.try_clone().unwrap();
    join(&event_loop, Probe::new(&log), socket, copy);
    log.handle().write(&vec![7; LEN]);
    log.handle().close();
    let client = std::thread::spawn(move || {
        let (mut buffer, mut received) = (vec![0; 65_536], 0);
        while let Ok(count @ 1..) = peer.read(&mut buffer) {
            received += count;
            let _ = peer.write_all(b".");
        }
        received
    });
    run_until(&event_loop, "connection_lost", || log.is_lost());
    run_until(&event_loop, "the client", || client.is_finished());
    assert_eq!(client.join().unwrap(), LEN);
    run_until(&event_loop, "the end", || event_loop.statistics().lingering == 0);
}
