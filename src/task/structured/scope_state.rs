//! The tasks of a scope, which are polled in place.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake as _, Waker};

use super::super::slab::{Slab, SlabKey};
use super::body::{Outcome, Phase};
use super::child::Owner;
use super::wake_queue::{ChildWaker, WakeQueue};
use crate::error::Error;
use crate::event_loop::Core;
use crate::task::local::{self, Entered};

/// The key of the body among what is polled.
const BODY: SlabKey = SlabKey::NONE;

/// How many tasks one poll of the scope goes on with: others on the loop have their turn in between.
const MOST_IN_A_TURN: usize = 128;

/// The future of the scope owns it; all else refers to it weakly.
pub(super) struct ScopeState<'env, T> {
    pub(super) core: Rc<Core>,
    phase: Cell<Phase>,
    children: RefCell<Slab<Option<Entry<'env>>>>,
    queue: Arc<WakeQueue<SlabKey>>,
    pub(super) outcome: Outcome<T>,
}

type Steps<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

struct Entry<'env> {
    /// Out of its place while it is polled.
    steps: Option<(Steps<'env>, Waker)>,
    is_cancelled: bool,
    waker: Arc<ChildWaker<SlabKey>>,
    /// The task-local values of where it was spawned, which need not be those of where the scope is awaited.
    context: Option<Rc<local::Context>>,
}

/// What wakes the body.
pub(super) struct BodyWaker {
    woken: Arc<ChildWaker<SlabKey>>,
    waker: Waker,
}

impl BodyWaker {
    /// The body is about to be polled, with this.
    pub(super) fn begin_poll(&self) -> Context<'_> {
        self.woken.unqueue();
        Context::from_waker(&self.waker)
    }
}

impl<'env, T> ScopeState<'env, T> {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            phase: Cell::new(Phase::Open),
            children: RefCell::default(),
            queue: Arc::new(WakeQueue::new()),
            outcome: Outcome::default(),
        })
    }

    /// The waker of the body, which is polled in the scope's first turn.
    pub(super) fn body_waker(&self) -> BodyWaker {
        let woken = ChildWaker::new(&self.queue, BODY);
        woken.wake_by_ref();
        BodyWaker { waker: Waker::from(Arc::clone(&woken)), woken }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(super) fn is_ending(&self) -> bool {
        self.phase.get() == Phase::Ending
    }

    /// The key of a task that is about to be added, if one can be.
    pub(super) fn admit(&self) -> Option<SlabKey> {
        self.is_open().then(|| self.children.borrow_mut().insert(None))
    }

    /// Adds a task that was admitted. It is polled in the scope's next turn.
    pub(super) fn add(&self, key: SlabKey, steps: Steps<'env>) {
        let waker = ChildWaker::new(&self.queue, key);
        let steps = Some((steps, Waker::from(Arc::clone(&waker))));
        let context = local::current();
        let entry = Entry { steps, is_cancelled: false, waker: Arc::clone(&waker), context };
        if let Some(place) = self.children.borrow_mut().get_mut(key) {
            *place = Some(entry);
        }
        self.run_waker(|| waker.wake());
    }

    /// Goes on with what was woken before: each task once, and the body by `poll_body`.
    pub(super) fn turn(&self, context: &Context<'_>, mut poll_body: impl FnMut()) {
        let (woken, former) = self.queue.begin_turn(context.waker());
        self.core.drop_user(former, "waker");
        for _ in 0..woken.min(MOST_IN_A_TURN) {
            if !self.is_open() {
                return;
            }
            match self.queue.pop() {
                Some(BODY) => poll_body(),
                Some(key) => self.poll_child(key),
                None => return,
            }
        }
    }

    fn poll_child(&self, key: SlabKey) {
        let mut children = self.children.borrow_mut();
        let Some(Some(entry)) = children.get_mut(key) else { return };
        entry.waker.unqueue();
        if entry.is_cancelled {
            let entry = children.remove(key).flatten();
            drop(children);
            return self.drop_entry(entry);
        }
        let Some((mut steps, waker)) = entry.steps.take() else { return };
        let inside = Entered::enter(entry.context.clone());
        drop(children);
        let is_done = steps.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        drop(inside);
        let mut children = self.children.borrow_mut();
        if let Some(Some(entry)) = children.get_mut(key) {
            entry.steps = Some((steps, waker));
        }
        let ended = if is_done { children.remove(key).flatten() } else { None };
        drop(children);
        self.drop_entry(ended);
    }

    /// Ends a turn in which the body was not or is not over. Returns whether the scope is not either, and
    /// has its future polled again if there is more to do.
    pub(super) fn end_turn(&self, is_body_over: bool, context: &Context<'_>) -> bool {
        if self.is_ending() {
            self.drop_children();
        }
        if is_body_over && self.children.borrow().is_empty() {
            self.phase.set(Phase::Over);
            return false;
        }
        if self.queue.end_turn() {
            self.run_waker(|| context.waker().wake_by_ref());
        }
        true
    }

    /// Ends all tasks, and the body, at the scope's next poll.
    pub(super) fn end(&self) {
        if self.is_open() {
            self.phase.set(Phase::Ending);
            self.run_waker(|| self.queue.tell());
        }
    }

    /// The scope's future has ended, or was dropped.
    pub(super) fn close(&self) {
        self.phase.set(Phase::Over);
        let waker = self.queue.close();
        self.core.drop_user(waker, "waker");
        self.drop_children();
    }

    /// What wakes the scope's future, whose waker is the user's.
    fn run_waker(&self, wake: impl FnOnce()) {
        self.core.run_caught("a waker failed", wake);
    }

    fn drop_children(&self) {
        // None comes while they are dropped: the scope is not open.
        let mut children = self.children.take();
        for entry in children.values_mut() {
            self.drop_entry(entry.take());
        }
    }

    fn drop_entry(&self, entry: Option<Entry<'env>>) {
        if let Some(mut entry) = entry {
            let context = entry.context.take();
            let inside = Entered::enter(context.clone());
            self.core.run_caught("dropping a task failed", || drop(entry));
            drop(inside);
            if context.is_some() {
                self.core.drop_user(context, "task-local value");
            }
        }
    }
}

impl<T> Owner for ScopeState<'_, T> {
    fn fail(&self, error: Error) {
        self.outcome.note_error(error);
        self.end();
    }

    fn left(&self, _: SlabKey) {}

    fn cancel_child(&self, key: SlabKey) {
        let mut children = self.children.borrow_mut();
        let Some(Some(entry)) = children.get_mut(key) else { return };
        entry.is_cancelled = true;
        let waker = Arc::clone(&entry.waker);
        drop(children);
        self.run_waker(|| waker.wake());
    }
}
