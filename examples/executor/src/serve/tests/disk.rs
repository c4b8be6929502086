//! A coordinator whose disk is full, or fails.

use std::time::Duration;

use serde_json::json;

use super::{ADDRESS, Peer, run, serve_in};
use crate::store::DiskStore;
use crate::store::faults::{Call, FaultyDisk};

#[test]
fn a_full_disk_refuses_submits_and_the_results_of_running_tasks_wait() {
    run(async |event_loop| {
        let disk = FaultyDisk::default();
        let _server = serve_in(&event_loop, DiskStore::open_in(disk.clone())?).await?;
        let mut client = Peer::client(&event_loop).await?;
        let tasks: Vec<_> =
            (0..3).map(|task| json!({"kind": "a", "id": format!("t{task}")})).collect();
        client.ask(json!({"submit": tasks})).await?;
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        let fence = worker.hear().await?["assign"]["fence"].clone();
        worker.hear().await?;
        event_loop.sleep(Duration::from_millis(100)).await;

        disk.leave(Some(0));
        let large = json!({"kind": "b", "id": "large", "args": "x".repeat(1_000_000)});
        let submit = json!({"submit": [large]});
        // The one that finds it full, and those after it.
        for why in ["no storage space; it may be done when the disk takes it", "no storage space"] {
            let failed = client.ask(submit.clone()).await?["failed"].to_string();
            assert!(failed.contains(why), "{failed}");
        }
        worker.say(json!({"report": {"fence": fence, "outcome": {"succeeded": 1}}})).await?;
        let status = client.ask(json!({"status": "t2"})).await?;
        assert_eq!(status["task"]["state"]["state"], "queued", "nothing new is given");
        let nothing = wharf::timeout(Duration::from_secs(5), worker.hear()).await;
        assert!(nothing.is_err(), "{nothing:?}");

        disk.leave(None);
        let mut told = [worker.hear().await?, worker.hear().await?];
        told.sort_by_key(|message| message.get("assign").is_some());
        assert_eq!(told[0], json!({"recorded": fence}));
        assert_eq!(told[1]["assign"]["id"], "t2");
        assert_eq!(client.ask(json!({"wait": "t0"})).await?["task"]["result"], 1);
        assert_eq!(client.ask(submit).await?, json!({"submitted": [{"Ok": "large"}]}));
        Ok(())
    });
}

#[test]
fn a_disk_that_is_gone_ends_the_coordinator_and_another_goes_on() {
    run(async |event_loop| {
        let disk = FaultyDisk::default();
        let server = serve_in(&event_loop, DiskStore::open_in(disk.clone())?).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a", "id": "x"}]})).await?;
        disk.fail_after(0, Call::Any);
        let failed = client.ask(json!({"submit": [{"kind": "a", "id": "y"}]})).await?;
        assert!(
            failed["failed"].to_string().contains("the disk has failed on purpose"),
            "{failed}"
        );
        // Nobody is told what cannot be read.
        assert!(client.ask(json!({"status": "x"})).await.is_err());
        assert!(server.failed().await.to_string().contains("on purpose"));
        let (reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let mut late = Peer { reader, writer };
        let refused = late.hear().await?["refused"].to_string();
        assert!(refused.contains("on purpose"), "{refused}");
        assert!(late.reader.read_chunk().await?.is_empty());

        disk.heal();
        let disk = disk.lose_power(&mut fastrand::Rng::with_seed(1));
        let store = DiskStore::open_in(disk)?;
        let id = crate::task::TaskId::new("x")?;
        assert!(crate::store::Store::key_of(&store, &id)?.is_some());
        Ok(())
    });
}
