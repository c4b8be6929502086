use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::handle::{Shared, unexpected};
use super::results::{GroupProgress, Subscription, result_of};
use super::task_builder::{Options, TaskBuilder, options};
use super::tasks::{SubmittedTask, TypedTask};
use crate::Function;
use crate::task::{Input, TaskId};
use crate::wire::{Answer, Ask};

/// How many tasks are cancelled with one request.
const TOGETHER: usize = 5_000;

/// Options for all tasks of a group that is to be submitted.
#[must_use = "nothing is submitted yet"]
pub struct GroupBuilder<A, R> {
    shared: Rc<Shared>,
    options: Options,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Serialize, R> GroupBuilder<A, R> {
    pub(super) fn new(shared: &Rc<Shared>, function: &Function<A, R>) -> Self {
        let options = Options::of(function, &());
        Self { shared: Rc::clone(shared), options, types: PhantomData }
    }

    options!(options);

    /// Submits a task for each of these arguments, many with one request. All are on the coordinator's disk when this
    /// completes.
    ///
    /// # Errors
    /// A task was refused, or the client is closed or gives up. Those that were taken are cancelled.
    pub async fn submit(
        self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Group<R>, ClientError> {
        let mut specs = Vec::new();
        for arguments in arguments {
            specs.push(self.options.with(&arguments)?);
        }
        let mut tasks = Vec::with_capacity(specs.len());
        let mut refused = None;
        for outcome in SubmittedTask::submit_many(&self.shared, specs).await {
            match outcome {
                Ok(task) => tasks.push(task),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let group = Group::new(&self.shared, tasks);
        match refused {
            None => Ok(group),
            Some(error) => {
                // It may be that the coordinator is gone.
                let _ = group.cancel().await;
                Err(error)
            }
        }
    }
}

/// Tasks that were submitted together. They are independent: if one fails the others go on.
///
/// It keeps what comes until it is taken. Dropping it leaves the tasks alone.
pub struct Group<R> {
    tasks: Vec<TaskId>,
    subscription: Subscription,
    returns: PhantomData<fn() -> R>,
}

impl<R> Group<R> {
    pub(super) fn new(shared: &Rc<Shared>, tasks: Vec<SubmittedTask>) -> Self {
        let subscription = Subscription::new(shared);
        for (number, task) in (0..).zip(&tasks) {
            subscription.watch(number, task.id());
        }
        let tasks = tasks.into_iter().map(|task| task.id().clone()).collect();
        Self { tasks, subscription, returns: PhantomData }
    }

    /// Its tasks, in the order of their arguments.
    pub fn tasks(&self) -> impl Iterator<Item = TypedTask<R>> {
        let shared = &self.subscription.shared;
        self.tasks.iter().map(|id| SubmittedTask::new(Rc::clone(shared), id.clone()).into())
    }

    /// How many have ended so far, and how.
    pub fn progress(&self) -> GroupProgress {
        self.subscription.progress()
    }

    /// Nobody wants these any more. Returns how many had not ended.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed or gives up.
    pub async fn cancel(&self) -> Result<u64, ClientError> {
        cancel_all(&self.subscription.shared, &self.tasks).await
    }

    /// A function over the results of all, in the order of their arguments, is to run once they have succeeded: if one
    /// does not, it is not run. The coordinator hands the results over, so that it runs whatever becomes of this client.
    /// Together they have at most 1 MiB, and there are at most 10,000.
    pub fn then<S>(&self, function: &Function<Vec<R>, S>) -> TaskBuilder<TypedTask<S>> {
        self.over_results(Options::of(function, &()))
    }

    /// As [`then`](Self::then), with arguments of its own.
    pub fn then_with<B: Serialize, S>(
        &self,
        function: &Function<(Vec<R>, B), S>,
        arguments: &B,
    ) -> TaskBuilder<TypedTask<S>> {
        self.over_results(Options::of(function, arguments))
    }

    fn over_results<S>(&self, options: Options) -> TaskBuilder<TypedTask<S>> {
        let options = options.input(Input::Results, self.tasks.clone());
        TaskBuilder::new(&self.subscription.shared, options)
    }
}

impl<R: DeserializeOwned> Group<R> {
    /// The next task that ends, by its place in the order of the arguments; `None`: all have. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<(usize, Result<R, ClientError>)> {
        let (number, delivery) = self.subscription.next().await?;
        Some((usize::try_from(number).unwrap_or(usize::MAX), result_of(delivery)))
    }

    /// The results of all, in the order of their arguments.
    ///
    /// # Errors
    /// That of the first task that ends without success: the others go on, and are not waited for.
    pub async fn results(mut self) -> Result<Vec<R>, ClientError> {
        let mut results: Vec<Option<R>> = self.tasks.iter().map(|_| None).collect();
        while let Some((index, result)) = self.next().await {
            results[index] = Some(result?);
        }
        results.into_iter().collect::<Option<_>>().ok_or_else(unexpected)
    }
}

impl<R> fmt::Debug for Group<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Group").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl<A, R> fmt::Debug for GroupBuilder<A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("GroupBuilder").field(&self.options.0).finish()
    }
}

/// Cancels tasks. Returns how many had not ended.
pub(super) async fn cancel_all(shared: &Shared, tasks: &[TaskId]) -> Result<u64, ClientError> {
    let mut cancelled = 0_u64;
    for tasks in tasks.chunks(TOGETHER) {
        match shared.ask(Ask::CancelAll(tasks.to_vec())).await? {
            Answer::Count(count) => cancelled = cancelled.saturating_add(count),
            _ => return Err(unexpected()),
        }
    }
    Ok(cancelled)
}
