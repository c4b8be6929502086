//! Reading and writing no faster than the limits allow.
//!
//! A connection with limits has a flag, which the ways of all others look at together with what they
//! look at anyway; the limits themselves are among what most connections never have. What stops
//! reading is a flag of its own, beside the user's pause and the engine's hold; what stops writing is
//! a flush that ends early.

use std::rc::Rc;

use super::Stream;
use super::flags::Flags;
use super::read::{MAY_READ, READS_PER_TURN};
use crate::error::Error;
use crate::event_loop::{Core, Timer};
use crate::transport::rate_limit::{Direction, LimitOptions, Limits};
use crate::transport::{RateGroup, RateLimit};

impl Stream {
    /// The limits that a connection starts with.
    #[cold]
    pub(super) fn begin_limited(&self, core: &Core, options: &LimitOptions) {
        let limits = Rc::<Limits>::default();
        limits.set(Direction::Read, options.read, core.tick_time());
        limits.set(Direction::Write, options.write, core.tick_time());
        limits.set_group(options.group.clone());
        self.set(Flags::LIMITED);
        self.with_extra(|extra| extra.limits = Some(limits));
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
        if self.has(Flags::LOST) {
            return;
        }
        // What is gathered was written under the former limits, and comes before what is queued.
        self.flush_gathered_now(core);
        if self.has(Flags::LOST) {
            // That failed: it is over, and has left its group.
            return;
        }
        let limits = self.limits().unwrap_or_default();
        change(&limits, core.tick_time());
        if limits.is_none() {
            self.forget_limits(core);
        } else {
            self.set(Flags::LIMITED);
            self.with_extra(|extra| extra.limits = Some(limits));
        }
        // Whether it still has to wait shows when it tries.
        self.end_throttle(core);
    }

    pub(super) fn limits(&self) -> Option<Rc<Limits>> {
        if !self.has(Flags::LIMITED) {
            return None;
        }
        self.with_existing_extra(|extra| extra.limits.clone())
    }

    /// Leaves the group, and has no limits any more.
    pub(super) fn forget_limits(&self, core: &Core) {
        let Some(limits) = self.limits() else { return };
        limits.set_group(None);
        if let Some((timer, _)) = limits.timer.take() {
            core.cancel_timer(timer);
        }
        self.clear(Flags::LIMITED);
        self.with_existing_extra(|extra| extra.limits = None);
    }

    /// Reads no more at a time than the budget is.
    #[cold]
    #[inline(never)]
    pub(super) fn read_limited(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        for _ in 0..READS_PER_TURN {
            if !self.flags.get().just(Flags::READABLE, MAY_READ) {
                break;
            }
            let room = self.read_budget(core, buffer.len());
            if room == 0 {
                break;
            }
            match self.socket.read(&mut buffer[..room]) {
                Ok(count) if count > 0 => {
                    self.spend(Direction::Read, count);
                    self.note_received(core, count, room);
                    self.deliver(core, &buffer[..count]);
                    if !self.has(Flags::READABLE.and(Flags::LEFTOVER)) {
                        return;
                    }
                }
                result => return self.nothing_read(core, result),
            }
        }
        self.enqueue_if_readable(core);
    }

    /// How many of `wanted` bytes may be read now; 0: reading stops until there is a budget.
    pub(super) fn read_budget(self: &Rc<Self>, core: &Rc<Core>, wanted: usize) -> usize {
        let budget = self.budget(core, Direction::Read, wanted);
        if budget == 0 {
            self.set(Flags::THROTTLED);
        }
        budget
    }

    /// How many of `wanted` bytes may be written now; 0: the flush goes on when there is a budget.
    pub(super) fn write_budget(self: &Rc<Self>, core: &Rc<Core>, wanted: usize) -> usize {
        self.budget(core, Direction::Write, wanted)
    }

    fn budget(self: &Rc<Self>, core: &Rc<Core>, direction: Direction, wanted: usize) -> usize {
        let Some(limits) = self.limits() else { return wanted };
        let budget = limits.budget(direction, self.key, wanted, core.tick_time());
        if budget == 0 {
            self.wait_for_budget(core, &limits);
        }
        budget
    }

    /// So much was read or written.
    #[cold]
    pub(super) fn spend(&self, direction: Direction, count: usize) {
        if let Some(limits) = self.limits() {
            limits.spend(direction, count);
        }
    }

    /// The turn is over: what the group gave for it and was not used is for the others.
    #[cold]
    pub(super) fn give_shares_back(&self) {
        if let Some(limits) = self.limits() {
            limits.give_shares_back();
        }
    }

    /// The group gives a share, if the stream still waits for one; whether it does.
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
                core.timers.borrow_mut().reset(key, at);
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
