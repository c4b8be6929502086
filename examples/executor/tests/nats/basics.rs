use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use wharf::{EventLoop, Result};
use wharf_executor::client::{Client, ClientError, ClientOptions};
use wharf_executor::nats::NatsOptions;
use wharf_executor::task::{Backoff, Kind, Outcome, Priority, Spec, State, TaskId, Timestamp};
use wharf_executor::work::{Functions, Job, Worker, WorkerOptions};

use crate::observer::Observer;
use crate::server::{Server, run};

/// What has happened in functions, in order.
pub(crate) type Log = Rc<RefCell<Vec<String>>>;

pub(crate) fn nats(name: &str) -> NatsOptions {
    NatsOptions { name: name.into(), lease: Duration::from_secs(1), ..NatsOptions::default() }
}

pub(crate) fn client(event_loop: &EventLoop, server: &Server, name: &str) -> Result<Client> {
    Client::on_nats(event_loop, [&server.address], ClientOptions::default(), nats(name))
}

pub(crate) fn worker(
    event_loop: &EventLoop,
    server: &Server,
    name: &str,
    slots: usize,
    log: &Log,
) -> Result<Worker> {
    let mut functions = Functions::new();
    functions.add("square", |number: u64, _| Ok::<_, String>(number * number))?;
    let told = Rc::clone(log);
    let note = async move |text: String, _: Job| {
        told.borrow_mut().push(text.clone());
        Ok::<_, String>(text)
    };
    functions.add_async("note", note)?;
    let (told, failures) = (Rc::clone(log), Cell::new(0));
    let fail = async move |times: u64, job: Job| {
        told.borrow_mut().push(format!("attempt {}", job.attempt()));
        failures.set(failures.get() + 1);
        if failures.get() <= times { Err("on purpose") } else { Ok(job.attempt()) }
    };
    functions.add_async("fail", fail)?;
    let told = Rc::clone(log);
    let wait = async move |milliseconds: u64, job: Job| {
        told.borrow_mut().push(format!("{} begins", job.id()));
        wharf::sleep(Duration::from_millis(milliseconds)).await;
        told.borrow_mut().push(format!("{} ends", job.id()));
        Ok::<_, String>(milliseconds)
    };
    functions.add_async("wait", wait)?;
    let told = Rc::clone(log);
    let hold = async move |(): (), _: Job| {
        told.borrow_mut().push("held".to_owned());
        until(|| told.borrow().iter().any(|line| line == "go")).await;
        Ok::<_, String>(())
    };
    functions.add_async("hold", hold)?;
    let options = WorkerOptions { name: "w".into(), slots, prefetch: slots, ..Default::default() };
    Worker::on_nats(event_loop, [&server.address], functions, options, nats(name))
}

pub(crate) fn spec(id: &str, kind: &str, arguments: impl serde::Serialize) -> Spec {
    let arguments = to_raw_value(&arguments).unwrap();
    let id = (!id.is_empty()).then(|| TaskId::new(id).unwrap());
    let backoff = Backoff { initial: 20, longest: 40 };
    Spec { id, backoff, ..Spec::new(Kind::new(kind).unwrap(), arguments) }
}

pub(crate) fn soon(milliseconds: u64) -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::default().after(since + Duration::from_millis(milliseconds))
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        wharf::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn on_nats_tasks_run_and_results_come_back() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let (log, options) = (Log::default(), nats("a"));
        let client = client(&event_loop, &server, "a")?;
        let early = client.submit("square", &12).await?;
        assert!(matches!(early.status().await?.state, State::Queued { .. }));
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &options).await?;
        let worker = worker(&event_loop, &server, "a", 4, &log)?;
        assert_eq!(early.result::<u64>().await?, 144);
        let tasks =
            client.submit_all((0..100_u64).map(|n| spec("", "square", n)).collect()).await?;
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task?.result::<u64>().await?, number * number);
        }
        // What is asked for once more, and by somebody else.
        assert_eq!(early.result::<u64>().await?, 144);
        let other = self::client(&event_loop, &server, "a")?;
        assert_eq!(other.find(early.id().clone()).result::<u64>().await?, 144);
        let wrong = other.submit("square", &"text").await?;
        let unknown = other.find(TaskId::new("x")?);
        assert!(matches!(unknown.result::<()>().await, Err(ClientError::UnknownTask(_))));
        // It would be wrong each time: it is not tried again.
        assert_eq!(wrong.ended().await?.outcome(), Some(Outcome::Failed));
        assert_eq!(wrong.status().await?.attempts, 1);
        worker.shutdown(Duration::from_secs(5)).await?;
        observer.each_has_one(102).await?;
        Ok(())
    })
}

#[test]
fn on_nats_the_same_id_is_the_same_task() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let first = client.submit_spec(spec("me:1", "note", "one")).await?;
        let second = client.submit_spec(spec("me:1", "note", "two")).await?;
        let third = client.submit_spec(spec("me:1", "square", 3)).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        for task in [&first, &second, &third] {
            assert_eq!(task.result::<String>().await?, "one");
        }
        let last = client.submit_spec(spec("me:1", "note", "three")).await?;
        assert_eq!(last.result::<String>().await?, "one");
        assert_eq!(*log.borrow(), ["one"]);
        Ok(())
    })
}

#[test]
fn on_nats_failures_are_tried_again_then_stay_until_somebody_asks() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        let task = client.submit_spec(Spec { retries: 2, ..spec("t", "fail", 4) }).await?;
        let failed = task.result::<u64>().await;
        assert!(
            matches!(&failed, Err(ClientError::Failed(why)) if **why == *"on purpose"),
            "{failed:?}"
        );
        assert_eq!(*log.borrow(), ["attempt 1", "attempt 2", "attempt 3"]);
        let record = task.status().await?;
        assert_eq!((record.attempts, record.failures), (3, 3));
        assert!(task.retry().await?);
        assert_eq!(task.result::<u64>().await?, 5);
        assert!(!task.retry().await?);
        assert_eq!(task.status().await?.failures, 1);
        Ok(())
    })
}

#[test]
fn on_nats_delays_priorities_and_deadlines() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let at = soon(300);
        let later =
            client.submit_spec(Spec { at: Some(at), ..spec("late", "note", "late") }).await?;
        assert!(matches!(later.status().await?.state, State::Delayed { until } if until == at));
        let over = Spec { deadline: Some(soon(0)), ..spec("over", "note", "over") };
        let over = client.submit_spec(over).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &nats("a")).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        client.submit("hold", &()).await?;
        until(|| log.borrow().iter().any(|line| line == "held")).await;
        for (level, class) in [(0, "low"), (5, "normal"), (9, "high")] {
            let priority = Priority::new(level).unwrap();
            client.submit_spec(Spec { priority, ..spec(class, "wait", 1) }).await?;
            // It is with the worker, and waits for the slot.
            let consumer = format!("{class}-wait");
            while observer.jetstream.consumer_info("a-tasks", &consumer).await?.num_ack_pending == 0
            {
                wharf::sleep(Duration::from_millis(10)).await;
            }
        }
        log.borrow_mut().push("go".to_owned());
        later.result::<String>().await?;
        assert!(soon(0) >= at);
        let why = over.result::<String>().await.unwrap_err().to_string();
        assert!(why.ends_with("its deadline has passed"), "{why}");
        until(|| log.borrow().iter().any(|line| line == "low ends")).await;
        let log = log.borrow();
        let begun: Vec<_> = log.iter().filter_map(|line| line.strip_suffix(" begins")).collect();
        assert_eq!(begun, ["high", "normal", "low"]);
        Ok(())
    })
}

#[test]
fn on_nats_a_task_comes_after_others() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let after = |id: &str, parents: &[&str]| Spec {
            after: parents.iter().map(|id| TaskId::new(id).unwrap()).collect(),
            retries: 0,
            ..spec(id, "note", id)
        };
        client.submit_spec(after("a", &[])).await?;
        client.submit_spec(after("b", &["a"])).await?;
        let last = client.submit_spec(after("c", &["a", "b"])).await?;
        assert!(matches!(last.status().await?.state, State::Blocked { parents: 2 }));
        client.submit_spec(Spec { retries: 0, ..spec("bad", "fail", 9) }).await?;
        let orphan = client.submit_spec(after("orphan", &["bad"])).await?;
        let unknown = client.submit_spec(after("d", &["nobody"])).await.unwrap_err();
        assert_eq!(unknown.to_string(), "refused: it comes after nobody, which is not there");
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        last.result::<String>().await?;
        let lines: Vec<_> = log.borrow().iter().filter(|line| line.len() == 1).cloned().collect();
        assert_eq!(lines, ["a", "b", "c"]);
        let why = orphan.result::<String>().await.unwrap_err().to_string();
        assert!(why.ends_with("bad, which it comes after, did not succeed"), "{why}");
        Ok(())
    })
}

#[test]
fn on_nats_cancelling_reaches_tasks_that_wait_and_those_that_run() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let (log, options) = (Log::default(), nats("a"));
        let client = client(&event_loop, &server, "a")?;
        let waits = client.submit_spec(spec("waits", "note", "never")).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &options).await?;
        assert!(waits.cancel().await?);
        assert!(!waits.cancel().await?);
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        let runs = client.submit_spec(spec("runs", "wait", 3_600_000)).await?;
        until(|| log.borrow().len() == 1).await;
        assert!(runs.cancel().await?);
        assert!(matches!(runs.result::<()>().await, Err(ClientError::Cancelled)));
        // Its slot is free, and nothing of it is left.
        assert_eq!(client.submit("square", &4).await?.result::<u64>().await?, 16);
        assert_eq!(*log.borrow(), ["runs begins"]);
        observer.each_has_one(3).await?;
        observer.waiting(&options, 0).await?;
        assert!(waits.retry().await?);
        assert_eq!(waits.result::<String>().await?, "never");
        Ok(())
    })
}

#[test]
fn on_nats_a_task_that_runs_longer_than_the_lease_is_not_given_to_another_worker() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let _first = worker(&event_loop, &server, "a", 1, &log)?;
        let _second = worker(&event_loop, &server, "a", 1, &log)?;
        let task = client.submit_spec(spec("long", "wait", 2_500)).await?;
        until(|| !log.borrow().is_empty()).await;
        while !matches!(task.status().await?.state, State::Running { .. }) {
            wharf::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(task.result::<u64>().await?, 2_500);
        assert_eq!(task.status().await?.attempts, 1);
        assert_eq!(*log.borrow(), ["long begins", "long ends"]);
        Ok(())
    })
}

#[test]
fn on_nats_a_worker_that_lost_its_task_records_nothing() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let (log, options) = (Log::default(), nats("a"));
        let client = client(&event_loop, &server, "a")?;
        let task = client.submit_spec(spec("t", "wait", 1_500)).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &options).await?;
        // A worker that takes the message, and is silent for longer than the lease.
        let consumer = {
            let mut config =
                wharf_protocols::nats::jetstream::ConsumerConfig::durable("normal-wait");
            config.filter_subject = Some("a.q.normal.wait.>".to_owned());
            config.ack_wait = Duration::from_secs(1);
            config.max_ack_pending = -1;
            observer.jetstream.create_consumer("a-tasks", &config).await?
        };
        let silent = consumer.fetch(1, Duration::from_secs(5)).await?.remove(0);
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        until(|| !log.borrow().is_empty()).await;
        // It comes back with a result, for the record as it knew it: there was none.
        let bucket =
            wharf_protocols::nats::jetstream::KeyValue::bucket(&observer.jetstream, "a-records")
                .await?;
        assert!(bucket.update("t", "{}", 0).await.is_err());
        silent.ack()?;
        assert_eq!(task.result::<u64>().await?, 1_500);
        assert_eq!(task.status().await?.attempts, 2);
        observer.each_has_one(1).await?;
        Ok(())
    })
}

#[test]
fn on_nats_what_it_cannot_hold_is_refused() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let client = client(&event_loop, &server, "a")?;
        let week = 7 * 24 * 3_600_000;
        let long = client.submit_spec(Spec { keep: week, ..spec("", "note", "") }).await;
        assert!(long.unwrap_err().to_string().starts_with("refused: records are kept for"));
        let slow = Backoff { initial: 1, longest: week };
        let slow = client.submit_spec(Spec { backoff: slow, ..spec("", "note", "") }).await;
        assert!(slow.unwrap_err().to_string().contains("no retry waits longer"));
        let three = NatsOptions { replicas: 3, ..nats("b") };
        let three =
            Client::on_nats(&event_loop, [&server.address], ClientOptions::default(), three)?;
        let refused = three.submit("note", &"").await.unwrap_err().to_string();
        assert!(refused.contains("replicas > 1 not supported"), "{refused}");
        Ok(())
    })
}
