//! Tasks that wait for one thing, woken together.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::task::{Context, Poll, Waker};

use super::Core;

/// Names a place in the lists of a loop, in the order in which they were taken; never used again.
pub(crate) type Ticket = NonZeroU64;

/// How many who wait in turn are woken at a time.
const SOME: usize = 16;

/// The wakers of those who wait. One that gives up leaves the list at once, and a list without any is a pointer.
#[derive(Default)]
pub(crate) struct Wakers {
    #[expect(clippy::box_collection, reason = "most lists are empty: a pointer is small")]
    waiting: RefCell<Option<Box<BTreeMap<Ticket, Waker>>>>,
}

impl Wakers {
    /// Waits until `look` finds something; it looks again each time that all are woken.
    pub(crate) async fn wait_for<T>(&self, core: &Core, mut look: impl FnMut() -> Option<T>) -> T {
        let mut place = Place { wakers: self, core, ticket: None };
        poll_fn(|context| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                place.keep(context.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Waits as [`wait_for`](Self::wait_for), for one who polls and keeps the ticket of its place.
    pub(crate) fn poll<T>(
        &self,
        core: &Core,
        ticket: &Cell<Option<Ticket>>,
        context: &Context<'_>,
        look: impl FnOnce() -> Option<T>,
    ) -> Poll<T> {
        let mut place = Place { wakers: self, core, ticket: ticket.take() };
        match look() {
            Some(found) => Poll::Ready(found),
            None => {
                place.keep(context.waker());
                ticket.set(place.ticket.take());
                Poll::Pending
            }
        }
    }

    /// One who polled gives up.
    pub(crate) fn leave(&self, core: &Core, ticket: &Cell<Option<Ticket>>) {
        drop(Place { wakers: self, core, ticket: ticket.take() });
    }

    /// Waits as [`wait_for`](Self::wait_for), for what one can take from the others: they are woken
    /// [some at a time](Self::wake_some), and each that goes wakes another.
    pub(crate) async fn wait_in_turn<T>(
        &self,
        core: &Core,
        mut look: impl FnMut() -> Option<T>,
    ) -> T {
        let mut turn = Turn(Place { wakers: self, core, ticket: None });
        poll_fn(|context| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                turn.0.keep(context.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Wakes the first ones who [wait in turn](Self::wait_in_turn). All would look, and all but a few wait again: with
    /// thousands that takes too long. One alone may be a future that is kept and not polled, and all would wait for it.
    pub(crate) fn wake_some(&self, core: &Core) {
        for _ in 0..SOME {
            if !self.wake_first(core) {
                return;
            }
        }
    }

    fn wake_first(&self, core: &Core) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.as_mut().and_then(|waiting| waiting.pop_first());
        if waiting.as_ref().is_some_and(|waiting| waiting.is_empty()) {
            *waiting = None;
        }
        drop(waiting);
        let Some((_, waker)) = first else { return false };
        core.run_caught("a waker failed", || waker.wake());
        true
    }

    /// Wakes everybody who waits now, in the order in which they came.
    #[inline]
    pub(crate) fn wake_all(&self, core: &Core) {
        if self.waiting.borrow().is_some() {
            self.wake_those(core);
        }
    }

    #[cold]
    fn wake_those(&self, core: &Core) {
        let waiting = self.waiting.take();
        for waker in waiting.into_iter().flat_map(|waiting| waiting.into_values()) {
            core.run_caught("a waker failed", || waker.wake());
        }
    }
}

/// The place in the list of one who waits.
struct Place<'a> {
    wakers: &'a Wakers,
    core: &'a Core,
    ticket: Option<Ticket>,
}

impl Place<'_> {
    /// Waits with `waker`, where this has waited before.
    fn keep(&mut self, waker: &Waker) {
        let is_known = |waiting: &BTreeMap<Ticket, Waker>| {
            self.ticket.and_then(|own| waiting.get(&own)).is_some_and(|kept| kept.will_wake(waker))
        };
        if self.wakers.waiting.borrow().as_deref().is_some_and(is_known) {
            return;
        }
        // Cloning and dropping a waker is foreign code.
        let waker = waker.clone();
        let ticket = *self.ticket.get_or_insert_with(|| self.core.next_ticket());
        let former = self.wakers.waiting.borrow_mut().get_or_insert_default().insert(ticket, waker);
        self.drop_waker(former);
    }

    /// Leaves the list. Returns whether this was woken since it waited last.
    fn leave(&mut self) -> bool {
        let Some(own) = self.ticket.take() else { return false };
        let mut waiting = self.wakers.waiting.borrow_mut();
        let left = waiting.as_mut().and_then(|waiting| waiting.remove(&own));
        if waiting.as_ref().is_some_and(|waiting| waiting.is_empty()) {
            *waiting = None;
        }
        drop(waiting);
        let was_woken = left.is_none();
        self.drop_waker(left);
        was_woken
    }

    fn drop_waker(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.core.drop_user(waker, "waker");
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The place of one who waits in turn.
struct Turn<'a>(Place<'a>);

impl Drop for Turn<'_> {
    /// It has found what it waited for, or gives up: either way another may find something.
    fn drop(&mut self) {
        if self.0.leave() {
            self.0.wakers.wake_first(self.0.core);
        }
    }
}

#[cfg(test)]
mod tests;
