//! Functions that go on though they were to end. A real thread blocks, so the loop is a real one.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use redb::backends::InMemoryBackend;
use serde_json::json;

use super::super::{Functions, Worker, WorkerOptions};
use crate::client::{Client, ClientOptions};
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;

#[test]
fn a_function_that_goes_on_after_its_timeout_keeps_its_slot_and_others_do_not_wait_for_it() {
    wharf::run(async |event_loop| {
        let store = DiskStore::open_in(InMemoryBackend::new())?;
        let coordinator = CoordinatorServer::new(&event_loop, store, ServeOptions::default())?;
        let factory = coordinator.clone();
        let server = event_loop.create_server(move || factory.protocol(), "127.0.0.1:0").await?;
        let address = server.local_address()?.to_string();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let mut functions = Functions::new();
        functions.add("stuck", move |(): (), job| {
            let _ = released.lock().map(|released| released.recv());
            Ok::<_, String>(job.is_cancelled())
        })?;
        functions.add("quick", |(): (), _| Ok::<_, String>(7))?;
        let options = WorkerOptions { slots: 1, prefetch: 1, ..WorkerOptions::default() };
        let _worker = Worker::start(&event_loop, [&*address], functions, options)?;
        let client = Client::start(&event_loop, [&*address], ClientOptions::default())?;
        let stuck = json!({"id": "1", "kind": "stuck", "timeout": 20, "retries": 0});
        let quick = json!({"id": "2", "kind": "quick", "timeout": 60_000, "retries": 0});
        let specs = serde_json::from_value(json!([stuck, quick]))?;
        let [stuck, quick] = &client.submit_all(specs).await?[..] else { panic!("no two tasks") };
        let error = stuck.as_ref().unwrap().ended().await?.error;
        assert_eq!(error.as_deref(), Some("it took longer than 20 ms"));
        // What was given to this worker meanwhile is back, and another could have it.
        assert_eq!(coordinator.counts(), (1, 0));
        drop(release);
        assert_eq!(quick.as_ref().unwrap().result::<u64>().await?, 7);
        assert_eq!(quick.as_ref().unwrap().status().await?.losses, 0);
        Ok(())
    })
    .unwrap();
}
