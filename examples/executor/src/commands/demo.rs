//! A coordinator and three workers in processes of their own, of which one is killed.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use wharf::{ChildProcess, EventLoop, Result};

use super::output::Output;
use super::render::{Picture, draw};
use crate::client::{Client, ClientOptions};

#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(flatten)]
    picture: Picture,
}

const WORKERS: usize = 3;

pub(super) fn run(arguments: &Demo, output: Output) -> Result {
    let directory =
        std::env::temp_dir().join(format!("wharf-executor-demo-{}", std::process::id()));
    let outcome = wharf::run(async |event_loop| {
        show(&event_loop, &arguments.picture, &directory, output).await
    });
    std::fs::remove_dir_all(&directory).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    outcome
}

async fn show(
    event_loop: &EventLoop,
    picture: &Picture,
    directory: &Path,
    output: Output,
) -> Result {
    let say = |text: String| output.print(&json!({"message": text}), &text);
    let program = std::env::current_exe()?;
    let serve = event_loop
        .create_subprocess_exec(&program)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory);
    let mut coordinator = serve.await?;
    let address = address_of(&mut coordinator).await?;
    say(format!("a coordinator listens on {address}"))?;
    let mut workers = Vec::new();
    for number in 1..=WORKERS {
        let name = format!("worker {number}");
        let worker = event_loop
            .create_subprocess_exec(&program)
            .args(["work", "--slots", "1", "--connect", &address, "--name", &name])
            .await?;
        say(format!("{name} is process {}", worker.pid()))?;
        workers.push(worker);
    }
    let client = Client::start(event_loop, [&*address], ClientOptions::default())?;
    let began = Instant::now();
    let mut victim = workers.pop();
    let mut killed = None;
    let drawn = draw(event_loop, &client, picture, |done, of| {
        if 2 * done >= of
            && let Some(worker) = victim.take()
        {
            killed = Some(done);
            // Dropping it is SIGKILL.
            drop(worker);
        }
    });
    drawn.await?;
    let (done, out) = (killed.unwrap_or_default(), picture.out.display());
    say(format!("worker {WORKERS} was killed (SIGKILL) after {done} tiles"))?;
    say(format!("no tile is missing: {out}, after {:.1?}", began.elapsed()))?;
    for process in workers.into_iter().chain([coordinator]) {
        process.terminate()?;
        let _ = wharf::timeout(Duration::from_secs(5), process.wait()).await;
    }
    Ok(())
}

/// What the coordinator says first.
async fn address_of(coordinator: &mut ChildProcess) -> Result<String> {
    let Some(output) = &mut coordinator.stdout else { return Err("it has no output".into()) };
    let line = output.read_line().await?.ok_or("the coordinator did not start")?;
    let address =
        line.strip_prefix("listening on ").ok_or("the coordinator says something else")?;
    Ok(address.to_owned())
}
