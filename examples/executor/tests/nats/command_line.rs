//! The binary on NATS.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::State;

use crate::server::{Server, run};

fn command(server: &Server, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
    command.args([name, "--nats", &server.address, "--nats-lease", "1"]);
    command
}

fn output(server: &Server, name: &str, arguments: &[&str]) -> Output {
    command(server, name).args(arguments).output().unwrap()
}

/// A worker; dropping it kills it.
struct Process(Child);

impl Process {
    fn worker(server: &Server, name: &str) -> Self {
        let arguments = ["--slots", "1", "--kinds", "sleep,wordcount", "--name", name];
        Self(command(server, "work").args(arguments).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn on_nats_the_commands_are_the_same() {
    let Some(server) = Server::start() else { return };
    let _worker = Process::worker(&server, "w");
    let counted =
        output(&server, "submit", &["wordcount", "\"to be or not\"", "--id", "t", "--wait"]);
    assert!(counted.status.success(), "{counted:?}");
    assert!(String::from_utf8_lossy(&counted.stdout).starts_with("t\t"), "{counted:?}");
    assert!(output(&server, "result", &["t"]).status.success());
    let status = output(&server, "status", &["t"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("succeeded"), "{status:?}");
    assert!(!output(&server, "cancel", &["t"]).status.success());
    for command in ["drain", "list", "top", "logs t", "schedule list", "backup --out /nowhere/x"] {
        let mut words = command.split(' ');
        let name = words.next().unwrap();
        let refused = Command::new(env!("CARGO_BIN_EXE_wharf-executor"))
            .args([name].into_iter().chain(words))
            .args(["--nats", &server.address])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(4), "{command}: {error}");
        let text = format!("error: `{name}` is for a coordinator, and on NATS there is none\n");
        assert_eq!(error, text);
    }
}

#[test]
fn on_nats_a_task_of_a_worker_that_is_killed_runs_elsewhere() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let nats = NatsOptions { lease: Duration::from_secs(1), ..NatsOptions::default() };
        let client =
            Client::on_nats(&event_loop, [&server.address], ClientOptions::default(), nats)?;
        let task = client.submit("sleep", &1500).await?;
        let first = Process::worker(&server, "first");
        let runs_on = async || loop {
            if let State::Running { worker, .. } = &task.status().await?.state {
                let worker: Result<String> = Ok(worker.to_string());
                return worker;
            }
            event_loop.sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(runs_on().await?, "first");
        drop(first);
        let _second = Process::worker(&server, "second");
        assert_eq!(task.result::<u64>().await?, 1500);
        let record = task.status().await?;
        assert_eq!((record.attempts, record.losses), (2, 1));
        Ok(())
    })
}
