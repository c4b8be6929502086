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

    async fn run_in_group<F>(&self, futures: impl Iterator<Item = F>)
    where
        F: Future<Output = ()> + 'static,
    {
        let group = self.0.task_group(async |group| {
            futures.for_each(|future| drop(group.spawn_infallible(future)));
            Ok(())
        });
        group.await.expect("the tasks end well");
    }

    async fn run_in_scope<F: Future<Output = ()>>(&self, futures: impl Iterator<Item = F>) {
        let scope = self.0.scope(async |scope| {
            futures.for_each(|future| drop(scope.spawn_infallible(future)));
            Ok(())
        });
        scope.await.expect("the tasks end well");
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
