//! Running a program to its end, for what it writes.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::future::IntoFuture;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::protocol::{ChildFd, ProcessProtocol};
use super::settings::{ProcessSettings, command_settings};
use super::stdio::Stdio;
use super::transport::ProcessTransport;
use super::{ProcessHandle, spawn};
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, EventLoop, TimerHandle, closed};
use crate::protocol::TimeoutKind;
use crate::task::{LoopFuture, Promise, future};

/// How much output is collected, unless set.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;

/// A program to be run to its end: what [`EventLoop::run_process`] and
/// [`run_shell`](EventLoop::run_shell) return.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before.
#[must_use = "nothing is run before it is awaited or started"]
pub struct RunBuilder {
    core: Rc<Core>,
    settings: Box<ProcessSettings>,
    input: Option<Bytes>,
    timeout: Option<Duration>,
    output_limit: usize,
}

impl EventLoop {
    /// Runs a program to its end and collects what it writes: asyncio's `communicate`.
    ///
    /// Gives the exit status, which is not looked at (see [`success`](std::process::ExitStatus::success)), and what came
    /// from standard output and standard error. It is done when the program has exited and both
    /// have ended; if the program leaves another behind that keeps them open, that one is waited
    /// for as well, unless there is a [`timeout`](RunBuilder::timeout). Dropping the future kills
    /// the program.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// use std::time::Duration;
    ///
    /// let event_loop = wharf::EventLoop::new()?;
    /// event_loop.run(async |event_loop| {
    ///     let sorted = event_loop
    ///         .run_process("sort")
    ///         .arg("-r")
    ///         .input("a\nc\nb\n")
    ///         .timeout(Duration::from_secs(10))
    ///         .await?;
    ///     assert!(sorted.status.success());
    ///     assert_eq!(sorted.stdout, b"c\nb\na\n");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`subprocess_exec`](Self::subprocess_exec); [`is_timeout`](Error::is_timeout);
    /// [`is_output_limit`](Error::is_output_limit) when it wrote more than it may (see
    /// [`RunBuilder::output_limit`]). The program was killed then.
    pub fn run_process(&self, program: impl AsRef<OsStr>) -> RunBuilder {
        self.run_settings(ProcessSettings::new(Command::new(program)))
    }

    /// Runs a line of shell to its end, by `/bin/sh -c`; see [`run_process`](Self::run_process) and,
    /// for what must not be in `line`, [`subprocess_shell`](Self::subprocess_shell).
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// event_loop.run(async |event_loop| {
    ///     let output = event_loop.run_shell("echo one; echo two >&2; exit 3").await?;
    ///     assert_eq!(output.status.code(), Some(3));
    ///     assert_eq!((&*output.stdout, &*output.stderr), (&b"one\n"[..], &b"two\n"[..]));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run_process`](Self::run_process).
    pub fn run_shell(&self, line: impl AsRef<OsStr>) -> RunBuilder {
        self.run_settings(ProcessSettings::shell(line.as_ref()))
    }

    fn run_settings(&self, mut settings: Box<ProcessSettings>) -> RunBuilder {
        settings.stdin = Stdio::null();
        RunBuilder {
            core: Rc::clone(self.core()),
            settings,
            input: None,
            timeout: None,
            output_limit: OUTPUT_LIMIT,
        }
    }
}

impl RunBuilder {
    command_settings!();

    /// What is written to the program's standard input, which then ends. A program that does not
    /// read it all, or none of it, is no error.
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.input = Some(input.into());
        self.settings.stdin = Stdio::piped();
        self
    }

    /// What the program's standard input is connected to. `/dev/null` by default; a pipe without
    /// [`input`](Self::input) is one that has ended.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.settings.stdin = stdin.into();
        self
    }

    /// The longest it may take, until the program is killed. No limit by default.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// The most that may come from standard output and standard error together, in bytes, before
    /// the program is killed. 16 MiB by default.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Starts the program, in the loop's next round.
    pub fn start(self) -> LoopFuture<Output> {
        let (promise, output) = future(&self.core);
        if self.core.is_closed() {
            promise.set(Err(closed()));
            return output;
        }
        let event_loop = EventLoop::from_core(Rc::clone(&self.core));
        event_loop.call_soon(move || self.run(promise));
        output
    }

    /// The protocol completes the future: no task stands between the two.
    fn run(self, promise: Promise<Output>) {
        if promise.is_cancelled() {
            return;
        }
        let Self { core, settings, input, timeout, output_limit } = self;
        let promise = Rc::new(Cell::new(Some(promise)));
        let collector = Collector {
            input: input.unwrap_or_default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            limit: output_limit,
            promise: Rc::clone(&promise),
        };
        let process = match spawn::spawn(&core, || collector, settings) {
            Ok(state) => ProcessHandle::new(core, state),
            Err(error) => return complete(&promise, Err(error)),
        };
        let deadline = timeout.map(|timeout| Deadline::new(&process, &promise, timeout));
        if let Some(pending) = promise.take() {
            // Dropped when the future is completed, and with it the deadline.
            pending.on_cancel(move || {
                drop(deadline);
                process.close();
            });
            promise.set(Some(pending));
        }
    }
}

impl IntoFuture for RunBuilder {
    type Output = Result<Output, Error>;
    type IntoFuture = LoopFuture<Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl fmt::Debug for RunBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RunBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// When the program is killed; dropping it takes it back.
struct Deadline(TimerHandle);

impl Deadline {
    fn new(process: &ProcessHandle, promise: &SharedPromise, timeout: Duration) -> Self {
        let (killed, promise) = (process.clone(), Rc::clone(promise));
        Self(process.event_loop().call_later(timeout, move || {
            complete(&promise, Err(Error::timeout(TimeoutKind::Process)));
            killed.close();
        }))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Whoever ends the run first takes it out.
type SharedPromise = Rc<Cell<Option<Promise<Output>>>>;

fn complete(promise: &SharedPromise, result: Result<Output, Error>) {
    if let Some(promise) = promise.take() {
        promise.set(result);
    }
}

/// Feeds a program, and keeps what it writes.
struct Collector {
    input: Bytes,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    limit: usize,
    promise: SharedPromise,
}

impl ProcessProtocol for Collector {
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        process.write_bytes(std::mem::take(&mut self.input));
        process.write_eof();
        Ok(())
    }

    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, fd: ChildFd, data: &[u8]) -> Result {
        if self.stdout.len() + self.stderr.len() + data.len() > self.limit {
            let text = format!("the program wrote more than {} bytes", self.limit);
            return Err(Error::new(Kind::OutputLimit, text).into());
        }
        let output = if fd == ChildFd::STDERR { &mut self.stderr } else { &mut self.stdout };
        output.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, process: &dyn ProcessTransport, error: Option<&Error>) -> Result {
        if process.event_loop().core().is_closed() {
            // It was not the program's own end: the future is cancelled, as that of a task is.
            drop(self.promise.take());
            return Ok(());
        }
        let stdout = std::mem::take(&mut self.stdout);
        let stderr = std::mem::take(&mut self.stderr);
        let result = match (error, process.exit_status()) {
            (Some(error), _) => Err(Error::new(error.kind(), error.to_string())),
            (None, Some(status)) => Ok(Output { status, stdout, stderr }),
            (None, None) => Err(closed()),
        };
        complete(&self.promise, result);
        Ok(())
    }
}
