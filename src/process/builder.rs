//! `subprocess_exec`, `subprocess_shell` and their options.

use std::ffi::OsStr;
use std::fmt;
use std::future::IntoFuture;
#[cfg(feature = "extra-fds")]
use std::os::fd::OwnedFd;
use std::process::Command;
use std::rc::Rc;

#[cfg(feature = "extra-fds")]
use super::ChildFd;
use super::owned::Process;
use super::protocol::ProcessProtocol;
#[cfg(feature = "extra-fds")]
use super::settings::Extra;
use super::settings::{ProcessSettings, command_settings};
use super::spawn;
use super::stdio::Stdio;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::task::LoopFuture;
use crate::transport::WaterMarks;

/// A child process to be started: what [`EventLoop::subprocess_exec`] and
/// [`subprocess_shell`](EventLoop::subprocess_shell) return.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before. It gives a `T`: a [`Process`], or what the method
/// that made the builder says.
///
/// ```
/// use wharf::{EventLoop, Result, Stdio};
/// # struct Watch;
/// # impl wharf::ProcessProtocol for Watch {}
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let process = event_loop
///         .subprocess_exec(|| Watch, "printenv")
///         .arg("GREETING")
///         .env("GREETING", "hello")
///         .current_dir("/")
///         .stdin(Stdio::null())
///         .await?;
///     assert!(process.wait().await?.success());
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is started before it is awaited or started"]
pub struct SubprocessBuilder<P, T = Process<P>> {
    core: Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    /// Makes what the future gives. One that keeps nothing is no allocation.
    finish: Box<dyn FnOnce(Process<P>) -> T>,
    settings: Box<ProcessSettings>,
}

/// # Child processes with a protocol
impl EventLoop {
    /// Runs a program as a child process, and on its pipes the protocol that `factory` makes.
    ///
    /// `program` is looked for in `PATH` unless it contains a slash. Standard input, output and
    /// error are pipes, unless set otherwise, and their other ends are transports of this loop. The
    /// future completes after `connection_made`. Either there is a [`Process`], which kills the
    /// child when it is dropped, or there is no child.
    ///
    /// Starting a program takes some hundred microseconds in which the loop does nothing else. It
    /// changes nothing else in this process: no signal handler is installed, and other children are
    /// left alone.
    ///
    /// The child inherits the signal mask of the loop's thread, and which signals this process ignores
    /// (but `SIGPIPE`). So a program whose thread blocks `SIGTERM` has children that
    /// [`terminate`](crate::ProcessTransport::terminate) does not end; kill, and closing, do. The mask is
    /// not reset here: that would take unsafe code in the child, and unblocking the signals in this
    /// process would deliver those that are pending.
    ///
    /// ```
    /// use wharf::{ChildFd, EventLoop, ProcessProtocol, ProcessTransport, Result};
    ///
    /// struct Shout(String);
    ///
    /// impl ProcessProtocol for Shout {
    ///     fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
    ///         process.write(b"hello");
    ///         process.write_eof();
    ///         Ok(())
    ///     }
    ///
    ///     fn pipe_data_received(
    ///         &mut self,
    ///         _: &dyn ProcessTransport,
    ///         fd: ChildFd,
    ///         data: &[u8],
    ///     ) -> Result {
    ///         if fd == ChildFd::STDOUT {
    ///             self.0 += std::str::from_utf8(data)?;
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn connection_lost(&mut self, process: &dyn ProcessTransport, _: Option<&wharf::Error>) -> Result {
    ///         assert_eq!(self.0, "HELLO");
    ///         process.event_loop().stop();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// let event_loop = EventLoop::new()?;
    /// let shout = || Shout(String::new());
    /// let started = event_loop.subprocess_exec(shout, "tr").args(["a-z", "A-Z"]).start();
    /// event_loop.run_forever()?;
    /// let process = event_loop.run_until_complete(started)??;
    /// # use std::process::ExitStatus;
    /// assert!(process.exit_status().is_some_and(|status| status.success()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the system says, with the name of the program: [`io_kind`](Error::io_kind) is
    /// `NotFound` or `PermissionDenied` for what cannot be run; a directory that cannot be entered
    /// is named. `InvalidInput` for a zero byte in an argument. [`is_unsupported`] on a loop in
    /// memory. A panic of the factory.
    ///
    /// [`is_unsupported`]: Error::is_unsupported
    #[doc(alias("spawnProcess", "Command"))]
    pub fn subprocess_exec<P: ProcessProtocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        program: impl AsRef<OsStr>,
    ) -> SubprocessBuilder<P> {
        self.subprocess(factory, ProcessSettings::new(Command::new(program)))
    }

    /// Runs a line of shell, by `/bin/sh -c`, as [`subprocess_exec`](Self::subprocess_exec) does a
    /// program.
    ///
    /// Whatever comes from outside must not be part of `line`; pass it with
    /// [`arg`](SubprocessBuilder::arg) (the first is `$0`, the others `$1` and so on) or
    /// [`env`](SubprocessBuilder::env). What the shell starts is only killed with it in a process
    /// group of its own (see [`process_group`](SubprocessBuilder::process_group)).
    ///
    /// # Errors
    /// As [`subprocess_exec`](Self::subprocess_exec); if a command of the line cannot be found,
    /// that is an exit status of the shell's.
    #[doc(alias("Command"))]
    pub fn subprocess_shell<P: ProcessProtocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        line: impl AsRef<OsStr>,
    ) -> SubprocessBuilder<P> {
        self.subprocess(factory, ProcessSettings::shell(line.as_ref()))
    }

    fn subprocess<P: ProcessProtocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        settings: Box<ProcessSettings>,
    ) -> SubprocessBuilder<P> {
        SubprocessBuilder {
            core: Rc::clone(self.core()),
            factory: Box::new(factory),
            finish: Box::new(|process| process),
            settings,
        }
    }
}

impl<P: ProcessProtocol> SubprocessBuilder<P> {
    /// The same, for what `finish` makes of the process.
    pub(crate) fn finishing<T: 'static>(
        self,
        finish: impl FnOnce(Process<P>) -> T + 'static,
    ) -> SubprocessBuilder<P, T> {
        let Self { core, factory, settings, .. } = self;
        SubprocessBuilder { core, factory, finish: Box::new(finish), settings }
    }
}

impl<P: ProcessProtocol, T: 'static> SubprocessBuilder<P, T> {
    command_settings!();

    /// What the child's standard input is connected to. A pipe by default.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.settings.stdin = stdin.into();
        self
    }

    /// Gives the child a further descriptor under the number `fd`, from 3 on.
    ///
    /// Starting a child with further descriptors copies this process's page tables (`fork`), which
    /// takes longer the more memory it uses.
    #[cfg(feature = "extra-fds")]
    pub fn extra_fd(mut self, fd: ChildFd, given: impl Into<OwnedFd>) -> Self {
        self.settings.extra.push((fd, Extra::Fd(given.into())));
        self
    }

    /// Gives the child a further pipe to read from, under the number `fd`; its other end is a
    /// transport of the loop. See [`extra_fd`](Self::extra_fd).
    #[cfg(feature = "extra-fds")]
    pub fn extra_input(mut self, fd: ChildFd) -> Self {
        self.settings.extra.push((fd, Extra::Input));
        self
    }

    /// Gives the child a further pipe to write to, under the number `fd`; its other end is a
    /// transport of the loop. See [`extra_fd`](Self::extra_fd).
    #[cfg(feature = "extra-fds")]
    pub fn extra_output(mut self, fd: ChildFd) -> Self {
        self.settings.extra.push((fd, Extra::Output));
        self
    }

    /// Whether the child is killed when the last [`Process`] is dropped, and when the loop closes.
    /// On by default.
    ///
    /// Off, a child outlives both. It is waited for when it exits, by the loop or, once that is
    /// closed, by a thread.
    pub fn kill_on_drop(mut self, on: bool) -> Self {
        self.settings.kill_on_drop = on;
        self
    }

    /// The water marks of the pipes to the child; see
    /// [`Transport::set_write_buffer_limits`](crate::Transport::set_write_buffer_limits). 64 KiB
    /// and 16 KiB by default. A `low` above `high` is refused with
    /// [`is_invalid`](Error::is_invalid).
    pub fn write_buffer_limits(mut self, limits: WaterMarks) -> Self {
        self.settings.stream_options.marks = limits;
        self
    }

    /// The most bytes that may wait for the child to take them before the pipe to it is aborted;
    /// see [`Transport::set_write_buffer_cap`](crate::Transport::set_write_buffer_cap). None by
    /// default.
    pub fn write_buffer_cap(mut self, cap: impl Into<Option<usize>>) -> Self {
        self.settings.stream_options.write_cap = cap.into();
        self
    }

    /// Starts the program, in the loop's next round. Dropping the future that is returned before
    /// then means that it is not started; dropping it later kills the child, unless
    /// [`kill_on_drop`](Self::kill_on_drop) is off.
    ///
    /// A future that is detached, or dropped with a done callback, leaves the child to the loop, as
    /// [`Process::detach`] does.
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, factory, finish, settings } = self;
        spawn::start(&core, factory, finish, settings)
    }
}

impl<P: ProcessProtocol, T: 'static> IntoFuture for SubprocessBuilder<P, T> {
    type Output = Result<T, Error>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<P, T> fmt::Debug for SubprocessBuilder<P, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SubprocessBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
