//! One timer that wakes whoever polled it last.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::event_loop::{Core, Timer};
use crate::time::TimerKey;

/// Waits for a deadline when it is polled. Until then it costs nothing, and then one allocation, which is the waker in
/// the timer. Dropping it takes the timer back.
pub(super) struct Alarm {
    core: Rc<Core>,
    /// In nanoseconds of the loop's time.
    deadline: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Unset,
    Set(TimerKey),
    Rung,
}

impl Alarm {
    pub(super) fn new(core: &Rc<Core>, deadline: u64) -> Self {
        Self { core: Rc::clone(core), deadline, state: State::Unset }
    }

    /// Whether the deadline has passed. The answer to the first poll is never yes: the loop has its turn before.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        match self.state {
            State::Rung => return Poll::Ready(()),
            State::Unset => self.set(context.waker().clone()),
            State::Set(key) => {
                let mut timers = self.core.timers.borrow_mut();
                let is_there = timers.contains(key);
                let waker = timers.get_mut(key).and_then(|timer| timer.waker());
                match waker {
                    Some(waker) if waker.will_wake(context.waker()) => {}
                    Some(_) => {
                        drop(timers);
                        self.change_waker(key, context.waker().clone());
                    }
                    // The loop was closed before the deadline: its time passes no more.
                    None if is_there => {}
                    None => {
                        self.state = State::Rung;
                        return Poll::Ready(());
                    }
                }
            }
        }
        Poll::Pending
    }

    /// As [`poll`](Self::poll), but a deadline that has passed when it is polled first has passed.
    pub(super) fn poll_past(&mut self, context: &Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Unset) && self.deadline <= self.core.now() {
            self.state = State::Rung;
        }
        self.poll(context)
    }

    fn set(&mut self, waker: Waker) {
        if self.core.is_closed() {
            self.core.drop_user(waker, "waker");
        } else {
            self.state = State::Set(self.core.add_timer(self.deadline, Box::new(Ring(waker))));
        }
    }

    #[cold]
    fn change_waker(&self, key: TimerKey, mut waker: Waker) {
        if let Some(place) =
            self.core.timers.borrow_mut().get_mut(key).and_then(|timer| timer.waker())
        {
            std::mem::swap(place, &mut waker);
        }
        self.core.drop_user(waker, "waker");
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let State::Set(key) = self.state {
            self.core.cancel_timer(key);
        }
    }
}

struct Ring(Waker);

impl Timer for Ring {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        core.run_caught("a waker failed", || self.0.wake());
    }

    fn waker(&mut self) -> Option<&mut Waker> {
        Some(&mut self.0)
    }
}
