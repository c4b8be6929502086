//! What `subprocess_exec` gives: a child that lives as long as somebody wants it.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::process::ExitStatus;
use std::rc::Rc;

use super::ProcessHandle;
use super::access::Access;
use super::protocol::ProcessProtocol;
use super::transport::ProcessTransport;
use crate::error::{Error, Kind, Result};
use crate::fence;
use crate::task::LoopFuture;

/// A child process whose protocol is a `P`: it owns the child.
///
/// It implements [`ProcessTransport`], so that it can be written to and signalled as it is;
/// [`with`](Self::with) reaches the protocol.
///
/// A clone is another reference to the same child. When the last is dropped, the process is closed:
/// its pipes are closed, it is killed if it still runs, and its protocol is told as always. To let
/// it go on, [detach](Self::detach) it, or start it with
/// [`kill_on_drop(false)`](crate::SubprocessBuilder::kill_on_drop).
///
/// ```
/// use wharf::{ChildFd, EventLoop, ProcessProtocol, ProcessTransport, Result};
///
/// #[derive(Default)]
/// struct Collect(Vec<u8>);
///
/// impl ProcessProtocol for Collect {
///     fn pipe_data_received(&mut self, _: &dyn ProcessTransport, _: ChildFd, data: &[u8]) -> Result {
///         self.0.extend_from_slice(data);
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, _: &dyn ProcessTransport, _: Option<&wharf::Error>) -> Result {
///         // Now the child has exited, and all its output is here.
///         println!("{}", String::from_utf8_lossy(&self.0));
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let process = event_loop.subprocess_exec(Collect::default, "cat").await?;
///     process.write(b"hello");
///     process.write_eof();
///     assert!(process.wait().await?.success());
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "dropping the last one kills the child; keep it or detach it"]
pub struct Process<P> {
    handle: ProcessHandle,
    ownership: Rc<Ownership>,
    protocol: PhantomData<fn() -> P>,
}

impl<P: ProcessProtocol> Process<P> {
    pub(super) fn new(handle: ProcessHandle, kill_on_drop: bool) -> Self {
        if kill_on_drop {
            handle.state().own();
        }
        let ownership =
            Rc::new(Ownership { handle: handle.clone(), kill_on_drop: Cell::new(kill_on_drop) });
        Self { handle, ownership, protocol: PhantomData }
    }

    /// Calls `action` with the protocol and its transport, now, and gives back what it returns.
    ///
    /// # Errors
    /// [`is_busy`](Error::is_busy) inside one of this protocol's own callbacks (use
    /// [`post`](Self::post)), [`is_closed`](Error::is_closed) once `connection_lost` was called, with the
    /// error that ended it, if one did, as the source.
    ///
    /// # Panics
    /// A panic in `action` closes the process and goes on in the caller.
    pub fn with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn ProcessTransport) -> R,
    ) -> Result<R, Error> {
        let core = self.handle.core();
        let state = self.handle.state();
        let outcome = state.lend(core, |protocol, transport| {
            let protocol: &mut dyn Any = protocol;
            let protocol = protocol.downcast_mut::<P>()?;
            Some(fence::run(|| action(protocol, transport)))
        });
        let result = match outcome {
            None => Err(state.why_not_lent()),
            // Nothing puts another protocol in its place.
            Some(None) => Err(Error::bare(Kind::Replaced)),
            Some(Some(Err(panic))) => {
                state.fail(core, panic.error());
                Ok(Err(panic))
            }
            Some(Some(Ok(result))) => Ok(Ok(result)),
        };
        core.close_if_wanted();
        result.map(|outcome| outcome.unwrap_or_else(|panic| panic.resume()))
    }

    /// As [`with`](Self::with), for an `action` that can fail: its error is converted, so that there is
    /// one result to look at.
    ///
    /// # Errors
    /// Those of [`with`](Self::with), and what `action` returns.
    pub fn try_with<R>(
        &self,
        action: impl FnOnce(&mut P, &dyn ProcessTransport) -> Result<R>,
    ) -> Result<R, Error> {
        self.with(action)?.map_err(Error::from)
    }

    /// Calls `action` with the protocol and its transport in the loop's next round.
    ///
    /// From anywhere on the loop, this protocol's own callbacks included. If the process is gone by
    /// then, `action` is dropped. Until then it keeps the child wanted, as a clone does.
    pub fn post(&self, action: impl FnOnce(&mut P, &dyn ProcessTransport) + 'static) {
        let process = self.clone();
        self.handle.event_loop().call_soon(move || {
            // Gone: there is nobody to tell.
            let _ = process.with(action);
        });
    }

    /// Waits for the child's exit; see [`ProcessHandle::wait`].
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) when the loop closes and the child runs on.
    pub fn wait(&self) -> LoopFuture<ExitStatus> {
        self.handle.wait()
    }

    /// The process's handle: its pipes, signals and status. It does not keep the child wanted.
    pub fn handle(&self) -> &ProcessHandle {
        &self.handle
    }

    /// Leaves the child to the loop: it runs until it exits, or until the loop closes, which kills
    /// it unless it was started with
    /// [`kill_on_drop(false)`](crate::SubprocessBuilder::kill_on_drop).
    pub fn detach(self) {
        self.disown();
    }

    pub(super) fn disown(&self) {
        self.ownership.kill_on_drop.set(false);
        self.handle.state().disown(self.handle.core());
    }
}

/// What all clones share.
struct Ownership {
    handle: ProcessHandle,
    kill_on_drop: Cell<bool>,
}

impl Drop for Ownership {
    fn drop(&mut self) {
        if self.kill_on_drop.get() {
            self.handle.close();
        }
    }
}

impl<P> Access for Process<P> {
    fn process(&self) -> &ProcessHandle {
        &self.handle
    }
}

impl<P> Clone for Process<P> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            ownership: Rc::clone(&self.ownership),
            protocol: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Process<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Process").field(&self.handle).finish()
    }
}
