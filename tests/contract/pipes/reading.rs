//! The read end of a pipe.

use std::io::{self, Write};

use wharf::{Buffered, Eof, EventLoop, Transport, WriteStatus};

use super::{read_with, reader};
use crate::probe::{Call, Log, Probe};
use crate::running::{Reports, rest, run_until};

// 162.
#[test]
fn a_read_pipe_begins_and_delivers_as_other_streams_do() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"early ").unwrap();
    let log = Log::new();
    read_with(&event_loop, reader, Probe::new(&log));
    assert_eq!(log.calls(), [Call::Made], "what waits comes later");
    run_until(&event_loop, "the first bytes", || log.received() == b"early ");
    assert!(log.handle().is_reading());
    writer.write_all(b"and late").unwrap();
    run_until(&event_loop, "all bytes", || log.received() == b"early and late");
}

// 163: differs.
#[test]
fn the_end_of_a_read_pipe_is_told_once_and_closes_it_whatever_is_answered() {
    for answer in [Eof::Close, Eof::KeepOpen] {
        let event_loop = EventLoop::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let log = Log::new();
        read_with(&event_loop, reader, Probe::new(&log).on_eof(move |_| Ok(answer)));
        writer.write_all(b"last words").unwrap();
        drop(writer);
        run_until(&event_loop, "connection_lost", || log.is_lost());
        assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
        assert_eq!(log.cause(), None);
    }
}

// 163.
#[test]
fn the_end_of_a_read_pipe_while_paused_is_told_after_the_resume() {
    let (event_loop, log, mut writer) = reader();
    log.handle().pause_reading();
    writer.write_all(b"last words").unwrap();
    drop(writer);
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made]);
    log.handle().resume_reading();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
}

// 163.
#[test]
fn the_end_of_an_empty_read_pipe_while_paused_is_told_after_the_resume() {
    let (event_loop, log, writer) = reader();
    rest(&event_loop);
    log.handle().pause_reading();
    drop(writer);
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made]);
    log.handle().resume_reading();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Eof, Call::Lost]);
}

// 163.
#[test]
fn a_protocol_that_is_set_at_the_end_of_a_read_pipe_is_told_of_it_too() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let (log, next) = (Log::new(), Log::successor());
    let mut successor = Some(Probe::new(&next));
    let probe = Probe::new(&log).on_eof(move |transport| {
        let next = successor.take().expect("told once");
        transport.set_protocol(Box::new(next), (&b"left over"[..]).into());
        Ok(Eof::KeepOpen)
    });
    read_with(&event_loop, reader, probe);
    drop(writer);
    run_until(&event_loop, "connection_lost", || next.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Eof]);
    assert_eq!(next.calls(), [Call::Data, Call::Eof, Call::Lost]);
}

// 165: differs.
#[test]
fn a_read_pipe_is_closed_when_its_protocol_fails() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Reports::of(&event_loop);
    let (reader, mut writer) = io::pipe().unwrap();
    let log = Log::new();
    read_with(&event_loop, reader, Probe::new(&log).on_data(|_, _| Err("no such line".into())));
    writer.write_all(b"a line").unwrap();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert!(log.cause().unwrap().is_application);
    assert_eq!(reports.take().len(), 1);
    assert_eq!(writer.write(b"another").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

// 166.
#[test]
fn pausing_resuming_and_closing_a_read_pipe_are_idempotent() {
    let (event_loop, log, mut writer) = reader();
    for _ in 0..2 {
        log.handle().pause_reading();
    }
    writer.write_all(b"waits").unwrap();
    rest(&event_loop);
    assert_eq!(log.received_len(), 0);
    for _ in 0..2 {
        log.handle().resume_reading();
    }
    run_until(&event_loop, "the bytes", || log.received() == b"waits");
    for _ in 0..2 {
        log.handle().close();
    }
    run_until(&event_loop, "connection_lost", || log.is_lost());
    log.handle().pause_reading();
    log.handle().resume_reading();
    log.handle().close();
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Lost]);
    assert_eq!(log.cause(), None);
}

#[test]
fn a_read_pipe_refuses_writes() {
    let (event_loop, log, _writer) = reader();
    let handle = log.handle();
    assert!(!handle.can_write_eof());
    assert_eq!(handle.write(b"the wrong way"), WriteStatus::Closed);
    assert_eq!(handle.write_bytes((&b"the wrong way"[..]).into()), WriteStatus::Closed);
    assert_eq!(handle.write_vectored(&[io::IoSlice::new(b"no")]), WriteStatus::Closed);
    handle.write_eof();
    rest(&event_loop);
    assert!(!log.is_lost() && handle.is_reading());
    assert_eq!(handle.write_buffer_size(), 0);
}

#[test]
fn a_closed_read_pipe_discards_what_was_not_read() {
    let (event_loop, log, mut writer) = reader();
    log.handle().pause_reading();
    writer.write_all(b"nobody reads this").unwrap();
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.received_len(), log.cause()), (0, None));
    assert_eq!(writer.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_buffered_protocol_reads_a_pipe_into_its_own_memory() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    let log = Log::new();
    read_with(&event_loop, reader, Buffered(Probe::new(&log).buffer_of(4)));
    writer.write_all(b"ten bytes.").unwrap();
    drop(writer);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.received(), log.chunks()), (b"ten bytes.".to_vec(), vec![4, 4, 2]));
}
