//! What pipes need of the loop that they are on.

use std::io;
use std::rc::Rc;

use crate::driver::os::OsDriver;

/// The loop of a pipe, as far as the pipe knows it.
pub(crate) trait PipeHost {
    /// The driver that the pipe is registered with.
    fn os_driver(&self) -> Option<&OsDriver>;

    /// Runs `job` on another thread, and then `done` with its outcome on the loop's own thread. The
    /// outcome is an error if the job panicked or could not be run. A loop that closes drops both.
    fn run_job(self: Rc<Self>, job: FileJob, done: FileJobDone);
}

/// A read or a write that may block.
pub(crate) type FileJob = Box<dyn FnOnce() -> FileOutcome + Send>;

pub(crate) type FileJobDone = Box<dyn FnOnce(io::Result<FileOutcome>)>;

/// What came of a read or a write.
pub(crate) struct FileOutcome {
    /// What was read.
    pub(crate) chunk: Vec<u8>,
    /// How many bytes were read or written.
    pub(crate) result: io::Result<usize>,
}
