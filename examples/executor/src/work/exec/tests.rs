//! With real programs.

use std::time::Duration;

use redb::backends::InMemoryBackend;
use serde_json::{Value, json};
use wharf::{EventLoop, Result, Server};

use super::run::Decoder;
use super::{ExecArguments, ExecLimits};
use crate::client::{Client, ClientError, ClientOptions, OutputItem, SubmittedTask};
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;
use crate::task::{Kind, Spec};
use crate::work::{Functions, Worker, WorkerOptions};

/// All that runs tasks.
struct World {
    client: Client,
    _worker: Worker,
    _server: Server,
}

impl World {
    async fn new(event_loop: &EventLoop) -> Result<Self> {
        let store = DiskStore::open_in(InMemoryBackend::new())?;
        let coordinator = CoordinatorServer::new(event_loop, store, ServeOptions::default())?;
        let listening = event_loop.create_server(move || coordinator.protocol(), "127.0.0.1:0");
        let server = listening.await?;
        let address = server.local_address()?.to_string();
        let mut functions = Functions::new();
        functions.enable_exec()?;
        let options = WorkerOptions { slots: 4, ..WorkerOptions::default() };
        let worker = Worker::start(event_loop, [&*address], functions, options)?;
        let client = Client::start(event_loop, [&*address], ClientOptions::default())?;
        Ok(Self { client, _worker: worker, _server: server })
    }

    async fn submit(&self, args: Value) -> Result<SubmittedTask> {
        self.submit_with(args, None).await
    }

    async fn submit_with(&self, args: Value, timeout: Option<u64>) -> Result<SubmittedTask> {
        let args = serde_json::value::to_raw_value(&args)?;
        let spec = Spec { retries: 0, timeout, ..Spec::new(Kind::new("exec")?, args) };
        Ok(self.client.submit_spec(spec).await?)
    }

    /// What a line of shell writes, when it succeeds.
    async fn shell(&self, line: &str) -> Result<String> {
        let task = self.submit(json!(["sh", "-c", line])).await?;
        task.result::<Value>().await?;
        written(&task).await
    }
}

async fn written(task: &SubmittedTask) -> Result<String> {
    let (mut output, mut text) = (task.output().kept(), String::new());
    while let Some(item) = output.next().await? {
        match item {
            OutputItem::Text { piece, .. } => text += piece.text(),
            OutputItem::Missing(bytes) => text += &format!("<{bytes}>"),
            OutputItem::Progress(_) => {}
        }
    }
    Ok(text)
}

async fn failed(task: &SubmittedTask) -> String {
    match task.result::<Value>().await {
        Err(ClientError::Failed(error)) => error.into(),
        other => panic!("{other:?}"),
    }
}

/// Waits until a process is no more; one that nobody has waited for yet is a zombie.
async fn is_gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    let lives = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    while lives() {
        wharf::sleep(Duration::from_millis(5)).await;
    }
}

fn run(test: impl AsyncFnOnce(EventLoop, World) -> Result) {
    let outcome = wharf::run(async |event_loop| {
        let world = World::new(&event_loop).await?;
        wharf::timeout(Duration::from_secs(60), test(event_loop, world)).await?
    });
    outcome.unwrap();
}

#[test]
fn a_program_gets_what_it_was_given_and_its_output_and_status_are_kept() {
    run(async |_, world| {
        let script = r#"read line; printf '%s %s %s %s' "$line" "$A" "$WHARF_TASK_ATTEMPT" "$PWD"; printf oops >&2"#;
        let args = json!({
            "argv": ["sh", "-c", script], "env": {"A": "b"}, "cwd": "/", "stdin": "given\n",
        });
        let task = world.submit(args).await?;
        assert_eq!(task.result::<Value>().await?, json!({"status": 0}));
        let text = written(&task).await?;
        assert!(text == "given b 1 /oops" || text == "oopsgiven b 1 /", "{text}");
        // A token would be in one of these.
        let names = world.shell("env | grep -c '^WHARF_EXECUTOR' || true").await?;
        assert_eq!(names.trim(), "1", "only the mark");
        let clear = json!({"argv": ["/usr/bin/env"], "clear_env": true});
        let task = world.submit(clear).await?;
        task.result::<Value>().await?;
        let variables = written(&task).await?;
        assert!(variables.lines().all(|line| line.starts_with("WHARF_")), "{variables}");
        Ok(())
    });
}

#[test]
fn a_status_a_signal_and_what_cannot_be_run_are_errors() {
    run(async |_, world| {
        let shell = |line: &str| json!(["sh", "-c", line]);
        let cases = [
            (
                shell("echo first >&2; echo why >&2; exit 3"),
                "it exited with status 3; it wrote:\nfirst\nwhy",
            ),
            (shell("kill -KILL $$"), "signal 9 ended it"),
            (json!([]), "argv is empty"),
            (json!("ls"), "a list of the program and its arguments"),
            (json!({"argv": ["ls"], "shell": true}), "unknown field `shell`"),
            (json!(["/nowhere/at/all"]), "/nowhere/at/all"),
            (json!({"argv": ["ls"], "grace": 60_001}), "grace is 60000 at most"),
        ];
        for (args, error) in cases {
            let told = failed(&world.submit(args).await?).await;
            assert!(told.contains(error), "{told}");
        }
        Ok(())
    });
}

#[test]
fn cancelling_and_a_timeout_end_all_that_a_program_has_started() {
    run(async |_, world| {
        // A grandchild, too, which ignores what it can.
        let line = "trap '' TERM; (trap '' TERM; echo $(exec sh -c 'echo $PPID'); sleep 1000) & echo $$; wait; sleep 1000";
        let args = json!({"argv": ["sh", "-c", line], "grace": 50});
        let cancelled = world.submit(args.clone()).await?;
        let timed_out = world.submit_with(args, Some(500)).await?;
        let mut all = Vec::new();
        for task in [&cancelled, &timed_out] {
            let (mut output, mut text) = (task.output(), String::new());
            while text.lines().count() < 2 || !text.ends_with('\n') {
                let Some(OutputItem::Text { piece, .. }) = output.next().await? else { break };
                text += piece.text();
            }
            let pids: Vec<_> = text.lines().map(str::to_owned).collect();
            assert_eq!(pids.len(), 2, "{text}");
            all.extend(pids);
        }
        assert!(cancelled.cancel().await?);
        assert!(matches!(cancelled.result::<Value>().await, Err(ClientError::Cancelled)));
        assert_eq!(failed(&timed_out).await, "it took longer than 500 ms");
        for pid in all {
            is_gone(&pid).await;
        }
        Ok(())
    });
}

#[test]
fn a_program_that_is_told_to_end_may_do_so_in_its_own_way() {
    run(async |_, world| {
        // The shell may say on standard error, at any moment, that its sleep was ended.
        let line = "exec 2>/dev/null; trap 'echo cleaned up; exit 0' TERM; echo ready; \
            while :; do sleep 0.01; done";
        let task = world.submit(json!(["sh", "-c", line])).await?;
        let mut output = task.output();
        assert!(output.next().await?.is_some());
        assert!(task.cancel().await?);
        // It had done what it was for.
        assert_eq!(task.result::<Value>().await?, json!({"status": 0}));
        assert_eq!(written(&task).await?, "ready\ncleaned up\n");
        Ok(())
    });
}

#[test]
fn what_a_program_leaves_behind_in_its_group_ends_with_it_and_is_not_waited_for() {
    run(async |_, world| {
        let pid = world.shell("sleep 1000 & echo $!").await?;
        is_gone(pid.trim()).await;
        Ok(())
    });
}

#[test]
fn a_program_that_writes_much_waits_and_the_beginning_and_the_end_are_kept() {
    run(async |_, world| {
        let text = world.shell("seq 1000000 1199999").await?;
        assert!(text.starts_with("1000000\n1000001\n"), "{:?}", &text[..20]);
        assert!(text.ends_with("1199998\n1199999\n"));
        let (head, rest) = text.split_once('<').expect("the middle is not kept");
        let (missing, tail) = rest.split_once('>').expect("a number");
        let missing: usize = missing.parse()?;
        assert_eq!(head.len() + missing + tail.len(), 8 * 200_000);
        assert!(text.len() < 257 * 1024);
        Ok(())
    });
}

#[test]
fn a_program_that_wants_more_than_its_limit_is_refused_it() {
    run(async |_, world| {
        let limits = ExecLimits { files: Some(17), cpu: Some(7), memory: Some(1 << 30) };
        let argv = ["sh", "-c", "ulimit -n; ulimit -t; ulimit -v"];
        let arguments = ExecArguments { limits, ..ExecArguments::new(argv) };
        let task = world.client.submit("exec", &arguments).await?;
        task.result::<Value>().await?;
        assert_eq!(written(&task).await?, "17\n7\n1048576\n");
        Ok(())
    });
}

#[test]
fn bytes_in_any_parts_become_the_same_text() {
    let bytes = b"a\xc3\xa9\xe2\x82\xac\xff\xf0\x9d\x84\x9e\xe2\x82".to_vec();
    let whole = String::from_utf8_lossy(&bytes).into_owned();
    for size in 1..=bytes.len() {
        let mut decoder = Decoder::default();
        let mut text: String = bytes.chunks(size).map(|part| decoder.decode(part, false)).collect();
        text += &decoder.decode(b"", true);
        assert_eq!(text, whole, "{size}");
    }
}
