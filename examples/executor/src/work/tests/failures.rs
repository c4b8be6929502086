use std::time::Duration;

use serde_json::json;

use super::super::{Failure, Functions, Worker};
use super::{ADDRESS, ended, options, run};
use crate::Function;
use crate::serve::tests::{Peer, serve};

const PARSE: Function<String, i32> = Function::new("parse");
const LEFT: Function<(), u64> = Function::new("left");

#[test]
fn a_permanent_failure_is_not_tried_again() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.define(&PARSE, |text: String, _| text.parse::<i32>().map_err(Failure::permanent));
        functions.add("retryable", |(): (), _| Err::<(), _>("no"))?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        let specs = json!([
            {"id": "1", "kind": "parse", "args": "x"},
            {"id": "2", "kind": "parse", "args": [7]},
            {"id": "3", "kind": "retryable"},
        ]);
        client.ask(json!({"submit": specs})).await?;
        for (id, attempts) in [("1", 1), ("2", 1), ("3", 4)] {
            let task = ended(&mut client, id).await?;
            let state = (&task["state"]["outcome"], &task["attempts"]);
            assert_eq!(state, (&json!("failed"), &json!(attempts)));
        }
        Ok(())
    });
}

#[test]
fn a_function_knows_how_long_its_attempt_may_take() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        let clock = event_loop.clone();
        functions.define_async(&LEFT, async move |(), job: super::super::Job| {
            wharf::sleep(Duration::from_secs(1)).await;
            let left = job.deadline().ok_or("no deadline")?.duration_since(clock.time());
            Ok::<_, &str>(left.as_secs())
        });
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"id": "1", "kind": "left", "timeout": 8_000}]})).await?;
        assert_eq!(ended(&mut client, "1").await?["result"], 7);
        Ok(())
    });
}

/// What a task holds may panic when it is dropped, wherever it waits then: its end is reported all the same.
#[test]
fn a_panic_in_what_is_dropped_is_its_tasks_alone() {
    struct Trap;
    impl Drop for Trap {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add_async("trap", async |seconds: u64, _| {
            let _trap = Trap;
            wharf::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, &str>(7)
        })?;
        functions.add("add", |(left, right): (i64, i64), _| Ok::<_, &str>(left + right))?;
        let worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        let specs = json!([
            {"id": "ends", "kind": "trap", "args": 1, "retries": 0},
            {"id": "late", "kind": "trap", "args": 900, "retries": 0, "timeout": 2_000},
        ]);
        client.ask(json!({"submit": specs})).await?;
        assert_eq!(ended(&mut client, "ends").await?["error"], "it panicked: on purpose");
        assert_eq!(ended(&mut client, "late").await?["error"], "it took longer than 2000 ms");
        client.ask(json!({"submit": [{"id": "cancelled", "kind": "trap", "args": 900}]})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        client.ask(json!({"cancel": "cancelled"})).await?;
        assert_eq!(ended(&mut client, "cancelled").await?["state"]["outcome"], "cancelled");
        // Both slots are free.
        client.ask(json!({"submit": [{"id": "3", "kind": "add", "args": [1, 2]}]})).await?;
        assert_eq!(ended(&mut client, "3").await?["result"], 3);
        assert_eq!(worker.tasks(), 0);
        Ok(())
    });
}
