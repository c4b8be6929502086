//! Keep-alive: a machine asks whether the other side of a silent connection is still there, as Linux does.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::pair::Pair;
use crate::driver::Probing;
use crate::driver::memory::packet::Packet;

/// What one side knows of the other.
#[derive(Default)]
pub(super) struct KeepAlive {
    /// `None`: it never asks.
    probing: Cell<Option<Probing>>,
    /// When the other side was heard of.
    heard: Cell<Option<Instant>>,
    /// How often it was asked since.
    probes: Cell<u32>,
}

/// What is done at a moment.
enum Step {
    Wait(Duration),
    Ask(Duration),
    GiveUp,
}

impl KeepAlive {
    pub(super) fn set(&self, probing: Option<Probing>) {
        self.probing.set(probing);
    }

    fn step(&self, is_busy: bool, now: Instant) -> Option<Step> {
        let Probing { time, interval, retries } = self.probing.get()?;
        let silent = now.saturating_duration_since(self.heard.get()?);
        Some(match time.checked_sub(silent).filter(|rest| !rest.is_zero()) {
            // What is sent again has timeouts of its own.
            _ if is_busy => Step::Wait(time),
            Some(rest) => Step::Wait(rest),
            None if self.probes.get() >= retries => Step::GiveUp,
            None => {
                self.probes.set(self.probes.get() + 1);
                Step::Ask(interval)
            }
        })
    }
}

impl Pair {
    /// `side` is connected, and watches over the connection if it is to.
    pub(super) fn begin_keep_alive(self: &Rc<Self>, side: usize) {
        self.hears(side);
        let probing = self.ends[side].keep_alive.probing.get();
        // Within a machine nobody is lost.
        if let Some(probing) = probing.filter(|_| self.routes.is_some()) {
            self.look_after(side, probing.time);
        }
    }

    /// Something has come to `side`: the other side is there, and hears that it has.
    pub(super) fn hears_both(&self, side: usize) {
        self.hears(side);
        self.hears(1 - side);
    }

    fn hears(&self, side: usize) {
        let end = &self.ends[side];
        if end.keep_alive.probing.get().is_some() {
            end.keep_alive.heard.set(end.kernel.now());
            end.keep_alive.probes.set(0);
        }
    }

    fn look_after(self: &Rc<Self>, side: usize, wait: Duration) {
        let pair = Rc::downgrade(self);
        self.ends[side].kernel.timer(wait, move || {
            if let Some(pair) = pair.upgrade() {
                pair.keep_alive(side);
            }
        });
    }

    fn keep_alive(self: &Rc<Self>, side: usize) {
        let (end, Some(routes)) = (&self.ends[side], &self.routes) else { return };
        if end.closed.get() || end.has_failed() {
            return;
        }
        let is_busy = routes[1 - side].is_busy() || self.buffers[1 - side].borrow().awaits_room;
        let step = end.kernel.now().and_then(|now| end.keep_alive.step(is_busy, now));
        match step {
            Some(Step::Wait(wait)) => self.look_after(side, wait),
            Some(Step::Ask(wait)) => {
                self.look_after(side, wait);
                self.ask(side);
            }
            Some(Step::GiveUp) => {
                self.send_reset(side);
                end.fail(std::io::ErrorKind::TimedOut);
            }
            None => {}
        }
    }

    fn ask(self: &Rc<Self>, side: usize) {
        let Some(routes) = &self.routes else { return };
        let pair = Rc::downgrade(self);
        routes[1 - side].send_apart(Packet::Probe, move || {
            if let Some(pair) = pair.upgrade() {
                pair.probe_arrives(1 - side);
            }
        });
    }

    /// The kernel answers, whatever programs do.
    fn probe_arrives(self: &Rc<Self>, side: usize) {
        if self.is_refused(side) {
            return;
        }
        let Some(routes) = &self.routes else { return };
        self.hears(side);
        let pair = Rc::downgrade(self);
        routes[1 - side].send_apart(Packet::Alive, move || {
            if let Some(pair) = pair.upgrade() {
                pair.hears(1 - side);
            }
        });
    }
}
