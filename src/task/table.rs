//! The tasks of a loop that are not finished.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::finished::{Finished, Wanted};
use super::future::Promise;
use super::local;
use super::slab::{Slab, SlabKey};
use crate::driver::TransportId;
use crate::event_loop::{Core, Ready, RemoteItem, TAKEN_AT_ONCE};

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
    /// Where the waker of the future that the loop runs keeps its data; 0: none is run.
    main_waker: Cell<usize>,
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
    fn locals(&self) -> Option<Rc<local::Context>> {
        self.rare.as_ref().and_then(|rare| rare.locals.clone())
    }
}

/// What nearly no task has.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) name: Option<Rc<str>>,
    locals: Option<Rc<local::Context>>,
    /// The `Promise` of its output: somebody has added a done callback.
    pub(super) promise: Option<Box<dyn Any>>,
    /// Where steps are timed.
    longest_step: Duration,
}

/// Whether a task's step may run.
pub(super) enum Begun {
    /// Nothing but the task's code.
    Plain,
    /// With these task-local values, or timed.
    Special(Option<Rc<local::Context>>),
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

    /// The key of the task that is [added](Self::add) next.
    pub(super) fn next_key(&self) -> TaskKey {
        self.records.borrow().next_key()
    }

    /// Adds a task, which the running one has spawned. `waker` schedules its steps.
    pub(super) fn add(&self, core: &Core, waker: Waker, place: &'static Location<'static>) {
        let rare = local::current()
            .map(|locals| Box::new(Rare { locals: Some(locals), ..Rare::default() }));
        let record = Record {
            waker,
            wanted: Wanted::Held,
            cancelled: false,
            place,
            parent: self.current.get().serial(),
            spawned: if core.is_running() { core.tick_time() } else { core.now() },
            steps: 0,
            waits: Waits::Unknown,
            rare,
        };
        self.records.borrow_mut().insert(record);
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
                    return Begun::Special(record.locals());
                }
            }
            None => {}
        }
        if self.timed.get() { Begun::Special(None) } else { Begun::Plain }
    }

    /// Whether the task whose step began last was cancelled in it.
    #[inline]
    pub(super) fn was_cancelled_in_step(&self) -> bool {
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

    /// Which future the loop runs, by its waker; `None`: none.
    pub(crate) fn set_main_waker(&self, waker: Option<&Waker>) {
        self.main_waker.set(waker.map_or(0, |waker| waker.data().addr()));
    }

    /// Whether a waker is the loop's own: that of the task whose step runs, or of the future that the loop runs. All others
    /// may be foreign code.
    pub(super) fn is_own(&self, waker: &Waker) -> bool {
        match self.records.borrow_mut().get_mut(self.current.get()) {
            Some(record) => record.waker.will_wake(waker),
            None => waker.data().addr() == self.main_waker.get(),
        }
    }

    /// Whether each step is timed.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.timed.get()
    }

    /// The task-local values of a task.
    pub(super) fn locals(&self, key: TaskKey) -> Option<Rc<local::Context>> {
        self.records.borrow_mut().get_mut(key).and_then(|record| record.locals())
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
    pub(super) fn finish(&self, core: &Core, key: TaskKey) -> Finished {
        let record = self.records.borrow_mut().remove(key);
        let Some(Record { waker, wanted, place, mut rare, .. }) = record else {
            // It is there until here.
            return Finished::new(Wanted::Held, Location::caller(), None);
        };
        drop(waker);
        if let Some(locals) = rare.as_mut().and_then(|rare| rare.locals.take()) {
            core.drop_user(locals, "task-local value");
        }
        Finished::new(wanted, place, rare)
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
