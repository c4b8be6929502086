//! The dashboard, of no coordinator.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use wharf::Result;
use wharf_executor::coordinator::{Filter, Span, SpanEnd};
use wharf_executor::dashboard::{ClientSource, Source};
use wharf_executor::task::{Phase, Spec, State, TaskId};
use wharf_executor::wire::AskOutput;

use crate::basics::{Log, client, soon, spec, until, worker};
use crate::command_line::{Process, command, output};
use crate::server::{Server, run};

#[test]
fn on_nats_a_dashboard_shows_tasks_of_every_state_and_changes_them() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let own = client(&event_loop, &server, "a")?;
        let source = ClientSource::start(&event_loop, client(&event_loop, &server, "a")?).await?;
        source.watch_spans(true);
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        let bad = own.submit_spec(Spec { retries: 0, ..spec("bad", "fail", 9) }).await?;
        bad.ended().await?;
        let good = own.submit_spec(spec("good", "square", 3)).await?;
        good.result::<u64>().await?;
        let held = own.submit_spec(spec("held", "hold", ())).await?;
        until(|| log.borrow().iter().any(|line| line == "held")).await;
        own.submit_spec(spec("waits", "note", "x")).await?;
        let later = Spec { at: Some(soon(3_600_000)), ..spec("later", "note", "x") };
        own.submit_spec(later).await?;
        let seen = loop {
            let seen = source.overview();
            let tasks = seen.tasks;
            let counts =
                [tasks.failed, tasks.succeeded, tasks.running, tasks.queued, tasks.delayed];
            let is_shown = seen.workers.iter().any(|worker| worker.running.len() == 1);
            if counts == [1; 5] && is_shown {
                break seen;
            }
            event_loop.sleep(Duration::from_millis(20)).await;
        };
        let totals = seen.totals;
        assert_eq!((totals.submitted, totals.succeeded, totals.failed), (5, 1, 1));
        assert_eq!(seen.workers[0].running[0].id, *held.id());
        let ids = async |state| {
            let page = source.list(Filter { state, kind: None }, None, 100).await.unwrap();
            page.tasks.iter().map(|task| task.id.to_string()).collect::<Vec<_>>()
        };
        // It is recorded as running after a quarter of a second. Records are known by what was told of them.
        while ids(Some(Phase::Running)).await != ["held"] {
            event_loop.sleep(Duration::from_millis(20)).await;
        }
        while ids(None).await != ["later", "waits", "held", "good", "bad"] {
            event_loop.sleep(Duration::from_millis(20)).await;
        }
        for (state, id) in [
            (Phase::Failed, "bad"),
            (Phase::Succeeded, "good"),
            (Phase::Queued, "waits"),
            (Phase::Delayed, "later"),
        ] {
            assert_eq!(ids(Some(state)).await, [id]);
        }
        let detail = source.task(good.id().clone()).await.unwrap().ok_or("it is there")?;
        assert_eq!((detail.task.result.as_deref(), detail.task.attempts), (Some("9"), 1));
        assert!(source.task(TaskId::new("nobody")?).await.unwrap().is_none());
        let ask = AskOutput {
            id: held.id().clone(),
            offset: 0,
            last: None,
            follow: true,
            progress: None,
        };
        // It does not wait for more.
        let output = source.output(ask.clone()).await.unwrap().ok_or("it is there")?;
        assert!(output.parts.is_empty() && !output.ended);
        let nobody = AskOutput { id: TaskId::new("nobody")?, ..ask };
        assert!(source.output(nobody).await.unwrap().is_none());
        assert!(!source.retry(good.id().clone()).await.unwrap());
        assert!(source.cancel(TaskId::new("waits")?).await.unwrap());
        assert!(!source.cancel(TaskId::new("waits")?).await.unwrap());
        assert!(source.retry(bad.id().clone()).await.unwrap());
        assert!(matches!(bad.status().await?.state, State::Queued { .. }));
        log.borrow_mut().push("go".to_owned());
        held.result::<()>().await?;
        bad.ended().await?;
        let mut ran: Vec<Span> = Vec::new();
        let is = |ran: &Span, id: &TaskId, end| ran.id == *id && ran.end == end;
        while !ran.iter().any(|ran| is(ran, held.id(), SpanEnd::Succeeded))
            || !ran.last().is_some_and(|ran| is(ran, bad.id(), SpanEnd::Failed))
        {
            event_loop.sleep(Duration::from_millis(20)).await;
            ran.extend(source.spans().0);
        }
        let worker = source.overview().workers[0].key;
        assert!(ran.iter().all(|ran| (ran.worker, ran.slot) == (worker, 0)));
        while source.overview().totals.failed != 2 {
            event_loop.sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
}

/// What is answered to a request, all of it.
fn get(address: &str, path: &str, more: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn on_nats_any_process_serves_a_dashboard() {
    let Some(server) = Server::start() else { return };
    let _worker = Process::worker(&server, "w");
    let counted = output(&server, "submit", &["wordcount", "\"to be\"", "--wait"]);
    assert!(counted.status.success(), "{counted:?}");
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "let me in\n").unwrap();
    let mut serving = command(&server, "dashboard");
    serving.args(["--http", "127.0.0.1:0", "--http-token-file"]).arg(&token);
    serving.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut serving = Process(serving.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_start_matches("dashboard at http://").trim_end().trim_end_matches('/');
    let health = get(address, "/healthz", "");
    assert!(health.starts_with("HTTP/1.1 200 ") && health.contains("\r\n\r\nok"), "{health}");
    assert!(get(address, "/metrics", "").starts_with("HTTP/1.1 401 "));
    let metrics = get(address, "/metrics", "Authorization: Bearer let me in\r\n");
    assert!(metrics.contains("wharf_executor_tasks{state=\"succeeded\"} 1\n"), "{metrics}");
    let process = serving.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    assert!(serving.0.wait().unwrap().success());
}
