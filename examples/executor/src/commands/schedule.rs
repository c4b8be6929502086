//! `schedule`: tasks that are submitted again and again.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::exit::{CommandError, Exit};
use super::one_task::time;
use super::output::{Output, one_line, printable};
use super::task_options::TaskOptions;
use super::{parse, words};
use crate::client::Client;
use crate::schedule::{Missed, Overlap, Schedule, ScheduleName, ScheduleRecord, When};
use crate::task::{Kind, Timestamp, milliseconds};

#[derive(Debug, Args)]
pub(super) struct Schedules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Adds one
    Add(Box<Add>),
    /// Those that there are: name, next time, when, what
    List(List),
    /// Forgets one; its tasks go on
    Remove(One),
    /// Has one submit nothing
    Pause(One),
    /// Has one go on; what was due meanwhile is not made up for
    Resume(One),
    /// Submits the task of one now
    Run(One),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    connect: Connect,
    /// Its name; with a time behind it, it is the id of each task
    #[arg(value_parser = parse::schedule)]
    name: ScheduleName,
    /// When: a cron expression ("30 2 * * MON-FRI", with a second before if wanted; @daily), or "every 30s"
    #[arg(value_parser = when)]
    when: Times,
    /// What to do
    #[arg(value_parser = parse::kind)]
    kind: Kind,
    /// What to do it with: JSON, words (a string, or an array of them), or NAME=VALUE (an object)
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// Whose time a cron expression means: UTC, Europe/Paris
    #[arg(long, default_value = "UTC")]
    zone: Box<str>,
    /// What becomes of times that are over when the coordinator looks, since it was not there; on NATS, a worker
    #[arg(long, default_value = "once")]
    missed: MissedChoice,
    /// What becomes of a time when the task of the former one has not ended
    #[arg(long, default_value = "allow")]
    overlap: OverlapChoice,
    /// How long after it was submitted a task must have ended, all attempts included: 1h
    #[arg(long, value_parser = parse::duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    options: TaskOptions,
    /// Instead of the one with this name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    connect: Connect,
    /// Its name
    #[arg(value_parser = parse::schedule)]
    name: ScheduleName,
}

#[derive(Clone, Debug)]
enum Times {
    Cron(Box<str>),
    Every(Duration),
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum MissedChoice {
    /// Nothing, but for one that was a minute ago at most
    Skip,
    /// One task, for the last of them
    Once,
    /// A task for each
    All,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OverlapChoice {
    /// They run side by side
    Allow,
    /// Nothing is submitted
    Skip,
}

pub(super) fn run(arguments: Schedules, output: Output) -> Result {
    match arguments.command {
        Command::Add(add) => {
            let (connect, replace) = (add.connect.clone(), add.replace);
            let schedule = schedule(*add)?;
            with(&connect, async |client| {
                let name = schedule.name.clone();
                client.add_schedule(schedule, replace).await?;
                done(&name, output)
            })
        }
        Command::List(list) => with(&list.connect, async |client| {
            for record in client.schedules().await? {
                output.print(&record, line(&record))?;
            }
            Ok(())
        }),
        Command::Remove(one) => with(&one.connect, async |client| {
            known(&one.name, client.remove_schedule(one.name.clone()).await?)?;
            done(&one.name, output)
        }),
        Command::Pause(one) => pause(&one, true, output),
        Command::Resume(one) => pause(&one, false, output),
        Command::Run(one) => with(&one.connect, async |client| {
            let task = client.run_schedule(one.name.clone(), Timestamp::now()).await?;
            let Some(task) = task else { return known(&one.name, false) };
            output.print(&json!({"id": task.id()}), task.id())
        }),
    }
}

fn pause(one: &One, on: bool, output: Output) -> Result {
    with(&one.connect, async |client| {
        known(&one.name, client.pause_schedule(one.name.clone(), on).await?)?;
        done(&one.name, output)
    })
}

fn with(connect: &Connect, action: impl AsyncFnOnce(Client) -> Result) -> Result {
    wharf::run(async |event_loop| action(connect.client(&event_loop).await?).await)
}

fn known(name: &ScheduleName, is_there: bool) -> Result {
    if is_there {
        return Ok(());
    }
    Err(CommandError::new(Exit::Unknown, format!("there is no schedule {name}")).into())
}

fn done(name: &ScheduleName, output: Output) -> Result {
    output.changed(&json!({"name": name, "changed": true}))
}

fn schedule(add: Add) -> Result<Schedule> {
    Ok(Schedule {
        name: add.name,
        when: match add.when {
            Times::Cron(expression) => When::Cron { expression, zone: add.zone },
            Times::Every(period) => When::Every(milliseconds(period)),
        },
        task: add.options.spec(&add.kind, words::arguments(&add.kind, &add.args)?)?,
        deadline: add.deadline.map(milliseconds),
        missed: match add.missed {
            MissedChoice::Skip => Missed::Skip,
            MissedChoice::Once => Missed::Once,
            MissedChoice::All => Missed::All,
        },
        overlap: match add.overlap {
            OverlapChoice::Allow => Overlap::Allow,
            OverlapChoice::Skip => Overlap::Skip,
        },
    })
}

fn when(text: &str) -> Result<Times, String> {
    match text.strip_prefix("every ").or_else(|| text.strip_prefix("@every ")) {
        Some(period) => parse::duration(period.trim()).map(Times::Every),
        // What is wrong with it, the coordinator says.
        None => Ok(Times::Cron(text.into())),
    }
}

/// For people.
fn line(record: &ScheduleRecord) -> String {
    let schedule = &record.schedule;
    let next = match record.next {
        Some(next) => time(next),
        None if record.paused => "paused".to_owned(),
        None => "never".to_owned(),
    };
    let when = match &schedule.when {
        When::Cron { expression, zone } => format!("{expression} {zone}"),
        When::Every(period) => {
            format!("every {}", humantime::format_duration(Duration::from_millis(*period)))
        }
    };
    let what = format!("{} {}", schedule.task.kind, one_line(schedule.task.args.get()));
    let error = record.error.as_ref().map(|error| format!("  {}", printable(error)));
    format!(
        "{:<20} {next:<24}  {:<24}  {what}{}",
        schedule.name.as_str(),
        printable(&when),
        error.unwrap_or_default()
    )
}
