//! Values that belong to a task.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};

use crate::fence::{self, Panic};

/// A value that belongs to the running task, and to the tasks that it spawns: asyncio's `ContextVar`.
///
/// [`scope`](Self::scope) sets it for a future, and for all tasks that are spawned inside; these keep it for
/// as long as they run. Each future may set it anew for what it calls, which changes nothing outside.
/// Callbacks of the loop (protocols, timers, `call_soon`) have none: they belong to no task.
///
/// ```
/// use wharf::{Result, TaskLocal};
/// use wharf::testing::MemoryNetwork;
///
/// static REQUEST: TaskLocal<u32> = TaskLocal::new();
///
/// async fn work() -> Option<u32> {
///     wharf::yield_now().await;
///     REQUEST.get()
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |_| {
///     let (one, two) = REQUEST.scope(1, async { (wharf::spawn(work()), REQUEST.scope(2, work()).await) }).await;
///     assert_eq!((one.await?, two), (Some(1), Some(2)));
///     assert_eq!(REQUEST.get(), None);
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("ContextVar", "task_local", "thread_local"))]
pub struct TaskLocal<T: 'static> {
    /// Given when it is first set, from 1 on; 0 before.
    id: AtomicUsize,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> TaskLocal<T> {
    /// A value that is not set anywhere. It is meant for a `static`.
    pub const fn new() -> Self {
        Self { id: AtomicUsize::new(0), value: PhantomData }
    }

    /// Runs `future` with the value set, for itself and for the tasks that are spawned inside.
    ///
    /// Dropping it drops `future` with the value set, then the value, unless a task still has it.
    pub async fn scope<F: Future>(&self, value: T, future: F) -> F::Output {
        InContext { context: Some(self.context(value)), future: Some(Box::pin(future)) }.await
    }

    /// Calls `action` with the value set, for itself and for the tasks that are spawned inside.
    pub fn sync_scope<R>(&self, value: T, action: impl FnOnce() -> R) -> R {
        let _entered = Entered::enter(Some(self.context(value)));
        action()
    }

    /// Calls `action` with the value; with `None` where it is not set.
    pub fn with<R>(&self, action: impl FnOnce(Option<&T>) -> R) -> R {
        let value = self.find();
        action(value.as_ref().and_then(|value| value.downcast_ref()))
    }

    /// A clone of the value; `None` where it is not set.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    fn context(&self, value: T) -> Rc<Context> {
        Rc::new(Context { id: self.id(), value: Some(Rc::new(value)), outer: current() })
    }

    fn find(&self) -> Option<Rc<dyn Any>> {
        let id = self.id.load(Ordering::Relaxed);
        let mut place = if id == 0 { None } else { current() };
        while let Some(node) = place {
            if node.id == id {
                return node.value.clone();
            }
            place = node.outer.clone();
        }
        None
    }

    fn id(&self) -> usize {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let known = self.id.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        // Another thread may have been first.
        match self.id.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => id,
            Err(known) => known,
        }
    }
}

impl<T: 'static> Default for TaskLocal<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| formatter.debug_tuple("TaskLocal").field(&value).finish())
    }
}

/// A value that is set, and those that were set outside of it.
pub(crate) struct Context {
    id: usize,
    /// There until it is dropped.
    value: Option<Rc<dyn Any>>,
    outer: Option<Rc<Self>>,
}

impl Drop for Context {
    /// One after the other: a task that sets a value and spawns the next makes a long chain.
    fn drop(&mut self) {
        let mut dropping = Dropping::default();
        dropping.drop(self.value.take());
        let mut next = self.outer.take();
        while let Some(mut context) = next.and_then(Rc::into_inner) {
            next = context.outer.take();
            dropping.drop(context.value.take());
        }
        dropping.finish();
    }
}

/// Drops several values of the user's. The first panic goes on when all are dropped: two at once would end the
/// process.
#[derive(Default)]
struct Dropping(Option<Panic>);

impl Dropping {
    fn drop<T>(&mut self, value: T) {
        if let Err(panic) = fence::run(|| drop(value)) {
            self.0.get_or_insert(panic);
        }
    }

    fn finish(self) {
        if let Some(panic) = self.0
            && !std::thread::panicking()
        {
            panic.resume();
        }
    }
}

thread_local! {
    static CONTEXT: RefCell<Option<Rc<Context>>> = const { RefCell::new(None) };
}

/// What is set where this is called, for the tasks that are spawned there.
pub(crate) fn current() -> Option<Rc<Context>> {
    CONTEXT.try_with(|context| context.borrow().clone()).ok().flatten()
}

/// Sets what is set, for as long as this lives.
pub(crate) struct Entered {
    former: Option<Rc<Context>>,
}

impl Entered {
    pub(crate) fn enter(context: Option<Rc<Context>>) -> Self {
        Self { former: replace(context) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = replace(self.former.take());
        drop(left);
    }
}

fn replace(context: Option<Rc<Context>>) -> Option<Rc<Context>> {
    CONTEXT.try_with(|place| place.replace(context)).ok().flatten()
}

/// A future that runs, and is dropped, with a value set.
struct InContext<F> {
    /// There until it is dropped.
    context: Option<Rc<Context>>,
    /// On the heap, so that its `Drop` can be called inside without unsafe code.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        let _entered = Entered::enter(self.context.clone());
        match &mut self.future {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        let mut dropping = Dropping::default();
        let entered = Entered::enter(self.context.clone());
        dropping.drop(self.future.take());
        dropping.drop(entered);
        dropping.drop(self.context.take());
        dropping.finish();
    }
}
