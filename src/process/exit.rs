//! Learning of a child's exit, and signalling it until then.
//!
//! On Linux the child is a descriptor (a pidfd) in the loop's poll. That needs no thread and no
//! handler of `SIGCHLD`, which the whole process would share. Where there are no pidfds, a thread
//! waits for the child.

#[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
mod group;
#[cfg(pidfd)]
mod pidfd;
mod thread;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, waitpid,
};

use self::thread::WaitingThread;
use crate::driver::Key;
use crate::event_loop::Core;

#[cfg(pidfd)]
use self::pidfd::PidFd;

#[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
pub(super) use self::group::Group;

/// A child that was not waited for yet: its id is still its own.
///
/// It has to be waited for in one of three ways: [`try_wait`](Self::try_wait) until it gives a
/// status, [`part`](Self::part), or, when something failed, [`destroy`].
pub(super) enum ExitWatch {
    #[cfg(pidfd)]
    PidFd(PidFd),
    Thread(WaitingThread),
    /// It has exited, and nobody can wait for it: the process ignores `SIGCHLD`, or somebody else
    /// was faster.
    #[cfg(pidfd)]
    Gone,
}

impl ExitWatch {
    /// From now on the slot `key` is told when the child has exited.
    ///
    /// After an error the child is not watched, and lives.
    pub(super) fn begin(core: &Rc<Core>, key: Key, pid: Pid) -> io::Result<Self> {
        #[cfg(pidfd)]
        if !core.processes.waits_with_threads() {
            match PidFd::begin(core, key, pid) {
                Ok(watch) => return Ok(Self::PidFd(watch)),
                Err(error) if is(&error, Errno::SRCH) => return Ok(Self::Gone),
                // Kernels before 5.3 have none, and some sandboxes let none through.
                Err(error) if is_lacking(&error) => core.processes.wait_with_threads(),
                Err(error) => return Err(error),
            }
        }
        WaitingThread::begin(core, key, pid).map(Self::Thread)
    }

    /// Whether it has to be looked at though nothing reports its exit.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            #[cfg(pidfd)]
            Self::Gone => true,
            _ => false,
        }
    }

    /// Waits for the child if it has exited; its id may then be another's at once.
    pub(super) fn try_wait(&self) -> Option<ExitStatus> {
        match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => watch.try_wait(),
            #[cfg(pidfd)]
            Self::Gone => Some(lost_status()),
            Self::Thread(watch) => watch.try_wait(),
        }
    }

    /// From now on a child that has exited stays a zombie until the loop reaps it: its id is its
    /// group's.
    pub(super) fn keep_group(&self) {
        match self {
            Self::Thread(watch) => watch.keep_group(),
            #[cfg(pidfd)]
            Self::PidFd(_) | Self::Gone => {}
        }
    }

    /// As [`try_wait`](Self::try_wait), for a child whose group may still be needed: it stays a
    /// zombie.
    pub(super) fn try_look(&self) -> Option<ExitStatus> {
        match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => watch.try_look(),
            #[cfg(pidfd)]
            Self::Gone => Some(lost_status()),
            Self::Thread(watch) => watch.try_look(),
        }
    }

    /// The group of a child that has exited and that was only looked at.
    pub(super) fn into_group(self) -> Option<Group> {
        match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => Group::of(watch.pid),
            #[cfg(pidfd)]
            Self::Gone => None,
            Self::Thread(watch) => Group::of(watch.pid()),
        }
    }

    /// If it has just exited, that is no error.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        ignore_gone(match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => watch.signal(signal),
            #[cfg(pidfd)]
            Self::Gone => Err(Errno::SRCH),
            Self::Thread(watch) => watch.signal(signal, kill_process),
        })
    }

    /// Signals the group that the child leads. The id is the group's as long as the child was not
    /// waited for.
    pub(super) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        ignore_gone(match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => kill_process_group(watch.pid, signal),
            #[cfg(pidfd)]
            Self::Gone => Err(Errno::SRCH),
            Self::Thread(watch) => watch.signal(signal, kill_process_group),
        })
    }

    /// The loop closes: waits for a child that was `killed`, for a moment; a thread waits for one
    /// that runs on.
    pub(super) fn part(self, killed: bool) -> Option<ExitStatus> {
        match self {
            #[cfg(pidfd)]
            Self::PidFd(watch) => watch.part(killed),
            #[cfg(pidfd)]
            Self::Gone => Some(lost_status()),
            Self::Thread(watch) => watch.part(killed),
        }
    }
}

/// Where a child cannot be looked at without reaping it, its id is gone then.
#[cfg(any(target_os = "openbsd", target_os = "redox"))]
pub(super) struct Group;

#[cfg(any(target_os = "openbsd", target_os = "redox"))]
impl Group {
    fn of(_: Pid) -> Option<Self> {
        None
    }

    pub(super) fn signal(&self, _: Signal) {}
}

/// Looks at a child that nothing watches, and waits for it if it has exited.
pub(super) fn look(pid: Pid) -> Option<ExitStatus> {
    status_of(waitpid(Some(pid), WaitOptions::NOHANG))
}

/// Whether the id is that of a child which nobody has waited for yet.
pub(super) fn is_child(pid: Pid) -> bool {
    #[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
    {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), options), Err(Errno::CHILD))
    }
    // This system cannot look without reaping.
    #[cfg(any(target_os = "openbsd", target_os = "redox"))]
    {
        let _ = pid;
        true
    }
}

/// Kills a child that nothing watches, and waits for it: its creation failed.
pub(super) fn destroy(pid: Pid) {
    // Without it there is nothing to kill: the id may be another's.
    if let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG) {
        let _ = kill_process(pid, Signal::KILL);
        while matches!(waitpid(Some(pid), WaitOptions::empty()), Err(Errno::INTR)) {}
    }
}

#[cfg(pidfd)]
fn is_lacking(error: &io::Error) -> bool {
    [Errno::NOSYS, Errno::PERM, Errno::INVAL].into_iter().any(|errno| is(error, errno))
}

#[cfg(pidfd)]
fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

/// Looks at a child without reaping it; `None`: it still runs.
#[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
fn seen_status(
    result: rustix::io::Result<Option<rustix::process::WaitIdStatus>>,
) -> Option<ExitStatus> {
    match result {
        Ok(Some(status)) => Some(exit_status(&status)),
        Ok(None) | Err(Errno::INTR) => None,
        Err(_) => Some(lost_status()),
    }
}

/// The status as the system encodes it for `wait`.
#[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
fn exit_status(status: &rustix::process::WaitIdStatus) -> ExitStatus {
    /// The bit that says that a core was dumped.
    const CORE: i32 = 0x80;
    let raw = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signal)) if status.dumped() => signal | CORE,
        (None, Some(signal)) => signal,
        (None, None) => return lost_status(),
    };
    ExitStatus::from_raw(raw)
}

fn ignore_gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// Reaps a child if it has exited; `None`: it still runs.
fn status_of(result: rustix::io::Result<Option<(Pid, WaitStatus)>>) -> Option<ExitStatus> {
    match result {
        Ok(Some((_, status))) => Some(ExitStatus::from_raw(status.as_raw())),
        Ok(None) | Err(Errno::INTR) => None,
        Err(_) => Some(lost_status()),
    }
}

/// Somebody else has waited for the child (or the process ignores `SIGCHLD`): nobody knows how it
/// ended. 255, as in asyncio.
fn lost_status() -> ExitStatus {
    ExitStatus::from_raw(255 << 8)
}
