//! Reading and writing no faster than the limits allow.
//!
//! A connection with limits has a flag, `LIMITED`, in masks that all others are asked about anyway. A
//! used-up read limit is one more reason not to read; a used-up write limit ends a flush early.

use std::cell::Cell;
use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use crate::error::Error;
use crate::event_loop::{Core, Timer};
use crate::transport::rate_limit::{Direction, LimitOptions, Limits};
use crate::transport::{RateGroup, RateLimit};

/// The limits of both halves: a group of connections shares them in both directions.
#[derive(Default)]
pub(super) struct Throttle(Cell<Option<Rc<Limits>>>);

impl Throttle {
    fn limits(&self) -> Option<Rc<Limits>> {
        let limits = self.0.take();
        self.0.set(limits.as_ref().map(Rc::clone));
        limits
    }

    fn set(&self, limits: Option<Rc<Limits>>) {
        let former = self.0.replace(limits);
        drop(former);
    }
}

impl Stream {
    /// The limits that a connection starts with.
    pub(super) fn begin_limited(&self, core: &Core, options: &LimitOptions) {
        let limits = Rc::<Limits>::default();
        limits.set(Direction::Read, options.read, core.tick_time());
        limits.set(Direction::Write, options.write, core.tick_time());
        limits.set_group(options.group.clone());
        self.set(Flags::LIMITED);
        self.throttle.set(Some(limits));
    }

    pub(super) fn set_limit(
        self: &Rc<Self>,
        core: &Rc<Core>,
        direction: Direction,
        limit: Option<RateLimit>,
    ) {
        self.change_limits(core, |limits, now| limits.set(direction, limit, now));
    }

    pub(super) fn set_rate_group(
        self: &Rc<Self>,
        core: &Rc<Core>,
        group: Option<&RateGroup>,
    ) -> Result<(), Error> {
        if group.is_some_and(|group| !group.is_of(core)) {
            return Err(Error::invalid("the rate group is of another event loop"));
        }
        self.change_limits(core, |limits, _| limits.set_group(group.cloned()));
        Ok(())
    }

    fn change_limits(self: &Rc<Self>, core: &Rc<Core>, change: impl FnOnce(&Limits, u64)) {
        if self.has(Flags::CLOSED) {
            return;
        }
        // What is gathered was written under the former limits, and comes before what is queued.
        self.flush_gathered_now(core);
        if self.has(Flags::CLOSED) {
            // That failed: it is closed, and has left its group.
            return;
        }
        let limits = self.limits().unwrap_or_default();
        change(&limits, core.tick_time());
        if limits.is_none() {
            self.forget_limits(core);
        } else {
            self.set(Flags::LIMITED);
            self.throttle.set(Some(limits));
        }
        // Whether it still has to wait shows when it tries.
        self.end_throttle(core);
    }

    pub(super) fn limits(&self) -> Option<Rc<Limits>> {
        if self.has(Flags::LIMITED) { self.throttle.limits() } else { None }
    }

    /// Leaves the group, and has no limits any more.
    pub(super) fn forget_limits(&self, core: &Core) {
        let Some(limits) = self.limits() else { return };
        limits.set_group(None);
        if let Some((timer, _)) = limits.timer.take() {
            core.cancel_timer(timer);
        }
        self.clear(Flags::LIMITED);
        self.throttle.set(None);
    }

    /// How many of `most` bytes may be read now; 0: reading stops until the limit allows more.
    pub(super) fn read_room(self: &Rc<Self>, core: &Rc<Core>, most: usize) -> usize {
        let room = self.room(core, Direction::Read, most);
        if room == 0 {
            self.set(Flags::THROTTLED);
        }
        room
    }

    /// How many of `most` bytes may be written now; 0: the flush goes on when the limit allows more.
    pub(super) fn write_room(self: &Rc<Self>, core: &Rc<Core>, most: usize) -> usize {
        self.room(core, Direction::Write, most)
    }

    fn room(self: &Rc<Self>, core: &Rc<Core>, direction: Direction, most: usize) -> usize {
        let Some(limits) = self.limits() else { return most };
        let budget = limits.budget(direction, self.key, most, core.tick_time());
        if budget == 0 {
            self.wait_for_budget(core, &limits);
        }
        budget
    }

    /// Counts what was read or written against the limits, where there are any.
    pub(super) fn spend(&self, direction: Direction, count: usize) {
        if let Some(limits) = self.limits() {
            limits.spend(direction, count);
        }
    }

    /// The turn has ended: what the group gave for it and was not used goes to the others.
    pub(super) fn give_shares_back(&self) {
        if let Some(limits) = self.limits() {
            limits.give_shares_back();
        }
    }

    /// The group gives a share, if the stream still waits for one. Returns whether it does.
    pub(crate) fn take_share(
        self: &Rc<Self>,
        core: &Core,
        group: &RateGroup,
        direction: Direction,
        share: u64,
    ) -> bool {
        let taken = self.limits().is_some_and(|limits| limits.take_share(group, direction, share));
        if taken {
            self.go_on(core, direction);
        }
        taken
    }

    /// Whether it is the write limit, and not the peer, that keeps the queue waiting.
    pub(super) fn is_write_throttled(&self) -> bool {
        self.has(Flags::LIMITED)
            && self.limits().is_some_and(|limits| limits.waits(Direction::Write))
    }

    /// One timer for both directions, there only while one of the stream's own budgets is used up.
    fn wait_for_budget(self: &Rc<Self>, core: &Core, limits: &Limits) {
        let Some(at) = limits.own_until() else { return };
        match limits.timer.get() {
            Some((_, armed)) if armed <= at => {}
            Some((key, _)) => {
                core.reset_timer(key, at);
                limits.timer.set(Some((key, at)));
            }
            None => {
                let key = core.add_timer(at, Box::new(Budget(Rc::clone(self))));
                limits.timer.set(Some((key, at)));
            }
        }
    }

    fn end_throttle(self: &Rc<Self>, core: &Core) {
        for direction in Direction::BOTH {
            self.go_on(core, direction);
        }
    }

    /// There may be a budget again: reading or writing goes on in the next round.
    fn go_on(self: &Rc<Self>, core: &Core, direction: Direction) {
        match direction {
            Direction::Read => self.clear(Flags::THROTTLED),
            // The time that the limit took is not the peer's.
            Direction::Write => self.note_write_progress(core),
        }
        self.enqueue(core);
    }
}

/// The end of waiting for a budget of the stream's own.
struct Budget(Rc<Stream>);

impl Timer for Budget {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        let stream = self.0;
        let Some(limits) = stream.limits() else { return };
        limits.timer.set(None);
        for direction in Direction::BOTH {
            if limits.end_wait(direction, core.tick_time()) {
                stream.go_on(core, direction);
            }
        }
        stream.wait_for_budget(core, &limits);
    }
}
