//! Clients and workers in Python.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::functions::built_in;
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::Outcome;
use wharf_executor::work::{Worker, WorkerOptions};

use crate::server::{Server, run};

fn script(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
    command.stdin(Stdio::null());
    command
}

fn is_missing() -> bool {
    let has_it = Command::new("python3").args(["-c", "import nats"]).stderr(Stdio::null()).status();
    if has_it.is_ok_and(|status| status.success()) {
        return false;
    }
    let may_be_missing = std::env::var_os("CI").is_none()
        || std::env::var_os("WHARF_WITHOUT_PYTHON_PEERS").is_some();
    assert!(may_be_missing, "nats-py is missing");
    eprintln!("nats-py is missing: not tested");
    true
}

/// A script; dropping it kills it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn on_nats_a_worker_in_python_has_forty_lines() {
    let text = include_str!("../../python/nats_worker.py");
    let is_documentation = |line: &&str| line.trim_start().starts_with("\"\"\"");
    assert_eq!(text.lines().filter(|line| !is_documentation(line)).count(), 40);
}

#[test]
fn on_nats_python_submits_tasks_and_takes_them() -> Result {
    if is_missing() {
        return Ok(());
    }
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let nats = NatsOptions::default;
        let client =
            Client::on_nats(&event_loop, [&server.address], ClientOptions::default(), nats())?;
        let shout = client.submit("shout", &"hello").await?;
        let bad = client.submit("shout", &7).await?;
        let options = WorkerOptions::default();
        let _worker =
            Worker::on_nats(&event_loop, [&server.address], built_in()?, options, nats())?;
        let _python = Running(script("nats_worker.py").arg(&server.address).spawn()?);
        assert_eq!(shout.result::<String>().await?, "HELLO");
        assert_eq!(bad.ended().await?.outcome(), Some(Outcome::Failed));
        // It comes with a record of its own then.
        assert!(bad.retry().await?);
        let again = bad.ended().await?;
        assert_eq!((again.outcome(), again.attempts), (Some(Outcome::Failed), 2));
        let mut submit = script("nats_submit.py");
        submit.args([&server.address, "wordcount", "\"to be or not to be\""]);
        let output = event_loop.run_in_executor(move || submit.output()).await??;
        assert!(output.status.success(), "{output:?}");
        let counts: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(
            counts,
            client
                .submit("wordcount", &"to be or not to be")
                .await?
                .result::<serde_json::Value>()
                .await?
        );
        Ok(())
    })
}
