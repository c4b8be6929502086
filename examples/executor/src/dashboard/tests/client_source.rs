//! A dashboard of what a client knows.

use std::time::Duration;

use serde_json::json;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::live::Page;
use super::{ADDRESS, overview, run, status};
use crate::client::{Client, ClientOptions};
use crate::coordinator::{Overview, Totals};
use crate::dashboard::{ClientSource, Dashboard, DashboardOptions};
use crate::serve::tests::{ADDRESS as COORDINATOR, Peer, serve};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost:8080";

/// Serves a dashboard of the coordinator at its address.
async fn dashboard(event_loop: &EventLoop) -> Result {
    let options = ClientOptions { token: Some("secret".into()), ..ClientOptions::default() };
    let client = Client::start(event_loop, [COORDINATOR], options)?;
    let source = ClientSource::start(event_loop, client).await?;
    let dashboard = Dashboard::new(event_loop, source, ADDRESS, DashboardOptions::default())?;
    event_loop.create_server(dashboard.factory(), ADDRESS).await?;
    Ok(())
}

#[test]
fn a_client_is_the_source_of_a_dashboard_that_shows_and_changes_tasks() {
    run(async |event_loop| {
        let _coordinator = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a", "id": "x", "args": [1, 2]}]})).await?;
        dashboard(&event_loop).await?;
        let mut page = Page::open(&event_loop).await?;
        let first = page.hear().await?;
        assert_eq!(first["update"]["tasks"]["queued"], 1, "{first}");
        let listed = page.ask(json!({"list": {"limit": 5_000}})).await?;
        assert_eq!(listed["page"]["tasks"][0]["id"], "x");
        let task = page.ask(json!({"task": "x"})).await?;
        assert_eq!(
            (&task["task"]["args"], &task["task"]["failures"]),
            (&json!("[1,2]"), &json!(0))
        );
        assert_eq!(page.ask(json!({"task": "y"})).await?, json!({"task": null}));
        // It does not wait until there is some.
        let output = page.ask(json!({"output": {"id": "x", "follow": true}})).await?;
        assert_eq!(output["output"]["parts"], json!([]));
        assert_eq!(page.ask(json!({"output": {"id": "y"}})).await?, json!({"output": null}));
        for (ask, changed) in [
            (json!({"retry": "x"}), false),
            (json!({"cancel": "x"}), true),
            (json!({"cancel": "x"}), false),
            (json!({"retry": "x"}), true),
            (json!({"cancel": "y"}), false),
        ] {
            assert_eq!(page.ask(ask.clone()).await?, json!({"changed": changed}), "{ask}");
        }
        // Pages hear of what happens within a moment.
        let before = event_loop.time();
        client.ask(json!({"submit": [{"kind": "a"}]})).await?;
        while page.hear_of("tasks").await?["queued"] != 2 {}
        assert!(event_loop.time() - before < Duration::from_secs(1));
        Ok(())
    });
}

/// A coordinator that says how all is, the third time after twenty seconds.
async fn slow(reader: StreamReader, writer: StreamWriter) -> Result {
    let mut peer = Peer::of(reader, writer);
    peer.hear().await?;
    peer.say(json!({"welcome": {"lease": 15_000}})).await?;
    let mut asked = 0;
    loop {
        let heard = peer.hear().await?;
        let Some(number) = heard["request"]["number"].as_u64() else { continue };
        asked += 1;
        if asked == 3 {
            wharf::sleep(Duration::from_secs(20)).await;
        }
        let answer = json!({"overview": overview()});
        peer.say(json!({"answer": {"number": number, "answer": answer}})).await?;
    }
}

#[test]
fn a_source_of_which_nothing_is_heard_is_broken_until_something_is() {
    run(async |event_loop| {
        event_loop.start_server(slow, COORDINATOR).await?;
        dashboard(&event_loop).await?;
        event_loop.sleep(Duration::from_secs(9)).await;
        assert_eq!(status(&event_loop, HEALTH).await?, 200);
        event_loop.sleep(Duration::from_secs(4)).await;
        assert_eq!(status(&event_loop, HEALTH).await?, 503);
        event_loop.sleep(Duration::from_secs(10)).await;
        assert_eq!(status(&event_loop, HEALTH).await?, 200);
        Ok(())
    });
}

#[test]
fn totals_of_a_source_never_become_less() {
    let with = |succeeded, failed| Totals { succeeded, failed, ..overview().totals };
    let mut totals = with(7, 1);
    totals.keep_up_with(&with(3, 4));
    assert_eq!(totals, with(7, 4));
    let Overview { totals: mut none, .. } = overview();
    none.keep_up_with(&totals);
    assert_eq!(none, totals);
}
