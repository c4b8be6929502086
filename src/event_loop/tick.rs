//! One tick of the loop.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
#[cfg(feature = "tls-core")]
use super::entries::TlsWork;
use super::entries::{Entry, Ready, Source};
use super::remote::{RemoteItem, TAKEN_AT_ONCE};
use super::round_clock::RoundClock;
use super::run::Main;
use super::unserved::{Unfinished, UnservedList, UnservedSignals, UnservedSource};
use super::{EventLoop, SlowWatch};
use crate::driver::{Key, Readiness};
use crate::fence::{self, Trip};
use crate::time::TimerKey;

/// How many rounds of the ready list run before the loop polls again.
const ROUNDS: u32 = 64;

/// The longest sleep (asyncio's): some systems refuse longer ones.
const LONGEST_SLEEP: u64 = 86_400 * 1_000_000_000;

impl Core {
    /// One tick: poll, then what is due. `may_wait`: whether it may sleep when nothing is due.
    pub(crate) fn tick(self: &Rc<Self>, may_wait: bool, main: &mut dyn Main) -> io::Result<()> {
        self.counters.count_tick();
        let may_wait = may_wait && !self.remote.is_called();
        let timeout = if may_wait { self.sleep() } else { Some(Duration::ZERO) };
        self.driver.wait(timeout)?;
        self.begin_tick();
        let called = self.remote.is_called();
        if called {
            self.take_remote();
        }
        if self.timers.borrow().needs_expire() && !self.events_are_left() {
            self.take_due_timers();
        }
        let mut lent = self.borrow_read_buffer();
        let buffer = &mut lent.value()[..];
        if called || self.is_pending() {
            self.run_rounds(main, buffer);
        } else {
            // Most ticks: nothing but events, and nothing follows from them.
            self.run_events(buffer);
            if self.is_pending() || self.remote.is_called() {
                self.end_round(main, buffer, false);
            }
        }
        Ok(())
    }

    /// The round of the events and of what was in the ready list before them, then the others.
    #[inline(never)]
    fn run_rounds(self: &Rc<Self>, main: &mut dyn Main, buffer: &mut [u8]) {
        let list = self.take_ready();
        let is_main_woken = self.remote.is_main_woken();
        #[cfg(feature = "tls-core")]
        self.run_waiting_handshakes(buffer);
        self.run_events(buffer);
        self.run_list(list, buffer);
        // Last, so that a main future that yields gives all others that are ready their turn.
        let done = is_main_woken && self.step(main);
        self.end_round(main, buffer, done);
    }

    /// What follows the first round: the other rounds, then the end of closed connections.
    #[inline(never)]
    fn end_round(self: &Rc<Self>, main: &mut dyn Main, buffer: &mut [u8], done: bool) {
        self.update_dirty();
        if !done {
            self.run_more_rounds(main, buffer);
        }
        self.finish_lost();
        self.note_pending();
    }

    /// The handshakes that the last tick had no time for come first, and leave what is left of this
    /// one's to others.
    #[cfg(feature = "tls-core")]
    fn run_waiting_handshakes(self: &Rc<Self>, buffer: &mut [u8]) {
        for _ in 0..TlsWork::STEPS_PER_TICK {
            let Some(stream) = self.tls.next_waiting() else { return };
            stream.dispatch(self, buffer);
        }
    }

    /// How long the loop may sleep; `None`: until something happens.
    fn sleep(&self) -> Option<Duration> {
        if self.is_pending() || !self.signals.is_empty() {
            return Some(Duration::ZERO);
        }
        let timers = self.timers.borrow();
        if timers.is_empty() {
            return None;
        }
        let wakeup = timers.next_wakeup()?;
        Some(Duration::from_nanos(wakeup.saturating_sub(self.now()).min(LONGEST_SLEEP)))
    }

    /// Whether anything is waiting to be done now.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.is_pending() || !self.signals.is_empty() || self.remote.is_woken()
    }

    /// Notes what the events say, and does what that asks for.
    #[inline(never)]
    fn run_events(self: &Rc<Self>, buffer: &mut [u8]) {
        let mut count = 0;
        let ready = |key, readiness| {
            count += 1;
            self.run_event(key, readiness, buffer);
        };
        // The poll does not tell again of what is left when something unwinds.
        self.driver.take_events(ready, |key, readiness| {
            self.signals.push(key, readiness);
        });
        self.counters.count_events(count);
        if !self.signals.is_empty() {
            self.run_signals(buffer);
        }
    }

    /// The events of sockets in memory.
    #[cold]
    fn run_signals(self: &Rc<Self>, buffer: &mut [u8]) {
        if let Some((key, readiness)) = self.signals.take_only() {
            self.counters.count_events(1);
            return self.run_signal(key, readiness, buffer);
        }
        let mut signals = UnservedSignals { core: self, rest: self.signals.take() };
        self.driver.arrange(&mut signals.rest);
        self.counters.count_events(signals.rest.len() as u64);
        while let Some((key, readiness)) = signals.rest.pop_front() {
            self.run_signal(key, readiness, buffer);
        }
    }

    #[inline(never)]
    fn run_signal(self: &Rc<Self>, key: Key, readiness: Readiness, buffer: &mut [u8]) {
        self.run_event(key, readiness, buffer);
    }

    #[inline(always)]
    fn run_event(self: &Rc<Self>, key: Key, readiness: Readiness, buffer: &mut [u8]) {
        let slots = self.slots.borrow();
        match slots.entry(key) {
            // In the ready list already, it has its turn there.
            Some(Entry::Stream(stream)) if stream.note(readiness) => {
                let stream = Rc::clone(stream);
                drop(slots);
                stream.dispatch_inline(self, buffer);
            }
            Some(Entry::Datagram(endpoint)) if endpoint.note(readiness) => {
                let endpoint = Rc::clone(endpoint);
                drop(slots);
                endpoint.dispatch(self);
            }
            Some(Entry::Source(source)) if source.note(key, readiness) => {
                let source = Rc::clone(source);
                drop(slots);
                self.run_source(source);
            }
            _ => {}
        }
    }

    /// Whether events wait that the last poll had no room for. Timers come after them: a deadline does
    /// not go off on a connection whose input waits.
    fn events_are_left(&self) -> bool {
        let sources = self.slots.borrow().len();
        self.driver.left_events(sources)
    }

    /// Takes what other threads sent.
    #[cold]
    fn take_remote(self: &Rc<Self>) {
        if !self.remote.is_woken() {
            return;
        }
        let mut items = self.remote.exchange(TAKEN_AT_ONCE, self.remote_spare.take());
        for item in items.drain(..) {
            match item {
                RemoteItem::Task(runnable) => self.push_ready(Ready::Task(runnable)),
                RemoteItem::Call(call) => {
                    let event_loop = EventLoop::from_core(Rc::clone(self));
                    let caller = event_loop.clone();
                    caller.call_soon(move || call.run(&event_loop));
                }
            }
        }
        self.give_remote_list_back(items);
    }

    /// Appends the timers that are due to the ready list, in the order of their deadlines.
    fn take_due_timers(&self) {
        let mut timers = self.timers.borrow_mut();
        let now = self.tick_time();
        let Some((first, deadline)) = timers.expire(now) else { return };
        self.counters.note_lag(now - deadline);
        let mut ready = self.ready.borrow_mut();
        self.mark_pending();
        ready.push(Ready::Timer(first));
        while let Some((key, _)) = timers.expire(now) {
            ready.push(Ready::Timer(key));
        }
    }

    #[cold]
    fn step(&self, main: &mut dyn Main) -> bool {
        self.remote.clear_main();
        main.step()
    }

    /// Further rounds, each just what was in the ready list at its start.
    #[inline(never)]
    fn run_more_rounds(self: &Rc<Self>, main: &mut dyn Main, buffer: &mut [u8]) {
        let mut clock = RoundClock::new(self);
        for _ in 1..ROUNDS {
            let idle = self.ready.borrow().is_empty() && !self.remote.is_main_woken();
            if idle || self.stopping.get() || clock.is_over() {
                return;
            }
            let is_main_woken = self.remote.is_main_woken();
            self.run_round(buffer);
            let done = is_main_woken && self.step(main);
            self.update_dirty();
            if done {
                return;
            }
        }
    }

    /// Runs what is in the ready list now. Often that is one task, which needs no list of its own.
    #[inline]
    fn run_round(self: &Rc<Self>, buffer: &mut [u8]) {
        let mut ready = self.ready.borrow_mut();
        if ready.len() == 1
            && let Some(only) = ready.pop()
        {
            drop(ready);
            self.run(only, buffer);
        } else {
            drop(ready);
            let list = self.take_ready();
            self.run_list(list, buffer);
        }
    }

    #[inline(never)]
    fn run_list(self: &Rc<Self>, mut list: Vec<Ready>, buffer: &mut [u8]) {
        let used = list.len();
        let mut unserved = UnservedList { core: self, rest: list.drain(..) };
        for entry in unserved.rest.by_ref() {
            self.run(entry, buffer);
        }
        drop(unserved);
        self.give_list_back(list, used);
    }

    #[inline(always)]
    fn run(self: &Rc<Self>, entry: Ready, buffer: &mut [u8]) {
        match entry {
            Ready::Stream(stream) => stream.dispatch(self, buffer),
            Ready::Datagram(endpoint) => endpoint.dispatch(self),
            Ready::Timer(key) => self.run_timer(key),
            Ready::Source(source) => self.run_source(source),
            Ready::Callback(callback) => callback.run(self),
            Ready::Task(runnable) => {
                self.counters.count_callback();
                let watch = SlowWatch::start(self);
                self.run_caught("a task failed", || {
                    runnable.run();
                });
                watch.stop(self, "a task's step");
            }
        }
    }

    #[inline]
    fn run_source(self: &Rc<Self>, source: Rc<dyn Source>) {
        // The last reference may be foreign code's to drop: the source sees to it itself.
        let mut unserved = UnservedSource { core: self, source: Some(Rc::downgrade(&source)) };
        fence::trip(Trip::Source);
        source.run(self);
        unserved.source = None;
    }

    fn run_timer(self: &Rc<Self>, key: TimerKey) {
        let callback = self.timers.borrow_mut().take_fired(key);
        if let Some(callback) = callback {
            callback.run(self);
        }
    }

    /// Flushes the streams and endpoints that were written to from elsewhere.
    #[inline]
    pub(crate) fn update_dirty(self: &Rc<Self>) {
        if self.take_unsettled() {
            self.update_unsettled();
        }
    }

    #[inline(never)]
    fn update_unsettled(self: &Rc<Self>) {
        if !self.dirty.borrow().is_empty() {
            self.update_all_dirty();
        }
        if self.datagrams.is_pending() {
            self.datagrams.update_dirty(self);
        }
        if !self.deferred_drops.borrow().is_empty() {
            self.run_deferred_drops();
        }
    }

    fn update_all_dirty(self: &Rc<Self>) {
        // What unwinds leaves the list as it is: settling again does no harm.
        let count = self.dirty.borrow().len();
        for position in 0..count {
            let stream = Rc::clone(&self.dirty.borrow()[position]);
            fence::trip(Trip::Update);
            stream.update_dirty(self);
        }
        self.dirty.borrow_mut().drain(..count);
    }

    /// Delivers `connection_lost` to closed connections, and releases them.
    pub(crate) fn finish_lost(self: &Rc<Self>) {
        let count = self.lost.borrow().len();
        for _ in 0..count {
            let Some(stream) = self.lost.borrow_mut().pop_front() else { break };
            let mut unfinished = Unfinished { core: self, stream: Some(stream) };
            if let Some(stream) = &unfinished.stream {
                stream.finish(self);
            }
            if let Some(stream) = unfinished.stream.take() {
                self.stream_pool.retire(stream);
            }
            // Nothing is left in it to be put in order: asking costs.
            std::mem::forget(unfinished);
        }
        let datagrams = self.datagrams.has_lost();
        if datagrams {
            self.datagrams.finish_lost(self);
        }
        if count > 0 || datagrams {
            self.update_dirty();
        }
    }
}
