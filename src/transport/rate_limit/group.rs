//! Budgets that connections share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::bucket::Bucket;
use super::{Direction, RateLimit};
use crate::driver::Key;
use crate::event_loop::{Core, EventLoop, Timer};
use crate::time::TimerKey;

/// The least that one member of several is given: a system call for a few bytes costs more than
/// they are worth.
const LEAST_SHARE: u64 = 1024;

/// A read and a write budget shared by any number of connections of one loop.
///
/// What is there is shared out among those that want it in equal parts, and those that got nothing
/// come first the next time: no member starves, and what one does not use is for the others. A member
/// can have a limit of its own as well; the smaller budget counts. Connections join with the
/// builders' `rate_group` (on a server: all it accepts share the budgets) or
/// [`Transport::set_rate_group`](crate::Transport::set_rate_group), and leave when they are lost.
///
/// Cheap to clone: clones are the same group.
///
/// ```
/// use wharf::{EventLoop, RateGroup, RateLimit};
///
/// # fn main() -> wharf::Result {
/// let event_loop = EventLoop::new()?;
/// let group = RateGroup::new(&event_loop);
/// group.set_read_limit(Some(RateLimit::bytes_per_second(10_000_000)));
/// assert_eq!(group.members(), 0);
/// # Ok(())
/// # }
/// ```
#[doc(alias("ThrottlingFactory"))]
#[derive(Clone)]
pub struct RateGroup {
    shared: Rc<Shared>,
}

struct Shared {
    core: Rc<Core>,
    members: Cell<u64>,
    ways: [Way; 2],
}

/// A place in the queue of those that wait for a share.
pub(super) type Ticket = u64;

/// What a member is told that asks for something.
pub(super) enum Answer {
    /// So much it may move.
    Share(u64),
    /// There is nothing now: it is in the queue, and will be given a share.
    Waits(Ticket),
}

/// One direction.
#[derive(Default)]
struct Way {
    limit: Cell<Option<RateLimit>>,
    bucket: RefCell<Option<Bucket>>,
    /// Members that wait for a share, by ticket: first come, first served. A member that leaves takes
    /// its ticket out.
    waiting: RefCell<BTreeMap<Ticket, Key>>,
    next_ticket: Cell<Ticket>,
    timer: Cell<Option<(TimerKey, u64)>>,
}

impl RateGroup {
    /// A group for connections of `event_loop`, without limits yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        let core = Rc::clone(event_loop.core());
        Self { shared: Rc::new(Shared { core, members: Cell::new(0), ways: Default::default() }) }
    }

    /// How fast the members may read together, from now on; `None`: as fast as they can.
    pub fn set_read_limit(&self, limit: Option<RateLimit>) {
        self.set_limit(Direction::Read, limit);
    }

    /// How fast the members may write together, from now on; `None`: as fast as they can.
    pub fn set_write_limit(&self, limit: Option<RateLimit>) {
        self.set_limit(Direction::Write, limit);
    }

    /// How fast the members may read together; `None`: as fast as they can.
    pub fn read_limit(&self) -> Option<RateLimit> {
        self.shared.ways[Direction::Read as usize].limit.get()
    }

    /// How fast the members may write together; `None`: as fast as they can.
    pub fn write_limit(&self) -> Option<RateLimit> {
        self.shared.ways[Direction::Write as usize].limit.get()
    }

    /// How many connections are in the group.
    pub fn members(&self) -> usize {
        self.shared.members.get() as usize
    }

    pub(crate) fn is_of(&self, core: &Rc<Core>) -> bool {
        Rc::ptr_eq(&self.shared.core, core)
    }

    pub(super) fn join(&self) {
        self.shared.members.set(self.shared.members.get() + 1);
    }

    pub(super) fn leave(&self) {
        self.shared.members.set(self.shared.members.get() - 1);
    }

    /// How much the member may move of `wanted`.
    pub(super) fn ask(&self, direction: Direction, member: Key, wanted: u64) -> Answer {
        let way = self.way(direction);
        let mut bucket = way.bucket.borrow_mut();
        let Some(bucket) = &mut *bucket else { return Answer::Share(u64::MAX) };
        let level = bucket.level(self.shared.core.tick_time());
        let mut waiting = way.waiting.borrow_mut();
        if waiting.is_empty() && level >= bucket.serving().min(wanted) {
            let share = level / self.shared.members.get().max(1);
            let share = share.max(LEAST_SHARE).min(level);
            if share > 0 {
                return Answer::Share(share);
            }
        }
        let ticket = way.next_ticket.replace(way.next_ticket.get() + 1);
        waiting.insert(ticket, member);
        drop(waiting);
        self.arm(direction, bucket);
        Answer::Waits(ticket)
    }

    /// A member waits no longer.
    pub(super) fn stop_waiting(&self, direction: Direction, ticket: Ticket) {
        self.way(direction).waiting.borrow_mut().remove(&ticket);
    }

    /// A member has moved so much that it was not given as a share before.
    pub(super) fn take(&self, direction: Direction, count: u64) {
        if let Some(bucket) = &mut *self.way(direction).bucket.borrow_mut() {
            bucket.take(count);
        }
    }

    /// A member has not used so much of its share.
    pub(super) fn give_back(&self, direction: Direction, count: u64) {
        let way = self.way(direction);
        if count > 0
            && let Some(bucket) = &mut *way.bucket.borrow_mut()
        {
            bucket.give(count);
            if !way.waiting.borrow().is_empty() {
                self.arm(direction, bucket);
            }
        }
    }

    fn set_limit(&self, direction: Direction, limit: Option<RateLimit>) {
        let way = self.way(direction);
        let now = self.shared.core.tick_time();
        way.limit.set(limit);
        let mut bucket = way.bucket.borrow_mut();
        match (&mut *bucket, limit) {
            (Some(bucket), Some(limit)) => bucket.change(limit, now),
            (bucket, limit) => *bucket = limit.map(|limit| Bucket::new(limit, now)),
        }
        drop(bucket);
        if !way.waiting.borrow().is_empty() {
            self.arm_at(direction, now);
        }
    }

    /// Serves the queue when there is something to share out.
    fn arm(&self, direction: Direction, bucket: &Bucket) {
        if let Some(at) = bucket.when(bucket.serving()) {
            self.arm_at(direction, at);
        }
    }

    fn arm_at(&self, direction: Direction, at: u64) {
        let core = &self.shared.core;
        let way = self.way(direction);
        match way.timer.get() {
            Some((_, armed)) if armed <= at => {}
            Some((key, _)) => {
                core.reset_timer(key, at);
                way.timer.set(Some((key, at)));
            }
            None if core.is_closed() => {}
            None => {
                let serving = Box::new(Serving { group: self.clone(), direction });
                way.timer.set(Some((core.add_timer(at, serving), at)));
            }
        }
    }

    /// Shares out what is there.
    fn serve(&self, direction: Direction) {
        let core = &self.shared.core;
        let way = self.way(direction);
        way.timer.set(None);
        let now = core.tick_time();
        // Those in the queue now: each is served once.
        let mut left = way.waiting.borrow().len() as u64;
        while left > 0 {
            let share = match &mut *way.bucket.borrow_mut() {
                None => 0,
                Some(bucket) => match bucket.level(now) {
                    0 => break,
                    level => level / (level / LEAST_SHARE).clamp(1, left),
                },
            };
            left -= 1;
            let first = way.waiting.borrow_mut().pop_first();
            let Some((_, member)) = first else { break };
            if let Some(stream) = core.stream(member)
                && stream.take_share(core, self, direction, share)
            {
                self.take(direction, share);
            }
        }
        if let Some(bucket) = &*way.bucket.borrow()
            && !way.waiting.borrow().is_empty()
        {
            self.arm(direction, bucket);
        }
    }

    fn way(&self, direction: Direction) -> &Way {
        &self.shared.ways[direction as usize]
    }
}

/// The timer of a group: there only while a member waits.
struct Serving {
    group: RateGroup,
    direction: Direction,
}

impl Timer for Serving {
    fn run(self: Box<Self>, _: &Rc<Core>) {
        self.group.serve(self.direction);
    }
}

impl PartialEq for RateGroup {
    /// Whether they are the same group.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for RateGroup {}

impl fmt::Debug for RateGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RateGroup")
            .field("members", &self.members())
            .field("read_limit", &self.read_limit())
            .field("write_limit", &self.write_limit())
            .finish()
    }
}

#[cfg(test)]
mod tests;
