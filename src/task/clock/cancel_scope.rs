//! A part of a program that can be cancelled from elsewhere, or at a time that can be moved.

mod state;

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use self::state::{Ended, Place, State};
use crate::error::{Error, Kind};
use crate::event_loop::registry::expect_current;
use crate::event_loop::{Core, EventLoop};
use crate::timeout::TimeoutKind;

/// What runs in it is dropped when it is cancelled, or when its deadline has passed. Trio's `CancelScope`.
///
/// A clone is the same scope. It can be cancelled, and its deadline moved, from anywhere on the loop: callbacks, other
/// tasks, and what runs in it. Several futures can run in one scope, also one after the other: it ends all of them.
///
/// Dropping it changes nothing: what runs in it goes on, and its deadline counts.
///
/// ```
/// use std::time::Duration;
/// use wharf::{CancelScope, Result, sleep};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     // Cancelled by a callback.
///     let scope = CancelScope::new();
///     let stop = scope.clone();
///     event_loop.call_later(Duration::from_secs(5), move || stop.cancel());
///     assert!(scope.run(sleep(Duration::from_secs(60))).await.is_none());
///
///     // Ten seconds for each step, and not for all of them.
///     let limit = CancelScope::after(Duration::from_secs(10));
///     let steps = async {
///         for _ in 0..5 {
///             sleep(Duration::from_secs(8)).await;
///             limit.reschedule_after(Duration::from_secs(10));
///         }
///         "done"
///     };
///     assert_eq!(limit.try_run(steps).await?, "done");
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("CancellationToken", "AbortHandle", "Timeout"))]
#[derive(Clone)]
pub struct CancelScope {
    state: Rc<State>,
}

impl CancelScope {
    /// A scope without a deadline, of the loop that is running.
    ///
    /// # Panics
    /// Where no loop is running on this thread. [`EventLoop::cancel_scope`] needs none.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it panics where no loop is running")]
    pub fn new() -> Self {
        expect_current("CancelScope::new").cancel_scope()
    }

    /// A scope that ends when `duration` has passed, from now on.
    ///
    /// # Panics
    /// Where no loop is running on this thread. [`EventLoop::cancel_scope`] needs none.
    #[track_caller]
    pub fn after(duration: Duration) -> Self {
        let event_loop = expect_current("CancelScope::after");
        let core = event_loop.core();
        Self { state: State::new(core, Some(core.after(duration))) }
    }

    /// A scope that ends when the loop's clock has reached `when`.
    ///
    /// # Panics
    /// Where no loop is running on this thread. [`EventLoop::cancel_scope`] needs none.
    #[track_caller]
    pub fn at(when: Instant) -> Self {
        let event_loop = expect_current("CancelScope::at");
        let core = event_loop.core();
        Self { state: State::new(core, Some(core.since_start(when))) }
    }

    /// Awaits `future`; `None` if the scope is cancelled or expires before it is done.
    ///
    /// `future` is then dropped, before this ends. It is polled at least once, also in a scope that is over, and one
    /// that is done wins.
    #[doc(alias("run_until_cancelled"))]
    pub fn run<F: IntoFuture>(&self, future: F) -> impl Future<Output = Option<F::Output>> {
        // Its own reference: the future may drop the last other one.
        let state = Rc::clone(&self.state);
        let future = future.into_future();
        async move {
            let mut future = pin!(future);
            let mut place = Place::new(&state);
            poll_fn(|context| place.step(future.as_mut(), context)).await
        }
    }

    /// As [`run`](Self::run), with an error for the end of the scope: [`is_timeout`](Error::is_timeout) if its
    /// deadline passed, [`is_cancelled`](Error::is_cancelled) if it was cancelled.
    pub fn try_run<F: IntoFuture>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Error>> {
        let state = Rc::clone(&self.state);
        let future = future.into_future();
        async move {
            let output = {
                let mut future = pin!(future);
                let mut place = Place::new(&state);
                poll_fn(|context| place.step(future.as_mut(), context)).await
            };
            output.ok_or_else(|| match state.ended() {
                Some(Ended::Expired) => Error::timeout(TimeoutKind::Future),
                _ => Error::bare(Kind::Cancelled),
            })
        }
    }

    /// Ends what runs in the scope, and all that is to run in it later. Later calls change nothing.
    ///
    /// Nothing is dropped here: what runs in the scope is woken for that.
    pub fn cancel(&self) {
        self.state.end(Ended::Cancelled);
    }

    /// Whether the scope is over: it was cancelled, or its deadline has passed while something ran in it.
    pub fn is_cancelled(&self) -> bool {
        self.state.ended().is_some()
    }

    /// Whether it was its deadline that ended the scope. asyncio's `Timeout.expired`.
    pub fn is_expired(&self) -> bool {
        self.state.ended() == Some(Ended::Expired)
    }

    /// The deadline; `None` if there is none.
    #[doc(alias("deadline"))]
    pub fn when(&self) -> Option<Instant> {
        self.state.deadline().map(|deadline| self.state.core.instant(deadline))
    }

    /// Moves the deadline, or takes it away. `false` if the scope is over already: that stays.
    ///
    /// One in the past ends the scope in the loop's next tick.
    pub fn reschedule(&self, when: impl Into<Option<Instant>>) -> bool {
        self.state.set_deadline(when.into().map(|when| self.state.core.since_start(when)))
    }

    /// Moves the deadline to `duration` from now. `false` if the scope is over already.
    pub fn reschedule_after(&self, duration: Duration) -> bool {
        self.state.set_deadline(Some(self.state.core.after(duration)))
    }
}

impl CancelScope {
    pub(super) fn core(&self) -> &Core {
        &self.state.core
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CancelScope")
            .field("when", &self.when())
            .field("ended", &self.state.ended())
            .finish()
    }
}

/// # Cancel scopes
impl EventLoop {
    /// A [`CancelScope`] of this loop, without a deadline; [`reschedule`](CancelScope::reschedule) sets one.
    pub fn cancel_scope(&self) -> CancelScope {
        CancelScope { state: State::new(self.core(), None) }
    }
}
