//! The tasks of a loop that are not finished.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::detached::take_error;
use super::future::{LoopFuture, Promise, future};
use super::local::{self, Context};
use super::slab::{Slab, SlabKey};
use super::step::{drop_future, step};
use crate::driver::TransportId;
use crate::error::Error;
use crate::event_loop::registry;
use crate::event_loop::{Core, Ready, RemoteItem, RemoteQueue, TAKEN_AT_ONCE, closed};

/// What `async_task` knows of a task: its future, or its output.
pub(super) type Steps<R> = async_task::Task<R, Arc<RemoteQueue>>;

/// Names one task of a loop.
pub(crate) type TaskKey = SlabKey;

/// The tasks of a loop that are not finished.
#[derive(Default)]
pub(crate) struct TaskTable {
    records: RefCell<Slab<Record>>,
    /// The task whose step runs, or [`TaskKey::NONE`].
    current: Cell<TaskKey>,
    /// Whether that has been cancelled in its step.
    current_is_cancelled: Cell<bool>,
    /// Whether each step is timed.
    timed: Cell<bool>,
}

/// What the loop knows of a task. Its future is in one allocation with its output, which only
/// `async_task` knows. Kept small: it is written for each task, and read in each step.
struct Record {
    waker: Waker,
    wanted: Wanted,
    cancelled: bool,
    place: &'static Location<'static>,
    /// The number of the task that spawned it; zero for none.
    parent: u64,
    /// In nanoseconds of the loop's time.
    spawned: u64,
    steps: u32,
    waits: Waits,
    rare: Option<Box<Rare>>,
}

impl Record {
    fn values(&self) -> Option<Rc<Context>> {
        self.rare.as_ref().and_then(|rare| rare.context.clone())
    }
}

/// What nearly no task has.
#[derive(Default)]
struct Rare {
    name: Option<Rc<str>>,
    context: Option<Rc<Context>>,
    /// The `Promise` of its output: somebody has added a done callback.
    promise: Option<Box<dyn Any>>,
    /// Where steps are timed.
    longest_step: Duration,
}

/// Who wants a task's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It has a [`Task`](crate::Task), or it is an operation of the engine.
    Held,
    /// Nobody, but it is to go on, and its error is reported.
    Detached,
    /// Nobody: it is cancelled.
    Dropped,
}

/// Whether a task's step may run.
pub(super) enum Begun {
    /// Nothing but the task's code.
    Plain,
    /// With these task-local values, or timed.
    Special(Option<Rc<Context>>),
    Cancelled,
}

/// What a dump says of a task.
pub(crate) struct TaskFacts<'a> {
    /// Its number among the tasks of the loop, from 1 on.
    pub(crate) id: u64,
    pub(crate) name: Option<&'a str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) parent: Option<u64>,
    /// In nanoseconds of the loop's time.
    pub(crate) spawned: u64,
    pub(crate) steps: u32,
    /// Zero where steps are not timed.
    pub(crate) longest_step: Duration,
    pub(crate) waits: Waits,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Waits {
    /// Its first step, or something that is not wharf's.
    #[default]
    Unknown,
    /// A time of the loop, in nanoseconds.
    Time(u64),
    /// A future of the loop.
    Future,
    /// The task of this number.
    Task(u64),
    /// Bytes from a connection.
    Input(TransportId),
    /// A connection that has to take bytes.
    Output(TransportId),
}

impl TaskTable {
    pub(crate) fn len(&self) -> usize {
        self.records.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.borrow().is_empty()
    }

    /// Says what the step that runs waits for. The last that says so counts.
    #[inline]
    pub(crate) fn note_wait(&self, waits: Waits) {
        if let Some(record) = self.records.borrow_mut().get_mut(self.current.get()) {
            record.waits = waits;
        }
    }

    /// A step of the task is about to run.
    #[inline]
    pub(super) fn begin_step(&self, key: TaskKey) -> Begun {
        self.current_is_cancelled.set(false);
        match self.records.borrow_mut().get_mut(key) {
            Some(record) if record.cancelled => return Begun::Cancelled,
            Some(record) => {
                record.steps = record.steps.saturating_add(1);
                record.waits = Waits::Unknown;
                if record.rare.is_some() {
                    return Begun::Special(record.values());
                }
            }
            None => {}
        }
        if self.timed.get() { Begun::Special(None) } else { Begun::Plain }
    }

    /// The step of the current task is over, whose code runs no more. Returns whether the task is cancelled.
    #[inline]
    pub(super) fn end_step(&self) -> bool {
        self.current_is_cancelled.get()
    }

    /// How long the step of the current task took.
    pub(super) fn note_time(&self, took: Duration) {
        if let Some(record) = self.records.borrow_mut().get_mut(self.current.get()) {
            let rare = record.rare.get_or_insert_default();
            rare.longest_step = rare.longest_step.max(took);
        }
    }

    /// Says whose code runs; [`TaskKey::NONE`]: no task's.
    #[inline]
    pub(super) fn set_current(&self, key: TaskKey) {
        self.current.set(key);
    }

    /// Whether each step is timed.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.timed.get()
    }

    /// The task-local values of a task.
    pub(super) fn values(&self, key: TaskKey) -> Option<Rc<Context>> {
        self.records.borrow_mut().get_mut(key).and_then(|record| record.values())
    }

    /// Makes the task's next step drop its future. Returns whether it was there.
    pub(super) fn cancel(&self, key: TaskKey) -> bool {
        if self.current.get() == key {
            self.current_is_cancelled.set(true);
        }
        let waker = match self.records.borrow_mut().get_mut(key) {
            None => return false,
            // Its step is on the way already.
            Some(record) if record.cancelled => None,
            Some(record) => {
                record.cancelled = true;
                Some(record.waker.clone())
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Cancels every task; [`run_cancelled`](Self::run_cancelled) then ends them.
    pub(crate) fn cancel_all(&self) {
        let mut wakers = Vec::new();
        for record in self.records.borrow_mut().values_mut() {
            record.cancelled = true;
            wakers.push(record.waker.clone());
        }
        for waker in wakers {
            waker.wake();
        }
    }

    /// Runs the steps that drop the futures of cancelled tasks; other entries are left.
    pub(crate) fn run_cancelled(&self, core: &Rc<Core>) {
        self.cancel_all();
        for item in core.remote.take(TAKEN_AT_ONCE) {
            match item {
                RemoteItem::Task(runnable) => core.push_ready(Ready::Task(runnable)),
                RemoteItem::Call(call) => core.drop_user(call, "callback from another thread"),
            }
        }
        for entry in core.take_ready() {
            match entry {
                Ready::Task(runnable) => core.run_caught("a task failed", || {
                    runnable.run();
                }),
                other => core.push_ready(other),
            }
        }
    }

    /// What `describe` makes of each task.
    pub(crate) fn facts<R>(&self, describe: impl Fn(TaskFacts<'_>) -> R) -> Vec<R> {
        let records = self.records.borrow();
        let described = records.iter().map(|(key, record)| {
            let rare = record.rare.as_deref();
            describe(TaskFacts {
                id: key.serial(),
                name: rare.and_then(|rare| rare.name.as_deref()),
                place: record.place,
                parent: Some(record.parent).filter(|&parent| parent != TaskKey::NONE.serial()),
                spawned: record.spawned,
                steps: record.steps,
                longest_step: rare.map_or(Duration::ZERO, |rare| rare.longest_step),
                waits: record.waits,
            })
        });
        described.collect()
    }

    /// Whether each step is timed.
    pub(crate) fn set_timed(&self, on: bool) {
        self.timed.set(on);
    }

    /// Forgets a task whose future is dropped.
    #[inline]
    fn finish(&self, core: &Core, key: TaskKey) -> Finished {
        let record = self.records.borrow_mut().remove(key);
        let Some(Record { waker, wanted, place, mut rare, .. }) = record else {
            // It is there until here.
            return Finished::before(Wanted::Held, Location::caller());
        };
        drop(waker);
        if let Some(values) = rare.as_mut().and_then(|rare| rare.context.take()) {
            core.drop_user(values, "task-local value");
        }
        Finished { wanted, place, rare }
    }

    pub(super) fn set_wanted(&self, key: TaskKey, wanted: Wanted) {
        if let Some(record) = self.records.borrow_mut().get_mut(key) {
            record.wanted = wanted;
        }
    }

    pub(super) fn set_name(&self, key: TaskKey, name: Rc<str>) {
        if let Some(record) = self.records.borrow_mut().get_mut(key) {
            record.rare.get_or_insert_default().name = Some(name);
        }
    }

    /// Has the output go to `promise`. The task is not finished.
    pub(super) fn set_promise<T: 'static>(&self, key: TaskKey, promise: Promise<T>) {
        if let Some(record) = self.records.borrow_mut().get_mut(key) {
            record.rare.get_or_insert_default().promise = Some(Box::new(promise));
        }
    }
}

/// Drives `user` from the next round on. `conclude` is given the outcome, and what of the record
/// decides whose it is; what it returns is the output of `async_task`'s task.
///
/// The loop is open.
pub(super) fn spawn<F: Future + 'static, R: 'static>(
    core: &Rc<Core>,
    place: &'static Location<'static>,
    user: F,
    conclude: impl FnOnce(&Rc<Core>, Finished, Result<F::Output, Error>) -> R + 'static,
) -> (TaskKey, Steps<R>) {
    let table = &core.tasks;
    let key = table.records.borrow().next_key();
    let steps = {
        let core = Rc::clone(core);
        // The future is in here twice, as what is captured and as what is pinned: hence the box for a large one.
        async move {
            let mut user = pin!(Some(user));
            let outcome = poll_fn(|context| step(&core, key, user.as_mut(), context)).await;
            drop_future(&core, key, user);
            let finished = core.tasks.finish(&core, key);
            conclude(&core, finished, outcome)
        }
    };
    let builder = async_task::Builder::new().metadata(Arc::clone(&core.remote));
    let (runnable, task) = builder.spawn_local(move |_| steps, registry::schedule);
    let rare = local::current()
        .map(|context| Box::new(Rare { context: Some(context), ..Rare::default() }));
    let record = Record {
        waker: runnable.waker(),
        wanted: Wanted::Held,
        cancelled: false,
        place,
        parent: table.current.get().serial(),
        spawned: if core.is_running() { core.tick_time() } else { core.now() },
        steps: 0,
        waits: Waits::Unknown,
        rare,
    };
    table.records.borrow_mut().insert(record);
    runnable.schedule();
    (key, task)
}

/// Drives an operation of the engine's own, whose errors are the future's.
#[track_caller]
pub(crate) fn operation<T: 'static>(
    core: &Rc<Core>,
    steps: impl Future<Output = Result<T, Error>> + 'static,
) -> LoopFuture<T> {
    let (promise, result) = future(core);
    if core.is_closed() {
        core.drop_user(steps, "task");
        promise.set(Err(closed()));
        return result;
    }
    let promise = Rc::new(Cell::new(Some(promise)));
    let (key, task) = spawn(core, Location::caller(), steps, {
        let promise = Rc::clone(&promise);
        move |_, _, outcome| {
            if let Some(promise) = promise.take() {
                promise.set(outcome.and_then(|result| result));
            }
        }
    });
    task.detach();
    if let Some(given) = promise.take() {
        cancel_with(core, key, &given);
        promise.set(Some(given));
    }
    result
}

/// Ends the task when the future of `promise` is cancelled.
pub(super) fn cancel_with<T: 'static>(core: &Rc<Core>, key: TaskKey, promise: &Promise<T>) {
    let core = Rc::clone(core);
    promise.on_cancel_at_once(move || {
        core.tasks.cancel(key);
    });
}

/// What is left of a task's record when it is finished.
pub(super) struct Finished {
    pub(super) wanted: Wanted,
    place: &'static Location<'static>,
    rare: Option<Box<Rare>>,
}

impl Finished {
    /// Of a task that was finished before.
    pub(super) fn before(wanted: Wanted, place: &'static Location<'static>) -> Self {
        Self { wanted, place, rare: None }
    }

    /// Whether the outcome goes to who holds the task, as nearly always.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.wanted == Wanted::Held && self.rare.is_none()
    }

    /// The `Promise` of the output, if somebody has added a done callback.
    pub(super) fn take_promise(&mut self) -> Option<Box<dyn Any>> {
        self.rare.as_mut()?.promise.take()
    }

    /// The outcome of a task that nobody waits for.
    pub(super) fn abandon<T: 'static>(self, core: &Core, outcome: Result<T, Error>) {
        match outcome {
            Err(error) if error.is_cancelled() => {}
            Err(error) => core.report_unretrieved(&self.failure(), error),
            Ok(value) if self.wanted == Wanted::Detached => {
                let mut value = Some(value);
                if let Some(error) = take_error(&mut value) {
                    core.report_unretrieved(&self.failure(), error);
                }
                core.drop_user(value, "result");
            }
            Ok(value) => core.discard_user(value, "result"),
        }
    }

    #[cold]
    fn failure(&self) -> String {
        let kind = if self.wanted == Wanted::Detached { "detached " } else { "" };
        let place = self.place;
        match self.rare.as_ref().and_then(|rare| rare.name.as_ref()) {
            Some(name) => format!("the {kind}task `{name}` ({place}) failed"),
            None => format!("a {kind}task ({place}) failed"),
        }
    }
}
