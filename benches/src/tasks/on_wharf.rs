//! Tasks on wharf's loop.

use std::time::Duration;

use wharf::{EventLoop, LoopFuture, Promise, Sleep, Task};

use super::contender::{Contender, Oneshot, Own};
use crate::Result;

/// wharf's loop with its sockets, as a program has it.
#[derive(Debug, Clone)]
pub(super) struct Wharf(EventLoop);

impl Contender for Wharf {
    type Task<T: 'static> = Task<T>;
    type Sleep = Sleep;

    fn run<T, F>(work: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        EventLoop::new()?.run(async |event_loop| {
            let work = work(Self(event_loop.clone()));
            Ok(event_loop.create_task(work).await?)
        })
    }

    fn spawn<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        self.0.create_task(future)
    }

    async fn join<T: 'static>(task: Self::Task<T>) -> T {
        task.await.expect("the task ends well")
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        wharf::yield_now()
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }
}

impl Oneshot<Wharf> for Own {
    type Sender<T: 'static> = Promise<T>;
    type Receiver<T: 'static> = LoopFuture<T>;

    fn new<T: 'static>(contender: &Wharf) -> (Self::Sender<T>, Self::Receiver<T>) {
        contender.0.create_future()
    }

    fn send<T: 'static>(sender: Self::Sender<T>, value: T) {
        assert!(sender.set_result(value).is_ok(), "the receiver is gone");
    }

    async fn receive<T: 'static>(receiver: Self::Receiver<T>) -> T {
        receiver.await.expect("the sender is gone")
    }
}
