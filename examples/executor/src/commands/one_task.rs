//! What is asked of one task.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::exit::{CommandError, Exit};
use super::output::{Output, one_line, printable};
use super::{ended, logs, parse};
use crate::client::{Client, SubmittedTask};
use crate::task::{Kind, Outcome, Record, State, TaskId, Timestamp};

#[derive(Debug, Args)]
pub(super) struct OneTask {
    #[command(flatten)]
    connect: Connect,
    /// The task's id
    #[arg(value_parser = parse::id)]
    id: TaskId,
}

#[derive(Debug, Args)]
pub(super) struct WaitForOne {
    #[command(flatten)]
    task: OneTask,
    /// How long to wait: 10s, 1m30s; for ever by default
    #[arg(long, value_parser = parse::duration)]
    timeout: Option<Duration>,
}

/// All that is known of it.
pub(super) fn status(arguments: &OneTask, output: Output) -> Result {
    with_task(arguments, async |client, task| {
        let record = task.status().await?;
        let mut text = text_of(&record);
        let waits = matches!(record.state, State::Queued { .. });
        if waits && !output.json && is_nobodys(client, &record.spec.kind).await {
            text +=
                "waiting   for a worker that runs this kind: none of those that are connected does";
        }
        output.print(&record, text.trim_end())
    })
}

/// How much of a failed task's output is shown with its error, in bytes.
const LAST: u32 = 4 * 1024;

/// Waits for its end.
pub(super) fn result(arguments: &WaitForOne, output: Output) -> Result<ExitCode> {
    with_task(&arguments.task, async |_, task| {
        let ended = match arguments.timeout {
            None => task.outcome().await?,
            Some(timeout) => match wharf::timeout(timeout, task.outcome()).await {
                Ok(ended) => ended?,
                Err(_) => {
                    let text = format!("{} has not ended within {timeout:?}", task.id());
                    return Err(CommandError::new(Exit::TimedOut, text).into());
                }
            },
        };
        if ended.outcome != Some(Outcome::Succeeded) && !output.json {
            let last = task.output().kept().last(LAST);
            logs::show(last, &mut io::stderr(), &mut io::stderr()).await?;
        }
        ended::print_alone(&ended, output)?;
        Ok(match ended.outcome {
            Some(Outcome::Succeeded) => ExitCode::SUCCESS,
            _ => Exit::TaskFailed.into(),
        })
    })
}

pub(super) fn cancel(arguments: &OneTask, output: Output) -> Result {
    with_task(arguments, async |_, task| {
        let has_changed = task.cancel().await?;
        changed(&task, has_changed, "only what has not ended is cancelled", output).await
    })
}

pub(super) fn retry(arguments: &OneTask, output: Output) -> Result {
    with_task(arguments, async |_, task| {
        let has_changed = task.retry().await?;
        changed(&task, has_changed, "only what has failed or was cancelled is retried", output)
            .await
    })
}

fn with_task<T>(
    arguments: &OneTask,
    action: impl AsyncFnOnce(&Client, SubmittedTask) -> Result<T>,
) -> Result<T> {
    wharf::run(async |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        action(&client, client.find(arguments.id.clone())).await
    })
}

/// Says that it was done, or why not: there is no such task, or its state is another, and then what the rule is.
async fn changed(task: &SubmittedTask, has_changed: bool, rule: &str, output: Output) -> Result {
    if !has_changed {
        let record = task.status().await?;
        let text = format!("{} {}: {rule}", task.id(), state(&record.state));
        return Err(CommandError::new(Exit::Refused, text).into());
    }
    output.changed(&json!({"id": task.id(), "changed": true}))
}

/// Whether none of the workers that are connected runs this kind. Where nobody knows it is taken to be otherwise.
async fn is_nobodys(client: &Client, kind: &Kind) -> bool {
    let Ok(overview) = client.overview().await else { return false };
    let all_are_seen = overview.workers.len() == overview.worker_count;
    all_are_seen && !overview.workers.iter().any(|worker| worker.kinds.contains(kind))
}

/// For people.
fn text_of(record: &Record) -> String {
    let spec = &record.spec;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10}{value}");
    };
    line("id", record.id.as_str());
    line("kind", spec.kind.as_str());
    line("arguments", &one_line(spec.args.get()));
    line("submitted", &time(record.submitted));
    line("state", &state(&record.state));
    line("attempts", &record.attempts.to_string());
    if let Some(error) = &record.error {
        line("error", &printable(error));
    }
    if let Some(result) = &record.result {
        line("result", &one_line(result.get()));
    }
    text
}

fn state(state: &State) -> String {
    match state {
        State::Blocked { parents } => format!("blocked by {parents} tasks"),
        State::Delayed { until } => format!("delayed until {}", time(*until)),
        State::Queued { since } => format!("queued since {}", time(*since)),
        State::Running { worker, since, cancelled, .. } => {
            let being = if *cancelled { ", is being cancelled" } else { "" };
            format!("running on {} since {}{being}", printable(worker), time(*since))
        }
        State::Ended { outcome, at } => {
            let how = match outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
            };
            format!("{how} at {}", time(*at))
        }
    }
}

/// A time as in RFC 3339.
pub(super) fn time(time: Timestamp) -> String {
    let milliseconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = chrono::DateTime::from_timestamp_millis(milliseconds);
    time.map_or_else(|| milliseconds.to_string(), |time| time.format("%FT%T%.3fZ").to_string())
}
