//! Child processes for `async` code.

use std::ffi::OsStr;
use std::fmt;
use std::future::poll_fn;
use std::process::{ExitStatus, Output};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;

use super::link::{Link, State};
use super::{StreamProtocol, StreamReader, StreamWriter};
use crate::error::{Error, Result};
use crate::event_loop::EventLoop;
use crate::process::{ChildFd, Process, ProcessProtocol, ProcessTransport, SubprocessBuilder};
use crate::transport::{Transport, TransportHandle};

/// # Child processes as streams
impl EventLoop {
    /// Runs a program as a child process, whose pipes are streams: asyncio's `create_subprocess_exec`.
    ///
    /// The options and the errors are those of [`subprocess_exec`](Self::subprocess_exec).
    /// [`run_process`](Self::run_process) is shorter, and cheaper, where only the output at the end matters.
    ///
    /// ```
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// EventLoop::new()?.run(async |event_loop| {
    ///     let mut child = event_loop.create_subprocess_exec("cat").await?;
    ///     let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
    ///         return Err("both are pipes, unless set otherwise".into());
    ///     };
    ///     stdin.write_all(b"one\ntwo\n").await?;
    ///     // Nobody writes to it any more: that is the end of the child's input.
    ///     drop(stdin);
    ///     let mut lines = stdout.lines();
    ///     assert_eq!(lines.next().await.transpose()?.as_deref(), Some("one"));
    ///     assert_eq!(lines.next().await.transpose()?.as_deref(), Some("two"));
    ///     assert!(lines.next().await.is_none());
    ///     assert!(child.wait().await?.success());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("Command", "spawn"))]
    pub fn create_subprocess_exec(
        &self,
        program: impl AsRef<OsStr>,
    ) -> SubprocessBuilder<ChildProtocol, ChildProcess> {
        let builder = self.subprocess_exec(|| ChildProtocol { pipes: Pipes::default() }, program);
        builder.finishing(ChildProcess::new)
    }

    /// Runs a line of shell as a child process whose pipes are streams: asyncio's `create_subprocess_shell`; see
    /// [`subprocess_shell`](Self::subprocess_shell) for what must not be part of it.
    #[doc(alias("Command"))]
    pub fn create_subprocess_shell(
        &self,
        line: impl AsRef<OsStr>,
    ) -> SubprocessBuilder<ChildProtocol, ChildProcess> {
        let builder = self.subprocess_shell(|| ChildProtocol { pipes: Pipes::default() }, line);
        builder.finishing(ChildProcess::new)
    }
}

/// A child process whose pipes are streams.
///
/// [`stdin`](Self::stdin), [`stdout`](Self::stdout) and [`stderr`](Self::stderr) can be taken out, and used by other
/// tasks.
///
/// Dropping it kills the child if it still runs, unless it was [detached](Self::detach) or started with
/// [`kill_on_drop(false)`](SubprocessBuilder::kill_on_drop). Streams that were taken out of it are then read to their
/// ends.
#[must_use = "dropping it kills the child; keep it or detach it"]
#[doc(alias("Child", "Process"))]
pub struct ChildProcess {
    /// What is written to the child; `None` if that is no pipe. Dropping it is the end of the child's input.
    pub stdin: Option<StreamWriter>,
    /// What the child writes to its standard output; `None` if that is no pipe.
    pub stdout: Option<StreamReader>,
    /// What the child writes to its standard error; `None` if that is no pipe.
    pub stderr: Option<StreamReader>,
    process: Process<ChildProtocol>,
}

impl ChildProcess {
    fn new(process: Process<ChildProtocol>) -> Self {
        let pipes = process.with(|protocol, _| std::mem::take(&mut protocol.pipes));
        let Pipes { stdin, stdout, stderr } = pipes.unwrap_or_default();
        Self { stdin, stdout, stderr, process }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How the child ended; `None` until the loop has learned of it. asyncio's `returncode`.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Waits for the child's exit. Its output may still be on its way, and a child whose output nobody reads may wait
    /// for that: see [`communicate`](Self::communicate).
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the loop closes and the child runs on.
    pub async fn wait(&self) -> Result<ExitStatus, Error> {
        self.process.wait().await
    }

    /// Writes `input` to the child, reads all that it writes, up to `limit` bytes of each stream, and waits for its
    /// exit. What is no pipe, or was taken out, is empty.
    ///
    /// All at once, so that no amount of data is too much for it. A child that does not read its input is no error.
    ///
    /// Dropping the future loses no output: it stays in the streams. The input is taken in the first step, and
    /// its end comes when all of it was sent.
    ///
    /// # Errors
    /// [`is_limit_overrun`](Error::is_limit_overrun) for more than `limit` bytes, those of the pipes, and of
    /// [`wait`](Self::wait). The child goes on.
    pub async fn communicate(&mut self, input: &[u8], limit: usize) -> Result<Output, Error> {
        let stdin = self.stdin.take();
        if let Some(stdin) = stdin {
            stdin.write(input);
            // Dropped, it ends when all is sent.
        }
        let mut outputs = [self.stdout.as_mut(), self.stderr.as_mut()];
        poll_fn(|context| {
            let mut ended = true;
            for output in outputs.iter_mut().flatten() {
                ended &= output.poll_to_end(context, limit)?.is_ready();
            }
            if ended { Poll::Ready(Ok::<_, Error>(())) } else { Poll::Pending }
        })
        .await?;
        let status = self.process.wait().await?;
        // Only now anything is taken.
        let [stdout, stderr] =
            outputs.map(|output| output.map(StreamReader::take_all).unwrap_or_default());
        Ok(Output { status, stdout, stderr })
    }

    /// Sends a signal by its number (see [`signal`](crate::signal)).
    ///
    /// # Errors
    /// Those of [`ProcessTransport::send_signal`].
    pub fn send_signal(&self, signal: i32) -> Result<(), Error> {
        self.process.send_signal(signal)
    }

    /// Asks the child to end: `SIGTERM`.
    ///
    /// # Errors
    /// Those of [`ProcessTransport::send_signal`].
    pub fn terminate(&self) -> Result<(), Error> {
        self.process.terminate()
    }

    /// Ends the child: `SIGKILL`.
    ///
    /// # Errors
    /// Those of [`ProcessTransport::send_signal`].
    pub fn kill(&self) -> Result<(), Error> {
        self.process.kill()
    }

    /// Leaves the child to the loop, as [`Process::detach`] does, and gives its streams.
    pub fn detach(self) -> (Option<StreamWriter>, Option<StreamReader>, Option<StreamReader>) {
        self.process.detach();
        (self.stdin, self.stdout, self.stderr)
    }

    /// The process behind it: groups, handles.
    pub fn process(&self) -> &Process<ChildProtocol> {
        &self.process
    }
}

impl fmt::Debug for ChildProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ChildProcess").field(&self.process).finish()
    }
}

/// The protocol of a [`ChildProcess`]. It appears in types only.
pub struct ChildProtocol {
    pipes: Pipes,
}

#[derive(Default)]
struct Pipes {
    stdin: Option<StreamWriter>,
    stdout: Option<StreamReader>,
    stderr: Option<StreamReader>,
}

impl ProcessProtocol for ChildProtocol {
    /// Takes the pipes away from the process, before anything was read from them.
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        let pipe = |fd| process.pipe_transport(fd);
        let reader = |pipe| StreamReader::new(take_over(&pipe, State::WRITER_GONE));
        self.pipes = Pipes {
            stdin: pipe(ChildFd::STDIN)
                .map(|pipe| StreamWriter::new(take_over(&pipe, State::READER_GONE))),
            stdout: pipe(ChildFd::STDOUT).map(reader),
            stderr: pipe(ChildFd::STDERR).map(reader),
        };
        Ok(())
    }
}

impl fmt::Debug for ChildProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ChildProtocol").finish_non_exhaustive()
    }
}

/// Puts a stream's protocol on a pipe that goes one way.
fn take_over(pipe: &TransportHandle, missing: State) -> Rc<Link> {
    let stream = StreamProtocol::on(pipe);
    let link = Rc::clone(stream.link());
    link.set(missing);
    pipe.set_protocol(Box::new(stream), Bytes::new());
    link
}
