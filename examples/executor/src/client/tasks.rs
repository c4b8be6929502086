use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::handle::{Shared, unexpected};
use super::output::OutputReader;
use super::results::{Delivery, Subscription, parts, result_of};
use crate::task::{Record, Spec, TaskId};
use crate::wire::{Answer, Ask, Ended};

/// A task that was submitted. Dropping it changes nothing.
#[derive(Clone)]
pub struct SubmittedTask {
    shared: Rc<Shared>,
    id: TaskId,
}

impl SubmittedTask {
    pub(super) fn new(shared: Rc<Shared>, id: TaskId) -> Self {
        Self { shared, id }
    }

    /// Submits one task.
    pub(super) async fn submit(shared: &Rc<Shared>, spec: Spec) -> Result<Self, ClientError> {
        let mut outcomes = Self::submit_together(shared, vec![spec]).await?;
        outcomes.pop().unwrap_or_else(|| Err(unexpected()))
    }

    /// Submits tasks with one request.
    pub(super) async fn submit_together(
        shared: &Rc<Shared>,
        mut specs: Vec<Spec>,
    ) -> Result<Vec<Result<Self, ClientError>>, ClientError> {
        for spec in &mut specs {
            spec.id.get_or_insert_with(|| shared.new_id());
        }
        let count = specs.len();
        let _turn = shared.turn().await?;
        let outcomes = match shared.ask(Ask::Submit(specs)).await? {
            Answer::Submitted(outcomes) if outcomes.len() == count => outcomes,
            _ => return Err(unexpected()),
        };
        let task = |outcome: Result<TaskId, Box<str>>| {
            let id = outcome.map_err(ClientError::Refused)?;
            Ok(Self::new(Rc::clone(shared), id))
        };
        Ok(outcomes.into_iter().map(task).collect())
    }

    /// Submits tasks, many with one request.
    pub(super) async fn submit_many(
        shared: &Rc<Shared>,
        specs: Vec<Spec>,
    ) -> Vec<Result<Self, ClientError>> {
        let mut outcomes = Vec::with_capacity(specs.len());
        for part in parts(specs) {
            let count = part.len();
            match Self::submit_together(shared, part).await {
                Ok(taken) => outcomes.extend(taken),
                Err(error) => outcomes.extend((0..count).map(|_| Err(error.clone()))),
            }
        }
        outcomes
    }

    /// Its id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until it has ended, and gives its result. To wait for many is cheap: they share a request.
    ///
    /// # Errors
    /// The task has failed, was cancelled or not run, its result is no `T`, there is no such task, or the client is closed
    /// or gives up.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        result_of(self.end().await)
    }

    /// Waits until it has ended, and tells how: with its result as JSON, or its error. To wait for many is as cheap as with
    /// [`result`](Self::result).
    ///
    /// # Errors
    /// There is no such task, or the client is closed or gives up.
    pub async fn outcome(&self) -> Result<Ended, ClientError> {
        let ended = self.end().await?;
        match ended.outcome {
            Some(_) => Ok(ended),
            None => Err(ClientError::UnknownTask(self.id.as_str().into())),
        }
    }

    /// Waits until it has ended, and gives all that is known of it.
    ///
    /// # Errors
    /// There is no such task, or the client is closed.
    pub async fn ended(&self) -> Result<Record, ClientError> {
        self.shared.record(Ask::Wait(self.id.clone()), &self.id).await
    }

    /// All that is known of it now.
    ///
    /// # Errors
    /// As for [`ended`](Self::ended).
    pub async fn status(&self) -> Result<Record, ClientError> {
        self.shared.record(Ask::Status(self.id.clone()), &self.id).await
    }

    /// What it writes: what is kept of it so far, and then what comes, until it has ended.
    pub fn output(&self) -> OutputReader {
        OutputReader::new(Rc::clone(&self.shared), self.id.clone())
    }

    /// Nobody wants it any more. Returns whether that changes anything: it does not if it has ended.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn cancel(&self) -> Result<bool, ClientError> {
        self.change(Ask::Cancel(self.id.clone())).await
    }

    /// Tries it again, if it has failed or was cancelled. Returns whether it has.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn retry(&self) -> Result<bool, ClientError> {
        self.change(Ask::Retry(self.id.clone())).await
    }

    async fn end(&self) -> Delivery {
        let subscription = Subscription::new(&self.shared);
        subscription.watch(0, &self.id);
        match subscription.next().await {
            Some((_, delivery)) => delivery,
            None => Err(ClientError::Closed),
        }
    }

    async fn change(&self, ask: Ask) -> Result<bool, ClientError> {
        match self.shared.ask(ask).await? {
            Answer::Changed(changed) => Ok(changed),
            _ => Err(unexpected()),
        }
    }
}

/// A task of a [`Function`](crate::Function) that was submitted: its result has a type. Dropping it changes nothing.
pub struct TypedTask<R> {
    task: SubmittedTask,
    returns: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> TypedTask<R> {
    /// Waits until it has ended, and gives its result.
    ///
    /// # Errors
    /// As [`SubmittedTask::result`].
    pub async fn result(&self) -> Result<R, ClientError> {
        self.task.result().await
    }
}

impl<R> Deref for TypedTask<R> {
    type Target = SubmittedTask;

    fn deref(&self) -> &SubmittedTask {
        &self.task
    }
}

impl<R> Clone for TypedTask<R> {
    fn clone(&self) -> Self {
        self.task.clone().into()
    }
}

impl<R> From<SubmittedTask> for TypedTask<R> {
    fn from(task: SubmittedTask) -> Self {
        Self { task, returns: PhantomData }
    }
}

impl<R> From<TypedTask<R>> for SubmittedTask {
    fn from(task: TypedTask<R>) -> Self {
        task.task
    }
}

impl<R> fmt::Debug for TypedTask<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("TypedTask").field(&self.task.id).finish()
    }
}

impl fmt::Debug for SubmittedTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SubmittedTask").field(&self.id).finish()
    }
}
