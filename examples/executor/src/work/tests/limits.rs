//! What a worker holds, and what it may return.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::{ADDRESS, Peer, ended, options, run, serve};
use crate::task::MOST_RESULT;
use crate::work::{Functions, Job, Worker};

/// Counts how many run at once.
fn counting(now: &Rc<Cell<usize>>, most: &Rc<Cell<usize>>) -> Functions {
    let (now, most) = (Rc::clone(now), Rc::clone(most));
    let function = async move |milliseconds: u64, _: Job| {
        now.set(now.get() + 1);
        most.set(most.get().max(now.get()));
        wharf::sleep(Duration::from_millis(milliseconds)).await;
        now.set(now.get() - 1);
        Ok::<_, String>(())
    };
    let mut functions = Functions::new();
    functions.add_async("sleep", function).unwrap();
    functions
}

#[test]
fn a_worker_holds_no_more_than_its_slots_and_its_prefetch() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let (now, most_running) = (Rc::default(), Rc::default());
        let worker =
            Worker::start(&event_loop, [ADDRESS], counting(&now, &most_running), options())?;
        let mut client = Peer::client(&event_loop).await?;
        let specs: Vec<_> = (1..50).map(|time| json!({"kind": "sleep", "args": time})).collect();
        client.ask(json!({"submit": specs})).await?;
        let mut most = 0;
        while server.counts() != (0, 0) {
            event_loop.sleep(Duration::from_micros(100)).await;
            assert!(worker.tasks() <= 3 && server.counts().1 <= 3);
            most = most.max(worker.tasks());
        }
        assert_eq!((most, most_running.get(), now.get()), (3, 2, 0));
        Ok(())
    });
}

#[test]
fn a_worker_that_shuts_down_does_so_as_soon_as_the_last_result_is_recorded() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let functions = counting(&Rc::default(), &Rc::default());
        let worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"id": "1", "kind": "sleep", "args": 1_003}]})).await?;
        let waiting = event_loop.create_task(async move {
            let task = ended(&mut client, "1").await?;
            let now = wharf::EventLoop::current()?.time();
            Ok::<_, wharf::Failure>((task["state"]["outcome"].clone(), now))
        });
        event_loop.sleep(Duration::from_millis(1)).await;
        worker.shutdown(Duration::from_secs(10)).await?;
        assert_eq!(waiting.await??, (json!("succeeded"), event_loop.time()));
        Ok(())
    });
}

#[test]
fn a_result_that_is_too_large_is_the_failure_of_its_task() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add("fill", |length: usize, _| Ok::<_, String>("x".repeat(length)))?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        // Two bytes are its quotation marks.
        for (id, length) in [("fits", MOST_RESULT - 2), ("large", MOST_RESULT - 1)] {
            let spec = json!({"id": id, "kind": "fill", "args": length, "retries": 0});
            client.ask(json!({"submit": [spec]})).await?;
        }
        let fits = ended(&mut client, "fits").await?;
        assert_eq!(fits["result"].as_str().map(str::len), Some(MOST_RESULT - 2));
        let large = ended(&mut client, "large").await?;
        let error = "its result is too large: 2097153 bytes of JSON, and 2097152 are kept";
        assert_eq!(
            (&large["state"]["outcome"], &large["error"]),
            (&json!("failed"), &json!(error))
        );
        Ok(())
    });
}
