//! Waiting for whatever comes first.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use wharf::EventLoop;

/// The output of `future`, or `None` if it takes longer than `limit`; it is dropped then, which
/// cancels what it does, unless it was lent.
pub async fn within<T>(
    event_loop: &EventLoop,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut alarm) = (pin!(future), pin!(event_loop.sleep(limit)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.as_mut().poll(context).map(|()| None),
    })
    .await
}
