//! Files, and devices that the poll cannot watch.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};

use wharf::{EventLoop, Transport, WriteStatus};

use super::{read_with, write_with};
use crate::probe::{Call, Log, Probe};
use crate::running::{rest, run_until};
use crate::serving::Directory;

/// More than one job reads or writes.
const MUCH: usize = 1024 * 1024;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 3) as u8).collect()
}

// 161: differs.
#[test]
fn a_file_is_read_to_its_end_as_a_pipe_is() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    for len in [0, 1, MUCH] {
        fs::write(directory.join("file"), bytes(len)).unwrap();
        let log = Log::new();
        read_with(&event_loop, File::open(directory.join("file")).unwrap(), Probe::new(&log));
        run_until(&event_loop, "connection_lost", || log.is_lost());
        assert!(log.received() == bytes(len));
        let data = if len == 0 { vec![] } else { vec![Call::Data] };
        assert_eq!(log.order(), [&[Call::Made], &data[..], &[Call::Eof, Call::Lost]].concat());
        assert_eq!(log.cause(), None);
    }
}

// 161: differs.
#[test]
fn a_file_is_written_as_a_pipe_is() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let file = File::create(directory.join("file")).unwrap();
    write_with(&event_loop, file, Probe::new(&log));
    let data = bytes(MUCH);
    assert_eq!(log.handle().write(&data[..1]), WriteStatus::Accepted);
    for part in data[1..].chunks(100_000) {
        log.handle().write(part);
    }
    assert!(log.handle().write_buffer_size() > 0);
    log.handle().write_eof();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
    // Whoever is told of the end finds everything in the file.
    assert!(fs::read(directory.join("file")).unwrap() == data);
    assert_eq!(log.order(), [Call::Made, Call::Lost], "a stream that closes is not paused");
}

#[test]
fn a_file_is_not_read_on_while_reading_is_paused() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    fs::write(directory.join("file"), bytes(MUCH)).unwrap();
    let file = File::open(directory.join("file")).unwrap();
    let mut position = file.try_clone().unwrap();
    let log = Log::new();
    let probe = Probe::new(&log).on_data(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    read_with(&event_loop, file, probe);
    run_until(&event_loop, "the first bytes", || log.received_len() > 0);
    rest(&event_loop);
    let received = log.received_len();
    assert_eq!(log.count(Call::Data), 1);
    let read = position.stream_position().unwrap() as usize;
    assert!(read <= received + 128 * 1024, "{read} bytes were read, {received} delivered");
    assert!(read < MUCH);
    while !log.is_lost() {
        log.handle().resume_reading();
        rest(&event_loop);
    }
    assert!(log.received() == bytes(MUCH));
}

#[test]
fn writing_to_a_file_pauses_and_resumes() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let file = File::create(directory.join("file")).unwrap();
    write_with(&event_loop, file, Probe::new(&log));
    assert_eq!(log.handle().write(&bytes(MUCH)), WriteStatus::AboveHighWater);
    run_until(&event_loop, "resume_writing", || log.count(Call::Resume) == 1);
    run_until(&event_loop, "everything", || log.handle().write_buffer_size() == 0);
    assert_eq!(log.calls(), [Call::Made, Call::Pause, Call::Resume]);
    assert_eq!(fs::metadata(directory.join("file")).unwrap().len(), MUCH as u64);
}

#[test]
fn a_file_that_others_share_is_read_and_written_at_their_common_position() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    let mut file = File::create_new(directory.join("file")).unwrap();
    file.write_all(b"before ").unwrap();
    let log = Log::new();
    write_with(&event_loop, file.try_clone().unwrap(), Probe::new(&log));
    log.handle().write(b"meanwhile ");
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    file.write_all(b"after").unwrap();
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"before meanwhile after");

    let mut file = File::open(directory.join("file")).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    let log = Log::new();
    read_with(&event_loop, file.try_clone().unwrap(), Probe::new(&log));
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.received(), b"meanwhile after");
    assert_eq!(file.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_failed_write_to_a_file_is_told_in_connection_lost() {
    let event_loop = EventLoop::new().unwrap();
    let reports = crate::running::Reports::of(&event_loop);
    let log = Log::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    write_with(&event_loop, full, Probe::new(&log));
    log.handle().write(b"no room for this");
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().io_kind, Some(io::ErrorKind::StorageFull));
    assert_eq!(reports.take(), [""; 0]);
}

#[test]
fn aborting_a_file_drops_what_is_not_written_and_leaves_nothing() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let file = File::create(directory.join("file")).unwrap();
    write_with(&event_loop, file, Probe::new(&log));
    log.handle().write(&bytes(MUCH));
    log.handle().abort();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    rest(&event_loop);
    assert!(fs::metadata(directory.join("file")).unwrap().len() < MUCH as u64);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.sources, statistics.connections_open), (0, 0));
}

// 161: differs.
#[test]
fn devices_that_the_poll_cannot_watch_work() {
    let event_loop = EventLoop::new().unwrap();
    let (null, zero, sink) = (Log::new(), Log::new(), Log::new());
    read_with(&event_loop, File::open("/dev/null").unwrap(), Probe::new(&null));
    run_until(&event_loop, "the end", || null.is_lost());
    assert_eq!(null.calls(), [Call::Made, Call::Eof, Call::Lost]);

    read_with(&event_loop, File::open("/dev/zero").unwrap(), Probe::new(&zero));
    run_until(&event_loop, "much", || zero.received_len() >= MUCH);
    zero.handle().close();
    run_until(&event_loop, "connection_lost", || zero.is_lost());

    let device = File::options().write(true).open("/dev/null").unwrap();
    write_with(&event_loop, device, Probe::new(&sink));
    sink.handle().write(&bytes(MUCH));
    sink.handle().close();
    run_until(&event_loop, "connection_lost", || sink.is_lost());
    assert_eq!(sink.cause(), None);
}
