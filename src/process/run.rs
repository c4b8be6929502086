//! Running a program to its end, for what it writes.

use std::ffi::OsStr;
use std::fmt;
use std::future::IntoFuture;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::collect;
use super::settings::{ProcessSettings, command_settings};
use super::stdio::Stdio;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::task::{LoopFuture, future};

/// How much output is collected, unless set.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;

/// A program to be run to its end: what [`EventLoop::run_process`] and
/// [`run_shell`](EventLoop::run_shell) return.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before.
///
/// ```
/// use std::time::Duration;
/// use wharf::{EventLoop, Result};
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let output = event_loop
///         .run_process("cat")
///         .arg("-")
///         .input(b"hello".to_vec())
///         .timeout(Duration::from_secs(10))
///         .await?;
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is run before it is awaited or started"]
pub struct RunBuilder {
    core: Rc<Core>,
    settings: Box<ProcessSettings>,
    input: Bytes,
    timeout: Option<Duration>,
    output_limit: usize,
}

/// # Child processes, run to their end
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
    /// Where `SIGCHLD` is ignored every status is 255: see
    /// [`ProcessHandle::wait`](crate::ProcessHandle::wait).
    ///
    /// # Errors
    /// As [`subprocess_exec`](Self::subprocess_exec); [`is_timeout`](Error::is_timeout);
    /// [`is_output_limit`](Error::is_output_limit) when it wrote more than it may (see
    /// [`RunBuilder::output_limit`]). The program was killed then, and what it had written is the
    /// error's [`partial_output`](Error::partial_output).
    #[doc(alias("communicate", "getProcessOutput", "Command"))]
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
            input: Bytes::new(),
            timeout: None,
            output_limit: OUTPUT_LIMIT,
        }
    }
}

impl RunBuilder {
    command_settings!();

    /// What is written to the program's standard input, which then ends. It is no error if the
    /// program reads only a part of it, or nothing.
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.input = input.into();
        self.settings.stdin = Stdio::piped();
        self
    }

    /// What the program's standard input is connected to. `/dev/null` by default; a pipe without
    /// [`input`](Self::input) is at its end at once.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.settings.stdin = stdin.into();
        self
    }

    /// The longest it may take, until the program is killed. `None`, the default: no limit. Zero is refused with
    /// [`is_invalid`](Error::is_invalid).
    ///
    /// What it had written by then is the error's [`partial_output`](Error::partial_output).
    pub fn timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.timeout = after.into();
        self
    }

    /// The most that may come from standard output and standard error together, in bytes, before
    /// the program is killed. 16 MiB by default; `None`: no limit.
    ///
    /// The first so many bytes are the error's [`partial_output`](Error::partial_output).
    pub fn output_limit(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.output_limit = bytes.into().unwrap_or(usize::MAX);
        self
    }

    /// Starts the program, at once: what can fail has failed when the future is there.
    pub fn start(self) -> LoopFuture<Output> {
        let Self { core, settings, input, timeout, output_limit } = self;
        let (promise, output) = future(&core);
        let started = Error::refuse_zero("the timeout of a program", timeout)
            .and_then(|()| collect::start(&core, settings, input, output_limit));
        match started {
            Ok(run) => run.begin(&core, promise, timeout),
            Err(error) => promise.set(Err(error)),
        }
        output
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
