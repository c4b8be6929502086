//! Functions for code that runs on a loop and was not given it.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Sleep, Task};
use crate::event_loop::registry::{NONE_RUNS, current};
use crate::event_loop::{Core, EventLoop};

/// Drives `future` on the loop that is running on this thread: [`EventLoop::create_task`] of
/// [`EventLoop::current`].
///
/// ```
/// # fn main() -> wharf::Result {
/// wharf::EventLoop::new()?.run(async |_| {
///     let task = wharf::spawn(async { 6 * 7 });
///     assert_eq!(task.await?, 42);
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[doc(alias("spawn_local", "create_task", "ensure_future"))]
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> Task<F::Output> {
    EventLoop::from_core(expect_current("spawn")).create_task(future)
}

/// Waits for at least `delay`, from now on, when awaited: [`EventLoop::sleep`] of
/// [`EventLoop::current`].
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> wharf::Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let began = event_loop.time();
///     wharf::sleep(Duration::from_secs(3600)).await;
///     assert_eq!(event_loop.time() - began, Duration::from_secs(3600));
///     Ok(())
/// })
/// # }
/// ```
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    EventLoop::from_core(expect_current("sleep")).sleep(delay)
}

/// Waits until the clock of the loop that is running has reached `when`, when awaited:
/// [`EventLoop::sleep_until`] of [`EventLoop::current`].
///
/// # Panics
/// Where no loop is running on this thread. [`EventLoop::current`] asks without a panic.
#[track_caller]
pub fn sleep_until(when: Instant) -> Sleep {
    EventLoop::from_core(expect_current("sleep_until")).sleep_until(when)
}

/// Gives all others that are ready their turn, then goes on: asyncio's `sleep(0)`.
///
/// It works on any loop, and costs less than a sleep of zero, which waits for the loop's next tick.
///
/// ```
/// # fn main() -> wharf::Result {
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// wharf::EventLoop::new()?.run(async |event_loop| {
///     let called = Rc::new(Cell::new(false));
///     event_loop.call_soon({
///         let called = Rc::clone(&called);
///         move || called.set(true)
///     });
///     wharf::yield_now().await;
///     assert!(called.get());
///     Ok(())
/// })
/// # }
/// ```
pub fn yield_now() -> impl Future<Output = ()> {
    YieldNow { yielded: false }
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The loop that runs, for `wharf::NAME`.
#[track_caller]
pub(crate) fn expect_current(name: &str) -> Rc<Core> {
    match current() {
        Some(core) => core,
        None => panic_without_loop(name, Location::caller()),
    }
}

#[cold]
#[track_caller]
fn panic_without_loop(name: &str, caller: &Location<'_>) -> ! {
    panic!(
        "`wharf::{name}` was called at {caller}, but {NONE_RUNS}: call it in a callback or task of one, \
         or in `EventLoop::run`"
    )
}
