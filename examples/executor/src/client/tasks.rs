use std::fmt;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::handle::{Shared, unexpected};
use super::output::OutputReader;
use crate::task::{Outcome, Record, TaskId};
use crate::wire::{Answer, Ask};

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

    /// Its id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Waits until it has ended, and gives its result.
    ///
    /// # Errors
    /// The task has failed or was cancelled, its result is no `T`, there is no such task, or the client is closed.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let record = self.ended().await?;
        match record.outcome() {
            Some(Outcome::Succeeded) => {
                let result = record.result.as_deref().map_or("null", |result| result.get());
                Ok(serde_json::from_str(result)?)
            }
            Some(Outcome::Cancelled) => Err(ClientError::Cancelled),
            _ => Err(ClientError::Failed(record.error.as_deref().unwrap_or("no reason").into())),
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

    async fn change(&self, ask: Ask) -> Result<bool, ClientError> {
        match self.shared.ask(ask).await? {
            Answer::Changed(changed) => Ok(changed),
            _ => Err(unexpected()),
        }
    }
}

impl fmt::Debug for SubmittedTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SubmittedTask").field(&self.id).finish()
    }
}
