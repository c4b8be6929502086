//! Ends of tasks are told to those who watch them.

use std::time::Duration;

use serde_json::{Value, json};
use wharf::Result;

use super::{Peer, run, serve};

/// What a client is told, in the order in which it is told.
async fn ends(client: &mut Peer, count: usize) -> Result<Vec<Value>> {
    let mut ends = Vec::new();
    while ends.len() < count {
        let told = client.hear().await?;
        ends.extend(told["ended"].as_array().expect("ends").iter().cloned());
    }
    Ok(ends)
}

async fn report(worker: &mut Peer, outcome: Value) -> Result {
    let mut given = worker.hear().await?;
    while given.get("assign").is_none() {
        given = worker.hear().await?;
    }
    let report = json!({"fence": given["assign"]["fence"], "outcome": outcome});
    worker.say(json!({"report": report})).await
}

#[test]
fn who_runs_tasks_or_watches_them_is_told_of_their_ends_once_they_are_on_the_disk() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let specs = json!([
            {"kind": "a", "id": "1"},
            {"kind": "a", "id": "2", "retries": 5},
            {"kind": "a", "id": "3", "after": ["2"]},
            {"kind": "a", "after": ["nobody"]},
        ]);
        let taken = client.ask(json!({"run": specs})).await?;
        assert_eq!(taken["submitted"].as_array().unwrap().len(), 4);
        assert_eq!(taken["submitted"][2], json!({"Ok": "3"}));
        let mut other = Peer::client(&event_loop).await?;
        let watched = other.ask(json!({"watch": ["1", "nobody", "1", "2"]})).await?;
        assert_eq!(watched, json!({"changed": true}));
        assert_eq!(ends(&mut other, 1).await?, [json!({"id": "nobody", "outcome": null})]);
        assert_eq!(other.ask(json!({"unwatch": ["2"]})).await?, json!({"changed": true}));
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        report(&mut worker, json!({"succeeded": [1]})).await?;
        report(&mut worker, json!({"failed_for_good": "no"})).await?;
        let first = json!({"id": "1", "outcome": "succeeded", "result": [1], "attempts": 1});
        let error = "it comes after 2, which has failed: no";
        let rest = [
            json!({"id": "2", "outcome": "failed", "error": "no", "attempts": 1}),
            json!({"id": "3", "outcome": "failed", "error": error, "cause": "2"}),
        ];
        assert_eq!(ends(&mut client, 3).await?, [std::slice::from_ref(&first), &rest[..]].concat());
        assert_eq!(ends(&mut other, 1).await?[0], first);
        // What has ended is told at once. That 2 has ended was not told to who did not want to know.
        other.ask(json!({"watch": ["1"]})).await?;
        assert_eq!(ends(&mut other, 1).await?, [first]);
        Ok(())
    });
}

#[test]
fn many_are_cancelled_with_one_request() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let specs: Vec<_> =
            (0..10_000).map(|id| json!({"kind": "a", "id": id.to_string()})).collect();
        client.ask(json!({"run": specs})).await?;
        let mut ids: Vec<_> = (0..10_000).map(|id| id.to_string()).collect();
        ids.push("nobody".into());
        client.say(json!({"request": {"number": 1, "ask": {"cancel_all": ids}}})).await?;
        let told = client.hear().await?;
        assert_eq!(told["answer"]["answer"], json!({"count": 10_000}));
        let ends = ends(&mut client, 10_000).await?;
        assert!(ends.iter().all(|ended| ended["outcome"] == "cancelled"));
        Ok(())
    });
}

#[test]
fn large_results_are_told_in_several_messages() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let specs: Vec<_> = (0..6).map(|id| json!({"kind": "a", "id": id.to_string()})).collect();
        client.ask(json!({"submit": specs})).await?;
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        for _ in 0..6 {
            report(&mut worker, json!({"succeeded": "x".repeat(1_500_000)})).await?;
        }
        event_loop.sleep(Duration::from_secs(1)).await;
        client.ask(json!({"watch": ["0", "1", "2", "3", "4", "5"]})).await?;
        assert_eq!(ends(&mut client, 6).await?.len(), 6);
        Ok(())
    });
}
