//! The budgets of one connection: its own and its part of a group's.

use std::cell::{Cell, RefCell};

use super::bucket::Bucket;
use super::group::{Answer, Ticket};
use super::{RateGroup, RateLimit};
use crate::driver::Key;
use crate::time::TimerKey;

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Read, Self::Write];
}

/// The limits that connections start with.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitOptions {
    pub(crate) read: Option<RateLimit>,
    pub(crate) write: Option<RateLimit>,
    pub(crate) group: Option<RateGroup>,
}

/// The limits of a connection that has some.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    ways: [Way; 2],
    group: RefCell<Option<RateGroup>>,
    /// Goes off when one of its own budgets is there again; only while it waits for one.
    pub(crate) timer: Cell<Option<(TimerKey, u64)>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bucket: RefCell<Option<Bucket>>,
    /// Since the budgets are used up, nothing moves. Until when by its own; `None` in it: for ever.
    own_until: Cell<Option<Option<u64>>>,
    /// Its place in the group's queue, while it waits there.
    ticket: Cell<Option<Ticket>>,
    /// What the group has given, and was not used yet.
    share: Cell<u64>,
}

impl Limits {
    pub(crate) fn is_none(&self) -> bool {
        self.group.borrow().is_none() && self.ways.iter().all(|way| way.bucket.borrow().is_none())
    }

    pub(crate) fn set(&self, direction: Direction, limit: Option<RateLimit>, now: u64) {
        let way = self.way(direction);
        let mut bucket = way.bucket.borrow_mut();
        match (&mut *bucket, limit) {
            (Some(bucket), Some(limit)) => bucket.change(limit, now),
            (bucket, limit) => *bucket = limit.map(|limit| Bucket::new(limit, now)),
        }
        way.own_until.set(None);
    }

    /// Leaves the group it is in, and joins another.
    pub(crate) fn set_group(&self, group: Option<RateGroup>) {
        if *self.group.borrow() == group {
            return;
        }
        if let Some(group) = &group {
            group.join();
        }
        let former = self.group.replace(group);
        if let Some(former) = former {
            for direction in Direction::BOTH {
                let way = self.way(direction);
                if let Some(ticket) = way.ticket.take() {
                    former.stop_waiting(direction, ticket);
                }
                former.give_back(direction, way.share.take());
            }
            former.leave();
        }
    }

    /// How many of `wanted` bytes may be moved now; with 0 it has to wait, in the group's queue or
    /// until [`own_until`](Self::own_until).
    pub(crate) fn budget(
        &self,
        direction: Direction,
        member: Key,
        wanted: usize,
        now: u64,
    ) -> usize {
        if self.waits(direction) {
            return 0;
        }
        let way = self.way(direction);
        let wanted = wanted as u64;
        let mut budget = wanted;
        if let Some(bucket) = &mut *way.bucket.borrow_mut() {
            let level = bucket.level(now);
            let enough = bucket.serving().min(wanted);
            if level < enough {
                way.own_until.set(Some(bucket.when(enough)));
                return 0;
            }
            budget = budget.min(level);
        }
        if let Some(group) = &*self.group.borrow() {
            let share = match way.share.get() {
                0 => match group.ask(direction, member, wanted) {
                    Answer::Share(share) => share,
                    Answer::Waits(ticket) => {
                        way.ticket.set(Some(ticket));
                        return 0;
                    }
                },
                share => share,
            };
            budget = budget.min(share);
        }
        budget as usize
    }

    /// So much was moved.
    pub(crate) fn spend(&self, direction: Direction, count: usize) {
        let way = self.way(direction);
        let count = count as u64;
        if let Some(bucket) = &mut *way.bucket.borrow_mut() {
            bucket.take(count);
        }
        if let Some(group) = &*self.group.borrow() {
            match way.share.get() {
                0 => group.take(direction, count),
                share => way.share.set(share.saturating_sub(count)),
            }
        }
    }

    /// Takes a share of the group, if it is in it and waits for one. Returns whether it does.
    pub(crate) fn take_share(&self, group: &RateGroup, direction: Direction, share: u64) -> bool {
        let way = self.way(direction);
        let takes = way.ticket.get().is_some() && self.group.borrow().as_ref() == Some(group);
        if takes {
            way.ticket.set(None);
            way.share.set(share);
        }
        takes
    }

    /// What was given and not used is for the others.
    pub(crate) fn give_shares_back(&self) {
        if let Some(group) = &*self.group.borrow() {
            for direction in Direction::BOTH {
                group.give_back(direction, self.way(direction).share.take());
            }
        }
    }

    pub(crate) fn waits(&self, direction: Direction) -> bool {
        let way = self.way(direction);
        way.own_until.get().is_some() || way.ticket.get().is_some()
    }

    /// Whether it waited for its own budget, and that is there by now.
    pub(crate) fn end_wait(&self, direction: Direction, now: u64) -> bool {
        let way = self.way(direction);
        let over = way.own_until.get().flatten().is_some_and(|until| until <= now);
        if over {
            way.own_until.set(None);
        }
        over
    }

    /// When the first of its own budgets is there for which it waits.
    pub(crate) fn own_until(&self) -> Option<u64> {
        self.ways.iter().filter_map(|way| way.own_until.get().flatten()).min()
    }

    fn way(&self, direction: Direction) -> &Way {
        &self.ways[direction as usize]
    }
}

#[cfg(test)]
mod tests;
