//! Ends of tasks are told to those who watch them.

use std::time::Duration;

use serde_json::{Value, json};
use wharf::Result;

use super::{CoordinatorServer, Peer, run, serve};

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

/// How much waits to be sent to its peers.
fn unsent(server: &CoordinatorServer) -> usize {
    let state = server.shared.state.borrow();
    state.peers.values().map(wharf::Transport::write_buffer_size).sum()
}

#[test]
fn who_does_not_read_costs_ids_and_is_told_of_all_ends_when_it_does() {
    const COUNT: usize = 20;
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let specs: Vec<_> =
            (0..COUNT).map(|id| json!({"kind": "a", "id": id.to_string()})).collect();
        let mut waits = Peer::client(&event_loop).await?;
        waits.ask(json!({"submit": specs})).await?;
        for id in 0..COUNT {
            let wait = json!({"request": {"number": id, "ask": {"wait": id.to_string()}}});
            waits.say(wait).await?;
        }
        let mut watches = Peer::client(&event_loop).await?;
        let ids: Vec<_> = (0..COUNT).map(|id| id.to_string()).collect();
        watches.ask(json!({"watch": ids})).await?;
        watches.ask(json!({"run": [{"kind": "a", "id": "bad"}]})).await?;
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        for id in 0..COUNT {
            report(&mut worker, json!({"succeeded": [id, "x".repeat(300_000)]})).await?;
        }
        event_loop.sleep(Duration::from_secs(1)).await;
        // Of tasks that have ended already, and of one as often as there is room for in a message.
        let mut late = Peer::client(&event_loop).await?;
        late.ask(json!({"watch": vec!["7"; 2_000]})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        let waiting = unsent(&server);
        assert!(waiting < 3_000_000, "{waiting} bytes wait");
        drop(late);
        // One that it has not been told of is tried again, and is not told of before it has ended again.
        let mut other = Peer::client(&event_loop).await?;
        report(&mut worker, json!({"failed_for_good": "no"})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(other.ask(json!({"retry": "bad"})).await?, json!({"changed": true}));
        let mut ends = Vec::new();
        while ends.len() < COUNT {
            let mut told = watches.hear().await?;
            ends.extend(told["ended"].as_array_mut().into_iter().flat_map(std::mem::take));
        }
        for (id, ended) in ends.iter().enumerate() {
            assert_eq!((&ended["id"], &ended["result"][0]), (&json!(id.to_string()), &json!(id)));
        }
        report(&mut worker, json!({"succeeded": "again"})).await?;
        let last = watches.hear().await?;
        let last = &last["ended"][0];
        assert_eq!((&last["id"], &last["result"]), (&json!("bad"), &json!("again")));
        for id in 0..COUNT {
            let answer = waits.hear().await?["answer"].take();
            assert_eq!(
                (&answer["number"], &answer["answer"]["task"]["result"][0]),
                (&json!(id), &json!(id))
            );
        }
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
