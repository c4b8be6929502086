//! Deadlines around a future.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use crate::error::Error;
use crate::event_loop::registry::expect_current;
use crate::event_loop::{Core, EventLoop};
use crate::timeout::TimeoutKind;

/// Awaits `future` for at most `duration`, from now on.
///
/// When that has passed, `future` is dropped, and the error [`is_timeout`](Error::is_timeout). What its own awaits
/// lose when they are dropped is then lost, and nothing else. Timeouts can be nested: each turns only its own
/// deadline into an error, and errors of `future` are its output. asyncio's `timeout` and `wait_for`.
///
/// - `future` is anything that can be awaited, such as what [`EventLoop::open_connection`] gives, which begins here.
/// - It is polled at least once, and one that is done wins, however late it is. With a duration of zero it is polled
///   exactly once.
/// - It allocates nothing, and has no timer before it has to wait. To move the deadline meanwhile, use a
///   [`CancelScope`](crate::CancelScope).
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, sleep, timeout};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
///     let answer = async {
///         sleep(Duration::from_secs(3)).await;
///         42
///     };
///     assert_eq!(timeout(Duration::from_secs(5), answer).await?, 42);
///
///     let never = std::future::pending::<()>();
///     assert!(timeout(Duration::from_secs(5), never).await.is_err_and(|error| error.is_timeout()));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::timeout`] needs none.
#[doc(alias("wait_for", "fail_after"))]
#[track_caller]
pub fn timeout<F: IntoFuture>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Error>> {
    expect_current("timeout").timeout(duration, future)
}

/// Awaits `future` until the loop's clock has reached `when`: [`timeout`] with a moment.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, timeout_at};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     // One deadline for both steps.
///     let deadline = event_loop.time() + Duration::from_secs(5);
///     timeout_at(deadline, event_loop.sleep(Duration::from_secs(3))).await?;
///     let second = timeout_at(deadline, event_loop.sleep(Duration::from_secs(3))).await;
///     assert!(second.is_err_and(|error| error.is_timeout()));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::timeout_at`] needs none.
#[doc(alias("fail_at"))]
#[track_caller]
pub fn timeout_at<F: IntoFuture>(
    when: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, Error>> {
    expect_current("timeout_at").timeout_at(when, future)
}

/// Awaits `future` for at most `duration`, from now on, and goes on without its output after that: `None`.
///
/// It is a [`timeout`] whose end is no error, as Trio's `move_on_after`.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, move_on_after, sleep};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
///     // A moment to say goodbye, and no more.
///     let said = move_on_after(Duration::from_secs(1), sleep(Duration::from_secs(60))).await;
///     assert!(said.is_none());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::move_on_after`] needs none.
#[track_caller]
pub fn move_on_after<F: IntoFuture>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Option<F::Output>> {
    expect_current("move_on_after").move_on_after(duration, future)
}

/// Awaits `future` until the loop's clock has reached `when`: [`move_on_after`] with a moment.
///
/// ```
/// use std::time::Duration;
/// use wharf::{Result, move_on_at};
///
/// # fn main() -> Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let noon = event_loop.time() + Duration::from_secs(3600);
///     assert!(move_on_at(noon, std::future::pending::<()>()).await.is_none());
///     assert_eq!(event_loop.time(), noon);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::move_on_at`] needs none.
#[track_caller]
pub fn move_on_at<F: IntoFuture>(
    when: Instant,
    future: F,
) -> impl Future<Output = Option<F::Output>> {
    expect_current("move_on_at").move_on_at(when, future)
}

/// # Deadlines
impl EventLoop {
    /// Awaits `future` for at most `duration`, from now on. See [`timeout`](crate::timeout).
    #[doc(alias("wait_for", "fail_after"))]
    pub fn timeout<F: IntoFuture>(
        &self,
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Error>> + use<F> {
        until(self.core(), self.core().after(duration), future.into_future(), or_timeout)
    }

    /// Awaits `future` until the loop's clock has reached `when`. See [`timeout_at`](crate::timeout_at).
    #[doc(alias("fail_at"))]
    pub fn timeout_at<F: IntoFuture>(
        &self,
        when: Instant,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Error>> + use<F> {
        until(self.core(), self.core().since_start(when), future.into_future(), or_timeout)
    }

    /// Awaits `future` for at most `duration`; `None` after that. See [`move_on_after`](crate::move_on_after).
    pub fn move_on_after<F: IntoFuture>(
        &self,
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        until(self.core(), self.core().after(duration), future.into_future(), |output| output)
    }

    /// Awaits `future` until the loop's clock has reached `when`; `None` after that. See
    /// [`move_on_at`](crate::move_on_at).
    pub fn move_on_at<F: IntoFuture>(
        &self,
        when: Instant,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        until(self.core(), self.core().since_start(when), future.into_future(), |output| output)
    }
}

fn or_timeout<T>(output: Option<T>) -> Result<T, Error> {
    output.ok_or_else(|| Error::timeout(TimeoutKind::Future))
}

/// The output of `future`, if it is done before the deadline; else it is dropped before this ends.
///
/// `conclude` is called here and not by a future around this one: each layer has room for all that is inside it twice.
fn until<F: Future, T>(
    core: &Rc<Core>,
    deadline: u64,
    future: F,
    conclude: fn(Option<F::Output>) -> T,
) -> impl Future<Output = T> + use<F, T> {
    let mut alarm = Alarm::new(core, deadline);
    async move {
        let output = {
            let mut future = pin!(future);
            poll_fn(|context| match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => alarm.poll_past(context).map(|()| None),
            })
            .await
        };
        conclude(output)
    }
}
