//! Results come as tasks end, whoever waits for them.
//!
//! Each task that somebody waits for has an entry here. The coordinator is told of all that are new in one request, and of
//! all that are left on each new connection.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::handle::{Shared, unexpected};
use crate::task::{Outcome, Spec, TaskId};
use crate::wire::{Answer, Ask, Ended};

/// How many tasks are named in one request.
const MOST_TASKS: usize = 5_000;
/// How many new tasks are in one request.
const MOST_SPECS: usize = 500;
/// How large one request with new tasks is, about, in bytes, unless one task alone is larger.
const MOST_BYTES: usize = 1024 * 1024;

/// How a task has ended, or why that is not known.
pub(super) type Delivery = Result<Ended, ClientError>;

/// Where the end of a task arrives, and its number there.
type Waiter = (Rc<Inbox>, u64);

#[derive(Default)]
pub(super) struct Results {
    /// Who waits for a task, and under which number.
    pub(super) waiters: RefCell<BTreeMap<TaskId, Vec<Waiter>>>,
    /// Tasks that the coordinator may not have yet.
    submitting: RefCell<BTreeSet<TaskId>>,
    /// What the coordinator is still to be told.
    to_watch: RefCell<Vec<TaskId>>,
    to_unwatch: RefCell<Vec<TaskId>>,
    is_telling: Cell<bool>,
}

/// How many tasks of several have ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupProgress {
    /// All.
    pub total: usize,
    /// Those that have succeeded.
    pub succeeded: usize,
    /// Those that have failed, or of which nothing is known any more.
    pub failed: usize,
    /// Those that were cancelled.
    pub cancelled: usize,
}

impl GroupProgress {
    /// How many have ended.
    pub fn ended(&self) -> usize {
        self.succeeded + self.failed + self.cancelled
    }
}

/// Where ends of tasks arrive.
#[derive(Default)]
pub(super) struct Inbox {
    ends: RefCell<VecDeque<(u64, Delivery)>>,
    waker: RefCell<Option<Waker>>,
    progress: Cell<GroupProgress>,
}

/// Somebody who waits for the ends of tasks, of which each has a number. Dropping it ends that.
pub(super) struct Subscription {
    pub(super) shared: Rc<Shared>,
    inbox: Rc<Inbox>,
    /// What was not taken out of the inbox yet.
    open: RefCell<BTreeMap<u64, TaskId>>,
}

impl Subscription {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        let shared = Rc::clone(shared);
        Self { shared, inbox: Rc::default(), open: RefCell::default() }
    }

    /// How many ends were not taken yet.
    pub(super) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// Of all that were ever added.
    pub(super) fn progress(&self) -> GroupProgress {
        self.inbox.progress.get()
    }

    /// Waits for a task as well.
    pub(super) fn watch(&self, number: u64, id: &TaskId) {
        let is_new = self.add(number, id);
        if let Some(error) = self.shared.is_hopeless() {
            self.shared.deliver(id, &Err(error));
        } else if is_new {
            self.shared.results.to_watch.borrow_mut().push(id.clone());
            self.shared.tell_soon();
        }
    }

    /// Submits tasks and waits for them as well. One that is refused ends with that.
    pub(super) fn run(&self, tasks: Vec<(u64, Spec)>) {
        let mut valid = Vec::with_capacity(tasks.len());
        for (number, mut spec) in tasks {
            let id = spec.id.get_or_insert_with(|| self.shared.new_id()).clone();
            self.add(number, &id);
            match spec.check() {
                Ok(()) => valid.push(spec),
                Err(invalid) => {
                    let refused = ClientError::Refused(invalid.to_string().into());
                    self.shared.deliver(&id, &Err(refused));
                }
            }
        }
        for part in parts(valid) {
            self.shared.run(part);
        }
    }

    /// The next that has ended; `None`: there is no other.
    pub(super) async fn next(&self) -> Option<(u64, Delivery)> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<(u64, Delivery)>> {
        if let Some((number, delivery)) = self.inbox.ends.borrow_mut().pop_front() {
            self.open.borrow_mut().remove(&number);
            return Poll::Ready(Some((number, delivery)));
        }
        if self.open.borrow().is_empty() {
            return Poll::Ready(None);
        }
        *self.inbox.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }

    /// Returns whether nobody waited for it before.
    fn add(&self, number: u64, id: &TaskId) -> bool {
        let mut progress = self.inbox.progress.get();
        progress.total += 1;
        self.inbox.progress.set(progress);
        self.open.borrow_mut().insert(number, id.clone());
        let mut waiters = self.shared.results.waiters.borrow_mut();
        let waiters = waiters.entry(id.clone()).or_default();
        waiters.push((Rc::clone(&self.inbox), number));
        waiters.len() == 1
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let results = &self.shared.results;
        for id in self.open.borrow().values() {
            let mut all = results.waiters.borrow_mut();
            let Some(waiters) = all.get_mut(id) else { continue };
            waiters.retain(|(inbox, _)| !Rc::ptr_eq(inbox, &self.inbox));
            if waiters.is_empty() {
                all.remove(id);
                results.to_unwatch.borrow_mut().push(id.clone());
            }
        }
        if !results.to_unwatch.borrow().is_empty() {
            self.shared.tell_soon();
        }
    }
}

impl Inbox {
    fn deliver(&self, number: u64, delivery: Delivery) {
        let mut progress = self.progress.get();
        match &delivery {
            Ok(Ended { outcome: Some(Outcome::Succeeded), .. }) => progress.succeeded += 1,
            Ok(Ended { outcome: Some(Outcome::Cancelled), .. }) => progress.cancelled += 1,
            _ => progress.failed += 1,
        }
        self.progress.set(progress);
        self.ends.borrow_mut().push_back((number, delivery));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Shared {
    /// Whoever waits for a task is told.
    pub(super) fn deliver(&self, id: &TaskId, delivery: &Delivery) {
        let waiters = self.results.waiters.borrow_mut().remove(id);
        for (inbox, number) in waiters.into_iter().flatten() {
            inbox.deliver(number, delivery.clone());
        }
    }

    fn deliver_each(&self, ids: &[TaskId], error: &ClientError) {
        for id in ids {
            self.deliver(id, &Err(error.clone()));
        }
    }

    /// Whoever waits for any task is told that this is the end.
    pub(super) fn deliver_to_all(&self, error: &ClientError) {
        let waiters = std::mem::take(&mut *self.results.waiters.borrow_mut());
        for (inbox, number) in waiters.into_values().flatten() {
            inbox.deliver(number, Err(error.clone()));
        }
    }

    /// The coordinator has forgotten what this client watched: it was another connection.
    pub(super) fn watch_again(self: &Rc<Self>) {
        let waiters = self.results.waiters.borrow();
        let submitting = self.results.submitting.borrow();
        let known = waiters.keys().filter(|id| !submitting.contains(*id));
        *self.results.to_watch.borrow_mut() = known.cloned().collect();
        self.results.to_unwatch.borrow_mut().clear();
        drop((waiters, submitting));
        self.tell_soon();
    }

    fn run(self: &Rc<Self>, specs: Vec<Spec>) {
        let ids: Vec<_> = specs.iter().filter_map(|spec| spec.id.clone()).collect();
        self.results.submitting.borrow_mut().extend(ids.iter().cloned());
        let shared = Rc::clone(self);
        let running = self.event_loop.create_task(async move {
            let answer = shared.ask(Ask::Run(specs)).await;
            let mut submitting = shared.results.submitting.borrow_mut();
            for id in &ids {
                submitting.remove(id);
            }
            drop(submitting);
            let outcomes = match answer {
                Ok(Answer::Submitted(outcomes)) if outcomes.len() == ids.len() => outcomes,
                Ok(_) => return shared.deliver_each(&ids, &unexpected()),
                Err(error) => return shared.deliver_each(&ids, &error),
            };
            for (id, outcome) in ids.iter().zip(outcomes) {
                if let Err(why) = outcome {
                    shared.deliver(id, &Err(ClientError::Refused(why)));
                }
            }
            shared.watch_submitted(ids);
        });
        running.detach();
    }

    /// Tells the coordinator at the end of this turn of the loop what is to be watched, and what not any more.
    fn tell_soon(self: &Rc<Self>) {
        if self.results.is_telling.replace(true) {
            return;
        }
        let shared = Rc::downgrade(self);
        self.event_loop.call_soon(move || {
            if let Some(shared) = shared.upgrade() {
                shared.results.is_telling.set(false);
                shared.tell();
            }
        });
    }

    fn tell(self: &Rc<Self>) {
        let waiters = self.results.waiters.borrow();
        let mut watch = self.results.to_watch.take();
        watch.retain(|id| waiters.contains_key(id));
        let mut unwatch = self.results.to_unwatch.take();
        unwatch.retain(|id| !waiters.contains_key(id));
        for ids in watch.chunks(MOST_TASKS) {
            self.say(Ask::Watch(ids.to_vec()));
        }
        for ids in unwatch.chunks(MOST_TASKS) {
            self.say(Ask::Unwatch(ids.to_vec()));
        }
    }
}

/// What a task has returned.
pub(super) fn result_of<R: DeserializeOwned>(delivery: Delivery) -> Result<R, ClientError> {
    let Ended { id, outcome, result, error, cause, .. } = delivery?;
    let text = || Box::from(error.as_deref().unwrap_or("no reason"));
    match (outcome, cause) {
        (Some(Outcome::Succeeded), _) => {
            let result = result.as_deref().map_or("null", |result| result.get());
            Ok(serde_json::from_str(result)?)
        }
        (None, _) => Err(ClientError::UnknownTask(id.as_str().into())),
        (Some(_), Some(cause)) => Err(ClientError::NotRun { cause, error: text() }),
        (Some(Outcome::Cancelled), None) => Err(ClientError::Cancelled),
        (Some(Outcome::Failed), None) => Err(ClientError::Failed(text())),
    }
}

/// Tasks for several requests, each of which is not too large.
pub(super) fn parts(specs: Vec<Spec>) -> Vec<Vec<Spec>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for spec in specs {
        let size = spec.args.get().len() + 40 * spec.after.len() + 200;
        if part.len() == MOST_SPECS || (bytes + size > MOST_BYTES && !part.is_empty()) {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(spec);
    }
    parts.extend(Some(part).filter(|part| !part.is_empty()));
    parts
}
