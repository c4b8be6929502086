//! What process protocols talk to.

use std::process::ExitStatus;

use bytes::Bytes;

use super::protocol::ChildFd;
use super::{ProcessHandle, signals};
use crate::driver::TransportId;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::transport::{Transport, TransportHandle, WriteStatus};

pub(super) mod sealed {
    /// Only wharf implements what requires this.
    #[diagnostic::on_unimplemented(
        message = "`ProcessTransport` is sealed: `{Self}` cannot implement it",
        label = "only wharf's own types implement `wharf::ProcessTransport`",
        note = "to test a protocol without sockets, use `wharf::testing`"
    )]
    #[allow(unnameable_types, unreachable_pub)]
    pub trait Sealed {}
}

/// A child process as its protocol sees it: its pipes, its signals, its exit status.
///
/// Lent to each callback as `&dyn ProcessTransport`, and kept for later as a [`ProcessHandle`],
/// which implements it too. Every method takes `&self`, returns at once, and never calls a
/// protocol. Every method is a harmless no-op on a process that is gone. The trait is sealed: wharf
/// implements it.
///
/// ```
/// use std::process::ExitStatus;
/// use wharf::{ChildFd, EventLoop, ProcessProtocol, ProcessTransport, Result};
///
/// /// Feeds a child, and closes it when it has said enough.
/// struct Ask;
///
/// impl ProcessProtocol for Ask {
///     fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
///         process.write(b"ping\n");
///         Ok(())
///     }
///
///     fn pipe_data_received(&mut self, process: &dyn ProcessTransport, fd: ChildFd, data: &[u8]) -> Result {
///         assert_eq!((fd, data), (ChildFd::STDOUT, &b"ping\n"[..]));
///         process.terminate()?;
///         Ok(())
///     }
///
///     fn process_exited(&mut self, _: &dyn ProcessTransport, status: ExitStatus) -> Result {
///         println!("{status}");
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let process = event_loop.subprocess_exec(|| Ask, "cat").await?;
///     assert!(!process.wait().await?.success(), "a signal ended it");
///     Ok(())
/// })
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `ProcessTransport`",
    label = "`wharf::ProcessTransport` is not implemented for this type",
    note = "a transport is lent to each callback: to keep it, keep `process.handle()`, a `ProcessHandle`"
)]
#[doc(alias("SubprocessTransport"))]
pub trait ProcessTransport: sealed::Sealed {
    /// The process id. It stays the same after the exit, when it means nothing to the system any
    /// more.
    fn pid(&self) -> u32;

    /// How the child ended; `None` until the loop has learned of it.
    ///
    /// A child that somebody else has waited for, so that its status is lost, counts as exited with
    /// 255 (as in asyncio).
    fn exit_status(&self) -> Option<ExitStatus>;

    /// The stream at this end of one of the child's pipes; `None` if there is no pipe or it is gone.
    ///
    /// All of [`Transport`] works on it: marks, caps and deadlines can be set, reading paused.
    /// [`set_protocol`](Transport::set_protocol) takes the pipe away from the process: what comes
    /// of it is the new protocol's from then on, `pipe_connection_lost` is not called for it, and
    /// `connection_lost` does not wait for it.
    fn pipe_transport(&self, fd: ChildFd) -> Option<TransportHandle>;

    /// Sends `data` to the child's standard input; see [`Transport::write`].
    ///
    /// [`WriteStatus::Closed`] if that is no pipe, or gone.
    fn write(&self, data: &[u8]) -> WriteStatus {
        let stdin = self.pipe_transport(ChildFd::STDIN);
        stdin.map_or(WriteStatus::Closed, |stdin| stdin.write(data))
    }

    /// As [`write`](Self::write), without copying.
    fn write_bytes(&self, data: Bytes) -> WriteStatus {
        let stdin = self.pipe_transport(ChildFd::STDIN);
        stdin.map_or(WriteStatus::Closed, |stdin| stdin.write_bytes(data))
    }

    /// Closes the child's standard input once all that was written is sent.
    fn write_eof(&self) {
        if let Some(stdin) = self.pipe_transport(ChildFd::STDIN) {
            stdin.close();
        }
    }

    /// Stops reading what the child writes to `fd`; the child blocks once the pipe is full.
    fn pause_reading(&self, fd: ChildFd) {
        if let Some(pipe) = self.pipe_transport(fd) {
            pipe.pause_reading();
        }
    }

    /// Undoes [`pause_reading`](Self::pause_reading). It does not end a hold.
    fn resume_reading(&self, fd: ChildFd) {
        if let Some(pipe) = self.pipe_transport(fd) {
            pipe.resume_reading();
        }
    }

    /// Asks to stop reading the child's output until what waits for it has drained to the low-water
    /// mark.
    ///
    /// What the default `pause_writing` does. It is granted only if the high-water mark was passed
    /// inside this process's own `pipe_data_received`, which means that the child's output produces
    /// its input. The hold ends by itself before `resume_writing`, and when the pipe to the child is
    /// gone.
    fn hold_reading(&self);

    /// Sends a signal by its number (see [`signal`](crate::signal)). Real-time signals cannot be sent.
    ///
    /// The process cannot be mistaken for another with the same id: a process that was waited for
    /// is not signalled.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) once the exit status is known;
    /// [`is_invalid`](Error::is_invalid) for a number that is no signal; what the system says, as
    /// when the child runs as another user. A child that has just exited is no error.
    fn send_signal(&self, signal: i32) -> Result<(), Error>;

    /// Sends a signal to the child and to what it has started in its process group.
    ///
    /// # Errors
    /// As [`send_signal`](Self::send_signal); [`is_invalid`](Error::is_invalid) unless the child was
    /// started with a process group of its own (`process_group(0)`): it would be this process's.
    fn send_signal_to_group(&self, signal: i32) -> Result<(), Error>;

    /// Asks the child to end: `SIGTERM`. A child that blocks or ignores it, be it because this process
    /// does, goes on: see [`subprocess_exec`](crate::EventLoop::subprocess_exec).
    ///
    /// # Errors
    /// As [`send_signal`](Self::send_signal).
    fn terminate(&self) -> Result<(), Error> {
        self.send_signal(signals::TERMINATE)
    }

    /// Ends the child: `SIGKILL`. Its pipes are left open, for what it has written.
    ///
    /// # Errors
    /// As [`send_signal`](Self::send_signal).
    fn kill(&self) -> Result<(), Error> {
        self.send_signal(signals::KILL)
    }

    /// Closes all pipes and kills the child if it still runs, together with its process group if it
    /// was given one of its own; `connection_lost` follows once it has exited.
    ///
    /// What is queued for the child, and output that was not delivered yet, is dropped. Repeated
    /// calls change nothing.
    fn close(&self);

    /// Whether the process is closed or gone.
    fn is_closing(&self) -> bool;

    /// The identity of the process in its loop; never used again for anything else.
    fn id(&self) -> TransportId;

    /// A handle to keep.
    fn handle(&self) -> ProcessHandle;

    /// The loop that drives this process.
    fn event_loop(&self) -> EventLoop;
}
