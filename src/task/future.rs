//! A result that is not there yet.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::untaken::discard;
use crate::error::{Error, Kind};
use crate::event_loop::{
    Callback, Cancellable, Core, EventLoop, Exception, Handle, Ready, SlowWatch,
};

/// A result that will be there: awaitable, and it takes done callbacks. asyncio's `Future`.
///
/// Dropping it while it is pending cancels what it stands for, unless it has a done callback or was
/// [detached](Self::detach).
///
/// Dropping it with its result still in it closes what is in the result: a
/// [`Connection`](crate::Connection), a [`Server`](crate::Server), an [`Endpoint`](crate::Endpoint)
/// or a [`Handover`](crate::Handover) that nobody took, wherever it is in there, is closed, unless a
/// clone of it is elsewhere. An error that nobody took goes to the exception handler. A result is
/// taken when the future is awaited to its end or [`take_result`](Self::take_result) gives it, and it
/// is as good as taken when a done callback was called with it, or the future was detached. Whoever
/// has taken a value decides what becomes of it: dropping it then closes nothing.
#[must_use = "dropping it cancels what it stands for; await it, add a done callback or detach it"]
pub struct LoopFuture<T: 'static> {
    shared: Rc<Shared<T>>,
}

/// The other end of a [`LoopFuture`]: it sets the result, once.
///
/// Dropping it without a result completes the future as cancelled.
pub struct Promise<T: 'static> {
    shared: Rc<Shared<T>>,
}

/// A pending future and the promise that completes it.
pub(crate) fn future<T: 'static>(core: &Rc<Core>) -> (Promise<T>, LoopFuture<T>) {
    let shared = Rc::new(Shared {
        core: Rc::clone(core),
        state: Cell::new(State::Pending),
        result: RefCell::new(None),
        callbacks: RefCell::default(),
        next_callback: Cell::new(0),
        waker: Cell::new(None),
        on_cancel: Cell::new(None),
        held: Cell::new(true),
        detached: Cell::new(false),
        is_step: Cell::new(false),
        told: Cell::new(false),
        cancelled: Cell::new(false),
    });
    (Promise { shared: Rc::clone(&shared) }, LoopFuture { shared })
}

struct Shared<T: 'static> {
    core: Rc<Core>,
    state: Cell<State>,
    /// There from the completion until it is taken.
    result: RefCell<Option<Result<T, Error>>>,
    /// By the order in which they were added. Those that were taken back are gone.
    callbacks: RefCell<BTreeMap<u64, Rc<DoneCallback<T>>>>,
    next_callback: Cell<u64>,
    waker: Cell<Option<Waker>>,
    /// Ends the operation that the future stands for.
    on_cancel: Cell<Option<Box<dyn FnOnce()>>>,
    /// There still is a future, which may ask for the result.
    held: Cell<bool>,
    /// The operation goes on though nobody waits for it.
    detached: Cell<bool>,
    /// It is awaited by an operation, which is told of its error in its own.
    is_step: Cell<bool>,
    /// Somebody took the result or was told of it.
    told: Cell<bool>,
    /// What the result was, also when it is taken or lent.
    cancelled: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    /// Completed; done callbacks are about to be called, and come before whoever awaits.
    Telling,
    Done,
}

struct DoneCallback<T: 'static> {
    callback: Cell<Option<BoxedDoneCallback<T>>>,
    cancelled: Cell<bool>,
    shared: Weak<Shared<T>>,
    id: u64,
}

type BoxedDoneCallback<T> = Box<dyn FnOnce(&Result<T, Error>)>;

impl<T: 'static> LoopFuture<T> {
    /// Whether it has a result, or was cancelled.
    pub fn done(&self) -> bool {
        self.shared.state.get() != State::Pending
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.shared.cancelled.get()
    }

    /// Ends what it stands for, and completes it as cancelled; `false` when it was done already.
    pub fn cancel(&self) -> bool {
        self.shared.cancel()
    }

    /// Has `callback` called with the result, by the loop, never from here.
    ///
    /// Callbacks are called in the order in which they were added, also when the future is done
    /// already, and before whoever awaits it goes on. A callback whose result was awaited before it
    /// was added is not called.
    ///
    /// The handle takes the callback back. If the future was dropped by then and has no other one,
    /// nobody waits any more: what it stands for is cancelled.
    pub fn add_done_callback(&self, callback: impl FnOnce(&Result<T, Error>) + 'static) -> Handle {
        let id = self.shared.next_callback.replace(self.shared.next_callback.get() + 1);
        let callback = Rc::new(DoneCallback {
            callback: Cell::new(Some(Box::new(callback))),
            cancelled: Cell::new(false),
            shared: Rc::downgrade(&self.shared),
            id,
        });
        self.shared.callbacks.borrow_mut().insert(id, Rc::clone(&callback));
        if self.done() {
            self.shared.tell_soon();
        }
        Handle::new(callback)
    }

    /// Lets what it stands for go on without anybody waiting for it.
    ///
    /// An error at its end goes to the exception handler; what it gives otherwise is left as it is,
    /// and nothing in it is closed.
    pub fn detach(self) {
        self.shared.detached.set(true);
    }

    /// Takes the result; `None` while it is pending, and once it was taken.
    pub fn take_result(&self) -> Option<Result<T, Error>> {
        if self.shared.state.get() == State::Pending {
            return None;
        }
        self.shared.told.set(true);
        self.shared.result.borrow_mut().take()
    }
}

impl<T: 'static> LoopFuture<T> {
    /// A step of another operation: when that is given up, nobody wants to hear of an error of this one.
    pub(crate) fn as_step(self) -> Self {
        self.shared.is_step.set(true);
        self
    }
}

impl<T: 'static> Future for LoopFuture<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.state.get() != State::Done {
            let former = self.shared.waker.replace(Some(context.waker().clone()));
            drop(former);
            return Poll::Pending;
        }
        Poll::Ready(
            self.take_result()
                .unwrap_or_else(|| Err(Error::invalid("the result was taken already"))),
        )
    }
}

impl<T: 'static> Drop for LoopFuture<T> {
    fn drop(&mut self) {
        let waker = self.shared.waker.take();
        drop(waker);
        self.shared.held.set(false);
        self.shared.cancel_if_unwanted();
    }
}

impl<T: 'static> fmt::Debug for LoopFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoopFuture")
            .field("done", &self.done())
            .field("cancelled", &self.cancelled())
            .finish()
    }
}

impl<T: 'static> Promise<T> {
    /// Completes the future. Gives `value` back when it was cancelled in the meantime.
    pub fn set_result(self, value: T) -> Result<(), T> {
        match self.shared.complete(Ok(value)) {
            Err(Ok(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Completes the future with an error. Gives it back when it was cancelled in the meantime.
    pub fn set_error(self, error: impl Into<Error>) -> Result<(), Error> {
        match self.shared.complete(Err(error.into())) {
            Err(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether nobody waits for the result any more: the future was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.state.get() != State::Pending
    }

    /// Whether the future was detached, or dropped with a done callback: nobody is going to have the
    /// result for good.
    pub(crate) fn is_left_alone(&self) -> bool {
        Rc::strong_count(&self.shared) == 1 && !self.is_cancelled()
    }

    /// Has `action` called once if the future is cancelled or dropped while it is pending: to end
    /// the operation. It replaces a former one.
    pub fn on_cancel(&self, action: impl FnOnce() + 'static) {
        let former = self.shared.on_cancel.replace(Some(Box::new(action)));
        drop(former);
    }

    pub(crate) fn set(self, result: Result<T, Error>) {
        // Nobody waits for it any more.
        let refused = self.shared.complete(result);
        discard(refused);
    }
}

impl<T: 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        let hook = self.shared.on_cancel.take();
        drop(hook);
        let refused = self.shared.complete(Err(Error::bare(Kind::Cancelled)));
        drop(refused);
    }
}

impl<T: 'static> fmt::Debug for Promise<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Promise").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

impl<T: 'static> Shared<T> {
    fn complete(self: &Rc<Self>, result: Result<T, Error>) -> Result<(), Result<T, Error>> {
        if self.state.get() != State::Pending {
            return Err(result);
        }
        self.cancelled.set(matches!(&result, Err(error) if error.is_cancelled()));
        *self.result.borrow_mut() = Some(result);
        let hook = self.on_cancel.take();
        if self.callbacks.borrow().is_empty() {
            self.finish();
        } else {
            self.tell_soon();
        }
        drop(hook);
        Ok(())
    }

    fn cancel(self: &Rc<Self>) -> bool {
        let hook = self.on_cancel.take();
        let cancelled = self.complete(Err(Error::bare(Kind::Cancelled))).is_ok();
        if let Some(hook) = hook
            && cancelled
        {
            hook();
        }
        cancelled
    }

    /// Cancels what nobody waits for.
    fn cancel_if_unwanted(self: &Rc<Self>) {
        if self.state.get() == State::Pending
            && !self.held.get()
            && !self.detached.get()
            && self.callbacks.borrow().is_empty()
        {
            self.told.set(true);
            self.cancel();
        }
    }

    /// Has the done callbacks called by the loop.
    fn tell_soon(self: &Rc<Self>) {
        self.state.set(State::Telling);
        if self.core.is_finished() {
            return self.tell_nobody();
        }
        self.core.push_ready(Ready::Callback(Rc::new(Tell(Rc::clone(self)))));
    }

    fn tell(self: &Rc<Self>, core: &Rc<Core>) {
        // Those that are added meanwhile are called in the next round.
        let end = self.next_callback.get();
        // Out of its place while the callbacks look at it: they may ask the future things.
        let result = self.result.borrow_mut().take();
        while let Some(callback) = self.next_callback_before(end) {
            let Some(result) = &result else {
                // It was taken before they could see it.
                core.drop_user(callback, "done callback");
                continue;
            };
            self.told.set(true);
            core.counters.count_callback();
            let watch = SlowWatch::start(core);
            core.run_caught("a done callback failed", || callback(result));
            watch.stop(core, "a done callback", None);
        }
        if result.is_some() {
            *self.result.borrow_mut() = result;
        }
        if self.callbacks.borrow().is_empty() {
            self.finish();
        }
    }

    fn next_callback_before(&self, end: u64) -> Option<BoxedDoneCallback<T>> {
        let mut callbacks = self.callbacks.borrow_mut();
        let first = callbacks.first_entry().filter(|first| *first.key() < end)?;
        first.remove().callback.take()
    }

    /// The loop is closed: nobody is called any more.
    fn tell_nobody(&self) {
        let callbacks = std::mem::take(&mut *self.callbacks.borrow_mut());
        for callback in callbacks.into_values() {
            self.core.run_caught("dropping a done callback failed", || callback.cancel());
        }
        self.finish();
    }

    fn finish(&self) {
        self.state.set(State::Done);
        if let Some(waker) = self.waker.take() {
            self.core.run_caught("a waker failed", || waker.wake());
        }
    }
}

impl<T: 'static> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.told.get() {
            return;
        }
        match self.result.get_mut().take() {
            Some(Err(error)) if !error.is_cancelled() && !self.is_step.get() => self.report(error),
            Some(Ok(value)) if !self.detached.get() => discard(value),
            _ => {}
        }
    }
}

impl<T: 'static> Shared<T> {
    #[cold]
    fn report(&self, error: Error) {
        let report = Rc::new(Unretrieved { core: Rc::clone(&self.core), error });
        if self.core.may_be_in_callback() {
            // The exception handler is a callback, too: not inside the one that drops this.
            self.core.push_ready(Ready::Callback(report));
        } else {
            report.discard();
        }
    }
}

/// An error that nobody has asked for.
struct Unretrieved {
    core: Rc<Core>,
    error: Error,
}

impl Callback for Unretrieved {
    fn run(self: Rc<Self>, _: &Rc<Core>) {
        self.discard();
    }

    fn discard(self: Rc<Self>) {
        let message = "an error of a future was never retrieved";
        self.core.report(&Exception::new(message, Some(&self.error), None));
    }
}

impl<T: 'static> Cancellable for DoneCallback<T> {
    fn cancel(&self) {
        let Some(callback) = self.callback.take() else { return };
        self.cancelled.set(true);
        let shared = self.shared.upgrade();
        let place = shared.as_ref().and_then(|shared| {
            // This is not the last reference to what is taken out: the caller has one.
            shared.callbacks.borrow_mut().remove(&self.id)
        });
        drop(place);
        drop(callback);
        if let Some(shared) = shared {
            shared.cancel_if_unwanted();
        }
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

/// The entry of the ready list that calls the done callbacks.
struct Tell<T: 'static>(Rc<Shared<T>>);

impl<T: 'static> Callback for Tell<T> {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.tell(core);
        // It may be the last to hold the result.
        core.drop_user(self, "result");
    }

    fn discard(self: Rc<Self>) {
        self.0.tell_nobody();
    }
}

impl EventLoop {
    /// A future to be completed by hand, and the promise that does it.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// let (promise, future) = event_loop.create_future();
    /// event_loop.call_soon(move || {
    ///     let _ = promise.set_result(42);
    /// });
    /// assert_eq!(event_loop.run_until_complete(future)??, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_future<T: 'static>(&self) -> (Promise<T>, LoopFuture<T>) {
        future(self.core())
    }
}
