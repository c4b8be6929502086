//! Foreign code beside the protocols, which panics now and then: factories, callbacks, done callbacks,
//! cancel actions, wakers, tasks, and the `Drop` of what they hold.
//!
//! Only in scripts that begin with a marker: the meaning of all others, and so of older inputs, stays.

use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use wharf::EventLoop;

use super::actor::Inside;
use super::{CURRENT, ON_PURPOSE, World};

/// Such a script begins with 255 and this; the rest is a script like any other.
pub(super) const KIND: u8 = 0xfe;

impl World {
    /// Foreign code has come to an end of its own: it panics, if the script says so.
    pub(super) fn may_panic(&self) {
        if self.panics && !std::thread::panicking() && self.byte() % 16 == 15 {
            // Without the hook, which would print it.
            std::panic::resume_unwind(Box::new(ON_PURPOSE));
        }
    }

    /// A future of the script's, if it wants one: whoever has to do with it may panic.
    pub(super) fn may_use_future(self: &Rc<Self>, event_loop: &EventLoop) {
        if !self.panics || !self.byte().is_multiple_of(8) {
            return;
        }
        let choice = self.byte();
        let (promise, mut future) = event_loop.create_future::<Foreign>();
        if choice & 1 != 0 {
            promise.on_cancel(self.foreign("a cancel action"));
        }
        if choice & 2 != 0 {
            let waker = Waker::from(Arc::new(Alarm));
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            self.check(polled.is_pending(), "a future is done whose promise is not");
        }
        if choice & 4 != 0 {
            let called = self.foreign("a done callback");
            future.add_done_callback(move |_| called());
        }
        match choice >> 3 & 7 {
            0 | 1 => drop(future),
            2 => drop(promise),
            3 | 4 => drop(promise.set_result(Foreign::new(self))),
            5 => {
                let value = Foreign::new(self);
                event_loop.call_soon(move || drop(promise.set_result(value)));
                future.detach();
            }
            6 => {
                let world = Rc::clone(self);
                let step = async move {
                    world.may_panic();
                    drop(future.await);
                    world.may_panic();
                };
                event_loop.create_task(step).detach();
                drop(promise.set_result(Foreign::new(self)));
            }
            _ => {
                let called = self.foreign("a callback");
                event_loop.call_soon(called).cancel();
                future.detach();
            }
        }
    }

    /// A closure that does something, may panic, and may do so again when it is dropped.
    fn foreign(self: &Rc<Self>, what: &'static str) -> impl FnOnce() + 'static {
        let (world, held) = (Rc::clone(self), Foreign::new(self));
        move || {
            let _held = &held;
            let _inside = Inside::enter(&world, what);
            world.act_on_any();
            world.may_panic();
        }
    }
}

/// What panics now and then when it is dropped.
struct Foreign(Rc<World>);

impl Foreign {
    fn new(world: &Rc<World>) -> Self {
        Self(Rc::clone(world))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.may_panic();
    }
}

/// A waker, which panics now and then.
struct Alarm;

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(world) = CURRENT.with_borrow(Weak::upgrade) {
            world.may_panic();
        }
    }
}
