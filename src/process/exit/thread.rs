//! A thread that waits for a child, where no descriptor tells of its exit.

use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use super::{seen_status, status_of};
use crate::driver::{Key, Readiness};
use crate::event_loop::Core;

/// How long a loop that closes waits for a child that it has killed.
const DYING: Duration = Duration::from_secs(1);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(1);

/// It does little.
const STACK: usize = 64 * 1024;

/// A child for which a thread waits.
///
/// Where it can, the thread only looks, and the loop reaps the child. So the id stays the child's
/// as long as the loop may signal it.
pub(in crate::process) struct WaitingThread(Arc<Waited>);

impl WaitingThread {
    pub(super) fn begin(core: &Rc<Core>, key: Key, pid: Pid) -> io::Result<Self> {
        let waited =
            Arc::new(Waited { pid, status: Mutex::new(None), keeps_group: AtomicBool::new(false) });
        let remote = core.remote();
        let last = LastWait(Arc::clone(&waited));
        try_start(move || {
            last.0.look_until_exit();
            // A loop that is closed drops `last`, now or with its queue.
            let _ = remote.call_soon_threadsafe(move |event_loop| {
                event_loop.core().note_ready(key, Readiness::READ);
                drop(last);
            });
        })?;
        Ok(Self(waited))
    }

    pub(super) fn try_wait(&self) -> Option<ExitStatus> {
        self.0.try_wait()
    }

    pub(super) fn pid(&self) -> Pid {
        self.0.pid
    }

    pub(super) fn keep_group(&self) {
        self.0.keeps_group.store(true, Ordering::Relaxed);
    }

    /// Leaves the child to be waited for.
    pub(super) fn try_look(&self) -> Option<ExitStatus> {
        self.0.try_look()
    }

    /// Sends a signal, in either of two ways, to a child that was not waited for.
    pub(super) fn signal(
        &self,
        signal: Signal,
        send: fn(Pid, Signal) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        match *self.0.lock() {
            Some(_) => Err(Errno::SRCH),
            None => send(self.0.pid, signal),
        }
    }

    /// The thread goes on waiting for a child that still runs.
    pub(super) fn part(self, killed: bool) -> Option<ExitStatus> {
        self.0.keeps_group.store(false, Ordering::Relaxed);
        let began = Instant::now();
        loop {
            let status = self.try_wait();
            if status.is_some() || !killed || began.elapsed() > DYING {
                return status;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// What the loop and the thread share.
struct Waited {
    pid: Pid,
    /// There once the child was waited for, when its id may be another's.
    status: Mutex<Option<ExitStatus>>,
    /// The loop waits for the child when its group is not needed any more.
    keeps_group: AtomicBool,
}

impl Waited {
    fn try_wait(&self) -> Option<ExitStatus> {
        let mut status = self.lock();
        if status.is_none() {
            *status = status_of(waitpid(Some(self.pid), WaitOptions::NOHANG));
        }
        *status
    }

    #[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
    fn try_look(&self) -> Option<ExitStatus> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let waited = *self.lock();
        waited.or_else(|| seen_status(waitid(WaitId::Pid(self.pid), options)))
    }

    #[cfg(any(target_os = "openbsd", target_os = "redox"))]
    fn try_look(&self) -> Option<ExitStatus> {
        self.try_wait()
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the child has exited, and leaves it to be waited for.
    #[cfg(not(any(target_os = "openbsd", target_os = "redox")))]
    fn look_until_exit(&self) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.pid), options), Err(Errno::INTR)) {}
    }

    /// This system cannot look without reaping, so the child is waited for, in turns with the
    /// loop's signals.
    #[cfg(any(target_os = "openbsd", target_os = "redox"))]
    fn look_until_exit(&self) {
        while self.try_wait().is_none() {
            std::thread::sleep(LOOK * 10);
        }
    }
}

/// Waits for a child that has exited, if nobody has: the loop was closed.
struct LastWait(Arc<Waited>);

impl Drop for LastWait {
    fn drop(&mut self) {
        if !self.0.keeps_group.load(Ordering::Relaxed) {
            self.0.try_wait();
        }
    }
}

/// Starts a thread that waits for a child. If no thread can be had, the child stays a zombie until
/// this process ends.
#[cfg(pidfd)]
pub(super) fn start(wait: impl FnOnce() + Send + 'static) {
    let _ = try_start(wait);
}

fn try_start(wait: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = Builder::new().name("wharf-child".to_owned()).stack_size(STACK);
    thread.spawn(wait).map(drop)
}
