//! Programs, and workers that die, in processes of their own.
#![forbid(unsafe_code)]

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde_json::{Value, json};
use wharf::{ChildProcess, EventLoop, Result};
use wharf_executor::client::{Client, ClientError, ClientOptions, OutputItem, SubmittedTask};
use wharf_executor::task::{Kind, Spec};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharf-executor");

/// A coordinator in a process of its own, and a client of it.
struct World {
    event_loop: EventLoop,
    address: String,
    client: Client,
    _coordinator: ChildProcess,
}

impl World {
    async fn new(event_loop: &EventLoop, directory: &Path) -> Result<Self> {
        let serve = event_loop
            .create_subprocess_exec(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"));
        let mut coordinator = serve.await?;
        let output = coordinator.stdout.as_mut().ok_or("no output")?;
        let line = output.read_line().await?.ok_or("it did not start")?;
        let address = line.strip_prefix("listening on ").ok_or("no address")?.to_owned();
        let client = Client::start(event_loop, [&*address], ClientOptions::default())?;
        Ok(Self { event_loop: event_loop.clone(), address, client, _coordinator: coordinator })
    }

    async fn worker(&self) -> Result<ChildProcess> {
        let work = self.event_loop.create_subprocess_exec(PROGRAM).args([
            "work",
            "--kinds",
            "exec",
            "--slots",
            "1",
            "--connect",
            &self.address,
        ]);
        Ok(work.await?)
    }

    async fn shell(&self, line: &str) -> Result<SubmittedTask> {
        let args = serde_json::value::to_raw_value(&json!(["sh", "-c", line]))?;
        Ok(self.client.submit_spec(Spec::new(Kind::new("exec")?, args)).await?)
    }
}

fn run(test: impl AsyncFnOnce(World) -> Result) {
    let directory = tempfile::tempdir().unwrap();
    let outcome = wharf::run(async |event_loop| {
        let world = World::new(&event_loop, directory.path()).await?;
        wharf::timeout(Duration::from_secs(60), test(world)).await?
    });
    outcome.unwrap();
}

/// Waits until a process is no more; one that nobody has waited for yet is a zombie.
async fn is_gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        wharf::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for so many lines of what a task writes.
async fn lines(task: &SubmittedTask, count: usize) -> Result<Vec<String>> {
    let (mut output, mut text) = (task.output(), String::new());
    while text.matches('\n').count() < count {
        match output.next().await? {
            Some(OutputItem::Text { piece, .. }) => text += piece.text(),
            other => return Err(format!("{other:?} after {text}").into()),
        }
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// Only where `/proc` says what a process was started with.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_is_killed_leaves_no_program_running() {
    run(async |world| {
        let worker = world.worker().await?;
        // A program, one in its group, and one that has left it.
        let line = "sleep 1001 & echo $!; setsid sh -c 'echo $$; exec sleep 1002' & echo $$; wait";
        let task = world.shell(line).await?;
        let programs = lines(&task, 3).await?;
        worker.kill()?;
        worker.wait().await?;
        for pid in &programs {
            is_gone(pid).await;
        }
        Ok(())
    });
}

#[test]
fn a_task_that_kills_its_worker_is_not_tried_for_ever() {
    run(async |world| {
        let task = world.shell("kill -KILL $PPID; sleep 1000").await?;
        let mut ended = pin!(task.result::<Value>());
        let outcome = loop {
            // Somebody starts it again each time.
            let worker = world.worker().await?;
            let died = pin!(worker.wait());
            if let Either::Left((outcome, _)) = select(ended.as_mut(), died).await {
                break outcome;
            }
        };
        let Err(ClientError::Failed(error)) = outcome else { panic!("{outcome:?}") };
        assert!(error.starts_with("3 workers were lost while it ran"), "{error}");
        assert_eq!(task.status().await?.attempts, 3);
        Ok(())
    });
}
