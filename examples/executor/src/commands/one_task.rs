//! What is asked of one task.

use std::process::ExitCode;

use clap::Args;
use serde_json::value::RawValue;
use wharf::Result;

use super::connect::Connect;
use super::parse;
use crate::client::{ClientError, SubmittedTask};
use crate::task::TaskId;

#[derive(Debug, Args)]
pub(super) struct OneTask {
    #[command(flatten)]
    coordinator: Connect,
    /// The task's id
    #[arg(value_parser = parse::id)]
    id: TaskId,
}

pub(super) fn status(arguments: &OneTask) -> Result {
    with_task(arguments, async |task| {
        super::say(serde_json::to_string_pretty(&task.status().await?)?)
    })
}

/// The exit code is 1 if the task did not succeed.
pub(super) fn result(arguments: &OneTask) -> Result<ExitCode> {
    with_task(arguments, async |task| match task.result::<Box<RawValue>>().await {
        Ok(result) => super::say(result).map(|()| ExitCode::SUCCESS),
        Err(error @ (ClientError::Failed(_) | ClientError::Cancelled)) => {
            eprintln!("{error}");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    })
}

/// The exit code is 1 if the task has ended.
pub(super) fn cancel(arguments: &OneTask) -> Result<ExitCode> {
    with_task(arguments, async |task| {
        Ok(code(task.cancel().await?, "it has ended already, or there is none"))
    })
}

/// The exit code is 1 if the task has not failed.
pub(super) fn retry(arguments: &OneTask) -> Result<ExitCode> {
    with_task(arguments, async |task| {
        Ok(code(task.retry().await?, "it has not failed, or there is none"))
    })
}

fn with_task<T>(
    arguments: &OneTask,
    action: impl AsyncFnOnce(SubmittedTask) -> Result<T>,
) -> Result<T> {
    wharf::run(async |event_loop| {
        let client = arguments.coordinator.client(&event_loop)?;
        action(client.task(arguments.id.clone())).await
    })
}

fn code(has_changed: bool, otherwise: &str) -> ExitCode {
    if has_changed {
        return ExitCode::SUCCESS;
    }
    eprintln!("{otherwise}");
    ExitCode::FAILURE
}
