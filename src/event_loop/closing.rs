//! The end of a loop.

use std::rc::Rc;

use super::core::{Core, State};
use super::entries::{Entry, Ready};
use super::ready::Callback;
use super::registry::Current;
use crate::error::Error;
use crate::time::TimerKey;

impl Core {
    /// Closes, at once or as soon as no callback runs: the owner was dropped.
    pub(crate) fn close_when_idle(self: &Rc<Self>) {
        if self.state.get() == State::Running || self.is_in_protocol() {
            self.close_wanted.set(true);
            self.stopping.set(true);
        } else {
            self.close();
        }
    }

    pub(crate) fn close_if_wanted(self: &Rc<Self>) {
        if self.close_wanted.get() {
            self.close_when_idle();
        }
    }

    /// Aborts everything, delivers every `connection_lost`, and refuses everything from then on.
    pub(crate) fn close(self: &Rc<Self>) {
        if self.is_closed() {
            return;
        }
        self.state.set(State::Closing);
        let _current = Current::enter(self);
        self.tasks.cancel_all();
        self.prepare_all();
        self.abort_all();
        self.run_closing_rounds();
        self.end_all_lingering();
        self.jobs.close(self);
        self.lookups.close(self);
        self.signal_handlers.close(self);
        for item in self.remote.close() {
            self.drop_user(item, "callback from another thread");
        }
        self.state.set(State::Closed);
        self.drop_all();
    }

    /// What takes its time to end does so at the same time as all else that does: children that
    /// are killed.
    fn prepare_all(self: &Rc<Self>) {
        for entry in self.entries() {
            if let Entry::Source(source) = entry {
                source.prepare_close(self);
            }
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.slots.borrow().entries().cloned().collect()
    }

    fn abort_all(self: &Rc<Self>) {
        for entry in self.entries() {
            entry.abort(self);
            // It may be the last that has what the user gave.
            self.drop_user(entry, "transport");
        }
    }

    /// Something has unwound through a tick: ends those whose callbacks it interrupted, and has the
    /// others go on.
    pub(super) fn go_on_or_end_all(self: &Rc<Self>, error: &Error) {
        for entry in self.entries() {
            entry.go_on_or_end(self, error);
        }
    }

    /// `connection_lost` and the ends of tasks can abort more and wake more: until nothing is left.
    fn run_closing_rounds(self: &Rc<Self>) {
        loop {
            self.finish_lost();
            self.tasks.run_cancelled(self);
            self.abort_all();
            let nothing_lost = self.lost.borrow().is_empty() && !self.datagrams.has_lost();
            if nothing_lost && self.tasks.is_empty() {
                return;
            }
        }
    }

    /// Drops what is left of the user's, one at a time with nothing borrowed.
    fn drop_all(self: &Rc<Self>) {
        for entry in self.take_ready() {
            match entry {
                Ready::Callback(callback) => self.discard(callback, "callback"),
                Ready::Timer(key) => self.abandon_timer(key),
                other => self.drop_user(other, "callback"),
            }
        }
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        drop(dirty);
        #[cfg(feature = "tls-core")]
        drop(self.tls.forget_waiting());
        self.datagrams.clear();
        loop {
            let fired = self.timers.borrow_mut().expire(u64::MAX);
            let Some((key, _)) = fired else { break };
            self.abandon_timer(key);
        }
        self.run_deferred_drops();
        self.fence.keeps_no_handler.set(true);
        self.change_exception_handler(None);
    }

    fn abandon_timer(&self, key: TimerKey) {
        let timer = self.timers.borrow_mut().abandon(key);
        self.drop_user(timer, "timer");
    }

    fn discard(&self, callback: Rc<dyn Callback>, what: &str) {
        self.run_caught(&format!("dropping a {what} failed"), || callback.discard(self));
    }
}
