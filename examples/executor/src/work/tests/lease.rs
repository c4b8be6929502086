//! Workers keep the lease that their coordinator has now.

use std::rc::Rc;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use serde_json::json;
use wharf::{EventLoop, Result, Server};

use super::{ADDRESS, ended, functions, options, run};
use crate::access::Tokens;
use crate::coordinator::Settings;
use crate::serve::tests::Peer;
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;
use crate::work::Worker;

async fn serve_with(
    event_loop: &EventLoop,
    lease: Duration,
) -> Result<(CoordinatorServer, Server)> {
    let options = ServeOptions {
        settings: Settings { lease, ..Settings::default() },
        tokens: Tokens::one(Box::from("secret")),
        ..ServeOptions::default()
    };
    let store = DiskStore::open_in(InMemoryBackend::new())?;
    let coordinator = CoordinatorServer::new(event_loop, store, options)?;
    let factory = coordinator.clone();
    let server = event_loop.create_server(move || factory.protocol(), ADDRESS).await?;
    Ok((coordinator, server))
}

#[test]
fn a_worker_keeps_the_shorter_lease_of_a_coordinator_that_follows() {
    run(async |event_loop| {
        let (former, listening) = serve_with(&event_loop, Duration::from_secs(86_400)).await?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions(&Rc::default()), options())?;
        event_loop.sleep(Duration::from_secs(60)).await;
        former.leave(true).await;
        listening.close();
        let (_coordinator, _listening) = serve_with(&event_loop, Duration::from_secs(15)).await?;
        let mut client = Peer::client(&event_loop).await?;
        let spec = json!({"id": "1", "kind": "sleep", "args": 600});
        client.ask(json!({"submit": [spec]})).await?;
        let task = ended(&mut client, "1").await?;
        assert_eq!((&task["attempts"], &task["losses"]), (&json!(1), &json!(0)));
        Ok(())
    });
}
