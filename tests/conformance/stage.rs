//! What a check is given: a link, and how to run what is on it.

mod link;
mod memory;
mod socket;
mod system;

use std::os::fd::OwnedFd;
use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{Connection, EventLoop, Protocol, Transport};

use crate::probe::{Log, Probe, assert_rules_were_kept};
use crate::running::{Reports, rest, run_until};

pub(crate) use self::link::{CAPACITY, Capabilities, Link, MUCH, Ways};
pub(crate) use self::memory::{Memory, Pair, UrgentMemory};
pub(crate) use self::socket::{Socket, once};
#[cfg(feature = "tls")]
pub(crate) use self::socket::{Tls12, Tls13};
pub(crate) use self::system::{Pipes, SocketPair, Tcp, TcpWithoutSendfile, Unix};

/// A link, and what is told of the loops under it.
pub(crate) struct Stage<L> {
    link: L,
    loops: Vec<EventLoop>,
    pub(crate) reports: Reports,
}

impl<L: Link> Stage<L> {
    /// A stage of its own, for a check that needs several.
    pub(crate) fn of(link: L) -> Self {
        let reports = Reports::of(link.event_loop());
        let mut loops = vec![link.event_loop().clone()];
        #[cfg(feature = "sim")]
        if let Some(world) = link.world() {
            reports.add(&world.far);
            loops.push(world.far.clone());
        }
        Self { link, loops, reports }
    }

    /// Runs one check, closes its loops, and looks for what is left over.
    ///
    /// A link that does not have the ways that it needs is passed over.
    pub(crate) fn run(needed: Ways, check: fn(&mut Self)) {
        Self::run_and_then(needed, check, |_| {});
    }

    /// As [`run`](Self::run); `before_closing` is called when the check is done.
    pub(crate) fn run_and_then(
        needed: Ways,
        check: fn(&mut Self),
        before_closing: impl FnOnce(&Self),
    ) {
        if !L::CAPABILITIES.ways.include(needed) {
            return;
        }
        let mut stage = Self::of(L::new());
        check(&mut stage);
        before_closing(&stage);
        let loops = stage.loops.clone();
        drop(stage);
        for event_loop in loops {
            assert!(event_loop.is_closed());
            let statistics = event_loop.statistics();
            assert_eq!(statistics.connections_open, 0);
            assert_eq!(
                (statistics.sources, statistics.timers, statistics.tasks, statistics.ready),
                (0, 0, 0, 0)
            );
        }
        assert_rules_were_kept();
    }

    pub(crate) fn can(&self) -> Capabilities {
        L::CAPABILITIES
    }

    /// The near end's.
    pub(crate) fn event_loop(&self) -> &EventLoop {
        self.link.event_loop()
    }

    /// Those of both ends.
    pub(crate) fn loops(&self) -> &[EventLoop] {
        &self.loops
    }

    /// Sockets that linger without their protocols.
    pub(crate) fn lingering(&self) -> u64 {
        self.loops.iter().map(|event_loop| event_loop.statistics().lingering).sum()
    }

    pub(crate) fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.link.join(near, far)
    }

    pub(crate) fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.link.join_urgent(near, far)
    }

    /// Joins a probe to one that only records.
    pub(crate) fn join_to_probe(&self, near: impl Protocol) -> Log {
        let far = Log::new();
        self.join(near, Probe::new(&far));
        far
    }

    #[track_caller]
    pub(crate) fn run_until(&self, what: &str, condition: impl FnMut() -> bool) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.run_until(what, condition);
        }
        run_until(self.event_loop(), what, condition);
    }

    /// Ends the side of `log`'s protocol: the other one gets `eof_received`.
    pub(crate) fn end_side(&self, log: &Log) {
        if self.can().half_close {
            log.handle().write_eof();
        } else {
            log.handle().close();
        }
    }

    #[track_caller]
    pub(crate) fn run_until_lost(&self, log: &Log) {
        self.run_until("connection_lost", || log.is_lost());
    }

    /// A peer that went on writing to who had closed: a pipe is broken for it then, a socket that lingers is
    /// not. Neither costs it anything of what it was sent.
    #[track_caller]
    pub(crate) fn assert_talker_ended_well(&self, log: &Log) {
        let error = log.cause().map(|cause| cause.io_kind);
        let is_broken = error == Some(Some(std::io::ErrorKind::BrokenPipe));
        assert!(error.is_none() || (is_broken && !self.can().reset), "{:?}", log.cause());
    }

    #[track_caller]
    pub(crate) fn run_until_received(&self, log: &Log, len: usize) {
        self.run_until("all bytes", || log.received_len() >= len);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, duration: Duration) {
        if advance(self.event_loop(), duration).is_err() {
            let event_loop = self.event_loop();
            event_loop.run_until_complete(event_loop.sleep(duration)).expect("it runs");
        }
    }

    /// Until nothing is on its way any more.
    #[track_caller]
    pub(crate) fn rest(&self) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.rest();
        }
        rest(self.event_loop());
    }

    /// One turn of the loop.
    pub(crate) fn step(&self) {
        #[cfg(feature = "sim")]
        if let Some(world) = self.link.world() {
            return world.step();
        }
        step(self.event_loop()).expect("the loop runs");
    }
}
