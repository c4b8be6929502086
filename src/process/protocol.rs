//! What users implement to hear of a child process.

use std::any::Any;
use std::fmt;
use std::process::ExitStatus;

use super::ProcessTransport;
use crate::error::{Error, Result};
use crate::protocol::TypeName;

/// The loop's side of a child process: its output, the ends of its pipes, its exit.
///
/// asyncio's `SubprocessProtocol`. Every callback has a default, so that only what matters is
/// written. The child is reached through the [`ProcessTransport`] that each callback is lent.
///
/// ```no_run
/// use std::process::ExitStatus;
/// use wharf::{ChildFd, EventLoop, ProcessProtocol, ProcessTransport, Result};
///
/// /// Passes on what the child writes, line by line or not, and says how it ended.
/// struct Watch;
///
/// impl ProcessProtocol for Watch {
///     fn pipe_data_received(
///         &mut self,
///         _: &dyn ProcessTransport,
///         fd: ChildFd,
///         data: &[u8],
///     ) -> Result {
///         let stream = if fd == ChildFd::STDERR { "error" } else { "output" };
///         print!("{stream}: {}", String::from_utf8_lossy(data));
///         Ok(())
///     }
///
///     fn process_exited(&mut self, process: &dyn ProcessTransport, status: ExitStatus) -> Result {
///         println!("{}: {status}", process.pid());
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     EventLoop::new()?.run(async |event_loop| {
///         let process = event_loop.subprocess_exec(|| Watch, "ls").arg("-l").await?;
///         process.wait().await?;
///         Ok(())
///     })
/// }
/// ```
///
/// # Ordering
/// `connection_made` first and `connection_lost` last, each exactly once. One pipe has any number
/// of `pipe_data_received`, then one `pipe_connection_lost`. Between different pipes, and between
/// pipes and `process_exited`, there is no order: a child may exit with output still in a pipe, and
/// another process that inherited the pipe may write to it long after. `connection_lost` comes when
/// the child has exited and all its pipes are gone.
///
/// # Re-entrancy
/// No callback ever runs inside another, of this protocol or of any other.
///
/// # Errors
/// An `Err` (or a panic, which is caught) from any callback closes the process: its pipes are
/// closed, it is killed, and once it has exited `connection_lost` follows with that error; nothing
/// else is called in between. Panics and errors also go to the loop's exception handler, as those of
/// a [`Protocol`](crate::Protocol) do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `ProcessProtocol`",
    label = "the protocol of a child has to implement `wharf::ProcessProtocol`",
    note = "a `Protocol` belongs to streams; to talk to a child as to a connection, give its pipes to `connect_pipes`"
)]
#[doc(alias("SubprocessProtocol"))]
pub trait ProcessProtocol: Any + TypeName {
    /// The child runs, and its pipes are connected. Always the first callback.
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        let _ = process;
        Ok(())
    }

    /// The child wrote `data`, at least one byte, to `fd` (as the child numbers it).
    ///
    /// `data` is lent: what is to be kept must be copied. The default drops it.
    #[doc(alias("outReceived", "errReceived", "childDataReceived"))]
    fn pipe_data_received(
        &mut self,
        process: &dyn ProcessTransport,
        fd: ChildFd,
        data: &[u8],
    ) -> Result {
        let _ = (process, fd, data);
        Ok(())
    }

    /// A pipe is gone: the last one at the child's end has closed it, or this end was closed.
    ///
    /// `error` is `None` after an orderly end; for a pipe to the child it is a broken pipe if data
    /// was still waiting to be sent.
    #[doc(alias("childConnectionLost"))]
    fn pipe_connection_lost(
        &mut self,
        process: &dyn ProcessTransport,
        fd: ChildFd,
        error: Option<&Error>,
    ) -> Result {
        let _ = (process, fd, error);
        Ok(())
    }

    /// The child has exited. Its output may still be on its way.
    #[doc(alias("processExited"))]
    fn process_exited(&mut self, process: &dyn ProcessTransport, status: ExitStatus) -> Result {
        let _ = (process, status);
        Ok(())
    }

    /// More than the high-water mark waits to be taken by the child from `fd`, usually its standard
    /// input.
    ///
    /// By default, the child's output is not read while that output is what produces the input (see
    /// [`ProcessTransport::hold_reading`]), so that an answering protocol stays bounded. Strictly
    /// alternates with [`resume_writing`](Self::resume_writing), pipe by pipe.
    fn pause_writing(&mut self, process: &dyn ProcessTransport, fd: ChildFd) -> Result {
        let _ = fd;
        process.hold_reading();
        Ok(())
    }

    /// What waits to be taken by the child from `fd` has shrunk to the low-water mark or below.
    fn resume_writing(&mut self, process: &dyn ProcessTransport, fd: ChildFd) -> Result {
        let _ = (process, fd);
        Ok(())
    }

    /// The child has exited and its pipes are gone. Always the last callback.
    ///
    /// `error` is what a callback failed with, or `None`. When the loop closes and leaves the child
    /// running (see [`SubprocessBuilder::kill_on_drop`]), it comes without an exit.
    ///
    /// [`SubprocessBuilder::kill_on_drop`]: crate::SubprocessBuilder::kill_on_drop
    #[doc(alias("processEnded"))]
    fn connection_lost(&mut self, process: &dyn ProcessTransport, error: Option<&Error>) -> Result {
        let _ = (process, error);
        Ok(())
    }
}

/// A file descriptor of a child process, as the child numbers it.
///
/// ```
/// use wharf::ChildFd;
///
/// assert_eq!(ChildFd::STDERR, ChildFd::new(2));
/// assert_eq!(ChildFd::new(3).number(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildFd(i32);

impl ChildFd {
    /// Standard input, 0.
    pub const STDIN: Self = Self(0);
    /// Standard output, 1.
    pub const STDOUT: Self = Self(1);
    /// Standard error, 2.
    pub const STDERR: Self = Self(2);

    /// The descriptor with this number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// Its number in the child.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for ChildFd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}
