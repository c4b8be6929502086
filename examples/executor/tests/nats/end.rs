//! The end of a worker.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::command_line::{Process, command, output};
use crate::server::Server;

#[test]
fn on_nats_a_worker_that_is_to_end_finishes_what_it_runs_and_others_do_the_rest() {
    let Some(server) = Server::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let script = format!("echo begun; read line < '{}'; echo $line", gate.display());
    let program = serde_json::json!(["sh", "-c", script]).to_string();
    let mut first = Process::worker(&server, "first");
    let submitted = output(&server, "submit", &["exec", &program, "--id", "held"]);
    assert!(submitted.status.success(), "{submitted:?}");
    let mut following = command(&server, "logs");
    following.args(["held", "--follow"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut following = Process(following.spawn().unwrap());
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "begun");
    // The first worker has this one, too, and no slot for it.
    let behind = ["exec", r#"["true"]"#, "--id", "behind"];
    assert!(output(&server, "submit", &behind).status.success());
    let process = first.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    let second = Process::worker(&server, "second");
    // The first one still runs the other.
    assert!(output(&server, "result", &["behind"]).status.success());
    drop(second);
    std::fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"ended\n").unwrap();
    assert!(output(&server, "result", &["held"]).status.success());
    assert_eq!(lines.next().unwrap().unwrap(), "ended");
    assert!(first.0.wait().unwrap().success());
    let status = output(&server, "status", &["held", "--json"]);
    let record: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(record["attempts"], 1, "{record}");
}
