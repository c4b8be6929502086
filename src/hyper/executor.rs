//! Futures of hyper as tasks of the loop.

use ::hyper::rt::Executor;

use crate::task::spawn;

/// Runs what hyper spawns as detached tasks of the loop that is running: [`spawn`](crate::spawn). The futures need not
/// be `Send`.
///
/// HTTP/2 has hyper spawn a task for each request of a server, and for each connection of a client. A panic in one, as of
/// a service, goes to the loop's [exception handler](crate::EventLoop::set_exception_handler); the peer sees its stream
/// reset, and the other streams go on. Closing the loop drops the tasks.
///
/// ```
/// # use wharf::testing::MemoryNetwork;
/// use hyper::rt::Executor as _;
/// use wharf::hyper::HyperExecutor;
///
/// # fn main() -> wharf::Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// let (promise, future) = event_loop.create_future();
/// HyperExecutor.execute(async { promise.set_result(6 * 7) });
/// assert_eq!(future.await?, 42);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Panics
/// `execute` does, where no loop is running on this thread.
#[derive(Clone, Copy, Default, Debug)]
pub struct HyperExecutor;

impl<F: Future + 'static> Executor<F> for HyperExecutor {
    #[track_caller]
    fn execute(&self, future: F) {
        spawn(future).detach();
    }
}
