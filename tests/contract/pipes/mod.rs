//! Section H: pipes, FIFOs, terminals, files.

pub(crate) mod devices;
mod fifos;
mod files;
mod joined;
mod opening;
mod reading;
mod writing;

use std::io;
use std::os::fd::OwnedFd;

use wharf::{EventLoop, LoopFuture, Protocol};

use crate::probe::{Log, Probe};

/// What a future gives, with its loop run until then.
#[track_caller]
pub(crate) fn done<T: 'static>(
    event_loop: &EventLoop,
    future: LoopFuture<T>,
) -> Result<T, wharf::Error> {
    event_loop.run_until_complete(future).expect("the loop runs")
}

/// Reads `pipe` with `protocol`.
#[track_caller]
pub(crate) fn read_with<P: Protocol>(
    event_loop: &EventLoop,
    pipe: impl Into<OwnedFd>,
    protocol: P,
) {
    done(event_loop, event_loop.connect_read_pipe(|| protocol, pipe).start()).expect("a pipe");
}

/// Writes `pipe` with `protocol`.
#[track_caller]
pub(crate) fn write_with<P: Protocol>(
    event_loop: &EventLoop,
    pipe: impl Into<OwnedFd>,
    protocol: P,
) {
    done(event_loop, event_loop.connect_write_pipe(|| protocol, pipe).start()).expect("a pipe");
}

/// A loop, a probe on the read end of a pipe, and the write end.
fn reader() -> (EventLoop, Log, io::PipeWriter) {
    let event_loop = EventLoop::new().expect("a loop");
    let (reader, writer) = io::pipe().expect("a pipe");
    let log = Log::new();
    read_with(&event_loop, reader, Probe::new(&log));
    (event_loop, log, writer)
}

/// A loop, a probe on the write end of a pipe, and the read end.
fn writer() -> (EventLoop, Log, io::PipeReader) {
    let event_loop = EventLoop::new().expect("a loop");
    let (reader, writer) = io::pipe().expect("a pipe");
    let log = Log::new();
    write_with(&event_loop, writer, Probe::new(&log));
    (event_loop, log, reader)
}
