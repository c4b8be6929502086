//! What the kernel of a machine does to the calls of its programs, where a simulation says so: it moves less than it
//! could, says "it would block" though it need not, reports what is not there, and is out of buffers or descriptors.
//!
//! A program on a real kernel sees all of that. What was left is always reported later, as if it had arrived, or found
//! room, just then: the poll is edge-triggered, and a kernel that told of it at once would have done it at once.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::links::{Event, Links};
use super::ports::Ports;

/// What the kernel of a machine does to calls.
///
/// It is asked in the middle of them: it must not use the loops of the network.
pub(crate) trait KernelPolicy {
    /// How many of `most` bytes or datagrams a call moves, at least one.
    fn moves(&self, call: Call, most: usize) -> usize;

    /// Whether a call says "it would block", though it need not.
    fn blocks(&self, call: Call) -> bool;

    /// When what a call has left is reported, which must not be at once.
    fn delay(&self) -> Duration;

    /// Whether a socket is reported as ready for more than it is.
    fn is_spurious(&self) -> bool;

    /// Whether there is no buffer for a datagram.
    fn lacks_buffers(&self) -> bool;

    /// Whether there is no descriptor for a call that makes one.
    fn lacks_descriptors(&self, call: Call) -> bool;

    /// How many descriptors there are.
    fn descriptors(&self) -> usize;

    /// Which ports are given out.
    fn ephemeral_ports(&self) -> RangeInclusive<u16>;
}

/// A call of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    Receive,
    Send,
    Accept,
    Connect,
    /// A socket for datagrams, or one that listens.
    Open,
}

/// The kernel of a machine, as its sockets know it.
#[derive(Clone, Default)]
pub(super) struct Kernel(Option<Rc<State>>);

struct State {
    policy: Rc<dyn KernelPolicy>,
    /// What is on its way holds sockets, and these their kernel.
    links: Weak<Links>,
    /// `None`: that of the loops without machines, which stand for any number of them.
    ports: Option<Rc<Ports>>,
    /// How many descriptors there are that were not closed.
    open: Cell<usize>,
}

/// Counts as open until it is dropped.
pub(crate) struct Descriptor(Option<Rc<State>>);

/// Which of the calls on a socket has said "it would block" though it need not: never two in a row, so that everything
/// goes on in the end.
#[derive(Default)]
pub(super) struct Blocked {
    input: Cell<bool>,
    output: Cell<bool>,
}

impl Kernel {
    #[cfg(feature = "sim")]
    pub(super) fn new(
        policy: Rc<dyn KernelPolicy>,
        links: &Rc<Links>,
        ports: Option<Rc<Ports>>,
    ) -> Self {
        let links = Rc::downgrade(links);
        Self(Some(Rc::new(State { policy, links, ports, open: Cell::new(0) })))
    }

    /// The ports of a simulated host.
    pub(super) fn ports(&self) -> Option<&Rc<Ports>> {
        self.0.as_ref()?.ports.as_ref()
    }

    /// How many of `most` a call moves; "it would block" for none.
    ///
    /// If that is less than `most`, the caller lets itself be told [later](Self::later).
    pub(super) fn moves(&self, call: Call, most: usize, blocked: &Blocked) -> io::Result<usize> {
        self.check(call, blocked)?;
        Ok(self.moves_some(call, most))
    }

    /// As [`moves`](Self::moves), where the call cannot say "it would block".
    pub(super) fn moves_some(&self, call: Call, most: usize) -> usize {
        match &self.0 {
            Some(state) if most > 1 => state.policy.moves(call, most).clamp(1, most),
            _ => most,
        }
    }

    /// Whether a call goes on, or says "it would block".
    pub(super) fn check(&self, call: Call, blocked: &Blocked) -> io::Result<()> {
        let Some(state) = &self.0 else { return Ok(()) };
        let blocked = match call {
            Call::Read | Call::Receive | Call::Accept => &blocked.input,
            Call::Write | Call::Send | Call::Connect | Call::Open => &blocked.output,
        };
        if !blocked.get() && state.policy.blocks(call) {
            blocked.set(true);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        blocked.set(false);
        Ok(())
    }

    /// Whether it is that of a simulated host, which takes its time as a real one does.
    pub(super) fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    /// Does something after some time.
    pub(super) fn after(&self, time: Duration, act: impl FnOnce() + 'static) {
        let links = self.0.as_ref().and_then(|state| state.links.upgrade());
        if let Some(links) = links {
            let at = links.clock().after(time);
            links.schedule(at, Event::Arrival(Box::new(act)));
        }
    }

    /// As [`after`](Self::after), of its own accord: nothing is on its way because of it.
    pub(super) fn timer(&self, time: Duration, act: impl FnOnce() + 'static) {
        let links = self.0.as_ref().and_then(|state| state.links.upgrade());
        if let Some(links) = links {
            links.set_timer(time, act);
        }
    }

    /// What time it is, on a simulated host.
    pub(super) fn now(&self) -> Option<Instant> {
        let links = self.0.as_ref()?.links.upgrade()?;
        Some(links.clock().now())
    }

    /// Tells of what a call has left.
    pub(super) fn later(&self, tell: impl FnOnce() + 'static) {
        if let Some(state) = &self.0 {
            self.after(state.policy.delay(), tell);
        }
    }

    pub(super) fn is_spurious(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.policy.is_spurious())
    }

    /// A buffer for a datagram.
    pub(super) fn buffer(&self) -> io::Result<()> {
        match &self.0 {
            Some(state) if state.policy.lacks_buffers() => Err(Errno::NOBUFS.into()),
            _ => Ok(()),
        }
    }

    /// A descriptor for what a call makes.
    pub(super) fn descriptor(&self, call: Call) -> io::Result<Descriptor> {
        let Some(state) = &self.0 else { return Ok(Descriptor(None)) };
        if state.open.get() >= state.policy.descriptors() || state.policy.lacks_descriptors(call) {
            return Err(Errno::MFILE.into());
        }
        state.open.set(state.open.get() + 1);
        Ok(Descriptor(Some(Rc::clone(state))))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.open.set(state.open.get() - 1);
        }
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Descriptor").finish_non_exhaustive()
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.0.as_ref().map(|state| state.open.get());
        formatter.debug_struct("Kernel").field("open", &open).finish_non_exhaustive()
    }
}
