//! Tasks of smol's `LocalExecutor`, under async-io's `block_on`, which polls sockets and timers.

use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use async_executor::{LocalExecutor, Task};
use async_io::Timer;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::contender::{Contender, Oneshot, Own};
use crate::Result;

/// smol: its executor.
#[derive(Debug, Clone)]
pub(super) struct Smol(Rc<LocalExecutor<'static>>);

impl Contender for Smol {
    type Task<T: 'static> = Task<T>;
    type Sleep = Timer;

    fn run<T, F>(work: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let executor = Rc::new(LocalExecutor::new());
        let task = executor.spawn(work(Self(Rc::clone(&executor))));
        Ok(async_io::block_on(executor.run(task)))
    }

    fn spawn<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        self.0.spawn(future)
    }

    fn join<T: 'static>(task: Self::Task<T>) -> impl Future<Output = T> + 'static {
        task
    }

    /// smol has no group; this keeps its tasks together.
    async fn run_in_group<F>(&self, futures: impl Iterator<Item = F>)
    where
        F: Future<Output = ()> + 'static,
    {
        self.run_in_scope(futures.map(|future| self.0.spawn(future))).await;
    }

    async fn run_in_scope<F: Future<Output = ()>>(&self, futures: impl Iterator<Item = F>) {
        futures.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        futures_lite::future::yield_now()
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        Timer::after(duration)
    }
}

/// smol has no channel for one value; a queue for one is what its programs take.
impl Oneshot<Smol> for Own {
    type Sender<T: 'static> = Sender<T>;
    type Receiver<T: 'static> = Receiver<T>;

    fn new<T: 'static>(_: &Smol) -> (Self::Sender<T>, Self::Receiver<T>) {
        bounded(1)
    }

    fn send<T: 'static>(sender: Self::Sender<T>, value: T) {
        assert!(sender.try_send(value).is_ok(), "the receiver is gone");
    }

    async fn receive<T: 'static>(receiver: Self::Receiver<T>) -> T {
        receiver.recv().await.expect("the sender is gone")
    }
}
