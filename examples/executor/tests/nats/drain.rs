//! Nothing new begins.

use wharf::Result;

use crate::basics::{Log, client, spec, until, worker};
use crate::server::{Server, run};

#[test]
fn on_nats_nothing_new_begins_while_it_drains_and_what_runs_is_finished() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        let runs = client.submit("hold", &()).await?;
        until(|| log.borrow().len() == 1).await;
        // It is with the worker, or soon is.
        let waits = client.submit_spec(spec("waits", "note", "waits")).await?;
        client.drain(true).await?;
        assert!(client.overview().await?.is_draining);
        let other = self::client(&event_loop, &server, "a")?;
        for client in [&client, &other] {
            let refused = client.submit("note", &"no").await.unwrap_err().to_string();
            assert_eq!(refused, "refused: no new tasks are taken: the executor is draining");
        }
        log.borrow_mut().push("go".to_owned());
        runs.result::<()>().await?;
        // One that comes later does not begin, either.
        let _second = worker(&event_loop, &server, "a", 1, &log)?;
        while client.overview().await?.worker_count < 2 {}
        other.drain(true).await?;
        assert_eq!(*log.borrow(), ["held", "go"]);
        assert!(waits.status().await?.outcome().is_none());
        client.drain(false).await?;
        assert_eq!(waits.result::<String>().await?, "waits");
        assert!(!client.overview().await?.is_draining);
        let taken = other.submit("note", &"yes").await?;
        assert_eq!(taken.result::<String>().await?, "yes");
        Ok(())
    })
}
