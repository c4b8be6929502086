//! A child as a descriptor: readable when it has exited.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::{seen_status, thread};
use crate::driver::Key;
use crate::event_loop::Core;

/// How long a loop that closes waits for a child that it has killed. One that takes longer hangs in
/// the kernel, or is large; a thread waits for it then.
const DYING: Duration = Duration::from_secs(1);

pub(in crate::process) struct PidFd {
    pub(super) pid: Pid,
    fd: OwnedFd,
}

impl PidFd {
    pub(super) fn begin(core: &Rc<Core>, key: Key, pid: Pid) -> io::Result<Self> {
        let driver = core.driver.os().ok_or(io::ErrorKind::Unsupported)?;
        // The child was not waited for: the id is its own.
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        driver.register(fd.as_fd(), key)?;
        Ok(Self { pid, fd })
    }

    pub(super) fn try_wait(&self) -> Option<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        seen_status(waitid(WaitId::PidFd(self.fd.as_fd()), options))
    }

    /// Leaves the child to be waited for.
    pub(super) fn try_look(&self) -> Option<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        seen_status(waitid(WaitId::PidFd(self.fd.as_fd()), options))
    }

    pub(super) fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        pidfd_send_signal(&self.fd, signal)
    }

    pub(super) fn part(self, killed: bool) -> Option<ExitStatus> {
        if killed {
            let limit = Timespec { tv_sec: DYING.as_secs() as i64, tv_nsec: 0 };
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            let _ = rustix::event::poll(&mut fds, Some(&limit));
        }
        let status = self.try_wait();
        if status.is_none() {
            // Waited for by its descriptor, whatever becomes of the id.
            thread::start(move || while wait(&self.fd) == Err(Errno::INTR) {});
        }
        status
    }
}

fn wait(fd: &OwnedFd) -> Result<(), Errno> {
    waitid(WaitId::PidFd(fd.as_fd()), WaitIdOptions::EXITED).map(drop)
}
