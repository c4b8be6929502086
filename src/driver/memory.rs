//! A driver in memory: sockets that are buffers, and time that passes only when nothing is ready.
//!
//! Equal programs run equally: nothing here asks the operating system anything. Several loops can be on one
//! [`Network`]; they share its clock and take turns (`loops.rs`). When none of them has anything to do,
//! time jumps to the next timer or to the next arrival (`links.rs`); when there is none either, that is an
//! error, since nothing could ever happen again.

mod agenda;
mod clock;
mod connect;
mod datagram;
mod datagram_table;
mod kernel;
mod links;
mod listener;
mod loops;
mod machine;
mod network;
mod order;
mod packet;
mod pipe;
mod place;
mod ports;
mod route;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Key, Readiness, Signals};
use crate::error::{Error, Kind};

pub(crate) use self::clock::Clock;
pub(crate) use self::datagram::MemoryDatagramSocket;
pub(crate) use self::kernel::Descriptor;
#[cfg(feature = "sim")]
pub(crate) use self::kernel::{Call, KernelPolicy};
#[cfg(feature = "sim")]
pub(crate) use self::links::{Fate, Link, LinkPolicy, Retry, Tap};
pub(crate) use self::listener::MemoryListener;
pub(crate) use self::loops::{NetworkLoop, NextTurn, Participant};
pub(crate) use self::machine::Machine;
pub(crate) use self::network::Network;
#[cfg(feature = "sim")]
pub(crate) use self::order::Choose;
#[cfg(feature = "sim")]
pub use self::packet::Packet;
pub(crate) use self::pipe::{MemorySocket, pair, pair_on};

pub(crate) struct MemoryDriver {
    woken: Arc<AtomicBool>,
    machine: Machine,
    /// The loop that it drives.
    own: OnceCell<Rc<Participant>>,
}

/// Wakes the driver: the next poll that would wait returns at once.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWaker {
    driver: Arc<AtomicBool>,
    /// One of the loops of the network was called.
    network: Arc<AtomicBool>,
}

impl MemoryWaker {
    pub(crate) fn wake(&self) {
        self.driver.store(true, Ordering::Release);
        self.network.store(true, Ordering::Release);
    }
}

impl MemoryDriver {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { woken: Arc::default(), machine, own: OnceCell::new() }
    }

    /// Says which loop it drives. From now on that takes turns with the others of the network.
    /// What is ready on that comes by `signals`.
    pub(crate) fn join(&self, own: Weak<dyn NetworkLoop>, signals: &Signals) {
        let new = || self.network().0.loops.add(own, self.machine.running(), self.clock().moment());
        signals.belongs_to(Rc::clone(self.own.get_or_init(new)));
    }

    /// The loop may have something to do, or other timers, which it was given while it has no tick.
    pub(crate) fn mark(&self) {
        if let Some(own) = self.own.get() {
            own.mark();
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.network().0.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn waker(&self) -> MemoryWaker {
        let network = self.network().0.loops.called();
        MemoryWaker { driver: Arc::clone(&self.woken), network }
    }

    /// What the loop's random numbers begin with.
    pub(crate) fn seed(&self) -> u64 {
        self.machine.seed()
    }

    /// Whether it is a simulated host's.
    pub(crate) fn is_simulated(&self) -> bool {
        self.machine.kernel().ports().is_some()
    }

    pub(crate) fn network(&self) -> &Network {
        &self.machine.network
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What becomes ready at one instant does so in any order.
    pub(crate) fn arrange(&self, ready: &mut [(Key, Readiness)]) {
        self.network().0.order.shuffle(ready);
    }

    /// Whether anything but this loop's own work is left to do at this moment on the network.
    pub(crate) fn others_are_due(&self) -> bool {
        let (state, now) = (&self.network().0, self.clock().moment());
        let arrives = state.links.next_arrival().is_some_and(|at| at <= now);
        arrives || self.own.get().is_some_and(|own| state.loops.others_are_due(own, now))
    }

    /// When something happens next on the network, this loop's own timers left out.
    pub(crate) fn next_event_of_others(&self) -> Option<Instant> {
        let (state, now) = (&self.network().0, self.clock().moment());
        let timer = self.own.get().and_then(|own| state.loops.next_timer_of_others(own, now));
        let next = state.links.next_arrival().into_iter().chain(timer).min();
        next.map(|at| self.clock().instant(at))
    }

    /// There is nothing to wait for but the other loops and time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(own) = self.own.get() else { return Ok(()) };
        let state = &*self.network().0;
        let Some(turns) = state.loops.begin_turns(own) else {
            // It has its tick while another loop waits.
            self.woken.store(false, Ordering::Release);
            return Ok(());
        };
        let clock = &*state.clock;
        let deadline = timeout.map(|timeout| clock.after(timeout));
        let may_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
        loop {
            if !clock.begin_turn() {
                let text = "time does not pass: programs always have something to do at once";
                return Err(io::Error::other(text));
            }
            let arrived = state.links.deliver_due();
            if let Some(failure) = state.links.take_failure() {
                return Err(io::Error::other(failure));
            }
            let others = turns.take(&state.order, clock.moment())?;
            let anything = arrived || others.any;
            let is_woken = take_flag(&self.woken);
            if is_woken || !may_wait || (anything && own.goes_on(clock.moment())) {
                return Ok(());
            }
            if anything {
                continue;
            }
            let arrival = state.links.next_arrival();
            match deadline.into_iter().chain(arrival).chain(others.next_timer).min() {
                Some(at) if !clock.is_at_its_end() => clock.advance_to_moment(at),
                _ => return Err(io::Error::other(Error::bare(Kind::Deadlock))),
            }
            if deadline.is_some_and(|deadline| deadline <= clock.moment()) {
                return Ok(());
            }
        }
    }
}

impl Drop for MemoryDriver {
    fn drop(&mut self) {
        if let Some(own) = self.own.get() {
            self.network().0.loops.remove(own);
        }
    }
}

/// Whether it was set. Nearly always it was not, and then a look is enough.
fn take_flag(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::AcqRel)
}

impl fmt::Debug for MemoryDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryDriver")
            .field("clock", self.clock())
            .field("links", &self.network().0.links)
            .finish_non_exhaustive()
    }
}
