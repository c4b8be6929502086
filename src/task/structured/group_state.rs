//! What the handles of a group, its tasks and its future share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use super::super::handle::Task;
use super::super::slab::{Slab, SlabKey};
use super::body::{Outcome, Phase};
use super::child::{Owner, discard_value};
use crate::error::Error;
use crate::event_loop::{Core, WakerSlot};

pub(super) struct GroupState<T> {
    pub(super) core: Rc<Core>,
    phase: Cell<Phase>,
    /// Those that have not ended, with what ends them unless that was done.
    tasks: RefCell<Slab<Option<Task<()>>>>,
    /// The body is over: the group waits for its tasks.
    is_joining: Cell<bool>,
    pub(super) outcome: Outcome<T>,
    waker: WakerSlot,
}

impl<T> GroupState<T> {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            phase: Cell::new(Phase::Open),
            tasks: RefCell::default(),
            is_joining: Cell::new(false),
            outcome: Outcome::default(),
            waker: WakerSlot::default(),
        })
    }

    /// The key of a task that is about to be added, if one can be.
    pub(super) fn admit(&self) -> Option<SlabKey> {
        self.is_open().then(|| self.tasks.borrow_mut().insert(None))
    }

    /// Keeps what ends a task that was admitted.
    pub(super) fn keep(&self, key: SlabKey, task: Task<()>) {
        if task.is_done() {
            // The loop is closed.
            drop(task.take_result());
        } else if let Some(place) = self.tasks.borrow_mut().get_mut(key) {
            *place = Some(task);
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.phase.get() == Phase::Ending
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Ends all tasks, and the body, with a result.
    pub(super) fn finish(&self, value: T) {
        if self.is_open() {
            self.outcome.note_finished(value);
            self.end();
        } else {
            discard_value(&self.core, value);
        }
    }

    /// Ends all tasks, and the body.
    pub(super) fn end(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Ending);
            self.cancel_tasks();
            self.waker.wake(&self.core);
        }
    }

    fn cancel_tasks(&self) {
        let tasks: Vec<_> = self.tasks.borrow_mut().values_mut().filter_map(Option::take).collect();
        for task in tasks {
            task.cancel();
        }
    }

    /// The body is over. Returns whether all tasks are.
    pub(super) fn join(&self, waker: &Waker) -> bool {
        self.is_joining.set(true);
        if !self.tasks.borrow().is_empty() {
            self.wait(waker);
        }
        let is_over = self.tasks.borrow().is_empty();
        if is_over {
            self.phase.set(Phase::Over);
        }
        is_over
    }

    pub(super) fn wait(&self, waker: &Waker) {
        self.waker.keep(&self.core, waker);
    }

    /// The group's future was dropped.
    pub(super) fn abandon(&self) {
        self.phase.set(Phase::Over);
        self.cancel_tasks();
        self.waker.clear(&self.core);
    }
}

impl<T> Owner for GroupState<T> {
    fn fail(&self, error: Error) {
        self.outcome.note_error(error);
        self.end();
    }

    fn left(&self, key: SlabKey) {
        let task = self.tasks.borrow_mut().remove(key);
        if let Some(Some(task)) = task {
            // It is in its last step.
            task.detach();
        }
        if self.is_joining.get() && self.tasks.borrow().is_empty() {
            self.waker.wake(&self.core);
        }
    }

    fn cancel_child(&self, key: SlabKey) {
        let task = self.tasks.borrow_mut().get_mut(key).and_then(Option::take);
        if let Some(task) = task {
            task.cancel();
        }
    }
}
