//! What the clones of a cancel scope and the futures that run in it share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::event_loop::{Core, Timer};
use crate::time::TimerKey;

/// It has a timer only while something runs in the scope and there is a deadline.
pub(super) struct State {
    pub(super) core: Rc<Core>,
    /// In nanoseconds of the loop's time.
    deadline: Cell<Option<u64>>,
    timer: Cell<TimerKey>,
    ended: Cell<Option<Ended>>,
    /// What runs in it, in the order in which it began to wait.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
    itself: Weak<Self>,
}

/// Why a scope is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Cancelled,
    Expired,
}

impl State {
    pub(super) fn new(core: &Rc<Core>, deadline: Option<u64>) -> Rc<Self> {
        Rc::new_cyclic(|itself| Self {
            core: Rc::clone(core),
            deadline: Cell::new(deadline),
            timer: Cell::new(TimerKey::NONE),
            ended: Cell::new(None),
            waiting: RefCell::default(),
            next: Cell::new(0),
            itself: Weak::clone(itself),
        })
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.get()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.deadline.get()
    }

    /// Moves the deadline; `false` if the scope is over.
    pub(super) fn set_deadline(&self, deadline: Option<u64>) -> bool {
        if self.ended.get().is_some() {
            return false;
        }
        self.deadline.set(deadline);
        let moved = match deadline {
            Some(deadline) => self.core.reset_timer(self.timer.get(), deadline),
            None => false,
        };
        if !moved {
            self.disarm();
            if !self.waiting.borrow().is_empty() {
                self.arm();
            }
        }
        true
    }

    /// Ends the scope, if it is not over, and wakes what runs in it.
    pub(super) fn end(&self, how: Ended) {
        if self.ended.get().is_some() {
            return;
        }
        self.ended.set(Some(how));
        self.disarm();
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waker in waiting.into_values() {
            self.core.run_caught("a waker failed", || waker.wake());
        }
    }

    /// Has `context` woken when the scope is over. Returns whether it is.
    fn wait(&self, place: &mut Option<u64>, context: &Context<'_>) -> bool {
        if self.ended.get().is_some() {
            return true;
        }
        match *place {
            Some(id) => self.change_waker(id, context.waker()),
            None => {
                if self.deadline.get().is_some_and(|deadline| deadline <= self.core.now()) {
                    self.end(Ended::Expired);
                    return true;
                }
                let id = self.next.replace(self.next.get() + 1);
                let waker = context.waker().clone();
                self.waiting.borrow_mut().insert(id, waker);
                *place = Some(id);
                if self.timer.get() == TimerKey::NONE {
                    self.arm();
                }
            }
        }
        false
    }

    fn change_waker(&self, id: u64, waker: &Waker) {
        let same = |known: &Waker| known.will_wake(waker);
        if self.waiting.borrow().get(&id).is_some_and(same) {
            return;
        }
        let waker = waker.clone();
        let former = self.waiting.borrow_mut().insert(id, waker);
        self.core.drop_user(former, "waker");
    }

    fn forget(&self, id: u64) {
        let waker = self.waiting.borrow_mut().remove(&id);
        self.core.drop_user(waker, "waker");
        if self.waiting.borrow().is_empty() {
            self.disarm();
        }
    }

    fn arm(&self) {
        if let Some(deadline) = self.deadline.get()
            && !self.core.is_closed()
        {
            let timer = Box::new(Expiry(Weak::clone(&self.itself)));
            self.timer.set(self.core.add_timer(deadline, timer));
        }
    }

    fn disarm(&self) {
        let timer = self.timer.replace(TimerKey::NONE);
        if timer != TimerKey::NONE {
            self.core.cancel_timer(timer);
        }
    }
}

/// Ends the scope at its deadline.
struct Expiry(Weak<State>);

impl Timer for Expiry {
    fn run(self: Box<Self>, _: &Rc<Core>) {
        if let Some(scope) = self.0.upgrade() {
            scope.timer.set(TimerKey::NONE);
            scope.end(Ended::Expired);
        }
    }
}

/// One future's place among those that wait for the end of the scope.
pub(super) struct Place<'a> {
    scope: &'a State,
    id: Option<u64>,
}

impl<'a> Place<'a> {
    pub(super) fn new(scope: &'a State) -> Self {
        Self { scope, id: None }
    }

    /// One step of `future`; `None` if it is not done and the scope is over.
    pub(super) fn step<F: Future>(
        &mut self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        match future.poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.scope.wait(&mut self.id, context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.scope.forget(id);
        }
    }
}
