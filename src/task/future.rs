//! A result that is not there yet.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::detached::take_error;
use super::done_callbacks::DoneCallbacks;
use crate::error::{Error, Failure, Kind};
use crate::event_loop::{Callback, CallbackHandle, Core, EventLoop, Exception, Ready, SlowWatch};
use crate::thread_bound::{ThreadBound, UseRunInExecutorOrAChannel};

/// A result that will be there: it can be awaited, and takes done callbacks. asyncio's `Future`.
///
/// Dropping it while it is pending cancels what it stands for, unless it has a done callback or was
/// [detached](Self::detach).
///
/// Dropping it with its result still in it closes what is in the result: every
/// [`Connection`](crate::Connection), [`Server`](crate::Server), [`Endpoint`](crate::Endpoint) and
/// [`Handover`](crate::Handover), wherever it is in there, unless a clone of it is elsewhere. An
/// error that nobody took goes to the exception handler. A result is taken when the future is awaited
/// to its end or [`take_result`](Self::take_result) gives it; it counts as taken when a done callback
/// was called with it, or the future was detached. A value that was taken is yours: dropping it
/// closes nothing.
///
/// ```
/// use wharf::{EventLoop, LoopFuture, Result};
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let (promise, future): (_, LoopFuture<u32>) = event_loop.create_future();
///     event_loop.call_soon(move || drop(promise.set_result(42)));
///     assert_eq!(future.await?, 42);
///
///     // Or with a callback, from code that is not async.
///     let working = event_loop.run_in_executor(|| 6 * 7);
///     working.add_done_callback(|result| println!("{result:?}"));
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("Future", "Deferred", "JoinHandle"))]
#[must_use = "dropping it cancels what it stands for; await it, add a done callback or detach it"]
pub struct LoopFuture<T: 'static> {
    shared: Rc<Shared<T>>,
    bound: ThreadBound<UseRunInExecutorOrAChannel>,
}

/// The other end of a [`LoopFuture`]: it sets the result, once.
///
/// Dropping it without a result completes the future as cancelled.
///
/// A client's protocol answers each request through a promise:
///
/// ```
/// use std::collections::VecDeque;
/// use wharf::testing::Recorder;
/// use wharf::{LoopFuture, Promise, Protocol, Result, Transport};
///
/// #[derive(Default)]
/// struct Client {
///     waiting: VecDeque<Promise<u8>>,
/// }
///
/// impl Client {
///     fn ask(&mut self, transport: &dyn Transport, question: u8) -> LoopFuture<u8> {
///         let (promise, answer) = transport.event_loop().create_future();
///         self.waiting.push_back(promise);
///         transport.write(&[question]);
///         answer
///     }
/// }
///
/// impl Protocol for Client {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         for &answer in data {
///             let promise = self.waiting.pop_front().ok_or("an answer to no question")?;
///             // An error is the answer of a question that nobody waits for any more.
///             let _ = promise.set_result(answer);
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(Client::default)?;
/// let answer = recorder.with(|client, transport| client.ask(transport, 6))?;
/// assert_eq!(recorder.sent()?, [6]);
/// recorder.receive(&[42])?;
/// assert!(matches!(answer.take_result(), Some(Ok(42))));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it cancels its future"]
#[doc(alias("oneshot", "Deferred"))]
pub struct Promise<T: 'static> {
    shared: Rc<Shared<T>>,
    bound: ThreadBound<UseRunInExecutorOrAChannel>,
}

/// A pending future and the promise that completes it.
pub(crate) fn future<T: 'static>(core: &Rc<Core>) -> (Promise<T>, LoopFuture<T>) {
    let shared = Rc::new(Shared {
        core: Rc::clone(core),
        state: Cell::new(State::Pending),
        result: RefCell::new(None),
        callbacks: DoneCallbacks::default(),
        waker: Cell::new(None),
        on_cancel: Cell::new(None),
        detached: Cell::new(false),
        is_step: Cell::new(false),
        dropped: Cell::new(false),
        told: Cell::new(false),
        cancelled: Cell::new(false),
    });
    let promise = Promise { shared: Rc::clone(&shared), bound: PhantomData };
    (promise, LoopFuture { shared, bound: PhantomData })
}

/// Values, callbacks, actions and wakers in it are the user's: they are called and dropped behind the
/// fence, each by itself.
pub(super) struct Shared<T: 'static> {
    pub(super) core: Rc<Core>,
    state: Cell<State>,
    /// There from the completion until it is taken.
    result: RefCell<Option<Result<T, Error>>>,
    pub(super) callbacks: DoneCallbacks<T>,
    waker: Cell<Option<Waker>>,
    /// Ends the operation that the future stands for.
    on_cancel: Cell<Option<OnCancel>>,
    /// Nobody needs to wait for the operation to go on.
    detached: Cell<bool>,
    /// An operation awaits it, and passes its error on in its own.
    is_step: Cell<bool>,
    /// There is no `LoopFuture` any more.
    dropped: Cell<bool>,
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

/// What is done when the future is cancelled.
enum OnCancel {
    /// By the engine: at once.
    Own(Box<dyn FnOnce()>),
    /// By the user: not inside another callback.
    User(Box<dyn FnOnce()>),
}

impl<T: 'static> LoopFuture<T> {
    /// Whether it has a result, or was cancelled.
    pub fn is_done(&self) -> bool {
        self.shared.state.get() != State::Pending
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.get()
    }

    /// Ends what it stands for, and completes it as cancelled; `false` when it was done already.
    pub fn cancel(&self) -> bool {
        self.shared.cancel()
    }

    /// The loop calls `callback` with the result; it is never called from here.
    ///
    /// Callbacks are called in the order in which they were added, also when the future is done
    /// already, and before the code that awaits it goes on. A callback whose result was awaited before
    /// it was added is not called.
    ///
    /// The handle takes the callback back. It is then as if it had never been added: dropping the
    /// future cancels, and so does taking back the last callback of a future that is dropped
    /// already.
    #[doc(alias("addCallback", "addBoth"))]
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&Result<T, Error>) + 'static,
    ) -> CallbackHandle {
        let callback = DoneCallbacks::add(&self.shared, Box::new(callback));
        if self.is_done() {
            self.shared.tell_soon();
        }
        CallbackHandle::new(&self.shared.core, callback)
    }

    /// Lets what it stands for go on without anybody waiting for it.
    ///
    /// An error at its end goes to the exception handler, and so does an `Err` in its output if that is a
    /// [`Result`](crate::Result) without a value. Any other output stays as it is, and nothing in it is closed.
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
    /// A step of another operation: if that is given up, errors of this step are not reported.
    pub(crate) fn into_step(self) -> Self {
        self.shared.is_step.set(true);
        self
    }
}

impl<T: 'static> Future for LoopFuture<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.shared.state.get() != State::Done {
            let former = self.shared.waker.replace(Some(context.waker().clone()));
            self.shared.drop_waker(former);
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
        self.shared.dropped.set(true);
        self.shared.drop_waker(self.shared.waker.take());
        self.shared.cancel_if_unwanted();
    }
}

impl<T: 'static> fmt::Debug for LoopFuture<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoopFuture")
            .field("is_done", &self.is_done())
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

impl<T: 'static> Promise<T> {
    /// Completes the future. Gives `value` back when it was cancelled in the meantime.
    #[doc(alias("callback"))]
    pub fn set_result(self, value: T) -> Result<(), T> {
        match self.shared.complete(Ok(value)) {
            Err(Ok(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Completes the future with an error: a wharf error, any other, or a text. Gives it back when it was
    /// cancelled in the meantime.
    ///
    /// A wharf error can be cloned, to complete several. Any other becomes one that
    /// [`is_application`](Error::is_application).
    #[doc(alias("set_exception", "errback"))]
    pub fn set_error(self, error: impl Into<Failure>) -> Result<(), Error> {
        match self.shared.complete(Err(error.into().into())) {
            Err(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether nobody waits for the result any more: the future was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.state.get() != State::Pending
    }

    /// Whether the future was detached, or dropped with a done callback: nobody will own the result.
    pub(crate) fn is_left_alone(&self) -> bool {
        Rc::strong_count(&self.shared) == 1 && !self.is_cancelled()
    }

    /// Calls `action` once if the future is cancelled or dropped while it is pending: to end the
    /// operation. It replaces a former one.
    ///
    /// It is called at once, also if the future was cancelled before; inside a callback of the loop,
    /// which no other interrupts, in the loop's next round. A panic in it goes to the exception
    /// handler.
    pub fn on_cancel(&self, action: impl FnOnce() + 'static) {
        self.set_on_cancel(OnCancel::User(Box::new(action)));
    }

    /// As [`on_cancel`](Self::on_cancel), for the engine: at once, wherever that is.
    pub(crate) fn on_cancel_at_once(&self, action: impl FnOnce() + 'static) {
        self.set_on_cancel(OnCancel::Own(Box::new(action)));
    }

    fn set_on_cancel(&self, action: OnCancel) {
        if self.is_cancelled() {
            return self.shared.run_on_cancel(action);
        }
        let former = self.shared.on_cancel.replace(Some(action));
        self.shared.drop_on_cancel(former);
    }

    pub(crate) fn set(self, result: Result<T, Error>) {
        if let Err(refused) = self.shared.complete(result) {
            // Nobody waits for it any more.
            self.shared.core.discard_user(refused, "result");
        }
    }
}

impl<T: 'static> Drop for Promise<T> {
    fn drop(&mut self) {
        if self.shared.state.get() == State::Pending {
            self.shared.drop_on_cancel(self.shared.on_cancel.take());
            // It is pending, so nothing is refused.
            let _ = self.shared.complete(Err(Error::bare(Kind::Cancelled)));
        }
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
        let action = self.on_cancel.take();
        if self.callbacks.is_empty() {
            self.finish();
        } else {
            self.tell_soon();
        }
        self.drop_on_cancel(action);
        Ok(())
    }

    fn cancel(self: &Rc<Self>) -> bool {
        if self.state.get() != State::Pending {
            return false;
        }
        let action = self.on_cancel.take();
        let _ = self.complete(Err(Error::bare(Kind::Cancelled)));
        if let Some(action) = action {
            self.run_on_cancel(action);
        }
        true
    }

    /// Cancels what nobody waits for.
    pub(super) fn cancel_if_unwanted(self: &Rc<Self>) {
        let is_wanted = !self.dropped.get() || self.detached.get() || !self.callbacks.is_empty();
        if !is_wanted && self.state.get() == State::Pending {
            self.told.set(true);
            self.cancel();
        }
    }

    fn run_on_cancel(&self, action: OnCancel) {
        match action {
            OnCancel::Own(action) => action(),
            OnCancel::User(action) => self.core.call_when_free(action, "a cancel action failed"),
        }
    }

    fn drop_on_cancel(&self, action: Option<OnCancel>) {
        if let Some(OnCancel::Own(action) | OnCancel::User(action)) = action {
            self.core.drop_user(action, "cancel action");
        }
    }

    fn drop_waker(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.core.drop_user(waker, "waker");
        }
    }

    /// Schedules the done callbacks on the loop.
    fn tell_soon(self: &Rc<Self>) {
        self.state.set(State::Telling);
        if self.core.is_finished() {
            return self.tell_nobody();
        }
        self.core.push_ready(Ready::Callback(Rc::new(Tell(Rc::clone(self)))));
    }

    fn tell(self: &Rc<Self>, core: &Rc<Core>) {
        // Out of its place while the callbacks look at it: they may use the future.
        let result = self.result.borrow_mut().take();
        // Those that are added meanwhile are called in the next round.
        let end = self.callbacks.end();
        while let Some(callback) = self.callbacks.pop_before(end) {
            let Some(result) = &result else {
                core.drop_user(callback, "done callback");
                continue;
            };
            self.told.set(true);
            core.counters.count_callback();
            let watch = SlowWatch::start(core);
            core.run_caught("a done callback failed", || callback(result));
            watch.stop(core, "a done callback");
        }
        if let Some(result) = result {
            *self.result.borrow_mut() = Some(result);
        }
        if self.callbacks.is_empty() {
            self.finish();
        }
    }

    /// The loop is closed: no callback is called any more.
    fn tell_nobody(&self) {
        self.callbacks.cancel_all(&self.core);
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
        self.callbacks.cancel_all(&self.core);
        self.drop_waker(self.waker.take());
        self.drop_on_cancel(self.on_cancel.take());
        let Some(result) = self.result.get_mut().take() else { return };
        match result {
            Err(error) if !self.told.get() && !error.is_cancelled() && !self.is_step.get() => {
                self.report("an error of a future was never retrieved", error);
            }
            Ok(value) if !self.told.get() && self.detached.get() => {
                let mut value = Some(value);
                if let Some(error) = take_error(&mut value) {
                    self.report("a detached task failed", error);
                }
                self.core.drop_user(value, "result");
            }
            Ok(value) if !self.told.get() => {
                self.core.discard_user(value, "result");
            }
            result => self.core.drop_user(result, "result"),
        }
    }
}

impl<T: 'static> Shared<T> {
    /// Reports an error that nobody has asked for.
    #[cold]
    fn report(&self, message: &'static str, error: Error) {
        let report = Rc::new(Unretrieved { message, error: Cell::new(Some(error)) });
        if self.core.may_be_in_callback() {
            // The exception handler is a callback, too: it must not run inside the one that drops
            // this.
            self.core.push_ready(Ready::Callback(report));
        } else {
            report.discard(&self.core);
        }
    }
}

/// An error that nobody has asked for.
struct Unretrieved {
    message: &'static str,
    error: Cell<Option<Error>>,
}

impl Callback for Unretrieved {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.discard(core);
    }

    fn discard(self: Rc<Self>, core: &Core) {
        if let Some(error) = self.error.take() {
            core.report(&Exception::new(self.message, Some(&error), None));
            core.drop_user(error, "user's error");
        }
    }
}

/// The entry of the ready list that calls the done callbacks.
struct Tell<T: 'static>(Rc<Shared<T>>);

impl<T: 'static> Callback for Tell<T> {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.0.tell(core);
    }

    fn discard(self: Rc<Self>, _: &Core) {
        self.0.tell_nobody();
    }
}

/// # Futures
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
    #[doc(alias("oneshot", "Deferred"))]
    pub fn create_future<T: 'static>(&self) -> (Promise<T>, LoopFuture<T>) {
        future(self.core())
    }
}
