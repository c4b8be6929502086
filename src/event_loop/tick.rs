//! One turn of the loop.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::core::{Core, Timer};
use super::ready::Ready;
use super::run::Main;
use super::remote::RemoteItem;
use super::slots::Tenant;
use super::{EventLoop, SlowWatch};
use crate::transport::{Key, Readiness};

/// How many rounds of the ready list run before the loop polls again.
const ROUNDS: u32 = 64;

/// How long rounds go on before the loop polls again, in nanoseconds.
const ROUNDS_TIME: u64 = 500_000;

/// The longest sleep (asyncio's): some systems refuse longer ones.
const LONGEST_SLEEP: u64 = 86_400 * 1_000_000_000;

impl Core {
    /// One turn: poll, then what is due. `may_wait`: whether it may sleep when nothing is due.
    pub(crate) fn tick(self: &Rc<Self>, may_wait: bool, main: &mut dyn Main) -> io::Result<()> {
        self.counters.count_tick();
        let may_wait = may_wait && !main.is_woken();
        let timeout = if may_wait { self.sleep() } else { Some(Duration::ZERO) };
        self.poll(timeout)?;
        self.set_tick_time(self.now());
        if self.remote.is_woken() {
            self.take_remote();
        }
        self.take_due_timers();
        self.run_rounds(main);
        self.finish_lost();
        Ok(())
    }

    /// How long the loop may sleep; `None`: until something happens.
    fn sleep(&self) -> Option<Duration> {
        if self.is_busy() {
            return Some(Duration::ZERO);
        }
        let wakeup = self.timers.borrow().next_wakeup()?;
        Some(Duration::from_nanos(wakeup.saturating_sub(self.now()).min(LONGEST_SLEEP)))
    }

    /// Whether anything is waiting to be done now.
    pub(crate) fn is_busy(&self) -> bool {
        !self.ready.borrow().is_empty()
            || !self.dirty.borrow().is_empty()
            || !self.lost.borrow().is_empty()
            || !self.signals.borrow().is_empty()
            || self.remote.is_woken()
    }

    /// Polls, and turns events into readiness: nothing of the user's runs here.
    fn poll(self: &Rc<Self>, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = 0;
        self.driver.poll(timeout, |key, readiness| {
            events += 1;
            self.note(key, readiness);
        })?;
        loop {
            let signal = self.signals.borrow_mut().pop_front();
            let Some((key, readiness)) = signal else { break };
            events += 1;
            self.note(key, readiness);
        }
        self.counters.count_events(events);
        Ok(())
    }

    #[inline]
    fn note(&self, key: Key, readiness: Readiness) {
        let slots = self.slots.borrow();
        let entry = match slots.tenant(key) {
            Some(Tenant::Stream(stream)) if stream.note(readiness) => {
                Ready::Stream(Rc::clone(stream))
            }
            Some(Tenant::Source(source)) if source.note(readiness) => {
                Ready::Source(Rc::clone(source))
            }
            _ => return,
        };
        self.ready.borrow_mut().push_back(entry);
    }

    /// Takes what other threads sent.
    fn take_remote(self: &Rc<Self>) {
        for item in self.remote.take() {
            match item {
                RemoteItem::Task(runnable) => self.push_ready(Ready::Task(runnable)),
                RemoteItem::Call(call) => {
                    let event_loop = EventLoop::from_core(Rc::clone(self));
                    let caller = event_loop.clone();
                    caller.call_soon(move || call.run(&event_loop));
                }
            }
        }
    }

    /// Appends the timers that are due to the ready list, in the order of their deadlines.
    fn take_due_timers(&self) {
        let mut timers = self.timers.borrow_mut();
        if timers.is_empty() {
            return;
        }
        let now = self.tick_time();
        match timers.next_wakeup() {
            Some(wakeup) if wakeup <= now => self.counters.note_lag(now - wakeup),
            _ => return,
        }
        let mut ready = self.ready.borrow_mut();
        while let Some(timer) = timers.expire(now) {
            ready.push_back(match timer {
                Timer::Callback(callback) => Ready::Callback(callback),
                Timer::Deadline(stream) => Ready::Deadline(stream),
            });
        }
    }

    /// Runs the ready list: just what was there at the start of each round.
    fn run_rounds(self: &Rc<Self>, main: &mut dyn Main) {
        for _ in 0..ROUNDS {
            let count = self.ready.borrow().len();
            let done = main.is_woken() && main.step();
            for _ in 0..count {
                let Some(entry) = self.ready.borrow_mut().pop_front() else { break };
                self.run(entry);
            }
            self.settle_dirty();
            if done || self.stopping.get() {
                return;
            }
            if self.ready.borrow().is_empty() && !main.is_woken() {
                return;
            }
            if self.now() - self.tick_time() > ROUNDS_TIME {
                return;
            }
        }
    }

    #[inline]
    fn run(self: &Rc<Self>, entry: Ready) {
        match entry {
            Ready::Stream(stream) => stream.dispatch(self),
            Ready::Deadline(stream) => stream.deadline(self),
            Ready::Source(source) => source.run(self),
            Ready::Callback(callback) => callback.run(self),
            Ready::Task(runnable) => {
                self.counters.count_callback();
                let watch = SlowWatch::start(self);
                self.run_caught("a task failed", || {
                    runnable.run();
                });
                watch.stop(self, "a task's step", None);
            }
        }
    }

    /// Flushes the streams that were written to from elsewhere.
    pub(crate) fn settle_dirty(self: &Rc<Self>) {
        let count = self.dirty.borrow().len();
        for position in 0..count {
            let stream = Rc::clone(&self.dirty.borrow()[position]);
            stream.settle_dirty(self);
        }
        if count > 0 {
            self.dirty.borrow_mut().drain(..count);
        }
        self.drop_spent();
    }

    /// Delivers `connection_lost` to what is over, and lets go of it.
    pub(crate) fn finish_lost(self: &Rc<Self>) {
        let count = self.lost.borrow().len();
        for _ in 0..count {
            let Some(stream) = self.lost.borrow_mut().pop_front() else { break };
            stream.finish(self);
        }
        if count > 0 {
            self.settle_dirty();
        }
    }
}
