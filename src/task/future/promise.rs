//! The end of a future that sets its result.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::state::{OnCancel, Shared, State};
use crate::error::{Error, Failure, Kind};
use crate::thread_bound::{ThreadBound, UseRunInExecutorOrAChannel};

/// The other end of a [`LoopFuture`](crate::LoopFuture): it sets the result, once.
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

impl<T: 'static> Promise<T> {
    pub(super) fn new(shared: Rc<Shared<T>>) -> Self {
        Self { shared, bound: PhantomData }
    }

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
