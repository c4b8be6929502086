//! Letting others go first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

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
