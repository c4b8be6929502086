//! What others have written where the executor has its own, or have deleted.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf::{EventLoop, Result};
use wharf_executor::client::Client;
use wharf_executor::coordinator::Filter;
use wharf_executor::schedule::{Missed, Overlap, Schedule, ScheduleName, When};
use wharf_executor::task::{Phase, Spec};
use wharf_protocols::nats::Options;
use wharf_protocols::nats::jetstream::{JetStream, KeyValue, StreamConfig};

use crate::basics::{Log, client, nats, soon, spec, until, worker};
use crate::command_line::output;
use crate::observer::Observer;
use crate::server::{Server, run};

const HOUR: u64 = 3_600_000;

async fn observer(event_loop: &EventLoop, server: &Server, client: &Client) -> Result<Observer> {
    // Who comes first makes the buckets.
    client.schedules().await?;
    Observer::start(event_loop, std::slice::from_ref(&server.address), &nats("a")).await
}

fn schedule(name: &str, text: &str) -> Result<Schedule> {
    Ok(Schedule {
        name: ScheduleName::new(name)?,
        when: When::Every(HOUR),
        task: Spec { id: None, ..spec("", "note", text) },
        deadline: None,
        missed: Missed::Once,
        overlap: Overlap::Allow,
    })
}

/// A schedule as it is in the bucket.
async fn kept(bucket: &KeyValue, name: &str) -> Result<Value> {
    let entry = bucket.get(&format!("schedule.{name}")).await?.ok_or("it is there")?;
    Ok(serde_json::from_slice(&entry.value)?)
}

/// Waits until as many tasks of schedules were submitted.
async fn runs(event_loop: &EventLoop, client: &Client, count: u64) -> Result {
    loop {
        let schedules = client.schedules().await?;
        if schedules.iter().map(|record| record.runs.min(1)).sum::<u64>() == count {
            return Ok(());
        }
        event_loop.sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn on_nats_what_is_no_schedule_keeps_none_from_running_and_can_be_removed() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        client.add_schedule(schedule("good", "good")?, false).await?;
        client.add_schedule(schedule("full", "full")?, false).await?;
        let observer = observer(&event_loop, &server, &client).await?;
        let bucket = KeyValue::bucket(&observer.jetstream, "a-control").await?;
        let due = |mut kept: Value| {
            kept["record"]["next"] = soon(0).0.into();
            kept
        };
        // One whose counters have no room, which another key has, too.
        let mut full = due(kept(&bucket, "full").await?);
        for counter in ["runs", "skipped"] {
            full["record"][counter] = u64::MAX.into();
        }
        bucket.put("schedule.full", full.to_string()).await?;
        let mut unknown = kept(&bucket, "full").await?;
        unknown["record"]["schedule"]["name"] = "zone".into();
        let when = json!({ "cron": { "expression": "* * * * *", "zone": "Nowhere" } });
        unknown["record"]["schedule"]["when"] = when;
        bucket.put("schedule.zone", unknown.to_string()).await?;
        let good = due(kept(&bucket, "good").await?);
        bucket.put("schedule.good", good.to_string()).await?;
        bucket.put("schedule.other", good.to_string()).await?;
        // More than are dealt with at once.
        for number in 0..40 {
            bucket.put(&format!("schedule.a{number}"), "[").await?;
        }
        bucket.put("schedule.a.b", [255]).await?;
        bucket.put("drain", "perhaps").await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        until(|| log.borrow().len() == 2).await;
        log.borrow_mut().sort();
        assert_eq!(*log.borrow(), ["full", "good"]);
        let schedules = client.schedules().await?;
        let names: Vec<_> = schedules.iter().map(|record| record.schedule.name.as_str()).collect();
        assert_eq!(names, ["full", "good", "zone"]);
        assert_eq!(schedules[0].runs, u64::MAX);
        assert_eq!(schedules[2].error.as_deref(), Some("there is no time zone \"Nowhere\""));
        // What was understood, and is not any more.
        bucket.put("schedule.good", "{}").await?;
        for name in ["good", "other", "a0"] {
            let name = ScheduleName::new(name)?;
            assert!(client.add_schedule(schedule(name.as_str(), "x")?, true).await.is_err());
            assert!(client.remove_schedule(name.clone()).await?);
            assert!(!client.remove_schedule(name.clone()).await?);
            client.add_schedule(schedule(name.as_str(), "x")?, false).await?;
        }
        Ok(())
    })
}

#[test]
fn on_nats_schedules_of_a_bucket_that_was_made_again_run() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let observer = observer(&event_loop, &server, &client).await?;
        let bucket = KeyValue::bucket(&observer.jetstream, "a-control").await?;
        client.add_schedule(schedule("s", "old")?, false).await?;
        let mut known = kept(&bucket, "s").await?;
        // Its revision is higher than any of the new bucket.
        for _ in 0..50 {
            bucket.put("schedule.s", known.to_string()).await?;
        }
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        client.submit("note", &"is there").await?.result::<String>().await?;
        let config = observer.jetstream.stream_info("KV_a-control").await?.config;
        observer.jetstream.delete_stream("KV_a-control").await?;
        observer.jetstream.create_stream(&config).await?;
        known["record"]["next"] = soon(0).0.into();
        known["record"]["schedule"]["task"]["args"] = "new".into();
        bucket.put("schedule.s", known.to_string()).await?;
        runs(&event_loop, &client, 1).await?;
        until(|| *log.borrow() == ["is there", "new"]).await;
        Ok(())
    })
}

#[test]
fn on_nats_streams_that_somebody_has_deleted_are_made_again() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let observer = observer(&event_loop, &server, &client).await?;
        // Nobody but this client is there.
        observer.jetstream.delete_stream("a-tasks").await?;
        let first = client.submit("note", &"first").await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        first.result::<String>().await?;
        for stream in ["a-tasks", "KV_a-records"] {
            observer.jetstream.delete_stream(stream).await?;
        }
        let next = client.submit("note", &"next").await?;
        assert_eq!(next.result::<String>().await?, "next");
        Ok(())
    })
}

#[test]
fn on_nats_records_and_tasks_that_are_none_harm_no_others() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let observer = observer(&event_loop, &server, &client).await?;
        let records = KeyValue::bucket(&observer.jetstream, "a-records").await?;
        let task = |id: &str, again: u64| {
            let spec = json!({ "kind": "note", "args": id, "priority": 9 });
            json!({ "id": id, "spec": spec, "submitted": 1, "again": again }).to_string()
        };
        let record = |id: &str, state: Value, count: u32| {
            let spec = json!({ "kind": "note", "args": id });
            json!({ "id": id, "spec": spec, "submitted": 1, "state": state, "attempts": count,
                    "failures": count, "losses": 0 })
            .to_string()
        };
        let unknown = client.submit_spec(spec("garbled", "unknown", ())).await?;
        assert!(unknown.status().await?.outcome().is_none());
        records.put("garbled", "{").await?;
        let queued = Filter { state: Some(Phase::Queued), kind: None };
        let listed = client.list(queued, 10, None).await?.tasks;
        assert_eq!(listed.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["garbled"]);
        // A counter that has no room, and a time that is never.
        let queued = json!({ "state": "queued", "since": u64::MAX });
        records.put("full", record("full", queued, u32::MAX)).await?;
        let never = json!({ "state": "delayed", "until": u64::MAX });
        records.put("never", record("never", never, 1)).await?;
        let naks = Rc::new(Cell::new(0));
        let counted = Rc::clone(&naks);
        let acknowledgements = "$JS.ACK.a-tasks.high-note.>";
        let subscription = observer.jetstream.client().subscription(acknowledgements);
        let count = move |message: wharf_protocols::nats::Message| {
            counted.set(counted.get() + u32::from(message.payload().starts_with(b"-NAK")));
        };
        subscription.on_message(count)?.detach();
        for (key, what) in [
            ("never", task("never", 1)),
            ("none", "[[[".to_owned()),
            ("empty", String::new()),
            ("full", task("full", 1)),
        ] {
            observer.jetstream.publish(&format!("a.q.high.note.{key}"), what).await?;
        }
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        until(|| *log.borrow() == ["full"]).await;
        for number in 0..20_u64 {
            client.submit("square", &number).await?.result::<u64>().await?;
        }
        // It does not come again and again.
        until(|| naks.get() > 0).await;
        assert!(naks.get() < 4, "{}", naks.get());
        Ok(())
    })
}

#[test]
fn on_nats_what_no_task_has_written_hides_nothing_that_one_has() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    let succeeds = |words: &[&str]| {
        let done = output(&server, words[0], &words[1..]);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    succeeds(&["submit", "unknown", "--id", "t"]);
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let jetstream = JetStream::new(&client);
        let config = StreamConfig::new("wharf-output", ["wharf.output.>"]);
        jetstream.create_stream(&config).await?;
        let part = |offset: u64, text: &str| {
            json!({ "offset": offset, "attempt": 1, "pieces": [{ "stdout": text }] }).to_string()
        };
        for message in ["", &part(0, "one "), "[", "{}", &part(u64::MAX, "two"), "garbage"] {
            jetstream.publish("wharf.output.t", message).await?;
        }
        Ok(())
    })?;
    succeeds(&["cancel", "t"]);
    for words in [&["logs", "t"][..], &["logs", "t", "--follow"], &["logs", "t", "--last", "7"]] {
        assert_eq!(succeeds(words), "one two");
    }
    assert_eq!(succeeds(&["logs", "t", "--last", "3"]), "two");
    Ok(())
}
