//! One timer that wakes whoever polled it last.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::table::Waits;
use crate::event_loop::Core;
use crate::time::TimerKey;

/// Waits for a deadline when it is polled. Until then it costs nothing, and then no memory besides the timer's.
/// Dropping it takes the timer back.
pub(crate) struct Alarm {
    pub(crate) core: Rc<Core>,
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
    pub(crate) fn new(core: &Rc<Core>, deadline: u64) -> Self {
        Self { core: Rc::clone(core), deadline, state: State::Unset }
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Whether the deadline has passed. The answer to the first poll is never yes: the loop has its turn before.
    #[inline]
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        let core = &self.core;
        match self.state {
            State::Rung => return Poll::Ready(()),
            State::Set(key) if !core.renew_alarm(key, context.waker()) => {
                self.state = State::Rung;
                return Poll::Ready(());
            }
            State::Set(_) => {}
            // The loop's time passes no more.
            State::Unset if core.is_closed() => {}
            State::Unset => {
                self.state = State::Set(core.add_alarm(self.deadline, context.waker().clone()));
            }
        }
        core.tasks.note_wait(Waits::Time(self.deadline));
        Poll::Pending
    }

    /// As [`poll`](Self::poll), but a deadline that has passed when it is polled first has passed.
    pub(super) fn poll_past(&mut self, context: &Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Unset) && self.deadline <= self.core.now() {
            self.state = State::Rung;
        }
        self.poll(context)
    }

    /// Moves the deadline, also one that has passed.
    pub(crate) fn move_to(&mut self, deadline: u64) {
        self.deadline = deadline;
        self.state = match self.state {
            State::Set(key) if self.core.reset_timer(key, deadline) => State::Set(key),
            _ => State::Unset,
        };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let State::Set(key) = self.state {
            self.core.cancel_timer(key);
        }
    }
}
