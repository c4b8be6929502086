//! A driver in memory: sockets that are buffers, and time that passes only when nothing is ready.
//!
//! Equal programs run equally: nothing here asks the operating system anything. Several loops can be on one
//! [`Network`]; they share its clock and take turns (`loops.rs`). When none of them has anything to do,
//! time jumps to the next timer or to the next arrival (`links.rs`); when there is none either, that is an
//! error, since nothing could ever happen again.

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
use std::rc::Weak;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Key, Readiness};
use crate::error::{Error, Kind};

pub(crate) use self::clock::Clock;
pub(crate) use self::datagram::MemoryDatagramSocket;
pub(crate) use self::kernel::Descriptor;
#[cfg(feature = "sim")]
pub(crate) use self::kernel::{Call, KernelPolicy};
#[cfg(feature = "sim")]
pub(crate) use self::links::{Fate, Link, LinkPolicy, Retry, Tap};
pub(crate) use self::listener::MemoryListener;
pub(crate) use self::loops::{NetworkLoop, NextTurn};
pub(crate) use self::machine::Machine;
pub(crate) use self::network::Network;
#[cfg(feature = "sim")]
pub(crate) use self::order::Choose;
#[cfg(feature = "sim")]
pub use self::packet::Packet;
pub(crate) use self::pipe::{MemorySocket, pair};

pub(crate) struct MemoryDriver {
    woken: Arc<AtomicBool>,
    machine: Machine,
    /// The loop that it drives.
    own: OnceCell<Weak<dyn NetworkLoop>>,
}

/// Wakes the driver: the next poll that would wait returns at once.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWaker(Arc<AtomicBool>);

impl MemoryWaker {
    pub(crate) fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl MemoryDriver {
    pub(crate) fn new(machine: Machine) -> Self {
        Self { woken: Arc::default(), machine, own: OnceCell::new() }
    }

    /// Says which loop it drives. From now on that takes turns with the others of the network.
    pub(crate) fn join(&self, own: Weak<dyn NetworkLoop>) {
        if self.own.set(Weak::clone(&own)).is_ok() {
            self.network().0.loops.add(own, self.machine.running());
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.network().0.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn waker(&self) -> MemoryWaker {
        MemoryWaker(Arc::clone(&self.woken))
    }

    /// What the loop's random numbers begin with.
    pub(crate) fn seed(&self) -> u64 {
        self.machine.seed()
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
        let arrives = self.network().0.links.next_arrival().is_some_and(|at| at <= self.now());
        arrives || self.own.get().is_some_and(|own| self.network().0.loops.others_are_due(own))
    }

    /// When something happens next on the network, this loop's own timers left out.
    pub(crate) fn next_event_of_others(&self) -> Option<Instant> {
        let timer = self.own.get().and_then(|own| self.network().0.loops.next_timer_of_others(own));
        self.network().0.links.next_arrival().into_iter().chain(timer).min()
    }

    /// There is nothing to wait for but the other loops and time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(turns) = self.network().0.loops.begin_turns() else {
            // It has its tick while another loop waits.
            self.woken.store(false, Ordering::Release);
            return Ok(());
        };
        let clock = self.clock();
        let deadline = timeout.map(|timeout| clock.after(timeout));
        let may_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
        loop {
            if !clock.begin_turn() {
                let text = "time does not pass: programs always have something to do at once";
                return Err(io::Error::other(text));
            }
            let arrived = self.network().0.links.deliver_due();
            if let Some(failure) = self.network().0.links.take_failure() {
                return Err(io::Error::other(failure));
            }
            let order = &self.network().0.order;
            let others =
                self.own.get().map(|own| turns.take(own, order)).transpose()?.unwrap_or_default();
            let anything = arrived || others.any;
            let is_woken = self.woken.swap(false, Ordering::AcqRel);
            if is_woken || !may_wait || (anything && self.is_due()) {
                return Ok(());
            }
            if anything {
                continue;
            }
            let arrival = self.network().0.links.next_arrival();
            match deadline.into_iter().chain(arrival).chain(others.next_timer).min() {
                Some(at) if !clock.is_at_its_end() => clock.advance_to(at),
                _ => return Err(io::Error::other(Error::bare(Kind::Deadlock))),
            }
            if deadline.is_some_and(|deadline| deadline <= clock.now()) {
                return Ok(());
            }
        }
    }

    fn is_due(&self) -> bool {
        self.own
            .get()
            .and_then(Weak::upgrade)
            .is_some_and(|own| own.next_turn() == NextTurn::Now || own.is_stopping())
    }
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
