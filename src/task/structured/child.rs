//! One task of a group or a scope.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::super::future::discard;
use super::super::slab::SlabKey;
use crate::error::{Error, Kind};
use crate::event_loop::{Core, WakerSlot};

/// A task of a [`TaskGroup`](crate::TaskGroup) or a [`Scope`](crate::Scope): awaiting it gives what its future gave.
///
/// An `Err` means that the task failed, which the group is told as well, or was cancelled. Dropping this changes nothing:
/// the group waits for the task all the same.
///
/// ```
/// use wharf::{Result, task_group};
///
/// # fn main() -> Result {
/// wharf::EventLoop::new()?.run(async |_| {
///     let sum = task_group(async |group| {
///         let (six, seven) = (group.spawn(async { Ok(6) }), group.spawn(async { Ok(7) }));
///         Ok(six.await? + seven.await?)
///     });
///     assert_eq!(sum.await?, 13);
///     Ok(())
/// })
/// # }
/// ```
pub struct Child<'env, T> {
    slot: Rc<Slot<T>>,
    owner: Weak<dyn Owner + 'env>,
    key: SlabKey,
}

impl<'env, T> Child<'env, T> {
    pub(super) fn new(slot: Rc<Slot<T>>, owner: Weak<dyn Owner + 'env>, key: SlabKey) -> Self {
        Self { slot, owner, key }
    }

    /// Ends this task alone. That is no error of the group. Its future is dropped in the loop's next round; once this is
    /// awaited to its end, it was.
    pub fn cancel(&self) {
        if !self.is_done()
            && let Some(owner) = self.owner.upgrade()
        {
            owner.cancel_child(self.key);
        }
    }

    pub(super) fn was_cancelled(&self) -> bool {
        let result = self.slot.result.take();
        let was_cancelled = matches!(&result, Some(Err(error)) if error.is_cancelled());
        self.slot.result.set(result);
        was_cancelled
    }

    /// Whether the task has ended, and its future was dropped.
    pub fn is_done(&self) -> bool {
        self.slot.is_done.get()
    }
}

impl<T> Future for Child<'_, T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = &*self.slot;
        if !slot.is_done.get() {
            slot.waker.keep(&slot.core, context.waker());
        }
        if !slot.is_done.get() {
            return Poll::Pending;
        }
        Poll::Ready(slot.result.take().unwrap_or_else(|| Err(Error::already_taken())))
    }
}

impl<T> fmt::Debug for Child<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Child").field("is_done", &self.is_done()).finish()
    }
}

/// Whom a task belongs to.
pub(super) trait Owner {
    /// The task has failed: all others end.
    fn fail(&self, error: Error);

    /// The task is over, and its future was dropped.
    fn left(&self, key: SlabKey);

    fn cancel_child(&self, key: SlabKey);
}

/// Where the result of a task waits for whoever takes it.
pub(super) struct Slot<T> {
    core: Rc<Core>,
    result: Cell<Option<Result<T, Error>>>,
    is_done: Cell<bool>,
    waker: WakerSlot,
}

impl<T> Slot<T> {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            result: Cell::new(None),
            is_done: Cell::new(false),
            waker: WakerSlot::default(),
        })
    }

    /// Of a task that was refused.
    pub(super) fn cancelled(core: &Rc<Core>) -> Rc<Self> {
        let slot = Self::new(core);
        slot.set_done();
        slot
    }

    /// The end of the task: without a result it was cancelled.
    fn set_done(&self) {
        if self.is_done.replace(true) {
            return;
        }
        let result = self.result.take().unwrap_or_else(|| Err(Error::bare(Kind::Cancelled)));
        self.result.set(Some(result));
        self.waker.wake(&self.core);
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if let Some(Ok(value)) = self.result.take() {
            discard_value(&self.core, value);
        }
        self.waker.clear(&self.core);
    }
}

/// Drops a result that nobody took: what it leads to is closed.
pub(super) fn discard_value<T>(core: &Core, value: T) {
    if std::mem::needs_drop::<T>() {
        core.run_caught("dropping a result failed", || discard(value));
    }
}

/// A task's place in its group. Dropping it says that the task is over, after its future was dropped.
pub(super) struct Member<'env, T> {
    pub(super) slot: Rc<Slot<T>>,
    pub(super) owner: Weak<dyn Owner + 'env>,
    pub(super) key: SlabKey,
}

impl<T> Drop for Member<'_, T> {
    fn drop(&mut self) {
        self.slot.set_done();
        if let Some(owner) = self.owner.upgrade() {
            owner.left(self.key);
        }
    }
}

/// Takes the error of a task in place of the group; `Some`: it does not.
pub(super) trait TakesError {
    fn take_error(&self, error: Error) -> Option<Error>;
}

/// A task that is about to run.
pub(super) struct NewTask<'env, F: Future, T> {
    // Dropped before the member if the task is cancelled before its first step.
    pub(super) future: F,
    pub(super) convert: fn(F::Output) -> Result<T, Error>,
    pub(super) takes_error: Option<Rc<dyn TakesError + 'env>>,
    pub(super) member: Member<'env, T>,
}

/// A task from its first step to its end. Its panic is its error.
pub(super) async fn run_child<F: Future, T>(core: Rc<Core>, new: NewTask<'_, F, T>) {
    // The last to be dropped, whenever that is.
    let member = new.member;
    let convert = new.convert;
    let outcome = {
        let mut future = pin!(Some(new.future));
        let outcome = poll_fn(|context| {
            let Some(steps) = future.as_mut().as_pin_mut() else { return Poll::Pending };
            match core.run_inside(|| steps.poll(context).map(convert)) {
                Ok(poll) => poll,
                Err(panic) => Poll::Ready(Err(panic.into_error())),
            }
        })
        .await;
        // Here, so that a panic of its Drop code does not keep the task from ending.
        core.run_caught("dropping a task failed", || future.set(None));
        outcome
    };
    let error = match &outcome {
        Ok(_) => None,
        Err(error) => Some(error.clone()),
    };
    member.slot.result.set(Some(outcome));
    let untaken = error.and_then(|error| match &new.takes_error {
        Some(start) => start.take_error(error),
        None => Some(error),
    });
    if let (Some(error), Some(owner)) = (untaken, member.owner.upgrade()) {
        owner.fail(error);
    }
}
