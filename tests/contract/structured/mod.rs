//! Groups, scopes, deadlines, and what happens again and again.

mod cancel_scopes;
mod combinators;
mod group_errors;
mod groups;
mod intervals;
mod periodic;
mod random;
mod scopes;
mod shields;
mod starting;
mod timeouts;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wharf::EventLoop;

use crate::loops::{memory_loop, settle};

/// Runs `body` on a loop in memory, and checks that it leaves nothing there.
fn run(body: impl AsyncFnOnce(&EventLoop) -> wharf::Result) {
    let event_loop = memory_loop();
    event_loop.run(async |event_loop| body(&event_loop).await).unwrap();
    nothing_is_left(&event_loop);
}

fn nothing_is_left(event_loop: &EventLoop) {
    settle(event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.tasks, statistics.timers), (0, 0), "tasks and timers that are left");
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A future that is never done, and how often it was polled.
fn counted() -> (impl Future<Output = ()>, Rc<Cell<u32>>) {
    let polls = Rc::new(Cell::new(0));
    let counter = Rc::clone(&polls);
    let future = poll_fn(move |_| {
        counter.set(counter.get() + 1);
        Poll::Pending
    });
    (future, polls)
}

/// Holds a value while it waits for ever.
async fn hold<T>(value: T) -> wharf::Result {
    std::future::pending::<()>().await;
    drop(value);
    Ok(())
}
