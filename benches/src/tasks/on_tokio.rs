//! Tasks of tokio's `LocalSet` on its `current_thread` runtime.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::runtime;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};
use tokio::time::Sleep;

use super::contender::{Contender, Oneshot, Own};
use crate::Result;

/// tokio, with its sockets and timers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokio;

impl Contender for Tokio {
    type Task<T: 'static> = JoinHandle<T>;
    type Sleep = Sleep;

    fn run<T, F>(work: impl FnOnce(Self) -> F) -> Result<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let work = work(Self);
        Ok(tasks.block_on(&runtime, async move { spawn_local(work).await })?)
    }

    fn spawn<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        spawn_local(future)
    }

    async fn join<T: 'static>(task: Self::Task<T>) -> T {
        task.await.expect("the task ends well")
    }

    async fn run_in_group<F>(&self, futures: impl Iterator<Item = F>)
    where
        F: Future<Output = ()> + 'static,
    {
        let mut tasks = JoinSet::new();
        for future in futures {
            tasks.spawn_local(future);
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("the task ends well");
        }
    }

    /// tokio has nothing of its own for it.
    async fn run_in_scope<F: Future<Output = ()>>(&self, futures: impl Iterator<Item = F>) {
        futures.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        tokio::task::yield_now()
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }
}

impl Oneshot<Tokio> for Own {
    type Sender<T: 'static> = Sender<T>;
    type Receiver<T: 'static> = Receiver<T>;

    fn new<T: 'static>(_: &Tokio) -> (Self::Sender<T>, Self::Receiver<T>) {
        channel()
    }

    fn send<T: 'static>(sender: Self::Sender<T>, value: T) {
        assert!(sender.send(value).is_ok(), "the receiver is gone");
    }

    async fn receive<T: 'static>(receiver: Self::Receiver<T>) -> T {
        receiver.await.expect("the sender is gone")
    }
}
