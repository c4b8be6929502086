//! FIFOs: pipes with a path, that one process after the other opens.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use wharf::{EventLoop, Transport};

use super::done;
use crate::probe::{Call, Log, Probe};
use crate::running::{rest, run_until};
use crate::serving::Directory;

/// A directory, the path of a FIFO in it, and a loop.
fn fifo() -> (Directory, PathBuf, EventLoop) {
    let directory = Directory::new();
    let path = directory.join("fifo");
    rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    (directory, path, EventLoop::new().expect("a loop"))
}

fn open_for_writing(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty()).map(File::from)?)
}

fn open_for_reading(path: &Path) -> File {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).expect("the FIFO").into()
}

#[test]
fn a_fifo_is_read_until_its_last_writer_closes() {
    let (_directory, path, event_loop) = fifo();
    let log = Log::new();
    let probe = Probe::new(&log);
    done(&event_loop, event_loop.connect_read_fifo(|| probe, &path).start()).unwrap();
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made], "that nobody writes yet is no end");
    let (mut first, mut second) =
        (open_for_writing(&path).unwrap(), open_for_writing(&path).unwrap());
    first.write_all(b"one, ").unwrap();
    drop(first);
    rest(&event_loop);
    assert!(!log.is_lost());
    second.write_all(b"two").unwrap();
    drop(second);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.received(), log.cause()), (b"one, two".to_vec(), None));
}

#[test]
fn a_fifo_that_is_kept_open_is_read_from_one_writer_after_the_other() {
    let (_directory, path, event_loop) = fifo();
    let log = Log::new();
    let probe = Probe::new(&log);
    let connecting = event_loop.connect_read_fifo(|| probe, &path).keep_open(true).start();
    done(&event_loop, connecting).unwrap();
    for text in ["first ", "second ", "third"] {
        let mut writer = open_for_writing(&path).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        drop(writer);
        rest(&event_loop);
    }
    assert_eq!(log.received(), b"first second third");
    assert!(!log.is_lost());
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(open_for_writing(&path).unwrap_err().raw_os_error(), Some(6), "nobody reads");
}

#[test]
fn a_fifo_without_a_reader_is_waited_for_and_does_not_block_the_loop() {
    let (_directory, path, event_loop) = fifo();
    let log = Log::new();
    let probe = Probe::new(&log);
    let connecting = event_loop.connect_write_fifo(|| probe, &path).start();
    rest(&event_loop);
    assert!(!connecting.is_done());
    let mut reader = open_for_reading(&path);
    done(&event_loop, connecting).unwrap();
    log.handle().write(b"at last");
    rest(&event_loop);
    let mut received = [0; 7];
    reader.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"at last");
    drop(reader);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.cause(), None);
}

#[test]
fn a_fifo_that_gets_no_reader_in_time_is_an_error_that_says_so() {
    let (_directory, path, event_loop) = fifo();
    for timeout in [Duration::from_nanos(1), Duration::from_millis(30)] {
        let began = event_loop.time();
        let probe = Probe::new(&Log::new());
        let connecting = event_loop.connect_write_fifo(|| probe, &path).timeout(Some(timeout));
        let error = done(&event_loop, connecting.start()).unwrap_err();
        assert!(error.is_timeout());
        assert!(format!("{error:#}").contains("has opened the FIFO"), "{error}");
        assert!(event_loop.time() - began >= timeout);
    }
    let probe = Probe::new(&Log::new());
    drop(event_loop.connect_write_fifo(|| probe, &path).timeout(None).start());
    rest(&event_loop);
    assert_eq!((event_loop.statistics().timers, event_loop.statistics().tasks), (0, 0));
}

#[test]
fn a_fifo_that_is_kept_open_is_written_for_one_reader_after_the_other() {
    let (_directory, path, event_loop) = fifo();
    let log = Log::new();
    let probe = Probe::new(&log);
    let connecting = event_loop.connect_write_fifo(|| probe, &path).keep_open(true).start();
    done(&event_loop, connecting).unwrap();
    for text in ["first", "other"] {
        log.handle().write(text.as_bytes());
        rest(&event_loop);
        let mut reader = open_for_reading(&path);
        let mut received = [0; 5];
        reader.read_exact(&mut received).unwrap();
        assert_eq!(received, text.as_bytes());
        drop(reader);
        rest(&event_loop);
        assert!(!log.is_lost());
    }
}

#[test]
fn what_is_no_fifo_is_refused() {
    let directory = Directory::new();
    let event_loop = EventLoop::new().unwrap();
    fs::write(directory.join("file"), b"text").unwrap();
    for (name, kind) in [("file", io::ErrorKind::InvalidInput), ("none", io::ErrorKind::NotFound)] {
        let path = directory.join(name);
        let probes = [Probe::new(&Log::new()), Probe::new(&Log::new())];
        let [first, second] = probes;
        let read = done(&event_loop, event_loop.connect_read_fifo(|| first, &path).start());
        let write = done(&event_loop, event_loop.connect_write_fifo(|| second, &path).start());
        assert_eq!(read.unwrap_err().io_kind(), Some(kind));
        assert_eq!(write.unwrap_err().io_kind(), Some(kind));
    }
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"text");
}

#[cfg(linux_kernel)]
#[test]
fn a_pipe_that_came_as_a_descriptor_can_be_kept_open_too() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    let log = Log::new();
    let probe = Probe::new(&log);
    let connecting = event_loop.connect_read_pipe(|| probe, reader).keep_open(true).start();
    done(&event_loop, connecting).unwrap();
    writer.write_all(b"all").unwrap();
    drop(writer);
    run_until(&event_loop, "the bytes", || log.received() == b"all");
    rest(&event_loop);
    assert!(!log.is_lost());

    let directory = Directory::new();
    let file = File::create(directory.join("file")).unwrap();
    let probe = Probe::new(&Log::new());
    let connecting = event_loop.connect_write_pipe(|| probe, file).keep_open(true).start();
    let error = done(&event_loop, connecting).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::InvalidInput));
}
