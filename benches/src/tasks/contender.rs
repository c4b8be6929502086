//! What a library has to do with tasks, so that each operation is written once.

use std::time::Duration;

use crate::Result;

/// A library with a loop on one thread. The value is a handle of its loop.
pub(super) trait Contender: Clone + 'static {
    /// A task that was spawned.
    type Task<T: 'static>: 'static;
    /// Waits until some time has passed.
    type Sleep: Future + 'static;

    /// Runs what `work` gives as a task of a new loop, to its end.
    fn run<T, F>(work: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static;

    fn spawn<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future<Output: 'static> + 'static;

    /// The output of a task, which neither panics nor is cancelled.
    fn join<T: 'static>(task: Self::Task<T>) -> impl Future<Output = T> + 'static;

    /// Runs the futures as tasks of the library's own group, until all have ended.
    async fn run_in_group<F>(&self, futures: impl Iterator<Item = F>)
    where
        F: Future<Output = ()> + 'static;

    /// Runs futures that may borrow, side by side in one task, until all have ended.
    async fn run_in_scope<F: Future<Output = ()>>(&self, futures: impl Iterator<Item = F>);

    /// Lets others go first, in the library's own way.
    fn yield_now() -> impl Future<Output = ()> + 'static;

    fn sleep(&self, duration: Duration) -> Self::Sleep;
}

/// A channel for one value between two tasks of a loop.
pub(super) trait Oneshot<C: Contender>: 'static {
    type Sender<T: 'static>: 'static;
    type Receiver<T: 'static>: 'static;

    fn new<T: 'static>(contender: &C) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Sends to a receiver that is still there.
    fn send<T: 'static>(sender: Self::Sender<T>, value: T);

    /// What a sender sends that is not dropped.
    fn receive<T: 'static>(receiver: Self::Receiver<T>) -> impl Future<Output = T> + 'static;
}

/// The library's own channel.
#[derive(Debug)]
pub(super) struct Own;

/// The `oneshot` crate's, on every loop.
#[derive(Debug)]
pub(super) struct Common;

impl<C: Contender> Oneshot<C> for Common {
    type Sender<T: 'static> = oneshot::Sender<T>;
    type Receiver<T: 'static> = oneshot::Receiver<T>;

    fn new<T: 'static>(_: &C) -> (Self::Sender<T>, Self::Receiver<T>) {
        oneshot::channel()
    }

    fn send<T: 'static>(sender: Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "the receiver is gone");
    }

    async fn receive<T: 'static>(receiver: Self::Receiver<T>) -> T {
        receiver.await.expect("the sender is gone")
    }
}
