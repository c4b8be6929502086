//! What can be a pipe and what cannot, and whose the descriptor is.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::fs::OFlags;
use wharf::{
    EventLoop, Protocol, Result, Timeout, TimeoutKind, Transport, WaterMarks, WriteStatus,
};

use super::{done, read_with, write_with};
use crate::loops::memory_loop;
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

struct Nothing;

impl Protocol for Nothing {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// What `connect_read_pipe` and `connect_write_pipe` say to a descriptor.
fn refusals(open: impl Fn() -> OwnedFd) -> [Option<io::ErrorKind>; 2] {
    let event_loop = EventLoop::new().unwrap();
    let read = done(&event_loop, event_loop.connect_read_pipe(|| Nothing, open()).start());
    let write = done(&event_loop, event_loop.connect_write_pipe(|| Nothing, open()).start());
    let refused = read.is_err() && write.is_err();
    assert!(
        !refused || event_loop.statistics().sources == 0,
        "something is left of what was refused"
    );
    [read, write].map(|outcome| outcome.err().and_then(|error| error.io_kind()))
}

fn blocks(fd: impl AsFd) -> bool {
    !rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

// 161: differs.
#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let invalid = Some(io::ErrorKind::InvalidInput);
    let [read, write] = refusals(|| io::pipe().unwrap().1.into());
    assert_eq!((read, write), (invalid, None), "a write end cannot be read");
    let [read, write] = refusals(|| io::pipe().unwrap().0.into());
    assert_eq!((read, write), (None, invalid), "a read end cannot be written");
    let [read, write] = refusals(|| UdpSocket::bind("127.0.0.1:0").unwrap().into());
    assert_eq!((read, write), (invalid, invalid), "datagrams are no stream");
    let [read, _] = refusals(|| File::open("/").unwrap().into());
    assert_eq!(read, Some(io::ErrorKind::IsADirectory));

    let event_loop = EventLoop::new().unwrap();
    for device in [OwnedFd::from(UnixStream::pair().unwrap().0), io::pipe().unwrap().0.into()] {
        let refused = done(&event_loop, event_loop.connect_device(|| Nothing, device).start());
        assert_eq!(refused.unwrap_err().io_kind(), invalid);
    }
    let (reader, _writer) = io::pipe().unwrap();
    let error = done(&event_loop, event_loop.connect_write_pipe(|| Nothing, reader).start());
    assert!(format!("{:#}", error.unwrap_err()).contains("not open for writing"));
}

// 161: differs.
#[test]
fn a_shared_pipe_is_found_as_it_was_when_the_transport_is_gone() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let (shared_reader, shared_writer) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
    let logs = [Log::new(), Log::new()];
    read_with(&event_loop, reader, Probe::new(&logs[0]));
    write_with(&event_loop, writer, Probe::new(&logs[1]));
    assert!(!blocks(&shared_reader) && !blocks(&shared_writer));
    for log in &logs {
        log.handle().close();
        run_until(&event_loop, "connection_lost", || log.is_lost());
    }
    assert!(blocks(&shared_reader) && blocks(&shared_writer));

    // Also when the loop closes, and when it was not blocking before it stays so.
    read_with(&event_loop, shared_reader.try_clone().unwrap(), Probe::new(&Log::new()));
    rustix::io::ioctl_fionbio(&shared_writer, true).unwrap();
    write_with(&event_loop, shared_writer.try_clone().unwrap(), Probe::new(&Log::new()));
    drop(event_loop);
    assert!(blocks(&shared_reader) && !blocks(&shared_writer));
}

#[test]
fn a_shared_descriptor_can_be_a_transport_again_and_again() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    for round in 0..3 {
        let log = Log::new();
        read_with(&event_loop, reader.try_clone().unwrap(), Probe::new(&log));
        writer.write_all(&[round]).unwrap();
        run_until(&event_loop, "the byte", || log.received() == [round]);
        log.handle().close();
        run_until(&event_loop, "connection_lost", || log.is_lost());
    }
}

#[test]
fn one_end_of_a_socket_pair_is_read_or_written_without_touching_it() {
    let event_loop = EventLoop::new().unwrap();
    let (near, mut far) = UnixStream::pair().unwrap();
    let shared = near.try_clone().unwrap();
    let log = Log::new();
    read_with(&event_loop, near, Probe::new(&log));
    assert!(blocks(&shared), "each call says that it does not wait");
    far.write_all(b"one way").unwrap();
    run_until(&event_loop, "the bytes", || log.received() == b"one way");
    assert_eq!(log.handle().write(b"the other"), WriteStatus::Closed);
    drop(far);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);

    let (near, mut far) = UnixStream::pair().unwrap();
    let log = Log::new();
    write_with(&event_loop, near, Probe::new(&log));
    log.handle().write(b"one way");
    far.write_all(b"what is sent here is not read").unwrap();
    let mut received = [0; 7];
    crate::running::rest(&event_loop);
    far.read_exact(&mut received).unwrap();
    assert_eq!((&received, log.is_lost()), (b"one way", false));
    drop(far);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Lost]);
}

#[test]
fn a_pipe_begins_with_the_options_of_its_builder() {
    let event_loop = EventLoop::new().unwrap();
    let (_reader, writer) = io::pipe().unwrap();
    let log = Log::new();
    let probe = Probe::new(&log);
    let connecting = event_loop
        .connect_write_pipe(|| probe, writer)
        .write_buffer_limits(WaterMarks { low: 10, high: 1000 })
        .write_buffer_cap(Some(100_000))
        .connection_timeout(Timeout::WriteStall, Some(std::time::Duration::from_millis(20)))
        .start();
    let connection = done(&event_loop, connecting).unwrap();
    assert_eq!(connection.handle().write_buffer_limits(), WaterMarks { low: 10, high: 1000 });
    assert_eq!(log.handle().write(&[7; 70_000]), WriteStatus::AboveHighWater);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().timeout, Some(TimeoutKind::WriteStall));
}

#[test]
fn giving_up_or_a_factory_that_panics_closes_the_descriptor() {
    let event_loop = EventLoop::new().unwrap();
    let made = Rc::new(Cell::new(false));
    let mark = Rc::clone(&made);
    let (reader, mut writer) = io::pipe().unwrap();
    let factory = move || {
        mark.set(true);
        Nothing
    };
    drop(event_loop.connect_read_pipe(factory, reader).start());
    crate::running::rest(&event_loop);
    assert!(!made.get());
    assert_eq!(writer.write(b"gone").unwrap_err().kind(), io::ErrorKind::BrokenPipe);

    let (reader, mut writer) = io::pipe().unwrap();
    let factory = || -> Nothing { panic!("no protocol") };
    let outcome = done(&event_loop, event_loop.connect_read_pipe(factory, reader).start());
    assert!(outcome.unwrap_err().is_panic());
    assert_eq!(writer.write(b"gone").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(event_loop.statistics().sources, 0);
}

#[test]
fn a_loop_in_memory_and_a_closed_loop_refuse_descriptors() {
    let in_memory = memory_loop();
    let (reader, _writer) = io::pipe().unwrap();
    let outcome = done(&in_memory, in_memory.connect_read_pipe(|| Nothing, reader).start());
    assert!(outcome.unwrap_err().is_unsupported());
    let outcome = done(&in_memory, in_memory.connect_stdin(|| Nothing).start());
    assert!(outcome.unwrap_err().is_unsupported());

    let event_loop = EventLoop::new().unwrap();
    let clone = event_loop.clone();
    drop(event_loop);
    let (reader, _writer) = io::pipe().unwrap();
    let refused = clone.connect_read_pipe(|| Nothing, reader).start().take_result();
    assert!(refused.unwrap().unwrap_err().is_closed());
}
