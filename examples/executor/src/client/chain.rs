use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::group::cancel_all;
use super::handle::Shared;
use super::task_builder::{Options, options};
use super::tasks::{SubmittedTask, TypedTask};
use crate::Function;
use crate::task::{Input, Spec, TaskId};

/// Tasks that are to be submitted, each of which gets what the one before it returned. Options are those of the last.
#[must_use = "nothing is submitted yet"]
pub struct ChainBuilder<R> {
    shared: Rc<Shared>,
    before: Result<Vec<Spec>, ClientError>,
    options: Options,
    returns: PhantomData<fn() -> R>,
}

impl<R> ChainBuilder<R> {
    pub(super) fn new(shared: &Rc<Shared>, options: Options) -> Self {
        let shared = Rc::clone(shared);
        Self { shared, before: Ok(Vec::new()), options, returns: PhantomData }
    }

    options!(options);

    /// What this one returns is the argument of `function`.
    pub fn then<S>(self, function: &Function<R, S>) -> ChainBuilder<S> {
        self.link(Options::of(function, &()))
    }

    /// What this one returns, and `arguments`, are the arguments of `function`.
    pub fn then_with<B: Serialize, S>(
        self,
        function: &Function<(R, B), S>,
        arguments: &B,
    ) -> ChainBuilder<S> {
        self.link(Options::of(function, arguments))
    }

    fn link<S>(self, options: Options) -> ChainBuilder<S> {
        let Self { shared, before, options: last, .. } = self;
        let id = shared.new_id();
        let options = options.input(Input::Result, vec![id.clone()]);
        let before = before.and_then(|mut specs| {
            specs.push(Spec { id: Some(id), ..last.0? });
            Ok(specs)
        });
        ChainBuilder { shared, before, options, returns: PhantomData }
    }

    /// Submits all with one request: all are on the coordinator's disk when this completes, and go on without this client.
    /// If one fails or is cancelled, what comes after it ends as well; if it is retried, so is that.
    ///
    /// # Errors
    /// Arguments or options are not valid, together they are too large, the coordinator refuses, or the client is closed or
    /// gives up.
    pub async fn submit(self) -> Result<Chain<R>, ClientError> {
        let mut specs = self.before?;
        specs.push(self.options.0?);
        for spec in &specs {
            spec.check().map_err(|invalid| ClientError::Refused(invalid.to_string().into()))?;
        }
        let mut tasks = Vec::with_capacity(specs.len());
        for outcome in SubmittedTask::submit_together(&self.shared, specs).await? {
            tasks.push(outcome?);
        }
        Ok(Chain { shared: self.shared, tasks, returns: PhantomData })
    }
}

/// Tasks that run one after the other. Dropping it leaves them alone.
pub struct Chain<R> {
    shared: Rc<Shared>,
    /// One at least.
    tasks: Vec<SubmittedTask>,
    returns: PhantomData<fn() -> R>,
}

impl<R> Chain<R> {
    /// Its tasks, the first one first.
    pub fn tasks(&self) -> &[SubmittedTask] {
        &self.tasks
    }

    /// The last of its tasks.
    pub fn last(&self) -> TypedTask<R> {
        self.tasks[self.tasks.len() - 1].clone().into()
    }

    /// Nobody wants the rest of it any more. Returns whether that changes anything: it does not if it has ended.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed or gives up.
    pub async fn cancel(&self) -> Result<bool, ClientError> {
        let ids: Vec<TaskId> = self.tasks.iter().map(|task| task.id().clone()).collect();
        Ok(cancel_all(&self.shared, &ids).await? > 0)
    }
}

impl<R: DeserializeOwned> Chain<R> {
    /// Waits for what the last one returns.
    ///
    /// # Errors
    /// As [`TypedTask::result`]; [`ClientError::NotRun`] if one before the last did not succeed.
    pub async fn result(&self) -> Result<R, ClientError> {
        self.last().result().await
    }
}

impl<R> fmt::Debug for ChainBuilder<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ChainBuilder").field(&self.before).field(&self.options.0).finish()
    }
}

impl<R> fmt::Debug for Chain<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Chain").field(&self.tasks).finish()
    }
}
