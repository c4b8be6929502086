//! Files and devices that the poll cannot watch: read and written on the loop's threads.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::host::FileOutcome;
use super::{Direction, PipeHost};
use crate::driver::{Key, Readiness, Signals};

/// What one job reads or writes at most.
const CHUNK: usize = 128 * 1024;

/// A file whose operations run on the loop's threads, one at a time, so that they keep their order.
///
/// It behaves as a socket does: a read says `WouldBlock` and becomes readable when its job is
/// done. So does a write, which is then called again with the same bytes and says how many of them
/// were written: they stay in the stream's queue until the system has them, and closing waits for
/// that.
pub(super) struct FilePipe {
    file: Arc<File>,
    host: Weak<dyn PipeHost>,
    state: Rc<State>,
}

struct State {
    key: Key,
    signals: Signals,
    job: Cell<Job>,
    /// What was read and not yet asked for.
    chunk: RefCell<Vec<u8>>,
    taken: Cell<usize>,
}

enum Job {
    None,
    Running,
    Done(io::Result<usize>),
}

impl FilePipe {
    pub(super) fn new(
        host: Weak<dyn PipeHost>,
        fd: OwnedFd,
        key: Key,
        signals: &Signals,
        direction: Direction,
    ) -> Self {
        if direction == Direction::Read {
            // A read says that there is nothing yet, and begins the job.
            signals.push(key, Readiness::READ);
        }
        Self {
            file: Arc::new(fd.into()),
            host,
            state: Rc::new(State {
                key,
                signals: Rc::clone(signals),
                job: Cell::new(Job::None),
                chunk: RefCell::default(),
                taken: Cell::new(0),
            }),
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &self.state;
        match state.job.replace(Job::None) {
            Job::Running => {
                state.job.set(Job::Running);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // The end of a file is said again, as that of a socket is.
            Job::Done(Ok(0)) => {
                state.job.set(Job::Done(Ok(0)));
                return Ok(0);
            }
            Job::Done(Err(error)) => return Err(error),
            Job::Done(Ok(_)) | Job::None => {}
        }
        let count = state.take(buffer);
        if state.is_empty() {
            self.begin_read();
        }
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// Begins to write what is at the front, or says what became of that.
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.state.job.replace(Job::None) {
            Job::None => self.begin_write(slices),
            Job::Running => self.state.job.set(Job::Running),
            Job::Done(result) => {
                // A short write does not mean that the file takes no more.
                self.state.signals.push(self.state.key, Readiness::WRITE);
                return result;
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn begin_read(&self) {
        let mut chunk = self.state.chunk.take();
        self.state.taken.set(0);
        let file = Arc::clone(&self.file);
        self.begin(Readiness::READ, move || {
            chunk.resize(CHUNK, 0);
            let result = retry(|| (&*file).read(&mut chunk));
            chunk.truncate(*result.as_ref().unwrap_or(&0));
            FileOutcome { chunk, result }
        });
    }

    fn begin_write(&self, slices: &[IoSlice<'_>]) {
        let mut data = Vec::new();
        for slice in slices {
            let room = CHUNK - data.len();
            data.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let file = Arc::clone(&self.file);
        self.begin(Readiness::WRITE, move || {
            let result = match retry(|| (&*file).write(&data)) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                result => result,
            };
            FileOutcome { chunk: Vec::new(), result }
        });
    }

    fn begin(&self, readiness: Readiness, job: impl FnOnce() -> FileOutcome + Send + 'static) {
        let Some(host) = self.host.upgrade() else { return };
        self.state.job.set(Job::Running);
        let state = Rc::downgrade(&self.state);
        let done = move |outcome: io::Result<FileOutcome>| {
            let Some(state) = state.upgrade() else { return };
            let result = outcome.and_then(|FileOutcome { chunk, result }| {
                *state.chunk.borrow_mut() = chunk;
                result
            });
            state.job.set(Job::Done(result));
            state.signals.push(state.key, readiness);
        };
        host.run_job(Box::new(job), Box::new(done));
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.taken.get() == self.chunk.borrow().len()
    }

    fn take(&self, buffer: &mut [u8]) -> usize {
        let chunk = self.chunk.borrow();
        let rest = &chunk[self.taken.get()..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken.set(self.taken.get() + count);
        count
    }
}

impl fmt::Debug for FilePipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FilePipe").field("file", &self.file).finish_non_exhaustive()
    }
}

fn retry(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
