//! What is kept of a process beyond a callback.

use std::fmt;
use std::marker::PhantomData;
use std::process::ExitStatus;
use std::rc::Rc;

use super::access::Access;
use super::state::ProcessState;
use super::transport::ProcessTransport;
use crate::event_loop::Core;
use crate::task::LoopFuture;
use crate::thread_bound::{ThreadBound, UseRemoteAndTransportId};

/// A handle to one child process, to keep and to use from anywhere on its loop.
///
/// It implements [`ProcessTransport`]. Cheap to clone; it neither keeps the child alive nor ends it
/// when it is dropped (a [`Process`](crate::Process) does). It cannot leave the loop's thread.
///
/// ```
/// use std::time::Duration;
/// use wharf::{EventLoop, ProcessHandle, ProcessTransport, Result};
/// # struct Watch;
/// # impl wharf::ProcessProtocol for Watch {}
///
/// /// Asks a child to end, and kills it if it has not after some time.
/// async fn end(event_loop: &EventLoop, process: ProcessHandle) -> Result {
///     process.terminate()?;
///     let later = process.clone();
///     let killer = event_loop.call_later(Duration::from_secs(5), move || drop(later.kill()));
///     process.wait().await?;
///     killer.cancel();
///     Ok(())
/// }
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let process = event_loop.subprocess_exec(|| Watch, "sleep").arg("60").await?;
///     end(&event_loop, process.handle().clone()).await
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct ProcessHandle {
    core: Rc<Core>,
    state: Rc<ProcessState>,
    bound: ThreadBound<UseRemoteAndTransportId>,
}

impl ProcessHandle {
    pub(super) fn new(core: Rc<Core>, state: Rc<ProcessState>) -> Self {
        Self { core, state, bound: PhantomData }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) fn state(&self) -> &Rc<ProcessState> {
        &self.state
    }

    /// Waits for the child's exit, and for nothing else: neither for its pipes, which others may
    /// have inherited, nor for callbacks.
    ///
    /// Any number can wait, before and after the exit, and stop waiting.
    ///
    /// A status that the system does not keep counts as 255: somebody else has waited for the child, or
    /// `SIGCHLD` is ignored. That is inherited (in a shell: `trap '' CHLD`), and every status is 255
    /// then; set the signal to its default before the first child is started.
    ///
    /// # Errors
    /// [`is_closed`](crate::Error::is_closed) when the loop closes and the child runs on.
    pub fn wait(&self) -> LoopFuture<ExitStatus> {
        self.state.wait(&self.core)
    }
}

impl Access for ProcessHandle {
    fn process(&self) -> &ProcessHandle {
        self
    }
}

impl PartialEq for ProcessHandle {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for ProcessHandle {}

impl fmt::Debug for ProcessHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProcessHandle")
            .field("pid", &self.pid())
            .field("exit_status", &self.exit_status())
            .finish()
    }
}
