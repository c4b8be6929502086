//! What tasks write.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::value::to_raw_value;
use wharf::Result;
use wharf_executor::client::{Client, ClientError, ClientOptions, OutputItem};
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::{Backoff, Kind, Piece, Progress, Spec};
use wharf_executor::work::{Functions, Job, Worker, WorkerOptions};
use wharf_protocols::nats::Options;
use wharf_protocols::nats::jetstream::JetStream;

use crate::command_line::{Process, command, output};
use crate::server::{Server, run};

#[test]
fn on_nats_what_tasks_write_is_kept_and_can_be_followed() {
    let Some(server) = Server::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let _worker = Process::worker(&server, "w");
    let script = format!("echo begun; echo oh >&2; read line < '{}'; echo $line", gate.display());
    let program = serde_json::json!(["sh", "-c", script]).to_string();
    let submitted = output(&server, "submit", &["exec", &program, "--id", "t"]);
    assert!(submitted.status.success(), "{submitted:?}");
    let mut following = command(&server, "logs");
    following.args(["t", "--follow"]).stdin(Stdio::null());
    following.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut following = Process(following.spawn().unwrap());
    let mut written = following.0.stdout.take().unwrap();
    let mut begun = [0; 6];
    written.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"begun\n");
    // It waits for this.
    std::fs::OpenOptions::new().write(true).open(&gate).unwrap().write_all(b"ended\n").unwrap();
    let mut rest = String::new();
    written.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "ended\n");
    assert!(following.0.wait().unwrap().success());
    let kept = output(&server, "logs", &["t"]);
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "begun\nended\n");
    assert_eq!(String::from_utf8_lossy(&kept.stderr), "oh\n");
    let end = output(&server, "logs", &["t", "--last", "6"]);
    assert_eq!(String::from_utf8_lossy(&end.stdout), "ended\n");
    let silent = output(&server, "submit", &["wordcount", "\"a\"", "--id", "silent", "--wait"]);
    assert!(silent.status.success(), "{silent:?}");
    let nothing = output(&server, "logs", &["silent", "--follow"]);
    assert!(nothing.status.success() && nothing.stdout.is_empty(), "{nothing:?}");
    let unknown = output(&server, "logs", &["nobody"]);
    let error = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && error.contains("nobody"), "{error}");
}

#[test]
fn on_nats_tasks_run_where_there_is_no_room_for_what_they_write() {
    for (room, expected) in [(100 << 20, "here\n"), (10 << 20, "")] {
        let Some(server) = Server::small(room) else { return };
        let mut worker = command(&server, "work");
        worker.args(["--kinds", "exec"]).stdin(Stdio::null()).stdout(Stdio::null());
        let _worker = Process(worker.stderr(Stdio::null()).spawn().unwrap());
        for id in ["first", "second"] {
            let submit = ["exec", r#"["echo","here"]"#, "--id", id, "--wait"];
            let done = output(&server, "submit", &submit);
            assert!(done.status.success(), "{done:?}");
            let kept = output(&server, "logs", &[id]);
            assert!(kept.status.success(), "{kept:?}");
            assert_eq!(String::from_utf8_lossy(&kept.stdout), expected, "{kept:?}");
        }
    }
}

#[test]
fn on_nats_each_attempt_writes_behind_the_one_before() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let nats = NatsOptions::default;
        let mut functions = Functions::new();
        let write = async |(): (), job: Job| {
            job.write(&format!("attempt {}\n", job.attempt()));
            job.progress(1, Some(2));
            if job.attempt() == 1 { Err("on purpose") } else { Ok(()) }
        };
        functions.add_async("write", write)?;
        let options = WorkerOptions::default();
        let _worker = Worker::on_nats(&event_loop, [&server.address], functions, options, nats())?;
        let client =
            Client::on_nats(&event_loop, [&server.address], ClientOptions::default(), nats())?;
        let mut spec = Spec::new(Kind::new("write")?, to_raw_value(&())?);
        spec.backoff = Backoff { initial: 1, longest: 1 };
        let task = client.submit_spec(spec).await?;
        let (mut reader, mut texts) = (task.output(), Vec::new());
        while let Some(item) = reader.next().await? {
            match item {
                OutputItem::Text { attempt, piece: Piece::Stdout(text) } => {
                    texts.push((attempt, text));
                }
                OutputItem::Progress(progress) => {
                    assert_eq!(progress, Progress { done: 1, of: Some(2) });
                }
                other => panic!("{other:?}"),
            }
        }
        let expected = [1, 2].map(|attempt| (attempt, format!("attempt {attempt}\n")));
        assert_eq!(texts, expected);
        // Who deletes the stream loses what was written, and nothing else.
        let connection = Options::new().connect(&event_loop, [&server.address]).await?;
        JetStream::new(&connection).delete_stream("wharf-output").await?;
        assert_eq!(task.output().kept().next().await?, None);
        let spec = Spec::new(Kind::new("write")?, to_raw_value(&())?);
        let again = client.submit_spec(spec).await?;
        let first = event_loop.timeout(Duration::from_secs(60), async {
            let mut reader = again.output();
            loop {
                match reader.next().await? {
                    Some(OutputItem::Progress(_)) => continue,
                    item => return Ok::<_, ClientError>(item),
                }
            }
        });
        assert!(matches!(first.await??, Some(OutputItem::Text { attempt: 1, .. })));
        Ok(())
    })
}
