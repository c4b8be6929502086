//! Requests that have no answer yet.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::future::{LoopFuture, Promise, future};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Timer, Wakers};
use crate::time::TimerKey;
use crate::timeout::TimeoutKind;

/// The deadlines of requests that were answered are forgotten once they are so many more than the others.
const STALE: usize = 64;

pub(super) struct Table<K: Ord + Clone + 'static, A: 'static> {
    core: Rc<Core>,
    limit: Cell<usize>,
    deadline: Cell<Option<Duration>>,
    pending: RefCell<BTreeMap<K, Entry<A>>>,
    /// In the order of the requests, which is that of their deadlines, as long as these are the same for all.
    due: RefCell<VecDeque<Due<K>>>,
    timer: Cell<TimerKey>,
    serial: Cell<u64>,
    /// Those who wait for room.
    room: Wakers,
    /// Why there are no more requests.
    ended: RefCell<Option<Error>>,
    itself: Weak<Self>,
}

struct Entry<A: 'static> {
    serial: u64,
    /// `None` once its deadline has passed: its answer may come all the same.
    promise: Option<Promise<A>>,
}

struct Due<K> {
    at: u64,
    key: K,
    serial: u64,
}

impl<K: Ord + Clone + 'static, A: 'static> Table<K, A> {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new_cyclic(|itself| Self {
            core: Rc::clone(core),
            limit: Cell::new(usize::MAX),
            deadline: Cell::new(None),
            pending: RefCell::default(),
            due: RefCell::default(),
            timer: Cell::new(TimerKey::NONE),
            serial: Cell::new(0),
            room: Wakers::default(),
            ended: RefCell::new(None),
            itself: Weak::clone(itself),
        })
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        self.offer_room();
    }

    pub(super) fn set_deadline(&self, deadline: Option<Duration>) {
        self.deadline.set(deadline);
    }

    pub(super) fn len(&self) -> usize {
        self.pending.borrow().len()
    }

    pub(super) fn begin(&self, key: K) -> Result<LoopFuture<A>, Error> {
        // Cloning is foreign code: first, so that it changes nothing of what is looked at.
        let kept = key.clone();
        if let Some(error) = &*self.ended.borrow() {
            return Err(error.clone());
        }
        self.core.check_open()?;
        if self.len() >= self.limit.get() {
            let limit = self.limit.get();
            return Err(Error::new(
                Kind::QueueFull,
                format!("{limit} requests wait for their answers already"),
            ));
        }
        if self.pending.borrow().contains_key(&key) {
            return Err(Error::invalid("a request with this id waits for its answer already"));
        }
        let (promise, answer) = future(&self.core);
        let serial = self.serial.replace(self.serial.get() + 1);
        let entry = Entry { serial, promise: Some(promise) };
        self.pending.borrow_mut().insert(kept, entry);
        if let Some(deadline) = self.deadline.get() {
            let at = self.core.after(deadline);
            self.due.borrow_mut().push_back(Due { at, key, serial });
            self.arm();
        }
        Ok(answer)
    }

    /// The key of the request that has waited longest, among keys that count up.
    pub(super) fn first(&self) -> Option<K> {
        self.pending.borrow().first_key_value().map(|(key, _)| key.clone())
    }

    /// Gives a request its answer. `false` if there is no such request.
    pub(super) fn complete(&self, key: &K, answer: Result<A, Error>) -> bool {
        let entry = self.pending.borrow_mut().remove_entry(key);
        let Some((own, entry)) = entry else {
            self.core.drop_user(answer, "answer");
            return false;
        };
        match entry.promise {
            Some(promise) => promise.set(answer),
            // Nobody waits for it any more.
            None => self.core.drop_user(answer, "answer"),
        }
        self.core.drop_user(own, "request's id");
        self.forget_stale();
        self.offer_room();
        true
    }

    /// Gives a request up. `false` if there is no such request.
    pub(super) fn forget(&self, key: &K) -> bool {
        let entry = self.pending.borrow_mut().remove_entry(key);
        let Some((own, entry)) = entry else { return false };
        drop(entry);
        self.core.drop_user(own, "request's id");
        self.forget_stale();
        self.offer_room();
        true
    }

    /// The connection has ended, by `error` or in good order.
    pub(super) fn end_with_connection(&self, error: Option<&Error>) {
        self.end(match error {
            Some(error) => error.clone(),
            None => Error::new(Kind::Closed, "the connection ended before the answer came"),
        });
    }

    /// Whoever waits is told `error`, and so is whoever asks from now on.
    fn end(&self, error: Error) {
        if self.ended.borrow().is_some() {
            return;
        }
        *self.ended.borrow_mut() = Some(error.clone());
        self.disarm();
        let mut pending = std::mem::take(&mut *self.pending.borrow_mut());
        while let Some((key, entry)) = pending.pop_first() {
            if let Some(promise) = entry.promise {
                promise.set(Err(error.clone()));
            }
            self.core.drop_user(key, "request's id");
        }
        let due = std::mem::take(&mut *self.due.borrow_mut());
        self.drop_due(due);
        self.room.wake_all(&self.core);
    }

    /// Waits until there is room for another request.
    pub(super) async fn room(&self) -> Result<(), Error> {
        let look = || match &*self.ended.borrow() {
            Some(error) => Some(Err(error.clone())),
            None => self.has_room().then_some(Ok(())),
        };
        self.room.wait_in_turn(&self.core, look).await
    }

    fn has_room(&self) -> bool {
        self.len() < self.limit.get()
    }

    fn offer_room(&self) {
        if self.has_room() {
            self.room.wake_some(&self.core);
        }
    }

    fn arm(&self) {
        if self.timer.get() != TimerKey::NONE || self.core.is_closed() {
            return;
        }
        let at = self.due.borrow().front().map(|due| due.at);
        if let Some(at) = at {
            let timer = Box::new(Expire(Weak::clone(&self.itself)));
            self.timer.set(self.core.add_timer(at, timer));
        }
    }

    fn disarm(&self) {
        let timer = self.timer.replace(TimerKey::NONE);
        if timer != TimerKey::NONE {
            self.core.cancel_timer(timer);
        }
    }

    fn forget_stale(&self) {
        let stale = self.take_stale();
        self.drop_due(stale);
        if self.due.borrow().is_empty() {
            self.disarm();
        }
    }

    /// The deadlines of requests that were answered: the first ones, or all if they are many.
    fn take_stale(&self) -> VecDeque<Due<K>> {
        let pending = self.pending.borrow();
        let mut due = self.due.borrow_mut();
        let waits =
            |due: &Due<K>| pending.get(&due.key).is_some_and(|entry| entry.serial == due.serial);
        let mut stale = VecDeque::new();
        while due.front().is_some_and(|first| !waits(first)) {
            stale.extend(due.pop_front());
        }
        if due.len() > 2 * pending.len() + STALE {
            for _ in 0..due.len() {
                let waits = due.front().is_some_and(waits);
                let first = due.pop_front();
                if waits { &mut *due } else { &mut stale }.extend(first);
            }
        }
        stale
    }

    /// Each by itself: the keys are the user's.
    fn drop_due(&self, due: VecDeque<Due<K>>) {
        if std::mem::needs_drop::<K>() {
            for Due { key, .. } in due {
                self.core.drop_user(key, "request's id");
            }
        }
    }

    /// Those whose deadlines have passed are told so.
    fn expire(&self) {
        let now = self.core.now();
        loop {
            let expired = {
                let mut due = self.due.borrow_mut();
                let is_due = due.front().is_some_and(|first| first.at <= now);
                if is_due { due.pop_front() } else { None }
            };
            let Some(Due { key, serial, .. }) = expired else { break };
            let promise = match self.pending.borrow_mut().get_mut(&key) {
                Some(entry) if entry.serial == serial => entry.promise.take(),
                _ => None,
            };
            if let Some(promise) = promise {
                promise.set(Err(Error::timeout(TimeoutKind::Answer)));
            }
            self.core.drop_user(key, "request's id");
        }
        self.forget_stale();
    }
}

impl<K: Ord + Clone + 'static, A: 'static> Drop for Table<K, A> {
    fn drop(&mut self) {
        self.end(Error::new(Kind::Closed, "nobody is there any more who could give an answer"));
        let error = self.ended.take();
        self.core.drop_user(error, "user's error");
    }
}

/// The timer of the first deadline.
struct Expire<K: Ord + Clone + 'static, A: 'static>(Weak<Table<K, A>>);

impl<K: Ord + Clone + 'static, A: 'static> Timer for Expire<K, A> {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        if let Some(table) = self.0.upgrade() {
            table.timer.set(TimerKey::NONE);
            // It compares the user's ids.
            core.run_caught("the id of a request failed", || table.expire());
            table.arm();
        }
    }
}
