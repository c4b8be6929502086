//! Workers that are frozen for longer than their lease, and go on.

use std::time::Duration;

use serde_json::json;
use wharf::Result;

use super::{Peer, run, serve};

#[test]
fn a_worker_that_was_silent_for_too_long_is_sent_away_and_takes_tasks_when_it_comes_back() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let mut frozen = Peer::worker(&event_loop, &[]).await?;
        client.ask(json!({"submit": [{"kind": "a", "id": "x"}]})).await?;
        let fence = frozen.hear().await?["assign"]["fence"].as_u64().unwrap_or_default();
        event_loop.sleep(Duration::from_secs(16)).await;
        assert_eq!(server.counts(), (1, 0));
        // A connection that nobody gives tasks to would look as one of a worker that has nothing to do.
        let heard: Result<_> = frozen.hear().await;
        assert!(heard.is_err(), "{heard:?}");
        let mut again = Peer::worker(&event_loop, &[fence]).await?;
        let (stale, given) = (again.hear().await?, again.hear().await?);
        assert_eq!(stale, json!({"stop": {"fence": fence, "why": "stale"}}));
        assert_eq!(given["assign"]["id"], "x");
        Ok(())
    });
}
