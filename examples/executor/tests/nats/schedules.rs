//! Schedules without a coordinator: whichever worker comes first submits what is due.

use std::time::Duration;

use wharf::{EventLoop, Result};
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::nats::NatsOptions;
use wharf_executor::schedule::{Missed, Overlap, Schedule, ScheduleName, When};
use wharf_executor::task::{Spec, TaskId, Timestamp};
use wharf_protocols::nats::jetstream::KeyValue;

use crate::basics::{Log, client, nats, soon, spec, until, worker};
use crate::command_line::Process;
use crate::observer::Observer;
use crate::server::{Server, run};

const HOUR: u64 = 3_600_000;

fn name() -> ScheduleName {
    ScheduleName::new("s").unwrap()
}

/// Each hour.
fn hourly(task: Spec, missed: Missed, overlap: Overlap) -> Schedule {
    let task = Spec { id: None, ..task };
    Schedule { name: name(), when: When::Every(HOUR), task, deadline: None, missed, overlap }
}

/// As if a schedule had been added so many hours ago, and no worker had been there since. Gives its times.
async fn hours_ago(
    observer: &Observer,
    bucket: &str,
    hours: u64,
    change: impl FnOnce(&mut serde_json::Value),
) -> Result<Vec<Timestamp>> {
    let bucket = KeyValue::bucket(&observer.jetstream, bucket).await?;
    let entry = bucket.get("schedule.s").await?.ok_or("it is there")?;
    let mut kept: serde_json::Value = serde_json::from_slice(&entry.value)?;
    let added = kept["record"]["added"].as_u64().ok_or("a time")? - hours * HOUR - 1_000;
    kept["record"]["added"] = added.into();
    kept["record"]["next"] = (added + HOUR).into();
    change(&mut kept);
    bucket.update("schedule.s", kept.to_string(), entry.revision).await?;
    Ok((1..=hours).map(|hour| Timestamp(added + hour * HOUR)).collect())
}

/// Waits until nothing is due, and gives how many tasks were submitted, and how many were not.
async fn settled(event_loop: &EventLoop, client: &Client, runs: u64) -> Result<(u64, u64)> {
    loop {
        let record = client.schedules().await?.pop().ok_or("there is one")?;
        let is_due = record.next.is_some_and(|next| next <= soon(0));
        if !is_due && record.runs + record.skipped >= runs {
            return Ok((record.runs, record.skipped));
        }
        event_loop.sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn on_nats_each_run_of_a_schedule_is_one_task_whatever_worker_is_killed() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let options = NatsOptions { lease: Duration::from_secs(1), ..NatsOptions::default() };
        let connect = ClientOptions::default();
        let client = Client::on_nats(&event_loop, [&server.address], connect, options.clone())?;
        let task = spec("", "wordcount", "to be or not to be");
        client.add_schedule(hourly(task, Missed::All, Overlap::Allow), false).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &options).await?;
        let times = hours_ago(&observer, "wharf-control", 60, |_| ()).await?;
        let first = Process::worker(&server, "first");
        let _second = Process::worker(&server, "second");
        while client.schedules().await?[0].runs < 10 {
            event_loop.sleep(Duration::from_millis(1)).await;
        }
        drop(first);
        assert_eq!(settled(&event_loop, &client, 60).await?, (60, 0));
        let mut ids: Vec<_> =
            observer.each_has_one(60).await?.into_iter().map(|(_, record)| record.id).collect();
        ids.sort();
        assert_eq!(ids, times.iter().map(|time| name().task_id(*time)).collect::<Vec<_>>());
        observer.waiting(&options, 0).await
    })
}

#[test]
fn on_nats_a_run_that_a_dead_worker_has_claimed_is_submitted_by_another() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let task = spec("", "note", "run");
        client.add_schedule(hourly(task, Missed::Once, Overlap::Allow), false).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &nats("a")).await?;
        let claim = |kept: &mut serde_json::Value| {
            let next = kept["record"]["next"].as_u64().unwrap();
            kept["claim"] = serde_json::json!({ "time": next, "by": "dead" });
            kept["record"]["last_time"] = next.into();
            kept["record"]["next"] = (next + 2 * HOUR).into();
        };
        let times = hours_ago(&observer, "a-control", 1, claim).await?;
        let _first = worker(&event_loop, &server, "a", 1, &log)?;
        let _second = worker(&event_loop, &server, "a", 1, &log)?;
        assert_eq!(settled(&event_loop, &client, 1).await?, (1, 0));
        let task = client.find(name().task_id(times[0]));
        assert_eq!(task.result::<String>().await?, "run");
        observer.each_has_one(1).await?;
        assert_eq!(*log.borrow(), ["run"]);
        Ok(())
    })
}

#[test]
fn on_nats_missed_runs_and_those_that_would_overlap_are_as_the_schedule_says() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let hold = spec("", "hold", ());
        client.add_schedule(hourly(hold.clone(), Missed::Once, Overlap::Skip), false).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &nats("a")).await?;
        let times = hours_ago(&observer, "a-control", 3, |_| ()).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        // One for the last of them.
        assert_eq!(settled(&event_loop, &client, 1).await?, (1, 0));
        until(|| log.borrow().len() == 1).await;
        let last = client.schedules().await?[0].last_task.clone();
        assert_eq!(last, Some(name().task_id(times[2])));
        // That runs.
        hours_ago(&observer, "a-control", 1, |_| ()).await?;
        assert_eq!(settled(&event_loop, &client, 2).await?, (1, 1));
        log.borrow_mut().push("go".to_owned());
        client.find(name().task_id(times[2])).result::<()>().await?;
        // What was missed by more than a minute is skipped.
        client.add_schedule(hourly(hold, Missed::Skip, Overlap::Skip), true).await?;
        let late = |kept: &mut serde_json::Value| {
            for field in ["added", "next"] {
                let time = kept["record"][field].as_u64().unwrap();
                kept["record"][field] = (time - 120_000).into();
            }
        };
        hours_ago(&observer, "a-control", 1, late).await?;
        assert_eq!(settled(&event_loop, &client, 3).await?, (1, 2));
        Ok(())
    })
}

/// The task of a schedule for a time, and what it returned.
async fn by_hand(client: &Client) -> Result<(TaskId, String)> {
    let task = client.run_schedule(name(), Timestamp(7_000)).await?.ok_or("there is one")?;
    Ok((task.id().clone(), task.result().await?))
}

#[test]
fn on_nats_schedules_are_added_changed_and_run_by_hand() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        assert!(client.schedules().await?.is_empty());
        assert!(!client.remove_schedule(name()).await?);
        assert!(!client.pause_schedule(name(), true).await?);
        assert!(client.run_schedule(name(), Timestamp(7_000)).await?.is_none());
        let schedule = hourly(spec("", "note", "one"), Missed::Once, Overlap::Allow);
        client.add_schedule(schedule.clone(), false).await?;
        // Once more, as who did not hear that it is there.
        client.add_schedule(schedule.clone(), false).await?;
        let other = Schedule { when: When::Every(2 * HOUR), ..schedule.clone() };
        let refused = client.add_schedule(other.clone(), false).await.unwrap_err().to_string();
        assert_eq!(refused, "refused: there is a schedule with this name");
        client.add_schedule(other, true).await?;
        let cron = When::Cron { expression: "0 0 30 2 *".into(), zone: "Europe/Paris".into() };
        let never = Schedule { when: cron, name: ScheduleName::new("never")?, ..schedule.clone() };
        let refused = client.add_schedule(never, false).await.unwrap_err().to_string();
        assert_eq!(refused, "refused: none of its times is to come");
        let keep = Spec { keep: 7 * 24 * HOUR, ..schedule.task.clone() };
        let long = Schedule { task: keep, name: ScheduleName::new("long")?, ..schedule.clone() };
        let refused = client.add_schedule(long, false).await.unwrap_err().to_string();
        assert!(refused.starts_with("refused: records are kept for"), "{refused}");
        assert!(client.pause_schedule(name(), true).await?);
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &nats("a")).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        let expected = (TaskId::new("s:1970-01-01T00:00:07Z")?, "one".to_owned());
        assert_eq!(by_hand(&client).await?, expected);
        assert_eq!(by_hand(&client).await?, expected);
        let record = client.schedules().await?.remove(0);
        assert_eq!((record.runs, record.paused, record.next), (1, true, None));
        assert_eq!(record.schedule.when, When::Every(2 * HOUR));
        assert!(client.pause_schedule(name(), false).await?);
        assert!(client.schedules().await?[0].next.is_some_and(|next| next > soon(0)));
        assert!(client.remove_schedule(name()).await?);
        assert!(client.schedules().await?.is_empty());
        // It can be added again.
        client.add_schedule(schedule, false).await?;
        assert_eq!(client.schedules().await?.len(), 1);
        observer.each_has_one(1).await?;
        assert_eq!(*log.borrow(), ["one"]);
        Ok(())
    })
}

#[test]
fn on_nats_workers_make_the_bucket_of_schedules_again_when_somebody_deletes_it() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let schedule = hourly(spec("", "note", "run"), Missed::Once, Overlap::Allow);
        client.add_schedule(schedule.clone(), false).await?;
        let observer =
            Observer::start(&event_loop, std::slice::from_ref(&server.address), &nats("a")).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        client.submit("note", &"one").await?.result::<String>().await?;
        client.drain(true).await?;
        observer.jetstream.delete_stream("KV_a-control").await?;
        // The new one has no schedules, and nothing drains.
        while client.add_schedule(schedule.clone(), false).await.is_err() {
            event_loop.sleep(Duration::from_millis(20)).await;
        }
        hours_ago(&observer, "a-control", 1, |_| ()).await?;
        assert_eq!(settled(&event_loop, &client, 1).await?, (1, 0));
        until(|| *log.borrow() == ["one", "run"]).await;
        Ok(())
    })
}
