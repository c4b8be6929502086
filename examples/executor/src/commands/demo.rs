//! A coordinator with its dashboard and three workers in processes of their own, of which one is killed.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::{Either, select};
use serde_json::json;
use wharf::signal::{SIGINT, SIGTERM};
use wharf::{ChildProcess, EventLoop, Result, SignalStream, Stdio};

use super::exit::{CommandError, Exit};
use super::output::Output;
use super::render::{Picture, draw};
use crate::client::{Client, ClientOptions};
use crate::coordinator::Overview;

#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(flatten)]
    picture: Picture,
    /// Where the dashboard is: HOST:PORT; any free port by default
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    http: String,
    /// Leaves the dashboard, the coordinator and the workers that are left as they are, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

const WORKERS: usize = 3;

pub(super) fn run(arguments: &Demo, output: Output) -> Result {
    let directory =
        std::env::temp_dir().join(format!("wharf-executor-demo-{}", std::process::id()));
    let outcome = wharf::run(async |event_loop| {
        let mut signals = event_loop.signals([SIGINT, SIGTERM])?;
        let mut processes = Vec::new();
        let outcome =
            show(&event_loop, arguments, &directory, output, &mut signals, &mut processes).await;
        for process in processes {
            // One that a Ctrl-C of the terminal has ended already is not there any more.
            let _ = process.terminate();
            let _ = wharf::timeout(Duration::from_secs(5), process.wait()).await;
        }
        outcome
    });
    std::fs::remove_dir_all(&directory).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    outcome
}

/// Shows it. What it has started is among the processes, the coordinator last, so that they can be ended in this order.
async fn show(
    event_loop: &EventLoop,
    arguments: &Demo,
    directory: &Path,
    output: Output,
    signals: &mut SignalStream,
    processes: &mut Vec<ChildProcess>,
) -> Result {
    let program = std::env::current_exe()?;
    let serve = event_loop
        .create_subprocess_exec(&program)
        .args(["serve", "--listen", "127.0.0.1:0", "--http", &arguments.http, "--data"])
        .arg(directory);
    processes.push(serve.await?);
    let address = said(&mut processes[0], "listening on ").await?;
    let dashboard = said(&mut processes[0], "dashboard at ").await?;
    say(output, format!("a coordinator listens on {address}"))?;
    say(output, format!("its dashboard is at {dashboard}"))?;
    for number in 1..=WORKERS {
        let name = format!("worker {number}");
        let worker = event_loop
            .create_subprocess_exec(&program)
            .args(["work", "--slots", "1", "--connect", &address, "--name", &name])
            .stdout(Stdio::null())
            .await?;
        say(output, format!("{name} is process {}", worker.pid()))?;
        processes.insert(0, worker);
    }
    let client = Client::start(event_loop, [&*address], ClientOptions::default())?;
    let shown = pin!(picture(event_loop, &client, &arguments.picture, output, processes));
    match select(shown, pin!(signals.next())).await {
        Either::Left((shown, _)) => shown?,
        Either::Right(_) => return Err(CommandError::new(Exit::Interrupted, "interrupted").into()),
    }
    if arguments.stay {
        say(
            output,
            format!(
                "the dashboard stays at {dashboard} until Ctrl-C; to give the workers more to do:"
            ),
        )?;
        say(output, format!("  wharf-executor submit sleep 5000 --connect {address}"))?;
        signals.next().await;
    }
    Ok(())
}

/// Has the picture drawn, and kills the first of the workers half-way.
async fn picture(
    event_loop: &EventLoop,
    client: &Client,
    picture: &Picture,
    output: Output,
    workers: &mut Vec<ChildProcess>,
) -> Result {
    let began = Instant::now();
    let mut is_alive = true;
    let drawn = draw(event_loop, client, picture, |done, of, bar| {
        if 2 * done >= of && std::mem::take(&mut is_alive) {
            // Dropping it is SIGKILL.
            drop(workers.remove(0));
            bar.clear();
            say(
                output,
                format!("worker {WORKERS} is killed (SIGKILL) after {done} of {of} tiles"),
            )?;
        }
        Ok(())
    });
    drawn.await?;
    let took = began.elapsed();
    say(output, summary(&client.overview().await?))?;
    say(output, format!("no tile is missing: {}, after {took:.1?}", picture.out.display()))
}

/// Tells how it goes.
fn say(output: Output, text: String) -> Result {
    output.print(&json!({"message": text}), &text)
}

/// What became of the tiles.
fn summary(overview: &Overview) -> String {
    let totals = &overview.totals;
    format!(
        "{} tiles were submitted, {} have a result, {} failed; {} that the killed worker ran or held came to others",
        totals.submitted, totals.succeeded, totals.failed, totals.lost
    )
}

/// What a line of the coordinator says after these words.
async fn said(coordinator: &mut ChildProcess, words: &str) -> Result<String> {
    let Some(output) = &mut coordinator.stdout else { return Err("it has no output".into()) };
    // What it says about why is on standard error, which is this process's.
    let line = output.read_line().await?.ok_or("the coordinator did not start")?;
    let said = line.strip_prefix(words).ok_or("the coordinator says something else")?;
    Ok(said.to_owned())
}
