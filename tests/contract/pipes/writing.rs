//! The write end of a pipe.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::step;
use wharf::{EventLoop, Timeout, TimeoutKind, Transport, WaterMarks, WriteStatus};

use super::{write_with, writer};
use crate::probe::{Call, Log, Probe};
use crate::running::{Reports, rest, run_until};

/// More than a pipe holds (64 KiB).
const MUCH: usize = 1024 * 1024;

/// Reads in steps from a pipe that the loop on this thread writes to.
fn read_some(event_loop: &EventLoop, reader: &mut io::PipeReader, len: usize) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while received.len() < len {
        let count = reader.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..count]);
        rest(event_loop);
    }
    received
}

// 167.
#[test]
fn a_write_pipe_learns_that_its_reader_is_gone_without_writing() {
    let (event_loop, log, reader) = writer();
    assert!(!log.handle().is_reading());
    rest(&event_loop);
    assert!(!log.is_lost());
    drop(reader);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.handle().write(b"to nobody"), WriteStatus::Closed);
}

// 168.
#[test]
fn a_reader_that_is_gone_with_nothing_queued_is_no_error() {
    let (event_loop, log, mut reader) = writer();
    let reports = Reports::of(&event_loop);
    log.handle().write(b"taken");
    rest(&event_loop);
    reader.read_exact(&mut [0; 5]).unwrap();
    drop(reader);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.calls(), log.cause()), (vec![Call::Made, Call::Lost], None));
    assert!(reports.take().is_empty());
}

// 169.
#[test]
fn a_reader_that_is_gone_with_output_queued_is_a_broken_pipe() {
    let (event_loop, log, reader) = writer();
    let reports = Reports::of(&event_loop);
    log.handle().write(&vec![7; MUCH]);
    rest(&event_loop);
    assert!(log.handle().write_buffer_size() > 0);
    drop(reader);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
    assert_eq!(log.handle().write_buffer_size(), 0);
    assert!(reports.take().is_empty(), "what a peer does is not reported");
}

// 169.
#[test]
fn closing_with_output_queued_and_the_reader_gone_is_a_broken_pipe() {
    let (event_loop, log, reader) = writer();
    log.handle().write(&vec![7; MUCH]);
    log.handle().close();
    rest(&event_loop);
    assert!(!log.is_lost(), "not all is written");
    drop(reader);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
}

// 170.
#[test]
fn what_a_pipe_does_not_take_is_queued_and_sent_in_order() {
    let (event_loop, log, mut reader) = writer();
    let data: Vec<u8> = (0..MUCH).map(|index| (index / 7) as u8).collect();
    assert_eq!(log.handle().write(&data[..10]), WriteStatus::Accepted);
    assert_eq!(log.handle().write(&data[10..]), WriteStatus::AboveHighWater);
    rest(&event_loop);
    let queued = log.handle().write_buffer_size();
    assert!(queued > 0 && queued < MUCH, "a part went out at once: {queued}");
    assert!(read_some(&event_loop, &mut reader, MUCH) == data);
    assert_eq!(log.handle().write_buffer_size(), 0);
}

// 170.
#[test]
fn what_a_pipe_takes_is_written_at_once() {
    let pipe = || {
        let (reader, writer) = io::pipe().unwrap();
        (File::from(OwnedFd::from(reader)), OwnedFd::from(writer))
    };
    let socket = || {
        let (reader, writer) = UnixStream::pair().unwrap();
        (File::from(OwnedFd::from(reader)), OwnedFd::from(writer))
    };
    for (reader, writer) in [pipe(), socket()] {
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let reader = Rc::new(reader);
        // What is there, read without a turn of the loop.
        let there = {
            let reader = Rc::clone(&reader);
            move || {
                let mut buffer = vec![0; 128 * 1024];
                (&*reader).read(&mut buffer).map_or(0, |count| count)
            }
        };
        let event_loop = EventLoop::new().unwrap();
        let log = Log::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (notes, look) = (Rc::clone(&seen), there.clone());
        let probe = Probe::new(&log).on_made(move |transport| {
            transport.write(b"small");
            notes.borrow_mut().push(look());
            transport.write(&[7; 32 * 1024]);
            notes.borrow_mut().push(look());
            transport.write(b"the last");
            let (notes, look) = (Rc::clone(&notes), look.clone());
            transport.event_loop().call_soon(move || notes.borrow_mut().push(look()));
            Ok(())
        });
        write_with(&event_loop, writer, probe);
        run_until(&event_loop, "the next round", || seen.borrow().len() == 3);
        // Gathered; behind it, what is large went out inside the callback; the rest when it returned.
        assert_eq!(*seen.borrow(), [0, 5 + 32 * 1024, 8]);
        // What comes from elsewhere goes out at the end of the round.
        log.handle().write(b"from elsewhere");
        step(&event_loop).unwrap();
        assert_eq!((there(), log.handle().write_buffer_size()), (14, 0));
    }
}

// 170.
#[test]
fn a_write_that_finds_the_reader_gone_is_told_in_connection_lost() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Reports::of(&event_loop);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let log = Log::new();
    write_with(
        &event_loop,
        writer,
        Probe::new(&log).on_made(|transport| {
            assert_eq!(transport.write(b"to nobody"), WriteStatus::Accepted);
            Ok(())
        }),
    );
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().io_kind, Some(io::ErrorKind::BrokenPipe));
    assert!(reports.take().is_empty());
}

// 171: differs.
#[test]
fn writes_to_a_pipe_that_is_closing_say_closed() {
    let (event_loop, log, _reader) = writer();
    log.handle().close();
    for _ in 0..10 {
        assert_eq!(log.handle().write(b"too late"), WriteStatus::Closed);
    }
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.handle().write(b"too late"), WriteStatus::Closed);
}

// 172: differs.
#[test]
fn a_write_pipe_resumes_at_the_low_water_mark() {
    let event_loop = EventLoop::new().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    let log = Log::new();
    let at_resume = Rc::new(std::cell::Cell::new(0));
    let seen = Rc::clone(&at_resume);
    let probe = Probe::new(&log).on_resume(move |transport| {
        seen.set(transport.write_buffer_size());
        Ok(())
    });
    write_with(&event_loop, writer, probe);
    log.handle().set_write_buffer_limits(WaterMarks { low: 50_000, high: 100_000 }).unwrap();
    log.handle().write(&vec![7; MUCH]);
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made, Call::Pause]);
    let mut buffer = vec![0; 8192];
    while log.count(Call::Resume) == 0 {
        assert!(reader.read(&mut buffer).unwrap() > 0);
        rest(&event_loop);
    }
    assert!(at_resume.get() <= 50_000 && at_resume.get() > 0, "at {}", at_resume.get());
}

// 173.
#[test]
fn write_eof_of_a_write_pipe_closes_it_after_the_flush() {
    let (event_loop, log, mut reader) = writer();
    assert!(log.handle().can_write_eof());
    log.handle().write(&vec![7; MUCH]);
    log.handle().write_eof();
    log.handle().write_eof();
    assert!(log.handle().is_closing());
    rest(&event_loop);
    assert!(!log.is_lost(), "not all is written");
    let received = read_some(&event_loop, &mut reader, MUCH);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((received.len(), log.cause()), (MUCH, None));
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "the reader is at the end");
}

// 173.
#[test]
fn write_eof_of_a_write_pipe_with_nothing_queued_closes_it_at_once() {
    let (event_loop, log, mut reader) = writer();
    log.handle().write_eof();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
}

// 174.
#[test]
fn aborting_a_write_pipe_drops_its_queue() {
    let (event_loop, log, mut reader) = writer();
    log.handle().write(&vec![7; MUCH]);
    rest(&event_loop);
    log.handle().abort();
    assert_eq!(log.handle().write_buffer_size(), 0);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
    let mut received = Vec::new();
    reader.read_to_end(&mut received).unwrap();
    assert!(received.len() < MUCH);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.sources, statistics.connections_open), (0, 0));
}

#[test]
fn a_write_pipe_never_reads() {
    let (event_loop, log, _reader) = writer();
    log.handle().pause_reading();
    log.handle().resume_reading();
    let next = Log::successor();
    log.handle().set_protocol(Box::new(Probe::new(&next)), Vec::new().into());
    rest(&event_loop);
    assert!(!log.handle().is_reading());
    assert_eq!((log.calls(), next.calls()), (vec![Call::Made], vec![]));
}

#[test]
fn a_reader_that_is_slow_pauses_and_resumes_its_writer_in_turn() {
    let (event_loop, log, mut reader) = writer();
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    let mut written = 0;
    for _ in 0..40 {
        while log.count(Call::Pause) == log.count(Call::Resume) {
            log.handle().write(&[7; 10_000]);
            written += 10_000;
            rest(&event_loop);
        }
        assert!(log.handle().write_buffer_size() < 80_000, "bounded by the mark and one write");
        while log.count(Call::Pause) > log.count(Call::Resume) {
            received += reader.read(&mut buffer).unwrap();
            rest(&event_loop);
        }
    }
    while received < written {
        received += reader.read(&mut buffer).unwrap();
        rest(&event_loop);
    }
    assert_eq!(log.count(Call::Pause), 40);
}

#[test]
fn a_pipe_waits_for_a_slow_reader_without_a_deadline_unless_one_is_set() {
    let (event_loop, log, _reader) = writer();
    log.handle().write(&vec![7; MUCH]);
    log.handle().close();
    rest(&event_loop);
    assert!(!log.is_lost());
    assert_eq!(event_loop.statistics().timers, 0);
    log.handle().set_timeout(Timeout::Linger, Some(Duration::from_millis(5)));
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause().unwrap().timeout, Some(TimeoutKind::Linger));
}
