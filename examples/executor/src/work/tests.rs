//! A worker and its coordinator, over a network in memory.

mod failures;
mod hostile;
mod lease;
mod limits;
mod occupied;
mod output;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use super::{Functions, Worker, WorkerOptions};
use crate::serve::tests::{ADDRESS, Peer, serve};
use crate::task::Outcome;

fn options() -> WorkerOptions {
    let token = Some("secret".into());
    WorkerOptions { name: "w".into(), slots: 2, prefetch: 1, token, ..WorkerOptions::default() }
}

fn functions(log: &Rc<RefCell<Vec<String>>>) -> Functions {
    let mut functions = Functions::new();
    functions.add("add", |(left, right): (i64, i64), _| Ok::<_, String>(left + right)).unwrap();
    functions.add("panic", |(): (), _| -> Result<(), String> { panic!("on purpose") }).unwrap();
    let log = Rc::clone(log);
    let sleep = async move |seconds: u64, job: super::Job| {
        log.borrow_mut().push(format!("{} begins", job.attempt()));
        wharf::sleep(Duration::from_secs(seconds)).await;
        log.borrow_mut().push(format!("{} ends", job.attempt()));
        Ok::<_, String>(seconds)
    };
    functions.add_async("sleep", sleep).unwrap();
    functions
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

async fn ended(client: &mut Peer, id: &str) -> Result<serde_json::Value> {
    Ok(client.ask(json!({"wait": id})).await?["task"].clone())
}

#[test]
fn functions_run_tasks_and_their_errors_and_panics_are_theirs() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let functions = functions(&Rc::default());
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        let spec = |id: &str, kind: &str, args: serde_json::Value| json!({"id": id, "kind": kind, "args": args, "retries": 0});
        let specs = [
            spec("1", "add", json!([1, 2])),
            spec("2", "add", json!("x")),
            spec("3", "panic", json!(null)),
            spec("4", "sleep", json!(7)),
        ];
        client.ask(json!({"submit": specs})).await?;
        assert_eq!(ended(&mut client, "1").await?["result"], 3);
        let error = ended(&mut client, "2").await?["error"].to_string();
        assert!(error.contains("its arguments do not fit: invalid type"), "{error}");
        let error = ended(&mut client, "3").await?["error"].to_string();
        assert!(error.contains("on purpose"), "{error}");
        assert_eq!(ended(&mut client, "4").await?["result"], 7);
        Ok(())
    });
}

#[test]
fn a_long_task_keeps_its_worker_and_a_timeout_ends_it() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let log = Rc::default();
        let _worker = Worker::start(&event_loop, [ADDRESS], functions(&log), options())?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"id": "1", "kind": "sleep", "args": 86_400}]})).await?;
        assert_eq!(ended(&mut client, "1").await?["attempts"], 1);
        assert_eq!(*log.borrow(), ["1 begins", "1 ends"]);
        let short = json!({"id": "2", "kind": "sleep", "args": 9, "timeout": 1_000, "retries": 1});
        client.ask(json!({"submit": [short]})).await?;
        let task = ended(&mut client, "2").await?;
        let state = (&task["state"]["outcome"], &task["error"], &task["attempts"]);
        assert_eq!(state, (&json!("failed"), &json!("it took longer than 1000 ms"), &json!(2)));
        assert_eq!(log.borrow()[2..], ["1 begins", "2 begins"]);
        Ok(())
    });
}

#[test]
fn cancelling_ends_what_runs() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let log = Rc::default();
        let worker = Worker::start(&event_loop, [ADDRESS], functions(&log), options())?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"id": "1", "kind": "sleep", "args": 9}]})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(worker.tasks(), 1);
        assert_eq!(client.ask(json!({"cancel": "1"})).await?, json!({"changed": true}));
        let outcome = serde_json::to_value(Outcome::Cancelled)?;
        assert_eq!(ended(&mut client, "1").await?["state"]["outcome"], outcome);
        assert_eq!((worker.tasks(), server.counts()), (0, (0, 0)));
        assert_eq!(*log.borrow(), ["1 begins"]);
        Ok(())
    });
}

#[test]
fn a_worker_that_shuts_down_ends_what_it_can_and_gives_back_the_rest() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let log = Rc::default();
        let worker = Worker::start(&event_loop, [ADDRESS], functions(&log), options())?;
        let mut client = Peer::client(&event_loop).await?;
        let sleep = |id: &str, seconds: u64| json!({"id": id, "kind": "sleep", "args": seconds});
        client.ask(json!({"submit": [sleep("1", 5), sleep("2", 60)]})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        worker.shutdown(Duration::from_secs(10)).await?;
        assert_eq!(ended(&mut client, "1").await?["result"], 5);
        assert_eq!(server.counts(), (1, 0));
        assert_eq!(client.ask(json!({"status": "2"})).await?["task"]["losses"], 0);
        Ok(())
    });
}

#[test]
fn a_worker_without_the_token_says_why_it_is_not_wanted() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let options = WorkerOptions { token: Some("guess".into()), ..options() };
        let worker = Worker::start(&event_loop, [ADDRESS], functions(&Rc::default()), options)?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(worker.refused().as_deref(), Some("the token is wrong"));
        Ok(())
    });
}

#[test]
fn a_task_behind_a_long_one_goes_to_a_worker_with_a_free_slot() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let log = Rc::default();
        let one = || WorkerOptions { slots: 1, ..options() };
        let _busy = Worker::start(&event_loop, [ADDRESS], functions(&log), one())?;
        let mut client = Peer::client(&event_loop).await?;
        let spec = |id: &str, seconds: u64| json!({"id": id, "kind": "sleep", "args": seconds});
        client.ask(json!({"submit": [spec("long", 1_000), spec("short", 1)]})).await?;
        event_loop.sleep(Duration::from_secs(5)).await;
        assert_eq!(*log.borrow(), ["1 begins"]);
        let began = event_loop.time();
        let _idle = Worker::start(&event_loop, [ADDRESS], functions(&log), one())?;
        let ended = ended(&mut client, "short").await?;
        assert_eq!((&ended["result"], &ended["losses"]), (&json!(1), &json!(0)));
        assert!(event_loop.time() - began < Duration::from_secs(3));
        Ok(())
    });
}
