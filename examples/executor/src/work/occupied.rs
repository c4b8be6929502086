//! A slot, from the beginning of a task until its thread is free.

use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use wharf::CapacityToken;

use super::functions::{End, Returned, Running};
use super::worker::Runner;
use crate::wire::ToCoordinator;

/// A task that runs in a slot.
///
/// A function on a thread cannot be ended from outside. When this is dropped before it has returned, its slot stays
/// occupied until it has: else the next task would wait for the thread while its own time runs.
pub(super) struct Occupied {
    runner: Weak<Runner>,
    is_stopped: Arc<AtomicBool>,
    end: End,
    /// None, once it has returned.
    inner: Option<(Running, CapacityToken)>,
}

impl Occupied {
    pub(super) fn new(
        runner: &Rc<Runner>,
        slot: CapacityToken,
        running: Running,
        is_stopped: Arc<AtomicBool>,
        end: End,
    ) -> Self {
        Self { runner: Rc::downgrade(runner), is_stopped, end, inner: Some((running, slot)) }
    }
}

impl Future for Occupied {
    type Output = Returned;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Returned> {
        let Some((running, _)) = &mut self.inner else { return Poll::Pending };
        let poll = running.as_mut().poll(context);
        if poll.is_ready() {
            self.inner = None;
        }
        poll
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let Some((running, slot)) = self.inner.take() else { return };
        let runner = self.runner.upgrade();
        if let Some(runner) = runner.filter(|_| self.end == End::GoesOn) {
            runner.goes_on(running, slot);
        }
    }
}

impl Runner {
    /// A function goes on which was to end: this worker has one slot less until it returns.
    fn goes_on(self: &Rc<Self>, running: Running, slot: CapacityToken) {
        self.occupied.set(self.occupied.get() + 1);
        self.tell_capacity();
        if self.capacity() == 0 {
            self.give_back_what_waits();
        }
        let runner = Rc::downgrade(self);
        let waiting = self.event_loop.create_task(async move {
            // Nobody wants what it returns.
            let _ = running.await;
            drop(slot);
            if let Some(runner) = runner.upgrade() {
                runner.occupied.set(runner.occupied.get() - 1);
                runner.tell_capacity();
            }
        });
        waiting.detach();
    }

    /// On NATS nobody is told: it takes what there is room for.
    fn tell_capacity(&self) {
        if self.nats.borrow().is_none() {
            self.say(&ToCoordinator::Takes(self.capacity()));
        }
    }
}
