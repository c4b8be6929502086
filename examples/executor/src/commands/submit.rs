use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::value::RawValue;
use wharf::Result;

use super::connect::Connect;
use super::parse;
use crate::client::{ClientError, SubmittedTask};
use crate::task::{Kind, Priority, Spec, TaskId, Timestamp};

/// How many tasks are submitted with one request.
const TOGETHER: usize = 500;

#[derive(Debug, Args)]
pub(super) struct Submit {
    #[command(flatten)]
    coordinator: Connect,
    /// What to do
    #[arg(required_unless_present = "file", value_parser = parse::kind)]
    kind: Option<Kind>,
    /// What to do it with, as JSON
    #[arg(default_value = "null")]
    args: String,
    /// A file with a task in each line, as JSON; "-" is standard input
    #[arg(long, conflicts_with_all = ["kind", "args", "id"])]
    file: Option<PathBuf>,
    /// Which task this is: a second one with the same id is the same task
    #[arg(long, value_parser = parse::id)]
    id: Option<TaskId>,
    /// Not before so many seconds have passed
    #[arg(long)]
    delay: Option<f64>,
    /// Not before then, in milliseconds since 1970
    #[arg(long, conflicts_with = "delay", value_parser = parse::time)]
    at: Option<Timestamp>,
    /// Who goes first: 0 to 9, 9 first
    #[arg(long, value_parser = parse::priority)]
    priority: Option<Priority>,
    /// How often it is tried again after it has failed
    #[arg(long)]
    retries: Option<u32>,
    /// How long one attempt may take, in seconds
    #[arg(long)]
    timeout: Option<f64>,
    /// Tasks that must have succeeded before
    #[arg(long, value_delimiter = ',', value_parser = parse::id)]
    after: Vec<TaskId>,
    /// Prints results as they come; fails if a task does
    #[arg(long)]
    wait: bool,
}

/// The exit code is 1 if a task was refused, or did not succeed and was waited for.
pub(super) fn run(arguments: Submit) -> Result<ExitCode> {
    let specs = match &arguments.file {
        Some(path) => read(path)?,
        None => vec![spec(&arguments)?],
    };
    wharf::run(async move |event_loop| {
        let client = arguments.coordinator.client(&event_loop)?;
        let mut all_well = true;
        for some in specs.chunks(TOGETHER) {
            let mut tasks = Vec::new();
            for outcome in client.submit_all(some.to_vec()).await? {
                match outcome {
                    Ok(task) => tasks.push(task),
                    Err(error) => {
                        eprintln!("{error}");
                        all_well = false;
                    }
                }
            }
            for task in tasks {
                all_well &= tell(&task, arguments.wait).await?;
            }
        }
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Prints a task's id, and its result if that is waited for.
async fn tell(task: &SubmittedTask, waits: bool) -> Result<bool> {
    if !waits {
        super::say(task.id())?;
        return Ok(true);
    }
    match task.result::<Box<RawValue>>().await {
        Ok(result) => super::say(format_args!("{}\t{result}", task.id()))?,
        Err(error @ (ClientError::Failed(_) | ClientError::Cancelled)) => {
            eprintln!("{}\t{error}", task.id());
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

fn spec(arguments: &Submit) -> Result<Spec> {
    let Some(kind) = arguments.kind.clone() else { return Err("a task has a kind".into()) };
    let args = RawValue::from_string(arguments.args.clone())
        .map_err(|error| format!("arguments are JSON; a text has quotes: {error}"))?;
    let mut spec = Spec::new(kind, args);
    spec.id = arguments.id.clone();
    spec.at = arguments.at;
    if let Some(delay) = arguments.delay {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        spec.at = Some(Timestamp::default().after(now + Duration::try_from_secs_f64(delay)?));
    }
    spec.priority = arguments.priority.unwrap_or(spec.priority);
    spec.retries = arguments.retries.unwrap_or(spec.retries);
    if let Some(timeout) = arguments.timeout {
        spec.timeout = Some(Duration::try_from_secs_f64(timeout)?.as_millis().try_into()?);
    }
    spec.after = arguments.after.clone();
    Ok(spec)
}

fn read(path: &Path) -> Result<Vec<Spec>> {
    let input: Box<dyn io::BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path)?))
    };
    let mut specs = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line?;
        if !line.trim().is_empty() {
            specs.push(
                serde_json::from_str(&line).map_err(|error| format!("line {number}: {error}"))?,
            );
        }
    }
    Ok(specs)
}
