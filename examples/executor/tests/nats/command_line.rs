//! The binary on NATS.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::State;
use wharf_test_support::authority::{Authority, text};

use crate::server::{Server, run};

pub(crate) fn command(server: &Server, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
    command.args([name, "--nats", &server.address, "--nats-lease", "1"]);
    command
}

pub(crate) fn output(server: &Server, name: &str, arguments: &[&str]) -> Output {
    command(server, name).args(arguments).output().unwrap()
}

/// A worker; dropping it kills it.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn worker(server: &Server, name: &str) -> Self {
        let arguments = ["--slots", "1", "--kinds", "exec,fail,sleep,wordcount", "--name", name];
        let mut worker = command(server, "work");
        worker.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Self(worker.spawn().unwrap())
    }
}

/// The first line of what a worker writes.
fn first_line(stream: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
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
    let outcome = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
        command.args(words).args(["--nats", &server.address, "--nats-lease", "1"]).output().unwrap()
    };
    for words in [
        ["schedule", "add", "s", "30 2 * * *", "wordcount", "a b", "--zone", "Europe/Paris"]
            .as_slice(),
        &["schedule", "pause", "s"],
        &["drain"],
        &["drain", "--end"],
    ] {
        let done = outcome(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
    }
    let schedules = outcome(&["schedule", "list"]);
    let schedules = String::from_utf8_lossy(&schedules.stdout).into_owned();
    assert!(schedules.starts_with("s ") && schedules.contains("paused"), "{schedules}");
    let refused = outcome(&["backup", "--out", "/nowhere/x"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{error}");
    assert_eq!(
        error,
        "error: `backup` is for a coordinator, and on NATS there is none: `nats stream backup` copies its streams, \
         NAME-tasks, KV_NAME-records and KV_NAME-control\n"
    );
}

#[test]
fn on_nats_what_has_failed_is_listed_until_it_is_retried() {
    let Some(server) = Server::start() else { return };
    let _worker = Process::worker(&server, "w");
    let program = ["exec", r#"["sh","-c","echo here"]"#, "--id", "program", "--wait"];
    let program = output(&server, "submit", &program);
    assert!(program.status.success(), "{program:?}");
    let failing = ["fail", "\"of this\"", "--retries", "0", "--id", "bad", "--wait"];
    assert!(!output(&server, "submit", &failing).status.success());
    let listed = |arguments: &[&str]| {
        let list = output(&server, "list", arguments);
        assert!(list.status.success(), "{list:?}");
        String::from_utf8(list.stdout).unwrap()
    };
    let dead = listed(&["--failed"]);
    assert!(dead.starts_with("bad ") && dead.contains("of this"), "{dead}");
    assert_eq!(dead.lines().count(), 1);
    let all = listed(&[]);
    let ids: Vec<_> = all.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids, ["bad", "program"]);
    let first = listed(&["--limit", "1", "--json"]);
    assert!(first.contains("\"bad\"") && first.lines().count() == 1, "{first}");
    assert_eq!(listed(&["--state", "queued"]), "");
    assert!(output(&server, "retry", &["bad"]).status.success());
    let again = output(&server, "result", &["bad"]);
    let error = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && error.contains("of this"), "{error}");
    assert!(listed(&["--failed"]).contains("of this"));
}

#[test]
fn on_nats_servers_may_want_tls_and_certificates() {
    let authority = Authority::new();
    let Some(server) = Server::secured(&authority) else { return };
    let (own, trusted) = (authority.issue(&["worker"]), authority.file());
    let address = format!("tls://me:secret@{}", server.address);
    let command = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
        command.args([name, "--nats", &address, "--tls-ca", text(&trusted)]);
        command
    };
    let identity = ["--tls-cert", text(&own.chain), "--tls-key", text(&own.key)];
    let worker = |identity: &[&str]| {
        let mut worker = command("work");
        worker.args(identity).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process(worker.spawn().unwrap())
    };
    let mut stranger = worker(&[]);
    let error = first_line(stranger.0.stderr.take().unwrap());
    assert!(error.starts_with("no NATS server: ") && error.contains("certificate"), "{error}");
    let mut known = worker(&identity);
    let connected = format!("connected to {}\n", server.address);
    assert_eq!(first_line(known.0.stdout.take().unwrap()), connected);
    let submit = ["wordcount", "\"to be\"", "--wait"];
    let counted = command("submit").args(identity).args(submit).output().unwrap();
    assert!(counted.status.success(), "{counted:?}");
    let refused = command("list").args(["--connect-timeout", "500ms"]).output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{error}");
    assert!(error.contains(&server.address) && !error.contains("secret"), "{error}");
    assert!(error.contains("certificate"), "{error}");
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
