//! Opening FIFOs by their paths, without ever waiting in the system.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};

use super::open::Pipe;
use crate::driver::Direction;
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop};
use crate::time::Backoff;
use crate::timeout::TimeoutKind;

/// How often to look whether a FIFO has got a reader: nothing reports it.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(160);

/// Opens a FIFO. One to write to is opened once a process has opened it for reading.
pub(super) async fn open_fifo(
    core: &Rc<Core>,
    path: &Path,
    direction: Direction,
    keep_open: bool,
    timeout: Option<Duration>,
) -> Result<Pipe, Error> {
    let shown = path.display();
    let failed = |error| Error::io(format!("could not open the FIFO {shown}"), error);
    if direction == Direction::Read {
        let fd = open_end(path, OFlags::RDONLY).map_err(failed)?;
        let other_end = keep_open.then(|| open_end(path, OFlags::WRONLY)).transpose();
        return Ok(Pipe::holding(fd, other_end.map_err(failed)?));
    }
    let other_end = keep_open.then(|| open_end(path, OFlags::RDONLY)).transpose();
    let other_end = other_end.map_err(failed)?;
    let event_loop = EventLoop::from_core(Rc::clone(core));
    let began = event_loop.time();
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY, core.jitter_seed());
    loop {
        match open_end(path, OFlags::WRONLY) {
            Ok(fd) => return Ok(Pipe::holding(fd, other_end)),
            Err(error) if !is_without_reader(&error) => return Err(failed(error)),
            Err(error) => {
                let waited = event_loop.time().saturating_duration_since(began);
                if timeout.is_some_and(|timeout| waited >= timeout) {
                    let kind = Kind::Timeout(TimeoutKind::Connect);
                    let text = format!("no process has opened the FIFO {shown} for reading");
                    return Err(Error::with_source(kind, text, error));
                }
                let delay = backoff.next_delay();
                let left = timeout.map_or(delay, |timeout| timeout - waited);
                event_loop.sleep(delay.min(left)).await;
            }
        }
    }
}

fn open_end(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if kind != FileType::Fifo {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no FIFO"));
    }
    Ok(fd)
}

fn is_without_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}
